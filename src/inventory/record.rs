//! The part of the inventory that outlives the exporter: counters, and the cursor of each unit.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Inventory,
    counters::{Counters, HostCounters, JobTotals},
    counts::Counts,
    cursor::Cursor,
    gone::GoneUnit,
    rollups::RollupRecord,
};
use crate::{
    clock::Usec,
    histogram::{Histogram, LONG},
    selection::Selection,
    systemd::{
        listing::Listing,
        name::{UnitName, UnitType},
        state::{ActiveState, JobResult, JobType, RunResult},
    },
};

/// The counters as the state file has them.
///
/// Shares its data with the inventory, so it is built quickly and takes little memory. The allocator
/// keeps the memory for each thread that has ever written one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// When the manager started, in microseconds since the epoch.
    instance: Option<Usec>,
    units: Vec<UnitRecord>,
    /// In the order in which they left memory.
    #[serde(rename = "departed")]
    gone: Vec<GoneRecord>,
    transitions: Vec<(UnitType, Counts<ActiveState>)>,
    failures: Vec<(UnitType, Counts<RunResult>)>,
    jobs: Vec<JobRecord>,
    /// Absent from older files.
    #[serde(default)]
    restarts: u64,
    reloads: u64,
    #[serde(rename = "sums", default, skip_serializing_if = "Vec::is_empty")]
    rollups: Vec<RollupRecord>,
    /// The unit types that systemd refused to list: what happened to their units is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unlisted: Vec<UnitType>,
}

#[derive(Debug, Serialize, Deserialize)]
struct UnitRecord {
    name: UnitName,
    #[serde(rename = "counted")]
    cursor: Arc<Cursor>,
    #[serde(rename = "history", default, skip_serializing_if = "Counters::is_empty")]
    counters: Arc<Counters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slice: Option<UnitName>,
}

/// A unit's name, cursor, counters and slice.
type RecordedUnit<'a> = (&'a UnitName, &'a Arc<Cursor>, &'a Arc<Counters>, Option<&'a UnitName>);

#[derive(Debug, Serialize, Deserialize)]
struct GoneRecord {
    unit: UnitRecord,
    /// In microseconds since boot.
    left: Usec,
}

#[derive(Debug, Serialize, Deserialize)]
struct JobRecord {
    #[serde(rename = "type")]
    job_type: JobType,
    completed: Counts<JobResult>,
    durations: Vec<u64>,
    duration_sum: f64,
}

// === impl Inventory ===

impl Inventory {
    /// The record to save, and its generation. `None` if nothing was counted after generation `since`,
    /// or the units were never all listed.
    pub fn record(&self, since: Option<u64>) -> Option<(Record, u64)> {
        if since == Some(self.generation) || !self.all_listed {
            return None;
        }
        let fresh = Cursor::fresh();
        let here = self.units.iter();
        let here = here
            .map(|(name, entry)| (name, &entry.runs.cursor, &entry.unit.counters, entry.slice()));
        let here = here.filter(|(_, cursor, counts, _)| !counts.is_empty() || ***cursor != fresh);
        let recalled = self.recalled.iter();
        let recalled = recalled.map(|(name, gone)| gone.recorded(name));
        let jobs = self.totals.jobs.iter().map(|(job_type, jobs)| JobRecord {
            job_type: job_type.clone(),
            completed: jobs.completed.clone(),
            durations: jobs.durations.buckets().map(|(_, count)| count).collect(),
            duration_sum: jobs.durations.sum(),
        });
        let gone = self.gone.iter();
        let record = Record {
            instance: self.manager_started,
            units: here.chain(recalled).map(UnitRecord::new).collect(),
            gone: gone
                .map(|(name, gone)| GoneRecord {
                    unit: UnitRecord::new(gone.recorded(name)),
                    left: gone.left,
                })
                .collect(),
            transitions: self.totals.transitions.clone().into_iter().collect(),
            failures: self.totals.failures.clone().into_iter().collect(),
            jobs: jobs.collect(),
            restarts: self.totals.restarts,
            reloads: self.totals.reloads,
            rollups: self.rollups.record(),
            unlisted: self.refused.iter().filter_map(|it| it.unit_type()).collect(),
        };
        Some((record, self.generation))
    }

    /// Restores what an earlier run of the exporter saved during this boot. Call it before anything
    /// else.
    pub fn recall(&mut self, record: Record) {
        self.manager_started = record.instance;
        self.all_listed = true;
        self.refused = record.unlisted.into_iter().map(Listing::Units).collect();
        let selection = &self.selection;
        for unit in record.units {
            let (name, gone) = unit.into_gone(0, selection);
            self.recalled.insert(name, gone);
        }
        for GoneRecord { unit, left } in record.gone {
            let (name, gone) = unit.into_gone(left, selection);
            self.gone.keep(&name, gone);
        }
        let recalled = self.recalled.iter().chain(self.gone.iter());
        self.rollups.recall(selection.rollups, record.rollups, recalled.map(|(_, unit)| unit));
        let jobs = record.jobs.into_iter().map(|it| {
            let durations = Histogram::restore(LONG, it.durations, it.duration_sum);
            let durations = durations.unwrap_or_else(|| Histogram::new(LONG));
            (it.job_type, JobTotals { completed: it.completed, durations })
        });
        self.totals = HostCounters {
            transitions: record.transitions.into_iter().collect(),
            failures: record.failures.into_iter().collect(),
            jobs: jobs.collect::<BTreeMap<_, _>>(),
            restarts: record.restarts,
            reloads: record.reloads,
        };
    }
}

// === impl GoneUnit ===

impl GoneUnit {
    fn recorded<'a>(&'a self, name: &'a UnitName) -> RecordedUnit<'a> {
        (name, &self.cursor, &self.counters, self.slice.as_ref())
    }
}

