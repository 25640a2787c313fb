//! Resource use of the exporter's process, under the names that all Prometheus clients use.

use std::fmt;

use super::{family::families, writer::Exposition};
use crate::process::Process;

families! {
    CPU: Counter "process_cpu_seconds_total" []
        "User and system CPU time of the exporter in seconds.";
    RESIDENT: Gauge "process_resident_memory_bytes" []
        "Resident memory of the exporter in bytes.";
    VIRTUAL: Gauge "process_virtual_memory_bytes" []
        "Virtual memory of the exporter in bytes.";
    OPEN_FDS: Gauge "process_open_fds" []
        "Open file descriptors of the exporter.";
    MAX_FDS: Gauge "process_max_fds" []
        "Maximum number of open file descriptors of the exporter. Absent if unlimited.";
    START_TIME: Gauge "process_start_time_seconds" []
        "Unix time in seconds when the exporter started.";
}

pub(super) fn encode(process: &Process, out: &mut Exposition<'_>) -> fmt::Result {
    out.single(&CPU, process.cpu_seconds)?;
    out.single(&RESIDENT, process.resident_bytes)?;
    out.single(&VIRTUAL, process.virtual_bytes)?;
    out.single(&OPEN_FDS, process.open_fds)?;
    out.single(&MAX_FDS, process.max_fds)?;
    out.single(&START_TIME, process.start_time)
}
