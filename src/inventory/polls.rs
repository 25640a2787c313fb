//! What to ask of a unit at each scrape, because systemd never signals it.

use super::{
    entry::Entry,
    unit::{Details, IpCounters},
};
use crate::systemd::property::{PropertySet, UnitProperty, Value};

/// Settings and events that decide what a scrape asks.
#[derive(Debug, Default)]
pub(super) struct Polls {
    /// The socket accepts connections itself (`Accept=`).
    accepts_connections: bool,
    /// No signal since the last question can have changed the socket's connections.
    pub(super) connections_unchanged: bool,
    /// The service counts IP traffic (`IPAccounting=`).
    pub(super) counts_ip: bool,
    /// The service has a watchdog (`WatchdogSec=`).
    has_watchdog: bool,
}

// === impl Entry ===

impl Entry {
    /// Takes a setting of [`Polls`]. What it switches off is absent from now on.
    pub(super) fn learn_polled(&mut self, property: UnitProperty, value: &Value) {
        let is_on = *value == Value::Flag(true);
        match property {
            UnitProperty::Accept => self.polls.accepts_connections = is_on,
            UnitProperty::WatchdogInterval => {
                self.polls.has_watchdog = value.number().is_some();
                if !self.polls.has_watchdog {
                    self.learn(UnitProperty::WatchdogPing, &Value::Nothing);
                }
            }
            UnitProperty::IpAccounting => {
                self.polls.counts_ip = is_on;
                if !is_on {
                    self.set_ip(None);
                }
            }
            _ => {}
        }
    }

    /// What to ask of it at a scrape.
    pub(super) fn polled(&self) -> PropertySet {
        let polls = &self.polls;
        // Most units have none of these, and each scrape comes through here for each unit.
        let has_some = polls.accepts_connections || polls.counts_ip || polls.has_watchdog;
        if !has_some || self.knowledge.is_deferred() {
            return PropertySet::EMPTY;
        }
        let mut polled = PropertySet::EMPTY;
        match &self.unit.details {
            Details::Socket(socket) if polls.accepts_connections => {
                // A connection is refused only while others are open, or as the socket changes.
                let is_idle = socket.connections == Some(0) && polls.connections_unchanged;
                if !is_idle {
                    polled = PropertySet::CONNECTION_COUNTERS;
                }
            }
            Details::Service(_) => {
                if polls.counts_ip {
                    polled = polled.union(PropertySet::IP_COUNTERS);
                }
                if polls.has_watchdog && self.unit.is_running() {
                    polled = polled.with(UnitProperty::WatchdogPing);
                }
            }
            _ => {}
        }
        polled.without(self.knowledge.skipped)
    }

    fn set_ip(&mut self, ip: Option<IpCounters>) {
        if let Details::Service(service) = &self.unit.details
            && service.ip != ip
            && let Details::Service(service) = &mut self.unit_mut().details
        {
            service.ip = ip;
        }
    }
}
