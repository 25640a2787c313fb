//! The states of units, jobs and the manager, as systemd names them.
//!
//! Each type keeps a word that this version does not know, so that a state of a future systemd
//! is served under its own name and not lost.

use std::fmt;

/// Declares a closed set of systemd's words with a way out for new ones.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names are systemd's own")]
        pub enum $name {
            $($variant,)+
            /// A word that this version does not know.
            Other(Box<str>),
        }

        impl $name {
            /// Every word known today.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// systemd's word.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.into()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
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

words! {
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

words! {
    /// What a queued job will do (`JobType` of `org.freedesktop.systemd1.Job`).
    JobType {
        Start = "start",
        VerifyActive = "verify-active",
        Stop = "stop",
        Reload = "reload",
        Restart = "restart",
        Nop = "nop",
    }
}

words! {
    /// Whether a queued job has begun (`State` of `org.freedesktop.systemd1.Job`).
    JobState {
        Waiting = "waiting",
        Running = "running",
    }
}

words! {
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
    /// The five states that always have a series; the others appear while they last.
    pub const USUAL: &'static [Self] =
        &[Self::Active, Self::Activating, Self::Deactivating, Self::Inactive, Self::Failed];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_future_systemd_keeps_its_name() {
        assert_eq!(ActiveState::from("failed"), ActiveState::Failed);
        assert_eq!(ActiveState::from("hibernating").as_str(), "hibernating");
    }
}
