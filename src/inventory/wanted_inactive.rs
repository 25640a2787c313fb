//! Inactive units that should run: an active unit wants them, and they are not inactive by design.
//!
//! systemd never signals the dependencies of a unit, so they are asked for. A question about a unit
//! that systemd has just dropped would load it again, so a unit is only asked about once it has
//! been inactive and in memory for a second.

use std::collections::BTreeSet;

use super::{Inventory, entry::Entry, queue::enqueue, unit::Details, unit::Unit};
use crate::clock::Usec;
use crate::systemd::{
    name::{UnitName, UnitType},
    property::{PropertySet, UnitProperty, Value},
    state::{ActiveState, LoadState, RunResult},
};

/// The bus names that start a service.
pub(super) type Activatable = BTreeSet<Box<str>>;

/// How a unit that should run came to be inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InactiveReason {
    /// It has not left the inactive state since systemd started.
    NeverStarted,
    /// It was started, and stopped again.
    Stopped,
}

/// What decides whether an inactive unit should run: the units that want it, and the reasons for
/// which it may be inactive by design.
#[derive(Debug, Default)]
pub(super) struct InactiveFacts {
    /// An active unit has wanted it since it became inactive. Without that the other facts are not
    /// needed.
    is_wanted: bool,
    /// Everything needed has been answered since.
    all_answered: bool,
    /// The dependencies by property. Empty lists are left out.
    relations: Vec<(UnitProperty, Box<[UnitName]>)>,
    condition: Check,
    assertion: Check,
    /// `UnitFileState` is `static`: only dependencies and triggers start it.
    is_static: bool,
    remains_after_exit: bool,
    bus_name: Option<Box<str>>,
    /// `Restart=` restarts the service after a success as well.
    restarts_after_success: bool,
    /// `RestartPreventExitStatus=` may prevent the restart after a success.
    restart_may_be_prevented: bool,
    /// `RemainAfterElapse=no`: the timer becomes inactive after its last elapse.
    stops_after_last_elapse: bool,
    /// `ExecMainExitTimestampMonotonic`.
    main_exited: Option<Usec>,
    /// `StateChangeTimestamp`.
    state_changed: Option<Usec>,
}

/// The conditions or the asserts of a unit.
#[derive(Debug, Default)]
struct Check {
    /// When they were last checked, in microseconds since boot.
    at: Option<Usec>,
    met: bool,
}

// === impl InactiveFacts ===

impl InactiveFacts {
    /// Takes one of the properties of [`PropertySet::INACTIVE_FACTS`].
    pub(super) fn learn(&mut self, property: UnitProperty, value: &Value) {
        use UnitProperty as P;
        let is_set = *value == Value::Flag(true);
        match property {
            P::ConditionResult => self.condition.met = is_set,
            P::ConditionTime => self.condition.at = value.number(),
            P::AssertResult => self.assertion.met = is_set,
            P::AssertTime => self.assertion.at = value.number(),
            P::UnitFileState => self.is_static = value.text() == Some("static"),
            P::RemainAfterExit => self.remains_after_exit = is_set,
            P::BusName => self.bus_name = value.text().filter(|it| !it.is_empty()).map(Into::into),
            P::RestartPolicy => {
                self.restarts_after_success = matches!(value.text(), Some("always" | "on-success"));
            }
            P::RestartPrevented => self.restart_may_be_prevented = is_set,
            P::RemainAfterElapse => self.stops_after_last_elapse = *value == Value::Flag(false),
            P::ExitMonotonic => self.main_exited = value.number(),
            P::StateChange => self.state_changed = value.number(),
            _ => self.learn_relation(property, value),
        }
    }

    /// Takes a list of dependencies.
    fn learn_relation(&mut self, property: UnitProperty, value: &Value) {
        self.relations.retain(|(relation, _)| *relation != property);
        if let Value::Units(names) = value
            && !names.is_empty()
        {
            self.relations.push((property, names.clone()));
        }
    }

    /// The units of these dependencies.
    fn related(&self, relations: PropertySet) -> impl Iterator<Item = &UnitName> {
        let lists = self.relations.iter().filter(move |(relation, _)| relations.has(*relation));
        lists.flat_map(|(_, names)| names)
    }

