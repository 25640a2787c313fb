//! What of the inventory outlives the exporter: its counters, and what they were counted up to.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Inventory,
    counted::Counted,
    departed::Past,
    history::{History, JobTotals, Totals},
    sums::SumRecord,
    tally::Tally,
    unit::Usec,
};
use crate::{
    histogram::{Histogram, LONG},
    systemd::{
        name::{UnitName, UnitType},
        question::Listing,
        state::{ActiveState, JobResult, JobType, RunResult},
    },
};

/// Everything that is to be kept, as it is written down.
///
/// What it holds of a unit it shares with the inventory. So it is taken quickly, and takes little
/// memory: each thread that has written one keeps what that took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// When the manager began, in microseconds since the epoch.
    instance: Option<Usec>,
    units: Vec<UnitRecord>,
    /// In the order in which they left.
    departed: Vec<DepartedRecord>,
    transitions: Vec<(UnitType, Tally<ActiveState>)>,
    failures: Vec<(UnitType, Tally<RunResult>)>,
    jobs: Vec<JobRecord>,
    /// Absent from older files.
    #[serde(default)]
    restarts: u64,
    reloads: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sums: Vec<SumRecord>,
    /// The unit types that systemd refused to list: of a unit that it lists later nothing is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unlisted: Vec<UnitType>,
}

#[derive(Debug, Serialize, Deserialize)]
struct UnitRecord {
    name: UnitName,
    counted: Arc<Counted>,
    #[serde(default, skip_serializing_if = "History::is_empty")]
    history: Arc<History>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slice: Option<UnitName>,
}

/// What is kept of a unit: its name, what was counted and came of it, and its slice.
type Kept<'a> = (&'a UnitName, &'a Arc<Counted>, &'a Arc<History>, Option<&'a UnitName>);

#[derive(Debug, Serialize, Deserialize)]
struct DepartedRecord {
    unit: UnitRecord,
    /// In microseconds since boot.
    left: Usec,
}

#[derive(Debug, Serialize, Deserialize)]
struct JobRecord {
    #[serde(rename = "type")]
    job_type: JobType,
    completed: Tally<JobResult>,
    durations: Vec<u64>,
    duration_sum: f64,
}

// === impl Inventory ===

impl Inventory {
    /// What is to be kept, and the generation that it is of; `None` if nothing has been counted
    /// since that generation, or nothing was ever known.
    pub fn record(&self, since: Option<u64>) -> Option<(Record, u64)> {
        if since == Some(self.generation) || !self.seen_all {
            return None;
        }
        let fresh = Counted::fresh();
        let here = self.units.iter();
        let here =
            here.map(|(name, entry)| (name, entry.counted(), &entry.unit.history, entry.slice()));
        let here = here.filter(|(_, counted, past, _)| !past.is_empty() || ***counted != fresh);
        let recalled = self.recalled.iter();
        let recalled = recalled.map(|(name, past)| past.of(name));
        let jobs = self.totals.jobs.iter().map(|(job_type, jobs)| JobRecord {
            job_type: job_type.clone(),
            completed: jobs.completed.clone(),
            durations: jobs.durations.buckets().map(|(_, count)| count).collect(),
            duration_sum: jobs.durations.sum(),
        });
        let departed = self.departed.iter();
        let record = Record {
            instance: self.instance,
            units: here.chain(recalled).map(UnitRecord::new).collect(),
            departed: departed
                .map(|(name, past)| DepartedRecord {
                    unit: UnitRecord::new(past.of(name)),
                    left: past.left,
                })
                .collect(),
            transitions: self.totals.transitions.clone().into_iter().collect(),
            failures: self.totals.failures.clone().into_iter().collect(),
            jobs: jobs.collect(),
            restarts: self.totals.restarts,
            reloads: self.totals.reloads,
            sums: self.summed.record(),
            unlisted: self.refused.iter().filter_map(|it| it.unit_type()).collect(),
        };
        Some((record, self.generation))
    }

