//! The connection to systemd against a fake peer, which answers in a chosen order, not at all, or
//! with nonsense.

use std::{
    os::unix::net::UnixListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use tokio::time::timeout;
use unitwatch::systemd::{
    address::Address,
    event::Event,
    link::{Heard, Link, Lost},
    name::UnitName,
    property::{ManagerProperty, UnitProperty, Value},
    question::{Answer, CALL_DEADLINE, CallError, Question},
};
use zbus::{Connection, Guid, Message, MessageStream, Variant, connection::Builder};

const UNIT: &str = "a.service";

/// How long a step may take before a test fails: longer than the deadline of a call.
const PATIENCE: Duration = Duration::from_secs(60);

const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";

/// A fake of systemd on its private socket.
struct Peer {
    connection: Connection,
    calls: MessageStream,
    _directory: tempfile::TempDir,
}

impl Peer {
    /// A peer, and a link to it.
    async fn meet() -> (Self, Link) {
        let directory = tempfile::tempdir().unwrap();
        let path: PathBuf = directory.path().join("private");
        let listener = UnixListener::bind(&path).unwrap();
        let accepting = tokio::task::spawn_blocking(move || listener.accept().unwrap().0);
        let serving = async {
            let builder = Builder::unix_stream(accepting.await.unwrap());
            builder.server(Guid::generate()).p2p().build().await.unwrap()
        };
        let address = Address::Private(path);
        let (connection, link) = futures_util::future::join(serving, Link::open(&address)).await;
        let calls = MessageStream::from(&connection);
        (Self { connection, calls, _directory: directory }, link.unwrap())
    }

    async fn call(&mut self) -> Message {
        timeout(PATIENCE, self.calls.next()).await.expect("no call").unwrap().unwrap()
    }

    async fn send(&self, message: Message) {
        self.connection.send(&message).await.unwrap();
    }

    async fn reply(&self, call: &Message, value: &str) {
        let reply = Message::method_return(&call.header()).build(&Variant::from(value));
        self.send(reply.unwrap()).await;
    }

    async fn signal(&self, state: &str) {
        let changed = std::collections::HashMap::from([("ActiveState", Variant::from(state))]);
        let unit = UnitName::new(UNIT).unwrap().object_path();
        let signal = Message::signal(unit, "org.freedesktop.DBus.Properties", "PropertiesChanged")
            .build(&(UNIT_INTERFACE, changed, Vec::<&str>::new()));
        self.send(signal.unwrap()).await;
    }

    /// A signal as long as systemd's longest.
    async fn unit_new(&self) {
        let signal = Message::signal(
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            "UnitNew",
        );
        let path = zbus::ObjectPath::try_from(format!("/{}", "a".repeat(3000))).unwrap();
        self.send(signal.build(&(UNIT, path)).unwrap()).await;
    }
}

/// The next message. The link may wait for ever, a test must not.
async fn next(link: &mut Link) -> Result<Heard, Lost> {
    timeout(PATIENCE, link.hear()).await.expect("nothing is heard")
}

fn question() -> Question {
    Question::Unit(UnitName::new(UNIT).unwrap(), UnitProperty::ActiveState)
}

/// The unit's state in a signal, or in an answer, which is put in parentheses.
fn state(heard: Heard) -> String {
    let text = |value: Value| value.text().map(str::to_owned);
    let said = match heard {
        Heard::Signal { event: Ok(Some(Event::UnitChanged(_, mut facts))), .. } => {
            text(facts.remove(0).1)
        }
        Heard::Answer(_, Ok(Answer::Value(value))) => text(value).map(|text| format!("({text})")),
        _ => None,
    };
    said.expect("a state")
}

/// The inventory depends on this order: a reply must not overwrite a signal that systemd sent later.
#[tokio::test]
async fn signals_and_answers_keep_the_order_in_which_they_were_sent() {
    let (mut peer, mut link) = Peer::meet().await;
    link.ask(question()).unwrap();
    link.ask(question()).unwrap();
    let (first, second) = (peer.call().await, peer.call().await);
    peer.signal("activating").await;
    peer.reply(&second, "active").await;
    peer.signal("deactivating").await;
    peer.reply(&first, "inactive").await;
    peer.signal("failed").await;
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(state(next(&mut link).await.unwrap()));
    }
    assert_eq!(order, ["activating", "(active)", "deactivating", "(inactive)", "failed"]);
}

