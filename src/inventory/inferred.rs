//! Values that follow from other values of the same unit, and so are not asked. When the exporter
//! starts, each question is asked of every unit, and all of them cost PID 1 CPU time.

use super::{entry::Entry, unit::Unit};
use crate::clock::Usec;
use crate::systemd::{
    name::UnitType,
    property::{PropertySet, UnitProperty, Value},
    state::{ActiveState, RunResult},
};

/// The longest start, by the time of day, of which it is believed that the clock was not set during
/// it and that it is a single start; in microseconds.
const SHORT: Usec = 10_000_000;

/// The stamps of a start by the time of day.
const START: PropertySet = PropertySet::of(&[
    UnitProperty::InactiveExit,
    UnitProperty::ActiveEnter,
    UnitProperty::ActiveExit,
]);

/// Properties that are 0 until a unit is started. systemd sets InactiveExitTimestamp first.
const OF_RUNS: PropertySet = PropertySet::of(&[
    UnitProperty::ActiveEnter,
    UnitProperty::ActiveExit,
    UnitProperty::InactiveEnter,
    UnitProperty::Restarts,
    UnitProperty::ExitTime,
]);

// === impl Entry ===

impl Entry {
    /// Holds for true what has just been listed, and what follows from it.
    pub(super) fn confirm_listed(&mut self) {
        self.knowledge.confirm(PropertySet::STATE);
        let unit = &self.unit;
        let unit_type = unit.name.unit_type();
        if unit.active_state != ActiveState::Active || !self.is_exported() {
            return;
        }
        // Each start begins with a success, and a failure ends it.
        let result = PropertySet::result_of(unit_type).without(self.knowledge.current);
        for property in result.iter() {
            self.learn(property, &Value::Text(RunResult::Success.as_str().into()));
        }
        // A start also forgets how the main process ended before, and this one has not.
        if unit_type == UnitType::Service
            && &*self.unit.sub_state == "running"
            && !self.knowledge.current.has(UnitProperty::ExitTime)
        {
            self.learn(UnitProperty::ExitTime, &Value::Nothing);
        }
    }

    /// Fills in the values that follow from the answers so far.
    pub(super) fn infer(&mut self) {
        if self.was_never_started() {
            let unit_type = self.unit.name.unit_type();
            let open = PropertySet::run_of(unit_type).without(self.knowledge.current);
            for property in OF_RUNS.iter().filter(|it| open.has(*it)) {
                self.learn(property, &Value::Nothing);
            }
        }
        if !self.knowledge.current.has(UnitProperty::ActiveExit)
            && self.is_active_for_the_first_time()
        {
            self.learn(UnitProperty::ActiveExit, &Value::Nothing);
            self.knowledge.is_exit_presumed = self.unit.name.unit_type() == UnitType::Service;
        }
        self.derive_start();
    }

    /// Properties that may follow from answers that are still missing, and are not asked before.
    pub(super) fn may_follow(&self) -> PropertySet {
        let is_open = |some: PropertySet| !self.knowledge.answered().contains(some);
        let started = PropertySet::of(&[UnitProperty::InactiveExit]);
        if self.unit.active_state.is_at_rest() && is_open(started) {
            OF_RUNS
        } else if self.evidence_of_first_time().is_some_and(is_open) {
            PropertySet::of(&[UnitProperty::ActiveExit])
        } else {
            PropertySet::EMPTY
        }
    }

    /// Takes everything that was presumed for unknown, so that it is asked.
    pub(super) fn invalidate_presumed(&mut self) {
        self.knowledge.invalidate(PropertySet::PRESUMED);
        if self.knowledge.is_exit_presumed {
            self.knowledge.is_exit_presumed = false;
            self.knowledge.invalidate(PropertySet::START_STAMPS.with(UnitProperty::ActiveExit));
        }
    }

