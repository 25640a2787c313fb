//! Generated histories: a model of systemd that answers and signals as the real one does, with
//! every delay that the real one may have, and events that no systemd would send.

mod counting;
mod gaps;
mod gone;
mod inferred;
mod needs;
mod polls;
mod queue;
mod reloads;
mod rollups;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};

use super::{unit::Unit, *};
use crate::selection::{
    filter::{Pattern, Slices},
    rollup::Rollups,
};
use crate::systemd::{
    name::UNIT_PATH_PREFIX,
    state::{ActiveState, JobType},
};

const NAMES: [&str; 6] =
    ["a@x.service", "a@y.service", "c.socket", "d.timer", "e.mount", "f.device"];

impl Inventory {
    /// Replaces the table by a listing of all units.
    pub(super) fn resync(&mut self, listing: Vec<ListedUnit>, extent: Extent, now: Usec) {
        self.resync_part(ListedTypes::All, listing, extent, now);
        self.note_all_listed();
    }

    /// Compares the table with a listing of all units.
    pub(super) fn compare(&mut self, listing: Vec<ListedUnit>, now: Usec) -> usize {
        let gone = self.compare_part(ListedTypes::All, listing, now);
        self.check_files();
        gone
    }
}

/// The units that do not match `exclude`, in these slices (in all if none is given), with these
/// roll-ups.
fn selecting(exclude: &str, slices: &[&str], rollups: &[&str]) -> Selection {
    Selection {
        exclude: Some(Pattern::new(exclude).unwrap()),
        slices: Slices::read(slices.iter().copied()).unwrap(),
        rollups: Rollups::read(rollups.iter().copied()).unwrap(),
        ..Selection::default()
    }
}

/// How many inventories listen to one systemd. A question of one causes signals to all.
const LISTENERS: usize = 2;

/// A unit of the model.
#[derive(Clone, Debug, PartialEq)]
struct Real {
    load: LoadState,
    active: ActiveState,
    entered: u64,
    restarts: u64,
    /// Its `UnitNew` has been sent.
    announced: bool,
    /// Its file has been removed; the next reload notices.
    removed: bool,
}

/// A message from systemd to an inventory.
#[derive(Clone, Debug)]
enum Message {
    Event(Event),
    Answer(UnitName, UnitProperty, Result<Value, CallError>),
    Resync(Vec<ListedUnit>),
    Compare(Vec<ListedUnit>),
}

