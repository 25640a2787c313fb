//! Rules that every scrape follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
};

use proptest::prelude::*;
use unitwatch::{
    histogram::Histogram,
    inventory::{counts::Counts, snapshot::Snapshot, unit::Details},
    metrics::{self, Clocks, ManagerScrape, Scrape, format::Format, group::Groups},
    selection::{Selection, rollup::Rollups},
    systemd::{
        name::{UnitName, UnitType},
        state::LoadState,
    },
};

use crate::{
    any::{some_scrape, some_snapshot},
    page::{Page, Samples, unit_of},
    sample::Labels,
};

/// For scrapes whose clocks do not matter.
const CLOCKS: Clocks = Clocks { realtime: 1_764_000_000_123_456, monotonic: 3_600_000_000 };

/// Keeps as many units of an uncapped exposition as fit into `max` series of a family, and returns
/// how many are dropped. The order is roll-ups, visible units, other units in memory, gone units,
/// mere files; each by name.
fn cap(samples: &mut Samples, max: usize, scrape: &Scrape) -> usize {
    let in_memory = scrape.snapshots().flat_map(|snapshot| &snapshot.units);
    let gone = scrape.snapshots().flat_map(|snapshot| &snapshot.gone);
    let rank = in_memory.map(|unit| match unit.load_state {
        _ if unit.is_visible() => (unit.name.as_str(), 0),
        LoadState::Error | LoadState::BadSetting => (unit.name.as_str(), 1),
        _ if !unit.counters.is_empty() => (unit.name.as_str(), 1),
        _ => (unit.name.as_str(), 3),
    });
    let mut rank: BTreeMap<_, _> = rank.chain(gone.map(|(unit, _)| (unit.as_str(), 2))).collect();
    let rollups = scrape.snapshots().flat_map(|snapshot| &snapshot.rollups);
    let rollups = rollups.filter(|it| it.visible().count() > 0 || !it.counters.is_empty());
    rank.extend(rollups.map(|rollup| (rollup.name.as_str(), -1)));
    let rank = |unit: &str| rank.get(unit).copied().unwrap_or(3);
    let per_unit = || metrics::all_families().filter(|family| family.labels.contains(&"name"));
    let mut units: BTreeMap<(i32, &str), BTreeMap<&str, usize>> = BTreeMap::new();
    for (family, labels) in samples.keys() {
        if let Some(unit) = unit_of(labels) {
            *units.entry((rank(unit), unit)).or_default().entry(family).or_default() += 1;
        }
    }
    let (mut kept, mut dropped) = (BTreeMap::<&str, usize>::new(), BTreeMap::new());
    let mut dropped_units = BTreeSet::new();
    for ((_, unit), families) in &units {
        let with = |family: &str| kept.get(family).unwrap_or(&0) + families[family];
        if !dropped_units.is_empty() || families.keys().any(|family| with(family) > max) {
            dropped_units.insert((*unit).to_owned());
        }
        let into = if dropped_units.is_empty() { &mut kept } else { &mut dropped };
        for (family, series) in families {
            *into.entry(*family).or_default() += series;
        }
    }
    let reported = per_unit().map(|family| {
        let labels = vec![("family".to_owned(), family.name.to_owned())];
        let series = dropped.get(family.name).unwrap_or(&0).to_string();
        (("systemd_exporter_series_dropped".to_owned(), labels), series)
    });
    let reported: Vec<_> = reported.collect();
    samples
        .retain(|(_, labels), _| unit_of(labels).is_none_or(|unit| !dropped_units.contains(unit)));
    // While units are withheld, no dropped series are reported.
    if samples.contains_key(&("systemd_exporter_units".to_owned(), vec![])) {
        samples.extend(reported);
    }
    dropped_units.len()
}

/// The families of counters, which stay for a while when the unit is gone.
const COUNTERS: [&str; 7] = [
    "systemd_unit_transitions_total",
    "systemd_unit_starts_total",
    "systemd_unit_failures_total",
    "systemd_unit_reload_failures_total",
    "systemd_service_restart_total",
    "systemd_service_last_exit_status",
    "systemd_service_last_exit_time_seconds",
];

/// The families of problems that a unit may have without being loaded.
const PROBLEMS: [&str; 3] =
    ["systemd_unit_load_error", "systemd_unit_file_state", "systemd_unit_wanted_inactive"];

