//! The loop that keeps the inventory true: connect, subscribe, seed, apply, re-read, reconnect.
//!
//! Order is what makes it true (see [`crate::systemd`]): everything heard over a connection is
//! applied as it comes, by one task that never waits for an answer.

mod backoff;
mod refresh;
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
    session::{ResyncReason, Session},
};
use crate::{
    clock,
    inventory::{Admits, Inventory, needs::Needs, record::Record, snapshot::Snapshot},
    selection::filter::UnitFilter,
    selection::rollup::Rollups,
    systemd::{address::Address, link::Link},
    telemetry::{LabelValue, Telemetry},
};

/// How long what is known is still served after the exporter fell out of step with systemd: long
/// enough for a daemon-reexec or a restart of the bus, too short for a second scrape to see it.
const GRACE: Duration = Duration::from_secs(10);

/// How long a connection must have lasted for its end not to count as another failure.
const STEADY: Duration = Duration::from_secs(30);

/// How often whoever waits for the table to be known looks at it.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Scrapes that wait for one and the same round of questions.
const MAX_WAITING: usize = 1024;

/// What a comparison can find wrong.
const DRIFT_FIELDS: [&str; 5] = ["active_state", "job", "load_state", "presence", "sub_state"];

/// What to watch, and how.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// The addresses of the manager, in the order to try them.
    pub addresses: Vec<Address>,
    /// The units to serve; `None` for all of them.
    pub units: Option<UnitFilter>,
    /// The units to serve as roll-ups.
    pub rollups: Rollups,
    /// The interval between comparisons of the inventory with a listing of all units.
    pub reconcile_interval: Duration,
    /// How long the counters of a gone unit are served.
    pub retention: Duration,
    /// What to read besides what every scrape needs.
    pub needs: Needs,
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
    addresses: Vec<Address>,
    reconcile_interval: Duration,
}

/// Whether the table is in sync with systemd.
#[derive(Clone, Debug)]
pub enum SyncState {
    /// Connected, subscribed and everything read.
    InSync {
        /// The way in.
        address: String,
    },
    /// Not so.
    OutOfSync {
        /// When that began.
        since: Instant,
        /// What is amiss and, where there is something, what to do.
        why: String,
        /// Whether the table was true before.
        was_in_sync: bool,
    },
}

#[derive(Debug)]
struct Shared {
    inventory: Mutex<Inventory>,
    sync_state: Mutex<SyncState>,
    telemetry: Arc<Telemetry>,
}

/// Makes the two sides of a watch, starting from the counters of an earlier run if there are any.
/// Nothing is watched until [`Watcher::run`] runs.
pub fn watch(
    settings: WatchSettings,
    record: Option<Record>,
    telemetry: Arc<Telemetry>,
) -> (Watch, Watcher) {
    {
        // From zero, so that the first of each shows as an increase.
        let mut totals = telemetry.totals();
        totals
            .resyncs
            .extend(ResyncReason::ALL.map(|reason| (LabelValue::Borrowed(reason.as_str()), 0)));
        totals.drift.extend(DRIFT_FIELDS.map(|field| (LabelValue::Borrowed(field), 0)));
    }
    let sync_state = SyncState::OutOfSync {
        since: Instant::now(),
        why: "starting".to_owned(),
        was_in_sync: false,
    };
    let retention = u64::try_from(settings.retention.as_micros()).unwrap_or(u64::MAX);
    let slices = settings.units.as_ref().map(|units| units.slices.clone()).unwrap_or_default();
    let admits: Admits = match settings.units {
        Some(units) => Box::new(move |name| units.admits(name)),
        None => Box::new(|_| true),
    };
    let inventory = Inventory::new(admits, retention, settings.needs);
    let mut inventory = inventory.only_in(slices).rolling_up(settings.rollups);
    if let Some(record) = record {
        inventory.recall(record);
    }
    let shared = Arc::new(Shared {
        inventory: Mutex::new(inventory),
        sync_state: Mutex::new(sync_state),
        telemetry,
    });
    let (asking, requests) = mpsc::channel(MAX_WAITING);
    let watcher = Watcher {
        shared: Arc::clone(&shared),
        requests,
        addresses: settings.addresses,
        reconcile_interval: settings.reconcile_interval,
    };
    (Watch { shared, requests: asking }, watcher)
}

// === impl Watch ===

