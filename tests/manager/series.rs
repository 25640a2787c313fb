//! `unitwatch series` counts the series that the exporter serves.

use std::{
    collections::BTreeMap,
    process::{Command, Output, Stdio},
};

use crate::harness::{Exporter, Machine, until};
use unitwatch::metrics::{self, group::Group};

/// Flags for every group and every unit.
const EVERYTHING: [&str; 6] = [
    "--systemd.collector.unit-exclude=",
    "--collector.unit-sub-state",
    "--collector.unit-file-state",
    "--collector.pressure",
    "--compat=node_exporter",
    "--max-series=0",
];

/// Flags that leave some out.
const GIVEN: [&str; 5] = [
    "--systemd.collector.unit-type=service,timer",
    "--systemd.collector.unit-state=current",
    "--systemd.collector.sum=instances",
    "--no-collector.unit-times",
    "--no-collector.ip",
];

type Column = BTreeMap<String, u64>;

/// The two columns that `series` prints, by the name of the row.
fn printed(machine: &Machine) -> [Column; 2] {
    let mut command = machine.command(env!("CARGO_BIN_EXE_unitwatch"));
    command.arg("series").args(machine.is_private().then_some("--systemd.collector.user"));
    let output = command.args(GIVEN).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut columns = [Column::new(), Column::new()];
    for line in text.lines().skip(1) {
        let words: Vec<_> = line.split_whitespace().collect();
        let [name, all, given] = words[..] else { panic!("{line:?} in:\n{text}") };
        for (column, number) in columns.iter_mut().zip([all, given]) {
            column.insert(name.to_owned(), number.parse().unwrap());
        }
    }
    columns
}

/// The same of what a running exporter serves.
fn served(exporter: &Exporter) -> Column {
    let mut column: Column = Group::ALL.iter().map(|group| (group.name().to_owned(), 0)).collect();
    let scrape = exporter.scrape();
    for (sample, _) in scrape.0.keys() {
        let suffixes = ["", "_bucket", "_sum", "_count"];
        let is_of = |family: &str| suffixes.iter().any(|it| *sample == format!("{family}{it}"));
        let family = metrics::all_families().find(|family| is_of(family.name)).unwrap();
        if let Some(group) = family.group {
            *column.get_mut(group.name()).unwrap() += 1;
        }
    }
    let units = scrape.value("systemd_exporter_units", &[]).unwrap();
    column.insert("units".to_owned(), units as u64);
    column
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counted_series_are_those_served() {
    let machine = Machine::start().await;
    machine.write(
        "us-fails.service",
        "[Service]\nExecStart=/bin/false\n[Install]\nWantedBy=a.target\n",
    );
    machine.write("us-daily.timer", "[Timer]\nOnCalendar=2099-01-01\nUnit=us-fails.service\n");
    machine.write("us-many@.service", "[Service]\nExecStart=/bin/sleep 999\n");
    machine.must(&["daemon-reload"]);
    machine.must(&["start", "us-daily.timer", "us-many@1.service", "us-many@2.service"]);
    machine.systemctl(&["start", "us-fails.service"]);
    let running = [machine.exporter(&EVERYTHING), machine.exporter(&GIVEN)];
    // The machine may change between the two.
    until("the two agree", || {
        let columns = printed(&machine);
        let mut differ = Vec::new();
        for (mut column, exporter) in columns.clone().into_iter().zip(&running) {
            let (sum, always) = (column.remove("series"), column.remove("(always)").unwrap());
            let bytes = column.remove("bytes").unwrap();
            let mut served = served(exporter);
            let of_groups = |column: &Column| column.values().sum::<u64>() - column["units"];
            assert_eq!(sum, Some(of_groups(&column) + always));
            assert!(bytes > 0 && always > 0);
            // Each program counts events and jobs from its own start.
            for column in [&mut column, &mut served] {
                for seen in ["unit-events", "jobs"] {
                    assert!(column.remove(seen).is_some(), "{seen}");
                }
            }
            if column != served {
                differ.push((column, served));
            }
        }
        if differ.is_empty() { Ok(columns) } else { Err(differ) }
    });
}

fn fail(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    output
}

#[test]
fn without_systemd_it_fails_with_the_reason() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
    command.args(["series", "--systemd.collector.user"]).env_remove("DBUS_SESSION_BUS_ADDRESS");
    let output = fail(command.env("XDG_RUNTIME_DIR", nowhere.path()));
    let log = String::from_utf8(output.stderr).unwrap();
    let last = log.lines().last().unwrap();
    assert!(last.contains("level=error"), "{log}");
    assert!(
        last.contains("cannot count the series: cannot reach systemd: over the user bus"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_no_failure() {
    let machine = Machine::start().await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = machine.command(env!("CARGO_BIN_EXE_unitwatch"));
    command.arg("series").args(machine.is_private().then_some("--systemd.collector.user"));
    let output = command.stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
