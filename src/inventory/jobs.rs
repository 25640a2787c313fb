//! The job queue, and the type, result and duration of jobs that have left it.
//!
//! No signal has the type of a job: `JobNew` has a unit, `JobRemoved` a unit and a result. A
//! listing has it, but most jobs are finished before systemd answers one. systemd signals the
//! changes of a unit before those of its job, so the type is deduced from how the unit changed
//! meanwhile.

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
    /// When it was first signalled or listed, in microseconds since boot.
    since: Usec,
    /// A listing had it and no signal announced it, so it is not known when it was queued.
    found: bool,
    /// Its type and state in the last listing.
    listed: Option<(JobType, JobState)>,
    /// Its type in the first listing: a restart becomes a start once its unit has stopped.
    first: Option<JobType>,
    /// Its unit when the job was queued.
    before: Option<UnitView>,
    /// Its unit has been reloading since.
    reloaded: bool,
}

/// The facts about a unit from which the type of its job is deduced.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UnitView {
    pub(super) state: ActiveState,
    /// It waits for an automatic restart.
    pub(super) restarting: bool,
    pub(super) invocation: u128,
    /// When its conditions were last checked, if known (`ConditionTimestampMonotonic`).
    pub(super) checked_at: Option<Usec>,
    /// Its last reload is known to have failed.
    pub(super) reload_failed: bool,
}

/// The longest delay of a `JobNew`, in microseconds. It matters only for units whose last condition
/// check was not known before the job.
const MAX_SIGNAL_DELAY: Usec = 1_000_000;

/// A job that has left the queue.
#[derive(Debug, PartialEq)]
pub(super) struct Finished {
    pub(super) job_type: JobType,
    /// Microseconds since it was queued, if that is known.
    pub(super) took: Option<Usec>,
    /// The start was refused: the unit hit its start limit.
    pub(super) refused: bool,
}

/// The type of a job that was neither listed nor deduced.
const UNKNOWN: &str = "unknown";

// === impl Jobs ===

impl Jobs {
    pub(super) fn add(&mut self, id: u32, unit: UnitName, before: Option<UnitView>, now: Usec) {
        // A listing may have had it before systemd sent its signal.
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
        let job_type = job.job_type(result, after.as_ref());
        let starts = matches!(job_type, JobType::Start | JobType::Restart);
        let refused = starts && *result == JobResult::Failed && job.never_ran(after.as_ref());
        Finished { job_type, took, refused }
    }

    pub(super) fn change(&mut self, id: u32, to: JobState) {
        if let Some(Job { listed: Some((_, state)), .. }) = self.0.get_mut(&id) {
            *state = to;
        }
    }

    /// Notes that a unit is reloading.
    pub(super) fn note_reloading(&mut self, unit: &UnitName) {
        for job in self.0.values_mut().filter(|job| job.unit == *unit) {
            job.reloaded = true;
        }
    }

    /// Replaces the queue by a listing; returns how many jobs had left without a signal.
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

    /// Whether a queued job has not been listed yet, so that its type is not known.
    pub(super) fn has_unknown(&self) -> bool {
        self.0.values().any(|job| job.listed.is_none())
    }

    /// Whether a job is queued for this unit.
    pub(super) fn has_one_for(&self, unit: &UnitName) -> bool {
        self.0.values().any(|job| job.unit == *unit)
    }

    /// The listed jobs by type and state.
    pub(super) fn counts(&self) -> BTreeMap<(JobType, JobState), u64> {
        let mut counts = BTreeMap::new();
        for listed in self.0.values().filter_map(|job| job.listed.as_ref()) {
            *counts.entry(listed.clone()).or_default() += 1;
        }
        counts
    }

    /// When the oldest job was first signalled or listed, in microseconds since boot.
    pub(super) fn oldest(&self) -> Option<Usec> {
        self.0.values().map(|job| job.since).min()
    }
}

// === impl Job ===

impl Job {
    fn new(unit: UnitName, since: Usec) -> Self {
        Self { unit, since, found: false, listed: None, first: None, before: None, reloaded: false }
    }

    /// The type of this finished job: as listed, or deduced.
    fn job_type(&self, result: &JobResult, after: Option<&UnitView>) -> JobType {
        let views = self.before.as_ref().zip(after);
        let deduced = views.and_then(|(before, after)| self.deduce(before, after, result));
        match (&self.first, deduced) {
            // The first listing was late: the restart had become a start.
            (Some(JobType::Start) | None, Some(JobType::Restart)) => JobType::Restart,
            (Some(listed), _) => listed.clone(),
            (None, deduced) => deduced.unwrap_or_else(|| UNKNOWN.into()),
        }
    }

