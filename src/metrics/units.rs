//! What every unit has, whatever its type.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::{self, Write as _},
    str::FromStr,
    sync::LazyLock,
};

use prometheus_client::encoding::{
    EncodeCounterValue, EncodeGaugeValue, EncodeLabel as _, EncodeLabelKey, LabelKeyEncoder,
    LabelSetEncoder,
};

use super::{
    family::{Exposition, FamilyOf, Labels, families},
    rollups::Members,
    seconds,
};
use crate::{
    cgroup::resources::Resources,
    clock::Usec,
    inventory::{
        counters::Counters,
        snapshot::Snapshot,
        unit::{Details, Unit},
        wanted_inactive::InactiveReason,
    },
    systemd::{
        name::UnitName,
        state::{ActiveState, FileState, LoadState},
    },
};

families! {
    [UnitState]
    STATE: Gauge "systemd_unit_state" ["name", "type", "state"]
        "1 for the unit's ActiveState, 0 for the other usual ones, which --systemd.collector.unit-state=current leaves out; a state outside the usual five has a series while it lasts. Absent for an inactive unit that is not loaded, for example because its file is gone.";
    [UnitInfo]
    UNIT_INFO: Gauge "systemd_unit_info" ["name", "type", "mount_type", "service_type"]
        "Always 1, with the Type of a service or the file system of a mount; absent for other units.";
    [UnitTimes]
    ACTIVE_ENTER: Gauge "systemd_unit_active_enter_time_seconds" ["name", "type"]
        "Unix time at which the unit last became active; from ActiveEnterTimestamp, absent if it never did.";
    ACTIVE_EXIT: Gauge "systemd_unit_active_exit_time_seconds" ["name", "type"]
        "Unix time at which the unit last ceased to be active; from ActiveExitTimestamp, absent if it never did.";
    INACTIVE_ENTER: Gauge "systemd_unit_inactive_enter_time_seconds" ["name", "type"]
        "Unix time at which the unit last became inactive or failed; from InactiveEnterTimestamp, absent if it never did.";
    INACTIVE_EXIT: Gauge "systemd_unit_inactive_exit_time_seconds" ["name", "type"]
        "Unix time at which the unit last left the inactive or failed state; from InactiveExitTimestamp, absent if it never did.";
    START_DURATION: Gauge "systemd_unit_start_duration_seconds" ["name", "type"]
        "Time that the unit's last start took, until it was active; from ActiveEnterTimestampMonotonic and InactiveExitTimestampMonotonic, which a step of the clock does not change. Absent if it never was active, while the last start has not got there, and for one that did not start from rest, as with RestartMode=direct.";
    [UnitSubState]
    SUB_STATE: Gauge "systemd_unit_sub_state" ["name", "type", "sub"]
        "Always 1, with the unit's state in the words of its type, such as running, listening or mounted; from SubState, absent unless --collector.unit-sub-state is on.";
    [UnitProblems]
    LOAD_ERROR: Gauge "systemd_unit_load_error" ["name", "type", "load_state", "error"]
        "Always 1, for a unit that has a file and that systemd could not load, with the name of the D-Bus error; from LoadState and LoadError, absent for a unit that is loaded, masked or not found.";
    [UnitFileState]
    FILE_STATE: Gauge "systemd_unit_file_state" ["name", "type", "state"]
        "Always 1, with the state of the unit's file, such as enabled, static or masked, also for a unit that is not in memory; from ListUnitFiles, absent unless --collector.unit-file-state is on.";
    [UnitProblems]
    WANTED_INACTIVE: Gauge "systemd_unit_wanted_inactive" ["name", "type", "reason"]
        "Always 1, for an inactive unit that an active unit wants, requires or upholds; reason is never_started if it has not run since systemd started, stopped otherwise (WantedBy, RequiredBy, UpheldBy, InactiveExitTimestamp). Absent for units with a job and for those that are inactive by design, such as a finished oneshot or one with an active trigger; the README lists them. Up to one reconcile interval late.";
    NEED_DAEMON_RELOAD: Gauge "systemd_unit_need_daemon_reload" ["name", "type"]
        "Always 1, for a unit whose files on disk have changed since systemd loaded them; from NeedDaemonReload, absent for other units. systemd does not signal it, so it is up to one reconcile interval late, and one more for every 300 units.";
    FROZEN: Gauge "systemd_unit_frozen" ["name", "type"]
        "Always 1, for a unit whose processes are frozen, by systemctl freeze or with the slice that it is in; from FreezerState (since systemd 246), absent for other units. Its ActiveState does not show it. systemd signals it since version 256; before, it is up to one reconcile interval late.";
}

