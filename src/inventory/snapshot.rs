//! The state at one moment as plain data, from which a scrape is encoded.

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
    selection::{Placement, Selection, rollup::RollupName},
    systemd::{
        listing::{ListedFile, Listing},
        name::{UnitName, UnitType},
        state::{ActiveState, JobState, JobType, LoadState},
    },
};

/// The state at one moment. Units are shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The units that are shown in their own series, by name, in any load state.
    pub units: Vec<Arc<Unit>>,
    /// The roll-ups, by name.
    pub rollups: Vec<Rollup>,
    /// The counters of gone units, and of units that may have left memory already.
    pub gone: Vec<(UnitName, Arc<Counters>)>,
    /// The unit files by name, of loaded and other units, if they are read.
    pub files: Vec<ListedFile>,
    /// The inactive units that should run, and why they do not.
    pub wanted_inactive: Vec<(UnitName, InactiveReason)>,
    /// The timers among `units` that are active and will not elapse again.
    pub stuck_timers: BTreeSet<UnitName>,
    /// The counters of the host.
    pub totals: HostCounters,
    /// Visible units by type and active state, including units that the filter hides.
    pub by_state: BTreeMap<(UnitType, ActiveState), u64>,
    /// Units in memory that are not loaded, by load and active state, including units that the
    /// filter hides.
    pub not_loaded: BTreeMap<(LoadState, ActiveState), u64>,
    /// The queued jobs by type and state.
    pub jobs: BTreeMap<(JobType, JobState), u64>,
    /// When the oldest queued job was first signalled or listed, in microseconds since boot.
    pub oldest_job: Option<Usec>,
    /// The manager's properties.
    pub manager: Manager,
    /// The listings that systemd refuses.
    pub refused: BTreeSet<Listing>,
}

/// Units that share one set of series.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollup {
    /// The name that they share.
    pub name: RollupName,
    /// The members in memory, by name, in any load state; may be empty.
    pub members: Vec<Arc<Unit>>,
    /// The counters of all members, including gone ones. There is no last exit.
    pub counters: Arc<Counters>,
}

// === impl Snapshot ===

impl Snapshot {
    /// The visible unit with this name, if it has its own series.
    pub fn find(&self, name: &str) -> Option<&Unit> {
        let at = self.units.binary_search_by(|unit| unit.name.as_str().cmp(name)).ok()?;
        self.units.get(at).map(AsRef::as_ref).filter(|unit| unit.is_visible())
    }

    /// The visible members of roll-ups, by name.
    pub fn members(&self) -> HashMap<&str, &Unit> {
        let visible = self.rollups.iter().flat_map(Rollup::visible);
        visible.map(|unit| (unit.name.as_str(), unit)).collect()
    }

    /// How many visible units have their own series or are in a roll-up.
    pub fn visible_units(&self) -> usize {
        let members = self.rollups.iter().map(|rollup| rollup.visible().count()).sum::<usize>();
        self.units.iter().filter(|unit| unit.is_visible()).count() + members
    }

    /// The part of a snapshot of everything that a selection shows.
    #[must_use]
    pub fn select(&self, selection: &Selection) -> Self {
        let slices: HashMap<_, _> =
            self.units.iter().filter_map(|unit| Some((&unit.name, unit.slice.as_ref()?))).collect();
        let place = |name: &UnitName| selection.place(name, slices.get(name).copied());
        let mut rollups = BTreeMap::new();
        let mut rolled_up = |name: RollupName, counters: &Counters, unit: Option<&Arc<Unit>>| {
            let rollup = rollups.entry(name.clone());
            let rollup = rollup.or_insert_with(|| Rollup::new(name, Vec::new(), Arc::default()));
            Arc::make_mut(&mut rollup.counters).merge(counters);
            rollup.members.extend(unit.cloned());
        };
        let (mut units, mut gone) = (Vec::new(), Vec::new());
        for unit in &self.units {
            match place(&unit.name) {
                Placement::Own => units.push(Arc::clone(unit)),
                Placement::RolledUp(name) => rolled_up(name, &unit.counters, Some(unit)),
                Placement::FilteredOut | Placement::Unresolved => {}
            }
        }
        for (name, counters) in &self.gone {
            match place(name) {
                Placement::Own => gone.push((name.clone(), Arc::clone(counters))),
                Placement::RolledUp(name) => rolled_up(name, counters, None),
                Placement::FilteredOut | Placement::Unresolved => {}
            }
        }
        let (mut files, mut wanted_inactive) = (self.files.clone(), self.wanted_inactive.clone());
        files.retain(|file| shows_file(&file.name, &place(&file.name)));
        wanted_inactive.retain(|(name, _)| place(name) == Placement::Own);
        let rollups = rollups.into_values().collect();
        Self { units, rollups, gone, files, wanted_inactive, ..self.clone() }
    }
}

