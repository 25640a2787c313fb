//! Resource use of the exporter's process, under the names that all Prometheus clients use.

use std::fmt;

use super::{family::families, writer::Exposition};
use crate::process::Process;

families! {
    CPU: Counter "process_cpu_seconds_total" []
        "CPU time that the exporter has used, in user and kernel mode.";
    RESIDENT: Gauge "process_resident_memory_bytes" []
        "Memory that the exporter has in RAM.";
    VIRTUAL: Gauge "process_virtual_memory_bytes" []
        "Address space that the exporter has mapped.";
    OPEN_FDS: Gauge "process_open_fds" []
        "File descriptors that the exporter has open.";
    MAX_FDS: Gauge "process_max_fds" []
        "Most file descriptors that the exporter may have open; absent if there is no limit.";
    START_TIME: Gauge "process_start_time_seconds" []
        "Unix time at which the exporter started.";
}

pub(super) fn encode(process: &Process, out: &mut Exposition<'_>) -> fmt::Result {
    out.single(&CPU, process.cpu_seconds)?;
    out.single(&RESIDENT, process.resident_bytes)?;
    out.single(&VIRTUAL, process.virtual_bytes)?;
    out.single(&OPEN_FDS, process.open_fds)?;
    out.single(&MAX_FDS, process.max_fds)?;
    out.single(&START_TIME, process.start_time)
}
