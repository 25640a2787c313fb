//! A fake of a bus and the systemd on it. It answers the exporter as the real ones do, except where
//! a test's script answers otherwise.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{MutexGuard, watch},
    task::JoinSet,
    time::timeout,
};
use unitwatch::systemd::name::UnitName;
use zbus::{
    DynamicType, Message, ObjectPath, Variant, connection::socket::ReadHalf,
    export::async_trait::async_trait,
};

use crate::harness::exposition::Exposition;

/// The connection that owns systemd's name.
pub const SYSTEMD: &str = ":1.1";

/// The bus itself.
pub const BUS: &str = "org.freedesktop.DBus";

pub const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub const UNIT: &str = "org.freedesktop.systemd1.Unit";
pub const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// The exporter's unique name.
const EXPORTER: &str = ":1.2";

/// How long it waits for the exporter: longer than the exporter waits for a silent systemd, 5 s for a
/// call and 60 s more.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(150);

/// The units by name, each with its active state.
pub type Units = BTreeMap<String, String>;

/// A line of the handshake or a call from the exporter.
pub struct Asked<'a> {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// The command of the handshake, or the method of the call.
    pub what: &'a str,
    /// The call; none in the handshake.
    pub call: Option<&'a Message>,
    /// The correct answer.
    pub usual: Vec<u8>,
}

/// What the fake does with a request.
pub enum Reply {
    /// Sends these bytes.
    Say(Vec<u8>),
    /// Sends these bytes, and nothing more on this connection.
    Stall(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
}

/// Decides the answer to each request.
pub type Script = Box<dyn Fn(Asked<'_>) -> Reply + Send + Sync>;

/// The fake; it stops when dropped.
pub struct Fake {
    directory: tempfile::TempDir,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

struct Shared {
    units: Mutex<Units>,
    script: Mutex<Arc<Script>>,
    connections: watch::Sender<Vec<Arc<Line>>>,
}

/// The fake's end of one connection.
pub struct Line {
    number: usize,
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    ended: watch::Sender<bool>,
}

/// What the exporter sends.
#[derive(Debug)]
struct Incoming(BufReader<OwnedReadHalf>);

// === impl Fake ===

impl Fake {
    /// A fake with these units that answers correctly.
    pub fn new(units: &[(&str, &str)]) -> Self {
        Self::with_script(units, |asked| Reply::Say(asked.usual))
    }

    /// A fake with these units and this script.
    pub fn with_script(
        units: &[(&str, &str)],
        script: impl Fn(Asked<'_>) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("bus")).unwrap();
        let units = units.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned()));
        let shared = Arc::new(Shared {
            units: Mutex::new(units.collect()),
            script: Mutex::new(Arc::new(Box::new(script))),
            connections: watch::Sender::new(Vec::new()),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&shared)));
        Self { directory, shared, _serving: serving }
    }

    /// The directory of its socket, without a private socket of systemd.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The path of the bus's socket.
    pub fn socket(&self) -> PathBuf {
        self.directory().join("bus")
    }

    /// Replaces the script.
    pub fn follow(&self, script: impl Fn(Asked<'_>) -> Reply + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(Box::new(script));
    }

    /// Answers correctly from now on.
    pub fn behave(&self) {
        self.follow(|asked| Reply::Say(asked.usual));
    }

    /// How often the exporter has connected.
    pub fn connections(&self) -> usize {
        self.shared.connections.borrow().len()
    }

    /// The connection with this number, once the exporter has made it.
    pub async fn line(&self, number: usize) -> Arc<Line> {
        let mut connections = self.shared.connections.subscribe();
        let made = connections.wait_for(|lines| lines.len() > number);
        let lines = timeout(PATIENCE, made).await;
        Arc::clone(&lines.unwrap_or_else(|_| panic!("no connection {number}")).unwrap()[number])
    }

    /// The newest connection.
    pub async fn newest_line(&self) -> Arc<Line> {
        self.line(self.connections().saturating_sub(1)).await
    }

    /// Sets the state of a unit, and signals it.
    pub async fn set(&self, unit: &str, state: &str) {
        let line = self.newest_line().await;
        let mut voice = line.voice().await;
        self.shared.units.lock().unwrap().insert(unit.to_owned(), state.to_owned());
        voice.write_all(&changes(unit, state)).await.unwrap();
    }

    /// The units, to be changed without a signal.
    pub fn units(&self) -> std::sync::MutexGuard<'_, Units> {
        self.shared.units.lock().unwrap()
    }

    /// Whether the scrape has every unit in its state, and no other unit.
    pub fn check(&self, scrape: &Exposition) -> Result<(), String> {
        let served = scrape.of("systemd_unit_state").filter(|(_, value)| *value == 1.0);
        let served: Units =
            served.map(|(labels, _)| (labels["name"].clone(), labels["state"].clone())).collect();
        let units = self.units();
        if served == *units {
            return Ok(());
        }
        let wrong = units.iter().find(|(name, state)| served.get(*name) != Some(*state));
        let surplus = served.keys().find(|name| !units.contains_key(*name));
        let counts = (units.len(), served.len());
        Err(format!("units and served {counts:?}, first wrong {wrong:?}, surplus {surplus:?}"))
    }
}

async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        let (reader, writer) = UnixStream::into_split(stream);
        let writer = tokio::sync::Mutex::new(writer);
        let line = Arc::new(Line { number, writer, ended: watch::Sender::new(false) });
        shared.connections.send_modify(|lines| lines.push(Arc::clone(&line)));
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _ = converse(&shared, &line, Incoming(BufReader::new(reader))).await;
            let _ = line.voice().await.shutdown().await;
            line.ended.send_replace(true);
        });
    }
}

