//! The calls to systemd and the bus, and their answers.

use std::{collections::BTreeSet, time::Duration};

use zbus::{Message, message};

use super::{
    decode,
    listing::{ListedFile, ListedJob, ListedUnit, MANAGER_INTERFACE, MANAGER_PATH},
    name::{UnitName, UnitType},
    property::{ManagerProperty, UnitProperty, Value},
};

pub(super) const MANAGER_NAME: &str = "org.freedesktop.systemd1";
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub(super) const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// The signals to receive: of all units, of all jobs, of the manager, and the bus's signal about
/// which connection owns systemd's name. One rule a unit would meet dbus-daemon's limit of 512.
pub const MATCH_RULES: [&str; 4] = [
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
     member='NameOwnerChanged',arg0='org.freedesktop.systemd1'",
    "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1'",
    "type='signal',sender='org.freedesktop.systemd1',\
     path_namespace='/org/freedesktop/systemd1/unit'",
    "type='signal',sender='org.freedesktop.systemd1',\
     path_namespace='/org/freedesktop/systemd1/job'",
];

/// How long a call may take. PID 1 has one thread, which answers nothing during a daemon-reload.
pub const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// `AddMatch` of one of [`MATCH_RULES`], to the bus.
    Match(&'static str),
    /// `GetNameOwner` of systemd's name, to the bus.
    Owner,
    /// `ListActivatableNames`, to the bus: the names for which it starts services.
    ActivatableNames,
    /// `Subscribe`: without it systemd signals nothing.
    Subscribe,
    /// `ListUnits`.
    Units,
    /// `ListUnitsByPatterns` of one type. systemd refuses all of `ListUnits` because of one unit that
    /// it cannot put into a message.
    UnitsOf(UnitType),
    /// `ListJobs`.
    Jobs,
    /// `ListUnitFiles`, for which systemd reads every unit file.
    UnitFiles,
    /// `Get` of a unit's property.
    Unit(UnitName, UnitProperty),
    /// `Get` of a property of the manager.
    Manager(ManagerProperty),
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Success, without a value.
    Done,
    /// The unique name of the connection that owns systemd's name.
    Owner(String),
    /// The names for which the bus starts services.
    ActivatableNames(BTreeSet<Box<str>>),
    /// All units in memory, or all of a type.
    Units(Vec<ListedUnit>),
    /// All queued jobs.
    Jobs(Vec<ListedJob>),
    /// All unit files.
    UnitFiles(Vec<ListedFile>),
    /// A property's value.
    Value(Value),
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer came within [`CALL_DEADLINE`].
    #[error("no answer within {} s", CALL_DEADLINE.as_secs())]
    Deadline,
    /// systemd or the bus refused it.
    #[error("{name}: {text}")]
    Refused {
        /// The D-Bus name of the error.
        name: String,
        /// The text of the error.
        text: String,
    },
    /// The answer could not be read.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

// === impl Question ===

impl Question {
    /// The D-Bus method that it calls.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Match(_) => "AddMatch",
            Self::Owner => "GetNameOwner",
            Self::ActivatableNames => "ListActivatableNames",
            Self::Subscribe => "Subscribe",
            Self::Units => "ListUnits",
            Self::UnitsOf(_) => "ListUnitsByPatterns",
            Self::Jobs => "ListJobs",
            Self::UnitFiles => "ListUnitFiles",
            Self::Unit(..) | Self::Manager(_) => "Get",
        }
    }

    /// The message that asks it, for the bus or for systemd's private socket.
    pub(super) fn message(&self, on_bus: bool) -> zbus::Result<Message> {
        let method = self.method();
        match self {
            Self::Match(rule) => bus_call(method).build(rule),
            Self::Owner => bus_call(method).build(&MANAGER_NAME),
            Self::ActivatableNames => bus_call(method).build(&()),
            Self::Subscribe | Self::Units | Self::Jobs | Self::UnitFiles => {
                systemd_call(MANAGER_PATH, MANAGER_INTERFACE, method, on_bus).build(&())
            }
            Self::UnitsOf(unit_type) => {
                let (states, pattern) = ([""; 0], format!("*.{}", unit_type.as_str()));
                systemd_call(MANAGER_PATH, MANAGER_INTERFACE, method, on_bus)
                    .build(&(&states[..], &[pattern.as_str()][..]))
            }
            Self::Unit(unit, property) => {
                systemd_call(&unit.object_path(), PROPERTIES, method, on_bus)
                    .build(&(property.interface(unit.unit_type()), property.name()))
            }
            Self::Manager(property) => systemd_call(MANAGER_PATH, PROPERTIES, method, on_bus)
                .build(&(MANAGER_INTERFACE, property.name())),
        }
    }

    /// Reads the answer from a reply.
    pub(super) fn read(&self, reply: &Message) -> Result<Answer, CallError> {
        if reply.message_type() == message::Type::Error {
            return self.refusal(reply);
        }
        let answer = match self {
            Self::Match(_) | Self::Subscribe => Ok(Answer::Done),
            Self::Owner => decode::owner(reply).map(Answer::Owner),
            Self::ActivatableNames => decode::names(reply).map(Answer::ActivatableNames),
            Self::Units | Self::UnitsOf(_) => decode::units(reply).map(Answer::Units),
            Self::Jobs => decode::jobs(reply).map(Answer::Jobs),
            Self::UnitFiles => decode::unit_files(reply).map(Answer::UnitFiles),
            Self::Unit(_, property) => {
                decode::value(reply, |value| property.take(value)).map(Answer::Value)
            }
            Self::Manager(property) => {
                decode::value(reply, |value| property.take(value)).map(Answer::Value)
            }
        };
        answer.map_err(|error| CallError::Unreadable(error.to_string()))
    }

    fn refusal(&self, reply: &Message) -> Result<Answer, CallError> {
        let name = reply.header().error_name().map(ToString::to_string).unwrap_or_default();
        // systemd keeps its subscribers across a re-execution.
        if *self == Self::Subscribe && name == "org.freedesktop.systemd1.AlreadySubscribed" {
            return Ok(Answer::Done);
        }
        let text = decode::excerpt(reply.body().deserialize().unwrap_or("no text"));
        Err(CallError::Refused { name, text })
    }
}

