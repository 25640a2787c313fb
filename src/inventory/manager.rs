//! The manager's own properties.

use std::collections::BTreeMap;

use crate::{
    clock::Usec,
    systemd::{
        property::{ManagerProperty, Value},
        state::SystemState,
    },
};

/// The manager's own properties (`org.freedesktop.systemd1.Manager`).
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
    /// `ControlGroup`: the path of the manager's control group.
    pub control_group: Option<Box<str>>,
    /// `SystemState`, read at each scrape because systemd never signals it.
    pub system_state: Option<SystemState>,
    /// `NFailedUnits`.
    pub failed_units: Option<u64>,
    /// The boot stages that happened, by name.
    pub boot: BTreeMap<&'static str, Stamp>,
    /// The hardware watchdog.
    pub watchdog: Watchdog,
}

/// The time of a boot stage: `<Stage>Timestamp` and `<Stage>TimestampMonotonic`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Microseconds since the epoch.
    pub realtime: Usec,
    /// Microseconds since the kernel started; for `Firmware` and `Loader`, before it.
    pub monotonic: Usec,
}

/// The hardware watchdog that the manager pings.
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

/// The boot stages: the names of their properties without `Timestamp`.
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

// === impl Manager ===

impl Manager {
    /// Writes a value to the property's field; [`Value::Nothing`] clears it.
    pub(super) fn learn(&mut self, property: ManagerProperty, value: &Value) {
        use ManagerProperty as P;
        let (number, text) = (value.number(), value.text());
        let owned = text.map(Into::into);
        match property {
            P::Version => self.version = owned,
            P::Architecture => self.architecture = owned,
            P::Virtualization => self.virtualization = owned,
            P::ConfidentialVirtualization => self.confidential_virtualization = owned,
            P::Tainted => self.tainted = owned,
            P::ControlGroup => self.control_group = owned,
            P::SystemState => self.system_state = text.map(Into::into),
            P::FailedUnits => self.failed_units = number,
            P::WatchdogDevice => self.watchdog.device = owned,
            P::WatchdogRuntime => self.watchdog.runtime = number,
            P::WatchdogLastPing => self.watchdog.last_ping = number,
            P::WatchdogLastPingMonotonic => self.watchdog.last_ping_monotonic = number,
            // The monotonic time is 0 for a stage that did not happen, but also for the kernel. Only
            // the realtime stamp differs, so it is read first.
            P::Stage(stage) => match number {
                Some(realtime) => self.boot.entry(stage).or_default().realtime = realtime,
                None => {
                    self.boot.remove(stage);
                }
            },
            P::StageMonotonic(stage) => {
                if let Some(Stamp { monotonic, .. }) = self.boot.get_mut(stage) {
                    *monotonic = number.unwrap_or(0);
                }
            }
        }
    }
}
