//! The loop that keeps the inventory true: connect, subscribe, seed, apply, re-read, reconnect.
//!
//! Order is what makes it true (see [`crate::systemd`]): everything heard over a connection is
//! applied as it comes, by one task that never waits for an answer.

mod backoff;
mod pulse;
mod session;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout_at},
};
use tracing::{debug, info, warn};

use self::{
    backoff::Backoff,
    session::{Reason, Session},
};
use crate::{
    clock,
    filter::Slices,
    inventory::{Admits, Inventory, record::Record, snapshot::Snapshot, wants::Wants},
    sum::Sums,
    systemd::{link::Link, way::Way},
    telemetry::{Telemetry, Word},
};

/// How long what is known is still served after the exporter fell out of step with systemd: long
/// enough for a daemon-reexec or a restart of the bus, too short for a second scrape to see it.
const GRACE: Duration = Duration::from_secs(10);

/// How long a connection must have lasted for its end not to count as another failure.
const STEADY: Duration = Duration::from_secs(30);

/// How often whoever waits for the table to be known looks at it.
const GLANCE: Duration = Duration::from_millis(50);

/// Scrapes that wait for one and the same round of questions.
const MAX_WAITING: usize = 1024;

/// What a comparison can find wrong.
const DRIFT_FIELDS: [&str; 5] = ["active_state", "job", "load_state", "presence", "sub_state"];

/// What to watch, and how.
pub struct Settings {
    /// The ways to the manager, tried in this order.
    pub ways: Vec<Way>,
    /// Which units are exported.
    pub admits: Admits,
    /// In which slices they have to be.
    pub slices: Slices,
    /// Which units are told of as one.
    pub sums: Sums,
    /// How often the table is compared with a listing.
    pub reconcile_interval: Duration,
    /// How long the counters of a unit that has left are served.
    pub retention: Duration,
    /// What is wanted besides what is always read.
    pub wants: Wants,
    /// What an earlier life of the exporter has kept.
    pub record: Option<Record>,
}

/// What is known, for whoever wants to see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    requests: mpsc::Sender<oneshot::Sender<()>>,
}

/// The side that keeps it true.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<oneshot::Sender<()>>,
    ways: Vec<Way>,
    reconcile_interval: Duration,
}

/// Whether the table is in step with systemd.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Connected, subscribed and everything read.
    InStep {
        /// The way in.
        way: String,
    },
    /// Not so.
    OutOfStep {
        /// When that began.
        since: Instant,
        /// What is amiss and, where there is something, what to do.
        why: String,
        /// Whether the table was true before.
        was_in_step: bool,
    },
}

#[derive(Debug)]
struct Shared {
    inventory: Mutex<Inventory>,
    standing: Mutex<Standing>,
    telemetry: Arc<Telemetry>,
}

/// Makes the two sides of a watch; nothing is watched until [`Watcher::run`] runs.
pub fn watch(settings: Settings, telemetry: Arc<Telemetry>) -> (Watch, Watcher) {
    {
        // From zero, so that the first of each shows as an increase.
        let mut totals = telemetry.totals();
        totals.resyncs.extend(Reason::ALL.map(|reason| (Word::Borrowed(reason.as_str()), 0)));
        totals.drift.extend(DRIFT_FIELDS.map(|field| (Word::Borrowed(field), 0)));
    }
    let standing = Standing::OutOfStep {
        since: Instant::now(),
        why: "starting".to_owned(),
        was_in_step: false,
    };
    let retention = u64::try_from(settings.retention.as_micros()).unwrap_or(u64::MAX);
    let inventory = Inventory::new(settings.admits, retention, settings.wants);
    let mut inventory = inventory.only_in(settings.slices).summing(settings.sums);
    if let Some(record) = settings.record {
        inventory.recall(record);
    }
    let shared = Arc::new(Shared {
        inventory: Mutex::new(inventory),
        standing: Mutex::new(standing),
        telemetry,
    });
    let (asking, requests) = mpsc::channel(MAX_WAITING);
    let watcher = Watcher {
        shared: Arc::clone(&shared),
        requests,
        ways: settings.ways,
        reconcile_interval: settings.reconcile_interval,
    };
    (Watch { shared, requests: asking }, watcher)
}

// === impl Watch ===

impl Watch {
    /// Asks systemd what it never signals, together with everyone else who asks at that time.
    /// Returns whether it answered before the deadline.
    pub async fn refresh(&self, deadline: Instant) -> bool {
        if !self.standing().is_in_step() {
            return false;
        }
        let (done, answered) = oneshot::channel();
        if self.requests.try_send(done).is_err() {
            return false;
        }
        matches!(timeout_at(deadline.into(), answered).await, Ok(Ok(())))
    }

