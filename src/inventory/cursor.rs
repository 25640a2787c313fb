//! The cursor of a unit: which of its events are counted, and what newer facts add.
//!
//! Counting is by comparison: what differs between the facts counted last and newer ones happened
//! in between. So nothing is counted twice, wherever a fact came from, and after a gap (a lost
//! connection, a restart of the exporter) everything is counted that systemd still remembers.
//!
//! # Automatic restarts
//!
//! What systemd shows of a service whose run `a` ends and is restarted as run `b`:
//!
//! | Step                         | SubState before 254      | SubState since 254    | NRestarts | InvocationID |
//! |------------------------------|--------------------------|-----------------------|-----------|--------------|
//! | 1. waits for `RestartSec=`   | `auto-restart`, no Job   | `auto-restart`        | n         | a            |
//! | 2. the restart is queued     | `auto-restart`, with Job | `auto-restart-queued` | n + 1     | a            |
//! | 3. the restart stops it      | `dead`, with Job         |                       | n + 1     | a            |
//! | 4. the next run begins       | `start`                  | `start`               | n + 1     | b            |
//!
//! What is counted when facts are compared with the cursor:
//!
//! | Seen                                       | Restarts             | Starts                            |
//! |--------------------------------------------|----------------------|-----------------------------------|
//! | NRestarts rose by k                        | k                    |                                   |
//! | NRestarts fell to k (manual start, reset)  | k                    |                                   |
//! | another InvocationID, none before          |                      | 1 + k                             |
//! | another InvocationID                       |                      | k, and at least 1                 |
//! | the same, cursor at step 2 or 3            |                      | one more: that restart began      |
//! | the same, facts at step 2                  |                      | one less: the last has not begun  |
//! | the same, at rest after a gap              |                      | one less: the last was refused    |
//! | step 1, then 2 or b, NRestarts not risen   | 1 (`reset-failed`)   |                                   |

use serde::{Deserialize, Serialize};

use super::{
    counters::{Delta, Exit},
    reloads::{Reload, Reloads},
};
use crate::clock::Usec;
use crate::systemd::state::{ActiveState, RunResult};

/// What is known of a unit's runs at one moment. `None` is unknown, 0 is never.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) state: Option<ActiveState>,
    /// `ActiveEnterTimestamp`.
    pub(super) active_enter: Option<Usec>,
    /// `ActiveExitTimestamp`.
    pub(super) active_exit: Option<Usec>,
    /// `InactiveEnterTimestamp`.
    pub(super) inactive_enter: Option<Usec>,
    /// `InvocationID`.
    pub(super) invocation: Option<u128>,
    /// `Result`.
    pub(super) result: Option<RunResult>,
    /// `NRestarts`.
    pub(super) restarts: Option<u64>,
    /// `ExecMainExitTimestamp`, `ExecMainCode`, `ExecMainStatus`.
    pub(super) exit: Option<Exit>,
    /// The step between a run and its automatic restart.
    pub(super) restart_step: RestartStep,
    /// `Job`: a job is queued for it.
    pub(super) has_job: bool,
    /// What is known of its reloads.
    pub(super) reload: Reload,
    /// SubState is `auto-restart-queued` (since systemd 254).
    pub(super) is_sub_state_queued: bool,
    /// Signals may have been lost since the facts counted last.
    pub(super) after_gap: bool,
}

/// The step of a service between a run and its automatic restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RestartStep {
    /// None.
    #[default]
    No,
    /// It waits for `RestartSec=`; the restart is not in `NRestarts` yet.
    Waiting,
    /// The restart is queued and in `NRestarts`; the run has not begun.
    Queued,
}

