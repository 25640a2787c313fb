//! A unit's row in the table: plain values, each from a D-Bus property.

use std::{
    num::NonZeroU64,
    sync::{Arc, LazyLock},
};

use super::counters::Counters;
use crate::clock::Usec;
use crate::systemd::{
    name::{UnitName, UnitType},
    property::{UnitProperty, Value},
    state::{ActiveState, LoadState, RunResult},
};

/// A unit. `None` means that it never happened, is switched off or unlimited, or is not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// `Id`.
    pub name: UnitName,
    /// `LoadState`.
    pub load_state: LoadState,
    /// `LoadError`: the name of the D-Bus error with which it failed to load.
    pub load_error: Option<Box<str>>,
    /// `ActiveState`.
    pub active_state: ActiveState,
    /// `SubState`; its values differ by unit type.
    pub sub_state: Box<str>,
    /// `Result` of its last or current run, where its type has one.
    pub result: Option<RunResult>,
    /// `ActiveEnterTimestamp`.
    pub active_enter: Option<Usec>,
    /// `ActiveExitTimestamp`.
    pub active_exit: Option<Usec>,
    /// `InactiveEnterTimestamp`.
    pub inactive_enter: Option<Usec>,
    /// `InactiveExitTimestamp`.
    pub inactive_exit: Option<Usec>,
    /// `ActiveEnterTimestampMonotonic`.
    pub active_enter_monotonic: Option<NonZeroU64>,
    /// `ActiveExitTimestampMonotonic`.
    pub active_exit_monotonic: Option<NonZeroU64>,
    /// `InactiveExitTimestampMonotonic`.
    pub inactive_exit_monotonic: Option<NonZeroU64>,
    /// `NeedDaemonReload`: its file on disk is newer than the loaded one.
    pub need_daemon_reload: bool,
    /// `FreezerState`: its processes are frozen, alone or with its slice.
    pub is_frozen: bool,
    /// `Slice`: the slice of its processes; read only if a filter or a roll-up needs it.
    pub slice: Option<UnitName>,
    /// The properties of its type.
    pub details: Details,
    /// The counters of its runs.
    pub counters: Arc<Counters>,
}

/// The properties of one unit type.
#[derive(Clone, Debug, PartialEq)]
pub enum Details {
    /// A `.service`.
    Service(Service),
    /// A `.socket`.
    Socket(Socket),
    /// A `.timer`.
    Timer(Timer),
    /// A `.mount`.
    Mount(Mount),
    /// Any other type, without properties of its own.
    Plain,
}

/// The properties of a service (`org.freedesktop.systemd1.Service`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// `Type`: simple, notify, oneshot and so on.
    pub service_type: Option<Box<str>>,
    /// `TasksMax`.
    pub tasks_max: Option<u64>,
    /// `WatchdogTimestamp`, read at each scrape if `WatchdogSec=` is on: when the current run last
    /// sent a keep-alive ping, or began.
    pub watchdog_ping: Option<Usec>,
    /// The IP counters, if `IPAccounting=` is on and systemd can count.
    pub ip: Option<IpCounters>,
}

/// `IPIngressBytes`, `IPEgressBytes`, `IPIngressPackets`, `IPEgressPackets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the properties")]
pub struct IpCounters {
    pub ingress_bytes: Option<u64>,
    pub egress_bytes: Option<u64>,
    pub ingress_packets: Option<u64>,
    pub egress_packets: Option<u64>,
}

/// The properties of a socket (`org.freedesktop.systemd1.Socket`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// `NAccepted`.
    pub accepted: Option<u64>,
    /// `NConnections`.
    pub connections: Option<u64>,
    /// `NRefused`.
    pub refused: Option<u64>,
}

/// The properties of a timer (`org.freedesktop.systemd1.Timer`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    /// `LastTriggerUSec`.
    pub last_trigger: Option<Usec>,
    /// `NextElapseUSecRealtime`.
    pub next_realtime: Option<Usec>,
    /// `NextElapseUSecMonotonic`, on the monotonic clock.
    pub next_monotonic: Option<Usec>,
    /// `Unit`: the unit that it starts.
    pub unit: Option<UnitName>,
    /// `TimersMonotonic`: whether any counts from a run of its unit.
    pub repeats_monotonic: bool,
    /// `TimersCalendar`: whether any has any year.
    pub repeats_calendar: bool,
}

/// The properties of a mount (`org.freedesktop.systemd1.Mount`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mount {
    /// `Type`: the file system.
    pub mount_type: Option<Box<str>>,
}

/// The counters of all units to which nothing has happened yet.
static NO_COUNTERS: LazyLock<Arc<Counters>> = LazyLock::new(Arc::default);

