//! What is known of systemd: units, jobs and the manager, kept as a pure state machine.
//!
//! No clock, no I/O, no waiting: events, answers and listings go in, in the order in which
//! systemd sent them, and a [`Snapshot`](snapshot::Snapshot) comes out. Because that order is the
//! order of truth (see [`crate::systemd`]), whatever comes later simply overwrites what came
//! before.
//!
//! A row also knows what is not known of it yet. [`Inventory::next_question`] hands that out
//! piece by piece, and a signal that brings a value makes the question for it needless.

pub mod counters;
pub mod counts;
mod cursor;
mod entry;
mod gone;
mod inferred;
mod jobs;
pub mod manager;
pub mod needs;
mod queue;
pub mod record;
mod reloads;
mod rollups;
pub mod snapshot;
mod timers;
pub mod unit;
pub mod wanted_inactive;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map},
    fmt,
};

use self::{
    counters::{Delta, HostCounters},
    cursor::Cursor,
    entry::{Counting, Entry, Trigger},
    gone::{GoneUnit, GoneUnits},
    jobs::{Jobs, UnitView},
    manager::Manager,
    needs::Needs,
    queue::enqueue,
    rollups::RollupTable,
    wanted_inactive::Activatable,
};
use crate::clock::Usec;
use crate::selection::filter::Slices;
use crate::selection::rollup::{Placement, Rollups};
use crate::systemd::{
    event::Event,
    listing::{ListedFile, ListedJob, ListedUnit, Listing},
    name::{UnitName, UnitType},
    property::{ManagerProperty, PropertySet, UnitProperty, Value},
    question::CallError,
    state::{JobResult, JobType, LoadState},
};

/// Which units are exported; the others are only counted.
pub type Admits = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// How long a unit at rest is left alone after it was announced or came to rest, in microseconds.
/// systemd drops most of them at once, and a question about a unit that is not in memory makes it
/// load the unit, announce it to every subscriber and drop it again. Two clients that ask about
/// what is announced would keep each other busy for ever.
const SETTLING: Usec = 1_000_000;

/// The smallest difference between the two clocks that shows that one was set, in microseconds. What
/// keeps the time of day right bit by bit moves both.
const SMALLEST_STEP: Usec = 1_000;

/// The table of everything that is known.
///
/// Times that it is given are in microseconds since boot.
pub struct Inventory {
    admits: Admits,
    /// The slices whose units are exported.
    slices: Slices,
    /// How long the counters of a unit that has left are served.
    retention: Usec,
    units: BTreeMap<UnitName, Entry>,
    /// Units of which something is to be read, each once.
    unread: VecDeque<UnitName>,
    /// Units that are to be asked about later: see [`Entry::defer`].
    deferred: BTreeSet<UnitName>,
    /// What this version of systemd has no such property of, and is not asked of other units.
    unknown_properties: PropertySet,
    /// Inactive units that only inactive units want.
    unwanted: BTreeSet<UnitName>,
    /// Units to count after a pause, should no signal make it clearer what happened to them.
    uncounted: Vec<UnitName>,
    /// The same, with the pause all but over.
    overdue: Vec<UnitName>,
    gone: GoneUnits,
    /// What has happened to units that are told of as one.
    rollups: RollupTable,
    /// The names that the bus starts services for; `None` where no bus has said.
    activatable: Option<Activatable>,
    /// The unit files, as they were listed.
    files: Vec<ListedFile>,
    /// The unit files have been listed, or will not be.
    files_listed: bool,
    wants: Needs,
    /// The units of an earlier life of the exporter, until a listing says which are still there.
    recalled: BTreeMap<UnitName, GoneUnit>,
    /// What systemd refuses to list: only units that it has signalled are known of these.
    refused: BTreeSet<Listing>,
    /// Some listing has been taken in, of this life or an earlier one: a unit that was not in the
    /// table before was loaded since.
    all_listed: bool,
    totals: HostCounters,
    jobs: Jobs,
    manager: Manager,
    /// How far the time of day is ahead of the monotonic clock, if that is what it was when the
    /// manager began: the clock has not been set since.
    clock_offset: Option<Usec>,
    /// When the manager began, which tells it from the one before.
    instance: Option<Usec>,
    /// How long what is applied had waited for its turn.
    lag: Usec,
    /// Between the two `Reloading` signals, when every unit seems to leave and come back.
    reloading: bool,
    /// Rises with everything that is counted.
    generation: u64,
    /// Up to which unit it has been asked whether files have changed, in the round under way.
    files_checked_up_to: Option<UnitName>,
}

