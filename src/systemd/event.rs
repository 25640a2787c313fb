//! systemd's signals as typed events.

use super::{
    name::UnitName,
    property::{ManagerProperty, UnitProperty, Value},
    state::{JobResult, JobState},
};

/// A signal of systemd's, or of the bus about systemd.
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
        /// Its unit.
        unit: UnitName,
    },
    /// A job left the queue (`JobRemoved`).
    JobRemoved {
        /// The job's number.
        id: u32,
        /// Its unit.
        unit: UnitName,
        /// How it ended.
        result: JobResult,
    },
    /// A queued job began to run, or waits again (`PropertiesChanged` on a job).
    JobChanged {
        /// The job's number.
        id: u32,
        /// Its new state.
        state: JobState,
    },
    /// Properties of the manager changed (`PropertiesChanged` on the manager).
    ManagerChanged(Vec<(ManagerProperty, Value)>),
    /// A reload or re-execution begins (true) or has ended (false) (`Reloading`).
    Reloading(bool),
    /// The boot has finished (`StartupFinished`).
    StartupFinished,
    /// Unit files were enabled, disabled, linked, masked or unmasked (`UnitFilesChanged`).
    UnitFilesChanged,
    /// Another connection, or none, now owns systemd's name on the bus (`NameOwnerChanged`).
    OwnerChanged {
        /// The unique name of the connection.
        owner: Option<String>,
    },
}
