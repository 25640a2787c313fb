//! Counters of the whole host.

use std::{collections::BTreeMap, fmt};

use super::{family::families, from_zero, writer::Exposition};
use crate::{
    inventory::{counters::HostCounters, counts::Counts},
    systemd::{
        name::UnitType,
        state::{ActiveState, RunResult},
    },
};

families! {
    TRANSITIONS: Counter "systemd_transitions_total" ["type", "state"]
        "Times that units entered a state, by unit type and ActiveState. Includes units that are hidden by filters or gone.";
    FAILURES: Counter "systemd_failures_total" ["type", "result"]
        "Failed runs of units, by unit type and Result; unknown if they failed while the exporter was not connected. Includes units that are hidden by filters or gone.";
    RESTARTS: Counter "systemd_restarts_total" []
        "Automatic restarts of all services since the exporter first listened (NRestarts). Includes services that are hidden by filters or gone.";
    RELOADS: Counter "systemd_reloads_total" []
        "Reloads of systemd's configuration, such as by systemctl daemon-reload (signal Reloading).";
}

pub(super) fn encode(totals: &HostCounters, out: &mut Exposition<'_>) -> fmt::Result {
    let usual = UnitType::ALL.into_iter().flat_map(|unit_type| {
        ActiveState::USUAL.iter().map(move |state| (unit_type, state.as_str()))
    });
    let mut samples = out.family(&TRANSITIONS);
    for ((unit_type, state), count) in from_zero(usual, by_key(&totals.transitions)) {
        samples.add([unit_type.as_str(), state], count)?;
    }
    // Units of other types seldom fail: zeros for each of their results would be mostly noise.
    let usual = RunResult::ALL.iter().filter(|result| result.is_failure());
    let usual = usual.map(|result| (UnitType::Service, result.as_str()));
    let mut samples = out.family(&FAILURES);
    for ((unit_type, result), count) in from_zero(usual, by_key(&totals.failures)) {
        samples.add([unit_type.as_str(), result], count)?;
    }
    out.single(&RESTARTS, Some(totals.restarts))?;
    out.single(&RELOADS, Some(totals.reloads))
}

/// The counts of a host-wide table, by unit type and key.
fn by_key<K: AsRef<str>>(
    counts: &BTreeMap<UnitType, Counts<K>>,
) -> impl Iterator<Item = ((UnitType, &str), u64)> {
    counts.iter().flat_map(|(unit_type, counts)| {
        counts.iter().map(|(key, count)| ((*unit_type, key.as_ref()), count))
    })
}
