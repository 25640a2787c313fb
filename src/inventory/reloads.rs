//! Which failed reloads of a unit have been counted.
//!
//! systemd sets `ReloadResult` to success when a job begins a reload and to a failure when the
//! reload fails, and signals both. Two failures show no such change and are counted by their job,
//! which fails: those of mounts, which have no `ReloadResult` before systemd 258, and those of
//! reloads that started no process and follow another failed reload.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::systemd::state::RunResult;

/// The reloads that were counted last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reloads {
    /// Whether the last signalled `ReloadResult` was a failure; `None` if none was signalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<bool>,
    /// The job of the last counted failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<NonZeroU32>,
    /// The reload under way is counted already: its job has timed out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_counted: bool,
}

/// The facts about a unit's reloads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reload {
    /// `ReloadResult`, if known.
    pub(super) result: Option<RunResult>,
    /// `Job`: the number of the unit's queued job.
    pub(super) job: Option<NonZeroU32>,
    /// A reload is under way.
    pub(super) is_under_way: bool,
}

impl Reloads {
    /// The reloads of a unit that systemd has just loaded.
    pub(super) fn fresh() -> Self {
        Self { failed: Some(false), ..Self::default() }
    }

    /// Moves to these facts. Returns the result of a failed reload that is not counted yet.
    pub(super) fn advance<'a>(&mut self, now: &'a Reload) -> Option<&'a RunResult> {
        let is_counted = self.is_counted;
        self.is_counted &= now.is_under_way;
        let result = now.result.as_ref()?;
        let had_failed = self.failed.replace(result.is_failure());
        if had_failed != Some(false) || !result.is_failure() || is_counted {
            return None;
        }
        self.job = now.job;
        Some(result)
    }

    /// Notes that a reload job failed. Returns whether that is to be counted.
    pub(super) fn fail(&mut self, job: NonZeroU32, is_under_way: bool) -> bool {
        let counts = self.job != Some(job);
        self.job = Some(job);
        self.is_counted |= counts && is_under_way;
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(number)
    }

    /// Whether a signal with this `ReloadResult` counts, while this job is queued.
    fn signal(
        reloads: &mut Reloads,
        failed: bool,
        job: Option<NonZeroU32>,
        is_under_way: bool,
    ) -> bool {
        let result = if failed { RunResult::ExitCode } else { RunResult::Success };
        reloads.advance(&Reload { result: Some(result), job, is_under_way }).is_some()
    }

    #[test]
    fn a_failed_reload_counts_once_by_its_result_or_its_job() {
        let mut reloads = Reloads::fresh();
        for one in [job(7), job(8)] {
            assert!(!signal(&mut reloads, false, one, true));
            assert!(signal(&mut reloads, true, one, false));
            assert!(!reloads.fail(one.unwrap(), false), "its result was counted");
            assert!(!signal(&mut reloads, true, None, false));
        }
        // It started no process, so ReloadResult was not set to success before.
        assert!(!signal(&mut reloads, true, job(9), false));
        assert!(reloads.fail(job(9).unwrap(), false));
        // The service reloads by itself, without a job.
        assert!(!signal(&mut reloads, false, None, true));
        assert!(signal(&mut reloads, true, None, false));
    }

    #[test]
    fn a_reload_that_fails_after_its_job_timed_out_counts_once() {
        let mut reloads = Reloads::fresh();
        assert!(!signal(&mut reloads, false, job(7), true));
        assert!(reloads.fail(job(7).unwrap(), true));
        assert!(!signal(&mut reloads, false, None, true));
        assert!(!signal(&mut reloads, true, None, false), "counted by its job");
        assert!(!signal(&mut reloads, false, job(8), true));
        assert!(signal(&mut reloads, true, job(8), false), "another reload");
    }

    #[test]
    fn a_failure_from_before_the_first_signal_does_not_count() {
        let mut reloads = Reloads::default();
        assert!(!signal(&mut reloads, true, None, false));
        // A failure in a gap does.
        let mut reloads = Reloads::fresh();
        assert!(reloads.advance(&Reload::default()).is_none());
        assert!(signal(&mut reloads, true, None, false));
    }
}
