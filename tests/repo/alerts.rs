//! The alerts ask for nothing that is not served, and each of them is explained and tested.
//!
//! promtool checks the rules and runs their tests; this checks what promtool cannot know.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use regex::Regex;
use serde::Deserialize;

use crate::queries::{all_labels, check, joined_by};

const RECORDING: &str = include_str!("../../alerts/unitwatch.recording.yml");
const ALERTS: &str = include_str!("../../alerts/unitwatch.alerts.yml");
const PEERS: &str = include_str!("../alerts/peers.rules.yml");
const ALERTMANAGER: &str = include_str!("../../alerts/alertmanager.example.yml");
const FLEET: &str = include_str!("../../dashboards/fleet.json");
const README: &str = include_str!("../../alerts/README.md");

/// A file of rules, as Prometheus loads it.
#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(alias = "alert", alias = "record")]
    name: String,
    expr: String,
    #[serde(rename = "for")]
    pending: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A file of tests, as `promtool test rules` loads it.
#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Test>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Test {
    name: String,
    input_series: Vec<InputSeries>,
    promql_expr_test: Vec<ExprTest>,
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct InputSeries {
    series: String,
}

#[derive(Deserialize)]
struct ExprTest {
    expr: String,
    #[serde(default)]
    exp_samples: Vec<ExpectedSample>,
}

#[derive(Deserialize)]
struct ExpectedSample {
    labels: String,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Deserialize)]
struct ExpectedAlert {
    exp_labels: BTreeMap<String, String>,
}

// === impl Rule ===

impl Rule {
    /// The expression on one line, without comments.
    fn expr(&self) -> String {
        let lines = self.expr.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>().join(" ")
    }
}

/// The rules of a file, of which there are some.
fn rules(text: &str) -> Vec<Rule> {
    let file: RuleFile = serde_saphyr::from_str(text).unwrap();
    let rules: Vec<_> = file.groups.into_iter().flat_map(|group| group.rules).collect();
    assert!(!rules.is_empty());
    rules
}

fn alert_names() -> Vec<String> {
    rules(ALERTS).into_iter().map(|rule| rule.name).collect()
}

/// The tests in each file, by its name.
fn test_files() -> Vec<(String, Vec<Test>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    let of_tests =
        named.filter(|(name, _)| name.ends_with(".yml") && !name.ends_with(".rules.yml"));
    let parsed = of_tests.map(|(name, path)| {
        let file: TestFile = serde_saphyr::from_str(&fs::read_to_string(path).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, file.tests)
    });
    parsed.collect()
}

/// The values of the label `instance` in these series. Each is a case of a test.
fn instances<'a>(series: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let instance = Regex::new(r#"instance="([^"]+)""#).unwrap();
    let found = series.into_iter().flat_map(|it| instance.captures_iter(it));
    found.map(|it| it[1].to_owned()).collect()
}

#[test]
fn rules_use_only_metrics_that_are_served() {
    for rule in [RECORDING, ALERTS, PEERS].into_iter().flat_map(rules) {
        check(&rule.name, &rule.expr());
    }
}

#[test]
fn every_recording_rule_is_used_and_every_used_one_is_recorded() {
    let recorded: BTreeSet<_> = rules(RECORDING).into_iter().map(|rule| rule.name).collect();
    let used = Regex::new(r"\bunitwatch:[\w:]+").unwrap();
    let mut asked = BTreeSet::new();
    for rule in [RECORDING, ALERTS].into_iter().flat_map(rules) {
        asked.extend(used.find_iter(&rule.expr()).map(|it| it.as_str().to_owned()));
    }
    asked.extend(used.find_iter(FLEET).map(|it| it.as_str().to_owned()));
    assert_eq!(asked, recorded);
}

#[test]
fn joins_and_annotations_use_known_labels() {
    let made = Regex::new(r#""([a-z]+)", "\$"#).unwrap();
    let made = made.captures_iter(RECORDING).map(|it| it.extract::<1>().1[0]);
    let known: BTreeSet<_> = all_labels().into_iter().chain(made).collect();
    let written = Regex::new(r"[$.][lL]abels\.(\w+)").unwrap();
    for rule in [RECORDING, ALERTS, PEERS].into_iter().flat_map(rules) {
        let expr = rule.expr();
        let texts = rule.annotations.values().chain(rule.labels.values()).chain([&expr]);
        let written = texts.flat_map(|text| written.captures_iter(text));
        let written = written.map(|it| it.extract::<1>().1[0]);
        for label in joined_by(&expr).into_iter().chain(written) {
            assert!(known.contains(label), "{}: nothing has a label {label}", rule.name);
        }
    }
}

#[test]
fn each_alert_has_a_severity_a_delay_a_summary_a_description_and_a_runbook() {
    for rule in rules(ALERTS) {
        let name = &rule.name;
        let of = |fields: &BTreeMap<String, String>, key: &str| {
            fields.get(key).unwrap_or_else(|| panic!("{name} has no {key}")).clone()
        };
        let severity = of(&rule.labels, "severity");
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}");
        assert!(rule.pending.is_some_and(|it| it.ends_with(['m', 'h'])), "{name}");
        assert!(!of(&rule.annotations, "description").is_empty(), "{name}");
        let summary = of(&rule.annotations, "summary");
        let says_where = summary.contains("$labels.instance") || name == "UnitwatchNoThresholds";
        assert!(says_where, "{name} does not say where: {summary}");
        let runbook = format!("alerts/README.md#{}", name.to_lowercase());
        assert_eq!(of(&rule.annotations, "runbook_url"), runbook);
    }
}

