//! One connection: subscribe, read everything, apply signals, and read again when necessary.

mod incoming;
mod listing;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Interval, MissedTickBehavior, interval_at},
};
use tracing::warn;

use self::listing::{FileListing, JobListing, UnitListing};
use super::{Shared, lock, refresh::Refresh};
use crate::{
    clock,
    inventory::manager::BOOT_STAGES,
    systemd::{
        event::Event,
        link::{Link, Lost},
        property::ManagerProperty,
        question::{CallError, MATCH_RULES, Question},
    },
    telemetry::LabelValue,
};

/// How often deferred work is done.
const TICK: Duration = Duration::from_secs(1);

/// How long a manager may be silent before the connection is given up. Not earlier, because signals
/// between two connections are lost.
const GIVE_UP: Duration = Duration::from_secs(60);

/// How long to wait for the end of a reload.
const RELOAD_LIMIT: Duration = Duration::from_secs(90);

/// How long to wait for the end of a re-execution once systemd is back on the bus.
const REEXEC_LIMIT: Duration = Duration::from_secs(5);

/// How long systemd's name on the bus may have no owner before another address is tried. A restarted
/// bus is up before systemd is on it.
const ABSENT_LIMIT: Duration = Duration::from_secs(5);

/// Why everything is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResyncReason {
    Connect,
    Reload,
    Reexec,
    Overflow,
    Interval,
}

/// One connection to a manager, from its opening to its end.
pub(super) struct Session<'a> {
    link: Link,
    shared: &'a Shared,
    address: String,
    /// Why the addresses before this one failed.
    failures: Vec<String>,
    /// Why everything is read at the start.
    reason: ResyncReason,
    subscription: Subscription,
    health: Health,
    /// Everything has been read once.
    seeded: bool,
    units: UnitListing,
    jobs: JobListing,
    files: FileListing,
    properties: ManagerProperties,
    refresh: Refresh,
    drift: Option<DriftCheck>,
    warned: Warned,
}

/// Whether there is a manager at the other end, and whether it sends signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscription {
    /// It is not known yet whether systemd's name on the bus has an owner.
    Unknown,
    /// The name has no owner. `give_up`: when to try another address, before everything was read.
    Absent { give_up: Option<Instant> },
    /// `Subscribe` is under way.
    Subscribing,
    /// `Subscribe` was not answered and is to be repeated.
    Unsubscribed,
    /// It sends signals.
    Subscribed,
}

/// How the manager behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Answering,
    /// It has not answered since then.
    Silent {
        since: Instant,
    },
    /// It has announced a reload or a re-execution and not its end.
    Reloading {
        /// When to stop waiting for the end.
        until: Instant,
        reason: ResyncReason,
    },
}

/// Properties of the manager that are to be read.
#[derive(Default)]
struct ManagerProperties {
    queue: VecDeque<ManagerProperty>,
    under_way: usize,
    /// Not answered; to be asked again with the next tick.
    later: Vec<ManagerProperty>,
}

/// When to count the corrections that no signal has explained as drift.
enum DriftCheck {
    At(Instant),
    /// At the end of the refresh under way: by then every earlier signal has come.
    WithRefresh,
}

/// Which warnings were logged, so that each is logged once.
#[derive(Default)]
struct Warned {
    /// A signal could not be decoded or believed, since the last tick.
    unreadable: bool,
    /// A signal named something that cannot be a unit.
    no_unit: bool,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("{method} failed: {error}")]
    CallFailed { method: &'static str, error: CallError },
    #[error("systemd has not answered for {} s", GIVE_UP.as_secs())]
    Silent,
    #[error("no owner of org.freedesktop.systemd1 for {} s", ABSENT_LIMIT.as_secs())]
    Absent,
}

// === impl Session ===

impl<'a> Session<'a> {
    pub(super) fn new(
        link: Link,
        shared: &'a Shared,
        address: String,
        failures: &[String],
        reason: ResyncReason,
    ) -> Self {
        Self {
            link,
            shared,
            address,
            failures: failures.to_vec(),
            reason,
            subscription: Subscription::Unknown,
            health: Health::Answering,
            seeded: false,
            units: UnitListing::default(),
            jobs: JobListing::default(),
            files: FileListing::default(),
            properties: ManagerProperties::default(),
            refresh: Refresh::default(),
            drift: None,
            warned: Warned::default(),
        }
    }

