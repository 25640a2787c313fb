//! The alerts ask for nothing that is not served, and each of them is explained and tested.
//!
//! promtool says whether they are right; here is what it cannot know. The files are read line by
//! line, in the layout that they have: a parser of YAML would be a dependency for one test.

use std::{collections::BTreeSet, fs, path::Path};

use crate::contract::{all_labels, check, joined_by};
use regex::Regex;

const RECORDING: &str = include_str!("../../alerts/unitwatch.recording.yml");
const ALERTS: &str = include_str!("../../alerts/unitwatch.alerts.yml");
const PEERS: &str = include_str!("../alerts/peers.rules.yml");
const ALERTMANAGER: &str = include_str!("../../alerts/alertmanager.example.yml");
const FLEET: &str = include_str!("../../dashboards/fleet.json");
const README: &str = include_str!("../../alerts/README.md");

/// One rule: its lines without comments, by which its fields are found.
struct Rule<'a> {
    name: &'a str,
    lines: Vec<&'a str>,
}

// === impl Rule ===

impl Rule<'_> {
    /// The value of a field, folded into a line if it is a block.
    fn field(&self, key: &str) -> Option<String> {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let at = self.lines.iter().position(|line| {
            line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with(": "))
        })?;
        let (_, value) = self.lines[at].split_once(": ")?;
        if !["|", ">-"].contains(&value) {
            return Some(value.trim_matches('\'').to_owned());
        }
        let block = self.lines[at + 1..].iter();
        let block = block.take_while(|line| indent(line) > indent(self.lines[at]));
        Some(block.map(|line| line.trim()).collect::<Vec<_>>().join(" "))
    }

    fn expr(&self) -> String {
        self.field("expr").unwrap_or_else(|| panic!("{} has no expr", self.name))
    }
}

/// The rules of a file of one kind, `alert` or `record`.
fn rules<'a>(text: &'a str, kind: &str) -> Vec<Rule<'a>> {
    let mut found: Vec<Rule<'a>> = Vec::new();
    let mut wanted = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if let Some((of, name)) =
            line.trim_start().strip_prefix("- ").and_then(|it| it.split_once(": "))
        {
            wanted = of == kind;
            if wanted {
                found.push(Rule { name, lines: Vec::new() });
            }
        } else if wanted {
            found.last_mut().unwrap().lines.push(line);
        }
    }
    assert!(!found.is_empty(), "no {kind} found");
    found
}

/// What the alerts are called.
fn alert_names() -> Vec<&'static str> {
    rules(ALERTS, "alert").iter().map(|rule| rule.name).collect()
}

/// The files of tests, by name.
fn test_files() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.map(|path| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
    });
    named.filter(|(name, _)| name.ends_with(".yml") && !name.ends_with(".rules.yml")).collect()
}

#[test]
fn the_rules_ask_for_what_is_served() {
    for (text, kind) in [(RECORDING, "record"), (ALERTS, "alert"), (PEERS, "alert")] {
        for rule in rules(text, kind) {
            check(rule.name, &rule.expr());
        }
    }
}

#[test]
fn what_is_compared_is_recorded() {
    let recorded: BTreeSet<_> = rules(RECORDING, "record").iter().map(|rule| rule.name).collect();
    let used = Regex::new(r"\bunitwatch:[\w:]+").unwrap();
    let mut asked = BTreeSet::new();
    for (text, kind) in [(RECORDING, "record"), (ALERTS, "alert")] {
        for rule in rules(text, kind) {
            asked.extend(used.find_iter(&rule.expr()).map(|it| it.as_str().to_owned()));
        }
    }
    asked.extend(used.find_iter(FLEET).map(|it| it.as_str().to_owned()));
    let asked: BTreeSet<_> = asked.iter().map(String::as_str).collect();
    assert_eq!(asked, recorded);
}

