//! The dashboards query only metrics that are served, match their source, and are valid for Grafana.
//!
//! `dashboards/build --check` checks what Grafana needs. These tests check the queries against the
//! exporter's metrics, and the check itself. The files are read line by line, in the layout that
//! `dashboards/build` writes: a JSON parser would be a dependency for one test.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::queries::{all_labels, check, joined_by, labels_of, selectors};
use regex::Regex;

/// Labels that the queries add: the fallback series, and the problem of a unit.
const OWN: [&str; 2] = ["absent", "problem"];

/// Problems of a unit now or in the time range.
const PROBLEMS: [&str; 8] = [
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

/// The dashboards by file name.
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

/// The strings under some keys of a dashboard, with their line numbers.
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
fn queries_use_only_metrics_that_are_served() {
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
fn legends_and_links_use_known_labels() {
    let shown = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    let linked = Regex::new(r"__(?:data\.fields|field\.labels)\.(\w+)").unwrap();
    for (file, text) in dashboards() {
        for (line, text) in strings(&text, &FORMATS) {
            let found = shown.captures_iter(&text).chain(linked.captures_iter(&text));
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
fn only_the_fleet_dashboard_uses_recording_rules() {
    for (file, text) in dashboards() {
        for (line, query) in strings(&text, &QUERIES) {
            let uses = query.contains("unitwatch:");
            assert!(!uses || file == "fleet.json", "{file}:{line}: {query}");
        }
    }
}

/// A sum over a series per unit would read one series per service of each host.
#[test]
fn the_fleet_dashboard_reads_no_series_per_unit() {
    for (line, query) in strings(&dashboards()["fleet.json"], &QUERIES) {
        for selector in selectors(&query) {
            let labels = labels_of(selector.name).unwrap();
            assert!(!labels.contains(&"name"), "fleet.json:{line}: {}", selector.name);
        }
    }
}

/// The number of queries that use a metric.
fn queries_of(text: &str, metric: &str) -> usize {
    let queries = strings(text, &["expr"]);
    let uses = |query: &str| selectors(query).iter().any(|it| it.name == metric);
    queries.iter().filter(|(_, query)| uses(query)).count()
}

#[test]
fn every_problem_of_a_unit_is_on_the_unit_and_the_host_dashboard() {
    let dashboards = dashboards();
    for file in ["host.json", "unit.json"] {
        for metric in PROBLEMS {
            assert!(queries_of(&dashboards[file], metric) > 0, "{file} has no query of {metric}");
        }
    }
}

#[test]
fn the_host_dashboard_shows_refused_listings() {
    let host = &dashboards()["host.json"];
    assert!(queries_of(host, "systemd_exporter_listing_refused") > 0);
}

#[test]
fn the_dashboards_match_their_source_and_pass_the_check() {
    let output = build(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_check_reports_each_kind_of_error() {
    // In the first file that contains it, the first text is replaced by the second.
    for (from, to, wrong) in [
        ("\"schemaVersion\": 39", "\"schemaVersion\": 16", "schemaVersion 16"),
        (
            "\"uid\": \"unitwatch-host\"",
            "\"uid\": \"unitwatch-fleet\"",
            "two dashboards have one uid",
        ),
        ("\"uid\": \"unitwatch-unit\"", "\"uid\": \"Unit!\"", "uid 'Unit!'"),
        ("\"id\": 2,", "\"id\": 1,", "has the id of another panel"),
        ("\"w\": 3,\n        \"x\": 3", "\"w\": 3,\n        \"x\": 2", "overlaps"),
        ("\"w\": 3,\n        \"x\": 21", "\"w\": 4,\n        \"x\": 21", "outside the 24 columns"),
        ("\"refId\": \"B\"", "\"refId\": \"A\"", "has queries"),
        ("\"uid\": \"${datasource}\"", "\"uid\": \"prometheus\"", "uses another data source"),
        ("\"unit\": \"percentunit\"", "\"unit\": \"share\"", "unit 'share'"),
        ("\"type\": \"bargauge\"", "\"type\": \"gauge\"", "is a gauge"),
        ("\"color\": \"orange\"", "\"color\": \"amber\"", "colour 'amber'"),
        ("\"value\": 900", "\"value\": 9", "thresholds [None, 90, 9]"),
        ("job=~\\\"$job\\\"", "job=\\\"$job\\\"", "$job is matched by ="),
        ("job=~\\\"$job\\\"", "job=~\\\"$jobs\\\"", "there is no variable jobs"),
        ("[$__rate_interval]", "[$__rate]", "there is no variable __rate"),
        (
            "/d/unitwatch-unit?",
            "/d/unitwatch-units?",
            "links to /d/unitwatch-units, which does not exist",
        ),
        ("&var-name=", "&var-unit=", "has no variable for var-unit"),
        ("\"includeVars\": true", "\"keepVars\": true", "has no ['includeVars']"),
        ("\"instant\": true", "\"instant\": false", "a range or an instant query"),
        ("\"format\": \"table\"", "\"format\": \"heatmap\"", "queries now"),
        ("\"iconColor\": \"red\"", "\"iconColor\": \"\"", "colour ''"),
        (
            "\"description\": \"Targets of the selected jobs.\"",
            "\"description\": \"\"",
            "no description",
        ),
        ("\"title\": \"Hosts\"", "\"title\": \"Host\"", "differs from its source"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        let mut replaced = false;
        for (file, text) in dashboards() {
            let text = if replaced { text } else { text.replacen(from, to, 1) };
            replaced |= text != fs::read_to_string(directory().join(&file)).unwrap();
            fs::write(copy.path().join(file), text).unwrap();
        }
        assert!(replaced, "no dashboard has {from}");
        let output = build(&[copy.path()]);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{from}: {words}");
        assert!(words.contains(wrong), "{to}: no {wrong:?} in {words}");
    }
}
