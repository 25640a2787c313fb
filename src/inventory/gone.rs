//! The units that have left systemd's memory, so that what happened to them can still be scraped
//! for a while, and one that comes back goes on counting.

use std::{collections::BTreeMap, sync::Arc};

use super::{counters::Counters, cursor::Cursor};
use crate::{clock::Usec, selection::Placement, systemd::name::UnitName};

/// How many units are remembered, longer than their series are served. Whoever runs a million
/// short-lived units a day has their series for some ten minutes, and no more memory taken.
const CAPACITY: usize = 10_000;

/// What is remembered of units that have left.
#[derive(Debug, Default)]
pub(super) struct GoneUnits {
    /// With the number of the departure.
    units: BTreeMap<UnitName, (GoneUnit, u64)>,
    /// The same units by the number of their departure.
    order: BTreeMap<u64, UnitName>,
    departures: u64,
}

/// What is remembered of one unit.
#[derive(Clone, Debug)]
pub(super) struct GoneUnit {
    pub(super) counters: Arc<Counters>,
    pub(super) cursor: Arc<Cursor>,
    /// Where it is shown.
    pub(super) placement: Placement,
    /// The slice that it was in, as far as that is known.
    pub(super) slice: Option<UnitName>,
    /// When it left, in microseconds since boot.
    pub(super) left: Usec,
}

// === impl GoneUnits ===

impl GoneUnits {
    /// Remembers a unit that leaves; the one that left first makes way.
    pub(super) fn keep(&mut self, name: &UnitName, past: GoneUnit) {
        self.take(name);
        if past.counters.is_empty() && !past.cursor.ever_ran() {
            return;
        }
        self.departures += 1;
        self.units.insert(name.clone(), (past, self.departures));
        self.order.insert(self.departures, name.clone());
        if self.order.len() > CAPACITY
            && let Some((_, first)) = self.order.pop_first()
        {
            self.units.remove(&first);
        }
    }

    /// Gives back, and forgets, what is remembered of a unit.
    pub(super) fn take(&mut self, name: &UnitName) -> Option<GoneUnit> {
        let (past, departure) = self.units.remove(name)?;
        self.order.remove(&departure);
        Some(past)
    }

    /// All of them, in the order in which they left.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&UnitName, &GoneUnit)> {
        self.order.values().filter_map(|name| Some((name, &self.units.get(name)?.0)))
    }

    /// Those that are shown in series of their own and left after `time`, by name.
    pub(super) fn shown_since(&self, time: Usec) -> impl Iterator<Item = (&UnitName, &GoneUnit)> {
        let all = self.units.iter().map(|(name, (gone, _))| (name, gone));
        all.filter(move |(_, gone)| gone.is_shown() && gone.left > time)
    }
}

// === impl GoneUnit ===

impl GoneUnit {
    fn is_shown(&self) -> bool {
        self.placement == Placement::Own && !self.counters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_leave_makes_way() {
        let mut gone = GoneUnits::default();
        let name = |number: usize| UnitName::new(&format!("u{number}.service")).unwrap();
        for number in 0..=CAPACITY {
            let counters = Arc::new(Counters { starts: 7, ..Counters::default() });
            let (cursor, left) = (Arc::new(Cursor::fresh()), number as u64);
            gone.keep(
                &name(number),
                GoneUnit { counters, cursor, placement: Placement::Own, slice: None, left },
            );
        }
        assert_eq!(gone.order.len(), CAPACITY);
        assert!(gone.take(&name(0)).is_none());
        assert_eq!(gone.shown_since(CAPACITY as u64 - 3).count(), 3);
        assert_eq!(gone.take(&name(CAPACITY)).unwrap().counters.starts, 7);
        assert!(gone.take(&name(CAPACITY)).is_none(), "given back once");
        assert_eq!((gone.units.len(), gone.order.len()), (CAPACITY - 1, CAPACITY - 1));
    }
}
