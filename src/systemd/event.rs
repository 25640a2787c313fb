//! What systemd signals, as typed events.

use super::{
    name::UnitName,
    property::{ManagerProperty, UnitProperty, Value},
    state::{JobResult, JobState},
};

/// One thing that systemd said happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A unit entered systemd's memory (`UnitNew`).
    UnitNew(UnitName),
    /// A unit left systemd's memory (`UnitRemoved`).
    UnitRemoved(UnitName),
    /// Properties of a unit changed (`PropertiesChanged` on a unit).
    UnitChanged(UnitName, Vec<(UnitProperty, Value)>),
    /// A job was queued (`JobNew`).
    JobNew {
        /// The job's number.
        id: u32,
        /// The unit that it is for.
        unit: UnitName,
    },
    /// A job left the queue (`JobRemoved`).
    JobRemoved {
        /// The job's number.
        id: u32,
        /// The unit that it was for.
        unit: UnitName,
        /// What became of it.
        result: JobResult,
    },
    /// A queued job began or went back to waiting (`PropertiesChanged` on a job).
    JobChanged {
        /// The job's number.
        id: u32,
        /// Its new state.
        state: JobState,
    },
    /// Properties of the manager changed (`PropertiesChanged` on the manager).
    ManagerChanged(Vec<(ManagerProperty, Value)>),
    /// A reload or re-execution begins (true) or is over (false).
    Reloading(bool),
    /// The boot is over.
    StartupFinished,
    /// Unit files were enabled, disabled, linked, masked or unmasked.
    UnitFilesChanged,
    /// Another process, or none, now answers for systemd on the bus.
    OwnerChanged {
        /// The unique name of its connection.
        owner: Option<String>,
    },
}
