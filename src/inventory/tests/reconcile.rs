//! What a reconcile finds and asks.

use super::*;
use UnitProperty as P;

#[test]
fn a_reconcile_of_one_type_asks_nothing_about_units_of_another() {
    let mut inventory = inventory();
    let slice = || row("b.slice", ActiveState::Active);
    inventory.resync(vec![row("a.service", ActiveState::Active), slice()], Extent::Everything, 0);
    answer_all(&mut inventory, "active", &[]);
    inventory.compare_part(ListedTypes::Type(UnitType::Slice), vec![slice()], 0);
    let asked = answer_all(&mut inventory, "active", &[]);
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|(unit, _)| unit == "b.slice"), "{asked:?}");
}

/// Its `UnitNew` was lost. systemd keeps it in memory while it is active.
#[test]
fn an_active_unit_that_a_reconcile_finds_is_drift_and_is_asked_about_at_once() {
    let mut inventory = inventory();
    inventory.resync(Vec::new(), Extent::Everything, 0);
    inventory.apply(Event::UnitNew(name_of("a.timer")), 0);
    let announced = || row("a.timer", ActiveState::Active);
    inventory.compare(vec![announced()], 0);
    assert_eq!(inventory.take_drift(), Vec::<&str>::new(), "it was announced");
    answer_all(&mut inventory, "active", &[]);

    inventory.compare(vec![announced(), row("b.timer", ActiveState::Active)], 0);
    assert_eq!(inventory.take_drift(), ["presence"]);
    let asked = answer_all(&mut inventory, "active", &[]);
    assert!(asked.iter().any(|(unit, _)| unit == "b.timer"), "{asked:?}");
}

/// systemd may be about to drop it, as after a signal.
#[test]
fn a_unit_that_a_reconcile_finds_inactive_is_asked_what_wants_it_a_second_later() {
    let mut inventory = inventory();
    inventory.resync(vec![row("a.timer", ActiveState::Inactive)], Extent::Everything, 0);
    let asks_what_wants_it = |inventory: &mut Inventory| {
        let asked = answer_all(inventory, "inactive", &[]);
        asked.iter().any(|(_, property)| *property == P::WantedBy)
    };
    assert!(asks_what_wants_it(&mut inventory), "it was there at the start");
    inventory.compare(vec![row("a.timer", ActiveState::Active)], 0);
    assert!(!asks_what_wants_it(&mut inventory));
    inventory.compare(vec![row("a.timer", ActiveState::Inactive)], 0);
    assert!(!asks_what_wants_it(&mut inventory));
    inventory.retry_deferred(ASK_DELAY);
    assert!(asks_what_wants_it(&mut inventory));
}
