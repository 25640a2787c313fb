//! Which units have series: by type, and by slice.

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

use std::collections::BTreeSet;

use harness::{Exporter, Machine, until};
use rustix::process::Signal;

/// The units of ours that have a sample in this family.
fn ours(exporter: &Exporter, family: &str) -> BTreeSet<String> {
    let scrape = exporter.scrape();
    let names = scrape.of(family).map(|(labels, _)| labels["name"].clone());
    names.filter(|name| name.starts_with("fl")).collect()
}

fn until_are(exporter: &Exporter, family: &str, wanted: &[&str]) {
    until(&format!("{family} is of {wanted:?}"), || {
        let are = ours(exporter, family);
        if are.iter().eq(wanted) { Ok(()) } else { Err(are) }
    });
}

const STARTED: [&str; 5] =
    ["fl-in.service", "fl-top.service", "fl-out.service", "fl-in.timer", "fl-talk.socket"];

fn prepare(machine: &Machine) {
    for (name, slice) in
        [("fl-in", "flx-y.slice"), ("fl-top", "flx.slice"), ("fl-out", "flxy.slice")]
    {
        let text = format!("[Service]\nSlice={slice}\nExecStart=/bin/sleep 999\n");
        machine.write(&format!("{name}.service"), &text);
    }
    machine.write("fl-talk.service", "[Service]\nExecStart=/bin/sleep 999\n");
    machine.write("fl-talk.socket", "[Socket]\nSlice=flx-y.slice\nListenStream=%t/fl-talk\n");
    machine.write("fl-in.timer", "[Timer]\nOnCalendar=2099-01-01\n");
    machine.must(&["daemon-reload"]);
    machine.must(&[&["start"], &STARTED[..]].concat());
}

fn end(machine: &Machine) {
    machine.must(&[&["stop"], &STARTED[..]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_units_of_some_types_have_series() {
    let machine = Machine::start().await;
    prepare(&machine);
    let exporter = machine.exporter(&["--systemd.collector.unit-type=timer,slice"]);
    let all = ["fl-in.timer", "flx-y.slice", "flx.slice", "flxy.slice"];
    until_are(&exporter, "systemd_unit_state", &all);
    until_are(&exporter, "systemd_unit_starts_total", &all);
    end(&machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_units_in_some_slices_have_series() {
    let machine = Machine::start().await;
    prepare(&machine);
    let state = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = machine.command(env!("CARGO_BIN_EXE_unitwatch"));
        command.args(machine.is_private().then_some("--systemd.collector.user"));
        command.args(["--web.listen-address=127.0.0.1:0", "--systemd.collector.slice=flx.slice"]);
        command.env("STATE_DIRECTORY", state.path());
        let exporter = Exporter::spawn(command);
        exporter.until_ready();
        exporter
    };
    let exporter = start();
    let there = ["fl-in.service", "fl-talk.socket", "fl-top.service", "flx-y.slice", "flx.slice"];
    until_are(&exporter, "systemd_unit_state", &there);
    assert_eq!(exporter.scrape().value("systemd_exporter_units", &[]), Some(5.0));
    // What has gone was where it was, also for the exporter's next life.
    for (unit, slice) in [("fl-gone", "flx-y.slice"), ("fl-lost", "flxy.slice")] {
        let [unit, slice] = [format!("--unit={unit}"), format!("--slice={slice}")];
        machine.run(&[&unit, &slice, "--collect", "/bin/sleep", "999"]);
    }
    until("its slice is known", || {
        let scrape = ours(&exporter, "systemd_unit_info");
        if scrape.contains("fl-gone.service") { Ok(()) } else { Err(scrape) }
    });
    machine.must(&["stop", "fl-gone.service", "fl-lost.service"]);
    until_are(&exporter, "systemd_unit_state", &there);
    let counted = [&["fl-gone.service"], &there[..]].concat();
    until_are(&exporter, "systemd_unit_starts_total", &counted);
    exporter.end(Signal::TERM);
    let exporter = start();
    until_are(&exporter, "systemd_unit_starts_total", &counted);
    end(&machine);
}
