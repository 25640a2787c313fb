//! The tables of metrics and of groups in the documentation are what the code serves.

use std::fmt::Write as _;

use unitwatch::metrics::{self, group::Group};

const BEGIN: &str = "<!-- metrics -->\n";
const END: &str = "<!-- /metrics -->";

/// The table as it follows from the declared families.
fn table() -> String {
    let mut table =
        String::from("| Family | Type | Labels | Group | Meaning |\n|---|---|---|---|---|\n");
    for family in metrics::all_families() {
        let labels = family.labels.join(", ");
        writeln!(
            table,
            "| `{}` | {} | {labels} | {} | {} |",
            family.name,
            family.kind.as_str(),
            family.group.map_or("", Group::name),
            family.help
        )
        .unwrap();
    }
    table
}

#[test]
fn the_table_of_metrics_has_every_declared_family() {
    let page = include_str!("../../docs/metrics.md");
    let (_, rest) = page.split_once(BEGIN).expect("docs/metrics.md has no `<!-- metrics -->`");
    let (written, _) = rest.split_once(END).expect("docs/metrics.md has no `<!-- /metrics -->`");
    let expected = table();
    assert!(written == expected, "put this between the markers in docs/metrics.md:\n\n{expected}");
}

#[test]
fn the_readme_lists_every_group_and_its_default() {
    let (_, rest) =
        include_str!("../../README.md").split_once("| Group | Default | What |\n").unwrap();
    let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
    let written: Vec<_> =
        rows.map(|row| row.split_inclusive('|').take(3).collect::<String>()).collect();
    let row = |group: &Group| {
        let default = if group.is_default() { "on" } else { "off" };
        format!("| `{}` | {default} |", group.name())
    };
    assert_eq!(written, Group::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_flag_of_the_groups_names_those_that_are_off() {
    let off = Group::ALL.iter().filter(|group| !group.is_default());
    let names: Vec<_> = off.map(|group| format!("`{}`", group.name())).collect();
    let (last, others) = names.split_last().unwrap();
    let cells = format!("| `--collector.GROUP` | on, except {} and {last} |", others.join(", "));
    let flags = include_str!("../../docs/flags.md");
    assert!(flags.contains(&cells), "put this in docs/flags.md:\n\n{cells}");
}

#[test]
fn every_help_text_can_stand_in_an_exposition_and_in_a_table() {
    for family in metrics::all_families() {
        let help = family.help;
        assert!(help.ends_with('.'), "{}: no full stop", family.name);
        // The encoder does not escape help texts, and Markdown has its own special characters.
        assert!(!help.contains(['\\', '\n', '"', '|', '<', '`']), "{}: {help}", family.name);
    }
}