    fn was_never_started(&self) -> bool {
        let unit = &self.unit;
        unit.active_state.is_at_rest()
            && self.knowledge.current.has(UnitProperty::InactiveExit)
            && unit.inactive_exit.is_none()
    }

    /// Whether it was never active before.
    fn is_active_for_the_first_time(&self) -> bool {
        let evidence = self.evidence_of_first_time();
        let came_to_rest = self.unit.inactive_enter.is_some();
        if came_to_rest || evidence.is_none_or(|it| !self.knowledge.current.contains(it)) {
            return false;
        }
        self.unit.name.unit_type() != UnitType::Service
            || (self.runs.restarts == 0 && start_time(&self.unit).is_some_and(|took| took <= SHORT))
    }

    /// The properties that show whether it is active for the first time; `None` if none do.
    fn evidence_of_first_time(&self) -> Option<PropertySet> {
        if self.unit.active_state != ActiveState::Active {
            return None;
        }
        let mut evidence = PropertySet::of(&[UnitProperty::InactiveEnter]);
        match self.unit.name.unit_type() {
            // These become inactive before they are started again.
            UnitType::Automount
            | UnitType::Path
            | UnitType::Scope
            | UnitType::Slice
            | UnitType::Socket
            | UnitType::Target
            | UnitType::Timer => Some(evidence),
            // With `RestartMode=direct` a service does not. NRestarts counts such restarts, but
            // `systemctl reset-failed` sets it to 0: so the value is only presumed, and only of a
            // service that this exporter has not seen before.
            UnitType::Service if self.is_seed() && self.runs.cursor.is_blank() => {
                evidence = evidence.with(UnitProperty::Restarts);
                evidence = evidence.with(UnitProperty::InactiveExit);
                Some(evidence.with(UnitProperty::ActiveEnter))
            }
            _ => None,
        }
    }

    /// Derives them once those of the time of day are known. A start that seems to have taken long, or
    /// less than no time, may have seen the clock set and set back: it is asked about.
    fn derive_start(&mut self) {
        let is_known = self.knowledge.current.has(UnitProperty::ActiveEnterMonotonic);
        let Some(offset) =
            self.clock_offset.filter(|_| !is_known && self.knowledge.current.contains(START))
        else {
            return;
        };
        let unit = &self.unit;
        // When a unit at rest ceased to be active is compared with when its process ended, to the
        // microsecond.
        if unit.active_state.is_at_rest() || start_time(unit).is_none_or(|took| took > SHORT) {
            return;
        }
        for (stamp, at) in [
            (UnitProperty::InactiveExitMonotonic, unit.inactive_exit),
            (UnitProperty::ActiveEnterMonotonic, unit.active_enter),
            (UnitProperty::ActiveExitMonotonic, unit.active_exit),
        ] {
            let at = at.and_then(|at| at.checked_sub(offset));
            self.learn(stamp, &at.map_or(Value::Nothing, Value::Number));
        }
    }

    /// Of the times of its last start those that are not known to be none.
    pub(super) fn needed_of_start(&self) -> PropertySet {
        let unit = &self.unit;
        let is_skipped = self.knowledge.skipped.has(UnitProperty::ActiveEnterMonotonic);
        // They may follow from those.
        let awaits = self.clock_offset.is_some() && !self.knowledge.current.contains(START);
        if is_skipped || awaits || unit.inactive_exit.is_none() || unit.active_enter.is_none() {
            return PropertySet::EMPTY;
        }
        match unit.active_exit {
            Some(_) => PropertySet::START_STAMPS,
            None => PropertySet::START_STAMPS
                .without(PropertySet::of(&[UnitProperty::ActiveExitMonotonic])),
        }
    }
}

/// How long its last start took by the time of day, in microseconds, unless that was set back.
fn start_time(unit: &Unit) -> Option<Usec> {
    let ends = unit.inactive_exit.zip(unit.active_enter);
    ends.and_then(|(began, ended)| ended.checked_sub(began))
}
