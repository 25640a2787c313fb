//! Counting, compared with a model of systemd that runs, fails and restarts services and counts
//! what it does. Without gaps everything is counted once; with gaps nothing is counted that did not
//! happen.

use super::{super::*, name, selecting};
use crate::inventory::{
    counters::Counters,
    counts::Counts,
    snapshot::{Rollup, Snapshot},
};
use crate::systemd::state::{ActiveState, JobResult, RunResult};
use proptest::{collection::vec, prelude::*};
use std::{collections::BTreeMap, sync::Arc};

/// A service of the model.
#[derive(Clone, Debug)]
struct Service {
    announced: bool,
    dirty: bool,
    state: ActiveState,
    sub: &'static str,
    invocation: u128,
    result: RunResult,
    restarts: u64,
    /// The next manual start resets `NRestarts`.
    flush: bool,
    active_enter: u64,
    active_exit: u64,
    inactive_enter: u64,
    exit: u64,
    job: u64,
    /// `Restart=always`; otherwise `on-failure`.
    always: bool,
}

/// What happened to the units of one name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Truth {
    starts: u64,
    restarts: u64,
    transitions: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
}

#[derive(Debug)]
enum Message {
    Event(Event),
    Answer(UnitName, UnitProperty, Value),
    Resync(Vec<ListedUnit>, Extent),
}

#[derive(Debug, Default)]
struct Systemd {
    services: BTreeMap<UnitName, Service>,
    truth: BTreeMap<UnitName, Truth>,
    wire: VecDeque<Message>,
    clock: u64,
    /// Before systemd 254: a restart stops the unit first, and signals it.
    old: bool,
    /// `Restart=always` for new services.
    always: bool,
    /// Signals wait while questions are answered, as they do when the bus is full.
    throttled: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Load(usize),
    Start(usize),
    Stop(usize),
    /// The run fails, and the service waits for a restart if there is to be one.
    Fail(usize, u8, bool),
    /// The run ends with success, and the service waits for a restart.
    Finish(usize),
    /// The next step from the end of a run to its restart.
    Advance(usize),
    ResetFailed(usize),
    Collect(usize),
    Signal,
    Deliver(u8),
    Ask(u8),
    /// No signal comes for a second.
    Pause,
    Reload,
    /// A reload whose `Reloading` signals are lost.
    SilentReload,
}

const RESULTS: [RunResult; 3] = [RunResult::ExitCode, RunResult::Signal, RunResult::Watchdog];

fn step() -> impl Strategy<Value = Step> {
    let unit = 0..2_usize;
    prop_oneof![
        2 => unit.clone().prop_map(Step::Load),
        6 => unit.clone().prop_map(Step::Start),
        3 => unit.clone().prop_map(Step::Stop),
        8 => (unit.clone(), any::<u8>(), any::<bool>())
            .prop_map(|(unit, how, again)| Step::Fail(unit, how, again)),
        12 => unit.clone().prop_map(Step::Advance),
        1 => unit.clone().prop_map(Step::ResetFailed),
        2 => unit.prop_map(Step::Collect),
        4 => Just(Step::Signal),
        10 => (1..6_u8).prop_map(Step::Deliver),
        10 => (1..12_u8).prop_map(Step::Ask),
        1 => Just(Step::Reload),
    ]
}

/// Traffic; `None` is the next step of the model.
fn traffic() -> impl Strategy<Value = Option<Step>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Step::Signal)),
        4 => (1..6_u8).prop_map(|count| Some(Step::Deliver(count))),
        4 => (1..12_u8).prop_map(|count| Some(Step::Ask(count))),
        1 => Just(Some(Step::Pause)),
        1 => Just(Some(Step::Reload)),
    ]
}

impl Truth {
    fn of(counters: &Counters) -> Self {
        Self {
            starts: counters.starts,
            restarts: counters.restarts,
            transitions: counters.transitions.iter().map(|(it, n)| (it.to_string(), n)).collect(),
            failures: counters.failures.iter().map(|(it, n)| (it.to_string(), n)).collect(),
        }
    }
}