/// The facts counted last. `None` was never known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    state: Option<ActiveState>,
    active_enter: EntryCursor,
    /// Into inactive or failed.
    inactive_enter: EntryCursor,
    invocation: Option<u128>,
    /// The last failure, by invocation, or a success (of invocation 0).
    failure: Option<(u128, RunResult)>,
    /// `NRestarts`.
    restarts: Option<u64>,
    /// The last restart in `NRestarts` has not begun its run.
    is_queued: bool,
    /// It waits for `RestartSec=`, and the restart is not counted yet.
    #[serde(rename = "is_owed_restart", default, skip_serializing_if = "std::ops::Not::not")]
    is_restart_pending: bool,
    exit: Option<Usec>,
    #[serde(default)]
    pub(super) reloads: Reloads,
}

/// The last counted entry into a state.
///
/// Answers come one by one, so a state and its time may be of two moments. The one that is read
/// later must not count the same entry again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct EntryCursor {
    /// Its time, if known; 0 if there was none.
    at: Option<Usec>,
    /// An entry was counted by its state, and its time has not been read yet.
    #[serde(rename = "is_owed", default, skip_serializing_if = "std::ops::Not::not")]
    is_time_pending: bool,
}

/// A time of entry compared with the cursor's.
#[derive(Clone, Copy)]
enum Comparison {
    /// It is not known.
    Unknown,
    /// It is the counted one.
    Same,
    /// It is of another entry, to be counted.
    Another(Usec),
    /// It is of an entry that was counted by its state, or from before counting began.
    Late(Usec),
}

// === impl Cursor ===

impl Cursor {
    /// The cursor of a unit that systemd has just loaded.
    pub(super) fn fresh() -> Self {
        Self {
            state: Some(ActiveState::Inactive),
            active_enter: EntryCursor { at: Some(0), is_time_pending: false },
            inactive_enter: EntryCursor { at: Some(0), is_time_pending: false },
            invocation: Some(0),
            failure: Some((0, RunResult::Success)),
            restarts: Some(0),
            is_queued: false,
            is_restart_pending: false,
            exit: Some(0),
            reloads: Reloads::fresh(),
        }
    }

    /// Whether nothing was ever known.
    pub(super) fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a run was counted.
    pub(super) fn ever_ran(&self) -> bool {
        self.invocation.is_some_and(|invocation| invocation != 0)
    }

    /// Whether systemd has restarted it since. An `NRestarts` of 0 shows a reset, not a restart.
    pub(super) fn is_behind(&self, restarts: u64) -> bool {
        self.restarts.is_some_and(|counted| counted != restarts && restarts > 0)
    }

    /// Whether it is the cursor of this invocation, and so of this very unit.
    pub(super) fn is_of(&self, invocation: u128) -> bool {
        invocation != 0 && self.invocation == Some(invocation)
    }

    /// Moves to these facts and returns what happened in between.
    pub(super) fn advance(&mut self, now: &Facts) -> Delta {
        let mut delta = Delta::default();
        // A unit keeps its InvocationID while it is loaded, so this one was loaded again.
        if now.invocation == Some(0) && self.ever_ran() {
            *self = Self::fresh();
        }
        self.count_entries(now, &mut delta);
        let entered_failed =
            delta.counters.transitions.iter().any(|(state, _)| *state == ActiveState::Failed);
        self.count_runs(now, &mut delta);
        self.count_failure(now, entered_failed, &mut delta);
        if let Some(exit) = &now.exit
            && self.exit.replace(exit.at) != Some(exit.at)
        {
            delta.counters.last_exit = Some(exit.clone());
        }
        if let Some(result) = self.reloads.advance(&now.reload) {
            delta.counters.reload_failures.add(result, 1);
        }
        delta
    }

