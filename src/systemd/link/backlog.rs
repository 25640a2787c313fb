//! What has been received and not been heard yet: in the order in which it came, and never more
//! than a fixed number of bytes.

use std::{sync::Arc, time::Instant};

use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use zbus::{Message, MessageStream, message};

/// Room for signals, in bytes: for about 16,000 of the longest that systemd sends, which is what a
/// boot with thousands of units makes.
const SIGNALS: u32 = 48 << 20;

/// Room for everything else, which is mostly the answers to our own calls: a listing of 131,072
/// units, the most that systemd keeps, is about 30 MB.
const ANSWERS: u32 = 64 << 20;

/// What a message takes besides its bytes, with some to spare.
const OVERHEAD: u32 = 512;

/// The side that hears.
#[derive(Debug)]
pub(super) struct Backlog(mpsc::UnboundedReceiver<(Received, Option<OwnedSemaphorePermit>)>);

/// One thing received.
#[derive(Debug)]
pub(super) enum Received {
    /// A message and when it came, or the end of the connection.
    Message(Instant, zbus::Result<Message>),
    /// Signals that came here were dropped.
    Gap,
}

/// A backlog, and what fills it for as long as it is polled.
pub(super) fn backlog(stream: MessageStream) -> (Backlog, impl Future<Output = ()>) {
    // Bounded by the room that each message takes up while it is in there.
    let (received, incoming) = mpsc::unbounded_channel();
    (Backlog(incoming), fill(stream, received))
}

// === impl Backlog ===

impl Backlog {
    /// The next thing received; nothing after the end of the connection. May be dropped before it
    /// is done; nothing is lost then.
    pub(super) async fn next(&mut self) -> Option<Received> {
        self.0.recv().await.map(|(received, _)| received)
    }
}

/// Takes messages from zbus, which holds up everything else while its own queue is full, and never
/// waits for anything else.
async fn fill(
    mut stream: MessageStream,
    received: mpsc::UnboundedSender<(Received, Option<OwnedSemaphorePermit>)>,
) {
    let signals = Arc::new(Semaphore::new(SIGNALS as usize));
    let answers = Arc::new(Semaphore::new(ANSWERS as usize));
    let mut dropping = false;
    loop {
        let message = tokio::select! {
            biased;
            // Once something is lost everything is to be read anew, so a little more makes no
            // difference. The gap ends when half of the room is free, and not with every message
            // that is heard.
            half = signals.acquire_many(SIGNALS / 2), if dropping => {
                dropping = false;
                drop(half);
                if received.send((Received::Gap, None)).is_err() {
                    return;
                }
                continue;
            }
            message = stream.next() => match message {
                Some(message) => message,
                None => return,
            },
        };
        let permit = match &message {
            Ok(message) => {
                let is_signal = message.message_type() == message::Type::Signal;
                let (room, all) = if is_signal { (&signals, SIGNALS) } else { (&answers, ANSWERS) };
                let length = u32::try_from(message.data().len()).unwrap_or(u32::MAX);
                // The longest messages that D-Bus allows have to be alone.
                let needed = length.saturating_add(OVERHEAD).min(all);
                match Arc::clone(room).try_acquire_many_owned(needed) {
                    Ok(permit) if !(is_signal && dropping) => Some(permit),
                    // An answer that is dropped counts as one that has not come.
                    _ => {
                        dropping |= is_signal;
                        continue;
                    }
                }
            }
            Err(_) => None,
        };
        if received.send((Received::Message(Instant::now(), message), permit)).is_err() {
            return;
        }
    }
}
