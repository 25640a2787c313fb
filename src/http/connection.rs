//! One connection: its requests, its slot and its end.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};
use tokio_io_timeout::TimeoutStream;

use super::{Handler, Limits, Request, bind::Accepted, slots::Slot};

/// An accepted connection.
pub(super) struct Connection<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Limits,
    pub(super) slot: Arc<Slot>,
    /// Passes the stop on to hyper.
    pub(super) graceful: Watcher,
    /// Closed to cut the connection off.
    pub(super) server: watch::Receiver<()>,
}

/// A stream that keeps the phase of its slot up to date.
struct Tracked {
    stream: Pin<Box<TimeoutStream<Accepted>>>,
    slot: Arc<Slot>,
}

/// hyper panics if its buffer is smaller.
const MIN_HEAD_SIZE: usize = 8192;

// === impl Connection ===

impl<H: Handler> Connection<H> {
    /// Answers requests until the client, the server or another connection ends it.
    pub(super) async fn serve(self, stream: Accepted) {
        let Self { handler, limits, slot, graceful, mut server } = self;
        let mut stream = TimeoutStream::new(stream);
        // hyper has no timeout for a client that does not read.
        stream.set_write_timeout(Some(limits.stall));
        let stream = Tracked { stream: Box::pin(stream), slot: Arc::clone(&slot) };
        let requests = Arc::clone(&slot);
        let service = service_fn(move |request: Request| {
            let (handler, slot) = (Arc::clone(&handler), Arc::clone(&requests));
            async move {
                slot.answering();
                let response = handler.answer(request).await;
                slot.answered();
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.head_size.max(MIN_HEAD_SIZE))
            // A client may close its side after the request, as `nc -N` does.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            result = graceful.watch(connection) => if let Err(error) = result {
                tracing::debug!(error = &error as &dyn std::error::Error, "connection failed");
            },
            () = slot.dismissed() => tracing::debug!("connection closed to free its slot"),
            _ = server.changed() => {}
        }
    }
}

// === impl Tracked ===

impl AsyncRead for Tracked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.stream.as_mut().poll_read(cx, buffer);
        if read.is_pending() {
            self.slot.waits_to_read();
        }
        read
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes only after it has written the whole response.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.as_mut().poll_flush(cx);
        if flushed.is_ready() {
            self.slot.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}
