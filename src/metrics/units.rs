//! Families that units of every type have.

use std::fmt;

use super::{
    StateSeries,
    family::{FamilyOf, families},
    row::{Row, visible},
    seconds,
    writer::{Exposition, Value},
};
use crate::inventory::unit::{Details, Unit, Usec};

families! {
    [UnitState]
    STATE: Gauge "systemd_unit_state" ["name", "type", "state"]
        "1 for the unit's ActiveState, 0 for the other usual ones, which --systemd.collector.unit-state=current leaves out; a state outside the usual five has a series while it lasts. Absent for an inactive unit that is not loaded, for example because its file is gone.";
    [UnitInfo]
    UNIT_INFO: Gauge "systemd_unit_info" ["name", "type", "mount_type", "service_type"]
        "Always 1, with the Type of a service or the file system of a mount; absent for other units.";
    [UnitTimes]
    ACTIVE_ENTER: Gauge "systemd_unit_active_enter_time_seconds" ["name", "type"]
        "Unix time at which the unit last became active; from ActiveEnterTimestamp, absent if it never did.";
    ACTIVE_EXIT: Gauge "systemd_unit_active_exit_time_seconds" ["name", "type"]
        "Unix time at which the unit last ceased to be active; from ActiveExitTimestamp, absent if it never did.";
    INACTIVE_ENTER: Gauge "systemd_unit_inactive_enter_time_seconds" ["name", "type"]
        "Unix time at which the unit last became inactive or failed; from InactiveEnterTimestamp, absent if it never did.";
    INACTIVE_EXIT: Gauge "systemd_unit_inactive_exit_time_seconds" ["name", "type"]
        "Unix time at which the unit last left the inactive or failed state; from InactiveExitTimestamp, absent if it never did.";
    START_DURATION: Gauge "systemd_unit_start_duration_seconds" ["name", "type"]
        "Time that the unit's last start took, until it was active; from ActiveEnterTimestampMonotonic and InactiveExitTimestampMonotonic, which a step of the clock does not change. Absent if it never was active, while the last start has not got there, and for one that did not start from rest, as with RestartMode=direct.";
    [UnitSubState]
    SUB_STATE: Gauge "systemd_unit_sub_state" ["name", "type", "sub"]
        "Always 1, with the unit's state in the words of its type, such as running, listening or mounted; from SubState, absent unless --collector.unit-sub-state is on.";
    [UnitProblems]
    LOAD_ERROR: Gauge "systemd_unit_load_error" ["name", "type", "load_state", "error"]
        "Always 1, for a unit that has a file and that systemd could not load, with the name of the D-Bus error; from LoadState and LoadError, absent for a unit that is loaded, masked or not found.";
    [UnitFileState]
    FILE_STATE: Gauge "systemd_unit_file_state" ["name", "type", "state"]
        "Always 1, with the state of the unit's file, such as enabled, static or masked, also for a unit that is not in memory; from ListUnitFiles, absent unless --collector.unit-file-state is on.";
    [UnitProblems]
    WANTED_INACTIVE: Gauge "systemd_unit_wanted_inactive" ["name", "type", "reason"]
        "Always 1, for an inactive unit that an active unit wants, requires or upholds; reason is never_started if it has not run since systemd started, stopped otherwise (WantedBy, RequiredBy, UpheldBy, InactiveExitTimestamp). Absent for units with a job and for those that are inactive by design, such as a finished oneshot or one with an active trigger; the README lists them. Up to one reconcile interval late.";
    NEED_DAEMON_RELOAD: Gauge "systemd_unit_need_daemon_reload" ["name", "type"]
        "Always 1, for a unit whose files on disk have changed since systemd loaded them; from NeedDaemonReload, absent for other units. systemd does not signal it, so it is up to one reconcile interval late, and one more for every 300 units.";
    FROZEN: Gauge "systemd_unit_frozen" ["name", "type"]
        "Always 1, for a unit whose processes are frozen, by systemctl freeze or with the slice that it is in; from FreezerState (since systemd 246), absent for other units. Its ActiveState does not show it. systemd signals it since version 256; before, it is up to one reconcile interval late.";
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
pub(super) fn each<V: Value>(
    rows: &[Row<'_>],
    out: &mut Exposition<'_>,
    family: &'static FamilyOf<2>,
    value: impl Fn(&Unit) -> Option<V>,
) -> fmt::Result {
    let mut samples = out.family(family);
    visible(rows).try_for_each(|(row, unit)| samples.add_some(row, value(unit)))
}
