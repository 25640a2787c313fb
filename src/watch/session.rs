//! One connection's life: subscribe, seed, apply, and re-read when systemd or the clock says so.

mod incoming;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Interval, MissedTickBehavior, interval_at},
};
use tracing::{debug, warn};

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

/// How often deferred work is looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long the unit files are not listed again, whatever is changed meanwhile: systemd reads every
/// one of them for it.
const FILES_PAUSE: Duration = Duration::from_secs(10);

/// How long the signals that explain a comparison's corrections may take.
const SETTLE: Duration = Duration::from_secs(5);

/// How long a manager that says nothing is waited for before the connection is given up. While it
/// is kept, what the manager signals when it comes back is not lost.
const GIVE_UP: Duration = Duration::from_secs(60);

/// How long a reload may take before its end is no longer waited for.
const RELOAD_LIMIT: Duration = Duration::from_secs(90);

/// The same for a re-execution, from when systemd is back on the bus.
const REEXEC_LIMIT: Duration = Duration::from_secs(5);

/// How long a bus on which nobody speaks for systemd is given before another way in is tried. A
/// bus that has been restarted is there before systemd is back on it.
const ABSENT_LIMIT: Duration = Duration::from_secs(5);

/// Why everything is read anew.
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
    /// Why the ways before this one did not open.
    failures: Vec<String>,
    /// Why everything is to be read at first.
    reason: ResyncReason,
    handshake: Handshake,
    /// Until when somebody to speak for systemd is waited for, before anything has been read.
    absent_until: Option<Instant>,
    listing: UnitListing,
    jobs: JobListing,
    files: FileListing,
    /// What is to be read of the manager itself.
    manager: VecDeque<ManagerProperty>,
    manager_under_way: usize,
    /// The same, with the next tick.
    manager_later: Vec<ManagerProperty>,
    refresh: Refresh,
    /// Everything has been read once.
    seeded: bool,
    /// Since when nothing has been heard in answer to calls.
    silent_since: Option<Instant>,
    reload: Option<AnnouncedReload>,
    /// When to count what a comparison corrected and no signal has explained.
    settle: Option<Settle>,
    /// A signal could not be read, or not be believed, so what is true instead is unknown.
    unreadable: bool,
    /// A signal was about what cannot be a unit.
    odd: bool,
}

/// What is done before anything is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handshake {
    /// It is not known yet whether anybody speaks for systemd.
    Unknown,
    /// Somebody speaks for systemd, and knows that we listen.
    Done,
    /// Nobody speaks for systemd.
    Absent,
    /// `Subscribe` is to be called again.
    Wanted,
    /// It has been called.
    UnderWay,
}

#[derive(Default)]
struct UnitListing {
    under_way: Option<ResyncReason>,
    wanted: Option<ResyncReason>,
    /// It was not answered the last time.
    unanswered: bool,
    /// How many units there should be: those of the last one, and what was signalled since.
    units: usize,
    /// The one under way is by type, because systemd refused to list all units.
    parts: Option<Parts>,
}

/// A listing of units by type.
struct Parts {
    /// Why systemd refused to list all of them.
    why: CallError,
    /// How many types it has not answered for yet.
    pending: usize,
    /// How many units it has listed.
    units: usize,
    /// How many units had gone without a signal.
    gone: usize,
    /// How many types it refused to list as well.
    refused: usize,
    /// Why it did not answer for some type.
    unanswered: Option<CallError>,
}

#[derive(Default)]
struct JobListing {
    under_way: bool,
    wanted: bool,
    /// The listing was not answered the last time.
    unanswered: bool,
    /// How many there should be, as for units.
    count: usize,
    /// Whether the listing under way is part of a comparison.
    comparing: bool,
}

#[derive(Default)]
struct FileListing {
    /// They have changed, or may have.
    wanted: bool,
    /// When they were listed last.
    listed: Option<Instant>,
}

/// A reload or a re-execution that systemd has announced.
#[derive(Clone, Copy)]
struct AnnouncedReload {
    /// When its end is no longer waited for.
    until: Instant,
    /// What it turned out to be.
    reason: ResyncReason,
}