impl Watch {
    /// Asks systemd what it never signals, together with everyone else who asks at that time.
    /// Returns whether it answered before the deadline.
    pub async fn refresh(&self, deadline: Instant) -> bool {
        if !self.sync_state().is_in_sync() {
            return false;
        }
        let (done, answered) = oneshot::channel();
        if self.requests.try_send(done).is_err() {
            return false;
        }
        matches!(timeout_at(deadline.into(), answered).await, Ok(Ok(())))
    }

    /// Waits until the table is in sync with systemd.
    pub async fn until_in_sync(&self) {
        while !self.sync_state().is_in_sync() {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until also that is known which nothing waits for otherwise.
    pub async fn until_settled(&self) {
        while !lock(&self.shared.inventory).is_settled() {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Whether the table is in sync with systemd.
    pub fn sync_state(&self) -> SyncState {
        lock(&self.shared.sync_state).clone()
    }

    /// What is to be kept beyond this life of the exporter, and its generation; `None` if nothing
    /// has been counted since that generation.
    pub fn record(&self, since: Option<u64>) -> Option<(Record, u64)> {
        lock(&self.shared.inventory).record(since)
    }

    /// All that is known, unless it has not been true for longer than the grace time.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let servable = match &*lock(&self.shared.sync_state) {
            SyncState::InSync { .. } => true,
            SyncState::OutOfSync { since, was_in_sync, .. } => {
                *was_in_sync && since.elapsed() < GRACE
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
        let mut reason = ResyncReason::Connect;
        loop {
            let why = self.connect(&mut backoff, &mut reason).await;
            self.shared.out_of_sync(why);
            let pause = backoff.next();
            debug!(?pause, "trying again after a pause");
            sleep(pause).await;
        }
    }

    /// Watches until the connection ends, or says at once that there is none.
    pub async fn run_once(mut self) -> String {
        self.connect(&mut Backoff::default(), &mut ResyncReason::Connect).await
    }

    /// Goes through the ways in until one of them has led to a table that was true, and says how
    /// each ended.
    async fn connect(&mut self, backoff: &mut Backoff, reason: &mut ResyncReason) -> String {
        let began = Instant::now();
        let mut failures = Vec::new();
        for address in &self.addresses {
            let link = match Link::open(address).await {
                Ok(link) => link,
                Err(error) => {
                    failures.push(format!("over {address}: {error}"));
                    continue;
                }
            };
            if !failures.is_empty() {
                debug!(%address, failed = failures.join("; "), "trying another way in");
            }
            let mut session =
                Session::new(link, &self.shared, address.to_string(), &failures, *reason);
            let end = session.run(&mut self.requests, self.reconcile_interval).await;
            // Whoever still waits would wait in vain.
            while self.requests.try_recv().is_ok() {}
            let (was_in_sync, was_reloading) = session.ended();
            *reason = match (was_reloading, was_in_sync) {
                (true, _) => ResyncReason::Reexec,
                (false, true) => ResyncReason::Connect,
                // Nothing was read, so that is still to be done for the same reason.
                (false, false) => *reason,
            };
            lock(&self.shared.inventory).disconnect();
            failures.push(format!("over {address}: {end}"));
            if was_in_sync {
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

// === impl SyncState ===

impl SyncState {
    /// Whether it is.
    pub fn is_in_sync(&self) -> bool {
        matches!(self, Self::InSync { .. })
    }
}

// === impl Shared ===

impl Shared {
    fn in_sync(&self, address: &str) {
        let mut sync_state = lock(&self.sync_state);
        if !sync_state.is_in_sync() {
            info!(address, "in sync with systemd");
            *sync_state = SyncState::InSync { address: address.to_owned() };
        }
    }

    /// Says once for each change what is amiss.
    fn out_of_sync(&self, now: String) {
        let mut sync_state = lock(&self.sync_state);
        let (since, was_in_sync) = match &*sync_state {
            SyncState::OutOfSync { why, .. } if *why == now => return,
            SyncState::OutOfSync { since, was_in_sync, .. } => (*since, *was_in_sync),
            SyncState::InSync { .. } => (Instant::now(), true),
        };
        warn!("out of sync with systemd: {now}");
        *sync_state = SyncState::OutOfSync { since, why: now, was_in_sync };
    }
}

/// Locks what is valid after every statement that changes it, so that a panic elsewhere while it
/// was locked spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