/// Which series tell the state of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateSeries {
    /// One for each of the usual states, and for another while it lasts.
    #[default]
    Stateset,
    /// One, for the state that it is in.
    Current,
}

/// A word that names no such choice.
#[derive(Debug, thiserror::Error)]
#[error("must be stateset or current")]
pub struct UnknownStateSeries;

/// A unit, or several that are told of as one, there or gone, and the labels `name` and `type`, written out once for all its samples.
pub(super) struct Row<'a> {
    /// The unit, if it is there and visible: any other has no state or time series.
    pub(super) unit: Option<&'a Unit>,
    /// The unit, if it is there and failed to load.
    unloadable: Option<&'a Unit>,
    /// The state of its file, where that is wanted.
    file: Option<&'a FileState>,
    /// Why it does not run, if it should.
    wanted_inactive: Option<InactiveReason>,
    /// It is a timer that is active and will not elapse again.
    pub(super) is_stuck: bool,
    /// The units that are told of as one here, if it is no single unit.
    pub(super) members: Option<Members<'a>>,
    /// What it uses, if it has a control group.
    pub(super) resources: Option<Cow<'a, Resources>>,
    /// What has happened to it.
    pub(super) counters: &'a Counters,
    /// The label `name`.
    pub(super) name: &'a str,
    /// The label `type`.
    pub(super) unit_type: &'a str,
    /// `name="…",type="…",`: escaped, and all that comes before a third label.
    written: String,
    /// Where in it the name of the label `type` ends.
    last: usize,
}

/// What has happened to a unit that never was there.
static NO_COUNTERS: LazyLock<Counters> = LazyLock::new(Counters::default);

/// Labels that are written out already, and the name of the one that follows if they do not end
/// in it.
struct Rendered<'a>(&'a str, Option<&'a str>);

/// The units of a snapshot that have anything to tell: those that are told of as one first, because
/// each of these rows stands for many, then those that are visible.
pub(super) fn rows<'a>(
    snapshot: &'a Snapshot,
    resources: &'a HashMap<UnitName, Resources>,
) -> Vec<Row<'a>> {
    let visible = snapshot.units.iter().filter(|unit| unit.is_visible());
    let others = snapshot.units.iter().filter(|unit| !unit.is_visible());
    let rows = visible.map(|unit| Row {
        unit: Some(unit),
        unloadable: unloadable(unit),
        is_stuck: snapshot.stuck_timers.contains(&unit.name),
        resources: resources.get(&unit.name).map(Cow::Borrowed),
        ..Row::new(&unit.name, &unit.counters)
    });
    let rollups = snapshot.rollups.iter();
    let rollups = rollups.filter(|sum| sum.visible().next().is_some() || !sum.counters.is_empty());
    let rollups = rollups.map(|sum| Row {
        members: Some(Members::of(sum)),
        resources: Members::resources(sum, resources).map(Cow::Owned),
        ..Row::named(sum.name.as_str(), sum.name.suffix(), &sum.counters)
    });
    let others = others.filter_map(|unit| {
        let unloadable = unloadable(unit);
        let told = unloadable.is_some() || !unit.counters.is_empty();
        told.then(|| Row { unloadable, ..Row::new(&unit.name, &unit.counters) })
    });
    let gone = snapshot.gone.iter().map(|(name, counters)| Row::new(name, counters));
    let mut rows: Vec<_> = rollups.chain(rows).chain(others).chain(gone).collect();
    if !snapshot.wanted_inactive.is_empty() {
        let reasons = snapshot.wanted_inactive.iter();
        let reasons: HashMap<_, _> = reasons.map(|(name, why)| (name.as_str(), *why)).collect();
        for row in &mut rows {
            row.wanted_inactive = reasons.get(row.name).copied();
        }
    }
    if snapshot.files.is_empty() {
        return rows;
    }
    let mut files: HashMap<_, _> =
        snapshot.files.iter().map(|file| (file.name.as_str(), &file.state)).collect();
    for row in &mut rows {
        row.file = files.remove(row.name);
    }
    // Of these nothing but the file is there.
    let others = snapshot.files.iter().filter(|file| files.contains_key(file.name.as_str()));
    let others = others.map(|file| (&file.name, Some(&file.state)));
    rows.extend(others.map(|(name, file)| Row { file, ..Row::new(name, &NO_COUNTERS) }));
    rows
}

