//! One scrape: gathers the inventory, the kernel files of units and the exporter's own counters, and
//! encodes them.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::task::{JoinError, spawn_blocking};
use tracing::{info, warn};

use crate::{
    cgroup::Cgroups,
    clock,
    metrics::{self, Clocks, Scrape, StateSeries, format::Format, group::Groups},
    process::Observer,
    systemd::state::ActiveState,
    telemetry::Telemetry,
    watch::{SyncState, Watch},
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
    watch: Watch,
    telemetry: Arc<Telemetry>,
    settings: ScrapeSettings,
    /// Whether the last scrape dropped units because of `max_series`.
    dropping: AtomicBool,
    cgroups: Cgroups,
    process: Observer,
}

// === impl Exporter ===

impl Exporter {
    /// An exporter of `watch`'s inventory, `telemetry`'s counters and the control groups mounted at
    /// `mount`.
    pub fn new(
        watch: Watch,
        telemetry: Arc<Telemetry>,
        settings: ScrapeSettings,
        mount: &Path,
    ) -> Self {
        let cgroups = Cgroups::new(mount, settings.groups.kernel_files());
        if let Some(shortcoming) = cgroups.layout().shortcoming() {
            info!("{shortcoming}");
        }
        Self {
            watch,
            telemetry,
            settings,
            dropping: AtomicBool::new(false),
            cgroups,
            process: Observer::new(),
        }
    }

    /// Gathers the data of a scrape, with what systemd answers before the deadline.
    ///
    /// # Errors
    /// The thread that reads files did not finish.
    pub async fn gather(self: Arc<Self>, deadline: Instant) -> Result<Scrape, JoinError> {
        let up = self.is_up(deadline).await;
        spawn_blocking(move || self.collect(up)).await
    }

    /// Refreshes what systemd does not signal, and reports whether systemd answered and is in sync: a
    /// hung manager shows only in missing answers.
    async fn is_up(&self, deadline: Instant) -> bool {
        self.watch.refresh(deadline).await && self.watch.sync_state().is_in_sync()
    }

    /// Blocks on files, so it must not run on a thread that receives signals.
    fn collect(&self, up: bool) -> Scrape {
        let mut snapshot = self.watch.snapshot();
        if let Some(snapshot) = snapshot.as_mut().filter(|_| !up) {
            // The state is only current if it was just read.
            snapshot.manager.system_state = None;
        }
        let resources = snapshot.as_ref().map(|snapshot| {
            let root = snapshot.manager.control_group.as_deref().unwrap_or_default();
            let members = snapshot.members();
            self.cgroups.read(root, |name| {
                let unit = snapshot.find(name).or_else(|| members.get(name).copied());
                unit.map(|unit| unit.name.clone())
            })
        });
        let ScrapeSettings { own_metrics, groups, max_series, states } = self.settings;
        Scrape {
            up,
            snapshot: snapshot.map(Arc::new),
            clocks: clocks(),
            resources: resources.unwrap_or_default(),
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
                "too many series: dropping units, first those without a state, then the last by \
                 name; narrow the unit filters or raise --max-series"
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
        let up = self.is_up(deadline).await;
        Box::new(move |body| {
            let scrape = self.collect(up);
            body.reserve(metrics::size_hint(&scrape));
            let dropped = metrics::write(scrape, format, body);
            self.telemetry.totals().scrapes.observe(began.elapsed());
            if let Some(units) = dropped.map_err(|error| ScrapeError(error.into()))? {
                self.note_dropped(units);
            }
            Ok(())
        })
    }

    fn ready(&self) -> Result<(), String> {
        match self.watch.sync_state() {
            SyncState::InSync { .. } => Ok(()),
            SyncState::OutOfSync { why, .. } => Err(why),
        }
    }

    fn overview(&self) -> Overview {
        let mut facts = Vec::new();
        if let SyncState::InSync { address } = self.watch.sync_state() {
            facts.push(("connected over", address));
        }
        let mut failed_units = Vec::new();
        if let Some(snapshot) = self.watch.snapshot() {
            facts.extend(snapshot.manager.version.map(|version| ("version", version.into())));
            let units: u64 = snapshot.by_state.values().sum();
            facts.push(("units", units.to_string()));
            let members = snapshot.rollups.iter().flat_map(|sum| &sum.members);
            let units = snapshot.units.iter().chain(members);
            let failed = units.filter(|it| it.active_state == ActiveState::Failed);
            failed_units.extend(failed.map(|unit| unit.name.to_string()));
        }
        Overview { facts, problems: vec![("Failed units", failed_units)] }
    }
}

fn clocks() -> Clocks {
    Clocks { realtime: clock::realtime(), monotonic: clock::monotonic() }
}
