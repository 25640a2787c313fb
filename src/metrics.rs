//! Wording for Prometheus: a pure function from plain data to text.
//!
//! Each module below holds one subject: the words of its families, declared once in a
//! `families!` block, and beneath them how their samples are found in the data.

use std::{collections::HashMap, fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::Registry,
};

use crate::{
    inventory::{snapshot::Snapshot, unit::Usec},
    process::Process,
    systemd::name::UnitName,
    telemetry::Totals,
};
use family::{Exposition, families};
use format::Format;

mod boot;
mod exporter;
mod family;
pub mod format;
mod manager;
mod process;
mod services;
mod sockets;
mod timers;
mod units;

pub use family::{Family, Kind};

/// Everything that one scrape tells.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Connected, subscribed and in step with systemd.
    pub up: bool,
    /// What is known of systemd; `None` withholds it because it is out of step.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The clocks at the moment of the scrape.
    pub clocks: Clocks,
    /// The current number of tasks of each service that has any.
    pub tasks: HashMap<UnitName, u64>,
    /// What the exporter counted; `None` where its own metrics are switched off.
    pub telemetry: Option<Totals>,
    /// What the exporter's process uses; `None` where its own metrics are switched off.
    pub process: Option<Process>,
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
        "Loaded units that pass the unit filters: 0 betrays a filter that matches nothing.";
}

/// Every family that is ever served, in the order in which they are.
pub fn contract() -> impl Iterator<Item = &'static Family> {
    [
        ALL,
        manager::ALL,
        boot::ALL,
        units::ALL,
        services::ALL,
        sockets::ALL,
        timers::ALL,
        exporter::ALL,
        process::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Writes a scrape down as a whole document. What has no sample is not mentioned.
///
/// # Errors
/// None that is known: writing to a string does not fail.
pub fn encode(scrape: Scrape, format: Format) -> Result<String, fmt::Error> {
    let units = scrape.snapshot.as_ref().map_or(0, |snapshot| snapshot.units.len());
    let mut text = String::with_capacity(FIXED_BYTES + units * BYTES_PER_UNIT);
    // The registry wants to own what it collects, so it lives for one scrape.
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Document { scrape, format }));
    text::encode_registry(&mut text, &registry)?;
    if format == Format::OpenMetrics {
        text::encode_eof(&mut text)?;
    }
    Ok(text)
}

/// What to reserve for the families that do not grow with the units.
const FIXED_BYTES: usize = 32 * 1024;

/// What a unit takes, roughly: growing a long text step by step copies it many times over.
const BYTES_PER_UNIT: usize = 1_200;

/// A scrape on its way to paper.
#[derive(Debug)]
struct Document {
    scrape: Scrape,
    format: Format,
}

impl Collector for Document {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Scrape { up, snapshot, clocks, tasks, telemetry, process } = &self.scrape;
        let mut out = Exposition::new(encoder, self.format);
        out.single(&UP, Some(u64::from(*up)))?;
        if let Some(snapshot) = snapshot {
            let rows = units::rows(snapshot);
            out.single(&EXPORTED, u64::try_from(rows.len()).ok())?;
            manager::encode(snapshot, &mut out)?;
            boot::encode(&snapshot.manager.boot, &mut out)?;
            units::encode(&rows, &mut out)?;
            services::encode(&rows, tasks, &mut out)?;
            sockets::encode(&rows, &mut out)?;
            timers::encode(&rows, *clocks, &mut out)?;
        }
        exporter::encode_build(&mut out)?;
        if let Some(totals) = telemetry {
            exporter::encode(totals, &mut out)?;
        }
        if let Some(process) = process {
            process::encode(process, &mut out)?;
        }
        Ok(())
    }
}

/// Microseconds as seconds: exact to the microsecond for the next two centuries.
#[allow(clippy::cast_precision_loss, reason = "a double holds 285 years of microseconds")]
fn seconds(usec: Usec) -> f64 {
    usec as f64 / 1e6
}
