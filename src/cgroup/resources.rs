//! The kernel files of a control group and how each is parsed.

/// The resource use of a unit. `None` if the file does not exist, the controller is off, or there is
/// no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// `cpu.stat`.
    pub cpu: Option<Cpu>,
    /// `pids.current`: processes and threads.
    pub tasks: Option<u64>,
    /// `memory.*`.
    pub memory: Memory,
    /// `io.stat`, summed over all devices.
    pub io: Option<Io>,
    /// `cpu.pressure`.
    pub cpu_pressure: Option<Pressure>,
    /// `memory.pressure`.
    pub memory_pressure: Option<Pressure>,
    /// `io.pressure`.
    pub io_pressure: Option<Pressure>,
}

/// `cpu.stat`. Times are in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// `user_usec`.
    pub user: u64,
    /// `system_usec`.
    pub system: u64,
    /// Throttling by a quota; `None` until a quota was enforced.
    pub throttling: Option<Throttling>,
}

/// Throttling by a CPU quota (`CPUQuota=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// `nr_throttled`: periods in which the quota was used up.
    pub periods: u64,
    /// `throttled_usec`.
    pub time: u64,
}

/// `memory.*`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `memory.current`.
    pub current: Option<u64>,
    /// `memory.peak`, since Linux 5.19.
    pub peak: Option<u64>,
    /// `memory.swap.current`.
    pub swap: Option<u64>,
    /// `memory.max`; none for no limit.
    pub max: Option<u64>,
    /// `memory.high`; none for no limit.
    pub high: Option<u64>,
    /// `memory.events`, in the order of [`MEMORY_EVENTS`].
    pub events: [Option<u64>; MEMORY_EVENTS.len()],
}

/// The events that `memory.events` counts.
pub const MEMORY_EVENTS: [&str; 6] = ["low", "high", "max", "oom", "oom_kill", "oom_group_kill"];

/// `io.stat`, summed over all devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// `rbytes`.
    pub read_bytes: u64,
    /// `wbytes`.
    pub written_bytes: u64,
    /// `rios`.
    pub reads: u64,
    /// `wios`.
    pub writes: u64,
}

/// `*.pressure`: how long tasks waited, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Option<u64>,
    /// All tasks waited at the same time; `None` for the CPU before Linux 5.13.
    pub full: Option<u64>,
}

/// What the kernel accounts for in a control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the kernel's own")]
pub enum Accounting {
    Cpu,
    Tasks,
    Memory,
    Io,
    Pressure,
}

/// Defines the files that are read, by what they account for: name, controller without which the
/// file is absent, and how its text is taken. What cannot be parsed is left out.
macro_rules! kernel_files {
    ($([$accounting:ident] $(
        $file:ident $name:literal $(needs $controller:literal)? => |$text:ident, $into:ident| $take:expr;
    )+)+) => {
        /// A file of a control group that is read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are the kernel's own")]
        pub enum KernelFile {
            $($($file),+),+
        }

        impl KernelFile {
            /// Every file that can be read.
            pub const ALL: &'static [Self] = &[$($(Self::$file),+),+];

            /// Its name, what it accounts for, and its controller.
            const fn definition(self) -> (&'static str, Accounting, &'static [&'static str]) {
                match self {
                    $($(Self::$file => ($name, Accounting::$accounting, &[$($controller)?])),+),+
                }
            }

            /// Takes what the text of the file says.
            pub fn take(self, text: &str, into: &mut Resources) {
                match self {
                    $($(Self::$file => {
                        let ($text, $into) = (text, into);
                        $take;
                    })+)+
                }
            }
        }
    };
}

// The kernel accounts for CPU time and pressure in every control group, without a controller.
kernel_files! {
    [Cpu]
    CpuStat "cpu.stat" => |text, into| into.cpu = cpu(text);
    [Tasks]
    PidsCurrent "pids.current" needs "pids" => |text, into| into.tasks = number(text);
    [Memory]
    MemoryCurrent "memory.current" needs "memory" => |text, into| into.memory.current = number(text);
    MemoryPeak "memory.peak" needs "memory" => |text, into| into.memory.peak = number(text);
    MemorySwapCurrent "memory.swap.current" needs "memory" => |text, into| into.memory.swap = number(text);
    MemoryMax "memory.max" needs "memory" => |text, into| into.memory.max = number(text);
    MemoryHigh "memory.high" needs "memory" => |text, into| into.memory.high = number(text);
    MemoryEvents "memory.events" needs "memory" => |text, into| {
        into.memory.events = MEMORY_EVENTS.map(|event| keyed(text, event));
    };
    [Io]
    IoStat "io.stat" needs "io" => |text, into| into.io = Some(io(text));
    [Pressure]
    CpuPressure "cpu.pressure" => |text, into| into.cpu_pressure = Some(pressure(text));
    MemoryPressure "memory.pressure" => |text, into| into.memory_pressure = Some(pressure(text));
    IoPressure "io.pressure" => |text, into| into.io_pressure = Some(pressure(text));
}

// === impl KernelFile ===

impl KernelFile {
    /// Its name in the directory of the control group.
    pub const fn name(self) -> &'static str {
        self.definition().0
    }

    /// What it accounts for.
    pub const fn accounting(self) -> Accounting {
        self.definition().1
    }

    /// The controller without which it is absent; `None` for a file of every control group.
    pub(super) fn controller(self) -> Option<&'static str> {
        self.definition().2.first().copied()
    }
}

