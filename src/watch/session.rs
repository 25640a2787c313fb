//! One connection's life: subscribe, seed, apply, and re-read when systemd or the clock says so.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Interval, MissedTickBehavior, interval_at},
};
use tracing::{debug, warn};

use super::{Shared, lock, pulse::Pulse};
use crate::{
    inventory::snapshot::BOOT_STAGES,
    systemd::{
        event::Event,
        link::{Heard, Link, Lost},
        property::{ManagerProperty, Value},
        question::{Answer, CallError, ListedUnit, MATCH_RULES, Question},
    },
    telemetry::Word,
};

/// How often deferred work is looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long the signals that explain a comparison's corrections may take.
const SETTLE: Duration = Duration::from_secs(5);

/// How long a manager that says nothing is waited for before the connection is given up. While it
/// is kept, what the manager signals when it comes back is not lost.
const GIVE_UP: Duration = Duration::from_secs(60);

/// How long a reload may take before its end is no longer waited for.
const RELOAD_LIMIT: Duration = Duration::from_secs(90);

/// The same for a re-execution, from when systemd is back on the bus.
const REEXEC_LIMIT: Duration = Duration::from_secs(5);

/// Why everything is read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
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
    way: String,
    /// Why the ways before this one did not open.
    failures: Vec<String>,
    handshake: Handshake,
    listing: Listing,
    jobs: Jobs,
    manager: VecDeque<ManagerProperty>,
    manager_under_way: usize,
    pulse: Pulse,
    /// Everything has been read once.
    seeded: bool,
    /// Since when nothing has been heard in answer to calls.
    silent_since: Option<Instant>,
    reload: Option<Reload>,
    /// When to count what a comparison corrected and no signal has explained.
    settle: Option<Settle>,
    /// A signal could not be read, so what it said is unknown.
    unreadable: bool,
}

/// What is done before anything is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handshake {
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
struct Listing {
    under_way: Option<Reason>,
    wanted: Option<Reason>,
}

#[derive(Default)]
struct Jobs {
    under_way: bool,
    wanted: bool,
    /// Whether the listing under way is part of a comparison.
    comparing: bool,
}

/// A reload or a re-execution that systemd has announced.
#[derive(Clone, Copy)]
struct Reload {
    /// When its end is no longer waited for.
    until: Instant,
    /// What it turned out to be.
    reason: Reason,
}

enum Settle {
    At(Instant),
    /// With the end of the pulse under way: whatever was to be signalled has been.
    WithPulse,
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
}

// === impl Session ===

impl<'a> Session<'a> {
    pub(super) fn new(link: Link, shared: &'a Shared, way: String, failures: &[String]) -> Self {
        Self {
            link,
            shared,
            way,
            failures: failures.to_vec(),
            handshake: Handshake::UnderWay,
            listing: Listing::default(),
            jobs: Jobs::default(),
            manager: VecDeque::new(),
            manager_under_way: 0,
            pulse: Pulse::default(),
            seeded: false,
            silent_since: None,
            reload: None,
            settle: None,
            unreadable: false,
        }
    }

    /// Whether the table was ever true, and whether a reload was under way at the end.
    pub(super) fn ended(&self) -> (bool, bool) {
        (self.seeded, self.reload.is_some())
    }

