//! Resource use of units, from the kernel files of their control groups.

use std::fmt;

use super::{
    column::Column, family::families, labels::RenderedLabels, row::Row, value::seconds,
    writer::Exposition,
};
use crate::cgroup::resources::{Io, MEMORY_EVENTS};

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
    let mut tasks = Column::new(&TASKS, out);
    let mut cpu_times = Column::new(&CPU, out);
    let mut throttled = Column::new(&THROTTLED, out);
    let mut throttled_periods = Column::new(&THROTTLED_PERIODS, out);
    let mut current = Column::new(&MEMORY_CURRENT, out);
    let mut peak = Column::new(&MEMORY_PEAK, out);
    let mut swap = Column::new(&MEMORY_SWAP, out);
    let mut max = Column::new(&MEMORY_MAX, out);
    let mut high = Column::new(&MEMORY_HIGH, out);
    let mut memory_events = Column::new(&MEMORY_EVENT, out);
    let mut io = [&IO_READ_BYTES, &IO_WRITE_BYTES, &IO_READS, &IO_WRITES]
        .map(|family| Column::new(family, out));
    let mut pressures = Column::new(&PRESSURE, out);
    let [system, user] = ["system", "user"].map(|mode| RenderedLabels::new(&CPU, [mode]));
    let events = MEMORY_EVENTS.map(|event| RenderedLabels::new(&MEMORY_EVENT, [event]));
    let kinds = ["cpu", "memory", "io"].map(|resource| {
        ["some", "full"].map(|kind| RenderedLabels::new(&PRESSURE, [resource, kind]))
    });
    for (row, used) in rows.iter().filter_map(|row| Some((row, row.resources()?))) {
        tasks.add_some(row, used.tasks);
        if let Some(cpu) = used.cpu {
            cpu_times.add((row, &system), seconds(cpu.system));
            cpu_times.add((row, &user), seconds(cpu.user));
            throttled.add_some(row, cpu.throttling.map(|it| seconds(it.time)));
            throttled_periods.add_some(row, cpu.throttling.map(|it| it.periods));
        }
        current.add_some(row, used.memory.current);
        peak.add_some(row, used.memory.peak);
        swap.add_some(row, used.memory.swap);
        max.add_some(row, used.memory.max);
        high.add_some(row, used.memory.high);
        for (event, count) in events.iter().zip(used.memory.events) {
            memory_events.add_some((row, event), count);
        }
        if let Some(Io { read_bytes, written_bytes, reads, writes }) = used.io {
            let counts = [read_bytes, written_bytes, reads, writes];
            io.iter_mut().zip(counts).for_each(|(column, count)| column.add(row, count));
        }
        let waited = [used.cpu_pressure, used.memory_pressure, used.io_pressure];
        for ([some, full], pressure) in kinds.iter().zip(waited) {
            let Some(pressure) = pressure else { continue };
            pressures.add_some((row, some), pressure.some.map(seconds));
            pressures.add_some((row, full), pressure.full.map(seconds));
        }
    }
    tasks.write(out)?;
    cpu_times.write(out)?;
    throttled.write(out)?;
    throttled_periods.write(out)?;
    current.write(out)?;
    peak.write(out)?;
    swap.write(out)?;
    max.write(out)?;
    high.write(out)?;
    memory_events.write(out)?;
    io.into_iter().try_for_each(|column| column.write(out))?;
    pressures.write(out)
}
