//! Unit names, unit types, and their spelling in D-Bus object paths.

use std::{
    borrow::{Borrow, Cow},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The prefix of every unit's object path.
pub const UNIT_PATH_PREFIX: &str = "/org/freedesktop/systemd1/unit/";

/// systemd's limit for the number of units in memory (`MANAGER_MAX_NAMES`).
pub const MAX_UNITS: usize = 131_072;

/// systemd's limit for the length of a unit name, in bytes (`UNIT_NAME_MAX`).
const MAX_LEN: usize = 255;

/// The name of a unit, such as `ssh.service` or `dev-sda\x2d1.device`.
///
/// Cheap to clone: all clones share one allocation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(Arc<str>);

macro_rules! unit_types {
    ($($variant:ident = $suffix:literal),+ $(,)?) => {
        /// The type of a unit, from the suffix of its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names are systemd's own")]
        pub enum UnitType {
            $($variant,)+
            /// A type that this version does not know.
            Other,
        }

        impl UnitType {
            /// Every type that systemd has today.
            pub const ALL: [Self; [$($suffix),+].len()] = [$(Self::$variant),+];

            /// The suffix, as in `ssh.service`, and the value of the `type` label.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $suffix,)+
                    Self::Other => "other",
                }
            }

            /// Its D-Bus interface without `org.freedesktop.systemd1.`.
            pub(super) fn interface(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                    Self::Other => "Unit",
                }
            }
        }
    };
}

unit_types! {
    Service = "service",
    Socket = "socket",
    Target = "target",
    Device = "device",
    Mount = "mount",
    Automount = "automount",
    Swap = "swap",
    Timer = "timer",
    Path = "path",
    Slice = "slice",
    Scope = "scope",
}

// === impl UnitName ===

impl UnitName {
    /// A unit name from systemd. `None` if systemd would not allow it: empty, too long, without a
    /// suffix, or with other characters.
    pub fn new(name: &str) -> Option<Self> {
        let (prefix, suffix) = name.rsplit_once('.')?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
        let fits = !prefix.is_empty() && !suffix.is_empty() && name.len() <= MAX_LEN;
        (fits && name.bytes().all(valid)).then(|| Self(name.into()))
    }

    /// The unit at a D-Bus object path. `None` if the path is not a unit's.
    pub fn from_object_path(path: &str) -> Option<Self> {
        let label = path.strip_prefix(UNIT_PATH_PREFIX)?;
        let mut name = Vec::with_capacity(label.len());
        let mut bytes = label.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'_' {
                name.push(byte);
                continue;
            }
            // `_2e` stands for `.`. systemd never writes an underscore without two hex digits.
            let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            name.push(high * 16 + low);
        }
        Self::new(std::str::from_utf8(&name).ok()?)
    }

    /// The D-Bus object path of the unit.
    pub fn object_path(&self) -> String {
        let mut path = String::with_capacity(UNIT_PATH_PREFIX.len() + self.0.len() * 2);
        path.push_str(UNIT_PATH_PREFIX);
        for (at, byte) in self.0.bytes().enumerate() {
            // A leading digit is escaped too: systemd treats the label like a C identifier.
            if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
                path.push(char::from(byte));
            } else {
                path.push('_');
                for digit in [byte >> 4, byte & 15] {
                    path.extend(char::from_digit(digit.into(), 16));
                }
            }
        }
        path
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type, from the suffix.
    pub fn unit_type(&self) -> UnitType {
        UnitType::from_suffix(self.suffix())
    }

    /// Whether it is a template, such as `getty@.service`, and not a unit.
    pub fn is_template(&self) -> bool {
        self.0.rsplit_once('.').is_some_and(|(prefix, _)| prefix.ends_with('@'))
    }

    /// The template that it is an instance of: `getty@.service` of `getty@tty1.service`.
    pub fn template(&self) -> Option<Self> {
        let (stem, suffix) = self.0.rsplit_once('.')?;
        let (prefix, _) = stem.split_once('@').filter(|(prefix, _)| !prefix.is_empty())?;
        Some(Self(format!("{prefix}@.{suffix}").into()))
    }

    /// The text after the last dot: the value of the `type` label, also for unknown types.
    pub fn suffix(&self) -> &str {
        // Suffixes are short, and each scrape needs those of all units.
        let dot = self.0.bytes().rposition(|byte| byte == b'.');
        dot.and_then(|dot| self.0.get(dot + 1..)).unwrap_or_default()
    }
}

