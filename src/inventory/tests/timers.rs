//! Stuck timers: active, and never to elapse again.

use super::{super::*, answer_each, listed, name_of};
use crate::systemd::state::ActiveState;

/// A timer that has elapsed, and what it starts.
struct Case {
    state: ActiveState,
    sub_state: &'static str,
    facts: Vec<(UnitProperty, Value)>,
    starts: &'static str,
    started: Option<(ActiveState, &'static str)>,
    has_job: bool,
}

/// The monotonic timers of an active timer, its next times, and its unit are the facts: none is
/// ahead, and its unit is not in memory.
fn stuck() -> Case {
    Case {
        state: ActiveState::Active,
        sub_state: "elapsed",
        facts: vec![(UnitProperty::TimersMonotonic, Value::Flag(true))],
        starts: "a.service",
        started: None,
        has_job: false,
    }
}

fn is_stuck(case: &Case) -> bool {
    let mut inventory = Inventory::new(Selection::default(), Reads::EVERYTHING, 0);
    let mut listing = vec![listed("a.timer", case.state.clone(), case.sub_state)];
    let started = case.started.clone();
    listing.extend(started.map(|(state, sub_state)| listed(case.starts, state, sub_state)));
    inventory.resync(listing, Extent::Everything, 0);
    answer_each(&mut inventory, |unit, property| {
        let fact = case.facts.iter().find(|(of, _)| unit.as_str() == "a.timer" && *of == property);
        match fact {
            Some((_, value)) => value.clone(),
            None if property == UnitProperty::TimerUnit => Value::Text(case.starts.into()),
            None => Value::Nothing,
        }
    });
    if case.has_job {
        inventory.apply(Event::JobNew { id: 7, unit: name_of(case.starts) }, 0);
    }
    let stuck = inventory.snapshot(0).stuck_timers;
    assert!(stuck.iter().all(|name| name.as_str() == "a.timer"), "{stuck:?}");
    !stuck.is_empty()
}

#[test]
fn an_active_timer_that_repeats_and_has_no_next_time_is_stuck() {
    use UnitProperty::{NextMonotonic, NextRealtime, TimerUnit, TimersCalendar, TimersMonotonic};
    let with = |facts: &[(UnitProperty, Value)]| Case { facts: facts.to_vec(), ..stuck() };
    let yes = Value::Flag(true);
    assert!(is_stuck(&stuck()));
    assert!(is_stuck(&with(&[(TimersCalendar, yes.clone())])));
    assert!(!is_stuck(&with(&[])), "it elapses once");
    for next in [NextRealtime, NextMonotonic] {
        assert!(!is_stuck(&with(&[(TimersMonotonic, yes.clone()), (next, Value::Number(9))])));
    }
    assert!(!is_stuck(&with(&[(TimersMonotonic, yes), (TimerUnit, Value::Nothing)])));
    // It waits for the clock to be set.
    assert!(!is_stuck(&Case { sub_state: "waiting", ..stuck() }));
    for state in ActiveState::ALL.iter().filter(|state| **state != ActiveState::Active) {
        assert!(!is_stuck(&Case { state: state.clone(), ..stuck() }), "{state}");
    }
}

/// `OnUnitInactiveSec=` counts from the end of a run. A unit that stays active is not started again.
#[test]
fn a_timer_is_not_stuck_while_its_unit_runs_or_has_a_job() {
    use ActiveState::{Activating, Active, Deactivating, Failed, Inactive, Reloading};
    for (starts, state, sub_state, expected) in [
        ("a.service", Inactive, "dead", true),
        ("a.service", Failed, "failed", true),
        ("a.service", Active, "exited", true),
        ("a.service", Active, "running", false),
        ("a.service", Activating, "start", false),
        ("a.service", Deactivating, "stop", false),
        ("a.service", Reloading, "reload", false),
        ("a.target", Active, "active", true),
        ("a.target", Activating, "active", false),
    ] {
        let case = Case { starts, started: Some((state, sub_state)), ..stuck() };
        assert_eq!(is_stuck(&case), expected, "{starts} {:?}", case.started);
        assert!(!is_stuck(&Case { has_job: true, ..case }), "its job may start it");
    }
    assert!(!is_stuck(&Case { has_job: true, ..stuck() }));
}
