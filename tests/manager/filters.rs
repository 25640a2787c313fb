//! Which units have series, by type and by slice, and which are rolled up.

use std::{collections::BTreeSet, process::Stdio};

use crate::harness::{Exporter, Machine, until};
use rustix::process::Signal;

/// How all units of these tests begin.
const OURS: &str = "fl";

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
    exporter.until_names("systemd_unit_state", OURS, &all);
    exporter.until_names("systemd_unit_starts_total", OURS, &all);
    end(&machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_units_in_some_slices_have_series() {
    let machine = Machine::start().await;
    prepare(&machine);
    let state = tempfile::tempdir().unwrap();
    let start =
        || machine.exporter_with_state(state.path(), &["--systemd.collector.slice=flx.slice"]);
    let exporter = start();
    let there = ["fl-in.service", "fl-talk.socket", "fl-top.service", "flx-y.slice", "flx.slice"];
    exporter.until_names("systemd_unit_state", OURS, &there);
    assert_eq!(exporter.scrape().value("systemd_exporter_units", &[]), Some(5.0));
    // A gone unit stays in its slice, also after a restart of the exporter.
    for (unit, slice) in [("fl-gone", "flx-y.slice"), ("fl-lost", "flxy.slice")] {
        let [unit, slice] = [format!("--unit={unit}"), format!("--slice={slice}")];
        machine.run(&[&unit, &slice, "--collect", "/bin/sleep", "999"]);
    }
    until("its slice is known", || {
        let names = exporter.scrape().names("systemd_unit_info", OURS);
        if names.contains("fl-gone.service") { Ok(()) } else { Err(names) }
    });
    machine.must(&["stop", "fl-gone.service", "fl-lost.service"]);
    exporter.until_names("systemd_unit_state", OURS, &there);
    let counted = [&["fl-gone.service"], &there[..]].concat();
    exporter.until_names("systemd_unit_starts_total", OURS, &counted);
    exporter.end(Signal::TERM);
    let exporter = start();
    exporter.until_names("systemd_unit_starts_total", OURS, &counted);
    end(&machine);
}

/// How often the units of a roll-up were started, and how many are in these states.
fn rollup(exporter: &Exporter, name: &str, states: &[&str]) -> (Option<f64>, Vec<Option<f64>>) {
    let scrape = exporter.scrape();
    let labels = [("name", name), ("type", name.rsplit('.').next().unwrap())];
    let member = |state: &&str| {
        scrape.value("systemd_unit_members", &[&labels[..], &[("state", *state)]].concat())
    };
    let starts = scrape.value("systemd_unit_starts_total", &labels);
    (starts, states.iter().map(member).collect())
}

fn until_is(exporter: &Exporter, name: &str, starts: f64, states: &[(&str, f64)]) {
    let (states, counts): (Vec<_>, Vec<_>) = states.iter().copied().unzip();
    let wanted = (Some(starts), counts.into_iter().map(Some).collect::<Vec<_>>());
    until(&format!("{name} is {wanted:?}"), || {
        let is = rollup(exporter, name, &states);
        if is == wanted { Ok(()) } else { Err(is) }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_rolled_up_under_their_template() {
    let machine = Machine::start().await;
    let exec =
        "ExecStart=/bin/sh -c 'case %i in bad) exit 3;; short*) ;; *) exec sleep 999;; esac'";
    machine.write("fl-work@.service", &format!("[Service]\n{exec}\n"));
    machine.write("fl-alone.service", "[Service]\nExecStart=/bin/sleep 999\n");
    machine.must(&["daemon-reload"]);
    machine.must(&["start", "fl-work@old.service"]);
    let state = tempfile::tempdir().unwrap();
    let flags = ["--systemd.collector.sum=instances", "--systemd.collector.unit-exclude=.+@no.+"];
    let exporter = machine.exporter_with_state(state.path(), &flags);
    let work = "fl-work@.service";
    // An instance that ran before the exporter is a member, and its start is not counted.
    until_is(&exporter, work, 0.0, &[("active", 1.0), ("failed", 0.0), ("inactive", 0.0)]);
    let started = ["fl-work@1.service", "fl-work@not.service", "fl-alone.service"];
    machine.must(&[&["start"], &started[..]].concat());
    machine.systemctl(&["start", "fl-work@bad.service"]);
    until_is(&exporter, work, 2.0, &[("active", 2.0), ("failed", 1.0)]);
    let scrape = exporter.scrape();
    let named = scrape.0.keys().filter_map(|(_, labels)| labels.get("name"));
    let named: BTreeSet<_> = named.filter(|name| name.starts_with("fl-")).collect();
    assert!(named.iter().eq(&["fl-alone.service", work]), "{named:?}");
    let failed = [("name", work), ("type", "service"), ("result", "exit-code")];
    assert_eq!(scrape.value("systemd_unit_failures_total", &failed), Some(1.0));
    assert!(exporter.get("/").1.contains("fl-work@bad.service"), "{}", exporter.get("/").1);

    // Members go and their counts stay, also after a restart of the exporter.
    let short: Vec<_> = (0..20).map(|number| format!("fl-work@short{number}.service")).collect();
    machine.must(&[&["start"], &short.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
    machine.must(&["stop", "fl-work@*.service", "fl-alone.service"]);
    machine.must(&["reset-failed", "fl-work@*.service"]);
    let none = [("active", 0.0), ("failed", 0.0), ("inactive", 0.0)];
    until_is(&exporter, work, 22.0, &none);
    exporter.end(Signal::TERM);
    let exporter = machine.exporter_with_state(state.path(), &flags);
    until_is(&exporter, work, 22.0, &none);
    machine.must(&["start", "fl-work@new.service"]);
    until_is(&exporter, work, 23.0, &[("active", 1.0)]);
    machine.must(&["stop", "fl-work@new.service"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_are_rolled_up_under_their_slice() {
    let machine = Machine::start().await;
    let scope = |unit: &str, slice: &str| {
        let mut command = machine.command("systemd-run");
        command.args(machine.is_private().then_some("--user"));
        command.args(["--quiet", "--scope", "--unit", unit, "--slice", slice, "sleep", "999"]);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let old = scope("fl-old.scope", "flx-y.slice");
    until("the scope is active", || {
        let output = machine.systemctl(&["is-active", "fl-old.scope"]);
        if output.status.success() { Ok(()) } else { Err(output) }
    });
    let state = tempfile::tempdir().unwrap();
    let exporter = machine.exporter_with_state(state.path(), &["--systemd.collector.sum=scopes"]);
    let (inner, outer) = ("flx-y.slice/*.scope", "flx.slice/*.scope");
    until_is(&exporter, inner, 0.0, &[("active", 1.0)]);
    let mut held = vec![old, scope("fl-1.scope", "flx-y.slice"), scope("fl-2.scope", "flx.slice")];
    until_is(&exporter, inner, 1.0, &[("active", 2.0), ("inactive", 0.0)]);
    until_is(&exporter, outer, 1.0, &[("active", 1.0)]);
    let named = exporter.scrape().names("systemd_unit_starts_total", OURS);
    let named: Vec<_> = named.iter().filter(|name| name.ends_with(".scope")).collect();
    assert_eq!(named, [inner, outer]);
    machine.must(&["stop", "fl-old.scope", "fl-1.scope", "fl-2.scope"]);
    for child in &mut held {
        child.wait().unwrap();
    }
    until_is(&exporter, inner, 1.0, &[("active", 0.0), ("inactive", 0.0)]);
    until_is(&exporter, outer, 1.0, &[("active", 0.0)]);
}
