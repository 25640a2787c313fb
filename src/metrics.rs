//! The metrics: a pure function from plain data to an exposition.
//!
//! Each module holds one subject: its families, declared in a `families!` block, and below it how
//! their samples are found in the data.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
};

use crate::{
    cgroup::resources::Resources,
    clock::Usec,
    inventory::{counts::MAX_KEYS, snapshot::Snapshot},
    process::Process,
    systemd::name::UnitName,
    telemetry::OwnCounters,
};
use cap::Cut;
use family::families;
use format::Format;
use group::{Group, Groups};
use row::Row;
use writer::Exposition;

mod boot;
mod cap;
mod column;
mod events;
mod family;
pub mod format;
pub mod group;
mod jobs;
mod labels;
mod manager;
mod node_exporter;
mod own;
mod process;
mod resources;
mod rollups;
mod row;
mod services;
mod sockets;
mod state_series;
mod timers;
mod unit_events;
mod units;
mod value;
mod writer;

#[cfg(test)]
mod tests;

pub use family::{Family, FamilyType};
pub use state_series::StateSeries;
pub use writer::Destination;

/// The data of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// The watched managers.
    pub managers: Vec<ManagerScrape>,
    /// The clocks when the scrape was gathered.
    pub clocks: Clocks,
    /// The exporter's own counters; `None` if its own metrics are off.
    pub telemetry: Option<OwnCounters>,
    /// What the exporter's process uses; `None` if its own metrics are off.
    pub process: Option<Process>,
    /// The most series of a per-unit family; `None` for no limit.
    pub max_series: Option<NonZeroUsize>,
    /// The groups of families that are on.
    pub groups: Groups,
    /// Which series show the state of a unit.
    pub states: StateSeries,
}

/// One manager in a scrape.
#[derive(Clone, Debug, Default)]
pub struct ManagerScrape {
    /// The label `user` of all its series; `None` for no such label.
    pub user: Option<Arc<str>>,
    /// The value of `systemd_up`: in sync, and the manager answered this scrape.
    pub up: bool,
    /// What is known of its units; `None` before the first sync and after 10 s out of sync.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What each control group of a unit uses.
    pub resources: HashMap<UnitName, Resources>,
    /// How many files of control groups were opened for that and not kept open.
    pub reopened_files: usize,
}

/// A manager whose units are shown.
struct View<'a> {
    user: Option<&'a str>,
    snapshot: &'a Snapshot,
    resources: &'a HashMap<UnitName, Resources>,
}

/// A scrape as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedScrape {
    /// The whole page.
    pub text: String,
    /// How many units `max_series` drops; `None` if no manager has a snapshot.
    pub dropped: Option<usize>,
}

/// Both clocks, read together, to turn a monotonic time into a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Microseconds since the epoch.
    pub realtime: Usec,
    /// Microseconds on `CLOCK_MONOTONIC`.
    pub monotonic: Usec,
}

families! {
    UP: Gauge "systemd_up" []
        "1 if in sync with systemd and systemd answered this scrape, else 0. The other metrics of systemd are absent before the first sync and after 10 s out of sync.";
    VISIBLE_UNITS: Gauge "systemd_exporter_units" []
        "Units that pass the unit filters: loaded ones, and any others that are not inactive. 0 means that the filters match nothing.";
    DROPPED: Gauge "systemd_exporter_series_dropped" ["family"]
        "Series dropped by --max-series, by family; 0 if none. Whole units are dropped, in this order: unit files that are not in memory, gone units, units that are inactive and not loaded, the last units by name, roll-ups.";
    REFUSED: Gauge "systemd_exporter_listing_refused" ["type"]
        "Always 1, for each type that systemd refuses to list: a unit type, job or unit-file (errors of ListUnits, ListUnitsByPatterns, ListJobs, ListUnitFiles). Of that type, only what was listed before or signalled since is known. Absent otherwise.";
}

/// Every family that can be served, in the order of the page.
pub fn all_families() -> impl Iterator<Item = &'static Family> {
    [
        ALL,
        manager::ALL,
        jobs::ALL,
        boot::ALL,
        events::ALL,
        units::ALL,
        rollups::ALL,
        unit_events::ALL,
        services::ALL,
        resources::ALL,
        sockets::ALL,
        timers::ALL,
        node_exporter::ALL,
        own::ALL,
        process::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Writes a scrape as a whole page, without the families that have no samples. Returns how many
/// units `max_series` drops; `None` if no manager has a snapshot.
///
/// # Errors
/// `out` failed.
pub fn write(
    scrape: &Scrape,
    format: Format,
    out: &mut dyn Destination,
) -> Result<Option<usize>, fmt::Error> {
    writer::write(out, format, scrape.groups, |out| encode_all(scrape, out))
}

/// Encodes a scrape as a string.
///
/// # Errors
/// None known: writing to a string does not fail.
pub fn encode(scrape: &Scrape, format: Format) -> Result<EncodedScrape, fmt::Error> {
    let mut text = String::with_capacity(size_hint(scrape));
    let dropped = write(scrape, format, &mut text)?;
    Ok(EncodedScrape { text, dropped })
}

/// Roughly how many bytes the page of a scrape takes.
pub fn size_hint(scrape: &Scrape) -> usize {
    let units = scrape.snapshots().map(|snapshot| {
        let in_memory = snapshot.units.len() + snapshot.rollups.len();
        in_memory * BYTES_PER_UNIT + snapshot.gone.len() * BYTES_PER_GONE_UNIT
    });
    FIXED_BYTES + units.sum::<usize>()
}

/// Counts the series of a scrape by family, as they would be written.
///
/// # Errors
/// None known: counting does not fail.
pub fn count(scrape: &Scrape) -> Result<BTreeMap<&'static str, u64>, fmt::Error> {
    writer::count(scrape.groups, |out| encode_all(scrape, out).map(drop))
}

