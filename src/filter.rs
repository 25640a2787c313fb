//! Which units have series of their own.

use regex::Regex;

/// Admits a unit when the one pattern matches its name and the other does not.
#[derive(Clone, Debug)]
pub struct UnitFilter {
    /// What a name must match.
    pub include: Pattern,
    /// What a name must not match.
    pub exclude: Pattern,
}

/// A regular expression that has to match a whole name.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// A pattern that is not a regular expression; the text says why in one line.
#[derive(Debug, thiserror::Error)]
#[error("not a regular expression: {0}")]
pub struct PatternError(String);

// === impl UnitFilter ===

impl UnitFilter {
    /// Whether the unit of this name has series.
    pub fn admits(&self, name: &str) -> bool {
        self.include.matches(name) && !self.exclude.matches(name)
    }
}

// === impl Pattern ===

impl Pattern {
    /// Compiles a pattern and anchors it at both ends.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        // On its own first: `a)|(?:b` is no pattern, but would be one inside of the group.
        Regex::new(pattern)
            .and_then(|_| Regex::new(&format!("^(?:{pattern})$")))
            .map(Self)
            .map_err(|error| PatternError::new(&error))
    }

    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

// === impl PatternError ===

impl PatternError {
    /// Keeps the last line: those before it draw the pattern and point into it.
    fn new(error: &regex::Error) -> Self {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or(&text);
        Self(reason.strip_prefix("error: ").unwrap_or(reason).trim_end_matches('.').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &str, exclude: &str) -> UnitFilter {
        UnitFilter {
            include: Pattern::new(include).unwrap(),
            exclude: Pattern::new(exclude).unwrap(),
        }
    }

    #[test]
    fn both_patterns_are_held_against_the_whole_name() {
        let usual = filter(".+", r".+\.(device)");
        assert!(usual.admits("ssh.service"));
        assert!(usual.admits("device.service"));
        assert!(usual.admits("a.device.service"));
        assert!(!usual.admits(r"dev-sda\x2d1.device"));

        let alternatives = filter("ssh|cron", "");
        assert!(alternatives.admits("ssh"));
        assert!(!alternatives.admits("ssh.service"));
        assert!(!alternatives.admits("a-cron"));
    }

    #[test]
    fn an_empty_exclude_hides_nothing() {
        assert!(filter(".+", "").admits("sys-a.device"));
    }

    #[test]
    fn an_error_is_one_line_and_says_what_is_wrong() {
        for (pattern, reason) in [
            ("(", "not a regular expression: unclosed group"),
            ("a)|(?:b", "not a regular expression: unopened group"),
            (
                "(?=x)",
                "not a regular expression: look-around, including look-ahead and \
                       look-behind, is not supported",
            ),
            (
                r"\w{1000}{1000}",
                "not a regular expression: Compiled regex exceeds size limit of \
                                 10485760 bytes",
            ),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap_err().to_string(), reason);
        }
    }
}
