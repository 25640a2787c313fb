//! D-Bus messages taken apart. Every byte is distrusted: what does not fit is an error here, and
//! never a panic or a wrong value.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Deserializer};
use tracing::warn;
use zbus::{Message, ObjectPath, Variant};

use super::{
    event::Event,
    listing::{ListedFile, ListedJob, ListedUnit, MANAGER_INTERFACE, MANAGER_PATH},
    name::{MAX_UNITS, UnitName},
    property::{MAX_WORD, ManagerProperty, UnitProperty, WrongType},
};

const JOB_PATH_PREFIX: &str = "/org/freedesktop/systemd1/job/";
const JOB_INTERFACE: &str = "org.freedesktop.systemd1.Job";

/// The longest message, in bytes, that a signal or a property's value is taken out of. Those of
/// systemd are a few kB; unpacked, a message of the greatest length that D-Bus allows would take
/// fifty times as much.
const MAX_LENGTH: usize = 1 << 20;

/// How much of what cannot be read is shown, in characters.
const EXCERPT: usize = 200;

/// A message does not say what a message of its kind says.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The body is not of the documented type.
    #[error("unexpected body: {0}")]
    Body(#[from] zbus::Error),
    /// A property is not of the documented type.
    #[error(transparent)]
    Property(#[from] WrongType),
    /// What should be a unit's name or path is none; the start of it.
    #[error("{0:?} is not a unit")]
    Unit(String),
    /// What should be a state or a type is far too long for one; the start of it.
    #[error("{0:?} is too long for a word of systemd's")]
    Word(String),
    /// The message is far longer than any of its kind.
    #[error("a message of {0} bytes")]
    Length(usize),
    /// The listing has more rows than systemd keeps units.
    #[error("a listing of {0} rows")]
    Rows(usize),
}

/// A row of `ListUnits`, borrowed from the reply.
#[derive(Deserialize, zbus::Type)]
struct UnitRow<'a> {
    name: &'a str,
    _description: AnyText,
    load_state: &'a str,
    active_state: &'a str,
    sub_state: &'a str,
    _following: &'a str,
    _path: AnyPath,
    _job_id: u32,
    _job_type: &'a str,
    _job_path: AnyPath,
}

/// A row of `ListJobs`, borrowed from the reply.
#[derive(Deserialize, zbus::Type)]
struct JobRow<'a> {
    id: u32,
    unit: &'a str,
    job_type: &'a str,
    state: &'a str,
    _job_path: AnyPath,
    _unit_path: AnyPath,
}

/// A text that is not read: that it is not UTF-8 is no reason to do without the rest.
#[derive(zbus::Type)]
#[zbus(signature = "s")]
struct AnyText;

/// What stands for an object path and is not read, so that it need not be one.
#[derive(zbus::Type)]
#[zbus(signature = "o")]
struct AnyPath;

impl<'de> Deserialize<'de> for AnyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is no text at all shows in what follows.
        let _ = <&str>::deserialize(deserializer);
        Ok(Self)
    }
}

impl<'de> Deserialize<'de> for AnyPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(|_| Self)
    }
}

/// The signals that are made use of.
const SIGNALS: [&str; 9] = [
    "JobNew",
    "JobRemoved",
    "NameOwnerChanged",
    "PropertiesChanged",
    "Reloading",
    "StartupFinished",
    "UnitFilesChanged",
    "UnitNew",
    "UnitRemoved",
];

/// The name of a signal, or `other` for one that is not made use of.
pub(super) fn known_signal(member: &str) -> &'static str {
    SIGNALS.into_iter().find(|known| *known == member).unwrap_or("other")
}

