//! A unit's row together with what is not known of it yet and what of it has been counted.

use std::{num::NonZeroU32, sync::Arc};

use super::{
    counters::{Counters, Delta, Exit},
    cursor::{Between, Cursor, Facts},
    gone::GoneUnit,
    jobs::UnitView,
    reloads::Reload,
    unit::{Details, IpCounters, Unit},
    wanted_inactive::InactiveFacts,
};
use crate::clock::Usec;
use crate::systemd::{
    listing::ListedUnit,
    name::{UnitName, UnitType},
    property::{PropertySet, UnitProperty, Value},
    state::{ActiveState, ExitCode, JobResult, LoadState, RunResult},
};

/// A unit and what is known about the knowledge of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) unit: Arc<Unit>,
    /// Whether it passes the filters that look at its name.
    pub(super) admitted: bool,
    /// It was listed when everything was last read, and has not been known in full since: the table
    /// is not whole without it.
    pub(super) is_seed: bool,
    /// Its `UnitNew` has been heard, or was sent before anybody listened.
    pub(super) announced: bool,
    /// Its state has been known at least once; until then it is not shown.
    pub(super) known: bool,
    /// What is known of it and certainly still true.
    pub(super) current: PropertySet,
    /// What systemd would not tell; asking again would be idle.
    pub(super) unavailable: PropertySet,
    /// What nobody wants to be told.
    pub(super) unneeded: PropertySet,
    /// What of it has been asked for and not answered.
    pub(super) asked: PropertySet,
    /// Whether it waits in `unread`.
    pub(super) queued: bool,
    /// It is not asked about before this time, in microseconds since boot.
    not_before: Option<Usec>,
    /// What the stamps of the monotonic clock are derived with from those of the time of day, so
    /// that they need not be asked.
    pub(super) clock_offset: Option<Usec>,
    /// That its ActiveExitTimestamp is 0 is presumed, and was not asked.
    pub(super) is_exit_presumed: bool,
    pub(super) run: Run,
    /// It has been inactive and in memory for long enough to be asked what wants it.
    pub(super) lasts: bool,
    /// What decides whether it should run while it is inactive.
    pub(super) rest: Option<Box<InactiveFacts>>,
    /// Signals may have been missed since it was last counted.
    after_gap: bool,
    /// Runs that ended while nobody looked: failures, if what the unit's file says of restarts
    /// tells that no success is followed by one.
    unseen: u64,
    /// Shared with the records of it that are being written.
    cursor: Arc<Cursor>,
    /// What has happened to it and is not in its sum: it is not known yet whether it passes the
    /// filters.
    pub(super) not_rolled_up: Option<Box<Counters>>,
    /// What was answered of its runs after a gap, to be answered again before it is counted.
    confirming: Option<Box<Facts>>,
    /// What was counted of the unit of this name that left last: should this be the same one
    /// after all, counting goes on from there.
    before: Option<Arc<Cursor>>,
    /// The slice that the unit of its name was in that left last, until its own is known.
    slice: Option<UnitName>,
    /// When the unit of its name left that it goes on from, as long as it is not known to be back.
    left: Option<Usec>,
    pub(super) accepts_connections: bool,
    /// Something has been heard since its connections were asked for that may have changed them.
    pub(super) may_have_changed: bool,
    pub(super) counts_ip: bool,
    /// It has to tell systemd again and again that it lives.
    has_watchdog: bool,
    /// Fields that a comparison had to correct, until a signal explains why.
    pub(super) drift_candidates: Vec<&'static str>,
}

/// What is known of a unit's runs and not shown as it is.
#[derive(Debug, Default)]
pub(super) struct Run {
    invocation: u128,
    pub(super) restarts: u64,
    exit_time: Option<Usec>,
    exit_code: Option<ExitCode>,
    exit_status: u64,
    /// `ReloadResult`, if it has been signalled since everything was read.
    reload_result: Option<RunResult>,
    job: Option<NonZeroU32>,
    /// `Restart` is one of those that follow a failure only.
    after_failure: bool,
    /// `RestartForceExitStatus` may make a success one that is followed by a restart as well.
    forced: bool,
}

/// What makes a unit be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// A signal: everything in it is of one moment.
    Signal,
    /// An answer, or a listing.
    Answer,
    /// No signal has come for a while.
    Silence,
}