/// The paused clock jumps to the next deadline whenever nothing is ready, so the call's must be the
/// only one.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_ends_at_its_deadline_and_its_late_answer_is_dropped() {
    let (mut peer, mut link) = Peer::meet().await;
    link.ask(question()).unwrap();
    let call = peer.calls.next().await.unwrap().unwrap();
    let heard = link.hear().await.unwrap();
    assert!(matches!(heard, Heard::Answer(_, Err(CallError::Deadline))), "{heard:?}");
    peer.reply(&call, "active").await;
    peer.signal("failed").await;
    assert_eq!(state(link.hear().await.unwrap()), "failed");
}

/// What counts is when an answer was received, not when it was taken: it may wait behind many
/// signals.
#[tokio::test]
async fn a_queued_answer_that_came_before_its_deadline_is_in_time() {
    let (mut peer, mut link) = Peer::meet().await;
    link.ask(question()).unwrap();
    link.ask(question()).unwrap();
    let (first, second) = (peer.call().await, peer.call().await);
    peer.reply(&first, "active").await;
    tokio::time::sleep(CALL_DEADLINE).await;
    peer.reply(&second, "failed").await;
    peer.signal("inactive").await;
    assert_eq!(state(next(&mut link).await.unwrap()), "(active)");
    let heard = next(&mut link).await.unwrap();
    assert!(matches!(heard, Heard::Answer(_, Err(CallError::Deadline))), "{heard:?}");
    assert_eq!(state(next(&mut link).await.unwrap()), "inactive");
}

#[tokio::test]
async fn a_value_of_the_wrong_type_does_not_end_the_connection() {
    let (mut peer, mut link) = Peer::meet().await;
    let property = ManagerProperty::FailedUnits;
    link.ask(Question::Manager(property)).unwrap();
    let call = peer.call().await;
    peer.reply(&call, "many").await;
    let heard = next(&mut link).await.unwrap();
    assert!(matches!(heard, Heard::Answer(_, Err(CallError::Unreadable(_)))), "{heard:?}");

    link.ask(Question::Units).unwrap();
    let call = peer.call().await;
    peer.reply(&call, "none at all").await;
    let heard = next(&mut link).await.unwrap();
    assert!(matches!(heard, Heard::Answer(_, Err(CallError::Unreadable(_)))), "{heard:?}");

    let signal =
        Message::signal("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "UnitNew");
    peer.send(signal.build(&(7_u32,)).unwrap()).await;
    let heard = next(&mut link).await.unwrap();
    assert!(matches!(heard, Heard::Signal { event: Err(_), .. }), "{heard:?}");

    peer.signal("active").await;
    assert_eq!(state(next(&mut link).await.unwrap()), "active");
}

#[tokio::test]
async fn a_refusal_keeps_its_d_bus_name() {
    let (mut peer, mut link) = Peer::meet().await;
    link.ask(question()).unwrap();
    let call = peer.call().await;
    let error = Message::error(&call.header(), "org.freedesktop.systemd1.NoSuchUnit");
    peer.send(error.build(&"no unit a.service").unwrap()).await;
    let Heard::Answer(_, Err(error)) = next(&mut link).await.unwrap() else { panic!("an answer") };
    assert_eq!(error.to_string(), "org.freedesktop.systemd1.NoSuchUnit: no unit a.service");
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn the_end_of_the_connection_is_an_error() {
    let (peer, mut link) = Peer::meet().await;
    drop(peer);
    let lost = next(&mut link).await.unwrap_err();
    assert!(matches!(lost, Lost::Ended(_) | Lost::Closed), "{lost:?}");
}

/// More signals than the backlog has room for: first come those that fit, then the overflow, then
/// what was sent after it.
#[tokio::test(flavor = "multi_thread")]
async fn signals_beyond_the_backlog_are_reported_as_an_overflow() {
    let (peer, mut link) = Peer::meet().await;
    let storm = 20_000;
    for _ in 0..storm {
        peer.unit_new().await;
    }
    let began = Instant::now();
    let mut heard = 0;
    loop {
        assert!(began.elapsed() < Duration::from_secs(60), "{heard} signals and no overflow");
        match next(&mut link).await.unwrap() {
            Heard::Signal { .. } => heard += 1,
            Heard::Overflow => break,
            Heard::Answer(..) => panic!("nothing was asked"),
        }
    }
    assert!(heard < storm, "something was dropped");
    peer.signal("active").await;
    loop {
        // Signals that were still in zbus's queue may come first.
        match next(&mut link).await.unwrap() {
            heard @ Heard::Signal { event: Ok(Some(Event::UnitChanged(..))), .. } => {
                assert_eq!(state(heard), "active");
                break;
            }
            Heard::Signal { .. } | Heard::Overflow => {}
            Heard::Answer(..) => panic!("nothing was asked"),
        }
    }
}
