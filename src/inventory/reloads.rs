//! Which failed reloads of a unit have been counted.
//!
//! systemd sets `ReloadResult` to success when a job begins a reload and to something else when the
//! reload fails, and signals both. Two cases show no such change: a mount before version 258, which
//! has no `ReloadResult`, and a reload that fails before a process was started, should the one
//! before it have failed as well. In these the job of the reload fails.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::systemd::state::RunResult;

/// What has been counted of a unit's reloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reloads {
    /// `ReloadResult` was a failure when it was last signalled; `None` if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<bool>,
    /// The job of the failed reload that was counted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<NonZeroU32>,
    /// The reload that is under way has been counted: its job has timed out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_counted: bool,
}

/// What is signalled of a unit's reloads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reload {
    /// `ReloadResult`; `None` while it is not known.
    pub(super) result: Option<RunResult>,
    /// `Job`: the number of the one that is queued for the unit.
    pub(super) job: Option<NonZeroU32>,
    /// Whether a reload is under way.
    pub(super) is_under_way: bool,
}

impl Reloads {
    /// Of a unit that systemd has just loaded.
    pub(super) fn fresh() -> Self {
        Self { failed: Some(false), ..Self::default() }
    }

    /// Takes in what is signalled. Returns what made a reload fail that is not counted yet.
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

    /// Takes in that the job of a reload has failed. Returns whether that is not counted.
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

    /// Whether a signal with that `ReloadResult`, while that job is queued, counts.
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
    fn each_failed_reload_counts_once_whether_its_job_or_its_result_shows_it() {
        let mut reloads = Reloads::fresh();
        for one in [job(7), job(8)] {
            assert!(!signal(&mut reloads, false, one, true));
            assert!(signal(&mut reloads, true, one, false));
            assert!(!reloads.fail(one.unwrap(), false), "its result was counted");
            assert!(!signal(&mut reloads, true, None, false));
        }
        // Without a process, and so without a success before it.
        assert!(!signal(&mut reloads, true, job(9), false));
        assert!(reloads.fail(job(9).unwrap(), false));
        // By itself, without a job.
        assert!(!signal(&mut reloads, false, None, true));
        assert!(signal(&mut reloads, true, None, false));
    }

    #[test]
    fn a_reload_that_goes_on_after_its_job_timed_out_counts_once() {
        let mut reloads = Reloads::fresh();
        assert!(!signal(&mut reloads, false, job(7), true));
        assert!(reloads.fail(job(7).unwrap(), true));
        assert!(!signal(&mut reloads, false, None, true));
        assert!(!signal(&mut reloads, true, None, false), "the job was counted");
        assert!(!signal(&mut reloads, false, job(8), true));
        assert!(signal(&mut reloads, true, job(8), false), "this is another");
    }

    #[test]
    fn a_failure_of_before_anything_was_known_does_not_count() {
        let mut reloads = Reloads::default();
        assert!(!signal(&mut reloads, true, None, false));
        // One of a time in which nothing was heard does.
        let mut reloads = Reloads::fresh();
        assert!(reloads.advance(&Reload::default()).is_none());
        assert!(signal(&mut reloads, true, None, false));
    }
}
