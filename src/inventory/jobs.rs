//! The job queue, and what becomes of jobs.
//!
//! Nothing that systemd signals of a job says what it does: `JobNew` has a unit, `JobRemoved` a
//! unit and a result. A listing says it, and most jobs are done before systemd answers one. But
//! systemd signals a unit's changes before it signals those of its job, so what a job did shows in
//! what became of the unit meanwhile.

use std::collections::BTreeMap;

use crate::clock::Usec;
use crate::systemd::{
    listing::ListedJob,
    name::UnitName,
    state::{ActiveState, JobResult, JobState, JobType},
};

/// The queued jobs by number.
#[derive(Debug, Default)]
pub(super) struct Jobs(BTreeMap<u32, Job>);

/// A queued job.
#[derive(Debug)]
struct Job {
    unit: UnitName,
    /// When it was first heard of, in microseconds since boot.
    since: Usec,
    /// It was there before anybody listened, so when it began is not known.
    found: bool,
    /// What a listing last said.
    listed: Option<(JobType, JobState)>,
    /// What a listing said first: a restart goes on as a start once its unit has stopped.
    first: Option<JobType>,
    /// How its unit was when the job was queued.
    before: Option<UnitView>,
    /// Its unit has been reloading since.
    reloaded: bool,
}

/// How a unit stands, as far as it tells what a job does to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UnitView {
    pub(super) state: ActiveState,
    /// It waits for its automatic restart.
    pub(super) restarting: bool,
    pub(super) invocation: u128,
    /// When its conditions were last looked at, if that is known.
    pub(super) tested: Option<Usec>,
    /// Its last reload failed, if that is known.
    pub(super) reload_failed: bool,
}

/// How long the word of a new job may take to be heard. Only where a unit has never been signalled
/// before does it matter.
const LATENCY: Usec = 1_000_000;

/// A job that has left the queue.
#[derive(Debug, PartialEq)]
pub(super) struct Finished {
    pub(super) job_type: JobType,
    /// From when it was queued, if that is known.
    pub(super) took: Option<Usec>,
    /// The unit was not started because it had been too often: its start limit was hit.
    pub(super) refused: bool,
}

/// What stands for the type of a job that nobody could tell.
const UNKNOWN: &str = "unknown";

// === impl Jobs ===

impl Jobs {
    pub(super) fn add(&mut self, id: u32, unit: UnitName, before: Option<UnitView>, now: Usec) {
        // A listing may have named it before its signal was sent.
        let job = self.0.entry(id).or_insert_with(|| Job::new(unit, now));
        job.before = job.before.take().or(before);
        job.found = false;
    }

    pub(super) fn remove(
        &mut self,
        id: u32,
        result: &JobResult,
        after: Option<UnitView>,
        now: Usec,
    ) -> Finished {
        let Some(job) = self.0.remove(&id) else {
            return Finished { job_type: UNKNOWN.into(), took: None, refused: false };
        };
        let took = (!job.found).then(|| now.saturating_sub(job.since));
        let job_type = job.did(result, after.as_ref());
        let begins = matches!(job_type, JobType::Start | JobType::Restart);
        let refused = begins && *result == JobResult::Failed && job.refused(after.as_ref());
        Finished { job_type, took, refused }
    }

    pub(super) fn change(&mut self, id: u32, to: JobState) {
        if let Some(Job { listed: Some((_, state)), .. }) = self.0.get_mut(&id) {
            *state = to;
        }
    }

    /// Takes in that a unit is reloading.
    pub(super) fn note_reloading(&mut self, unit: &UnitName) {
        for job in self.0.values_mut().filter(|job| job.unit == *unit) {
            job.reloaded = true;
        }
    }

    /// Takes a listing for the whole truth; returns how many jobs were gone without a signal.
    pub(super) fn resync(&mut self, listing: Vec<ListedJob>, now: Usec) -> usize {
        let mut before = std::mem::take(&mut self.0);
        for listed in listing {
            let job = before.remove(&listed.id);
            let mut job = job.unwrap_or_else(|| Job { found: true, ..Job::new(listed.unit, now) });
            job.first.get_or_insert_with(|| listed.job_type.clone());
            job.listed = Some((listed.job_type, listed.state));
            self.0.insert(listed.id, job);
        }
        before.len()
    }

