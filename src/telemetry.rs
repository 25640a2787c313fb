//! What the exporter counts of itself: plain numbers that every room may add to and that
//! `metrics` words.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::histogram::{self, Histogram};

/// A label value of one of the counters below.
pub type LabelValue = std::borrow::Cow<'static, str>;

/// The exporter's own counters, shared by all rooms. Counters only rise.
#[derive(Debug, Default)]
pub struct Telemetry(Mutex<OwnCounters>);

/// The counters at one moment.
#[derive(Clone, Debug)]
pub struct OwnCounters {
    /// Signals taken in, by member.
    pub events: BTreeMap<LabelValue, u64>,
    /// Signal received to applied.
    pub event_lag: Histogram,
    /// Full re-reads, by reason.
    pub resyncs: BTreeMap<LabelValue, u64>,
    /// Values that a reconciliation had to correct, by field.
    pub drift: BTreeMap<LabelValue, u64>,
    /// D-Bus calls, by method.
    pub calls: BTreeMap<LabelValue, u64>,
    /// D-Bus calls that failed, by method and error name.
    pub call_errors: BTreeMap<(LabelValue, LabelValue), u64>,
    /// Attempts to write the state file that failed; `None` where there is none.
    pub state_errors: Option<u64>,
    /// Scrapes, from request to encoded body.
    pub scrapes: Histogram,
}

/// How many different errors are told apart; error names come from outside.
const MAX_ERRORS: usize = 100;

// === impl Telemetry ===

impl Telemetry {
    /// Opens the counters for adding or reading; hold it briefly.
    pub fn totals(&self) -> MutexGuard<'_, OwnCounters> {
        // The counters are valid after every single addition, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl OwnCounters ===

impl OwnCounters {
    /// Counts a call that failed.
    pub fn count_call_error(&mut self, method: &'static str, error: &str) {
        let room = self.call_errors.len() < MAX_ERRORS;
        let key = (LabelValue::Borrowed(method), LabelValue::Owned(error.to_owned()));
        let known = room || self.call_errors.contains_key(&key);
        let key = if known { key } else { (key.0, LabelValue::Borrowed("other")) };
        *self.call_errors.entry(key).or_default() += 1;
    }
}

impl Default for OwnCounters {
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            event_lag: Histogram::new(histogram::SHORT),
            resyncs: BTreeMap::new(),
            drift: BTreeMap::new(),
            calls: BTreeMap::new(),
            call_errors: BTreeMap::new(),
            state_errors: None,
            scrapes: Histogram::new(histogram::SHORT),
        }
    }
}
