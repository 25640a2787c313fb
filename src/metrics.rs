//! Wording for Prometheus: a pure function from plain data to text.
//!
//! Each module below holds one subject: the words of its families, declared once in a
//! `families!` block, and beneath them how their samples are found in the data.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    num::NonZeroUsize,
    sync::{Arc, OnceLock},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::Registry,
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
use family::{Exposition, SeriesCounts, families};
use format::Format;
use group::{Group, Groups};
use units::Row;

mod boot;
mod cap;
mod events;
mod family;
pub mod format;
pub mod group;
mod jobs;
mod manager;
mod node_exporter;
mod own;
mod process;
mod resources;
mod rollups;
mod services;
mod sockets;
mod timers;
mod unit_events;
mod units;

pub use family::{Family, FamilyType};
pub use units::StateSeries;

/// Everything that one scrape tells.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Connected, subscribed and in step with systemd.
    pub up: bool,
    /// What is known of systemd; `None` withholds it because it is out of step.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The clocks at the moment of the scrape.
    pub clocks: Clocks,
    /// What each unit uses that has a control group.
    pub resources: HashMap<UnitName, Resources>,
    /// What the exporter counted; `None` where its own metrics are switched off.
    pub telemetry: Option<OwnCounters>,
    /// What the exporter's process uses; `None` where its own metrics are switched off.
    pub process: Option<Process>,
    /// The most series that a family with some for each unit may have; `None` sets no limit.
    pub max_series: Option<NonZeroUsize>,
    /// What is told besides what always is.
    pub groups: Groups,
    /// Which series tell the state of a unit.
    pub states: StateSeries,
}

/// A scrape in writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedScrape {
    /// The whole document.
    pub text: String,
    /// How many units are left out because there would be too many series; `None` where the units
    /// are withheld altogether.
    pub dropped: Option<usize>,
}

/// The two clocks, read together, that turn a monotonic time into a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Microseconds since the epoch.
    pub realtime: Usec,
    /// Microseconds on `CLOCK_MONOTONIC`.
    pub monotonic: Usec,
}

families! {
    UP: Gauge "systemd_up" []
        "1 while the exporter is connected to systemd and in step with it, 0 otherwise; what is out of step is withheld.";
    EXPORTED: Gauge "systemd_exporter_units" []
        "Units that pass the unit filters and are loaded or not inactive: 0 means that the filters match nothing.";
    DROPPED: Gauge "systemd_exporter_series_dropped" ["family"]
        "Series withheld to keep every family with series for each unit within --max-series, by family: 0 while nothing is; units are dropped whole, first those without a state, then the last by name.";
    REFUSED: Gauge "systemd_exporter_listing_refused" ["type"]
        "Always 1, for each unit type that systemd refuses to list, and for job and unit-file: what was neither listed before nor signalled since is missing. From the errors of ListUnits, ListUnitsByPatterns, ListJobs and ListUnitFiles, absent for what systemd lists.";
}

/// Every family that is ever served, in the order in which they are.
pub fn contract() -> impl Iterator<Item = &'static Family> {
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

/// Writes a scrape down as a whole document. What has no sample is not mentioned. Returns how many
/// units are left out because there would be too many series; `None` where the units are withheld
/// altogether.
///
/// # Errors
/// The writer's own.
pub fn write(
    scrape: Scrape,
    format: Format,
    out: &mut impl fmt::Write,
) -> Result<Option<usize>, fmt::Error> {
    // The registry wants to own what it collects, so it lives for one scrape, and what is found
    // on the way comes back through a cell.
    let mut registry = Registry::default();
    let dropped = Arc::default();
    registry.register_collector(Box::new(Document {
        scrape,
        format,
        dropped: Arc::clone(&dropped),
    }));
    text::encode_registry(out, &registry)?;
    if format == Format::OpenMetrics {
        text::encode_eof(out)?;
    }
    Ok(dropped.get().copied())
}

/// Writes a scrape down as one text.
///
/// # Errors
/// None that is known: writing to a string does not fail.
pub fn encode(scrape: Scrape, format: Format) -> Result<EncodedScrape, fmt::Error> {
    let mut text = String::with_capacity(bytes(&scrape));
    let dropped = write(scrape, format, &mut text)?;
    Ok(EncodedScrape { text, dropped })
}

