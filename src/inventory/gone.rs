//! Units that have left systemd's memory. Their counters are shown for a while, and continue if the
//! unit comes back.

use std::{collections::BTreeMap, sync::Arc};

use super::{counters::Counters, cursor::Cursor};
use crate::{clock::Usec, selection::Placement, systemd::name::UnitName};

/// The most gone units that are kept, some of them longer than they are shown. It bounds the memory:
/// a host with a million short-lived units a day keeps each for about 14 minutes.
const CAPACITY: usize = 10_000;

/// The gone units.
#[derive(Debug, Default)]
pub(super) struct GoneUnits {
    /// Each with its departure number: how many units had left when it did.
    units: BTreeMap<UnitName, (GoneUnit, u64)>,
    /// The same units by departure number.
    order: BTreeMap<u64, UnitName>,
    departures: u64,
}

/// What is kept of a gone unit.
#[derive(Clone, Debug)]
pub(super) struct GoneUnit {
    pub(super) counters: Arc<Counters>,
    pub(super) cursor: Arc<Cursor>,
    /// Where it is shown.
    pub(super) placement: Placement,
    /// Its slice, if known.
    pub(super) slice: Option<UnitName>,
    /// When it left, in microseconds since boot.
    pub(super) left: Usec,
}

// === impl GoneUnits ===

impl GoneUnits {
    /// Keeps a unit that leaves, if it ever ran or has counters. Over capacity, drops the unit that
    /// left first.
    pub(super) fn keep(&mut self, name: &UnitName, gone: GoneUnit) {
        self.take(name);
        if gone.counters.is_empty() && !gone.cursor.ever_ran() {
            return;
        }
        self.departures += 1;
        self.units.insert(name.clone(), (gone, self.departures));
        self.order.insert(self.departures, name.clone());
        if self.order.len() > CAPACITY
            && let Some((_, first)) = self.order.pop_first()
        {
            self.units.remove(&first);
        }
    }

    /// Removes a unit and returns what was kept of it.
    pub(super) fn take(&mut self, name: &UnitName) -> Option<GoneUnit> {
        let (gone, departure) = self.units.remove(name)?;
        self.order.remove(&departure);
        Some(gone)
    }

    /// All of them, in the order in which they left.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&UnitName, &GoneUnit)> {
        self.order.values().filter_map(|name| Some((name, &self.units.get(name)?.0)))
    }

    /// Those with series of their own that left after `time`, by name.
    pub(super) fn shown_since(&self, time: Usec) -> impl Iterator<Item = (&UnitName, &GoneUnit)> {
        let all = self.units.iter().map(|(name, (gone, _))| (name, gone));
        let own = all.filter(|(_, gone)| gone.placement == Placement::Own);
        own.filter(move |(_, gone)| gone.left > time && !gone.counters.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::cursor::Facts;

    fn name(number: usize) -> UnitName {
        UnitName::new(&format!("u{number}.service")).unwrap()
    }

    fn unit(starts: u64, left: Usec) -> GoneUnit {
        let counters = Arc::new(Counters { starts, ..Counters::default() });
        let (cursor, placement) = (Arc::new(Cursor::fresh()), Placement::Own);
        GoneUnit { counters, cursor, placement, slice: None, left }
    }

    #[test]
    fn over_capacity_the_unit_that_left_first_is_dropped() {
        let mut gone = GoneUnits::default();
        for number in 0..=CAPACITY {
            gone.keep(&name(number), unit(7, number as u64));
        }
        assert_eq!(gone.order.len(), CAPACITY);
        assert!(gone.take(&name(0)).is_none());
        assert_eq!(gone.shown_since(CAPACITY as u64 - 3).count(), 3);
        assert_eq!(gone.take(&name(CAPACITY)).unwrap().counters.starts, 7);
        assert!(gone.take(&name(CAPACITY)).is_none(), "a unit is taken once");
        assert_eq!((gone.units.len(), gone.order.len()), (CAPACITY - 1, CAPACITY - 1));
    }

    #[test]
    fn a_unit_is_kept_if_it_ran_and_shown_if_it_has_counters_of_its_own() {
        let mut ran = Cursor::fresh();
        ran.advance(&Facts { invocation: Some(7), ..Facts::default() });
        let ran = GoneUnit { cursor: ran.into(), ..unit(0, 9) };
        let hidden = GoneUnit { placement: Placement::FilteredOut, ..unit(3, 9) };
        for (unit, is_kept, is_shown) in [
            (unit(0, 9), false, false),
            (ran, true, false),
            (hidden, true, false),
            (unit(3, 9), true, true),
        ] {
            let mut gone = GoneUnits::default();
            gone.keep(&name(1), unit);
            assert_eq!(gone.shown_since(8).count(), usize::from(is_shown));
            assert_eq!(gone.take(&name(1)).is_some(), is_kept);
        }
    }
}
