//! Inactive units that an active unit wants, and that do not rest by design.
//!
//! systemd signals neither the lists of a unit nor their changes, and a question about a unit that
//! it has just dropped makes it load that unit again. So an inactive unit is asked once it has been
//! inactive and in memory for a second.

use std::collections::BTreeSet;

use super::{Inventory, entry::Entry, queue::enqueue, unit::Details, unit::Unit};
use crate::clock::Usec;
use crate::systemd::{
    name::{UnitName, UnitType},
    property::{PropertySet, UnitProperty, Value},
    state::{ActiveState, LoadState, RunResult},
};

/// The names that a bus starts a service for.
pub(super) type Activatable = BTreeSet<Box<str>>;

/// Since when a unit that should run does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InactiveReason {
    /// It has not left the inactive state since systemd began.
    NeverStarted,
    /// It has been started since.
    Stopped,
}

/// What systemd says of an inactive unit beyond its row: which units want it, and what may excuse
/// it.
#[derive(Debug, Default)]
pub(super) struct InactiveFacts {
    /// An active unit has wanted it while it was at rest: only then is it of interest what excuses it.
    is_wanted: bool,
    /// All that is asked of it has been known since.
    is_known: bool,
    /// The lists of units that are not empty.
    relations: Vec<(UnitProperty, Box<[UnitName]>)>,
    condition: Check,
    assertion: Check,
    is_static: bool,
    remains_after_exit: bool,
    bus_name: Option<Box<str>>,
    /// `Restart` is one of those that follow a success as well.
    restarts_always: bool,
    /// `RestartPreventExitStatus` may make a success one that is not followed by a restart.
    may_not_restart: bool,
    /// A timer that is inactive once it has elapsed for the last time.
    leaves_when_elapsed: bool,
    /// `ExecMainExitTimestampMonotonic`.
    main_exit: Option<Usec>,
    /// `StateChangeTimestamp`.
    changed: Option<Usec>,
}

/// The conditions or the asserts of a unit.
#[derive(Debug, Default)]
struct Check {
    /// When they were last looked at, on the monotonic clock.
    at: Option<Usec>,
    met: bool,
}

// === impl InactiveFacts ===