#[test]
fn each_alert_has_a_runbook_with_checks_causes_and_silences() {
    let sections = README.split("\n### ").skip(1);
    let titles: Vec<_> = sections.clone().map(|it| it.lines().next().unwrap()).collect();
    assert_eq!(titles, alert_names());
    for section in sections {
        for part in ["\n- Check: ", "\n- Causes: ", "\n- Silence: "] {
            assert!(section.contains(part), "there is no {part:?} in {section}");
        }
    }
}

#[test]
fn the_alertmanager_example_names_only_existing_alerts() {
    let names = alert_names();
    let matcher = Regex::new(r#"alertname(?:=~|!=|=)"([^"]+)""#).unwrap();
    let mut some = 0;
    for matched in matcher.captures_iter(ALERTMANAGER) {
        let [pattern] = matched.extract::<1>().1;
        let known = |pattern: &str| {
            let pattern = Regex::new(&format!("^(?:{pattern})$")).unwrap();
            names.iter().any(|name| pattern.is_match(name))
        };
        assert!(known(pattern), "there is no alert {pattern}");
        // Each of the words in brackets has to be one, too.
        if let Some((before, (words, ""))) =
            pattern.split_once('(').and_then(|(before, rest)| Some((before, rest.split_once(')')?)))
        {
            let (other, before) = before.rsplit_once('|').unwrap_or(("", before));
            assert!(other.is_empty() || known(other), "there is no alert {other}");
            for word in words.split('|') {
                assert!(known(&format!("{before}{word}")), "there is no alert {before}{word}");
            }
        }
        some += 1;
    }
    assert!(some > 10, "only {some} alerts in the example");
}

/// Prometheus compiles them at every evaluation, and folds the case of each character in a class.
#[test]
fn matchers_have_no_negated_classes() {
    let negated = Regex::new(r#"[=!]~"[^"]*\[\^"#).unwrap();
    for rule in [RECORDING, ALERTS].into_iter().flat_map(rules) {
        assert!(!negated.is_match(&rule.expr()), "{}", rule.name);
    }
}

#[test]
fn tests_use_only_series_that_are_served() {
    for (file, tests) in test_files() {
        for input in tests.iter().flat_map(|test| &test.input_series) {
            check(&file, &input.series);
        }
    }
}

#[test]
fn each_alert_has_cases_that_fire_are_quiet_and_resolve() {
    let files = test_files();
    for name in alert_names() {
        let own = files.iter().filter(|(file, _)| !is_about_joins(file));
        let mut tests = own.flat_map(|(_, tests)| tests);
        // This one is about no host: its cases are tests of their own.
        if name == "UnitwatchNoThresholds" {
            for case in ["fires", "is quiet", "resolves"] {
                let title = format!("{name} {case}");
                assert!(tests.any(|test| test.name == title), "no {title}");
            }
            continue;
        }
        let test = tests.find(|test| test.name == name);
        let test = test.unwrap_or_else(|| panic!("{name} has no test"));
        let begin = |cases: &BTreeSet<String>, with: &[&str]| -> BTreeSet<String> {
            let kept = cases.iter().filter(|case| with.iter().any(|word| case.starts_with(word)));
            kept.cloned().collect()
        };
        let given = instances(test.input_series.iter().map(|it| it.series.as_str()));
        for word in ["fires", "quiet", "resolves"] {
            assert!(!begin(&given, &[word]).is_empty(), "{name}: no case {word}");
        }
        let first = &test.promql_expr_test;
        let firing = format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}");
        assert!(first.iter().any(|it| it.expr.contains(&firing)), "{name}");
        let first = instances(first.iter().flat_map(samples_of));
        assert_eq!(first, begin(&given, &["fires", "resolves"]), "{name}, at first");
        let last = &test.alert_rule_test;
        assert!(last.iter().any(|it| it.alertname == name), "{name}");
        let last = last.iter().flat_map(|it| &it.exp_alerts);
        let last = last.filter_map(|it| it.exp_labels.get("instance").cloned());
        let last: BTreeSet<_> = last.collect();
        assert_eq!(last, begin(&given, &["fires"]), "{name}, in the end");
    }
}

/// joins.yml and long_joins.yml.
fn is_about_joins(file: &str) -> bool {
    file.ends_with("joins.yml")
}

fn samples_of(test: &ExprTest) -> impl Iterator<Item = &str> {
    test.exp_samples.iter().map(|it| it.labels.as_str())
}

#[test]
fn each_join_has_cases_with_the_other_side_missing_stale_and_back() {
    let files = test_files();
    let about_joins = files.iter().filter(|(file, _)| is_about_joins(file));
    let joins: Vec<_> = about_joins.flat_map(|(_, tests)| tests).collect();
    let joined = Regex::new(r" (?:and|unless|/) ").unwrap();
    for rule in [RECORDING, ALERTS].into_iter().flat_map(rules) {
        // SystemdUnitsLeaking joins a series with itself: neither side is there without the other.
        if !joined.is_match(&rule.expr()) || rule.name == "SystemdUnitsLeaking" {
            continue;
        }
        let test = joins.iter().find(|test| test.name == rule.name);
        let test = test.unwrap_or_else(|| panic!("{} has no test of its join", rule.name));
        let cases = instances(test.input_series.iter().map(|it| it.series.as_str()));
        for case in ["missing", "stale", "back"] {
            assert!(cases.contains(case), "{}: no {case}", rule.name);
        }
    }
}
