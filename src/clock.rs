//! The clocks, in microseconds as systemd counts them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A time or a duration in microseconds. A time is since the epoch, or since boot where the name
/// says monotonic.
pub type Usec = u64;

/// Since the epoch. May jump, and so is only for telling what time it is.
pub fn realtime() -> Usec {
    // Before 1970 nothing runs.
    usec(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Since boot, not counting the time that the machine slept.
pub fn monotonic() -> Usec {
    usec(Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default())
}

/// How far the time of day is ahead of the monotonic clock. Where something else runs between two
/// readings it comes out smaller, hence the largest of three.
pub fn offset() -> Usec {
    let once = || realtime().saturating_sub(monotonic());
    once().max(once()).max(once())
}

fn usec(since: Duration) -> Usec {
    Usec::try_from(since.as_micros()).unwrap_or(Usec::MAX)
}
