//! The exposition of given data.

use std::{collections::BTreeSet, num::NonZeroUsize};

use unitwatch::{
    metrics::{
        self, ManagerScrape, Scrape, StateSeries,
        format::Format,
        group::{Group, Groups},
    },
    version,
};

use crate::{
    full::full,
    page::{Page, unit_of},
};

/// An expected page with the facts of this build filled in.
fn expected(text: &str) -> String {
    text.replace("{version}", version::VERSION)
        .replace("{revision}", version::REVISION)
        .replace("{rustversion}", version::RUSTC)
}

/// Compares line by line, so that a failure shows the first difference and the whole actual text.
fn assert_same(actual: &str, expected: &str) {
    let mut pairs = actual.lines().zip(expected.lines()).enumerate();
    let differs = pairs.find(|(_, (actual, expected))| actual != expected);
    assert!(actual == expected, "first difference: {differs:#?}\nthe whole text is:\n\n{actual}");
}

#[test]
fn the_full_page_in_openmetrics_is_the_golden_page() {
    let text = metrics::encode(&full(), Format::OpenMetrics).unwrap().text;
    assert_same(&text, &expected(include_str!("openmetrics.txt")));
}

#[test]
fn the_full_page_in_text_is_the_golden_page() {
    let text = metrics::encode(&full(), Format::Text).unwrap().text;
    assert_same(&text, &expected(include_str!("text.txt")));
}

#[test]
fn out_of_sync_only_systemd_up_and_the_exporters_own_metrics_are_served() {
    let scrape = Scrape { managers: vec![ManagerScrape::default()], ..full() };
    let text = metrics::encode(&scrape, Format::OpenMetrics).unwrap().text;
    let page = Page::parse(&text, Format::OpenMetrics).unwrap();
    assert_eq!(page.samples[&("systemd_up".to_owned(), vec![])], "0");
    for family in page.families {
        assert!(
            family == "systemd_up"
                || family.starts_with("systemd_exporter_")
                || family.starts_with("process_"),
            "{family} should be withheld"
        );
    }
}

#[test]
fn the_exporters_own_metrics_can_be_switched_off() {
    let scrape = Scrape { telemetry: None, process: None, ..full() };
    let text = metrics::encode(&scrape, Format::Text).unwrap().text;
    let page = Page::parse(&text, Format::Text).unwrap();
    let own = |family: &&str| family.contains("exporter") || family.starts_with("process");
    let own: Vec<_> = page.families.into_iter().filter(own).collect();
    let of_units = [
        "systemd_exporter_units",
        "systemd_exporter_series_dropped",
        "systemd_exporter_listing_refused",
    ];
    assert_eq!(own, [&of_units[..], &["systemd_exporter_build_info"]].concat());
}

#[test]
fn series_beyond_the_cap_are_dropped_by_whole_units() {
    let scrape = Scrape { max_series: NonZeroUsize::new(12), ..full() };
    let encoded = metrics::encode(&scrape, Format::Text).unwrap();
    assert_eq!(encoded.dropped, Some(12));
    let page = Page::parse(&encoded.text, Format::Text).unwrap();
    let named = page.samples.keys().filter_map(|(_, labels)| unit_of(labels));
    let named: BTreeSet<_> = named.collect();
    // Five states each: a third visible unit would make it fifteen.
    let kept = ["work@.service", r"back\x2dslash.service", "broken.service"];
    assert_eq!(named, BTreeSet::from(kept));
    let value = |name: &str, labels: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        page.samples[&(name.to_owned(), labels.iter().map(own).collect())].clone()
    };
    let dropped = |family| value("systemd_exporter_series_dropped", &[("family", family)]);
    // Eight of the twelve have a state, and two of these are in one of their own.
    assert_eq!(dropped("systemd_unit_state"), "42");
    assert_eq!(dropped("systemd_unit_load_error"), "1");
    assert_eq!(dropped("systemd_unit_wanted_inactive"), "1");
    assert_eq!(dropped("systemd_unit_transitions_total"), "6");
    assert_eq!(dropped("systemd_timer_last_trigger_seconds"), "1");
    assert_eq!(dropped("systemd_service_restart_total"), "3");
    assert_eq!(dropped("systemd_service_last_result"), "0");
    // Host-wide counts include dropped units.
    assert_eq!(value("systemd_exporter_units", &[]), "13");
    assert_eq!(value("systemd_units", &[("type", "service"), ("state", "active")]), "91");
}

/// The page without the families of a group and without their counts of dropped series.
fn without(page: &str, group: Group) -> String {
    let families = metrics::all_families().filter(|family| family.group == Some(group));
    let families: BTreeSet<_> = families.map(|family| family.name).collect();
    let blocks = page.split_inclusive('\n').scan(false, |skipping, line| {
        if let Some(help) = line.strip_prefix("# HELP ") {
            *skipping = families.contains(help.split(' ').next().unwrap());
        }
        let dropped = line.strip_prefix("systemd_exporter_series_dropped{family=\"");
        let dropped = dropped.and_then(|rest| rest.split('"').next());
        let kept = !*skipping && dropped.is_none_or(|family| !families.contains(family));
        Some(if kept { line } else { "" })
    });
    blocks.collect()
}

