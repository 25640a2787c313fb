//! The counters: of each unit, which outlive it, and of the host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use crate::{
    clock::Usec,
    histogram::{Histogram, LONG},
    systemd::{
        name::UnitType,
        state::{ActiveState, ExitCode, JobResult, JobType, RunResult},
    },
};

/// The events of one unit since the exporter first saw it. No counter ever falls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// Runs (`InvocationID`), manual and automatic.
    pub starts: u64,
    /// Automatic restarts, including those in `NRestarts` when the unit was first seen. A reset of
    /// `NRestarts` does not lower it.
    pub restarts: u64,
    /// Entries into each `ActiveState`.
    pub transitions: Counts<ActiveState>,
    /// Failed runs by `Result`.
    pub failures: Counts<RunResult>,
    /// Failed reloads by `ReloadResult`, or by the result of the reload job.
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub reload_failures: Counts<RunResult>,
    /// The last exit of the main process of a service.
    pub last_exit: Option<Exit>,
}

/// An exit of the main process of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// `ExecMainExitTimestamp`, in microseconds since the epoch.
    pub at: Usec,
    /// `ExecMainCode`.
    pub code: ExitCode,
    /// `ExecMainStatus`: an exit status or the number of a signal.
    pub status: u64,
}

/// The events of all units of the host, including gone units and those that the filters hide.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostCounters {
    /// Entries into each `ActiveState` by unit type.
    pub transitions: BTreeMap<UnitType, Counts<ActiveState>>,
    /// Failed runs by unit type and `Result`.
    pub failures: BTreeMap<UnitType, Counts<RunResult>>,
    /// Jobs that have left the queue, by type.
    pub jobs: BTreeMap<JobType, JobTotals>,
    /// Automatic restarts of all services, without those in `NRestarts` when a service was first
    /// seen: they happened before the exporter counted.
    pub restarts: u64,
    /// Finished daemon-reloads.
    pub reloads: u64,
}

/// The finished jobs of one type.
#[derive(Clone, Debug, PartialEq)]
pub struct JobTotals {
    /// By result.
    pub completed: Counts<JobResult>,
    /// The time from `JobNew` to `JobRemoved`.
    pub durations: Histogram,
}

/// What newer facts of a unit add to its counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Delta {
    pub(super) counters: Counters,
    /// `NRestarts` when it was first known.
    pub(super) earlier_restarts: u64,
    /// Runs that ended in a gap and were restarted automatically.
    pub(super) unseen: u64,
}

/// How many job types are counted separately; systemd has six.
const MAX_JOB_TYPES: usize = 16;

// === impl Counters ===

impl Counters {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the counters of another unit, except its last exit: a sum has none.
    pub fn merge(&mut self, other: &Self) {
        self.starts = self.starts.saturating_add(other.starts);
        self.restarts = self.restarts.saturating_add(other.restarts);
        self.transitions.merge(&other.transitions);
        self.failures.merge(&other.failures);
        self.reload_failures.merge(&other.reload_failures);
    }

    pub(super) fn add(&mut self, delta: &Delta) {
        self.merge(&delta.counters);
        self.restarts = self.restarts.saturating_add(delta.earlier_restarts);
        if delta.counters.last_exit.is_some() {
            self.last_exit.clone_from(&delta.counters.last_exit);
        }
    }
}

// === impl Delta ===

impl Delta {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// === impl HostCounters ===

impl HostCounters {
    pub(super) fn add(&mut self, unit_type: UnitType, delta: &Delta) {
        self.restarts = self.restarts.saturating_add(delta.counters.restarts);
        for (state, count) in delta.counters.transitions.iter() {
            self.transitions.entry(unit_type).or_default().add(state, count);
        }
        for (result, count) in delta.counters.failures.iter() {
            self.failures.entry(unit_type).or_default().add(result, count);
        }
    }

    pub(super) fn add_job(&mut self, job_type: JobType, result: &JobResult, took: Option<Usec>) {
        let has_room = self.jobs.len() < MAX_JOB_TYPES || self.jobs.contains_key(&job_type);
        let job_type = if has_room { job_type } else { JobType::Other("other".into()) };
        let jobs = self.jobs.entry(job_type).or_default();
        jobs.completed.add(result, 1);
        if let Some(took) = took {
            jobs.durations.observe(std::time::Duration::from_micros(took));
        }
    }
}

// === impl JobTotals ===

impl Default for JobTotals {
    fn default() -> Self {
        Self { completed: Counts::default(), durations: Histogram::new(LONG) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A series for each type that a later systemd may invent would be without bound.
    #[test]
    fn sixteen_job_types_are_counted_separately_and_further_ones_together() {
        let mut counters = HostCounters::default();
        let types: Vec<JobType> =
            (0..20).map(|it| format!("type-{it:02}").as_str().into()).collect();
        for _ in 0..2 {
            for job_type in &types {
                counters.add_job(job_type.clone(), &JobResult::Done, Some(1));
            }
        }
        let done = |job_type: &JobType| {
            let jobs = counters.jobs.get(job_type)?;
            Some((jobs.completed.clone(), jobs.durations.count()))
        };
        let times = |count| Some((Counts::from_iter([(JobResult::Done, count)]), count));
        for (number, job_type) in types.iter().enumerate() {
            let expected = if number < 16 { times(2) } else { None };
            assert_eq!(done(job_type), expected, "{job_type}");
        }
        assert_eq!(done(&"other".into()), times(8));
    }
}
