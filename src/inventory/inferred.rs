//! Values that are inferred from other values of the same unit instead of asked for. When the
//! exporter starts, each question is asked of every unit and costs PID 1 CPU time.

use super::{entry::Entry, unit::Unit};
use crate::clock::Usec;
use crate::systemd::{
    name::UnitType,
    property::{PropertySet, UnitProperty, Value},
    state::{ActiveState, RunResult},
};

/// The longest start that is taken for a single one, during which the clock was not set. In
/// microseconds by the time of day.
const SHORT: Usec = 10_000_000;

/// The times of the last start by the time of day.
const START_TIMES: PropertySet = PropertySet::of(&[
    UnitProperty::InactiveExit,
    UnitProperty::ActiveEnter,
    UnitProperty::ActiveExit,
]);

/// Properties that are 0 until a unit is started. systemd sets InactiveExitTimestamp first.
const ZERO_BEFORE_START: PropertySet = PropertySet::of(&[
    UnitProperty::ActiveEnter,
    UnitProperty::ActiveExit,
    UnitProperty::InactiveEnter,
    UnitProperty::Restarts,
    UnitProperty::ExitTime,
]);

// === impl Entry ===

impl Entry {
    /// Marks the listed values as current, and infers others from them.
    pub(super) fn confirm_listed(&mut self) {
        self.knowledge.confirm(PropertySet::STATE);
        let unit = &self.unit;
        let unit_type = unit.name.unit_type();
        if unit.active_state != ActiveState::Active || !self.needs_details() {
            return;
        }
        // A start sets Result to success, and a failure would have ended the run.
        let result = PropertySet::result_of(unit_type).without(self.knowledge.current);
        for property in result.iter() {
            self.learn(property, &Value::Text(RunResult::Success.as_str().into()));
        }
        // A start also clears ExecMainExitTimestamp, and this main process still runs.
        if unit_type == UnitType::Service
            && &*self.unit.sub_state == "running"
            && !self.knowledge.current.has(UnitProperty::ExitTime)
        {
            self.learn(UnitProperty::ExitTime, &Value::Nothing);
        }
    }

    /// Infers values from the answers so far.
    pub(super) fn infer(&mut self) {
        if self.was_never_started() {
            let unit_type = self.unit.name.unit_type();
            let open = PropertySet::run_of(unit_type).without(self.knowledge.current);
            for property in ZERO_BEFORE_START.iter().filter(|it| open.has(*it)) {
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

    /// Properties that may be inferred from answers still to come: they are not asked for before.
    pub(super) fn may_be_inferred(&self) -> PropertySet {
        let is_open = |some: PropertySet| !self.knowledge.answered().contains(some);
        let started = PropertySet::of(&[UnitProperty::InactiveExit]);
        if self.unit.active_state.is_at_rest() && is_open(started) {
            ZERO_BEFORE_START
        } else if self.evidence_of_first_time().is_some_and(is_open) {
            PropertySet::of(&[UnitProperty::ActiveExit])
        } else {
            PropertySet::EMPTY
        }
    }

    /// Invalidates everything presumed, so that it is asked for.
    pub(super) fn invalidate_presumed(&mut self) {
        self.knowledge.invalidate(PropertySet::PRESUMED_FALSE);
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

    /// Whether it is active and was never active before.
    fn is_active_for_the_first_time(&self) -> bool {
        let evidence = self.evidence_of_first_time();
        let was_inactive = self.unit.inactive_enter.is_some();
        if was_inactive || evidence.is_none_or(|it| !self.knowledge.current.contains(it)) {
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

    /// Derives the monotonic times of its start from its times of day. If the start seems long or
    /// negative they are asked for instead: the clock may have been set and set back meanwhile.
    /// systemd reads one clock after the other, so they can be off by some microseconds.
    fn derive_start(&mut self) {
        let is_known = self.knowledge.current.has(UnitProperty::ActiveEnterMonotonic);
        let Some(offset) =
            self.clock_offset.filter(|_| !is_known && self.knowledge.current.contains(START_TIMES))
        else {
            return;
        };
        let unit = &self.unit;
        // For an inactive unit ActiveExitTimestampMonotonic is compared with the exit of its
        // process, to the microsecond, so it has to be exact.
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

    /// The monotonic times of its last start that are needed. Those of events that did not happen
    /// are 0.
    pub(super) fn needed_of_start(&self) -> PropertySet {
        let unit = &self.unit;
        let is_skipped = self.knowledge.skipped.has(UnitProperty::ActiveEnterMonotonic);
        // They may be derived from the times of day.
        let waits = self.clock_offset.is_some() && !self.knowledge.current.contains(START_TIMES);
        if is_skipped || waits || unit.inactive_exit.is_none() || unit.active_enter.is_none() {
            return PropertySet::EMPTY;
        }
        match unit.active_exit {
            Some(_) => PropertySet::START_STAMPS,
            None => PropertySet::START_STAMPS
                .without(PropertySet::of(&[UnitProperty::ActiveExitMonotonic])),
        }
    }
}

/// How long its last start took by the time of day, in microseconds; `None` if that was set back.
fn start_time(unit: &Unit) -> Option<Usec> {
    unit.active_enter?.checked_sub(unit.inactive_exit?)
}