/// All samples of a scrape of this snapshot.
fn samples_of(snapshot: &Snapshot) -> Result<Samples, TestCaseError> {
    let snapshot = Some(Arc::new(snapshot.clone()));
    let managers = vec![ManagerScrape { snapshot, ..ManagerScrape::default() }];
    let scrape = Scrape { managers, clocks: CLOCKS, groups: Groups::all(), ..Scrape::default() };
    let text = metrics::encode(&scrape, Format::OpenMetrics).unwrap().text;
    Ok(Page::parse(&text, Format::OpenMetrics).map_err(TestCaseError::fail)?.samples)
}

/// The samples of a family: label values and the value as written.
fn found(samples: &Samples, family: &str) -> BTreeMap<Vec<String>, String> {
    let of = samples.iter().filter(|((name, _), _)| name == family);
    let values = |labels: &Labels| labels.iter().map(|(_, value)| value.clone()).collect();
    of.map(|((_, labels), value)| (values(labels), value.clone())).collect()
}

/// Seconds as written, in microseconds.
fn microseconds(seconds: &str) -> u64 {
    let (whole, fraction) = seconds.split_once('.').unwrap();
    format!("{whole}{fraction:0<6}").parse().unwrap()
}

/// The samples that `found` should return for a counter.
fn counts<'a>(
    labels: &[&str],
    counts: impl IntoIterator<Item = (&'a str, u64)>,
) -> BTreeMap<Vec<String>, String> {
    let own = |key: &str| labels.iter().copied().chain([key]).map(str::to_owned).collect();
    counts.into_iter().map(|(key, count)| (own(key), count.to_string())).collect()
}

