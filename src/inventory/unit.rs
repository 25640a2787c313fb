//! One unit's row in the table: plain values, each with the systemd property it comes from.

use crate::systemd::{
    name::UnitName,
    state::{ActiveState, LoadState},
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
    /// `ActiveState`.
    pub active_state: ActiveState,
    /// `SubState`; its words differ by unit type.
    pub sub_state: Box<str>,
    /// `ActiveEnterTimestamp`.
    pub active_enter: Option<Usec>,
    /// `ActiveExitTimestamp`.
    pub active_exit: Option<Usec>,
    /// `InactiveEnterTimestamp`.
    pub inactive_enter: Option<Usec>,
    /// `InactiveExitTimestamp`.
    pub inactive_exit: Option<Usec>,
    /// What only units of its type have.
    pub details: Details,
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
    /// Automatic restarts since the exporter first saw the unit, on top of the `NRestarts` that
    /// it then had; a reset of `NRestarts` does not lower it.
    pub restarts: Option<u64>,
    /// `TasksMax`.
    pub tasks_max: Option<u64>,
    /// `Slice`, from which and the name the control group follows.
    pub slice: Option<UnitName>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    /// `LastTriggerUSec`.
    pub last_trigger: Option<Usec>,
    /// `NextElapseUSecRealtime`.
    pub next_realtime: Option<Usec>,
    /// `NextElapseUSecMonotonic`, on the monotonic clock.
    pub next_monotonic: Option<Usec>,
}

/// What is known of a mount (`org.freedesktop.systemd1.Mount`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mount {
    /// `Type`: the file system.
    pub mount_type: Option<Box<str>>,
}
