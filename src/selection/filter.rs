//! Which units have series of their own.

use std::collections::BTreeSet;

use regex::Regex;

use crate::systemd::name::{UnitName, UnitType};

/// Admits a unit when the one pattern matches its name and the other does not, its type is one of
/// those, and so is its slice.
#[derive(Clone, Debug)]
pub struct UnitFilter {
    /// What a name must match.
    pub include: Pattern,
    /// What a name must not match.
    pub exclude: Pattern,
    /// Of which types it may be.
    pub types: Types,
    /// In which slices it may be, which its name does not tell.
    pub slices: Slices,
}

/// Types of units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types(BTreeSet<UnitType>);

/// A word that names no type.
#[derive(Debug, thiserror::Error)]
#[error("must be all or one of {}", UnitType::ALL.map(UnitType::as_str).join(", "))]
pub struct UnknownType;

/// Slices, each with all that are below it; none of them means that it does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slices(Vec<UnitName>);

/// A word that names no slice.
#[derive(Debug, thiserror::Error)]
#[error("must be the name of a slice, such as system.slice")]
pub struct NotASlice;

/// A regular expression that has to match a whole name.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// A pattern that is not a regular expression; the text says why in one line.
#[derive(Debug, thiserror::Error)]
#[error("not a regular expression: {0}")]
pub struct PatternError(String);

// === impl UnitFilter ===

impl UnitFilter {
    /// Whether the unit of this name may have series, in whatever slice it is.
    pub fn admits(&self, name: &str) -> bool {
        self.types.has_one_of(name) && self.include.matches(name) && !self.exclude.matches(name)
    }
}

// === impl Types ===

impl Types {
    /// Every type, also those of a future systemd.
    pub fn all() -> Self {
        Self(UnitType::ALL.into_iter().chain([UnitType::Other]).collect())
    }

    /// The types that the words name.
    ///
    /// # Errors
    /// The first word that names none.
    pub fn read<'a>(
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, (&'a str, UnknownType)> {
        let mut types = BTreeSet::new();
        for word in words {
            match UnitType::ALL.into_iter().find(|known| known.as_str() == word) {
                Some(unit_type) => types.extend([unit_type]),
                None if word == "all" => types.extend(Self::all().0),
                None => return Err((word, UnknownType)),
            }
        }
        Ok(Self(types))
    }

    fn has_one_of(&self, name: &str) -> bool {
        let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        self.0.contains(&UnitType::from_suffix(suffix))
    }
}

// === impl Slices ===

impl Slices {
    /// The slices that the words name; an empty word names none.
    ///
    /// # Errors
    /// The first word that is not the name of a slice.
    pub fn read<'a>(
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, (&'a str, NotASlice)> {
        let is_slice = |name: &UnitName| name.unit_type() == UnitType::Slice;
        let named = words.into_iter().filter(|word| !word.is_empty());
        let slices = named
            .map(|word| UnitName::new(word).filter(|name| is_slice(name)).ok_or((word, NotASlice)));
        slices.collect::<Result<_, _>>().map(Self)
    }

    /// Whether it does not matter in which slice a unit is.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a unit in this slice has series; a slice is in itself.
    pub fn admit(&self, unit: &UnitName, slice: Option<&UnitName>) -> bool {
        if self.is_any() {
            return true;
        }
        let slice = if unit.unit_type() == UnitType::Slice { Some(unit) } else { slice };
        slice.is_some_and(|slice| self.0.iter().any(|top| is_within(slice, top)))
    }
}

/// Whether a slice is this one or lies below it: `a-b.slice` lies in `a.slice`, and each in
/// `-.slice`.
fn is_within(slice: &UnitName, top: &UnitName) -> bool {
    let stem = |name| str::strip_suffix(name, ".slice").unwrap_or(name);
    let (slice, top) = (stem(slice.as_str()), stem(top.as_str()));
    let below = slice.strip_prefix(top);
    top == "-" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
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
            types: Types::all(),
            slices: Slices::default(),
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
    fn a_type_is_that_of_the_suffix() {
        let of = |words: &[&str]| UnitFilter {
            types: Types::read(words.iter().copied()).unwrap(),
            ..filter(".+", "a.+")
        };
        let some = of(&["timer", "service"]);
        assert!(some.admits("ssh.service") && some.admits("daily.timer"));
        assert!(!some.admits("ssh.socket"));
        assert!(!some.admits("timer.mount"));
        assert!(!some.admits("timer"));
        assert!(!some.admits("apt.service"), "the patterns still hold");
        assert!(!some.admits("odd.thing"));
        let all = of(&["timer", "all"]);
        assert!(all.admits("ssh.socket") && all.admits("odd.thing"));
        for word in ["services", ".service", "Service", "other", ""] {
            let (blamed, error) = Types::read(["service", word]).unwrap_err();
            assert_eq!(blamed, word);
            assert!(error.to_string().starts_with("must be all or one of service, socket, "));
        }
    }

    #[test]
    fn slices_hold_what_is_below_them() {
        let name = |name: &str| UnitName::new(name).unwrap();
        let admits = |slices: &[&str], unit: &str, slice: Option<&str>| {
            let slice = slice.map(name);
            Slices::read(slices.iter().copied()).unwrap().admit(&name(unit), slice.as_ref())
        };
        for (slices, slice, is_in) in [
            (&["system.slice"][..], "system.slice", true),
            (&["system.slice"], "system-getty.slice", true),
            (&["system.slice"], "systemd.slice", false),
            (&["system.slice"], "user.slice", false),
            (&["system-getty.slice"], "system.slice", false),
            (&["a.slice", "user.slice"], "user-1000.slice", true),
            (&["-.slice"], "user-1000.slice", true),
            (&["-.slice"], "-.slice", true),
            (&["a.slice"], "-.slice", false),
            (&[], "user.slice", true),
            (&[""], "user.slice", true),
        ] {
            assert_eq!(admits(slices, "a.service", Some(slice)), is_in, "{slices:?} {slice}");
            assert_eq!(admits(slices, slice, None), is_in, "{slices:?} {slice} itself");
        }
        assert!(admits(&[], "a.timer", None));
        assert!(!admits(&["-.slice"], "a.timer", None), "what has no slice is in none");
        for word in ["system", "a.service", "a b.slice", "*.slice"] {
            assert_eq!(Slices::read(["a.slice", word]).unwrap_err().0, word);
        }
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