    /// Keeps the inventory true until the connection ends, and says why it ended.
    pub(super) async fn run(
        &mut self,
        reason: Reason,
        requests: &mut mpsc::Receiver<oneshot::Sender<()>>,
        reconcile_interval: Duration,
    ) -> End {
        let mut tick = ticks(TICK);
        let mut reconcile = ticks(reconcile_interval);
        let mut step = self.begin(reason);
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
                    self.join_pulse(waiting);
                    Ok(())
                }
                _ = tick.tick() => self.tick(),
                _ = reconcile.tick() => self.compare(),
            };
        }
    }

    /// Subscribes and asks for everything. One connection carries all of it in order, so nothing
    /// that is signalled after the listing was made can be missed.
    fn begin(&mut self, reason: Reason) -> Result<(), End> {
        if self.link.is_on_bus() {
            self.ask(Question::Owner)?;
            for rule in MATCH_RULES {
                self.ask(Question::Match(rule))?;
            }
        }
        self.ask(Question::Subscribe)?;
        self.want_listing(reason)
    }

    fn ask(&mut self, question: Question) -> Result<(), End> {
        let method = Word::Borrowed(question.method());
        *self.shared.telemetry.totals().calls.entry(method).or_default() += 1;
        Ok(self.link.ask(question)?)
    }

    /// Asks for everything anew, once what is under way is answered.
    fn want_listing(&mut self, reason: Reason) -> Result<(), End> {
        if self.listing.under_way.is_some() {
            self.listing.wanted = Some(reason);
            return Ok(());
        }
        debug!(?reason, "reading everything");
        self.listing = Listing { under_way: Some(reason), wanted: None };
        self.ask(Question::Units)?;
        self.jobs.comparing = reason == Reason::Interval;
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
        while self.link.has_room() && self.silent_since.is_none() {
            if let Some(question) = self.pulse.next_question() {
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

    fn take(&mut self, heard: Heard) -> Result<(), End> {
        match heard {
            Heard::Signal { member, at, event } => {
                self.speaks();
                match event {
                    Ok(Some(event)) => self.apply(event)?,
                    Ok(None) => {}
                    Err(error) => {
                        warn!(signal = member, %error, "systemd sent what cannot be read");
                        self.unreadable = true;
                    }
                }
                let mut totals = self.shared.telemetry.totals();
                *totals.events.entry(Word::Borrowed(member)).or_default() += 1;
                totals.event_lag.observe(at.elapsed());
                Ok(())
            }
            Heard::Answer(question, answer) => {
                match &answer {
                    Err(CallError::Deadline) => self.falls_silent(),
                    _ => self.speaks(),
                }
                if let Err(error) = &answer {
                    debug!(?question, %error, "a call brought nothing");
                    let mut totals = self.shared.telemetry.totals();
                    totals.count_call_error(question.method(), error.name());
                }
                self.take_answer(question, answer)
            }
            Heard::Overflow => {
                warn!("signals came faster than they were taken in: reading everything anew");
                // What was dropped may have been the end of a reload, or who speaks for systemd.
                self.reload = None;
                lock(&self.shared.inventory).apply(Event::Reloading(false));
                if self.link.is_on_bus() {
                    self.ask(Question::Owner)?;
                }
                self.want_listing(Reason::Overflow)
            }
        }
    }

    fn apply(&mut self, event: Event) -> Result<(), End> {
        let then = match &event {
            Event::Reloading(true) => {
                let until = Instant::now() + RELOAD_LIMIT;
                self.reload = Some(Reload { until, reason: Reason::Reload });
                None
            }
            Event::Reloading(false) => {
                Some(self.reload.take().map_or(Reason::Reload, |reload| reload.reason))
            }
            Event::OwnerChanged { present: true } => {
                self.handshake = Handshake::UnderWay;
                self.ask(Question::Subscribe)?;
                match &mut self.reload {
                    // The end of a re-execution is announced like that of a reload.
                    Some(reload) => {
                        let until = Instant::now() + REEXEC_LIMIT;
                        *reload = Reload { until, reason: Reason::Reexec };
                        None
                    }
                    None => Some(Reason::Reexec),
                }
            }
            Event::OwnerChanged { present: false } => {
                self.handshake = Handshake::Absent;
                None
            }
            Event::StartupFinished => {
                self.manager = facts().collect();
                None
            }
            _ => None,
        };
        let queued = matches!(event, Event::JobNew { .. });
        lock(&self.shared.inventory).apply(event);
        if queued && !self.jobs.under_way {
            self.ask_jobs()?;
        } else if queued {
            self.jobs.wanted = true;
        }
        then.map_or(Ok(()), |reason| self.want_listing(reason))
    }

    fn take_answer(
        &mut self,
        question: Question,
        answer: Result<Answer, CallError>,
    ) -> Result<(), End> {
        self.pulse.answered(&question);
        let method = question.method();
        match (question, answer) {
            (Question::Subscribe, Ok(_)) => self.handshake = Handshake::Done,
            (Question::Subscribe, Err(error)) if self.seeded && error.is_passing() => {
                if self.handshake == Handshake::UnderWay {
                    self.handshake = Handshake::Wanted;
                }
            }
            (Question::Units, Ok(Answer::Units(units))) => self.take_listing(units)?,
            (Question::Units, Err(error)) if self.seeded && error.is_passing() => {
                // Asked for again with the next tick.
                let lost = self.listing.under_way.take();
                self.listing.wanted = self.listing.wanted.or(lost);
            }
            (Question::Jobs, Ok(Answer::Jobs(jobs))) => {
                self.jobs.under_way = false;
                let gone = lock(&self.shared.inventory).adopt_jobs(jobs);
                if std::mem::take(&mut self.jobs.comparing) {
                    self.count_drift("job", gone);
                }
                let unknown = lock(&self.shared.inventory).has_unknown_jobs();
                if self.jobs.wanted || unknown {
                    self.ask_jobs()?;
                }
            }
            (Question::Jobs, Err(error)) if self.seeded && error.is_passing() => {
                self.jobs.under_way = false;
                self.jobs.wanted = true;
            }
            (Question::Unit(unit, property), answer) => {
                let value = match answer {
                    Ok(Answer::Value(value)) => Ok(value),
                    Ok(_) => Ok(Value::Nothing),
                    Err(error) => Err(error),
                };
                lock(&self.shared.inventory).answer(&unit, property, value);
            }
            (Question::Manager(property), answer) => {
                // Also for those of a pulse, of which there is none before all has been read.
                self.manager_under_way = self.manager_under_way.saturating_sub(1);
                let value = match answer {
                    Ok(Answer::Value(value)) => value,
                    // A property that this systemd does not have is absent, and so is one that
                    // was not answered: what it said before is no longer known.
                    _ => Value::Nothing,
                };
                lock(&self.shared.inventory).learn_manager(property, &value);
            }
            (_, Err(error)) => return Err(End::Refused { method, error }),
            (_, Ok(_)) => {}
        }
        self.end_pulse();
        Ok(())
    }

    fn take_listing(&mut self, units: Vec<ListedUnit>) -> Result<(), End> {
        let Some(reason) = self.listing.under_way.take() else { return Ok(()) };
        if reason == Reason::Interval {
            let gone = lock(&self.shared.inventory).compare(units);
            self.count_drift("presence", gone);
            self.settle = Some(Settle::At(Instant::now() + SETTLE));
        } else {
            lock(&self.shared.inventory).adopt(units);
            self.manager = facts().collect();
        }
        let reason = Word::Borrowed(reason.as_str());
        *self.shared.telemetry.totals().resyncs.entry(reason).or_default() += 1;
        self.listing.wanted.take().map_or(Ok(()), |wanted| self.want_listing(wanted))
    }

    fn count_drift(&self, field: &'static str, count: usize) {
        if count > 0 {
            warn!(field, count, "the table had drifted from what systemd says");
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            let mut totals = self.shared.telemetry.totals();
            *totals.drift.entry(Word::Borrowed(field)).or_default() += count;
        }
    }

    /// Lets a scrape wait for a round of questions, which it shares with all who come meanwhile.
    fn join_pulse(&mut self, waiting: oneshot::Sender<()>) {
        if self.silent_since.is_none() && self.handshake != Handshake::Absent {
            self.pulse.join(waiting);
            self.pulse.begin(&lock(&self.shared.inventory));
        }
        // Otherwise it is dropped, and so learns at once that there is no answer.
    }

    fn end_pulse(&mut self) {
        if self.pulse.end() && matches!(self.settle, Some(Settle::WithPulse)) {
            self.settle = None;
            for field in lock(&self.shared.inventory).take_suspects() {
                self.count_drift(field, 1);
            }
        }
    }

    fn falls_silent(&mut self) {
        // A manager that reloads says so first, and answers afterwards.
        if self.reload.is_none() {
            self.silent_since.get_or_insert_with(Instant::now);
            self.pulse.give_up();
        }
    }

    fn speaks(&mut self) {
        self.silent_since = None;
    }

    /// Does what waits for a pause.
    fn tick(&mut self) -> Result<(), End> {
        if self.silent_since.is_some_and(|since| since.elapsed() > GIVE_UP) {
            return Err(End::Silent);
        }
        if let Some(Reload { until, reason }) = self.reload
            && until < Instant::now()
        {
            warn!(?reason, "systemd has not said that it is done: reading everything anew");
            self.reload = None;
            lock(&self.shared.inventory).apply(Event::Reloading(false));
            self.want_listing(reason)?;
        }
        if self.silent_since.is_some() {
            // Does it speak again?
            return self.pulse.probe().map_or(Ok(()), |probe| self.ask(probe));
        }
        if self.handshake == Handshake::Absent {
            return Ok(());
        }
        if self.handshake == Handshake::Wanted {
            self.handshake = Handshake::UnderWay;
            self.ask(Question::Subscribe)?;
        }
        if std::mem::take(&mut self.unreadable) {
            self.want_listing(Reason::Overflow)?;
        }
        if self.listing.under_way.is_none()
            && let Some(wanted) = self.listing.wanted
        {
            self.want_listing(wanted)?;
        }
        if self.jobs.wanted && !self.jobs.under_way {
            self.ask_jobs()?;
        }
        if matches!(self.settle, Some(Settle::At(at)) if at <= Instant::now())
            && self.pulse.is_idle()
        {
            self.settle = Some(Settle::WithPulse);
            self.pulse.begin(&lock(&self.shared.inventory));
        }
        lock(&self.shared.inventory).retry_deferred();
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
        if quiet { self.want_listing(Reason::Interval) } else { Ok(()) }
    }

    /// Says whether the table is in step with systemd.
    fn publish(&mut self) {
        if !self.seeded
            && self.handshake == Handshake::Done
            && self.listing.under_way.is_none()
            && self.manager.is_empty()
            && self.manager_under_way == 0
            && lock(&self.shared.inventory).is_complete()
        {
            self.seeded = true;
            if !self.failures.is_empty() {
                warn!(way = self.way, failed = self.failures.join("; "), "using another way in");
            }
            if lock(&self.shared.inventory).exported() == 0 {
                warn!(
                    "no unit passes the filters: check --systemd.collector.unit-include and \
                     --systemd.collector.unit-exclude"
                );
            }
        }
        if self.silent_since.is_some() {
            self.shared.out_of_step(format!("systemd does not answer over {}", self.way));
        } else if self.handshake == Handshake::Absent {
            self.shared.out_of_step(format!("nobody speaks for systemd on {}", self.way));
        } else if self.seeded && self.handshake == Handshake::Done {
            self.shared.in_step(&self.way);
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
    use ManagerProperty as P;
    let words = [
        P::Version,
        P::Architecture,
        P::Virtualization,
        P::ConfidentialVirtualization,
        P::Tainted,
        P::ControlGroup,
        P::FailedUnits,
        P::WatchdogDevice,
    ];
    let both = |stage| [P::Stage(stage), P::StageMonotonic(stage)];
    words.into_iter().chain(BOOT_STAGES.into_iter().flat_map(both))
}

// === impl Reason ===

impl Reason {
    pub(super) const ALL: [Self; 5] =
        [Self::Connect, Self::Reload, Self::Reexec, Self::Overflow, Self::Interval];

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