impl Systemd {
    fn truth(&mut self, name: &UnitName) -> &mut Truth {
        self.truth.entry(name.clone()).or_default()
    }

    fn load(&mut self, name: &UnitName) {
        let service = Service {
            announced: false,
            dirty: true,
            state: ActiveState::Inactive,
            sub: "dead",
            invocation: 0,
            result: RunResult::Success,
            restarts: 0,
            flush: false,
            active_enter: 0,
            active_exit: 0,
            inactive_enter: 0,
            exit: 0,
            job: 0,
            always: self.always,
        };
        self.services.entry(name.clone()).or_insert(service);
    }

    /// As `service_set_state()`: a pending signal is sent before the next change.
    fn set(&mut self, name: &UnitName, state: ActiveState, sub: &'static str) {
        self.signal(name, false);
        self.clock += 1;
        let clock = self.clock;
        let Some(service) = self.services.get_mut(name) else { return };
        if state == ActiveState::Active && service.state != state {
            service.active_enter = clock;
        }
        if service.state == ActiveState::Active && service.state != state {
            service.active_exit = clock;
        }
        if state.is_at_rest() && !service.state.is_at_rest() {
            service.inactive_enter = clock;
        }
        let changed = service.state != state;
        (service.state, service.sub, service.dirty) = (state.clone(), sub, true);
        if changed {
            *self.truth(name).transitions.entry(state.to_string()).or_default() += 1;
        }
    }

    /// Begins a run. Its job and the unit were announced before.
    fn start(&mut self, name: &UnitName, is_manual: bool) {
        self.signal(name, true);
        self.clock += 1;
        let invocation = u128::from(self.clock);
        let Some(service) = self.services.get_mut(name) else { return };
        service.invocation = invocation;
        service.result = RunResult::Success;
        service.exit = 0;
        // Before systemd 254 the new InvocationID may be signalled before the new state.
        if self.old {
            service.dirty = true;
        } else {
            service.job = 0;
        }
        if is_manual && service.flush {
            (service.restarts, service.flush) = (0, false);
        }
        self.truth(name).starts += 1;
        self.set(name, ActiveState::Activating, "start");
        if let Some(service) = self.services.get_mut(name) {
            service.job = 0;
        }
        self.set(name, ActiveState::Active, "running");
    }

