//! A connection to a manager. Each call has a deadline; signals and replies come in as one stream,
//! in the order in which systemd sent them.

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

/// The most calls pending at once. dbus-daemon allows 128 for each connection; more than 16 are not
/// faster, because the manager has one thread.
const IN_FLIGHT: usize = 32;

/// The most messages that zbus holds for the task that fills the backlog.
const ZBUS_QUEUE: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// A connection to a manager. Dropping it ends it.
#[derive(Debug)]
pub struct Link {
    incoming: Backlog,
    /// A received message that waits: a call's deadline passed before it, and is reported first.
    deferred: Option<(Instant, zbus::Result<Message>)>,
    outgoing: mpsc::Sender<Message>,
    pending: HashMap<NonZeroU32, Question>,
    /// The deadlines of calls, oldest first. Those of answered calls stay until they are at the front.
    deadlines: VecDeque<(Instant, NonZeroU32)>,
    on_bus: bool,
    /// The unique name of the connection that owns systemd's name on the bus. Signals of all other
    /// connections are ignored. The private socket has one peer.
    owner: Option<String>,
    _tasks: JoinSet<()>,
}

/// A signal, an answer, or a gap.
#[derive(Debug)]
pub enum Heard {
    /// A signal of systemd's.
    Signal {
        /// Its D-Bus name, or `other`.
        member: &'static str,
        /// When it was received.
        at: Instant,
        /// The event; `None` if the signal is not used.
        event: Result<Option<Event>, Malformed>,
    },
    /// A call has been answered, or has failed.
    Answer(Question, Result<Answer, CallError>),
    /// Signals came faster than they were taken: some were dropped at this point of the stream.
    Overflow,
}

/// A connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bus or the socket refused.
    #[error(transparent)]
    Refused(#[from] zbus::Error),
    /// The handshake was not answered in time.
    #[error("no answer within {} s", CALL_DEADLINE.as_secs())]
    Deadline,
}

/// The connection has ended.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// A read or write failed, or the peer sent something other than D-Bus.
    #[error("the connection ended: {0}")]
    Ended(zbus::Error),
    /// The peer closed it.
    #[error("the connection was closed")]
    Closed,
    /// The peer does not read the calls that it is sent.
    #[error("the peer no longer reads calls")]
    Stuck,
}

// === impl Link ===

impl Link {
    /// Connects to a manager.
    ///
    /// # Errors
    /// [`OpenError`] if the connection is refused, or not open within [`CALL_DEADLINE`].
    pub async fn open(address: &Address) -> Result<Self, OpenError> {
        let opening = async {
            let builder = match address {
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
        let on_bus = matches!(address, Address::Bus { .. });
        Ok(Self::over(connection, on_bus))
    }

    fn over(connection: Connection, on_bus: bool) -> Self {
        let (incoming, filling) = backlog::backlog(MessageStream::from(&connection));
        // Room for all pending calls and the handshake.
        let (outgoing, to_send) = mpsc::channel(2 * IN_FLIGHT);
        let mut tasks = JoinSet::new();
        tasks.spawn(filling);
        tasks.spawn(send(connection, to_send));
        Self {
            incoming,
            deferred: None,
            outgoing,
            pending: HashMap::new(),
            deadlines: VecDeque::new(),
            on_bus,
            owner: None,
            _tasks: tasks,
        }
    }

    /// Whether it goes over a bus.
    pub fn is_on_bus(&self) -> bool {
        self.on_bus
    }

    /// Whether another call may be made now.
    pub fn has_room(&self) -> bool {
        self.pending.len() < IN_FLIGHT
    }

    /// Makes a call. [`Link::hear`] returns its answer.
    ///
    /// # Errors
    /// [`Lost`] if the peer no longer reads calls.
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

    /// Waits for the next message, or for a call's deadline. Cancel-safe.
    ///
    /// # Errors
    /// [`Lost`] if the connection has ended.
    pub async fn hear(&mut self) -> Result<Heard, Lost> {
        loop {
            while let Some((_, serial)) = self.deadlines.front()
                && !self.pending.contains_key(serial)
            {
                self.deadlines.pop_front();
            }
            let next_deadline = self.deadlines.front().map(|(at, _)| *at);
            let (at, message) = match self.deferred.take() {
                Some(deferred) => deferred,
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
            // What counts is when a message was received. An answer behind many signals may be in
            // time, and a call whose deadline passed before this message has failed.
            if next_deadline.is_some_and(|deadline| deadline < at)
                && let Some(heard) = self.expire()
            {
                self.deferred = Some((at, message));
                return Ok(heard);
            }
            if let Some(heard) = self.take(at, &message.map_err(Lost::Ended)?) {
                return Ok(heard);
            }
        }
    }

    /// Ends the call with the first deadline, if it is still pending.
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
                // Any connection on a bus may send a signal that looks like systemd's. Only the bus
                // may say which connection owns systemd's name.
                let is_systemd = !self.on_bus
                    || (self.owner.as_deref() == Some(sender) && member != "NameOwnerChanged");
                is_systemd.then(|| Heard::Signal { member, at, event: decode::signal(message) })
            }
            message::Type::MethodReturn | message::Type::Error => {
                // A reply after its deadline has no pending question, and is dropped.
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

/// Writes calls, all that are queued at once.
async fn send(connection: Connection, mut to_send: mpsc::Receiver<Message>) {
    let mut batch = Vec::with_capacity(2 * IN_FLIGHT);
    while to_send.recv_many(&mut batch, 2 * IN_FLIGHT).await > 0 {
        // After a failed write the stream of messages ends, which `hear` reports.
        if connection.send_all(&batch).await.is_err() {
            return;
        }
        batch.clear();
    }
}