    /// Goes on from what was kept by an earlier life of the exporter during this boot. To be
    /// called before anything else.
    pub fn recall(&mut self, record: Record) {
        self.instance = record.instance;
        self.seen_all = true;
        self.refused = record.unlisted.into_iter().map(Listing::Units).collect();
        let admits = |name: &UnitName| (self.admits)(name.as_str());
        for unit in record.units {
            let (name, past) = unit.past(0, &admits);
            self.recalled.insert(name, past);
        }
        for DepartedRecord { unit, left } in record.departed {
            let (name, past) = unit.past(left, &admits);
            self.departed.keep(&name, past);
        }
        let recalled = self.recalled.iter().chain(self.departed.iter());
        let told = |(name, past): &(&UnitName, &Past)| {
            past.admitted && self.slices.admit(name, past.slice.as_ref())
        };
        let told = recalled.filter(told);
        self.summed.recall(record.sums, told);
        let jobs = record.jobs.into_iter().map(|it| {
            let durations = Histogram::restore(LONG, it.durations, it.duration_sum);
            let durations = durations.unwrap_or_else(|| Histogram::new(LONG));
            (it.job_type, JobTotals { completed: it.completed, durations })
        });
        self.totals = Totals {
            transitions: record.transitions.into_iter().collect(),
            failures: record.failures.into_iter().collect(),
            jobs: jobs.collect::<BTreeMap<_, _>>(),
            restarts: record.restarts,
            reloads: record.reloads,
        };
    }
}

// === impl Past ===

impl Past {
    fn of<'a>(&'a self, name: &'a UnitName) -> Kept<'a> {
        (name, &self.counted, &self.history, self.slice.as_ref())
    }
}

// === impl UnitRecord ===

impl UnitRecord {
    fn new((name, counted, history, slice): Kept<'_>) -> Self {
        let (name, slice) = (name.clone(), slice.cloned());
        Self { name, counted: Arc::clone(counted), history: Arc::clone(history), slice }
    }

    fn past(self, left: Usec, admits: &impl Fn(&UnitName) -> bool) -> (UnitName, Past) {
        let admitted = admits(&self.name);
        let Self { name, counted, history, slice } = self;
        (name, Past { history, counted, admitted, slice, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        inventory::{Extent, ListedUnit, Wants},
        sum::Sums,
        systemd::state::LoadState,
    };

    fn unit(name: &str) -> UnitRecord {
        UnitRecord {
            name: UnitName::new(name).unwrap(),
            counted: Arc::new(Counted::fresh()),
            history: Arc::new(History { starts: 3, ..History::default() }),
            slice: None,
        }
    }

    /// How many units and sums a record holds, all of it shared with the inventory.
    fn shared(inventory: &Inventory) -> (usize, usize, usize) {
        let (record, _) = inventory.record(None).unwrap();
        let departed = record.departed.iter().map(|it| &it.unit);
        for UnitRecord { name, counted, history, .. } in record.units.iter().chain(departed) {
            assert!(Arc::strong_count(counted) > 1, "what was counted of {name:?} is a copy");
            assert!(Arc::strong_count(history) > 1, "the history of {name:?} is a copy");
        }
        for SumRecord { history, .. } in &record.sums {
            assert!(Arc::strong_count(history) > 1, "the history of a sum is a copy");
        }
        (record.units.len(), record.departed.len(), record.sums.len())
    }

    /// Each thread that writes a record keeps the memory that this took, and with ten thousand
    /// units that was 6 MiB for each.
    #[test]
    fn a_record_copies_nothing_that_was_counted() {
        let mut inventory = Inventory::new(Box::new(|_| true), 60_000_000, Wants::EVERYTHING)
            .summing(Sums::read(["instances"]).unwrap());
        inventory.seen_all = true;
        let mut record = inventory.record(None).unwrap().0;
        record.units = vec![unit("a.service"), unit("b@1.service")];
        record.departed = vec![DepartedRecord { unit: unit("c.service"), left: 1 }];
        inventory.recall(record);
        assert_eq!(shared(&inventory), (2, 1, 1));

        let listed = ListedUnit {
            name: UnitName::new("a.service").unwrap(),
            load_state: LoadState::Loaded,
            active_state: ActiveState::Active,
            sub_state: "running".into(),
        };
        inventory.adopt(vec![listed], Extent::Everything, 2);
        assert!(inventory.units.len() == 1 && inventory.recalled.is_empty());
        assert_eq!(shared(&inventory), (1, 2, 1));
    }
}