fn bus_call(method: &'static str) -> message::Builder<'static> {
    Message::method_call(BUS_PATH, method).destination(BUS).interface(BUS)
}

fn systemd_call<'m>(
    path: &'m str,
    interface: &'m str,
    method: &'static str,
    on_bus: bool,
) -> message::Builder<'m> {
    let call = Message::method_call(path, method).interface(interface);
    // On the private socket there are no names.
    if on_bus { call.destination(MANAGER_NAME) } else { call }
}

// === impl Answer ===

impl Answer {
    /// The listed units. Each kind of question has one kind of answer, so there are no others.
    pub fn units(self) -> Vec<ListedUnit> {
        if let Self::Units(units) = self { units } else { Vec::new() }
    }

    /// The value of a property.
    pub fn value(self) -> Value {
        if let Self::Value(value) = self { value } else { Value::Nothing }
    }

    /// The listed jobs.
    pub fn jobs(self) -> Vec<ListedJob> {
        if let Self::Jobs(jobs) = self { jobs } else { Vec::new() }
    }

    /// The listed unit files.
    pub fn unit_files(self) -> Vec<ListedFile> {
        if let Self::UnitFiles(files) = self { files } else { Vec::new() }
    }
}

// === impl CallError ===

impl CallError {
    /// Whether the same call may succeed later: no answer came, the name has no owner, or a resource
    /// ran out. Any other error is final: the object or property does not exist, or access is denied.
    pub fn is_temporary(&self) -> bool {
        const TEMPORARY: [&str; 7] = [
            "org.freedesktop.DBus.Error.NoReply",
            "org.freedesktop.DBus.Error.Timeout",
            "org.freedesktop.DBus.Error.Disconnected",
            "org.freedesktop.DBus.Error.ServiceUnknown",
            "org.freedesktop.DBus.Error.NameHasNoOwner",
            "org.freedesktop.DBus.Error.LimitsExceeded",
            "org.freedesktop.DBus.Error.NoMemory",
        ];
        match self {
            Self::Deadline => true,
            Self::Refused { name, .. } => TEMPORARY.contains(&name.as_str()),
            Self::Unreadable(_) => false,
        }
    }

    /// Whether this version of systemd has no such property.
    pub fn is_unknown_property(&self) -> bool {
        self.name() == "org.freedesktop.DBus.Error.UnknownProperty"
    }

    /// The D-Bus name of the error, or `deadline` or `unreadable`.
    pub fn name(&self) -> &str {
        match self {
            Self::Deadline => "deadline",
            Self::Refused { name, .. } => name,
            Self::Unreadable(_) => "unreadable",
        }
    }
}