    /// When systemd last tried to start the unit and checked its conditions
    /// (`ConditionTimestampMonotonic`), in microseconds since boot.
    pub(super) fn start_tried_at(&self) -> Option<Usec> {
        self.condition.at
    }

    /// The properties needed of a unit that stays inactive; `current` are known.
    pub(super) fn needed(&self, unit: &Unit, current: PropertySet) -> PropertySet {
        if !is_inactive_and_startable(unit) {
            return PropertySet::EMPTY;
        }
        if !self.is_wanted {
            return PropertySet::WANTING_UNITS;
        }
        if self.condition.has_failed() || self.assertion.has_failed() {
            return PropertySet::WANTING_UNITS.union(PropertySet::CONDITIONS);
        }
        let mut needed = PropertySet::RELATIONS.union(PropertySet::CONDITIONS);
        needed = match unit.details {
            Details::Service(_) => {
                needed.union(PropertySet::RUN_END).union(PropertySet::SERVICE_BY_DESIGN)
            }
            Details::Timer(_) => needed.with(UnitProperty::RemainAfterElapse),
            _ => needed,
        };
        // For UnitFileState systemd reads the disk, so it is asked for only where it decides.
        if current.has(UnitProperty::ConditionTime) && !self.start_was_tried(unit) {
            needed = needed.with(UnitProperty::UnitFileState);
        }
        needed
    }

    /// Notes whether everything needed is answered; `answered` includes unavailable properties.
    pub(super) fn update(&mut self, unit: &Unit, current: PropertySet, answered: PropertySet) {
        self.all_answered |= self.is_wanted && answered.contains(self.needed(unit, current));
    }

    /// The units that start this one when they start. Not devices: they start it when they are
    /// plugged in.
    fn wanted_by(&self) -> impl Iterator<Item = &UnitName> {
        self.related(PropertySet::WANTING_UNITS).filter(|name| name.unit_type() != UnitType::Device)
    }

    /// Why the unit is reported; `None` if no active unit wants it, if it is inactive by design, or
    /// if not enough is known.
    fn reason(
        &self,
        unit: &Unit,
        is_active: impl Fn(&UnitName) -> bool + Copy,
        activatable: Option<&Activatable>,
    ) -> Option<InactiveReason> {
        let should_run = self.all_answered
            && is_inactive_and_startable(unit)
            && self.wanted_by().any(is_active)
            && !self.is_by_design(unit, is_active, activatable);
        let reason = match unit.inactive_exit {
            None => InactiveReason::NeverStarted,
            Some(_) => InactiveReason::Stopped,
        };
        should_run.then_some(reason)
    }

    /// Whether the unit is inactive by design.
    fn is_by_design(
        &self,
        unit: &Unit,
        is_active: impl Fn(&UnitName) -> bool + Copy,
        activatable: Option<&Activatable>,
    ) -> bool {
        self.condition.has_failed()
            || self.assertion.has_failed()
            || unit.result == Some(RunResult::ExecCondition)
            || self.has_finished(unit)
            || self.has_ended_by_itself(unit)
            || self.has_elapsed(unit)
            || self.related(PropertySet::TRIGGERS_AND_CONFLICTS).any(is_active)
            || self.is_started_by_bus(activatable)
            || (self.is_static && !self.start_was_tried(unit))
    }

    /// Whether it is a oneshot that ran to its end. With `RemainAfterExit=yes` it would be active.
    fn has_finished(&self, unit: &Unit) -> bool {
        let Details::Service(service) = &unit.details else { return false };
        service.service_type.as_deref() == Some("oneshot")
            && !self.remains_after_exit
            && self.has_succeeded(unit)
            && self.start_was_tried(unit)
    }

    /// Whether its main process exited with success before anything stopped it. A stop job makes
    /// the unit leave the active state first, even if the process then exits with 0. A service that
    /// restarts after a success was stopped before the restart.
    fn has_ended_by_itself(&self, unit: &Unit) -> bool {
        let ends = self.main_exited.zip(unit.active_exit_monotonic);
        !self.remains_after_exit
            && (!self.restarts_after_success || self.restart_may_be_prevented)
            && self.has_succeeded(unit)
            && ends.is_some_and(|(main, active)| main < active.get())
    }

