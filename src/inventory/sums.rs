//! What has happened to units that are told of as one. It is counted with what happens to each of
//! them, and so is not lessened when one leaves, and is forgotten.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    departed::Past,
    entry::Entry,
    history::{Gain, History},
    unit::Usec,
};
use crate::{
    filter::Slices,
    sum::{SumName, Sums, Told},
    systemd::name::UnitName,
};

/// How many sums are remembered: nobody has so many templates on purpose.
const CAPACITY: usize = 10_000;

/// The sums, and which units they are of.
#[derive(Debug, Default)]
pub(super) struct Summed {
    pub(super) sums: Sums,
    kept: BTreeMap<SumName, Kept>,
    additions: u64,
}

#[derive(Debug, Default)]
struct Kept {
    history: Arc<History>,
    /// When a unit of it last left, in microseconds since boot.
    left: Usec,
    /// The number of the last addition.
    added: u64,
}

/// A sum as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SumRecord {
    name: SumName,
    pub(super) history: Arc<History>,
    left: Usec,
}

// === impl Summed ===

impl Summed {
    /// Adds what has happened to a unit to its sum, if it is of one; at once, or as soon as its slice
    /// is known where that tells of which, or whether it passes the filters.
    pub(super) fn add(&mut self, entry: &mut Entry, gain: &Gain, slices: &Slices) {
        if entry.admitted && self.sums.place(&entry.unit.name, None) != Told::Alone {
            entry.unsummed.get_or_insert_default().add(gain);
            self.settle(entry, slices);
        }
    }

    /// Adds what waits for the slice of a unit to be known, if that is known now.
    pub(super) fn settle(&mut self, entry: &mut Entry, slices: &Slices) {
        if entry.unsummed.is_some()
            && slices.admit(&entry.unit.name, entry.slice())
            && let Told::With(sum) = self.sums.place(&entry.unit.name, entry.slice())
            && let Some(more) = entry.unsummed.take()
        {
            self.merge(sum, &more);
        }
    }

    /// Takes in that a unit of this slice has left.
    pub(super) fn leave(&mut self, unit: &UnitName, slice: Option<&UnitName>, now: Usec) {
        if let Told::With(sum) = self.sums.place(unit, slice)
            && let Some(kept) = self.kept.get_mut(&sum)
        {
            kept.left = kept.left.max(now);
        }
    }

    /// Every sum with what has happened, and when a unit of it last left.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SumName, &Arc<History>, Usec)> {
        self.kept.iter().map(|(sum, kept)| (sum, &kept.history, kept.left))
    }

    pub(super) fn record(&self) -> Vec<SumRecord> {
        let record = |(name, kept): (&SumName, &Kept)| SumRecord {
            name: name.clone(),
            history: Arc::clone(&kept.history),
            left: kept.left,
        };
        self.kept.iter().map(record).collect()
    }

    /// Goes on from what was written down, and for sums that were not summed then from what is
    /// remembered of their units.
    pub(super) fn recall<'a>(
        &mut self,
        records: Vec<SumRecord>,
        units: impl Iterator<Item = (&'a UnitName, &'a Past)>,
    ) {
        let (mut written, mut others) = (Self::new(self.sums), Self::new(self.sums));
        for SumRecord { name, history, left } in records {
            if self.sums.has(&name) {
                written.merge(name.clone(), &history);
                written.kept.entry(name).and_modify(|kept| kept.left = left);
            }
        }
        for (unit, past) in units {
            let slice = past.slice.as_ref();
            if let Told::With(sum) = self.sums.place(unit, slice)
                && !written.kept.contains_key(&sum)
            {
                others.merge(sum, &past.history);
                others.leave(unit, slice, past.left);
            }
        }
        *self = written;
        self.additions += others.additions;
        self.kept.append(&mut others.kept);
    }

    pub(super) fn new(sums: Sums) -> Self {
        Self { sums, ..Self::default() }
    }

    fn merge(&mut self, sum: SumName, more: &History) {
        self.additions += 1;
        let kept = self.kept.entry(sum).or_default();
        Arc::make_mut(&mut kept.history).merge(more);
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
        let sums = Sums::read(["instances"]).unwrap();
        let mut summed = Summed::new(sums);
        let unit = |number| UnitName::new(&format!("u{number}@x.service")).unwrap();
        let sum = |number| match sums.place(&unit(number), None) {
            Told::With(sum) => sum,
            other => panic!("{other:?}"),
        };
        let more = History { starts: 1, ..History::default() };
        for number in 0..=CAPACITY {
            summed.merge(sum(number), &more);
            summed.merge(sum(0), &more);
        }
        let starts = |number| {
            let sum = sum(number);
            summed.kept.get(&sum).map(|kept| kept.history.starts)
        };
        assert_eq!(summed.kept.len(), CAPACITY);
        assert_eq!(starts(0), Some(CAPACITY as u64 + 2), "it is the one that is used most");
        assert_eq!((starts(1), starts(2)), (None, Some(1)));
    }
}
