//! Families that units of every type have.

use std::fmt;

use super::{
    StateSeries,
    family::{FamilyOf, families},
    row::{Row, visible},
    seconds,
    writer::{Exposition, SampleValue},
};
use crate::{
    clock::Usec,
    inventory::unit::{Details, Unit},
};

families! {
    [UnitState]
    STATE: Gauge "systemd_unit_state" ["name", "type", "state"]
        "1 for the unit's ActiveState, 0 for the other usual states (absent with --systemd.collector.unit-state=current). Unusual states, such as reloading, have a series only while they last. Absent for inactive units that are not loaded.";
    [UnitInfo]
    UNIT_INFO: Gauge "systemd_unit_info" ["name", "type", "mount_type", "service_type"]
        "Always 1, with the Type of a service or the file system of a mount. Absent for other units.";
    [UnitTimes]
    ACTIVE_ENTER: Gauge "systemd_unit_active_enter_time_seconds" ["name", "type"]
        "Unix time in seconds when the unit last became active (ActiveEnterTimestamp). Absent if never.";
    ACTIVE_EXIT: Gauge "systemd_unit_active_exit_time_seconds" ["name", "type"]
        "Unix time in seconds when the unit last ceased to be active (ActiveExitTimestamp). Absent if never.";
    INACTIVE_ENTER: Gauge "systemd_unit_inactive_enter_time_seconds" ["name", "type"]
        "Unix time in seconds when the unit last became inactive or failed (InactiveEnterTimestamp). Absent if never.";
    INACTIVE_EXIT: Gauge "systemd_unit_inactive_exit_time_seconds" ["name", "type"]
        "Unix time in seconds when the unit last left inactive or failed (InactiveExitTimestamp). Absent if never.";
    START_DURATION: Gauge "systemd_unit_start_duration_seconds" ["name", "type"]
        "Duration of the unit's last start in seconds, until active (ActiveEnterTimestampMonotonic, InactiveExitTimestampMonotonic). Absent if never active, while starting, or if it was not inactive before the start (RestartMode=direct).";
    [UnitSubState]
    SUB_STATE: Gauge "systemd_unit_sub_state" ["name", "type", "sub"]
        "Always 1, with the unit's state as its type names it, such as running or mounted (SubState). Absent unless --collector.unit-sub-state is on.";
    [UnitProblems]
    LOAD_ERROR: Gauge "systemd_unit_load_error" ["name", "type", "load_state", "error"]
        "Always 1, for a unit whose file systemd could not load, with the D-Bus error name (LoadState, LoadError). Absent for units that are loaded, masked or not found.";
    [UnitFileState]
    FILE_STATE: Gauge "systemd_unit_file_state" ["name", "type", "state"]
        "Always 1, with the state of the unit's file, such as enabled or masked; also for units not in memory (ListUnitFiles). Absent unless --collector.unit-file-state is on.";
    [UnitProblems]
    WANTED_INACTIVE: Gauge "systemd_unit_wanted_inactive" ["name", "type", "reason"]
        "Always 1, for an inactive unit without a job that an active unit wants, requires or upholds (WantedBy, RequiredBy, UpheldBy). Reason is stopped, or never_started if it did not run since systemd started (InactiveExitTimestamp). Absent for units that are inactive by design, see docs/metrics.md. Up to one reconcile interval late.";
    NEED_DAEMON_RELOAD: Gauge "systemd_unit_need_daemon_reload" ["name", "type"]
        "Always 1, for a unit whose files changed on disk after systemd loaded them (NeedDaemonReload). Absent otherwise. Late: systemd does not signal it, and each reconcile checks only the next 300 units.";
    FROZEN: Gauge "systemd_unit_frozen" ["name", "type"]
        "Always 1, for a unit that is frozen, by systemctl freeze or with its slice (FreezerState, since systemd 246). ActiveState does not show it. Absent otherwise. Up to one reconcile interval late before systemd 256.";
}

