//! The clocks, in microseconds as systemd has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A time or a duration in microseconds. A time is since the epoch, or since boot where the name
/// says monotonic.
pub type Usec = u64;

/// The time of day, since the epoch. It may jump, so durations are not measured with it.
pub fn realtime() -> Usec {
    usec(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The time since boot, without the time that the machine was suspended (`CLOCK_MONOTONIC`).
pub fn monotonic() -> Usec {
    usec(Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default())
}

/// How far the time of day is ahead of the monotonic clock. A pause between the two readings makes
/// the result smaller, hence the largest of three.
pub fn offset() -> Usec {
    let once = || realtime().saturating_sub(monotonic());
    once().max(once()).max(once())
}

fn usec(since: Duration) -> Usec {
    Usec::try_from(since.as_micros()).unwrap_or(Usec::MAX)
}
