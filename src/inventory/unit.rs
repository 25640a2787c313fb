//! One unit's row in the table: plain values, each with the systemd property it comes from.

use std::{
    num::NonZeroU64,
    sync::{Arc, LazyLock},
};

use super::counters::Counters;
use crate::systemd::{
    name::{UnitName, UnitType},
    property::{UnitProperty, Value},
    state::{ActiveState, LoadState, RunResult},
};

/// A point in time: microseconds since the epoch, or since boot where a name says monotonic.
pub type Usec = u64;

/// What is known of one unit. `None` is what systemd left unsaid: never happened, switched off,
/// unlimited, or not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// `Id`.
    pub name: UnitName,
    /// `LoadState`.
    pub load_state: LoadState,
    /// `LoadError`: the name of the D-Bus error that kept it from loading.
    pub load_error: Option<Box<str>>,
    /// `ActiveState`.
    pub active_state: ActiveState,
    /// `SubState`; its words differ by unit type.
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
    /// `NeedDaemonReload`: its file on disk is newer than what is loaded.
    pub need_daemon_reload: bool,
    /// `FreezerState`: its processes are frozen, by itself or with the slice that it is in.
    pub is_frozen: bool,
    /// `Slice`: where its processes are; read only where somebody filters by it.
    pub slice: Option<UnitName>,
    /// What only units of its type have.
    pub details: Details,
    /// What has happened to it.
    pub counters: Arc<Counters>,
}

/// What only units of one type have.
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
    /// Any other type: nothing of its own is kept.
    Plain,
}

/// What is known of a service (`org.freedesktop.systemd1.Service`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// `Type`: simple, notify, oneshot and so on.
    pub service_type: Option<Box<str>>,
    /// `TasksMax`.
    pub tasks_max: Option<u64>,
    /// `WatchdogTimestamp`, asked at the scrape where `WatchdogSec` is on: when the current run last
    /// said that it lives, or began.
    pub watchdog_ping: Option<Usec>,
    /// The IP accounting counters, where `IPAccounting` is on and systemd can count.
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

/// What is known of a socket (`org.freedesktop.systemd1.Socket`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// `NAccepted`.
    pub accepted: Option<u64>,
    /// `NConnections`.
    pub connections: Option<u64>,
    /// `NRefused`.
    pub refused: Option<u64>,
}

/// What is known of a timer (`org.freedesktop.systemd1.Timer`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    /// `LastTriggerUSec`.
    pub last_trigger: Option<Usec>,
    /// `NextElapseUSecRealtime`.
    pub next_realtime: Option<Usec>,
    /// `NextElapseUSecMonotonic`, on the monotonic clock.
    pub next_monotonic: Option<Usec>,
    /// `Unit`: what it starts.
    pub unit: Option<UnitName>,
    /// `TimersMonotonic`: whether one of them counts from a run of its unit.
    pub repeats_monotonic: bool,
    /// `TimersCalendar`: whether one of them is of any year.
    pub repeats_calendar: bool,
}

/// What is known of a mount (`org.freedesktop.systemd1.Mount`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mount {
    /// `Type`: the file system.
    pub mount_type: Option<Box<str>>,
}

/// The history of every unit to which nothing has happened yet.
static NO_COUNTERS: LazyLock<Arc<Counters>> = LazyLock::new(Arc::default);

/// What a row holds of one property.
#[derive(PartialEq)]
enum Held<'a> {
    Number(Option<u64>),
    Text(Option<&'a str>),
    Flag(bool),
    /// The row keeps no such thing.
    NoPlace,
}

// === impl Unit ===

impl Unit {
    /// A unit of which nothing but its name is known.
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

    /// Whether its state is served. What is not at rest is served whatever its load state: a unit
    /// that runs or has failed stays so when its file is removed, masked or broken. A stub is one
    /// whose load state is not known yet.
    pub fn is_visible(&self) -> bool {
        match self.load_state {
            LoadState::Loaded => true,
            LoadState::Stub => false,
            _ => self.active_state != ActiveState::Inactive,
        }
    }

