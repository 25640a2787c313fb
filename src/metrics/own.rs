//! The exporter's own metrics.

use std::{collections::BTreeMap, fmt};

use super::{
    ManagerScrape,
    family::{FamilyOf, families},
    writer::Exposition,
};
use crate::{
    telemetry::{LabelValue, OwnCounters},
    version,
};

families! {
    BUILD: Info "systemd_exporter_build_info" ["version", "revision", "rustversion"]
        "Always 1, with the exporter's version, commit and compiler.";
    EVENTS: Counter "systemd_exporter_events_total" ["signal"]
        "D-Bus signals received, by name.";
    EVENT_LAG: Histogram "systemd_exporter_event_lag_seconds" []
        "Seconds from receiving a D-Bus signal to applying it.";
    RESYNCS: Counter "systemd_exporter_resyncs_total" ["reason"]
        "Times that all units were listed and the data corrected, by reason; interval is the reconcile.";
    DRIFT: Counter "systemd_exporter_drift_total" ["field"]
        "Values that a reconcile corrected although no signal announced the change, by field. Above 0 is a bug in unitwatch or systemd, unless signals were lost.";
    CALLS: Counter "systemd_exporter_dbus_calls_total" ["method"]
        "D-Bus calls made, by method.";
    CALL_ERRORS: Counter "systemd_exporter_dbus_errors_total" ["method", "error"]
        "Failed D-Bus calls, by method and error name.";
    STATE_ERRORS: Counter "systemd_exporter_state_errors_total" []
        "Failed writes of the counters to the state directory. Absent without a state directory.";
    REOPENED: Gauge "systemd_exporter_cgroup_files_reopened" []
        "Files of control groups that the last scrape had to open, because no more may be kept open: as many as LimitNOFILE= allows, in up to 96 MiB of kernel memory. 0 if none.";
    SCRAPES: Histogram "systemd_exporter_scrape_duration_seconds" []
        "Seconds from the request of a scrape to its encoded answer.";
}

pub(super) fn encode_build(out: &mut Exposition<'_>) -> fmt::Result {
    out.family(&BUILD).add([version::VERSION, version::REVISION, version::RUSTC], 1_u64)
}

pub(super) fn encode(
    totals: &OwnCounters,
    managers: &[ManagerScrape],
    out: &mut Exposition<'_>,
) -> fmt::Result {
    counter(&EVENTS, &totals.events, out)?;
    out.family(&EVENT_LAG).add_histogram([], &totals.event_lag)?;
    counter(&RESYNCS, &totals.resyncs, out)?;
    counter(&DRIFT, &totals.drift, out)?;
    counter(&CALLS, &totals.calls, out)?;
    let mut samples = out.family(&CALL_ERRORS);
    for ((method, error), count) in &totals.call_errors {
        samples.add([method.as_ref(), error.as_ref()], *count)?;
    }
    out.single(&STATE_ERRORS, totals.state_errors)?;
    let reopened = managers.iter().map(|manager| manager.reopened_files).sum::<usize>();
    out.single(&REOPENED, u64::try_from(reopened).ok())?;
    out.family(&SCRAPES).add_histogram([], &totals.scrapes)
}

fn counter(
    family: &'static FamilyOf<1>,
    counts: &BTreeMap<LabelValue, u64>,
    out: &mut Exposition<'_>,
) -> fmt::Result {
    let mut samples = out.family(family);
    for (value, count) in counts {
        samples.add([value.as_ref()], *count)?;
    }
    Ok(())
}
