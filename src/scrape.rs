//! One scrape: where what is known of systemd, what the kernel says and what the exporter counted
//! meet and are worded.

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
    web::{Overview, ScrapeError, Source, Writing},
};

/// What of all that is known is served.
#[derive(Clone, Copy, Debug)]
pub struct ScrapeSettings {
    /// Whether the exporter's own metrics are.
    pub own_metrics: bool,
    /// Which groups of families are.
    pub groups: Groups,
    /// The most series of a family with some for each unit.
    pub max_series: Option<NonZeroUsize>,
    /// Which series tell the state of a unit.
    pub states: StateSeries,
}

/// What the web serves.
#[derive(Debug)]
pub struct Exporter {
    watch: Watch,
    telemetry: Arc<Telemetry>,
    settings: ScrapeSettings,
    /// Whether units were left out for that at the last scrape.
    dropping: AtomicBool,
    cgroups: Cgroups,
    process: Observer,
}

// === impl Exporter ===

impl Exporter {
    /// An exporter of what `watch` knows and `telemetry` counts, and of what units use by the
    /// control groups that are mounted at `mount`.
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

    /// Gathers all that a scrape tells, with what systemd answers before the deadline.
    ///
    /// # Errors
    /// A thread that reads files could not be had.
    pub async fn gather(self: Arc<Self>, deadline: Instant) -> Result<Scrape, JoinError> {
        let up = self.is_up(deadline).await;
        spawn_blocking(move || self.collect(up)).await
    }

    /// Has what systemd does not signal asked for. In step is who answers: a manager that hangs is
    /// found out by asking.
    async fn is_up(&self, deadline: Instant) -> bool {
        self.watch.refresh(deadline).await && self.watch.sync_state().is_in_sync()
    }

    /// Reads files, so not for the threads that hear systemd.
    fn collect(&self, up: bool) -> Scrape {
        let mut snapshot = self.watch.snapshot();
        if let Some(snapshot) = snapshot.as_mut().filter(|_| !up) {
            // What is only true when asked for is not known now.
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

    /// Says that units are left out when that begins, and when it is over.
    fn note_dropped(&self, units: usize) {
        let dropping = units > 0;
        if self.dropping.swap(dropping, Ordering::Relaxed) == dropping {
            return;
        }
        if dropping {
            warn!(
                units,
                max_series = self.settings.max_series,
                "too many series: units are left out, first those without a state, then the \
                 last by name; let fewer pass the unit filters or raise --max-series"
            );
        } else {
            info!("no unit is left out any more");
        }
    }
}

impl Source for Exporter {
    async fn scrape(self: Arc<Self>, format: Format, deadline: Instant) -> Writing {
        let began = Instant::now();
        let up = self.is_up(deadline).await;
        Box::new(move |body| {
            let scrape = self.collect(up);
            body.expect(metrics::size_hint(&scrape));
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
        Overview { facts, failed_units }
    }
}

fn clocks() -> Clocks {
    Clocks { realtime: clock::realtime(), monotonic: clock::monotonic() }
}