    fn step(&mut self, step: &Step, inventory: &mut Inventory) {
        let unit = |at: &usize| name(*at);
        let is_at_rest = |service: &Service| service.state.is_at_rest();
        match step {
            Step::Load(at) => self.load(&unit(at)),
            Step::Start(at) => {
                self.load(&unit(at));
                if is_at_rest(&self.services[&unit(at)]) {
                    self.start(&unit(at), true);
                }
            }
            Step::Stop(at) => {
                let Some(service) = self.services.get_mut(&unit(at)) else { return };
                if service.state == ActiveState::Active {
                    self.set(&unit(at), ActiveState::Deactivating, "stop-sigterm");
                    self.clock += 1;
                    let clock = self.clock;
                    let service = self.services.get_mut(&unit(at)).unwrap();
                    (service.exit, service.flush) = (clock, true);
                    self.set(&unit(at), ActiveState::Inactive, "dead");
                } else if service.sub.starts_with("auto-restart") {
                    service.flush = true;
                    self.set(&unit(at), ActiveState::Inactive, "dead");
                    self.services.get_mut(&unit(at)).unwrap().job = 0;
                }
            }
            Step::Fail(at, how, again) => {
                let clock = self.clock + 1;
                let Some(service) = self.services.get_mut(&unit(at)) else { return };
                if service.state != ActiveState::Active {
                    return;
                }
                let result = RESULTS[usize::from(*how) % RESULTS.len()].clone();
                service.exit = clock;
                service.result = result.clone();
                service.flush = !again;
                *self.truth(&unit(at)).failures.entry(result.to_string()).or_default() += 1;
                if !again {
                    self.set(&unit(at), ActiveState::Failed, "failed");
                } else {
                    // Not with `RestartMode=direct`.
                    if how % 2 == 0 {
                        self.set(&unit(at), ActiveState::Failed, "failed-before-auto-restart");
                    }
                    self.set(&unit(at), ActiveState::Activating, "auto-restart");
                }
            }
            Step::Finish(at) => {
                let clock = self.clock + 1;
                let Some(service) = self.services.get_mut(&unit(at)) else { return };
                if service.state == ActiveState::Active {
                    (service.exit, service.flush) = (clock, false);
                    self.set(&unit(at), ActiveState::Activating, "auto-restart");
                }
            }
            Step::Advance(at) => {
                let clock = self.clock + 1;
                let old = self.old;
                let Some(service) = self.services.get_mut(&unit(at)) else { return };
                if service.sub == "auto-restart" && service.job == 0 {
                    service.restarts += 1;
                    service.job = clock;
                    service.dirty = true;
                    self.truth(&unit(at)).restarts += 1;
                    if !old {
                        self.set(&unit(at), ActiveState::Activating, "auto-restart-queued");
                    }
                } else if service.sub == "auto-restart" && old {
                    self.set(&unit(at), ActiveState::Inactive, "dead");
                } else if service.job > 0 {
                    self.start(&unit(at), false);
                }
            }
            Step::ResetFailed(at) => {
                let Some(service) = self.services.get_mut(&unit(at)) else { return };
                if service.state == ActiveState::Failed && service.sub == "failed" {
                    self.set(&unit(at), ActiveState::Inactive, "dead");
                    let service = self.services.get_mut(&unit(at)).unwrap();
                    (service.result, service.restarts) = (RunResult::Success, 0);
                }
            }
            Step::Collect(at) => {
                if self.services.get(&unit(at)).is_some_and(is_at_rest) {
                    self.signal(&unit(at), true);
                    self.services.remove(&unit(at));
                    self.wire.push_back(Message::Event(Event::UnitRemoved(unit(at))));
                }
            }
            Step::Signal => self.signal_all(),
            Step::Deliver(count) => self.deliver(usize::from(*count), inventory),
            Step::Pause => {
                self.signal_all();
                self.deliver(usize::MAX, inventory);
                inventory.retry_deferred(Usec::MAX);
                inventory.retry_deferred(Usec::MAX);
            }
            Step::Ask(count) => {
                for _ in 0..*count {
                    let Some((name, property)) = inventory.next_question() else { break };
                    self.answer(&name, property);
                }
            }
            Step::Reload | Step::SilentReload => {
                let is_signalled = matches!(step, Step::Reload);
                let reloading = |it| Message::Event(Event::Reloading(it));
                self.wire.extend(is_signalled.then(|| reloading(true)));
                self.signal_all();
                let removed = self.services.keys().cloned().map(Event::UnitRemoved);
                self.wire.extend(removed.map(Message::Event));
                for service in self.services.values_mut() {
                    (service.announced, service.dirty) = (false, true);
                }
                // `UnitNew` waits like other signals.
                if !self.throttled {
                    self.signal_all();
                }
                self.wire.extend(is_signalled.then(|| reloading(false)));
            }
        }
    }

    fn signal_all(&mut self) {
        for name in self.services.keys().cloned().collect::<Vec<_>>() {
            self.signal(&name, true);
        }
    }

    /// Sends the pending signal of a unit. `UnitNew` is sent only if `new`.
    fn signal(&mut self, name: &UnitName, new: bool) {
        let Some(service) = self.services.get_mut(name) else { return };
        if !service.dirty || !(service.announced || new) {
            return;
        }
        service.dirty = false;
        if !std::mem::replace(&mut service.announced, true) {
            self.wire.push_back(Message::Event(Event::UnitNew(name.clone())));
            return;
        }
        use UnitProperty as P;
        let service = self.services[name].clone();
        let of_service = [P::Restarts, P::Result, P::ExitTime, P::ExitCode, P::ExitStatus];
        let of_unit = [P::ActiveState, P::SubState, P::Invocation, P::Job];
        let times = [P::ActiveEnter, P::ActiveExit, P::InactiveEnter, P::InactiveExit];
        let of_unit = [&of_unit[..], &times].concat();
        for facts in [&of_service[..], &of_unit[..]] {
            let facts = facts.iter().map(|property| (*property, service.value(*property)));
            let event = Event::UnitChanged(name.clone(), facts.collect());
            self.wire.push_back(Message::Event(event));
        }
    }

