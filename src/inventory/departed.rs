//! The counters of units that have left systemd's memory, so that a unit that comes back goes on
//! counting and none of its counters ever goes down.

use std::collections::BTreeMap;

use super::unit::{Details, Unit};
use crate::systemd::name::UnitName;

/// How many units are remembered. Only those that were restarted at all are, so even a host that
/// runs a million short-lived units a day seldom comes near.
const CAPACITY: usize = 10_000;

/// What is remembered of units that have left.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// Restarts, and the number of the departure.
    units: BTreeMap<UnitName, (u64, u64)>,
    /// The same units by the number of their departure.
    order: BTreeMap<u64, UnitName>,
    departures: u64,
}

// === impl Departed ===

impl Departed {
    /// Remembers the counters of a unit that leaves; the unit that left first makes way.
    pub(super) fn keep(&mut self, unit: &Unit) {
        let Details::Service(service) = &unit.details else { return };
        let Some(restarts) = service.restarts.filter(|restarts| *restarts > 0) else { return };
        let name = &unit.name;
        self.take(name);
        self.departures += 1;
        self.units.insert(name.clone(), (restarts, self.departures));
        self.order.insert(self.departures, name.clone());
        if self.order.len() > CAPACITY
            && let Some((_, first)) = self.order.pop_first()
        {
            self.units.remove(&first);
        }
    }

    /// Gives back, and forgets, the restarts of a unit that has come back; 0 if none are known.
    pub(super) fn take(&mut self, name: &UnitName) -> u64 {
        let Some((restarts, departure)) = self.units.remove(name) else { return 0 };
        self.order.remove(&departure);
        restarts
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inventory::{entry::Entry, unit::Service};

    #[test]
    fn the_first_to_leave_makes_way() {
        let mut departed = Departed::default();
        let name = |number: usize| UnitName::new(&format!("u{number}.service")).unwrap();
        for number in 0..=CAPACITY {
            let mut unit = Entry::new(name(number), true).unit;
            let details = &mut Arc::make_mut(&mut unit).details;
            *details = Details::Service(Service { restarts: Some(7), ..Service::default() });
            departed.keep(&unit);
        }
        assert_eq!(departed.order.len(), CAPACITY);
        assert_eq!(departed.take(&name(0)), 0);
        assert_eq!(departed.take(&name(CAPACITY)), 7);
        assert_eq!(departed.take(&name(CAPACITY)), 0, "given back once");
        assert_eq!((departed.units.len(), departed.order.len()), (CAPACITY - 1, CAPACITY - 1));
    }
}
