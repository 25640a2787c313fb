//! The filters: patterns, types and slices.

use std::collections::BTreeSet;

use regex::Regex;

use crate::systemd::{
    name::{UnitName, UnitType},
    property::PropertySet,
};

/// Types of units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types(BTreeSet<UnitType>);

/// A value that is no unit type.
#[derive(Debug, thiserror::Error)]
#[error("must be all or one of {}", UnitType::ALL.map(UnitType::as_str).join(", "))]
pub struct UnknownType;

/// Slices, each with all slices below it; empty means any slice or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slices(Vec<UnitName>);

/// A value that is not the name of a slice.
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

// === impl Types ===

impl Default for Types {
    fn default() -> Self {
        Self::all()
    }
}

impl Types {
    /// Every type, also those of a future systemd.
    pub fn all() -> Self {
        Self(UnitType::ALL.into_iter().chain([UnitType::Other]).collect())
    }

    /// Reads names of types, and `all`.
    ///
    /// # Errors
    /// The first value that is neither.
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

    /// Whether a type is one of them.
    pub(super) fn contain(&self, unit_type: UnitType) -> bool {
        self.0.contains(&unit_type)
    }
}

// === impl Slices ===

impl Slices {
    /// Reads names of slices; empty values are skipped.
    ///
    /// # Errors
    /// The first value that is not the name of a slice.
    pub fn read<'a>(
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, (&'a str, NotASlice)> {
        let is_slice = |name: &UnitName| name.unit_type() == UnitType::Slice;
        let named = words.into_iter().filter(|word| !word.is_empty());
        let slices = named
            .map(|word| UnitName::new(word).filter(|name| is_slice(name)).ok_or((word, NotASlice)));
        slices.collect::<Result<_, _>>().map(Self)
    }

    /// Whether all units pass, whatever slice they are in.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a unit is in one of the slices; a slice is in itself. `None` while the slice of a
    /// unit is not known that has one.
    pub(super) fn contain(&self, unit: &UnitName, slice: Option<&UnitName>) -> Option<bool> {
        if self.is_any() {
            return Some(true);
        }
        let unit_type = unit.unit_type();
        match if unit_type == UnitType::Slice { Some(unit) } else { slice } {
            Some(slice) => Some(self.0.iter().any(|top| is_within(slice, top))),
            None if PropertySet::details_of(unit_type).intersects(PropertySet::SLICES) => None,
            None => Some(false),
        }
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
    use crate::selection::{Placement, Selection};

    fn filter(include: &str, exclude: &str) -> Selection {
        let [include, exclude] = [include, exclude].map(|it| Pattern::new(it).ok());
        Selection { include, exclude, ..Selection::default() }
    }

    fn shows(selection: &Selection, name: &str) -> bool {
        let placement = selection.place(&UnitName::new(name).unwrap(), None);
        assert!([Placement::Own, Placement::FilteredOut].contains(&placement), "{name}");
        placement == Placement::Own
    }

    #[test]
    fn both_patterns_match_the_whole_name() {
        let usual = filter(".+", r".+\.(device)");
        assert!(shows(&usual, "ssh.service"));
        assert!(shows(&usual, "device.service"));
        assert!(shows(&usual, "a.device.service"));
        assert!(!shows(&usual, r"dev-sda\x2d1.device"));

        let alternatives = filter(r"ssh|cron\.service", "");
        assert!(shows(&alternatives, "cron.service"));
        assert!(!shows(&alternatives, "ssh.service"));
        assert!(!shows(&alternatives, "a-cron.service"));
    }

    #[test]
    fn an_empty_exclude_hides_nothing() {
        assert!(shows(&filter(".+", ""), "sys-a.device"));
    }

    #[test]
    fn a_type_is_that_of_the_suffix() {
        let of = |words: &[&str]| Selection {
            types: Types::read(words.iter().copied()).unwrap(),
            ..filter(".+", "a.+")
        };
        let some = of(&["timer", "service"]);
        assert!(shows(&some, "ssh.service") && shows(&some, "daily.timer"));
        assert!(!shows(&some, "ssh.socket"));
        assert!(!shows(&some, "timer.mount"));
        assert!(!shows(&some, "apt.service"), "the patterns still hold");
        assert!(!shows(&some, "odd.thing"));
        let all = of(&["timer", "all"]);
        assert!(shows(&all, "ssh.socket") && shows(&all, "odd.thing"));
        for word in ["services", ".service", "Service", "other", ""] {
            let (blamed, error) = Types::read(["service", word]).unwrap_err();
            assert_eq!(blamed, word);
            assert!(error.to_string().starts_with("must be all or one of service, socket, "));
        }
    }

    #[test]
    fn a_slice_contains_the_slices_below_it() {
        let name = |name: &str| UnitName::new(name).unwrap();
        let contain = |slices: &[&str], unit: &str, slice: Option<&str>| {
            let slice = slice.map(name);
            Slices::read(slices.iter().copied()).unwrap().contain(&name(unit), slice.as_ref())
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
            assert_eq!(
                contain(slices, "a.service", Some(slice)),
                Some(is_in),
                "{slices:?} {slice}"
            );
            assert_eq!(contain(slices, slice, None), Some(is_in), "{slices:?} {slice} itself");
        }
        assert_eq!(contain(&[], "a.timer", None), Some(true));
        assert_eq!(contain(&["-.slice"], "a.timer", None), Some(false), "a timer has no slice");
        assert_eq!(contain(&["-.slice"], "a.service", None), None, "its slice is not known yet");
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
