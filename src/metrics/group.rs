//! Groups of families that are switched on and off together, and what each group reads.

use std::fmt;

use crate::{
    cgroup::resources::{Accounting, KernelFile},
    inventory::reads::Reads,
    systemd::property::PropertySet,
};

/// One row of the table below.
struct Definition {
    name: &'static str,
    is_default: bool,
    help: &'static str,
    /// The kernel files that it reads.
    accounting: &'static [Accounting],
    /// The properties of units that it asks systemd for, besides their state and their runs.
    properties: &'static [PropertySet],
}

macro_rules! groups {
    ($(
        $variant:ident $name:literal $is_default:literal
        $(reads $accounting:ident)? $(asks $properties:ident $(and $more:ident)?)? $help:literal;
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

            const fn definition(self) -> Definition {
                match self {
                    $(Self::$variant => Definition {
                        name: $name,
                        is_default: $is_default,
                        help: $help,
                        accounting: &[$(Accounting::$accounting)?],
                        properties: &[$(Reads::$properties $(, Reads::$more)?)?],
                    }),+
                }
            }
        }
    };
}

groups! {
    UnitState "unit-state" true
        "State of each unit, and services that wait for their automatic restart.";
    UnitSubState "unit-sub-state" false
        "State of each unit as its type names it, such as running or mounted.";
    UnitInfo "unit-info" true
        "Type of each service and file system of each mount.";
    UnitTimes "unit-times" true asks TIMES
        "Times of each unit's last state changes, duration of its last start, and start of each service.";
    UnitEvents "unit-events" true
        "Transitions, starts, failures, failed reloads and automatic restarts of each unit.";
    UnitProblems "unit-problems" true asks PROBLEMS
        "Units that could not be loaded, are wanted but inactive, changed on disk, or are frozen.";
    UnitFileState "unit-file-state" false
        "State of each unit file, such as enabled, static or masked.";
    ServiceExits "service-exits" true
        "Last result, exit status and exit time of each service.";
    Tasks "tasks" true reads Tasks
        "Tasks in the control group of each unit, and the limit of each service.";
    Cpu "cpu" true reads Cpu
        "CPU time and throttling of each unit.";
    Memory "memory" true reads Memory
        "Memory use, limits and memory events of each unit.";
    Io "io" true reads Io
        "Bytes and operations of each unit on block devices.";
    Pressure "pressure" false reads Pressure
        "Time that each unit waited for CPU, memory and I/O.";
    Ip "ip" true asks IP
        "IP traffic of services with IPAccounting=yes.";
    Sockets "sockets" true asks SOCKETS
        "Connections of each socket.";
    Timers "timers" true asks TIMERS
        "Last and next elapse of each timer, and timers that will not elapse again.";
    Jobs "jobs" true
        "Job queue, and results and durations of jobs.";
    Boot "boot" true
        "Times of the boot stages and durations of the boot phases.";
    Watchdog "watchdog" true asks WATCHDOG
        "Hardware watchdog of the manager, and last watchdog pings of services.";
    NodeExporter "node-exporter" false reads Tasks asks TIMERS and SOCKETS
        "Metrics of node_exporter's systemd collector under its names, as with --compat=node_exporter.";
}

/// A set of groups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Groups(u32);

// === impl Group ===

impl Group {
    /// Its name, as in `--collector.NAME`.
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// Whether it is on by default.
    pub const fn is_default(self) -> bool {
        self.definition().is_default
    }

    /// What it serves, for `--help`.
    pub const fn help(self) -> &'static str {
        self.definition().help
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

    /// What they ask systemd for.
    pub fn reads(self) -> Reads {
        let on = Group::ALL.iter().filter(|group| self.has(**group));
        let properties = on.flat_map(|group| group.definition().properties);
        Reads {
            properties: properties.fold(PropertySet::EMPTY, |all, some| all.union(*some)),
            unit_files: self.has(Group::UnitFileState),
            watchdog: self.has(Group::Watchdog),
        }
    }

    /// The kernel files that have to be read for them.
    pub fn kernel_files(self) -> Vec<KernelFile> {
        let on = || Group::ALL.iter().filter(|group| self.has(**group));
        let is_read = |file: &KernelFile| {
            on().any(|group| group.definition().accounting.contains(&file.accounting()))
        };
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        inventory::{Extent, Inventory, ListedTypes},
        selection::Selection,
        systemd::{
            listing::ListedUnit,
            name::UnitName,
            property::{UnitProperty, Value},
            state::{ActiveState, LoadState},
        },
    };

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