#[test]
fn a_group_that_is_off_drops_its_families_and_nothing_else() {
    let whole = metrics::encode(&full(), Format::Text).unwrap().text;
    for group in Group::ALL.iter().copied() {
        let scrape = Scrape { groups: Groups::all().without(group), ..full() };
        let page = metrics::encode(&scrape, Format::Text).unwrap();
        assert_same(&page.text, &without(&whole, group));
        // The full page has every family, so this compares something.
        let is_there = metrics::all_families().any(|family| family.group == Some(group));
        assert_eq!(page.text.len() < whole.len(), is_there, "{group:?}");
    }
    let scrape = Scrape { groups: Groups::NONE, ..full() };
    let none = metrics::encode(&scrape, Format::Text).unwrap().text;
    let rest = Group::ALL.iter().fold(whole, |page, group| without(&page, *group));
    // Without per-unit families there are no dropped series either.
    let of_cap = |line: &&str| line.contains(" systemd_exporter_series_dropped ");
    let rest: String = rest.split_inclusive('\n').filter(|line| !of_cap(line)).collect();
    assert_same(&none, &rest);
    let page = Page::parse(&none, Format::Text).unwrap();
    let of_units = page.samples.keys().find(|(_, labels)| unit_of(labels).is_some());
    assert_eq!(of_units, None, "every per-unit series can be switched off");
}

#[test]
fn a_group_that_is_off_does_not_count_towards_the_cap() {
    let groups = Groups::all().without(Group::UnitState).without(Group::NodeExporter);
    let scrape = Scrape { max_series: NonZeroUsize::new(14), groups, ..full() };
    let page = metrics::encode(&scrape, Format::Text).unwrap();
    assert_eq!(page.dropped, Some(0), "no other family has more than fourteen series");
}

#[test]
fn with_current_state_series_only_the_current_state_is_served() {
    let whole = metrics::encode(&full(), Format::Text).unwrap().text;
    let scrape = Scrape { states: StateSeries::Current, ..full() };
    let page = metrics::encode(&scrape, Format::Text).unwrap().text;
    let families = ["systemd_unit_state{", "systemd_unit_members{"];
    let of_states = |line: &str| families.iter().any(|family| line.starts_with(family));
    let is_other = |line: &&str| of_states(line) && line.ends_with(" 0\n");
    assert!(whole.split_inclusive('\n').any(|line| is_other(&line)));
    let expected: String = whole.split_inclusive('\n').filter(|line| !is_other(line)).collect();
    assert_same(&page, &expected);
}

#[test]
fn without_units_no_dropped_series_are_reported() {
    let scrape = Scrape {
        managers: vec![ManagerScrape::default()],
        max_series: NonZeroUsize::new(1),
        ..full()
    };
    let page = metrics::encode(&scrape, Format::Text).unwrap();
    assert_eq!(page.dropped, None);
    assert!(!page.text.contains("systemd_exporter_series_dropped"), "{}", page.text);
}

#[test]
fn a_full_scrape_has_every_family_in_the_declared_order() {
    for format in [Format::OpenMetrics, Format::Text] {
        let text = metrics::encode(&full(), format).unwrap().text;
        let declared = metrics::all_families().map(|family| family.name);
        let page = Page::parse(&text, format).unwrap();
        assert_eq!(page.families, declared.collect::<Vec<_>>());
    }
}

/// Each sample of a second manager is that of the first with a label `user`, and nothing else
/// changes.
#[test]
fn the_series_of_a_users_manager_carry_its_name() {
    let groups = Groups::all();
    let page = |managers| {
        let scrape = Scrape { managers, telemetry: None, process: None, groups, ..full() };
        let text = metrics::encode(&scrape, Format::OpenMetrics).unwrap().text;
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let system = full().managers.remove(0);
    let user = ManagerScrape { user: Some("ann".into()), ..system.clone() };
    let alone = page(vec![system.clone()]);
    let both = page(vec![system, user]);
    let with_user = |line: &String| match line.split_once('{') {
        Some((name, rest)) => format!("{name}{{user=\"ann\",{rest}"),
        None => line.replacen(' ', "{user=\"ann\"} ", 1),
    };
    let own = |line: &&String| {
        ["systemd_exporter_units ", "systemd_exporter_series_dropped", "systemd_exporter_build"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    let is_histogram = |line: &&String| line.starts_with("systemd_job_duration_seconds_bucket");
    let of_units = || alone.iter().filter(|line| !own(line) && !is_histogram(line));
    for line in of_units() {
        assert!(both.contains(line) && both.contains(&with_user(line)), "{line}");
    }
    let shared = alone.iter().filter(own).count();
    let buckets = alone.iter().filter(is_histogram).count();
    assert_eq!(both.len(), 2 * (of_units().count() + buckets) + shared);
}
