//! Roll-ups.

use super::{super::*, answer_each, properties_of, selecting};
use crate::inventory::snapshot::{Rollup, Snapshot};
use crate::systemd::state::ActiveState;

const RETENTION: Usec = 1_000;

fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

fn rolling_up(rollups: &[&str], slices: &[&str]) -> Inventory {
    let selection = selecting("hidden.*", slices, rollups);
    let mut inventory = Inventory::new(selection, Reads::EVERYTHING, RETENTION);
    inventory.resync(Vec::new(), Extent::Everything, 0);
    inventory
}

/// Loads and starts a unit. Everything that its signals do not carry is answered, except its slice.
fn start(inventory: &mut Inventory, name: &str, at: Usec) {
    let name = unit(name);
    inventory.apply(Event::UnitNew(name.clone()), at);
    let facts = vec![
        (UnitProperty::ActiveState, Value::Text("active".into())),
        (UnitProperty::SubState, Value::Text("running".into())),
        (UnitProperty::ActiveEnter, Value::Number(at)),
        (UnitProperty::Invocation, Value::Id(u128::from(at))),
    ];
    inventory.apply(Event::UnitChanged(name, facts), at);
    while let Some((name, property)) = inventory.next_question() {
        match property {
            UnitProperty::LoadState => {
                inventory.answer(&name, property, Ok(Value::Text("loaded".into())));
            }
            property if PropertySet::SLICES.has(property) => {}
            _ => inventory.answer(&name, property, Ok(Value::Nothing)),
        }
    }
    inventory.retry_deferred(Usec::MAX);
    inventory.retry_deferred(Usec::MAX);
}

fn leave(inventory: &mut Inventory, name: &str, at: Usec) {
    inventory.apply(Event::UnitRemoved(unit(name)), at);
}

/// The shown roll-ups: name, number of visible members, and starts.
fn rollups(snapshot: &Snapshot) -> Vec<(&str, usize, u64)> {
    let is_shown = |it: &&Rollup| it.visible().count() > 0 || !it.counters.is_empty();
    let shown = snapshot.rollups.iter().filter(is_shown);
    shown.map(|it| (it.name.as_str(), it.visible().count(), it.counters.starts)).collect()
}

#[test]
fn instances_have_no_series_of_their_own() {
    let mut inventory = rolling_up(&["instances"], &[]);
    let all = ["a@x.service", "a@y.service", "a@x.socket", "a.service", "hidden@x.service"];
    for (name, at) in all.into_iter().zip(1..) {
        start(&mut inventory, name, at);
    }
    let snapshot = inventory.snapshot(10);
    assert_eq!(rollups(&snapshot), [("a@.service", 2, 2), ("a@.socket", 1, 1)]);
    let alone: Vec<_> = snapshot.units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(alone, ["a.service"]);
    assert_eq!(snapshot.visible_units(), 4);
    assert_eq!(inventory.shown_units(), 4);
    assert!(snapshot.members().contains_key("a@y.service"));

    leave(&mut inventory, "a@x.service", 20);
    let snapshot = inventory.snapshot(21);
    assert_eq!(rollups(&snapshot), [("a@.service", 1, 2), ("a@.socket", 1, 1)]);
    assert!(snapshot.gone.is_empty(), "{:?}", snapshot.gone);
}

#[test]
fn a_roll_up_is_shown_for_the_retention_after_its_last_member_left_and_continues() {
    let mut inventory = rolling_up(&["instances"], &[]);
    for number in 0..50 {
        start(&mut inventory, &format!("a@{number}.service"), 100 + number);
        leave(&mut inventory, &format!("a@{number}.service"), 100 + number);
    }
    assert_eq!(rollups(&inventory.snapshot(149 + RETENTION - 1)), [("a@.service", 0, 50)]);
    assert_eq!(rollups(&inventory.snapshot(149 + RETENTION)), []);
    start(&mut inventory, "a@new.service", 5_000);
    assert_eq!(rollups(&inventory.snapshot(9_000)), [("a@.service", 1, 51)]);
}

