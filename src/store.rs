//! Keeps the counters in the state file, now and then and at the end.

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

/// How often what has been counted is written down: this much is lost when the exporter is killed,
/// as far as systemd does not remember it.
const FLUSH_INTERVAL: Duration = Duration::from_secs(15);

/// How long the last time may take.
const LAST_DEADLINE: Duration = Duration::from_secs(10);

/// Where systemd says a service may keep its state: `StateDirectory=`.
const DIRECTORY: &str = "STATE_DIRECTORY";

/// Whoever keeps the counters of a watch.
#[derive(Debug)]
pub struct Store {
    file: Arc<StateFile>,
    watch: Watch,
    telemetry: Arc<Telemetry>,
    /// What has been written down.
    kept: Option<u64>,
    failing: bool,
}

/// Opens the state file in `$STATE_DIRECTORY`, for the manager that `scope` names, and reads what
/// an earlier life of the exporter left in it. `None` where there is no such directory: nothing is
/// kept then. Whatever is wrong with the file is a warning, and never keeps the exporter from
/// starting.
pub fn open(scope: &str) -> Option<(StateFile, Option<Record>)> {
    let directories = env::var_os(DIRECTORY).filter(|it| !it.is_empty());
    // A unit may have several; systemd puts colons between them.
    let first: Option<PathBuf> = directories.and_then(|it| env::split_paths(&it).next());
    let Some(directory) = first else {
        info!("counters begin at zero with each start: {DIRECTORY} is not set");
        return None;
    };
    let file = StateFile::new(&directory, scope)
        .inspect_err(|error| warn!("counters are not kept: {error}"))
        .ok()?;
    let path = file.path().display();
    let record = match file.load() {
        Ok(Found::Record(record)) => {
            info!(%path, "going on from the counters of the last time");
            Some(*record)
        }
        Ok(Found::Nothing) => None,
        Ok(Found::OfAnotherBoot) => {
            info!(%path, "the machine has booted since: counters begin at zero");
            None
        }
        Ok(Found::Damaged { why, now }) => {
            let now = now.display();
            warn!(%path, %now, "counters begin at zero: the state file is unusable and set aside: {why}");
            None
        }
        Err(error) => {
            warn!("counters begin at zero: {error}");
            None
        }
    };
    Some((file, record))
}

// === impl Store ===

impl Store {
    /// Whoever keeps what `watch` counts in `file`.
    pub fn new(file: StateFile, watch: Watch, telemetry: Arc<Telemetry>) -> Self {
        telemetry.totals().state_errors = Some(0);
        Self { file: Arc::new(file), watch, telemetry, kept: None, failing: false }
    }

    /// Keeps the counters now and then, for as long as it is polled.
    pub async fn run(&mut self) {
        let first = Instant::now() + FLUSH_INTERVAL;
        let mut interval = interval_at(first.into(), FLUSH_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.keep().await;
        }
    }

    /// Keeps the counters for the last time.
    pub async fn finish(mut self) {
        if timeout(LAST_DEADLINE, self.keep()).await.is_err() {
            let (path, seconds) = (self.file.path().display(), LAST_DEADLINE.as_secs());
            warn!(%path, "counters are not kept: no end of writing them after {seconds} s");
        }
    }

    async fn keep(&mut self) {
        let (watch, file, since) = (self.watch.clone(), Arc::clone(&self.file), self.kept);
        // Gathered and written where nobody waits for it.
        let kept = spawn_blocking(move || {
            watch.record(since).map(|(record, of)| file.save(&record).map(|()| of))
        });
        match kept.await {
            Ok(None) => {}
            Ok(Some(Ok(of))) => {
                self.kept = Some(of);
                if std::mem::take(&mut self.failing) {
                    info!(path = %self.file.path().display(), "counters are kept again");
                }
            }
            Ok(Some(Err(error))) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!("counters are not kept: {error}");
                }
                *self.telemetry.totals().state_errors.get_or_insert(0) += 1;
            }
            // Only a runtime that is being shut down gives up on what is under way.
            Err(error) => warn!("counters are not kept: {error}"),
        }
    }
}