/// Equal, ordered and hashed as its text.
impl Borrow<str> for UnitName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for UnitName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UnitName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&name).ok_or_else(|| D::Error::custom(format_args!("{name:?} is not a unit")))
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

// === impl UnitType ===

impl Serialize for UnitType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for UnitType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_suffix(&Cow::<'de, str>::deserialize(deserializer)?))
    }
}

impl UnitType {
    /// The type with this suffix; [`UnitType::Other`] if systemd has none today.
    pub fn from_suffix(suffix: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.as_str() == suffix).unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_paths_are_spelled_as_systemd_spells_them() {
        for (name, label) in [
            ("ssh.service", "ssh_2eservice"),
            ("-.mount", "_2d_2emount"),
            (r"dev-disk-by\x2did-a.device", "dev_2ddisk_2dby_5cx2did_2da_2edevice"),
            ("user@1000.service", "user_401000_2eservice"),
            ("1password_x.service", "_31password_5fx_2eservice"),
        ] {
            let unit = UnitName::new(name).unwrap();
            let path = format!("{UNIT_PATH_PREFIX}{label}");
            assert_eq!(unit.object_path(), path);
            assert_eq!(UnitName::from_object_path(&path), Some(unit));
        }
    }

    #[test]
    fn invalid_names_and_paths_are_refused() {
        for name in ["", "ssh", ".service", "a.", "a b.service", "a\nb.service", "é.service"] {
            assert_eq!(UnitName::new(name), None, "{name:?}");
        }
        assert_eq!(UnitName::new(&format!("{}.service", "x".repeat(MAX_LEN))), None);
        for path in ["/", "/org/freedesktop/systemd1/job/1", UNIT_PATH_PREFIX] {
            assert_eq!(UnitName::from_object_path(path), None, "{path:?}");
        }
        for label in ["a_2", "a_zz", "a_2eservice_", "a_0a_2eservice", "a_ff_2eservice"] {
            let path = format!("{UNIT_PATH_PREFIX}{label}");
            assert_eq!(UnitName::from_object_path(&path), None, "{path:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_bytes() {
        assert!(UnitName::new(&format!("{}.service", "x".repeat(247))).is_some());
        assert_eq!(UnitName::new(&format!("{}.service", "x".repeat(248))), None);
    }

    #[test]
    fn an_instance_has_a_template_and_a_template_has_no_instance_name() {
        for (name, template, is_template) in [
            ("getty@tty1.service", Some("getty@.service"), false),
            ("a@b@c.service", Some("a@.service"), false),
            ("getty@.service", Some("getty@.service"), true),
            ("ssh.service", None, false),
            ("@x.service", None, false),
        ] {
            let unit = UnitName::new(name).unwrap();
            let found = unit.template();
            assert_eq!(found.as_ref().map(UnitName::as_str), template, "{name}");
            assert_eq!(unit.is_template(), is_template, "{name}");
        }
    }

    #[test]
    fn a_type_is_named_by_the_suffix_and_by_its_interface() {
        for unit_type in UnitType::ALL {
            let unit = UnitName::new(&format!("a.b.{}", unit_type.as_str())).unwrap();
            assert_eq!((unit.unit_type(), unit.suffix()), (unit_type, unit_type.as_str()));
            assert_eq!(unit_type.interface().to_ascii_lowercase(), unit_type.as_str());
        }
        let future = UnitName::new("a.future").unwrap();
        assert_eq!((future.unit_type(), future.suffix()), (UnitType::Other, "future"));
        assert_eq!((UnitType::Other.as_str(), UnitType::Other.interface()), ("other", "Unit"));
    }

    #[test]
    fn names_and_types_are_written_as_text_and_read_again() {
        let unit = UnitName::new("a.service").unwrap();
        let text = serde_json::to_string(&(&unit, UnitType::Mount)).unwrap();
        assert_eq!(text, r#"["a.service","mount"]"#);
        assert_eq!(
            serde_json::from_str::<(UnitName, UnitType)>(&text).unwrap(),
            (unit.clone(), UnitType::Mount)
        );
        let error = serde_json::from_str::<UnitName>(r#""a""#).unwrap_err();
        assert!(error.to_string().contains(r#""a" is not a unit"#), "{error}");
        assert_eq!(format!("{unit} {unit:?}"), r#"a.service "a.service""#);
    }
}
