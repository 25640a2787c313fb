//! The README's table of metrics is what the code promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

use std::fmt::Write as _;

use unitwatch::metrics;

const BEGIN: &str = "<!-- metrics -->\n";
const END: &str = "<!-- /metrics -->";

/// The table as it follows from the contract.
fn table() -> String {
    let mut table = String::from("| Family | Type | Labels | Meaning |\n|---|---|---|---|\n");
    for family in metrics::contract() {
        let labels = family.labels.join(", ");
        writeln!(
            table,
            "| `{}` | {} | {labels} | {} |",
            family.name,
            family.kind.as_str(),
            family.help
        )
        .unwrap();
    }
    table
}

#[test]
fn the_table_of_metrics_is_the_contract() {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once(BEGIN).expect("README.md has no `<!-- metrics -->`");
    let (written, _) = rest.split_once(END).expect("README.md has no `<!-- /metrics -->`");
    let wanted = table();
    assert!(written == wanted, "put this between the markers in README.md:\n\n{wanted}");
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
