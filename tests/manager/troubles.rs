//! Problems that a unit's active state does not show: failed reloads, frozen units, services that
//! wait for their restart, and timers that will not elapse again.

use std::{collections::BTreeMap, fs};

use crate::harness::{Exporter, Machine, OFTEN, until};

/// The version of systemd, from `systemd 252 (252.39-1~deb12u1)`.
fn version(machine: &Machine) -> u32 {
    let text = machine.must(&["--version"]);
    text.split_whitespace().nth(1).unwrap().split('.').next().unwrap().parse().unwrap()
}

/// Waits until exactly these units have a series in a family, in which all series are 1.
#[track_caller]
fn until_named(exporter: &Exporter, family: &str, wanted: &[&str]) {
    exporter.until_names(family, "ut-", wanted);
    for (labels, value) in exporter.scrape().of(family) {
        assert_eq!(value, 1.0, "{labels:?}");
    }
}

/// The failed reloads of a unit by result.
fn failed_reloads(exporter: &Exporter, name: &str) -> BTreeMap<String, f64> {
    let scrape = exporter.scrape();
    let of_unit = scrape.of("systemd_unit_reload_failures_total");
    let of_unit = of_unit.filter(|(labels, _)| labels["name"] == name);
    of_unit.map(|(labels, count)| (labels["result"].clone(), count)).collect()
}

