//! A unit's row together with what is not known of it yet.

use std::sync::Arc;

use super::unit::{Details, IpCounters, Unit};
use crate::systemd::{
    name::UnitName,
    property::{PropertySet, UnitProperty, Value},
    question::ListedUnit,
    state::{ActiveState, LoadState},
};

/// A unit and what is known about the knowledge of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) unit: Arc<Unit>,
    /// Whether it passes the filter.
    pub(super) admitted: bool,
    /// Its state has been known at least once; until then it is not shown.
    pub(super) known: bool,
    /// What is wanted of it and not known, or perhaps true no longer.
    pub(super) missing: PropertySet,
    /// What systemd would not tell; asking again would be idle.
    refused: PropertySet,
    /// What of it has been asked for and not answered.
    pub(super) asked: PropertySet,
    /// Whether it waits in `unread`.
    pub(super) queued: bool,
    /// It is in the table only because an answer about it came after it had gone: systemd loads a
    /// unit to answer for it. Its `UnitNew` is our own echo.
    pub(super) echo: bool,
    /// `NRestarts` as last seen, under the restarts that are counted from it.
    last_restarts: Option<u64>,
    pub(super) accepts_connections: bool,
    pub(super) counts_ip: bool,
    /// Fields that a comparison had to correct, until a signal explains why.
    pub(super) suspects: Vec<&'static str>,
}

// === impl Entry ===

impl Entry {
    /// A unit of which nothing but its name is known.
    pub(super) fn new(name: UnitName, admitted: bool) -> Self {
        let details = Details::of(name.unit_type());
        let unit = Unit {
            name,
            load_state: LoadState::Stub,
            active_state: ActiveState::Inactive,
            sub_state: Box::default(),
            active_enter: None,
            active_exit: None,
            inactive_enter: None,
            inactive_exit: None,
            details,
        };
        Self {
            unit: Arc::new(unit),
            admitted,
            known: false,
            missing: PropertySet::STATE,
            refused: PropertySet::EMPTY,
            asked: PropertySet::EMPTY,
            queued: false,
            echo: false,
            last_restarts: None,
            accepts_connections: false,
            counts_ip: false,
            suspects: Vec::new(),
        }
    }

    pub(super) fn is_exported(&self) -> bool {
        self.admitted && self.unit.load_state == LoadState::Loaded
    }

    /// What is wanted of it besides its state.
    pub(super) fn wanted(&self) -> PropertySet {
        if !self.is_exported() {
            return PropertySet::EMPTY;
        }
        let mut wanted = PropertySet::details_of(self.unit.name.unit_type());
        if self.counts_ip {
            wanted = wanted.union(PropertySet::IP_COUNTERS);
        }
        wanted
    }

    /// Those of the given properties that a unit of its type has.
    pub(super) fn wanted_details(&self, some: PropertySet) -> PropertySet {
        let wanted = self.wanted();
        wanted.without(wanted.without(some))
    }

    /// Takes a row of a listing; returns the fields that were others before.
    pub(super) fn place(&mut self, listed: ListedUnit) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let unit = &self.unit;
        let was_exported = self.is_exported();
        if unit.load_state != listed.load_state {
            changed.push("load_state");
        }
        if unit.active_state != listed.active_state {
            changed.push("active_state");
        }
        if unit.sub_state != listed.sub_state {
            changed.push("sub_state");
        }
        if !changed.is_empty() {
            let unit = Arc::make_mut(&mut self.unit);
            unit.load_state = listed.load_state;
            unit.active_state = listed.active_state;
            unit.sub_state = listed.sub_state;
        }
        self.missing = self.missing.without(PropertySet::STATE);
        self.refused = self.refused.without(PropertySet::STATE);
        self.known = true;
        if !was_exported || !changed.is_empty() {
            self.missing = self.missing.union(self.wanted());
        }
        changed
    }

    /// Takes one value; returns whether something else is wanted because of it. `departed` gives
    /// the restarts that were counted before the unit last left.
    pub(super) fn learn(
        &mut self,
        property: UnitProperty,
        value: &Value,
        departed: impl FnOnce() -> u64,
    ) -> bool {
        let one = PropertySet::of(&[property]);
        self.missing = self.missing.without(one);
        self.refused = self.refused.without(one);
        self.known |= !self.missing.union(self.refused).intersects(PropertySet::STATE);
        let was_exported = self.is_exported();
        match property {
            UnitProperty::Restarts => self.learn_restarts(value.number(), departed),
            UnitProperty::Accept => self.accepts_connections = *value == Value::Flag(true),
            UnitProperty::IpAccounting => {
                let counts_ip = *value == Value::Flag(true);
                if counts_ip && !self.counts_ip {
                    self.missing = self.missing.union(PropertySet::IP_COUNTERS);
                } else if !counts_ip {
                    self.set_ip(None);
                }
                self.counts_ip = counts_ip;
            }
            // A row is shared with the snapshots that hold it: write only what differs.
            _ if !self.unit.holds(property, value) => {
                Arc::make_mut(&mut self.unit).set(property, value);
            }
            _ => {}
        }
        if self.is_exported() && !was_exported {
            self.missing = self.missing.union(self.wanted());
        } else if !self.is_exported() {
            self.missing = self.missing.without(self.missing.without(PropertySet::STATE));
        }
        !self.missing.without(self.asked).is_empty()
    }

    fn learn_restarts(&mut self, now: Option<u64>, departed: impl FnOnce() -> u64) {
        let Some(now) = now else { return };
        let more = match self.last_restarts {
            // What systemd counts from zero again after a reset has happened since then.
            Some(last) if now < last => now,
            Some(last) => now - last,
            None => now.saturating_add(departed()),
        };
        self.last_restarts = Some(now);
        let Details::Service(service) = &self.unit.details else { return };
        if more > 0 || service.restarts.is_none() {
            let sum = service.restarts.unwrap_or(0).saturating_add(more);
            if let Details::Service(service) = &mut Arc::make_mut(&mut self.unit).details {
                service.restarts = Some(sum);
            }
        }
    }

    /// Takes in that systemd will not tell a value. A unit whose state is not told stays hidden;
    /// anything else is then absent.
    pub(super) fn refuse(&mut self, property: UnitProperty) {
        let one = PropertySet::of(&[property]);
        self.missing = self.missing.without(one);
        self.refused = self.refused.union(one);
        if !one.intersects(PropertySet::STATE)
            && property != UnitProperty::Restarts
            && !self.unit.holds(property, &Value::Nothing)
        {
            Arc::make_mut(&mut self.unit).set(property, &Value::Nothing);
        }
    }

    fn set_ip(&mut self, ip: Option<IpCounters>) {
        if let Details::Service(service) = &self.unit.details
            && service.ip != ip
            && let Details::Service(service) = &mut Arc::make_mut(&mut self.unit).details
        {
            service.ip = ip;
        }
    }
}
