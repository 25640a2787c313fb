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
    selection::{
        Placement,
        rollup::{RollupName, Rollups},
    },
};

/// How many sums are remembered: nobody has so many templates on purpose.
const CAPACITY: usize = 10_000;

/// The sums, and which units they are of.
#[derive(Debug, Default)]
pub(super) struct RollupTable {
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
    /// Adds what happened to a unit to its roll-up, at once or as soon as the roll-up is known.
    pub(super) fn add(&mut self, entry: &mut Entry, delta: &Delta) {
        if entry.rolls_up {
            entry.runs.not_rolled_up.get_or_insert_default().add(delta);
            self.settle(entry);
        }
    }

    /// Adds what waits for the placement of a unit, if that is known now.
    pub(super) fn settle(&mut self, entry: &mut Entry) {
        if let Placement::RolledUp(rollup) = &entry.placement
            && let Some(more) = entry.runs.not_rolled_up.take()
        {
            self.merge(rollup.clone(), &more);
        }
    }

    /// Notes that a unit with this placement has left.
    pub(super) fn leave(&mut self, placement: &Placement, now: Usec) {
        if let Placement::RolledUp(rollup) = placement
            && let Some(kept) = self.kept.get_mut(rollup)
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
        rules: Rollups,
        records: Vec<RollupRecord>,
        units: impl Iterator<Item = &'a GoneUnit>,
    ) {
        let mut others = Self::default();
        for RollupRecord { name, counters, left } in records {
            if rules.has(&name) {
                self.merge(name.clone(), &counters);
                self.kept.entry(name).and_modify(|kept| kept.left = left);
            }
        }
        for unit in units {
            if let Placement::RolledUp(rollup) = &unit.placement
                && !self.kept.contains_key(rollup)
            {
                others.merge(rollup.clone(), &unit.counters);
                others.leave(&unit.placement, unit.left);
            }
        }
        self.additions += others.additions;
        self.kept.append(&mut others.kept);
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
    use crate::{selection::Selection, systemd::name::UnitName};

    #[test]
    fn sums_without_end_do_not_fill_the_memory() {
        let rules = Rollups::read(["instances"]).unwrap();
        let selection = Selection { rollups: rules, ..Selection::default() };
        let mut rollups = RollupTable::default();
        let unit = |number| UnitName::new(&format!("u{number}@x.service")).unwrap();
        let sum = |number| match selection.place(&unit(number), None) {
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
