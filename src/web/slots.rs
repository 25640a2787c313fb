//! The places for connections, and who gives way where all are taken.
//!
//! A connection that costs a client nothing must not keep a scrape out. So a new one takes the place
//! of the one that has waited longest for a request, else of the one whose client has been taking its
//! response for the longest time. A request that is being answered never gives way: the answer has a
//! deadline of its own.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// As many places as connections are served at a time.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    taken: Mutex<Vec<Arc<Holder>>>,
}

/// The place of one connection; free again when it is dropped.
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

/// What a connection does, and since when it waits for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not read from yet; a request may have come already.
    New,
    /// No complete request has come since the start or since the last response was sent.
    Waiting(Instant),
    /// A request is being answered.
    Answering,
    /// The client has not taken the whole response yet.
    Sending(Instant),
    /// It has to end.
    Dismissed,
}

/// A stream that keeps the phase of its connection up to date.
pub(super) struct Tracked<T> {
    stream: Pin<Box<T>>,
    slot: Arc<Slot>,
}

/// How long to wait for a place before another connection is dismissed: all of them may have been
/// answering a request the last time.
const RECHECK: Duration = Duration::from_millis(20);

// === impl Slots ===

impl Slots {
    pub(super) fn new(number: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(number)), taken: Mutex::default() })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        locked(&self.taken).len()
    }

    /// Waits for a place, and dismisses a connection if there is none.
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

    /// Ends the connection that has waited longest for its client, unless another one is about to end,
    /// and returns whether there is one.
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
            // Its request may have come meanwhile.
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
    /// Waits until the connection has to give way to another one.
    pub(super) async fn dismissed(&self) {
        self.holder.dismissed.notified().await;
    }

    /// A complete request has come.
    pub(super) fn answering(&self) {
        self.advance(|_| Some(Phase::Answering));
    }

    /// Its response is ready to be sent.
    pub(super) fn answered(&self) {
        self.advance(|_| Some(Phase::Sending(Instant::now())));
    }

    /// There is nothing more to read for now.
    fn found_nothing(&self) {
        self.advance(|phase| (phase == Phase::New).then(|| Phase::Waiting(Instant::now())));
    }

    /// The kernel has all that was written.
    fn flushed(&self) {
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
    /// The connection of the lowest rank is dismissed first; one without a rank never.
    fn rank(self) -> Option<(u8, Instant)> {
        match self {
            Self::Waiting(since) => Some((0, since)),
            Self::Sending(since) => Some((1, since)),
            Self::New | Self::Answering | Self::Dismissed => None,
        }
    }
}

// === impl Tracked ===

impl<T> Tracked<T> {
    pub(super) fn new(stream: T, slot: Arc<Slot>) -> Self {
        Self { stream: Box::pin(stream), slot }
    }
}

impl<T: AsyncRead> AsyncRead for Tracked<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.stream.as_mut().poll_read(cx, buffer);
        if read.is_pending() {
            self.slot.found_nothing();
        }
        read
    }
}

impl<T: AsyncWrite> AsyncWrite for Tracked<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes only after it has written all that there was.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.as_mut().poll_flush(cx);
        if flushed.is_ready() {
            self.slot.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}

/// None of the locks is held where anything could panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
