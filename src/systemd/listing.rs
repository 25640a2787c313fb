//! The rows of systemd's listings: units, jobs and unit files.

use super::{
    name::{UnitName, UnitType},
    state::{ActiveState, FileState, JobState, JobType, LoadState},
};

pub(super) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub(super) const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// A listing that systemd may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listing {
    /// The units of one type.
    Units(UnitType),
    /// The job queue.
    Jobs,
    /// The unit files.
    UnitFiles,
}

/// A row of `ListUnits`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the properties")]
pub struct ListedUnit {
    pub name: UnitName,
    pub load_state: LoadState,
    pub active_state: ActiveState,
    pub sub_state: Box<str>,
}

/// A row of `ListJobs`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the properties")]
pub struct ListedJob {
    pub id: u32,
    pub unit: UnitName,
    pub job_type: JobType,
    pub state: JobState,
}

/// A row of `ListUnitFiles`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the columns")]
pub struct ListedFile {
    pub name: UnitName,
    pub state: FileState,
}

// === impl Listing ===

impl Listing {
    /// The type of the units that it lists.
    pub fn unit_type(self) -> Option<UnitType> {
        match self {
            Self::Units(unit_type) => Some(unit_type),
            Self::Jobs | Self::UnitFiles => None,
        }
    }

    /// What it lists: the value of the `type` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Units(unit_type) => unit_type.as_str(),
            Self::Jobs => "job",
            Self::UnitFiles => "unit-file",
        }
    }
}