    /// Whether its last run was a success. `systemctl reset-failed` sets the result of a failed run
    /// to success too, but changes the state after InactiveEnterTimestamp.
    fn has_succeeded(&self, unit: &Unit) -> bool {
        let was_reset = unit.inactive_enter.is_some() && self.state_changed != unit.inactive_enter;
        unit.result == Some(RunResult::Success) && !was_reset
    }

    /// Whether it is a timer with `RemainAfterElapse=no` that will not elapse again.
    fn has_elapsed(&self, unit: &Unit) -> bool {
        let Details::Timer(timer) = &unit.details else { return false };
        self.stops_after_last_elapse
            && timer.last_trigger.is_some()
            && !timer.repeats()
            && unit.result == Some(RunResult::Success)
    }

    /// Whether the bus starts it when a client calls its name. Without a bus to ask, any bus name is
    /// taken for activatable.
    fn is_started_by_bus(&self, activatable: Option<&Activatable>) -> bool {
        let is_activatable = |name: &str| activatable.is_none_or(|names| names.contains(name));
        self.bus_name.as_deref().is_some_and(is_activatable)
    }

    /// Whether systemd tried to start it, or it was active without a start, as a mount may be.
    fn start_was_tried(&self, unit: &Unit) -> bool {
        self.condition.at.is_some() || unit.inactive_exit.is_some()
    }
}

/// Whether the unit is inactive and could be started. Of others it does not matter what wants them.
fn is_inactive_and_startable(unit: &Unit) -> bool {
    unit.active_state == ActiveState::Inactive
        && unit.load_state == LoadState::Loaded
        && !matches!(unit.name.unit_type(), UnitType::Slice | UnitType::Scope | UnitType::Device)
}

// === impl Check ===

impl Check {
    /// Whether they prevented the last start. Without a time they were never checked, and systemd
    /// reports them as not met.
    fn has_failed(&self) -> bool {
        self.at.is_some() && !self.met
    }
}

// === impl InactiveReason ===

impl InactiveReason {
    /// The value of the label `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverStarted => "never_started",
            Self::Stopped => "stopped",
        }
    }
}

// === impl Entry ===

impl Entry {
    /// Notes whether the unit is inactive. Returns whether it may be so only for a moment: then it is
    /// asked about later.
    pub(super) fn note_inactive(&mut self) -> bool {
        if self.unit.active_state == ActiveState::Inactive {
            return !self.stays_inactive;
        }
        self.stays_inactive = false;
        if let Some(facts) = &mut self.inactive {
            (facts.is_wanted, facts.all_answered) = (false, false);
        }
        // When it is inactive again, other units may want it.
        self.knowledge.invalidate(PropertySet::RELATIONS);
        false
    }

    /// Notes that the unit, if inactive, stays so: it was listed, or has been in its state and in
    /// memory for a second.
    pub(super) fn note_stays_inactive(&mut self) {
        if self.note_inactive() {
            self.stays_inactive = true;
        }
    }
}

// === impl Inventory ===

impl Inventory {
    /// Replaces the bus names that start a service.
    pub fn replace_activatable(&mut self, names: BTreeSet<Box<str>>) {
        self.activatable = Some(names);
    }

    /// Re-evaluates after an answer whether an inactive unit should run.
    pub(super) fn update_inactive_facts(&mut self, name: &UnitName, answered: UnitProperty) {
        if PropertySet::WANTING_UNITS.has(answered) {
            self.recheck_whether_wanted(name);
        } else if answered == UnitProperty::ActiveState {
            self.note_inactive(name);
        }
        if let Some(entry) = self.units.get_mut(name) {
            entry.update_inactive_facts();
        }
    }

    /// Notes whether an active unit wants this one. If only inactive units do, it is checked again
    /// every second.
    pub(super) fn recheck_whether_wanted(&mut self, name: &UnitName) {
        let Some(entry) = self.units.get(name).filter(|entry| entry.stays_inactive) else { return };
        let Some(facts) = entry.inactive.as_ref() else { return };
        let is_undecided = !facts.is_wanted && facts.wanted_by().next().is_some();
        let is_wanted = facts.wanted_by().any(|name| self.is_active(name));
        if is_undecided && !is_wanted {
            self.wanted_by_inactive.insert(name.clone());
        } else if is_undecided && let Some(entry) = self.units.get_mut(name) {
            entry.inactive.get_or_insert_default().is_wanted = true;
            enqueue(&mut self.unread, name, entry);
        }
    }