    /// Whether it is a service whose main process runs and is not being changed.
    pub fn is_running(&self) -> bool {
        let service = matches!(self.details, Details::Service(_));
        service && self.active_state == ActiveState::Active && &*self.sub_state == "running"
    }

    /// Whether the row holds this value already.
    pub(super) fn holds(&self, property: UnitProperty, value: &Value) -> bool {
        match self.get(property) {
            Held::Number(held) => held == value.number(),
            Held::Text(held) => held == value.text(),
            Held::Flag(held) => held == (*value == Value::Flag(true)),
            Held::NoPlace => true,
        }
    }

    fn get(&self, property: UnitProperty) -> Held<'_> {
        use Held::{Flag, NoPlace, Number, Text};
        use UnitProperty as P;
        match (property, &self.details) {
            (P::LoadState, _) => Text(Some(self.load_state.as_str())),
            (P::ActiveState, _) => Text(Some(self.active_state.as_str())),
            (P::SubState, _) => Text(Some(&self.sub_state)),
            (P::LoadError, _) => Text(self.load_error.as_deref()),
            (P::NeedDaemonReload, _) => Flag(self.need_daemon_reload),
            (P::Freezer, _) => Flag(self.is_frozen),
            (
                P::ServiceSlice | P::SocketSlice | P::MountSlice | P::SwapSlice | P::ScopeSlice,
                _,
            ) => Text(self.slice.as_ref().map(UnitName::as_str)),
            (
                P::ServiceResult
                | P::SocketResult
                | P::MountResult
                | P::AutomountResult
                | P::SwapResult
                | P::TimerResult
                | P::PathResult
                | P::ScopeResult,
                _,
            ) => Text(self.result.as_ref().map(RunResult::as_str)),
            (P::ActiveEnter, _) => Number(self.active_enter),
            (P::ActiveExit, _) => Number(self.active_exit),
            (P::InactiveEnter, _) => Number(self.inactive_enter),
            (P::InactiveExit, _) => Number(self.inactive_exit),
            (P::ActiveEnterMonotonic, _) => {
                Number(self.active_enter_monotonic.map(NonZeroU64::get))
            }
            (P::ActiveExitMonotonic, _) => Number(self.active_exit_monotonic.map(NonZeroU64::get)),
            (P::InactiveExitMonotonic, _) => {
                Number(self.inactive_exit_monotonic.map(NonZeroU64::get))
            }
            (P::ServiceType, Details::Service(it)) => Text(it.service_type.as_deref()),
            (P::TasksMax, Details::Service(it)) => Number(it.tasks_max),
            (P::WatchdogPing, Details::Service(it)) => Number(it.watchdog_ping),
            (P::IpIngressBytes, Details::Service(it)) => Number(it.ip().ingress_bytes),
            (P::IpEgressBytes, Details::Service(it)) => Number(it.ip().egress_bytes),
            (P::IpIngressPackets, Details::Service(it)) => Number(it.ip().ingress_packets),
            (P::IpEgressPackets, Details::Service(it)) => Number(it.ip().egress_packets),
            (P::Accepted, Details::Socket(it)) => Number(it.accepted),
            (P::Connections, Details::Socket(it)) => Number(it.connections),
            (P::Refused, Details::Socket(it)) => Number(it.refused),
            (P::LastTrigger, Details::Timer(it)) => Number(it.last_trigger),
            (P::NextRealtime, Details::Timer(it)) => Number(it.next_realtime),
            (P::NextMonotonic, Details::Timer(it)) => Number(it.next_monotonic),
            (P::TimerUnit, Details::Timer(it)) => Text(it.unit.as_ref().map(UnitName::as_str)),
            (P::TimersMonotonic, Details::Timer(it)) => Flag(it.repeats_monotonic),
            (P::TimersCalendar, Details::Timer(it)) => Flag(it.repeats_calendar),
            (P::MountType, Details::Mount(it)) => Text(it.mount_type.as_deref()),
            _ => NoPlace,
        }
    }

    /// Puts a value in its place.
    pub(super) fn set(&mut self, property: UnitProperty, value: &Value) {
        use UnitProperty as P;
        let (number, text) = (value.number(), value.text());
        let word = text.unwrap_or_default();
        let is = *value == Value::Flag(true);
        let not_zero = number.and_then(NonZeroU64::new);
        match (property, &mut self.details) {
            (P::LoadState, _) => self.load_state = word.into(),
            (P::ActiveState, _) => self.active_state = word.into(),
            (P::SubState, _) => self.sub_state = word.into(),
            (P::LoadError, _) => self.load_error = text.filter(|it| !it.is_empty()).map(Into::into),
            (P::NeedDaemonReload, _) => self.need_daemon_reload = is,
            (P::Freezer, _) => self.is_frozen = is,
            (
                P::ServiceSlice | P::SocketSlice | P::MountSlice | P::SwapSlice | P::ScopeSlice,
                _,
            ) => self.slice = text.and_then(UnitName::new),
            (
                P::ServiceResult
                | P::SocketResult
                | P::MountResult
                | P::AutomountResult
                | P::SwapResult
                | P::TimerResult
                | P::PathResult
                | P::ScopeResult,
                _,
            ) => self.result = text.map(Into::into),
            (P::ActiveEnter, _) => self.active_enter = number,
            (P::ActiveExit, _) => self.active_exit = number,
            (P::InactiveEnter, _) => self.inactive_enter = number,
            (P::InactiveExit, _) => self.inactive_exit = number,
            (P::ActiveEnterMonotonic, _) => self.active_enter_monotonic = not_zero,
            (P::ActiveExitMonotonic, _) => self.active_exit_monotonic = not_zero,
            (P::InactiveExitMonotonic, _) => self.inactive_exit_monotonic = not_zero,
            (P::ServiceType, Details::Service(it)) => it.service_type = text.map(Into::into),
            (P::TasksMax, Details::Service(it)) => it.tasks_max = number,
            (P::WatchdogPing, Details::Service(it)) => it.watchdog_ping = number,
            (P::IpIngressBytes, Details::Service(it)) => it.ip_mut().ingress_bytes = number,
            (P::IpEgressBytes, Details::Service(it)) => it.ip_mut().egress_bytes = number,
            (P::IpIngressPackets, Details::Service(it)) => it.ip_mut().ingress_packets = number,
            (P::IpEgressPackets, Details::Service(it)) => it.ip_mut().egress_packets = number,
            (P::Accepted, Details::Socket(it)) => it.accepted = number,
            (P::Connections, Details::Socket(it)) => it.connections = number,
            (P::Refused, Details::Socket(it)) => it.refused = number,
            (P::LastTrigger, Details::Timer(it)) => it.last_trigger = number,
            (P::NextRealtime, Details::Timer(it)) => it.next_realtime = number,
            (P::NextMonotonic, Details::Timer(it)) => it.next_monotonic = number,
            (P::TimerUnit, Details::Timer(it)) => it.unit = text.and_then(UnitName::new),
            (P::TimersMonotonic, Details::Timer(it)) => it.repeats_monotonic = is,
            (P::TimersCalendar, Details::Timer(it)) => it.repeats_calendar = is,
            (P::MountType, Details::Mount(it)) => it.mount_type = text.map(Into::into),
            _ => {}
        }
    }
}

// === impl Details ===

impl Details {
    /// What a unit of this type has, with nothing known of it yet.
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

// === impl Service ===

impl Service {
    fn ip(&self) -> IpCounters {
        self.ip.unwrap_or_default()
    }

    fn ip_mut(&mut self) -> &mut IpCounters {
        self.ip.get_or_insert_default()
    }
}