/// The model of systemd. It reads values when it sends them, sends in order, and signals a change
/// some time after it.
#[derive(Debug, Default)]
struct Systemd {
    units: BTreeMap<UnitName, Real>,
    dirty: BTreeSet<UnitName>,
    /// The messages under way to each inventory.
    wires: [VecDeque<Message>; LISTENERS],
    clock: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Load(usize, bool),
    Change(usize, u8),
    Restart(usize),
    ResetRestarts(usize),
    Collect(usize),
    /// systemd's event loop sends signals.
    Signal,
    Deliver(usize, u8),
    /// An inventory asks. systemd answers at once, but the answer arrives later.
    Ask(usize, u8),
    /// Another client asks about a unit that is not in memory.
    Visit(usize),
    RemoveFile(usize),
    Reload,
    Compare(usize),
    Pause(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (unit, listener) = (0..NAMES.len(), 0..LISTENERS);
    prop_oneof![
        4 => (unit.clone(), any::<bool>()).prop_map(|(unit, found)| Step::Load(unit, found)),
        6 => (unit.clone(), any::<u8>()).prop_map(|(unit, to)| Step::Change(unit, to)),
        3 => unit.clone().prop_map(Step::Restart),
        1 => unit.clone().prop_map(Step::ResetRestarts),
        3 => unit.clone().prop_map(Step::Collect),
        1 => unit.clone().prop_map(Step::RemoveFile),
        6 => Just(Step::Signal),
        16 => (listener.clone(), 1..6_u8).prop_map(|(to, count)| Step::Deliver(to, count)),
        16 => (listener.clone(), 1..6_u8).prop_map(|(by, count)| Step::Ask(by, count)),
        2 => unit.prop_map(Step::Visit),
        1 => Just(Step::Reload),
        2 => listener.clone().prop_map(Step::Compare),
        2 => listener.prop_map(Step::Pause),
    ]
}

fn name(at: usize) -> UnitName {
    name_of(NAMES[at])
}

fn name_of(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

impl Systemd {
    fn load(&mut self, name: &UnitName, found: bool) {
        let load = if found { LoadState::Loaded } else { LoadState::NotFound };
        let fresh = Real {
            load: load.clone(),
            active: ActiveState::Inactive,
            entered: 0,
            restarts: 0,
            announced: false,
            removed: false,
        };
        let real = self.units.entry(name.clone()).or_insert(fresh);
        // A stub whose file has appeared is loaded when systemd next needs it.
        if found && real.load == LoadState::NotFound {
            real.load = load;
        }
        self.dirty.insert(name.clone());
    }

    fn collect(&mut self, name: &UnitName) {
        if self.units.contains_key(name) {
            self.signal_one(name);
            self.units.remove(name);
            self.dirty.remove(name);
            self.send(Event::UnitRemoved(name.clone()));
        }
    }

    fn send(&mut self, event: Event) {
        for wire in &mut self.wires {
            wire.push_back(Message::Event(event.clone()));
        }
    }

    fn signal(&mut self) {
        for name in std::mem::take(&mut self.dirty) {
            self.signal_one(&name);
        }
    }

    fn signal_one(&mut self, name: &UnitName) {
        let Some(real) = self.units.get_mut(name) else { return };
        if !real.announced {
            real.announced = true;
            self.send(Event::UnitNew(name.clone()));
            return;
        }
        if name.unit_type() == UnitType::Service {
            let facts = vec![(UnitProperty::Restarts, Value::Number(real.restarts))];
            self.send(Event::UnitChanged(name.clone(), facts));
        }
        let Some(real) = self.units.get(name) else { return };
        let properties = [
            UnitProperty::ActiveState,
            UnitProperty::SubState,
            UnitProperty::ActiveEnter,
            UnitProperty::InactiveExit,
        ];
        let facts = properties.map(|property| (property, real.value(property))).to_vec();
        self.send(Event::UnitChanged(name.clone(), facts));
    }

    /// Answers a `Get` as systemd does: it loads a unit that is not in memory, and drops it soon.
    fn answer(&mut self, name: &UnitName, property: UnitProperty, to: usize) {
        let absent = !self.units.contains_key(name);
        if absent {
            self.load(name, false);
        }
        let value = self.units[name].value(property);
        self.wires[to].push_back(Message::Answer(name.clone(), property, Ok(value)));
        if absent {
            self.collect(name);
        }
    }

    fn list(&self) -> Vec<ListedUnit> {
        let listed = |(name, real): (&UnitName, &Real)| ListedUnit {
            name: name.clone(),
            load_state: real.load.clone(),
            active_state: real.active.clone(),
            sub_state: real.active.as_str().into(),
        };
        self.units.iter().map(listed).collect()
    }

    fn reload(&mut self) {
        self.send(Event::Reloading(true));
        // systemd sends the pending signals of a unit before it frees it.
        self.signal();
        let names: Vec<_> = self.units.keys().cloned().collect();
        names.iter().for_each(|name| self.send(Event::UnitRemoved(name.clone())));
        for real in self.units.values_mut() {
            real.announced = true;
            if real.removed {
                real.load = LoadState::NotFound;
            }
        }
        names.into_iter().for_each(|name| self.send(Event::UnitNew(name)));
        self.dirty.clear();
        self.send(Event::Reloading(false));
    }

    fn step(&mut self, step: &Step, inventories: &mut [Inventory; LISTENERS]) {
        self.clock += 1;
        match step {
            Step::Load(at, found) => self.load(&name(*at), *found),
            Step::Change(at, to) => {
                let Some(real) = self.units.get_mut(&name(*at)) else { return };
                let to_state = ActiveState::ALL[usize::from(*to) % 5].clone();
                // A unit without a file can only stop.
                let stops = real.is_visible() && to_state.is_at_rest();
                if real.load == LoadState::Loaded || stops {
                    real.active = to_state;
                    real.entered = self.clock;
                    // As `*_set_state()`: a pending signal is sent before the next change.
                    if self.dirty.contains(&name(*at)) && to % 2 == 0 {
                        self.signal_one(&name(*at));
                    }
                    self.dirty.insert(name(*at));
                }
            }
            Step::Restart(at) => {
                if let Some(real) = self.units.get_mut(&name(*at)) {
                    real.restarts += 1;
                    self.signal_one(&name(*at));
                }
            }
            Step::ResetRestarts(at) => {
                if let Some(real) = self.units.get_mut(&name(*at)) {
                    real.restarts = 0;
                    self.signal_one(&name(*at));
                }
            }
            Step::Collect(at) => self.collect(&name(*at)),
            Step::Signal => self.signal(),
            Step::Deliver(to, count) => {
                self.deliver(usize::from(*count), *to, &mut inventories[*to]);
            }
            Step::Ask(by, count) => {
                for _ in 0..*count {
                    let Some((name, property)) = inventories[*by].next_question() else { break };
                    self.answer(&name, property, *by);
                }
            }
            Step::Visit(at) => {
                if !self.units.contains_key(&name(*at)) {
                    self.load(&name(*at), true);
                    self.collect(&name(*at));
                }
            }
            Step::RemoveFile(at) => {
                if let Some(real) = self.units.get_mut(&name(*at)) {
                    real.removed = true;
                }
            }
            Step::Reload => self.reload(),
            Step::Compare(by) => {
                let listing = self.list();
                self.wires[*by].push_back(Message::Compare(listing));
            }
            Step::Pause(of) => inventories[*of].retry_deferred(ASK_DELAY),
        }
    }

    fn deliver(&mut self, count: usize, to: usize, inventory: &mut Inventory) {
        for _ in 0..count {
            match self.wires[to].pop_front() {
                None => return,
                Some(Message::Event(event)) => {
                    let reloaded = event == Event::Reloading(false);
                    inventory.apply(event, 0);
                    if reloaded {
                        // The watch asks for a listing, and systemd answers later.
                        let listing = self.list();
                        self.wires[to].push_back(Message::Resync(listing));
                    }
                }
                Some(Message::Answer(name, property, answer)) => {
                    inventory.answer(&name, property, answer);
                }
                Some(Message::Resync(listing)) => inventory.resync(listing, Extent::Settings, 0),
                Some(Message::Compare(listing)) => {
                    assert_eq!(inventory.compare(listing, 0), 0, "a unit left without a signal");
                }
            }
        }
    }

    /// Delivers everything under way, one message at a time, and answers every question.
    fn answer_everything(&mut self, inventories: &mut [Inventory; LISTENERS]) {
        for round in 0.. {
            assert!(round < 20_000, "the questions never end: {inventories:?}");
            self.signal();
            let quiet = self.wires.iter().all(VecDeque::is_empty);
            let mut asked = false;
            for (at, inventory) in inventories.iter_mut().enumerate() {
                self.deliver(1, at, inventory);
                if quiet {
                    inventory.retry_deferred(ASK_DELAY);
                }
                while let Some((name, property)) = inventory.next_question() {
                    asked = true;
                    self.answer(&name, property, at);
                }
            }
            if quiet && !asked && self.dirty.is_empty() {
                return;
            }
        }
    }
}

impl Real {
    fn is_visible(&self) -> bool {
        self.load == LoadState::Loaded || self.active != ActiveState::Inactive
    }

    fn value(&self, property: UnitProperty) -> Value {
        let text = |text: &str| Value::Text(text.into());
        match property {
            UnitProperty::LoadState => text(self.load.as_str()),
            UnitProperty::ActiveState | UnitProperty::SubState => text(self.active.as_str()),
            UnitProperty::ActiveEnter if self.entered > 0 => Value::Number(self.entered),
            UnitProperty::InactiveExit if self.entered + self.restarts > 0 => Value::Number(1),
            UnitProperty::Restarts => Value::Number(self.restarts),
            _ => Value::Nothing,
        }
    }
}

fn inventory() -> Inventory {
    Inventory::new(selecting(".+device", &[], &[]), Reads::EVERYTHING, 0)
}

fn shown(inventory: &Inventory) -> BTreeMap<UnitName, (LoadState, ActiveState, Option<u64>)> {
    let row = |unit: &Arc<Unit>| {
        // Of a unit that is not visible only the state is read.
        let entered = unit.active_enter.filter(|_| unit.is_visible());
        let state = (unit.load_state.clone(), unit.active_state.clone(), entered);
        (unit.name.clone(), state)
    };
    inventory.snapshot(0).units.iter().map(row).collect()
}

/// Runs a history to its end, then compares each table with the model.
fn run(steps: &[Step]) {
    let (mut systemd, mut inventories) = (Systemd::default(), [inventory(), inventory()]);
    for step in steps {
        systemd.step(step, &mut inventories);
    }
    systemd.answer_everything(&mut inventories);
    for inventory in &mut inventories {
        assert_in_sync(&systemd, inventory);
    }
}

fn assert_in_sync(systemd: &Systemd, inventory: &mut Inventory) {
    let real: BTreeMap<_, _> = systemd
        .units
        .iter()
        .filter(|(name, _)| !name.as_str().ends_with(".device"))
        .map(|(name, real)| {
            let entered = Some(real.entered).filter(|at| *at > 0 && real.is_visible());
            (name.clone(), (real.load.clone(), real.active.clone(), entered))
        })
        .collect();
    assert_eq!(shown(inventory), real);
    assert!(inventory.is_complete());

    let visible = systemd.units.values().filter(|real| real.is_visible()).count();
    let counted: u64 = inventory.snapshot(0).by_state.values().sum();
    assert_eq!(counted, visible as u64, "hidden units are counted too");

    inventory.take_drift();
    assert_eq!(inventory.compare(systemd.list(), 0), 0);
    assert_eq!(inventory.take_drift(), Vec::<&str>::new());
}

/// A change between a listing and the unit's `UnitNew` is never signalled.
#[test]
fn a_unit_that_was_listed_before_it_was_announced_is_read_again() {
    use Step::{Change, Deliver, Load, Reload};
    run(&[Load(0, false), Reload, Load(4, true), Deliver(0, 4), Change(4, 155)]);
}

/// The same, with a question under way.
#[test]
fn a_unit_that_came_back_while_it_was_asked_about_is_read_again() {
    use Step::{Ask, Change, Collect, Deliver, Load, Pause, Signal};
    run(&[
        Load(3, false),
        Signal,
        Deliver(0, 1),
        Pause(0),
        Collect(3),
        Load(3, true),
        Ask(0, 2),
        Change(3, 7),
    ]);
}

/// Each of two inventories asked about the units that questions of the other had loaded, without
/// end.
#[test]
fn a_unit_that_a_question_of_another_client_loads_is_not_asked_about() {
    use Step::{Ask, Deliver, Visit};
    run(&[Visit(0), Deliver(0, 1), Ask(0, 1), Deliver(1, 1), Ask(1, 1)]);
}

/// A step of an impossible history: a unit, an event, and the values for it.
type ImpossibleStep = (usize, u8, (UnitProperty, Value), u32);

/// Any property with any value, or a counted property with a value that it can have: without the
/// latter hardly anything would be counted.
fn fact() -> impl Strategy<Value = (UnitProperty, Value)> {
    use UnitProperty::{ActiveState, Invocation, LoadState, SubState};
    let words = |words: &[&'static str]| select(words.to_vec());
    let text = |word: &str| Value::Text(word.into());
    prop_oneof![
        4 => (select(UnitProperty::ALL), value()),
        2 => words(&["loaded"]).prop_map(move |word| (LoadState, text(word))),
        2 => words(&["running"]).prop_map(move |word| (SubState, text(word))),
        2 => (1..5_u128).prop_map(|id| (Invocation, Value::Id(id))),
        4 => words(&["active", "activating", "failed"])
            .prop_map(move |word| (ActiveState, text(word))),
        2 => words(&["success", "exit-code"]).prop_map(move |word| (UnitProperty::Result, text(word))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let words =
        vec!["", "loaded", "not-found", "active", "activating", "failed", "success", "signal"];
    prop_oneof![
        Just(Value::Nothing),
        any::<bool>().prop_map(Value::Flag),
        select(words).prop_map(|word| Value::Text(word.into())),
        prop_oneof![0..100_u64, any::<u64>()].prop_map(Value::Number),
        (0..3_u128).prop_map(Value::Id),
        vec(0..NAMES.len(), 0..3).prop_map(|all| Value::Units(all.into_iter().map(name).collect())),
    ]
}

/// All counters, of units and of the host.
fn counters(inventory: &Inventory) -> BTreeMap<String, u64> {
    let snapshot = inventory.snapshot(0);
    let units = snapshot.units.iter().map(|unit| (&unit.name, &unit.counters));
    let gone = snapshot.gone.iter().map(|(name, counters)| (name, counters));
    let mut all = BTreeMap::new();
    for (name, counters) in units.chain(gone) {
        all.insert(format!("{name} starts"), counters.starts);
        all.insert(format!("{name} restarts"), counters.restarts);
        let transitions = counters.transitions.iter();
        all.extend(transitions.map(|(state, count)| (format!("{name} {state}"), count)));
        let failures = counters.failures.iter();
        all.extend(failures.map(|(result, count)| (format!("{name} {result}"), count)));
    }
    for (unit_type, transitions) in &snapshot.totals.transitions {
        let entries = transitions.iter();
        all.extend(entries.map(|(state, count)| (format!("{unit_type:?} {state}"), count)));
    }
    for (unit_type, failures) in &snapshot.totals.failures {
        let failures = failures.iter();
        all.extend(failures.map(|(result, count)| (format!("{unit_type:?} {result}"), count)));
    }
    all
}

fn apply_step(inventory: &mut Inventory, (at, what, (property, value), number): ImpossibleStep) {
    let unit = name(at);
    match what {
        0 => inventory.apply(Event::UnitNew(unit), 0),
        1 => inventory.apply(Event::UnitRemoved(unit), 0),
        2 => inventory.answer(&unit, property, Ok(value)),
        3 => inventory.answer(&unit, property, Err(CallError::Deadline)),
        4 => inventory.answer(&unit, property, Err(CallError::Unreadable(String::new()))),
        5 => inventory.apply(Event::Reloading(number % 2 == 0), 0),
        6 => inventory.retry_deferred(number.into()),
        7 => drop(inventory.next_question()),
        8 => inventory.apply(Event::JobNew { id: number % 4, unit }, 0),
        9 => inventory.apply(Event::JobRemoved { id: number % 4, unit, result: "done".into() }, 0),
        _ => {
            let restarts = (UnitProperty::Restarts, Value::Number(u64::from(number % 100)));
            inventory.apply(Event::UnitChanged(unit, vec![(property, value), restarts]), 0);
        }
    }
}

/// Runs an impossible history; returns the highest value of each counter.
fn run_impossible(history: Vec<ImpossibleStep>) -> Result<BTreeMap<String, u64>, TestCaseError> {
    let mut inventory = inventory();
    let mut highest = BTreeMap::<String, u64>::new();
    for step in history {
        apply_step(&mut inventory, step);
        for (counter, now) in counters(&inventory) {
            let before = highest.insert(counter.clone(), now).unwrap_or(0);
            prop_assert!(now >= before, "{}: {} after {}", counter, now, before);
        }
    }
    let listed = ListedUnit {
        name: name(0),
        load_state: LoadState::Loaded,
        active_state: ActiveState::Failed,
        sub_state: "failed".into(),
    };
    inventory.resync(vec![listed], Extent::Everything, 0);
    let shown = shown(&inventory);
    prop_assert_eq!(shown.len(), 1);
    prop_assert_eq!(&shown[&name(0)].1, &ActiveState::Failed);
    Ok(highest)
}

/// Also, the next listing replaces the table.
#[test]
fn impossible_histories_cause_no_panic_and_lower_no_counter() {
    let config = ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() };
    let step = (0..NAMES.len(), 0..24_u8, fact(), any::<u32>());
    let (sent, counted) = (RefCell::new(HashSet::new()), RefCell::new(BTreeSet::new()));
    TestRunner::new(config)
        .run(&vec(step, 0..200), |history| {
            let signalled = history.iter().filter(|(_, what, ..)| *what > 9);
            sent.borrow_mut().extend(signalled.map(|(at, _, (property, _), _)| (*at, *property)));
            for (counter, highest) in run_impossible(history)? {
                let (_, kind) = counter.split_once(' ').unwrap();
                if highest > 0 {
                    counted.borrow_mut().insert(kind.to_owned());
                }
            }
            Ok(())
        })
        .unwrap();
    // The histories have every property of every unit, and count every kind.
    assert_eq!(sent.take().len(), NAMES.len() * UnitProperty::ALL.len());
    let counted = counted.take();
    for kind in ["starts", "restarts", "active", "activating", "failed"] {
        assert!(counted.contains(kind), "{kind}: {counted:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Signals and answers may come late. Once all have arrived, a reconcile finds no drift.
    #[test]
    fn the_table_ends_in_sync_with_systemd(steps in vec(step(), 0..120)) {
        run(&steps);
    }

    #[test]
    fn a_name_is_read_back_from_its_object_path(name in r"[a-zA-Z0-9:_.\\@-]{1,60}\.(service|mount)") {
        let name = UnitName::new(&name).unwrap();
        prop_assert_eq!(UnitName::from_object_path(&name.object_path()), Some(name));
    }

    #[test]
    fn no_object_path_causes_a_panic(label in ".{0,40}") {
        let _ = UnitName::from_object_path(&format!("{UNIT_PATH_PREFIX}{label}"));
    }
}

/// A unit whose state is refused is not shown.
#[test]
fn a_refused_property_is_not_asked_for_again() {
    let mut inventory = inventory();
    inventory.apply(Event::UnitNew(name(0)), 0);
    inventory.retry_deferred(ASK_DELAY);
    let mut asked = Vec::new();
    while let Some((unit, property)) = inventory.next_question() {
        assert!(asked.len() < 10, "asked again and again: {asked:?}");
        asked.push(property);
        let refusal = CallError::Refused {
            name: "org.freedesktop.DBus.Error.AccessDenied".into(),
            text: "no".into(),
        };
        inventory.answer(&unit, property, Err(refusal));
    }
    assert_eq!(asked.len(), 3);
    assert!(inventory.snapshot(0).units.is_empty());
}

#[test]
fn a_correction_that_no_signal_explains_is_drift() {
    let mut inventory = inventory();
    let listed = |active_state| ListedUnit {
        name: name(0),
        load_state: LoadState::Loaded,
        active_state,
        sub_state: "dead".into(),
    };
    inventory.resync(vec![listed(ActiveState::Inactive)], Extent::Everything, 0);
    assert_eq!(inventory.compare(vec![listed(ActiveState::Failed)], 0), 0);
    let facts = vec![(UnitProperty::ActiveState, Value::Text("failed".into()))];
    inventory.apply(Event::UnitChanged(name(0), facts), 0);
    assert_eq!(inventory.take_drift(), Vec::<&str>::new(), "its signal was only late");

    assert_eq!(inventory.compare(vec![listed(ActiveState::Active)], 0), 0);
    assert_eq!(inventory.take_drift(), ["active_state"]);
    assert_eq!(inventory.compare(Vec::new(), 0), 1, "it left without a signal");
}

#[test]
fn a_queued_job_is_counted_once_its_type_is_known() {
    let mut inventory = inventory();
    inventory.apply(Event::JobNew { id: 7, unit: name(0) }, 0);
    assert!(inventory.has_unknown_jobs());
    assert!(inventory.snapshot(0).jobs.is_empty());
    let state = crate::systemd::state::JobState::Waiting;
    let job = ListedJob { id: 7, unit: name(0), job_type: JobType::Stop, state: state.clone() };
    assert_eq!(inventory.replace_jobs(vec![job], 0), 0);
    assert!(!inventory.has_unknown_jobs());
    assert_eq!(inventory.snapshot(0).jobs, [((JobType::Stop, state), 1)].into());
    inventory.apply(Event::JobChanged { id: 7, state: "running".into() }, 0);
    let counted = inventory.snapshot(0).jobs.into_keys().next();
    assert_eq!(counted.map(|(_, state)| state.to_string()).as_deref(), Some("running"));
    assert_eq!(inventory.replace_jobs(Vec::new(), 0), 1, "it left without a signal");
}

/// systemd keeps units that failed or run after their file was removed.
#[test]
fn a_unit_that_is_not_inactive_is_visible_in_any_load_state_except_stub() {
    let listed = |load_state: &LoadState, active_state: &ActiveState| ListedUnit {
        name: name(0),
        load_state: load_state.clone(),
        active_state: active_state.clone(),
        sub_state: "whatever".into(),
    };
    for load_state in LoadState::ALL {
        for active_state in ActiveState::ALL {
            let mut inventory = inventory();
            inventory.resync(vec![listed(load_state, active_state)], Extent::Everything, 0);
            let mut asked = Vec::new();
            while let Some((unit, property)) = inventory.next_question() {
                asked.push(property);
                inventory.answer(&unit, property, Ok(Value::Nothing));
            }
            // systemd has not loaded a stub yet.
            let is_idle = *active_state == ActiveState::Inactive || *load_state == LoadState::Stub;
            let visible = *load_state == LoadState::Loaded || !is_idle;
            let snapshot = inventory.snapshot(0);
            let of = (load_state, active_state);
            assert_eq!(snapshot.find(name(0).as_str()).is_some(), visible, "{of:?}");
            assert_eq!(snapshot.visible_units(), usize::from(visible), "{of:?}");
            assert_eq!(inventory.shown_units(), usize::from(visible), "{of:?}");
            let key = (name(0).unit_type(), active_state.clone());
            assert_eq!(snapshot.by_state.get(&key).copied(), visible.then_some(1), "{of:?}");
            let not_loaded = snapshot.not_loaded.values().sum::<u64>();
            assert_eq!(not_loaded, u64::from(*load_state != LoadState::Loaded), "{of:?}");
            assert_eq!(asked.contains(&UnitProperty::InactiveExit), visible, "{of:?}");
        }
    }
}

#[test]
fn a_unit_without_a_sub_state_is_shown_and_one_without_another_state_is_not() {
    for refused in PropertySet::STATE.iter() {
        let mut inventory = inventory();
        inventory.apply(Event::UnitNew(name(0)), 0);
        inventory.retry_deferred(ASK_DELAY);
        while let Some((unit, property)) = inventory.next_question() {
            let value = match property {
                UnitProperty::LoadState => Value::Text("loaded".into()),
                UnitProperty::ActiveState => Value::Text("failed".into()),
                _ => Value::Nothing,
            };
            let answer = match property == refused {
                true => Err(CallError::Unreadable("odd".into())),
                false => Ok(value),
            };
            inventory.answer(&unit, property, answer);
        }
        let states: Vec<_> = inventory.snapshot(0).by_state.into_keys().collect();
        match refused {
            UnitProperty::SubState => {
                assert_eq!(states, [(UnitType::Service, ActiveState::Failed)]);
            }
            // It is not known whether it is loaded or runs, so it is not reported as inactive.
            _ => assert_eq!(states, [], "{refused:?}"),
        }
    }
}

/// Units of a type that systemd refuses to list are known from signals.
#[test]
fn a_listing_by_type_leaves_the_other_types_as_they_are() {
    let listed = |name: &str, active_state| ListedUnit {
        name: UnitName::new(name).unwrap(),
        load_state: LoadState::Loaded,
        active_state,
        sub_state: "whatever".into(),
    };
    let (service, mount) =
        (ListedTypes::Type(UnitType::Service), ListedTypes::Type(UnitType::Mount));
    let refused = Listing::Units(UnitType::Mount);
    let mut inventory = inventory();
    let a = || listed("a.service", ActiveState::Active);
    // Units of another type than the one asked for are ignored.
    let more = vec![a(), listed("x.mount", ActiveState::Active)];
    inventory.resync_part(service, more, Extent::Everything, 0);
    assert!(inventory.note_refused(refused, true));
    assert!(!inventory.note_refused(refused, true), "no change");
    assert_eq!(inventory.snapshot(0).refused, [refused].into());
    assert_eq!(shown(&inventory).into_keys().collect::<Vec<_>>(), [name_of("a.service")]);

    // One unit that was there before, and a new one.
    let facts = || vec![(UnitProperty::ActiveState, Value::Text("active".into()))];
    inventory.apply(Event::UnitChanged(name_of("b.mount"), facts()), 0);
    inventory.apply(Event::UnitNew(name_of("c.mount")), 0);
    inventory.retry_deferred(ASK_DELAY);
    while let Some((unit, property)) = inventory.next_question() {
        let loaded = Ok(Value::Text("loaded".into()));
        let answer = if property == UnitProperty::LoadState { loaded } else { Ok(Value::Nothing) };
        inventory.answer(&unit, property, answer);
    }
    inventory.resync_part(service, vec![a()], Extent::Settings, 0);
    assert_eq!(inventory.compare_part(service, vec![a()], 0), 0);
    let all = ["a.service", "b.mount", "c.mount"].map(name_of);
    assert_eq!(shown(&inventory).into_keys().collect::<Vec<_>>(), all);

    // The first listing of a refused type finds no drift.
    let mounts =
        vec![listed("b.mount", ActiveState::Failed), listed("d.mount", ActiveState::Active)];
    assert_eq!(inventory.compare_part(mount, mounts, 0), 0);
    assert!(inventory.note_refused(refused, false));
    assert_eq!(inventory.take_drift(), Vec::<&str>::new());
    let all = ["a.service", "b.mount", "d.mount"].map(name_of);
    assert_eq!(shown(&inventory).into_keys().collect::<Vec<_>>(), all);
    // Later ones do.
    assert_eq!(inventory.compare_part(mount, Vec::new(), 0), 2);
}

/// Also if its type is not the first to be listed.
#[test]
fn a_unit_that_a_listing_by_type_finds_is_not_new() {
    let listed = |name: &str| ListedUnit {
        name: name_of(name),
        load_state: LoadState::Loaded,
        active_state: ActiveState::Active,
        sub_state: "whatever".into(),
    };
    let mut inventory = inventory();
    for (unit_type, name) in [(UnitType::Service, "a.service"), (UnitType::Socket, "c.socket")] {
        let scope = ListedTypes::Type(unit_type);
        inventory.resync_part(scope, vec![listed(name)], Extent::Everything, 0);
    }
    inventory.note_all_listed();
    while let Some((unit, property)) = inventory.next_question() {
        let value = match property {
            UnitProperty::Invocation => Value::Id(7),
            UnitProperty::ActiveEnter => Value::Number(1_000),
            _ => Value::Nothing,
        };
        inventory.answer(&unit, property, Ok(value));
    }
    for unit in inventory.snapshot(0).units {
        assert!(unit.counters.is_empty(), "{unit:?}");
    }
}

#[test]
fn a_unit_of_a_type_that_is_listed_only_after_a_restart_of_the_exporter_is_not_new() {
    let (service, mount) =
        (ListedTypes::Type(UnitType::Service), ListedTypes::Type(UnitType::Mount));
    let mut first = inventory();
    first.resync_part(service, Vec::new(), Extent::Everything, 0);
    assert!(first.note_refused(Listing::Units(UnitType::Mount), true));
    first.note_all_listed();
    let (record, _) = first.record(None).unwrap();
    let written = serde_json::to_vec(&record).unwrap();

    let mut next = inventory();
    next.recall(serde_json::from_slice(&written).unwrap());
    let failed = ListedUnit {
        name: name_of("b.mount"),
        load_state: LoadState::Loaded,
        active_state: ActiveState::Failed,
        sub_state: "failed".into(),
    };
    next.resync_part(mount, vec![failed], Extent::Everything, 0);
    next.note_refused(Listing::Units(UnitType::Mount), false);
    next.note_all_listed();
    while let Some((unit, property)) = next.next_question() {
        let value = match property {
            UnitProperty::Invocation => Value::Id(7),
            UnitProperty::Result => Value::Text("exit-code".into()),
            _ => Value::Nothing,
        };
        next.answer(&unit, property, Ok(value));
    }
    assert_eq!(next.snapshot(0).totals.failures, BTreeMap::new());
    assert!(next.snapshot(0).units[0].counters.is_empty());
}
