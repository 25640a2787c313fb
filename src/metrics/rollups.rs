//! Families that only roll-ups have.

use std::fmt;

use super::{StateSeries, family::families, from_zero, row::Row, writer::Exposition};

families! {
    [UnitState]
    MEMBERS: Gauge "systemd_unit_members" ["name", "type", "state"]
        "Units in this roll-up, loaded ones and any others that are not inactive, by ActiveState. They have no series of their own. Absent without --systemd.collector.sum, and for states without units with --systemd.collector.unit-state=current.";
}

pub(super) fn encode(
    rows: &[Row<'_>],
    states: StateSeries,
    out: &mut Exposition<'_>,
) -> fmt::Result {
    let mut samples = out.family(&MEMBERS);
    for row in rows {
        let Some(members) = &row.members else { continue };
        let counted = members.states.iter().map(|(state, count)| (*state, *count));
        for (state, count) in from_zero(states.always(), counted) {
            samples.unit((row, [state.as_str()]), count)?;
        }
    }
    Ok(())
}
