//! Counts by a state, a result or another name of systemd's.

use serde::{Deserialize, Serialize};

/// The most keys. systemd has about a dozen of each kind; a faulty peer must not fill the memory
/// with new ones.
pub const MAX_KEYS: usize = 32;

/// The key for all keys beyond [`MAX_KEYS`].
const OTHER: &str = "other";

/// How often something happened, by key. A list, without keys whose count is 0: each unit has one,
/// so it must be small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts<K>(Vec<(K, u64)>);

// === impl Counts ===

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K> Counts<K> {
    /// Each key with its count, in the order in which they were first counted.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u64)> {
        self.0.iter().map(|(key, count)| (key, *count))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: PartialEq + Clone + for<'a> From<&'a str>> Counts<K> {
    /// Adds the counts of another set.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(key, count)| self.add(key, count));
    }

    /// Adds to the count of a key.
    pub fn add(&mut self, key: &K, more: u64) {
        if more == 0 {
            return;
        }
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| known == key) {
            *count = count.saturating_add(more);
        } else if self.0.len() + 1 < MAX_KEYS {
            self.0.push((key.clone(), more));
        } else {
            let other = K::from(OTHER);
            match self.0.iter_mut().find(|(known, _)| *known == other) {
                Some((_, count)) => *count = count.saturating_add(more),
                None => self.0.push((other, more)),
            }
        }
    }
}

impl<K: PartialEq + Clone + for<'a> From<&'a str>> FromIterator<(K, u64)> for Counts<K> {
    fn from_iter<I: IntoIterator<Item = (K, u64)>>(counts: I) -> Self {
        let mut all = Self::default();
        counts.into_iter().for_each(|(key, count)| all.add(&key, count));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::state::RunResult;

    #[test]
    fn keys_beyond_the_limit_are_counted_as_other() {
        let mut counts = Counts::<RunResult>::default();
        counts.add(&RunResult::Signal, 2);
        for number in 0..1_000 {
            counts.add(&RunResult::from(&*format!("key-{number}")), 1);
        }
        counts.add(&RunResult::Signal, 1);
        assert_eq!(counts.iter().count(), MAX_KEYS);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 1_003);
        assert_eq!(counts.iter().next(), Some((&RunResult::Signal, 3)));
        let other = counts.iter().find(|(key, _)| key.as_str() == OTHER);
        assert_eq!(other, Some((&RunResult::from(OTHER), 1_000 - 30)));
    }
    #[test]
    fn counts_are_empty_until_something_is_counted() {
        let mut counts = Counts::<RunResult>::default();
        counts.add(&RunResult::Signal, 0);
        assert!(counts.is_empty());
        counts.add(&RunResult::Signal, 1);
        assert!(!counts.is_empty());
    }

    #[test]
    fn counts_of_the_same_key_are_added_when_collected() {
        let all = [(RunResult::Signal, 2), (RunResult::Timeout, 0), (RunResult::Signal, 3)];
        let counts = Counts::from_iter(all);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(&RunResult::Signal, 5)]);
    }
}
