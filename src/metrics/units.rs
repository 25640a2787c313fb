//! What every unit has, whatever its type.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{
    EncodeCounterValue, EncodeGaugeValue, EncodeLabel as _, EncodeLabelKey, LabelKeyEncoder,
    LabelSetEncoder,
};

use super::{
    family::{Exposition, FamilyOf, Labels, families},
    seconds,
};
use crate::{
    inventory::{
        snapshot::Snapshot,
        unit::{Details, Unit, Usec},
    },
    systemd::state::{ActiveState, LoadState},
};

families! {
    STATE: Gauge "systemd_unit_state" ["name", "type", "state"]
        "1 for the unit's ActiveState, 0 for the other usual ones; a state outside the usual five has a series while it lasts.";
    UNIT_INFO: Gauge "systemd_unit_info" ["name", "type", "mount_type", "service_type"]
        "Always 1, with the Type of a service or the file system of a mount; absent for other units.";
    ACTIVE_ENTER: Gauge "systemd_unit_active_enter_time_seconds" ["name", "type"]
        "Unix time at which the unit last became active; from ActiveEnterTimestamp, absent if it never did.";
    ACTIVE_EXIT: Gauge "systemd_unit_active_exit_time_seconds" ["name", "type"]
        "Unix time at which the unit last ceased to be active; from ActiveExitTimestamp, absent if it never did.";
    INACTIVE_ENTER: Gauge "systemd_unit_inactive_enter_time_seconds" ["name", "type"]
        "Unix time at which the unit last became inactive or failed; from InactiveEnterTimestamp, absent if it never did.";
    INACTIVE_EXIT: Gauge "systemd_unit_inactive_exit_time_seconds" ["name", "type"]
        "Unix time at which the unit last left the inactive or failed state; from InactiveExitTimestamp, absent if it never did.";
}

/// A loaded unit and its labels `name` and `type`, written out once for all its samples.
pub(super) struct Row<'a> {
    /// The unit.
    pub(super) unit: &'a Unit,
    unit_type: &'a str,
    /// `name="…",type="…",`: escaped, and all that comes before a third label.
    written: String,
    /// Where in it the name of the label `type` ends.
    last: usize,
}

/// Labels that are written out already, and the name of the one that follows if they do not end
/// in it.
struct Written<'a>(&'a str, Option<&'a str>);

/// The loaded units of a snapshot: the others have neither states nor times to tell.
pub(super) fn rows(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let loaded = snapshot.units.iter().filter(|unit| unit.load_state == LoadState::Loaded);
    loaded.map(|unit| Row::new(unit)).collect()
}

pub(super) fn encode(rows: &[Row<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    let mut samples = out.family(&STATE);
    for row in rows {
        let current = &row.unit.active_state;
        for state in ActiveState::USUAL {
            samples.add((row, [state.as_str()]), u64::from(state == current))?;
        }
        if !ActiveState::USUAL.contains(current) {
            samples.add((row, [current.as_str()]), 1_u64)?;
        }
    }
    let mut samples = out.family(&UNIT_INFO);
    for row in rows {
        let types = match &row.unit.details {
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
    each(rows, out, &INACTIVE_EXIT, time(|unit| unit.inactive_exit))
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
    rows.iter().try_for_each(|row| samples.add_known(row, value(row.unit)))
}

// === impl Row ===

impl<'a> Row<'a> {
    fn new(unit: &'a Unit) -> Self {
        let (name, unit_type) = (unit.name.as_str(), unit.name.suffix());
        let mut written = String::with_capacity(2 * name.len() + 32);
        written.push_str("name=\"");
        escape(name, &mut written);
        written.push_str("\",type");
        let last = written.len();
        written.push_str("=\"");
        escape(unit_type, &mut written);
        written.push_str("\",");
        Self { unit, unit_type, written, last }
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
            (Written(before, Some(name)), *value).encode(encoder.encode_label())?;
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
        (Written(before, None), self.unit_type).encode(encoder.encode_label())
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

impl EncodeLabelKey for Written<'_> {
    fn encode(&self, encoder: &mut LabelKeyEncoder<'_>) -> fmt::Result {
        // The encoder escapes values and leaves keys as they are, so what is written here once
        // serves every sample of the unit.
        encoder.write_str(self.0)?;
        self.1.map_or(Ok(()), |name| encoder.write_str(name))
    }
}