async fn converse(shared: &Shared, line: &Line, mut incoming: Incoming) -> zbus::Result<()> {
    incoming.0.read_u8().await?;
    loop {
        let mut said = String::new();
        incoming.0.read_line(&mut said).await?;
        let command = said.split_whitespace().next().unwrap_or_default();
        let usual = match command {
            "AUTH" => "OK 0123456789abcdef0123456789abcdef\r\n",
            "NEGOTIATE_UNIX_FD" => "AGREE_UNIX_FD\r\n",
            "BEGIN" => "",
            other => panic!("the handshake does not know {other:?}"),
        };
        if !answer(shared, line, &mut incoming, command, None, |_| usual.into()).await? {
            return Ok(());
        }
        if command == "BEGIN" {
            break;
        }
    }
    loop {
        let call = incoming.receive_message(0, &mut Vec::new(), &mut Vec::new()).await?;
        let member = call.header().member().map(ToString::to_string).unwrap_or_default();
        let usual = |units: &Units| usual(&call, &member, units);
        if !answer(shared, line, &mut incoming, &member, Some(&call), usual).await? {
            return Ok(());
        }
    }
}

/// Answers by the script; returns whether the connection goes on.
async fn answer(
    shared: &Shared,
    line: &Line,
    incoming: &mut Incoming,
    what: &str,
    call: Option<&Message>,
    usual: impl FnOnce(&Units) -> Vec<u8>,
) -> zbus::Result<bool> {
    let script = Arc::clone(&shared.script.lock().unwrap());
    // No signal may come between building an answer and sending it, or it would be out of date.
    let mut voice = line.voice().await;
    let usual = usual(&shared.units.lock().unwrap());
    match script(Asked { connection: line.number, what, call, usual }) {
        Reply::Say(bytes) => voice.write_all(&bytes).await?,
        Reply::Stall(bytes) => {
            voice.write_all(&bytes).await?;
            tokio::io::copy(&mut incoming.0, &mut tokio::io::sink()).await?;
            return Ok(false);
        }
        Reply::Close(bytes) => {
            voice.write_all(&bytes).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

// === impl Line ===

impl Line {
    /// Sends these bytes.
    pub async fn say(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.voice().await.write_all(bytes).await
    }

    /// The writing half, locked: no other bytes are sent meanwhile.
    pub async fn voice(&self) -> MutexGuard<'_, OwnedWriteHalf> {
        self.writer.lock().await
    }

    /// Closes the connection.
    pub async fn close(&self) {
        let _ = self.voice().await.shutdown().await;
    }

    /// Waits until the connection has ended.
    pub async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        let over = timeout(PATIENCE, ended.wait_for(|ended| *ended)).await;
        over.unwrap_or_else(|_| panic!("connection {} does not end", self.number)).unwrap();
    }
}

// === impl Incoming ===

#[async_trait]
impl ReadHalf for Incoming {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> std::io::Result<(usize, Vec<OwnedFd>)> {
        Ok((self.0.read(buffer).await?, Vec::new()))
    }
}

// === the messages of the bus and of systemd ===

/// The correct answer to a call.
fn usual(call: &Message, member: &str, units: &Units) -> Vec<u8> {
    match member {
        "Hello" => returns(BUS, call, &EXPORTER),
        "AddMatch" => returns(BUS, call, &()),
        "GetNameOwner" => returns(BUS, call, &SYSTEMD),
        "Subscribe" => returns(SYSTEMD, call, &()),
        "ListUnits" => returns(SYSTEMD, call, &listing(units)),
        "ListUnitsByPatterns" => {
            let pattern = pattern(call);
            let of =
                |(name, _): &(&String, &String)| name.ends_with(pattern.trim_start_matches('*'));
            let units = units.iter().filter(of);
            let units: Units = units.map(|(name, state)| (name.clone(), state.clone())).collect();
            returns(SYSTEMD, call, &listing(&units))
        }
        "ListUnitFiles" => {
            let file = |name| (format!("/usr/lib/systemd/system/{name}"), "static");
            returns(SYSTEMD, call, &units.keys().map(file).collect::<Vec<_>>())
        }
        "ListJobs" => {
            let none: Vec<(u32, &str, &str, &str, ObjectPath<'_>, ObjectPath<'_>)> = Vec::new();
            returns(SYSTEMD, call, &none)
        }
        "Get" => {
            let body = call.body();
            let (interface, property): (&str, &str) = body.deserialize().unwrap();
            let unit = call.header().path().and_then(|path| UnitName::from_object_path(path));
            let value = match unit {
                Some(unit) => of_unit(units.get(unit.as_str()), property),
                None => of_manager(property),
            };
            match value {
                Some(value) => returns(SYSTEMD, call, &value),
                None => fails(call, "org.freedesktop.DBus.Error.UnknownProperty", interface),
            }
        }
        other => fails(call, "org.freedesktop.DBus.Error.UnknownMethod", other),
    }
}

/// The only pattern of a call to `ListUnitsByPatterns`.
pub fn pattern(call: &Message) -> String {
    let body = call.body();
    let (states, patterns): (Vec<&str>, Vec<&str>) = body.deserialize().unwrap();
    assert!(states.is_empty(), "{states:?}");
    assert_eq!(patterns.len(), 1, "{patterns:?}");
    patterns[0].to_owned()
}

type Row<'a> = (
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    ObjectPath<'a>,
    u32,
    &'a str,
    ObjectPath<'a>,
);

