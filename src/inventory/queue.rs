//! What is not known yet and has to be asked, and when.

use std::{collections::VecDeque, ops::Bound};

use super::{Inventory, entry::Entry};
use crate::selection::Placement;
use crate::systemd::{
    name::{UnitName, UnitType},
    property::{PropertySet, UnitProperty},
};

/// How many units are asked at each comparison whether their files have changed: systemd looks for
/// them on the disk, which takes it about a millisecond a unit.
pub(super) const FILES_AT_ONCE: usize = 300;

// === impl Inventory ===

impl Inventory {
    /// The next thing to ask systemd, marked as asked.
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
                // A signal may have brought what was missing.
                entry.note_read();
            }
            self.unread.pop_front();
        }
    }

    /// Whether everything has been known, at one time or another, of each unit that the last listing
    /// of all told of. Those that came later do not count, and what changes again is read again:
    /// or there might be no end of it.
    pub fn is_complete(&self) -> bool {
        !self.units.values().any(Entry::is_seed)
    }

    /// Whether all that may be asked at this moment is known, also what a table is whole without.
    pub fn is_settled(&self) -> bool {
        let is_known =
            |entry: &Entry| entry.to_ask().is_empty() && entry.knowledge.asked.is_empty();
        let files = self.files_listed || !self.reads.unit_files;
        files && self.units.values().all(is_known)
    }

    /// Asks the units next in turn whether their files are newer than what is loaded.
    pub fn check_files(&mut self) {
        let after = self.files_checked_up_to.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.units.range_mut((after, Bound::Unbounded));
        let exported = next.filter(|(_, entry)| entry.is_exported());
        for (count, (name, entry)) in exported.take(FILES_AT_ONCE).enumerate() {
            entry.invalidate_presumed();
            enqueue(&mut self.unread, name, entry);
            if count + 1 == FILES_AT_ONCE {
                self.files_checked_up_to = Some(name.clone());
            }
        }
    }

    /// What to ask at each scrape because systemd never signals it: the counters of sockets that
    /// have connections or may have had some, and of services that count IP traffic, and when
    /// services with a watchdog said that they live.
    ///
    /// It has to be asked then, or [`Self::mark_all_changed`] to be called.
    pub fn unsignalled(&mut self) -> Vec<(UnitName, UnitProperty)> {
        let mut all = Vec::new();
        for (name, entry) in &mut self.units {
            let wanted = entry.polled();
            let is_shown = || entry.placement != Placement::Hidden;
            if !wanted.is_empty() && entry.is_exported() && is_shown() {
                all.extend(wanted.iter().map(|property| (name.clone(), property)));
                // Which socket the connections of instances belong to is not to be told.
                entry.polls.may_have_changed = name.as_str().contains('@');
            }
        }
        all
    }

    /// Takes it that the connections of each socket may have changed.
    pub fn mark_all_changed(&mut self) {
        self.units.values_mut().for_each(|entry| entry.polls.may_have_changed = true);
    }

    /// The same of the sockets that something which was heard has to do with: a socket that accepts
    /// connections has an instance of the service of its name for each.
    pub(super) fn mark_changed(&mut self, heard: &UnitName) {
        let socket = match heard.as_str().split_once('@') {
            _ if heard.unit_type() == UnitType::Socket => Some(heard.clone()),
            Some((prefix, _)) if heard.unit_type() == UnitType::Service => {
                UnitName::new(&format!("{prefix}.socket"))
            }
            _ => None,
        };
        if let Some(entry) = socket.and_then(|name| self.units.get_mut(&name)) {
            entry.polls.may_have_changed = true;
        }
    }
}

pub(super) fn enqueue(unread: &mut VecDeque<UnitName>, name: &UnitName, entry: &mut Entry) {
    if !entry.knowledge.queued && !entry.to_ask().is_empty() {
        entry.knowledge.queued = true;
        // Before all that has come since, or a storm of new units would keep it waiting.
        match entry.is_seed() {
            true => unread.push_front(name.clone()),
            false => unread.push_back(name.clone()),
        }
    }
}
