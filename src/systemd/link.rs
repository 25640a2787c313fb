//! One connection to a manager: calls go out with a deadline each, and signals and replies come
//! in as one stream, in the order in which systemd sent them.

mod backlog;

use std::{
    collections::{HashMap, VecDeque},
    num::{NonZeroU32, NonZeroUsize},
    time::Instant,
};

use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinSet,
    time::{sleep_until, timeout},
};
use zbus::{Connection, Message, MessageStream, connection::Builder, message};

use self::backlog::{Backlog, Received};
use super::{
    address::Address,
    decode::{self, Malformed},
    event::Event,
    private::PrivateSocket,
    question::{Answer, BUS, CALL_DEADLINE, CallError, Question},
};

/// Calls under way at once. dbus-daemon allows 128; above 16 nothing is gained, because the
/// manager is one thread.
const IN_FLIGHT: usize = 32;

/// Messages that zbus holds for the task that fills the backlog.
const ZBUS_QUEUE: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// A connection to a manager. Dropping it ends it.
#[derive(Debug)]
pub struct Link {
    incoming: Backlog,
    /// Received, but a call's deadline passed before it was, and is to be heard first.
    held: Option<(Instant, zbus::Result<Message>)>,
    outgoing: mpsc::Sender<Message>,
    pending: HashMap<NonZeroU32, Question>,
    /// The deadlines of calls, oldest first; those of answered calls stay until they pass.
    deadlines: VecDeque<(Instant, NonZeroU32)>,
    on_bus: bool,
    /// The unique name of the connection that speaks for systemd on a bus; nobody else there is
    /// believed. On systemd's own socket there is nobody else.
    owner: Option<String>,
    _tasks: JoinSet<()>,
}

/// One thing heard over a link.
#[derive(Debug)]
pub enum Heard {
    /// A signal of systemd's.
    Signal {
        /// Its D-Bus name, or `other`.
        member: &'static str,
        /// When it was received.
        at: Instant,
        /// What it says; `None` if it is about nothing that is followed.
        event: Result<Option<Event>, Malformed>,
    },
    /// What became of a call.
    Answer(Question, Result<Answer, CallError>),
    /// Messages came faster than they were heard, and some were dropped at this place.
    Overflow,
}

/// A way in did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bus or the socket refused.
    #[error(transparent)]
    Refused(#[from] zbus::Error),
    /// Nobody answered the handshake.
    #[error("no answer within {} s", CALL_DEADLINE.as_secs())]
    Deadline,
}

/// The connection is at its end.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The peer closed it, or sent what is not D-Bus.
    #[error("the connection ended: {0}")]
    Ended(zbus::Error),
    /// The peer closed it.
    #[error("the connection was closed")]
    Closed,
    /// The peer does not read what it is sent.
    #[error("calls are no longer taken")]
    Stuck,
}

// === impl Link ===

impl Link {
    /// Opens one way in.
    ///
    /// # Errors
    /// [`OpenError`] if it is refused, or not open within [`CALL_DEADLINE`].
    pub async fn open(way: &Address) -> Result<Self, OpenError> {
        let opening = async {
            let builder = match way {
                Address::Bus { address, .. } => Builder::address(address.as_str()),
                Address::Private(path) => {
                    let socket = PrivateSocket::connect(path).await.map_err(zbus::Error::from)?;
                    Builder::socket(socket).p2p()
                }
            };
            builder.max_queued(ZBUS_QUEUE).build().await
        };
        let connection =
            timeout(CALL_DEADLINE, opening).await.map_err(|_| OpenError::Deadline)??;
        let on_bus = matches!(way, Address::Bus { .. });
        Ok(Self::over(connection, on_bus))
    }

    fn over(connection: Connection, on_bus: bool) -> Self {
        let (incoming, filling) = backlog::backlog(MessageStream::from(&connection));
        // Never more than the calls under way and a handshake.
        let (outgoing, to_send) = mpsc::channel(2 * IN_FLIGHT);
        let mut tasks = JoinSet::new();
        tasks.spawn(filling);
        tasks.spawn(send(connection, to_send));
        Self {
            incoming,
            held: None,
            outgoing,
            pending: HashMap::new(),
            deadlines: VecDeque::new(),
            on_bus,
            owner: None,
            _tasks: tasks,
        }
    }

    /// Whether there is a bus between the manager and this end.
    pub fn is_on_bus(&self) -> bool {
        self.on_bus
    }

    /// Whether one more call may be made now.
    pub fn has_room(&self) -> bool {
        self.pending.len() < IN_FLIGHT
    }

