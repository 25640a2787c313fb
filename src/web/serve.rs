//! Accepting connections, keeping them within limits, and letting them finish at the end.

use std::{convert::Infallible, io, num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::future::join_all;
use hyper::{Request, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use rustix::io::Errno;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;

use super::{
    Source, TelemetryPath, WebSettings,
    bind::{Bound, Listener, OpenSocket, is},
    routes::route,
    slots::{Slot, Slots, Tracked},
};

/// Answers on open sockets; does so in [`Server::run`].
#[derive(Debug)]
#[must_use = "nobody is answered before it runs"]
pub struct Server<S> {
    listeners: Vec<Listener>,
    connections: Connections<S>,
}

/// What no client may exceed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at a time. A further one takes the place of the one that has waited
    /// longest for its client. Only while all of them have a request that is being answered does it
    /// wait, and one a listener may be waiting outside of the kernel's queue.
    pub connections: usize,
    /// How long a connection may be without a complete request head, counted from its start or
    /// from the last response: for a client that sends too slowly and for one that is idle.
    pub head: Duration,
    /// How large a request's head may be, in bytes, but 8192 at least. A larger one, or one of
    /// more than a hundred headers, is answered with status 431.
    pub head_size: usize,
    /// How long a client may take none of what is sent to it.
    pub stall: Duration,
    /// How long connections may go on after the stop.
    pub drain: Duration,
}

/// How the end went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// All responses were sent.
    Completely,
    /// So many connections were cut off.
    CutOff(usize),
}

/// What is served, as all connections share it.
#[derive(Debug)]
pub(super) struct Site<S> {
    pub(super) source: Arc<S>,
    pub(super) telemetry_path: TelemetryPath,
    /// The places for scrapes, and how many they are.
    pub(super) scrapes: Option<(Semaphore, NonZeroUsize)>,
}

/// What every new connection needs.
#[derive(Debug)]
struct Connections<S> {
    site: Arc<Site<S>>,
    http: http1::Builder,
    limits: Limits,
    slots: Arc<Slots>,
    graceful: GracefulShutdown,
    /// Every connection ends when this is dropped.
    life: watch::Sender<()>,
}

/// An accepted connection.
enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// hyper panics when it is given less.
const SMALLEST_HEAD: usize = 8192;

/// The first pause after an accept that failed; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause between two tries to accept.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

// === impl Limits ===

impl Default for Limits {
    /// 256 connections, well under the 1024 open files that a service has by default; 30 s
    /// for a head, so that Prometheus at its usual 15 s keeps its connection; 16 KiB of head; 30 s
    /// for a stalled client; 5 s at the end.
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(30),
            head_size: 16 * 1024,
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

// === impl Bound ===

impl Bound {
    /// Puts a source behind the sockets.
    pub fn serve<S: Source>(
        self,
        source: Arc<S>,
        settings: WebSettings,
        limits: Limits,
    ) -> Server<S> {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.head_size.max(SMALLEST_HEAD))
            // A client may close its side after the request, as `nc -N` does.
            .half_close(true);
        let WebSettings { telemetry_path, max_requests } = settings;
        let scrapes = max_requests
            .map(|limit| (Semaphore::new(limit.get().min(Semaphore::MAX_PERMITS)), limit));
        Server {
            listeners: self.listeners,
            connections: Connections {
                site: Arc::new(Site { source, telemetry_path, scrapes }),
                http,
                limits,
                slots: Slots::new(limits.connections),
                graceful: GracefulShutdown::new(),
                life: watch::Sender::new(()),
            },
        }
    }
}

// === impl Server ===

impl<S: Source> Server<S> {
    /// Answers until `stop` is ready; then closes the sockets and idle connections, and gives
    /// the others their time to finish. Dropping it cuts all of them off.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Drained {
        let Self { listeners, connections } = self;
        tokio::select! {
            _ = join_all(listeners.iter().map(|listener| connections.accept(listener))) => {}
            () = stop => {}
        }
        // From here on a client is refused and can go elsewhere, instead of waiting for nobody.
        drop(listeners);
        connections.drain().await
    }
}