    fn deduce(&self, before: &UnitView, after: &UnitView, result: &JobResult) -> Option<JobType> {
        use ActiveState as S;
        let is_up = |state: &S| !state.is_at_rest() && *state != S::Activating;
        // Only a start or a restart job begins a run.
        let has_begun = before.invocation != after.invocation && after.invocation != 0;
        if has_begun {
            let was_up = is_up(&before.state) && before.state != S::Deactivating;
            let again = was_up || before.restarting;
            return Some(if again { JobType::Restart } else { JobType::Start });
        }
        if self.reloaded {
            return Some(JobType::Reload);
        }
        // Its conditions were checked, and no run began.
        if self.was_checked(before, after) {
            return Some(if before.restarting { JobType::Restart } else { JobType::Start });
        }
        match result {
            JobResult::Done if is_up(&after.state) => Some(JobType::Start),
            JobResult::Done if after.state != S::Activating => Some(JobType::Stop),
            // A reload of a unit that is not active.
            JobResult::Invalid => Some(JobType::Reload),
            // Only a start can end with these; a stop checks no conditions.
            JobResult::Skipped
            | JobResult::Assert
            | JobResult::Unsupported
            | JobResult::Dependency
            | JobResult::Once
            | JobResult::Concurrency => Some(JobType::Start),
            // A reload that started no process: a service does not stay up when it is stopped.
            JobResult::Failed if is_up(&before.state) && is_up(&after.state) => {
                after.reload_failed.then_some(JobType::Reload)
            }
            JobResult::Failed if before.restarting => Some(JobType::Restart),
            // A start that was refused, for example by the start limit.
            JobResult::Failed if !is_up(&after.state) => Some(JobType::Start),
            _ => None,
        }
    }

    /// Whether the unit's conditions were checked since the job was queued.
    fn was_checked(&self, before: &UnitView, after: &UnitView) -> bool {
        match (before.checked_at, after.checked_at) {
            (Some(before), Some(after)) => before != after,
            (None, Some(after)) => after.saturating_add(MAX_SIGNAL_DELAY) > self.since,
            (_, None) => false,
        }
    }