    fn answer(&mut self, name: &UnitName, property: UnitProperty) {
        if !self.throttled {
            self.signal_all();
        }
        let is_loaded = self.services.contains_key(name);
        self.load(name);
        let value = self.services[name].value(property);
        self.wire.push_back(Message::Answer(name.clone(), property, value));
        if !is_loaded {
            self.services.remove(name);
            self.wire.push_back(Message::Event(Event::UnitNew(name.clone())));
            self.wire.push_back(Message::Event(Event::UnitRemoved(name.clone())));
        }
    }

    fn list(&self) -> Vec<ListedUnit> {
        let listed = |(name, service): (&UnitName, &Service)| ListedUnit {
            name: name.clone(),
            load_state: LoadState::Loaded,
            active_state: service.state.clone(),
            sub_state: service.sub.into(),
        };
        self.services.iter().map(listed).collect()
    }

    fn deliver(&mut self, count: usize, inventory: &mut Inventory) {
        for _ in 0..count {
            match self.wire.pop_front() {
                None => return,
                Some(Message::Event(event)) => {
                    let reloaded = event == Event::Reloading(false);
                    inventory.apply(event, self.clock);
                    if reloaded {
                        self.wire.push_back(Message::Resync(self.list(), Extent::Settings));
                    }
                }
                Some(Message::Answer(name, property, value)) => {
                    inventory.answer(&name, property, Ok(value));
                }
                Some(Message::Resync(listing, extent)) => {
                    inventory.resync(listing, extent, self.clock);
                }
            }
        }
    }

    fn answer_everything(&mut self, inventory: &mut Inventory) {
        for round in 0.. {
            assert!(round < 100, "the questions never end: {inventory:?}");
            self.signal_all();
            self.deliver(usize::MAX, inventory);
            // Two pauses.
            inventory.retry_deferred(Usec::MAX);
            inventory.retry_deferred(Usec::MAX);
            let mut asked = false;
            while let Some((name, property)) = inventory.next_question() {
                asked = true;
                self.answer(&name, property);
            }
            if !asked && self.wire.is_empty() {
                return;
            }
        }
    }

    /// The connection is lost, with everything under way, and made again.
    fn reconnect(&mut self, inventory: &mut Inventory) {
        self.wire.clear();
        inventory.disconnect();
        // A new subscriber gets no signal about earlier changes.
        for service in self.services.values_mut() {
            (service.announced, service.dirty) = (true, false);
        }
    }
}

impl Service {
    fn value(&self, property: UnitProperty) -> Value {
        use UnitProperty as P;
        let text = |text: &str| Value::Text(text.into());
        let time = |time: u64| if time == 0 { Value::Nothing } else { Value::Number(time) };
        match property {
            P::LoadState => text("loaded"),
            P::ActiveState => text(self.state.as_str()),
            P::SubState => text(self.sub),
            P::ActiveEnter => time(self.active_enter),
            P::ActiveExit => time(self.active_exit),
            P::InactiveEnter => time(self.inactive_enter),
            P::InactiveExit if self.invocation != 0 => Value::Number(1),
            P::Invocation if self.invocation == 0 => Value::Nothing,
            P::Invocation => Value::Id(self.invocation),
            P::Job => time(self.job),
            P::Restarts => Value::Number(self.restarts),
            P::Result => text(self.result.as_str()),
            P::ExitTime => time(self.exit),
            P::ExitCode => Value::Number(u64::from(self.exit > 0)),
            P::ExitStatus => Value::Number(1),
            P::RestartPolicy => text(if self.always { "always" } else { "on-failure" }),
            P::NeedDaemonReload | P::RestartForced => Value::Flag(false),
            _ => Value::Nothing,
        }
    }
}

