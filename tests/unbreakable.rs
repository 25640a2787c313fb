//! What goes wrong around the exporter is a metric, and never an outage. All of it with the real
//! systemd and the real bus.

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

use std::{path::Path, process::Command};

use harness::{Exporter, Machine, until};
use rustix::process::{Signal, kill_process};

fn up(exporter: &Exporter) -> Option<f64> {
    exporter.scrape().value("systemd_up", &[])
}

fn has_units(exporter: &Exporter) -> bool {
    exporter.scrape().of("systemd_unit_state").next().is_some()
}

fn resyncs(exporter: &Exporter, reason: &str) -> f64 {
    let scrape = exporter.scrape();
    scrape.value("systemd_exporter_resyncs_total", &[("reason", reason)]).unwrap_or(0.0)
}

fn until_up(exporter: &Exporter) {
    until("the exporter is in step", || match up(exporter) {
        Some(1.0) => Ok(()),
        other => Err(other),
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_stands_still_is_a_metric() {
    let machine = Machine::private().await;
    let pid = machine.manager().pid();
    let exporter = machine.exporter(&[]);
    assert_eq!(up(&exporter), Some(1.0));
    assert!(has_units(&exporter));

    kill_process(pid, Signal::STOP).unwrap();
    assert_eq!(up(&exporter), Some(0.0), "a scrape that gets no answer says so itself");
    assert_eq!(exporter.get("/-/healthy").0, 200);
    let (status, why) = exporter.get("/-/ready");
    assert_eq!(status, 503);
    assert!(why.contains("does not answer"), "{why}");
    until("what is stale is withheld", || match has_units(&exporter) {
        false => Ok(()),
        true => Err(()),
    });
    assert_eq!(exporter.scrape().sum("systemd_units"), 0.0);

    kill_process(pid, Signal::CONT).unwrap();
    until_up(&exporter);
    assert!(has_units(&exporter));
    assert_eq!(resyncs(&exporter, "connect"), 1.0, "the connection was kept, and all it carries");
    assert_eq!(exporter.scrape().sum("systemd_exporter_drift_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_restarted_is_found_again() {
    let machine = Machine::private().await;
    let exporter = machine.exporter(&[]);
    for round in 1..=3 {
        machine.manager().restart_bus().await.unwrap();
        until("everything has been read again", || {
            let count = resyncs(&exporter, "connect");
            if count > f64::from(round) { Ok(()) } else { Err(count) }
        });
        until_up(&exporter);
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
    until_up(&exporter);
    assert!(has_units(&exporter));
    let said = "over the user bus at unix:path=/nonexistent/bus";
    until("the log says so", || {
        let log = exporter.log();
        if log.contains("using another way in") && log.contains(said) { Ok(()) } else { Err(log) }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reexec_costs_one_reading_over_either_way_in() {
    for flags in [&[][..], &["--systemd.collector.private"]] {
        let machine = Machine::private().await;
        let exporter = machine.exporter(flags);
        machine.must(&["daemon-reexec"]);
        until("everything has been read again", || {
            let count = resyncs(&exporter, "reexec");
            if count > 0.0 { Ok(()) } else { Err(exporter.scrape()) }
        });
        until_up(&exporter);
        machine.must(&["daemon-reload"]);
        until("everything has been read again", || {
            let count = resyncs(&exporter, "reload");
            if count > 0.0 { Ok(()) } else { Err(count) }
        });
        until_up(&exporter);
        let each = ["connect", "reexec", "reload"].map(|reason| resyncs(&exporter, reason));
        assert_eq!(each, [1.0; 3], "{flags:?}");
    }
}

#[test]
fn without_any_systemd_the_process_stays_and_says_so_once() {
    let nowhere = tempfile::tempdir().unwrap();
    let exporter = lonely(nowhere.path());
    assert_eq!(up(&exporter), Some(0.0));
    assert!(!has_units(&exporter));
    assert_eq!(exporter.get("/-/healthy").0, 200);
    let (status, why) = exporter.get("/-/ready");
    assert_eq!(status, 503);
    assert!(why.contains("cannot reach systemd"), "{why}");
    until("it has tried four times", || {
        let tries = exporter.log().matches("trying again after a pause").count();
        if tries >= 4 { Ok(()) } else { Err(tries) }
    });
    assert_eq!(exporter.log().matches("out of step with systemd").count(), 1);
    assert_eq!(exporter.get("/-/healthy").0, 200);
}

fn lonely(runtime_dir: &Path) -> Exporter {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
    command.env("XDG_RUNTIME_DIR", runtime_dir).env_remove("DBUS_SESSION_BUS_ADDRESS");
    command.args(["--systemd.collector.user", "--log.level=debug"]);
    Exporter::spawn({
        command.arg("--web.listen-address=127.0.0.1:0");
        command
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_matches_nothing_is_visible() {
    let machine = Machine::private().await;
    let exporter = machine.exporter(&["--systemd.collector.unit-include=nothing-at-all"]);
    let scrape = exporter.scrape();
    assert_eq!(scrape.value("systemd_exporter_units", &[]), Some(0.0));
    assert!(scrape.sum("systemd_units") > 0.0, "what counts everything still does");
    until("the log says so", || {
        let log = exporter.log();
        if log.contains("no unit passes the filters") { Ok(()) } else { Err(log) }
    });
}
