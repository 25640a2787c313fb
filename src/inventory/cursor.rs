//! What of a unit has been counted already, and what a new look at it adds to that.
//!
//! Counting is by comparison: each fact that systemd tells is held against the one that was
//! counted last, and what differs happened in between. So it does not matter where a fact came
//! from, nothing is counted twice, and after a time in which nothing was heard (a lost
//! connection, a restart of the exporter) what systemd remembers is made good. What it does not
//! remember is not made up.

use serde::{Deserialize, Serialize};

use super::{
    counters::{Delta, Exit},
    reloads::{Reload, Reloads},
};
use crate::clock::Usec;
use crate::systemd::state::{ActiveState, RunResult};

/// What is known of a unit's runs at one moment. `None` is what is not known; 0 is what has not
/// happened.
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
    /// Where it stands between a run and the automatic restart that follows.
    pub(super) between: Between,
    /// `Job`: a job is queued for it.
    pub(super) has_job: bool,
    /// What is known of its reloads.
    pub(super) reload: Reload,
    /// Its state says that the restart is queued, which it does since version 254.
    pub(super) says_queued: bool,
    /// Signals may have been missed since the last look.
    pub(super) after_gap: bool,
}

/// Where a service stands between a run and the automatic restart that follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Between {
    /// Not there.
    #[default]
    No,
    /// It waits for `RestartSec=` to pass; `NRestarts` does not have the restart yet.
    Waiting,
    /// The restart is queued and in `NRestarts`, and has not begun.
    Queued,
}

/// What was counted last. `None` is what was never known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    state: Option<ActiveState>,
    active_enter: EntryCursor,
    /// Into inactive or failed.
    inactive_enter: EntryCursor,
    invocation: Option<u128>,
    /// The failure that was counted last and that no success has followed: in which invocation
    /// and what. A success is one of no invocation.
    failure: Option<(u128, RunResult)>,
    /// `NRestarts`.
    restarts: Option<u64>,
    /// The restart that follows the run counted last is in `NRestarts`, and has not begun.
    is_queued: bool,
    /// It waits for a restart that has not been counted yet.
    #[serde(rename = "is_owed_restart", default, skip_serializing_if = "std::ops::Not::not")]
    is_restart_pending: bool,
    exit: Option<Usec>,
    #[serde(default)]
    pub(super) reloads: Reloads,
}

/// The entry into a state that was counted last.
///
/// Where facts were asked for one by one, and systemd has not signalled a change yet, a state and
/// its time can be of two moments. The one that is told later must not count again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct EntryCursor {
    /// Its time, as far as it was told; 0 if there was none.
    at: Option<Usec>,
    /// An entry has been counted by its state, and its time is not told yet.
    #[serde(rename = "is_owed", default, skip_serializing_if = "std::ops::Not::not")]
    is_time_pending: bool,
}

/// What the time of an entry tells.
#[derive(Clone, Copy)]
enum Comparison {
    /// It is not known.
    Unknown,
    /// It is the one that was counted.
    Same,
    /// It is that of another entry.
    Another(Usec),
    /// It is that of an entry that was counted by its state, or of one before all counting.
    Told(Usec),
}

// === impl Cursor ===

impl Cursor {
    /// Of a unit that systemd has just loaded: nothing has happened yet.
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

    /// Whether nothing was ever known of it.
    pub(super) fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a run of it is known.
    pub(super) fn ever_ran(&self) -> bool {
        self.invocation.is_some_and(|invocation| invocation != 0)
    }

    /// Whether systemd has restarted it since it was counted; none are left after a reset.
    pub(super) fn is_behind(&self, restarts: u64) -> bool {
        self.restarts.is_some_and(|counted| counted != restarts && restarts > 0)
    }

    /// Whether this was counted of that invocation, and so of that very unit.
    pub(super) fn is_of(&self, invocation: u128) -> bool {
        invocation != 0 && self.invocation == Some(invocation)
    }

    /// Holds what is known now against what was counted, and takes it for counted.
    pub(super) fn advance(&mut self, now: &Facts) -> Delta {
        let mut delta = Delta::default();
        // No unit loses its invocation while systemd has it: this one was loaded anew.
        if now.invocation == Some(0) && self.ever_ran() {
            *self = Self::fresh();
        }
        self.count_entries(now, &mut delta);
        let entered_failed =
            delta.transitions.iter().any(|(state, _)| *state == ActiveState::Failed);
        self.count_runs(now, &mut delta);
        self.count_failure(now, entered_failed, &mut delta);
        if let Some(exit) = &now.exit
            && self.exit.replace(exit.at) != Some(exit.at)
        {
            delta.exit = Some(exit.clone());
        }
        if let Some(result) = self.reloads.advance(&now.reload) {
            delta.reload_failures.add(result, 1);
        }
        delta
    }

