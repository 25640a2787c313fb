//! Trying unitwatch without touching one's system: a private, real `systemd --user` manager with
//! sample units.
//!
//! The tests' harness is the same code ([`PrivateManager`]).

mod directories;
mod journal;
mod manager;
mod owner;
mod requirements;
mod samples;
mod shell;
mod sweep;

use std::{error::Error, future::Future, io::Write as _, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time,
};

pub use self::{
    directories::SampleUnit,
    manager::{BusError, PrivateManager, StartError, StopError},
    owner::NoOwner,
    requirements::Missing,
};

/// Where the demo serves unless told otherwise: the ordinary port, or any free one if that is
/// taken, because a demo beside a real exporter is no reason to fail. Loopback only.
pub const LISTEN_ADDRESSES: [&str; 2] = ["127.0.0.1:9558", "127.0.0.1:0"];

/// How often the demo itself connects to its sample socket.
const VISIT_INTERVAL: Duration = Duration::from_secs(5);

/// How long one such visit may take.
const VISIT_DEADLINE: Duration = Duration::from_secs(3);

/// Why the demo ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// There is no private manager to show.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The manager ended under the demo.
    #[error("the private systemd of the demo ended by itself{0}")]
    Ended(String),
    /// The metrics could not be served.
    #[error(transparent)]
    Serve(Box<dyn Error + Send + Sync>),
    /// Something of the demo could not be removed.
    #[error(transparent)]
    Stop(#[from] StopError),
}

/// Tells the user what there is to see; made by [`run`], used by whoever serves.
#[derive(Debug)]
pub struct Announce {
    runtime_dir: String,
}

/// Runs the demo until `end` is ready: starts a private manager with sample units and hands it to
/// `serve`, which binds a listener ([`LISTEN_ADDRESSES`]), calls [`Announce::ready`] and serves
/// that manager's metrics until it is dropped.
///
/// Nothing of the demo is left when this returns, and nothing a moment later where it never
/// returns because the process is killed.
pub async fn run(
    end: impl Future<Output = ()>,
    serve: impl AsyncFnOnce(&PrivateManager, Announce) -> Result<(), Box<dyn Error + Send + Sync>>,
) -> Result<(), DemoError> {
    tokio::pin!(end);
    let manager = tokio::select! {
        started = PrivateManager::start(samples::UNITS) => started?,
        // What was started so far goes away by itself.
        () = &mut end => return Ok(()),
    };
    tracing::debug!(
        manager = manager.pid().as_raw_nonzero().get(),
        shell = manager.shell_pid().map(|pid| pid.as_raw_nonzero().get()),
        cgroup = %manager.cgroup().display(),
        "a private systemd runs"
    );
    let announce = Announce { runtime_dir: manager.runtime_dir().display().to_string() };
    let served = tokio::select! {
        () = end => Ok(()),
        served = serve(&manager, announce) => served.map_err(DemoError::Serve),
        log = manager.ended() => Err(DemoError::Ended(log)),
        never = visit(manager.runtime_dir()) => match never {},
    };
    match (served, manager.stop().await) {
        (Ok(()), stopped) => Ok(stopped?),
        (Err(error), stopped) => {
            if let Err(left) = stopped {
                tracing::error!("{left}");
            }
            Err(error)
        }
    }
}

/// Connects to the sample socket now and then, so that its counters have something to count.
async fn visit(runtime_dir: &Path) -> std::convert::Infallible {
    let socket = runtime_dir.join(samples::SOCKET);
    let mut interval = time::interval(VISIT_INTERVAL);
    loop {
        interval.tick().await;
        let visit = async {
            let mut stream = UnixStream::connect(&socket).await?;
            stream.write_all(b"hello\n").await?;
            stream.shutdown().await?;
            stream.take(64).read_to_end(&mut Vec::new()).await
        };
        // The user may have stopped the socket: that is theirs to try.
        match time::timeout(VISIT_DEADLINE, visit).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the sample socket refused a visit"),
            Err(_) => tracing::debug!("the sample socket did not answer a visit"),
        }
    }
}

// === impl Announce ===

impl Announce {
    /// Prints, on standard output, where the metrics are and what to look at. `url` is that of
    /// `/metrics`.
    pub fn ready(self, url: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(samples::guide(url, &self.runtime_dir).as_bytes())?;
        out.flush()
    }
}
