//! A failure around the exporter shows in its metrics and does not end it. With a real systemd and
//! a real bus.

use std::{path::Path, process::Command};

use crate::harness::{Exporter, Machine, bus, until};
use rustix::process::{Signal, kill_process};

fn has_units(exporter: &Exporter) -> bool {
    exporter.scrape().of("systemd_unit_state").next().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_does_not_answer_shows_in_systemd_up() {
    let machine = Machine::private().await;
    let pid = machine.manager().pid();
    let exporter = machine.exporter(&[]);
    assert_eq!(exporter.up(), Some(1.0));
    assert!(has_units(&exporter));

    kill_process(pid, Signal::STOP).unwrap();
    assert_eq!(exporter.up(), Some(0.0), "a scrape without an answer shows it at once");
    assert_eq!(exporter.get("/-/healthy").0, 200);
    let (status, why) = exporter.get("/-/ready");
    assert_eq!(status, 503);
    assert!(why.contains("does not answer"), "{why}");
    until("stale units are withheld", || match has_units(&exporter) {
        false => Ok(()),
        true => Err(()),
    });
    assert_eq!(exporter.scrape().sum("systemd_units"), 0.0);

    kill_process(pid, Signal::CONT).unwrap();
    exporter.until_up();
    assert!(has_units(&exporter));
    assert_eq!(exporter.resyncs("connect"), 1.0, "the connection was kept");
    assert_eq!(exporter.scrape().sum("systemd_exporter_drift_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_reconnects_to_a_restarted_bus() {
    let machine = Machine::private().await;
    let exporter = machine.exporter(&[]);
    for round in 1..=3 {
        bus::restart(machine.manager());
        exporter.until_resynced("connect", f64::from(round));
    }
    assert_eq!(exporter.scrape().sum("systemd_exporter_drift_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bus_the_managers_own_socket_is_used() {
    let machine = Machine::private().await;
    let mut command = machine.command(env!("CARGO_BIN_EXE_unitwatch"));
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    command.args(["--systemd.collector.user", "--web.listen-address=127.0.0.1:0"]);
    let exporter = Exporter::spawn(command);
    exporter.until_up();
    assert!(has_units(&exporter));
    let said = "over the user bus at unix:path=/nonexistent/bus";
    until("the log says so", || {
        let log = exporter.log();
        if log.contains("connected to another address") && log.contains(said) {
            Ok(())
        } else {
            Err(log)
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reexec_is_one_resync_over_the_bus_and_the_private_socket() {
    for flags in [&[][..], &["--systemd.collector.private"]] {
        let machine = Machine::private().await;
        let exporter = machine.exporter(flags);
        machine.must(&["daemon-reexec"]);
        exporter.until_resynced("reexec", 0.0);
        machine.must(&["daemon-reload"]);
        exporter.until_resynced("reload", 0.0);
        let each = ["connect", "reexec", "reload"].map(|reason| exporter.resyncs(reason));
        assert_eq!(each, [1.0; 3], "{flags:?}");
    }
}

#[test]
fn without_systemd_the_process_stays_and_logs_it_once() {
    let nowhere = tempfile::tempdir().unwrap();
    let exporter = without_systemd(nowhere.path());
    assert_eq!(exporter.up(), Some(0.0));
    assert!(!has_units(&exporter));
    assert_eq!(exporter.get("/-/healthy").0, 200);
    let (status, why) = exporter.get("/-/ready");
    assert_eq!(status, 503);
    assert!(why.contains("cannot reach systemd"), "{why}");
    until("it has tried four times", || {
        let tries = exporter.log().matches("reconnecting after a pause").count();
        if tries >= 4 { Ok(()) } else { Err(tries) }
    });
    assert_eq!(exporter.log().matches("out of sync with systemd").count(), 1);
    assert_eq!(exporter.get("/-/healthy").0, 200);
}

fn without_systemd(runtime_dir: &Path) -> Exporter {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
    command.env("XDG_RUNTIME_DIR", runtime_dir).env_remove("DBUS_SESSION_BUS_ADDRESS");
    command.args(["--systemd.collector.user", "--log.level=debug"]);
    command.arg("--web.listen-address=127.0.0.1:0");
    Exporter::spawn(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_matches_nothing_is_visible() {
    let machine = Machine::private().await;
    let exporter = machine.exporter(&["--systemd.collector.unit-include=nothing-at-all"]);
    let scrape = exporter.scrape();
    assert_eq!(scrape.value("systemd_exporter_units", &[]), Some(0.0));
    assert!(scrape.sum("systemd_units") > 0.0, "counts of all units are not filtered");
    until("the log says so", || {
        let log = exporter.log();
        if log.contains("no unit passes the filters") { Ok(()) } else { Err(log) }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn units_over_the_series_limit_show_in_a_metric_and_once_in_the_log() {
    let machine = Machine::start().await;
    for name in ["capped-1.service", "capped-2.service"] {
        let oneshot = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
        machine.write(name, oneshot);
    }
    machine.must(&["daemon-reload"]);
    // Enough for the five states of one unit. Gone units make room at once.
    let include = "--systemd.collector.unit-include=capped-.+";
    let exporter = machine.exporter(&[include, "--max-series=5", "--retention=0s"]);
    let served = || {
        let scrape = exporter.scrape();
        let names = scrape.of("systemd_unit_state").map(|(labels, _)| labels["name"].clone());
        let mut names: Vec<_> = names.collect();
        names.dedup();
        let loaded = scrape.value("systemd_exporter_units", &[]);
        let dropped = [("family", "systemd_unit_state")];
        let dropped = scrape.value("systemd_exporter_series_dropped", &dropped);
        (names, loaded, dropped)
    };
    let until_served = |units: &[&str], loaded, dropped| {
        let wanted = (units.iter().map(ToString::to_string).collect(), Some(loaded), Some(dropped));
        until(&format!("{wanted:?} is served"), || match served() {
            found if found == wanted => Ok(()),
            found => Err(found),
        });
    };
    machine.must(&["start", "capped-2.service"]);
    until_served(&["capped-2.service"], 1.0, 0.0);
    machine.must(&["start", "capped-1.service"]);
    until_served(&["capped-1.service"], 2.0, 5.0);
    until_served(&["capped-1.service"], 2.0, 5.0);
    machine.must(&["stop", "capped-1.service"]);
    until_served(&["capped-2.service"], 1.0, 0.0);

    let (began, over) = ("too many series", "no units are dropped any more");
    let log = until("the log has the end of it", || {
        Some(exporter.log()).filter(|log| log.contains(over)).ok_or_else(|| exporter.log())
    });
    let said = |text| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((said(began), said(over)), (1, 1), "{log}");
    machine.must(&["stop", "capped-2.service"]);
}
