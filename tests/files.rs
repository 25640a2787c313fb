//! What is wrong with unit files: enabled units that do not run, files that do not load, files
//! that systemd has not read since they changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    unreachable_pub,
    clippy::cast_possible_truncation,
    reason = "the leave that clippy.toml gives to tests does not reach their helpers"
)]

mod harness;

use std::collections::{BTreeMap, BTreeSet};

use harness::{Exporter, Machine, exposition::Exposition, until};

/// The units of ours that have a sample in this family.
fn ours(scrape: &Exposition, family: &str) -> BTreeSet<String> {
    let names = scrape.of(family).map(|(labels, _)| labels["name"].clone());
    names.filter(|name| name.starts_with("uf-")).collect()
}

fn until_are(exporter: &Exporter, family: &str, wanted: &[&str]) {
    let wanted: BTreeSet<_> = wanted.iter().map(|&name| name.to_owned()).collect();
    until(&format!("{family} is of {wanted:?}"), || {
        let are = ours(&exporter.scrape(), family);
        if are == wanted { Ok(()) } else { Err(are) }
    });
}

fn listings(exporter: &Exporter) -> f64 {
    let labels = [("method", "ListUnitFiles")];
    exporter.scrape().value("systemd_exporter_dbus_calls_total", &labels).unwrap_or(0.0)
}

const INSTALL: &str = "[Install]\nWantedBy=default.target\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_enabled_unit_that_does_not_run_is_told() {
    let machine = Machine::start().await;
    let sleep = "[Service]\nExecStart=/bin/sleep 999\n";
    let once = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
    let units = [
        ("uf-stopped.service", sleep.to_owned()),
        ("uf-running.service", sleep.to_owned()),
        ("uf-failed.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n".to_owned()),
        ("uf-once.service", once.to_owned()),
        ("uf-never.service", once.to_owned()),
        ("uf-unmet.service", format!("[Unit]\nConditionPathExists=/nonexistent\n{sleep}")),
        ("uf-timed.service", sleep.to_owned()),
        ("uf-timed.timer", "[Timer]\nOnCalendar=2099-01-01\n".to_owned()),
        ("uf-late.timer", "[Timer]\nOnCalendar=2099-01-01\nUnit=uf-timed.service\n".to_owned()),
    ];
    for (name, text) in &units {
        machine.write(name, &format!("{text}{INSTALL}"));
    }
    // Of a template instances are enabled, and of those no file is listed.
    let text = format!("{sleep}{INSTALL}DefaultInstance=x\n");
    machine.write("uf-template@.service", &text);
    // Nobody needs their target, and so nothing keeps them in memory.
    for (name, text) in [("uf-absent.service", sleep), ("uf-forgotten.service", once)] {
        machine.write(name, &format!("{text}[Install]\nWantedBy=uf-nobody.target\n"));
    }
    machine.write("uf-disabled.service", &format!("{sleep}{INSTALL}"));
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&["--collector.unit-file-state"]);
    until("the files are listed", || match listings(&exporter) {
        0.0 => Err("never"),
        _ => Ok(()),
    });

    let mut enable = vec!["enable", "--runtime", "uf-absent.service", "uf-forgotten.service"];
    enable.push("uf-template@.service");
    enable.extend(units.iter().map(|(name, _)| *name));
    machine.must(&enable);
    // Where systemd did not boot the machine, systemctl does it all by itself and tells nobody.
    machine.must(&["daemon-reload"]);
    machine.systemctl(&["start", "uf-running.service", "uf-once.service", "uf-unmet.service"]);
    machine.systemctl(&["start", "uf-timed.timer", "uf-failed.service"]);
    let missed = [
        "uf-absent.service",
        "uf-failed.service",
        "uf-late.timer",
        "uf-never.service",
        "uf-stopped.service",
    ];
    until_are(&exporter, "systemd_unit_enabled_inactive", &missed);

    let states: BTreeMap<_, _> = exporter
        .scrape()
        .of("systemd_unit_file_state")
        .filter(|(labels, _)| labels["name"].starts_with("uf-"))
        .map(|(labels, _)| (labels["name"].clone(), labels["state"].clone()))
        .collect();
    let listed = machine.must(&["list-unit-files", "--no-legend", "--plain", "uf-*"]);
    let wanted: BTreeMap<_, _> = listed
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        })
        .collect();
    assert_eq!(states, wanted);
    assert_eq!(states["uf-disabled.service"], "disabled");

    // Nothing is listed because somebody looks.
    let before = listings(&exporter);
    for _ in 0..5 {
        exporter.scrape();
    }
    assert_eq!(listings(&exporter), before);

    machine.must(&["stop", "uf-running.service"]);
    machine.must(&["start", "uf-stopped.service", "uf-never.service"]);
    machine.systemctl(&["reset-failed", "uf-failed.service"]);
    // A oneshot that failed and was forgiven has finished.
    let missed = ["uf-absent.service", "uf-late.timer", "uf-running.service"];
    until_are(&exporter, "systemd_unit_enabled_inactive", &missed);
    machine.must(&[
        "disable",
        "--runtime",
        "uf-absent.service",
        "uf-late.timer",
        "uf-running.service",
    ]);
    machine.must(&["daemon-reload"]);
    until_are(&exporter, "systemd_unit_enabled_inactive", &[]);
    assert_eq!(exporter.scrape().sum("systemd_exporter_drift_total"), 0.0);
    machine.systemctl(&["stop", "uf-*"]);
    let mut disable = vec!["disable", "--runtime"];
    disable.extend(units.iter().map(|(name, _)| *name));
    machine.systemctl(&disable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_load_or_is_newer_is_told() {
    let machine = Machine::start().await;
    machine.write("uf-bad.service", "[Service]\n");
    machine.write("uf-good.service", "[Service]\nExecStart=/bin/sleep 999\n");
    machine.write("uf-all.target", "[Unit]\nWants=uf-bad.service uf-missing.service\n");
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&["--systemd.collector.reconcile-interval=1s"]);
    machine.must(&["start", "uf-all.target", "uf-good.service"]);
    until_are(&exporter, "systemd_unit_load_error", &["uf-bad.service"]);
    let scrape = exporter.scrape();
    let (labels, _) = scrape
        .of("systemd_unit_load_error")
        .find(|(it, _)| it["name"] == "uf-bad.service")
        .unwrap();
    assert_eq!(labels["load_state"], "bad-setting");
    assert_eq!(labels["error"], "org.freedesktop.systemd1.BadUnitSetting");
    assert_eq!(ours(&scrape, "systemd_unit_need_daemon_reload"), BTreeSet::new());

    machine.write("uf-bad.service", "[Service]\nExecStart=/bin/sleep 999\n");
    machine.write("uf-good.service", "[Service]\nExecStart=/bin/sleep 998\n");
    until_are(&exporter, "systemd_unit_need_daemon_reload", &["uf-good.service"]);
    machine.must(&["daemon-reload"]);
    until_are(&exporter, "systemd_unit_need_daemon_reload", &[]);
    until_are(&exporter, "systemd_unit_load_error", &[]);
    machine.systemctl(&["stop", "uf-*"]);
}

/// Nobody is told of the files, so systemd need not read them.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_not_listed_where_nobody_wants_to_know() {
    let machine = Machine::start().await;
    let without = machine.exporter(&["--no-collector.unit-problems"]);
    // The other one comes later, so it is the last to list them.
    let with = machine.exporter(&[]);
    until("the files are listed", || match listings(&with) {
        0.0 => Err("never"),
        _ => Ok(()),
    });
    assert_eq!(listings(&without), 0.0);
    assert_eq!(without.up(), Some(1.0));
}
