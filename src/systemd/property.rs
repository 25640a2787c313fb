//! The D-Bus properties that are read, each with its interface, its name and how to take its
//! value. A new metric's source starts here.

use zbus::Variant;

use super::name::UnitType;

/// A property's value, with systemd's ways of saying "none" folded into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A count, a size, or microseconds.
    Number(u64),
    /// A boolean.
    Flag(bool),
    /// A word, a name or a path.
    Text(Box<str>),
    /// systemd says that there is no value: never happened, switched off, unlimited.
    Nothing,
}

/// How the value of a property is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A point in time in microseconds; 0 and the largest number mean never.
    Time,
    /// A number; the largest one means unlimited, unknown or switched off.
    Number,
    Flag,
    Text,
}

/// The value of a property is not of the type that it has had since systemd introduced it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("property {property} has a value of an unexpected type")]
pub struct WrongType {
    /// The property's name.
    pub property: String,
}

macro_rules! unit_properties {
    ($($variant:ident = $interface:literal . $name:literal as $kind:ident),+ $(,)?) => {
        /// A property of a unit that the exporter reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are systemd's own")]
        pub enum UnitProperty {
            $($variant),+
        }

        impl UnitProperty {
            /// Every property, in the order in which they are asked for.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The interface without `org.freedesktop.systemd1.`, the name, and how to take it.
            const fn definition(self) -> (&'static str, &'static str, Kind) {
                match self {
                    $(Self::$variant => ($interface, $name, Kind::$kind)),+
                }
            }
        }
    };
}

unit_properties! {
    LoadState = "Unit"."LoadState" as Text,
    ActiveState = "Unit"."ActiveState" as Text,
    SubState = "Unit"."SubState" as Text,
    ActiveEnter = "Unit"."ActiveEnterTimestamp" as Time,
    ActiveExit = "Unit"."ActiveExitTimestamp" as Time,
    InactiveEnter = "Unit"."InactiveEnterTimestamp" as Time,
    InactiveExit = "Unit"."InactiveExitTimestamp" as Time,
    ServiceType = "Service"."Type" as Text,
    Restarts = "Service"."NRestarts" as Number,
    TasksMax = "Service"."TasksMax" as Number,
    Slice = "Service"."Slice" as Text,
    IpAccounting = "Service"."IPAccounting" as Flag,
    IpIngressBytes = "Service"."IPIngressBytes" as Number,
    IpEgressBytes = "Service"."IPEgressBytes" as Number,
    IpIngressPackets = "Service"."IPIngressPackets" as Number,
    IpEgressPackets = "Service"."IPEgressPackets" as Number,
    Accept = "Socket"."Accept" as Flag,
    Accepted = "Socket"."NAccepted" as Number,
    Connections = "Socket"."NConnections" as Number,
    Refused = "Socket"."NRefused" as Number,
    LastTrigger = "Timer"."LastTriggerUSec" as Time,
    NextRealtime = "Timer"."NextElapseUSecRealtime" as Time,
    NextMonotonic = "Timer"."NextElapseUSecMonotonic" as Time,
    MountType = "Mount"."Type" as Text,
}

/// A set of properties of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertySet(u32);

