//! The queue of received messages, in the order in which they came, bounded in bytes.

use std::{sync::Arc, time::Instant};

use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use zbus::{Message, MessageStream, message};

/// Room for signals, in bytes: about 16,000 of the longest that systemd sends. A boot with
/// thousands of units causes that many.
const SIGNALS: u32 = 48 << 20;

/// Room for all other messages, in bytes; most are answers to our own calls. A listing of 131,072
/// units, systemd's limit, is about 30 MB.
const ANSWERS: u32 = 64 << 20;

/// The memory that a queued message takes besides its own bytes, rounded up.
const OVERHEAD: u32 = 512;

/// The receiving end of the queue.
#[derive(Debug)]
pub(super) struct Backlog(mpsc::UnboundedReceiver<(Received, Option<OwnedSemaphorePermit>)>);

/// An entry of the queue.
#[derive(Debug)]
pub(super) enum Received {
    /// When a message came, and the message or the error that ended the connection.
    Message(Instant, zbus::Result<Message>),
    /// Signals were dropped at this point of the queue.
    Gap,
}

/// A backlog, and the task that fills it.
pub(super) fn backlog(stream: MessageStream) -> (Backlog, impl Future<Output = ()>) {
    // Unbounded in length: each entry holds a permit for its bytes.
    let (received, incoming) = mpsc::unbounded_channel();
    (Backlog(incoming), fill(stream, received))
}

// === impl Backlog ===

impl Backlog {
    /// The next entry; `None` after the end of the connection. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Received> {
        self.0.recv().await.map(|(received, _)| received)
    }
}

/// Moves messages from zbus into the queue without ever waiting for room: zbus stops reading from
/// the socket while its own queue is full.
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
            // After a loss everything is read again, so more losses make no difference. The gap ends
            // when half of the room is free, so that there is one gap and not one for each message.
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
                // The longest messages that D-Bus allows, 128 MiB, take all the room.
                let needed = length.saturating_add(OVERHEAD).min(all);
                match Arc::clone(room).try_acquire_many_owned(needed) {
                    Ok(permit) if !(is_signal && dropping) => Some(permit),
                    // The call of a dropped answer fails at its deadline.
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
