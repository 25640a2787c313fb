//! Which series show the state of a unit.

use std::str::FromStr;

use crate::systemd::state::ActiveState;

/// Which series show the state of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateSeries {
    /// One for each of the usual states, and for another state while it lasts.
    #[default]
    Stateset,
    /// One, for the current state.
    Current,
}

/// A value other than `stateset` and `current`.
#[derive(Debug, thiserror::Error)]
#[error("must be stateset or current")]
pub struct UnknownStateSeries;

// === impl StateSeries ===

impl StateSeries {
    /// The states that always have a series.
    pub(super) fn always(self) -> &'static [ActiveState] {
        match self {
            Self::Stateset => ActiveState::USUAL,
            Self::Current => &[],
        }
    }
}

impl FromStr for StateSeries {
    type Err = UnknownStateSeries;

    fn from_str(value: &str) -> Result<Self, UnknownStateSeries> {
        match value {
            "stateset" => Ok(Self::Stateset),
            "current" => Ok(Self::Current),
            _ => Err(UnknownStateSeries),
        }
    }
}
