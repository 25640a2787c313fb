//! Every run, failure, transition and job is counted, with the real systemd and units whose end is
//! known in advance.

use std::{collections::BTreeMap, fs};

use crate::harness::{Exporter, Machine, exposition::Exposition, until};

/// The counters of a unit.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counters {
    starts: f64,
    restarts: f64,
    failures: BTreeMap<String, f64>,
}

fn counters(scrape: &Exposition, name: &str) -> Counters {
    let unit_type = name.rsplit('.').next().unwrap();
    let labels = [("name", name), ("type", unit_type)];
    let failures = scrape.of("systemd_unit_failures_total").filter(|(it, _)| it["name"] == name);
    Counters {
        starts: scrape.value("systemd_unit_starts_total", &labels).unwrap_or(0.0),
        restarts: scrape.value("systemd_service_restart_total", &labels[..1]).unwrap_or(0.0),
        failures: failures.map(|(labels, count)| (labels["result"].clone(), count)).collect(),
    }
}

fn transitions(scrape: &Exposition, name: &str) -> BTreeMap<String, f64> {
    let of_unit = scrape.of("systemd_unit_transitions_total").filter(|(it, _)| it["name"] == name);
    of_unit.map(|(labels, count)| (labels["state"].clone(), count)).collect()
}

fn counts(counts: &[(&str, f64)]) -> BTreeMap<String, f64> {
    counts.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
}

fn until_counted(exporter: &Exporter, name: &str, wanted: &Counters) {
    until(&format!("all of {name} is counted"), || {
        let counters = counters(&exporter.scrape(), name);
        if counters == *wanted { Ok(()) } else { Err((counters, wanted.clone())) }
    });
}

fn service(machine: &Machine, name: &str, unit: &str, service: &str) {
    machine.write(name, &format!("[Unit]\n{unit}\n[Service]\n{service}\n"));
}

/// An `ExecStart=` that runs this command so many times, and then keeps running.
fn first(machine: &Machine, name: &str, times: u32, command: &str) -> String {
    let count = name.trim_end_matches(".service");
    let _ = fs::remove_file(machine.runtime_dir().join(count));
    format!(
        "ExecStart=/bin/sh -c 'echo >>%t/{count}; \
         [ $$(wc -l <%t/{count}) -gt {times} ] || {{ {command}; }}; {stay}'",
        stay = "systemd-notify --ready; exec sleep 999"
    )
}

