//! The README's table of metrics is what the code promises.

use std::fmt::Write as _;

use unitwatch::metrics::{self, group::Group};

const BEGIN: &str = "<!-- metrics -->\n";
const END: &str = "<!-- /metrics -->";

/// The table as it follows from the contract.
fn table() -> String {
    let mut table =
        String::from("| Family | Type | Labels | Group | Meaning |\n|---|---|---|---|---|\n");
    for family in metrics::contract() {
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
fn the_table_of_metrics_is_the_contract() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once(BEGIN).expect("README.md has no `<!-- metrics -->`");
    let (written, _) = rest.split_once(END).expect("README.md has no `<!-- /metrics -->`");
    let wanted = table();
    assert!(written == wanted, "put this between the markers in README.md:\n\n{wanted}");
}

#[test]
fn the_row_of_the_groups_flags_names_them_all() {
    let names = |is_default: bool| {
        let groups = Group::ALL.iter().filter(|group| group.is_default() == is_default);
        groups.map(|group| format!("`{}`", group.name())).collect::<Vec<_>>()
    };
    let off = names(false);
    let (last, others) = off.split_last().unwrap();
    let row = format!(
        "| `--collector.GROUP` | on, but for {} and {last} | serve the metrics of a group (the table below \
         tells which they are): {} or {}; `--no-collector.GROUP` leaves them out |\n",
        others.join(", "),
        names(true).join(", "),
        off.join(", "),
    );
    assert!(include_str!("../../README.md").contains(&row), "put this in README.md:\n\n{row}");
}

#[test]
fn every_help_text_can_stand_in_an_exposition_and_in_a_table() {
    for family in metrics::contract() {
        let help = family.help;
        assert!(help.ends_with('.'), "{}: no full stop", family.name);
        // The encoder does not escape help texts, and Markdown has its own special characters.
        assert!(!help.contains(['\\', '\n', '"', '|', '<', '`']), "{}: {help}", family.name);
    }
}