impl InactiveFacts {
    /// Takes the value of one of [`PropertySet::RESTING`].
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
                self.restarts_always = matches!(value.text(), Some("always" | "on-success"));
            }
            P::RestartPrevented => self.may_not_restart = is_set,
            P::RemainAfterElapse => self.leaves_when_elapsed = *value == Value::Flag(false),
            P::ExitMonotonic => self.main_exit = value.number(),
            P::StateChange => self.changed = value.number(),
            _ => self.relate(property, value),
        }
    }

    /// Takes a list of units.
    fn relate(&mut self, property: UnitProperty, value: &Value) {
        self.relations.retain(|(relation, _)| *relation != property);
        if let Value::Units(names) = value
            && !names.is_empty()
        {
            self.relations.push((property, names.clone()));
        }
    }

    /// The units in these lists.
    fn related(&self, relations: PropertySet) -> impl Iterator<Item = &UnitName> {
        let lists = self.relations.iter().filter(move |(relation, _)| relations.has(*relation));
        lists.flat_map(|(_, names)| names)
    }

    /// When it was last tried to start the unit, on the monotonic clock.
    pub(super) fn tried_at(&self) -> Option<Usec> {
        self.condition.at
    }

    /// What is to be known of a unit that has been inactive and in memory for a while, `held` being what
    /// is.
    pub(super) fn needed(&self, unit: &Unit, held: PropertySet) -> PropertySet {
        if !is_candidate(unit) {
            return PropertySet::EMPTY;
        }
        if !self.is_wanted {
            return PropertySet::WANTING;
        }
        if self.condition.has_failed() || self.assertion.has_failed() {
            return PropertySet::WANTING.union(PropertySet::CHECKS);
        }
        let mut wanted = PropertySet::RELATIONS.union(PropertySet::CHECKS);
        wanted = match unit.details {
            Details::Service(_) => {
                wanted.union(PropertySet::ENDING).union(PropertySet::RESTING_SERVICE)
            }
            Details::Timer(_) => wanted.with(UnitProperty::RemainAfterElapse),
            _ => wanted,
        };
        // systemd looks for the file on the disk.
        if held.has(UnitProperty::ConditionTime) && !self.was_tried(unit) {
            wanted = wanted.with(UnitProperty::UnitFileState);
        }
        wanted
    }

    /// Takes in what is known of the unit. `answered` also has what systemd refused to say.
    pub(super) fn update(&mut self, unit: &Unit, held: PropertySet, answered: PropertySet) {
        self.is_known |= self.is_wanted && answered.contains(self.needed(unit, held));
    }

    /// The units that start this one with themselves. A device does so when it is plugged in.
    fn wanting(&self) -> impl Iterator<Item = &UnitName> {
        self.related(PropertySet::WANTING).filter(|name| name.unit_type() != UnitType::Device)
    }

    /// Why the unit does not run although an active unit wants it; `None` if nothing is wrong, or
    /// not enough is known.
    fn reason(
        &self,
        unit: &Unit,
        is_active: impl Fn(&UnitName) -> bool + Copy,
        activatable: Option<&Activatable>,
    ) -> Option<InactiveReason> {
        let is_missed = self.is_known
            && is_candidate(unit)
            && self.wanting().any(is_active)
            && !self.is_by_design(unit, is_active, activatable);
        let reason = match unit.inactive_exit {
            None => InactiveReason::NeverStarted,
            Some(_) => InactiveReason::Stopped,
        };
        is_missed.then_some(reason)
    }

    /// Whether the unit is inactive because it is meant to be.
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
            || self.related(PropertySet::EXCUSING).any(is_active)
            || self.is_started_by_bus(activatable)
            || (self.is_static && !self.was_tried(unit))
    }

    /// A oneshot that ran. With `RemainAfterExit=yes` it would be active then.
    fn has_finished(&self, unit: &Unit) -> bool {
        let Details::Service(service) = &unit.details else { return false };
        service.service_type.as_deref() == Some("oneshot")
            && !self.remains_after_exit
            && self.has_succeeded(unit)
            && self.was_tried(unit)
    }

    /// A service whose main process ended well before anything stopped it. A stop job makes the
    /// unit leave the active state first, also if the process then exits with 0. One that is
    /// restarted after a success as well does not end by itself: it was stopped before the restart.
    fn has_ended_by_itself(&self, unit: &Unit) -> bool {
        let ends = self.main_exit.zip(unit.active_exit_monotonic);
        !self.remains_after_exit
            && (!self.restarts_always || self.may_not_restart)
            && self.has_succeeded(unit)
            && ends.is_some_and(|(main, active)| main < active.get())
    }

    /// A service whose last run was a success. `systemctl reset-failed` makes the result of one that
    /// failed a success too, and that is a change of state after it came to rest.
    fn has_succeeded(&self, unit: &Unit) -> bool {
        let was_reset = unit.inactive_enter.is_some() && self.changed != unit.inactive_enter;
        unit.result == Some(RunResult::Success) && !was_reset
    }

    /// A timer with `RemainAfterElapse=no` that has elapsed and will not do so again.
    fn has_elapsed(&self, unit: &Unit) -> bool {
        let Details::Timer(timer) = &unit.details else { return false };
        self.leaves_when_elapsed
            && timer.last_trigger.is_some()
            && !timer.repeats()
            && unit.result == Some(RunResult::Success)
    }

    /// A service that its bus starts when something calls its name. Where there is no bus to ask,
    /// each name counts as one of these.
    fn is_started_by_bus(&self, activatable: Option<&Activatable>) -> bool {
        let is_activatable = |name: &str| activatable.is_none_or(|names| names.contains(name));
        self.bus_name.as_deref().is_some_and(is_activatable)
    }

    /// Whether it was to be started at least once, or was set up without being started, as a mount
    /// may be.
    fn was_tried(&self, unit: &Unit) -> bool {
        self.condition.at.is_some() || unit.inactive_exit.is_some()
    }
}

