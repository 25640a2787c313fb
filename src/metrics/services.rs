//! Families that only services have.

use std::fmt;

use super::{
    column::Column,
    family::families,
    row::Row,
    value::{Value, seconds},
    writer::Exposition,
};
use crate::{
    inventory::unit::{Details, Service, Unit},
    systemd::{
        name::UnitType,
        state::{ActiveState, RunResult},
    },
};

families! {
    [UnitState]
    RESTART_PENDING: Gauge "systemd_service_restart_pending" ["name"]
        "Always 1, for a service that waits for RestartSec= before its automatic restart (SubState auto-restart, auto-restart-queued). Absent otherwise. Its ActiveState is activating, as for a start that hangs.";
    [UnitTimes]
    START_TIME: Gauge "systemd_unit_start_time_seconds" ["name", "type"]
        "Unix time in seconds when the service's current run began (ActiveEnterTimestamp). Absent unless active, reloading or refreshing.";
    [Tasks]
    TASKS_MAX: Gauge "systemd_unit_tasks_max" ["name", "type"]
        "Maximum number of tasks of the service (TasksMax). Absent if unlimited.";
    [ServiceExits]
    LAST_RESULT: Gauge "systemd_service_last_result" ["name", "result"]
        "Always 1, with the Result of the service's current or last run. Absent while it is success. exec-condition is no failure: ExecCondition= kept the service from starting.";
    LAST_EXIT_STATUS: Gauge "systemd_service_last_exit_status" ["name", "code"]
        "Exit status of the service's main process, or the signal number if code is killed or dumped (ExecMainStatus, ExecMainCode). Absent before the first exit. Kept during the next run, and for --retention after the service is gone.";
    LAST_EXIT_TIME: Gauge "systemd_service_last_exit_time_seconds" ["name", "code"]
        "Unix time in seconds when the service's main process last exited (ExecMainExitTimestamp). Absent before the first exit. Kept during the next run, and for --retention after the service is gone.";
    [UnitEvents]
    RESTARTS: Counter "systemd_service_restart_total" ["name"]
        "Restarts by Restart=, cumulative: resets by systemd do not lower it (NRestarts). Kept for --retention after the service is gone.";
    [Watchdog]
    WATCHDOG_PING: Gauge "systemd_service_watchdog_last_ping_time_seconds" ["name"]
        "Unix time in seconds of the last watchdog ping in the service's current run, or of its start if there was none (WatchdogTimestamp). Absent unless it is running with WatchdogSec=.";
    [Ip]
    INGRESS_BYTES: Counter "systemd_service_ip_ingress_bytes_total" ["name"]
        "Bytes received by the service (IPIngressBytes). Absent unless IPAccounting is on.";
    EGRESS_BYTES: Counter "systemd_service_ip_egress_bytes_total" ["name"]
        "Bytes sent by the service (IPEgressBytes). Absent unless IPAccounting is on.";
    INGRESS_PACKETS: Counter "systemd_service_ip_ingress_packets_total" ["name"]
        "Packets received by the service (IPIngressPackets). Absent unless IPAccounting is on.";
    EGRESS_PACKETS: Counter "systemd_service_ip_egress_packets_total" ["name"]
        "Packets sent by the service (IPEgressPackets). Absent unless IPAccounting is on.";
}

pub(super) fn encode(rows: &[Row<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    let mut pending = Column::new(&RESTART_PENDING, out);
    let mut starts = Column::new(&START_TIME, out).with_room(rows.len());
    let mut tasks_max = Column::new(&TASKS_MAX, out).with_room(rows.len());
    let mut results = Column::new(&LAST_RESULT, out);
    let mut exit_statuses = Column::new(&LAST_EXIT_STATUS, out);
    let mut exit_times = Column::new(&LAST_EXIT_TIME, out);
    let mut restarts = Column::new(&RESTARTS, out).with_room(rows.len());
    let mut pings = Column::new(&WATCHDOG_PING, out);
    let mut ip = [&INGRESS_BYTES, &EGRESS_BYTES, &INGRESS_PACKETS, &EGRESS_PACKETS]
        .map(|family| Column::new(family, out));
    for row in rows {
        if row.unit_type == UnitType::Service && row.has_existed() {
            restarts.add(row, row.counters.restarts);
        }
        if let Some(exit) = &row.counters.last_exit {
            exit_statuses.add((row, [exit.code.as_str()]), exit.status);
            exit_times.add((row, [exit.code.as_str()]), seconds(exit.at));
        }
        let Some((unit, service)) = row.unit.and_then(|unit| Some((unit, service(unit)?))) else {
            continue;
        };
        pending.add_some(row, waits_for_restart(unit).then_some(1_u64));
        starts.add_some(row, started(unit));
        tasks_max.add_some(row, service.tasks_max);
        pings.add_some(row, service.watchdog_ping.filter(|_| unit.is_running()).map(seconds));
        let result = unit.result.as_ref().filter(|result| **result != RunResult::Success);
        if let Some(result) = result {
            results.add((row, [result.as_str()]), 1_u64);
        }
        if let Some(counters) = &service.ip {
            let counters = [
                counters.ingress_bytes,
                counters.egress_bytes,
                counters.ingress_packets,
                counters.egress_packets,
            ];
            ip.iter_mut().zip(counters).for_each(|(column, count)| column.add_some(row, count));
        }
    }
    pending.write(out)?;
    starts.write(out)?;
    tasks_max.write(out)?;
    results.write(out)?;
    exit_statuses.write(out)?;
    exit_times.write(out)?;
    restarts.write(out)?;
    pings.write(out)?;
    ip.into_iter().try_for_each(|column| column.write(out))
}

pub(super) fn service(unit: &Unit) -> Option<&Service> {
    match &unit.details {
        Details::Service(service) => Some(service),
        _ => None,
    }
}

fn waits_for_restart(unit: &Unit) -> bool {
    matches!(&*unit.sub_state, "auto-restart" | "auto-restart-queued")
}

/// When the current run began, in seconds. A reload does not end a run.
fn started(unit: &Unit) -> Option<Value> {
    match unit.active_state {
        ActiveState::Active | ActiveState::Reloading | ActiveState::Refreshing => {
            unit.active_enter.map(seconds)
        }
        _ => None,
    }
}