/// A property of the manager that the exporter reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are systemd's own")]
pub enum ManagerProperty {
    Version,
    Architecture,
    Virtualization,
    ConfidentialVirtualization,
    Tainted,
    ControlGroup,
    SystemState,
    FailedUnits,
    WatchdogDevice,
    WatchdogRuntime,
    WatchdogLastPing,
    WatchdogLastPingMonotonic,
    /// `<Stage>Timestamp` of a boot stage.
    Stage(&'static str),
    /// `<Stage>TimestampMonotonic` of a boot stage.
    StageMonotonic(&'static str),
}

// === impl Value ===

impl Value {
    fn take(variant: &Variant<'_>, kind: Kind, property: &str) -> Result<Self, WrongType> {
        let number = match variant {
            Variant::U64(number) => Some(*number),
            Variant::U32(number) => Some(u64::from(*number)),
            _ => None,
        };
        match (kind, variant, number) {
            (Kind::Text, Variant::Str(text), _) => Ok(Self::Text(text.as_str().into())),
            (Kind::Flag, Variant::Bool(flag), _) => Ok(Self::Flag(*flag)),
            (Kind::Time, _, Some(0)) => Ok(Self::Nothing),
            (Kind::Time | Kind::Number, _, Some(u64::MAX)) => Ok(Self::Nothing),
            (Kind::Time | Kind::Number, _, Some(number)) => Ok(Self::Number(number)),
            _ => Err(WrongType { property: property.to_owned() }),
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

// === impl UnitProperty ===

impl UnitProperty {
    /// The full name of its D-Bus interface.
    pub fn interface(self) -> String {
        format!("org.freedesktop.systemd1.{}", self.definition().0)
    }

    /// Its D-Bus name.
    pub fn name(self) -> &'static str {
        self.definition().1
    }

    /// The property of that name on that interface, if it is one that is read.
    pub fn find(interface: &str, name: &str) -> Option<Self> {
        let short = interface.strip_prefix("org.freedesktop.systemd1.")?;
        let matches = |property: &&Self| {
            let (interface, property, _) = property.definition();
            interface == short && property == name
        };
        Self::ALL.iter().find(matches).copied()
    }

    /// Takes the property's value out of a D-Bus variant.
    ///
    /// # Errors
    /// [`WrongType`] if the variant holds another type than systemd documents.
    pub fn take(self, variant: &Variant<'_>) -> Result<Value, WrongType> {
        let (_, name, kind) = self.definition();
        Value::take(variant, kind, name)
    }
}

// === impl PropertySet ===

impl PropertySet {
    /// No property.
    pub const EMPTY: Self = Self(0);

    /// What must be known before a unit is shown at all.
    pub const STATE: Self =
        Self::of(&[UnitProperty::LoadState, UnitProperty::ActiveState, UnitProperty::SubState]);

    /// Settings that `systemctl set-property` changes without a signal.
    pub const SILENT_SETTINGS: Self =
        Self::of(&[UnitProperty::TasksMax, UnitProperty::IpAccounting]);

    /// A socket's counters, which systemd never signals.
    pub const CONNECTION_COUNTERS: Self =
        Self::of(&[UnitProperty::Accepted, UnitProperty::Connections, UnitProperty::Refused]);

    /// A service's IP counters, which systemd never signals.
    pub const IP_COUNTERS: Self = Self::of(&[
        UnitProperty::IpIngressBytes,
        UnitProperty::IpEgressBytes,
        UnitProperty::IpIngressPackets,
        UnitProperty::IpEgressPackets,
    ]);

    const TIMES: Self = Self::of(&[
        UnitProperty::ActiveEnter,
        UnitProperty::ActiveExit,
        UnitProperty::InactiveEnter,
        UnitProperty::InactiveExit,
    ]);

    /// A set of the given properties.
    pub const fn of(properties: &[UnitProperty]) -> Self {
        let (mut set, mut rest) = (0, properties);
        while let [first, others @ ..] = rest {
            set |= 1 << *first as u32;
            rest = others;
        }
        Self(set)
    }

    /// What to read, beyond its state, of a loaded unit of this type.
    pub fn details_of(unit_type: UnitType) -> Self {
        let own: &[UnitProperty] = match unit_type {
            UnitType::Service => &[
                UnitProperty::ServiceType,
                UnitProperty::Restarts,
                UnitProperty::TasksMax,
                UnitProperty::Slice,
                UnitProperty::IpAccounting,
            ],
            // The three counters stay at zero for a socket that hands itself over whole, and are
            // asked for again at each scrape for one that accepts connections.
            UnitType::Socket => &[
                UnitProperty::Accept,
                UnitProperty::Accepted,
                UnitProperty::Connections,
                UnitProperty::Refused,
            ],
            UnitType::Timer => &[
                UnitProperty::LastTrigger,
                UnitProperty::NextRealtime,
                UnitProperty::NextMonotonic,
            ],
            UnitType::Mount => &[UnitProperty::MountType],
            _ => &[],
        };
        Self::TIMES.union(Self::of(own))
    }

    /// All that is in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// All that is in this set and not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the two have anything in common.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The properties in it.
    pub fn iter(self) -> impl Iterator<Item = UnitProperty> {
        UnitProperty::ALL.iter().copied().filter(move |one| self.intersects(Self::of(&[*one])))
    }
}

// === impl ManagerProperty ===

impl ManagerProperty {
    /// Its D-Bus name.
    pub fn name(self) -> String {
        let name = match self {
            Self::Version => "Version",
            Self::Architecture => "Architecture",
            Self::Virtualization => "Virtualization",
            Self::ConfidentialVirtualization => "ConfidentialVirtualization",
            Self::Tainted => "Tainted",
            Self::ControlGroup => "ControlGroup",
            Self::SystemState => "SystemState",
            Self::FailedUnits => "NFailedUnits",
            Self::WatchdogDevice => "WatchdogDevice",
            Self::WatchdogRuntime => "RuntimeWatchdogUSec",
            Self::WatchdogLastPing => "WatchdogLastPingTimestamp",
            Self::WatchdogLastPingMonotonic => "WatchdogLastPingTimestampMonotonic",
            Self::Stage(stage) => return format!("{stage}Timestamp"),
            Self::StageMonotonic(stage) => return format!("{stage}TimestampMonotonic"),
        };
        name.to_owned()
    }

    /// Whether it changes and systemd never signals that, so that it is true only when asked for.
    pub fn is_volatile(self) -> bool {
        matches!(
            self,
            Self::SystemState
                | Self::WatchdogRuntime
                | Self::WatchdogLastPing
                | Self::WatchdogLastPingMonotonic
        )
    }

    /// Takes the property's value out of a D-Bus variant.
    ///
    /// # Errors
    /// [`WrongType`] if the variant holds another type than systemd documents.
    pub fn take(self, variant: &Variant<'_>) -> Result<Value, WrongType> {
        let kind = match self {
            Self::Version
            | Self::Architecture
            | Self::Virtualization
            | Self::ConfidentialVirtualization
            | Self::Tainted
            | Self::ControlGroup
            | Self::SystemState
            | Self::WatchdogDevice => Kind::Text,
            // Zero is a time here: the kernel starts at zero of the monotonic clock.
            Self::StageMonotonic(_) | Self::FailedUnits | Self::WatchdogRuntime => Kind::Number,
            Self::Stage(_) | Self::WatchdogLastPing | Self::WatchdogLastPingMonotonic => Kind::Time,
        };
        Value::take(variant, kind, &self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_unknown_is_nothing() {
        let take = |property: UnitProperty, variant| property.take(&variant).unwrap();
        assert_eq!(take(UnitProperty::ActiveEnter, Variant::U64(0)), Value::Nothing);
        assert_eq!(take(UnitProperty::LastTrigger, Variant::U64(u64::MAX)), Value::Nothing);
        assert_eq!(take(UnitProperty::TasksMax, Variant::U64(u64::MAX)), Value::Nothing);
        assert_eq!(take(UnitProperty::TasksMax, Variant::U64(0)), Value::Number(0));
        assert_eq!(take(UnitProperty::Restarts, Variant::U32(7)), Value::Number(7));
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        let wrong = UnitProperty::Restarts.take(&Variant::from("seven")).unwrap_err();
        assert_eq!(wrong.to_string(), "property NRestarts has a value of an unexpected type");
        assert!(UnitProperty::Accept.take(&Variant::U32(1)).is_err());
        assert!(ManagerProperty::Version.take(&Variant::Bool(true)).is_err());
    }

    #[test]
    fn sets_hold_what_they_were_given() {
        assert!(UnitProperty::ALL.len() <= 32, "PropertySet has 32 places");
        let socket = PropertySet::details_of(UnitType::Socket);
        let listed: Vec<_> = socket.without(PropertySet::TIMES).iter().collect();
        assert_eq!(
            listed,
            [
                UnitProperty::Accept,
                UnitProperty::Accepted,
                UnitProperty::Connections,
                UnitProperty::Refused
            ]
        );
        assert!(!socket.intersects(PropertySet::STATE));
        let found = UnitProperty::find("org.freedesktop.systemd1.Socket", "NAccepted");
        assert_eq!(found, Some(UnitProperty::Accepted));
        assert_eq!(UnitProperty::find("org.freedesktop.systemd1.Mount", "NAccepted"), None);
    }
}