// === impl Connections ===

impl<S: Source> Connections<S> {
    async fn accept(&self, listener: &Listener) -> Infallible {
        let mut pause: Option<Duration> = None;
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    if pause.take().is_some() {
                        tracing::info!(address = %listener.address, "accepts connections again");
                    }
                    self.admit(accepted).await;
                }
                Err(error) if is_the_clients(&error) => {
                    tracing::debug!(address = %listener.address, %error, "a connection failed");
                }
                Err(error) => {
                    if pause.is_none() {
                        tracing::warn!(
                            address = %listener.address, %error, "cannot accept connections",
                        );
                    }
                    // A connection that waits for its client has a file descriptor to give. Where
                    // the whole machine has none left (ENFILE), other processes would take it.
                    let freed = is(&error, &[Errno::MFILE]) && self.slots.dismiss_one();
                    // The new connection stays in the kernel's queue and accept fails at once, so
                    // wait a little.
                    let length = match pause {
                        Some(last) if !freed => LONGEST_PAUSE.min(last * 2),
                        _ => FIRST_PAUSE,
                    };
                    pause = Some(length);
                    sleep(length).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own, once there is a place.
    async fn admit(&self, accepted: Accepted) {
        let slot = self.slots.take().await;
        match accepted {
            Accepted::Tcp(stream) => {
                // Answers are written in one piece; Nagle's algorithm could only delay their end.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                self.spawn(stream, slot);
            }
            Accepted::Unix(stream) => self.spawn(stream, slot),
        }
    }

    fn spawn<T>(&self, stream: T, slot: Arc<Slot>)
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let mut stream = TimeoutStream::new(stream);
        // hyper has no limit for a client that does not read.
        stream.set_write_timeout(Some(self.limits.stall));
        tokio::spawn(converse(
            stream,
            self.http.clone(),
            Arc::clone(&self.site),
            self.graceful.watcher(),
            self.life.subscribe(),
            slot,
        ));
    }

    async fn drain(self) -> Drained {
        let Self { graceful, slots, limits, life, .. } = self;
        let drained = timeout(limits.drain, graceful.shutdown()).await;
        let left = slots.taken();
        drop(life);
        match drained {
            Ok(()) => Drained::Completely,
            Err(_) => Drained::CutOff(left),
        }
    }
}

/// Answers the requests of one connection until either side has enough.
async fn converse<S: Source, T: AsyncRead + AsyncWrite + Send + 'static>(
    stream: TimeoutStream<T>,
    http: http1::Builder,
    site: Arc<Site<S>>,
    watcher: Watcher,
    mut life: watch::Receiver<()>,
    slot: Arc<Slot>,
) {
    let answering = Arc::clone(&slot);
    let service = service_fn(move |request: Request<_>| {
        let (site, slot) = (Arc::clone(&site), Arc::clone(&answering));
        async move {
            slot.answering();
            let response = route(&site, &request).await;
            slot.answered();
            Ok::<_, Infallible>(response)
        }
    });
    let stream = Tracked::new(stream, Arc::clone(&slot));
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        result = watcher.watch(connection) => if let Err(error) = result {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke");
        },
        () = slot.dismissed() => tracing::debug!("a connection gave way to another one"),
        // Nothing is ever sent: it ends with the server.
        _ = life.changed() => {}
    }
}

/// Whether accept(2) passes on what happened to one connection before it was accepted; the next
/// one may be fine.
fn is_the_clients(error: &io::Error) -> bool {
    is(
        error,
        &[
            Errno::CONNABORTED,
            Errno::INTR,
            Errno::PERM,
            Errno::PROTO,
            Errno::NOPROTOOPT,
            Errno::OPNOTSUPP,
            Errno::NETDOWN,
            Errno::NETUNREACH,
            Errno::HOSTDOWN,
            Errno::HOSTUNREACH,
            Errno::NONET,
        ],
    )
}

// === impl Listener ===

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            OpenSocket::Tcp(listener) => Ok(Accepted::Tcp(listener.accept().await?.0)),
            OpenSocket::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}
