//! One scrape: gathers the inventory, the kernel files of units and the exporter's own counters, and
//! encodes them.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use futures_util::future::join_all;
use tokio::task::{JoinError, spawn_blocking};
use tracing::{info, warn};

use crate::{
    clock,
    managers::Manager,
    metrics::{self, Clocks, Scrape, StateSeries, format::Format, group::Groups},
    process::Observer,
    systemd::state::ActiveState,
    telemetry::Telemetry,
    watch::SyncState,
    web::{EncodeScrape, Overview, ScrapeError, Source},
};

/// What is served.
#[derive(Clone, Copy, Debug)]
pub struct ScrapeSettings {
    /// Whether the exporter's own metrics are served.
    pub own_metrics: bool,
    /// Which groups of families are served.
    pub groups: Groups,
    /// The most series of a per-unit family; `None` for no limit.
    pub max_series: Option<NonZeroUsize>,
    /// Which series show the state of a unit.
    pub states: StateSeries,
}

/// The exporter that the web server serves.
#[derive(Debug)]
pub struct Exporter {
    managers: Vec<Manager>,
    telemetry: Arc<Telemetry>,
    settings: ScrapeSettings,
    /// Whether the last scrape dropped units because of `max_series`.
    dropping: AtomicBool,
    process: Observer,
}

// === impl Exporter ===

impl Exporter {
    /// An exporter of these managers and of `telemetry`'s counters.
    pub fn new(
        managers: Vec<Manager>,
        telemetry: Arc<Telemetry>,
        settings: ScrapeSettings,
    ) -> Self {
        let (dropping, process) = (AtomicBool::new(false), Observer::new());
        Self { managers, telemetry, settings, dropping, process }
    }

    /// Gathers the data of a scrape, with what systemd answers before the deadline.
    ///
    /// # Errors
    /// The thread that reads files did not finish.
    pub async fn gather(self: Arc<Self>, deadline: Instant) -> Result<Scrape, JoinError> {
        let up = self.are_up(deadline).await;
        spawn_blocking(move || self.collect(&up)).await
    }

    /// Which managers are up.
    async fn are_up(&self, deadline: Instant) -> Vec<bool> {
        join_all(self.managers.iter().map(|manager| manager.is_up(deadline))).await
    }

    /// Blocks on files, so it must not run on a thread that receives signals.
    fn collect(&self, up: &[bool]) -> Scrape {
        let managers = self.managers.iter().zip(up).map(|(manager, up)| manager.collect(*up));
        let ScrapeSettings { own_metrics, groups, max_series, states } = self.settings;
        Scrape {
            managers: managers.collect(),
            clocks: Clocks { realtime: clock::realtime(), monotonic: clock::monotonic() },
            telemetry: own_metrics.then(|| self.telemetry.totals().clone()),
            process: own_metrics.then(|| self.process.observe()),
            max_series,
            groups,
            states,
        }
    }

    /// Logs when units begin to be dropped, and when none is any more.
    fn note_dropped(&self, units: usize) {
        let dropping = units > 0;
        if self.dropping.swap(dropping, Ordering::Relaxed) == dropping {
            return;
        }
        if dropping {
            warn!(
                units,
                max_series = self.settings.max_series,
                "too many series: dropping units, those without a state first, then the last by \
                 name, roll-ups last; narrow the unit filters or raise --max-series"
            );
        } else {
            info!("no units are dropped any more");
        }
    }
}

impl Source for Exporter {
    const SUBJECT: &'static str = "systemd";

    async fn scrape(self: Arc<Self>, format: Format, deadline: Instant) -> EncodeScrape {
        let began = Instant::now();
        let up = self.are_up(deadline).await;
        Box::new(move |body| {
            let scrape = self.collect(&up);
            body.reserve(metrics::size_hint(&scrape));
            let dropped = metrics::write(&scrape, format, body);
            self.telemetry.totals().scrapes.observe(began.elapsed());
            if let Some(units) = dropped.map_err(|error| ScrapeError(error.into()))? {
                self.note_dropped(units);
            }
            Ok(())
        })
    }

    fn ready(&self) -> Result<(), String> {
        self.managers.iter().try_for_each(|manager| match manager.watch().sync_state() {
            SyncState::InSync { .. } => Ok(()),
            SyncState::OutOfSync { why, .. } => Err(why),
        })
    }

    fn overview(&self) -> Overview {
        let (mut facts, mut failed_units) = (Vec::new(), Vec::new());
        for watch in self.managers.iter().map(Manager::watch) {
            if let SyncState::InSync { address } = watch.sync_state() {
                facts.push(("connected over", address));
            }
            let Some(snapshot) = watch.snapshot() else { continue };
            facts.extend(snapshot.manager.version.map(|version| ("version", version.into())));
            let units: u64 = snapshot.by_state.values().sum();
            facts.push(("units", units.to_string()));
            let members = snapshot.rollups.iter().flat_map(|rollup| &rollup.members);
            let units = snapshot.units.iter().chain(members);
            let failed = units.filter(|it| it.active_state == ActiveState::Failed);
            failed_units.extend(failed.map(|unit| unit.name.to_string()));
        }
        Overview { facts, problems: vec![("Failed units", failed_units)] }
    }
}