    fn name(name: &str) -> UnitName {
        UnitName::new(name).unwrap()
    }

    /// What is asked of a service, a socket and a unit that does not load, all at rest, of a service
    /// that runs, and at a scrape.
    fn asked(groups: Groups) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
        let mut inventory = Inventory::new(Selection::default(), groups.reads(), 0);
        let listed = |unit: &str, load_state: LoadState| ListedUnit {
            name: name(unit),
            load_state,
            active_state: ActiveState::Inactive,
            sub_state: "dead".into(),
        };
        let listing = vec![
            listed("a.service", LoadState::Loaded),
            listed("b.socket", LoadState::Loaded),
            listed("c.service", LoadState::Error),
            listed("e.timer", LoadState::Loaded),
            ListedUnit {
                active_state: ActiveState::Active,
                sub_state: "running".into(),
                ..listed("d.service", LoadState::Loaded)
            },
        ];
        inventory.resync_part(ListedTypes::All, listing.clone(), Extent::Everything, 0);
        inventory.compare_part(ListedTypes::All, listing, 0);
        inventory.check_files();
        let mut of_units = BTreeSet::new();
        while let Some((unit, property)) = inventory.next_question() {
            of_units.insert(property.name());
            let flags = [UnitProperty::Accept, UnitProperty::IpAccounting];
            let on = match property {
                UnitProperty::WatchdogInterval => Value::Number(1),
                // The others were never started.
                UnitProperty::ActiveEnter
                | UnitProperty::ActiveExit
                | UnitProperty::InactiveEnter
                | UnitProperty::InactiveExit
                    if unit.as_str() == "d.service" =>
                {
                    Value::Number(1)
                }
                UnitProperty::WantedBy => Value::Units([name("d.service")].into()),
                _ if flags.contains(&property) => Value::Flag(true),
                _ => Value::Nothing,
            };
            inventory.answer(&unit, property, Ok(on));
        }
        assert!(inventory.is_complete());
        let at_scrape = inventory.scrape_questions().iter().map(|(_, it)| it.name()).collect();
        (of_units, at_scrape)
    }

    /// `off` lists the properties that are no longer asked of units, and at a scrape, without each
    /// group.
    #[test]
    fn what_no_group_needs_is_not_asked() {
        let problems = PropertySet::WANTED_INACTIVE.union(PropertySet::PRESUMED_FALSE);
        let problems = problems.with(UnitProperty::LoadError).with(UnitProperty::Freezer);
        // How long a start took needs it as well.
        let shared = PropertySet::of(&[UnitProperty::ActiveExitMonotonic]);
        let problems = problems.without(shared).iter().map(UnitProperty::name).collect::<Vec<_>>();
        let start = PropertySet::START_STAMPS.without(shared);
        let start = start.iter().map(UnitProperty::name).collect::<Vec<_>>();
        let bytes = ["IPIngressBytes", "IPEgressBytes", "IPIngressPackets", "IPEgressPackets"];
        let connections = ["NAccepted", "NConnections", "NRefused"];
        let everything = Groups::all().without(Group::NodeExporter);
        let (all, all_at_scrape) = asked(everything);
        assert!(!all.contains("Slice"), "only a filter or a roll-up needs it");
        for group in Group::ALL {
            let (of_units, at_scrape): (Vec<_>, Vec<_>) = match group {
                Group::UnitProblems => (problems.clone(), vec![]),
                Group::UnitTimes => (start.clone(), vec![]),
                Group::Ip => ([&["IPAccounting"], &bytes[..]].concat(), bytes.to_vec()),
                Group::Sockets => ([&["Accept"], &connections[..]].concat(), connections.to_vec()),
                // The others show that a timer has elapsed for the last time: unit-problems.
                Group::Timers => {
                    (vec!["NextElapseUSecMonotonic", "NextElapseUSecRealtime", "Unit"], vec![])
                }
                Group::Watchdog => (vec!["WatchdogUSec"], vec!["WatchdogTimestamp"]),
                _ => (vec![], vec![]),
            };
            let (units, scrape) = asked(everything.without(*group));
            let saved: Vec<_> = all.difference(&units).copied().collect();
            assert_eq!(BTreeSet::from_iter(saved), BTreeSet::from_iter(of_units), "{group:?}");
            let saved = all_at_scrape.difference(&scrape).copied();
            assert_eq!(BTreeSet::from_iter(saved), BTreeSet::from_iter(at_scrape), "{group:?}");
        }
        assert_eq!(asked(Groups::all()), (all, all_at_scrape));
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
