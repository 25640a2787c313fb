//! Which units are told of as one, and under which name.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::systemd::name::{UnitName, UnitType};

/// The kinds of units that are told of as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollups {
    /// The instances of each template.
    pub instances: bool,
    /// The scopes in each slice.
    pub scopes: bool,
}

/// How a unit is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// By itself.
    Own,
    /// With others, under the name of all.
    RolledUp(RollupName),
    /// With others, of which it is not known yet who they are: until then not at all.
    Unresolved,
}

/// A word that names no such kind.
#[derive(Debug, thiserror::Error)]
#[error("must be instances or scopes")]
pub struct UnknownRollup;

/// What follows the slice in the name for its scopes.
const SCOPES: &str = "/*.scope";

/// The only scope that is not one of many: the manager's own.
const INIT: &str = "init.scope";

/// The name under which units are told of as one. No unit has it: it is that of a template, or has
/// a `/` and a `*` in it, as `user-1000.slice/*.scope` has for the scopes in a slice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupName(Arc<str>);

// === impl Rollups ===

impl Rollups {
    /// The kinds that the words name; an empty word names none.
    ///
    /// # Errors
    /// The first word that names none.
    pub fn read<'a>(
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, (&'a str, UnknownRollup)> {
        let mut rules = Self::default();
        for word in words {
            match word {
                "" => {}
                "instances" => rules.instances = true,
                "scopes" => rules.scopes = true,
                _ => return Err((word, UnknownRollup)),
            }
        }
        Ok(rules)
    }

    /// Whether no units are.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// How a unit is told of, as far as it is known in which slice it is.
    pub fn place(self, unit: &UnitName, slice: Option<&UnitName>) -> Placement {
        if self.scopes && unit.unit_type() == UnitType::Scope && unit.as_str() != INIT {
            let sum = |slice| Placement::RolledUp(RollupName(format!("{slice}{SCOPES}").into()));
            return slice.map_or(Placement::Unresolved, sum);
        }
        let template = unit.template().filter(|_| self.instances);
        template
            .map_or(Placement::Own, |name| Placement::RolledUp(RollupName(name.as_str().into())))
    }

    /// Whether units are told of as one under this name.
    pub fn has(self, sum: &RollupName) -> bool {
        if sum.0.ends_with(SCOPES) { self.scopes } else { self.instances }
    }
}

// === impl RollupName ===

impl RollupName {
    /// Takes a name that was written down; `None` if it cannot be one.
    fn new(name: &str) -> Option<Self> {
        let is_sum = match name.strip_suffix(SCOPES) {
            Some(slice) => UnitName::new(slice).is_some_and(|it| it.unit_type() == UnitType::Slice),
            None => UnitName::new(name).is_some_and(|it| it.is_template()),
        };
        is_sum.then(|| Self(name.into()))
    }

    /// The name as text: the value of the `name` label.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the last dot: the type that all of the units have.
    pub fn suffix(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(_, suffix)| suffix)
    }
}

impl Serialize for RollupName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RollupName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&name).ok_or_else(|| D::Error::custom(format_args!("{name:?} is not a sum")))
    }
}

impl fmt::Debug for RollupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rules: Rollups, unit: &str, slice: Option<&str>) -> Option<String> {
        let slice = slice.map(|slice| UnitName::new(slice).unwrap());
        match rules.place(&UnitName::new(unit).unwrap(), slice.as_ref()) {
            Placement::Own => None,
            Placement::Unresolved => Some("not yet".to_owned()),
            Placement::RolledUp(sum) => {
                let written = serde_json::to_string(&sum).unwrap();
                assert_eq!(serde_json::from_str::<RollupName>(&written).unwrap(), sum);
                assert!(rules.has(&sum) && !Rollups::default().has(&sum));
                assert!(unit.ends_with(&format!(".{}", sum.suffix())));
                Some(sum.as_str().to_owned())
            }
        }
    }

    #[test]
    fn instances_are_told_of_under_their_template() {
        let instances = Rollups::read(["", "instances"]).unwrap();
        for (unit, template) in [
            ("getty@tty1.service", Some("getty@.service")),
            ("a@b@c.socket", Some("a@.socket")),
            ("app-org.example@1.2.service", Some("app-org.example@.service")),
            ("ssh.service", None),
            ("@x.service", None),
        ] {
            assert_eq!(sum(instances, unit, None).as_deref(), template, "{unit}");
            assert_eq!(sum(Rollups::default(), unit, None), None, "{unit}");
        }
    }

    #[test]
    fn scopes_are_told_of_under_their_slice() {
        let scopes = Rollups::read(["scopes"]).unwrap();
        let both = Rollups::read(["scopes", "instances"]).unwrap();
        let user = Some("user-1000.slice/*.scope");
        for (unit, slice, name) in [
            ("session-3.scope", Some("user-1000.slice"), user),
            ("app@x.scope", Some("user-1000.slice"), user),
            ("session-3.scope", None, Some("not yet")),
            ("init.scope", Some("-.slice"), None),
            ("init.scope", None, None),
            ("ssh.service", Some("system.slice"), None),
        ] {
            assert_eq!(sum(scopes, unit, slice).as_deref(), name, "{unit}");
            assert_eq!(sum(both, unit, slice).as_deref(), name, "{unit}");
            assert_eq!(sum(Rollups::default(), unit, slice), None, "{unit}");
        }
        let template = sum(both, "a@x.service", Some("a.slice"));
        assert_eq!(template.as_deref(), Some("a@.service"));
    }

    #[test]
    fn a_word_that_names_no_kind_is_refused() {
        for word in ["instance", "all", "Instances"] {
            assert_eq!(Rollups::read(["instances", word]).unwrap_err().0, word);
        }
        assert!(Rollups::read([""]).unwrap().is_empty());
        let not_slices = ["/*.scope", "a.service/*.scope", "a b.slice/*.scope"];
        for name in [&["a.service", "", "a@b.service", "a@.service\n"], &not_slices[..]].concat() {
            let written = serde_json::to_string(name).unwrap();
            assert!(serde_json::from_str::<RollupName>(&written).is_err(), "{name:?}");
        }
    }
}
