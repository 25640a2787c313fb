//! Units that have left systemd's memory.

use super::{super::*, answer_each, name_of};

const RETENTION: Usec = 1_000;

fn inventory() -> Inventory {
    let mut inventory = Inventory::new(Selection::default(), Reads::EVERYTHING, RETENTION);
    inventory.resync(Vec::new(), Extent::Everything, 0);
    inventory
}

/// Loads and starts a service, and answers everything.
fn start(inventory: &mut Inventory, at: Usec) {
    let unit = name_of("a.service");
    inventory.apply(Event::UnitNew(unit.clone()), at);
    let facts = vec![
        (UnitProperty::Invocation, Value::Id(at.into())),
        (UnitProperty::ActiveState, Value::Text("active".into())),
        (UnitProperty::SubState, Value::Text("running".into())),
    ];
    inventory.apply(Event::UnitChanged(unit, facts), at);
    answer_each(inventory, |_, property| match property {
        UnitProperty::LoadState => Value::Text("loaded".into()),
        _ => Value::Nothing,
    });
    inventory.retry_deferred(Usec::MAX);
    inventory.retry_deferred(Usec::MAX);
}

fn leave(inventory: &mut Inventory, at: Usec) {
    inventory.apply(Event::UnitRemoved(name_of("a.service")), at);
}

/// The question makes systemd load the unit and drop it again.
#[test]
fn a_question_of_another_client_does_not_prolong_the_retention_of_a_gone_unit() {
    let mut inventory = inventory();
    let is_shown = |inventory: &Inventory, at| !inventory.snapshot(at).gone.is_empty();
    start(&mut inventory, 10);
    leave(&mut inventory, 100);
    inventory.apply(Event::UnitNew(name_of("a.service")), 500);
    leave(&mut inventory, 501);
    assert!(is_shown(&inventory, 100 + RETENTION - 1));
    assert!(!is_shown(&inventory, 100 + RETENTION));
    // It is kept longer than it is shown. If it runs again, it leaves again.
    start(&mut inventory, 2_000);
    leave(&mut inventory, 3_000);
    assert!(is_shown(&inventory, 3_000 + RETENTION - 1));
    assert_eq!(inventory.snapshot(3_000).gone[0].1.starts, 2);
}