/// Whether the state of a unit file is shown. A template is shown beside the roll-up of its
/// instances.
fn shows_file(name: &UnitName, placement: &Placement) -> bool {
    match placement {
        Placement::Own => true,
        Placement::RolledUp(_) => name.is_template(),
        Placement::FilteredOut | Placement::Unresolved => false,
    }
}

// === impl Rollup ===

impl Rollup {
    fn new(name: RollupName, members: Vec<Arc<Unit>>, counters: Arc<Counters>) -> Self {
        Self { name, members, counters }
    }

    /// The visible members.
    pub fn visible(&self) -> impl Iterator<Item = &Unit> {
        let members = self.members.iter().map(AsRef::as_ref);
        members.filter(|unit: &&Unit| unit.is_visible())
    }
}

// === impl Inventory ===

impl Inventory {
    /// Everything that is shown at this moment; `now` is in microseconds since boot.
    pub fn snapshot(&self, now: Usec) -> Snapshot {
        let mut snapshot = Snapshot {
            jobs: self.jobs.counts(),
            oldest_job: self.jobs.oldest(),
            totals: self.totals.clone(),
            manager: self.manager.clone(),
            refused: self.refused.clone(),
            files: self.shown_files(),
            ..Snapshot::default()
        };
        let mut members = BTreeMap::<_, Vec<_>>::new();
        for entry in self.units.values() {
            let unit = &entry.unit;
            if !entry.is_known() {
                // The unit may have left already, but its counters are right.
                if entry.placement == Placement::Own && !unit.counters.is_empty() {
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
            match &entry.placement {
                Placement::Own => self.add_unit(entry, &mut snapshot),
                Placement::RolledUp(name) => {
                    members.entry(name).or_default().push(Arc::clone(unit));
                }
                Placement::FilteredOut | Placement::Unresolved => {}
            }
        }
        // The host may have booted more recently than the retention.
        let since = now.saturating_sub(self.retention);
        let keeps_gone = self.retention > 0;
        let gone = self.gone.shown_since(since).filter(|_| keeps_gone);
        let gone = gone.map(|(name, gone)| (name.clone(), Arc::clone(&gone.counters)));
        snapshot.gone.extend(gone);
        for (name, counters, left) in self.rollups.iter() {
            let loaded = members.remove(name);
            if loaded.is_some() || (left > since && keeps_gone) {
                let loaded = loaded.unwrap_or_default();
                snapshot.rollups.push(Rollup::new(name.clone(), loaded, Arc::clone(counters)));
            }
        }
        // These have no counters yet.
        let others = members.into_iter();
        let others = others.map(|(name, loaded)| Rollup::new(name.clone(), loaded, Arc::default()));
        snapshot.rollups.extend(others);
        snapshot.rollups.sort_by(|one, other| one.name.cmp(&other.name));
        snapshot
    }

    fn add_unit(&self, entry: &Entry, snapshot: &mut Snapshot) {
        let unit = &entry.unit;
        if self.is_stuck(unit) {
            snapshot.stuck_timers.insert(unit.name.clone());
        }
        let reason = self.wanted_inactive(entry);
        snapshot.wanted_inactive.extend(reason.map(|reason| (unit.name.clone(), reason)));
        snapshot.units.push(Arc::clone(unit));
    }

    fn shown_files(&self) -> Vec<ListedFile> {
        let is_shown = |(placement, file): &&(Placement, ListedFile)| {
            let entry = self.units.get(&file.name).filter(|entry| entry.is_known());
            shows_file(&file.name, entry.map_or(placement, |entry| &entry.placement))
        };
        self.files.iter().filter(is_shown).map(|(_, file)| file.clone()).collect()
    }
}