    fn count_entries(&mut self, now: &Facts, delta: &mut Delta) {
        let Some(state) = &now.state else { return };
        let is_active = *state == ActiveState::Active;
        let rests = state.is_at_rest();
        let active = self.active_enter.compare(now.active_enter);
        let rested = self.inactive_enter.compare(now.inactive_enter);
        let entered = self.state.as_ref().is_some_and(|before| before != state);
        let again = (is_active && active.is_another()) || (rests && rested.is_another());
        let passed = !is_active && active.is_another() && now.active_exit >= now.active_enter;
        if self.state.is_some() {
            delta.counters.transitions.add(state, u64::from(entered || again));
            // It was active in between.
            delta.counters.transitions.add(&ActiveState::Active, u64::from(passed));
        }
        // Otherwise its time of entry was read before its state, and the state is still to come.
        if is_active || passed || !active.is_another() {
            self.active_enter.take(active, is_active && entered);
        }
        self.inactive_enter.take(rested, rests && entered);
        if self.state.as_ref() != Some(state) {
            self.state = Some(state.clone());
        }
    }

    /// Counts starts and automatic restarts by the tables above.
    fn count_runs(&mut self, now: &Facts, delta: &mut Delta) {
        let restarts = now.restarts.unwrap_or(0);
        let (more, is_reset) = match self.restarts {
            Some(before) if restarts < before => (restarts, true),
            Some(before) => (restarts - before, false),
            None => {
                delta.earlier_restarts = restarts;
                (0, false)
            }
        };
        delta.counters.restarts = more;
        self.count_reset_restart(now, restarts, delta);
        let was_queued = self.is_queued && !is_reset;
        if let Some(invocation) = now.invocation {
            let before = self.invocation.replace(invocation);
            let ended = before.filter(|before| *before != invocation && invocation != 0);
            let is_queued = now.restart_step == RestartStep::Queued;
            self.is_queued = match ended {
                Some(ended) => {
                    self.count_starts(ended, more + u64::from(was_queued), now, delta);
                    if now.after_gap {
                        // How the runs in between ended is forgotten, except that of the last.
                        let known = !was_queued && !is_reset && self.has_counted_failure_of(ended);
                        let runs = more.saturating_sub(now.not_begun() + u64::from(known));
                        delta.unseen = runs;
                    }
                    // `auto-restart-queued` may still be the state of the run before.
                    is_queued && !now.is_sub_state_queued
                }
                None => is_queued || (now.is_stopped_by_job() && (self.is_queued || more > 0)),
            };
        }
        self.restarts = now.restarts.or(self.restarts);
    }

    fn count_starts(&self, ended: u128, restarts: u64, now: &Facts, delta: &mut Delta) {
        // The first run of all is no restart.
        let first = u64::from(ended == 0);
        delta.counters.starts = (first + restarts.saturating_sub(now.not_begun())).max(1);
    }

    /// A `reset-failed` at step 1 sets `NRestarts` to 0 without a signal. If it was 1, the restart
    /// that follows sets it to 1 again, which looks like the restart that was counted.
    fn count_reset_restart(&mut self, now: &Facts, restarts: u64, delta: &mut Delta) {
        let known = self.invocation.zip(now.invocation);
        let begins = known.is_some_and(|(before, now)| before != now);
        let risen = delta.counters.restarts > 0 || delta.earlier_restarts > 0;
        let is_pending = self.is_restart_pending && !now.after_gap && !risen;
        // Before systemd 254 a manual start looks the same, except that NRestarts is 0.
        if is_pending && (now.is_sub_state_queued || (begins && restarts == 1)) {
            delta.counters.restarts = 1;
        }
        self.is_restart_pending = match now.restart_step {
            // A reload or a re-execution may show it at step 1 of a restart that is counted already.
            RestartStep::Waiting => !now.after_gap,
            RestartStep::Queued => is_pending && !begins && !now.is_sub_state_queued,
            RestartStep::No => is_pending && !begins && now.is_stopped_by_job(),
        };
    }

    fn has_counted_failure_of(&self, invocation: u128) -> bool {
        self.failure.as_ref().is_some_and(|(of, result)| *of == invocation && result.is_failure())
    }

