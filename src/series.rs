//! How many series there are on this machine, and how many a choice of flags leaves: to be seen
//! before anything is deployed.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinError, time::timeout};

use crate::{
    cgroup,
    config::Config,
    inventory::{reads::Reads, snapshot::Snapshot},
    metrics::{
        self, Scrape, StateSeries,
        format::Format,
        group::{Group, Groups},
    },
    scrape::{self, Exporter},
    selection::Selection,
    systemd::address::Address,
    telemetry::Telemetry,
    watch::{self, SyncState, Watch},
};

/// How long it may take until everything has been read.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long what no scrape waits for is waited for beyond that: on a machine that is very busy
/// there is always something that is not known yet.
const SETTLE: Duration = Duration::from_secs(10);

/// How long systemd may take to answer what a scrape asks.
const ANSWER: Duration = Duration::from_secs(10);

/// The series by group, all that there could be and those that the flags leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// With every group, for every unit.
    pub everything: Column,
    /// With the flags that were given.
    pub given: Column,
}

/// How many series a scrape has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// By group; `None` for those that are always served.
    pub series: BTreeMap<Option<Group>, u64>,
    /// Units with a state that pass the filters.
    pub units: usize,
    /// Units that are left out because there would be too many series.
    pub dropped: usize,
    /// The bytes of the page in OpenMetrics, before it is compressed.
    pub bytes: usize,
}

/// Why the series could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// There is no way to systemd, or the connection ended.
    #[error("{0}")]
    Ended(String),
    /// The table was not in step in time.
    #[error("not in sync with systemd after {} s: {why}", DEADLINE.as_secs())]
    Late {
        /// What was amiss then.
        why: String,
    },
    /// systemd did not answer what a scrape asks.
    #[error("systemd does not answer")]
    Silent,
    /// What is known could not be gathered.
    #[error(transparent)]
    Gather(#[from] JoinError),
    /// It could not be written down.
    #[error(transparent)]
    Encode(#[from] fmt::Error),
    /// It could not be printed.
    #[error("cannot write to stdout: {0}")]
    Output(#[source] io::Error),
}

/// What the flags leave of a scrape.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Which units are shown.
    pub selection: &'a Selection,
    /// The rest.
    pub served: scrape::ScrapeSettings,
}

/// Reads systemd once and counts.
///
/// # Errors
/// systemd cannot be reached or takes too long.
pub async fn count(config: &Config) -> Result<Table, SeriesError> {
    let telemetry = Arc::new(Telemetry::default());
    // All units are read, and those that the flags leave are picked out afterwards.
    let (watch, watcher) = watch::watch(
        watch::WatchSettings {
            addresses: Address::to(config.scope(), config.private),
            selection: Selection::default(),
            reconcile_interval: config.reconcile_interval,
            retention: config.retention,
            reads: Reads::EVERYTHING,
            record: None,
        },
        Arc::clone(&telemetry),
    );
    let everything = scrape::ScrapeSettings {
        own_metrics: true,
        groups: Groups::all(),
        max_series: None,
        states: StateSeries::Stateset,
    };
    let mount = Path::new(cgroup::MOUNT);
    let exporter = Arc::new(Exporter::new(watch.clone(), telemetry, everything, mount));
    let scrape = tokio::select! {
        why = watcher.run_once() => return Err(SeriesError::Ended(why)),
        scrape = gather(&watch, exporter) => scrape?,
    };
    let choice = Choice { selection: &config.selection, served: config.served() };
    compare(scrape, choice)
}

async fn gather(watch: &Watch, exporter: Arc<Exporter>) -> Result<Scrape, SeriesError> {
    if timeout(DEADLINE, watch.until_in_sync()).await.is_err() {
        let why = match watch.sync_state() {
            SyncState::OutOfSync { why, .. } => why,
            SyncState::InSync { .. } => "only just now".to_owned(),
        };
        return Err(SeriesError::Late { why });
    }
    if timeout(SETTLE, watch.until_settled()).await.is_err() {
        tracing::warn!("units change too fast for all of them to be known: a few may be missing");
    }
    let scrape = exporter.gather(Instant::now() + ANSWER).await?;
    if scrape.up { Ok(scrape) } else { Err(SeriesError::Silent) }
}

/// Counts a scrape of everything, and what a choice leaves of it.
///
/// # Errors
/// None that is known: writing to a string does not fail.
pub fn compare(everything: Scrape, choice: Choice<'_>) -> Result<Table, SeriesError> {
    let scrape::ScrapeSettings { own_metrics, groups, max_series, states } = choice.served;
    let admitted = |snapshot: &Arc<Snapshot>| Arc::new(snapshot.select(choice.selection));
    let given = Scrape {
        snapshot: everything.snapshot.as_ref().map(admitted),
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
        for family in metrics::contract() {
            *series.entry(family.group).or_default() += counts.get(family.name).unwrap_or(&0);
        }
        let snapshot = scrape.snapshot.clone();
        let units = snapshot.map_or(0, |snapshot| snapshot.visible_units());
        let page = metrics::encode(scrape, Format::OpenMetrics)?;
        let dropped = page.dropped.unwrap_or(0);
        Ok(Self { series, units, dropped, bytes: page.text.len() })
    }

    /// All series together.
    pub fn sum(&self) -> u64 {
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
        line("series", &everything.sum(), &given.sum())?;
        line("units", &everything.units, &given.units)?;
        if given.dropped > 0 {
            line("beyond the cap", &everything.dropped, &given.dropped)?;
        }
        line("bytes", &everything.bytes, &given.bytes)
    }
}