    /// Waits until the table is in step with systemd.
    pub async fn until_in_step(&self) {
        while !self.standing().is_in_step() {
            sleep(GLANCE).await;
        }
    }

    /// Waits until also that is known which nothing waits for otherwise.
    pub async fn until_settled(&self) {
        while !lock(&self.shared.inventory).is_settled() {
            sleep(GLANCE).await;
        }
    }

    /// Whether the table is in step with systemd.
    pub fn standing(&self) -> Standing {
        lock(&self.shared.standing).clone()
    }

    /// What is to be kept beyond this life of the exporter, and its generation; `None` if nothing
    /// has been counted since that generation.
    pub fn record(&self, since: Option<u64>) -> Option<(Record, u64)> {
        lock(&self.shared.inventory).record(since)
    }

    /// All that is known, unless it has not been true for longer than the grace time.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let servable = match &*lock(&self.shared.standing) {
            Standing::InStep { .. } => true,
            Standing::OutOfStep { since, was_in_step, .. } => {
                *was_in_step && since.elapsed() < GRACE
            }
        };
        servable.then(|| lock(&self.shared.inventory).snapshot(clock::monotonic()))
    }
}

// === impl Watcher ===

impl Watcher {
    /// Watches for as long as it is polled. Whatever goes wrong is waited out and tried again.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut reason = Reason::Connect;
        loop {
            let why = self.connect(&mut backoff, &mut reason).await;
            self.shared.out_of_step(why);
            let pause = backoff.next();
            debug!(?pause, "trying again after a pause");
            sleep(pause).await;
        }
    }

    /// Watches until the connection ends, or says at once that there is none.
    pub async fn run_once(mut self) -> String {
        self.connect(&mut Backoff::default(), &mut Reason::Connect).await
    }

    /// Goes through the ways in until one of them has led to a table that was true, and says how
    /// each ended.
    async fn connect(&mut self, backoff: &mut Backoff, reason: &mut Reason) -> String {
        let began = Instant::now();
        let mut failures = Vec::new();
        for way in &self.ways {
            let link = match Link::open(way).await {
                Ok(link) => link,
                Err(error) => {
                    failures.push(format!("over {way}: {error}"));
                    continue;
                }
            };
            if !failures.is_empty() {
                debug!(%way, failed = failures.join("; "), "trying another way in");
            }
            let mut session = Session::new(link, &self.shared, way.to_string(), &failures, *reason);
            let end = session.run(&mut self.requests, self.reconcile_interval).await;
            // Whoever still waits would wait in vain.
            while self.requests.try_recv().is_ok() {}
            let (was_in_step, was_reloading) = session.ended();
            *reason = match (was_reloading, was_in_step) {
                (true, _) => Reason::Reexec,
                (false, true) => Reason::Connect,
                // Nothing was read, so that is still to be done for the same reason.
                (false, false) => *reason,
            };
            lock(&self.shared.inventory).disconnect();
            failures.push(format!("over {way}: {end}"));
            if was_in_step {
                // One that fails again and again soon after is not asked in haste.
                if began.elapsed() > STEADY {
                    *backoff = Backoff::default();
                }
                break;
            }
        }
        format!("cannot reach systemd: {}", failures.join("; "))
    }
}

// === impl Standing ===

impl Standing {
    /// Whether it is.
    pub fn is_in_step(&self) -> bool {
        matches!(self, Self::InStep { .. })
    }
}

// === impl Shared ===

impl Shared {
    fn in_step(&self, way: &str) {
        let mut standing = lock(&self.standing);
        if !standing.is_in_step() {
            info!(way, "in step with systemd");
            *standing = Standing::InStep { way: way.to_owned() };
        }
    }

    /// Says once for each change what is amiss.
    fn out_of_step(&self, now: String) {
        let mut standing = lock(&self.standing);
        let (since, was_in_step) = match &*standing {
            Standing::OutOfStep { why, .. } if *why == now => return,
            Standing::OutOfStep { since, was_in_step, .. } => (*since, *was_in_step),
            Standing::InStep { .. } => (Instant::now(), true),
        };
        warn!("out of step with systemd: {now}");
        *standing = Standing::OutOfStep { since, why: now, was_in_step };
    }
}

/// Locks what is valid after every statement that changes it, so that a panic elsewhere while it
/// was locked spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
