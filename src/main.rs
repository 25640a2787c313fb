//! The `unitwatch` command.

use std::{
    env, fmt,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    thread::available_parallelism,
    time::Instant,
};

use tokio::sync::oneshot;
use unitwatch::{
    cli::Args,
    config::Config,
    log,
    metrics::format::Format,
    signals::Signals,
    web::{BindError, Bound, Drained, Limits, Overview, ScrapeError, Settings, Source},
};

/// Bad usage.
const USAGE: u8 = 2;

/// What keeps the exporter from serving.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
}

fn main() -> ExitCode {
    let args = match Args::read(env::args_os()) {
        Ok(args) => args,
        Err(end) => {
            // `--help | head` closes the pipe early; that is no reason to say anything.
            let _ = end.print();
            return ExitCode::from(u8::try_from(end.exit_code()).unwrap_or(USAGE));
        }
    };
    let config = match Config::try_from(args) {
        Ok(config) => config,
        Err(invalid) => {
            complain(&invalid);
            return ExitCode::from(USAGE);
        }
    };
    log::start(config.log);

    // Two threads at least, so that the encoding of a large scrape never delays a signal of
    // systemd's; more than four would only wait for each other.
    let threads = available_parallelism().map_or(2, |cores| cores.get().clamp(2, 4));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format_args!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(serve(config)).unwrap_or_else(|error| {
        tracing::error!("{error}");
        ExitCode::FAILURE
    });
    // Whatever a thread is still busy with, nobody waits for it.
    runtime.shutdown_background();
    code
}

/// Serves until a signal says to stop.
async fn serve(config: Config) -> Result<ExitCode, StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let bound = Bound::bind(&config.listen).await?;
    for address in bound.local_addrs() {
        tracing::info!(%address, "listening");
    }
    let settings =
        Settings { telemetry_path: config.telemetry_path, max_requests: config.max_requests };
    let source = Arc::new(Nothing);
    let (stop, stopped) = oneshot::channel();
    let server = bound.serve(source, settings, Limits::default());
    let serving = server.run(async {
        // A sender that is gone is the end as well.
        let _ = stopped.await;
    });
    tokio::pin!(serving);

    let signal = tokio::select! {
        signal = signals.next() => signal,
        _ = &mut serving => return Ok(ExitCode::SUCCESS),
    };
    tracing::info!(signal = signal.name(), "stopping; a second signal stops at once");
    let _ = stop.send(());
    tokio::select! {
        drained = serving => {
            match drained {
                Drained::Completely => tracing::info!("stopped"),
                Drained::CutOff(connections) => {
                    tracing::warn!(connections, "stopped before all clients had their answer");
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        second = signals.next() => Ok(ExitCode::from(second.exit_code())),
    }
}

/// Holds the place of the exporter, which has nothing to say yet.
struct Nothing;

impl Source for Nothing {
    async fn scrape(&self, format: Format, _: Instant) -> Result<String, ScrapeError> {
        Ok(if format == Format::OpenMetrics { "# EOF\n".into() } else { String::new() })
    }

    fn ready(&self) -> Result<(), String> {
        Err("not connected to systemd".into())
    }

    fn overview(&self) -> Overview {
        Overview::default()
    }
}

/// Says one line where logging is not set up yet. Where even stderr is gone, the exit code is
/// all there is.
fn complain(what: &impl fmt::Display) {
    let _ = writeln!(io::stderr(), "unitwatch: {what}");
}
