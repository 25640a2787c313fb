//! The state of everything at one moment, as plain data: what a scrape is worded from.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Inventory,
    entry::Entry,
    files,
    history::{History, Totals},
    unit::{Unit, Usec},
};
use crate::systemd::{
    name::{UnitName, UnitType},
    state::{ActiveState, FileState, JobState, JobType, LoadState, SystemState},
};

/// What is known at one moment. Units are shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The units that pass the filter, by name, whatever their load state.
    pub units: Vec<Arc<Unit>>,
    /// The units that have left, or of which it is not known whether they are there, with what
    /// happened to them.
    pub departed: Vec<(UnitName, Arc<History>)>,
    /// The units with a file that has something to tell, by name, in systemd's memory or not.
    pub files: Vec<UnitFile>,
    /// What has happened on the whole host.
    pub totals: Totals,
    /// Loaded units by type and active state, also those that the filter hides.
    pub loaded: BTreeMap<(UnitType, ActiveState), u64>,
    /// Units in memory that are not loaded, by load and active state, also those that the filter
    /// hides.
    pub not_loaded: BTreeMap<(LoadState, ActiveState), u64>,
    /// The queued jobs by type and state.
    pub jobs: BTreeMap<(JobType, JobState), u64>,
    /// Since when the oldest queued job has been known, in microseconds since boot.
    pub oldest_job: Option<Usec>,
    /// What the manager says of itself.
    pub manager: Manager,
}

/// What is to tell of a unit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFile {
    /// The unit's name.
    pub name: UnitName,
    /// `UnitFileState`, where that is wanted.
    pub state: Option<FileState>,
    /// It is enabled, and does not run for no reason that is known.
    pub is_missed: bool,
}

/// What the manager says of itself (`org.freedesktop.systemd1.Manager`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manager {
    /// `Version`.
    pub version: Option<Box<str>>,
    /// `Architecture`.
    pub architecture: Option<Box<str>>,
    /// `Virtualization`; empty on bare metal.
    pub virtualization: Option<Box<str>>,
    /// `ConfidentialVirtualization`, since systemd 254; empty where there is none.
    pub confidential_virtualization: Option<Box<str>>,
    /// `Tainted`; empty where nothing is.
    pub tainted: Option<Box<str>>,
    /// `ControlGroup`: the manager's own place in the control group tree.
    pub control_group: Option<Box<str>>,
    /// `SystemState`, asked at the scrape because systemd never signals it.
    pub system_state: Option<SystemState>,
    /// `NFailedUnits`.
    pub failed_units: Option<u64>,
    /// The boot stages that happened, by systemd's name for them.
    pub boot: BTreeMap<&'static str, Stamp>,
    /// The hardware watchdog.
    pub watchdog: Watchdog,
}

/// One boot stage: `<Stage>Timestamp` and `<Stage>TimestampMonotonic`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Microseconds since the epoch.
    pub realtime: Usec,
    /// Microseconds since the kernel started; for `Firmware` and `Loader`, before it.
    pub monotonic: Usec,
}

/// The hardware watchdog that the manager feeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watchdog {
    /// `WatchdogDevice`, since systemd 252; empty where none is in use.
    pub device: Option<Box<str>>,
    /// `RuntimeWatchdogUSec`.
    pub runtime: Option<Usec>,
    /// `WatchdogLastPingTimestamp`.
    pub last_ping: Option<Usec>,
    /// `WatchdogLastPingTimestampMonotonic`.
    pub last_ping_monotonic: Option<Usec>,
}

// === impl Snapshot ===

impl Snapshot {
    /// The loaded unit of that name, if it passes the filter.
    pub fn find(&self, name: &str) -> Option<&Unit> {
        let at = self.units.binary_search_by(|unit| unit.name.as_str().cmp(name)).ok()?;
        self.units.get(at).map(AsRef::as_ref).filter(|it| it.load_state == LoadState::Loaded)
    }
}

/// The names of the boot stages, as the properties have them before `Timestamp`.
pub const BOOT_STAGES: [&str; 18] = [
    "Finish",
    "Firmware",
    "Loader",
    "Kernel",
    "InitRD",
    "InitRDGeneratorsStart",
    "InitRDGeneratorsFinish",
    "InitRDSecurityStart",
    "InitRDSecurityFinish",
    "InitRDUnitsLoadStart",
    "InitRDUnitsLoadFinish",
    "GeneratorsStart",
    "GeneratorsFinish",
    "SecurityStart",
    "SecurityFinish",
    "Userspace",
    "UnitsLoadStart",
    "UnitsLoadFinish",
];

// === impl Snapshot ===

impl Snapshot {
    /// How many units that pass the filter are loaded.
    pub fn loaded_units(&self) -> usize {
        self.units.iter().filter(|unit| unit.load_state == LoadState::Loaded).count()
    }
}

// === impl Inventory ===

impl Inventory {
    /// Everything at this moment.
    pub fn snapshot(&self, now: Usec) -> Snapshot {
        let mut snapshot = Snapshot {
            jobs: self.jobs.counts(),
            oldest_job: self.jobs.oldest(),
            totals: self.totals.clone(),
            manager: self.manager.clone(),
            ..Snapshot::default()
        };
        for entry in self.units.values() {
            let unit = &entry.unit;
            if !entry.known || entry.echo {
                // Perhaps it is not there; what happened to it did happen.
                if self.is_served(entry) && !unit.history.is_empty() {
                    snapshot.departed.push((unit.name.clone(), Arc::clone(&unit.history)));
                }
                continue;
            }
            if unit.load_state == LoadState::Loaded {
                let key = (unit.name.unit_type(), unit.active_state.clone());
                *snapshot.loaded.entry(key).or_default() += 1;
            } else {
                let key = (unit.load_state.clone(), unit.active_state.clone());
                *snapshot.not_loaded.entry(key).or_default() += 1;
            }
            if self.is_served(entry) {
                snapshot.units.push(Arc::clone(unit));
            }
        }
        snapshot.files = self.unit_files();
        // Nothing left before the machine booted.
        let since = now.checked_sub(self.retention);
        let served = self.departed.served_since(since.unwrap_or(0), &self.slices);
        let served = served.filter(|_| self.retention > 0);
        snapshot
            .departed
            .extend(served.map(|(name, past)| (name.clone(), Arc::clone(&past.history))));
        snapshot
    }

    fn unit_files(&self) -> Vec<UnitFile> {
        let told = |(name, state): (&UnitName, &FileState)| {
            let entry = self.units.get(name).filter(|entry| entry.known && !entry.echo);
            if !self.slices.admit(name, entry.and_then(Entry::slice)) {
                return None;
            }
            let is_missed = self.wants.problems
                && state.is_enabled()
                && match entry {
                    Some(entry) => {
                        let rest = entry.rest(self.jobs.has_one_for(name));
                        entry.is_exported() && files::is_missed(&entry.unit, rest)
                    }
                    None => self.files.is_missed(name),
                };
            let state = self.wants.file_states.then(|| state.clone());
            let tells = is_missed || state.is_some();
            tells.then(|| UnitFile { name: name.clone(), state, is_missed })
        };
        self.files.iter().filter_map(told).collect()
    }
}
