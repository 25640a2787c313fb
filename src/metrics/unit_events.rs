//! Counters of each unit.

use std::fmt;

use super::{family::families, row::Row, writer::Exposition};
use crate::systemd::name::UnitType;

families! {
    [UnitEvents]
    TRANSITIONS: Counter "systemd_unit_transitions_total" ["name", "type", "state"]
        "Times that the unit entered a state (ActiveState). Absent for a state never seen. Kept for --retention after the unit is gone.";
    STARTS: Counter "systemd_unit_starts_total" ["name", "type"]
        "Starts of the unit, manual and automatic (InvocationID). Absent for devices. Kept for --retention after the unit is gone.";
    FAILURES: Counter "systemd_unit_failures_total" ["name", "type", "result"]
        "Failed runs of the unit, by Result, also if a restart followed. start-limit-hit: starts refused by the start limit. unknown: runs that ended while the exporter received no signals, of a service that restarts only after failures. Absent for a result never seen. Kept for --retention after the unit is gone.";
    RELOAD_FAILURES: Counter "systemd_unit_reload_failures_total" ["name", "type", "result"]
        "Failed reloads of the unit, by ReloadResult, or by the job's result (failed, timeout) if there is no ReloadResult, as for mounts before systemd 258. Absent for a result never seen. Kept for --retention after the unit is gone.";
}

pub(super) fn encode(rows: &[Row<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    let mut samples = out.family(&TRANSITIONS);
    for row in rows {
        for (state, count) in row.counters.transitions.iter() {
            samples.add((row, [state.as_str()]), count)?;
        }
    }
    let mut samples = out.family(&STARTS);
    for row in rows {
        // A visible unit has a 0 before its first start, so that this one shows as an increase.
        let startable = row.visible_units() > 0 && row.unit_type != UnitType::Device.as_str();
        if startable || row.counters.starts > 0 {
            samples.add(row, row.counters.starts)?;
        }
    }
    let mut samples = out.family(&FAILURES);
    for row in rows {
        for (result, count) in row.counters.failures.iter() {
            samples.add((row, [result.as_str()]), count)?;
        }
    }
    let mut samples = out.family(&RELOAD_FAILURES);
    for row in rows {
        for (result, count) in row.counters.reload_failures.iter() {
            samples.add((row, [result.as_str()]), count)?;
        }
    }
    Ok(())
}
