//! The exporter's own counters: plain numbers that every module may add to and `metrics` encodes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::histogram::{self, Histogram};

/// A label value of one of the counters below.
pub type LabelValue = std::borrow::Cow<'static, str>;

/// The exporter's own counters, shared by all modules. They only rise.
#[derive(Debug, Default)]
pub struct Telemetry(Mutex<OwnCounters>);

/// The counters at one moment.
#[derive(Clone, Debug)]
pub struct OwnCounters {
    /// D-Bus signals received, by member.
    pub events: BTreeMap<LabelValue, u64>,
    /// Time from receiving a signal to applying it.
    pub event_lag: Histogram,
    /// Full re-reads of the units, by reason.
    pub resyncs: BTreeMap<LabelValue, u64>,
    /// Values that a reconcile had to correct, by field.
    pub drift: BTreeMap<LabelValue, u64>,
    /// D-Bus calls, by method.
    pub calls: BTreeMap<LabelValue, u64>,
    /// D-Bus calls that failed, by method and error name.
    pub call_errors: BTreeMap<(LabelValue, LabelValue), u64>,
    /// Failed writes of the state file; `None` without a state file.
    pub state_errors: Option<u64>,
    /// Time from the request of a scrape to its encoded body.
    pub scrapes: Histogram,
}

/// The most series of errors: their names come from other processes, so they need a limit.
const MAX_ERRORS: usize = 100;

// === impl Telemetry ===

impl Telemetry {
    /// Locks the counters for adding or reading; hold the lock briefly.
    pub fn totals(&self) -> MutexGuard<'_, OwnCounters> {
        // Each addition leaves the counters valid, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl OwnCounters ===

impl OwnCounters {
    /// Counts a failed call; error names beyond the limit are counted as `other`.
    pub fn count_call_error(&mut self, method: &'static str, error: &str) {
        let key = (LabelValue::Borrowed(method), LabelValue::Owned(error.to_owned()));
        let fits = self.call_errors.len() < MAX_ERRORS || self.call_errors.contains_key(&key);
        let key = if fits { key } else { (key.0, LabelValue::Borrowed("other")) };
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
