//! Accepting connections until the stop, and draining them.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use futures_util::future::join_all;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::io::Errno;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Handler, Limits,
    bind::{Accepted, Bound, Listener, is_any_of},
    connection::Connection,
    slots::Slots,
};

/// A handler on open sockets. It answers in [`Server::run`].
#[derive(Debug)]
#[must_use = "it answers nothing until it runs"]
pub struct Server<H> {
    listeners: Vec<Listener>,
    connections: Connections<H>,
}

/// How the connections ended after the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// All responses were sent.
    Completely,
    /// This many connections were still open and were cut off.
    CutOff(usize),
}

/// What the connections of all listeners share.
#[derive(Debug)]
struct Connections<H> {
    handler: Arc<H>,
    limits: Limits,
    slots: Arc<Slots>,
    graceful: GracefulShutdown,
    /// Dropped to cut all connections off; sends nothing.
    server: watch::Sender<()>,
}

/// The pause after a failed accept. It doubles with each further failure.
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause between two attempts to accept.
const MAX_PAUSE: Duration = Duration::from_secs(1);

// === impl Bound ===

impl Bound {
    /// Puts a handler behind the sockets.
    pub fn serve<H: Handler>(self, handler: H, limits: Limits) -> Server<H> {
        Server {
            listeners: self.listeners,
            connections: Connections {
                handler: Arc::new(handler),
                limits,
                slots: Slots::new(limits.connections),
                graceful: GracefulShutdown::new(),
                server: watch::Sender::new(()),
            },
        }
    }
}

// === impl Server ===

impl<H: Handler> Server<H> {
    /// Answers until `stop` is ready. Then it closes the sockets and the idle connections, and
    /// gives the others [`Limits::drain`] to finish. Dropping it cuts all connections off.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Drained {
        let Self { listeners, connections } = self;
        tokio::select! {
            _ = join_all(listeners.iter().map(|listener| connections.accept(listener))) => {}
            () = stop => {}
        }
        // New clients are refused while it drains, instead of waiting in the kernel's queue.
        drop(listeners);
        connections.drain().await
    }
}

// === impl Connections ===

impl<H: Handler> Connections<H> {
    async fn accept(&self, listener: &Listener) -> Infallible {
        let mut pause: Option<Duration> = None;
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    if pause.take().is_some() {
                        tracing::info!(address = %listener.address, "accepting connections again");
                    }
                    self.admit(stream).await;
                }
                Err(error) if is_connection_error(&error) => {
                    tracing::debug!(
                        address = %listener.address, %error, "connection failed before accept",
                    );
                }
                Err(error) => {
                    if pause.is_none() {
                        tracing::warn!(
                            address = %listener.address, %error, "cannot accept connections",
                        );
                    }
                    // Closing an idle connection frees a file descriptor. That does not help if
                    // the machine has none left (ENFILE): another process would take it.
                    let freed = is_any_of(&error, &[Errno::MFILE]) && self.slots.dismiss_one();
                    // The connection stays in the kernel's queue, so accept would fail at once.
                    let length = match pause {
                        Some(last) if !freed => MAX_PAUSE.min(last * 2),
                        _ => MIN_PAUSE,
                    };
                    pause = Some(length);
                    sleep(length).await;
                }
            }
        }
    }

    /// Serves a connection in its own task, once there is a slot.
    async fn admit(&self, stream: Accepted) {
        let connection = Connection {
            slot: self.slots.take().await,
            handler: Arc::clone(&self.handler),
            limits: self.limits,
            graceful: self.graceful.watcher(),
            server: self.server.subscribe(),
        };
        tokio::spawn(connection.serve(stream));
    }

    async fn drain(self) -> Drained {
        let Self { graceful, slots, limits, server, .. } = self;
        let drained = timeout(limits.drain, graceful.shutdown()).await;
        let left = slots.taken();
        drop(server);
        match drained {
            Ok(()) => Drained::Completely,
            Err(_) => Drained::CutOff(left),
        }
    }
}

/// Whether accept(2) reports an error of the connection that it was about to accept. The next
/// connection may be fine.
fn is_connection_error(error: &io::Error) -> bool {
    is_any_of(
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
