//! Roll-ups: many units with one set of series, and their names.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Placement;
use crate::systemd::name::{UnitName, UnitType};

/// The units that are rolled up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollups {
    /// The instances of each template.
    pub instances: bool,
    /// The scopes in each slice.
    pub scopes: bool,
}

/// A value that is no kind of roll-up.
#[derive(Debug, thiserror::Error)]
#[error("must be instances or scopes")]
pub struct UnknownRollup;

/// The name of the roll-up of a slice's scopes after the name of the slice.
const SCOPES: &str = "/*.scope";

/// The manager's own scope, which is not rolled up.
const INIT: &str = "init.scope";

/// The name of a roll-up: a template, such as `getty@.service`, or the scopes of a slice, such as
/// `user-1000.slice/*.scope`. No unit can have such a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupName(Arc<str>);

// === impl Rollups ===

impl Rollups {
    /// Reads `instances` and `scopes`; empty values are skipped.
    ///
    /// # Errors
    /// The first value that is neither.
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

    /// Where a unit is shown that passes the filters.
    pub(super) fn place(self, unit: &UnitName, slice: Option<&UnitName>) -> Placement {
        if self.scopes && unit.unit_type() == UnitType::Scope && unit.as_str() != INIT {
            let rollup = |slice| RollupName(format!("{slice}{SCOPES}").into());
            return slice.map(rollup).map_or(Placement::Unresolved, Placement::RolledUp);
        }
        let template = unit.template().filter(|_| self.instances);
        template
            .map_or(Placement::Own, |name| Placement::RolledUp(RollupName(name.as_str().into())))
    }

    /// Whether a unit is rolled up.
    pub fn contain(self, unit: &UnitName) -> bool {
        self.place(unit, None) != Placement::Own
    }

    /// Whether there is a roll-up of this name.
    pub fn has(self, rollup: &RollupName) -> bool {
        if rollup.0.ends_with(SCOPES) { self.scopes } else { self.instances }
    }
}

// === impl RollupName ===

impl RollupName {
    /// Reads a name from the state file; `None` if it cannot be the name of a roll-up.
    fn new(name: &str) -> Option<Self> {
        let is_rollup = match name.strip_suffix(SCOPES) {
            Some(slice) => UnitName::new(slice).is_some_and(|it| it.unit_type() == UnitType::Slice),
            None => UnitName::new(name).is_some_and(|it| it.is_template()),
        };
        is_rollup.then(|| Self(name.into()))
    }

    /// The name as text: the value of the `name` label.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type of its units: what follows the last dot.
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
        Self::new(&name).ok_or_else(|| D::Error::custom(format_args!("{name:?} is not a roll-up")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(rules: Rollups, unit: &str, slice: Option<&str>) -> Option<String> {
        let slice = slice.map(|slice| UnitName::new(slice).unwrap());
        match rules.place(&UnitName::new(unit).unwrap(), slice.as_ref()) {
            Placement::Own => None,
            Placement::FilteredOut => panic!("a roll-up hides nothing"),
            Placement::Unresolved => Some("not yet".to_owned()),
            Placement::RolledUp(rollup) => {
                let written = serde_json::to_string(&rollup).unwrap();
                assert_eq!(serde_json::from_str::<RollupName>(&written).unwrap(), rollup);
                assert!(rules.has(&rollup) && !Rollups::default().has(&rollup));
                assert!(unit.ends_with(&format!(".{}", rollup.suffix())));
                Some(rollup.as_str().to_owned())
            }
        }
    }

    #[test]
    fn instances_are_rolled_up_under_their_template() {
        let instances = Rollups::read(["", "instances"]).unwrap();
        for (unit, template) in [
            ("getty@tty1.service", Some("getty@.service")),
            ("a@b@c.socket", Some("a@.socket")),
            ("app-org.example@1.2.service", Some("app-org.example@.service")),
            ("ssh.service", None),
            ("@x.service", None),
        ] {
            assert_eq!(placed(instances, unit, None).as_deref(), template, "{unit}");
            assert_eq!(placed(Rollups::default(), unit, None), None, "{unit}");
        }
    }

    #[test]
    fn scopes_are_rolled_up_under_their_slice() {
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
            assert_eq!(placed(scopes, unit, slice).as_deref(), name, "{unit}");
            assert_eq!(placed(both, unit, slice).as_deref(), name, "{unit}");
            assert_eq!(placed(Rollups::default(), unit, slice), None, "{unit}");
        }
        let template = placed(both, "a@x.service", Some("a.slice"));
        assert_eq!(template.as_deref(), Some("a@.service"));
    }

    #[test]
    fn a_value_that_is_no_kind_of_rollup_is_refused() {
        for word in ["instance", "all", "Instances"] {
            assert_eq!(Rollups::read(["instances", word]).unwrap_err().0, word);
        }
        assert_eq!(Rollups::read([""]).unwrap(), Rollups::default());
        let not_slices = ["/*.scope", "a.service/*.scope", "a b.slice/*.scope"];
        for name in [&["a.service", "", "a@b.service", "a@.service\n"], &not_slices[..]].concat() {
            let written = serde_json::to_string(name).unwrap();
            assert!(serde_json::from_str::<RollupName>(&written).is_err(), "{name:?}");
        }
    }
}