/// Of what a listing is the whole truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Of everything: signals may have been missed.
    Everything,
    /// Of what changes without a signal when systemd reloads: every change of a state was heard.
    Settings,
}

/// Which units a listing is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedTypes {
    /// All.
    All,
    /// Those of one type.
    Type(UnitType),
}

// === impl ListedTypes ===

impl ListedTypes {
    /// Whether it is of units of this type.
    pub fn has(self, unit_type: UnitType) -> bool {
        self == Self::All || self == Self::Type(unit_type)
    }
}

// === impl Inventory ===

impl Inventory {
    /// An empty table that exports the units that `admits` lets through, the counters of those
    /// that have left for `retention` microseconds, and of all else what is wanted.
    pub fn new(admits: Admits, retention: Usec, wants: Needs) -> Self {
        Self {
            admits,
            slices: Slices::default(),
            retention,
            activatable: None,
            files: Vec::new(),
            files_listed: false,
            wants,
            units: BTreeMap::new(),
            unread: VecDeque::new(),
            deferred: BTreeSet::new(),
            unknown_properties: PropertySet::EMPTY,
            unwanted: BTreeSet::new(),
            uncounted: Vec::new(),
            overdue: Vec::new(),
            gone: GoneUnits::default(),
            rollups: RollupTable::default(),
            recalled: BTreeMap::new(),
            refused: BTreeSet::new(),
            all_listed: false,
            totals: HostCounters::default(),
            jobs: Jobs::default(),
            manager: Manager::default(),
            clock_offset: None,
            instance: None,
            lag: 0,
            reloading: false,
            generation: 0,
            files_checked_up_to: None,
        }
    }

    /// Exports of those units only the ones in these slices. The others are read and counted all the
    /// same: in which slice a unit is has to be read as well, and may change.
    #[must_use]
    pub fn only_in(self, slices: Slices) -> Self {
        let slices_wanted = self.wants.slices || !slices.is_any();
        let wants = Needs { slices: slices_wanted, ..self.wants };
        Self { slices, wants, ..self }
    }

    /// Tells of these units as one, with what happens to each of them counted as before.
    #[must_use]
    pub fn rolling_up(self, rules: Rollups) -> Self {
        let scope_slices = self.wants.scope_slices || rules.scopes;
        let wants = Needs { scope_slices, ..self.wants };
        Self { rollups: RollupTable::new(rules), wants, ..self }
    }

    /// Takes in how long the next event has waited for its turn, in microseconds: what it announces
    /// may have left since.
    pub fn note_lag(&mut self, lag: Usec) {
        self.lag = lag;
    }

