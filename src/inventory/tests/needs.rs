//! Which properties are asked of a unit in each state.

use super::{super::*, answer_each, listed, name_of, properties_of, selecting};
use crate::systemd::state::ActiveState;
use UnitProperty as P;

/// A unit in a listing.
struct Case {
    inventory: Inventory,
    listed: ListedUnit,
}

impl Case {
    fn new(unit: &str, active_state: ActiveState, sub_state: &str) -> Self {
        Self {
            inventory: Inventory::new(selecting("hidden.*", &[], &[]), Reads::EVERYTHING, 0),
            listed: listed(unit, active_state, sub_state),
        }
    }

    /// Reads it after a gap, with these numbers. Returns what is asked.
    fn resync(&mut self, values: &[(UnitProperty, u64)]) -> PropertySet {
        self.inventory.disconnect();
        self.inventory.resync(vec![self.listed.clone()], Extent::Everything, 0);
        self.answer(values)
    }

    /// Compares the table with the listing. Returns what is asked.
    fn reconcile(&mut self) -> PropertySet {
        self.inventory.compare(vec![self.listed.clone()], 0);
        self.answer(&[])
    }

    fn answer(&mut self, values: &[(UnitProperty, u64)]) -> PropertySet {
        properties_of(answer_each(&mut self.inventory, |_, property| {
            let known = values.iter().find(|(known, _)| *known == property);
            match property {
                // These change in no case.
                P::LoadState => Value::Text(self.listed.load_state.as_str().into()),
                P::ActiveState => Value::Text(self.listed.active_state.as_str().into()),
                P::SubState => Value::Text(self.listed.sub_state.as_ref().into()),
                P::Invocation => Value::Id(7),
                _ => known.map_or(Value::Nothing, |(_, value)| Value::Number(*value)),
            }
        }))
    }
}

/// Each question costs PID 1 CPU time, and there are as many units as answers when the exporter
/// starts.
#[test]
fn the_result_and_the_exit_of_a_unit_that_runs_are_inferred() {
    for (unit, state, sub_state, result, exit) in [
        ("a.service", ActiveState::Active, "running", false, false),
        // Its main process has exited.
        ("a.service", ActiveState::Active, "exited", false, true),
        ("a.service", ActiveState::Deactivating, "running", true, true),
        ("a.service", ActiveState::Failed, "failed", true, true),
        ("a.socket", ActiveState::Active, "running", false, false),
        ("a.socket", ActiveState::Failed, "failed", true, false),
        ("hidden.service", ActiveState::Active, "running", false, false),
    ] {
        let asked = Case::new(unit, state.clone(), sub_state).resync(&[(P::InactiveExit, 5)]);
        let result_of = PropertySet::result_of(name_of(unit).unit_type());
        let case = (asked.intersects(result_of), asked.has(P::ExitTime));
        assert_eq!(case, (result, exit), "{unit} {state:?} {sub_state}");
    }
    let mut running = Case::new("a.service", ActiveState::Active, "running");
    running.resync(&[]);
    let result = |case: &Case| case.inventory.snapshot(0).units[0].result.clone();
    assert_eq!(result(&running), Some("success".into()));
    // A value that systemd has reported stays.
    let facts = vec![(P::Result, Value::Text("timeout".into()))];
    running.inventory.apply(Event::UnitChanged(name_of("a.service"), facts), 0);
    running.reconcile();
    assert_eq!(result(&running), Some("timeout".into()));
}

/// `systemctl freeze` freezes processes.
#[test]
fn only_a_unit_with_processes_is_asked_whether_it_is_frozen() {
    for (unit, state, sub_state, is_asked) in [
        ("a.service", ActiveState::Active, "running", true),
        ("a.service", ActiveState::Activating, "start", true),
        ("a.slice", ActiveState::Active, "active", true),
        ("a.scope", ActiveState::Active, "running", true),
        ("a.service", ActiveState::Active, "exited", false),
        ("a.service", ActiveState::Failed, "failed", false),
        ("a.target", ActiveState::Active, "active", false),
    ] {
        let asked = Case::new(unit, state.clone(), sub_state).resync(&[]);
        assert_eq!(asked.has(P::Freezer), is_asked, "{unit} {state:?} {sub_state}");
    }
}

#[test]
fn only_a_shown_unit_that_failed_to_load_is_asked_for_the_error() {
    for (unit, load_state, is_asked) in [
        ("a.service", LoadState::Error, true),
        ("a.service", LoadState::BadSetting, true),
        ("a.service", LoadState::NotFound, false),
        ("a.service", LoadState::Masked, false),
        ("a.service", LoadState::Loaded, false),
        ("hidden.service", LoadState::Error, false),
    ] {
        let mut case = Case::new(unit, ActiveState::Inactive, "dead");
        case.listed.load_state = load_state.clone();
        assert_eq!(case.resync(&[]).has(P::LoadError), is_asked, "{unit} {load_state:?}");
    }
}

#[test]
fn the_exit_code_is_asked_for_only_if_the_main_process_has_exited() {
    let exit = PropertySet::of(&[P::ExitCode, P::ExitStatus]);
    let mut failed = Case::new("a.service", ActiveState::Failed, "failed");
    assert!(!failed.resync(&[(P::InactiveExit, 5)]).intersects(exit));
    assert!(failed.resync(&[(P::InactiveExit, 5), (P::ExitTime, 6)]).contains(exit));
}

/// Each signal has it. After a gap only a service with a pending restart needs it.
#[test]
fn the_job_of_a_service_is_asked_for_only_while_it_may_be_restarted() {
    let asked = |state: ActiveState, sub_state: &str, restarts| {
        let mut case = Case::new("a.service", ActiveState::Active, "running");
        let values = |restarts| [(P::InactiveExit, 5), (P::Restarts, restarts)];
        assert!(!case.resync(&values(1)).has(P::Job));
        (case.listed.active_state, case.listed.sub_state) = (state, sub_state.into());
        case.resync(&values(restarts)).has(P::Job)
    };
    assert!(asked(ActiveState::Activating, "auto-restart", 1));
    assert!(!asked(ActiveState::Activating, "auto-restart-queued", 2));
    // Before systemd 254 a restart stops the service first.
    assert!(asked(ActiveState::Inactive, "dead", 2));
    assert!(!asked(ActiveState::Inactive, "dead", 1));
    assert!(!asked(ActiveState::Failed, "failed", 2));
    assert!(!asked(ActiveState::Active, "running", 2));
}

/// A reconcile lists all units every few minutes.
#[test]
fn a_reconcile_reads_a_unit_only_if_it_is_visible_for_the_first_time() {
    let started = PropertySet::of(&[P::InactiveExit, P::Invocation]);
    let mut case = Case::new("a.service", ActiveState::Inactive, "dead");
    case.listed.load_state = LoadState::NotFound;
    assert!(!case.resync(&[]).intersects(started));
    assert!(!case.reconcile().intersects(started));
    case.listed.load_state = LoadState::Loaded;
    assert!(case.reconcile().contains(started));
    assert!(!case.reconcile().intersects(started));
    (case.listed.active_state, case.listed.sub_state) = (ActiveState::Active, "running".into());
    assert!(!case.reconcile().intersects(started), "it is read if no signal follows");
}