    /// Whether everything was read at least once, and whether a reload was under way at the end.
    pub(super) fn outcome(&self) -> (bool, bool) {
        (self.seeded, self.is_reloading())
    }

    /// Keeps the inventory in sync until the connection ends, and returns why it ended.
    pub(super) async fn run(
        &mut self,
        requests: &mut mpsc::Receiver<oneshot::Sender<()>>,
        reconcile_interval: Duration,
    ) -> End {
        let mut tick = ticks(TICK);
        let mut reconcile = ticks(reconcile_interval);
        let mut step = self.begin();
        loop {
            if let Err(end) = step.and_then(|()| self.ask_what_fits()) {
                return end;
            }
            self.publish();
            step = tokio::select! {
                heard = self.link.hear() => {
                    heard.map_err(End::Lost).and_then(|heard| self.take(heard))
                }
                Some(waiting) = requests.recv() => {
                    self.join_refresh(waiting);
                    Ok(())
                }
                _ = tick.tick() => self.tick(),
                _ = reconcile.tick() => self.compare(),
            };
        }
    }

    fn begin(&mut self) -> Result<(), End> {
        if !self.link.is_on_bus() {
            return self.subscribe(self.reason);
        }
        // The rules come first, so that a change of owner after the question is not missed.
        for rule in MATCH_RULES {
            self.ask(Question::Match(rule))?;
        }
        self.ask(Question::Owner)
    }

    /// Subscribes and reads everything. One connection carries both in order, so no signal after
    /// the listing can be missed.
    fn subscribe(&mut self, reason: ResyncReason) -> Result<(), End> {
        self.subscription = Subscription::Subscribing;
        self.ask(Question::Subscribe)?;
        self.resync(reason)
    }

    /// Whether there is a manager to ask.
    fn is_present(&self) -> bool {
        !matches!(self.subscription, Subscription::Unknown | Subscription::Absent { .. })
    }

    fn is_silent(&self) -> bool {
        matches!(self.health, Health::Silent { .. })
    }

    fn is_reloading(&self) -> bool {
        matches!(self.health, Health::Reloading { .. })
    }

    fn ask(&mut self, question: Question) -> Result<(), End> {
        let method = LabelValue::Borrowed(question.method());
        *self.shared.telemetry.totals().calls.entry(method).or_default() += 1;
        Ok(self.link.ask(question)?)
    }

    /// Sends as many calls as may be pending at once, first those for which a scrape waits.
    fn ask_what_fits(&mut self) -> Result<(), End> {
        let may_ask = !self.is_silent() && self.is_present();
        while may_ask && self.link.has_room() {
            if let Some(question) = self.refresh.next_question() {
                self.ask(question)?;
            } else if let Some(property) = self.properties.queue.pop_front() {
                self.properties.under_way += 1;
                self.ask(Question::Manager(property))?;
            } else {
                let next = lock(&self.shared.inventory).next_question();
                let Some((unit, property)) = next else { break };
                self.ask(Question::Unit(unit, property))?;
            }
        }
        Ok(())
    }

    /// Lets a scrape wait for the refresh under way, or begins one.
    fn join_refresh(&mut self, waiting: oneshot::Sender<()>) {
        if !self.is_silent() && self.is_present() {
            self.refresh.join(waiting);
            self.refresh.begin(&mut lock(&self.shared.inventory));
        }
        // Otherwise `waiting` is dropped, and the scrape goes on at once without an answer.
    }

