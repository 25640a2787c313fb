//! Counters of each unit.

use std::fmt;

use super::{column::Column, family::families, row::Row, writer::Exposition};
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
    let mut starts = Column::new(&STARTS, out).with_room(rows.len());
    let mut failures = Column::new(&FAILURES, out);
    let mut reload_failures = Column::new(&RELOAD_FAILURES, out);
    let mut samples = out.family(&TRANSITIONS);
    for row in rows {
        let counters = row.counters;
        for (state, count) in counters.transitions.iter() {
            samples.unit((row, [state.as_str()]), count)?;
        }
        // A visible unit has a 0 before its first start, so that this one shows as an increase.
        let startable = row.visible_units() > 0 && row.unit_type != UnitType::Device;
        if startable || counters.starts > 0 {
            starts.add(row, counters.starts);
        }
        for (result, count) in counters.failures.iter() {
            failures.add((row, [result.as_str()]), count);
        }
        for (result, count) in counters.reload_failures.iter() {
            reload_failures.add((row, [result.as_str()]), count);
        }
    }
    starts.write(out)?;
    failures.write(out)?;
    reload_failures.write(out)
}
