//! The exporter itself: watches systemd and serves its metrics until SIGTERM or SIGINT.

use std::{path::Path, process::ExitCode, sync::Arc};

use futures_util::future::OptionFuture;
use tokio::{sync::oneshot, task::JoinSet};

use super::Failure;
use crate::{
    cgroup,
    config::Config,
    http::{Bound, Drained, Limits, Server},
    inventory::record::Record,
    managers::Manager,
    process,
    scrape::Exporter,
    sd_notify,
    signals::Signals,
    store::{self, Store},
    telemetry::Telemetry,
    version,
    watch::{self, Watch},
    web::Routes,
};

/// A running exporter.
pub(super) struct Started {
    pub(super) server: Server<Routes<Exporter>>,
    pub(super) watch: Watch,
    pub(super) telemetry: Arc<Telemetry>,
    /// Dropping it ends the watch.
    pub(super) watching: JoinSet<()>,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// An address cannot be listened on.
pub async fn run(config: Config) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    let bound = Bound::bind(&config.web.listen).await?;
    let (stop, stopped) = oneshot::channel();
    // Not for the demo: its processes would inherit it.
    process::raise_open_file_limit(cgroup::DESCRIPTORS);
    let (file, record) = store::open(config.scope.as_str()).unzip();
    let Started { server, watch, telemetry, mut watching } =
        start(bound, config, Path::new(cgroup::MOUNT), record.flatten());
    // Ready as soon as connections are answered: the start must not fail because systemd cannot be
    // reached yet.
    watching.spawn(sd_notify::ready());
    let mut store = file.map(|file| Store::new(file, watch, telemetry));
    let serving = server.run(async {
        // A dropped sender ends it too.
        let _ = stopped.await;
    });
    tokio::pin!(serving);

    let signal = {
        let storing = OptionFuture::from(store.as_mut().map(Store::run));
        tokio::select! {
            signal = signals.next() => signal,
            _ = &mut serving => return Ok(ExitCode::SUCCESS),
            Some(()) = storing => return Ok(ExitCode::SUCCESS),
        }
    };
    tracing::info!(signal = signal.name(), "stopping; a second signal stops at once");
    let _ = stop.send(());
    tokio::select! {
        drained = serving => {
            match drained {
                Drained::Completely => tracing::info!("stopped"),
                Drained::CutOff(connections) => {
                    tracing::warn!(connections, "stopped before every client had its answer");
                }
            }
            if let Some(store) = store {
                store.finish().await;
            }
            Ok(ExitCode::SUCCESS)
        }
        second = signals.next() => Ok(ExitCode::from(second.exit_code())),
    }
}

/// Starts to watch and to serve. The control groups are mounted at `cgroups`; `record` has the
/// counters of an earlier run.
pub(super) fn start(
    bound: Bound,
    config: Config,
    cgroups: &Path,
    record: Option<Record>,
) -> Started {
    tracing::info!(version = version::VERSION, revision = version::REVISION, "starting");
    for address in bound.local_addrs() {
        tracing::info!(%address, "listening");
    }
    let telemetry = Arc::new(Telemetry::default());
    let (watch, watcher) = watch::watch(config.watch, record, Arc::clone(&telemetry));
    let mut watching = JoinSet::new();
    watching.spawn(watcher.run());
    let manager = Manager::only(watch.clone(), config.scrape.groups.kernel_files(), cgroups);
    let exporter = Exporter::new(vec![manager], Arc::clone(&telemetry), config.scrape);
    let server =
        bound.serve(Routes::new(Arc::new(exporter), config.web.settings), Limits::default());
    Started { server, watch, telemetry, watching }
}
