//! The job queue.

use std::collections::BTreeMap;

use crate::systemd::{
    question::ListedJob,
    state::{JobState, JobType},
};

/// The queued jobs by number: what each does and whether it has begun. `JobNew` does not say that;
/// a listing does.
#[derive(Debug, Default)]
pub(super) struct Jobs(BTreeMap<u32, Option<(JobType, JobState)>>);

// === impl Jobs ===

impl Jobs {
    pub(super) fn add(&mut self, id: u32) {
        // A listing may have named it before its signal was sent.
        self.0.entry(id).or_default();
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.0.remove(&id);
    }

    pub(super) fn change(&mut self, id: u32, to: JobState) {
        if let Some(Some((_, state))) = self.0.get_mut(&id) {
            *state = to;
        }
    }

    /// Takes a listing for the whole truth; returns how many jobs were gone without a signal.
    pub(super) fn adopt(&mut self, listing: Vec<ListedJob>) -> usize {
        let before = std::mem::take(&mut self.0);
        for job in listing {
            self.0.insert(job.id, Some((job.job_type, job.state)));
        }
        before.keys().filter(|id| !self.0.contains_key(id)).count()
    }

    pub(super) fn has_unknown(&self) -> bool {
        self.0.values().any(Option::is_none)
    }

    pub(super) fn counts(&self) -> BTreeMap<(JobType, JobState), u64> {
        let mut counts = BTreeMap::new();
        for known in self.0.values().flatten() {
            *counts.entry(known.clone()).or_default() += 1;
        }
        counts
    }
}
