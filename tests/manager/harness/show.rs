//! The output of `systemctl show`, with its dates and time spans parsed into microseconds.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

use super::Machine;

/// The properties of one unit or of the manager.
pub type Properties = BTreeMap<String, String>;

/// The properties that the oracle compares.
const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,ActiveEnterTimestamp,\
    ActiveEnterTimestampMonotonic,ActiveExitTimestampMonotonic,InactiveExitTimestampMonotonic,\
    ActiveExitTimestamp,InactiveEnterTimestamp,InactiveExitTimestamp,Type,NRestarts,TasksMax,\
    Job,Result,ExecMainExitTimestamp,ExecMainCode,ExecMainStatus,LoadError,FreezerState,NeedDaemonReload,\
    IPAccounting,IPIngressBytes,IPEgressBytes,IPIngressPackets,IPEgressPackets,Accept,NAccepted,\
    NConnections,NRefused,WatchdogUSec,WatchdogTimestamp,LastTriggerUSec,Unit,TimersMonotonic,TimersCalendar,NextElapseUSecRealtime,NextElapseUSecMonotonic";

/// All units in memory by name.
pub fn units(machine: &Machine) -> BTreeMap<String, Properties> {
    all(machine, PROPERTIES)
}

/// All units in memory by name, with these properties.
pub fn all(machine: &Machine, names: &str) -> BTreeMap<String, Properties> {
    let text = machine.must(&["show", "--all", "--timestamp=us+utc", "--property", names, "*"]);
    let units = text.split("\n\n").map(properties).filter(|unit| !unit.is_empty());
    units.map(|unit| (unit["Id"].clone(), unit)).collect()
}

/// The properties of the manager.
pub fn manager(machine: &Machine) -> Properties {
    properties(&machine.must(&["show", "--timestamp=us+utc"]))
}

/// Parses the properties of one unit.
pub fn properties(text: &str) -> Properties {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut properties = Properties::new();
    for (name, value) in pairs {
        // A list is printed as several lines with the same name.
        let values = properties.entry(name.to_owned()).or_default();
        values.push_str(value);
    }
    properties
}

/// A number; `None` if the property is unset or infinite.
pub fn number(unit: &Properties, property: &str) -> Option<f64> {
    match unit.get(property)?.as_str() {
        "" | "infinity" | "[not set]" | "[no data]" | "18446744073709551615" => None,
        number => Some(number.parse().unwrap_or_else(|_| panic!("{property}={number}"))),
    }
}

/// A timestamp in microseconds since the epoch; `None` if it is unset.
pub fn time(unit: &Properties, property: &str) -> Option<f64> {
    // "Sun 2026-11-22 19:10:39.123456 UTC"
    let words: Vec<_> = unit.get(property)?.split(' ').collect();
    let &[_, date, clock, "UTC"] = words.as_slice() else { return None };
    let date: Vec<i64> = date.split('-').map(|part| part.parse().unwrap()).collect();
    let clock: Vec<f64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    let seconds = days(date[0], date[1], date[2]) * 86_400;
    let seconds = seconds as f64 + clock[0] * 3_600.0 + clock[1] * 60.0 + clock[2];
    Some((seconds * 1e6).round())
}

/// Days from the epoch to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that a leap day is the last day of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Now, in microseconds since the epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e6
}

/// The wall clock minus the monotonic clock, in microseconds.
pub fn monotonic_offset() -> f64 {
    let monotonic = clock_gettime(ClockId::Monotonic);
    now() - (monotonic.tv_sec as f64 * 1e6 + monotonic.tv_nsec as f64 / 1e3)
}

/// A time span in microseconds; `None` if it is unset or infinite.
pub fn span(unit: &Properties, property: &str) -> Option<f64> {
    let text = unit.get(property)?.as_str();
    (!matches!(text, "" | "0" | "infinity")).then(|| microseconds(text))
}

/// Reads a span such as `1h 2min 3.5s`.
pub fn microseconds(text: &str) -> f64 {
    let units = [
        ("month", 2_629_800e6),
        ("min", 60e6),
        ("ms", 1e3),
        ("us", 1.0),
        ("y", 31_557_600e6),
        ("w", 604_800e6),
        ("d", 86_400e6),
        ("h", 3_600e6),
        ("s", 1e6),
    ];
    let part = |word: &str| {
        let found =
            units.iter().find_map(|(unit, length)| Some((word.strip_suffix(unit)?, length)));
        let (count, length) = found.unwrap_or_else(|| panic!("{text:?} is not a time span"));
        count.parse::<f64>().unwrap() * length
    };
    text.split(' ').map(part).sum()
}