    pub(super) fn has_unknown(&self) -> bool {
        self.0.values().any(|job| job.listed.is_none())
    }

    /// Whether any job is queued for this unit.
    pub(super) fn has_one_for(&self, unit: &UnitName) -> bool {
        self.0.values().any(|job| job.unit == *unit)
    }

    pub(super) fn counts(&self) -> BTreeMap<(JobType, JobState), u64> {
        let mut counts = BTreeMap::new();
        for known in self.0.values().filter_map(|job| job.listed.as_ref()) {
            *counts.entry(known.clone()).or_default() += 1;
        }
        counts
    }

    /// Since when the oldest job has been known.
    pub(super) fn oldest(&self) -> Option<Usec> {
        self.0.values().map(|job| job.since).min()
    }
}

// === impl Job ===

impl Job {
    fn new(unit: UnitName, since: Usec) -> Self {
        Self { unit, since, found: false, listed: None, first: None, before: None, reloaded: false }
    }

    /// What it did, now that it is over.
    fn did(&self, result: &JobResult, after: Option<&UnitView>) -> JobType {
        let both = self.before.as_ref().zip(after);
        let seen = both.and_then(|(before, after)| self.deduce(before, after, result));
        match (&self.first, seen) {
            // Listed too late to be seen as the restart that it was.
            (Some(JobType::Start) | None, Some(JobType::Restart)) => JobType::Restart,
            (Some(first), _) => first.clone(),
            (None, seen) => seen.unwrap_or_else(|| UNKNOWN.into()),
        }
    }

    fn deduce(&self, before: &UnitView, after: &UnitView, result: &JobResult) -> Option<JobType> {
        use ActiveState as S;
        let is_up = |state: &S| !state.is_at_rest() && *state != S::Activating;
        // Every run is begun by a job, and nothing but a start or a restart begins one.
        let begun = before.invocation != after.invocation && after.invocation != 0;
        if begun {
            let was_up = is_up(&before.state) && before.state != S::Deactivating;
            let again = was_up || before.restarting;
            return Some(if again { JobType::Restart } else { JobType::Start });
        }
        if self.reloaded {
            return Some(JobType::Reload);
        }
        // Its conditions were looked at, and a run did not begin.
        if self.tested(before, after) {
            return Some(if before.restarting { JobType::Restart } else { JobType::Start });
        }
        match result {
            JobResult::Done if is_up(&after.state) => Some(JobType::Start),
            JobResult::Done if after.state != S::Activating => Some(JobType::Stop),
            // A reload of what does not run.
            JobResult::Invalid => Some(JobType::Reload),
            // What keeps a unit from being started. It stops whatever its conditions say.
            JobResult::Skipped
            | JobResult::Assert
            | JobResult::Unsupported
            | JobResult::Dependency
            | JobResult::Once
            | JobResult::Concurrency => Some(JobType::Start),
            // A start that was refused, for example because there were too many.
            // A reload without a process. A service that is stopped does not stay up.
            JobResult::Failed if is_up(&before.state) && is_up(&after.state) => {
                after.reload_failed.then_some(JobType::Reload)
            }
            JobResult::Failed if before.restarting => Some(JobType::Restart),
            JobResult::Failed if !is_up(&after.state) => Some(JobType::Start),
            _ => None,
        }
    }

    fn tested(&self, before: &UnitView, after: &UnitView) -> bool {
        match (before.tested, after.tested) {
            (Some(before), Some(after)) => before != after,
            (None, Some(after)) => after.saturating_add(LATENCY) > self.since,
            (_, None) => false,
        }
    }

    /// Whether it failed before a run began: nothing but the start limit makes a unit fail so.
    fn refused(&self, after: Option<&UnitView>) -> bool {
        let Some((before, after)) = self.before.as_ref().zip(after) else { return false };
        after.state == ActiveState::Failed && after.invocation == before.invocation
    }
}
