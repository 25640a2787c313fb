//! A unit's row in the table, with what decides about reading, counting and showing it.

use std::sync::Arc;

use super::{
    counting::Runs, cursor::Cursor, gone::GoneUnit, knowledge::Knowledge, polls::Polls, unit::Unit,
    wanted_inactive::InactiveFacts,
};
use crate::{
    clock::Usec,
    selection::Placement,
    systemd::{
        listing::ListedUnit,
        name::{UnitName, UnitType},
        property::{PropertySet, UnitProperty, Value},
        state::{ActiveState, LoadState},
    },
};

/// A unit in systemd's memory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) unit: Arc<Unit>,
    pub(super) presence: Presence,
    /// Its `UnitNew` has been signalled, or was before the exporter listened.
    pub(super) announced: bool,
    /// Its name passes the filters; its slice decides too, see `placement`.
    pub(super) name_passes: bool,
    /// Where it is shown.
    pub(super) placement: Placement,
    /// It belongs to a roll-up, though its slice may not be known yet.
    pub(super) rolls_up: bool,
    pub(super) knowledge: Knowledge,
    pub(super) runs: Runs,
    pub(super) polls: Polls,
    /// It has been inactive and in memory for a second, or was listed so: it may be asked what wants
    /// it.
    pub(super) stays_inactive: bool,
    /// What decides whether it should run while it is inactive.
    pub(super) inactive: Option<Box<InactiveFacts>>,
    /// How far the time of day is ahead of the monotonic clock, in microseconds, if the one may be
    /// derived from the other.
    pub(super) clock_offset: Option<Usec>,
    /// The slice of the unit of this name that left last, until its own is known.
    previous_slice: Option<UnitName>,
    /// When the unit of this name left, until this one is shown.
    previous_left: Option<Usec>,
    /// Fields that a reconcile corrected and no signal has explained yet.
    pub(super) drift_candidates: Vec<&'static str>,
}

/// How much of a unit has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nothing, or not all of its state: it is not shown.
    Unknown,
    /// Its state has been read at least once: it is shown.
    Known,
    /// It is shown, and was in the listing of the last resync. The table is not complete before all
    /// of it has been read.
    Seed,
}

// === impl Entry ===

impl Entry {
    /// A unit of which only the name is known. `cursor` is where counting starts.
    pub(super) fn new(name: UnitName, name_passes: bool, cursor: Arc<Cursor>) -> Self {
        Self {
            unit: Arc::new(Unit::new(name)),
            presence: Presence::Unknown,
            announced: true,
            name_passes,
            placement: Placement::FilteredOut,
            rolls_up: false,
            knowledge: Knowledge::new(),
            runs: Runs::new(cursor),
            polls: Polls::default(),
            stays_inactive: false,
            inactive: None,
            clock_offset: None,
            previous_slice: None,
            previous_left: None,
            drift_candidates: Vec::new(),
        }
    }

    /// Continues the counters of the unit of this name that left.
    pub(super) fn continue_from(&mut self, gone: GoneUnit) {
        self.unit_mut().counters = gone.counters;
        self.runs.resume(gone.cursor);
        self.previous_slice = gone.slice;
        self.previous_left = Some(gone.left);
    }

    /// A unit that is in the state file.
    pub(super) fn recalled(name: UnitName, name_passes: bool, gone: GoneUnit) -> Self {
        let mut entry = Self::new(name, name_passes, gone.cursor);
        entry.previous_slice = gone.slice;
        entry.unit_mut().counters = gone.counters;
        entry
    }

    /// What is kept of it when it leaves.
    pub(super) fn gone_unit(&self, now: Usec) -> GoneUnit {
        GoneUnit {
            counters: Arc::clone(&self.unit.counters),
            cursor: Arc::clone(&self.runs.cursor),
            placement: self.placement.clone(),
            slice: self.slice().cloned(),
            left: self.previous_left.filter(|_| !self.is_known()).unwrap_or(now),
        }
    }

    /// The row, to be changed. Snapshots share it, so this copies it: call it only for a new value.
    pub(super) fn unit_mut(&mut self) -> &mut Unit {
        Arc::make_mut(&mut self.unit)
    }

    /// Its slice, if known.
    pub(super) fn slice(&self) -> Option<&UnitName> {
        self.unit.slice.as_ref().or(self.previous_slice.as_ref())
    }

    /// Whether its state has been read.
    pub(super) fn is_known(&self) -> bool {
        self.presence != Presence::Unknown
    }

    pub(super) fn is_seed(&self) -> bool {
        self.presence == Presence::Seed
    }

    fn mark_known(&mut self) {
        if self.presence == Presence::Unknown {
            self.presence = Presence::Known;
        }
    }

    /// Whether its details are read.
    pub(super) fn needs_details(&self) -> bool {
        self.name_passes && self.unit.is_visible()
    }

    /// Whether systemd may drop it at any moment: it is at rest and has no job.
    pub(super) fn may_leave(&self) -> bool {
        self.unit.active_state.is_at_rest() && self.runs.job.is_none()
    }

    /// Whether it may be asked about at this time.
    pub(super) fn is_due(&mut self, now: Usec) -> bool {
        let is_due = self.knowledge.is_due(now);
        if is_due && self.knowledge.current.contains(PropertySet::STATE) {
            self.mark_known();
        }
        is_due
    }

    /// What to ask now.
    pub(super) fn to_ask(&self) -> PropertySet {
        // A seed is asked about at once, however often it comes to rest.
        if self.knowledge.is_deferred() && !self.is_seed() {
            return PropertySet::EMPTY;
        }
        self.knowledge.to_ask(self.needed())
    }

