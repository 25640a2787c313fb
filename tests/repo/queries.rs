//! Whether a query asks for what is served: its metrics and their labels exist, and the values of
//! labels that systemd names are names of systemd's.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use unitwatch::{
    metrics::{self, FamilyType},
    systemd::state::{ActiveState, JobResult, JobState, RunResult, SystemState},
};

/// What Prometheus gives to every target.
const OF_TARGETS: [&str; 2] = ["instance", "job"];

/// One that an operator may give to targets: rules know nothing of it, and keep it.
const OF_OPERATOR: &str = "team";

/// A metric with its label matchers, as an expression or a series writes it.
#[derive(Debug, PartialEq)]
pub struct Selector<'a> {
    pub name: &'a str,
    pub matchers: Vec<(&'a str, &'a str)>,
}

/// A metric whose name begins like those of the exporter, with its label matchers if it has any; or
/// something in quotes, which is no metric.
static SELECTOR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#""(?:[^"\\]|\\.)*"|\b((?:(?:node_)?systemd|process)_\w+)(\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?"#,
    )
    .unwrap()
});
static MATCHER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(\w+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)""#).unwrap());

/// The metrics in an expression whose names begin like those of the exporter.
pub fn selectors(expr: &str) -> Vec<Selector<'_>> {
    let found = SELECTOR.captures_iter(expr).filter_map(|it| {
        let matchers = it.get(2).map_or("", |it| it.as_str());
        let matchers = MATCHER.captures_iter(matchers).map(|it| it.extract().1);
        let matchers = matchers.map(|[label, value]| (label, value)).collect();
        Some(Selector { name: it.get(1)?.as_str(), matchers })
    });
    found.collect()
}

/// The labels of a metric under the name that its samples have.
pub fn labels_of(name: &str) -> Option<Vec<&'static str>> {
    metrics::all_families().find_map(|family| match family.kind {
        FamilyType::Histogram => {
            let part = name.strip_prefix(family.name)?;
            let le: &[_] = if part == "_bucket" { &["le"] } else { &[] };
            ["_bucket", "_sum", "_count"].contains(&part).then(|| [family.labels, le].concat())
        }
        _ => (family.name == name).then(|| family.labels.to_vec()),
    })
}

/// The words that a label of a metric may have, where they are systemd's.
fn words_of(name: &str, label: &str) -> Option<Vec<&'static str>> {
    fn words<W: AsRef<str>>(all: &'static [W]) -> Option<Vec<&'static str>> {
        Some(all.iter().map(AsRef::as_ref).collect())
    }
    match (name, label) {
        ("systemd_system_state", "state") => words(SystemState::ALL),
        ("systemd_jobs", "state") => words(JobState::ALL),
        (_, "state") => words(ActiveState::ALL),
        ("systemd_jobs_completed_total", "result") => words(JobResult::ALL),
        (_, "result") => words(RunResult::ALL),
        _ => None,
    }
}

/// Panics if a metric, one of its labels or a value that systemd names does not exist.
pub fn check(place: &str, text: &str) {
    for selector in selectors(text) {
        let Selector { name, matchers } = &selector;
        let labels = labels_of(name).unwrap_or_else(|| panic!("{place}: {name} is not served"));
        for (label, value) in matchers {
            let known = labels.contains(label)
                || OF_TARGETS.contains(label)
                || (*label == OF_OPERATOR && place.ends_with(".yml"));
            assert!(known, "{place}: {name} has no label {label}");
            if let Some(words) = words_of(name, label) {
                for word in value.split('|') {
                    assert!(words.contains(&word), "{place}: {name}: no {label} is {word}");
                }
            }
        }
    }
}

/// Every label that any metric has, that of buckets included.
pub fn all_labels() -> BTreeSet<&'static str> {
    let served = metrics::all_families().flat_map(|family| family.labels);
    served.chain(&OF_TARGETS).chain(&["le"]).copied().collect()
}

/// The labels that an expression joins or groups by.
pub fn joined_by(expr: &str) -> Vec<&str> {
    static JOINED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b(?:on|by|without|ignoring|group_left)\s*\(([^()]*)\)").unwrap()
    });
    let lists = JOINED.captures_iter(expr).flat_map(|it| it.extract::<1>().1[0].split(','));
    lists.map(str::trim).filter(|label| !label.is_empty()).collect()
}

#[test]
fn the_reader_finds_metrics_and_not_words() {
    let found = selectors(
        r#"rate(systemd_a_total{b="x}",c=~"y|z"}[5m]) / on (b) systemd_d > "systemd_e" + node_systemd_f{}"#,
    );
    let selector = |name, matchers: &[_]| Selector { name, matchers: matchers.to_vec() };
    let wanted = [
        selector("systemd_a_total", &[("b", "x}"), ("c", "y|z")]),
        selector("systemd_d", &[]),
        selector("node_systemd_f", &[]),
    ];
    assert_eq!(found, wanted);
    assert_eq!(labels_of("systemd_exporter_event_lag_seconds_bucket"), Some(vec!["le"]));
    assert_eq!(labels_of("systemd_exporter_event_lag_seconds"), None);
    assert_eq!(labels_of("systemd_unit_stat"), None);
}