fn empty() -> Inventory {
    Inventory::new(selecting("", &[], &["instances"]), Reads::EVERYTHING, u64::MAX)
}

fn fresh() -> Inventory {
    let mut inventory = empty();
    inventory.resync(Vec::new(), Extent::Everything, 0);
    inventory
}

/// A snapshot of all units, with none rolled up.
fn everything(inventory: &Inventory) -> Snapshot {
    let mut all = Snapshot::default();
    for (name, entry) in &inventory.units {
        match entry.is_known() {
            true => all.units.push(Arc::clone(&entry.unit)),
            false => all.gone.push((name.clone(), Arc::clone(&entry.unit.counters))),
        }
    }
    let gone = inventory.gone.iter();
    all.gone.extend(gone.map(|(name, unit)| (name.clone(), Arc::clone(&unit.counters))));
    all
}

/// The counters of all units that are not 0. Also checks that those of a roll-up are their sum.
fn counted(inventory: &Inventory) -> BTreeMap<UnitName, Truth> {
    let rollups = |snapshot: &Snapshot| {
        let all = snapshot.rollups.iter().filter(|rollup| !rollup.counters.is_empty());
        let of = |it: &Rollup| (it.name.clone(), it.members.clone(), Truth::of(&it.counters));
        all.map(of).collect::<Vec<_>>()
    };
    let (all, shown) = (everything(inventory), inventory.snapshot(0));
    assert_eq!(rollups(&shown), rollups(&all.select(&inventory.selection)));
    assert!(shown.units.is_empty() && shown.gone.is_empty());
    let loaded = all.units.iter().map(|unit| (&unit.name, &unit.counters));
    let gone = all.gone.iter().map(|(name, counters)| (name, counters));
    let all = loaded.chain(gone).filter(|(_, counters)| !counters.is_empty());
    all.map(|(name, counters)| (name.clone(), Truth::of(counters))).collect()
}

/// The inventory of a restarted exporter, from the record of this one.
fn restarted(inventory: &Inventory) -> Inventory {
    let (record, _) = inventory.record(None).unwrap();
    let written = serde_json::to_vec(&record).unwrap();
    let mut restarted = empty();
    restarted.recall(serde_json::from_slice(&written).unwrap());
    restarted
}

