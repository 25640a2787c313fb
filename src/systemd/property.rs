//! The D-Bus properties that are read: on which interface each is, how its value is taken and what
//! it is read for. A property for a new metric is added here.

use zbus::Variant;

use super::name::{UnitName, UnitType};

/// A property's value. What systemd writes for "none" is [`Value::Nothing`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A count, a size, or microseconds.
    Number(u64),
    /// A boolean.
    Flag(bool),
    /// A state, a name or a path.
    Text(Box<str>),
    /// A 128-bit identifier.
    Id(u128),
    /// Names of units.
    Units(Box<[UnitName]>),
    /// No value: never happened, switched off, unlimited.
    Nothing,
}

/// How a property's value is taken from its variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueKind {
    /// A time in microseconds. 0 and the largest number mean never.
    Time,
    /// A number. The largest one means unlimited, unknown or switched off.
    Number,
    /// A boolean.
    Flag,
    /// A text.
    Text,
    /// 16 bytes, or none at all.
    Id,
    /// A number and an object path: the number. 0 means none.
    Job,
    /// A name and a text: the name. An empty name means none.
    NamedText,
    /// A list of unit names: the valid ones among the first [`MAX_NAMES`].
    Units,
    /// Two lists of exit statuses: whether either has an entry.
    Statuses,
    /// The times at which a timer elapses: whether any of them repeats.
    Repeating,
    /// The state of the freezer: whether the unit is frozen.
    Freezer,
}

/// The longest text taken from a unit, in bytes. All of them are states or names, and systemd's
/// longest name is that of a unit.
pub(super) const MAX_UNIT_TEXT: usize = 255;

/// The longest text taken from the manager, in bytes. The longest is a path.
const MAX_TEXT: usize = 4095;

/// The most names taken from one list. The lists that matter are short: a few units want one unit.
const MAX_NAMES: usize = 1024;

/// A property's value is not of the type that systemd documents, or its text is too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("property {property} has a value of an unexpected type or length")]
pub struct WrongType {
    /// The property's name.
    pub property: String,
}

/// What a property is read for. Each is a set of [`PropertySet`], which says more.
#[derive(Clone, Copy, Debug)]
enum Use {
    State,
    Run,
    Result,
    RunEnd,
    Details,
    Slice,
    AtReconcile,
    PresumedFalse,
    RunDetails,
    Start,
    WantingUnits,
    TriggersAndConflicts,
    Conditions,
    ByDesign,
    ServiceByDesign,
    RestartSettings,
    LastElapse,
    Connections,
    Ip,
}

/// A row of the table of unit properties.
struct PropertyRow {
    /// The unit types whose interfaces have it, one bit each; [`EVERY_TYPE`] for that of all units.
    types: u16,
    name: &'static str,
    kind: ValueKind,
    /// One bit for each [`Use`].
    uses: u32,
}

const EVERY_TYPE: u16 = u16::MAX;

macro_rules! unit_properties {
    (@types Unit) => { EVERY_TYPE };
    (@types $($of:ident)+) => { 0 $(| 1 << UnitType::$of as u16)+ };
    ($(
        $variant:ident = $($of:ident)|+ . $name:literal as $kind:ident, for [$($use:ident)*];
    )+) => {
        /// A property of a unit that the exporter reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are systemd's own")]
        pub enum UnitProperty {
            $($variant),+
        }

        impl UnitProperty {
            /// Every property, in the order in which they are asked for.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            const fn row(self) -> PropertyRow {
                match self {
                    $(Self::$variant => PropertyRow {
                        types: unit_properties!(@types $($of)+),
                        name: $name,
                        kind: ValueKind::$kind,
                        uses: 0 $(| 1 << Use::$use as u32)*,
                    }),+
                }
            }
        }
    };
}