/// What came of counting.
#[derive(Debug)]
pub(super) enum Counting {
    /// Nothing has happened, or not enough is known.
    Nothing,
    /// This has happened.
    Delta(Delta),
    /// What is known can be read in two ways: the next signal tells, or that none comes.
    Later,
}

// === impl Entry ===

impl Entry {
    /// A unit of which nothing but its name is known, and what was counted of it, or of one of its
    /// name.
    pub(super) fn new(name: UnitName, admitted: bool, cursor: Arc<Cursor>) -> Self {
        Self {
            unit: Arc::new(Unit::new(name)),
            admitted,
            announced: true,
            is_seed: false,
            known: false,
            current: PropertySet::PRESUMED,
            unavailable: PropertySet::EMPTY,
            unneeded: PropertySet::EMPTY,
            asked: PropertySet::EMPTY,
            queued: false,
            not_before: None,
            clock_offset: None,
            is_exit_presumed: false,
            run: Run::default(),
            lasts: false,
            rest: None,
            after_gap: true,
            unseen: 0,
            cursor,
            not_rolled_up: None,
            confirming: None,
            before: None,
            slice: None,
            left: None,
            accepts_connections: false,
            may_have_changed: true,
            counts_ip: false,
            has_watchdog: false,
            drift_candidates: Vec::new(),
        }
    }

    /// Lets it go on from what is remembered of a unit of its name.
    pub(super) fn succeed(&mut self, past: GoneUnit) {
        Arc::make_mut(&mut self.unit).counters = past.counters;
        self.before = Some(past.cursor);
        self.slice = past.slice;
        self.left = Some(past.left);
    }

    /// A unit that an earlier life of the exporter knew, and what was counted of it then.
    pub(super) fn recalled(name: UnitName, admitted: bool, past: GoneUnit) -> Self {
        let mut entry = Self::new(name, admitted, past.cursor);
        entry.slice = past.slice;
        Arc::make_mut(&mut entry.unit).counters = past.counters;
        entry
    }

    /// Takes it for a unit of a manager that has just begun.
    pub(super) fn restart_counting(&mut self) {
        self.cursor = Cursor::fresh().into();
        self.before = None;
    }

    /// What has been counted of it.
    pub(super) fn cursor(&self) -> &Arc<Cursor> {
        &self.cursor
    }

    /// What is to be remembered of it when it leaves.
    pub(super) fn leave(&self, now: Usec) -> GoneUnit {
        GoneUnit {
            counters: Arc::clone(&self.unit.counters),
            cursor: Arc::clone(&self.cursor),
            admitted: self.admitted,
            slice: self.slice().cloned(),
            left: self.left.filter(|_| !self.known).unwrap_or(now),
        }
    }

    /// The slice that it is in, as far as that is known.
    pub(super) fn slice(&self) -> Option<&UnitName> {
        self.unit.slice.as_ref().or(self.slice.as_ref())
    }

    pub(super) fn is_exported(&self) -> bool {
        self.admitted && self.unit.is_visible()
    }

    /// How it stands, as far as that tells what a job does to it.
    pub(super) fn view(&self) -> UnitView {
        UnitView {
            state: self.unit.active_state.clone(),
            // A restart of its own, since version 254, is a start.
            restarting: &*self.unit.sub_state == "auto-restart",
            invocation: self.run.invocation,
            tested: self.rest.as_ref().and_then(|rest| rest.tried_at()),
            reload_failed: self.failed_reload().is_some(),
        }
    }

    /// Counts a start that was refused because there were too many: systemd tells that of the
    /// unit only if it had not failed before.
    pub(super) fn count_refusal(&mut self) -> Delta {
        let mut delta = Delta::default();
        delta.failures.add(&RunResult::StartLimitHit, 1);
        Arc::make_mut(&mut Arc::make_mut(&mut self.unit).counters).add(&delta);
        delta
    }

    /// Whether systemd may drop it at any moment: nothing of it runs, and no job is queued for it.
    pub(super) fn may_leave(&self) -> bool {
        self.unit.active_state.is_at_rest() && self.run.job.is_none()
    }

