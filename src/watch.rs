//! Keeps one inventory in sync with its manager: connects, subscribes, reads everything, applies
//! signals and reconnects.
//!
//! One task applies everything that a connection carries, in its order, and never waits for an
//! answer (see [`crate::systemd`] for why the order matters).

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
    inventory::{Inventory, reads::Reads, record::Record, snapshot::Snapshot},
    selection::Selection,
    systemd::{address::Address, link::Link},
    telemetry::{LabelValue, Telemetry},
};

/// How long the table is served after it went out of sync: long enough for a daemon-reexec or a
/// restart of the bus, and shorter than most scrape intervals.
const GRACE: Duration = Duration::from_secs(10);

/// How long a connection must last for the next reconnect to start with the shortest pause.
const STEADY: Duration = Duration::from_secs(30);

/// How often a waiting task checks whether the table is complete.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Scrapes that may wait for one refresh.
const MAX_WAITING: usize = 1024;

/// The fields that can drift.
const DRIFT_FIELDS: [&str; 5] = ["active_state", "job", "load_state", "presence", "sub_state"];

/// What to watch, and how.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// The manager's addresses, tried in this order.
    pub addresses: Vec<Address>,
    /// Which units are shown.
    pub selection: Selection,
    /// How often the table is compared with a listing.
    pub reconcile_interval: Duration,
    /// How long the counters of a gone unit are served.
    pub retention: Duration,
    /// What is read besides the state and the runs of units.
    pub reads: Reads,
}

/// The readers' side of a watch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    requests: mpsc::Sender<oneshot::Sender<()>>,
}

/// The side of a watch that keeps the inventory in sync.
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
        /// The address of the manager.
        address: String,
    },
    /// Not connected, or not everything is read.
    OutOfSync {
        /// When that began.
        since: Instant,
        /// What is wrong and, if possible, what to do.
        why: String,
        /// Whether the table was in sync before.
        was_in_sync: bool,
    },
}

#[derive(Debug)]
struct Shared {
    inventory: Mutex<Inventory>,
    sync_state: Mutex<SyncState>,
    telemetry: Arc<Telemetry>,
}

/// Creates both sides of a watch; nothing is watched before [`Watcher::run`]. Counting goes on from
/// `record`.
pub fn watch(
    settings: WatchSettings,
    record: Option<Record>,
    telemetry: Arc<Telemetry>,
) -> (Watch, Watcher) {
    {
        // A counter that starts at 0 shows its first increase.
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
    let mut inventory = Inventory::new(settings.selection, settings.reads, retention);
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
    /// Reads from systemd what it never signals. Callers at the same time share one refresh. Returns
    /// whether systemd answered before the deadline.
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

    /// Waits until all properties are read, even those that no scrape waits for.
    pub async fn until_fully_read(&self) {
        while !lock(&self.shared.inventory).is_fully_read() {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Whether the table is in sync with systemd.
    pub fn sync_state(&self) -> SyncState {
        lock(&self.shared.sync_state).clone()
    }

    /// The counters for the state file and their generation; `None` if nothing has been counted since
    /// the generation `since`.
    pub fn record(&self, since: Option<u64>) -> Option<(Record, u64)> {
        lock(&self.shared.inventory).record(since)
    }

    /// Everything that is shown; `None` once the table has been out of sync for the grace time.
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
    /// Watches for as long as it is polled, and reconnects after every failure.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut reason = ResyncReason::Connect;
        loop {
            let why = self.connect(&mut backoff, &mut reason).await;
            self.shared.out_of_sync(why);
            let pause = backoff.next();
            debug!(?pause, "reconnecting after a pause");
            sleep(pause).await;
        }
    }

    /// Watches until the connection ends, and returns why it ended or could not be made.
    pub async fn run_once(mut self) -> String {
        self.connect(&mut Backoff::default(), &mut ResyncReason::Connect).await
    }

    /// Tries the addresses until a connection to one of them has been in sync, and returns how each
    /// attempt ended.
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
                debug!(%address, failed = failures.join("; "), "trying another address");
            }
            let mut session =
                Session::new(link, &self.shared, address.to_string(), &failures, *reason);
            let end = session.run(&mut self.requests, self.reconcile_interval).await;
            // No answer will come for these scrapes.
            while self.requests.try_recv().is_ok() {}
            let (was_in_sync, was_reloading) = session.outcome();
            *reason = match (was_reloading, was_in_sync) {
                (true, _) => ResyncReason::Reexec,
                (false, true) => ResyncReason::Connect,
                // Nothing was read, so the reason stays.
                (false, false) => *reason,
            };
            lock(&self.shared.inventory).disconnect();
            failures.push(format!("over {address}: {end}"));
            if was_in_sync {
                // A connection that fails again and again keeps the longer pause.
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
    /// Whether it is in sync.
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

    /// Logs each change of the reason once.
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

/// Locks data that is valid after every statement, so a poisoned lock is harmless.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