    /// Notes whether a unit is inactive; one that has become so is asked about later.
    pub(super) fn note_inactive(&mut self, name: &UnitName) {
        if self.units.get_mut(name).is_some_and(Entry::note_inactive) {
            self.deferred.insert(name.clone());
        }
    }

    /// Checks the units again that only inactive units wanted.
    pub(super) fn recheck_wanted_by_inactive(&mut self) {
        for name in std::mem::take(&mut self.wanted_by_inactive) {
            self.recheck_whether_wanted(&name);
        }
    }

    /// Why a unit is reported as wanted and inactive, if it is. A unit with a job is not: the job
    /// may start it.
    pub(super) fn wanted_inactive(&self, entry: &Entry) -> Option<InactiveReason> {
        let is_active = |name: &UnitName| self.is_active(name);
        let facts = entry.inactive.as_ref()?;
        let reason = facts.reason(&entry.unit, is_active, self.activatable.as_ref())?;
        (!self.jobs.has_one_for(&entry.unit.name)).then_some(reason)
    }

    /// Whether a unit is active in the sense that systemd's dependencies use.
    fn is_active(&self, name: &UnitName) -> bool {
        use ActiveState::{Active, Refreshing, Reloading};
        let entry = self.units.get(name);
        entry.is_some_and(|it| matches!(it.unit.active_state, Active | Reloading | Refreshing))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::inventory::unit::{Service, Timer};

    /// The active units of the tests.
    const ACTIVE: [&str; 3] = ["all.target", "busy.socket", "plugged.device"];

    fn name(name: &str) -> UnitName {
        UnitName::new(name).unwrap()
    }

    fn names(of: &[&str]) -> Value {
        Value::Units(of.iter().map(|of| name(of)).collect())
    }

    struct Case {
        unit: Unit,
        facts: InactiveFacts,
    }

    impl Case {
        /// A service that an active target wants. It was started and then stopped.
        fn stopped() -> Self {
            let mut unit = Unit::new(name("a.service"));
            unit.load_state = LoadState::Loaded;
            unit.inactive_exit = Some(1);
            unit.inactive_enter = Some(6);
            unit.active_exit_monotonic = NonZeroU64::new(5);
            unit.result = Some(RunResult::Success);
            let service = Service { service_type: Some("simple".into()), ..Service::default() };
            unit.details = Details::Service(service);
            let facts = InactiveFacts { all_answered: true, ..InactiveFacts::default() };
            let case = Self { unit, facts };
            case.with(UnitProperty::WantedBy, names(&["all.target"]))
                .with(UnitProperty::ConditionTime, Value::Number(1))
                .with(UnitProperty::ConditionResult, Value::Flag(true))
                .with(UnitProperty::AssertTime, Value::Number(1))
                .with(UnitProperty::AssertResult, Value::Flag(true))
                .with(UnitProperty::ExitMonotonic, Value::Number(6))
                .with(UnitProperty::StateChange, Value::Number(6))
                .with(UnitProperty::Conflicts, names(&["shutdown.target"]))
        }

        /// The same, never started: systemd then reports conditions as not met, without a time.
        fn untried() -> Self {
            let mut case = Self::stopped();
            case.unit.inactive_exit = None;
            case.unit.active_exit_monotonic = None;
            case.with(UnitProperty::ConditionTime, Value::Nothing)
                .with(UnitProperty::ConditionResult, Value::Flag(false))
                .with(UnitProperty::AssertTime, Value::Nothing)
                .with(UnitProperty::AssertResult, Value::Flag(false))
                .with(UnitProperty::ExitMonotonic, Value::Nothing)
        }

        /// A oneshot that ran and exited.
        fn finished() -> Self {
            let mut case = Self::stopped();
            let Details::Service(service) = &mut case.unit.details else { panic!() };
            service.service_type = Some("oneshot".into());
            case.unit.active_exit_monotonic = None;
            case
        }

        fn with(mut self, property: UnitProperty, value: Value) -> Self {
            assert!(PropertySet::WANTED_INACTIVE.has(property), "{property:?}");
            self.facts.learn(property, &value);
            self
        }

        fn with_unit(mut self, change: impl FnOnce(&mut Unit)) -> Self {
            change(&mut self.unit);
            self
        }

        fn reason(&self) -> Option<InactiveReason> {
            let activatable = Activatable::from(["org.example.Called".into()]);
            let is_active = |name: &UnitName| ACTIVE.contains(&name.as_str());
            self.facts.reason(&self.unit, is_active, Some(&activatable))
        }
    }

    #[track_caller]
    fn by_design(case: Case) {
        assert_eq!(case.reason(), None);
    }

    #[track_caller]
    fn stopped(case: Case) {
        assert_eq!(case.reason().map(InactiveReason::as_str), Some("stopped"));
    }

    #[track_caller]
    fn never_started(case: Case) {
        assert_eq!(case.reason().map(InactiveReason::as_str), Some("never_started"));
    }

    #[test]
    fn a_unit_is_wanted_if_an_active_unit_wants_requires_or_upholds_it() {
        for relation in PropertySet::WANTING_UNITS.iter() {
            let unwanted = || Case::stopped().with(UnitProperty::WantedBy, names(&[]));
            by_design(unwanted());
            stopped(unwanted().with(relation, names(&["idle.target", "all.target"])));
            by_design(unwanted().with(relation, names(&["idle.target"])));
            by_design(unwanted().with(relation, names(&["plugged.device"])));
        }
    }

    #[test]
    fn only_an_inactive_loaded_unit_that_can_be_started_is_reported() {
        for state in ActiveState::ALL.iter().filter(|state| **state != ActiveState::Inactive) {
            by_design(Case::stopped().with_unit(|unit| unit.active_state = state.clone()));
        }
        for state in LoadState::ALL.iter().filter(|state| **state != LoadState::Loaded) {
            by_design(Case::stopped().with_unit(|unit| unit.load_state = state.clone()));
        }
        for unit_type in UnitType::ALL {
            let name = name(&format!("a.{}", unit_type.as_str()));
            let case = Case::stopped().with_unit(|unit| unit.name = name);
            match unit_type {
                UnitType::Slice | UnitType::Scope | UnitType::Device => by_design(case),
                _ => stopped(case),
            }
        }
        let mut case = Case::stopped();
        case.facts.all_answered = false;
        by_design(case);
    }

    #[test]
    fn a_unit_whose_conditions_or_asserts_failed_is_inactive_by_design() {
        for (result, time) in [
            (UnitProperty::ConditionResult, UnitProperty::ConditionTime),
            (UnitProperty::AssertResult, UnitProperty::AssertTime),
        ] {
            by_design(Case::stopped().with(result, Value::Flag(false)));
            stopped(Case::stopped().with(result, Value::Flag(true)));
            never_started(Case::untried().with(result, Value::Flag(false)));
            by_design(Case::untried().with(time, Value::Number(1)));
        }
        let skipped = RunResult::ExecCondition;
        by_design(Case::stopped().with_unit(|unit| unit.result = Some(skipped)));
    }

    #[test]
    fn a_finished_oneshot_is_inactive_by_design() {
        by_design(Case::finished());
        stopped(Case::finished().with(UnitProperty::RemainAfterExit, Value::Flag(true)));
        stopped(Case::finished().with_unit(|unit| unit.result = Some(RunResult::Timeout)));
        let Case { unit, .. } = Case::finished();
        never_started(Case { unit: Unit { inactive_exit: None, ..unit }, ..Case::untried() });
        // A oneshot without a command finishes at once and never leaves the inactive state.
        by_design(Case::finished().with_unit(|unit| unit.inactive_exit = None));
    }

    #[test]
    fn a_unit_with_an_active_trigger_is_inactive_by_design() {
        let triggered = |by: &[&str]| Case::stopped().with(UnitProperty::TriggeredBy, names(by));
        by_design(triggered(&["idle.socket", "busy.socket"]));
        stopped(triggered(&["idle.socket"]));
    }

    #[test]
    fn a_service_that_the_bus_starts_is_inactive_by_design() {
        let named =
            |name: &str| Case::stopped().with(UnitProperty::BusName, Value::Text(name.into()));
        by_design(named("org.example.Called"));
        stopped(named("org.example.Uncalled"));
        stopped(named(""));
        // Without a bus to ask, every name counts.
        let case = named("org.example.Uncalled");
        assert_eq!(case.facts.reason(&case.unit, |_| true, None), None);
    }

    #[test]
    fn a_unit_that_conflicts_with_an_active_unit_is_inactive_by_design() {
        for relation in [UnitProperty::Conflicts, UnitProperty::ConflictedBy] {
            by_design(Case::stopped().with(relation, names(&["idle.target", "busy.socket"])));
            stopped(Case::stopped().with(relation, names(&["idle.target"])));
        }
    }

    #[test]
    fn a_service_that_exited_by_itself_is_inactive_by_design() {
        let ended = |main| Case::stopped().with(UnitProperty::ExitMonotonic, main);
        by_design(ended(Value::Number(4)));
        stopped(ended(Value::Number(5)));
        stopped(ended(Value::Number(6)));
        stopped(ended(Value::Nothing));
        stopped(ended(Value::Number(4)).with(UnitProperty::RemainAfterExit, Value::Flag(true)));
        let failed = Some(RunResult::ExitCode);
        stopped(ended(Value::Number(4)).with_unit(|unit| unit.result = failed));
    }

    /// `systemctl reset-failed` sets the result to success.
    #[test]
    fn a_service_that_failed_and_was_reset_is_reported() {
        let later = Value::Number(7);
        let ended = Case::stopped().with(UnitProperty::ExitMonotonic, Value::Number(4));
        stopped(ended.with(UnitProperty::StateChange, later.clone()));
        stopped(Case::finished().with(UnitProperty::StateChange, later.clone()));
        // A oneshot without a command has no InactiveEnterTimestamp, but its state changes.
        let case = Case::finished().with(UnitProperty::StateChange, later);
        by_design(case.with_unit(|unit| unit.inactive_enter = None));
    }

    #[test]
    fn a_service_that_restarts_after_a_success_is_reported() {
        let ended = |policy: &str| {
            Case::stopped()
                .with(UnitProperty::ExitMonotonic, Value::Number(4))
                .with(UnitProperty::RestartPolicy, Value::Text(policy.into()))
        };
        for policy in ["no", "on-failure", "on-abnormal", "on-watchdog", "on-abort"] {
            by_design(ended(policy));
        }
        for policy in ["always", "on-success"] {
            stopped(ended(policy));
            by_design(ended(policy).with(UnitProperty::RestartPrevented, Value::Flag(true)));
        }
    }

    #[test]
    fn a_timer_that_has_elapsed_for_the_last_time_is_inactive_by_design() {
        let elapsed = || {
            let timer = Timer { last_trigger: Some(3), ..Timer::default() };
            Case::stopped()
                .with(UnitProperty::RemainAfterElapse, Value::Flag(false))
                .with_unit(|unit| unit.details = Details::Timer(timer))
        };
        let with = |change: fn(&mut Timer)| {
            elapsed().with_unit(|unit| {
                let Details::Timer(timer) = &mut unit.details else { panic!() };
                change(timer);
            })
        };
        by_design(elapsed());
        stopped(elapsed().with(UnitProperty::RemainAfterElapse, Value::Flag(true)));
        stopped(with(|timer| timer.last_trigger = None));
        stopped(with(|timer| timer.repeats_calendar = true));
        stopped(elapsed().with_unit(|unit| unit.result = Some(RunResult::Resources)));
    }

    #[test]
    fn a_static_unit_that_was_never_started_is_inactive_by_design() {
        let with = |case: Case, state: &str| {
            case.with(UnitProperty::UnitFileState, Value::Text(state.into()))
        };
        by_design(with(Case::untried(), "static"));
        never_started(with(Case::untried(), "enabled"));
        stopped(with(Case::stopped(), "static"));
        // A mount that was mounted by hand and unmounted.
        stopped(with(Case::untried().with_unit(|unit| unit.inactive_exit = Some(1)), "static"));
    }
}