fn no_more_than(counted: &Truth, truth: &Truth) -> bool {
    let fits = |counted: &BTreeMap<String, u64>, truth: &BTreeMap<String, u64>| {
        counted
            .iter()
            .filter(|(value, _)| *value != "unknown")
            .all(|(value, count)| truth.get(value).is_some_and(|real| count <= real))
            && counted.values().sum::<u64>() <= truth.values().sum()
    };
    counted.starts <= truth.starts
        && counted.restarts <= truth.restarts
        && fits(&counted.transitions, &truth.transitions)
        && fits(&counted.failures, &truth.failures)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Signals and answers may come late.
    #[test]
    fn without_gaps_every_event_is_counted_once(steps in vec(step(), 0..150), throttled in any::<bool>()) {
        let mut systemd = Systemd { throttled, ..Systemd::default() };
        let mut inventory = fresh();
        for step in &steps {
            // These let an answer come before the signals of the unit, and then counting has to
            // guess.
            if !throttled || !matches!(step, Step::Reload | Step::Collect(_)) {
                systemd.step(step, &mut inventory);
            }
        }
        systemd.answer_everything(&mut inventory);
        prop_assert_eq!(counted(&inventory), systemd.truth.clone());
        let totals = inventory.snapshot(0).totals;
        let sum = |of: fn(&Truth) -> &BTreeMap<String, u64>| {
            systemd.truth.values().flat_map(|truth| of(truth).values()).sum::<u64>()
        };
        let transitions = totals.transitions.values().flat_map(Counts::iter);
        prop_assert_eq!(transitions.map(|(_, n)| n).sum::<u64>(), sum(|it| &it.transitions));
        let failures = totals.failures.values().flat_map(Counts::iter);
        prop_assert_eq!(failures.map(|(_, n)| n).sum::<u64>(), sum(|it| &it.failures));
        let restarts = systemd.truth.values().map(|truth| truth.restarts).sum::<u64>();
        prop_assert_eq!(totals.restarts, restarts);

        // A restarted exporter continues with the same counters.
        let mut next = restarted(&inventory);
        next.resync(systemd.list(), Extent::Everything, 0);
        systemd.answer_everything(&mut next);
        prop_assert_eq!(counted(&next), systemd.truth);
        prop_assert_eq!(next.snapshot(0).totals, totals);
    }

    /// The connection is lost or the exporter restarts.
    #[test]
    fn the_starts_restarts_and_failures_of_a_crash_loop_in_a_gap_are_counted(
        before in 0..40_usize,
        during in 0..40_usize,
        after in vec(traffic(), 0..40),
        how in any::<u8>(),
        well in any::<bool>(),
        old in any::<bool>(),
        throttled in any::<bool>(),
        restarts in any::<bool>(),
    ) {
        let (mut systemd, mut inventory) = (Systemd { old, always: well, ..Systemd::default() }, fresh());
        let end = if well { Step::Finish(0) } else { Step::Fail(0, how, true) };
        let turn = [end, Step::Advance(0), Step::Advance(0), Step::Advance(0)];
        let mut turns = turn.iter().take(if old { 4 } else { 3 }).cycle();
        systemd.step(&Step::Start(0), &mut inventory);
        for _ in 0..before {
            systemd.step(turns.next().unwrap(), &mut inventory);
        }
        systemd.answer_everything(&mut inventory);
        for _ in 0..during {
            systemd.step(turns.next().unwrap(), &mut inventory);
        }
        systemd.reconnect(&mut inventory);
        if restarts {
            inventory = restarted(&inventory);
        }
        systemd.wire.push_back(Message::Resync(systemd.list(), Extent::Everything));
        systemd.throttled = throttled;
        for traffic in &after {
            match traffic {
                Some(step) => systemd.step(step, &mut inventory),
                None => systemd.step(turns.next().unwrap(), &mut inventory),
            }
        }
        systemd.answer_everything(&mut inventory);
        let (counted, truth) = (&counted(&inventory)[&name(0)], &systemd.truth[&name(0)]);
        prop_assert_eq!(counted.starts, truth.starts);
        prop_assert_eq!(counted.restarts, truth.restarts);
        prop_assert_eq!(inventory.snapshot(0).totals.restarts, truth.restarts);
        prop_assert_eq!(counted.failures.values().sum::<u64>(), truth.failures.values().sum::<u64>());
        prop_assert!(no_more_than(counted, truth), "{:?}, {:?}", counted, truth);
    }

    /// If signals wait while questions are answered, the counters can be wrong by one: an answer
    /// does not show of which moment it is.
    #[test]
    fn no_more_is_counted_over_a_gap_than_happened(
        rounds in vec((vec(step(), 0..40), vec(step(), 0..40), any::<bool>()), 1..4),
    ) {
        let (mut systemd, mut inventory) = (Systemd::default(), fresh());
        for (signalled, missed, restarts) in &rounds {
            signalled.iter().for_each(|step| systemd.step(step, &mut inventory));
            systemd.answer_everything(&mut inventory);
            let mut other = fresh();
            missed.iter().for_each(|step| systemd.step(step, &mut other));
            systemd.reconnect(&mut inventory);
            if *restarts {
                inventory = restarted(&inventory);
            }
            systemd.wire.push_back(Message::Resync(systemd.list(), Extent::Everything));
        }
        systemd.answer_everything(&mut inventory);
        for (name, counted) in counted(&inventory) {
            let truth = &systemd.truth[&name];
            prop_assert!(no_more_than(&counted, truth), "{}: {:?} of {:?}", name, counted, truth);
        }
        let restarts = systemd.truth.values().map(|truth| truth.restarts).sum::<u64>();
        prop_assert!(inventory.snapshot(0).totals.restarts <= restarts);
    }
}

