//! The state of everything at one moment, as plain data: what a scrape is worded from.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    Inventory,
    counters::{Counters, HostCounters},
    entry::Entry,
    manager::Manager,
    unit::Unit,
    wanted_inactive::InactiveReason,
};
use crate::{
    clock::Usec,
    selection::rollup::{Placement, RollupName, Rollups},
    systemd::{
        listing::{ListedFile, Listing},
        name::{UnitName, UnitType},
        state::{ActiveState, JobState, JobType, LoadState},
    },
};

/// What is known at one moment. Units are shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The units that pass the filter, by name, whatever their load state; but for those that are
    /// told of as one.
    pub units: Vec<Arc<Unit>>,
    /// Those that are told of as one, by the name of all.
    pub rollups: Vec<Rollup>,
    /// The units that have left, or of which it is not known whether they are there, with what
    /// happened to them.
    pub gone: Vec<(UnitName, Arc<Counters>)>,
    /// The unit files by name, of units in systemd's memory or not, where their states are wanted.
    pub files: Vec<ListedFile>,
    /// The inactive units that should run, and why they do not.
    pub wanted_inactive: Vec<(UnitName, InactiveReason)>,
    /// The timers among `units` that are active and will not elapse again.
    pub stuck_timers: BTreeSet<UnitName>,
    /// What has happened on the whole host.
    pub totals: HostCounters,
    /// Visible units by type and active state, also those that the filter hides.
    pub by_state: BTreeMap<(UnitType, ActiveState), u64>,
    /// Units in memory that are not loaded, by load and active state, also those that the filter
    /// hides.
    pub not_loaded: BTreeMap<(LoadState, ActiveState), u64>,
    /// The queued jobs by type and state.
    pub jobs: BTreeMap<(JobType, JobState), u64>,
    /// Since when the oldest queued job has been known, in microseconds since boot.
    pub oldest_job: Option<Usec>,
    /// What the manager says of itself.
    pub manager: Manager,
    /// What systemd refuses to list.
    pub refused: BTreeSet<Listing>,
}

/// Units that are told of as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollup {
    /// The name for all of them.
    pub name: RollupName,
    /// Those that pass the filter, by name, whatever their load state; perhaps all have left.
    pub members: Vec<Arc<Unit>>,
    /// What has happened to all of them, also to those that have left, but for how each of them
    /// last ended.
    pub counters: Arc<Counters>,
}

// === impl Snapshot ===

impl Snapshot {
    /// The visible unit of that name, if it passes the filter and is in no sum.
    pub fn find(&self, name: &str) -> Option<&Unit> {
        let at = self.units.binary_search_by(|unit| unit.name.as_str().cmp(name)).ok()?;
        self.units.get(at).map(AsRef::as_ref).filter(|unit| unit.is_visible())
    }

    /// The visible units that are in a sum, by name.
    pub fn members(&self) -> HashMap<&str, &Unit> {
        let visible = self.rollups.iter().flat_map(Rollup::visible);
        visible.map(|unit| (unit.name.as_str(), unit)).collect()
    }

    /// How many units that pass the filter are visible.
    pub fn visible_units(&self) -> usize {
        let members = self.rollups.iter().map(|sum| sum.visible().count()).sum::<usize>();
        self.units.iter().filter(|unit| unit.is_visible()).count() + members
    }

    /// Tells of these units as one, with what has happened to those that are known.
    pub fn roll_up(&mut self, rollups: Rollups) {
        if rollups.is_empty() {
            return;
        }
        let mut histories = BTreeMap::<RollupName, Arc<Counters>>::new();
        let units = self.units.iter().map(|unit| (&unit.name, unit.slice.as_ref(), &unit.counters));
        let gone = self.gone.iter().map(|(name, counters)| (name, None, counters));
        for (name, slice, counters) in units.chain(gone) {
            if let Placement::RolledUp(sum) = rollups.place(name, slice) {
                Arc::make_mut(histories.entry(sum).or_default()).merge(counters);
            }
        }
        let mut members = self.take_members(rollups);
        let sum = |(name, counters)| {
            let members = members.remove(&name).unwrap_or_default();
            Rollup { name, members, counters }
        };
        self.rollups = histories.into_iter().map(sum).collect();
    }

