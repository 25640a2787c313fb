//! Families that only timers have.

use std::fmt;

use super::{
    Clocks, column::Column, family::families, row::Row, value::seconds, writer::Exposition,
};
use crate::{
    clock::Usec,
    inventory::unit::{Details, Timer},
};

families! {
    [Timers]
    LAST_TRIGGER: Gauge "systemd_timer_last_trigger_seconds" ["name"]
        "Unix time in seconds when the timer last elapsed (LastTriggerUSec). Absent if never.";
    NEXT_TRIGGER: Gauge "systemd_timer_next_trigger_seconds" ["name"]
        "Unix time in seconds when the timer elapses next (the earlier of NextElapseUSecRealtime and NextElapseUSecMonotonic). Absent without a next time.";
    STUCK: Gauge "systemd_timer_stuck" ["name"]
        "Always 1, for an active repeating timer that will not elapse again: it has no next time, and its unit neither runs nor has a job (SubState, TimersMonotonic, TimersCalendar, Unit). Absent otherwise, also for a one-shot timer that has elapsed.";
}

pub(super) fn encode(rows: &[Row<'_>], clocks: Clocks, out: &mut Exposition<'_>) -> fmt::Result {
    let mut last_triggers = Column::new(&LAST_TRIGGER, out);
    let mut next_triggers = Column::new(&NEXT_TRIGGER, out);
    let mut stuck = Column::new(&STUCK, out);
    for row in rows {
        stuck.add_some(row, row.is_stuck.then_some(1_u64));
        if let Some(Details::Timer(timer)) = row.unit.map(|unit| &unit.details) {
            last_triggers.add_some(row, timer.last_trigger.map(seconds));
            next_triggers.add_some(row, next(timer, clocks).map(seconds));
        }
    }
    last_triggers.write(out)?;
    next_triggers.write(out)?;
    stuck.write(out)
}

/// When the timer elapses next, in microseconds since the epoch.
fn next(timer: &Timer, clocks: Clocks) -> Option<Usec> {
    let monotonic = timer.next_monotonic.and_then(|at| {
        let boot = clocks.realtime.checked_sub(clocks.monotonic)?;
        // The clocks drift apart and are read one after the other: without rounding to a
        // millisecond, the same moment would differ from scrape to scrape.
        Some(boot.checked_add(at)?.checked_add(500)? / 1_000 * 1_000)
    });
    [timer.next_realtime, monotonic].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCKS: Clocks = Clocks { realtime: 1_000_000_000, monotonic: 40_000_000 };

    fn timer(next_realtime: Option<Usec>, next_monotonic: Option<Usec>) -> Timer {
        Timer { next_realtime, next_monotonic, ..Timer::default() }
    }

    #[test]
    fn the_next_elapse_is_the_earlier_of_both_clocks() {
        let (early, late) = (970_000_000, 1_070_000_000);
        assert_eq!(next(&timer(Some(early), Some(50_000_000)), CLOCKS), Some(early));
        assert_eq!(next(&timer(Some(late), Some(50_000_000)), CLOCKS), Some(1_010_000_000));
        assert_eq!(next(&timer(None, Some(50_000_000)), CLOCKS), Some(1_010_000_000));
        assert_eq!(next(&timer(Some(late), None), CLOCKS), Some(late));
        assert_eq!(next(&timer(None, None), CLOCKS), None);
    }

    #[test]
    fn a_monotonic_elapse_is_the_same_at_every_scrape() {
        let timer = timer(None, Some(50_000_000));
        for jitter in [0, 7, 250, 499] {
            let clocks = Clocks { realtime: CLOCKS.realtime + jitter, ..CLOCKS };
            assert_eq!(next(&timer, clocks), Some(1_010_000_000), "{jitter}");
        }
    }

    #[test]
    fn impossible_clocks_give_no_time() {
        let clocks = Clocks { realtime: 1, monotonic: 2 };
        assert_eq!(next(&timer(None, Some(50)), clocks), None);
        assert_eq!(next(&timer(None, Some(Usec::MAX)), CLOCKS), None);
    }
}
