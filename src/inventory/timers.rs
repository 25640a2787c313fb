//! Stuck timers: active, and never to elapse again.

use super::{
    Inventory,
    entry::Entry,
    unit::{Details, Timer, Unit},
};
use crate::systemd::{
    name::{UnitName, UnitType},
    state::ActiveState,
};

// === impl Inventory ===

impl Inventory {
    /// Whether a unit is an active timer that should repeat, has no next time and will not get one.
    ///
    /// `OnUnitActiveSec=` and `OnUnitInactiveSec=` count from a run of the timer's unit, and
    /// systemd computes the next time when that unit changes its state. So the timer is stuck if it
    /// is idle.
    pub(super) fn is_stuck(&self, unit: &Unit) -> bool {
        let Details::Timer(timer) = &unit.details else { return false };
        // It waits for a time, or for the clock or the time zone to be set.
        let waits = &*unit.sub_state == "waiting" || timer.has_next();
        unit.active_state == ActiveState::Active
            && !waits
            && timer.repeats()
            && timer.unit.as_ref().is_some_and(|unit| self.is_idle(unit))
    }

    /// Whether nothing of a unit runs and it has no job. A unit that stays active is not started
    /// again: a service that has exited (`RemainAfterExit=yes`), or a target.
    fn is_idle(&self, name: &UnitName) -> bool {
        let entry = self.units.get(name).filter(|entry| entry.is_known());
        let is_idle = entry.is_none_or(|Entry { unit, .. }| match unit.active_state {
            ActiveState::Active => {
                name.unit_type() != UnitType::Service || &*unit.sub_state == "exited"
            }
            _ => unit.active_state.is_at_rest(),
        });
        is_idle && !self.jobs.has_one_for(name)
    }
}

// === impl Timer ===

impl Timer {
    fn has_next(&self) -> bool {
        self.next_realtime.is_some() || self.next_monotonic.is_some()
    }

    pub(super) fn repeats(&self) -> bool {
        self.repeats_monotonic || self.repeats_calendar
    }
}
