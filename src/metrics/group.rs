//! Groups of families that are switched on and off together, and what each group reads.

use std::fmt;

use crate::{
    cgroup::resources::{Accounting, KernelFile},
    inventory::needs::Needs,
};

macro_rules! groups {
    ($(
        $variant:ident $name:literal $is_default:literal $(reads $accounting:ident)? $help:literal;
    )+) => {
        /// Families that are served together or not at all.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each is documented by its help")]
        pub enum Group {
            $($variant),+
        }

        impl Group {
            /// Every group, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name, whether it is on by default, the help, and which kernel files it reads.
            const fn definition(self) -> (&'static str, bool, &'static str, &'static [Accounting]) {
                match self {
                    $(Self::$variant => (
                        $name, $is_default, $help, &[$(Accounting::$accounting)?],
                    )),+
                }
            }
        }
    };
}

groups! {
    UnitState "unit-state" true
        "State of each unit.";
    UnitSubState "unit-sub-state" false
        "State of each unit as its type names it, such as running or mounted.";
    UnitInfo "unit-info" true
        "Type of each service and file system of each mount.";
    UnitTimes "unit-times" true
        "Last state changes of each unit, and the start of each service.";
    UnitEvents "unit-events" true
        "Transitions, starts, failures and automatic restarts of each unit.";
    UnitProblems "unit-problems" true
        "Units that did not load, are wanted but inactive, changed on disk, or are frozen.";
    UnitFileState "unit-file-state" false
        "State of each unit file, such as enabled, static or masked.";
    ServiceExits "service-exits" true
        "Last result, exit status and exit time of each service.";
    Tasks "tasks" true reads Tasks
        "Tasks in the control group of each unit, and the limit of each service.";
    Cpu "cpu" true reads Cpu
        "CPU time of each unit.";
    Memory "memory" true reads Memory
        "Memory use, limits and memory events of each unit.";
    Io "io" true reads Io
        "Bytes and operations of each unit on block devices.";
    Pressure "pressure" false reads Pressure
        "Time that each unit waited for CPU, memory and I/O.";
    Ip "ip" true
        "IP traffic of services with IPAccounting=yes.";
    Sockets "sockets" true
        "Connections of each socket.";
    Timers "timers" true
        "Last and next elapse of each timer, and timers that will not elapse again.";
    Jobs "jobs" true
        "Job queue, and results and durations of jobs.";
    Boot "boot" true
        "Times of the boot stages and durations of the boot phases.";
    Watchdog "watchdog" true
        "Hardware watchdog of the manager, and last watchdog pings of services.";
    NodeExporter "node-exporter" false reads Tasks
        "Metrics of node_exporter's systemd collector under its names, as with --compat=node_exporter.";
}

/// A set of groups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Groups(u32);

// === impl Group ===

impl Group {
    /// Its name, as in `--collector.NAME`.
    pub const fn name(self) -> &'static str {
        self.definition().0
    }

    /// Whether it is on by default.
    pub const fn is_default(self) -> bool {
        self.definition().1
    }

    /// What it serves, for `--help`.
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
    /// No group. Families without a group are still served.
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

    /// These groups without this one.
    #[must_use]
    pub const fn without(self, group: Group) -> Self {
        Self(self.0 & !Self::bit(group))
    }

    /// The D-Bus properties that have to be read for them.
    pub const fn wants(self) -> Needs {
        Needs {
            problems: self.has(Group::UnitProblems),
            file_states: self.has(Group::UnitFileState),
            times: self.has(Group::UnitTimes),
            timers: self.has(Group::Timers) || self.has(Group::NodeExporter),
            ip: self.has(Group::Ip),
            sockets: self.has(Group::Sockets) || self.has(Group::NodeExporter),
            watchdog: self.has(Group::Watchdog),
            // The filters decide these.
            slices: false,
            scope_slices: false,
        }
    }

    /// The kernel files that have to be read for them.
    pub fn kernel_files(self) -> Vec<KernelFile> {
        let on = || Group::ALL.iter().filter(|group| self.has(**group));
        let is_read =
            |file: &KernelFile| on().any(|group| group.definition().3.contains(&file.accounting()));
        KernelFile::ALL.iter().copied().filter(is_read).collect()
    }

    const fn bit(group: Group) -> u32 {
        1 << group as u32
    }
}

impl Default for Groups {
    /// The groups that are on by default.
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
    fn a_group_is_switched_without_the_others() {
        assert!(Group::ALL.len() <= 32, "a set has 32 bits");
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
    fn costly_groups_and_those_that_repeat_others_are_off_by_default() {
        let off = Group::ALL.iter().filter(|group| !group.is_default());
        let expected =
            [&Group::UnitSubState, &Group::UnitFileState, &Group::Pressure, &Group::NodeExporter];
        assert_eq!(off.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_kernel_file_is_read_if_a_group_that_is_on_needs_it() {
        let only = |group| Groups::NONE.with(group).kernel_files();
        assert_eq!(only(Group::UnitState), []);
        assert_eq!(only(Group::Cpu), [KernelFile::CpuStat]);
        for group in [Group::Tasks, Group::NodeExporter] {
            assert_eq!(only(group), [KernelFile::PidsCurrent]);
        }
        let pressure =
            [KernelFile::CpuPressure, KernelFile::MemoryPressure, KernelFile::IoPressure];
        assert_eq!(only(Group::Pressure), pressure);
        assert_eq!(Groups::all().kernel_files(), KernelFile::ALL);
    }
}