/// Takes the event out of a signal; `None` for a signal that nothing here is made from.
///
/// # Errors
/// [`Malformed`] if the signal is one of systemd's and yet not as systemd sends it.
pub fn signal(message: &Message) -> Result<Option<Event>, Malformed> {
    check_length(message)?;
    let header = message.header();
    let member = header.member().map_or("", |member| member.as_str());
    let path = header.path().map_or("", |path| path.as_str());
    let body = message.body();
    let event = match member {
        "PropertiesChanged" => return properties_changed(message, path),
        "UnitNew" => Event::UnitNew(unit_name(body.deserialize::<(&str, ObjectPath<'_>)>()?.0)?),
        "UnitRemoved" => {
            Event::UnitRemoved(unit_name(body.deserialize::<(&str, ObjectPath<'_>)>()?.0)?)
        }
        "JobNew" => {
            let (id, _, unit) = body.deserialize::<(u32, ObjectPath<'_>, &str)>()?;
            Event::JobNew { id, unit: unit_name(unit)? }
        }
        "JobRemoved" => {
            let (id, _, unit, result) = body.deserialize::<(u32, ObjectPath<'_>, &str, &str)>()?;
            Event::JobRemoved { id, unit: unit_name(unit)?, result: word(result)?.into() }
        }
        "Reloading" => Event::Reloading(body.deserialize()?),
        "StartupFinished" => Event::StartupFinished,
        "UnitFilesChanged" => Event::UnitFilesChanged,
        "NameOwnerChanged" => {
            let (_, _, new) = body.deserialize::<(&str, &str, &str)>()?;
            Event::OwnerChanged { owner: Some(new.to_owned()).filter(|new| !new.is_empty()) }
        }
        _ => return Ok(None),
    };
    Ok(Some(event))
}

fn properties_changed(message: &Message, path: &str) -> Result<Option<Event>, Malformed> {
    let body = message.body();
    // The list of invalidated properties that ends the body is of no use here, and not read.
    let (interface, changed, _): (&str, HashMap<&str, Variant<'_>>, Vec<&str>) =
        body.deserialize()?;
    if path == MANAGER_PATH {
        let Some(value) = changed.get("NFailedUnits").filter(|_| interface == MANAGER_INTERFACE)
        else {
            return Ok(None);
        };
        let failed = ManagerProperty::FailedUnits;
        return Ok(Some(Event::ManagerChanged(vec![(failed, failed.take(value)?)])));
    }
    if let Some(id) = path.strip_prefix(JOB_PATH_PREFIX) {
        let state = changed.get("State").filter(|_| interface == JOB_INTERFACE);
        let (Ok(id), Some(Variant::Str(state))) = (id.parse(), state) else { return Ok(None) };
        return Ok(Some(Event::JobChanged { id, state: word(state)?.into() }));
    }
    let unit = UnitName::from_object_path(path).ok_or_else(|| Malformed::Unit(excerpt(path)))?;
    let mut facts = Vec::with_capacity(8);
    for (name, value) in &changed {
        if let Some(property) = UnitProperty::find(interface, name) {
            facts.push((property, property.take(value)?));
        }
    }
    Ok((!facts.is_empty()).then_some(Event::UnitChanged(unit, facts)))
}

/// Takes the value out of a reply to `Get`.
///
/// # Errors
/// [`Malformed`] if the reply holds no variant, or one of another type than documented.
pub(super) fn value<T>(
    reply: &Message,
    take: impl FnOnce(&Variant<'_>) -> Result<T, WrongType>,
) -> Result<T, Malformed> {
    check_length(reply)?;
    Ok(take(&reply.body().deserialize::<Variant<'_>>()?)?)
}

/// Takes the name out of a reply to `GetNameOwner`.
///
/// # Errors
/// [`Malformed`] if the reply is not a string.
pub(super) fn owner(reply: &Message) -> Result<String, Malformed> {
    Ok(reply.body().deserialize::<&str>()?.to_owned())
}

/// Takes the names out of a reply to `ListActivatableNames`.
///
/// # Errors
/// [`Malformed`] if the reply is of another type.
pub(super) fn names(reply: &Message) -> Result<BTreeSet<Box<str>>, Malformed> {
    check_length(reply)?;
    let body = reply.body();
    let names: Vec<&str> = body.deserialize()?;
    // The longest name that D-Bus allows is as long as systemd's longest word.
    Ok(names.into_iter().filter(|name| name.len() <= MAX_WORD).map(Into::into).collect())
}

/// Takes the rows out of a reply to `ListUnits`.
///
/// # Errors
/// [`Malformed`] if the reply is of another type.
pub(super) fn units(reply: &Message) -> Result<Vec<ListedUnit>, Malformed> {
    let body = reply.body();
    let rows: Vec<UnitRow<'_>> = body.deserialize()?;
    check_rows(&rows)?;
    let listed = |row: UnitRow<'_>| -> Result<ListedUnit, Malformed> {
        Ok(ListedUnit {
            name: unit_name(row.name)?,
            load_state: word(row.load_state)?.into(),
            active_state: word(row.active_state)?.into(),
            sub_state: word(row.sub_state)?.into(),
        })
    };
    Ok(readable(rows.into_iter().map(listed)))
}

/// Takes the rows out of a reply to `ListJobs`.
///
/// # Errors
/// [`Malformed`] if the reply is of another type.
pub(super) fn jobs(reply: &Message) -> Result<Vec<ListedJob>, Malformed> {
    let body = reply.body();
    let rows: Vec<JobRow<'_>> = body.deserialize()?;
    check_rows(&rows)?;
    let listed = |row: JobRow<'_>| {
        let unit = unit_name(row.unit)?;
        let (job_type, state) = (word(row.job_type)?.into(), word(row.state)?.into());
        Ok(ListedJob { id: row.id, unit, job_type, state })
    };
    Ok(readable(rows.into_iter().map(listed)))
}

/// The rows that can be read: one that cannot is no reason to know of none.
fn readable<T>(rows: impl Iterator<Item = Result<T, Malformed>>) -> Vec<T> {
    let (listed, odd): (Vec<_>, Vec<_>) = rows.partition(Result::is_ok);
    if let Some(Err(error)) = odd.first() {
        warn!(%error, rows = odd.len(), "left out of the listing");
    }
    listed.into_iter().flatten().collect()
}

/// Takes the rows out of a reply to `ListUnitFiles`.
///
/// # Errors
/// [`Malformed`] if the reply is of another type.
pub(super) fn unit_files(reply: &Message) -> Result<Vec<ListedFile>, Malformed> {
    let body = reply.body();
    let rows: Vec<(&str, &str)> = body.deserialize()?;
    check_rows(&rows)?;
    let listed = |(path, state): (&str, &str)| {
        let (_, file) = path.rsplit_once('/')?;
        Some(ListedFile { name: UnitName::new(file)?, state: word(state).ok()?.into() })
    };
    Ok(rows.into_iter().filter_map(listed).collect())
}

fn check_length(message: &Message) -> Result<(), Malformed> {
    let length = message.data().len();
    if length > MAX_LENGTH { Err(Malformed::Length(length)) } else { Ok(()) }
}

fn check_rows<T>(rows: &[T]) -> Result<(), Malformed> {
    if rows.len() > MAX_UNITS { Err(Malformed::Rows(rows.len())) } else { Ok(()) }
}

fn unit_name(name: &str) -> Result<UnitName, Malformed> {
    UnitName::new(name).ok_or_else(|| Malformed::Unit(excerpt(name)))
}

fn word(word: &str) -> Result<&str, Malformed> {
    if word.len() > MAX_WORD { Err(Malformed::Word(excerpt(word))) } else { Ok(word) }
}

/// The start of a text that may be of any length.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}
