//! The `unitwatch` command.

#![warn(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

use std::{
    env, fmt,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread::available_parallelism,
};

use futures_util::future::OptionFuture;
use tokio::{sync::oneshot, task::JoinSet};
use unitwatch::{
    cgroup,
    cli::{Args, Command},
    config::Config,
    demo::{self, Announce, DemoError, PrivateManager},
    inventory::record::Record,
    log, readiness,
    scrape::Exporter,
    series::{self, SeriesError},
    signals::Signals,
    store::{self, Store},
    systemd::address::Address,
    telemetry::Telemetry,
    unit_file::{self, UnitFileError},
    version,
    watch::{self, Watch},
    web::{BindError, Bound, Drained, Limits, ListenAddress, LocalAddress, Server, WebSettings},
};

/// Bad usage.
const USAGE: u8 = 2;

/// Why the exporter or the demo ended other than by being told to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Demo(DemoError),
    #[error("cannot count the series: {0}")]
    Series(#[from] SeriesError),
    #[error("cannot print the unit: {0}")]
    UnitFile(#[from] UnitFileError),
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
    let command = args.command;
    let flags = args.typed.clone();
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
    let ended = runtime.block_on(async {
        match command {
            None => serve(config).await,
            Some(Command::Demo) => demonstrate(config).await,
            Some(Command::Series) => count(config).await,
            Some(Command::UnitFile) => print_unit_file(&config, &flags),
        }
    });
    let code = ended.unwrap_or_else(|error| {
        tracing::error!("{error}");
        ExitCode::FAILURE
    });
    // Whatever a thread is still busy with, nobody waits for it.
    runtime.shutdown_background();
    code
}

/// Serves until a signal says to stop.
async fn serve(config: Config) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    let bound = Bound::bind(&config.listen).await?;
    let addresses = Address::to(config.scope(), config.private);
    let (stop, stopped) = oneshot::channel();
    let (file, record) = store::open(config.scope().as_str()).unzip();
    let Started { server, watch, telemetry, mut watching } =
        start(bound, addresses, Path::new(cgroup::MOUNT), config, record.flatten());
    // Whoever connects from now on is answered, and nothing else is waited for: a service manager
    // that nobody can reach must not make the start fail.
    watching.spawn(readiness::ready());
    let mut keeper = file.map(|file| Store::new(file, watch, telemetry));
    let serving = server.run(async {
        // A sender that is gone is the end as well.
        let _ = stopped.await;
    });
    tokio::pin!(serving);

    let signal = {
        let keeping = OptionFuture::from(keeper.as_mut().map(Store::run));
        tokio::select! {
            signal = signals.next() => signal,
            _ = &mut serving => return Ok(ExitCode::SUCCESS),
            Some(()) = keeping => return Ok(ExitCode::SUCCESS),
        }
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
            if let Some(keeper) = keeper {
                keeper.finish().await;
            }
            Ok(ExitCode::SUCCESS)
        }
        second = signals.next() => Ok(ExitCode::from(second.exit_code())),
    }
}

/// Shows a private systemd until a signal says to stop.
async fn demonstrate(config: Config) -> Result<ExitCode, Failure> {
    let mut first = Signals::listen().map_err(Failure::Signals)?;
    let mut second = Signals::listen().map_err(Failure::Signals)?;
    let end = async {
        first.next().await;
    };
    let show = async |manager: &PrivateManager, announce: Announce| {
        let bound = bind_demo(&config).await?;
        let url = bound.local_addrs().next().map(|address| match address {
            LocalAddress::Tcp(address) => {
                format!("http://{address}{}", config.telemetry_path.as_str())
            }
            other => other.to_string(),
        });
        announce.ready(&url.unwrap_or_default())?;
        let addresses =
            Address::to_user(manager.bus_address(), manager.runtime_dir(), config.private);
        let Started { server, watching: _watching, .. } =
            start(bound, addresses, manager.cgroup_root(), config, None);
        server.run(std::future::pending()).await;
        Ok(())
    };
    tokio::select! {
        ended = demo::run(end, show) => ended.map(|()| ExitCode::SUCCESS).map_err(Failure::Demo),
        signal = async {
            second.next().await;
            second.next().await
        } => Ok(ExitCode::from(signal.exit_code())),
    }
}

/// Prints how many series there are.
async fn count(config: Config) -> Result<ExitCode, Failure> {
    let table = series::count(&config).await?;
    let mut stdout = io::stdout().lock();
    // `series | head` closes the pipe early, too.
    let written = write!(stdout, "{table}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Series(SeriesError::Output(error)))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Prints the unit, and on stderr what it lacks.
fn print_unit_file(config: &Config, flags: &[(String, String)]) -> Result<ExitCode, Failure> {
    if config.user {
        return Err(UnitFileError::User.into());
    }
    let text = unit_file::text(flags)?;
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(UnitFileError::Output(error).into());
        }
        _ => {}
    }
    for lack in unit_file::missing() {
        complain(&lack);
    }
    Ok(ExitCode::SUCCESS)
}

/// Listens where the user chose to, or else at the first of the demo's addresses that is free.
async fn bind_demo(config: &Config) -> Result<Bound, Box<dyn std::error::Error + Send + Sync>> {
    if config.listens_by_choice {
        return Ok(Bound::bind(&config.listen).await?);
    }
    let [usual, any] = demo::LISTEN_ADDRESSES.map(str::parse::<ListenAddress>);
    match Bound::bind(&[usual?]).await {
        Ok(bound) => Ok(bound),
        Err(_) => Ok(Bound::bind(&[any?]).await?),
    }
}

/// An exporter at work.
struct Started {
    server: Server<Exporter>,
    watch: Watch,
    telemetry: Arc<Telemetry>,
    /// Systemd is watched until this is dropped.
    watching: JoinSet<()>,
}

/// Begins to watch systemd, with the sockets open, and goes on from what was kept.
fn start(
    bound: Bound,
    addresses: Vec<Address>,
    cgroups: &Path,
    config: Config,
    record: Option<Record>,
) -> Started {
    tracing::info!(version = version::VERSION, revision = version::REVISION, "starting");
    for address in bound.local_addrs() {
        tracing::info!(%address, "listening");
    }
    let served = config.served();
    let settings =
        WebSettings { telemetry_path: config.telemetry_path, max_requests: config.max_requests };
    let telemetry = Arc::new(Telemetry::default());
    let (watch, watcher) = watch::watch(
        watch::WatchSettings {
            addresses,
            slices: config.units.slices.clone(),
            admits: Box::new(move |name| config.units.admits(name)),
            rollups: config.rollups,
            reconcile_interval: config.reconcile_interval,
            retention: config.retention,
            wants: config.groups.wants(),
            record,
        },
        Arc::clone(&telemetry),
    );
    let mut watching = JoinSet::new();
    watching.spawn(watcher.run());
    let exporter = Exporter::new(watch.clone(), Arc::clone(&telemetry), served, cgroups);
    let server = bound.serve(Arc::new(exporter), settings, Limits::default());
    Started { server, watch, telemetry, watching }
}

/// Says one line where logging is not set up yet. Where even stderr is gone, the exit code is
/// all there is.
fn complain(what: &impl fmt::Display) {
    let _ = writeln!(io::stderr(), "unitwatch: {what}");
}