/// The slice is asked for, and events may come before the answer.
#[test]
fn events_before_the_slice_is_known_are_counted_once_it_is() {
    let mut inventory = rolling_up(&["instances"], &["in.slice"]);
    for (name, at) in ["a@x.service", "a@y.service", "a@z.service"].into_iter().zip(1..) {
        start(&mut inventory, name, at);
    }
    assert_eq!(rollups(&inventory.snapshot(10)), []);
    for (name, slice) in [("a@x.service", "in.slice"), ("a@y.service", "out.slice")] {
        let answer = Ok(Value::Text(slice.into()));
        inventory.answer(&unit(name), UnitProperty::Slice, answer);
    }
    assert_eq!(rollups(&inventory.snapshot(10)), [("a@.service", 1, 1)]);
    // The slice of the last one was never known.
    for name in ["a@x.service", "a@y.service", "a@z.service"] {
        leave(&mut inventory, name, 20);
    }
    assert_eq!(rollups(&inventory.snapshot(21)), [("a@.service", 0, 1)]);
}

/// Ambiguous facts are counted when a listing shows that the unit is gone.
#[test]
fn what_is_counted_when_a_unit_leaves_is_in_its_roll_up() {
    let mut inventory = rolling_up(&["instances"], &[]);
    start(&mut inventory, "a@x.service", 1);
    inventory.disconnect();
    let listed = super::listed("a@x.service", ActiveState::Activating, "auto-restart-queued");
    inventory.resync(vec![listed], Extent::Everything, 2);
    answer_each(&mut inventory, |_, property| match property {
        UnitProperty::ActiveState => Value::Text("activating".into()),
        UnitProperty::SubState => Value::Text("auto-restart-queued".into()),
        UnitProperty::ActiveEnter => Value::Number(1),
        UnitProperty::Invocation => Value::Id(1),
        UnitProperty::Restarts => Value::Number(1),
        UnitProperty::Result => Value::Text("success".into()),
        _ => Value::Nothing,
    });
    let restarts = |inventory: &Inventory| inventory.snapshot(3).rollups[0].counters.restarts;
    assert_eq!(restarts(&inventory), 0);
    inventory.compare(Vec::new(), 3);
    assert_eq!(restarts(&inventory), 1);
}

/// A roll-up shows nothing else, neither of each member nor polled at a scrape.
#[test]
fn a_member_of_a_roll_up_is_asked_only_for_what_is_counted() {
    let asked = |kinds: &[&str], name: &str| {
        let mut inventory = rolling_up(kinds, &[]);
        inventory.apply(Event::UnitNew(unit(name)), 1);
        inventory.retry_deferred(Usec::MAX);
        let asked = answer_each(&mut inventory, |_, property| match property {
            UnitProperty::LoadState => Value::Text("loaded".into()),
            UnitProperty::ActiveState => Value::Text("inactive".into()),
            UnitProperty::IpAccounting | UnitProperty::Accept => Value::Flag(true),
            // It was started once.
            UnitProperty::InactiveExit => Value::Number(1),
            _ => Value::Nothing,
        });
        inventory.check_files();
        (
            properties_of(asked),
            inventory.scrape_questions().len(),
            inventory.next_question().is_some(),
        )
    };
    for (name, at_scrape) in [("a@x.service", 4), ("a@x.socket", 3), ("a@x.timer", 0)] {
        let unit_type = unit(name).unit_type();
        let counted = PropertySet::STATE.union(PropertySet::run_of(unit_type));
        let (own, asked_at_scrape, checks_files) = asked(&[], name);
        assert!(own.contains(counted.union(PropertySet::details_of(unit_type))), "{name}");
        assert_eq!((asked_at_scrape, checks_files), (at_scrape, true), "{name}");
        let (rolled_up, asked_at_scrape, checks_files) = asked(&["instances"], name);
        assert!(counted.contains(rolled_up.without(PropertySet::SLICES)), "{name}");
        assert_eq!((asked_at_scrape, checks_files), (0, false), "{name}");
    }
}

