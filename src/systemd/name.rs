//! Unit names, the types their suffixes stand for, and their spelling in D-Bus object paths.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The prefix of every unit's object path.
pub const UNIT_PATH_PREFIX: &str = "/org/freedesktop/systemd1/unit/";

/// systemd's own limit for the number of units in memory (`MANAGER_MAX_NAMES`).
pub const MAX_UNITS: usize = 131_072;

/// systemd's own limit for the length of a unit name, in bytes (`UNIT_NAME_MAX`).
const MAX_LEN: usize = 255;

/// The name of a unit, such as `ssh.service` or `dev-sda\x2d1.device`.
///
/// Cheap to clone: every table, queue and snapshot shares one allocation.
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
    /// Takes a name as systemd gives it; `None` if it cannot be one (empty, too long, without a
    /// suffix, or with bytes that systemd never lets into a name).
    pub fn new(name: &str) -> Option<Self> {
        let (prefix, suffix) = name.rsplit_once('.')?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
        let fits = !prefix.is_empty() && !suffix.is_empty() && name.len() <= MAX_LEN;
        (fits && name.bytes().all(valid)).then(|| Self(name.into()))
    }

    /// The unit that a D-Bus object path names; `None` if the path is not a unit's.
    pub fn from_object_path(path: &str) -> Option<Self> {
        let label = path.strip_prefix(UNIT_PATH_PREFIX)?;
        let mut name = Vec::with_capacity(label.len());
        let mut bytes = label.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'_' {
                name.push(byte);
                continue;
            }
            // `_2e` stands for `.`; systemd leaves an underscore that no two hex digits follow
            // as it is, and never writes one.
            let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            name.push(high << 4 | low);
        }
        Self::new(std::str::from_utf8(&name).ok()?)
    }

    /// The object path under which systemd serves this unit.
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

    /// The type that the suffix stands for.
    pub fn unit_type(&self) -> UnitType {
        UnitType::from_suffix(self.suffix())
    }

    /// Whether it is a template, such as `getty@.service`, and so no unit itself.
    pub fn is_template(&self) -> bool {
        self.0.rsplit_once('.').is_some_and(|(prefix, _)| prefix.ends_with('@'))
    }

    /// The template that it is an instance of: `getty@.service` of `getty@tty1.service`.
    pub fn template(&self) -> Option<Self> {
        let (stem, suffix) = self.0.rsplit_once('.')?;
        let (prefix, _) = stem.split_once('@').filter(|(prefix, _)| !prefix.is_empty())?;
        Some(Self(format!("{prefix}@.{suffix}").into()))
    }

    /// What follows the last dot: the value of the `type` label, also for types not known here.
    pub fn suffix(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(_, suffix)| suffix)
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
    fn object_paths_are_the_ones_systemd_serves() {
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
    fn what_is_not_a_name_is_refused() {
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
}
