//! The groups of families that can be switched on and off.

use std::fmt;

use crate::{inventory::reads::Reads, systemd::property::PropertySet};

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

    /// The properties of units that are read for it, besides their state and their runs.
    const fn properties(self) -> PropertySet {
        match self {
            Self::UnitProblems => Reads::PROBLEMS,
            Self::UnitTimes => Reads::TIMES,
            Self::Timers => Reads::TIMERS,
            Self::Ip => Reads::IP,
            Self::Sockets => Reads::SOCKETS,
            Self::Watchdog => Reads::WATCHDOG,
            Self::NodeExporter => Reads::TIMERS.union(Reads::SOCKETS),
            _ => PropertySet::EMPTY,
        }
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

    /// What systemd is asked for on their behalf.
    pub fn reads(self) -> Reads {
        let on = Group::ALL.iter().filter(|group| self.has(**group));
        let none = PropertySet::EMPTY;
        Reads {
            properties: on.fold(none, |all, group| all.union(group.properties())),
            unit_files: self.has(Group::UnitFileState),
            watchdog: self.has(Group::Watchdog),
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
        let at_scrape = inventory.unsignalled().iter().map(|(_, it)| it.name()).collect();
        (of_units, at_scrape)
    }

    /// `off` lists the properties that are no longer asked of units, and at a scrape, without each
    /// group.
    #[test]
    fn what_no_group_needs_is_not_asked() {
        let problems = PropertySet::RESTING.union(PropertySet::PRESUMED);
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
}