#[test]
fn labels_are_joined_and_written_by_their_names() {
    let made = Regex::new(r#""([a-z]+)", "\$"#).unwrap();
    let made = made.captures_iter(RECORDING).map(|it| it.extract::<1>().1[0]);
    let known: BTreeSet<_> = all_labels().into_iter().chain(made).collect();
    let written = Regex::new(r"[$.][lL]abels\.(\w+)").unwrap();
    for (text, kind) in [(RECORDING, "record"), (ALERTS, "alert"), (PEERS, "alert")] {
        for rule in rules(text, kind) {
            let (name, expr, whole) = (rule.name, rule.expr(), rule.lines.join(" "));
            let written = written.captures_iter(&whole).map(|it| it.extract::<1>().1[0]);
            for label in joined_by(&expr).into_iter().chain(written) {
                assert!(known.contains(label), "{name}: nothing has a label {label}");
            }
        }
    }
}

#[test]
fn each_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do() {
    for rule in rules(ALERTS, "alert") {
        let name = rule.name;
        let field = |key| rule.field(key).unwrap_or_else(|| panic!("{name} has no {key}"));
        assert!(["critical", "warning", "info"].contains(&field("severity").as_str()), "{name}");
        assert!(field("for").ends_with(['m', 'h']), "{name}");
        assert!(!field("description").is_empty(), "{name}");
        let summary = field("summary");
        let says_where = summary.contains("$labels.instance") || name == "UnitwatchNoThresholds";
        assert!(says_where, "{name} does not say where: {summary}");
        let anchor = name.to_lowercase();
        assert_eq!(field("runbook_url"), format!("alerts/README.md#{anchor}"));
    }
}

#[test]
fn the_sections_of_the_readme_are_the_alerts() {
    let sections = README.split("\n### ").skip(1);
    let titles: Vec<_> = sections.clone().map(|it| it.lines().next().unwrap()).collect();
    assert_eq!(titles, alert_names());
    for section in sections {
        for part in ["\n- Comparison: ", "\n- Causes: ", "\n- Silence: "] {
            assert!(section.contains(part), "there is no {part:?} in {section}");
        }
    }
}

#[test]
fn the_example_names_alerts_that_exist() {
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

#[test]
fn the_tests_invent_no_series() {
    for (file, text) in test_files() {
        for line in text.lines().filter(|line| line.contains("- series: ")) {
            check(&file, line);
        }
    }
}

#[test]
fn each_alert_has_a_case_that_fires_one_that_is_quiet_and_one_that_resolves() {
    let files = test_files();
    let instance = Regex::new(r#"instance(?:="([^"]+)"|: (.+))"#).unwrap();
    for name in alert_names() {
        let own = files.iter().filter(|(file, _)| file != "joins.yml");
        let mut tests = own.flat_map(|(_, text)| text.split("\n  - name: ").skip(1));
        // This one is about no host: its cases are tests of their own.
        if name == "UnitwatchNoThresholds" {
            for case in ["fires", "is quiet", "resolves"] {
                let title = format!("{name} {case}\n");
                assert!(tests.any(|test| test.starts_with(&title)), "no {title}");
            }
            continue;
        }
        let test = tests.find(|test| test.lines().next() == Some(name));
        let test = test.unwrap_or_else(|| panic!("{name} has no test"));
        let (series, rest) = test.split_once("promql_expr_test:").expect("what fires at first");
        let (first, last) = rest.split_once("alert_rule_test:").expect("what fires in the end");
        let cases = |part: &str| -> BTreeSet<String> {
            let found = instance.captures_iter(part);
            let named = found.map(|it| it.get(1).or(it.get(2)).unwrap().as_str().to_owned());
            named.collect()
        };
        let begin = |cases: &BTreeSet<String>, with: &[&str]| -> BTreeSet<String> {
            let kept = cases.iter().filter(|case| with.iter().any(|word| case.starts_with(word)));
            kept.cloned().collect()
        };
        let given = cases(series);
        for word in ["fires", "quiet", "resolves"] {
            assert!(!begin(&given, &[word]).is_empty(), "{name}: no case {word}");
        }
        assert!(
            first.contains(&format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}")),
            "{name}"
        );
        assert_eq!(cases(first), begin(&given, &["fires", "resolves"]), "{name}, at first");
        assert!(last.contains(&format!("alertname: {name}\n")), "{name}");
        assert_eq!(cases(last), begin(&given, &["fires"]), "{name}, in the end");
    }
}

#[test]
fn each_rule_that_joins_has_cases_where_the_other_side_is_missing_stale_and_back() {
    let files = test_files();
    let (_, joins) = files.iter().find(|(name, _)| name == "joins.yml").unwrap();
    let joined = Regex::new(r" (?:and|unless|/) ").unwrap();
    for (text, kind) in [(RECORDING, "record"), (ALERTS, "alert")] {
        for rule in rules(text, kind).iter().filter(|rule| joined.is_match(&rule.expr())) {
            // Of a series with itself: neither side is there without the other.
            if rule.name == "SystemdUnitsLeaking" {
                continue;
            }
            let title = format!("{}\n", rule.name);
            let test = joins.split("\n  - name: ").find(|test| test.starts_with(&title));
            let test = test.unwrap_or_else(|| panic!("joins.yml has no test {title}"));
            for case in ["missing", "stale", "back"] {
                assert!(test.contains(&format!("instance=\"{case}\"")), "{title}: no {case}");
            }
        }
    }
}
