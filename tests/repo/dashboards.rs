//! The dashboards ask for nothing that is not served, are what their source builds, and have what
//! Grafana needs.
//!
//! `dashboards/build --check` knows what Grafana needs; here is what it cannot know of the exporter,
//! and that it knows what it should. The files are read line by line, in the layout that they are
//! built in: a parser of JSON would be a dependency for one test.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::contract::{all_labels, check, joined_by, labels_of, selectors};
use regex::Regex;

/// Labels that the dashboards' queries give themselves: what stands in for no answer, and what is
/// wrong with a unit.
const OWN: [&str; 2] = ["absent", "problem"];

/// What is wrong with a unit now, or was in the time shown.
const TROUBLES: [&str; 8] = [
    "systemd_unit_state",
    "systemd_unit_load_error",
    "systemd_unit_wanted_inactive",
    "systemd_unit_need_daemon_reload",
    "systemd_unit_frozen",
    "systemd_unit_reload_failures_total",
    "systemd_service_restart_pending",
    "systemd_timer_stuck",
];

const QUERIES: [&str; 2] = ["expr", "definition"];
const FORMATS: [&str; 4] = ["legendFormat", "titleFormat", "textFormat", "url"];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

/// The dashboards by the names of their files.
fn dashboards() -> BTreeMap<String, String> {
    let paths = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let built = paths.filter(|path| path.extension().is_some_and(|it| it == "json"));
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
    };
    let found: BTreeMap<_, _> = built.map(read).collect();
    assert!(found.keys().eq(["fleet.json", "host.json", "unit.json"]), "{:?}", found.keys());
    found
}

