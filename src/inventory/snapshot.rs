//! The state of everything at one moment, as plain data: what a scrape is worded from.

use std::{collections::BTreeMap, sync::Arc};

use super::unit::{Unit, Usec};
use crate::systemd::{
    name::UnitType,
    state::{ActiveState, JobState, JobType, LoadState, SystemState},
};

/// What is known at one moment. Units are shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The units that pass the filter, by name, whatever their load state.
    pub units: Vec<Arc<Unit>>,
    /// Loaded units by type and active state, also those that the filter hides.
    pub loaded: BTreeMap<(UnitType, ActiveState), u64>,
    /// Units in memory that are not loaded, by load state, also those that the filter hides.
    pub not_loaded: BTreeMap<LoadState, u64>,
    /// The queued jobs by type and state.
    pub jobs: BTreeMap<(JobType, JobState), u64>,
    /// What the manager says of itself.
    pub manager: Manager,
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
