//! A histogram of durations: counts by upper bound.

use std::{iter, time::Duration};

/// Bounds in seconds for applying a signal and answering a scrape.
pub const SHORT: &[f64] =
    &[1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Bounds in seconds for jobs, which take from milliseconds to an hour and mostly below a second.
///
/// 90 s is systemd's default timeout, so jobs that timed out are in the bucket above it.
pub const LONG: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 90.0, 120.0, 300.0,
    600.0, 1800.0, 3600.0,
];

/// Durations counted by fixed upper bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// How many lie at or below each bound and above the one before; the last is above all bounds.
    counts: Box<[u64]>,
    sum: f64,
}

impl Histogram {
    /// An empty histogram. The bounds are in seconds and ascending.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1].into_boxed_slice(), sum: 0.0 }
    }

    /// A histogram with these counts by bucket and this sum in seconds; `None` if the counts do not
    /// fit the bounds or the sum is not a duration.
    pub fn restore(bounds: &'static [f64], counts: Vec<u64>, sum: f64) -> Option<Self> {
        let fits = counts.len() == bounds.len() + 1 && sum.is_finite() && sum >= 0.0;
        fits.then(|| Self { bounds, counts: counts.into_boxed_slice(), sum })
    }

    /// Adds one duration.
    pub fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += seconds;
    }

    /// Each upper bound in seconds, the last infinite, and how many durations lie at or below it and
    /// above the one before.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain(iter::once(f64::INFINITY));
        bounds.zip(self.counts.iter().copied())
    }

    /// How many durations were added.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all durations, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_ascending_durations() {
        for bounds in [SHORT, LONG] {
            assert!(bounds.iter().all(|bound| bound.is_finite() && *bound > 0.0), "{bounds:?}");
            assert!(bounds.is_sorted_by(|one, next| one < next), "{bounds:?}");
        }
    }

    #[test]
    fn a_duration_equal_to_a_bound_is_in_its_bucket() {
        let mut histogram = Histogram::new(&[0.5, 2.0]);
        for millis in [0, 500, 501, 2_000, 2_001, 3_600_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets, [(0.5, 2), (2.0, 2), (f64::INFINITY, 2)]);
        assert_eq!(histogram.count(), 6);
        assert!((histogram.sum() - 3605.002).abs() < 1e-9, "{histogram:?}");
    }

    #[test]
    fn counts_are_restored_only_for_the_same_bounds() {
        let mut histogram = Histogram::new(LONG);
        histogram.observe(Duration::from_secs(7));
        let counts: Vec<_> = histogram.buckets().map(|(_, count)| count).collect();
        let restored = Histogram::restore(LONG, counts.clone(), histogram.sum());
        assert_eq!(restored, Some(histogram));
        assert_eq!(Histogram::restore(SHORT, counts.clone(), 1.0), None);
        assert_eq!(Histogram::restore(LONG, counts, f64::NAN), None);
    }

    #[test]
    fn without_bounds_every_duration_is_in_the_infinite_bucket() {
        let mut histogram = Histogram::new(&[]);
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.buckets().collect::<Vec<_>>(), [(f64::INFINITY, 1)]);
    }
}
