//! Counts by one of systemd's words.

use serde::{Deserialize, Serialize};

/// How many different words are told apart. systemd has about a dozen of each kind; a peer gone
/// mad is not to fill the memory with new ones.
pub const MAX_KEYS: usize = 32;

/// What is counted under that stands for every word too many.
const OTHER: &str = "other";

/// How often something happened, by word. Holds only what happened at all, and little memory:
/// there is one for each unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts<W>(Vec<(W, u64)>);

// === impl Counts ===

impl<W> Default for Counts<W> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<W> Counts<W> {
    /// Each word with its count, in the order in which the words first came up.
    pub fn iter(&self) -> impl Iterator<Item = (&W, u64)> {
        self.0.iter().map(|(word, count)| (word, *count))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<W: PartialEq + Clone + for<'a> From<&'a str>> Counts<W> {
    /// Counts `more` under a word.
    pub fn add(&mut self, word: &W, more: u64) {
        if more == 0 {
            return;
        }
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| known == word) {
            *count = count.saturating_add(more);
        } else if self.0.len() + 1 < MAX_KEYS {
            self.0.push((word.clone(), more));
        } else {
            let other = W::from(OTHER);
            match self.0.iter_mut().find(|(known, _)| *known == other) {
                Some((_, count)) => *count = count.saturating_add(more),
                None => self.0.push((other, more)),
            }
        }
    }
}

impl<W: PartialEq + Clone + for<'a> From<&'a str>> FromIterator<(W, u64)> for Counts<W> {
    fn from_iter<I: IntoIterator<Item = (W, u64)>>(counts: I) -> Self {
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
    fn words_without_end_are_counted_as_other() {
        let mut counts = Counts::<RunResult>::default();
        counts.add(&RunResult::Signal, 2);
        for number in 0..1_000 {
            counts.add(&RunResult::from(&*format!("word-{number}")), 1);
        }
        counts.add(&RunResult::Signal, 1);
        assert_eq!(counts.iter().count(), MAX_KEYS);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 1_003);
        assert_eq!(counts.iter().next(), Some((&RunResult::Signal, 3)));
        let other = counts.iter().find(|(word, _)| word.as_str() == OTHER);
        assert_eq!(other, Some((&RunResult::from(OTHER), 1_000 - 30)));
    }
}
