//! The `unitwatch` command.

use std::{
    env, fmt,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    thread::available_parallelism,
};

use tokio::sync::oneshot;
use unitwatch::{
    build,
    cli::Args,
    config::Config,
    exporter::Exporter,
    log,
    signals::Signals,
    systemd::way::Way,
    telemetry::Telemetry,
    watch,
    web::{BindError, Bound, Drained, Limits, Settings},
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
    tracing::info!(version = build::VERSION, revision = build::REVISION, "starting");
    for address in bound.local_addrs() {
        tracing::info!(%address, "listening");
    }
    let ways = Way::to(config.scope(), config.private);
    let settings =
        Settings { telemetry_path: config.telemetry_path, max_requests: config.max_requests };
    let telemetry = Arc::new(Telemetry::default());
    let (watch, watcher) = watch::watch(
        watch::Settings {
            ways,
            admits: Box::new(move |name| config.units.admits(name)),
            reconcile_interval: config.reconcile_interval,
        },
        Arc::clone(&telemetry),
    );
    let source = Arc::new(Exporter::new(watch, telemetry, config.exporter_metrics));
    tokio::spawn(watcher.run());
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

/// Says one line where logging is not set up yet. Where even stderr is gone, the exit code is
/// all there is.
fn complain(what: &impl fmt::Display) {
    let _ = writeln!(io::stderr(), "unitwatch: {what}");
}
