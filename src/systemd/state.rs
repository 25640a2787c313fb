//! The states of units, jobs and the manager, as systemd names them.
//!
//! Each type keeps a name that this version does not know, so a state of a future systemd is
//! exported under its own name.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares the known names of a systemd property, and `Other` for new ones.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$about:meta])* $variant:ident = $known:literal),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names are systemd's own")]
        pub enum $name {
            $($(#[$about])* $variant,)+
            /// A name that this version does not know.
            Other(Box<str>),
        }

        impl $name {
            /// Every known name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// systemd's name for it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $known,)+
                    Self::Other(name) => name,
                }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                match name {
                    $($known => Self::$variant,)+
                    other => Self::Other(other.into()),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self::from(&*Cow::<'de, str>::deserialize(deserializer)?))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// Whether a unit is up (`ActiveState` of `org.freedesktop.systemd1.Unit`).
    ActiveState {
        Active = "active",
        Activating = "activating",
        Deactivating = "deactivating",
        Inactive = "inactive",
        Failed = "failed",
        Reloading = "reloading",
        Maintenance = "maintenance",
        Refreshing = "refreshing",
    }
}

names! {
    /// Whether a unit's definition was read (`LoadState` of `org.freedesktop.systemd1.Unit`).
    LoadState {
        Loaded = "loaded",
        NotFound = "not-found",
        BadSetting = "bad-setting",
        Error = "error",
        Masked = "masked",
        Merged = "merged",
        Stub = "stub",
    }
}

names! {
    /// What a queued job does (`JobType` of `org.freedesktop.systemd1.Job`).
    JobType {
        Start = "start",
        VerifyActive = "verify-active",
        Stop = "stop",
        Reload = "reload",
        Restart = "restart",
        Nop = "nop",
    }
}

names! {
    /// Whether a queued job has begun (`State` of `org.freedesktop.systemd1.Job`).
    JobState {
        Waiting = "waiting",
        Running = "running",
    }
}

names! {
    /// How a job left the queue (`JobRemoved`).
    JobResult {
        Done = "done",
        Canceled = "canceled",
        Timeout = "timeout",
        Failed = "failed",
        Dependency = "dependency",
        Skipped = "skipped",
        Invalid = "invalid",
        Assert = "assert",
        Unsupported = "unsupported",
        Collected = "collected",
        Once = "once",
        Frozen = "frozen",
        Concurrency = "concurrency",
    }
}

names! {
    /// Whether a unit file is enabled (the state in `ListUnitFiles`; `UnitFileState`).
    FileState {
        Enabled = "enabled",
        EnabledRuntime = "enabled-runtime",
        Linked = "linked",
        LinkedRuntime = "linked-runtime",
        Alias = "alias",
        Masked = "masked",
        MaskedRuntime = "masked-runtime",
        Static = "static",
        Disabled = "disabled",
        Indirect = "indirect",
        Generated = "generated",
        Transient = "transient",
        Bad = "bad",
    }
}

names! {
    /// How the last run of a unit ended (`Result` of `org.freedesktop.systemd1.Service` and of
    /// the other types that have one).
    RunResult {
        Success = "success",
        Resources = "resources",
        Protocol = "protocol",
        Timeout = "timeout",
        ExitCode = "exit-code",
        Signal = "signal",
        CoreDump = "core-dump",
        Watchdog = "watchdog",
        StartLimitHit = "start-limit-hit",
        OomKill = "oom-kill",
        ExecCondition = "exec-condition",
        /// Not systemd's: the run failed while no signal was received.
        Unknown = "unknown",
    }
}

names! {
    /// How a process ended (`ExecMainCode` of `org.freedesktop.systemd1.Service`, where systemd
    /// writes the kernel's number for it).
    ExitCode {
        Exited = "exited",
        Killed = "killed",
        Dumped = "dumped",
    }
}

names! {
    /// The manager's overall state (`SystemState` of `org.freedesktop.systemd1.Manager`).
    SystemState {
        Initializing = "initializing",
        Starting = "starting",
        Running = "running",
        Degraded = "degraded",
        Maintenance = "maintenance",
        Stopping = "stopping",
        Offline = "offline",
        Unknown = "unknown",
    }
}

impl ActiveState {
    /// The five states that always have a series. The others have one while a unit is in them.
    pub const USUAL: &'static [Self] =
        &[Self::Active, Self::Activating, Self::Deactivating, Self::Inactive, Self::Failed];

    /// Whether the unit is being reloaded.
    pub fn is_reloading(&self) -> bool {
        matches!(self, Self::Reloading | Self::Refreshing)
    }

    /// Whether nothing of the unit runs or is being started.
    pub fn is_at_rest(&self) -> bool {
        matches!(self, Self::Inactive | Self::Failed)
    }
}

impl RunResult {
    /// Whether the run failed. A run that `ExecCondition=` prevented did not.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Success | Self::ExecCondition)
    }
}

impl ExitCode {
    /// From a `si_code` of `SIGCHLD`. `None` for 0 and for codes of processes that have not ended.
    pub fn from_number(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Exited),
            2 => Some(Self::Killed),
            3 => Some(Self::Dumped),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_a_future_systemd_keeps_its_name() {
        assert_eq!(ActiveState::from("failed"), ActiveState::Failed);
        assert_eq!(ActiveState::from("hibernating").as_str(), "hibernating");
    }
}
