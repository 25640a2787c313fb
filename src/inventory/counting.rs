//! When a unit is counted, and from which facts.
//!
//! [`Cursor::advance`] compares the facts of one moment with those counted last. A signal carries
//! facts of one moment. Answers come one by one, and after a gap, in which signals may have been
//! lost, two hazards follow from that:
//!
//! - A *torn read*: a unit changes between two answers, and the facts mix two moments. So what
//!   would count is read a second time and counted only if nothing differs.
//! - A *stale run*: the state that was read may belong to the run that ended or to the one that
//!   begins, see [`Entry::is_ambiguous`]. So it counts with the next signal, or after a pause.

use std::{num::NonZeroU32, sync::Arc};

use super::{
    counters::{Counters, Delta, Exit},
    cursor::{Cursor, Facts, RestartStep},
    entry::Entry,
    jobs::UnitView,
    reloads::Reload,
};
use crate::clock::Usec;
use crate::systemd::{
    property::{PropertySet, UnitProperty, Value},
    state::{ExitCode, JobResult, RunResult},
};

/// A unit's runs: what was read last, and how much of it is counted.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// `InvocationID`.
    invocation: u128,
    /// `NRestarts`.
    pub(super) restarts: u64,
    /// `ExecMainExitTimestamp`.
    pub(super) exit_time: Option<Usec>,
    /// `ExecMainCode`.
    exit_code: Option<ExitCode>,
    /// `ExecMainStatus`.
    exit_status: u64,
    /// `ReloadResult`, if it has been signalled since the last gap.
    reload_result: Option<RunResult>,
    /// `Job`.
    pub(super) job: Option<NonZeroU32>,
    /// `Restart=` restarts the service after failures only.
    only_after_failure: bool,
    /// `RestartForceExitStatus=` is set: a success may restart the service as well.
    forced: bool,
    /// Signals may have been lost since it was last counted.
    pub(super) after_gap: bool,
    /// Runs that ended in a gap. They failed if the service restarts after failures only.
    pub(super) unseen: u64,
    /// Shared with the records that are being written.
    pub(super) cursor: Arc<Cursor>,
    /// The cursor of the unit of this name that left last. It is continued if `InvocationID` shows
    /// that this is the same run.
    previous: Option<Arc<Cursor>>,
    /// Facts read after a gap, to be read a second time before they count.
    unconfirmed: Option<Box<Facts>>,
    /// What is not in the counters of a roll-up yet: the unit's slice is not known.
    pub(super) not_rolled_up: Option<Box<Counters>>,
}

/// Why a unit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// A signal: its facts are of one moment.
    Signal,
    /// An answer or a listing.
    Answer,
    /// No signal has come for a while, or none can come any more.
    Silence,
}

/// The outcome of counting.
#[derive(Debug)]
pub(super) enum Counting {
    /// Nothing has happened, or too little is known.
    Nothing,
    /// This has happened, and is in the unit's counters.
    Delta(Delta),
    /// The facts are ambiguous: count with the next signal, or after a pause.
    Later,
}

// === impl Runs ===

impl Runs {
    pub(super) fn new(cursor: Arc<Cursor>) -> Self {
        Self { after_gap: true, cursor, ..Self::default() }
    }

    /// Continues from the unit of this name that left, should this be the same run.
    pub(super) fn resume(&mut self, cursor: Arc<Cursor>) {
        self.previous = Some(cursor);
    }

    /// The unit belongs to a manager that has just started.
    pub(super) fn restart_counting(&mut self) {
        self.cursor = Cursor::fresh().into();
        self.previous = None;
    }

    /// Signals may have been lost.
    pub(super) fn note_gap(&mut self) {
        self.unconfirmed = None;
        self.reload_result = None;
        self.after_gap = true;
    }

    /// Whether what happened in a gap is still to be counted.
    pub(super) fn is_after_gap(&self) -> bool {
        self.after_gap || self.unseen > 0
    }

    /// Takes a property of the runs; others are ignored.
    pub(super) fn learn(&mut self, property: UnitProperty, value: &Value) {
        match property {
            UnitProperty::Invocation => {
                self.invocation = if let Value::Id(id) = value { *id } else { 0 };
            }
            UnitProperty::Restarts => self.restarts = value.number().unwrap_or(0),
            UnitProperty::ExitTime => self.exit_time = value.number(),
            UnitProperty::ExitCode => {
                self.exit_code = value.number().and_then(ExitCode::from_number);
            }
            UnitProperty::ExitStatus => self.exit_status = value.number().unwrap_or(0),
            UnitProperty::Job => {
                let number = value.number().and_then(|number| u32::try_from(number).ok());
                self.job = number.and_then(NonZeroU32::new);
            }
            UnitProperty::ReloadResult => {
                self.reload_result = value.text().map(Into::into);
            }
            UnitProperty::RestartPolicy => {
                self.only_after_failure = value.text().is_some_and(|it| {
                    matches!(it, "on-failure" | "on-abnormal" | "on-abort" | "on-watchdog")
                });
            }
            UnitProperty::RestartForced => self.forced = *value == Value::Flag(true),
            _ => {}
        }
    }

