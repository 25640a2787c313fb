//! The metrics of the systemd collector of node_exporter 1.11 under its names, so that rules and
//! dashboards written for it keep working.

use std::fmt;

use super::{
    View,
    column::Column,
    family::families,
    from_zero, owned,
    row::{Row, visible},
    sockets,
    value::seconds,
    writer::Exposition,
};
use crate::{
    inventory::unit::Details,
    systemd::state::{ActiveState, LoadState, SystemState},
};

families! {
    [NodeExporter]
    STATE: Gauge "node_systemd_unit_state" ["name", "state", "type"]
        "As in node_exporter: 1 for the unit's ActiveState, 0 for the other usual states. Label type is the Type of a service or mount, else empty. Absent for units that are not loaded.";
    START_TIME: Gauge "node_systemd_unit_start_time_seconds" ["name"]
        "As in node_exporter: Unix time in seconds when the unit became active (ActiveEnterTimestamp). 0 while it is not active.";
    TASKS_CURRENT: Gauge "node_systemd_unit_tasks_current" ["name"]
        "As in node_exporter: tasks in the control group of the service (pids.current). Absent where the kernel does not count them.";
    TASKS_MAX: Gauge "node_systemd_unit_tasks_max" ["name"]
        "As in node_exporter: maximum number of tasks of the service (TasksMax). Absent if unlimited.";
    RESTARTS: Counter "node_systemd_service_restart_total" ["name"]
        "As in node_exporter: automatic restarts of the service, cumulative: resets by systemd do not lower it (NRestarts).";
    ACCEPTED: Counter "node_systemd_socket_accepted_connections_total" ["name"]
        "As in node_exporter: connections accepted by the socket (NAccepted).";
    CURRENT: Gauge "node_systemd_socket_current_connections" ["name"]
        "As in node_exporter: open connections of the socket (NConnections).";
    REFUSED: Counter "node_systemd_socket_refused_connections_total" ["name"]
        "As in node_exporter, except that it is a counter: connections refused by the socket (NRefused).";
    LAST_TRIGGER: Gauge "node_systemd_timer_last_trigger_seconds" ["name"]
        "As in node_exporter: Unix time in seconds when the timer last elapsed (LastTriggerUSec). 0 if never.";
    UNITS: Gauge "node_systemd_units" ["state"]
        "As in node_exporter: units in memory by state (ActiveState). Includes units that did not load or are hidden by filters.";
    RUNNING: Gauge "node_systemd_system_running" []
        "As in node_exporter: 1 if SystemState is running, else 0. Absent if the manager did not answer in time.";
    VERSION: Gauge "node_systemd_version" ["version"]
        "As in node_exporter: version of systemd, with the full version in the label (Version).";
    VIRTUALIZATION: Gauge "node_systemd_virtualization_info" ["virtualization_type"]
        "As in node_exporter: always 1, with the manager's Virtualization, or none.";
}

/// Encodes the per-unit families.
pub(super) fn encode_units(rows: &[Row<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    let loaded = |row: &&Row<'_>| row.unit.is_some_and(|it| it.load_state == LoadState::Loaded);
    let mut starts = Column::new(&START_TIME, out).with_room(rows.len());
    let mut tasks = Column::new(&TASKS_CURRENT, out);
    let mut tasks_max = Column::new(&TASKS_MAX, out);
    let mut restarts = Column::new(&RESTARTS, out);
    let mut last_triggers = Column::new(&LAST_TRIGGER, out);
    let mut samples = out.family(&STATE);
    for (row, unit) in visible(rows).filter(|(row, _)| loaded(row)) {
        let unit_type = match &unit.details {
            Details::Service(service) => service.service_type.as_deref(),
            Details::Mount(mount) => mount.mount_type.as_deref(),
            Details::Socket(_) | Details::Timer(_) | Details::Plain => None,
        };
        for state in ActiveState::USUAL {
            let value = u64::from(*state == unit.active_state);
            samples.unit((row, [state.as_str(), unit_type.unwrap_or_default()]), value)?;
        }
        let started = unit.active_enter.filter(|_| unit.active_state == ActiveState::Active);
        starts.add(row, seconds(started.unwrap_or_default()));
        match &unit.details {
            Details::Service(service) => {
                tasks.add_some(row, row.resources().and_then(|used| used.tasks));
                tasks_max.add_some(row, service.tasks_max);
                restarts.add(row, row.counters.restarts);
            }
            Details::Timer(timer) => {
                last_triggers.add(row, seconds(timer.last_trigger.unwrap_or_default()));
            }
            Details::Socket(_) | Details::Mount(_) | Details::Plain => {}
        }
    }
    starts.write(out)?;
    tasks.write(out)?;
    tasks_max.write(out)?;
    restarts.write(out)?;
    sockets::encode_as([&ACCEPTED, &CURRENT, &REFUSED], rows.iter().filter(loaded), out)?;
    last_triggers.write(out)
}

/// Encodes the families of the manager.
pub(super) fn encode(managers: &[View<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    out.each(&UNITS, managers, |View { snapshot, .. }, samples| {
        let visible = owned(&snapshot.by_state).map(|((_, state), count)| (state, count));
        // Units that are not loaded and not inactive are in `by_state` already.
        let others = owned(&snapshot.not_loaded).map(|((_, state), count)| (state, count));
        let others = others.filter(|(state, _)| *state == ActiveState::Inactive);
        let usual = ActiveState::USUAL.iter().cloned();
        let mut units = from_zero(usual, visible.chain(others)).into_iter();
        units.try_for_each(|(state, count)| samples.add([state.as_str()], count))
    })?;
    out.each_value(&RUNNING, managers, |View { snapshot, .. }| {
        let state = snapshot.manager.system_state.as_ref();
        state.map(|state| u64::from(*state == SystemState::Running))
    })?;
    out.each(&VERSION, managers, |View { snapshot, .. }, samples| {
        let Some(version) = &snapshot.manager.version else { return Ok(()) };
        samples.add_some([version.as_ref()], number(version))
    })?;
    out.each(&VIRTUALIZATION, managers, |View { snapshot, .. }, samples| {
        let virtualization = snapshot.manager.virtualization.as_deref();
        let name = virtualization.filter(|name| !name.is_empty()).unwrap_or("none");
        samples.add_some([name], virtualization.map(|_| 1_u64))
    })
}

/// The first number in a version: 252.39 in `252.39-1~deb12u1`.
fn number(version: &str) -> Option<f64> {
    let is_digit = |c: char| c.is_ascii_digit();
    let version = version.get(version.find(is_digit)?..)?;
    let digits = |text: &str| text.find(|c| !is_digit(c)).unwrap_or(text.len());
    let whole = digits(version);
    let fraction = version.get(whole..)?.strip_prefix('.').map_or(0, digits);
    let end = if fraction > 0 { whole + 1 + fraction } else { whole };
    version.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_its_first_number_with_its_fraction() {
        for (version, wanted) in [
            ("252.39-1~deb12u1", Some(252.39)),
            ("262-1", Some(262.0)),
            ("v257~rc1-3.fc42", Some(257.0)),
            ("257.fc42", Some(257.0)),
            ("devel", None),
            ("", None),
        ] {
            assert_eq!(number(version), wanted, "{version:?}");
        }
    }
}