/// Whether it is of interest which units want this one.
fn is_candidate(unit: &Unit) -> bool {
    unit.active_state == ActiveState::Inactive
        && unit.load_state == LoadState::Loaded
        && !matches!(unit.name.unit_type(), UnitType::Slice | UnitType::Scope | UnitType::Device)
}

// === impl Check ===

impl Check {
    /// Whether they kept the unit from being started. Without a time they have never been looked
    /// at, and systemd says that they are not met.
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
    /// Takes in whether the unit is inactive now. Returns whether it has become so, and is to be
    /// asked after a pause.
    pub(super) fn note_inactive(&mut self) -> bool {
        if self.unit.active_state == ActiveState::Inactive {
            return !self.lasts;
        }
        self.lasts = false;
        if let Some(rest) = &mut self.inactive {
            (rest.is_wanted, rest.is_known) = (false, false);
        }
        // By the time that it is inactive again other units may want it.
        self.knowledge.invalidate(PropertySet::RELATIONS);
        false
    }

    /// Takes in that the unit has been in memory for a while as it is, or was listed.
    pub(super) fn note_lasting(&mut self) {
        if self.note_inactive() {
            self.lasts = true;
        }
    }
}

// === impl Inventory ===

impl Inventory {
    /// Takes in the names that the bus starts services for.
    pub fn replace_activatable(&mut self, names: BTreeSet<Box<str>>) {
        self.activatable = Some(names);
    }

    /// Takes in what an answer says of a unit's rest.
    pub(super) fn update_inactive_facts(&mut self, name: &UnitName, answered: UnitProperty) {
        if PropertySet::WANTING.has(answered) {
            self.recheck_wanted(name);
        } else if answered == UnitProperty::ActiveState {
            self.note_inactive(name);
        }
        if let Some(entry) = self.units.get_mut(name) {
            entry.update_inactive_facts();
        }
    }

    /// Takes in whether an active unit wants this one. If none does, it may do so later.
    pub(super) fn recheck_wanted(&mut self, name: &UnitName) {
        let Some(entry) = self.units.get(name).filter(|entry| entry.lasts) else { return };
        let Some(rest) = entry.inactive.as_ref() else { return };
        let is_of_interest = !rest.is_wanted && rest.wanting().next().is_some();
        let is_wanted = rest.wanting().any(|name| self.is_active(name));
        if is_of_interest && !is_wanted {
            self.unwanted.insert(name.clone());
        } else if is_of_interest && let Some(entry) = self.units.get_mut(name) {
            entry.inactive.get_or_insert_default().is_wanted = true;
            enqueue(&mut self.unread, name, entry);
        }
    }

    /// Takes in whether a unit is inactive now; it is asked after a pause.
    pub(super) fn note_inactive(&mut self, name: &UnitName) {
        if self.units.get_mut(name).is_some_and(Entry::note_inactive) {
            self.deferred.insert(name.clone());
        }
    }

    /// Looks whether what wants the units that only inactive ones wanted has become active.
    pub(super) fn recheck_unwanted(&mut self) {
        for name in std::mem::take(&mut self.unwanted) {
            self.recheck_wanted(&name);
        }
    }

    /// Why a unit does not run although an active unit wants it.
    pub(super) fn wanted_inactive(&self, entry: &Entry) -> Option<InactiveReason> {
        let is_active = |name: &UnitName| self.is_active(name);
        let rest = entry.inactive.as_ref()?;
        let reason = rest.reason(&entry.unit, is_active, self.activatable.as_ref())?;
        (!self.jobs.has_one_for(&entry.unit.name)).then_some(reason)
    }

    /// Whether a unit is active, as systemd understands it for what depends on it.
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