// A row: the property's interfaces and name, how its value is taken, and what it is read for. The
// inventory asks by name for those that are in no set.
unit_properties! {
    LoadState = Unit."LoadState" as Text, for [State];
    ActiveState = Unit."ActiveState" as Text, for [State];
    SubState = Unit."SubState" as Text, for [State];
    ActiveEnter = Unit."ActiveEnterTimestamp" as Time, for [Run];
    ActiveExit = Unit."ActiveExitTimestamp" as Time, for [Run];
    InactiveEnter = Unit."InactiveEnterTimestamp" as Time, for [Run];
    InactiveExit = Unit."InactiveExitTimestamp" as Time, for [Run];
    StateChange = Unit."StateChangeTimestamp" as Time, for [RunEnd];
    ActiveEnterMonotonic = Unit."ActiveEnterTimestampMonotonic" as Time, for [Start];
    ActiveExitMonotonic = Unit."ActiveExitTimestampMonotonic" as Time, for [Start RunEnd];
    InactiveExitMonotonic = Unit."InactiveExitTimestampMonotonic" as Time, for [Start];
    ServiceType = Service."Type" as Text, for [Details];
    Invocation = Unit."InvocationID" as Id, for [Run];
    Job = Unit."Job" as Job, for [RunDetails];
    LoadError = Unit."LoadError" as NamedText, for [];
    NeedDaemonReload = Unit."NeedDaemonReload" as Flag, for [PresumedFalse];
    Freezer = Unit."FreezerState" as Freezer, for [AtReconcile];
    ConditionResult = Unit."ConditionResult" as Flag, for [Conditions];
    ConditionTime = Unit."ConditionTimestampMonotonic" as Time, for [Conditions];
    WantedBy = Unit."WantedBy" as Units, for [WantingUnits];
    RequiredBy = Unit."RequiredBy" as Units, for [WantingUnits];
    UpheldBy = Unit."UpheldBy" as Units, for [WantingUnits];
    AssertResult = Unit."AssertResult" as Flag, for [Conditions];
    AssertTime = Unit."AssertTimestampMonotonic" as Time, for [Conditions];
    TriggeredBy = Unit."TriggeredBy" as Units, for [TriggersAndConflicts];
    Conflicts = Unit."Conflicts" as Units, for [TriggersAndConflicts];
    ConflictedBy = Unit."ConflictedBy" as Units, for [TriggersAndConflicts];
    UnitFileState = Unit."UnitFileState" as Text, for [ByDesign];
    ExitMonotonic = Service."ExecMainExitTimestampMonotonic" as Time, for [RunEnd];
    RemainAfterExit = Service."RemainAfterExit" as Flag, for [ServiceByDesign];
    BusName = Service."BusName" as Text, for [ServiceByDesign];
    Restarts = Service."NRestarts" as Number, for [Run];
    ExitTime = Service."ExecMainExitTimestamp" as Time, for [Run];
    ExitCode = Service."ExecMainCode" as Number, for [RunDetails];
    ExitStatus = Service."ExecMainStatus" as Number, for [RunDetails];
    RestartPolicy = Service."Restart" as Text, for [ServiceByDesign RestartSettings];
    RestartForced = Service."RestartForceExitStatus" as Statuses, for [RestartSettings];
    RestartPrevented = Service."RestartPreventExitStatus" as Statuses, for [ServiceByDesign];
    Result = Service | Socket | Mount | Automount | Swap | Timer | Path | Scope
        ."Result" as Text, for [Run Result];
    ReloadResult = Service | Mount."ReloadResult" as Text, for [];
    Slice = Service | Socket | Mount | Swap."Slice" as Text, for [Details Slice];
    ScopeSlice = Scope."Slice" as Text, for [Details Slice];
    TasksMax = Service."TasksMax" as Number, for [Details AtReconcile];
    IpAccounting = Service."IPAccounting" as Flag, for [Details AtReconcile];
    IpIngressBytes = Service."IPIngressBytes" as Number, for [Ip];
    IpEgressBytes = Service."IPEgressBytes" as Number, for [Ip];
    IpIngressPackets = Service."IPIngressPackets" as Number, for [Ip];
    IpEgressPackets = Service."IPEgressPackets" as Number, for [Ip];
    WatchdogInterval = Service."WatchdogUSec" as Time, for [AtReconcile];
    WatchdogPing = Service."WatchdogTimestamp" as Time, for [];
    Accept = Socket."Accept" as Flag, for [Details];
    Accepted = Socket."NAccepted" as Number, for [Details Connections];
    Connections = Socket."NConnections" as Number, for [Details Connections];
    Refused = Socket."NRefused" as Number, for [Details Connections];
    LastTrigger = Timer."LastTriggerUSec" as Time, for [Details LastElapse];
    NextRealtime = Timer."NextElapseUSecRealtime" as Time, for [Details];
    NextMonotonic = Timer."NextElapseUSecMonotonic" as Time, for [Details];
    TimerUnit = Timer."Unit" as Text, for [Details];
    TimersMonotonic = Timer."TimersMonotonic" as Repeating, for [Details LastElapse];
    TimersCalendar = Timer."TimersCalendar" as Repeating, for [Details LastElapse];
    RemainAfterElapse = Timer."RemainAfterElapse" as Flag, for [ByDesign];
    MountType = Mount."Type" as Text, for [Details];
}

/// A set of properties of a unit, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertySet(u128);

