//! A unit's row: which values it has, and when it is shared and when copied.

use super::{super::*, answer_each, listed, name_of, properties_of};
use crate::inventory::unit::{Details, Unit};
use crate::systemd::state::ActiveState;
use std::sync::Arc;

/// An inventory with one unit. Every question is answered: with the fact, if it is about that, else
/// with nothing.
fn with_unit(unit: ListedUnit, (about, fact): (UnitProperty, Value)) -> (Inventory, PropertySet) {
    let mut inventory = Inventory::new(Selection::default(), Reads::EVERYTHING, 0);
    inventory.resync(vec![unit], Extent::Everything, 0);
    let asked = answer_each(&mut inventory, |_, property| match property == about {
        true => fact.clone(),
        false => Value::Nothing,
    });
    (inventory, properties_of(asked))
}

fn only_unit(inventory: &Inventory) -> Arc<Unit> {
    let units = inventory.snapshot(0).units;
    assert_eq!(units.len(), 1);
    Arc::clone(&units[0])
}

#[test]
fn each_unit_type_has_the_properties_of_its_type() {
    use UnitProperty::{Accepted, LastTrigger, MountType, ServiceType};
    let text = || Value::Text("simple".into());
    for (name, property, value) in [
        ("a.service", ServiceType, text()),
        ("a.socket", Accepted, Value::Number(7)),
        ("a.timer", LastTrigger, Value::Number(7)),
        ("a.mount", MountType, text()),
    ] {
        let inactive = listed(name, ActiveState::Inactive, "dead");
        let (inventory, _) = with_unit(inactive, (property, value));
        let has_it = match &only_unit(&inventory).details {
            Details::Service(it) => it.service_type.as_deref() == Some("simple"),
            Details::Socket(it) => it.accepted == Some(7),
            Details::Timer(it) => it.last_trigger == Some(7),
            Details::Mount(it) => it.mount_type.as_deref() == Some("simple"),
            Details::Plain => false,
        };
        assert!(has_it, "{name}");
    }
}

/// The last ping of another state is that of a run that has ended, or has not begun.
#[test]
fn a_watchdog_is_read_only_of_a_service_whose_main_process_runs() {
    use ActiveState::{Activating, Active, Deactivating, Inactive};
    for (name, state, sub_state, expected) in [
        ("a.service", Active, "running", true),
        ("a.service", Active, "exited", false),
        ("a.service", Activating, "start", false),
        ("a.service", Deactivating, "stop-sigterm", false),
        ("a.service", Inactive, "dead", false),
        ("a.scope", Active, "running", false),
        ("a.socket", Active, "running", false),
        ("a.timer", Active, "running", false),
    ] {
        let interval = (UnitProperty::WatchdogInterval, Value::Number(30_000_000));
        let unit = listed(name, state.clone(), sub_state);
        let (mut inventory, asked) = with_unit(unit, interval.clone());
        assert_eq!(asked.has(UnitProperty::WatchdogInterval), expected, "{name} {sub_state}");
        assert_eq!(only_unit(&inventory).is_running(), expected, "{name} {sub_state}");
        inventory.apply(Event::UnitChanged(name_of(name), vec![interval]), 0);
        let polled = inventory.scrape_questions();
        let ping = [(name_of(name), UnitProperty::WatchdogPing)];
        assert_eq!(polled, ping[..usize::from(expected)], "{name} {sub_state}");
    }
}

/// A scrape that is being written keeps its rows. Most signals repeat values.
#[test]
fn a_row_is_copied_only_for_a_new_value() {
    let running = listed("a.service", ActiveState::Active, "running");
    let (mut inventory, _) = with_unit(running, (UnitProperty::TasksMax, Value::Number(7)));
    let before = only_unit(&inventory);
    let tasks = |max| vec![(UnitProperty::TasksMax, Value::Number(max))];
    inventory.apply(Event::UnitChanged(name_of("a.service"), tasks(7)), 0);
    assert!(Arc::ptr_eq(&before, &only_unit(&inventory)));
    inventory.apply(Event::UnitChanged(name_of("a.service"), tasks(8)), 0);
    assert!(!Arc::ptr_eq(&before, &only_unit(&inventory)));
    let max = |unit: &Unit| match &unit.details {
        Details::Service(service) => service.tasks_max,
        _ => None,
    };
    assert_eq!((max(&before), max(&only_unit(&inventory))), (Some(7), Some(8)));
}
