//! Saves the counters to the state file, every 15 seconds and on shutdown.

pub mod file;

use std::{
    env,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval_at, timeout},
};
use tracing::{info, warn};

use crate::{
    inventory::record::Record,
    store::file::{Found, StateFile},
    telemetry::Telemetry,
    watch::Watch,
};

/// How often the counters are saved. If the exporter is killed, it loses what happened since, except
/// what systemd still reports.
const FLUSH_INTERVAL: Duration = Duration::from_secs(15);

/// How long saving on shutdown may take.
const LAST_DEADLINE: Duration = Duration::from_secs(10);

/// The variable with the state directory, which systemd sets for `StateDirectory=`.
const DIRECTORY: &str = "STATE_DIRECTORY";

/// Saves the counters of a watch.
#[derive(Debug)]
pub struct Store {
    file: Arc<StateFile>,
    watch: Watch,
    telemetry: Arc<Telemetry>,
    /// The generation that was saved last.
    saved: Option<u64>,
    failing: bool,
}

/// Opens the state file of the manager that `scope` names in `$STATE_DIRECTORY`, and reads what an
/// earlier run saved. `None` without that variable: nothing is saved then. A file that cannot be
/// used is a warning; the exporter starts without it.
pub fn open(scope: &str) -> Option<(StateFile, Option<Record>)> {
    let directories = env::var_os(DIRECTORY).filter(|it| !it.is_empty());
    // A unit may have several, separated by colons.
    let first: Option<PathBuf> = directories.and_then(|it| env::split_paths(&it).next());
    let Some(directory) = first else {
        info!("counters are not kept across restarts: {DIRECTORY} is not set; set StateDirectory=");
        return None;
    };
    let file = StateFile::new(&directory, scope)
        .inspect_err(|error| warn!("counters are not saved: {error}"))
        .ok()?;
    let path = file.path().display();
    let record = match file.load() {
        Ok(Found::Record(record)) => {
            info!(%path, "restored the counters of the last run");
            Some(*record)
        }
        Ok(Found::Nothing) => None,
        Ok(Found::OfAnotherBoot) => {
            info!(%path, "the state file is from another boot; counters start at zero");
            None
        }
        Ok(Found::Damaged { why, now }) => {
            let now = now.display();
            warn!(%path, %now, "the state file is unusable and was set aside; counters start at zero: {why}");
            None
        }
        Err(error) => {
            warn!("cannot use the state file; counters start at zero: {error}");
            None
        }
    };
    Some((file, record))
}

// === impl Store ===

impl Store {
    /// Saves the counters of `watch` to `file`.
    pub fn new(file: StateFile, watch: Watch, telemetry: Arc<Telemetry>) -> Self {
        telemetry.totals().state_errors = Some(0);
        Self { file: Arc::new(file), watch, telemetry, saved: None, failing: false }
    }

    /// Saves the counters every 15 seconds. Never returns.
    pub async fn run(&mut self) {
        let first = Instant::now() + FLUSH_INTERVAL;
        let mut interval = interval_at(first.into(), FLUSH_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.save().await;
        }
    }

    /// Saves the counters on shutdown.
    pub async fn finish(mut self) {
        if timeout(LAST_DEADLINE, self.save()).await.is_err() {
            let (path, seconds) = (self.file.path().display(), LAST_DEADLINE.as_secs());
            warn!(%path, "the last counters are not saved: writing took more than {seconds} s");
        }
    }

    async fn save(&mut self) {
        let (watch, file, since) = (self.watch.clone(), Arc::clone(&self.file), self.saved);
        // Writing blocks, so it must not run on a thread that answers scrapes.
        let saved = spawn_blocking(move || {
            watch.record(since).map(|(record, of)| file.save(&record).map(|()| of))
        });
        match saved.await {
            Ok(None) => {}
            Ok(Some(Ok(of))) => {
                self.saved = Some(of);
                if std::mem::take(&mut self.failing) {
                    info!(path = %self.file.path().display(), "counters are saved again");
                }
            }
            Ok(Some(Err(error))) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!("counters are not saved: {error}");
                }
                *self.telemetry.totals().state_errors.get_or_insert(0) += 1;
            }
            // A runtime that shuts down cancels what has not begun.
            Err(error) => warn!("counters are not saved: {error}"),
        }
    }
}
