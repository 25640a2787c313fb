//! A private `systemd --user` manager with sample units, to try unitwatch out without touching the
//! machine's systemd. The tests use the same [`PrivateManager`].

mod directories;
mod journal;
mod manager;
mod owner;
mod requirements;
mod samples;
mod shell;
mod sweep;

use std::{error::Error, future::Future, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time,
};

pub use self::{
    directories::SampleUnit,
    manager::{PrivateManager, StartError, StopError},
    owner::NoOwner,
    requirements::Missing,
    samples::guide,
};

/// How often the demo connects to its sample socket.
const CONNECT_INTERVAL: Duration = Duration::from_secs(5);

/// How long one connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The private manager did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The private manager ended before the demo.
    #[error("the private systemd of the demo ended by itself{0}")]
    Ended(String),
    /// The metrics could not be served.
    #[error(transparent)]
    Serve(Box<dyn Error + Send + Sync>),
    /// Something of the demo could not be removed.
    #[error(transparent)]
    Stop(#[from] StopError),
}

/// Runs the demo until `end`: starts a private manager with sample units and has `serve` serve its
/// metrics, which is dropped at the end.
///
/// Nothing of the demo is left when this returns, or a moment later if the process is killed.
///
/// # Errors
/// The manager cannot start, ends, or leaves something that cannot be removed; or `serve` fails.
pub async fn run(
    end: impl Future<Output = ()>,
    serve: impl AsyncFnOnce(&PrivateManager) -> Result<(), Box<dyn Error + Send + Sync>>,
) -> Result<(), DemoError> {
    tokio::pin!(end);
    let manager = tokio::select! {
        started = PrivateManager::start(samples::UNITS) => started?,
        // Its shell removes what was started so far.
        () = &mut end => return Ok(()),
    };
    tracing::debug!(
        manager = manager.pid().as_raw_nonzero().get(),
        shell = manager.shell_pid().map(|pid| pid.as_raw_nonzero().get()),
        cgroup = %manager.cgroup().display(),
        "a private systemd runs"
    );
    let served = tokio::select! {
        () = end => Ok(()),
        served = serve(&manager) => served.map_err(DemoError::Serve),
        log = manager.ended() => Err(DemoError::Ended(log)),
        never = connect(manager.runtime_dir()) => match never {},
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

/// Connects to the sample socket at an interval, so that its counters rise.
async fn connect(runtime_dir: &Path) -> std::convert::Infallible {
    let socket = runtime_dir.join(samples::SOCKET);
    let mut interval = time::interval(CONNECT_INTERVAL);
    loop {
        interval.tick().await;
        let exchange = async {
            let mut stream = UnixStream::connect(&socket).await?;
            stream.write_all(b"hello\n").await?;
            stream.shutdown().await?;
            stream.take(64).read_to_end(&mut Vec::new()).await
        };
        // Fails while the user has stopped the socket.
        match time::timeout(CONNECT_DEADLINE, exchange).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cannot talk to the sample socket"),
            Err(_) => tracing::debug!("the sample socket did not answer in time"),
        }
    }
}
