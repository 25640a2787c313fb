//! The D-Bus properties that are read, each with its interface, its name and how to take its
//! value. A new metric's source starts here.

use zbus::Variant;

use super::name::{UnitName, UnitType};

/// A property's value, with systemd's ways of saying "none" folded into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A count, a size, or microseconds.
    Number(u64),
    /// A boolean.
    Flag(bool),
    /// A word, a name or a path.
    Text(Box<str>),
    /// A 128-bit identifier.
    Id(u128),
    /// Names of units.
    Units(Box<[UnitName]>),
    /// systemd says that there is no value: never happened, switched off, unlimited.
    Nothing,
}

/// How the value of a property is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueKind {
    /// A point in time in microseconds; 0 and the largest number mean never.
    Time,
    /// A number; the largest one means unlimited, unknown or switched off.
    Number,
    Flag,
    Text,
    /// 16 bytes; none of them means that there is none.
    Id,
    /// A number and an object path; 0 means none.
    Job,
    /// A name and a text, of which the name is taken.
    NamedText,
    /// A list of unit names. What cannot be one is left out, and all beyond the first [`MAX_NAMES`].
    Units,
    /// Two lists of exit statuses, of which it is taken whether anything is in them.
    Statuses,
    /// What a timer elapses by, of which it is taken whether anything in it repeats.
    Repeating,
    /// The state of a freezer, of which it is taken whether the unit is frozen.
    Freezer,
}

/// The longest text that is taken from a unit, in bytes: all of them are words of systemd's or
/// names, and none of those is longer than the longest name of a unit.
pub(super) const MAX_WORD: usize = 255;

/// The longest text that is taken from the manager, in bytes: the longest of them is a path.
const MAX_TEXT: usize = 4095;

/// The most names that are taken from one list. The longest list that matters is that of the units
/// which want one unit, and these are a few.
const MAX_NAMES: usize = 1024;

