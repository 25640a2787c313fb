//! Problems with units and their files: wanted units that do not run, files that do not load, and
//! files that changed since systemd read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::harness::{Exporter, Machine, OFTEN, PRIVATE, exposition::Exposition, until};

/// How all units of these tests begin.
const OURS: &str = "uf-";

fn listings(exporter: &Exporter) -> f64 {
    let labels = [("method", "ListUnitFiles")];
    exporter.scrape().value("systemd_exporter_dbus_calls_total", &labels).unwrap_or(0.0)
}

const WANTED: &str = "systemd_unit_wanted_inactive";

/// A service that runs until it is stopped.
const SLEEP: &str = "[Service]\nExecStart=/bin/sleep 999\n";

/// A service whose run ends by itself.
const ONCE: &str = "[Service]\nType=oneshot\nExecStart=/bin/true\n";

/// Wanted by a target that the tests start.
const INSTALL: &str = "[Install]\nWantedBy=uf-all.target\n";

/// Our units that are wanted and inactive, each with the reason.
fn wanted_inactive(scrape: &Exposition) -> BTreeMap<String, String> {
    let ours = scrape.of(WANTED).filter(|(labels, _)| labels["name"].starts_with(OURS));
    ours.map(|(labels, value)| {
        assert_eq!(value, 1.0);
        (labels["name"].clone(), labels.get("reason").cloned().unwrap_or_default())
    })
    .collect()
}

/// Waits until exactly these units are reported as wanted and inactive.
fn until_wanted(exporter: &Exporter, wanted: &[(&str, &str)]) {
    let wanted: BTreeMap<_, _> =
        wanted.iter().map(|&(name, reason)| (name.to_owned(), reason.to_owned())).collect();
    until("wanted and inactive units have a series", || {
        let are = wanted_inactive(&exporter.scrape());
        if are == wanted { Ok(()) } else { Err((are, wanted.clone())) }
    });
}

/// The same, also after the exporter has compared its table with systemd's.
fn until_still_wanted(exporter: &Exporter, wanted: &[(&str, &str)]) {
    until_wanted(exporter, wanted);
    exporter.until_resynced("interval", exporter.resyncs("interval"));
    until_wanted(exporter, wanted);
}

/// A machine with these units and an active target that wants most of them.
async fn with_units(units: &[(&str, String)]) -> Machine {
    let machine = Machine::start().await;
    for (name, text) in units {
        machine.write(name, text);
    }
    machine.write("uf-all.target", "[Unit]\nDescription=All\n");
    machine.must(&["daemon-reload"]);
    machine.must(&["start", "uf-all.target"]);
    machine
}