    fn count_failure(&mut self, now: &Facts, entered_failed: bool, delta: &mut Delta) {
        let Some(result) = &now.result else { return };
        let invocation = now.invocation.or(self.invocation).unwrap_or(0);
        if !result.is_failure() {
            self.failure = Some((0, RunResult::Success));
            return;
        }
        // The run is not over: until then a `reset-failed` may still clear the result.
        if !now.is_at_rest() && now.restart_step == RestartStep::No {
            return;
        }
        let new = match &self.failure {
            Some((of, before)) => (*of, before) != (invocation, result),
            None => entered_failed,
        };
        // A refused start is counted with its job: Result shows it only if the unit had not failed
        // before.
        let with_job = *result == RunResult::StartLimitHit && !now.after_gap;
        if new && !with_job {
            delta.counters.failures.add(result, 1);
        }
        self.failure = Some((invocation, result.clone()));
    }
}

// === impl Facts ===

impl Facts {
    fn is_at_rest(&self) -> bool {
        self.state.as_ref().is_some_and(ActiveState::is_at_rest)
    }

    /// Step 3 of a restart: before systemd 254 it stops the unit first.
    fn is_stopped_by_job(&self) -> bool {
        self.state == Some(ActiveState::Inactive) && self.has_job
    }

    /// How many of the restarts in `NRestarts` have not begun a run: 1 if the last is queued, or was
    /// refused or cancelled in a gap.
    fn not_begun(&self) -> u64 {
        let refused = self.after_gap && self.is_at_rest() && self.restart_step == RestartStep::No;
        u64::from(self.restart_step == RestartStep::Queued || refused)
    }
}

// === impl EntryCursor ===

impl EntryCursor {
    fn compare(&self, now: Option<Usec>) -> Comparison {
        match (self.at, now) {
            (_, None) => Comparison::Unknown,
            (Some(before), Some(now)) if before == now => Comparison::Same,
            (Some(_), Some(now)) if now != 0 && !self.is_time_pending => Comparison::Another(now),
            (_, Some(now)) => Comparison::Late(now),
        }
    }

    /// Moves to a time; `entered` if the state was just counted as entered.
    fn take(&mut self, comparison: Comparison, entered: bool) {
        match comparison {
            Comparison::Another(now) | Comparison::Late(now) => {
                *self = Self { at: Some(now), is_time_pending: false }
            }
            // The time is still that of the entry before.
            Comparison::Same => self.is_time_pending |= entered,
            Comparison::Unknown => self.is_time_pending = entered,
        }
    }
}

// === impl Comparison ===