fn listing(units: &Units) -> Vec<Row<'_>> {
    let root = || ObjectPath::try_from("/").unwrap();
    units
        .iter()
        .map(|(name, state)| {
            let path = ObjectPath::try_from(object_path(name)).unwrap();
            let sub = sub_state(state);
            (name.as_str(), "a fake", "loaded", state.as_str(), sub, "", path, 0, "", root())
        })
        .collect()
}

fn of_unit(state: Option<&String>, property: &str) -> Option<Variant<'static>> {
    let state = state?;
    Some(match property {
        "LoadState" => Variant::from("loaded"),
        "ActiveState" => Variant::from(state.clone()),
        "SubState" => Variant::from(sub_state(state).to_owned()),
        "Type" => Variant::from("simple"),
        "Slice" => Variant::from("fake.slice"),
        "NRestarts" => Variant::from(0_u32),
        "TasksMax" => Variant::from(77_u64),
        "IPAccounting" => Variant::from(false),
        name if name.ends_with("Timestamp") => Variant::from(1_700_000_000_000_000_u64),
        _ => return None,
    })
}

fn of_manager(property: &str) -> Option<Variant<'static>> {
    Some(match property {
        "Version" => Variant::from("262 (fake)"),
        "SystemState" => Variant::from("running"),
        "ControlGroup" => Variant::from("/fake"),
        "NFailedUnits" => Variant::from(0_u32),
        _ => return None,
    })
}

