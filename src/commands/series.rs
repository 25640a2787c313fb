//! `unitwatch series`: the number of series on this machine, with everything and with the given
//! flags, to know the cost before a deployment.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinError, time::timeout};

use super::{Failure, print};
use crate::{
    cgroup,
    config::Config,
    inventory::reads::Reads,
    managers::Manager,
    metrics::{
        self, Scrape, StateSeries,
        format::Format,
        group::{Group, Groups},
    },
    scrape::{Exporter, ScrapeSettings},
    selection::Selection,
    telemetry::Telemetry,
    watch::{self, SyncState, Watch, WatchSettings},
};

/// How long to wait until the inventory is in sync with systemd.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long to wait beyond that for the properties that no scrape waits for: on a very busy machine
/// some are always unknown.
const FULL_READ: Duration = Duration::from_secs(10);

/// How long systemd may take to answer the questions of a scrape.
const ANSWER: Duration = Duration::from_secs(10);

/// The series by group, with everything and with the given flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// With every group and every unit.
    pub everything: Column,
    /// With the given flags.
    pub given: Column,
}

/// The size of a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Series by group; `None` for those that are always served.
    pub series: BTreeMap<Option<Group>, u64>,
    /// Units with a state that pass the filters.
    pub units: usize,
    /// Units dropped by `--max-series`.
    pub dropped: usize,
    /// The size of the OpenMetrics page before compression, in bytes.
    pub bytes: usize,
}

/// Why the series could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// systemd cannot be reached, or the connection ended.
    #[error("{0}")]
    Ended(String),
    /// The inventory was not in sync in time.
    #[error("not in sync with systemd after {} s: {why}", DEADLINE.as_secs())]
    Late {
        /// What was wrong at the end.
        why: String,
    },
    /// systemd did not answer the questions of a scrape.
    #[error("systemd does not answer")]
    Silent,
    /// The scrape could not be gathered.
    #[error(transparent)]
    Gather(#[from] JoinError),
    /// The scrape could not be encoded.
    #[error(transparent)]
    Encode(#[from] fmt::Error),
}

/// What the flags select of a scrape.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Which units are shown.
    pub selection: &'a Selection,
    /// The rest.
    pub scrape: ScrapeSettings,
}

/// Prints the table.
///
/// # Errors
/// The series cannot be counted or printed.
pub async fn run(config: &Config) -> Result<ExitCode, Failure> {
    print(count(config).await?)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads systemd once and counts.
async fn count(config: &Config) -> Result<Table, SeriesError> {
    let telemetry = Arc::new(Telemetry::default());
    // Every unit is read; what the flags leave out is removed afterwards.
    let settings = WatchSettings {
        selection: Selection::default(),
        reads: Reads::EVERYTHING,
        ..config.watch.clone()
    };
    let (watch, watcher) = watch::watch(settings, None, Arc::clone(&telemetry));
    let everything = ScrapeSettings {
        own_metrics: true,
        groups: Groups::all(),
        max_series: None,
        states: StateSeries::Stateset,
    };
    let mount = Path::new(cgroup::MOUNT);
    let manager = Manager::only(watch.clone(), everything.groups.kernel_files(), mount);
    let exporter = Arc::new(Exporter::new(vec![manager], telemetry, everything));
    let scrape = tokio::select! {
        why = watcher.run_once() => return Err(SeriesError::Ended(why)),
        scrape = gather(&watch, exporter) => scrape?,
    };
    let choice = Choice { selection: &config.watch.selection, scrape: config.scrape };
    compare(scrape, choice)
}

async fn gather(watch: &Watch, exporter: Arc<Exporter>) -> Result<Scrape, SeriesError> {
    if timeout(DEADLINE, watch.until_in_sync()).await.is_err() {
        let why = match watch.sync_state() {
            SyncState::OutOfSync { why, .. } => why,
            SyncState::InSync { .. } => "in sync only now".to_owned(),
        };
        return Err(SeriesError::Late { why });
    }
    if timeout(FULL_READ, watch.until_fully_read()).await.is_err() {
        tracing::warn!("units change faster than they can be read: some series may be missing");
    }
    let scrape = exporter.gather(Instant::now() + ANSWER).await?;
    let is_up = scrape.managers.iter().all(|manager| manager.up);
    is_up.then_some(scrape).ok_or(SeriesError::Silent)
}

/// Counts a scrape of everything, and what the flags select of it.
///
/// # Errors
/// None in practice: writing to a string does not fail.
pub fn compare(everything: Scrape, choice: Choice<'_>) -> Result<Table, SeriesError> {
    let ScrapeSettings { own_metrics, groups, max_series, states } = choice.scrape;
    let mut managers = everything.managers.clone();
    for snapshot in managers.iter_mut().filter_map(|manager| manager.snapshot.as_mut()) {
        *snapshot = Arc::new(snapshot.select(choice.selection));
    }
    let given = Scrape {
        managers,
        telemetry: everything.telemetry.clone().filter(|_| own_metrics),
        process: everything.process.filter(|_| own_metrics),
        groups,
        max_series,
        states,
        ..everything.clone()
    };
    Ok(Table { everything: Column::of(everything)?, given: Column::of(given)? })
}

// === impl Column ===

impl Column {
    fn of(scrape: Scrape) -> Result<Self, SeriesError> {
        let counts = metrics::count(&scrape)?;
        let mut series = BTreeMap::new();
        for family in metrics::all_families() {
            *series.entry(family.group).or_default() += counts.get(family.name).unwrap_or(&0);
        }
        let units = scrape.snapshots().map(|snapshot| snapshot.visible_units()).sum();
        let page = metrics::encode(&scrape, Format::OpenMetrics)?;
        let dropped = page.dropped.unwrap_or(0);
        Ok(Self { series, units, dropped, bytes: page.text.len() })
    }

    /// The total of all groups.
    pub fn total(&self) -> u64 {
        self.series.values().sum()
    }
}

// === impl Table ===

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { everything, given } = self;
        let mut line = |name: &str, all: &dyn fmt::Display, left: &dyn fmt::Display| {
            writeln!(f, "{name:<16} {all:>12} {left:>12}")
        };
        line("group", &"everything", &"these flags")?;
        let of = |column: &Column, group| column.series.get(&group).copied().unwrap_or(0);
        for group in Group::ALL {
            line(group.name(), &of(everything, Some(*group)), &of(given, Some(*group)))?;
        }
        line("(always)", &of(everything, None), &of(given, None))?;
        line("series", &everything.total(), &given.total())?;
        line("units", &everything.units, &given.units)?;
        if given.dropped > 0 {
            line("beyond the cap", &everything.dropped, &given.dropped)?;
        }
        line("bytes", &everything.bytes, &given.bytes)
    }
}
