//! What a scrape asks of services, because systemd never signals it.

use super::{super::*, answer_each, inventory, listed, name_of, properties_of};
use crate::inventory::unit::{Details, IpCounters, Service};
use crate::systemd::state::ActiveState;

/// Lists this service as running, with these settings.
fn running(settings: &[(UnitProperty, Value)]) -> Inventory {
    let mut inventory = inventory();
    let listing = vec![listed("a.service", ActiveState::Active, "running")];
    inventory.resync(listing, Extent::Everything, 0);
    answer_each(&mut inventory, |_, property| {
        let known = settings.iter().find(|(known, _)| *known == property);
        known.map_or(Value::Nothing, |(_, value)| value.clone())
    });
    inventory
}

fn becomes(inventory: &mut Inventory, state: &str, sub_state: &str) {
    let facts = vec![
        (UnitProperty::ActiveState, Value::Text(state.into())),
        (UnitProperty::SubState, Value::Text(sub_state.into())),
    ];
    inventory.apply(Event::UnitChanged(name_of("a.service"), facts), 0);
}

/// Answers the questions of a scrape with 7, and returns them.
fn scrape(inventory: &mut Inventory) -> PropertySet {
    let asked = inventory.scrape_questions();
    for (unit, property) in &asked {
        inventory.answer(unit, *property, Ok(Value::Number(7)));
    }
    properties_of(asked)
}

fn service(inventory: &Inventory) -> Service {
    match &inventory.snapshot(0).units[0].details {
        Details::Service(service) => service.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_running_service_with_a_watchdog_is_asked_for_its_last_ping() {
    let ping = PropertySet::of(&[UnitProperty::WatchdogPing]);
    let interval = |value| (UnitProperty::WatchdogInterval, value);
    let mut inventory = running(&[interval(Value::Number(30_000_000))]);
    assert_eq!(scrape(&mut inventory), ping);
    assert_eq!(service(&inventory).watchdog_ping, Some(7));
    // It is not expected to ping while it stops.
    becomes(&mut inventory, "deactivating", "stop-sigterm");
    assert_eq!(scrape(&mut inventory), PropertySet::EMPTY);
    becomes(&mut inventory, "active", "running");
    assert_eq!(scrape(&mut inventory), ping);
    // A reload has switched the watchdog off.
    inventory.answer(&name_of("a.service"), UnitProperty::WatchdogInterval, Ok(Value::Nothing));
    assert_eq!(scrape(&mut inventory), PropertySet::EMPTY);
    assert_eq!(service(&inventory).watchdog_ping, None, "nothing reads it any more");
}

#[test]
fn the_ip_counters_of_a_service_are_shown_while_ip_accounting_is_on() {
    let accounting = |is_on| (UnitProperty::IpAccounting, Value::Flag(is_on));
    assert_eq!(scrape(&mut running(&[accounting(false)])), PropertySet::EMPTY);
    let mut inventory = running(&[accounting(true)]);
    assert_eq!(scrape(&mut inventory), PropertySet::IP_COUNTERS);
    let all = Some(7);
    let counters = IpCounters {
        ingress_bytes: all,
        egress_bytes: all,
        ingress_packets: all,
        egress_packets: all,
    };
    assert_eq!(service(&inventory).ip, Some(counters));
    // The next reload or reconcile reads the same setting again.
    let name = name_of("a.service");
    inventory.answer(&name, UnitProperty::IpAccounting, Ok(Value::Flag(true)));
    assert_eq!(service(&inventory).ip, Some(counters));
    inventory.answer(&name, UnitProperty::IpAccounting, Ok(Value::Flag(false)));
    assert_eq!(scrape(&mut inventory), PropertySet::EMPTY);
    assert_eq!(service(&inventory).ip, None);
}

/// systemd may have dropped it, and a question would load it again.
#[test]
fn a_service_that_has_just_become_inactive_is_not_asked_at_a_scrape() {
    let mut inventory = running(&[(UnitProperty::IpAccounting, Value::Flag(true))]);
    becomes(&mut inventory, "inactive", "dead");
    assert_eq!(scrape(&mut inventory), PropertySet::EMPTY);
    inventory.retry_deferred(ASK_DELAY);
    assert_eq!(scrape(&mut inventory), PropertySet::IP_COUNTERS);
}
