//! What has happened to units that are told of as one. It is counted with what happens to each of
//! them, and so is not lessened when one leaves, and is forgotten.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    counters::{Counters, Delta},
    entry::Entry,
    gone::GoneUnit,
};
use crate::{
    clock::Usec,
    selection::filter::Slices,
    selection::rollup::{Placement, RollupName, Rollups},
    systemd::name::UnitName,
};

/// How many sums are remembered: nobody has so many templates on purpose.
const CAPACITY: usize = 10_000;

/// The sums, and which units they are of.
#[derive(Debug, Default)]
pub(super) struct RollupTable {
    pub(super) rules: Rollups,
    kept: BTreeMap<RollupName, KeptRollup>,
    additions: u64,
}

#[derive(Debug, Default)]
struct KeptRollup {
    counters: Arc<Counters>,
    /// When a unit of it last left, in microseconds since boot.
    left: Usec,
    /// The number of the last addition.
    added: u64,
}

/// A sum as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RollupRecord {
    name: RollupName,
    #[serde(rename = "history")]
    pub(super) counters: Arc<Counters>,
    left: Usec,
}

// === impl RollupTable ===

impl RollupTable {
    /// Adds what has happened to a unit to its sum, if it is of one; at once, or as soon as its slice
    /// is known where that tells of which, or whether it passes the filters.
    pub(super) fn add(&mut self, entry: &mut Entry, delta: &Delta, slices: &Slices) {
        if entry.admitted && self.rules.place(&entry.unit.name, None) != Placement::Own {
            entry.not_rolled_up.get_or_insert_default().add(delta);
            self.settle(entry, slices);
        }
    }

    /// Adds what waits for the slice of a unit to be known, if that is known now.
    pub(super) fn settle(&mut self, entry: &mut Entry, slices: &Slices) {
        if entry.not_rolled_up.is_some()
            && slices.admit(&entry.unit.name, entry.slice())
            && let Placement::RolledUp(sum) = self.rules.place(&entry.unit.name, entry.slice())
            && let Some(more) = entry.not_rolled_up.take()
        {
            self.merge(sum, &more);
        }
    }

    /// Takes in that a unit of this slice has left.
    pub(super) fn leave(&mut self, unit: &UnitName, slice: Option<&UnitName>, now: Usec) {
        if let Placement::RolledUp(sum) = self.rules.place(unit, slice)
            && let Some(kept) = self.kept.get_mut(&sum)
        {
            kept.left = kept.left.max(now);
        }
    }

    /// Every sum with what has happened, and when a unit of it last left.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&RollupName, &Arc<Counters>, Usec)> {
        self.kept.iter().map(|(sum, kept)| (sum, &kept.counters, kept.left))
    }

    pub(super) fn record(&self) -> Vec<RollupRecord> {
        let record = |(name, kept): (&RollupName, &KeptRollup)| RollupRecord {
            name: name.clone(),
            counters: Arc::clone(&kept.counters),
            left: kept.left,
        };
        self.kept.iter().map(record).collect()
    }

    /// Goes on from what was written down, and for sums that were not summed then from what is
    /// remembered of their units.
    pub(super) fn recall<'a>(
        &mut self,
        records: Vec<RollupRecord>,
        units: impl Iterator<Item = (&'a UnitName, &'a GoneUnit)>,
    ) {
        let (mut written, mut others) = (Self::new(self.rules), Self::new(self.rules));
        for RollupRecord { name, counters, left } in records {
            if self.rules.has(&name) {
                written.merge(name.clone(), &counters);
                written.kept.entry(name).and_modify(|kept| kept.left = left);
            }
        }
        for (unit, past) in units {
            let slice = past.slice.as_ref();
            if let Placement::RolledUp(sum) = self.rules.place(unit, slice)
                && !written.kept.contains_key(&sum)
            {
                others.merge(sum, &past.counters);
                others.leave(unit, slice, past.left);
            }
        }
        *self = written;
        self.additions += others.additions;
        self.kept.append(&mut others.kept);
    }

    pub(super) fn new(rules: Rollups) -> Self {
        Self { rules, ..Self::default() }
    }

    fn merge(&mut self, sum: RollupName, more: &Counters) {
        self.additions += 1;
        let kept = self.kept.entry(sum).or_default();
        Arc::make_mut(&mut kept.counters).merge(more);
        kept.added = self.additions;
        if self.kept.len() > CAPACITY {
            // The one to which nothing has been added for the longest time.
            let first = self.kept.iter().min_by_key(|(_, kept)| kept.added);
            if let Some(first) = first.map(|(sum, _)| sum.clone()) {
                self.kept.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_without_end_do_not_fill_the_memory() {
        let rules = Rollups::read(["instances"]).unwrap();
        let mut rollups = RollupTable::new(rules);
        let unit = |number| UnitName::new(&format!("u{number}@x.service")).unwrap();
        let sum = |number| match rules.place(&unit(number), None) {
            Placement::RolledUp(sum) => sum,
            other => panic!("{other:?}"),
        };
        let more = Counters { starts: 1, ..Counters::default() };
        for number in 0..=CAPACITY {
            rollups.merge(sum(number), &more);
            rollups.merge(sum(0), &more);
        }
        let starts = |number| {
            let sum = sum(number);
            rollups.kept.get(&sum).map(|kept| kept.counters.starts)
        };
        assert_eq!(rollups.kept.len(), CAPACITY);
        assert_eq!(starts(0), Some(CAPACITY as u64 + 2), "it is the one that is used most");
        assert_eq!((starts(1), starts(2)), (None, Some(1)));
    }
}