    /// `ReloadResult`, if it is known and a failure.
    fn failed_reload(&self) -> Option<&RunResult> {
        self.reload_result.as_ref().filter(|result| result.is_failure())
    }
}

// === impl Entry ===

impl Entry {
    /// Counts what has happened since the last time, if the facts for it are known.
    pub(super) fn count(&mut self, trigger: Trigger) -> Counting {
        let facts_of_runs = PropertySet::run_of(self.unit.name.unit_type())
            .union(PropertySet::RUN_DETAILS)
            .with(UnitProperty::ActiveState)
            .with(UnitProperty::SubState);
        if self.knowledge.unanswered(self.needed()).intersects(facts_of_runs) {
            return Counting::Nothing;
        }
        let is_known = self.knowledge.current.has(UnitProperty::Invocation);
        if let Some(previous) = self.runs.previous.take_if(|_| is_known)
            && previous.is_of(self.runs.invocation)
        {
            self.runs.cursor = previous;
        }
        let facts = self.facts();
        match (self.runs.after_gap, trigger) {
            // The answer may be newer than the last signal, and its own signal still to come.
            // Counted now, a restart would be counted again with that signal.
            (false, Trigger::Answer) => {
                let mut delta = Delta::default();
                self.count_unseen(&mut delta);
                self.add(delta)
            }
            (true, Trigger::Answer) if !self.is_confirmed(&facts) => {
                self.runs.unconfirmed = Some(Box::new(facts));
                self.knowledge.invalidate(facts_of_runs);
                Counting::Nothing
            }
            (true, Trigger::Answer | Trigger::Signal) if self.is_ambiguous() => Counting::Later,
            _ => self.advance(&facts),
        }
    }

    /// Whether the facts were read twice, or count nothing. Nothing is counted at first sight.
    fn is_confirmed(&self, facts: &Facts) -> bool {
        let cursor = &self.runs.cursor;
        let counts = || !cursor.is_blank() && !Cursor::clone(cursor).advance(facts).is_empty();
        self.runs.unconfirmed.as_deref() == Some(facts) || !(self.is_ambiguous() || counts())
    }

    fn advance(&mut self, facts: &Facts) -> Counting {
        self.runs.unconfirmed = None;
        self.runs.after_gap = false;
        let mut delta = Arc::make_mut(&mut self.runs.cursor).advance(facts);
        self.runs.unseen = self.runs.unseen.saturating_add(std::mem::take(&mut delta.unseen));
        self.count_unseen(&mut delta);
        self.add(delta)
    }

    /// Counts a start that was refused by the start limit. The unit's `Result` shows it only if the
    /// unit had not failed before.
    pub(super) fn count_refusal(&mut self) -> Counting {
        let mut delta = Delta::default();
        delta.counters.failures.add(&RunResult::StartLimitHit, 1);
        self.add(delta)
    }

    /// Counts a failed reload by its job, unless it was counted by its result.
    pub(super) fn count_reload_job(&mut self, job: u32, result: &JobResult) -> Counting {
        let is_under_way = self.unit.active_state.is_reloading();
        let failed = matches!(result, JobResult::Failed | JobResult::Timeout);
        let Some(job) = NonZeroU32::new(job).filter(|_| failed) else { return Counting::Nothing };
        if !Arc::make_mut(&mut self.runs.cursor).reloads.fail(job, is_under_way) {
            return Counting::Nothing;
        }
        let by_job = RunResult::from(result.as_str());
        let why = self.runs.failed_reload().filter(|_| !is_under_way).cloned().unwrap_or(by_job);
        let mut delta = Delta::default();
        delta.counters.reload_failures.add(&why, 1);
        self.add(delta)
    }

    /// Counts runs that ended in a gap as failures, once `Restart=` is known.
    fn count_unseen(&mut self, delta: &mut Delta) {
        if !self.knowledge.answered().contains(PropertySet::RESTART_SETTINGS) {
            return;
        }
        let unseen = std::mem::take(&mut self.runs.unseen);
        let is_known = self.knowledge.current.contains(PropertySet::RESTART_SETTINGS);
        if is_known && self.runs.only_after_failure && !self.runs.forced {
            delta.counters.failures.add(&RunResult::Unknown, unseen);
        }
    }

    fn add(&mut self, delta: Delta) -> Counting {
        if delta.is_empty() {
            return Counting::Nothing;
        }
        Arc::make_mut(&mut self.unit_mut().counters).add(&delta);
        Counting::Delta(delta)
    }

