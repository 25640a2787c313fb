//! Counters of the whole host.

use std::{collections::BTreeMap, fmt};

use super::{View, family::families, from_zero, writer::Exposition};
use crate::{
    inventory::counts::Counts,
    systemd::{
        name::UnitType,
        state::{ActiveState, RunResult},
    },
};

families! {
    TRANSITIONS: Counter "systemd_transitions_total" ["type", "state"]
        "Times that units entered a state, by unit type and ActiveState. Includes units that are hidden by filters or gone.";
    FAILURES: Counter "systemd_failures_total" ["type", "result"]
        "Failed runs of units, by unit type and Result; unknown as in systemd_unit_failures_total. Includes units that are hidden by filters or gone.";
    RESTARTS: Counter "systemd_restarts_total" []
        "Automatic restarts of all services, without those before the exporter first saw the service (NRestarts). Includes services that are hidden by filters or gone.";
    RELOADS: Counter "systemd_reloads_total" []
        "Finished reloads of systemd's configuration, such as by systemctl daemon-reload (signal Reloading).";
}

pub(super) fn encode(managers: &[View<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    let states = || {
        UnitType::ALL.into_iter().flat_map(|unit_type| {
            ActiveState::USUAL.iter().map(move |state| (unit_type, state.as_str()))
        })
    };
    out.each(&TRANSITIONS, managers, |View { snapshot, .. }, samples| {
        let mut counts = from_zero(states(), by_key(&snapshot.totals.transitions)).into_iter();
        counts.try_for_each(|((of, state), count)| samples.add([of.as_str(), state], count))
    })?;
    // Units of other types seldom fail: zeros for each of their results would be mostly noise.
    let failures = RunResult::ALL.iter().filter(|result| result.is_failure());
    let failures = failures.map(|result| (UnitType::Service, result.as_str()));
    out.each(&FAILURES, managers, |View { snapshot, .. }, samples| {
        let counted = by_key(&snapshot.totals.failures);
        let mut counts = from_zero(failures.clone(), counted).into_iter();
        counts.try_for_each(|((of, result), count)| samples.add([of.as_str(), result], count))
    })?;
    out.each_value(&RESTARTS, managers, |manager| Some(manager.snapshot.totals.restarts))?;
    out.each_value(&RELOADS, managers, |manager| Some(manager.snapshot.totals.reloads))
}

/// The counts of a host-wide table, by unit type and key.
fn by_key<K: AsRef<str>>(
    counts: &BTreeMap<UnitType, Counts<K>>,
) -> impl Iterator<Item = ((UnitType, &str), u64)> {
    counts.iter().flat_map(|(unit_type, counts)| {
        counts.iter().map(|(key, count)| ((*unit_type, key.as_ref()), count))
    })
}
