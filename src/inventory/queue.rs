//! The queue of questions: what to ask systemd, and in which order.

use std::{collections::VecDeque, ops::Bound};

use super::{Inventory, entry::Entry};
use crate::systemd::{
    listing::Listing,
    name::{UnitName, UnitType},
    property::{PropertySet, UnitProperty},
};

/// How many units are asked at each reconcile whether their files have changed. For each of them
/// systemd reads the disk, which takes about a millisecond.
pub(super) const FILES_AT_ONCE: usize = 300;

// === impl Inventory ===

impl Inventory {
    /// The next question for systemd, marked as asked.
    pub fn next_question(&mut self) -> Option<(UnitName, UnitProperty)> {
        loop {
            let name = self.unread.front()?;
            if let Some(entry) = self.units.get_mut(name) {
                if let Some(property) = entry.to_ask().iter().next() {
                    if self.unknown_properties.has(property) {
                        let name = name.clone();
                        self.mark_unavailable(&name, property);
                        continue;
                    }
                    entry.knowledge.asked =
                        entry.knowledge.asked.union(PropertySet::of(&[property]));
                    return Some((name.clone(), property));
                }
                entry.knowledge.queued = false;
                // A signal may have carried the missing values.
                entry.note_read();
            }
            self.unread.pop_front();
        }
    }

    /// Whether every unit of the last resync has been read completely at least once. Later units and
    /// changes do not matter: with them a busy host might never be complete.
    pub fn is_complete(&self) -> bool {
        !self.units.values().any(Entry::is_seed)
    }

    /// Whether everything that may be asked now is answered, for later units and changes too.
    pub fn is_fully_read(&self) -> bool {
        let is_known =
            |entry: &Entry| entry.to_ask().is_empty() && entry.knowledge.asked.is_empty();
        let refused = self.refused.contains(&Listing::UnitFiles);
        let files = self.files_listed || refused || !self.reads.unit_files;
        files && self.units.values().all(is_known)
    }

    /// Asks the next units in turn whether their files are newer than what systemd loaded.
    pub fn check_files(&mut self) {
        let after = self.files_checked_up_to.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.units.range_mut((after, Bound::Unbounded));
        let exported = next.filter(|(_, entry)| entry.needs_details());
        for (count, (name, entry)) in exported.take(FILES_AT_ONCE).enumerate() {
            entry.invalidate_presumed();
            enqueue(&mut self.unread, name, entry);
            if count + 1 == FILES_AT_ONCE {
                self.files_checked_up_to = Some(name.clone());
            }
        }
    }

    /// What to ask at a scrape because systemd never signals it: the counters of sockets whose
    /// connections may have changed, IP counters, and watchdog pings.
    ///
    /// If these are not asked, call [`Self::mark_all_connections_changed`].
    pub fn scrape_questions(&mut self) -> Vec<(UnitName, UnitProperty)> {
        let mut all = Vec::new();
        for (name, entry) in &mut self.units {
            let polled = entry.polled();
            if !polled.is_empty() && entry.needs_details() && entry.placement.is_shown() {
                all.extend(polled.iter().map(|property| (name.clone(), property)));
                // The connections of an instance cannot be traced to its socket: always ask again.
                entry.polls.connections_unchanged = !name.as_str().contains('@');
            }
        }
        all
    }

    /// Notes that the connections of every socket may have changed.
    pub fn mark_all_connections_changed(&mut self) {
        self.units.values_mut().for_each(|entry| entry.polls.connections_unchanged = false);
    }

    /// Notes that the connections of a signalled unit's socket may have changed. With `Accept=yes`
    /// a socket starts an instance of the service of its name for each connection.
    pub(super) fn mark_connections_changed(&mut self, signalled: &UnitName) {
        let socket = match signalled.as_str().split_once('@') {
            _ if signalled.unit_type() == UnitType::Socket => Some(signalled.clone()),
            Some((prefix, _)) if signalled.unit_type() == UnitType::Service => {
                UnitName::new(&format!("{prefix}.socket"))
            }
            _ => None,
        };
        if let Some(entry) = socket.and_then(|name| self.units.get_mut(&name)) {
            entry.polls.connections_unchanged = false;
        }
    }
}

/// Puts a unit into the queue if it is to be asked about and is not in it.
pub(super) fn enqueue(unread: &mut VecDeque<UnitName>, name: &UnitName, entry: &mut Entry) {
    if !entry.knowledge.queued && !entry.to_ask().is_empty() {
        entry.knowledge.queued = true;
        // Seeds come first: a storm of new units would delay them.
        match entry.is_seed() {
            true => unread.push_front(name.clone()),
            false => unread.push_back(name.clone()),
        }
    }
}
