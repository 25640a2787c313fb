//! The job queue, and the results and durations of jobs.

use std::fmt;

use super::{Clocks, family::families, from_zero, owned, seconds, writer::Exposition};
use crate::{
    inventory::snapshot::Snapshot,
    systemd::state::{JobResult, JobState, JobType},
};

families! {
    [Jobs]
    JOBS: Gauge "systemd_jobs" ["type", "state"]
        "Jobs in the manager's queue, by type and state.";
    OLDEST: Gauge "systemd_job_oldest_age_seconds" []
        "Age of the oldest job in the queue in seconds, since it was queued, or first seen if the exporter was not listening then. Absent while the queue is empty.";
    COMPLETED: Counter "systemd_jobs_completed_total" ["type", "result"]
        "Jobs that left the queue, by type and result (JobRemoved). The type is from a listing or inferred from the unit, else unknown. Automatic restarts have type restart.";
    DURATION: Histogram "systemd_job_duration_seconds" ["type"]
        "Time of jobs in the queue in seconds, waiting and running (JobNew, JobRemoved). Excludes jobs queued while the exporter was not listening. Absent for a type of which none was seen.";
}

/// The types and results that always have a series: a counter that begins with its first event
/// shows no increase.
const USUAL_TYPES: [JobType; 4] =
    [JobType::Start, JobType::Stop, JobType::Reload, JobType::Restart];
const USUAL_RESULTS: [JobResult; 5] = [
    JobResult::Done,
    JobResult::Failed,
    JobResult::Timeout,
    JobResult::Dependency,
    JobResult::Canceled,
];

pub(super) fn encode(snapshot: &Snapshot, clocks: Clocks, out: &mut Exposition<'_>) -> fmt::Result {
    let usual = JobType::ALL
        .iter()
        .flat_map(|job_type| JobState::ALL.iter().map(|state| (job_type.clone(), state.clone())));
    let mut samples = out.family(&JOBS);
    for ((job_type, state), count) in from_zero(usual, owned(&snapshot.jobs)) {
        samples.add([job_type.as_str(), state.as_str()], count)?;
    }
    let age = snapshot.oldest_job.map(|since| clocks.monotonic.saturating_sub(since));
    out.single(&OLDEST, age.map(seconds))?;

    let usual = USUAL_TYPES
        .iter()
        .flat_map(|job_type| USUAL_RESULTS.iter().map(move |result| (job_type, result)));
    let completed = snapshot.totals.jobs.iter().flat_map(|(job_type, jobs)| {
        jobs.completed.iter().map(move |(result, count)| ((job_type, result), count))
    });
    let mut samples = out.family(&COMPLETED);
    for ((job_type, result), count) in from_zero(usual, completed) {
        samples.add([job_type.as_str(), result.as_str()], count)?;
    }
    let mut samples = out.family(&DURATION);
    for (job_type, jobs) in &snapshot.totals.jobs {
        if jobs.durations.count() > 0 {
            samples.add_histogram([job_type.as_str()], &jobs.durations)?;
        }
    }
    Ok(())
}