    /// Notes that everything needed has been read once, or never will be.
    pub(super) fn note_read(&mut self) {
        if self.is_seed() && self.knowledge.unanswered(self.needed()).is_empty() {
            self.presence = Presence::Known;
        }
    }

    /// The properties that are needed in its present state.
    pub(super) fn needed(&self) -> PropertySet {
        let mut needed = PropertySet::STATE;
        let current = self.knowledge.current;
        let failed_to_load =
            matches!(self.unit.load_state, LoadState::Error | LoadState::BadSetting);
        if self.name_passes && failed_to_load && current.has(UnitProperty::LoadState) {
            needed = needed.with(UnitProperty::LoadError);
        }
        if !self.needs_details() {
            return needed.without(self.knowledge.skipped);
        }
        let unit_type = self.unit.name.unit_type();
        needed = needed
            .union(PropertySet::details_of(unit_type))
            .union(self.needed_of_runs(unit_type))
            .union(self.needed_of_start())
            .union(PropertySet::PRESUMED_FALSE);
        if self.polls.counts_ip {
            needed = needed.union(PropertySet::IP_COUNTERS);
        }
        if self.unit.is_running() {
            needed = needed.with(UnitProperty::WatchdogInterval);
        }
        if self.can_be_frozen() || self.unit.is_frozen {
            needed = needed.with(UnitProperty::Freezer);
        }
        if self.stays_inactive {
            let nothing = InactiveFacts::default();
            let inactive = self.inactive.as_deref().unwrap_or(&nothing);
            needed = needed.union(inactive.needed(&self.unit, current));
        }
        needed.without(self.knowledge.skipped)
    }

    /// Whether it has processes that `systemctl freeze` may have frozen.
    fn can_be_frozen(&self) -> bool {
        let unit_type = self.unit.name.unit_type();
        matches!(unit_type, UnitType::Service | UnitType::Slice | UnitType::Scope)
            && !self.unit.active_state.is_at_rest()
            // `RemainAfterExit=yes` keeps it active without a process.
            && &*self.unit.sub_state != "exited"
    }

    fn needed_of_runs(&self, unit_type: UnitType) -> PropertySet {
        let mut needed = PropertySet::run_of(unit_type).without(self.may_be_inferred());
        if unit_type != UnitType::Service {
            return needed;
        }
        if self.runs.exit_time.is_some() {
            needed = needed.with(UnitProperty::ExitCode).with(UnitProperty::ExitStatus);
        }
        // Each signal has the job, so it is asked for only where a signal may be lost.
        let stopped = self.unit.active_state == ActiveState::Inactive;
        let is_behind = self.runs.cursor.is_behind(self.runs.restarts);
        if &*self.unit.sub_state == "auto-restart" || (self.runs.after_gap && stopped && is_behind)
        {
            needed = needed.with(UnitProperty::Job);
        }
        if self.runs.unseen > 0 {
            needed = needed.union(PropertySet::RESTART_SETTINGS);
        }
        needed
    }

    /// Signals may have been lost: everything may have changed.
    pub(super) fn invalidate_all(&mut self) {
        self.knowledge.invalidate_all();
        self.runs.note_gap();
        self.polls.connections_unchanged = false;
    }

    /// Takes its row of a listing; returns the names of the fields that differed.
    pub(super) fn apply_row(&mut self, listed: ListedUnit) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let unit = &self.unit;
        let was_exported = self.needs_details();
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
            let unit = self.unit_mut();
            unit.load_state = listed.load_state;
            unit.active_state = listed.active_state;
            unit.sub_state = listed.sub_state;
        }
        // Nothing else was read of it before it was visible.
        if !was_exported && self.needs_details() {
            self.invalidate_all();
        }
        self.confirm_listed();
        // A deferred unit is shown when it is due.
        if !self.knowledge.is_deferred() {
            self.mark_known();
        }
        changed
    }

    /// Takes one value.
    pub(super) fn learn(&mut self, property: UnitProperty, value: &Value) {
        self.knowledge.confirm(PropertySet::of(&[property]));
        self.note_state();
        // A reported value is no presumption.
        self.knowledge.is_exit_presumed &= property != UnitProperty::ActiveExit;
        self.runs.learn(property, value);
        self.learn_polled(property, value);
        if PropertySet::INACTIVE_FACTS.has(property) {
            self.inactive.get_or_insert_default().learn(property, value);
        } else if !self.unit.holds(property, value) {
            self.unit_mut().set(property, value);
        }
    }

    /// Re-evaluates whether it should run while it is inactive.
    pub(super) fn update_inactive_facts(&mut self) {
        let (current, answered) = (self.knowledge.current, self.knowledge.answered());
        if let Some(inactive) = &mut self.inactive {
            inactive.update(&self.unit, current, answered);
        }
    }

    /// A unit is shown once its active state is known and the rest of its state is answered.
    fn note_state(&mut self) {
        if self.knowledge.answered().contains(PropertySet::STATE)
            && self.knowledge.current.has(UnitProperty::ActiveState)
        {
            self.mark_known();
        }
    }

    /// systemd refuses to report a property: it is absent. A unit without an active state is not
    /// shown.
    pub(super) fn mark_unavailable(&mut self, property: UnitProperty) {
        self.knowledge.note_refused(property);
        self.note_state();
        if !PropertySet::STATE.has(property) && !self.unit.holds(property, &Value::Nothing) {
            self.unit_mut().set(property, &Value::Nothing);
        }
    }
}
