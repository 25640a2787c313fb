//! Values that are inferred from answers instead of asked for.

use super::*;
use UnitProperty as P;

/// A unit in a listing, with its property values.
struct Case {
    unit: &'static str,
    state: ActiveState,
    values: Vec<(UnitProperty, u64)>,
}

impl Case {
    fn active(unit: &'static str, values: &[(UnitProperty, u64)]) -> Self {
        Self { unit, state: ActiveState::Active, values: values.to_vec() }
    }

    fn listing(&self) -> Vec<ListedUnit> {
        vec![listed(self.unit, self.state.clone(), "exited")]
    }

    fn answer(&self, inventory: &mut Inventory) -> PropertySet {
        let asked = properties_of(answer_each(inventory, |_, property| {
            let known = self.values.iter().find(|(known, _)| *known == property);
            match property {
                P::Invocation => Value::Id(7),
                P::NeedDaemonReload => Value::Flag(false),
                _ => known.map_or(Value::Nothing, |(_, value)| Value::Number(*value)),
            }
        }));
        assert!(inventory.is_complete(), "{asked:?}");
        asked
    }

    fn asked(&self) -> PropertySet {
        let mut inventory = inventory();
        inventory.resync(self.listing(), Extent::Everything, 0);
        self.answer(&mut inventory)
    }
}

/// A unit that systemd has never started has no times, no restarts and no exit of a main process.
#[test]
fn a_unit_that_was_never_started_is_not_asked_about_runs() {
    let runs = PropertySet::of(&[
        P::ActiveEnter,
        P::ActiveExit,
        P::InactiveEnter,
        P::Restarts,
        P::ExitTime,
    ]);
    for state in [ActiveState::Inactive, ActiveState::Failed] {
        let never = Case { unit: "a.service", state: state.clone(), values: Vec::new() };
        let asked = never.asked();
        assert!(asked.has(P::InactiveExit) && asked.has(P::Invocation), "{asked:?}");
        assert!(!asked.intersects(runs), "{asked:?}");
        let once = Case { values: vec![(P::InactiveExit, 5)], ..never };
        assert!(once.asked().contains(runs), "{state:?}");
    }
    // For an active unit nothing follows from InactiveExitTimestamp.
    let active = Case::active("a.service", &[(P::InactiveEnter, 5)]);
    assert!(active.asked().contains(runs));
}

/// All units except services, mounts and swaps become inactive before they are started again.
#[test]
fn active_exit_is_asked_for_only_if_the_unit_may_have_left_the_active_state() {
    const SECOND: u64 = 1_000_000;
    let first = [(P::InactiveExit, 5), (P::ActiveEnter, 5 + 10 * SECOND)];
    let long = [(P::InactiveExit, 5), (P::ActiveEnter, 6 + 10 * SECOND)];
    let back = [(P::InactiveExit, 5 + SECOND), (P::ActiveEnter, 5)];
    let with = |two: [(P, u64); 2], third: (P, u64)| [two[0], two[1], third];
    for (case, is_asked) in [
        (Case::active("a.service", &first), false),
        (Case::active("a.service", &with(first, (P::Restarts, 1))), true),
        (Case::active("a.service", &with(first, (P::InactiveEnter, 3))), true),
        (Case::active("a.service", &long), true),
        (Case::active("a.service", &back), true),
        (Case::active("a.service", &[]), true),
        (Case::active("a.target", &long), false),
        (Case::active("a.socket", &with(long, (P::InactiveEnter, 3))), true),
        (Case::active("a.mount", &first), true),
        (Case::active("a.swap", &first), true),
        (Case { state: ActiveState::Deactivating, ..Case::active("a.service", &first) }, true),
        (Case { state: ActiveState::Deactivating, ..Case::active("a.target", &first) }, true),
    ] {
        let asked = case.asked();
        let (unit, values) = (case.unit, &case.values);
        assert_eq!(asked.has(P::ActiveExit), is_asked, "{unit} {values:?}");
    }
}

/// NRestarts shows a restart with `RestartMode=direct` until it is reset. After that only
/// ActiveExitTimestamp shows it.
#[test]
fn a_presumed_active_exit_of_a_service_is_asked_for_at_the_next_reconcile() {
    let mut case = Case::active("a.service", &[(P::InactiveExit, 5), (P::ActiveEnter, 5)]);
    let mut inventory = inventory();
    let exit = |inventory: &Inventory| inventory.snapshot(0).units[0].active_exit;
    inventory.resync(case.listing(), Extent::Everything, 0);
    assert!(!case.answer(&mut inventory).has(P::ActiveExit));
    assert_eq!(exit(&inventory), None);
    case.values.push((P::ActiveExit, 6));
    inventory.compare(case.listing(), 0);
    assert!(case.answer(&mut inventory).has(P::ActiveExit));
    assert_eq!(exit(&inventory), Some(6));
    // It is asked for once, not at each reconcile.
    inventory.compare(case.listing(), 0);
    assert!(!case.answer(&mut inventory).has(P::ActiveExit));

    // A service that was seen before may have been restarted in the gap.
    inventory.resync(case.listing(), Extent::Everything, 0);
    assert!(case.answer(&mut inventory).has(P::ActiveExit));
}