// === impl UnitRecord ===

impl UnitRecord {
    fn new((name, cursor, counters, slice): RecordedUnit<'_>) -> Self {
        let (name, slice) = (name.clone(), slice.cloned());
        Self { name, cursor: Arc::clone(cursor), counters: Arc::clone(counters), slice }
    }

    fn into_gone(self, left: Usec, selection: &Selection) -> (UnitName, GoneUnit) {
        let placement = selection.place(&self.name, self.slice.as_ref());
        let Self { name, cursor, counters, slice } = self;
        (name, GoneUnit { counters, cursor, placement, slice, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        inventory::{Extent, ListedUnit, Reads},
        selection::rollup::Rollups,
        systemd::{
            property::{UnitProperty, Value},
            state::LoadState,
        },
    };

    fn unit(name: &str) -> UnitRecord {
        UnitRecord {
            name: UnitName::new(name).unwrap(),
            cursor: Arc::new(Cursor::fresh()),
            counters: Arc::new(Counters { starts: 3, ..Counters::default() }),
            slice: None,
        }
    }

    /// The numbers of units, gone units and roll-ups in a record, all shared with the inventory.
    fn shared(inventory: &Inventory) -> (usize, usize, usize) {
        let (record, _) = inventory.record(None).unwrap();
        let gone = record.gone.iter().map(|it| &it.unit);
        for UnitRecord { name, cursor, counters, .. } in record.units.iter().chain(gone) {
            assert!(Arc::strong_count(cursor) > 1, "the cursor of {name:?} is a copy");
            assert!(Arc::strong_count(counters) > 1, "the counters of {name:?} are a copy");
        }
        for RollupRecord { counters, .. } in &record.rollups {
            assert!(Arc::strong_count(counters) > 1, "the counters of a roll-up are a copy");
        }
        (record.units.len(), record.gone.len(), record.rollups.len())
    }

    /// The allocator keeps the memory of a record for each thread that writes one: copies took 6 MiB
    /// each with ten thousand units.
    #[test]
    fn a_record_shares_its_data_with_the_inventory() {
        let rollups = Rollups::read(["instances"]).unwrap();
        let selection = Selection { rollups, ..Selection::default() };
        let mut inventory = Inventory::new(selection, Reads::EVERYTHING, 60_000_000);
        inventory.all_listed = true;
        let mut record = inventory.record(None).unwrap().0;
        record.units = vec![unit("a.service"), unit("b@1.service")];
        record.gone = vec![GoneRecord { unit: unit("c.service"), left: 1 }];
        inventory.recall(record);
        assert_eq!(shared(&inventory), (2, 1, 1));

        let listed = ListedUnit {
            name: UnitName::new("a.service").unwrap(),
            load_state: LoadState::Loaded,
            active_state: ActiveState::Active,
            sub_state: "running".into(),
        };
        inventory.resync(vec![listed], Extent::Everything, 2);
        assert!(inventory.units.len() == 1 && inventory.recalled.is_empty());
        assert_eq!(shared(&inventory), (1, 2, 1));
    }

    fn resynced(inventory: &mut Inventory, units: &[&str]) {
        let listed = |name: &&str| ListedUnit {
            name: UnitName::new(name).unwrap(),
            load_state: LoadState::Loaded,
            active_state: match *name {
                "never.service" => ActiveState::Inactive,
                _ => ActiveState::Active,
            },
            sub_state: "whatever".into(),
        };
        inventory.resync(units.iter().map(listed).collect(), Extent::Everything, 2);
        // Each has run before, except `never.service`.
        while let Some((name, property)) = inventory.next_question() {
            let ran = name.as_str() != "never.service";
            let value = match property {
                UnitProperty::Invocation if ran => Value::Id(7),
                UnitProperty::ActiveEnter if ran => Value::Number(1_000),
                UnitProperty::Result | UnitProperty::ReloadResult => Value::Text("success".into()),
                UnitProperty::Restarts => Value::Number(0),
                _ => Value::Nothing,
            };
            inventory.answer(&name, property, Ok(value));
        }
    }

    #[test]
    fn a_run_that_was_not_counted_before_a_restart_of_the_exporter_is_not_counted_after_it() {
        let mut first = Inventory::default();
        resynced(&mut first, &["never.service", "ran.service"]);
        let (record, _) = first.record(None).unwrap();
        let mut next = Inventory::default();
        next.recall(record);
        resynced(&mut next, &["never.service", "ran.service", "new.service"]);
        let starts = |name: &str| next.units[&UnitName::new(name).unwrap()].unit.counters.starts;
        assert_eq!(["never.service", "ran.service", "new.service"].map(starts), [0, 0, 1]);
    }

    /// Its cursor is what a restarted exporter takes for a unit that is not in the file.
    #[test]
    fn a_unit_that_was_loaded_later_and_never_ran_is_not_saved() {
        let mut inventory = Inventory::default();
        resynced(&mut inventory, &[]);
        resynced(&mut inventory, &["never.service", "ran.service"]);
        let (record, _) = inventory.record(None).unwrap();
        let saved: Vec<_> = record.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(saved, ["ran.service"]);
    }

    #[test]
    fn a_record_is_saved_once_all_units_are_listed_and_only_if_something_was_counted_since() {
        let mut inventory = Inventory::default();
        assert!(inventory.record(None).is_none(), "the table is empty only because it is new");
        resynced(&mut inventory, &["ran.service"]);
        let (_, saved) = inventory.record(None).unwrap();
        assert!(inventory.record(Some(saved)).is_none());
        inventory.count_reload();
        let (_, later) = inventory.record(Some(saved)).unwrap();
        assert!(later > saved && inventory.record(Some(later)).is_none());
    }
}
