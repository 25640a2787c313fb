//! What is read of units besides their state and their runs.

use crate::systemd::{
    name::UnitType,
    property::{PropertySet, UnitProperty},
};

/// What to read for the metrics that are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Properties of units, from the sets below.
    pub properties: PropertySet,
    /// The unit files (`ListUnitFiles`).
    pub unit_files: bool,
    /// The hardware watchdog that the manager feeds.
    pub watchdog: bool,
}

// === impl Reads ===

impl Reads {
    /// Everything that can be read.
    pub const EVERYTHING: Self =
        Self { properties: Self::OPTIONAL, unit_files: true, watchdog: true };

    /// Properties that are read only if a metric or a filter needs them.
    const OPTIONAL: PropertySet = Self::PROBLEMS
        .union(Self::TIMES)
        .union(Self::TIMERS)
        .union(Self::IP)
        .union(Self::SOCKETS)
        .union(Self::WATCHDOG)
        .union(PropertySet::SLICES);

    /// What is wrong with a unit. What counting after a gap needs ([`PropertySet::RESTART_SETTINGS`]) is
    /// read in any case.
    pub const PROBLEMS: PropertySet = PropertySet::WANTED_INACTIVE
        .without(PropertySet::RESTART_SETTINGS)
        .union(PropertySet::PRESUMED_FALSE)
        .union(PropertySet::LAST_ELAPSE)
        .with(UnitProperty::LoadError)
        .with(UnitProperty::Freezer);

    /// How long the last start took.
    pub const TIMES: PropertySet = PropertySet::START_STAMPS;

    /// When timers elapse.
    pub const TIMERS: PropertySet = PropertySet::details_of(UnitType::Timer);

    /// IP accounting of services.
    pub const IP: PropertySet = PropertySet::IP_COUNTERS.with(UnitProperty::IpAccounting);

    /// Connections of sockets.
    pub const SOCKETS: PropertySet = PropertySet::CONNECTION_COUNTERS.with(UnitProperty::Accept);

    /// The watchdogs of services.
    pub const WATCHDOG: PropertySet =
        PropertySet::of(&[UnitProperty::WatchdogInterval, UnitProperty::WatchdogPing]);

    /// What is not read of a unit with series of its own.
    pub(super) const fn skipped(self) -> PropertySet {
        Self::OPTIONAL.without(self.properties)
    }

    /// What is not read of a unit that is rolled up: all except its state, its runs and its slice.
    pub(super) const fn skipped_in_rollups(self, unit_type: UnitType) -> PropertySet {
        let slices = PropertySet::SLICES.without(self.skipped());
        Self::OPTIONAL.union(PropertySet::details_of(unit_type)).without(slices)
    }
}