/// A signal has all the times, so nothing is presumed after it.
#[test]
fn a_signalled_active_exit_is_not_asked_for() {
    let case = Case::active("a.service", &[(P::InactiveExit, 5), (P::ActiveEnter, 5)]);
    let mut inventory = inventory();
    inventory.resync(case.listing(), Extent::Everything, 0);
    assert!(!case.answer(&mut inventory).has(P::ActiveExit));
    let facts =
        vec![(P::ActiveExit, Value::Number(6)), (P::ActiveState, Value::Text("active".into()))];
    inventory.apply(Event::UnitChanged(name_of("a.service"), facts), 0);
    inventory.compare(case.listing(), 0);
    assert!(!case.answer(&mut inventory).has(P::ActiveExit));
}

/// That saves two questions for each active unit when the exporter starts.
#[test]
fn the_monotonic_times_of_a_start_are_asked_for_only_if_the_clock_was_set() {
    use ManagerProperty::{Stage, StageMonotonic};
    const OFFSET: Usec = 1_000_000_000;
    for (state, set_by, took, is_asked) in [
        (ActiveState::Active, 0, 200, false),
        (ActiveState::Active, SMALLEST_STEP, 200, true),
        // The clock was set and set back during the start.
        (ActiveState::Active, 0, 86_400_000_000, true),
        (ActiveState::Active, 0, 10_000_000, false),
        (ActiveState::Active, 0, 10_000_001, true),
        // The end of its run has to be exact.
        (ActiveState::Inactive, 0, 200, true),
    ] {
        let mut inventory = inventory();
        inventory.learn_manager(Stage("Userspace"), &Value::Number(OFFSET + 100));
        inventory.learn_manager(StageMonotonic("Userspace"), &Value::Number(100));
        inventory.note_clock(OFFSET + set_by);
        let start = [(P::InactiveExit, OFFSET + 300), (P::ActiveEnter, OFFSET + 300 + took)];
        let up = Case { state, ..Case::active("a.mount", &start) };
        inventory.resync(up.listing(), Extent::Everything, 0);
        let asked = up.answer(&mut inventory);
        assert_eq!(asked.intersects(PropertySet::START_STAMPS), is_asked);
        let times = |inventory: &Inventory| {
            let unit = &inventory.snapshot(0).units[0];
            [unit.inactive_exit_monotonic, unit.active_enter_monotonic].map(|at| at.map(u64::from))
        };
        if !is_asked {
            assert_eq!(times(&inventory), [Some(300), Some(300 + took)]);
            // After a gap the times of day are still those of before. They are asked for first.
            inventory.resync(up.listing(), Extent::Everything, 0);
            let asked: Vec<_> =
                std::iter::from_fn(|| inventory.next_question()).map(|(_, what)| what).collect();
            assert!(!PropertySet::of(&asked).intersects(PropertySet::START_STAMPS));
        }
        // A signal has the times of both clocks, and the clock may have been set before it.
        let facts = vec![
            (P::ActiveEnterMonotonic, Value::Number(900)),
            (P::ActiveEnter, Value::Number(OFFSET + 700)),
            (P::ActiveState, Value::Text("active".into())),
        ];
        inventory.apply(Event::UnitChanged(name_of("a.mount"), facts), 0);
        assert_eq!(times(&inventory)[1], Some(900));
    }
}

/// The monotonic times of events that did not happen are 0.
#[test]
fn the_times_of_a_start_are_asked_for_only_if_it_has_ended() {
    let stamps = |values: &[(UnitProperty, u64)]| {
        let failed = Case { state: ActiveState::Failed, ..Case::active("a.service", values) };
        PropertySet::START_STAMPS.iter().filter(|it| failed.asked().has(*it)).collect::<Vec<_>>()
    };
    let (begun, ended, stopped) = ((P::InactiveExit, 5), (P::ActiveEnter, 6), (P::ActiveExit, 7));
    assert_eq!(stamps(&[]), []);
    assert_eq!(stamps(&[begun]), [], "it failed before it was active");
    let start = [P::ActiveEnterMonotonic, P::InactiveExitMonotonic];
    assert_eq!(PropertySet::of(&stamps(&[begun, ended])), PropertySet::of(&start));
    assert_eq!(PropertySet::of(&stamps(&[begun, ended, stopped])), PropertySet::START_STAMPS);
}

/// How long the last start took is in a group of its own, which may be off.
#[test]
fn the_times_of_a_start_that_no_metric_needs_are_not_asked_for() {
    let start = PropertySet::of(&[P::InactiveExitMonotonic, P::ActiveEnterMonotonic]);
    let reads =
        Reads { properties: Reads::EVERYTHING.properties.without(start), ..Reads::EVERYTHING };
    let mut inventory = Inventory::new(Selection::default(), reads, 0);
    let times = [(P::InactiveExit, 5), (P::ActiveEnter, 6), (P::ActiveExit, 7)];
    let failed = Case { state: ActiveState::Failed, ..Case::active("a.service", &times) };
    inventory.resync(failed.listing(), Extent::Everything, 0);
    assert!(!failed.answer(&mut inventory).intersects(PropertySet::START_STAMPS));
}

/// Each answer takes a round trip.
#[test]
fn the_questions_about_an_active_unit_do_not_wait_for_each_other() {
    let mut inventory = inventory();
    inventory.resync(Case::active("a.target", &[]).listing(), Extent::Everything, 0);
    let mut asked = PropertySet::EMPTY;
    while let Some((_, property)) = inventory.next_question() {
        asked = asked.with(property);
    }
    assert!(asked.contains(PropertySet::of(&[P::InactiveExit, P::ActiveEnter, P::InactiveEnter])));
    assert!(!asked.has(P::ActiveExit), "it may be inferred");
}
