//! Faults of the real systemd and the real bus while services crash: every event is counted, and
//! every scrape is answered.

use std::time::Duration;

use crate::harness::{
    Exporter, GROWTH, Machine, OFTEN, PRIVATE,
    scraper::Scraper,
    storm::{Heard, Storm},
};
use rustix::process::{Signal, kill_process};
use tokio::time::{interval, sleep};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_bus_loses_no_counts() {
    let machine = Machine::start().await;
    let exporter = machine.exporter(&[OFTEN]);
    let storm = Storm::brew(&machine, 8);
    let scraper = Scraper::of(&exporter);
    for _ in 0..3 {
        storm.until_more(2);
        let before = exporter.resyncs("connect");
        machine.kill_bus();
        exporter.until_resynced("connect", before);
    }
    storm.until_more(2);
    storm.until_counted([&exporter], Heard::WithGaps { reexecs: 0 });
    exporter.assert_never_drifted();
    scraper.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_reload_every_second_loses_no_counts() {
    let machine = Machine::start().await;
    let exporter = machine.exporter(&[OFTEN]);
    let storm = Storm::brew(&machine, 20);
    storm.until_more(1);
    let calls = || exporter.scrape().sum("systemd_exporter_dbus_calls_total");
    let (scraper, before) = (Scraper::of(&exporter), calls());
    let mut second = interval(Duration::from_secs(1));
    for _ in 0..60 {
        second.tick().await;
        machine.must(&["daemon-reload"]);
    }
    storm.until_more(1);
    storm.until_counted([&exporter], Heard::Everything);
    exporter.assert_never_drifted();
    let reloads = exporter.resyncs("reload");
    println!("{} calls for {reloads} reloads", calls() - before);
    let record = scraper.finish();
    assert!(record.longest_down < Duration::from_secs(10), "{record:?}");
    assert_eq!(exporter.resyncs("connect"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reexec_loses_no_counts_over_bus_and_private_socket() {
    let machine = Machine::start().await;
    let exporters = [&[OFTEN][..], &[OFTEN, PRIVATE]].map(|flags| machine.exporter(flags));
    let storm = Storm::brew(&machine, 8);
    let scrapers = exporters.each_ref().map(Scraper::of);
    for _ in 0..3 {
        storm.until_more(2);
        let before = exporters.each_ref().map(|exporter| exporter.resyncs("reexec"));
        machine.must(&["daemon-reexec"]);
        for (exporter, before) in exporters.iter().zip(before) {
            exporter.until_resynced("reexec", before);
        }
    }
    storm.until_more(2);
    storm.until_counted(&exporters, Heard::WithGaps { reexecs: 3 });
    exporters.iter().for_each(Exporter::assert_never_drifted);
    scrapers.into_iter().for_each(|scraper| drop(scraper.finish()));
}

#[tokio::test(flavor = "multi_thread")]
async fn exporters_that_are_stopped_for_10_seconds_lose_no_counts() {
    let machine = Machine::start().await;
    let exporters = [&[OFTEN][..], &[OFTEN, PRIVATE]].map(|flags| machine.exporter(flags));
    let storm = Storm::brew(&machine, 12);
    storm.until_more(2);
    for exporter in &exporters {
        kill_process(exporter.pid(), Signal::STOP).unwrap();
    }
    sleep(Duration::from_secs(10)).await;
    for exporter in &exporters {
        kill_process(exporter.pid(), Signal::CONT).unwrap();
    }
    let scrapers = exporters.each_ref().map(Scraper::of);
    storm.until_more(2);
    storm.until_counted(&exporters, Heard::Everything);
    for (exporter, scraper) in exporters.iter().zip(scrapers) {
        exporter.assert_never_drifted();
        println!("{} overflows", exporter.resyncs("overflow"));
        let record = scraper.finish();
        assert!(record.growth() < GROWTH, "{record:?}");
    }
}
