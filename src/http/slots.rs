//! Slots for connections, and which connection is closed while all of them are taken.
//!
//! An idle connection costs its client nothing, so it must not keep other clients out. A new
//! connection replaces the one that has waited longest for a request, else the one whose client has
//! been reading a response for the longest time. A connection that answers a request keeps its slot.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// The slots of one server.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    taken: Mutex<Vec<Arc<Holder>>>,
}

/// The slot of one connection. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    holder: Arc<Holder>,
    slots: Arc<Slots>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Holder {
    phase: Mutex<Phase>,
    dismissed: Notify,
}

/// What a connection does, and since when it has waited for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not read from yet: a request may have arrived already.
    New,
    /// No complete request since the start or the last response.
    Waiting(Instant),
    /// A request is being answered.
    Answering,
    /// The client has not read the whole response yet.
    Sending(Instant),
    /// It is about to be closed.
    Dismissed,
}

/// How often to look for a connection to close while there is no slot: all of them may have been
/// answering a request before.
const RECHECK: Duration = Duration::from_millis(20);

// === impl Slots ===

impl Slots {
    pub(super) fn new(number: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(number)), taken: Mutex::default() })
    }

    /// The number of connections.
    pub(super) fn taken(&self) -> usize {
        locked(&self.taken).len()
    }

    /// Waits for a slot, and dismisses a connection if none is free.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Slot> {
        let permit = loop {
            if self.free.available_permits() == 0 {
                self.dismiss_one();
            }
            let free = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(permit)) = timeout(RECHECK, free).await {
                break permit;
            }
        };
        let holder = Arc::new(Holder { phase: Mutex::new(Phase::New), dismissed: Notify::new() });
        locked(&self.taken).push(Arc::clone(&holder));
        Arc::new(Slot { holder, slots: Arc::clone(self), _permit: permit })
    }

    /// Closes the connection that has waited longest for its client, unless one is about to close
    /// already. Returns whether one closes.
    pub(super) fn dismiss_one(&self) -> bool {
        let taken = locked(&self.taken);
        loop {
            let phases = taken.iter().map(|holder| (*locked(&holder.phase), holder));
            let phases: Vec<_> = phases.collect();
            if phases.iter().any(|(phase, _)| *phase == Phase::Dismissed) {
                return true;
            }
            let ranked = phases.iter().filter_map(|(phase, holder)| Some((phase.rank()?, *holder)));
            let Some((rank, holder)) = ranked.min_by_key(|(rank, _)| *rank) else { return false };
            let mut phase = locked(&holder.phase);
            // Its request may have arrived meanwhile.
            if phase.rank() == Some(rank) {
                *phase = Phase::Dismissed;
                holder.dismissed.notify_one();
                return true;
            }
        }
    }
}

// === impl Slot ===

impl Slot {
    /// Waits until the connection has to close.
    pub(super) async fn dismissed(&self) {
        self.holder.dismissed.notified().await;
    }

    /// A complete request head has arrived.
    pub(super) fn answering(&self) {
        self.advance(|_| Some(Phase::Answering));
    }

    /// The response is ready.
    pub(super) fn answered(&self) {
        self.advance(|_| Some(Phase::Sending(Instant::now())));
    }

    /// The client has sent nothing more for now.
    pub(super) fn waits_to_read(&self) {
        self.advance(|phase| (phase == Phase::New).then(|| Phase::Waiting(Instant::now())));
    }

    /// The kernel has taken all that was written.
    pub(super) fn flushed(&self) {
        self.advance(|phase| match phase {
            Phase::Sending(_) => Some(Phase::Waiting(Instant::now())),
            _ => None,
        });
    }

    fn advance(&self, next: impl FnOnce(Phase) -> Option<Phase>) {
        let mut phase = locked(&self.holder.phase);
        if *phase != Phase::Dismissed
            && let Some(next) = next(*phase)
        {
            *phase = next;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        locked(&self.slots.taken).retain(|holder| !Arc::ptr_eq(holder, &self.holder));
    }
}

// === impl Phase ===

impl Phase {
    /// The connection with the lowest rank is dismissed first, one without a rank never.
    fn rank(self) -> Option<(u8, Instant)> {
        match self {
            Self::Waiting(since) => Some((0, since)),
            Self::Sending(since) => Some((1, since)),
            Self::New | Self::Answering | Self::Dismissed => None,
        }
    }
}

/// No code that holds a lock can panic, so the data is valid.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