    fn count_entries(&mut self, now: &Facts, delta: &mut Delta) {
        let Some(state) = &now.state else { return };
        let is_active = *state == ActiveState::Active;
        let rests = state.is_at_rest();
        let active = self.active_enter.look(now.active_enter);
        let rested = self.inactive_enter.look(now.inactive_enter);
        let entered = self.state.as_ref().is_some_and(|before| before != state);
        let again = (is_active && active.is_another()) || (rests && rested.is_another());
        let passed = !is_active && active.is_another() && now.active_exit >= now.active_enter;
        if self.state.is_some() {
            delta.transitions.add(state, u64::from(entered || again));
            // It was active, which nobody saw, and is not any more.
            delta.transitions.add(&ActiveState::Active, u64::from(passed));
        }
        // An active unit that says so of its time only has yet to say so of its state.
        if is_active || passed || !active.is_another() {
            self.active_enter.take(active, is_active && entered);
        }
        self.inactive_enter.take(rested, rests && entered);
        if self.state.as_ref() != Some(state) {
            self.state = Some(state.clone());
        }
    }

    /// Counts starts and automatic restarts. Each run that ends in an automatic restart raises
    /// `NRestarts` by one, so what it rose by tells how many runs there were that nobody saw.
    fn count_runs(&mut self, now: &Facts, delta: &mut Delta) {
        let restarts = now.restarts.unwrap_or(0);
        // systemd counts from zero again after a manual start or a `reset-failed`.
        let is_reset = self.restarts.is_some_and(|before| restarts < before);
        let more = match self.restarts {
            Some(before) if !is_reset => restarts - before,
            Some(_) => restarts,
            None => 0,
        };
        delta.restarts = more;
        delta.earlier_restarts = self.restarts.map_or(restarts, |_| 0);
        self.count_forgotten_restart(now, restarts, delta);
        let is_queued = now.between == Between::Queued;
        // Before version 254 a restart stops the unit first.
        let stopped = now.state == Some(ActiveState::Inactive) && now.has_job;
        let is_pending = stopped && (self.is_queued || more > 0);
        let was_queued = self.is_queued && !is_reset;
        if let Some(invocation) = now.invocation {
            let before = self.invocation.replace(invocation);
            let began = before.is_some_and(|before| before != invocation) && invocation != 0;
            if began && let Some(before) = before {
                // The first run of all is not a restart.
                let first = u64::from(before == 0);
                // The last restart of a unit that is at rest may have been refused or cancelled.
                let rests = now.state.as_ref().is_some_and(ActiveState::is_at_rest);
                let refused = now.after_gap && rests && now.between == Between::No;
                let not_begun = u64::from(is_queued || refused);
                let restarted = (more + u64::from(was_queued)).saturating_sub(not_begun);
                delta.starts = (first + restarted).max(1);
                // How the runs in between ended is forgotten. That of the last one is told.
                let told = !was_queued && !is_reset && self.has_counted_failure_of(before);
                if now.after_gap {
                    delta.unseen = more.saturating_sub(not_begun + u64::from(told));
                }
            }
            // Where the state says so, it may be of the run before.
            self.is_queued =
                if began { is_queued && !now.says_queued } else { is_queued || is_pending };
        }
        self.restarts = now.restarts.or(self.restarts);
    }

    /// A `reset-failed` while a restart is waited for makes `NRestarts` begin at zero without a
    /// signal, so that the first restart after the first looks like the same.
    fn count_forgotten_restart(&mut self, now: &Facts, restarts: u64, delta: &mut Delta) {
        let known = self.invocation.zip(now.invocation);
        let begins = known.is_some_and(|(before, now)| before != now);
        let risen = delta.restarts > 0 || delta.earlier_restarts > 0;
        let owed = self.is_restart_pending && !now.after_gap && !risen;
        // Before version 254 a start by hand looks the same but for the number.
        if owed && (now.says_queued || (begins && restarts == 1)) {
            delta.restarts = 1;
        }
        // Before version 254 a restart stops the unit first.
        let stopped = now.state == Some(ActiveState::Inactive) && now.has_job;
        self.is_restart_pending = match now.between {
            // A reload or a re-execution may show it waiting for one that is counted already.
            Between::Waiting => !now.after_gap,
            Between::Queued => owed && !begins && !now.says_queued,
            Between::No => owed && !begins && stopped,
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
        // Not before the run is over: a `reset-failed` may forgive it until then.
        let rests = now.state.as_ref().is_some_and(ActiveState::is_at_rest);
        if !rests && now.between == Between::No {
            return;
        }
        let new = match &self.failure {
            Some((of, before)) => (*of, before) != (invocation, result),
            None => entered_failed,
        };
        // A start that is refused is counted with the job that asked for it: systemd tells it of
        // the unit only if that had not failed before.
        let with_job = *result == RunResult::StartLimitHit && !now.after_gap;
        if new && !with_job {
            delta.failures.add(result, 1);
        }
        self.failure = Some((invocation, result.clone()));
    }
}

// === impl EntryCursor ===

impl EntryCursor {
    fn look(&self, now: Option<Usec>) -> Comparison {
        match (self.at, now) {
            (_, None) => Comparison::Unknown,
            (Some(before), Some(now)) if before == now => Comparison::Same,
            (Some(_), Some(now)) if now != 0 && !self.is_time_pending => Comparison::Another(now),
            (_, Some(now)) => Comparison::Told(now),
        }
    }

    /// Takes the time for counted; `entered` if the state was just seen to be entered.
    fn take(&mut self, look: Comparison, entered: bool) {
        match look {
            Comparison::Another(now) | Comparison::Told(now) => {
                *self = Self { at: Some(now), is_time_pending: false }
            }
            // Its time is still the one of the entry before.
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