/// A listing may be ahead of the signals of a new unit. NRestarts that `reset-failed` set to 0 does
/// not mean that a restart is pending.
#[test]
fn a_state_that_is_listed_before_it_is_signalled_is_counted() {
    let (mut systemd, mut inventory) = (Systemd::default(), fresh());
    let failing = [Step::Start(0), Step::Start(1), Step::Reload, Step::Fail(0, 0, true)];
    let restarted = [Step::Advance(0), Step::Deliver(6), Step::Advance(0), Step::Fail(0, 0, false)];
    let reset = [Step::Deliver(5), Step::ResetFailed(0), Step::Deliver(5), Step::Start(0)];
    for step in failing.iter().chain(&restarted).chain(&reset) {
        systemd.step(step, &mut inventory);
    }
    systemd.answer_everything(&mut inventory);
    assert_eq!(counted(&inventory), systemd.truth);
}

/// In a reload all units seem to be loaded again.
#[test]
fn a_reload_after_a_restart_of_the_exporter_is_no_gap() {
    let (mut systemd, mut inventory) = (Systemd::default(), fresh());
    systemd.step(&Step::Start(0), &mut inventory);
    systemd.answer_everything(&mut inventory);
    let mut next = restarted(&inventory);
    systemd.reconnect(&mut next);
    systemd.wire.push_back(Message::Resync(systemd.list(), Extent::Everything));
    systemd.answer_everything(&mut next);
    systemd.step(&Step::Reload, &mut next);
    systemd.deliver(usize::MAX, &mut next);
    assert!(!next.units[&name(0)].runs.is_after_gap());
}

/// The signal that a reload begins was lost, so every unit seems to be loaded again.
#[test]
fn a_run_whose_unit_is_announced_again_is_not_another_run() {
    let (mut systemd, mut inventory) = (Systemd::default(), fresh());
    for step in [Step::Start(0), Step::Fail(0, 0, true), Step::Advance(0), Step::Advance(0)] {
        systemd.step(&step, &mut inventory);
    }
    systemd.answer_everything(&mut inventory);
    systemd.step(&Step::SilentReload, &mut inventory);
    systemd.answer_everything(&mut inventory);
    assert_eq!(counted(&inventory), systemd.truth);
}

/// It restarted in a gap and was announced again while signals wait: an answer has the next restart
/// before the signal that it is waited for.
#[test]
fn a_restart_that_is_answered_before_it_is_signalled_is_counted_once() {
    let (mut systemd, mut inventory) = (Systemd::default(), fresh());
    let turn = [Step::Fail(0, 0, true), Step::Advance(0), Step::Advance(0)];
    systemd.step(&Step::Start(0), &mut inventory);
    turn.iter().for_each(|step| systemd.step(step, &mut inventory));
    systemd.answer_everything(&mut inventory);
    turn.iter().for_each(|step| systemd.step(step, &mut inventory));
    systemd.reconnect(&mut inventory);
    systemd.wire.push_back(Message::Resync(systemd.list(), Extent::Everything));
    systemd.throttled = true;
    for step in [Step::Fail(0, 0, true), Step::Reload, Step::Advance(0), Step::Ask(3)] {
        systemd.step(&step, &mut inventory);
    }
    systemd.answer_everything(&mut inventory);
    assert_eq!(counted(&inventory)[&name(0)].restarts, systemd.truth[&name(0)].restarts);
}

#[test]
fn each_start_that_the_start_limit_refuses_is_a_failure() {
    let (mut systemd, mut inventory) = (Systemd::default(), fresh());
    systemd.step(&Step::Start(0), &mut inventory);
    systemd.step(&Step::Fail(0, 0, false), &mut inventory);
    systemd.answer_everything(&mut inventory);
    for id in 1..=2 {
        inventory.apply(Event::JobNew { id, unit: name(0) }, 0);
        let result = JobResult::Failed;
        inventory.apply(Event::JobRemoved { id, unit: name(0), result }, 7);
    }
    let failures = &counted(&inventory)[&name(0)].failures;
    assert_eq!(failures, &[("exit-code".into(), 1), ("start-limit-hit".into(), 2)].into());
    assert_eq!(inventory.snapshot(0).totals.jobs[&"start".into()].durations.count(), 2);
}