/// Enables or disables units and reloads systemd: `systemctl` itself reloads only the manager that
/// booted the machine.
fn change_links(machine: &Machine, verb: &str, units: &[&str]) {
    machine.must(&[&[verb, "--runtime"][..], units].concat());
    machine.must(&["daemon-reload"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_an_active_unit_wants_and_that_does_not_run_is_reported() {
    let instance = format!("{SLEEP}{INSTALL}DefaultInstance=x\n");
    let required = format!("{SLEEP}[Install]\nRequiredBy=uf-all.target\n");
    let idle = format!("{SLEEP}[Install]\nWantedBy=uf-idle.target\n");
    let machine = with_units(&[
        ("uf-t@.service", instance),
        ("uf-stopped.service", format!("{SLEEP}{INSTALL}")),
        ("uf-running.service", format!("{SLEEP}{INSTALL}")),
        ("uf-required.service", required),
        ("uf-never.service", format!("{SLEEP}{INSTALL}")),
        ("uf-never.timer", format!("[Timer]\nOnCalendar=2099-01-01\n{INSTALL}")),
        ("uf-idle.target", "[Unit]\nDescription=Idle\n".to_owned()),
        ("uf-idle.service", idle),
        ("uf-failed.service", format!("[Service]\nExecStart=/bin/false\n{INSTALL}")),
        ("uf-disabled.service", format!("{SLEEP}{INSTALL}")),
        // Loaded because its timer refers to it, and wanted by nothing.
        ("uf-unwanted.timer", "[Timer]\nOnCalendar=2099-01-01\n".to_owned()),
        ("uf-unwanted.service", ONCE.to_owned()),
    ])
    .await;
    let exporter = machine.exporter(&[OFTEN]);
    let enabled = [
        "uf-t@.service",
        "uf-t@a.service",
        "uf-stopped.service",
        "uf-running.service",
        "uf-required.service",
        "uf-never.service",
        "uf-never.timer",
        "uf-idle.service",
        "uf-failed.service",
    ];
    change_links(&machine, "enable", &enabled);
    let started = ["uf-t@a.service", "uf-stopped.service", "uf-running.service"];
    machine.must(&[&["start", "uf-unwanted.timer", "uf-failed.service"][..], &started].concat());
    machine.must(&["stop", "uf-t@a.service", "uf-stopped.service"]);
    let wanted = [
        ("uf-t@x.service", "never_started"),
        ("uf-t@a.service", "stopped"),
        ("uf-stopped.service", "stopped"),
        ("uf-required.service", "never_started"),
        ("uf-never.service", "never_started"),
        ("uf-never.timer", "never_started"),
    ];
    // One exporter saw the changes, the other starts after them.
    let late = machine.exporter(&[OFTEN]);
    until_wanted(&late, &wanted);
    until_still_wanted(&exporter, &wanted);
    assert_eq!(listings(&exporter) + listings(&late), 0.0, "unit files were listed");
    drop(late);

    // The units that want an inactive unit may change.
    machine.must(&["start", "uf-never.service", "uf-t@x.service", "uf-required.service"]);
    machine.must(&["stop", "uf-running.service", "uf-t@x.service"]);
    change_links(&machine, "disable", &["uf-never.timer", "uf-t@a.service", "uf-stopped.service"]);
    let wanted = [("uf-t@x.service", "stopped"), ("uf-running.service", "stopped")];
    until_wanted(&exporter, &wanted);
    machine.must(&["start", "uf-idle.target"]);
    machine.must(&["stop", "uf-idle.service"]);
    until_wanted(&exporter, &[&wanted[..], &[("uf-idle.service", "stopped")]].concat());
    machine.must(&["stop", "uf-all.target"]);
    until_wanted(&exporter, &[("uf-idle.service", "stopped")]);
    assert_eq!(exporter.scrape().sum("systemd_exporter_drift_total"), 0.0);
    machine.systemctl(&["stop", "uf-*"]);
    machine.systemctl(&[&["disable", "--runtime"][..], &enabled].concat());
}

/// Each reason why an inactive unit is not reported, beside a unit that lacks the reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_is_inactive_by_design_is_not_reported() {
    let with = |unit: &str, service: &str| format!("[Unit]\n{unit}\n{service}{INSTALL}");
    let after = |lines: &str, start: &str| format!("[Service]\n{lines}{start}\n{INSTALL}");
    let timer = |lines: &str| format!("[Timer]\nUnit=uf-elapses.service\n{lines}\n{INSTALL}");
    let (met, unmet) = ("PathExists=/", "PathExists=/nonexistent");
    let (yes, no) = ("ExecStart=/bin/true", "ExecStart=/bin/sleep 999");
    // Exits with 0 on SIGTERM, and writes a file once the trap is set.
    let trap = r#"ExecStart=/bin/sh -c 'trap "exit 0" TERM; echo >%t/uf-trap; while :; do sleep 0.1; done'"#;
    let units = [
        ("uf-condition.service", with(&format!("Condition{unmet}"), SLEEP)),
        ("uf-condition-met.service", with(&format!("Condition{met}"), SLEEP)),
        ("uf-condition-untried.service", with(&format!("Condition{unmet}"), SLEEP)),
        ("uf-assert.service", with(&format!("Assert{unmet}"), SLEEP)),
        ("uf-assert-met.service", with(&format!("Assert{met}"), SLEEP)),
        ("uf-assert-untried.service", with(&format!("Assert{unmet}"), SLEEP)),
        ("uf-skipped.service", after("ExecCondition=/bin/false\n", no)),
        ("uf-skipped-not.service", after("ExecCondition=/bin/true\n", no)),
        ("uf-once.service", format!("{ONCE}{INSTALL}")),
        ("uf-once-remains.service", format!("{ONCE}RemainAfterExit=yes\n{INSTALL}")),
        ("uf-once-never.service", format!("{ONCE}{INSTALL}")),
        ("uf-timed.service", format!("{SLEEP}{INSTALL}")),
        ("uf-timed.timer", "[Timer]\nOnCalendar=2099-01-01\n".to_owned()),
        ("uf-untimed.service", format!("{SLEEP}{INSTALL}")),
        ("uf-untimed.timer", "[Timer]\nOnCalendar=2099-01-01\n".to_owned()),
        ("uf-rival.service", format!("[Unit]\nConflicts=uf-rivalled.service\n{SLEEP}")),
        ("uf-rivalled.service", format!("{SLEEP}{INSTALL}")),
        ("uf-beaten.service", with("Conflicts=uf-rival.service", SLEEP)),
        ("uf-no-rival.service", format!("[Unit]\nConflicts=uf-unrivalled.service\n{SLEEP}")),
        ("uf-unrivalled.service", with("Conflicts=uf-no-rival.service", SLEEP)),
        ("uf-ended.service", after("", yes)),
        ("uf-ended-remains.service", after("RemainAfterExit=yes\n", yes)),
        ("uf-ended-stopped.service", after("", trap)),
        ("uf-again.service", after("Restart=always\nRestartSec=999\n", yes)),
        ("uf-again-not.service", after("Restart=always\nRestartPreventExitStatus=0\n", yes)),
        ("uf-crashed.service", after("", "ExecStart=/bin/false")),
        ("uf-crashed-once.service", after("Type=oneshot\n", "ExecStart=/bin/false")),
        ("uf-elapsed.timer", timer("OnActiveSec=1ms\nRemainAfterElapse=no")),
        ("uf-elapsed-not.timer", timer("OnActiveSec=1h\nRemainAfterElapse=no")),
        ("uf-elapses.service", ONCE.to_owned()),
        ("uf-static.service", SLEEP.to_owned()),
        ("uf-static-tried.service", SLEEP.to_owned()),
        ("uf-static-not.service", format!("{SLEEP}{INSTALL}")),
    ];
    let machine = with_units(&units).await;
    let exporter = machine.exporter(&[OFTEN]);
    let enabled = units.iter().filter(|(_, text)| text.contains(INSTALL)).map(|(name, _)| *name);
    let enabled: Vec<_> = enabled.collect();
    machine.write("uf-all.target", "[Unit]\nWants=uf-static.service uf-static-tried.service\n");
    change_links(&machine, "enable", &enabled);

    // Some of these fail to start, which is intended.
    let mut start = vec!["start", "uf-timed.timer", "uf-untimed.timer", "uf-static-tried.service"];
    let left = ["uf-static-not", "uf-once-never", "uf-condition-untried", "uf-assert-untried"];
    let is_left = |name: &str| left.iter().any(|left| name == format!("{left}.service"));
    start.extend(enabled.iter().filter(|name| !is_left(name)));
    machine.systemctl(&start);
    until("the trap is set", || fs::metadata(machine.runtime_dir().join("uf-trap")));
    let ends = [
        ("uf-again.service", "activating auto-restart"),
        ("uf-again-not.service", "inactive dead"),
        ("uf-crashed.service", "failed failed"),
        ("uf-crashed-once.service", "failed failed"),
        ("uf-elapsed.timer", "inactive dead"),
    ];
    until("these units have reached their final states", || {
        let state = |unit| {
            let shown = machine.must(&["show", "--property=ActiveState,SubState", "--value", unit]);
            shown.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let states = ends.map(|(unit, _)| state(unit));
        if states == ends.map(|(_, state)| state) { Ok(()) } else { Err(states) }
    });
    machine.must(&["reset-failed", "uf-crashed.service", "uf-crashed-once.service"]);
    machine.must(&["start", "uf-rival.service", "uf-no-rival.service"]);
    let stop = [
        "stop",
        "uf-untimed.timer",
        "uf-untimed.service",
        "uf-timed.service",
        "uf-no-rival.service",
        "uf-once-remains.service",
        "uf-ended-remains.service",
        "uf-ended-stopped.service",
        "uf-condition-met.service",
        "uf-assert-met.service",
        "uf-skipped-not.service",
        "uf-static-tried.service",
        "uf-again.service",
        "uf-elapsed-not.timer",
    ];
    machine.must(&stop);
    let wanted = [
        ("uf-condition-met.service", "stopped"),
        ("uf-condition-untried.service", "never_started"),
        ("uf-assert-met.service", "stopped"),
        ("uf-assert-untried.service", "never_started"),
        ("uf-skipped-not.service", "stopped"),
        ("uf-once-remains.service", "stopped"),
        ("uf-once-never.service", "never_started"),
        ("uf-untimed.service", "stopped"),
        ("uf-unrivalled.service", "stopped"),
        ("uf-ended-remains.service", "stopped"),
        ("uf-ended-stopped.service", "stopped"),
        ("uf-static-tried.service", "stopped"),
        ("uf-static-not.service", "never_started"),
        ("uf-again.service", "stopped"),
        ("uf-crashed.service", "stopped"),
        ("uf-crashed-once.service", "stopped"),
        ("uf-elapsed-not.timer", "stopped"),
    ];
    let late = machine.exporter(&[OFTEN]);
    until_wanted(&late, &wanted);
    until_still_wanted(&exporter, &wanted);
    drop(late);
    // A daemon-reload changes nothing.
    machine.must(&["daemon-reload"]);
    until_wanted(&exporter, &wanted);

    // The reason may end while the unit stays inactive.
    machine.must(&["stop", "uf-timed.timer", "uf-rival.service"]);
    let unexcused = ["uf-timed.service", "uf-rivalled.service", "uf-beaten.service"];
    let unexcused = unexcused.map(|name| (name, "stopped"));
    until_wanted(&exporter, &[&wanted[..], &unexcused].concat());
    assert_eq!(exporter.scrape().sum("systemd_exporter_drift_total"), 0.0);
    machine.systemctl(&["stop", "uf-*"]);
    machine.systemctl(&[&["disable", "--runtime"][..], &enabled].concat());
}

/// A service with `BusName=` is only bus-activated if the bus has a service file for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_its_bus_does_not_start_is_reported() {
    let named = |name: &str| format!("[Service]\nBusName={name}\nExecStart=/bin/true\n{INSTALL}");
    let machine = with_units(&[
        ("uf-called.service", named("test.uf.Called")),
        ("uf-uncalled.service", named("test.uf.Uncalled")),
    ])
    .await;
    let services = match machine.is_private() {
        true => machine.runtime_dir().join("dbus-1/services"),
        false => "/usr/local/share/dbus-1/system-services".into(),
    };
    fs::create_dir_all(&services).unwrap();
    let text = "[D-BUS Service]\nName=test.uf.Called\nExec=/bin/false\nUser=root\n";
    fs::write(services.join("test.uf.Called.service"), text).unwrap();
    let reload_bus = || {
        let bus = "org.freedesktop.DBus";
        let mut busctl = machine.command("busctl");
        busctl.args(machine.is_private().then_some("--user"));
        let output =
            busctl.args(["call", bus, "/org/freedesktop/DBus", bus, "ReloadConfig"]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    reload_bus();
    change_links(&machine, "enable", &["uf-called.service", "uf-uncalled.service"]);
    let exporter = machine.exporter(&[OFTEN]);
    // Without a bus the exporter cannot know, and reports neither.
    let private = machine.exporter(&[OFTEN, PRIVATE]);
    until_wanted(&exporter, &[("uf-uncalled.service", "never_started")]);
    until_still_wanted(&private, &[]);

    fs::remove_file(services.join("test.uf.Called.service")).unwrap();
    reload_bus();
    let both = ["uf-called.service", "uf-uncalled.service"].map(|name| (name, "never_started"));
    until_wanted(&exporter, &both);
    machine.systemctl(&["stop", "uf-*"]);
    machine.systemctl(&["disable", "--runtime", "uf-called.service", "uf-uncalled.service"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unit_file_states_are_those_of_systemctl_list_unit_files() {
    let machine = with_units(&[
        ("uf-enabled.service", format!("{SLEEP}{INSTALL}")),
        ("uf-disabled.service", format!("{SLEEP}{INSTALL}")),
        ("uf-static.service", SLEEP.to_owned()),
        ("uf-t@.service", format!("{SLEEP}{INSTALL}DefaultInstance=x\n")),
    ])
    .await;
    let exporter = machine.exporter(&["--collector.unit-file-state"]);
    change_links(&machine, "enable", &["uf-enabled.service", "uf-t@.service"]);
    until("the states are those of systemctl", || {
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
        assert_eq!(wanted["uf-disabled.service"], "disabled");
        if states == wanted { Ok(()) } else { Err((states, wanted)) }
    });

    // A scrape does not list unit files.
    let before = listings(&exporter);
    for _ in 0..5 {
        exporter.scrape();
    }
    assert_eq!(listings(&exporter), before);
    machine.systemctl(&["stop", "uf-*"]);
    machine.systemctl(&["disable", "--runtime", "uf-enabled.service", "uf-t@.service"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_load_or_that_changed_is_reported() {
    let machine = Machine::start().await;
    machine.write("uf-bad.service", "[Service]\n");
    machine.write("uf-good.service", "[Service]\nExecStart=/bin/sleep 999\n");
    machine.write("uf-all.target", "[Unit]\nWants=uf-bad.service uf-missing.service\n");
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&["--systemd.collector.reconcile-interval=1s"]);
    machine.must(&["start", "uf-all.target", "uf-good.service"]);
    exporter.until_names("systemd_unit_load_error", OURS, &["uf-bad.service"]);
    let scrape = exporter.scrape();
    let (labels, _) = scrape
        .of("systemd_unit_load_error")
        .find(|(it, _)| it["name"] == "uf-bad.service")
        .unwrap();
    assert_eq!(labels["load_state"], "bad-setting");
    assert_eq!(labels["error"], "org.freedesktop.systemd1.BadUnitSetting");
    assert_eq!(scrape.names("systemd_unit_need_daemon_reload", OURS), BTreeSet::new());

    machine.write("uf-bad.service", "[Service]\nExecStart=/bin/sleep 999\n");
    machine.write("uf-good.service", "[Service]\nExecStart=/bin/sleep 998\n");
    exporter.until_names("systemd_unit_need_daemon_reload", OURS, &["uf-good.service"]);
    machine.must(&["daemon-reload"]);
    exporter.until_names("systemd_unit_need_daemon_reload", OURS, &[]);
    exporter.until_names("systemd_unit_load_error", OURS, &[]);
    machine.systemctl(&["stop", "uf-*"]);
}

/// systemd reads every unit file to list them.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_only_where_their_states_are_served() {
    let machine = Machine::start().await;
    let without = machine.exporter(&[]);
    // This one starts later: once it has listed them, the other one would have, too.
    let with = machine.exporter(&["--collector.unit-file-state"]);
    until("the files are listed", || match listings(&with) {
        0.0 => Err("never"),
        _ => Ok(()),
    });
    assert_eq!(listings(&without), 0.0);
    assert_eq!(without.up(), Some(1.0));
}