    /// Whether the unit failed and no run began: only the start limit does that.
    fn never_ran(&self, after: Option<&UnitView>) -> bool {
        let Some((before, after)) = self.before.as_ref().zip(after) else { return false };
        after.state == ActiveState::Failed && after.invocation == before.invocation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use JobResult::{Dependency, Done, Failed, Invalid, Skipped, Timeout};
    use JobType::{Reload, Restart, Start, Stop};

    fn unit() -> UnitName {
        UnitName::new("a.service").unwrap()
    }

    fn view(state: ActiveState, invocation: u128) -> UnitView {
        UnitView { state, restarting: false, invocation, checked_at: Some(7), reload_failed: false }
    }

    /// Queues a job at a time and removes it two seconds later.
    fn finish(before: UnitView, after: UnitView, result: &JobResult, at: Usec) -> Finished {
        let mut jobs = Jobs::default();
        jobs.add(1, unit(), Some(before), at);
        jobs.remove(1, result, Some(after), at + 2_000_000)
    }

    #[test]
    fn a_jobs_type_is_deduced_from_how_its_unit_changed() {
        use ActiveState::{Activating, Active, Deactivating, Inactive};
        let failed = ActiveState::Failed;
        let waiting = || UnitView { restarting: true, ..view(Activating, 1) };
        let checked = |view| UnitView { checked_at: Some(8), ..view };
        let no_reload = |view| UnitView { reload_failed: true, ..view };
        for (before, after, result, expected) in [
            // A run has begun.
            (view(Inactive, 0), view(Active, 1), Done, Some(Start)),
            (view(failed.clone(), 1), view(failed.clone(), 2), Failed, Some(Start)),
            (view(Active, 1), view(Active, 2), Done, Some(Restart)),
            (view(Activating, 1), view(Active, 2), Done, Some(Start)),
            (view(Deactivating, 1), view(Active, 2), Done, Some(Start)),
            (waiting(), view(Active, 2), Done, Some(Restart)),
            // It was loaded again: no run has begun.
            (view(Inactive, 1), view(Inactive, 0), Done, Some(Stop)),
            // Only its conditions were checked.
            (view(Inactive, 1), checked(view(Inactive, 1)), Done, Some(Start)),
            (waiting(), checked(view(Inactive, 1)), Done, Some(Restart)),
            // Neither.
            (view(Active, 1), view(Active, 1), Done, Some(Start)),
            (view(Active, 1), view(Inactive, 1), Done, Some(Stop)),
            (view(Active, 1), view(failed.clone(), 1), Done, Some(Stop)),
            (view(Activating, 1), view(Activating, 1), Done, None),
            (view(Inactive, 1), view(Inactive, 1), Invalid, Some(Reload)),
            (view(Inactive, 1), view(Inactive, 1), Skipped, Some(Start)),
            (view(Active, 1), no_reload(view(Active, 1)), Failed, Some(Reload)),
            (view(Active, 1), view(Active, 1), Failed, None),
            (view(Active, 1), no_reload(view(failed.clone(), 1)), Failed, Some(Start)),
            (view(Inactive, 1), no_reload(view(Active, 1)), Failed, None),
            (waiting(), view(failed.clone(), 1), Failed, Some(Restart)),
            (view(Inactive, 1), view(failed, 1), Failed, Some(Start)),
            (view(Active, 1), view(Active, 1), Timeout, None),
        ] {
            let case = format!("{before:?} {after:?} {result:?}");
            let job_type = finish(before, after, &result, 9).job_type;
            assert_eq!(job_type, expected.unwrap_or_else(|| UNKNOWN.into()), "{case}");
        }
    }

    #[test]
    fn a_first_condition_check_counts_if_it_is_not_older_than_the_job() {
        let job_type = |queued_at| {
            let after = view(ActiveState::Inactive, 1);
            let before = UnitView { checked_at: None, ..after.clone() };
            finish(before, after, &Done, queued_at).job_type
        };
        assert_eq!(job_type(7 + MAX_SIGNAL_DELAY - 1), Start);
        assert_eq!(job_type(7 + MAX_SIGNAL_DELAY), Stop);
    }

    #[test]
    fn a_start_is_refused_only_if_it_failed_and_its_unit_failed_without_a_run() {
        use ActiveState::Inactive;
        let failed = || view(ActiveState::Failed, 1);
        let refused = |before, after, result| finish(before, after, &result, 9).refused;
        assert!(refused(view(Inactive, 1), failed(), Failed));
        assert!(refused(failed(), failed(), Failed));
        assert!(!refused(failed(), failed(), Dependency), "the unit had failed before");
        assert!(!refused(failed(), view(ActiveState::Failed, 2), Failed), "a run began");
        assert!(!refused(view(Inactive, 1), view(Inactive, 1), Failed));

        let mut jobs = Jobs::default();
        jobs.add(1, unit(), Some(failed()), 9);
        let state = JobState::Running;
        jobs.resync(vec![ListedJob { id: 1, unit: unit(), job_type: Stop, state }], 9);
        let stopped = Finished { job_type: Stop, took: Some(3), refused: false };
        assert_eq!(jobs.remove(1, &Failed, Some(failed()), 12), stopped);
    }

    #[test]
    fn a_restart_that_is_listed_late_is_a_restart() {
        use ActiveState::Active;
        for (listed, invocation, expected) in
            [(Start, 2, Restart), (Start, 1, Start), (Restart, 2, Restart), (Stop, 2, Stop)]
        {
            let mut jobs = Jobs::default();
            jobs.add(1, unit(), Some(view(Active, 1)), 9);
            let state = JobState::Running;
            jobs.resync(vec![ListedJob { id: 1, unit: unit(), job_type: listed, state }], 9);
            let finished = jobs.remove(1, &Done, Some(view(Active, invocation)), 9);
            assert_eq!(finished.job_type, expected);
        }
    }

    #[test]
    fn the_duration_of_a_job_that_was_queued_before_the_exporter_listened_is_unknown() {
        let mut jobs = Jobs::default();
        let listed = |id| ListedJob { id, unit: unit(), job_type: Start, state: JobState::Waiting };
        jobs.resync(vec![listed(1), listed(2)], 10);
        // The signal of this one was only late.
        jobs.add(2, unit(), None, 11);
        assert_eq!(jobs.oldest(), Some(10));
        assert_eq!(jobs.remove(1, &Done, None, 30).took, None);
        assert_eq!(jobs.remove(2, &Done, None, 30).took, Some(20));
        assert!(!jobs.has_one_for(&unit()));
    }

    #[test]
    fn only_the_jobs_of_a_reloading_unit_are_reloads() {
        let other = UnitName::new("b.service").unwrap();
        let mut jobs = Jobs::default();
        let active = || Some(view(ActiveState::Active, 1));
        jobs.add(1, unit(), active(), 9);
        jobs.add(2, other, active(), 9);
        jobs.note_reloading(&unit());
        assert_eq!(jobs.remove(1, &Done, active(), 9).job_type, Reload);
        assert_eq!(jobs.remove(2, &Done, active(), 9).job_type, Start);
    }
}