    /// A unit and its rest.
    struct Case {
        unit: Unit,
        rest: InactiveFacts,
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
            let rest = InactiveFacts { is_known: true, ..InactiveFacts::default() };
            let case = Self { unit, rest };
            case.with(UnitProperty::WantedBy, names(&["all.target"]))
                .with(UnitProperty::ConditionTime, Value::Number(1))
                .with(UnitProperty::ConditionResult, Value::Flag(true))
                .with(UnitProperty::AssertTime, Value::Number(1))
                .with(UnitProperty::AssertResult, Value::Flag(true))
                .with(UnitProperty::ExitMonotonic, Value::Number(6))
                .with(UnitProperty::StateChange, Value::Number(6))
                .with(UnitProperty::Conflicts, names(&["shutdown.target"]))
        }

        /// The same, never started: systemd says then that nothing is met, at no time.
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
            assert!(PropertySet::RESTING.has(property), "{property:?}");
            self.rest.learn(property, &value);
            self
        }

        fn with_unit(mut self, change: impl FnOnce(&mut Unit)) -> Self {
            change(&mut self.unit);
            self
        }

        fn reason(&self) -> Option<InactiveReason> {
            let activatable = Activatable::from(["org.example.Called".into()]);
            let is_active = |name: &UnitName| ACTIVE.contains(&name.as_str());
            self.rest.reason(&self.unit, is_active, Some(&activatable))
        }
    }

    #[track_caller]
    fn rests(case: Case) {
        assert_eq!(case.reason(), None);
    }

    #[track_caller]
    fn stopped(case: Case) {
        assert_eq!(case.reason(), Some(InactiveReason::Stopped));
    }

    #[track_caller]
    fn never_started(case: Case) {
        assert_eq!(case.reason(), Some(InactiveReason::NeverStarted));
    }

    #[test]
    fn a_unit_is_wanted_if_an_active_unit_wants_requires_or_upholds_it() {
        for relation in PropertySet::WANTING.iter() {
            let unwanted = || Case::stopped().with(UnitProperty::WantedBy, names(&[]));
            rests(unwanted());
            stopped(unwanted().with(relation, names(&["idle.target", "all.target"])));
            rests(unwanted().with(relation, names(&["idle.target"])));
            rests(unwanted().with(relation, names(&["plugged.device"])));
        }
    }

    #[test]
    fn only_an_inactive_loaded_unit_that_can_be_started_is_reported() {
        for state in ActiveState::ALL.iter().filter(|state| **state != ActiveState::Inactive) {
            rests(Case::stopped().with_unit(|unit| unit.active_state = state.clone()));
        }
        for state in LoadState::ALL.iter().filter(|state| **state != LoadState::Loaded) {
            rests(Case::stopped().with_unit(|unit| unit.load_state = state.clone()));
        }
        for unit_type in UnitType::ALL {
            let name = name(&format!("a.{}", unit_type.as_str()));
            let case = Case::stopped().with_unit(|unit| unit.name = name);
            match unit_type {
                UnitType::Slice | UnitType::Scope | UnitType::Device => rests(case),
                _ => stopped(case),
            }
        }
        let mut case = Case::stopped();
        case.rest.is_known = false;
        rests(case);
    }

    #[test]
    fn a_unit_whose_checks_were_not_met_rests() {
        for (result, time) in [
            (UnitProperty::ConditionResult, UnitProperty::ConditionTime),
            (UnitProperty::AssertResult, UnitProperty::AssertTime),
        ] {
            rests(Case::stopped().with(result, Value::Flag(false)));
            stopped(Case::stopped().with(result, Value::Flag(true)));
            never_started(Case::untried().with(result, Value::Flag(false)));
            rests(Case::untried().with(time, Value::Number(1)));
        }
        let skipped = RunResult::ExecCondition;
        rests(Case::stopped().with_unit(|unit| unit.result = Some(skipped)));
    }

    #[test]
    fn a_finished_oneshot_rests() {
        rests(Case::finished());
        stopped(Case::finished().with(UnitProperty::RemainAfterExit, Value::Flag(true)));
        stopped(Case::finished().with_unit(|unit| unit.result = Some(RunResult::Timeout)));
        let Case { unit, .. } = Case::finished();
        never_started(Case { unit: Unit { inactive_exit: None, ..unit }, ..Case::untried() });
        // One without a command is done at once, and never leaves the inactive state.
        rests(Case::finished().with_unit(|unit| unit.inactive_exit = None));
    }

    #[test]
    fn a_unit_with_an_active_trigger_rests() {
        let triggered = |by: &[&str]| Case::stopped().with(UnitProperty::TriggeredBy, names(by));
        rests(triggered(&["idle.socket", "busy.socket"]));
        stopped(triggered(&["idle.socket"]));
    }

    #[test]
    fn a_service_that_its_bus_starts_rests() {
        let named =
            |name: &str| Case::stopped().with(UnitProperty::BusName, Value::Text(name.into()));
        rests(named("org.example.Called"));
        stopped(named("org.example.Uncalled"));
        stopped(named(""));
        // There is no bus to ask.
        let case = named("org.example.Uncalled");
        assert_eq!(case.rest.reason(&case.unit, |_| true, None), None);
    }

    #[test]
    fn a_unit_with_an_active_rival_rests() {
        for relation in [UnitProperty::Conflicts, UnitProperty::ConflictedBy] {
            rests(Case::stopped().with(relation, names(&["idle.target", "busy.socket"])));
            stopped(Case::stopped().with(relation, names(&["idle.target"])));
        }
    }

    #[test]
    fn a_service_that_ended_by_itself_rests() {
        let ended = |main| Case::stopped().with(UnitProperty::ExitMonotonic, main);
        rests(ended(Value::Number(4)));
        stopped(ended(Value::Number(5)));
        stopped(ended(Value::Number(6)));
        stopped(ended(Value::Nothing));
        stopped(ended(Value::Number(4)).with(UnitProperty::RemainAfterExit, Value::Flag(true)));
        let failed = Some(RunResult::ExitCode);
        stopped(ended(Value::Number(4)).with_unit(|unit| unit.result = failed));
    }

    /// As `systemctl reset-failed` does: the result is a success then.
    #[test]
    fn a_service_that_failed_and_was_reset_is_reported() {
        let later = Value::Number(7);
        let ended = Case::stopped().with(UnitProperty::ExitMonotonic, Value::Number(4));
        stopped(ended.with(UnitProperty::StateChange, later.clone()));
        stopped(Case::finished().with(UnitProperty::StateChange, later.clone()));
        // One without a command has never come to rest, and changes all the same.
        let case = Case::finished().with(UnitProperty::StateChange, later);
        rests(case.with_unit(|unit| unit.inactive_enter = None));
    }

    #[test]
    fn a_service_that_was_to_be_restarted_after_a_success_is_reported() {
        let ended = |policy: &str| {
            Case::stopped()
                .with(UnitProperty::ExitMonotonic, Value::Number(4))
                .with(UnitProperty::RestartPolicy, Value::Text(policy.into()))
        };
        for policy in ["no", "on-failure", "on-abnormal", "on-watchdog", "on-abort"] {
            rests(ended(policy));
        }
        for policy in ["always", "on-success"] {
            stopped(ended(policy));
            rests(ended(policy).with(UnitProperty::RestartPrevented, Value::Flag(true)));
        }
    }

    #[test]
    fn a_timer_that_has_elapsed_for_the_last_time_rests() {
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
        rests(elapsed());
        stopped(elapsed().with(UnitProperty::RemainAfterElapse, Value::Flag(true)));
        stopped(with(|timer| timer.last_trigger = None));
        stopped(with(|timer| timer.repeats_calendar = true));
        stopped(elapsed().with_unit(|unit| unit.result = Some(RunResult::Resources)));
    }

    #[test]
    fn a_static_unit_that_was_never_started_rests() {
        let with = |case: Case, state: &str| {
            case.with(UnitProperty::UnitFileState, Value::Text(state.into()))
        };
        rests(with(Case::untried(), "static"));
        never_started(with(Case::untried(), "enabled"));
        stopped(with(Case::stopped(), "static"));
        // A mount that was set up by hand and is gone.
        stopped(with(Case::untried().with_unit(|unit| unit.inactive_exit = Some(1)), "static"));
    }
}