/// Only scopes are asked for their slice.
#[test]
fn scopes_are_rolled_up_by_slice() {
    let properties = Reads::EVERYTHING.properties.without(PropertySet::SLICES);
    let reads = Reads { properties, ..Reads::EVERYTHING };
    let mut inventory = Inventory::new(selecting("", &[], &["scopes"]), reads, RETENTION);
    inventory.resync(Vec::new(), Extent::Everything, 0);
    let scopes = ["session-1.scope", "session-2.scope", "other.scope", "brief.scope"];
    for (name, at) in scopes.into_iter().chain(["a.service"]).zip(1..) {
        start(&mut inventory, name, at);
    }
    let skipped = |inventory: &Inventory, name| inventory.units[&unit(name)].knowledge.skipped;
    assert!(!skipped(&inventory, "session-1.scope").has(UnitProperty::ScopeSlice));
    assert!(skipped(&inventory, "a.service").has(UnitProperty::Slice));
    let snapshot = inventory.snapshot(10);
    assert_eq!(rollups(&snapshot), [], "their slices are not known yet");
    assert_eq!(snapshot.units.len(), 1);
    leave(&mut inventory, "brief.scope", 10);
    let slices = ["user-1.slice", "user-1.slice", "other.slice"];
    for (name, slice) in scopes.into_iter().zip(slices) {
        let answer = Ok(Value::Text(slice.into()));
        inventory.answer(&unit(name), UnitProperty::ScopeSlice, answer);
    }
    let (user, other) = ("user-1.slice/*.scope", "other.slice/*.scope");
    assert_eq!(rollups(&inventory.snapshot(11)), [(other, 1, 1), (user, 2, 2)]);
    leave(&mut inventory, "session-1.scope", 20);
    leave(&mut inventory, "other.scope", 20);
    assert_eq!(rollups(&inventory.snapshot(21)), [(other, 0, 1), (user, 1, 2)]);
    let restarted = restarted(&inventory, &["scopes"]);
    assert_eq!(rollups(&restarted.snapshot(30)), [(other, 0, 1), (user, 0, 2)]);
    assert_eq!(rollups(&inventory.snapshot(20 + RETENTION)), [(user, 1, 2)]);
}

fn restarted(inventory: &Inventory, kinds: &[&str]) -> Inventory {
    let (record, _) = inventory.record(None).unwrap();
    let written = serde_json::to_vec(&record).unwrap();
    let selection = selecting("", &[], kinds);
    let mut restarted = Inventory::new(selection, Reads::EVERYTHING, RETENTION);
    restarted.recall(serde_json::from_slice(&written).unwrap());
    restarted.resync(Vec::new(), Extent::Everything, 30);
    restarted
}

/// Roll-ups are saved with the counters of units that are no longer kept. A roll-up that is
/// switched on starts with the units that are.
#[test]
fn roll_ups_outlive_the_exporter() {
    let mut inventory = rolling_up(&["instances"], &[]);
    for (name, at) in ["a@x.service", "a@y.service", "b@x.service"].into_iter().zip(1..) {
        start(&mut inventory, name, at);
        leave(&mut inventory, name, at);
    }
    inventory.gone.take(&unit("a@x.service")).unwrap();
    let again = restarted(&inventory, &["instances"]);
    assert_eq!(rollups(&again.snapshot(30)), [("a@.service", 0, 2), ("b@.service", 0, 1)]);
    let without = restarted(&again, &[]);
    assert_eq!(rollups(&without.snapshot(30)), []);
    assert_eq!(without.snapshot(30).gone.len(), 2);
    let switched_on = restarted(&without, &["instances"]);
    assert_eq!(rollups(&switched_on.snapshot(30)), [("a@.service", 0, 1), ("b@.service", 0, 1)]);
}