    /// Asks nothing about it before this time, in microseconds since boot: it may have left memory. What
    /// happens to it meanwhile does not put that off.
    pub(super) fn defer(&mut self, not_before: Usec) {
        self.not_before.get_or_insert(not_before);
    }

    /// Asks about it whenever something is missing.
    pub(super) fn ask_now(&mut self) {
        self.not_before = None;
    }

    /// Whether it may be asked about at this time.
    pub(super) fn is_due(&mut self, now: Usec) -> bool {
        self.not_before.take_if(|at| *at <= now);
        let is_due = self.not_before.is_none();
        self.known |= is_due && self.current.contains(PropertySet::STATE);
        is_due
    }

    /// What is to be asked now.
    pub(super) fn to_ask(&self) -> PropertySet {
        // The table is not whole without a seed, however often that comes to rest.
        if self.not_before.is_some() && !self.is_seed {
            return PropertySet::EMPTY;
        }
        self.missing()
    }

    /// Counts a failed reload by its job, unless it has been counted by its result.
    pub(super) fn count_reload_job(&mut self, job: u32, result: &JobResult) -> Delta {
        let mut delta = Delta::default();
        let is_under_way = self.unit.active_state.is_reloading();
        let failed = matches!(result, JobResult::Failed | JobResult::Timeout);
        let Some(job) = NonZeroU32::new(job).filter(|_| failed) else { return delta };
        if !Arc::make_mut(&mut self.cursor).reloads.fail(job, is_under_way) {
            return delta;
        }
        let by_job = RunResult::from(result.as_str());
        let why = self.failed_reload().filter(|_| !is_under_way).cloned().unwrap_or(by_job);
        delta.reload_failures.add(&why, 1);
        Arc::make_mut(&mut Arc::make_mut(&mut self.unit).counters).add(&delta);
        delta
    }

    /// `ReloadResult`, if it is known and a failure.
    fn failed_reload(&self) -> Option<&RunResult> {
        self.run.reload_result.as_ref().filter(|result| result.is_failure())
    }

    /// What is to be asked.
    pub(super) fn missing(&self) -> PropertySet {
        self.wanted().without(self.answered()).without(self.asked)
    }

    /// Takes in whether all that is wanted of it has been known once, or will never be.
    pub(super) fn note_read(&mut self) {
        self.is_seed = self.is_seed && !self.wanted().without(self.answered()).is_empty();
    }

    /// What is wanted of it.
    fn wanted(&self) -> PropertySet {
        let mut wanted = PropertySet::STATE;
        let failed_to_load =
            matches!(self.unit.load_state, LoadState::Error | LoadState::BadSetting);
        if self.admitted && failed_to_load && self.current.has(UnitProperty::LoadState) {
            wanted = wanted.with(UnitProperty::LoadError);
        }
        if !self.is_exported() {
            return wanted.without(self.unneeded);
        }
        let unit_type = self.unit.name.unit_type();
        wanted = wanted
            .union(PropertySet::details_of(unit_type))
            .union(self.wanted_of_runs(unit_type))
            .union(PropertySet::PRESUMED);
        wanted = wanted.union(self.wanted_of_start());
        if self.counts_ip {
            wanted = wanted.union(PropertySet::IP_COUNTERS);
        }
        if self.unit.is_running() {
            wanted = wanted.with(UnitProperty::WatchdogInterval);
        }
        if self.can_be_frozen() || self.unit.is_frozen {
            wanted = wanted.with(UnitProperty::Freezer);
        }
        if self.lasts {
            let nothing = InactiveFacts::default();
            let rest = self.rest.as_deref().unwrap_or(&nothing);
            wanted = wanted.union(rest.wanted(&self.unit, self.current));
        }
        wanted.without(self.unneeded)
    }

    /// Whether it has processes that `systemctl freeze` may have frozen.
    fn can_be_frozen(&self) -> bool {
        let unit_type = self.unit.name.unit_type();
        matches!(unit_type, UnitType::Service | UnitType::Slice | UnitType::Scope)
            && !self.unit.active_state.is_at_rest()
            // What `RemainAfterExit=yes` keeps active.
            && &*self.unit.sub_state != "exited"
    }