/// The value of a property is not of the type that it has had since systemd introduced it, or is a
/// text far longer than it can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("property {property} has a value of an unexpected type or length")]
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
            const fn definition(self) -> (&'static str, &'static str, ValueKind) {
                match self {
                    $(Self::$variant => ($interface, $name, ValueKind::$kind)),+
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
    StateChange = "Unit"."StateChangeTimestamp" as Time,
    ActiveEnterMonotonic = "Unit"."ActiveEnterTimestampMonotonic" as Time,
    ActiveExitMonotonic = "Unit"."ActiveExitTimestampMonotonic" as Time,
    InactiveExitMonotonic = "Unit"."InactiveExitTimestampMonotonic" as Time,
    ServiceType = "Service"."Type" as Text,
    Invocation = "Unit"."InvocationID" as Id,
    Job = "Unit"."Job" as Job,
    LoadError = "Unit"."LoadError" as NamedText,
    NeedDaemonReload = "Unit"."NeedDaemonReload" as Flag,
    Freezer = "Unit"."FreezerState" as Freezer,
    ConditionResult = "Unit"."ConditionResult" as Flag,
    ConditionTime = "Unit"."ConditionTimestampMonotonic" as Time,
    WantedBy = "Unit"."WantedBy" as Units,
    RequiredBy = "Unit"."RequiredBy" as Units,
    UpheldBy = "Unit"."UpheldBy" as Units,
    AssertResult = "Unit"."AssertResult" as Flag,
    AssertTime = "Unit"."AssertTimestampMonotonic" as Time,
    TriggeredBy = "Unit"."TriggeredBy" as Units,
    Conflicts = "Unit"."Conflicts" as Units,
    ConflictedBy = "Unit"."ConflictedBy" as Units,
    UnitFileState = "Unit"."UnitFileState" as Text,
    ExitMonotonic = "Service"."ExecMainExitTimestampMonotonic" as Time,
    RemainAfterExit = "Service"."RemainAfterExit" as Flag,
    BusName = "Service"."BusName" as Text,
    Restarts = "Service"."NRestarts" as Number,
    ExitTime = "Service"."ExecMainExitTimestamp" as Time,
    ExitCode = "Service"."ExecMainCode" as Number,
    ExitStatus = "Service"."ExecMainStatus" as Number,
    RestartPolicy = "Service"."Restart" as Text,
    RestartForced = "Service"."RestartForceExitStatus" as Statuses,
    RestartPrevented = "Service"."RestartPreventExitStatus" as Statuses,
    ServiceResult = "Service"."Result" as Text,
    SocketResult = "Socket"."Result" as Text,
    MountResult = "Mount"."Result" as Text,
    AutomountResult = "Automount"."Result" as Text,
    SwapResult = "Swap"."Result" as Text,
    TimerResult = "Timer"."Result" as Text,
    PathResult = "Path"."Result" as Text,
    ScopeResult = "Scope"."Result" as Text,
    ServiceReloadResult = "Service"."ReloadResult" as Text,
    MountReloadResult = "Mount"."ReloadResult" as Text,
    ServiceSlice = "Service"."Slice" as Text,
    SocketSlice = "Socket"."Slice" as Text,
    MountSlice = "Mount"."Slice" as Text,
    SwapSlice = "Swap"."Slice" as Text,
    ScopeSlice = "Scope"."Slice" as Text,
    TasksMax = "Service"."TasksMax" as Number,
    IpAccounting = "Service"."IPAccounting" as Flag,
    IpIngressBytes = "Service"."IPIngressBytes" as Number,
    IpEgressBytes = "Service"."IPEgressBytes" as Number,
    IpIngressPackets = "Service"."IPIngressPackets" as Number,
    IpEgressPackets = "Service"."IPEgressPackets" as Number,
    WatchdogInterval = "Service"."WatchdogUSec" as Time,
    WatchdogPing = "Service"."WatchdogTimestamp" as Time,
    Accept = "Socket"."Accept" as Flag,
    Accepted = "Socket"."NAccepted" as Number,
    Connections = "Socket"."NConnections" as Number,
    Refused = "Socket"."NRefused" as Number,
    LastTrigger = "Timer"."LastTriggerUSec" as Time,
    NextRealtime = "Timer"."NextElapseUSecRealtime" as Time,
    NextMonotonic = "Timer"."NextElapseUSecMonotonic" as Time,
    TimerUnit = "Timer"."Unit" as Text,
    TimersMonotonic = "Timer"."TimersMonotonic" as Repeating,
    TimersCalendar = "Timer"."TimersCalendar" as Repeating,
    RemainAfterElapse = "Timer"."RemainAfterElapse" as Flag,
    MountType = "Mount"."Type" as Text,
}

/// A set of properties of a unit, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertySet(u128);

const _: () = assert!(UnitProperty::ALL.len() <= 128, "PropertySet has a bit for 128 properties");

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
    fn take(
        variant: &Variant<'_>,
        kind: ValueKind,
        longest: usize,
        property: &str,
    ) -> Result<Self, WrongType> {
        let wrong = || WrongType { property: property.to_owned() };
        let number = match variant {
            Variant::U64(number) => Some(*number),
            Variant::U32(number) => Some(u64::from(*number)),
            Variant::I32(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        match (kind, variant, number) {
            (ValueKind::Text, Variant::Str(text), _) if text.len() <= longest => {
                Ok(Self::Text(text.as_str().into()))
            }
            (ValueKind::Flag, Variant::Bool(flag), _) => Ok(Self::Flag(*flag)),
            // A slice that is frozen freezes what is in it.
            (ValueKind::Freezer, Variant::Str(state), _) => {
                Ok(Self::Flag(matches!(state.as_str(), "frozen" | "frozen-by-parent")))
            }
            (ValueKind::Time, _, Some(0)) => Ok(Self::Nothing),
            (ValueKind::Time | ValueKind::Number, _, Some(u64::MAX)) => Ok(Self::Nothing),
            (ValueKind::Time | ValueKind::Number, _, Some(number)) => Ok(Self::Number(number)),
            (ValueKind::Units, Variant::Array(names), _) => {
                Self::units(names.inner()).ok_or_else(wrong)
            }
            (ValueKind::Repeating, Variant::Array(list), _) => {
                let repeats = list.inner().iter().map(Self::repeats).collect::<Option<Vec<_>>>();
                repeats.map(|repeats| Self::Flag(repeats.contains(&true))).ok_or_else(wrong)
            }
            (ValueKind::Id, Variant::Array(bytes), _) => Self::id(bytes.inner()).ok_or_else(wrong),
            (
                ValueKind::Job | ValueKind::NamedText | ValueKind::Statuses,
                Variant::Structure(both),
                _,
            ) => match (kind, both.fields()) {
                (ValueKind::Job, [Variant::U32(0), _]) => Ok(Self::Nothing),
                (ValueKind::Job, [Variant::U32(id), _]) => Ok(Self::Number(u64::from(*id))),
                (ValueKind::NamedText, [Variant::Str(name), _]) if name.len() <= longest => {
                    Ok(Self::Text(name.as_str().into()))
                }
                (ValueKind::Statuses, [Variant::Array(codes), Variant::Array(signals)]) => {
                    Ok(Self::Flag(!codes.is_empty() || !signals.is_empty()))
                }
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }

    /// Whether an entry of `TimersMonotonic` or `TimersCalendar` makes its timer elapse again and
    /// again, without end. Of the monotonic ones those do that count from the unit of the timer, and
    /// of the calendar ones those with any year.
    fn repeats(entry: &Variant<'_>) -> Option<bool> {
        let Variant::Structure(fields) = entry else { return None };
        match fields.fields() {
            [Variant::Str(base), Variant::U64(_), Variant::U64(_)] => {
                Some(matches!(base.as_str(), "OnUnitActiveUSec" | "OnUnitInactiveUSec"))
            }
            // Such as "Mon *-*-01 00:00:00".
            [Variant::Str(_), Variant::Str(dates), Variant::U64(_)] => {
                Some(dates.as_str().split(' ').any(|word| word.starts_with("*-")))
            }
            _ => None,
        }
    }

    fn id(bytes: &[Variant<'_>]) -> Option<Self> {
        let append = |id: u128, byte: &Variant<'_>| match byte {
            Variant::U8(byte) => Some(id << 8 | u128::from(*byte)),
            _ => None,
        };
        match bytes.len() {
            0 => Some(Self::Nothing),
            16 => bytes.iter().try_fold(0, append).map(Self::Id),
            _ => None,
        }
    }

    fn units(names: &[Variant<'_>]) -> Option<Self> {
        let text = |name: &Variant<'_>| match name {
            Variant::Str(name) => Some(UnitName::new(name.as_str())),
            _ => None,
        };
        let names: Option<Vec<_>> = names.iter().take(MAX_NAMES).map(text).collect();
        names.map(|names| Self::Units(names.into_iter().flatten().collect()))
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
        Value::take(variant, kind, MAX_WORD, name)
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

    /// What of a unit that runs may change without a signal: a service sets another
    /// watchdog interval, and before version 256 systemd freezes a unit and says nothing.
    pub const SILENT_WORDS: Self =
        Self::of(&[UnitProperty::WatchdogInterval, UnitProperty::Freezer]);

    /// What is taken for false until somebody looks, because it seldom is not: nothing waits for it.
    pub const PRESUMED: Self = Self::of(&[UnitProperty::NeedDaemonReload]);

    /// What systemd signals with each change of a service, and is of interest only at times.
    pub const SIGNALLED_DETAILS: Self =
        Self::of(&[UnitProperty::ExitCode, UnitProperty::ExitStatus, UnitProperty::Job]);

    /// Which units start this one. A list grows without a signal when another unit is loaded.
    pub const WANTING: Self =
        Self::of(&[UnitProperty::WantedBy, UnitProperty::RequiredBy, UnitProperty::UpheldBy]);

    /// Which units keep this one at rest while they are active: they start it when it is called for,
    /// or are there in its place.
    pub const EXCUSING: Self =
        Self::of(&[UnitProperty::TriggeredBy, UnitProperty::Conflicts, UnitProperty::ConflictedBy]);

    /// The lists of units that decide whether an inactive one should run.
    pub const RELATIONS: Self = Self::WANTING.union(Self::EXCUSING);

    /// Whether the last attempt to start a unit came to nothing by design.
    pub const CHECKS: Self = Self::of(&[
        UnitProperty::ConditionResult,
        UnitProperty::ConditionTime,
        UnitProperty::AssertResult,
        UnitProperty::AssertTime,
    ]);

    /// Settings that decide whether an inactive service rests by design.
    pub const RESTING_SERVICE: Self = Self::of(&[
        UnitProperty::RemainAfterExit,
        UnitProperty::BusName,
        UnitProperty::RestartPolicy,
        UnitProperty::RestartPrevented,
    ]);

    /// Settings that decide whether an inactive unit rests by design.
    pub const RESTING_SETTINGS: Self = Self::RESTING_SERVICE
        .with(UnitProperty::UnitFileState)
        .with(UnitProperty::RemainAfterElapse);

    /// How the last run of a service ended.
    pub const ENDING: Self = Self::of(&[
        UnitProperty::ActiveExitMonotonic,
        UnitProperty::ExitMonotonic,
        UnitProperty::StateChange,
    ]);

    /// All that decides whether an inactive unit should run.
    pub const RESTING: Self =
        Self::RELATIONS.union(Self::CHECKS).union(Self::RESTING_SETTINGS).union(Self::ENDING);

    /// What of that is not in the row of each unit.
    pub const REST: Self = Self::RESTING.without(Self::START_STAMPS);

    /// Decide whether a timer has elapsed for the last time.
    pub const ELAPSED: Self = Self::of(&[
        UnitProperty::LastTrigger,
        UnitProperty::TimersMonotonic,
        UnitProperty::TimersCalendar,
    ]);

    /// What tells whether only a failure is followed by an automatic restart.
    pub const RESTARTING: Self =
        Self::of(&[UnitProperty::RestartPolicy, UnitProperty::RestartForced]);

    /// In which slice a unit is.
    pub const SLICES: Self = Self::of(&[
        UnitProperty::ServiceSlice,
        UnitProperty::SocketSlice,
        UnitProperty::MountSlice,
        UnitProperty::SwapSlice,
        UnitProperty::ScopeSlice,
    ]);

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

    /// When a unit was last started and was up, on the clock that is never set.
    pub const START_STAMPS: Self = Self::of(&[
        UnitProperty::ActiveEnterMonotonic,
        UnitProperty::ActiveExitMonotonic,
        UnitProperty::InactiveExitMonotonic,
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

    /// Why the last run of a unit of this type ended: its `Result`.
    pub const fn result_of(unit_type: UnitType) -> Self {
        match unit_type {
            UnitType::Service => Self::of(&[UnitProperty::ServiceResult]),
            UnitType::Socket => Self::of(&[UnitProperty::SocketResult]),
            UnitType::Mount => Self::of(&[UnitProperty::MountResult]),
            UnitType::Automount => Self::of(&[UnitProperty::AutomountResult]),
            UnitType::Swap => Self::of(&[UnitProperty::SwapResult]),
            UnitType::Timer => Self::of(&[UnitProperty::TimerResult]),
            UnitType::Path => Self::of(&[UnitProperty::PathResult]),
            UnitType::Scope => Self::of(&[UnitProperty::ScopeResult]),
            _ => Self::EMPTY,
        }
    }

    /// What of a unit of this type systemd signals with each change, and tells of its runs: what
    /// is counted comes from it.
    pub const fn run_of(unit_type: UnitType) -> Self {
        let own: &[UnitProperty] = match unit_type {
            UnitType::Service => {
                &[UnitProperty::Invocation, UnitProperty::Restarts, UnitProperty::ExitTime]
            }
            // Nobody starts a device.
            UnitType::Device => &[],
            _ => &[UnitProperty::Invocation],
        };
        Self::of(own).union(Self::TIMES).union(Self::result_of(unit_type))
    }

    /// What else to read, beyond its state, of a loaded unit of this type. Most of it changes
    /// without a signal when systemd reloads.
    pub const fn details_of(unit_type: UnitType) -> Self {
        let own: &[UnitProperty] = match unit_type {
            UnitType::Service => {
                &[UnitProperty::ServiceType, UnitProperty::TasksMax, UnitProperty::IpAccounting]
            }
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
                UnitProperty::TimerUnit,
                UnitProperty::TimersMonotonic,
                UnitProperty::TimersCalendar,
            ],
            UnitType::Mount => &[UnitProperty::MountType],
            _ => &[],
        };
        Self::of(own).union(Self::slice_of(unit_type))
    }

    /// What changes without a signal when systemd reloads.
    pub const fn changed_by_reload(unit_type: UnitType) -> Self {
        Self::details_of(unit_type).union(Self::RELATIONS).union(Self::RESTING_SETTINGS)
    }

    /// In which slice a unit of this type is, where its processes are in one.
    const fn slice_of(unit_type: UnitType) -> Self {
        Self::of(match unit_type {
            UnitType::Service => &[UnitProperty::ServiceSlice],
            UnitType::Socket => &[UnitProperty::SocketSlice],
            UnitType::Mount => &[UnitProperty::MountSlice],
            UnitType::Swap => &[UnitProperty::SwapSlice],
            UnitType::Scope => &[UnitProperty::ScopeSlice],
            _ => &[],
        })
    }

    /// The set with one more property.
    pub const fn with(self, one: UnitProperty) -> Self {
        self.union(Self::of(&[one]))
    }

    /// Whether this property is in it.
    pub const fn has(self, one: UnitProperty) -> bool {
        self.intersects(Self::of(&[one]))
    }

    /// Whether all of the other set is in it.
    pub const fn contains(self, other: Self) -> bool {
        other.without(self).is_empty()
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
        UnitProperty::ALL.iter().copied().filter(move |one| self.has(*one))
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
            | Self::WatchdogDevice => ValueKind::Text,
            // Zero is a time here: the kernel starts at zero of the monotonic clock.
            Self::StageMonotonic(_) | Self::FailedUnits | Self::WatchdogRuntime => {
                ValueKind::Number
            }
            Self::Stage(_) | Self::WatchdogLastPing | Self::WatchdogLastPingMonotonic => {
                ValueKind::Time
            }
        };
        Value::take(variant, kind, MAX_TEXT, &self.name())
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
        assert_eq!(take(UnitProperty::ExitStatus, Variant::I32(7)), Value::Number(7));
    }

    #[test]
    fn an_invocation_is_sixteen_bytes_or_none() {
        let take = |bytes: &[u8]| UnitProperty::Invocation.take(&Variant::from(bytes.to_vec()));
        assert_eq!(take(&[]), Ok(Value::Nothing));
        let mut bytes = [0; 16];
        bytes[14..].copy_from_slice(&[1, 2]);
        assert_eq!(take(&bytes), Ok(Value::Id(0x102)));
        assert!(take(&bytes[1..]).is_err());
        assert!(UnitProperty::Invocation.take(&Variant::from(vec![7_u32; 16])).is_err());
    }

    #[test]
    fn a_list_of_units_is_bounded_and_holds_nothing_but_names() {
        let take = |names: Vec<String>| UnitProperty::WantedBy.take(&Variant::from(names));
        let units = |names: &[String]| {
            Ok(Value::Units(names.iter().filter_map(|name| UnitName::new(name)).collect()))
        };
        assert_eq!(take(Vec::new()), units(&[]));
        let odd = ["a.target", "", "no suffix", "b.service"].map(str::to_owned);
        assert_eq!(take(odd.to_vec()), units(&[odd[0].clone(), odd[3].clone()]));
        let many: Vec<_> = (0..MAX_NAMES + 1).map(|at| format!("u{at}.service")).collect();
        assert_eq!(take(many.clone()), units(&many[..MAX_NAMES]));
        assert!(UnitProperty::WantedBy.take(&Variant::from(vec![7_u32])).is_err());
        assert!(UnitProperty::WantedBy.take(&Variant::from("a.target")).is_err());
    }

    #[test]
    fn a_timer_repeats_that_counts_from_its_unit_or_has_any_year() {
        let of = |entries: Vec<(&str, u64, u64)>| {
            UnitProperty::TimersMonotonic.take(&Variant::from(entries))
        };
        assert_eq!(of(vec![]), Ok(Value::Flag(false)));
        assert_eq!(
            of(vec![("OnBootUSec", 1, 2), ("OnUnitActiveUSec", 1, 2)]),
            Ok(Value::Flag(true))
        );
        assert_eq!(of(vec![("OnUnitInactiveUSec", 1, 2)]), Ok(Value::Flag(true)));
        assert_eq!(
            of(vec![("OnActiveUSec", 1, 2), ("OnStartupUSec", 1, 2)]),
            Ok(Value::Flag(false))
        );
        for (dates, repeats) in [
            ("*-*-* 00:00:00", true),
            ("Mon..Fri *-01/3-01 06:00:00 America/Port-au-Prince", true),
            ("*-02~01 00:00:00", true),
            ("2020-01-01 00:00:00", false),
            ("Sat 2024..2026-*-* 00:00:00 UTC", false),
        ] {
            let taken = UnitProperty::TimersCalendar.take(&Variant::from(vec![(
                "OnCalendar",
                dates,
                0_u64,
            )]));
            assert_eq!(taken, Ok(Value::Flag(repeats)), "{dates}");
        }
        assert!(
            UnitProperty::TimersCalendar.take(&Variant::from(vec![("OnCalendar", 7_u64)])).is_err()
        );
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        let wrong = UnitProperty::Restarts.take(&Variant::from("seven")).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "property NRestarts has a value of an unexpected type or length"
        );
        assert!(UnitProperty::Accept.take(&Variant::U32(1)).is_err());
        assert!(ManagerProperty::Version.take(&Variant::Bool(true)).is_err());
        let long = |length: usize| Variant::from("x".repeat(length));
        assert!(UnitProperty::SubState.take(&long(MAX_WORD)).is_ok());
        assert!(UnitProperty::SubState.take(&long(MAX_WORD + 1)).is_err());
        assert!(ManagerProperty::ControlGroup.take(&long(MAX_TEXT)).is_ok());
        assert!(ManagerProperty::ControlGroup.take(&long(MAX_TEXT + 1)).is_err());
    }

    #[test]
    fn sets_hold_what_they_were_given() {
        let socket = PropertySet::details_of(UnitType::Socket);
        let listed: Vec<_> = socket.iter().collect();
        assert_eq!(
            listed,
            [
                UnitProperty::SocketSlice,
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
