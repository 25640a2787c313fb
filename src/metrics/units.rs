//! Families that units of every type have.

use std::fmt;

use super::{
    StateSeries,
    column::Column,
    family::families,
    labels::RenderedLabels,
    row::{Row, visible},
    value::{Value, seconds},
    writer::Exposition,
};
use crate::inventory::unit::{Details, Unit};

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
    let mut infos = Column::new(&UNIT_INFO, out);
    let mut active_enters = Column::new(&ACTIVE_ENTER, out).with_room(rows.len());
    let mut active_exits = Column::new(&ACTIVE_EXIT, out);
    let mut inactive_enters = Column::new(&INACTIVE_ENTER, out);
    let mut inactive_exits = Column::new(&INACTIVE_EXIT, out).with_room(rows.len());
    let mut durations = Column::new(&START_DURATION, out).with_room(rows.len());
    let mut sub_states = Column::new(&SUB_STATE, out);
    let mut reloads = Column::new(&NEED_DAEMON_RELOAD, out);
    let mut frozen = Column::new(&FROZEN, out);
    let always = states.always().iter();
    let always = always.map(|state| (state, RenderedLabels::new(&STATE, [state.as_str()])));
    let always: Vec<_> = always.collect();
    let mut samples = out.family(&STATE);
    for (row, unit) in visible(rows) {
        let current = &unit.active_state;
        for (state, label) in &always {
            samples.unit((row, label), u64::from(*state == current))?;
        }
        if !states.always().contains(current) {
            samples.unit((row, [current.as_str()]), 1_u64)?;
        }
        let types = match &unit.details {
            Details::Mount(mount) => mount.mount_type.as_deref().map(|of| [of, ""]),
            Details::Service(service) => service.service_type.as_deref().map(|of| ["", of]),
            Details::Socket(_) | Details::Timer(_) | Details::Plain => None,
        };
        if let Some(types) = types {
            infos.add((row, types), 1_u64);
        }
        active_enters.add_some(row, unit.active_enter.map(seconds));
        active_exits.add_some(row, unit.active_exit.map(seconds));
        inactive_enters.add_some(row, unit.inactive_enter.map(seconds));
        inactive_exits.add_some(row, unit.inactive_exit.map(seconds));
        durations.add_some(row, start_duration(unit));
        sub_states.add((row, [&*unit.sub_state]), 1_u64);
        reloads.add_some(row, unit.need_daemon_reload.then_some(1_u64));
        frozen.add_some(row, is_frozen(unit).then_some(1_u64));
    }
    infos.write(out)?;
    active_enters.write(out)?;
    active_exits.write(out)?;
    inactive_enters.write(out)?;
    inactive_exits.write(out)?;
    durations.write(out)?;
    sub_states.write(out)?;
    let mut samples = out.family(&LOAD_ERROR);
    for row in rows {
        if let Some(unit) = row.unloadable {
            let error = unit.load_error.as_deref().unwrap_or_default();
            samples.unit((row, [unit.load_state.as_str(), error]), 1_u64)?;
        }
    }
    let mut samples = out.family(&FILE_STATE);
    for (row, state) in rows.iter().filter_map(|row| Some((row, row.file?))) {
        samples.unit((row, [state.as_str()]), 1_u64)?;
    }
    let mut samples = out.family(&WANTED_INACTIVE);
    for (row, reason) in rows.iter().filter_map(|row| Some((row, row.wanted_inactive?))) {
        samples.unit((row, [reason.as_str()]), 1_u64)?;
    }
    reloads.write(out)?;
    frozen.write(out)
}

/// systemd 262 keeps `frozen` for a unit that was killed while frozen, so a unit at rest is not.
fn is_frozen(unit: &Unit) -> bool {
    unit.is_frozen && !unit.active_state.is_at_rest()
}

/// How long the last start took in seconds, from inactive until active.
fn start_duration(unit: &Unit) -> Option<Value> {
    let (left, active) = (unit.inactive_exit_monotonic?, unit.active_enter_monotonic?);
    // If it ceased to be active after it left rest, the last start was not from rest.
    let from_rest = unit.active_exit_monotonic.is_none_or(|exit| exit <= left || exit >= active);
    active.get().checked_sub(left.get()).filter(|_| from_rest).map(seconds)
}
