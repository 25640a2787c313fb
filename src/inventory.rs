//! What is known of systemd: units, jobs and the manager, kept as a pure state machine.
//!
//! No clock, no I/O, no waiting: events, answers and listings go in, in the order in which
//! systemd sent them, and a [`Snapshot`] comes out. Because that order is the order of truth (see
//! [`crate::systemd`]), whatever comes later simply overwrites what came before.
//!
//! A row also knows what is not known of it yet. [`Inventory::next_question`] hands that out
//! piece by piece, and a signal that brings a value makes the question for it needless.

mod departed;
mod entry;
mod jobs;
mod manager;
pub mod snapshot;
pub mod unit;

use std::{
    collections::{BTreeMap, VecDeque, btree_map},
    fmt,
    sync::Arc,
};

use self::{departed::Departed, entry::Entry, jobs::Jobs, snapshot::Snapshot, unit::Details};
use crate::systemd::{
    event::Event,
    name::UnitName,
    property::{ManagerProperty, PropertySet, UnitProperty, Value},
    question::{CallError, ListedJob, ListedUnit},
    state::LoadState,
};

/// Which units are exported; the others are only counted.
pub type Admits = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// The table of everything that is known.
pub struct Inventory {
    admits: Admits,
    units: BTreeMap<UnitName, Entry>,
    /// Units of which something is to be read, each once.
    unread: VecDeque<UnitName>,
    /// Units to look at again after a pause: asking about them at once could go on for ever.
    deferred: Vec<UnitName>,
    departed: Departed,
    jobs: Jobs,
    manager: snapshot::Manager,
    /// Between the two `Reloading` signals, when every unit seems to leave and come back.
    reloading: bool,
}

// === impl Inventory ===

impl Inventory {
    /// An empty table that exports the units that `admits` lets through.
    pub fn new(admits: Admits) -> Self {
        Self {
            admits,
            units: BTreeMap::new(),
            unread: VecDeque::new(),
            deferred: Vec::new(),
            departed: Departed::default(),
            jobs: Jobs::default(),
            manager: snapshot::Manager::default(),
            reloading: false,
        }
    }

    /// Takes in what systemd signalled.
    pub fn apply(&mut self, event: Event) {
        match event {
            // During a reload every unit goes and comes back. The listing that follows the end of
            // the reload says which of them really did.
            Event::UnitNew(_) | Event::UnitRemoved(_) if self.reloading => {}
            Event::UnitNew(name) => self.add(name),
            Event::UnitRemoved(name) => self.remove(&name),
            Event::UnitChanged(name, facts) => self.change(&name, facts),
            Event::JobNew { id } => self.jobs.add(id),
            Event::JobRemoved { id } => self.jobs.remove(id),
            Event::JobChanged { id, state } => self.jobs.change(id, state),
            Event::ManagerChanged(facts) => {
                for (property, value) in facts {
                    self.manager.learn(property, &value);
                }
            }
            Event::Reloading(active) => self.reloading = active,
            Event::StartupFinished | Event::UnitFilesChanged | Event::OwnerChanged { .. } => {}
        }
    }

    /// Takes in the answer to a question of [`Self::next_question`] or about a unit's counters.
    pub fn answer(
        &mut self,
        name: &UnitName,
        property: UnitProperty,
        answer: Result<Value, CallError>,
    ) {
        if answer.is_ok() && !self.units.contains_key(name) {
            let mut echo = self.entry(name.clone());
            echo.echo = true;
            self.units.insert(name.clone(), echo);
        }
        let Some(entry) = self.units.get_mut(name) else { return };
        let one = PropertySet::of(&[property]);
        entry.asked = entry.asked.without(one);
        match answer {
            Ok(value) => self.change_one(name, property, &value),
            Err(error) if error.is_passing() => self.deferred.push(name.clone()),
            Err(_) => entry.refuse(property),
        }
    }

    /// The next thing to ask systemd, marked as asked.
    pub fn next_question(&mut self) -> Option<(UnitName, UnitProperty)> {
        loop {
            let name = self.unread.front()?;
            if let Some(entry) = self.units.get_mut(name) {
                if let Some(property) = entry.missing.without(entry.asked).iter().next() {
                    entry.asked = entry.asked.union(PropertySet::of(&[property]));
                    return Some((name.clone(), property));
                }
                entry.queued = false;
            }
            self.unread.pop_front();
        }
    }