const LOOP: &str = "Restart=on-failure\nRestartSec=20ms\nTimeoutStopSec=5s\nNotifyAccess=all";

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_by_result() {
    let machine = Machine::start().await;
    let cases = [
        ("ue-exit.service", "exit 3", "", "exit-code"),
        ("ue-kill.service", "kill -KILL $$$$", "", "signal"),
        ("ue-protocol.service", "exit 0", "Type=notify", "protocol"),
        ("ue-timeout.service", "exec sleep 999", "Type=notify\nTimeoutStartSec=2s", "timeout"),
        ("ue-direct.service", "exit 3", "RestartMode=direct", "exit-code"),
        ("ue-resources.service", "exit 0", "Type=notify\nEnvironmentFile=/%N", "resources"),
    ];
    for (name, command, more, _) in cases {
        let exec = first(&machine, name, 3, command);
        service(&machine, name, "StartLimitIntervalSec=0", &format!("{LOOP}\n{more}\n{exec}"));
    }
    // It never pings its watchdog.
    let watched = "Type=notify\nWatchdogSec=200ms\nWatchdogSignal=SIGKILL\nNotifyAccess=all\n\
                   Restart=no\nTimeoutStopSec=5s";
    let exec = "ExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep 999'";
    service(&machine, "ue-watchdog.service", "", &format!("{watched}\n{exec}"));
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&[]);
    let names = cases.map(|(name, ..)| name);
    machine.must(&[&["start", "--no-block", "ue-watchdog.service"][..], &names].concat());

    for (name, _, _, result) in cases {
        if result == "resources" {
            continue;
        }
        let failures = counts(&[(result, 3.0)]);
        until_counted(&exporter, name, &Counters { starts: 4.0, restarts: 3.0, failures });
    }
    // Without its environment file it never has a process.
    until("it has failed because the file is missing", || {
        let counters = counters(&exporter.scrape(), "ue-resources.service");
        let failed = counters.failures.get("resources").is_some_and(|count| *count >= 3.0);
        if failed && counters.failures.len() == 1 { Ok(()) } else { Err(counters) }
    });
    let failures = counts(&[("watchdog", 1.0)]);
    let wanted = Counters { starts: 1.0, restarts: 0.0, failures };
    until_counted(&exporter, "ue-watchdog.service", &wanted);

    // How each last ended is exported as well.
    let scrape = exporter.scrape();
    let exit = [("name", "ue-exit.service"), ("code", "exited")];
    assert_eq!(scrape.value("systemd_service_last_exit_status", &exit), Some(3.0));
    let killed = [("name", "ue-kill.service"), ("code", "killed")];
    assert_eq!(scrape.value("systemd_service_last_exit_status", &killed), Some(9.0));
    let result = [("name", "ue-watchdog.service"), ("result", "watchdog")];
    assert_eq!(scrape.value("systemd_service_last_result", &result), Some(1.0));
    let seen = transitions(&scrape, "ue-exit.service");
    assert_eq!((seen["active"], seen["failed"]), (4.0, 3.0), "{seen:?}");

    machine.systemctl(&[&["stop"][..], &names].concat());
    let failures = counts(&[("exit-code", 3.0)]);
    let wanted = Counters { starts: 4.0, restarts: 3.0, failures };
    until_counted(&exporter, "ue-exit.service", &wanted);
    assert_eq!(exporter.scrape().sum("systemd_exporter_drift_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_hidden_and_gone_services_are_in_the_hosts_total() {
    let machine = Machine::start().await;
    let mark = tempfile::tempdir().unwrap();
    let exporter = machine.exporter(&["--retention=0s", "--systemd.collector.unit-exclude=ue-h.+"]);
    let total = || exporter.scrape().value("systemd_restarts_total", &[]).unwrap();
    let before = total();
    // Each is restarted three times, succeeds, and leaves memory.
    for name in ["ue-hidden", "ue-shown"] {
        let file = mark.path().join(name);
        let script = format!("echo >>{0}; [ $(wc -l <{0}) -gt 3 ]", file.display());
        let unit = format!("--unit={name}");
        let restart = ["--property=Restart=on-failure", "--property=RestartSec=50ms"];
        let run = ["--collect", "--no-block", "/bin/sh", "-c", &script];
        machine.run(&[&[unit.as_str()][..], &restart, &run].concat());
    }
    until("both are gone", || {
        let left = machine.must(&["list-units", "--all", "--no-legend", "ue-hidden*", "ue-shown*"]);
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    until("all restarts are counted", || match total() - before {
        6.0 => Ok(()),
        other => Err(other),
    });
    let shown = exporter.scrape();
    let hidden = shown
        .0
        .keys()
        .find(|(_, labels)| labels.get("name").is_some_and(|it| it.starts_with("ue-hidden")));
    assert_eq!(hidden, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_leave_memory_as_they_end_are_counted() {
    const UNITS: usize = 40;
    let machine = Machine::start().await;
    let exporter = machine.exporter(&["--retention=1h"]);
    let failed = || {
        let labels = [("type", "service"), ("result", "exit-code")];
        exporter.scrape().value("systemd_failures_total", &labels).unwrap()
    };
    let before = failed();
    for number in 0..UNITS {
        let unit = format!("--unit=ue-gone{number}");
        machine.run(&[&unit, "--collect", "--no-block", "/bin/false"]);
    }
    until("all are gone", || {
        let left = machine.must(&["list-units", "--all", "--no-legend", "ue-gone*"]);
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    let wanted = Counters { starts: 1.0, restarts: 0.0, failures: counts(&[("exit-code", 1.0)]) };
    for number in 0..UNITS {
        until_counted(&exporter, &format!("ue-gone{number}.service"), &wanted);
    }
    assert_eq!(failed() - before, UNITS as f64);
    let scrape = exporter.scrape();
    let state = scrape.of("systemd_unit_state").find(|(it, _)| it["name"].starts_with("ue-gone"));
    assert_eq!(state, None, "a gone unit has no state");
}

/// The jobs that left the queue since the last call, by type and result.
struct Jobs<'e> {
    exporter: &'e Exporter,
    before: BTreeMap<(String, String), f64>,
}

impl Jobs<'_> {
    fn now(&self) -> BTreeMap<(String, String), f64> {
        let scrape = self.exporter.scrape();
        let counted = scrape.of("systemd_jobs_completed_total");
        counted.map(|(it, count)| ((it["type"].clone(), it["result"].clone()), count)).collect()
    }

    #[track_caller]
    fn are(&mut self, wanted: &[(&str, &str, f64)]) {
        let mut sum = BTreeMap::new();
        for (job, result, count) in wanted {
            *sum.entry(((*job).to_owned(), (*result).to_owned())).or_default() += count;
        }
        let wanted = sum;
        let more = until("the jobs are counted", || {
            let (before, mut more) = (&self.before, self.now());
            more.iter_mut().for_each(|(key, count)| *count -= before.get(key).unwrap_or(&0.0));
            more.retain(|_, count| *count > 0.0);
            let enough = more.values().sum::<f64>() >= wanted.values().sum();
            if enough { Ok(more) } else { Err((more, wanted.clone())) }
        });
        assert_eq!(more, wanted);
        self.before = self.now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_counted_by_type_and_result() {
    let machine = Machine::start().await;
    let stays = "ExecStart=/bin/sleep 999";
    service(&machine, "uj-simple.service", "", &format!("{stays}\nExecReload=/bin/true"));
    service(&machine, "uj-once.service", "", "Type=oneshot\nExecStart=/bin/true");
    service(&machine, "uj-fail.service", "", "Type=oneshot\nExecStart=/bin/false");
    service(&machine, "uj-unmet.service", "ConditionPathExists=/nonexistent", stays);
    service(&machine, "uj-assert.service", "AssertPathExists=/nonexistent", stays);
    let needs = "Requires=uj-fail.service\nAfter=uj-fail.service";
    service(&machine, "uj-needs.service", needs, stays);
    let exec = first(&machine, "uj-loop.service", 5, "exit 1");
    service(&machine, "uj-loop.service", "StartLimitIntervalSec=0", &format!("{LOOP}\n{exec}"));
    let exec = "Restart=on-failure\nRestartSec=20ms\nExecStart=/bin/false";
    service(&machine, "uj-limit.service", "StartLimitBurst=3\nStartLimitIntervalSec=99", exec);
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&[]);
    // "systemd 252 (252.39-1~deb12u1)": since 254 an automatic restart is a start.
    let version = machine.must(&["--version"]);
    let version: u32 = version.split_whitespace().nth(1).unwrap().parse().unwrap();
    let again = if version < 254 { "restart" } else { "start" };
    let mut jobs = Jobs { exporter: &exporter, before: BTreeMap::new() };
    jobs.before = jobs.now();

    for (command, wanted) in [
        ("start uj-simple.service", &[("start", "done", 1.0)][..]),
        ("start uj-simple.service", &[("start", "done", 1.0)]),
        ("reload uj-simple.service", &[("reload", "done", 1.0)]),
        ("restart uj-simple.service", &[("restart", "done", 1.0)]),
        ("try-restart uj-simple.service", &[("restart", "done", 1.0)]),
        ("stop uj-simple.service", &[("stop", "done", 1.0)]),
        ("stop uj-simple.service", &[("stop", "done", 1.0)]),
        ("start uj-once.service", &[("start", "done", 1.0)]),
        ("start uj-fail.service", &[("start", "failed", 1.0)]),
        ("start uj-unmet.service", &[("start", "done", 1.0)]),
        ("start uj-assert.service", &[("start", "assert", 1.0)]),
        ("start uj-needs.service", &[("start", "dependency", 1.0), ("start", "failed", 1.0)]),
        ("start uj-loop.service", &[(again, "done", 5.0), ("start", "done", 1.0)]),
        (
            "start uj-limit.service",
            &[(again, "done", 2.0), (again, "failed", 1.0), ("start", "done", 1.0)],
        ),
        ("start uj-limit.service", &[("start", "failed", 1.0)]),
    ] {
        println!("{command}");
        machine.systemctl(&command.split(' ').collect::<Vec<_>>());
        jobs.are(wanted);
    }
    let failures = counts(&[("exit-code", 3.0), ("start-limit-hit", 2.0)]);
    let wanted = Counters { starts: 3.0, restarts: 3.0, failures };
    until_counted(&exporter, "uj-limit.service", &wanted);

    let scrape = exporter.scrape();
    let took = |family: &str| scrape.value(family, &[("type", "restart")]);
    let completed: f64 = scrape
        .of("systemd_jobs_completed_total")
        .filter(|(labels, _)| labels["type"] == "restart")
        .map(|(_, count)| count)
        .sum();
    assert_eq!(took("systemd_job_duration_seconds_count"), Some(completed));
    assert_eq!(scrape.value("systemd_job_oldest_age_seconds", &[]), None);
    machine.systemctl(&["stop", "uj-*"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_job_has_an_age_until_it_ends() {
    let machine = Machine::start().await;
    let released = machine.runtime_dir().join("uj-released");
    let _ = fs::remove_file(&released);
    let exec =
        "Type=oneshot\nExecStart=/bin/sh -c 'until [ -e %t/uj-released ]; do sleep 0.05; done'";
    service(&machine, "uj-hold.service", "", exec);
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&[]);
    let age = || exporter.scrape().value("systemd_job_oldest_age_seconds", &[]);
    assert_eq!(age(), None);
    machine.must(&["--no-block", "start", "uj-hold.service"]);
    until("it is more than a second old", || match age() {
        Some(age) if age > 1.0 => Ok(()),
        age => Err(age),
    });
    fs::write(released, "").unwrap();
    until("the queue is empty", || age().map_or(Ok(()), Err));
    let scrape = exporter.scrape();
    let le = |bound| {
        let labels = [("type", "start"), ("le", bound)];
        scrape.value("systemd_job_duration_seconds_bucket", &labels)
    };
    assert_eq!((le("1.0"), le("+Inf")), (Some(0.0), Some(1.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_are_counted_and_reexecutions_are_not() {
    let machine = Machine::start().await;
    let exporter = machine.exporter(&[]);
    let reloads = || exporter.scrape().value("systemd_reloads_total", &[]);
    assert_eq!(reloads(), Some(0.0));
    for count in 1..=3 {
        machine.must(&["daemon-reload"]);
        until("it is counted", || match reloads() {
            Some(reloads) if reloads == f64::from(count) => Ok(()),
            other => Err(other),
        });
    }
    machine.must(&["daemon-reexec"]);
    until("everything has been read again", || {
        let reason = [("reason", "reexec")];
        let read = exporter.scrape().value("systemd_exporter_resyncs_total", &reason);
        if read == Some(1.0) { Ok(()) } else { Err(read) }
    });
    assert_eq!(reloads(), Some(3.0));
}