/// The samples that `found` should return for a gauge that is 1 or absent.
fn ones<const N: usize>(
    of: impl IntoIterator<Item = [String; N]>,
) -> BTreeMap<Vec<String>, String> {
    of.into_iter().map(|labels| (labels.to_vec(), "1".to_owned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Both formats can be parsed, are as declared and have the same samples.
    #[test]
    fn any_scrape_can_be_parsed_and_is_the_same_in_both_formats(scrape in some_scrape()) {
        let openmetrics = metrics::encode(&scrape, Format::OpenMetrics).unwrap().text;
        let text = metrics::encode(&scrape, Format::Text).unwrap().text;
        let openmetrics = Page::parse(&openmetrics, Format::OpenMetrics)
            .map_err(TestCaseError::fail)?;
        let text = Page::parse(&text, Format::Text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&openmetrics.families, &text.families);
        prop_assert_eq!(&openmetrics.samples, &text.samples);

        let visible = scrape.snapshots().flat_map(|snapshot| &snapshot.units)
            .filter(|unit| unit.is_visible())
            .map(|unit| unit.name.to_string());
        let named = openmetrics.samples.keys().filter(|(name, _)| name == "systemd_unit_state")
            .map(|(_, labels)| labels[0].1.clone());
        prop_assert_eq!(named.collect::<BTreeSet<_>>(), visible.collect::<BTreeSet<_>>());

        // A visible unit is in exactly one state: its own.
        for unit in scrape.snapshots().flat_map(|snapshot| &snapshot.units) {
            let name = unit.name.as_str();
            let own = openmetrics.samples.iter().filter(|((family, labels), value)| {
                family == "systemd_unit_state" && labels[0].1 == name && *value == "1"
            });
            let own: Vec<_> = own.map(|((_, labels), _)| labels[2].1.as_str()).collect();
            if unit.is_visible() {
                prop_assert_eq!(own, [unit.active_state.as_str()]);
            }
        }
    }

    /// The cap drops whole units from the last, no more than necessary, and reports how many series.
    #[test]
    fn the_cap_drops_no_more_than_necessary(scrape in some_scrape(), max in 1..140_usize) {
        let page = |max_series| {
            metrics::encode(&Scrape { max_series, ..scrape.clone() }, Format::OpenMetrics).unwrap()
        };
        let (all, capped) = (page(None), page(NonZeroUsize::new(max)));
        let parse = |text| Page::parse(text, Format::OpenMetrics).map_err(TestCaseError::fail);
        let mut expected = parse(&all.text)?.samples;
        let dropped = cap(&mut expected, max, &scrape);
        prop_assert_eq!(parse(&capped.text)?.samples, expected);
        prop_assert_eq!(capped.dropped, scrape.snapshots().next().map(|_| dropped));
        prop_assert_eq!(all.dropped, scrape.snapshots().next().map(|_| 0));
    }

    /// Counters of a unit are served whether it is in memory or gone. A unit that is gone, or inactive
    /// and not loaded, has no other series.
    #[test]
    fn counters_of_units_are_served(snapshot in some_snapshot()) {
        let samples = samples_of(&snapshot)?;
        let in_memory = snapshot.units.iter().map(|unit| (&unit.name, &unit.counters, Some(unit)));
        let gone = snapshot.gone.iter().map(|(name, counters)| (name, counters, None));
        for (name, counters, unit) in in_memory.chain(gone) {
            let own = samples.iter().filter(|((_, labels), _)| unit_of(labels) == Some(name.as_str()));
            let own: Samples = own.map(|(key, value)| (key.clone(), value.clone())).collect();
            let (name, unit_type) = name.as_str().rsplit_once('.').map(|(_, it)| (name.as_str(), it)).unwrap();
            let both = [name, unit_type];
            prop_assert_eq!(
                found(&own, "systemd_unit_transitions_total"),
                counts(&both, counters.transitions.iter().map(|(state, count)| (state.as_str(), count)))
            );
            prop_assert_eq!(
                found(&own, "systemd_unit_failures_total"),
                counts(&both, counters.failures.iter().map(|(result, count)| (result.as_str(), count)))
            );
            prop_assert_eq!(
                found(&own, "systemd_unit_reload_failures_total"),
                counts(&both, counters.reload_failures.iter().map(|(result, count)| (result.as_str(), count)))
            );
            // A visible unit has a 0, so that its first start shows as an increase.
            let visible = unit.is_some_and(|unit| unit.is_visible());
            let starts = (visible && unit_type != "device") || counters.starts > 0;
            prop_assert_eq!(
                found(&own, "systemd_unit_starts_total"),
                counts(&[name], starts.then_some((unit_type, counters.starts)))
            );
            let restarts = unit_type == "service" && (visible || !counters.is_empty());
            prop_assert_eq!(
                found(&own, "systemd_service_restart_total"),
                counts(&[], restarts.then_some((name, counters.restarts)))
            );
            let exit = counters.last_exit.as_ref();
            prop_assert_eq!(
                found(&own, "systemd_service_last_exit_status"),
                counts(&[name], exit.map(|exit| (exit.code.as_str(), exit.status)))
            );
            let times = found(&own, "systemd_service_last_exit_time_seconds");
            let times = times.into_iter().map(|(labels, at)| (labels, microseconds(&at)));
            let at = exit.map(|exit| (vec![name.into(), exit.code.to_string()], exit.at));
            prop_assert_eq!(times.collect::<BTreeMap<_, _>>(), at.into_iter().collect());

            let mut others: BTreeSet<_> = own.keys().map(|(family, _)| family.as_str()).collect();
            others.retain(|family| !PROBLEMS.contains(family));
            prop_assert!(visible || others.iter().all(|family| COUNTERS.contains(family)), "{others:?}");
        }
    }

    /// A roll-up has the sums of its units' counters and states, and nothing else.
    #[test]
    fn a_rollup_has_the_sums_of_its_units(mut snapshot in some_snapshot()) {
        // Few names, so that some roll-ups have several units.
        let instance = |name: &UnitName, number| {
            UnitName::new(&format!("a{}@{number}.{}", number % 3, name.suffix())).unwrap()
        };
        for (number, unit) in snapshot.units.iter_mut().enumerate() {
            let name = instance(&unit.name, number);
            Arc::make_mut(unit).name = name;
        }
        for (number, (name, _)) in snapshot.gone.iter_mut().enumerate() {
            *name = instance(name, 100 + number);
        }
        let each = samples_of(&snapshot)?;
        let units = snapshot.visible_units();
        let rollups = Rollups::read(["instances"]).unwrap();
        let snapshot = snapshot.select(&Selection { rollups, ..Selection::default() });
        let rolled_up = samples_of(&snapshot)?;
        prop_assert_eq!(snapshot.visible_units(), units);
        let template = |labels: Labels| -> Labels {
            let name = |value: &str| UnitName::new(value).and_then(|it| it.template());
            let label = |(label, value): (String, String)| match name(&value) {
                Some(name) if label == "name" => (label, name.to_string()),
                _ => (label, value),
            };
            labels.into_iter().map(label).collect()
        };
        let of_units = |samples: Samples, families: &[&str]| {
            let mut rollups = BTreeMap::<_, u64>::new();
            for ((family, labels), value) in samples {
                let is_file = unit_of(&labels).is_none_or(|name| !name.contains('@'));
                if families.contains(&&*family) && !is_file {
                    let sum = rollups.entry((family, template(labels))).or_default();
                    *sum = sum.saturating_add(value.parse().unwrap());
                }
            }
            rollups
        };
        let counters = &COUNTERS[..5];
        prop_assert_eq!(of_units(rolled_up.clone(), counters), of_units(each.clone(), counters));
        let members = of_units(rolled_up.clone(), &["systemd_unit_members"]).into_iter();
        let members = members.filter(|(_, count)| *count > 0).map(|((_, labels), count)| (labels, count));
        let states = of_units(each, &["systemd_unit_state"]).into_iter();
        let states = states.filter(|(_, count)| *count > 0).map(|((_, labels), count)| (labels, count));
        prop_assert_eq!(members.collect::<BTreeMap<_, _>>(), states.collect::<BTreeMap<_, _>>());
        for (family, labels) in rolled_up.keys() {
            let of_rollup = unit_of(labels).is_some_and(|name| name.contains('@'));
            let may = COUNTERS[..5].contains(&&**family) || PROBLEMS.contains(&&**family);
            prop_assert!(!of_rollup || may || family == "systemd_unit_members", "{}", family);
        }
    }

    /// Each problem of a unit has a series, and only problems have.
    #[test]
    fn problems_of_units_are_served(snapshot in some_snapshot()) {
        let samples = samples_of(&snapshot)?;
        let all = || snapshot.units.iter().map(|unit| (unit, unit.name.to_string(), unit.name.suffix().to_owned()));
        let visible = || all().filter(|(unit, ..)| unit.is_visible());

        let wrong = all().filter(|(unit, ..)| ["error", "bad-setting"].contains(&unit.load_state.as_str()));
        let wrong = wrong.map(|(unit, name, unit_type)| {
            let error = unit.load_error.as_deref().unwrap_or_default().to_owned();
            [name, unit_type, unit.load_state.to_string(), error]
        });
        prop_assert_eq!(found(&samples, "systemd_unit_load_error"), ones(wrong));

        let files = || snapshot.files.iter().map(|file| {
            (file, file.name.to_string(), file.name.suffix().to_owned())
        });
        let states = files().map(|(file, name, unit_type)| {
            [name, unit_type, file.state.to_string()]
        });
        prop_assert_eq!(found(&samples, "systemd_unit_file_state"), ones(states));
        let wanted = snapshot.wanted_inactive.iter().map(|(name, reason)| {
            [name.to_string(), name.suffix().to_owned(), reason.as_str().to_owned()]
        });
        prop_assert_eq!(found(&samples, "systemd_unit_wanted_inactive"), ones(wanted));

        let old = visible().filter(|(unit, ..)| unit.need_daemon_reload);
        let old = old.map(|(_, name, unit_type)| [name, unit_type]);
        prop_assert_eq!(found(&samples, "systemd_unit_need_daemon_reload"), ones(old));

        let frozen = visible().filter(|(unit, ..)| unit.is_frozen);
        let frozen = frozen.filter(|(unit, ..)| !["inactive", "failed"].contains(&unit.active_state.as_str()));
        let frozen = frozen.map(|(_, name, unit_type)| [name, unit_type]);
        prop_assert_eq!(found(&samples, "systemd_unit_frozen"), ones(frozen));

        let pending = visible().filter(|(unit, ..)| matches!(unit.details, Details::Service(_)));
        let pending = pending.filter(|(unit, ..)| unit.sub_state.starts_with("auto-restart"));
        let pending = pending.map(|(_, name, _)| [name]);
        prop_assert_eq!(found(&samples, "systemd_service_restart_pending"), ones(pending));

        let stuck = visible().filter(|(unit, ..)| snapshot.stuck_timers.contains(&unit.name));
        prop_assert_eq!(found(&samples, "systemd_timer_stuck"), ones(stuck.map(|(_, name, _)| [name])));

        let results = visible().filter_map(|(unit, name, _)| match (&unit.details, &unit.result) {
            (Details::Service(_), Some(result)) => Some([name, result.to_string()]),
            _ => None,
        });
        let results = results.filter(|[_, result]| result != "success");
        prop_assert_eq!(found(&samples, "systemd_service_last_result"), ones(results));
    }

    /// Host-wide counters are served as they are, and usual ones begin at 0.
    #[test]
    fn host_wide_counters_are_served(snapshot in some_snapshot()) {
        let samples = samples_of(&snapshot)?;
        let totals = &snapshot.totals;
        let [mut transitions, mut failures, mut jobs] =
            ["transitions", "failures", "jobs_completed"]
                .map(|of| found(&samples, &format!("systemd_{of}_total")));
        for (of, count) in [("restarts", totals.restarts), ("reloads", totals.reloads)] {
            let wanted = BTreeMap::from([(Vec::new(), count.to_string())]);
            prop_assert_eq!(found(&samples, &format!("systemd_{of}_total")), wanted);
        }
        for unit_type in UnitType::ALL {
            for state in ["active", "activating", "deactivating", "failed", "inactive"] {
                prop_assert!(transitions.contains_key(&vec![unit_type.as_str().into(), state.into()]));
            }
        }
        for result in ["exit-code", "signal", "core-dump", "timeout", "watchdog", "oom-kill", "unknown"] {
            prop_assert!(failures.contains_key(&vec!["service".into(), result.into()]));
        }
        for no_failure in ["success", "exec-condition"] {
            let counted = totals.failures.get(&UnitType::Service).into_iter().flat_map(Counts::iter);
            let counted = counted.map(|(result, _)| result.as_str()).any(|it| it == no_failure);
            prop_assert_eq!(failures.contains_key(&vec!["service".into(), no_failure.into()]), counted);
        }
        for job_type in ["start", "stop", "restart", "reload"] {
            for result in ["done", "failed", "timeout", "dependency", "canceled"] {
                prop_assert!(jobs.contains_key(&vec![job_type.into(), result.into()]));
            }
        }
        for (unit_type, counted) in &totals.transitions {
            let counted = counted.iter().map(|(state, count)| (state.as_str(), count));
            for (labels, count) in counts(&[unit_type.as_str()], counted) {
                prop_assert_eq!(transitions.remove(&labels), Some(count));
            }
        }
        for (unit_type, counted) in &totals.failures {
            let counted = counted.iter().map(|(result, count)| (result.as_str(), count));
            for (labels, count) in counts(&[unit_type.as_str()], counted) {
                prop_assert_eq!(failures.remove(&labels), Some(count));
            }
        }
        for (job_type, of) in &totals.jobs {
            let counted = of.completed.iter().map(|(result, count)| (result.as_str(), count));
            for (labels, count) in counts(&[job_type.as_str()], counted) {
                prop_assert_eq!(jobs.remove(&labels), Some(count));
            }
        }
        // All others are 0.
        for (labels, count) in transitions.into_iter().chain(failures).chain(jobs) {
            prop_assert_eq!(count, "0", "{:?}", labels);
        }
    }

    /// Every timed job is in its buckets.
    #[test]
    fn durations_of_jobs_are_served(snapshot in some_snapshot()) {
        let samples = samples_of(&snapshot)?;
        let family = "systemd_job_duration_seconds";
        let [buckets, rollups, numbers] =
            ["bucket", "sum", "count"].map(|part| found(&samples, &format!("{family}_{part}")));
        let timed = snapshot.totals.jobs.iter().filter(|(_, jobs)| jobs.durations.count() > 0);
        let timed: BTreeMap<_, _> = timed.map(|(of, jobs)| (of.to_string(), &jobs.durations)).collect();
        let number = |durations: &&Histogram| durations.count().to_string();
        let wanted = timed.iter().map(|(of, durations)| (vec![of.clone()], number(durations)));
        prop_assert_eq!(numbers, wanted.collect());
        prop_assert_eq!(rollups.len(), timed.len());
        let mut cumulative = BTreeMap::new();
        for (of, durations) in timed {
            let mut below = 0;
            for (bound, more) in durations.buckets() {
                below += more;
                let bound = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".into() };
                cumulative.insert(vec![bound, of.clone()], below.to_string());
            }
        }
        prop_assert_eq!(buckets, cumulative);

        let age = found(&samples, "systemd_job_oldest_age_seconds").into_values().next();
        let since = snapshot.oldest_job.map(|since| CLOCKS.monotonic.saturating_sub(since));
        let wanted = since.map(|age| age as f64 / 1e6);
        prop_assert_eq!(age.map(|age| age.parse::<f64>().unwrap()), wanted);
    }
}
