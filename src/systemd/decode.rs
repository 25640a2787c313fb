//! Decodes D-Bus messages. Input is not trusted: what does not fit is an error, never a panic or a
//! wrong value.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Deserializer};
use tracing::warn;
use zbus::{Message, ObjectPath, Variant};

use super::{
    event::Event,
    listing::{ListedFile, ListedJob, ListedUnit, MANAGER_INTERFACE, MANAGER_PATH},
    name::{MAX_UNITS, UnitName},
    property::{MAX_UNIT_TEXT, ManagerProperty, UnitProperty, WrongType},
};

const JOB_PATH_PREFIX: &str = "/org/freedesktop/systemd1/job/";
const JOB_INTERFACE: &str = "org.freedesktop.systemd1.Job";

/// The longest message, in bytes, from which a signal or a property's value is decoded. systemd's
/// are a few kB. D-Bus allows 128 MiB, which would take fifty times as much memory once decoded.
const MAX_LENGTH: usize = 1 << 20;

/// The length of an excerpt in an error, in characters.
const EXCERPT: usize = 200;

/// A message is not as D-Bus or systemd documents it.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The body is not of the documented type.
    #[error("unexpected body: {0}")]
    Body(#[from] zbus::Error),
    /// A property is not of the documented type.
    #[error(transparent)]
    Property(#[from] WrongType),
    /// A unit's name or path is invalid; an excerpt of it.
    #[error("{0:?} is not a unit")]
    Unit(String),
    /// A state, type or result is too long; an excerpt of it.
    #[error("{0:?} is too long for a state, type or result")]
    Text(String),
    /// The message is too long.
    #[error("a message of {0} bytes is too long")]
    Length(usize),
    /// The listing has more rows than systemd can have units.
    #[error("a listing of {0} rows is too long")]
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

/// A text that is not used, and so need not be UTF-8: a unit's description.
#[derive(zbus::Type)]
#[zbus(signature = "s")]
struct AnyText;

/// An object path that is not used, and so need not be valid.
#[derive(zbus::Type)]
#[zbus(signature = "o")]
struct AnyPath;

impl<'de> Deserialize<'de> for AnyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // If it is not a text at all, the fields after it cannot be read.
        let _ = <&str>::deserialize(deserializer);
        Ok(Self)
    }
}

impl<'de> Deserialize<'de> for AnyPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(|_| Self)
    }
}

/// The signals that are used.
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

/// The name of a signal, or `other` if it is not used.
pub(super) fn known_signal(member: &str) -> &'static str {
    SIGNALS.into_iter().find(|known| *known == member).unwrap_or("other")
}

/// Decodes a signal; `None` if it is not used.
///
/// # Errors
/// [`Malformed`] if it is not as systemd sends it.
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
            Event::JobRemoved { id, unit: unit_name(unit)?, result: bounded(result)?.into() }
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
    // The list of invalidated properties at the end of the body is not used.
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
        return Ok(Some(Event::JobChanged { id, state: bounded(state)?.into() }));
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

/// Decodes a reply to `Get`.
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

/// Decodes a reply to `GetNameOwner`.
///
/// # Errors
/// [`Malformed`] if the reply is not a string.
pub(super) fn owner(reply: &Message) -> Result<String, Malformed> {
    Ok(reply.body().deserialize::<&str>()?.to_owned())
}

/// Decodes a reply to `ListActivatableNames`.
///
/// # Errors
/// [`Malformed`] if the reply is of another type.
pub(super) fn names(reply: &Message) -> Result<BTreeSet<Box<str>>, Malformed> {
    check_length(reply)?;
    let body = reply.body();
    let names: Vec<&str> = body.deserialize()?;
    // D-Bus allows names of up to 255 bytes.
    Ok(names.into_iter().filter(|name| name.len() <= MAX_UNIT_TEXT).map(Into::into).collect())
}

/// Decodes a reply to `ListUnits`.
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
            load_state: bounded(row.load_state)?.into(),
            active_state: bounded(row.active_state)?.into(),
            sub_state: bounded(row.sub_state)?.into(),
        })
    };
    Ok(readable(rows.into_iter().map(listed)))
}