/// The unit, if it failed to load.
fn unloadable(unit: &Unit) -> Option<&Unit> {
    Some(unit).filter(|unit| matches!(unit.load_state, LoadState::Error | LoadState::BadSetting))
}

/// The rows of visible units.
fn visible<'r, 'a>(rows: &'r [Row<'a>]) -> impl Iterator<Item = (&'r Row<'a>, &'a Unit)> {
    rows.iter().filter_map(|row| Some((row, row.unit?)))
}

pub(super) fn encode(
    rows: &[Row<'_>],
    states: StateSeries,
    out: &mut Exposition<'_>,
) -> fmt::Result {
    let mut samples = out.family(&STATE);
    for (row, unit) in visible(rows) {
        let current = &unit.active_state;
        let usual = if states == StateSeries::Stateset { ActiveState::USUAL } else { &[] };
        for state in usual {
            samples.add((row, [state.as_str()]), u64::from(state == current))?;
        }
        if !usual.contains(current) {
            samples.add((row, [current.as_str()]), 1_u64)?;
        }
    }
    let mut samples = out.family(&UNIT_INFO);
    for (row, unit) in visible(rows) {
        let types = match &unit.details {
            Details::Mount(mount) => mount.mount_type.as_deref().map(|of| [of, ""]),
            Details::Service(service) => service.service_type.as_deref().map(|of| ["", of]),
            Details::Socket(_) | Details::Timer(_) | Details::Plain => None,
        };
        if let Some(types) = types {
            samples.add((row, types), 1_u64)?;
        }
    }
    let time = |of: fn(&Unit) -> Option<Usec>| move |unit: &Unit| of(unit).map(seconds);
    each(rows, out, &ACTIVE_ENTER, time(|unit| unit.active_enter))?;
    each(rows, out, &ACTIVE_EXIT, time(|unit| unit.active_exit))?;
    each(rows, out, &INACTIVE_ENTER, time(|unit| unit.inactive_enter))?;
    each(rows, out, &INACTIVE_EXIT, time(|unit| unit.inactive_exit))?;
    each(rows, out, &START_DURATION, start_duration)?;
    let mut samples = out.family(&SUB_STATE);
    for (row, unit) in visible(rows) {
        samples.add((row, [&*unit.sub_state]), 1_u64)?;
    }
    let mut samples = out.family(&LOAD_ERROR);
    for row in rows {
        if let Some(unit) = row.unloadable {
            let error = unit.load_error.as_deref().unwrap_or_default();
            samples.add((row, [unit.load_state.as_str(), error]), 1_u64)?;
        }
    }
    let mut samples = out.family(&FILE_STATE);
    for (row, state) in rows.iter().filter_map(|row| Some((row, row.file?))) {
        samples.add((row, [state.as_str()]), 1_u64)?;
    }
    let mut samples = out.family(&WANTED_INACTIVE);
    for (row, reason) in rows.iter().filter_map(|row| Some((row, row.wanted_inactive?))) {
        samples.add((row, [reason.as_str()]), 1_u64)?;
    }
    each(rows, out, &NEED_DAEMON_RELOAD, |unit| unit.need_daemon_reload.then_some(1_u64))?;
    each(rows, out, &FROZEN, |unit| is_frozen(unit).then_some(1_u64))
}

/// Whether processes of it are frozen. systemd leaves `frozen` in place for a unit that has been
/// killed since (version 262).
fn is_frozen(unit: &Unit) -> bool {
    unit.is_frozen && !unit.active_state.is_at_rest()
}

/// How long the last start took, from rest until the unit was active.
fn start_duration(unit: &Unit) -> Option<f64> {
    let (left, active) = (unit.inactive_exit_monotonic?, unit.active_enter_monotonic?);
    // One that ceased to be active since it was last at rest was started again without a rest.
    let from_rest = unit.active_exit_monotonic.is_none_or(|exit| exit <= left || exit >= active);
    active.get().checked_sub(left.get()).filter(|_| from_rest).map(seconds)
}

/// Writes a family with a sample for each unit that has a value.
pub(super) fn each<V>(
    rows: &[Row<'_>],
    out: &mut Exposition<'_>,
    family: &'static FamilyOf<2>,
    value: impl Fn(&Unit) -> Option<V>,
) -> fmt::Result
where
    V: EncodeGaugeValue + EncodeCounterValue,
{
    let mut samples = out.family(family);
    visible(rows).try_for_each(|(row, unit)| samples.add_known(row, value(unit)))
}

// === impl StateSeries ===

impl FromStr for StateSeries {
    type Err = UnknownStateSeries;

    fn from_str(word: &str) -> Result<Self, UnknownStateSeries> {
        match word {
            "stateset" => Ok(Self::Stateset),
            "current" => Ok(Self::Current),
            _ => Err(UnknownStateSeries),
        }
    }
}

// === impl Row ===

impl<'a> Row<'a> {
    fn new(name: &'a UnitName, counters: &'a Counters) -> Self {
        Self::named(name.as_str(), name.suffix(), counters)
    }

    fn named(name: &'a str, unit_type: &'a str, counters: &'a Counters) -> Self {
        let mut written = String::with_capacity(2 * name.len() + 32);
        written.push_str("name=\"");
        escape(name, &mut written);
        written.push_str("\",type");
        let last = written.len();
        written.push_str("=\"");
        escape(unit_type, &mut written);
        written.push_str("\",");
        Self {
            unit: None,
            unloadable: None,
            is_stuck: false,
            file: None,
            wanted_inactive: None,
            members: None,
            resources: None,
            counters,
            name,
            unit_type,
            written,
            last,
        }
    }

    /// Whether the unit is visible, or something has happened to it: of others only a file is there.
    pub(super) fn has_existed(&self) -> bool {
        self.unit.is_some() || self.members.is_some() || !self.counters.is_empty()
    }

    /// How many visible units it stands for.
    pub(super) fn visible_units(&self) -> u64 {
        self.members.as_ref().map_or(u64::from(self.unit.is_some()), Members::count)
    }

    /// Writes `name`, `type` and the further labels of a family that has more than these.
    fn and_more(
        &self,
        names: &[&'static str],
        values: &[&str],
        encoder: &mut LabelSetEncoder<'_>,
    ) -> fmt::Result {
        let mut before = self.written.as_str();
        for (name, value) in names.iter().skip(2).zip(values) {
            (Rendered(before, Some(name)), *value).encode(encoder.encode_label())?;
            before = "";
        }
        Ok(())
    }
}

/// Writes a label value as both formats want it between quotes.
fn escape(value: &str, into: &mut String) {
    // Cut before each special character, so that what lies between them is copied in one go.
    let mut rest = value;
    while let Some((plain, special)) = cut(rest) {
        into.push_str(plain);
        let mut chars = special.chars();
        into.push_str(match chars.next() {
            Some('\\') => "\\\\",
            Some('"') => "\\\"",
            _ => "\\n",
        });
        rest = chars.as_str();
    }
    into.push_str(rest);
}

fn cut(value: &str) -> Option<(&str, &str)> {
    let special = value.bytes().position(|byte| matches!(byte, b'\\' | b'"' | b'\n'))?;
    value.split_at_checked(special)
}

impl Labels<2> for &Row<'_> {
    fn encode(&self, _: &[&'static str], encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let before = self.written.get(..self.last).unwrap_or_default();
        (Rendered(before, None), self.unit_type).encode(encoder.encode_label())
    }
}

impl Labels<3> for (&Row<'_>, [&str; 1]) {
    fn encode(&self, names: &[&'static str], encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.and_more(names, &self.1, encoder)
    }
}

impl Labels<4> for (&Row<'_>, [&str; 2]) {
    fn encode(&self, names: &[&'static str], encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.and_more(names, &self.1, encoder)
    }
}

impl EncodeLabelKey for Rendered<'_> {
    fn encode(&self, encoder: &mut LabelKeyEncoder<'_>) -> fmt::Result {
        // The encoder escapes values and leaves keys as they are, so what is written here once
        // serves every sample of the unit.
        encoder.write_str(self.0)?;
        self.1.map_or(Ok(()), |name| encoder.write_str(name))
    }
}