    fn wanted_of_runs(&self, unit_type: UnitType) -> PropertySet {
        let mut wanted = PropertySet::run_of(unit_type).without(self.may_follow());
        if unit_type != UnitType::Service {
            return wanted;
        }
        if self.run.exit_time.is_some() {
            wanted = wanted.with(UnitProperty::ExitCode).with(UnitProperty::ExitStatus);
        }
        // Told by each signal, and of interest only where one was missed.
        let stopped = self.unit.active_state == ActiveState::Inactive;
        if &*self.unit.sub_state == "auto-restart"
            || (self.after_gap && stopped && self.cursor.is_behind(self.run.restarts))
        {
            wanted = wanted.with(UnitProperty::Job);
        }
        if self.unseen > 0 {
            wanted = wanted.union(PropertySet::RESTARTING);
        }
        wanted
    }

    /// What to ask of it at a scrape, because systemd never signals it.
    pub(super) fn unsignalled(&self) -> PropertySet {
        let mut wanted = PropertySet::EMPTY;
        // Of most units nothing, and this is asked of each at each scrape.
        let has_some = self.accepts_connections || self.counts_ip || self.has_watchdog;
        if !has_some || self.not_before.is_some() {
            return wanted;
        }
        match &self.unit.details {
            Details::Socket(socket) if self.accepts_connections => {
                // What was refused was refused because of others that were open, or the socket
                // itself was about to change.
                let rests = socket.connections == Some(0) && !self.may_have_changed;
                if !rests {
                    wanted = PropertySet::CONNECTION_COUNTERS;
                }
            }
            Details::Service(_) => {
                if self.counts_ip {
                    wanted = wanted.union(PropertySet::IP_COUNTERS);
                }
                if self.has_watchdog && self.unit.is_running() {
                    wanted = wanted.with(UnitProperty::WatchdogPing);
                }
            }
            _ => {}
        }
        wanted.without(self.unneeded)
    }

    /// Whether signals may have been missed since it was last counted.
    pub(super) fn is_uncounted(&self) -> bool {
        self.after_gap
    }

    /// Whether signals may have been missed since it was last counted, or what they left open is
    /// still asked for.
    pub(super) fn is_after_gap(&self) -> bool {
        self.after_gap || self.unseen > 0
    }

    /// Holds nothing for true any longer: signals may have been missed.
    pub(super) fn invalidate_all(&mut self) {
        self.confirming = None;
        self.run.reload_result = None;
        self.current = PropertySet::PRESUMED;
        self.unavailable = PropertySet::EMPTY;
        self.after_gap = true;
        self.may_have_changed = true;
    }

    /// Holds nothing for true that may have changed without a signal.
    pub(super) fn invalidate(&mut self, some: PropertySet) {
        self.current = self.current.without(some);
        self.unavailable = self.unavailable.without(some);
    }

