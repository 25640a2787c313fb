//! Which properties of a unit are current, and which of the others may be asked for.

use crate::clock::Usec;
use crate::systemd::property::{PropertySet, UnitProperty};

/// What is known of a unit's properties.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    /// Read, signalled or inferred, and not changed since.
    pub(super) current: PropertySet,
    /// systemd refuses to report them; asking again is of no use.
    unavailable: PropertySet,
    /// No metric needs them.
    pub(super) skipped: PropertySet,
    /// Asked for and not answered yet.
    pub(super) asked: PropertySet,
    /// The unit is in the queue of questions.
    pub(super) queued: bool,
    /// Nothing is asked before this time, in microseconds since boot.
    not_before: Option<Usec>,
    /// ActiveExitTimestamp was presumed to be 0 and not asked for.
    pub(super) is_exit_presumed: bool,
}

// === impl Knowledge ===

impl Knowledge {
    /// Nothing is known, except what is presumed.
    pub(super) fn new() -> Self {
        Self { current: PropertySet::PRESUMED_FALSE, ..Self::default() }
    }

    /// The properties that systemd reported or refused.
    pub(super) fn answered(&self) -> PropertySet {
        self.current.union(self.unavailable)
    }

    /// Which of the needed properties are neither known nor refused.
    pub(super) fn unanswered(&self, needed: PropertySet) -> PropertySet {
        needed.without(self.answered())
    }

    /// Which of the needed properties to ask for.
    pub(super) fn to_ask(&self, needed: PropertySet) -> PropertySet {
        self.unanswered(needed).without(self.asked)
    }

    /// Properties have been reported.
    pub(super) fn confirm(&mut self, some: PropertySet) {
        self.current = self.current.union(some);
        self.unavailable = self.unavailable.without(some);
    }

    /// systemd refuses to report a property.
    pub(super) fn note_refused(&mut self, property: UnitProperty) {
        self.unavailable = self.unavailable.with(property);
    }

    /// Properties may have changed without a signal.
    pub(super) fn invalidate(&mut self, some: PropertySet) {
        self.current = self.current.without(some);
        self.unavailable = self.unavailable.without(some);
    }

    /// Every property may have changed without a signal.
    pub(super) fn invalidate_all(&mut self) {
        self.current = PropertySet::PRESUMED_FALSE;
        self.unavailable = PropertySet::EMPTY;
    }

    /// Asks nothing before this time, in microseconds since boot: the unit may have left memory. A
    /// time that is set already stays.
    pub(super) fn defer(&mut self, not_before: Usec) {
        self.not_before.get_or_insert(not_before);
    }

    /// Asks from now on.
    pub(super) fn ask_now(&mut self) {
        self.not_before = None;
    }

    pub(super) fn is_deferred(&self) -> bool {
        self.not_before.is_some()
    }

    /// Whether questions may be asked at this time.
    pub(super) fn is_due(&mut self, now: Usec) -> bool {
        self.not_before.take_if(|at| *at <= now);
        self.not_before.is_none()
    }
}