#[test]
fn a_gone_unit_is_shown_for_the_retention_and_continues_its_counters() {
    let mut inventory = Inventory::new(Selection::default(), Reads::EVERYTHING, 1_000);
    let mut systemd = Systemd { clock: 10_000, ..Systemd::default() };
    for step in [Step::Start(0), Step::Fail(0, 0, false), Step::Collect(0)] {
        systemd.step(&step, &mut inventory);
    }
    systemd.answer_everything(&mut inventory);
    let left = systemd.clock;
    assert_eq!(inventory.snapshot(left + 999).gone.len(), 1);
    assert_eq!(inventory.snapshot(left + 1_000).gone.len(), 0);
    systemd.step(&Step::Start(0), &mut inventory);
    systemd.answer_everything(&mut inventory);
    assert_eq!(inventory.snapshot(0).units[0].counters.starts, 2);
}

/// A systemd with a crash loop of `turns` restarts before the exporter connects.
fn looping(turns: usize) -> Systemd {
    let (mut systemd, mut other) = (Systemd::default(), fresh());
    systemd.step(&Step::Start(0), &mut other);
    turn_on(&mut systemd, &mut other, turns);
    systemd.reconnect(&mut other);
    systemd
}

fn turn_on(systemd: &mut Systemd, inventory: &mut Inventory, turns: usize) {
    for _ in 0..turns {
        for step in [Step::Fail(0, 0, true), Step::Advance(0), Step::Advance(0), Step::Advance(0)] {
            systemd.step(&step, inventory);
        }
    }
}

/// Without a state directory a restarted exporter finds the same NRestarts again. The service's
/// counter starts from it, but in the host's counter it would look like a rise.
#[test]
fn restarts_from_before_the_exporter_are_not_in_the_hosts_counter() {
    let mut systemd = looping(5);
    let mut inventory = empty();
    systemd.wire.push_back(Message::Resync(systemd.list(), Extent::Everything));
    systemd.answer_everything(&mut inventory);
    assert_eq!(counted(&inventory)[&name(0)].restarts, 5);
    assert_eq!(inventory.snapshot(0).totals.restarts, 0);
    turn_on(&mut systemd, &mut inventory, 2);
    systemd.answer_everything(&mut inventory);
    assert_eq!(counted(&inventory)[&name(0)].restarts, 7);
    assert_eq!(inventory.snapshot(0).totals.restarts, 2);
}

#[test]
fn restarts_of_a_hidden_gone_service_are_in_the_hosts_counter() {
    let mut inventory = Inventory::new(selecting(".*", &[], &[]), Reads::EVERYTHING, 0);
    inventory.resync(Vec::new(), Extent::Everything, 0);
    let mut systemd = Systemd::default();
    systemd.step(&Step::Start(0), &mut inventory);
    turn_on(&mut systemd, &mut inventory, 3);
    for step in [Step::Fail(0, 0, false), Step::Collect(0)] {
        systemd.step(&step, &mut inventory);
    }
    systemd.answer_everything(&mut inventory);
    let snapshot = inventory.snapshot(0);
    assert!(snapshot.units.is_empty() && snapshot.gone.is_empty());
    assert_eq!(snapshot.totals.restarts, 3);
}

#[test]
fn a_state_file_without_the_hosts_restarts_is_read() {
    let (mut systemd, mut inventory) = (Systemd::default(), fresh());
    systemd.step(&Step::Start(0), &mut inventory);
    turn_on(&mut systemd, &mut inventory, 2);
    systemd.answer_everything(&mut inventory);
    let (record, _) = inventory.record(None).unwrap();
    let mut older = serde_json::to_value(&record).unwrap();
    let removed = older.as_object_mut().unwrap().remove("restarts");
    assert_eq!(removed, Some(2.into()));
    let mut next = empty();
    next.recall(serde_json::from_value(older).unwrap());
    next.resync(systemd.list(), Extent::Everything, 0);
    systemd.answer_everything(&mut next);
    assert_eq!(counted(&next), systemd.truth);
    assert_eq!(next.snapshot(0).totals.restarts, 0);
}