    /// Makes a call; its answer comes out of [`Link::hear`].
    ///
    /// # Errors
    /// [`Lost`] if the peer has stopped taking calls.
    pub fn ask(&mut self, question: Question) -> Result<(), Lost> {
        let message = question.message(self.on_bus).map_err(Lost::Ended)?;
        let serial = message.primary_header().serial_num();
        match self.outgoing.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Lost::Stuck),
            Err(TrySendError::Closed(_)) => return Err(Lost::Closed),
        }
        self.deadlines.push_back((Instant::now() + CALL_DEADLINE, serial));
        self.pending.insert(serial, question);
        Ok(())
    }

    /// Waits for the next thing that systemd says, or for a call's deadline. May be dropped
    /// before it is done; nothing is lost then.
    ///
    /// # Errors
    /// [`Lost`] if the connection is at its end.
    pub async fn hear(&mut self) -> Result<Heard, Lost> {
        loop {
            while let Some((_, serial)) = self.deadlines.front()
                && !self.pending.contains_key(serial)
            {
                self.deadlines.pop_front();
            }
            let next_deadline = self.deadlines.front().map(|(at, _)| *at);
            let (at, message) = match self.held.take() {
                Some(held) => held,
                None => tokio::select! {
                    biased;
                    received = self.incoming.next() => match received.ok_or(Lost::Closed)? {
                        Received::Message(at, message) => (at, message),
                        Received::Gap => return Ok(Heard::Overflow),
                    },
                    () = passed(next_deadline), if next_deadline.is_some() => {
                        match self.expire() {
                            Some(heard) => return Ok(heard),
                            None => continue,
                        }
                    }
                },
            };
            // While there is always something to hear, time passes as it is heard: an answer that
            // is behind many signals is in time, and one that would have come before this is not.
            if next_deadline.is_some_and(|deadline| deadline < at)
                && let Some(heard) = self.expire()
            {
                self.held = Some((at, message));
                return Ok(heard);
            }
            if let Some(heard) = self.take(at, &message.map_err(Lost::Ended)?) {
                return Ok(heard);
            }
        }
    }

    /// Gives up the call with the first deadline.
    fn expire(&mut self) -> Option<Heard> {
        let (_, serial) = self.deadlines.pop_front()?;
        let question = self.pending.remove(&serial)?;
        Some(Heard::Answer(question, Err(CallError::Deadline)))
    }

    fn take(&mut self, at: Instant, message: &Message) -> Option<Heard> {
        let header = message.header();
        match message.message_type() {
            message::Type::Signal => {
                let sender = header.sender().map_or("", |sender| sender.as_str());
                let member = decode::known_signal(header.member().map_or("", |it| it.as_str()));
                if self.on_bus && sender == BUS {
                    return self.owner_changed(at, member, message);
                }
                // Anyone on a bus may send us a signal that looks like systemd's, and who speaks
                // for systemd there is not systemd's to say.
                let believed = !self.on_bus
                    || (self.owner.as_deref() == Some(sender) && member != "NameOwnerChanged");
                believed.then(|| Heard::Signal { member, at, event: decode::signal(message) })
            }
            message::Type::MethodReturn | message::Type::Error => {
                // Replies that came after their deadline find no question and end here.
                let question = self.pending.remove(&header.reply_serial()?)?;
                let answer = question.read(message);
                if let Ok(Answer::Owner(owner)) = &answer {
                    self.owner = Some(owner.clone());
                }
                Some(Heard::Answer(question, answer))
            }
            message::Type::MethodCall => None,
        }
    }

    fn owner_changed(
        &mut self,
        at: Instant,
        member: &'static str,
        message: &Message,
    ) -> Option<Heard> {
        if member != "NameOwnerChanged" {
            return None;
        }
        let event = decode::signal(message);
        if let Ok(Some(Event::OwnerChanged { owner })) = &event {
            self.owner.clone_from(owner);
        }
        Some(Heard::Signal { member, at, event })
    }
}

async fn passed(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        sleep_until(deadline.into()).await;
    }
}

/// Writes calls, as many at once as have gathered.
async fn send(connection: Connection, mut to_send: mpsc::Receiver<Message>) {
    let mut batch = Vec::with_capacity(2 * IN_FLIGHT);
    while to_send.recv_many(&mut batch, 2 * IN_FLIGHT).await > 0 {
        // A failure to write shows as the end of the stream of messages.
        if connection.send_all(&batch).await.is_err() {
            return;
        }
        batch.clear();
    }
}