impl Comparison {
    fn is_another(self) -> bool {
        matches!(self, Self::Another(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::state::ExitCode;
    use ActiveState::{Activating, Active, Failed, Inactive};

    /// A state, and when the unit last entered and left the active state.
    fn facts(state: ActiveState, active_enter: Usec, active_exit: Usec) -> Facts {
        let (active_enter, active_exit) = (Some(active_enter), Some(active_exit));
        Facts { state: Some(state), active_enter, active_exit, ..Facts::default() }
    }

    /// Moves a cursor through these facts and returns the last transitions that this counts.
    fn last_transitions(all: &[Facts]) -> Vec<(String, u64)> {
        let mut cursor = Cursor::default();
        let delta = all.iter().map(|facts| cursor.advance(facts)).last().unwrap();
        delta.counters.transitions.iter().map(|(state, count)| (state.to_string(), count)).collect()
    }

    #[test]
    fn a_unit_that_was_active_between_two_facts_counts_an_entry_into_active() {
        let before = facts(Inactive, 3, 4);
        let all = last_transitions(&[before.clone(), facts(Failed, 5, 6)]);
        assert_eq!(all, [("failed".into(), 1), ("active".into(), 1)]);
        assert_eq!(
            last_transitions(&[before.clone(), facts(Inactive, 5, 6)]),
            [("active".into(), 1)]
        );
        assert_eq!(last_transitions(&[before, facts(Inactive, 3, 4)]), []);
    }

    /// If the clock was set back, the last exit seems to be later than this entry.
    #[test]
    fn an_active_unit_that_entered_active_again_counts_one_entry() {
        for exit in [8, 9, 10] {
            let all = last_transitions(&[facts(Active, 5, 4), facts(Active, 9, exit)]);
            assert_eq!(all, [("active".into(), 1)], "{exit}");
        }
    }

    /// The state is older than the time of entry, as two answers may be.
    #[test]
    fn a_time_of_entry_that_is_read_before_its_state_is_kept_until_the_state_is_counted() {
        let torn = [facts(Inactive, 3, 4), facts(Inactive, 5, 4)];
        assert_eq!(last_transitions(&torn), []);
        let active = [&torn[..], &[facts(Active, 5, 4)]].concat();
        assert_eq!(last_transitions(&active), [("active".into(), 1)]);
        let again = [&active[..], &[facts(Active, 9, 8)]].concat();
        assert_eq!(last_transitions(&again), [("active".into(), 1)]);
    }

    /// The time of entry is older than the state, as two answers may be, or unknown.
    #[test]
    fn an_entry_that_is_counted_by_its_state_is_not_counted_again_by_its_time() {
        let active = |active_enter| Facts { active_enter, ..facts(Active, 0, 4) };
        for older in [None, Some(3)] {
            let entered = [facts(Inactive, 3, 4), active(older)];
            assert_eq!(last_transitions(&entered), [("active".into(), 1)], "{older:?}");
            let with_its_time = [&entered[..], &[active(Some(5))]].concat();
            assert_eq!(last_transitions(&with_its_time), [], "{older:?}");
            let again = [&with_its_time[..], &[active(Some(9))]].concat();
            assert_eq!(last_transitions(&again), [("active".into(), 1)], "{older:?}");
        }
        assert_eq!(last_transitions(&[active(Some(3)), active(Some(0))]), [], "0 is never");
    }

    #[test]
    fn facts_that_are_read_again_do_not_hide_a_later_entry() {
        let active = [facts(Active, 5, 4), facts(Active, 5, 4), facts(Active, 9, 8)];
        assert_eq!(last_transitions(&active), [("active".into(), 1)]);
        let failed = |at| Facts { inactive_enter: Some(at), ..facts(Failed, 3, 4) };
        let all = last_transitions(&[failed(4), failed(4), failed(7)]);
        assert_eq!(all, [("failed".into(), 1)]);
    }

    #[test]
    fn the_first_time_of_entry_is_not_counted_and_a_later_one_is() {
        assert_eq!(last_transitions(&[facts(Inactive, 3, 4)]), []);
        let all = [facts(Inactive, 3, 4), facts(Active, 5, 4), facts(Inactive, 5, 6)];
        assert_eq!(last_transitions(&all), [("inactive".into(), 1)]);
    }

    fn running(invocation: u128, restarts: u64) -> Facts {
        let (invocation, restarts) = (Some(invocation), Some(restarts));
        Facts { state: Some(Active), invocation, restarts, ..Facts::default() }
    }

    /// Step 1 of a restart.
    fn waiting(invocation: u128, restarts: u64) -> Facts {
        let (state, restart_step) = (Some(Activating), RestartStep::Waiting);
        Facts { state, restart_step, ..running(invocation, restarts) }
    }

    /// Step 2 of a restart.
    fn queued(invocation: u128, restarts: u64) -> Facts {
        let (restart_step, is_sub_state_queued) = (RestartStep::Queued, true);
        Facts { restart_step, is_sub_state_queued, has_job: true, ..waiting(invocation, restarts) }
    }

    /// Step 2 of a restart before systemd 254.
    fn queued_before_254(invocation: u128, restarts: u64) -> Facts {
        Facts { is_sub_state_queued: false, ..queued(invocation, restarts) }
    }

    /// Step 3 of a restart before systemd 254.
    fn stopped_by_job(invocation: u128, restarts: u64) -> Facts {
        Facts { state: Some(Inactive), has_job: true, ..running(invocation, restarts) }
    }

    /// Facts in which the last run has failed; without a restart step it rests.
    fn failed(result: RunResult, facts: Facts) -> Facts {
        let rests = facts.restart_step == RestartStep::No;
        let state = if rests { Some(Failed) } else { facts.state };
        Facts { state, result: Some(result), ..facts }
    }

    fn after_gap(facts: Facts) -> Facts {
        Facts { after_gap: true, ..facts }
    }

    /// Moves the cursor of a unit that was just loaded through these facts; returns what the last
    /// ones add.
    fn last(all: &[Facts]) -> Delta {
        let mut cursor = Cursor::fresh();
        all.iter().map(|facts| cursor.advance(facts)).last().unwrap()
    }

    /// The table at the head of this file, row by row.
    #[test]
    fn starts_and_restarts_are_counted_from_nrestarts_and_the_invocation() {
        let to_step_2 = [running(1, 0), waiting(1, 0), queued_before_254(1, 1)];
        let to_step_3 = [&to_step_2[..], &[stopped_by_job(1, 1)]].concat();
        let reset = [running(2, 1), waiting(2, 1)];
        let with = |before: &[Facts], now: Facts| [before, &[now]].concat();
        let then_gap = |facts| vec![running(1, 0), after_gap(facts), after_gap(running(20, 5))];
        let cancelled =
            [&to_step_2[..], &[Facts { has_job: false, ..stopped_by_job(1, 1) }]].concat();
        let stopped_by_hand = Facts { has_job: false, ..stopped_by_job(2, 1) };
        let failed_at_rest = failed(RunResult::ExitCode, running(9, 3));
        for (what, all, restarts, starts) in [
            ("the first run of all", vec![running(5, 0)], 0, 1),
            ("the same run", vec![running(5, 2), running(5, 2)], 0, 0),
            ("none before", vec![after_gap(running(5, 2))], 2, 3),
            ("a rise", vec![running(1, 2), after_gap(running(5, 5))], 3, 3),
            ("a fall", vec![running(1, 7), after_gap(running(5, 2))], 2, 2),
            ("a manual start", vec![running(1, 7), running(5, 0)], 0, 1),
            ("a restart", vec![running(1, 0), waiting(1, 0), queued(1, 1)], 1, 0),
            ("its run", vec![running(1, 0), waiting(1, 0), queued(1, 1), running(2, 1)], 0, 1),
            ("from step 2", with(&to_step_2, after_gap(running(9, 3))), 2, 3),
            ("from step 3", with(&to_step_3, after_gap(running(9, 3))), 2, 3),
            ("to step 2", vec![running(1, 0), after_gap(queued(9, 3))], 3, 2),
            ("from step 2 of a gap", then_gap(queued_before_254(9, 3)), 2, 3),
            ("perhaps of the run before", then_gap(queued(9, 3)), 2, 2),
            ("step 3 without step 2", then_gap(stopped_by_job(1, 3)), 2, 3),
            ("stopped by a manual restart", then_gap(stopped_by_job(1, 0)), 5, 5),
            ("from a cancelled restart", with(&cancelled, after_gap(running(20, 5))), 4, 4),
            ("at rest after a gap", vec![running(1, 0), after_gap(failed_at_rest.clone())], 3, 2),
            ("at rest", vec![running(1, 0), failed_at_rest], 3, 3),
            ("reset, to step 2", with(&reset, queued(2, 1)), 1, 0),
            ("reset, to step 2 again", [&reset[..], &[queued(2, 1), queued(2, 1)]].concat(), 0, 0),
            ("reset, its run", [&reset[..], &[queued(2, 1), running(3, 1)]].concat(), 0, 1),
            ("reset, to the run", with(&reset, running(3, 1)), 1, 1),
            ("reset, manual start", with(&reset, running(3, 0)), 0, 1),
            ("reset in a gap", with(&reset, after_gap(running(3, 1))), 0, 1),
            ("not reset", [&reset[..], &[queued(2, 2), running(3, 2)]].concat(), 0, 1),
            ("in a reload", vec![running(2, 1), after_gap(waiting(2, 1)), running(3, 1)], 0, 1),
            ("reset and stopped", [&reset[..], &[stopped_by_hand, running(3, 1)]].concat(), 0, 1),
            (
                "reset, before systemd 254",
                [&reset[..], &[queued_before_254(2, 1), stopped_by_job(2, 1), running(3, 1)]]
                    .concat(),
                1,
                1,
            ),
            ("loaded again", vec![running(1, 2), loaded(), after_gap(running(9, 1))], 1, 2),
        ] {
            let counters = last(&all).counters;
            assert_eq!((counters.restarts, counters.starts), (restarts, starts), "{what}");
        }
    }

    /// A unit that was never started.
    fn loaded() -> Facts {
        Facts { state: Some(Inactive), ..running(0, 0) }
    }

    /// A restart that was in NRestarts when the unit was first seen is not a rise.
    #[test]
    fn nrestarts_is_counted_separately_when_it_is_first_known() {
        let mut cursor = Cursor::default();
        let delta = cursor.advance(&waiting(1, 1));
        assert_eq!((delta.earlier_restarts, delta.counters.restarts), (1, 0));
        assert_eq!(cursor.advance(&queued(1, 2)).counters.restarts, 1);
        let mut cursor = Cursor { is_restart_pending: true, ..Cursor::default() };
        let delta = cursor.advance(&queued(1, 1));
        assert_eq!((delta.earlier_restarts, delta.counters.restarts), (1, 0));
    }

    /// NRestarts may be refused for a while, and 0 shows a reset.
    #[test]
    fn a_service_has_restarted_if_nrestarts_is_neither_the_counted_one_nor_0() {
        let mut cursor = Cursor::fresh();
        assert!(!cursor.is_behind(0) && cursor.is_behind(2));
        cursor.advance(&running(1, 2));
        cursor.advance(&Facts { restarts: None, ..running(1, 2) });
        assert!(!cursor.is_behind(2) && !cursor.is_behind(0));
        assert!(cursor.is_behind(1) && cursor.is_behind(3));
        assert!(!Cursor::default().is_behind(2), "what was counted is not known");
    }

    #[test]
    fn only_an_invocation_identifies_a_unit() {
        let mut cursor = Cursor::fresh();
        assert!(!cursor.is_of(0) && !cursor.is_of(7));
        cursor.advance(&running(7, 0));
        assert!(cursor.is_of(7) && !cursor.is_of(8) && !cursor.is_of(0));
    }

    /// Their results are forgotten, except that of the last run before the gap if it is counted.
    #[test]
    fn each_run_that_ended_in_a_gap_is_unseen_unless_its_failure_is_counted() {
        let fails = |facts| failed(RunResult::ExitCode, facts);
        let at_step_1 = [running(1, 0), fails(waiting(1, 0))];
        let at_step_2 = [&at_step_1[..], &[fails(queued(1, 1))]].concat();
        let with = |before: &[Facts], now: Facts| last(&[before, &[now]].concat()).unseen;
        assert_eq!(with(&[running(1, 0)], after_gap(running(9, 3))), 3);
        assert_eq!(with(&[running(1, 0)], running(9, 3)), 0, "all were signalled");
        assert_eq!(with(&[running(1, 0)], after_gap(queued(9, 3))), 2, "the last has its result");
        assert_eq!(with(&at_step_1, after_gap(running(9, 3))), 2);
        assert_eq!(with(&at_step_1, after_gap(queued(9, 3))), 1);
        assert_eq!(with(&at_step_2, after_gap(running(9, 3))), 2);
        assert_eq!(with(&[fails(waiting(1, 7))], after_gap(running(9, 2))), 2, "NRestarts fell");
        let stopping = Facts { state: Some(ActiveState::Deactivating), ..running(2, 1) };
        let failing = Facts { result: Some(RunResult::ExitCode), ..stopping };
        let second_fails = [&at_step_1[..], &[failing]].concat();
        assert_eq!(with(&second_fails, after_gap(running(9, 3))), 2, "only the first is counted");
    }

    #[test]
    fn a_failure_counts_once_for_each_run_and_result_when_the_run_is_over() {
        let fails = |result: &RunResult, facts| failed(result.clone(), facts);
        let (code, signal) = (&RunResult::ExitCode, &RunResult::Signal);
        let stopping = Facts { state: Some(ActiveState::Deactivating), ..running(1, 0) };
        let stopping = Facts { result: Some(code.clone()), ..stopping };
        let success = Facts { result: Some(RunResult::Success), ..running(1, 0) };
        for (what, all, failures) in [
            ("it still stops", vec![running(1, 0), stopping.clone()], 0),
            ("it has stopped", vec![stopping, fails(code, running(1, 0))], 1),
            ("it waits", vec![running(1, 0), fails(code, waiting(1, 0))], 1),
            ("counted", vec![fails(code, waiting(1, 0)), fails(code, queued(1, 1))], 0),
            ("another run", vec![fails(code, running(1, 0)), fails(code, running(2, 0))], 1),
            ("another result", vec![fails(code, running(1, 0)), fails(signal, running(1, 0))], 1),
            ("reset", vec![fails(code, running(1, 0)), success, fails(code, running(1, 0))], 1),
        ] {
            let delta = last(&all);
            let all: Vec<_> = delta.counters.failures.iter().map(|(_, count)| count).collect();
            assert_eq!(all.iter().sum::<u64>(), failures, "{what}");
        }
    }

    /// It is counted with its job, which is not signalled in a gap.
    #[test]
    fn a_start_that_the_limit_refused_counts_by_its_result_only_after_a_gap() {
        let hit = || failed(RunResult::StartLimitHit, loaded());
        assert!(last(&[hit()]).counters.failures.is_empty());
        let all = last(&[after_gap(hit())]).counters.failures;
        assert_eq!(all.iter().collect::<Vec<_>>(), [(&RunResult::StartLimitHit, 1)]);
    }

    /// It may have failed before the exporter ran.
    #[test]
    fn the_first_result_that_is_known_counts_only_if_the_unit_was_seen_to_fail() {
        let count = |all: &[Facts]| {
            let mut cursor = Cursor::default();
            let delta = all.iter().map(|facts| cursor.advance(facts)).last().unwrap();
            delta.counters.failures.iter().map(|(_, count)| count).sum::<u64>()
        };
        let fails = |facts| failed(RunResult::ExitCode, facts);
        assert_eq!(count(&[fails(running(1, 0))]), 0);
        assert_eq!(count(&[running(1, 0), fails(running(1, 0))]), 1);
        assert_eq!(count(&[running(1, 0), fails(waiting(1, 0))]), 0);
    }

    #[test]
    fn an_exit_of_the_main_process_counts_once() {
        let exited = |at| {
            let exit = Exit { at, code: ExitCode::Exited, status: 3 };
            Facts { exit: Some(exit), ..running(1, 0) }
        };
        assert_eq!(last(&[exited(7)]).counters.last_exit.map(|exit| exit.at), Some(7));
        assert_eq!(last(&[exited(7), exited(7)]).counters.last_exit, None);
        let again = last(&[exited(7), exited(7), exited(9)]).counters.last_exit;
        assert_eq!(again.map(|exit| exit.at), Some(9));
    }
}
