//! Queries of other clients must not cause queries by the exporter, or the reverse. A query about a
//! unit that is not loaded makes systemd load it, send UnitNew to every subscriber and unload it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use crate::harness::{Exporter, Machine};
use tokio::time::timeout_at;
use unitwatch::systemd::{
    address::{Address, ManagerScope},
    event::Event,
    link::{Heard, Link},
    name::UnitName,
    property::UnitProperty,
    question::{MATCH_RULES, Question},
};

/// The number of units that are not loaded.
const IDLE: usize = 50;

/// How long systemd may go on sending UnitNew after the query.
const SETTLED: Duration = Duration::from_secs(2);

/// How long after that no unit may be announced.
const SILENCE: Duration = Duration::from_secs(3);

/// A client that queries each unit that systemd announces, as a desktop's service monitor does. It
/// ignores the announcements that its own queries cause, or it would never stop.
struct Monitor {
    link: Link,
    to_ask: VecDeque<UnitName>,
    /// The announcements that its own queries will cause, by unit.
    own: BTreeMap<UnitName, usize>,
    announced: usize,
    asked: usize,
}

impl Monitor {
    async fn start(machine: &Machine) -> Self {
        let address = match machine {
            Machine::Private(manager) => {
                Address::Bus { scope: ManagerScope::User, address: manager.bus_address() }
            }
            Machine::System(_) => Address::to(ManagerScope::System, false).remove(0),
        };
        let mut link = Link::open(&address).await.expect("a connection");
        for rule in MATCH_RULES {
            link.ask(Question::Match(rule)).unwrap();
        }
        link.ask(Question::Owner).unwrap();
        link.ask(Question::Subscribe).unwrap();
        let (to_ask, own) = (VecDeque::new(), BTreeMap::new());
        let mut monitor = Self { link, to_ask, own, announced: 0, asked: 0 };
        while !monitor.hear().await {}
        monitor
    }

    /// Handles one message. Returns whether it was the answer to `Subscribe`.
    async fn hear(&mut self) -> bool {
        let heard = self.link.hear().await.expect("a message");
        if let Heard::Signal { event: Ok(Some(Event::UnitNew(name))), .. } = &heard {
            self.announced += 1;
            match self.own.get_mut(name).filter(|count| **count > 0) {
                Some(count) => *count -= 1,
                None => self.to_ask.push_back(name.clone()),
            }
        }
        while self.link.has_room()
            && let Some(name) = self.to_ask.pop_front()
        {
            *self.own.entry(name.clone()).or_default() += 1;
            self.asked += 1;
            self.link.ask(Question::Unit(name, UnitProperty::ActiveState)).unwrap();
        }
        matches!(heard, Heard::Answer(Question::Subscribe, Ok(_)))
    }

    /// Handles messages until that time, and returns how many units were announced.
    async fn listen_until(&mut self, end: Instant) -> usize {
        let before = self.announced;
        while timeout_at(end.into(), self.hear()).await.is_ok() {}
        self.announced - before
    }
}

/// Two exporters, or an exporter and a client like this, once made systemd load and unload such units
/// a thousand times a second without end.
#[tokio::test(flavor = "multi_thread")]
async fn units_that_are_queried_once_are_announced_for_two_seconds_at_most() {
    let machine = Machine::start().await;
    let names: Vec<_> = (1..=IDLE).map(|number| format!("uw-idle-{number}.service")).collect();
    for name in &names {
        machine.write(name, "[Service]\nExecStart=/bin/true\n");
    }
    machine.must(&["daemon-reload"]);
    let exporters: Vec<_> = (0..3).map(|_| machine.exporter(&[])).collect();
    let mut monitor = Monitor::start(&machine).await;
    // Signals of the start-up.
    monitor.listen_until(Instant::now() + SETTLED).await;

    let (announced, asked) = (monitor.announced, monitor.asked);
    let calls = |exporter: &Exporter| {
        exporter.scrape().value("systemd_exporter_dbus_calls_total", &[("method", "Get")])
    };
    let before: Vec<_> = exporters.iter().map(calls).collect();
    let mut show = vec!["show", "--property=ActiveState"];
    show.extend(names.iter().map(String::as_str));
    machine.must(&show);
    let shown = Instant::now();
    monitor.listen_until(shown + SETTLED).await;
    let (announced, asked) = (monitor.announced - announced, monitor.asked - asked);
    assert!(announced >= 2 * IDLE && asked >= IDLE, "{announced} announced, {asked} asked about");
    let later = monitor.listen_until(shown + SETTLED + SILENCE).await;
    assert_eq!(later, 0, "units are still announced; {announced} were in the first two seconds");
    // An exporter queries with each scrape what systemd does not signal, but not these units.
    for (exporter, before) in exporters.iter().zip(before) {
        let asked = calls(exporter).unwrap() - before.unwrap();
        assert!(asked < IDLE as f64, "an exporter asked {asked} times");
    }
    for name in &names {
        std::fs::remove_file(machine.unit_dir().join(name)).unwrap();
    }
    machine.must(&["daemon-reload"]);
}