/// The strings that a dashboard has under one of some keys, with the number of their line.
fn strings(text: &str, keys: &[&str]) -> Vec<(usize, String)> {
    let line = Regex::new(r#"^ *"(\w+)": "((?:[^"\\]|\\.)*)",?$"#).unwrap();
    let escaped = Regex::new(r#"\\(["\\])"#).unwrap();
    let found = text.lines().enumerate().filter_map(|(index, text)| {
        let [key, value] = line.captures(text)?.extract().1;
        let value = escaped.replace_all(value, "$1").into_owned();
        keys.contains(&key).then_some((index + 1, value))
    });
    let found: Vec<_> = found.collect();
    assert!(found.len() > 1, "only {} lines with {keys:?}", found.len());
    found
}

fn build(arguments: &[&Path]) -> Output {
    Command::new(directory().join("build")).arg("--check").args(arguments).output().unwrap()
}

fn is_known(label: &str) -> bool {
    all_labels().contains(label) || OWN.contains(&label)
}

#[test]
fn the_queries_ask_for_what_is_served() {
    for (file, text) in dashboards() {
        for (line, query) in strings(&text, &QUERIES) {
            let place = format!("{file}:{line}");
            check(&place, &query);
            for label in joined_by(&query) {
                assert!(is_known(label), "{place}: nothing has a label {label}");
            }
        }
    }
}

#[test]
fn variables_take_their_values_from_labels() {
    let values = Regex::new(r"^label_values\(.+, (\w+)\)$").unwrap();
    for (file, text) in dashboards() {
        for (line, query) in strings(&text, &["definition"]) {
            let [label] = values.captures(&query).unwrap().extract().1;
            assert!(is_known(label), "{file}:{line}: nothing has a label {label}");
        }
    }
}

#[test]
fn legends_and_links_tell_of_labels() {
    let told = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    let linked = Regex::new(r"__(?:data\.fields|field\.labels)\.(\w+)").unwrap();
    for (file, text) in dashboards() {
        for (line, text) in strings(&text, &FORMATS) {
            let found = told.captures_iter(&text).chain(linked.captures_iter(&text));
            for label in found.map(|it| it.extract::<1>().1[0]) {
                assert!(is_known(label), "{file}:{line}: nothing has a label {label}");
            }
        }
        for (line, tags) in strings(&text, &["tagKeys"]) {
            assert!(tags.split(',').all(is_known), "{file}:{line}: {tags}");
        }
    }
}

#[test]
fn only_the_fleet_takes_the_recording_rules() {
    for (file, text) in dashboards() {
        for (line, query) in strings(&text, &QUERIES) {
            let takes = query.contains("unitwatch:");
            assert!(!takes || file == "fleet.json", "{file}:{line}: {query}");
        }
    }
}

/// A series per unit is one per service of each host: a thousand hosts have too many to add up.
#[test]
fn the_fleet_asks_for_no_series_per_unit() {
    for (line, query) in strings(&dashboards()["fleet.json"], &QUERIES) {
        for selector in selectors(&query) {
            let labels = labels_of(selector.name).unwrap();
            assert!(!labels.contains(&"name"), "fleet.json:{line}: {}", selector.name);
        }
    }
}

/// The queries that ask for a metric.
fn asking_for(text: &str, metric: &str) -> usize {
    let queries = strings(text, &["expr"]);
    let asks = |query: &str| selectors(query).iter().any(|it| it.name == metric);
    queries.iter().filter(|(_, query)| asks(query)).count()
}

#[test]
fn what_is_wrong_with_a_unit_is_on_its_own_dashboard_and_on_its_hosts() {
    let dashboards = dashboards();
    for file in ["host.json", "unit.json"] {
        for metric in TROUBLES {
            assert!(asking_for(&dashboards[file], metric) > 0, "{file} does not ask for {metric}");
        }
    }
}

#[test]
fn a_host_says_what_systemd_refuses_to_list() {
    let host = &dashboards()["host.json"];
    assert!(asking_for(host, "systemd_exporter_listing_refused") > 0);
}

#[test]
fn they_are_what_the_source_builds_and_what_grafana_needs() {
    let told = build(&[]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}

#[test]
fn what_grafana_would_not_take_is_told() {
    // In the first file that has it, the first of these is replaced by the second.
    for (from, to, wrong) in [
        ("\"schemaVersion\": 39", "\"schemaVersion\": 16", "schemaVersion 16"),
        (
            "\"uid\": \"unitwatch-host\"",
            "\"uid\": \"unitwatch-fleet\"",
            "two dashboards have one uid",
        ),
        ("\"uid\": \"unitwatch-unit\"", "\"uid\": \"Unit!\"", "uid 'Unit!'"),
        ("\"id\": 2,", "\"id\": 1,", "its id is another one's"),
        ("\"w\": 3,\n        \"x\": 3", "\"w\": 3,\n        \"x\": 2", "stands on"),
        (
            "\"w\": 3,\n        \"x\": 21",
            "\"w\": 4,\n        \"x\": 21",
            "outside of the 24 columns",
        ),
        ("\"refId\": \"B\"", "\"refId\": \"A\"", "has queries"),
        ("\"uid\": \"${datasource}\"", "\"uid\": \"prometheus\"", "asks another data source"),
        ("\"unit\": \"percentunit\"", "\"unit\": \"share\"", "unit 'share'"),
        ("\"type\": \"bargauge\"", "\"type\": \"gauge\"", "is a gauge"),
        ("\"color\": \"orange\"", "\"color\": \"amber\"", "colour 'amber'"),
        ("\"value\": 900", "\"value\": 9", "thresholds [None, 90, 9]"),
        ("job=~\\\"$job\\\"", "job=\\\"$job\\\"", "$job is matched by ="),
        ("job=~\\\"$job\\\"", "job=~\\\"$jobs\\\"", "there is no variable jobs"),
        ("[$__rate_interval]", "[$__rate]", "there is no variable __rate"),
        ("/d/unitwatch-unit?", "/d/unitwatch-units?", "there is no /d/unitwatch-units to lead to"),
        ("&var-name=", "&var-unit=", "has no variable for var-unit"),
        ("\"includeVars\": true", "\"keepVars\": true", "has no ['includeVars']"),
        ("\"instant\": true", "\"instant\": false", "asks for the answer"),
        ("\"format\": \"table\"", "\"format\": \"heatmap\"", "asks for the answer now"),
        ("\"iconColor\": \"red\"", "\"iconColor\": \"\"", "colour ''"),
        (
            "\"description\": \"Targets of the chosen jobs.\"",
            "\"description\": \"\"",
            "no description",
        ),
        ("\"title\": \"Hosts\"", "\"title\": \"Host\"", "is not what the source builds"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        let mut replaced = false;
        for (file, text) in dashboards() {
            let text = if replaced { text } else { text.replacen(from, to, 1) };
            replaced |= text != fs::read_to_string(directory().join(&file)).unwrap();
            fs::write(copy.path().join(file), text).unwrap();
        }
        assert!(replaced, "no dashboard has {from}");
        let told = build(&[copy.path()]);
        let words = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(1), "{from}: {words}");
        assert!(words.contains(wrong), "{to}: no {wrong:?} in {words}");
    }
}
