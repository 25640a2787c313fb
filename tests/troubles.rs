//! What is wrong with a unit whose state does not show it: reloads that fail, frozen units,
//! services that wait for their restart and timers that will not elapse again.

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

use harness::{Exporter, Machine, OFTEN, until};

/// The values of a label in a family whose series are all 1.
fn names(exporter: &Exporter, family: &str) -> BTreeSet<String> {
    let scrape = exporter.scrape();
    let series = scrape.of(family).inspect(|(labels, value)| assert_eq!(*value, 1.0, "{labels:?}"));
    series.map(|(labels, _)| labels["name"].clone()).filter(|it| it.starts_with("ut-")).collect()
}

#[track_caller]
fn until_named(exporter: &Exporter, family: &str, wanted: &[&str]) {
    let wanted: BTreeSet<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
    until(&format!("{family} names them"), || {
        let named = names(exporter, family);
        if named == wanted { Ok(()) } else { Err((named, wanted.clone())) }
    });
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
    // Frozen before anything listened.
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

    // What is at rest has nothing to freeze, whatever systemd goes on to say.
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
    until("both are on their way", || {
        let both = [activating("ut-waits.service"), activating("ut-hangs.service")];
        if both == [Some(1.0); 2] { Ok(()) } else { Err(both) }
    });
    until_named(&exporter, family, &["ut-waits.service"]);
    machine.must(&["stop", "ut-waits.service", "ut-hangs.service"]);
    until_named(&exporter, family, &[]);
}