    /// Takes a row of a listing; returns the fields that were others before.
    pub(super) fn place(&mut self, listed: ListedUnit) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let unit = &self.unit;
        let was_exported = self.is_exported();
        if unit.load_state != listed.load_state {
            changed.push("load_state");
        }
        if unit.active_state != listed.active_state {
            changed.push("active_state");
        }
        if unit.sub_state != listed.sub_state {
            changed.push("sub_state");
        }
        if !changed.is_empty() {
            let unit = Arc::make_mut(&mut self.unit);
            unit.load_state = listed.load_state;
            unit.active_state = listed.active_state;
            unit.sub_state = listed.sub_state;
        }
        // How it was before it was visible is not known.
        if !was_exported && self.is_exported() {
            self.invalidate_all();
        }
        self.confirm_listed();
        // What is deferred is shown when the rest of it is known as well.
        self.known |= self.not_before.is_none();
        changed
    }

    /// Takes one value.
    pub(super) fn learn(&mut self, property: UnitProperty, value: &Value) {
        let one = PropertySet::of(&[property]);
        self.current = self.current.union(one);
        self.unavailable = self.unavailable.without(one);
        self.take_for_known();
        // A value that systemd has sent is no presumption.
        self.is_exit_presumed &= property != UnitProperty::ActiveExit;
        match property {
            UnitProperty::Invocation => {
                self.run.invocation = if let Value::Id(id) = value { *id } else { 0 };
            }
            UnitProperty::Restarts => self.run.restarts = value.number().unwrap_or(0),
            UnitProperty::ExitTime => self.run.exit_time = value.number(),
            UnitProperty::ExitCode => {
                self.run.exit_code = value.number().and_then(ExitCode::from_number);
            }
            UnitProperty::ExitStatus => self.run.exit_status = value.number().unwrap_or(0),
            UnitProperty::Job => {
                let number = value.number().and_then(|number| u32::try_from(number).ok());
                self.run.job = number.and_then(NonZeroU32::new);
            }
            UnitProperty::ReloadResult => {
                self.run.reload_result = value.text().map(Into::into);
            }
            UnitProperty::RestartPolicy => {
                self.run.after_failure = value.text().is_some_and(|it| {
                    matches!(it, "on-failure" | "on-abnormal" | "on-abort" | "on-watchdog")
                });
                self.rest.get_or_insert_default().learn(property, value);
            }
            UnitProperty::RestartForced => self.run.forced = *value == Value::Flag(true),
            UnitProperty::Accept => self.accepts_connections = *value == Value::Flag(true),
            UnitProperty::WatchdogInterval => {
                self.has_watchdog = value.number().is_some();
                if !self.has_watchdog {
                    self.learn(UnitProperty::WatchdogPing, &Value::Nothing);
                }
            }
            UnitProperty::IpAccounting => {
                self.counts_ip = *value == Value::Flag(true);
                if !self.counts_ip {
                    self.set_ip(None);
                }
            }
            _ if PropertySet::REST.has(property) => {
                self.rest.get_or_insert_default().learn(property, value);
            }
            // A row is shared with the snapshots that hold it: write only what differs.
            _ if !self.unit.holds(property, value) => {
                Arc::make_mut(&mut self.unit).set(property, value);
            }
            _ => {}
        }
    }

    /// What systemd has answered, with a value or with a refusal.
    pub(super) fn answered(&self) -> PropertySet {
        self.current.union(self.unavailable)
    }

    /// Takes in whether all that decides about its rest is known.
    pub(super) fn update_inactive_facts(&mut self) {
        let answered = self.answered();
        if let Some(rest) = &mut self.rest {
            rest.conclude(&self.unit, self.current, answered);
        }
    }

    /// A unit is known with its active state; what else systemd refuses is absent.
    fn take_for_known(&mut self) {
        let answered = self.answered().contains(PropertySet::STATE);
        self.known |= answered && self.current.has(UnitProperty::ActiveState);
    }

    /// Takes in that systemd refuses a value. A unit whose active state it refuses stays
    /// hidden; anything else is then absent.
    pub(super) fn mark_unavailable(&mut self, property: UnitProperty) {
        let one = PropertySet::of(&[property]);
        self.unavailable = self.unavailable.union(one);
        self.take_for_known();
        if !one.intersects(PropertySet::STATE) && !self.unit.holds(property, &Value::Nothing) {
            Arc::make_mut(&mut self.unit).set(property, &Value::Nothing);
        }
    }

    /// Counts what has happened since the last time, if enough is known for it. The facts of one
    /// moment belong together: those of a run that a lost signal told of are waited for.
    pub(super) fn count(&mut self, word: Trigger) -> Counting {
        let run = PropertySet::run_of(self.unit.name.unit_type())
            .union(PropertySet::SIGNALLED_DETAILS)
            .with(UnitProperty::ActiveState)
            .with(UnitProperty::SubState);
        if self.wanted().without(self.answered()).intersects(run) {
            return Counting::Nothing;
        }
        let invocation = self.current.has(UnitProperty::Invocation);
        if let Some(before) = self.before.take_if(|_| invocation)
            && before.is_of(self.run.invocation)
        {
            self.cursor = before;
        }
        if !self.after_gap && word == Trigger::Answer {
            // An answer may be ahead of the signal that counts, and then is not of the moment of
            // what was signalled last: a restart counted with it would be owed once more.
            let mut delta = Delta::default();
            self.count_unseen(&mut delta);
            return self.take_in(delta);
        }
        let facts = self.facts();
        // Answers come one by one, and those that would be counted now may be of two
        // moments, unless it is answered the same again. Of a unit that is met for the first time
        // nothing is counted that could be of two.
        let would_count =
            || !self.cursor.is_blank() && !Cursor::clone(&self.cursor).advance(&facts).is_empty();
        if self.after_gap
            && word == Trigger::Answer
            && self.confirming.as_deref() != Some(&facts)
            && (self.is_ambiguous() || would_count())
        {
            self.confirming = Some(Box::new(facts));
            self.invalidate(run);
            return Counting::Nothing;
        }
        if self.after_gap && word != Trigger::Silence && self.is_ambiguous() {
            return Counting::Later;
        }
        self.confirming = None;
        self.after_gap = false;
        let mut delta = Arc::make_mut(&mut self.cursor).advance(&facts);
        self.unseen = self.unseen.saturating_add(std::mem::take(&mut delta.unseen));
        self.count_unseen(&mut delta);
        self.take_in(delta)
    }

    fn take_in(&mut self, delta: Delta) -> Counting {
        if delta.is_empty() {
            return Counting::Nothing;
        }
        Arc::make_mut(&mut Arc::make_mut(&mut self.unit).counters).add(&delta);
        Counting::Delta(delta)
    }

    fn facts(&self) -> Facts {
        let known = |property| self.current.has(property);
        let time = |property, time: Option<Usec>| known(property).then_some(time.unwrap_or(0));
        let unit = &self.unit;
        let exit = self.run.exit_time.zip(self.run.exit_code.clone());
        let result = PropertySet::result_of(unit.name.unit_type());
        Facts {
            state: known(UnitProperty::ActiveState).then(|| unit.active_state.clone()),
            active_enter: time(UnitProperty::ActiveEnter, unit.active_enter),
            active_exit: time(UnitProperty::ActiveExit, unit.active_exit),
            inactive_enter: time(UnitProperty::InactiveEnter, unit.inactive_enter),
            invocation: known(UnitProperty::Invocation).then_some(self.run.invocation),
            result: unit.result.clone().filter(|_| self.current.intersects(result)),
            restarts: known(UnitProperty::Restarts).then_some(self.run.restarts),
            exit: exit
                .map(|(at, code)| Exit { at, code, status: self.run.exit_status })
                .filter(|_| known(UnitProperty::ExitTime) && known(UnitProperty::ExitStatus)),
            between: self.between(),
            has_job: self.run.job.is_some(),
            reload: Reload {
                result: self.run.reload_result.clone(),
                job: self.run.job,
                is_under_way: unit.active_state.is_reloading(),
            },
            says_queued: &*unit.sub_state == "auto-restart-queued",
            after_gap: self.after_gap,
        }
    }

    /// Whether the next state tells more of what was missed than this one: whether the run that is
    /// known is the one that ended or the one that has just begun, and whether the restart that
    /// was counted last was refused or is yet to come.
    fn is_ambiguous(&self) -> bool {
        let failed = self.unit.result.as_ref().is_some_and(RunResult::is_failure);
        match self.between() {
            // A run that has begun has not failed yet.
            Between::Queued => !failed,
            Between::Waiting => false,
            Between::No => {
                self.unit.active_state.is_at_rest() && self.cursor.is_behind(self.run.restarts)
            }
        }
    }

    fn count_unseen(&mut self, delta: &mut Delta) {
        let is_answered = self.answered().contains(PropertySet::RESTARTING);
        if self.unseen > 0 && is_answered {
            let policy = self.current.contains(PropertySet::RESTARTING);
            if policy && self.run.after_failure && !self.run.forced {
                delta.failures.add(&RunResult::Unknown, self.unseen);
            }
            self.unseen = 0;
            // To be asked anew should it matter again: a reload may change it.
            self.invalidate(PropertySet::RESTARTING);
        }
    }

    fn between(&self) -> Between {
        match &*self.unit.sub_state {
            "auto-restart-queued" => Between::Queued,
            "auto-restart" if self.run.job.is_some() => Between::Queued,
            "auto-restart" | "failed-before-auto-restart" | "dead-before-auto-restart" => {
                Between::Waiting
            }
            _ => Between::No,
        }
    }

    fn set_ip(&mut self, ip: Option<IpCounters>) {
        if let Details::Service(service) = &self.unit.details
            && service.ip != ip
            && let Details::Service(service) = &mut Arc::make_mut(&mut self.unit).details
        {
            service.ip = ip;
        }
    }
}
