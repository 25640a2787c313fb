//! Families that only services have.

use std::fmt;

use super::{
    family::{FamilyOf, families},
    row::Row,
    seconds,
    units::each,
    writer::Exposition,
};
use crate::{
    inventory::unit::{Details, IpCounters, Service, Unit},
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
    let mut samples = out.family(&RESTART_PENDING);
    for row in rows {
        let pending = row.unit.is_some_and(waits_for_restart);
        samples.of(row.user).add_some([row.name], pending.then_some(1_u64))?;
    }
    each(rows, out, &START_TIME, |unit| service(unit).and(started(unit)))?;
    each(rows, out, &TASKS_MAX, |unit| service(unit)?.tasks_max)?;
    let mut samples = out.family(&LAST_RESULT);
    for row in rows {
        let result = row.unit.filter(|unit| service(unit).is_some());
        let result = result.and_then(|unit| unit.result.as_ref());
        if let Some(result) = result.filter(|result| **result != RunResult::Success) {
            samples.of(row.user).add([row.name, result.as_str()], 1_u64)?;
        }
    }
    let exits = || rows.iter().filter_map(|row| Some((row, row.counters.last_exit.as_ref()?)));
    let mut samples = out.family(&LAST_EXIT_STATUS);
    for (row, exit) in exits() {
        samples.of(row.user).add([row.name, exit.code.as_str()], exit.status)?;
    }
    let mut samples = out.family(&LAST_EXIT_TIME);
    for (row, exit) in exits() {
        samples.of(row.user).add([row.name, exit.code.as_str()], seconds(exit.at))?;
    }
    let mut samples = out.family(&RESTARTS);
    let is_service = |row: &&Row<'_>| row.unit_type == UnitType::Service.as_str();
    for row in rows.iter().filter(is_service).filter(|row| row.has_existed()) {
        samples.of(row.user).add([row.name], row.counters.restarts)?;
    }
    let mut samples = out.family(&WATCHDOG_PING);
    for row in rows {
        let unit = row.unit.filter(|unit| unit.is_running());
        let ping = unit.and_then(service).and_then(|service| service.watchdog_ping);
        samples.of(row.user).add_some([row.name], ping.map(seconds))?;
    }
    let ip =
        |of: fn(&IpCounters) -> Option<u64>| move |service: &Service| of(service.ip.as_ref()?);
    counter(rows, out, &INGRESS_BYTES, ip(|ip| ip.ingress_bytes))?;
    counter(rows, out, &EGRESS_BYTES, ip(|ip| ip.egress_bytes))?;
    counter(rows, out, &INGRESS_PACKETS, ip(|ip| ip.ingress_packets))?;
    counter(rows, out, &EGRESS_PACKETS, ip(|ip| ip.egress_packets))
}

pub(super) fn service(unit: &Unit) -> Option<&Service> {
    match &unit.details {
        Details::Service(service) => Some(service),
        _ => None,
    }
}

fn waits_for_restart(unit: &Unit) -> bool {
    service(unit).is_some() && matches!(&*unit.sub_state, "auto-restart" | "auto-restart-queued")
}

/// When the current run began, in seconds. A reload does not end a run.
fn started(unit: &Unit) -> Option<f64> {
    match unit.active_state {
        ActiveState::Active | ActiveState::Reloading | ActiveState::Refreshing => {
            unit.active_enter.map(seconds)
        }
        _ => None,
    }
}

fn counter(
    rows: &[Row<'_>],
    out: &mut Exposition<'_>,
    family: &'static FamilyOf<1>,
    value: impl Fn(&Service) -> Option<u64>,
) -> fmt::Result {
    let mut samples = out.family(family);
    for row in rows {
        samples.of(row.user).add_some([row.name], row.unit.and_then(service).and_then(&value))?;
    }
    Ok(())
}
