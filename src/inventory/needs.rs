//! What is read only where somebody wants to be told it.

use crate::systemd::{
    name::UnitType,
    property::{PropertySet, UnitProperty},
};

/// What is wanted besides what is always read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// What is wrong with units: that they did not load, are wanted and do not run, have changed on
    /// disk, or are frozen.
    pub problems: bool,
    /// The states of unit files.
    pub file_states: bool,
    /// How long starts took.
    pub times: bool,
    /// When timers elapse.
    pub timers: bool,
    /// The IP counters of services.
    pub ip: bool,
    /// The counters of sockets.
    pub sockets: bool,
    /// How the hardware watchdog and those of services do.
    pub watchdog: bool,
    /// In which slices units are.
    pub slices: bool,
    /// In which slices scopes are.
    pub scope_slices: bool,
}

// === impl Needs ===

impl Needs {
    /// All there is.
    pub const EVERYTHING: Self = Self {
        problems: true,
        file_states: true,
        times: true,
        timers: true,
        ip: true,
        sockets: true,
        watchdog: true,
        slices: true,
        scope_slices: true,
    };

    /// What need not be asked of a unit of this type that is told of with others: all but its state,
    /// its runs and where it is.
    pub(super) const fn unneeded_of_member(self, unit_type: UnitType) -> PropertySet {
        let details = PropertySet::details_of(unit_type).without(PropertySet::SLICES);
        let none = Self {
            problems: false,
            times: false,
            ip: false,
            sockets: false,
            watchdog: false,
            ..self
        };
        none.unneeded().union(details)
    }

    /// What need not be asked of units.
    pub(super) const fn unneeded(self) -> PropertySet {
        let mut unneeded = PropertySet::EMPTY;
        if !self.problems {
            // What is counted after a gap needs the settings of restarts as well.
            let resting = PropertySet::RESTING.without(PropertySet::RESTARTING);
            let problems = resting.union(PropertySet::PRESUMED);
            let problems = problems.with(UnitProperty::LoadError).with(UnitProperty::Freezer);
            unneeded = unneeded.union(problems);
        }
        if !self.times {
            unneeded = unneeded.union(PropertySet::START_STAMPS);
        }
        if self.problems || self.times {
            // Both need it.
            unneeded = unneeded.without(PropertySet::of(&[UnitProperty::ActiveExitMonotonic]));
        }
        if !self.timers {
            let details = PropertySet::details_of(UnitType::Timer);
            let needed = if self.problems { PropertySet::ELAPSED } else { PropertySet::EMPTY };
            unneeded = unneeded.union(details.without(needed));
        }
        if !self.ip {
            unneeded = unneeded.union(PropertySet::IP_COUNTERS.with(UnitProperty::IpAccounting));
        }
        if !self.sockets {
            unneeded = unneeded.union(PropertySet::CONNECTION_COUNTERS.with(UnitProperty::Accept));
        }
        if !self.watchdog {
            let service = [UnitProperty::WatchdogInterval, UnitProperty::WatchdogPing];
            unneeded = unneeded.union(PropertySet::of(&service));
        }
        if !self.slices {
            let of_scopes = PropertySet::of(&[UnitProperty::ScopeSlice]);
            let told = if self.scope_slices { of_scopes } else { PropertySet::EMPTY };
            unneeded = unneeded.union(PropertySet::SLICES.without(told));
        }
        unneeded
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        inventory::{Extent, Inventory},
        systemd::{
            listing::ListedUnit,
            name::UnitName,
            property::Value,
            state::{ActiveState, LoadState},
        },
    };

    fn name(name: &str) -> UnitName {
        UnitName::new(name).unwrap()
    }

    /// What is asked of a service, a socket and a unit that does not load, all at rest, of a service
    /// that runs, and at a scrape.
    fn asked(wants: Needs) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
        let mut inventory = Inventory::new(Box::new(|_| true), 0, wants);
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
        inventory.resync(listing.clone(), Extent::Everything, 0);
        inventory.compare(listing, 0);
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

    #[test]
    fn what_nobody_wants_is_not_asked() {
        let problems = PropertySet::RESTING.union(PropertySet::PRESUMED);
        let problems = problems.with(UnitProperty::LoadError).with(UnitProperty::Freezer);
        // These are needed for how long a start took as well, and the other way round.
        let shared = PropertySet::of(&[UnitProperty::ActiveExitMonotonic]);
        let problems = problems.without(shared).iter().map(UnitProperty::name);
        let start = PropertySet::START_STAMPS.without(shared).iter().map(UnitProperty::name);
        let bytes = ["IPIngressBytes", "IPEgressBytes", "IPIngressPackets", "IPEgressPackets"];
        let connections = ["NAccepted", "NConnections", "NRefused"];
        let timers = ["NextElapseUSecMonotonic", "NextElapseUSecRealtime", "Unit"];
        let (all, all_at_scrape) = asked(Needs::EVERYTHING);
        let everything = Needs::EVERYTHING;
        for (wants, of_units, at_scrape) in [
            (everything, vec![], vec![]),
            (Needs { problems: false, ..everything }, problems.collect(), vec![]),
            (
                Needs { ip: false, ..everything },
                [&["IPAccounting"], &bytes[..]].concat(),
                bytes.to_vec(),
            ),
            (
                Needs { sockets: false, ..everything },
                [&["Accept"], &connections[..]].concat(),
                connections.to_vec(),
            ),
            (Needs { times: false, ..everything }, start.collect(), vec![]),
            (Needs { timers: false, ..everything }, timers.to_vec(), vec![]),
            (Needs { slices: false, ..everything }, vec!["Slice"], vec![]),
            (
                Needs { watchdog: false, ..everything },
                vec!["WatchdogUSec"],
                vec!["WatchdogTimestamp"],
            ),
            (Needs { file_states: false, ..everything }, vec![], vec![]),
        ] {
            let (units, scrape) = asked(wants);
            let unneeded: Vec<_> = all.difference(&units).copied().collect();
            assert_eq!(BTreeSet::from_iter(unneeded), BTreeSet::from_iter(of_units), "{wants:?}");
            let unneeded = all_at_scrape.difference(&scrape).copied();
            assert_eq!(BTreeSet::from_iter(unneeded), BTreeSet::from_iter(at_scrape), "{wants:?}");
        }
    }
}