    /// Takes in what systemd signalled, and when.
    pub fn apply(&mut self, event: Event, now: Usec) {
        if let Event::UnitNew(name) | Event::UnitRemoved(name) | Event::UnitChanged(name, _) =
            &event
        {
            self.mark_changed(name);
        }
        match event {
            // During a reload every unit goes and comes back. The listing that follows the end of
            // the reload says which of them really did; what a new one does until then counts.
            Event::UnitNew(name) if self.reloading && self.is_announced(&name) => {}
            Event::UnitRemoved(_) if self.reloading => {}
            Event::UnitNew(name) => self.add(name, now),
            Event::UnitRemoved(name) => self.remove(&name, now),
            Event::UnitChanged(name, facts) => self.change(&name, facts, now),
            Event::JobNew { id, unit } => {
                let before = self.view(&unit);
                // Its job keeps it in memory.
                self.settle(&unit, now, |_| false);
                self.jobs.add(id, unit, before, now);
            }
            Event::JobRemoved { id, unit, result } => {
                self.finish_job(id, &unit, &result, now);
            }
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

    /// Takes in the answer to a question of [`Self::next_question`] or about a unit's counters. An
    /// answer about a unit that has left memory is dropped: systemd loaded it for the answer.
    pub fn answer(
        &mut self,
        name: &UnitName,
        property: UnitProperty,
        answer: Result<Value, CallError>,
    ) {
        let Some(entry) = self.units.get_mut(name) else { return };
        let one = PropertySet::of(&[property]);
        entry.asked = entry.asked.without(one);
        match answer {
            Ok(value) => {
                entry.learn(property, &value);
                entry.infer();
                self.rollups.settle(entry, &self.slices);
                self.update_inactive_facts(name, property);
                self.count_after_gap(name);
            }
            Err(error) if error.is_passing() => {
                entry.may_have_changed = true;
                self.deferred.insert(name.clone());
            }
            Err(error) => {
                if error.is_unknown_property() {
                    self.unknown_properties = self.unknown_properties.union(one);
                }
                self.mark_unavailable(name, property);
            }
        }
    }

    /// Asks about what was deferred and is due. To be called once a second.
    pub fn retry_deferred(&mut self, now: Usec) {
        // Which units a reload drops is known at its end.
        if !self.reloading {
            self.ask_deferred(now);
        }
        self.recheck_unwanted();
        // Each waits for one pause at least.
        let uncounted = std::mem::take(&mut self.uncounted);
        for name in std::mem::replace(&mut self.overdue, uncounted) {
            // If no signal has told meanwhile.
            if self.units.get(&name).is_some_and(Entry::is_uncounted) {
                self.count(&name, Trigger::Silence);
            }
        }
    }

    fn ask_deferred(&mut self, now: Usec) {
        for name in std::mem::take(&mut self.deferred) {
            let Some(entry) = self.units.get_mut(&name) else { continue };
            if !entry.is_due(now) {
                self.deferred.insert(name);
                continue;
            }
            entry.note_lasting();
            enqueue(&mut self.unread, &name, entry);
            self.recheck_wanted(&name);
        }
    }

    /// Forgets which questions are under way: the connection that they were asked on is gone, and
    /// with it what would have been signalled on it.
    pub fn disconnect(&mut self) {
        self.reloading = false;
        for entry in self.units.values_mut() {
            entry.asked = PropertySet::EMPTY;
        }
        self.invalidate_all();
    }

    /// Holds nothing for certain from now on, because signals have been missed. What is signalled
    /// before everything has been read anew already counts as what follows a gap.
    pub fn invalidate_all(&mut self) {
        // It may be another version since.
        self.unknown_properties = PropertySet::EMPTY;
        for (name, entry) in &mut self.units {
            entry.invalidate_all();
            enqueue(&mut self.unread, name, entry);
        }
    }

    /// Takes a listing of some of the units for the whole truth, and makes unknown what may have changed
    /// unheard: after a reload, or a time during which nothing was heard. The others stay as they are.
    /// After the last part [`Self::note_all_listed`] is to be called.
    pub fn resync_part(
        &mut self,
        scope: ListedTypes,
        listing: Vec<ListedUnit>,
        extent: Extent,
        now: Usec,
    ) {
        // Nobody listened when these were announced, or they were before.
        let announced = extent == Extent::Everything;
        self.place(scope, listing, now, announced, |_, _| {});
        let recalled = std::mem::take(&mut self.recalled).into_iter();
        let (gone, others): (Vec<_>, _) =
            recalled.partition(|(name, _)| scope.has(name.unit_type()));
        self.recalled = others.into_iter().collect();
        for (name, past) in gone {
            self.depart(&name, GoneUnit { left: now, ..past });
        }
        let names: Vec<_> =
            self.units.keys().filter(|name| scope.has(name.unit_type())).cloned().collect();
        for name in &names {
            let Some(entry) = self.units.get_mut(name) else { continue };
            entry.drift_candidates.clear();
            match extent {
                Extent::Everything => {
                    entry.invalidate_all();
                    entry.is_seed = true;
                    entry.set_clock_offset(self.clock_offset);
                    entry.note_lasting();
                }
                Extent::Settings => {
                    entry.invalidate(PropertySet::changed_by_reload(name.unit_type()));
                }
            }
            if entry.unit.need_daemon_reload {
                entry.invalidate(PropertySet::PRESUMED);
            }
            entry.confirm_listed();
            self.note_inactive(name);
            self.count_after_gap(name);
        }
    }

    /// Takes in that everything has been listed that systemd does not refuse to list: what is new
    /// from now on has just been loaded.
    pub fn note_all_listed(&mut self) {
        self.all_listed = true;
    }

    /// Compares the table with a listing of some of the units and corrects it, remembering what had to
    /// be corrected until a signal explains it: systemd may answer before it has sent the signal of a
    /// change. Returns how many units are gone without a signal; that signal is never late. After the
    /// last part [`Self::check_files`] is to be called.
    pub fn compare_part(
        &mut self,
        scope: ListedTypes,
        listing: Vec<ListedUnit>,
        now: Usec,
    ) -> usize {
        let suspect = |entry: &mut Entry, field| entry.drift_candidates.push(field);
        let gone = self.place(scope, listing, now, false, suspect);
        for (name, entry) in &mut self.units {
            if scope.has(name.unit_type()) && entry.is_exported() {
                entry.invalidate(PropertySet::SILENT);
                entry.invalidate(PropertySet::RELATIONS);
                if entry.note_inactive() {
                    self.deferred.insert(name.clone());
                }
                // Whatever else may have been.
                entry.may_have_changed = true;
                if entry.unit.need_daemon_reload {
                    entry.invalidate(PropertySet::PRESUMED);
                }
                enqueue(&mut self.unread, name, entry);
            }
        }
        gone
    }

    /// Makes unknown what a reload changes without a signal, also which of these units it has
    /// dropped: for those that are not listed after it.
    pub fn invalidate_settings(&mut self, scope: ListedTypes) {
        for (name, entry) in &mut self.units {
            if scope.has(name.unit_type()) {
                entry.invalidate(
                    PropertySet::STATE.union(PropertySet::changed_by_reload(name.unit_type())),
                );
                enqueue(&mut self.unread, name, entry);
            }
        }
    }

    /// Takes in whether systemd refuses to list something; returns whether that is news.
    pub fn refuse(&mut self, listing: Listing, refused: bool) -> bool {
        match refused {
            true => self.refused.insert(listing),
            false => self.refused.remove(&listing),
        }
    }

    /// The fields that a comparison corrected and that no signal has explained since: drift. What
    /// else is known of such a unit may be wrong as well, and is read anew.
    pub fn take_drift(&mut self) -> Vec<&'static str> {
        let mut drift_candidates = Vec::new();
        for (name, entry) in &mut self.units {
            if !entry.drift_candidates.is_empty() {
                drift_candidates.append(&mut entry.drift_candidates);
                entry.invalidate_all();
                entry.confirm_listed();
                enqueue(&mut self.unread, name, entry);
            }
        }
        drift_candidates
    }

    /// Takes a listing for the whole truth about the job queue. Returns how many jobs had left
    /// without a signal.
    pub fn replace_jobs(&mut self, listing: Vec<ListedJob>, now: Usec) -> usize {
        self.jobs.resync(listing, now)
    }

    /// Counts a daemon-reload that is over.
    pub fn count_reload(&mut self) {
        self.totals.reloads += 1;
        self.generation += 1;
    }

    /// Takes a listing for the whole truth about unit files.
    pub fn replace_files(&mut self, listing: Vec<ListedFile>) {
        self.files_listed = true;
        self.files = listing;
        self.files.retain(|file| (self.admits)(file.name.as_str()));
        self.files.sort_by(|one, other| one.name.cmp(&other.name));
        self.files.dedup_by(|one, other| one.name == other.name);
    }

    /// Takes in that systemd does not report a value.
    fn mark_unavailable(&mut self, name: &UnitName, property: UnitProperty) {
        if let Some(entry) = self.units.get_mut(name) {
            entry.mark_unavailable(property);
            self.update_inactive_facts(name, property);
            self.count_after_gap(name);
        }
    }

    /// Takes in that systemd does not list its unit files.
    pub fn note_no_files(&mut self) {
        self.files_listed = true;
    }

    /// Whether a job has been queued of which only its number is known.
    pub fn has_unknown_jobs(&self) -> bool {
        self.jobs.has_unknown()
    }

    /// Takes in a property of the manager; [`Value::Nothing`] also for one it does not have.
    pub fn learn_manager(&mut self, property: ManagerProperty, value: &Value) {
        if property == ManagerProperty::Stage("Userspace")
            && let Some(began) = value.number()
            && self.instance.replace(began).is_some_and(|before| before != began)
        {
            // Another manager: none of its units has done anything before it began.
            self.units.values_mut().for_each(Entry::restart_counting);
            self.recalled.values_mut().for_each(|past| past.cursor = Cursor::fresh().into());
        }
        self.manager.learn(property, value);
    }

    /// Takes in how far the time of day is ahead of the monotonic clock, in microseconds. To be called
    /// before a listing is adopted.
    pub fn note_clock(&mut self, offset: Usec) {
        let began = self.manager.boot.get("Userspace");
        let at_first = began.and_then(|stamp| stamp.realtime.checked_sub(stamp.monotonic));
        let is_steady = at_first.is_some_and(|first| first.abs_diff(offset) < SMALLEST_STEP);
        self.clock_offset = is_steady.then_some(offset);
    }

    /// What is wanted besides what is always read.
    pub fn wants(&self) -> Needs {
        self.wants
    }

    /// The manager's facts.
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// How many visible units pass the filters.
    pub fn exported(&self) -> usize {
        let told = |entry: &&Entry| entry.is_exported() && self.is_served(entry);
        self.units.values().filter(told).count()
    }

    /// Whether a unit passes the filters.
    fn is_served(&self, entry: &Entry) -> bool {
        entry.admitted && self.slices.admit(&entry.unit.name, entry.slice())
    }

    /// A row for a unit that systemd has just loaded.
    fn loaded(&mut self, name: UnitName) -> Entry {
        self.entry(name, Cursor::fresh())
    }

    fn entry(&mut self, name: UnitName, otherwise: Cursor) -> Entry {
        let admitted = (self.admits)(name.as_str());
        let unneeded = match self.rollups.rules.place(&name, None) {
            Placement::Own => self.wants.unneeded(),
            _ => self.wants.unneeded_of_member(name.unit_type()),
        };
        if let Some(past) = self.recalled.remove(&name) {
            let mut entry = Entry::recalled(name, admitted, past);
            entry.unneeded = unneeded;
            return entry;
        }
        let past = self.gone.take(&name);
        let mut entry = Entry::new(name, admitted, otherwise.into());
        entry.unneeded = unneeded;
        if let Some(past) = past {
            entry.succeed(past);
        }
        entry
    }

    fn add(&mut self, name: UnitName, now: Usec) {
        if let Some(entry) = self.units.get_mut(&name) {
            entry.drift_candidates.clear();
            entry.announced = true;
            // A listing had it before systemd announced it, and what it did in between was never
            // signalled.
            entry.invalidate_all();
        } else {
            let entry = self.loaded(name.clone());
            self.units.insert(name.clone(), entry);
        }
        self.settle(&name, now, Entry::may_leave);
    }

    /// Asks about a unit that stays in memory, and later about one that systemd may drop at any
    /// moment, or may have dropped since what was heard.
    fn settle(&mut self, name: &UnitName, now: Usec, may_leave: impl Fn(&Entry) -> bool) {
        let Some(entry) = self.units.get_mut(name) else { return };
        if may_leave(entry) || self.lag >= SETTLING {
            entry.defer(now.saturating_add(self.lag).saturating_add(SETTLING));
            self.deferred.insert(name.clone());
        } else {
            entry.ask_now();
        }
        enqueue(&mut self.unread, name, entry);
    }

    fn remove(&mut self, name: &UnitName, now: Usec) {
        // No further signal will tell more.
        self.count(name, Trigger::Silence);
        if let Some(entry) = self.units.remove(name) {
            self.depart(name, entry.leave(now));
        }
    }

    fn depart(&mut self, name: &UnitName, past: GoneUnit) {
        self.rollups.leave(name, past.slice.as_ref(), past.left);
        self.gone.keep(name, past);
    }

    fn finish_job(&mut self, id: u32, unit: &UnitName, result: &JobResult, now: Usec) {
        let finished = self.jobs.remove(id, result, self.view(unit), now);
        let is_reload = finished.job_type == JobType::Reload;
        self.totals.add_job(finished.job_type, result, finished.took);
        self.generation += 1;
        // Its job kept it in memory.
        self.settle(unit, now, |entry| entry.unit.active_state.is_at_rest());
        let Some(entry) = self.units.get_mut(unit) else { return };
        let delta = if finished.refused {
            entry.count_refusal()
        } else if is_reload {
            entry.count_reload_job(id, result)
        } else {
            return;
        };
        if !delta.is_empty() {
            self.add_up(unit, &delta);
        }
    }

    fn change(&mut self, name: &UnitName, facts: Vec<(UnitProperty, Value)>, now: Usec) {
        if self.is_unlisted(name) && !self.units.contains_key(name) {
            // It was there before, and no listing has named it.
            let entry = self.entry(name.clone(), Cursor::default());
            self.units.insert(name.clone(), entry);
        }
        let Some(entry) = self.units.get_mut(name) else { return };
        // A signal has the stamps of both clocks.
        entry.set_clock_offset(None);
        for (property, value) in &facts {
            entry.learn(*property, value);
        }
        // The signal of the unit follows the one of its type, and the two belong together.
        let about_state = facts.iter().any(|(property, _)| *property == UnitProperty::ActiveState);
        if about_state {
            entry.drift_candidates.clear();
            // A unit can be loaded after all, for example when a missing file has come; systemd
            // signals that it changed, but not to what.
            if entry.unit.load_state != LoadState::Loaded {
                entry.invalidate(PropertySet::of(&[UnitProperty::LoadState]));
            }
            if entry.unit.active_state.is_reloading() {
                self.jobs.note_reloading(name);
            }
            entry.update_inactive_facts();
            entry.note_read();
            self.settle(name, now, Entry::may_leave);
            self.note_inactive(name);
            self.count(name, Trigger::Signal);
        }
    }

    /// Counts what has happened to a unit, and asks for what is missing for that.
    fn count(&mut self, name: &UnitName, word: Trigger) {
        let Some(entry) = self.units.get_mut(name) else { return };
        let counting = entry.count(word);
        enqueue(&mut self.unread, name, entry);
        match counting {
            Counting::Nothing => {}
            Counting::Delta(delta) => self.add_up(name, &delta),
            Counting::Later => self.uncounted.push(name.clone()),
        }
    }

    /// The same where signals may have been missed. Otherwise a signal will tell: what was listed
    /// or answered may be of a moment between two that are yet to be signalled.
    fn count_after_gap(&mut self, name: &UnitName) {
        let Some(entry) = self.units.get_mut(name) else { return };
        entry.note_read();
        if entry.is_after_gap() {
            self.count(name, Trigger::Answer);
        } else {
            enqueue(&mut self.unread, name, entry);
        }
    }

    fn add_up(&mut self, name: &UnitName, delta: &Delta) {
        self.totals.add(name.unit_type(), delta);
        self.generation += 1;
        if let Some(entry) = self.units.get_mut(name) {
            self.rollups.add(entry, delta, &self.slices);
        }
    }

    /// Whether it may be in systemd's memory without having been listed.
    fn is_unlisted(&self, name: &UnitName) -> bool {
        self.refused.contains(&Listing::Units(name.unit_type()))
    }

    fn is_announced(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(|entry| entry.announced)
    }

    fn view(&self, unit: &UnitName) -> Option<UnitView> {
        self.units.get(unit).map(Entry::view)
    }

    /// Puts the states of a listing into the table, saying which were others before, and returns
    /// how many units were not listed and had to go. `announced` tells whether those that are new
    /// to the table are not new to the world. What was not listed before is not corrected.
    fn place(
        &mut self,
        scope: ListedTypes,
        listing: Vec<ListedUnit>,
        now: Usec,
        announced: bool,
        mut corrected: impl FnMut(&mut Entry, &'static str),
    ) -> usize {
        let mut before = std::mem::take(&mut self.units);
        if scope != ListedTypes::All {
            let others;
            (before, others) =
                before.into_iter().partition(|(name, _)| scope.has(name.unit_type()));
            self.units = others;
        }
        for listed in listing.into_iter().filter(|listed| scope.has(listed.name.unit_type())) {
            let name = listed.name.clone();
            let known = before.remove(&name);
            let was_known = known.is_some();
            // Of what was there before anybody looked nothing is known to have happened.
            let seen = self.all_listed && !self.is_unlisted(&name);
            let new = if seen { Cursor::fresh() } else { Cursor::default() };
            let mut entry = known.unwrap_or_else(|| {
                let mut entry = self.entry(name.clone(), new);
                entry.announced = announced;
                if !announced && listed.active_state.is_at_rest() {
                    // It was loaded just now; its `UnitNew` is still to come.
                    entry.defer(now.saturating_add(SETTLING));
                    self.deferred.insert(name.clone());
                }
                entry
            });
            let visible = entry.known;
            if announced {
                // The table is not complete without it.
                entry.ask_now();
            }
            let changed = entry.place(listed);
            if self.is_unlisted(&name) {
                // Nothing was compared before.
            } else if visible {
                changed.into_iter().for_each(|field| corrected(&mut entry, field));
            } else if !was_known {
                corrected(&mut entry, "presence");
            }
            enqueue(&mut self.unread, &name, &mut entry);
            if let btree_map::Entry::Vacant(place) = self.units.entry(name) {
                place.insert(entry);
            }
        }
        let missed = |(name, _): &(&UnitName, &Entry)| !self.is_unlisted(name);
        let gone = before.iter().filter(missed).count();
        for (name, mut entry) in before {
            if let Counting::Delta(delta) = entry.count(Trigger::Silence) {
                self.add_up(&name, &delta);
                self.rollups.add(&mut entry, &delta, &self.slices);
            }
            self.depart(&name, entry.leave(now));
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

#[cfg(test)]
mod tests;
