//! The table of one manager's units and jobs, a pure state machine.
//!
//! It has no clock, does no I/O and never waits. Events, answers and listings go in, in the order
//! in which systemd sent them, and a [`Snapshot`](snapshot::Snapshot) comes out. systemd sends
//! values in the order in which they were true (see [`crate::systemd`]), so a later value simply
//! replaces an earlier one.
//!
//! [`Inventory::next_question`] returns what is still to be read. A signal that carries a value
//! makes the question for it unnecessary.

pub mod counters;
mod counting;
pub mod counts;
mod cursor;
mod entry;
mod gone;
mod inferred;
mod jobs;
mod knowledge;
pub mod manager;
mod polls;
mod queue;
pub mod reads;
pub mod record;
mod reloads;
mod rollups;
pub mod snapshot;
mod timers;
pub mod unit;
pub mod wanted_inactive;

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map};

use self::{
    counters::{Delta, HostCounters},
    counting::{Counting, Trigger},
    cursor::Cursor,
    entry::{Entry, Presence},
    gone::{GoneUnit, GoneUnits},
    jobs::{Jobs, UnitView},
    manager::Manager,
    queue::enqueue,
    reads::Reads,
    rollups::RollupTable,
    wanted_inactive::Activatable,
};
use crate::clock::Usec;
use crate::selection::{Placement, Selection};
use crate::systemd::{
    event::Event,
    listing::{ListedFile, ListedJob, ListedUnit, Listing},
    name::{UnitName, UnitType},
    property::{ManagerProperty, PropertySet, UnitProperty, Value},
    question::CallError,
    state::{JobResult, JobType, LoadState},
};

/// How long an inactive unit is not asked about after it was announced or became inactive, in
/// microseconds. systemd drops most of them at once. A question about a unit that is not in memory
/// makes systemd load it, announce it to every subscriber and drop it again, so two clients that ask
/// about each announced unit would keep each other busy for ever.
const ASK_DELAY: Usec = 1_000_000;

/// The smallest difference between the two clocks that shows that one was set, in microseconds.
/// NTP slews both clocks alike.
const SMALLEST_STEP: Usec = 1_000;

/// The table of one manager's units and jobs. All times given to it are in microseconds since
/// boot.
#[derive(Debug, Default)]
pub struct Inventory {
    selection: Selection,
    reads: Reads,
    /// How long the counters of a gone unit are shown, in microseconds.
    retention: Usec,
    units: BTreeMap<UnitName, Entry>,
    /// Units with missing properties, each once.
    unread: VecDeque<UnitName>,
    /// Units that are asked about later, see [`ASK_DELAY`].
    deferred: BTreeSet<UnitName>,
    /// Properties that this version of systemd does not have.
    unknown_properties: PropertySet,
    /// Inactive units that only inactive units want. These may become active.
    wanted_by_inactive: BTreeSet<UnitName>,
    /// Units with ambiguous facts, to be counted after a pause if no signal comes.
    uncounted: Vec<UnitName>,
    /// The same, from the second before.
    overdue: Vec<UnitName>,
    gone: GoneUnits,
    /// Counters of roll-ups.
    rollups: RollupTable,
    /// The bus names that start a service; `None` without a bus.
    activatable: Option<Activatable>,
    /// The unit files that may be shown, by name, with the placement of those that are not loaded.
    files: Vec<(Placement, ListedFile)>,
    /// The unit files have been listed, or systemd refused to.
    files_listed: bool,
    /// Units of the state file, until a listing shows which are still there.
    recalled: BTreeMap<UnitName, GoneUnit>,
    /// What systemd refuses to list. Of these types only signalled units are known.
    refused: BTreeSet<Listing>,
    /// All units were listed at least once, perhaps before the exporter restarted. A unit that
    /// appears now was loaded after that.
    all_listed: bool,
    totals: HostCounters,
    jobs: Jobs,
    manager: Manager,
    /// How far the time of day is ahead of the monotonic clock, in microseconds; `None` if the clock
    /// was set since the manager started.
    clock_offset: Option<Usec>,
    /// When the manager started: it identifies the manager.
    manager_started: Option<Usec>,
    /// How long the event being applied waited in the queue, in microseconds.
    lag: Usec,
    /// A reload is under way: every unit seems to leave and come back.
    reloading: bool,
    /// Rises with each count, so that a record is written only if something changed.
    generation: u64,
    /// The last unit whose files were checked in the current round.
    files_checked_up_to: Option<UnitName>,
}

