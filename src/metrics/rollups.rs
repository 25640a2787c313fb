//! What only units have that are told of as one.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use super::{
    StateSeries,
    family::{Exposition, families},
    from_zero,
    units::Row,
};
use crate::{
    cgroup::resources::Resources,
    inventory::snapshot::Rollup,
    systemd::{name::UnitName, state::ActiveState},
};

families! {
    [UnitState]
    MEMBERS: Gauge "systemd_unit_members" ["name", "type", "state"]
        "Units that --systemd.collector.sum sums up under this name and that are loaded or not inactive, by ActiveState; absent without it, and with --systemd.collector.unit-state=current for a state that none is in. They have no series of their own.";
}

/// How many units that are told of as one are in each state.
pub(super) struct Members<'a>(BTreeMap<&'a ActiveState, u64>);

pub(super) fn encode(
    rows: &[Row<'_>],
    states: StateSeries,
    out: &mut Exposition<'_>,
) -> fmt::Result {
    let mut samples = out.family(&MEMBERS);
    let usual = if states == StateSeries::Stateset { ActiveState::USUAL } else { &[] };
    for row in rows {
        let Some(Members(members)) = &row.members else { continue };
        for (state, count) in
            from_zero(usual, members.iter().map(|(state, count)| (*state, *count)))
        {
            samples.add((row, [state.as_str()]), count)?;
        }
    }
    Ok(())
}

// === impl Members ===

impl<'a> Members<'a> {
    pub(super) fn of(sum: &'a Rollup) -> Self {
        let mut members = BTreeMap::new();
        for unit in sum.visible() {
            *members.entry(&unit.active_state).or_default() += 1;
        }
        Self(members)
    }

    pub(super) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// What they use together now. What the kernel counts of a control group it forgets with it, so
    /// a sum of that would go down whenever a unit stops: it is left out.
    pub(super) fn resources(
        sum: &Rollup,
        resources: &HashMap<UnitName, Resources>,
    ) -> Option<Resources> {
        let mut all: Option<Resources> = None;
        for one in sum.visible().filter_map(|unit| resources.get(&unit.name)) {
            let all = all.get_or_insert_default();
            add(&mut all.tasks, one.tasks);
            add(&mut all.memory.current, one.memory.current);
            add(&mut all.memory.swap, one.memory.swap);
        }
        all
    }
}

fn add(sum: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        *sum = Some(sum.unwrap_or(0).saturating_add(more));
    }
}