/// How long a scrape is in writing, roughly.
pub fn bytes(scrape: &Scrape) -> usize {
    let units = scrape.snapshot.as_ref().map_or(0, |snapshot| {
        let told = snapshot.units.len() + snapshot.rollups.len();
        told * BYTES_PER_UNIT + snapshot.gone.len() * BYTES_PER_DEPARTED
    });
    FIXED_BYTES + units
}

/// Counts the series of a scrape, by the name of their family, as they would be written down.
///
/// # Errors
/// None that is known: counting does not fail.
pub fn count(scrape: &Scrape) -> Result<BTreeMap<&'static str, u64>, fmt::Error> {
    let mut counts = SeriesCounts::new();
    tell(scrape, &mut Exposition::counts(&mut counts, scrape.groups))?;
    Ok(counts)
}

/// What to reserve for the families that do not grow with the units.
const FIXED_BYTES: usize = 40 * 1024;

/// What a unit takes, roughly.
const BYTES_PER_UNIT: usize = 1_600;

/// What one takes that has left: its history and nothing else.
const BYTES_PER_DEPARTED: usize = 700;

/// The most series that a unit has in one family: one for each word that something is counted by,
/// and nothing else has as many.
const MOST_OF_A_UNIT: usize = MAX_KEYS;

/// A scrape on its way to paper.
#[derive(Debug)]
struct Document {
    scrape: Scrape,
    format: Format,
    dropped: Arc<OnceLock<usize>>,
}

impl Collector for Document {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Exposition::new(encoder, self.format, self.scrape.groups);
        if let Some(dropped) = tell(&self.scrape, &mut out)? {
            self.dropped.get_or_init(|| dropped);
        }
        Ok(())
    }
}

/// Tells all that there is, and returns how many units the cap leaves out, if there are any units
/// to speak of.
fn tell(scrape: &Scrape, out: &mut Exposition<'_>) -> Result<Option<usize>, fmt::Error> {
    let mut left_out = None;
    out.single(&UP, Some(u64::from(scrape.up)))?;
    if let Some(snapshot) = &scrape.snapshot {
        let rows = units::rows(snapshot, &scrape.resources);
        let Cut { kept, withheld } = cap::cut(&rows, scrape.max_series, MOST_OF_A_UNIT, |rows| {
            let mut counts = SeriesCounts::new();
            per_unit(rows, scrape, &mut Exposition::counts(&mut counts, scrape.groups))?;
            Ok(counts)
        })?;
        let (told, dropped) = rows.split_at_checked(kept).unwrap_or((&rows, &[]));
        left_out = Some(dropped.len());
        out.single(&EXPORTED, Some(rows.iter().map(Row::visible_units).sum::<u64>()))?;
        let mut samples = out.family(&DROPPED);
        for (family, series) in withheld {
            samples.add([family], series)?;
        }
        let mut samples = out.family(&REFUSED);
        for listing in &snapshot.refused {
            samples.add([listing.as_str()], 1_u64)?;
        }
        manager::encode(snapshot, out)?;
        jobs::encode(snapshot, scrape.clocks, out)?;
        boot::encode(&snapshot.manager.boot, out)?;
        events::encode(&snapshot.totals, out)?;
        per_unit(told, scrape, out)?;
        if scrape.groups.has(Group::NodeExporter) {
            node_exporter::encode(snapshot, out)?;
        }
    }
    own::encode_build(out)?;
    if let Some(totals) = &scrape.telemetry {
        own::encode(totals, out)?;
    }
    if let Some(process) = &scrape.process {
        process::encode(process, out)?;
    }
    Ok(left_out)
}

/// Tells all that there is of each unit. What has series for each unit is told here and nowhere
/// else, because this is also what the cap counts.
fn per_unit(rows: &[Row<'_>], scrape: &Scrape, out: &mut Exposition<'_>) -> fmt::Result {
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

/// What is counted, and 0 for what always has a series: a counter that begins with its first event
/// does not show that it rose, and a gauge that comes and goes is hard to add up. What is counted
/// under one key more than once is added up.
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

/// The counts of a table of the snapshot, as [`from_zero`] takes them.
fn owned<K: Clone>(counts: &BTreeMap<K, u64>) -> impl Iterator<Item = (K, u64)> {
    counts.iter().map(|(key, count)| (key.clone(), *count))
}

/// Microseconds as seconds: exact to the microsecond for the next two centuries.
#[allow(clippy::cast_precision_loss, reason = "a double holds 285 years of microseconds")]
fn seconds(usec: Usec) -> f64 {
    usec as f64 / 1e6
}