const _: () = assert!(UnitProperty::ALL.len() <= 128, "PropertySet has a bit for 128 properties");

macro_rules! manager_properties {
    (
        volatile { $($volatile:ident = $volatile_name:literal as $volatile_kind:ident;)+ }
        lasting { $($lasting:ident = $name:literal as $kind:ident;)+ }
    ) => {
        /// A property of the manager that the exporter reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are systemd's own")]
        pub enum ManagerProperty {
            $($volatile,)+
            $($lasting,)+
            /// `<Stage>Timestamp` of a boot stage.
            Stage(&'static str),
            /// `<Stage>TimestampMonotonic` of a boot stage.
            StageMonotonic(&'static str),
        }

        impl ManagerProperty {
            /// Those that never change, or whose changes systemd signals; without the boot stages.
            pub const LASTING: &'static [Self] = &[$(Self::$lasting),+];

            /// Whether it changes without a signal, and so must be asked for at each scrape.
            pub fn is_volatile(self) -> bool {
                matches!(self, $(Self::$volatile)|+)
            }

            /// Its D-Bus name.
            pub fn name(self) -> String {
                match self {
                    $(Self::$volatile => $volatile_name.to_owned(),)+
                    $(Self::$lasting => $name.to_owned(),)+
                    Self::Stage(stage) => format!("{stage}Timestamp"),
                    Self::StageMonotonic(stage) => format!("{stage}TimestampMonotonic"),
                }
            }

            fn kind(self) -> ValueKind {
                match self {
                    $(Self::$volatile => ValueKind::$volatile_kind,)+
                    $(Self::$lasting => ValueKind::$kind,)+
                    Self::Stage(_) => ValueKind::Time,
                    // 0 is a time here: the kernel starts at 0 of the monotonic clock.
                    Self::StageMonotonic(_) => ValueKind::Number,
                }
            }
        }
    };
}

manager_properties! {
    volatile {
        SystemState = "SystemState" as Text;
        WatchdogRuntime = "RuntimeWatchdogUSec" as Number;
        WatchdogLastPing = "WatchdogLastPingTimestamp" as Time;
        WatchdogLastPingMonotonic = "WatchdogLastPingTimestampMonotonic" as Time;
    }
    lasting {
        Version = "Version" as Text;
        Architecture = "Architecture" as Text;
        Virtualization = "Virtualization" as Text;
        ConfidentialVirtualization = "ConfidentialVirtualization" as Text;
        Tainted = "Tainted" as Text;
        ControlGroup = "ControlGroup" as Text;
        FailedUnits = "NFailedUnits" as Number;
        WatchdogDevice = "WatchdogDevice" as Text;
    }
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
            // A frozen slice freezes the units in it.
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
                (ValueKind::NamedText, [Variant::Str(name), _]) if name.is_empty() => {
                    Ok(Self::Nothing)
                }
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

    /// Whether an entry of `TimersMonotonic` or `TimersCalendar` elapses again and again: a monotonic
    /// one that counts from the timer's unit, or a calendar one with any year.
    fn repeats(entry: &Variant<'_>) -> Option<bool> {
        let Variant::Structure(fields) = entry else { return None };
        match fields.fields() {
            [Variant::Str(base), Variant::U64(_), Variant::U64(_)] => {
                Some(matches!(base.as_str(), "OnUnitActiveUSec" | "OnUnitInactiveUSec"))
            }
            // Such as "Mon *-*-01 00:00:00".
            [Variant::Str(_), Variant::Str(dates), Variant::U64(_)] => {
                Some(dates.as_str().split(' ').any(|part| part.starts_with("*-")))
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
    /// The full name of the D-Bus interface on which a unit of this type has it.
    pub fn interface(self, unit_type: UnitType) -> String {
        let is_of_units = self.row().types == EVERY_TYPE;
        let interface = if is_of_units { "Unit" } else { unit_type.interface() };
        format!("org.freedesktop.systemd1.{interface}")
    }

    /// Whether several interfaces have it, so that one may lack it and another not.
    pub fn is_on_several_interfaces(self) -> bool {
        let types = self.row().types;
        types.count_ones() > 1 && types != EVERY_TYPE
    }

    /// Its D-Bus name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The property with that name on that interface, if it is one that is read.
    pub fn find(interface: &str, name: &str) -> Option<Self> {
        let interface = interface.strip_prefix("org.freedesktop.systemd1.")?;
        let of_type = UnitType::ALL.into_iter().find(|it| it.interface() == interface);
        let bit = of_type.map_or(0, |it| 1 << it as u16);
        let matches = |property: &&Self| {
            let PropertyRow { types, name: known, .. } = property.row();
            let is_on = if types == EVERY_TYPE { interface == "Unit" } else { types & bit != 0 };
            is_on && known == name
        };
        Self::ALL.iter().find(matches).copied()
    }

    /// Takes the property's value from a D-Bus variant.
    ///
    /// # Errors
    /// [`WrongType`] if the variant holds another type than systemd documents.
    pub fn take(self, variant: &Variant<'_>) -> Result<Value, WrongType> {
        let PropertyRow { name, kind, .. } = self.row();
        Value::take(variant, kind, MAX_UNIT_TEXT, name)
    }
}

// === impl PropertySet ===

impl PropertySet {
    /// No property.
    pub const EMPTY: Self = Self(0);

    /// The state of a unit, which must be known before it is shown.
    pub const STATE: Self = Self::read_for(Use::State);

    /// Change without a signal, so they are read again at each reconcile.
    /// `systemctl set-property` sets some; a service may set another watchdog interval; before
    /// version 256 systemd does not signal that it freezes a unit.
    pub const AT_RECONCILE: Self = Self::read_for(Use::AtReconcile);

    /// Almost always false, and presumed so until read: nothing waits for them.
    pub const PRESUMED_FALSE: Self = Self::read_for(Use::PresumedFalse);

    /// What else is needed at times to count the runs of a service. systemd signals it with each
    /// change.
    pub const RUN_DETAILS: Self = Self::read_for(Use::RunDetails);

    /// Which units start this one. The lists grow without a signal when another unit is loaded.
    pub const WANTING_UNITS: Self = Self::read_for(Use::WantingUnits);

    /// Which units keep this one inactive while they are active: they start it on demand, or
    /// conflict with it.
    pub const TRIGGERS_AND_CONFLICTS: Self = Self::read_for(Use::TriggersAndConflicts);

    /// The lists of units that decide whether an inactive unit should run.
    pub const RELATIONS: Self = Self::WANTING_UNITS.union(Self::TRIGGERS_AND_CONFLICTS);

    /// Whether a condition or an assertion kept a unit from starting.
    pub const CONDITIONS: Self = Self::read_for(Use::Conditions);

    /// Settings that decide whether a service is inactive by design.
    pub const SERVICE_BY_DESIGN: Self = Self::read_for(Use::ServiceByDesign);

    /// Settings that decide whether a unit is inactive by design.
    pub const BY_DESIGN: Self = Self::SERVICE_BY_DESIGN.union(Self::read_for(Use::ByDesign));

    /// When the last run of a service ended: by itself, or because it was stopped.
    pub const RUN_END: Self = Self::read_for(Use::RunEnd);

    /// All that decides whether an inactive unit should run.
    pub const WANTED_INACTIVE: Self =
        Self::RELATIONS.union(Self::CONDITIONS).union(Self::BY_DESIGN).union(Self::RUN_END);

    /// Those of [`Self::WANTED_INACTIVE`] that are kept apart from the columns of a unit.
    pub const INACTIVE_FACTS: Self = Self::WANTED_INACTIVE.without(Self::START_STAMPS);

    /// Whether a timer has elapsed for the last time.
    pub const LAST_ELAPSE: Self = Self::read_for(Use::LastElapse);

    /// Whether only a failure is followed by an automatic restart.
    pub const RESTART_SETTINGS: Self = Self::read_for(Use::RestartSettings);

    /// The slice of a unit's processes.
    pub const SLICES: Self = Self::read_for(Use::Slice);

    /// A socket's counters, which systemd never signals. They stay at zero without `Accept=yes`,
    /// and are asked for again at each scrape with it.
    pub const CONNECTION_COUNTERS: Self = Self::read_for(Use::Connections);

    /// A service's IP counters, which systemd never signals.
    pub const IP_COUNTERS: Self = Self::read_for(Use::Ip);

    /// When a unit was last started and was active, on the monotonic clock.
    pub const START_STAMPS: Self = Self::read_for(Use::Start);

    /// For each unit type, the properties of the sets above that its units have.
    const BY_TYPE: [(UnitType, Self); UnitType::ALL.len()] = {
        let mut table = [(UnitType::Other, Self::EMPTY); UnitType::ALL.len()];
        let (mut rows, mut types): (&mut [_], &[_]) = (&mut table, &UnitType::ALL);
        while let ([row, more_rows @ ..], [unit_type, more_types @ ..]) = (rows, types) {
            *row = (*unit_type, Self::rows(1 << *unit_type as u16, u32::MAX));
            (rows, types) = (more_rows, more_types);
        }
        table
    };

    /// A set of the given properties.
    pub const fn of(properties: &[UnitProperty]) -> Self {
        let (mut set, mut rest) = (0, properties);
        while let [first, others @ ..] = rest {
            set |= 1 << *first as u32;
            rest = others;
        }
        Self(set)
    }

    /// The properties that are read for this.
    const fn read_for(what: Use) -> Self {
        Self::rows(EVERY_TYPE, 1 << what as u32)
    }

    /// The properties of the rows that have one of these types and one of these uses.
    const fn rows(types: u16, uses: u32) -> Self {
        let (mut set, mut rest) = (Self::EMPTY, UnitProperty::ALL);
        while let [property, others @ ..] = rest {
            let row = property.row();
            if row.types & types != 0 && row.uses & uses != 0 {
                set = set.with(*property);
            }
            rest = others;
        }
        set
    }

    /// Those of this set that units of the type have.
    const fn of_type(self, unit_type: UnitType) -> Self {
        let mut rest: &[_] = &Self::BY_TYPE;
        while let [(known, properties), others @ ..] = rest {
            if *known as u8 == unit_type as u8 {
                return Self(self.0 & properties.0);
            }
            rest = others;
        }
        Self(self.0 & const { Self::rows(1 << UnitType::Other as u16, u32::MAX).0 })
    }

    /// Why the last run of a unit of this type ended: its `Result`.
    pub const fn result_of(unit_type: UnitType) -> Self {
        const { Self::read_for(Use::Result) }.of_type(unit_type)
    }

    /// What is counted of the runs of a unit of this type. systemd signals it with each change.
    pub const fn run_of(unit_type: UnitType) -> Self {
        let run = const { Self::read_for(Use::Run) }.of_type(unit_type);
        // A device is never started, and so has no invocation.
        let is_device = matches!(unit_type, UnitType::Device);
        if is_device { run.without(Self::of(&[UnitProperty::Invocation])) } else { run }
    }

    /// What else to read of a loaded unit of this type. Most of it changes without a signal when
    /// systemd reloads.
    pub const fn details_of(unit_type: UnitType) -> Self {
        const { Self::read_for(Use::Details) }.of_type(unit_type)
    }

    /// What changes without a signal when systemd reloads.
    pub const fn changed_by_reload(unit_type: UnitType) -> Self {
        Self::details_of(unit_type).union(Self::RELATIONS).union(Self::BY_DESIGN)
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
    /// Takes the property's value from a D-Bus variant.
    ///
    /// # Errors
    /// [`WrongType`] if the variant holds another type than systemd documents.
    pub fn take(self, variant: &Variant<'_>) -> Result<Value, WrongType> {
        Value::take(variant, self.kind(), MAX_TEXT, &self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_unlimited_and_unknown_are_nothing() {
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
    fn a_list_of_units_is_bounded_and_has_valid_names_only() {
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
    fn a_timer_that_counts_from_its_unit_or_has_any_year_repeats() {
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
        assert!(UnitProperty::SubState.take(&long(MAX_UNIT_TEXT)).is_ok());
        assert!(UnitProperty::SubState.take(&long(MAX_UNIT_TEXT + 1)).is_err());
        assert!(ManagerProperty::ControlGroup.take(&long(MAX_TEXT)).is_ok());
        assert!(ManagerProperty::ControlGroup.take(&long(MAX_TEXT + 1)).is_err());
    }

    #[test]
    fn a_property_is_read_and_found_for_the_types_of_its_row() {
        let socket = PropertySet::details_of(UnitType::Socket);
        let listed: Vec<_> = socket.iter().collect();
        assert_eq!(
            listed,
            [
                UnitProperty::Slice,
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
        for (unit_type, property, interface, name) in [
            (UnitType::Mount, UnitProperty::Result, "Mount", "Result"),
            (UnitType::Swap, UnitProperty::Slice, "Swap", "Slice"),
            (UnitType::Scope, UnitProperty::ScopeSlice, "Scope", "Slice"),
            (UnitType::Scope, UnitProperty::Job, "Unit", "Job"),
        ] {
            let interface = format!("org.freedesktop.systemd1.{interface}");
            assert_eq!(property.interface(unit_type), interface);
            assert_eq!(UnitProperty::find(&interface, name), Some(property));
        }
        assert!(PropertySet::result_of(UnitType::Target).is_empty());
        assert_eq!(PropertySet::details_of(UnitType::Other), PropertySet::EMPTY);
        let of_device = PropertySet::run_of(UnitType::Device).with(UnitProperty::Invocation);
        assert_eq!(of_device, PropertySet::run_of(UnitType::Other));
    }
}
