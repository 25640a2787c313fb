//! Pauses between attempts to connect: growing, with jitter.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// The next pause.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    /// A random pause of half to all of a span that doubles each time: so the exporters of a fleet do
    /// not reconnect at the same moment.
    pub(super) fn next(&mut self) -> Duration {
        let span = self.0;
        self.0 = (span * 2).min(LONGEST);
        span.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = std::iter::repeat_with(|| backoff.next()).take(40).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[20..].iter().all(|pause| *pause <= LONGEST && *pause >= LONGEST / 2));
        assert!(pauses[20..].iter().any(|pause| *pause != pauses[20]));
    }
}
