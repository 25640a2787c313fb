//! Counters of each unit.

use std::fmt;

use super::{family::families, row::Row, writer::Exposition};
use crate::systemd::name::UnitType;

families! {
    [UnitEvents]
    TRANSITIONS: Counter "systemd_unit_transitions_total" ["name", "type", "state"]
        "Times that the unit entered a state; from ActiveState, absent for a state that it has not been seen to enter. Stays for --retention after the unit is gone.";
    STARTS: Counter "systemd_unit_starts_total" ["name", "type"]
        "Times that the unit was started, whoever asked for it, automatic restarts included; from InvocationID, absent for devices, which nobody starts. Stays for --retention after the unit is gone.";
    FAILURES: Counter "systemd_unit_failures_total" ["name", "type", "result"]
        "Runs of the unit that failed, also those after which it was restarted at once; from Result, with start-limit-hit for each start that was refused, and unknown for a run that failed while the exporter was not listening and of which systemd kept no Result, absent for a result that no run had. Stays for --retention after the unit is gone.";
    RELOAD_FAILURES: Counter "systemd_unit_reload_failures_total" ["name", "type", "result"]
        "Reloads of the unit that failed, which its state does not show; from ReloadResult, or from the result of the job, failed or timeout, where there is none, as for mounts before systemd 258, and where the job ended first. Absent for a result that no reload had. Stays for --retention after the unit is gone.";
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