pub(super) fn encode(
    rows: &[Row<'_>],
    states: StateSeries,
    out: &mut Exposition<'_>,
) -> fmt::Result {
    let mut samples = out.family(&STATE);
    for (row, unit) in visible(rows) {
        let current = &unit.active_state;
        for state in states.always() {
            samples.add((row, [state.as_str()]), u64::from(state == current))?;
        }
        if !states.always().contains(current) {
            samples.add((row, [current.as_str()]), 1_u64)?;
        }
    }
    let mut samples = out.family(&UNIT_INFO);
    for (row, unit) in visible(rows) {
        let types = match &unit.details {
            Details::Mount(mount) => mount.mount_type.as_deref().map(|of| [of, ""]),
            Details::Service(service) => service.service_type.as_deref().map(|of| ["", of]),
            Details::Socket(_) | Details::Timer(_) | Details::Plain => None,
        };
        if let Some(types) = types {
            samples.add((row, types), 1_u64)?;
        }
    }
    let time = |of: fn(&Unit) -> Option<Usec>| move |unit: &Unit| of(unit).map(seconds);
    each(rows, out, &ACTIVE_ENTER, time(|unit| unit.active_enter))?;
    each(rows, out, &ACTIVE_EXIT, time(|unit| unit.active_exit))?;
    each(rows, out, &INACTIVE_ENTER, time(|unit| unit.inactive_enter))?;
    each(rows, out, &INACTIVE_EXIT, time(|unit| unit.inactive_exit))?;
    each(rows, out, &START_DURATION, start_duration)?;
    let mut samples = out.family(&SUB_STATE);
    for (row, unit) in visible(rows) {
        samples.add((row, [&*unit.sub_state]), 1_u64)?;
    }
    let mut samples = out.family(&LOAD_ERROR);
    for row in rows {
        if let Some(unit) = row.unloadable {
            let error = unit.load_error.as_deref().unwrap_or_default();
            samples.add((row, [unit.load_state.as_str(), error]), 1_u64)?;
        }
    }
    let mut samples = out.family(&FILE_STATE);
    for (row, state) in rows.iter().filter_map(|row| Some((row, row.file?))) {
        samples.add((row, [state.as_str()]), 1_u64)?;
    }
    let mut samples = out.family(&WANTED_INACTIVE);
    for (row, reason) in rows.iter().filter_map(|row| Some((row, row.wanted_inactive?))) {
        samples.add((row, [reason.as_str()]), 1_u64)?;
    }
    each(rows, out, &NEED_DAEMON_RELOAD, |unit| unit.need_daemon_reload.then_some(1_u64))?;
    each(rows, out, &FROZEN, |unit| is_frozen(unit).then_some(1_u64))
}

/// systemd 262 keeps `frozen` for a unit that was killed while frozen, so a unit at rest is not.
fn is_frozen(unit: &Unit) -> bool {
    unit.is_frozen && !unit.active_state.is_at_rest()
}

/// How long the last start took in seconds, from inactive until active.
fn start_duration(unit: &Unit) -> Option<f64> {
    let (left, active) = (unit.inactive_exit_monotonic?, unit.active_enter_monotonic?);
    // If it ceased to be active after it left rest, the last start was not from rest.
    let from_rest = unit.active_exit_monotonic.is_none_or(|exit| exit <= left || exit >= active);
    active.get().checked_sub(left.get()).filter(|_| from_rest).map(seconds)
}

/// Writes a family with a sample for each visible unit that has a value.
pub(super) fn each<V: SampleValue>(
    rows: &[Row<'_>],
    out: &mut Exposition<'_>,
    family: &'static FamilyOf<2>,
    value: impl Fn(&Unit) -> Option<V>,
) -> fmt::Result {
    let mut samples = out.family(family);
    visible(rows).try_for_each(|(row, unit)| samples.add_some(row, value(unit)))
}