#[track_caller]
fn until_failed_reloads(exporter: &Exporter, name: &str, wanted: &[(&str, f64)]) {
    let wanted: BTreeMap<_, _> =
        wanted.iter().map(|(result, count)| ((*result).to_owned(), *count)).collect();
    until(&format!("the failed reloads of {name} are counted"), || {
        let failed = failed_reloads(exporter, name);
        if failed == wanted { Ok(()) } else { Err((failed, wanted.clone())) }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failed_reload_is_counted_once_with_its_result() {
    let machine = Machine::start().await;
    let stays = "[Service]\nExecStart=/bin/sleep 999\nTimeoutStartSec=1s\nTimeoutStopSec=1s\n";
    let reads = machine.runtime_dir().join("ut-environment");
    fs::write(&reads, "").unwrap();
    for (name, text) in [
        ("ut-exit.service", format!("{stays}ExecReload=/bin/false\n")),
        ("ut-kill.service", format!("{stays}ExecReload=/bin/sh -c 'kill -KILL $$$$'\n")),
        ("ut-hang.service", format!("{stays}ExecReload=/bin/sleep 999\n")),
        (
            "ut-resources.service",
            format!("{stays}EnvironmentFile=%t/ut-environment\nExecReload=/bin/true\n"),
        ),
        ("ut-fine.service", format!("{stays}ExecReload=/bin/true\n")),
        // The job times out before the reload does.
        (
            "ut-impatient.service",
            "[Unit]\nJobRunningTimeoutSec=300ms\n[Service]\nExecStart=/bin/sleep 999\n\
             TimeoutStartSec=1s\nExecReload=/bin/sleep 999\n"
                .to_owned(),
        ),
        (
            "ut-notify.service",
            "[Service]\nType=notify-reload\nNotifyAccess=all\nTimeoutStartSec=1s\n\
             ExecStart=/bin/sh -c 'trap : HUP; systemd-notify --ready; while :; do sleep 0.2; done'\n"
                .to_owned(),
        ),
    ] {
        machine.write(name, &text);
    }
    machine.must(&["daemon-reload"]);
    let notifies = version(&machine) >= 253;
    let mut units = vec![
        "ut-exit.service",
        "ut-kill.service",
        "ut-hang.service",
        "ut-resources.service",
        "ut-fine.service",
        "ut-impatient.service",
    ];
    units.extend(notifies.then_some("ut-notify.service"));
    machine.must(&[&["start"][..], &units].concat());
    fs::remove_file(&reads).unwrap();
    let exporter = machine.exporter(&[OFTEN]);

    for verb in ["reload", "reload", "reload-or-restart", "try-reload-or-restart"] {
        assert!(!machine.systemctl(&[verb, "ut-exit.service"]).status.success());
    }
    until_failed_reloads(&exporter, "ut-exit.service", &[("exit-code", 4.0)]);
    for _ in 0..2 {
        machine.systemctl(&["reload", "ut-kill.service"]);
        machine.systemctl(&["reload", "ut-hang.service"]);
        machine.systemctl(&["reload", "ut-resources.service"]);
        machine.systemctl(&["reload", "ut-fine.service"]);
    }
    until_failed_reloads(&exporter, "ut-kill.service", &[("signal", 2.0)]);
    until_failed_reloads(&exporter, "ut-hang.service", &[("timeout", 2.0)]);
    until_failed_reloads(&exporter, "ut-resources.service", &[("resources", 2.0)]);
    if notifies {
        machine.systemctl(&["reload", "ut-notify.service"]);
        machine.systemctl(&["reload", "ut-notify.service"]);
        until_failed_reloads(&exporter, "ut-notify.service", &[("timeout", 2.0)]);
    }
    machine.systemctl(&["reload", "ut-impatient.service"]);
    until("the reload itself has timed out", || {
        let said = machine.must(&["show", "--property=ReloadResult", "ut-impatient.service"]);
        if said.trim() == "ReloadResult=timeout" { Ok(()) } else { Err(said) }
    });
    until_failed_reloads(&exporter, "ut-impatient.service", &[("timeout", 1.0)]);

    // A failed reload is not a failed run, and a daemon-reload is not a reload.
    let before = exporter.resyncs("reload");
    machine.must(&["daemon-reload"]);
    exporter.until_resynced("reload", before);
    assert_eq!(failed_reloads(&exporter, "ut-fine.service"), BTreeMap::new());
    until_failed_reloads(&exporter, "ut-exit.service", &[("exit-code", 4.0)]);
    until_failed_reloads(&exporter, "ut-resources.service", &[("resources", 2.0)]);
    until_failed_reloads(&exporter, "ut-impatient.service", &[("timeout", 1.0)]);
    let failures = exporter.scrape();
    let failed = failures.of("systemd_unit_failures_total");
    assert_eq!(failed.filter(|(labels, _)| labels["name"].starts_with("ut-")).count(), 0);
    machine.systemctl(&[&["stop"][..], &units].concat());
    exporter.assert_never_drifted();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_unit_is_named_until_it_is_thawed() {
    let machine = Machine::start().await;
    let stays = "[Service]\nExecStart=/bin/sleep 999\n";
    machine.write("ut-alone.service", stays);
    machine.write("ut-cold.slice", "[Slice]\n");
    machine.write("ut-inside.service", &format!("{stays}Slice=ut-cold.slice\n"));
    machine.must(&["daemon-reload"]);
    machine.must(&["start", "ut-alone.service", "ut-inside.service"]);
    let family = "systemd_unit_frozen";
    machine.must(&["freeze", "ut-alone.service"]);
    // Frozen before the exporter started.
    let exporter = machine.exporter(&[OFTEN]);
    until_named(&exporter, family, &["ut-alone.service"]);
    let labels = [("name", "ut-alone.service"), ("type", "service")];
    assert_eq!(exporter.scrape().value(family, &labels), Some(1.0));
    let active = [labels[0], labels[1], ("state", "active")];
    assert_eq!(exporter.scrape().value("systemd_unit_state", &active), Some(1.0));
    machine.must(&["thaw", "ut-alone.service"]);
    until_named(&exporter, family, &[]);

    // With its slice, each unit in it is frozen.
    machine.must(&["freeze", "ut-cold.slice"]);
    until_named(&exporter, family, &["ut-cold.slice", "ut-inside.service"]);
    machine.must(&["thaw", "ut-cold.slice"]);
    until_named(&exporter, family, &[]);

    // A unit without processes is not frozen, although systemd keeps FreezerState.
    machine.must(&["freeze", "ut-alone.service"]);
    until_named(&exporter, family, &["ut-alone.service"]);
    machine.must(&["kill", "--signal=KILL", "ut-alone.service"]);
    until_named(&exporter, family, &[]);
    machine.systemctl(&["thaw", "ut-alone.service"]);
    machine.systemctl(&["stop", "ut-inside.service", "ut-cold.slice"]);
    exporter.assert_never_drifted();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_named_while_it_waits_for_its_restart() {
    let machine = Machine::start().await;
    let failing = "[Service]\nExecStart=/bin/false\nRestart=on-failure\n";
    machine.write("ut-waits.service", &format!("{failing}RestartSec=1h\n"));
    machine.write("ut-fails.service", "[Service]\nExecStart=/bin/false\n");
    machine.write(
        "ut-hangs.service",
        "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep inf\n",
    );
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&[OFTEN]);
    let family = "systemd_service_restart_pending";
    machine.must(&["start", "--no-block", "ut-waits.service", "ut-fails.service"]);
    machine.must(&["start", "--no-block", "ut-hangs.service"]);
    let activating = |name| {
        let labels = [("name", name), ("type", "service"), ("state", "activating")];
        exporter.scrape().value("systemd_unit_state", &labels)
    };
    until("both are activating", || {
        let both = [activating("ut-waits.service"), activating("ut-hangs.service")];
        if both == [Some(1.0); 2] { Ok(()) } else { Err(both) }
    });
    until_named(&exporter, family, &["ut-waits.service"]);
    machine.must(&["stop", "ut-waits.service", "ut-hangs.service"]);
    until_named(&exporter, family, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_will_not_elapse_again_is_named() {
    let machine = Machine::start().await;
    let once = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
    let held = "ExecStart=/bin/sh -c 'until [ -e %t/ut-released ]; do sleep 0.05; done'\n";
    let released = machine.runtime_dir().join("ut-released");
    let _ = fs::remove_file(&released);
    for (name, text) in [
        ("ut-job.service", once.to_owned()),
        ("ut-held.service", format!("[Service]\nType=oneshot\n{held}")),
        ("ut-stays.service", format!("{once}RemainAfterExit=yes\n")),
    ] {
        machine.write(name, &text);
    }
    let unit =
        |unit: &str, timer: &str| format!("[Timer]\nAccuracySec=1ms\nUnit={unit}\n{timer}\n");
    let timers = [
        // Stuck: relative to a unit that never started.
        ("ut-active.timer", unit("ut-never.service", "OnUnitActiveSec=1min")),
        ("ut-inactive.timer", unit("ut-never.service", "OnUnitInactiveSec=1min")),
        // Stuck: there is no such day.
        ("ut-calendar.timer", unit("ut-job.service", "OnCalendar=*-02-30")),
        // Stuck: the unit stays active, and an active unit is not started again.
        ("ut-remain.timer", unit("ut-stays.service", "OnActiveSec=10ms\nOnUnitActiveSec=1h")),
        ("ut-target.timer", unit("ut-stays.target", "OnActiveSec=10ms\nOnUnitActiveSec=1h")),
        // Not stuck: these elapse once.
        ("ut-once.timer", unit("ut-job.service", "OnActiveSec=10ms")),
        ("ut-past.timer", unit("ut-job.service", "OnCalendar=2020-01-01")),
        ("ut-boot.timer", unit("ut-stays.service", "OnActiveSec=10ms")),
        // Not stuck: these will elapse again.
        ("ut-works.timer", unit("ut-held.service", "OnActiveSec=10ms\nOnUnitInactiveSec=1h")),
        ("ut-first.timer", unit("ut-held.service", "OnUnitInactiveSec=1h")),
        ("ut-daily.timer", unit("ut-job.service", "OnCalendar=daily")),
        ("ut-clock.timer", unit("ut-never.service", "OnClockChange=yes\nOnUnitActiveSec=1h")),
        ("ut-off.timer", unit("ut-never.service", "OnUnitActiveSec=1min")),
    ];
    for (name, text) in &timers {
        machine.write(name, text);
    }
    machine.write("ut-never.service", once);
    machine.write("ut-stays.target", "[Unit]\nDescription=Stays\n");
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&[OFTEN]);
    let started = timers.map(|(name, _)| name);
    let started = started.iter().copied().filter(|name| *name != "ut-off.timer");
    machine.must(&[&["start"][..], &started.collect::<Vec<_>>()].concat());
    let sub_state = |name| machine.must(&["show", "--value", "--property=SubState", name]);
    until("the timers have elapsed", || {
        let states = [
            "ut-once.timer",
            "ut-remain.timer",
            "ut-target.timer",
            "ut-works.timer",
            "ut-first.timer",
        ];
        let states = states.map(|name| sub_state(name).trim().to_owned());
        let wanted = ["elapsed", "running", "running", "running", "elapsed"];
        if states == wanted { Ok(()) } else { Err(states) }
    });
    let family = "systemd_timer_stuck";
    let mut stuck = vec!["ut-active.timer", "ut-calendar.timer", "ut-inactive.timer"];
    let stays = ["ut-remain.timer", "ut-target.timer"];
    until_named(&exporter, family, &[&stuck[..], &stays].concat());

    // The same for an exporter that starts now.
    let late = machine.exporter(&[]);
    until_named(&late, family, &[&stuck[..], &stays].concat());
    // No longer stuck once the unit has stopped, was started by hand, or has ended.
    machine.must(&["stop", "ut-stays.service", "ut-stays.target"]);
    machine.must(&["start", "ut-never.service"]);
    fs::write(&released, "").unwrap();
    until("the held ones have ended", || {
        let states =
            ["ut-works.timer", "ut-first.timer"].map(|name| sub_state(name).trim().to_owned());
        if states == ["waiting", "waiting"] { Ok(()) } else { Err(states) }
    });
    stuck.retain(|name| *name == "ut-calendar.timer");
    until_named(&exporter, family, &stuck);
    until_named(&late, family, &stuck);

    // Not stuck: its unit was active before, and the timer counts from then.
    machine.must(&["start", "ut-off.timer"]);
    until_named(&exporter, family, &stuck);
    machine.must(&["stop", "ut-*.timer"]);
    until_named(&exporter, family, &[]);
    machine.systemctl(&["stop", "ut-*.service"]);
    exporter.assert_never_drifted();
}