/// What the families take that do not grow with the units.
const FIXED_BYTES: usize = 40 * 1024;

/// What a unit in memory takes, roughly.
const BYTES_PER_UNIT: usize = 1_600;

/// What a gone unit takes, roughly: it has only counters.
const BYTES_PER_GONE_UNIT: usize = 700;

/// The most series of one unit in one family: one for each key of its counts.
const MAX_SERIES_PER_UNIT: usize = MAX_KEYS;

/// Encodes every family. Returns as [`write()`] does.
fn encode_all(scrape: &Scrape, out: &mut Exposition<'_>) -> Result<Option<usize>, fmt::Error> {
    let mut samples = out.family(&UP);
    for manager in &scrape.managers {
        samples.of(manager.user.as_deref()).add([], u64::from(manager.up))?;
    }
    let views: Vec<_> = scrape.managers.iter().filter_map(ManagerScrape::view).collect();
    let is_known = !views.is_empty();
    let dropped = is_known.then(|| encode_systemd(&views, scrape, out)).transpose()?;
    own::encode_build(out)?;
    if let Some(totals) = &scrape.telemetry {
        own::encode(totals, &scrape.managers, out)?;
    }
    if let Some(process) = &scrape.process {
        process::encode(process, out)?;
    }
    Ok(dropped)
}

/// Encodes what is known of systemd, and returns how many units `max_series` drops.
fn encode_systemd(
    managers: &[View<'_>],
    scrape: &Scrape,
    out: &mut Exposition<'_>,
) -> Result<usize, fmt::Error> {
    let rows = row::rows(managers);
    let Cut { kept, dropped } = cap::cut(&rows, scrape.max_series, MAX_SERIES_PER_UNIT, |rows| {
        writer::count(scrape.groups, |out| encode_units(rows, scrape, out))
    })?;
    out.single(&VISIBLE_UNITS, Some(rows.iter().map(Row::visible_units).sum::<u64>()))?;
    let mut samples = out.family(&DROPPED);
    for (family, series) in dropped {
        samples.add([family], series)?;
    }
    let (kept, dropped) = rows.split_at_checked(kept).unwrap_or((&rows, &[]));
    out.each(&REFUSED, managers, |View { snapshot, .. }, samples| {
        let mut refused = snapshot.refused.iter();
        refused.try_for_each(|listing| samples.add([listing.as_str()], 1_u64))
    })?;
    manager::encode(managers, out)?;
    jobs::encode(managers, scrape.clocks, out)?;
    boot::encode(managers, out)?;
    events::encode(managers, out)?;
    encode_units(kept, scrape, out)?;
    if scrape.groups.has(Group::NodeExporter) {
        node_exporter::encode(managers, out)?;
    }
    Ok(dropped.len())
}

/// Encodes every per-unit family: here and nowhere else, because this is also what `max_series`
/// counts.
fn encode_units(rows: &[Row<'_>], scrape: &Scrape, out: &mut Exposition<'_>) -> fmt::Result {
    units::encode(rows, scrape.states, out)?;
    rollups::encode(rows, scrape.states, out)?;
    unit_events::encode(rows, out)?;
    services::encode(rows, out)?;
    resources::encode(rows, out)?;
    sockets::encode(rows, out)?;
    timers::encode(rows, scrape.clocks, out)?;
    if scrape.groups.has(Group::NodeExporter) {
        node_exporter::encode_units(rows, out)?;
    }
    Ok(())
}

/// The counts by key, and 0 for each key that always has a series: a counter that begins with its
/// first event shows no increase, and a gauge that comes and goes is hard to sum. Counts of the same
/// key are added up.
fn from_zero<K: Ord>(
    always: impl IntoIterator<Item = K>,
    counted: impl IntoIterator<Item = (K, u64)>,
) -> BTreeMap<K, u64> {
    let mut counts: BTreeMap<K, u64> = always.into_iter().map(|key| (key, 0)).collect();
    for (key, count) in counted.into_iter().filter(|(_, count)| *count > 0) {
        let sum = counts.entry(key).or_default();
        *sum = sum.saturating_add(count);
    }
    counts
}

/// Counts with their keys cloned, as [`from_zero`] takes them.
fn owned<K: Clone>(counts: &BTreeMap<K, u64>) -> impl Iterator<Item = (K, u64)> {
    counts.iter().map(|(key, count)| (key.clone(), *count))
}

// === impl Scrape ===

impl Scrape {
    /// The snapshots of the managers that have one.
    pub fn snapshots(&self) -> impl Iterator<Item = &Arc<Snapshot>> {
        self.managers.iter().filter_map(|manager| manager.snapshot.as_ref())
    }
}

impl ManagerScrape {
    fn view(&self) -> Option<View<'_>> {
        let (user, resources) = (self.user.as_deref(), &self.resources);
        Some(View { user, snapshot: self.snapshot.as_deref()?, resources })
    }
}