enum Settle {
    At(Instant),
    /// With the end of the pulse under address: whatever was to be signalled has been.
    WithRefresh,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("{method} failed: {error}")]
    Refused { method: &'static str, error: CallError },
    #[error("systemd has not answered for {} s", GIVE_UP.as_secs())]
    Silent,
    #[error("nobody has spoken for systemd for {} s", ABSENT_LIMIT.as_secs())]
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
            handshake: Handshake::Unknown,
            absent_until: None,
            listing: UnitListing::default(),
            jobs: JobListing::default(),
            files: FileListing::default(),
            manager: VecDeque::new(),
            manager_under_way: 0,
            manager_later: Vec::new(),
            refresh: Refresh::default(),
            seeded: false,
            silent_since: None,
            reload: None,
            settle: None,
            unreadable: false,
            odd: false,
        }
    }

    /// Whether the table was ever true, and whether a reload was under way at the end.
    pub(super) fn ended(&self) -> (bool, bool) {
        (self.seeded, self.reload.is_some())
    }

    /// Keeps the inventory true until the connection ends, and says why it ended.
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

    /// Begins to listen; on a bus, to whoever speaks for systemd there.
    fn begin(&mut self) -> Result<(), End> {
        if !self.link.is_on_bus() {
            return self.subscribe(self.reason);
        }
        // Listening first and asking then misses no change in between.
        for rule in MATCH_RULES {
            self.ask(Question::Match(rule))?;
        }
        self.ask(Question::Owner)
    }

    /// Subscribes and asks for everything. One connection carries all of it in order, so nothing
    /// that is signalled after the listing was made can be missed.
    fn subscribe(&mut self, reason: ResyncReason) -> Result<(), End> {
        self.handshake = Handshake::UnderWay;
        self.ask(Question::Subscribe)?;
        self.want_listing(reason)
    }

    /// Whether there is somebody to ask.
    fn is_present(&self) -> bool {
        !matches!(self.handshake, Handshake::Unknown | Handshake::Absent)
    }

    fn ask(&mut self, question: Question) -> Result<(), End> {
        let method = LabelValue::Borrowed(question.method());
        *self.shared.telemetry.totals().calls.entry(method).or_default() += 1;
        Ok(self.link.ask(question)?)
    }

    /// Asks for everything anew, once what is under way is answered.
    fn want_listing(&mut self, reason: ResyncReason) -> Result<(), End> {
        if reason.may_have_missed() {
            lock(&self.shared.inventory).invalidate_all();
        }
        if self.listing.under_way.is_some() {
            // Whatever else may be wanted, what was missed must not be forgotten.
            if !self.listing.wanted.is_some_and(ResyncReason::may_have_missed) {
                self.listing.wanted = Some(reason);
            }
            return Ok(());
        }
        debug!(?reason, "reading everything");
        self.listing.under_way = Some(reason);
        self.listing.wanted = None;
        if reason.may_have_missed() {
            // Is it the same manager as before, and has the clock been set since it began? Asked
            // first, so that it is known before the rest.
            for began in [ManagerProperty::Stage, ManagerProperty::StageMonotonic] {
                self.manager_under_way += 1;
                self.ask(Question::Manager(began("Userspace")))?;
            }
        }
        if self.link.is_on_bus() && lock(&self.shared.inventory).wants().problems {
            // No signal says that these have changed.
            self.ask(Question::ActivatableNames)?;
        }
        self.ask(Question::Units)?;
        self.jobs.comparing = reason == ResyncReason::Interval;
        self.ask_jobs()
    }

    fn ask_jobs(&mut self) -> Result<(), End> {
        if self.jobs.under_way {
            self.jobs.wanted = true;
            return Ok(());
        }
        self.jobs.under_way = true;
        self.jobs.wanted = false;
        self.ask(Question::Jobs)
    }

    /// Fills the calls that may be under way at once, first with what somebody waits for.
    fn ask_what_fits(&mut self) -> Result<(), End> {
        let heard_of = self.silent_since.is_none() && self.is_present();
        while heard_of && self.link.has_room() {
            if let Some(question) = self.refresh.next_question() {
                self.ask(question)?;
            } else if let Some(property) = self.manager.pop_front() {
                self.manager_under_way += 1;
                self.ask(Question::Manager(property))?;
            } else {
                let next = lock(&self.shared.inventory).next_question();
                let Some((unit, property)) = next else { break };
                self.ask(Question::Unit(unit, property))?;
            }
        }
        Ok(())
    }

    /// Lets a scrape wait for a round of questions, which it shares with all who come meanwhile.
    fn join_refresh(&mut self, waiting: oneshot::Sender<()>) {
        if self.silent_since.is_none() && self.is_present() {
            self.refresh.join(waiting);
            self.refresh.begin(&mut lock(&self.shared.inventory));
        }
        // Otherwise it is dropped, and so learns at once that there is no answer.
    }

    /// Does what waits for a pause.
    fn tick(&mut self) -> Result<(), End> {
        if self.silent_since.is_some_and(|since| since.elapsed() > GIVE_UP) {
            return Err(End::Silent);
        }
        if let Some(AnnouncedReload { until, reason }) = self.reload
            && until < Instant::now()
        {
            warn!(?reason, "systemd has not said that it is done: reading everything anew");
            self.reload = None;
            lock(&self.shared.inventory).apply(Event::Reloading(false), clock::monotonic());
            self.want_listing(reason)?;
        }
        if self.silent_since.is_some() {
            // Does it speak again?
            return self.refresh.probe().map_or(Ok(()), |probe| self.ask(probe));
        }
        if self.absent_until.is_some_and(|until| until < Instant::now()) {
            return Err(End::Absent);
        }
        if !self.is_present() {
            return Ok(());
        }
        if self.handshake == Handshake::Wanted {
            self.handshake = Handshake::UnderWay;
            self.ask(Question::Subscribe)?;
        }
        if std::mem::take(&mut self.unreadable) {
            self.want_listing(ResyncReason::Overflow)?;
        }
        if self.listing.under_way.is_none()
            && let Some(wanted) = self.listing.wanted
        {
            self.want_listing(wanted)?;
        }
        if self.jobs.wanted && !self.jobs.under_way {
            self.ask_jobs()?;
        }
        let listed_lately = self.files.listed.is_some_and(|at| at.elapsed() < FILES_PAUSE);
        if self.files.wanted && self.seeded && !listed_lately && self.reload.is_none() {
            self.files = FileListing { wanted: false, listed: Some(Instant::now()) };
            self.ask(Question::UnitFiles)?;
        }
        if matches!(self.settle, Some(Settle::At(at)) if at <= Instant::now())
            && self.refresh.is_idle()
        {
            self.settle = Some(Settle::WithRefresh);
            self.refresh.begin(&mut lock(&self.shared.inventory));
        }
        self.manager.extend(self.manager_later.drain(..));
        lock(&self.shared.inventory).retry_deferred(clock::monotonic());
        Ok(())
    }

    /// Compares the table with a listing, unless something else makes the two differ just now.
    fn compare(&mut self) -> Result<(), End> {
        let quiet = self.seeded
            && self.settle.is_none()
            && self.silent_since.is_none()
            && self.reload.is_none()
            && self.handshake == Handshake::Done
            && self.listing.under_way.is_none();
        if quiet { self.want_listing(ResyncReason::Interval) } else { Ok(()) }
    }

    /// Says whether the table is in sync with systemd.
    fn publish(&mut self) {
        if !self.seeded
            && self.handshake == Handshake::Done
            && self.listing.under_way.is_none()
            && self.manager.is_empty()
            && self.manager_under_way == 0
            && self.manager_later.is_empty()
            && lock(&self.shared.inventory).is_complete()
        {
            self.seeded = true;
            if !self.failures.is_empty() {
                warn!(
                    address = self.address,
                    failed = self.failures.join("; "),
                    "using another way in"
                );
            }
            if lock(&self.shared.inventory).exported() == 0 {
                warn!(
                    "no unit passes the filters: check --systemd.collector.unit-include, \
                     unit-exclude, unit-type and slice"
                );
            }
        }
        if self.handshake == Handshake::Absent {
            self.shared.out_of_sync(format!("nobody speaks for systemd on {}", self.address));
        } else if self.listing.unanswered || self.jobs.unanswered {
            // Whatever else it says: what is known may be wrong until this is answered.
            let address = &self.address;
            self.shared.out_of_sync(format!("systemd does not list what it has over {address}"));
        } else if self.silent_since.is_some() {
            self.shared.out_of_sync(format!("systemd does not answer over {}", self.address));
        } else if self.seeded && self.handshake == Handshake::Done {
            self.shared.in_sync(&self.address);
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut interval = interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// What is read of the manager itself, besides what each scrape asks.
fn facts() -> impl Iterator<Item = ManagerProperty> {
    let both = |stage| [ManagerProperty::Stage(stage), ManagerProperty::StageMonotonic(stage)];
    let lasting = ManagerProperty::LASTING.iter().copied();
    lasting.chain(BOOT_STAGES.into_iter().flat_map(both))
}

// === impl ResyncReason ===

impl ResyncReason {
    pub(super) const ALL: [Self; 5] =
        [Self::Connect, Self::Reload, Self::Reexec, Self::Overflow, Self::Interval];

    /// Whether signals may have been missed, so that nothing is certain any longer. While systemd
    /// reloads nothing goes on, and it says all that went on before.
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
