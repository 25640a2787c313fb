//! What outlives the exporter, and what does not outlive the manager.

use super::*;
use UnitProperty as P;

const RETENTION: Usec = 1_000;

/// An inventory of a systemd without units.
fn empty() -> Inventory {
    let mut inventory = Inventory::new(Selection::default(), Reads::EVERYTHING, RETENTION);
    inventory.resync(Vec::new(), Extent::Everything, 0);
    inventory
}

/// The inventory of a restarted exporter, before its first listing.
fn restarted(inventory: &Inventory) -> Inventory {
    let written = serde_json::to_vec(&inventory.record(None).unwrap().0).unwrap();
    let mut restarted = Inventory::new(Selection::default(), Reads::EVERYTHING, RETENTION);
    restarted.recall(serde_json::from_slice(&written).unwrap());
    restarted
}

/// What the signals and answers have of a run with this number of automatic restarts.
fn run(invocation: u128, restarts: u64) -> Vec<(UnitProperty, Value)> {
    let at = Value::Number(u64::try_from(invocation).unwrap());
    vec![
        (P::SubState, Value::Text("running".into())),
        (P::InactiveExit, at.clone()),
        (P::ActiveEnter, at),
        (P::Invocation, Value::Id(invocation)),
        (P::Restarts, Value::Number(restarts)),
        (P::Result, Value::Text("success".into())),
    ]
}

/// Loads and starts a unit.
fn start(inventory: &mut Inventory, name: &str, run: &[(UnitProperty, Value)]) {
    inventory.apply(Event::UnitNew(name_of(name)), 0);
    inventory.apply(signal_of(name, "active", run), 0);
    answer_all(inventory, "active", run);
    inventory.apply(signal_of(name, "active", run), 0);
}

/// Otherwise the next restart of the exporter would lower counters.
#[test]
fn the_state_file_is_written_again_after_each_count() {
    let reload = |inventory: &mut Inventory| inventory.count_reload();
    let job = |inventory: &mut Inventory| {
        let (id, unit) = (1, name_of("gone.service"));
        inventory.apply(Event::JobRemoved { id, unit, result: "done".into() }, 0);
    };
    let unit = |inventory: &mut Inventory| start(inventory, "a.timer", &run(7, 0));
    for count in [reload, job, unit] {
        let mut inventory = empty();
        let (_, written) = inventory.record(None).unwrap();
        assert!(inventory.record(Some(written)).is_none(), "nothing was counted");
        count(&mut inventory);
        let (_, again) = inventory.record(Some(written)).unwrap();
        assert!(inventory.record(Some(again)).is_none(), "nothing more was counted");
    }
}

#[test]
fn daemon_reloads_are_counted_over_restarts_of_the_exporter() {
    let mut inventory = empty();
    inventory.count_reload();
    let mut next = restarted(&inventory);
    next.count_reload();
    assert_eq!(next.snapshot(0).totals.reloads, 2);
}

/// The state file does not have the time at which it left.
#[test]
fn a_unit_that_left_while_the_exporter_was_stopped_is_gone_since_the_first_listing() {
    let mut inventory = empty();
    start(&mut inventory, "a.timer", &run(7, 0));
    let mut next = restarted(&inventory);
    next.resync(Vec::new(), Extent::Everything, 5_000);
    assert_eq!(next.snapshot(5_000 + RETENTION - 1).gone.len(), 1);
    assert_eq!(next.snapshot(5_000 + RETENTION).gone.len(), 0);
}

/// A user manager may be restarted. In the new one `NRestarts` begins at 0, and the same number is
/// not the one that was counted.
#[test]
fn the_units_of_another_manager_are_counted_from_its_start() {
    let began = ManagerProperty::Stage("Userspace");
    for (at, invocation, restarts) in [(100, 7, 3), (200, 8, 6)] {
        let mut first = empty();
        first.learn_manager(began, &Value::Number(100));
        start(&mut first, "a.service", &run(7, 3));
        assert_eq!(first.snapshot(0).units[0].counters.restarts, 3);
        let mut next = restarted(&first);
        first.disconnect();
        for inventory in [&mut first, &mut next] {
            inventory.learn_manager(began, &Value::Number(at));
            let listed = row("a.service", ActiveState::Active);
            inventory.resync(vec![listed], Extent::Everything, 0);
            answer_all(inventory, "active", &run(invocation, 3));
            assert_eq!(inventory.snapshot(0).units[0].counters.restarts, restarts);
        }
    }
}