    /// Takes out all that would be told of each of these units.
    fn take_members(&mut self, rollups: Rollups) -> BTreeMap<RollupName, Vec<Arc<Unit>>> {
        let mut members = BTreeMap::<_, Vec<_>>::new();
        if rollups.is_empty() {
            return members;
        }
        self.units.retain(|unit| {
            let told = rollups.place(&unit.name, unit.slice.as_ref());
            let alone = told == Placement::Own;
            if let Placement::RolledUp(sum) = told {
                members.entry(sum).or_default().push(Arc::clone(unit));
            }
            alone
        });
        let is_alone = |name: &UnitName| rollups.place(name, None) == Placement::Own;
        self.gone.retain(|(name, _)| is_alone(name));
        // The file of a template is that of none of its instances.
        self.files.retain(|file| file.name.is_template() || is_alone(&file.name));
        self.wanted_inactive.retain(|(name, _)| is_alone(name));
        members
    }
}

// === impl Rollup ===

impl Rollup {
    /// Those of its units that are visible.
    pub fn visible(&self) -> impl Iterator<Item = &Unit> {
        let members = self.members.iter().map(AsRef::as_ref);
        members.filter(|unit: &&Unit| unit.is_visible())
    }
}

// === impl Inventory ===

impl Inventory {
    /// Everything at this moment.
    pub fn snapshot(&self, now: Usec) -> Snapshot {
        let mut snapshot = self.each(now);
        self.roll_up(&mut snapshot, now);
        snapshot
    }

    /// The same with each unit by itself.
    pub(super) fn each(&self, now: Usec) -> Snapshot {
        let mut snapshot = Snapshot {
            jobs: self.jobs.counts(),
            oldest_job: self.jobs.oldest(),
            totals: self.totals.clone(),
            manager: self.manager.clone(),
            refused: self.refused.clone(),
            ..Snapshot::default()
        };
        for entry in self.units.values() {
            let unit = &entry.unit;
            if !entry.known {
                // It may have left already; what happened to it did happen.
                if self.is_served(entry) && !unit.counters.is_empty() {
                    snapshot.gone.push((unit.name.clone(), Arc::clone(&unit.counters)));
                }
                continue;
            }
            if unit.is_visible() {
                let key = (unit.name.unit_type(), unit.active_state.clone());
                *snapshot.by_state.entry(key).or_default() += 1;
            }
            if unit.load_state != LoadState::Loaded {
                let key = (unit.load_state.clone(), unit.active_state.clone());
                *snapshot.not_loaded.entry(key).or_default() += 1;
            }
            if self.is_served(entry) {
                if self.is_stuck(unit) {
                    snapshot.stuck_timers.insert(unit.name.clone());
                }
                snapshot.units.push(Arc::clone(unit));
                let reason = self.wanted_inactive(entry);
                snapshot.wanted_inactive.extend(reason.map(|reason| (unit.name.clone(), reason)));
            }
        }
        snapshot.files = self.unit_files();
        // Nothing left before the machine booted.
        let since = now.checked_sub(self.retention);
        let served = self.gone.served_since(since.unwrap_or(0), &self.slices);
        let served = served.filter(|_| self.retention > 0);
        snapshot.gone.extend(served.map(|(name, past)| (name.clone(), Arc::clone(&past.counters))));
        snapshot
    }

    /// Tells of those units as one that are to be, with what was counted of them together.
    fn roll_up(&self, snapshot: &mut Snapshot, now: Usec) {
        let since = now.saturating_sub(self.retention);
        let mut members = snapshot.take_members(self.rollups.rules);
        for (name, counters, left) in self.rollups.iter() {
            let here = members.remove(name);
            if here.is_some() || (left > since && self.retention > 0) {
                let (members, counters) = (here.unwrap_or_default(), Arc::clone(counters));
                snapshot.rollups.push(Rollup { name: name.clone(), members, counters });
            }
        }
        // To these nothing has happened.
        let others = members.into_iter().map(|(name, members)| Rollup {
            name,
            members,
            counters: Arc::default(),
        });
        snapshot.rollups.extend(others);
        snapshot.rollups.sort_by(|one, other| one.name.cmp(&other.name));
    }

    fn unit_files(&self) -> Vec<ListedFile> {
        let is_served = |file: &&ListedFile| {
            let entry = self.units.get(&file.name).filter(|entry| entry.known);
            self.slices.admit(&file.name, entry.and_then(Entry::slice))
        };
        self.files.iter().filter(is_served).cloned().collect()
    }
}
