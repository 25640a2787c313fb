//! The groups of families that can be switched on and off.

use std::fmt;

use crate::inventory::needs::Needs;

macro_rules! groups {
    ($($variant:ident $name:literal $is_default:literal $help:literal;)+) => {
        /// Families that are served together or not at all.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each is documented by its help")]
        pub enum Group {
            $($variant),+
        }

        impl Group {
            /// Every group, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name, whether it is on by default, and what it is for.
            const fn definition(self) -> (&'static str, bool, &'static str) {
                match self {
                    $(Self::$variant => ($name, $is_default, $help)),+
                }
            }
        }
    };
}

groups! {
    UnitState "unit-state" true
        "Serve the state of each unit.";
    UnitSubState "unit-sub-state" false
        "Serve the state of each unit in the words of its type.";
    UnitInfo "unit-info" true
        "Serve the type of each service and the file system of each mount.";
    UnitTimes "unit-times" true
        "Serve when each unit last changed its state, and when the run of a service began.";
    UnitEvents "unit-events" true
        "Serve what has happened to each unit: transitions, starts, failures, automatic restarts.";
    UnitProblems "unit-problems" true
        "Serve what is wrong with each unit: did not load, is wanted and does not run, has changed on disk, is frozen.";
    UnitFileState "unit-file-state" false
        "Serve the state of each unit file: enabled, disabled, static, masked and so on.";
    ServiceExits "service-exits" true
        "Serve how each service last ended: its result, its exit status and when.";
    Tasks "tasks" true
        "Serve how many tasks there are in the control groups of units, and may be.";
    Cpu "cpu" true
        "Serve the CPU time that units have used.";
    Memory "memory" true
        "Serve the memory that units use.";
    Io "io" true
        "Serve what units have read and written.";
    Pressure "pressure" false
        "Serve how long units have waited for CPU, memory and I/O.";
    Ip "ip" true
        "Serve the IP traffic of services with IPAccounting=yes.";
    Sockets "sockets" true
        "Serve the connections of each socket.";
    Timers "timers" true
        "Serve when each timer last elapsed and when it does next, or that it will not.";
    Jobs "jobs" true
        "Serve the job queue, and what became of jobs.";
    Boot "boot" true
        "Serve when the stages of the boot were, and how long they took.";
    Watchdog "watchdog" true
        "Serve the hardware watchdog that the manager feeds, and when services fed theirs.";
    NodeExporter "node-exporter" false
        "Serve what node_exporter's systemd collector does, under its names: the same as --compat=node_exporter.";
}

/// A set of groups: those that are on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Groups(u32);

// === impl Group ===

impl Group {
    /// Its name, as in `--collector.NAME`.
    pub const fn name(self) -> &'static str {
        self.definition().0
    }

    /// Whether it is on unless it is switched off.
    pub const fn is_default(self) -> bool {
        self.definition().1
    }

    /// What it is for: one sentence.
    pub const fn help(self) -> &'static str {
        self.definition().2
    }

    /// The name of its flag, without the dashes.
    pub fn flag(self) -> String {
        format!("collector.{}", self.name())
    }
}

// === impl Groups ===

impl Groups {
    /// No group: what is served without a switch still is.
    pub const NONE: Self = Self(0);

    /// Every group.
    pub fn all() -> Self {
        Group::ALL.iter().copied().collect()
    }

    /// Whether the group is on.
    pub const fn has(self, group: Group) -> bool {
        self.0 & Self::bit(group) != 0
    }

    /// These groups and this one.
    #[must_use]
    pub const fn with(self, group: Group) -> Self {
        Self(self.0 | Self::bit(group))
    }

    /// These groups but for this one.
    #[must_use]
    pub const fn without(self, group: Group) -> Self {
        Self(self.0 & !Self::bit(group))
    }

    /// What has to be read for them.
    pub const fn wants(self) -> Needs {
        Needs {
            problems: self.has(Group::UnitProblems),
            file_states: self.has(Group::UnitFileState),
            times: self.has(Group::UnitTimes),
            timers: self.has(Group::Timers) || self.has(Group::NodeExporter),
            ip: self.has(Group::Ip),
            sockets: self.has(Group::Sockets) || self.has(Group::NodeExporter),
            watchdog: self.has(Group::Watchdog),
            // A matter of the filters.
            slices: false,
            scope_slices: false,
        }
    }

    const fn bit(group: Group) -> u32 {
        1 << group as u32
    }
}

impl Default for Groups {
    /// The groups that are on unless they are switched off.
    fn default() -> Self {
        Group::ALL.iter().copied().filter(|group| group.is_default()).collect()
    }
}

impl FromIterator<Group> for Groups {
    fn from_iter<I: IntoIterator<Item = Group>>(groups: I) -> Self {
        groups.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = Group::ALL.iter().filter(|group| self.has(**group));
        f.debug_set().entries(on.map(|group| group.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_is_switched_by_itself() {
        assert!(Group::ALL.len() <= 32, "a set has 32 places");
        for group in Group::ALL {
            let only = Groups::NONE.with(*group);
            let others = Groups::all().without(*group);
            for other in Group::ALL {
                assert_eq!(only.has(*other), other == group, "{other:?}");
                assert_eq!(others.has(*other), other != group, "{other:?}");
            }
            assert_eq!(Groups::default().has(*group), group.is_default());
        }
    }

    #[test]
    fn what_costs_most_and_what_is_told_twice_is_off_unless_asked_for() {
        let off = Group::ALL.iter().filter(|group| !group.is_default());
        let expected =
            [&Group::UnitSubState, &Group::UnitFileState, &Group::Pressure, &Group::NodeExporter];
        assert_eq!(off.collect::<Vec<_>>(), expected);
    }
}