/// Decodes a reply to `ListJobs`.
///
/// # Errors
/// [`Malformed`] if the reply is of another type.
pub(super) fn jobs(reply: &Message) -> Result<Vec<ListedJob>, Malformed> {
    let body = reply.body();
    let rows: Vec<JobRow<'_>> = body.deserialize()?;
    check_rows(&rows)?;
    let listed = |row: JobRow<'_>| {
        let unit = unit_name(row.unit)?;
        let (job_type, state) = (bounded(row.job_type)?.into(), bounded(row.state)?.into());
        Ok(ListedJob { id: row.id, unit, job_type, state })
    };
    Ok(readable(rows.into_iter().map(listed)))
}

/// The valid rows; the others are logged and left out.
fn readable<T>(rows: impl Iterator<Item = Result<T, Malformed>>) -> Vec<T> {
    let (listed, odd): (Vec<_>, Vec<_>) = rows.partition(Result::is_ok);
    if let Some(Err(error)) = odd.first() {
        warn!(%error, rows = odd.len(), "left invalid rows out of a listing");
    }
    listed.into_iter().flatten().collect()
}

/// Decodes a reply to `ListUnitFiles`.
///
/// # Errors
/// [`Malformed`] if the reply is of another type.
pub(super) fn unit_files(reply: &Message) -> Result<Vec<ListedFile>, Malformed> {
    let body = reply.body();
    let rows: Vec<(&str, &str)> = body.deserialize()?;
    check_rows(&rows)?;
    let listed = |(path, state): (&str, &str)| {
        let (_, file) = path.rsplit_once('/')?;
        Some(ListedFile { name: UnitName::new(file)?, state: bounded(state).ok()?.into() })
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

fn bounded(text: &str) -> Result<&str, Malformed> {
    if text.len() > MAX_UNIT_TEXT { Err(Malformed::Text(excerpt(text))) } else { Ok(text) }
}

/// The start of a text of any length.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use zbus::DynamicType;

    use super::*;
    use crate::systemd::property::Value;

    const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
    const UNIT_PATH: &str = "/org/freedesktop/systemd1/unit/a_2eservice";

    fn sent(member: &str, body: &(impl Serialize + DynamicType)) -> Message {
        Message::signal(MANAGER_PATH, MANAGER_INTERFACE, member).build(body).unwrap()
    }

    fn changed(path: &str, interface: &str, changed: &[(&str, Variant<'_>)]) -> Message {
        let changed: HashMap<_, _> = changed.iter().map(|(name, value)| (*name, value)).collect();
        let signal = Message::signal(path, PROPERTIES, "PropertiesChanged");
        signal.build(&(interface, changed, Vec::<&str>::new())).unwrap()
    }

    fn reply(body: &(impl Serialize + DynamicType)) -> Message {
        let call = Message::method_call("/", "Get").build(&()).unwrap();
        Message::method_return(&call.header()).build(body).unwrap()
    }

    fn path(path: &str) -> ObjectPath<'_> {
        ObjectPath::try_from(path).unwrap()
    }

    fn name(name: &str) -> UnitName {
        UnitName::new(name).unwrap()
    }

    #[test]
    fn each_signal_becomes_its_event() {
        let (root, unit) = (path("/"), name("a.service"));
        let job_removed = (7_u32, &root, "a.service", "failed");
        let owner = |new| ("org.freedesktop.systemd1", ":1.1", new);
        for (message, event) in [
            (sent("UnitNew", &("a.service", &root)), Event::UnitNew(unit.clone())),
            (sent("UnitRemoved", &("a.service", &root)), Event::UnitRemoved(unit.clone())),
            (
                sent("JobNew", &(7_u32, &root, "a.service")),
                Event::JobNew { id: 7, unit: unit.clone() },
            ),
            (
                sent("JobRemoved", &job_removed),
                Event::JobRemoved { id: 7, unit, result: "failed".into() },
            ),
            (sent("Reloading", &true), Event::Reloading(true)),
            (sent("StartupFinished", &()), Event::StartupFinished),
            (sent("UnitFilesChanged", &()), Event::UnitFilesChanged),
            (
                sent("NameOwnerChanged", &owner(":1.2")),
                Event::OwnerChanged { owner: Some(":1.2".to_owned()) },
            ),
            (sent("NameOwnerChanged", &owner("")), Event::OwnerChanged { owner: None }),
        ] {
            assert_eq!(signal(&message).unwrap(), Some(event));
        }
        assert_eq!(signal(&sent("Chatter", &())).unwrap(), None);
    }

    #[test]
    fn a_signal_with_an_invalid_unit_is_malformed() {
        let root = path("/");
        for message in [
            sent("UnitNew", &("no unit", &root)),
            sent("UnitRemoved", &("no unit", &root)),
            sent("JobNew", &(7_u32, &root, "no unit")),
            sent("JobRemoved", &(7_u32, &root, "no unit", "done")),
        ] {
            let error = signal(&message).unwrap_err();
            assert!(matches!(&error, Malformed::Unit(unit) if unit == "no unit"), "{error}");
        }
        let body = signal(&sent("UnitNew", &7_u32)).unwrap_err();
        assert!(matches!(body, Malformed::Body(_)), "{body}");
    }

    #[test]
    fn only_the_signals_in_use_keep_their_names() {
        assert!(SIGNALS.iter().all(|known| known_signal(known) == *known));
        assert_eq!(known_signal("Chatter"), "other");
    }

    #[test]
    fn a_change_of_a_unit_is_read_by_interface() {
        let of_unit = "org.freedesktop.systemd1.Unit";
        let values = [("ActiveState", Variant::from("failed")), ("Unread", Variant::from(7_u32))];
        let facts = vec![(UnitProperty::ActiveState, Value::Text("failed".into()))];
        let event = Event::UnitChanged(name("a.service"), facts);
        assert_eq!(signal(&changed(UNIT_PATH, of_unit, &values)).unwrap(), Some(event));
        let of_mount = "org.freedesktop.systemd1.Mount";
        assert_eq!(signal(&changed(UNIT_PATH, of_mount, &values)).unwrap(), None);
        let wrong = signal(&changed(UNIT_PATH, of_unit, &[("ActiveState", Variant::from(7_u32))]));
        assert!(matches!(wrong, Err(Malformed::Property(_))), "{wrong:?}");
        let wrong = signal(&changed("/org/example", of_unit, &values));
        assert!(matches!(wrong, Err(Malformed::Unit(_))), "{wrong:?}");
    }

    #[test]
    fn of_the_manager_only_the_number_of_failed_units_is_read_from_signals() {
        let failed = [("NFailedUnits", Variant::from(3_u32)), ("NNames", Variant::from(9_u32))];
        let event = Event::ManagerChanged(vec![(ManagerProperty::FailedUnits, Value::Number(3))]);
        let of = |interface, values: &[_]| signal(&changed(MANAGER_PATH, interface, values));
        assert_eq!(of(MANAGER_INTERFACE, &failed).unwrap(), Some(event));
        assert_eq!(of(MANAGER_INTERFACE, &failed[1..]).unwrap(), None);
        assert_eq!(of("org.example.Other", &failed).unwrap(), None);
        assert!(of(MANAGER_INTERFACE, &[("NFailedUnits", Variant::from("3"))]).is_err());
    }

    #[test]
    fn of_a_job_only_the_state_is_read_from_signals() {
        let state = [("State", Variant::from("running"))];
        let of = |at: &str, interface, values: &[_]| {
            let path = format!("{JOB_PATH_PREFIX}{at}");
            signal(&changed(&path, interface, values))
        };
        let event = Event::JobChanged { id: 7, state: "running".into() };
        assert_eq!(of("7", JOB_INTERFACE, &state).unwrap(), Some(event));
        assert_eq!(of("7", "org.example.Other", &state).unwrap(), None);
        assert_eq!(of("7", JOB_INTERFACE, &[("State", Variant::from(7_u32))]).unwrap(), None);
        assert_eq!(of("x", JOB_INTERFACE, &state).unwrap(), None);
        let long = [("State", Variant::from("x".repeat(MAX_UNIT_TEXT + 1)))];
        assert!(matches!(of("7", JOB_INTERFACE, &long), Err(Malformed::Text(_))));
    }

    #[test]
    fn a_value_and_an_owner_are_taken_from_their_replies() {
        let take = |reply: &Message| value(reply, |it| UnitProperty::Restarts.take(it));
        assert_eq!(take(&reply(&Variant::from(7_u32))).unwrap(), Value::Number(7));
        assert!(matches!(take(&reply(&Variant::from("7"))), Err(Malformed::Property(_))));
        assert!(matches!(take(&reply(&7_u32)), Err(Malformed::Body(_))));
        assert_eq!(owner(&reply(&":1.7")).unwrap(), ":1.7");
        assert!(owner(&reply(&7_u32)).is_err());
    }

    /// 255 bytes are the longest name that D-Bus allows.
    #[test]
    fn activatable_names_of_more_than_255_bytes_are_left_out() {
        let (longest, long) = ("x".repeat(255), "x".repeat(256));
        let taken = names(&reply(&vec![longest.as_str(), long.as_str(), "a.b"])).unwrap();
        assert_eq!(taken, BTreeSet::from([longest.into(), "a.b".into()]));
    }

    #[test]
    fn a_message_of_more_than_a_megabyte_is_not_unpacked() {
        let with = |length: usize| reply(&Variant::from("x".repeat(length)));
        let overhead = with(0).data().len();
        let (longest, long) = (with(MAX_LENGTH - overhead), with(MAX_LENGTH - overhead + 1));
        assert_eq!(longest.data().len(), MAX_LENGTH);
        assert!(value(&longest, |_| Ok(())).is_ok());
        for error in [value(&long, |_| Ok(())).unwrap_err(), signal(&long).unwrap_err()] {
            assert!(matches!(error, Malformed::Length(length) if length == MAX_LENGTH + 1));
        }
        assert!(matches!(names(&long), Err(Malformed::Length(_))));
    }

    #[test]
    fn a_listed_unit_that_cannot_be_read_hides_no_other() {
        let long = "x".repeat(MAX_UNIT_TEXT + 1);
        let row = |name, sub| {
            (name, "", "loaded", "active", sub, "", path("/"), 7_u32, "start", path("/"))
        };
        let rows = [row("a.service", "running"), row("no unit", "dead"), row("b.service", &long)];
        let listed = units(&reply(&rows.to_vec())).unwrap();
        let unit = ListedUnit {
            name: name("a.service"),
            load_state: "loaded".into(),
            active_state: "active".into(),
            sub_state: "running".into(),
        };
        assert_eq!(listed, [unit]);
        assert!(units(&reply(&"none")).is_err());
    }

    #[test]
    fn a_listed_job_that_cannot_be_read_hides_no_other() {
        let row = |id: u32, unit| (id, unit, "start", "waiting", path("/"), path("/"));
        let listed = jobs(&reply(&vec![row(1, "no unit"), row(2, "a.service")])).unwrap();
        let (job_type, state) = ("start".into(), "waiting".into());
        assert_eq!(listed, [ListedJob { id: 2, unit: name("a.service"), job_type, state }]);
        assert!(jobs(&reply(&"none")).is_err());
    }

    #[test]
    fn a_listed_file_is_named_by_the_end_of_its_path() {
        let long = "x".repeat(MAX_UNIT_TEXT + 1);
        let rows = vec![
            ("/etc/systemd/system/a.service", "enabled"),
            ("b.service", "enabled"),
            ("/etc/c", "enabled"),
            ("/etc/d.service", &long),
        ];
        let file = ListedFile { name: name("a.service"), state: "enabled".into() };
        assert_eq!(unit_files(&reply(&rows)).unwrap(), [file]);
        assert!(unit_files(&reply(&"none")).is_err());
    }

    #[test]
    fn a_listing_has_at_most_as_many_rows_as_systemd_has_units() {
        assert!(check_rows(&[(); MAX_UNITS]).is_ok());
        let error = check_rows(&[(); MAX_UNITS + 1]).unwrap_err();
        assert_eq!(error.to_string(), "a listing of 131073 rows is too long");
    }

    #[test]
    fn a_state_has_at_most_255_bytes_and_an_excerpt_200_characters() {
        assert!(bounded(&"x".repeat(255)).is_ok());
        let error = bounded(&"é".repeat(300)).unwrap_err();
        assert!(matches!(error, Malformed::Text(start) if start == "é".repeat(200)));
    }
}