/// What may have changed without a signal before a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything: signals may have been lost.
    Everything,
    /// Settings, in a reload. Every change of state was signalled.
    Settings,
}

/// The unit types of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedTypes {
    /// Every type.
    All,
    /// One type.
    Type(UnitType),
}

// === impl ListedTypes ===

impl ListedTypes {
    /// Whether this type is listed.
    pub fn has(self, unit_type: UnitType) -> bool {
        self == Self::All || self == Self::Type(unit_type)
    }
}

// === impl Inventory ===

impl Inventory {
    /// An empty table for the units of `selection`. The counters of a gone unit are served for
    /// `retention` microseconds.
    pub fn new(selection: Selection, mut reads: Reads, retention: Usec) -> Self {
        reads.properties = reads.properties.union(selection.reads());
        Self { selection, reads, retention, ..Self::default() }
    }

    /// Sets how long the next event waited in the queue, in microseconds. A unit that it announces
    /// may have left meanwhile.
    pub fn note_lag(&mut self, lag: Usec) {
        self.lag = lag;
    }

    /// Applies what systemd signalled at the time `now`.
    pub fn apply(&mut self, event: Event, now: Usec) {
        if let Event::UnitNew(name) | Event::UnitRemoved(name) | Event::UnitChanged(name, _) =
            &event
        {
            self.mark_connections_changed(name);
        }
        match event {
            // In a reload every unit leaves and comes back; the listing after its end shows which
            // really left. Until then a new unit is counted as usual.
            Event::UnitNew(name) if self.reloading && self.is_announced(&name) => {}
            Event::UnitRemoved(_) if self.reloading => {}
            Event::UnitNew(name) => self.add(name, now),
            Event::UnitRemoved(name) => self.remove(&name, now),
            Event::UnitChanged(name, facts) => self.change(&name, facts, now),
            Event::JobNew { id, unit } => {
                let before = self.view(&unit);
                // The job keeps it in memory.
                self.ask_now_or_later(&unit, now, |_| false);
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

    /// Applies the answer to a question. An answer about a unit that has left memory is dropped:
    /// systemd loaded the unit only for the answer.
    pub fn answer(
        &mut self,
        name: &UnitName,
        property: UnitProperty,
        answer: Result<Value, CallError>,
    ) {
        let Some(entry) = self.units.get_mut(name) else { return };
        let one = PropertySet::of(&[property]);
        entry.knowledge.asked = entry.knowledge.asked.without(one);
        match answer {
            Ok(value) => {
                entry.learn(property, &value);
                entry.infer();
                self.place(name, property);
                self.update_inactive_facts(name, property);
                self.count_after_gap(name);
            }
            Err(error) if error.is_temporary() => {
                entry.polls.connections_unchanged = false;
                self.deferred.insert(name.clone());
            }
            Err(error) => {
                if error.is_unknown_property() && !property.is_on_several_interfaces() {
                    self.unknown_properties = self.unknown_properties.union(one);
                }
                self.mark_unavailable(name, property);
            }
        }
    }

    /// Does what waited for a pause. To be called once a second.
    pub fn retry_deferred(&mut self, now: Usec) {
        // A reload may drop the units; its end shows which.
        if !self.reloading {
            self.ask_deferred(now);
        }
        self.recheck_wanted_by_inactive();
        // Each waits for at least one second.
        let uncounted = std::mem::take(&mut self.uncounted);
        for name in std::mem::replace(&mut self.overdue, uncounted) {
            // A signal may have counted it meanwhile.
            if self.units.get(&name).is_some_and(|entry| entry.runs.after_gap) {
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
            entry.note_stays_inactive();
            enqueue(&mut self.unread, &name, entry);
            self.recheck_whether_wanted(&name);
        }
    }

    /// The connection is lost, with the answers and signals that were under way.
    pub fn disconnect(&mut self) {
        self.reloading = false;
        for entry in self.units.values_mut() {
            entry.knowledge.asked = PropertySet::EMPTY;
        }
        self.invalidate_all();
    }

    /// Signals may have been lost: everything has to be read again. Until it is, signals are counted
    /// as after a gap.
    pub fn invalidate_all(&mut self) {
        // systemd may have been upgraded.
        self.unknown_properties = PropertySet::EMPTY;
        for (name, entry) in &mut self.units {
            entry.invalidate_all();
            enqueue(&mut self.unread, name, entry);
        }
    }

    /// Replaces the units of some types by a listing, and invalidates what may have changed without
    /// a signal. After the last type [`Self::note_all_listed`] is to be called.
    pub fn resync_part(
        &mut self,
        types: ListedTypes,
        listing: Vec<ListedUnit>,
        extent: Extent,
        now: Usec,
    ) {
        // Their UnitNew was lost, or sent before the exporter listened.
        let announced = extent == Extent::Everything;
        self.apply_listing(types, listing, now, announced, |_, _| {});
        let recalled = std::mem::take(&mut self.recalled).into_iter();
        let (gone, others): (Vec<_>, _) =
            recalled.partition(|(name, _)| types.has(name.unit_type()));
        self.recalled = others.into_iter().collect();
        for (name, unit) in gone {
            self.keep_gone(&name, GoneUnit { left: now, ..unit });
        }
        let names: Vec<_> =
            self.units.keys().filter(|name| types.has(name.unit_type())).cloned().collect();
        for name in &names {
            let Some(entry) = self.units.get_mut(name) else { continue };
            entry.drift_candidates.clear();
            match extent {
                Extent::Everything => {
                    entry.invalidate_all();
                    entry.presence = Presence::Seed;
                    entry.clock_offset = self.clock_offset;
                    entry.note_stays_inactive();
                }
                Extent::Settings => {
                    entry.knowledge.invalidate(PropertySet::changed_by_reload(name.unit_type()));
                }
            }
            if entry.unit.need_daemon_reload {
                entry.knowledge.invalidate(PropertySet::PRESUMED_FALSE);
            }
            entry.confirm_listed();
            self.count_after_gap(name);
        }
    }

    /// Everything that systemd can list has been listed: a unit that is new from now on has just
    /// been loaded.
    pub fn note_all_listed(&mut self) {
        self.all_listed = true;
    }

    /// Compares the units of some types with a listing and corrects them. A correction is drift only
    /// if no signal explains it later: systemd may answer before it sends the signal of a change.
    /// Returns how many units left without a signal, which is never late. After the last type
    /// [`Self::check_files`] is to be called.
    pub fn compare_part(
        &mut self,
        types: ListedTypes,
        listing: Vec<ListedUnit>,
        now: Usec,
    ) -> usize {
        let candidate = |entry: &mut Entry, field| entry.drift_candidates.push(field);
        let gone = self.apply_listing(types, listing, now, false, candidate);
        for (name, entry) in &mut self.units {
            if types.has(name.unit_type()) && entry.needs_details() {
                entry.knowledge.invalidate(PropertySet::AT_RECONCILE.union(PropertySet::RELATIONS));
                // A connection may have come and gone without a signal.
                entry.polls.connections_unchanged = false;
                if entry.unit.need_daemon_reload {
                    entry.knowledge.invalidate(PropertySet::PRESUMED_FALSE);
                }
                enqueue(&mut self.unread, name, entry);
            }
        }
        gone
    }

    /// A reload has changed settings without a signal, and perhaps dropped units, of types that
    /// systemd refuses to list.
    pub fn invalidate_settings(&mut self, types: ListedTypes) {
        for (name, entry) in &mut self.units {
            if types.has(name.unit_type()) {
                entry.knowledge.invalidate(
                    PropertySet::STATE.union(PropertySet::changed_by_reload(name.unit_type())),
                );
                enqueue(&mut self.unread, name, entry);
            }
        }
    }

    /// Notes whether systemd refuses to list something; returns whether that has changed.
    pub fn note_refused(&mut self, listing: Listing, refused: bool) -> bool {
        match refused {
            true => self.refused.insert(listing),
            false => self.refused.remove(&listing),
        }
    }

    /// The corrected fields that no signal has explained: drift. Everything else of their units is
    /// read again.
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

    /// Replaces the job queue by a listing. Returns how many jobs had left without a signal.
    pub fn replace_jobs(&mut self, listing: Vec<ListedJob>, now: Usec) -> usize {
        self.jobs.resync(listing, now)
    }

    /// Counts a finished daemon-reload.
    pub fn count_reload(&mut self) {
        self.totals.reloads += 1;
        self.generation += 1;
    }

    /// Replaces the unit files by a listing.
    pub fn replace_files(&mut self, mut listing: Vec<ListedFile>) {
        self.files_listed = true;
        listing.sort_by(|one, other| one.name.cmp(&other.name));
        listing.dedup_by(|one, other| one.name == other.name);
        let placed = |file: ListedFile| (self.selection.place(&file.name, None), file);
        let listing = listing.into_iter().map(placed);
        self.files = listing.filter(|it| it.0 != Placement::FilteredOut).collect();
    }

    /// systemd refuses to report a value.
    fn mark_unavailable(&mut self, name: &UnitName, property: UnitProperty) {
        if let Some(entry) = self.units.get_mut(name) {
            entry.mark_unavailable(property);
            self.place(name, property);
            self.update_inactive_facts(name, property);
            self.count_after_gap(name);
        }
    }

    /// Whether a job is queued whose type is not known.
    pub fn has_unknown_jobs(&self) -> bool {
        self.jobs.has_unknown()
    }

    /// Takes a property of the manager; [`Value::Nothing`] if it does not have it.
    pub fn learn_manager(&mut self, property: ManagerProperty, value: &Value) {
        if property == ManagerProperty::Stage("Userspace")
            && let Some(began) = value.number()
            && self.manager_started.replace(began).is_some_and(|before| before != began)
        {
            // This is another manager: its units did nothing before it started.
            self.units.values_mut().for_each(|entry| entry.runs.restart_counting());
            self.recalled.values_mut().for_each(|gone| gone.cursor = Cursor::fresh().into());
        }
        self.manager.learn(property, value);
    }

    /// Sets how far the time of day is ahead of the monotonic clock, in microseconds. To be called
    /// before a resync.
    pub fn note_clock(&mut self, offset: Usec) {
        let began = self.manager.boot.get("Userspace");
        let at_first = began.and_then(|stamp| stamp.realtime.checked_sub(stamp.monotonic));
        let is_steady = at_first.is_some_and(|first| first.abs_diff(offset) < SMALLEST_STEP);
        self.clock_offset = is_steady.then_some(offset);
    }

    /// What is read of units besides their state and their runs.
    pub fn reads(&self) -> Reads {
        self.reads
    }

    /// The manager's properties.
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// How many visible units pass the filters.
    pub fn shown_units(&self) -> usize {
        self.units
            .values()
            .filter(|entry| entry.needs_details() && entry.placement.is_shown())
            .count()
    }

    /// An entry that continues the counters of the unit of this name that the state file has or that
    /// left. `cursor` is where counting starts if there is none.
    fn new_entry(&mut self, name: UnitName, cursor: Cursor) -> Entry {
        let name_passes = self.selection.name_passes(&name);
        let mut entry = if let Some(gone) = self.recalled.remove(&name) {
            Entry::recalled(name, name_passes, gone)
        } else {
            let gone = self.gone.take(&name);
            let mut entry = Entry::new(name, name_passes, cursor.into());
            if let Some(gone) = gone {
                entry.continue_from(gone);
            }
            entry
        };
        let unit = &entry.unit;
        if name_passes {
            entry.placement = self.selection.place_by_slice(&unit.name, entry.slice());
            entry.rolls_up = self.selection.rollups.contain(&unit.name);
        }
        entry.knowledge.skipped = match entry.rolls_up {
            true => self.reads.skipped_in_rollups(unit.name.unit_type()),
            false => self.reads.skipped(),
        };
        entry
    }

    /// Places a unit once its slice is known.
    fn place(&mut self, name: &UnitName, answered: UnitProperty) {
        if PropertySet::SLICES.has(answered)
            && let Some(entry) = self.units.get_mut(name).filter(|entry| entry.name_passes)
        {
            entry.placement = self.selection.place_by_slice(name, entry.slice());
            self.rollups.add_waiting(entry);
        }
    }

    fn add(&mut self, name: UnitName, now: Usec) {
        if let Some(entry) = self.units.get_mut(&name) {
            entry.drift_candidates.clear();
            entry.announced = true;
            // A listing had it before systemd announced it. Changes in between were not signalled.
            entry.invalidate_all();
        } else {
            let entry = self.new_entry(name.clone(), Cursor::fresh());
            self.units.insert(name.clone(), entry);
        }
        self.ask_now_or_later(&name, now, Entry::may_leave);
    }

    /// Asks about a unit now, or later if systemd may drop it or has dropped it since the signal.
    fn ask_now_or_later(&mut self, name: &UnitName, now: Usec, may_leave: impl Fn(&Entry) -> bool) {
        let Some(entry) = self.units.get_mut(name) else { return };
        if may_leave(entry) || self.lag >= ASK_DELAY {
            entry.knowledge.defer(now.saturating_add(self.lag).saturating_add(ASK_DELAY));
            self.deferred.insert(name.clone());
        } else {
            entry.knowledge.ask_now();
        }
        enqueue(&mut self.unread, name, entry);
    }

    fn remove(&mut self, name: &UnitName, now: Usec) {
        // No further signal can come.
        self.count(name, Trigger::Silence);
        if let Some(entry) = self.units.remove(name) {
            self.keep_gone(name, entry.gone_unit(now));
        }
    }

    fn keep_gone(&mut self, name: &UnitName, gone: GoneUnit) {
        self.rollups.note_left(&gone.placement, gone.left);
        self.gone.keep(name, gone);
    }

    fn finish_job(&mut self, id: u32, unit: &UnitName, result: &JobResult, now: Usec) {
        let finished = self.jobs.remove(id, result, self.view(unit), now);
        let is_reload = finished.job_type == JobType::Reload;
        self.totals.add_job(finished.job_type, result, finished.took);
        self.generation += 1;
        // The job kept it in memory.
        self.ask_now_or_later(unit, now, |entry| entry.unit.active_state.is_at_rest());
        let Some(entry) = self.units.get_mut(unit) else { return };
        let counting = match finished.refused {
            true => entry.count_refusal(),
            false if is_reload => entry.count_reload_job(id, result),
            false => Counting::Nothing,
        };
        self.apply_counting(unit, counting);
    }

    fn change(&mut self, name: &UnitName, facts: Vec<(UnitProperty, Value)>, now: Usec) {
        if self.is_unlisted(name) && !self.units.contains_key(name) {
            // It was there before, in no listing.
            let entry = self.new_entry(name.clone(), Cursor::default());
            self.units.insert(name.clone(), entry);
        }
        let Some(entry) = self.units.get_mut(name) else { return };
        // A signal has the times of both clocks.
        entry.clock_offset = None;
        for (property, value) in &facts {
            entry.learn(*property, value);
        }
        // The signal of the unit follows the one of its type, and the two belong together.
        let about_state = facts.iter().any(|(property, _)| *property == UnitProperty::ActiveState);
        if about_state {
            entry.drift_candidates.clear();
            // A unit may be loaded after all, for example when its file has appeared. systemd signals
            // only that LoadState changed.
            if entry.unit.load_state != LoadState::Loaded {
                entry.knowledge.invalidate(PropertySet::of(&[UnitProperty::LoadState]));
            }
            if entry.unit.active_state.is_reloading() {
                self.jobs.note_reloading(name);
            }
            entry.update_inactive_facts();
            entry.note_read();
            self.ask_now_or_later(name, now, Entry::may_leave);
            self.note_inactive(name);
            self.count(name, Trigger::Signal);
        }
    }

    /// Counts what has happened to a unit, and asks for what is missing for it.
    fn count(&mut self, name: &UnitName, trigger: Trigger) {
        let Some(entry) = self.units.get_mut(name) else { return };
        let counting = entry.count(trigger);
        enqueue(&mut self.unread, name, entry);
        self.apply_counting(name, counting);
    }

    /// Adds what was counted for a unit to the other counters, or has it counted later.
    fn apply_counting(&mut self, name: &UnitName, counting: Counting) {
        match counting {
            Counting::Nothing => {}
            Counting::Delta(delta) => self.add_delta(name, &delta),
            Counting::Later => self.uncounted.push(name.clone()),
        }
    }

    /// Counts a unit after a gap. Otherwise the next signal counts it: an answer may be newer than
    /// the last signal.
    fn count_after_gap(&mut self, name: &UnitName) {
        let Some(entry) = self.units.get_mut(name) else { return };
        entry.note_read();
        if entry.runs.is_after_gap() {
            self.count(name, Trigger::Answer);
        } else {
            enqueue(&mut self.unread, name, entry);
        }
    }

    /// Adds what happened to a unit to the counters of the host and of its roll-up.
    fn add_delta(&mut self, name: &UnitName, delta: &Delta) {
        self.totals.add(name.unit_type(), delta);
        self.generation += 1;
        if let Some(entry) = self.units.get_mut(name) {
            self.rollups.add(entry, delta);
        }
    }

    /// Whether it may be in systemd's memory and in no listing.
    fn is_unlisted(&self, name: &UnitName) -> bool {
        self.refused.contains(&Listing::Units(name.unit_type()))
    }

    fn is_announced(&self, name: &UnitName) -> bool {
        self.units.get(name).is_some_and(|entry| entry.announced)
    }

    fn view(&self, unit: &UnitName) -> Option<UnitView> {
        self.units.get(unit).map(Entry::view)
    }

    /// Puts the states of a listing into the table and calls `corrected` for each field that
    /// differed. Returns how many units it no longer has. `announced`: systemd has sent the UnitNew
    /// of units that are new to the table.
    fn apply_listing(
        &mut self,
        types: ListedTypes,
        listing: Vec<ListedUnit>,
        now: Usec,
        announced: bool,
        mut corrected: impl FnMut(&mut Entry, &'static str),
    ) -> usize {
        let mut before = std::mem::take(&mut self.units);
        if types != ListedTypes::All {
            let others;
            (before, others) =
                before.into_iter().partition(|(name, _)| types.has(name.unit_type()));
            self.units = others;
        }
        for listed in listing.into_iter().filter(|listed| types.has(listed.name.unit_type())) {
            let name = listed.name.clone();
            let known = before.remove(&name);
            let was_known = known.is_some();
            // What a unit did before the exporter first saw it is not counted.
            let seen = self.all_listed && !self.is_unlisted(&name);
            let new = if seen { Cursor::fresh() } else { Cursor::default() };
            let mut entry = known.unwrap_or_else(|| {
                let mut entry = self.new_entry(name.clone(), new);
                entry.announced = announced;
                if !announced && listed.active_state.is_at_rest() {
                    // It was loaded just now and its UnitNew is still to come.
                    entry.knowledge.defer(now.saturating_add(ASK_DELAY));
                    self.deferred.insert(name.clone());
                }
                entry
            });
            let visible = entry.is_known();
            if announced {
                // It is asked about at once: the table is not complete without it.
                entry.knowledge.ask_now();
            }
            let changed = entry.apply_row(listed);
            if !announced && entry.note_inactive() {
                self.deferred.insert(name.clone());
            }
            if self.is_unlisted(&name) {
                // It was in no listing before, so nothing has drifted.
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
                self.add_delta(&name, &delta);
                self.rollups.add(&mut entry, &delta);
            }
            self.keep_gone(&name, entry.gone_unit(now));
        }
        gone
    }
}

#[cfg(test)]
mod tests;
