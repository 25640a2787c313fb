//! The job queue, and the results and durations of jobs.

use std::fmt;

use super::{Clocks, View, family::families, from_zero, owned, value::seconds, writer::Exposition};
use crate::systemd::state::{JobResult, JobState, JobType};

families! {
    [Jobs]
    JOBS: Gauge "systemd_jobs" ["type", "state"]
        "Jobs in the manager's queue, by type and state.";
    OLDEST: Gauge "systemd_job_oldest_age_seconds" []
        "Seconds since the oldest job was queued, or first listed if it was queued while the exporter received no signals. Absent while the queue is empty.";
    COMPLETED: Counter "systemd_jobs_completed_total" ["type", "result"]
        "Jobs that left the queue, by type and result (JobRemoved). Type is unknown if the job ended before it was listed and the changes of its unit do not show the type. Automatic restarts have type restart.";
    DURATION: Histogram "systemd_job_duration_seconds" ["type"]
        "Seconds that jobs were in the queue, waiting and running (JobNew, JobRemoved). Excludes jobs queued while the exporter received no signals. Absent for a type never seen.";
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

pub(super) fn encode(
    managers: &[View<'_>],
    clocks: Clocks,
    out: &mut Exposition<'_>,
) -> fmt::Result {
    let states = || {
        JobType::ALL.iter().flat_map(|job_type| {
            JobState::ALL.iter().map(|state| (job_type.clone(), state.clone()))
        })
    };
    out.each(&JOBS, managers, |View { snapshot, .. }, samples| {
        let mut jobs = from_zero(states(), owned(&snapshot.jobs)).into_iter();
        jobs.try_for_each(|((of, state), count)| samples.add([of.as_str(), state.as_str()], count))
    })?;
    out.each_value(&OLDEST, managers, |View { snapshot, .. }| {
        snapshot.oldest_job.map(|since| seconds(clocks.monotonic.saturating_sub(since)))
    })?;

    let results = || {
        USUAL_TYPES
            .iter()
            .flat_map(|job_type| USUAL_RESULTS.iter().map(move |result| (job_type, result)))
    };
    out.each(&COMPLETED, managers, |View { snapshot, .. }, samples| {
        let completed = snapshot.totals.jobs.iter().flat_map(|(job_type, jobs)| {
            jobs.completed.iter().map(move |(result, count)| ((job_type, result), count))
        });
        let mut counts = from_zero(results(), completed).into_iter();
        counts.try_for_each(|((of, it), count)| samples.add([of.as_str(), it.as_str()], count))
    })?;
    out.each(&DURATION, managers, |View { snapshot, .. }, samples| {
        let seen = snapshot.totals.jobs.iter().filter(|(_, jobs)| jobs.durations.count() > 0);
        let mut seen = seen.map(|(job_type, jobs)| (job_type.as_str(), &jobs.durations));
        seen.try_for_each(|(job_type, durations)| samples.add_histogram([job_type], durations))
    })
}