macro_rules! columns {
    (
        Unit { $($($property:ident)|+ => $field:ident;)+ }
        $($details:ident {
            $($of_type:ident => $place:ident $(? . $part:ident)?;)+
        })+
    ) => {
        impl Unit {
            /// Whether the property's column has this value, or the row has no such column.
            pub(super) fn holds(&self, property: UnitProperty, value: &Value) -> bool {
                match (property, &self.details) {
                    $(($(UnitProperty::$property)|+, _) => holds(&self.$field, value),)+
                    $($((UnitProperty::$of_type, Details::$details(it)) => {
                        holds(&it.$place $(.unwrap_or_default().$part)?, value)
                    })+)+
                    _ => true,
                }
            }

            /// Writes a value to the property's column, if the row has one.
            pub(super) fn set(&mut self, property: UnitProperty, value: &Value) {
                match (property, &mut self.details) {
                    $(($(UnitProperty::$property)|+, _) => self.$field = value.into(),)+
                    $($((UnitProperty::$of_type, Details::$details(it)) => {
                        it.$place $(.get_or_insert_default().$part)? = value.into();
                    })+)+
                    _ => {}
                }
            }
        }
    };
}

// A property, and the field that takes its value.
columns! {
    Unit {
        LoadState => load_state;
        LoadError => load_error;
        ActiveState => active_state;
        SubState => sub_state;
        Result => result;
        ActiveEnter => active_enter;
        ActiveExit => active_exit;
        InactiveEnter => inactive_enter;
        InactiveExit => inactive_exit;
        ActiveEnterMonotonic => active_enter_monotonic;
        ActiveExitMonotonic => active_exit_monotonic;
        InactiveExitMonotonic => inactive_exit_monotonic;
        NeedDaemonReload => need_daemon_reload;
        Freezer => is_frozen;
        Slice | ScopeSlice => slice;
    }
    Service {
        ServiceType => service_type;
        TasksMax => tasks_max;
        WatchdogPing => watchdog_ping;
        IpIngressBytes => ip?.ingress_bytes;
        IpEgressBytes => ip?.egress_bytes;
        IpIngressPackets => ip?.ingress_packets;
        IpEgressPackets => ip?.egress_packets;
    }
    Socket {
        Accepted => accepted;
        Connections => connections;
        Refused => refused;
    }
    Timer {
        LastTrigger => last_trigger;
        NextRealtime => next_realtime;
        NextMonotonic => next_monotonic;
        TimerUnit => unit;
        TimersMonotonic => repeats_monotonic;
        TimersCalendar => repeats_calendar;
    }
    Mount {
        MountType => mount_type;
    }
}

macro_rules! from_value {
    ($($field:ty: |$value:ident| $taken:expr;)+) => {
        $(impl From<&Value> for $field {
            fn from($value: &Value) -> Self {
                $taken
            }
        })+
    };
}

from_value! {
    bool: |value| *value == Value::Flag(true);
    Option<u64>: |value| value.number();
    Option<NonZeroU64>: |value| value.number().and_then(NonZeroU64::new);
    Box<str>: |value| value.text().unwrap_or_default().into();
    Option<Box<str>>: |value| value.text().map(Into::into);
    Option<UnitName>: |value| value.text().and_then(UnitName::new);
    LoadState: |value| value.text().unwrap_or_default().into();
    ActiveState: |value| value.text().unwrap_or_default().into();
    Option<RunResult>: |value| value.text().map(Into::into);
}

fn holds<T: PartialEq + for<'a> From<&'a Value>>(field: &T, value: &Value) -> bool {
    *field == value.into()
}

// === impl Unit ===

impl Unit {
    /// A unit with nothing read yet.
    pub fn new(name: UnitName) -> Self {
        let details = Details::of(name.unit_type());
        Self {
            name,
            load_state: LoadState::Stub,
            load_error: None,
            active_state: ActiveState::Inactive,
            sub_state: Box::default(),
            result: None,
            active_enter: None,
            active_exit: None,
            inactive_enter: None,
            inactive_exit: None,
            active_enter_monotonic: None,
            active_exit_monotonic: None,
            inactive_exit_monotonic: None,
            need_daemon_reload: false,
            is_frozen: false,
            slice: None,
            details,
            counters: Arc::clone(&NO_COUNTERS),
        }
    }

    /// Whether its state is exported, if the filters let it pass. A unit that runs or has failed
    /// stays visible when its file is removed, masked or broken. The load state of a stub is not
    /// known yet.
    pub fn is_visible(&self) -> bool {
        match self.load_state {
            LoadState::Loaded => true,
            LoadState::Stub => false,
            _ => self.active_state != ActiveState::Inactive,
        }
    }

    /// Whether it is a service whose main process runs, and is not being started or stopped.
    pub fn is_running(&self) -> bool {
        let service = matches!(self.details, Details::Service(_));
        service && self.active_state == ActiveState::Active && &*self.sub_state == "running"
    }
}

// === impl Details ===

impl Details {
    /// The properties of this type, none of them read.
    fn of(unit_type: UnitType) -> Self {
        match unit_type {
            UnitType::Service => Self::Service(Service::default()),
            UnitType::Socket => Self::Socket(Socket::default()),
            UnitType::Timer => Self::Timer(Timer::default()),
            UnitType::Mount => Self::Mount(Mount::default()),
            _ => Self::Plain,
        }
    }
}