    fn facts(&self) -> Facts {
        let known = |property| self.knowledge.current.has(property);
        let time = |property, time: Option<Usec>| known(property).then_some(time.unwrap_or(0));
        let (unit, runs) = (&self.unit, &self.runs);
        let exit = runs.exit_time.zip(runs.exit_code.clone());
        let result = PropertySet::result_of(unit.name.unit_type());
        Facts {
            state: known(UnitProperty::ActiveState).then(|| unit.active_state.clone()),
            active_enter: time(UnitProperty::ActiveEnter, unit.active_enter),
            active_exit: time(UnitProperty::ActiveExit, unit.active_exit),
            inactive_enter: time(UnitProperty::InactiveEnter, unit.inactive_enter),
            invocation: known(UnitProperty::Invocation).then_some(runs.invocation),
            result: unit.result.clone().filter(|_| self.knowledge.current.intersects(result)),
            restarts: known(UnitProperty::Restarts).then_some(runs.restarts),
            exit: exit
                .map(|(at, code)| Exit { at, code, status: runs.exit_status })
                .filter(|_| known(UnitProperty::ExitTime) && known(UnitProperty::ExitStatus)),
            restart_step: self.restart_step(),
            has_job: runs.job.is_some(),
            reload: Reload {
                result: runs.reload_result.clone(),
                job: runs.job,
                is_under_way: unit.active_state.is_reloading(),
            },
            is_sub_state_queued: &*unit.sub_state == "auto-restart-queued",
            after_gap: runs.after_gap,
        }
    }

    /// Whether only the next state shows what happened in a gap: the known run may be the one that
    /// ended or the one that begins, and the last restart may have been refused or be still to come.
    fn is_ambiguous(&self) -> bool {
        let failed = self.unit.result.as_ref().is_some_and(RunResult::is_failure);
        match self.restart_step() {
            // A run that has begun has not failed yet.
            RestartStep::Queued => !failed,
            RestartStep::Waiting => false,
            RestartStep::No => {
                self.unit.active_state.is_at_rest()
                    && self.runs.cursor.is_behind(self.runs.restarts)
            }
        }
    }

    fn restart_step(&self) -> RestartStep {
        match &*self.unit.sub_state {
            "auto-restart-queued" => RestartStep::Queued,
            "auto-restart" if self.runs.job.is_some() => RestartStep::Queued,
            "auto-restart" | "failed-before-auto-restart" | "dead-before-auto-restart" => {
                RestartStep::Waiting
            }
            _ => RestartStep::No,
        }
    }

    /// The facts from which a job's type is deduced.
    pub(super) fn view(&self) -> UnitView {
        UnitView {
            state: self.unit.active_state.clone(),
            // An automatic restart is a start job since systemd 254.
            restarting: &*self.unit.sub_state == "auto-restart",
            invocation: self.runs.invocation,
            checked_at: self.inactive.as_ref().and_then(|facts| facts.start_tried_at()),
            reload_failed: self.runs.failed_reload().is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(properties: &[(UnitProperty, Value)]) -> Runs {
        let mut runs = Runs::new(Cursor::fresh().into());
        properties.iter().for_each(|(property, value)| runs.learn(*property, value));
        runs
    }

    #[test]
    fn the_exit_of_the_main_process_is_taken_from_its_three_properties() {
        use UnitProperty::{ExitCode as Code, ExitStatus, ExitTime};
        let exit = |code| {
            let facts =
                [(ExitTime, Value::Number(7)), (Code, code), (ExitStatus, Value::Number(3))];
            let runs = learn(&facts);
            (runs.exit_time, runs.exit_code, runs.exit_status)
        };
        assert_eq!(exit(Value::Number(1)), (Some(7), Some(ExitCode::Exited), 3));
        assert_eq!(exit(Value::Number(2)), (Some(7), Some(ExitCode::Killed), 3));
        // No process has exited.
        assert_eq!(exit(Value::Number(0)), (Some(7), None, 3));
    }

    #[test]
    fn a_service_restarts_after_failures_only_if_its_policy_excludes_successes() {
        let only_after_failure = |policy: &str| {
            let policy = Value::Text(policy.into());
            learn(&[(UnitProperty::RestartPolicy, policy)]).only_after_failure
        };
        for policy in ["on-failure", "on-abnormal", "on-abort", "on-watchdog"] {
            assert!(only_after_failure(policy), "{policy}");
        }
        for policy in ["no", "always", "on-success", "of-a-later-version"] {
            assert!(!only_after_failure(policy), "{policy}");
        }
        let forced = |value| learn(&[(UnitProperty::RestartForced, value)]).forced;
        assert!(forced(Value::Flag(true)) && !forced(Value::Flag(false)));
    }
}