    /// Does what waits for a pause. Called once a second.
    fn tick(&mut self) -> Result<(), End> {
        match self.health {
            Health::Silent { since } if since.elapsed() > GIVE_UP => return Err(End::Silent),
            // Does it answer again?
            Health::Silent { .. } => {
                return self.refresh.probe().map_or(Ok(()), |probe| self.ask(probe));
            }
            Health::Reloading { until, reason } if until < Instant::now() => {
                warn!(
                    ?reason,
                    "systemd has not announced the end of its reload: reading everything again"
                );
                self.end_reload();
                self.resync(reason)?;
            }
            Health::Answering | Health::Reloading { .. } => {}
        }
        match self.subscription {
            Subscription::Absent { give_up: Some(at) } if at < Instant::now() => {
                return Err(End::Absent);
            }
            Subscription::Unknown | Subscription::Absent { .. } => return Ok(()),
            Subscription::Unsubscribed => {
                self.subscription = Subscription::Subscribing;
                self.ask(Question::Subscribe)?;
            }
            Subscription::Subscribing | Subscription::Subscribed => {}
        }
        if std::mem::take(&mut self.warned.unreadable) {
            self.resync(ResyncReason::Overflow)?;
        }
        self.retry_listings()?;
        if matches!(self.drift, Some(DriftCheck::At(at)) if at <= Instant::now())
            && self.refresh.is_idle()
        {
            self.drift = Some(DriftCheck::WithRefresh);
            self.refresh.begin(&mut lock(&self.shared.inventory));
        }
        self.properties.queue.extend(self.properties.later.drain(..));
        lock(&self.shared.inventory).retry_deferred(clock::monotonic());
        Ok(())
    }

    /// Compares the table with a listing, unless they may differ now for a reason other than drift.
    fn compare(&mut self) -> Result<(), End> {
        let is_quiet = self.seeded
            && self.drift.is_none()
            && self.health == Health::Answering
            && self.subscription == Subscription::Subscribed
            && self.units.under_way.is_none();
        if is_quiet { self.resync(ResyncReason::Interval) } else { Ok(()) }
    }

    /// The reload is over, or is taken for over.
    fn end_reload(&mut self) {
        if self.is_reloading() {
            self.health = Health::Answering;
        }
        lock(&self.shared.inventory).apply(Event::Reloading(false), clock::monotonic());
    }

    /// Whether everything has been read for the first time.
    fn is_seed_complete(&self) -> bool {
        self.subscription == Subscription::Subscribed
            && self.units.under_way.is_none()
            && self.properties.is_idle()
            && lock(&self.shared.inventory).is_complete()
    }

    /// Publishes whether the table is in sync with systemd.
    fn publish(&mut self) {
        if !self.seeded && self.is_seed_complete() {
            self.seeded = true;
            self.warn_once_seeded();
        }
        let address = &self.address;
        let why = match self.subscription {
            Subscription::Absent { .. } => {
                format!("no owner of org.freedesktop.systemd1 on {address}")
            }
            // The table may be wrong until this is answered.
            _ if self.units.unanswered || self.jobs.unanswered => {
                format!("systemd does not list its units or jobs over {address}")
            }
            _ if self.is_silent() => format!("systemd does not answer over {address}"),
            Subscription::Subscribed if self.seeded => return self.shared.in_sync(address),
            _ => return,
        };
        self.shared.out_of_sync(why);
    }

    fn warn_once_seeded(&self) {
        if !self.failures.is_empty() {
            let failed = self.failures.join("; ");
            warn!(address = self.address, failed, "connected to another address");
        }
        if lock(&self.shared.inventory).shown_units() == 0 {
            warn!(
                "no unit passes the filters: check --systemd.collector.unit-include, \
                 unit-exclude, unit-type and slice"
            );
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut interval = interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

// === impl ManagerProperties ===

impl ManagerProperties {
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.under_way == 0 && self.later.is_empty()
    }

    /// Reads the properties that are read once after each resync.
    fn read_all(&mut self) {
        let both = |stage| [ManagerProperty::Stage(stage), ManagerProperty::StageMonotonic(stage)];
        let lasting = ManagerProperty::LASTING.iter().copied();
        self.queue = lasting.chain(BOOT_STAGES.into_iter().flat_map(both)).collect();
    }
}

// === impl ResyncReason ===

impl ResyncReason {
    pub(super) const ALL: [Self; 5] =
        [Self::Connect, Self::Reload, Self::Reexec, Self::Overflow, Self::Interval];

    /// Whether signals may have been lost. In a reload none is: systemd sends all earlier ones
    /// before it, and changes nothing during it.
    pub(super) fn may_have_missed(self) -> bool {
        matches!(self, Self::Connect | Self::Reexec | Self::Overflow)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reload => "reload",
            Self::Reexec => "reexec",
            Self::Overflow => "overflow",
            Self::Interval => "interval",
        }
    }
}
