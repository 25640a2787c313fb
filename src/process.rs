//! Resource use of this process, from `/proc`.

use std::{fs, time::Duration};

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};
use tracing::warn;

const OPEN_FDS: &str = "/proc/self/fd";

/// Resource use of this process; `None` where the kernel did not report it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// CPU time in user and kernel mode, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in RAM.
    pub resident_bytes: Option<u64>,
    /// Mapped address space.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// The soft limit of open file descriptors; `None` too if there is none.
    pub max_fds: Option<u64>,
    /// Unix time of the start, in seconds.
    pub start_time: Option<f64>,
}

/// Reads the resource use of this process, with its start time fixed.
#[derive(Clone, Copy, Debug)]
pub struct Observer {
    start_time: Option<f64>,
}

/// The numbers of `/proc/self/stat` that are used.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// User and kernel mode, in clock ticks.
    cpu: u64,
    /// Start, in clock ticks since boot.
    start: u64,
    /// Bytes.
    virtual_size: u64,
    /// Pages.
    resident: u64,
}

/// The soft limit of open file descriptors; `None` if there is none.
pub fn open_file_limit() -> Option<usize> {
    getrlimit(Resource::Nofile).current.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Raises the soft limit of open file descriptors to so many, or to the hard limit if that is less.
/// Processes that are started later inherit it.
pub fn raise_open_file_limit(wanted: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_none_or(|current| current >= raised) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        let error = &error as &dyn std::error::Error;
        warn!(error, raised, "raising the soft limit of open files");
    }
}

// === impl Observer ===

impl Observer {
    /// Determines the start time once, so that setting the clock later does not look like a restart.
    pub fn new() -> Self {
        let since_boot = Stat::read().map(|stat| ticks(stat.start));
        let start_time = since_boot.and_then(|start| {
            let age = now(ClockId::Boottime)?.checked_sub(start)?;
            Some(now(ClockId::Realtime)?.checked_sub(age)?.as_secs_f64())
        });
        Self { start_time }
    }

    /// Reads the current use. It blocks on files, so do not call it on an async thread.
    pub fn observe(&self) -> Process {
        let stat = Stat::read();
        let bytes = |pages: u64| pages.saturating_mul(u64::try_from(page_size()).unwrap_or(0));
        Process {
            cpu_seconds: stat.as_ref().map(|stat| ticks(stat.cpu).as_secs_f64()),
            resident_bytes: stat.as_ref().map(|stat| bytes(stat.resident)),
            virtual_bytes: stat.as_ref().map(|stat| stat.virtual_size),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
            start_time: self.start_time,
        }
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Stat ===

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The second field is the name of the command in parentheses, which may hold both
        // spaces and parentheses.
        let (_, fields) = line.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // proc(5) counts from 1, and the first field here is its third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu: field(14)?.checked_add(field(15)?)?,
            start: field(22)?,
            virtual_size: field(23)?,
            resident: field(24)?,
        })
    }
}

fn ticks(ticks: u64) -> Duration {
    let hertz = clock_ticks_per_second().max(1);
    let rest = (ticks % hertz).saturating_mul(1_000_000_000) / hertz;
    Duration::from_secs(ticks / hertz).saturating_add(Duration::from_nanos(rest))
}

fn now(clock: ClockId) -> Option<Duration> {
    Duration::try_from(clock_gettime(clock)).ok()
}

/// Since Linux 6.2 the directory's size is the number of open descriptors. Before, it is 0, and the
/// entries have to be counted: up to thousands, because kernel files are kept open.
fn open_fds() -> Option<u64> {
    match fs::metadata(OPEN_FDS).ok()?.len() {
        0 => count_fds(),
        open => Some(open),
    }
}

fn count_fds() -> Option<u64> {
    let open = fs::read_dir(OPEN_FDS).ok()?.count();
    // One of them is the directory being read.
    u64::try_from(open).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) R (b) S 1 7 7 0 -1 4194560 900 0 3 0 250 150 0 0 20 0 5 0 12345 \
                    987654321 2048 18446744073709551615 1 1 0 0 0\n";
        let stat = Stat { cpu: 400, start: 12345, virtual_size: 987_654_321, resident: 2048 };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("7 (a) S 1 7"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn the_resource_use_of_this_process_is_plausible() {
        let held: Vec<_> = (0..20).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let observer = Observer::new();
        let process = observer.observe();
        for open in [process.open_fds, count_fds()] {
            assert!(open.unwrap() > held.len() as u64);
        }
        assert!(process.max_fds.is_none_or(|max| max > held.len() as u64));
        let resident = process.resident_bytes.unwrap();
        assert!(resident > 500_000 && resident <= process.virtual_bytes.unwrap(), "{process:?}");

        let status = fs::read_to_string("/proc/stat").unwrap();
        let boot = status.lines().find_map(|line| line.strip_prefix("btime ")).unwrap();
        let now = now(ClockId::Realtime).unwrap().as_secs_f64();
        let started = process.start_time.unwrap();
        assert!(boot.parse::<f64>().unwrap() <= started && started <= now, "{boot} {process:?}");

        // CPU time rises with work, in steps of a hundredth of a second, and never falls.
        let began = Instant::now();
        let mut last = process.cpu_seconds.unwrap();
        while last <= process.cpu_seconds.unwrap() {
            assert!(began.elapsed() < Duration::from_secs(10), "no CPU time: {process:?}");
            let now = observer.observe().cpu_seconds.unwrap();
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
        assert_eq!(observer.observe().start_time, process.start_time);
    }
}
