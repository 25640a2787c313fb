//! The counters of roll-ups. Each event of a member is added when it is counted, so the counters do
//! not fall when a member leaves and is dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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

/// The most roll-ups that are kept. It bounds the memory if template names are generated.
const CAPACITY: usize = 10_000;

/// The counters of each roll-up.
#[derive(Debug, Default)]
pub(super) struct RollupTable {
    rollups: BTreeMap<RollupName, RollupCounters>,
    /// How many additions there were.
    additions: u64,
}

#[derive(Debug, Default)]
struct RollupCounters {
    counters: Arc<Counters>,
    /// When a member last left, in microseconds since boot.
    left: Usec,
    /// The number of the last addition to it.
    last_addition: u64,
}

/// A roll-up in the state file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RollupRecord {
    name: RollupName,
    #[serde(rename = "history")]
    pub(super) counters: Arc<Counters>,
    left: Usec,
}

// === impl RollupTable ===

impl RollupTable {
    /// Adds the events of a unit to its roll-up, now or when its placement is known.
    pub(super) fn add(&mut self, entry: &mut Entry, delta: &Delta) {
        if entry.rolls_up {
            entry.runs.not_rolled_up.get_or_insert_default().add(delta);
            self.add_waiting(entry);
        }
    }

    /// Adds the events that waited for the placement of a unit, if it is known now.
    pub(super) fn add_waiting(&mut self, entry: &mut Entry) {
        if let Placement::RolledUp(rollup) = &entry.placement
            && let Some(counters) = entry.runs.not_rolled_up.take()
        {
            self.merge(rollup.clone(), &counters);
        }
    }

    /// Notes when a unit with this placement left.
    pub(super) fn note_left(&mut self, placement: &Placement, now: Usec) {
        if let Placement::RolledUp(rollup) = placement
            && let Some(rollup) = self.rollups.get_mut(rollup)
        {
            rollup.left = rollup.left.max(now);
        }
    }

    /// Every roll-up with its counters, and when a member last left.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&RollupName, &Arc<Counters>, Usec)> {
        self.rollups.iter().map(|(name, rollup)| (name, &rollup.counters, rollup.left))
    }

    /// Everything, for the state file.
    pub(super) fn record(&self) -> Vec<RollupRecord> {
        let record = |(name, counters, left): (&RollupName, &Arc<Counters>, Usec)| RollupRecord {
            name: name.clone(),
            counters: Arc::clone(counters),
            left,
        };
        self.iter().map(record).collect()
    }

    /// Continues from the state file. A roll-up that is not in the file starts with the counters
    /// that its members have there.
    pub(super) fn recall<'a>(
        &mut self,
        rules: Rollups,
        records: Vec<RollupRecord>,
        units: impl Iterator<Item = &'a GoneUnit>,
    ) {
        for RollupRecord { name, counters, left } in records {
            if rules.has(&name) {
                self.merge(name.clone(), &counters);
                self.rollups.entry(name).and_modify(|rollup| rollup.left = left);
            }
        }
        let recorded: BTreeSet<_> = self.rollups.keys().cloned().collect();
        for unit in units {
            if let Placement::RolledUp(rollup) = &unit.placement
                && !recorded.contains(rollup)
            {
                self.merge(rollup.clone(), &unit.counters);
                self.note_left(&unit.placement, unit.left);
            }
        }
    }

    fn merge(&mut self, name: RollupName, counters: &Counters) {
        self.additions += 1;
        let rollup = self.rollups.entry(name).or_default();
        Arc::make_mut(&mut rollup.counters).merge(counters);
        rollup.last_addition = self.additions;
        if self.rollups.len() > CAPACITY {
            let idlest = self.rollups.iter().min_by_key(|(_, rollup)| rollup.last_addition);
            if let Some(idlest) = idlest.map(|(name, _)| name.clone()) {
                self.rollups.remove(&idlest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{selection::Selection, systemd::name::UnitName};

    #[test]
    fn over_capacity_the_roll_up_without_an_addition_for_the_longest_time_is_dropped() {
        let rules = Rollups::read(["instances"]).unwrap();
        let selection = Selection { rollups: rules, ..Selection::default() };
        let mut rollups = RollupTable::default();
        let unit = |number| UnitName::new(&format!("u{number}@x.service")).unwrap();
        let name = |number| match selection.place(&unit(number), None) {
            Placement::RolledUp(name) => name,
            other => panic!("{other:?}"),
        };
        let start = Counters { starts: 1, ..Counters::default() };
        for number in 0..=CAPACITY {
            rollups.merge(name(number), &start);
            rollups.merge(name(0), &start);
        }
        let starts = |number| rollups.rollups.get(&name(number)).map(|it| it.counters.starts);
        assert_eq!(rollups.rollups.len(), CAPACITY);
        assert_eq!(starts(0), Some(CAPACITY as u64 + 2), "it is added to most often");
        assert_eq!((starts(1), starts(2)), (None, Some(1)));
    }
}
