//! The manager itself, and counts of all units in its memory.

use std::fmt;

use super::{View, family::families, from_zero, owned, value::seconds, writer::Exposition};
use crate::{
    clock::Usec,
    inventory::manager::{Manager, Watchdog},
    systemd::{
        name::UnitType,
        state::{ActiveState, LoadState, SystemState},
    },
};

families! {
    [Always]
    VERSION: Gauge "systemd_version" ["version"]
        "Major version of systemd, with the full version in the label (Version).";
    INFO: Info "systemd_info" ["architecture", "virtualization", "confidential_virtualization", "tainted"]
        "Always 1, with facts about the machine (Architecture, Virtualization, ConfidentialVirtualization, Tainted). A label is empty if its property is.";
    SYSTEM_STATE: Gauge "systemd_system_state" ["state"]
        "1 for the manager's state, 0 for other states (SystemState). Absent if the manager did not answer in time.";
    UNITS: Gauge "systemd_units" ["type", "state"]
        "Loaded units, and any others that are not inactive, by type and state (ActiveState). Includes units that are hidden by filters.";
    NOT_LOADED: Gauge "systemd_units_not_loaded" ["load_state"]
        "Units in memory that are not loaded, by LoadState. Includes units that are hidden by filters. Those that are not inactive are in systemd_units too.";
    FAILED_UNITS: Gauge "systemd_failed_units" []
        "Units in the failed state (NFailedUnits). Includes units that are hidden by filters.";
    [Watchdog]
    WATCHDOG_ENABLED: Gauge "systemd_watchdog_enabled" []
        "1 if the manager pings a hardware watchdog, else 0 (WatchdogDevice). Absent before systemd 252.";
    WATCHDOG_RUNTIME: Gauge "systemd_watchdog_runtime_seconds" ["device"]
        "Seconds without a ping after which the hardware watchdog resets the machine (RuntimeWatchdogUSec). Absent without a device or a timeout.";
    WATCHDOG_PING: Gauge "systemd_watchdog_last_ping_time_seconds" ["device"]
        "Unix time in seconds of the manager's last ping of the hardware watchdog (WatchdogLastPingTimestamp). Absent without a device and before the first ping.";
    WATCHDOG_PING_MONOTONIC: Gauge "systemd_watchdog_last_ping_monotonic_seconds" ["device"]
        "Seconds from boot to the manager's last ping of the hardware watchdog (WatchdogLastPingTimestampMonotonic). Absent without a device and before the first ping.";
}

/// The load states that always have a series; units are `merged` or `stub` only for a moment.
const NOT_LOADED_ALWAYS: [LoadState; 4] =
    [LoadState::NotFound, LoadState::Error, LoadState::BadSetting, LoadState::Masked];

pub(super) fn encode(managers: &[View<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    out.each(&VERSION, managers, |View { snapshot, .. }, samples| {
        let Some(version) = &snapshot.manager.version else { return Ok(()) };
        samples.add_some([version.as_ref()], major(version))
    })?;
    out.each(&INFO, managers, |View { snapshot, .. }, samples| {
        let Manager { architecture, virtualization, confidential_virtualization, tainted, .. } =
            &snapshot.manager;
        let facts = [architecture, virtualization, confidential_virtualization, tainted];
        let is_known = facts.iter().any(|fact| fact.is_some());
        let facts = facts.map(|fact| fact.as_deref().unwrap_or_default());
        samples.add_some(facts, is_known.then_some(1_u64))
    })?;
    out.each(&SYSTEM_STATE, managers, |View { snapshot, .. }, samples| {
        let Some(current) = &snapshot.manager.system_state else { return Ok(()) };
        for state in SystemState::ALL {
            samples.add([state.as_str()], u64::from(state == current))?;
        }
        let is_unusual = !SystemState::ALL.contains(current);
        samples.add_some([current.as_str()], is_unusual.then_some(1_u64))
    })?;

    let usual = UnitType::ALL.into_iter().flat_map(|unit_type| {
        ActiveState::USUAL.iter().map(move |state| (unit_type, state.clone()))
    });
    out.each(&UNITS, managers, |View { snapshot, .. }, samples| {
        let mut units = from_zero(usual.clone(), owned(&snapshot.by_state)).into_iter();
        units.try_for_each(|((of, state), count)| samples.add([of.as_str(), state.as_str()], count))
    })?;
    out.each(&NOT_LOADED, managers, |View { snapshot, .. }, samples| {
        let by_state = owned(&snapshot.not_loaded).map(|((state, _), count)| (state, count));
        let mut units = from_zero(NOT_LOADED_ALWAYS, by_state).into_iter();
        units.try_for_each(|(state, count)| samples.add([state.as_str()], count))
    })?;
    out.each_value(&FAILED_UNITS, managers, |manager| manager.snapshot.manager.failed_units)?;

    out.each_value(&WATCHDOG_ENABLED, managers, |View { snapshot, .. }| {
        let device = snapshot.manager.watchdog.device.as_deref();
        device.map(|device| u64::from(!device.is_empty()))
    })?;
    let mut watchdog = |family, value: fn(&Watchdog) -> Option<Usec>| {
        out.each(family, managers, |View { snapshot, .. }, samples| {
            let watchdog = &snapshot.manager.watchdog;
            let device = watchdog.device.as_deref().filter(|device| !device.is_empty());
            let value = device.and_then(|_| value(watchdog));
            samples.add_some([device.unwrap_or_default()], value.map(seconds))
        })
    };
    watchdog(&WATCHDOG_RUNTIME, |watchdog| watchdog.runtime)?;
    watchdog(&WATCHDOG_PING, |watchdog| watchdog.last_ping)?;
    watchdog(&WATCHDOG_PING_MONOTONIC, |watchdog| watchdog.last_ping_monotonic)
}

/// The number that a version such as `252.39-1~deb12u1` or `v257~rc1` begins with.
fn major(version: &str) -> Option<u64> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_leading_number_in_every_distribution() {
        for (version, number) in [
            ("252.39-1~deb12u1", Some(252)),
            ("262~devel", Some(262)),
            ("v257~rc1-3.fc42", Some(257)),
            ("219", Some(219)),
            ("devel", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(major(version), number, "{version:?}");
        }
    }
}