    /// Whether everything that is wanted is known.
    pub fn is_complete(&self) -> bool {
        self.unread.is_empty()
            && self.deferred.is_empty()
            && self.units.values().all(|entry| entry.asked.is_empty())
    }

    /// Makes what was put off due again. To be called now and then.
    pub fn retry_deferred(&mut self) {
        for name in std::mem::take(&mut self.deferred) {
            if let Some(entry) = self.units.get_mut(&name) {
                entry.echo = false;
                enqueue(&mut self.unread, &name, entry);
            }
        }
    }

    /// Forgets which questions are under way: the connection that they were asked on is gone.
    pub fn disconnect(&mut self) {
        self.reloading = false;
        for (name, entry) in &mut self.units {
            entry.asked = PropertySet::EMPTY;
            enqueue(&mut self.unread, name, entry);
        }
    }

    /// Takes a listing for the whole truth, and makes all that is not in it unknown: after a
    /// reload, or a time during which nothing was heard.
    pub fn adopt(&mut self, listing: Vec<ListedUnit>) {
        self.place(listing, |_, _| {});
        for (name, entry) in &mut self.units {
            entry.suspects.clear();
            entry.missing = entry.missing.union(entry.wanted());
            enqueue(&mut self.unread, name, entry);
        }
    }

    /// Compares the table with a listing and corrects it, remembering what had to be corrected
    /// until a signal explains it: systemd may answer before it has sent the signal of a change.
    /// Returns how many units are gone without a signal; that signal is never late.
    pub fn compare(&mut self, listing: Vec<ListedUnit>) -> usize {
        let gone = self.place(listing, |entry, field| entry.suspects.push(field));
        for (name, entry) in &mut self.units {
            // Set without a signal, so to be read anew now and then.
            if entry.is_exported() {
                let silent = entry.wanted_details(PropertySet::SILENT_SETTINGS);
                entry.missing = entry.missing.union(silent);
                enqueue(&mut self.unread, name, entry);
            }
        }
        gone
    }