fn sub_state(state: &str) -> &str {
    match state {
        "active" => "running",
        "activating" => "start",
        "deactivating" => "stop-sigterm",
        "inactive" => "dead",
        other => other,
    }
}

/// The object path of a unit.
pub fn object_path(unit: &str) -> String {
    UnitName::new(unit).unwrap().object_path()
}

/// The answer to a call.
pub fn returns<B: serde::Serialize + DynamicType>(
    sender: &str,
    call: &Message,
    body: &B,
) -> Vec<u8> {
    let reply = Message::method_return(&call.header()).sender(sender).destination(EXPORTER);
    reply.build(body).unwrap().data().to_vec()
}

/// An error as the answer to a call.
pub fn fails(call: &Message, name: &str, text: &str) -> Vec<u8> {
    let reply = Message::error(&call.header(), name).sender(SYSTEMD).destination(EXPORTER);
    reply.build(&text).unwrap().data().to_vec()
}

/// A signal.
pub fn signal<B: serde::Serialize + DynamicType>(
    sender: &str,
    path: &str,
    interface: &str,
    member: &str,
    body: &B,
) -> Vec<u8> {
    let signal = Message::signal(path, interface, member).sender(sender);
    signal.build(body).unwrap().data().to_vec()
}

/// `PropertiesChanged` of one interface of a unit.
pub fn changed(
    sender: &str,
    unit: &str,
    interface: &str,
    properties: &[(&str, Variant<'_>)],
) -> Vec<u8> {
    let properties: HashMap<&str, &Variant<'_>> =
        properties.iter().map(|(name, value)| (*name, value)).collect();
    let body = (interface, properties, Vec::<&str>::new());
    signal(sender, &object_path(unit), PROPERTIES, "PropertiesChanged", &body)
}

/// The signals of a service that changes its state: `PropertiesChanged` of the service, then of the
/// unit, with as many properties as systemd sends.
pub fn changes(unit: &str, state: &str) -> Vec<u8> {
    let time = || Variant::from(1_700_000_000_000_000_u64);
    let mut service = vec![
        ("MainPID", Variant::from(4711_u32)),
        ("NRestarts", Variant::from(0_u32)),
        ("Result", Variant::from("success")),
        ("ExecMainCode", Variant::from(0_i32)),
        ("ExecMainStatus", Variant::from(0_i32)),
    ];
    for name in ["Reload", "Clean", "LiveMount"] {
        service.push((name, Variant::from("success")));
    }
    for name in ["ExecMainStartTimestamp", "ExecMainExitTimestamp", "WatchdogTimestamp"] {
        service.push((name, time()));
    }
    let mut of_unit = vec![
        ("ActiveState", Variant::from(state)),
        ("SubState", Variant::from(sub_state(state))),
        ("ConditionResult", Variant::from(true)),
        ("AssertResult", Variant::from(true)),
        ("Job", Variant::from((0_u32, ObjectPath::try_from("/").unwrap()))),
    ];
    for name in [
        "StateChangeTimestamp",
        "StateChangeTimestampMonotonic",
        "ActiveEnterTimestamp",
        "ActiveEnterTimestampMonotonic",
        "ActiveExitTimestamp",
        "ActiveExitTimestampMonotonic",
        "InactiveEnterTimestamp",
        "InactiveEnterTimestampMonotonic",
        "InactiveExitTimestamp",
        "InactiveExitTimestampMonotonic",
        "ConditionTimestamp",
        "ConditionTimestampMonotonic",
        "AssertTimestamp",
        "AssertTimestampMonotonic",
    ] {
        of_unit.push((name, time()));
    }
    let mut both = changed(SYSTEMD, unit, SERVICE, &service);
    both.extend(changed(SYSTEMD, unit, UNIT, &of_unit));
    both
}