/// A file with one number; `max` is no limit.
fn number(text: &str) -> Option<u64> {
    text.trim_end().parse().ok()
}

/// The number of a key, in a file with a key and a number on each line.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
}

fn cpu(text: &str) -> Option<Cpu> {
    // `nr_periods` is 0 until a quota was enforced, and absent without the controller.
    let enforced = keyed(text, "nr_periods").is_some_and(|periods| periods > 0);
    let throttling = || {
        let periods = keyed(text, "nr_throttled")?;
        Some(Throttling { periods, time: keyed(text, "throttled_usec")? })
    };
    Some(Cpu {
        user: keyed(text, "user_usec")?,
        system: keyed(text, "system_usec")?,
        throttling: enforced.then(throttling).flatten(),
    })
}

/// A line for each device, such as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
fn io(text: &str) -> Io {
    let mut io = Io::default();
    for (key, value) in text.split_ascii_whitespace().filter_map(|word| word.split_once('=')) {
        let sum = match key {
            "rbytes" => &mut io.read_bytes,
            "wbytes" => &mut io.written_bytes,
            "rios" => &mut io.reads,
            "wios" => &mut io.writes,
            _ => continue,
        };
        *sum = sum.saturating_add(value.parse().unwrap_or(0));
    }
    io
}

/// Lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=7`.
fn pressure(text: &str) -> Pressure {
    let total = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        line.rsplit_once("total=")?.1.parse().ok()
    };
    Pressure { some: total("some"), full: total("full") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(file: KernelFile, text: &str) -> Resources {
        let mut resources = Resources::default();
        file.take(text, &mut resources);
        resources
    }

    #[test]
    fn cpu_time_is_read_with_and_without_a_quota() {
        // From Linux 6.18 without the controller.
        let core = "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnice_usec 0\n\
                    core_sched.force_idle_usec 0\n";
        let time = Cpu { user: 20, system: 10, throttling: None };
        assert_eq!(read(KernelFile::CpuStat, core).cpu, Some(time));
        let idle = format!("{core}nr_periods 0\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\n");
        assert_eq!(read(KernelFile::CpuStat, &idle).cpu, Some(time));
        let used = format!("{core}nr_periods 9\nnr_throttled 3\nthrottled_usec 4000\n");
        let throttling = Some(Throttling { periods: 3, time: 4000 });
        assert_eq!(read(KernelFile::CpuStat, &used).cpu, Some(Cpu { throttling, ..time }));
        for bad in ["", "user_usec 1\n", "user_usec x\nsystem_usec 1\n", "xuser_usec 1\n"] {
            assert_eq!(read(KernelFile::CpuStat, bad).cpu, None, "{bad:?}");
        }
    }

    #[test]
    fn max_and_anything_but_a_number_are_absent() {
        for bad in ["", "max\n", "-1\n", "1 2\n", "18446744073709551616\n"] {
            for file in [KernelFile::MemoryMax, KernelFile::MemoryHigh, KernelFile::PidsCurrent] {
                assert_eq!(read(file, bad), Resources::default(), "{bad:?}");
            }
        }
        let largest = "18446744073709551615\n";
        assert_eq!(read(KernelFile::MemoryMax, largest).memory.max, Some(u64::MAX));
        assert_eq!(read(KernelFile::MemoryHigh, "4096\n").memory.high, Some(4096));
        assert_eq!(read(KernelFile::PidsCurrent, "7\n").tasks, Some(7));
    }

    #[test]
    fn memory_events_that_the_kernel_does_not_count_are_absent() {
        let text = "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\n";
        let events = [Some(1), Some(2), Some(3), Some(4), Some(5), None];
        assert_eq!(read(KernelFile::MemoryEvents, text).memory.events, events);
        let text = format!("{text}oom_group_kill 6\nsock_throttled 7\n");
        assert_eq!(read(KernelFile::MemoryEvents, &text).memory.events[5], Some(6));
    }

    #[test]
    fn io_is_summed_over_devices() {
        let text = "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n\
                    8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=5 dios=3\n\
                    253:0 \n";
        let io =
            Io { read_bytes: 91_889_664, written_bytes: 613_781_504, reads: 9_142, writes: 1_605 };
        assert_eq!(read(KernelFile::IoStat, text).io, Some(io));
        assert_eq!(read(KernelFile::IoStat, "").io, Some(Io::default()), "no I/O yet");
    }

    #[test]
    fn pressure_may_lack_the_full_line() {
        let some = "some avg10=0.00 avg60=0.12 avg300=0.00 total=123456\n";
        let old = Pressure { some: Some(123_456), full: None };
        assert_eq!(read(KernelFile::CpuPressure, some).cpu_pressure, Some(old));
        let both = format!("{some}full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
        let new = Pressure { some: Some(123_456), full: Some(7) };
        assert_eq!(read(KernelFile::IoPressure, &both).io_pressure, Some(new));
        assert_eq!(read(KernelFile::MemoryPressure, &both).memory_pressure, Some(new));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_can_be_parsed(text in r"([a-z_.]{0,12}[ =:\n]{0,2}[0-9]{0,21}[ \n]?){0,20}") {
            for file in KernelFile::ALL.iter().copied() {
                read(file, &text);
            }
        }
    }
}