    /// The fields that a comparison corrected and that no signal has explained since: drift.
    pub fn take_suspects(&mut self) -> Vec<&'static str> {
        self.units.values_mut().flat_map(|entry| std::mem::take(&mut entry.suspects)).collect()
    }

    /// Takes a listing for the whole truth about the job queue. Returns how many jobs had left
    /// without a signal.
    pub fn adopt_jobs(&mut self, listing: Vec<ListedJob>) -> usize {
        self.jobs.adopt(listing)
    }

    /// Whether a job has been queued of which only its number is known.
    pub fn has_unknown_jobs(&self) -> bool {
        self.jobs.has_unknown()
    }

    /// Takes in a property of the manager; [`Value::Nothing`] also for one it does not have.
    pub fn learn_manager(&mut self, property: ManagerProperty, value: &Value) {
        self.manager.learn(property, value);
    }

    /// What to ask at each scrape because systemd never signals it: the counters of sockets that
    /// accept connections and of services that count IP traffic.
    pub fn unsignalled(&self) -> Vec<(UnitName, UnitProperty)> {
        let counters = |(name, entry): (&UnitName, &Entry)| {
            let socket = PropertySet::CONNECTION_COUNTERS;
            let set = match entry.unit.details {
                _ if !entry.is_exported() => PropertySet::EMPTY,
                Details::Socket(_) if entry.accepts_connections => socket,
                Details::Service(_) if entry.counts_ip => PropertySet::IP_COUNTERS,
                _ => PropertySet::EMPTY,
            };
            let name = name.clone();
            set.iter().map(move |property| (name.clone(), property))
        };
        self.units.iter().flat_map(counters).collect()
    }

    /// The manager's facts.
    pub fn manager(&self) -> &snapshot::Manager {
        &self.manager
    }

    /// How many loaded units pass the filter.
    pub fn exported(&self) -> usize {
        self.units.values().filter(|entry| entry.is_exported()).count()
    }

    /// Everything at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            jobs: self.jobs.counts(),
            manager: self.manager.clone(),
            ..Snapshot::default()
        };
        for entry in self.units.values() {
            let unit = &entry.unit;
            if !entry.known || entry.echo {
                continue;
            }
            if unit.load_state == LoadState::Loaded {
                let key = (unit.name.unit_type(), unit.active_state.clone());
                *snapshot.loaded.entry(key).or_default() += 1;
            } else {
                *snapshot.not_loaded.entry(unit.load_state.clone()).or_default() += 1;
            }
            if entry.admitted {
                snapshot.units.push(Arc::clone(unit));
            }
        }
        snapshot
    }

    fn entry(&self, name: UnitName) -> Entry {
        let admitted = (self.admits)(name.as_str());
        Entry::new(name, admitted)
    }

    fn add(&mut self, name: UnitName) {
        if let Some(entry) = self.units.get_mut(&name) {
            entry.suspects.clear();
            // A listing or an answer spoke of it before systemd announced it, and what it did in
            // between was never signalled.
            entry.missing = entry.missing.union(PropertySet::STATE).union(entry.wanted());
            if entry.echo {
                self.deferred.push(name);
            } else {
                enqueue(&mut self.unread, &name, entry);
            }
            return;
        }
        let entry = self.entry(name.clone());
        let entry = self.units.entry(name.clone()).or_insert(entry);
        enqueue(&mut self.unread, &name, entry);
    }

    fn remove(&mut self, name: &UnitName) {
        if let Some(entry) = self.units.remove(name) {
            self.departed.keep(&entry.unit);
        }
    }

    fn change(&mut self, name: &UnitName, facts: Vec<(UnitProperty, Value)>) {
        for (property, value) in &facts {
            self.change_one(name, *property, value);
        }
        let Some(entry) = self.units.get_mut(name) else { return };
        let about_state = facts.iter().any(|(property, _)| *property == UnitProperty::ActiveState);
        if about_state {
            entry.suspects.clear();
            // A unit can be loaded after all, for example when a missing file has come; systemd
            // signals that it changed, but not to what.
            if entry.unit.load_state != LoadState::Loaded {
                entry.missing = entry.missing.union(PropertySet::of(&[UnitProperty::LoadState]));
                enqueue(&mut self.unread, name, entry);
            }
        }
    }

    fn change_one(&mut self, name: &UnitName, property: UnitProperty, value: &Value) {
        let Some(entry) = self.units.get_mut(name) else { return };
        let wanted = entry.learn(property, value, || self.departed.take(name));
        if wanted {
            enqueue(&mut self.unread, name, entry);
        }
    }

    /// Puts the states of a listing into the table, saying which were others before, and returns
    /// how many units were not listed and had to go.
    fn place(
        &mut self,
        listing: Vec<ListedUnit>,
        mut corrected: impl FnMut(&mut Entry, &'static str),
    ) -> usize {
        let mut before = std::mem::take(&mut self.units);
        for listed in listing {
            let name = listed.name.clone();
            let known = before.remove(&name);
            let was_known = known.is_some();
            let mut entry = known.unwrap_or_else(|| self.entry(name.clone()));
            let visible = entry.known && !entry.echo;
            entry.echo = false;
            let changed = entry.place(listed);
            if visible {
                changed.into_iter().for_each(|field| corrected(&mut entry, field));
            } else if !was_known {
                corrected(&mut entry, "presence");
            }
            enqueue(&mut self.unread, &name, &mut entry);
            if let btree_map::Entry::Vacant(place) = self.units.entry(name) {
                place.insert(entry);
            }
        }
        let gone = before.values().filter(|entry| !entry.echo).count();
        for entry in before.values() {
            self.departed.keep(&entry.unit);
        }
        gone
    }
}

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inventory")
            .field("units", &self.units)
            .field("jobs", &self.jobs)
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}

fn enqueue(unread: &mut VecDeque<UnitName>, name: &UnitName, entry: &mut Entry) {
    if !entry.queued && !entry.missing.without(entry.asked).is_empty() && !entry.echo {
        entry.queued = true;
        unread.push_back(name.clone());
    }
}

#[cfg(test)]
mod tests;
