//! Resource use of units, from the kernel files of their control groups.

use std::fmt;

use super::{
    family::{FamilyOf, families},
    row::Row,
    seconds,
    writer::Exposition,
};
use crate::cgroup::resources::{Cpu, Io, MEMORY_EVENTS, Pressure, Resources};

families! {
    [Tasks]
    TASKS: Gauge "systemd_unit_tasks_current" ["name", "type"]
        "Processes and threads in the unit's control group (pids.current). Absent without a control group or the pids controller.";
    [Cpu]
    CPU: Counter "systemd_unit_cpu_seconds_total" ["name", "type", "mode"]
        "CPU time of the unit in seconds, by mode (cpu.stat). Resets with a new control group, usually when the unit starts. Absent without a control group.";
    THROTTLED: Counter "systemd_unit_cpu_throttled_seconds_total" ["name", "type"]
        "Time in seconds for which CPUQuota= throttled the unit, summed over CPUs (cpu.stat). Resets with a new control group, usually when the unit starts. Absent until a quota was enforced.";
    THROTTLED_PERIODS: Counter "systemd_unit_cpu_throttled_periods_total" ["name", "type"]
        "Periods in which the unit used up its CPUQuota= (cpu.stat). Resets with a new control group, usually when the unit starts. Absent until a quota was enforced.";
    [Memory]
    MEMORY_CURRENT: Gauge "systemd_unit_memory_current_bytes" ["name", "type"]
        "Memory use of the unit in bytes, including file caches (memory.current). Absent without the memory controller.";
    MEMORY_PEAK: Gauge "systemd_unit_memory_peak_bytes" ["name", "type"]
        "Peak memory use of the unit in bytes (memory.peak). Resets with a new control group, usually when the unit starts. Absent without the memory controller and before Linux 5.19.";
    MEMORY_SWAP: Gauge "systemd_unit_memory_swap_current_bytes" ["name", "type"]
        "Swap use of the unit in bytes (memory.swap.current). Absent without the memory controller.";
    MEMORY_MAX: Gauge "systemd_unit_memory_max_bytes" ["name", "type"]
        "Memory limit in bytes above which processes of the unit are killed (memory.max). Absent if unlimited.";
    MEMORY_HIGH: Gauge "systemd_unit_memory_high_bytes" ["name", "type"]
        "Memory limit in bytes above which the unit is throttled (memory.high). Absent if unlimited.";
    MEMORY_EVENT: Counter "systemd_unit_memory_events_total" ["name", "type", "event"]
        "Memory events of the unit: limits reached, protection (low) overridden, kills (memory.events). Resets with a new control group, usually when the unit starts. Absent without the memory controller and for events that the kernel does not count.";
    [Io]
    IO_READ_BYTES: Counter "systemd_unit_io_read_bytes_total" ["name", "type"]
        "Bytes read by the unit from block devices (io.stat). Resets with a new control group, usually when the unit starts. Absent without the io controller.";
    IO_WRITE_BYTES: Counter "systemd_unit_io_write_bytes_total" ["name", "type"]
        "Bytes written by the unit to block devices (io.stat). Resets with a new control group, usually when the unit starts. Absent without the io controller.";
    IO_READS: Counter "systemd_unit_io_reads_total" ["name", "type"]
        "Reads by the unit from block devices (io.stat). Resets with a new control group, usually when the unit starts. Absent without the io controller.";
    IO_WRITES: Counter "systemd_unit_io_writes_total" ["name", "type"]
        "Writes by the unit to block devices (io.stat). Resets with a new control group, usually when the unit starts. Absent without the io controller.";
    [Pressure]
    PRESSURE: Counter "systemd_unit_pressure_seconds_total" ["name", "type", "resource", "kind"]
        "Time in seconds in which at least one task of the unit (kind some) or all at once (kind full) waited for cpu, memory or io (cpu.pressure, memory.pressure, io.pressure). Resets with a new control group, usually when the unit starts. Absent where the kernel does not measure it.";
}

pub(super) fn encode(rows: &[Row<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    each(rows, out, &TASKS, |it| it.tasks)?;
    let mut samples = out.family(&CPU);
    for (row, resources) in used(rows) {
        if let Some(cpu) = &resources.cpu {
            samples.add((row, ["system"]), seconds(cpu.system))?;
            samples.add((row, ["user"]), seconds(cpu.user))?;
        }
    }
    let throttling = |cpu: Option<Cpu>| cpu?.throttling;
    each_time(rows, out, &THROTTLED, |it| Some(throttling(it.cpu)?.time))?;
    each(rows, out, &THROTTLED_PERIODS, |it| Some(throttling(it.cpu)?.periods))?;
    each(rows, out, &MEMORY_CURRENT, |it| it.memory.current)?;
    each(rows, out, &MEMORY_PEAK, |it| it.memory.peak)?;
    each(rows, out, &MEMORY_SWAP, |it| it.memory.swap)?;
    each(rows, out, &MEMORY_MAX, |it| it.memory.max)?;
    each(rows, out, &MEMORY_HIGH, |it| it.memory.high)?;
    let mut samples = out.family(&MEMORY_EVENT);
    for (row, resources) in used(rows) {
        for (event, count) in MEMORY_EVENTS.into_iter().zip(resources.memory.events) {
            samples.add_some((row, [event]), count)?;
        }
    }
    let io = |of: fn(Io) -> u64| move |it: &Resources| it.io.map(of);
    each(rows, out, &IO_READ_BYTES, io(|io| io.read_bytes))?;
    each(rows, out, &IO_WRITE_BYTES, io(|io| io.written_bytes))?;
    each(rows, out, &IO_READS, io(|io| io.reads))?;
    each(rows, out, &IO_WRITES, io(|io| io.writes))?;
    pressures(rows, out)
}

fn pressures(rows: &[Row<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    let mut samples = out.family(&PRESSURE);
    for (row, it) in used(rows) {
        let all =
            [("cpu", it.cpu_pressure), ("memory", it.memory_pressure), ("io", it.io_pressure)];
        for (resource, pressure) in all {
            let Some(Pressure { some, full }) = pressure else { continue };
            samples.add_some((row, [resource, "some"]), some.map(seconds))?;
            samples.add_some((row, [resource, "full"]), full.map(seconds))?;
        }
    }
    Ok(())
}

/// The rows that have a control group.
fn used<'r, 'a>(rows: &'r [Row<'a>]) -> impl Iterator<Item = (&'r Row<'a>, &'r Resources)> {
    rows.iter().filter_map(|row| Some((row, row.resources()?)))
}

fn each(
    rows: &[Row<'_>],
    out: &mut Exposition<'_>,
    family: &'static FamilyOf<2>,
    value: impl Fn(&Resources) -> Option<u64>,
) -> fmt::Result {
    let mut samples = out.family(family);
    used(rows).try_for_each(|(row, resources)| samples.add_some(row, value(resources)))
}

fn each_time(
    rows: &[Row<'_>],
    out: &mut Exposition<'_>,
    family: &'static FamilyOf<2>,
    usec: impl Fn(&Resources) -> Option<u64>,
) -> fmt::Result {
    let mut samples = out.family(family);
    used(rows).try_for_each(|(row, resources)| samples.add_some(row, usec(resources).map(seconds)))
}
