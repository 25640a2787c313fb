//! Faults like those in `faults.rs`, for which a test needs a private manager.

use std::{fs, path::PathBuf, time::Duration};

use crate::harness::{
    Exporter, GROWTH, Machine, OFTEN, PRIVATE,
    clock::Clock,
    scraper::Scraper,
    show,
    storm::{Heard, Storm},
    until,
};
use rustix::process::{Signal, kill_process};
use tokio::time::sleep;
use unitwatch::demo::PrivateManager;

/// systemd's private socket, which a test removes and restores.
struct Socket(PathBuf);

impl Socket {
    fn of(machine: &Machine) -> Self {
        Self(machine.runtime_dir().join("systemd/private"))
    }

    /// Puts a directory in its place, which systemd does not replace.
    fn block(&self) {
        fs::remove_file(&self.0).unwrap();
        fs::create_dir_all(self.0.join("not empty")).unwrap();
    }

    fn unblock(&self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Re-executes the manager by a signal, without a bus.
fn reexec(machine: &Machine) {
    // SIGRTMIN+25, which Debian's shell has no name for.
    let kill = format!("kill -59 {}", machine.manager().pid().as_raw_nonzero());
    assert!(machine.command("/bin/sh").args(["-c", &kill]).status().unwrap().success());
}

fn until_down(exporter: &Exporter) {
    until("the exporter is not in sync", || match exporter.up() {
        Some(0.0) => Ok(()),
        other => Err(other),
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_connects_again_when_the_private_socket_is_back() {
    let machine = Machine::private().await;
    let socket = Socket::of(&machine);
    let aside = socket.0.with_extension("aside");
    fs::rename(&socket.0, &aside).unwrap();
    let exporter = machine.launch(&[OFTEN, PRIVATE]);
    let scraper = Scraper::of(&exporter);
    until_down(&exporter);
    fs::rename(&aside, &socket.0).unwrap();
    exporter.until_up();

    // An open connection does not need the socket file.
    let storm = Storm::brew(&machine, 8);
    storm.until_more(2);
    fs::remove_file(&socket.0).unwrap();
    storm.until_more(2);
    assert_eq!(exporter.up(), Some(1.0));
    assert_eq!(exporter.resyncs("connect"), 1.0);

    // A re-execution closes the connection and makes a new socket.
    reexec(&machine);
    exporter.until_resynced("reexec", 0.0);
    storm.until_more(2);

    // If it cannot make one, the exporter is down.
    socket.block();
    reexec(&machine);
    until_down(&exporter);
    storm.until_more(2);
    socket.unblock();
    reexec(&machine);
    exporter.until_up();
    storm.until_more(2);
    storm.until_counted([&exporter], Heard::WithGaps { reexecs: 3 });
    exporter.assert_never_drifted();
    scraper.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_bus_and_socket_nothing_stale_is_exported() {
    let machine = Machine::private().await;
    let exporter = machine.exporter(&[OFTEN]);
    let storm = Storm::brew(&machine, 8);
    let scraper = Scraper::of(&exporter);
    storm.until_more(2);
    let bus = machine.runtime_dir().join("bus");
    let aside = bus.with_extension("aside");
    fs::rename(&bus, &aside).unwrap();
    let socket = Socket::of(&machine);
    socket.block();
    machine.kill_bus();
    until_down(&exporter);
    until("stale series are withheld", || {
        let left = exporter.scrape().of("systemd_unit_state").count();
        if left == 0 { Ok(()) } else { Err(left) }
    });
    storm.until_more(2);
    fs::rename(&aside, &bus).unwrap();
    exporter.until_up();
    storm.until_more(2);
    storm.until_counted([&exporter], Heard::WithGaps { reexecs: 0 });
    exporter.assert_never_drifted();
    scraper.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_hangs_for_30_seconds_keeps_its_connection() {
    let machine = Machine::private().await;
    let exporter = machine.exporter(&[OFTEN]);
    let storm = Storm::brew(&machine, 8);
    let scraper = Scraper::of(&exporter);
    storm.until_more(2);
    kill_process(machine.manager().pid(), Signal::STOP).unwrap();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(exporter.up(), Some(0.0));
    kill_process(machine.manager().pid(), Signal::CONT).unwrap();
    storm.until_more(2);
    storm.until_counted([&exporter], Heard::Everything);
    exporter.until_up();
    exporter.assert_never_drifted();
    assert_eq!(exporter.resyncs("connect"), 1.0, "the connection was kept");
    let record = scraper.finish();
    assert!(record.growth() < GROWTH, "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_jumps_cause_no_drift_and_no_resync() {
    let clock = Clock::new();
    let environment = clock.environment();
    let borrowed = environment.each_ref().map(|(name, text)| (*name, text.as_str()));
    let units = [
        ("uw-rest.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n"),
        ("uw-hour.timer", "[Timer]\nOnActiveSec=1h\nUnit=uw-rest.service\n"),
        ("uw-far.timer", "[Timer]\nOnCalendar=2099-01-01\nUnit=uw-rest.service\n"),
    ];
    let manager = PrivateManager::start_in(&borrowed, &units).await.unwrap();
    let machine = Machine::Private(Box::new(manager));
    machine.must(&["start", "uw-hour.timer", "uw-far.timer"]);
    let mut command = machine.command(env!("CARGO_BIN_EXE_unitwatch"));
    command.envs(environment);
    command.args(["--systemd.collector.user", "--web.listen-address=127.0.0.1:0", OFTEN]);
    let exporter = Exporter::spawn(command);
    exporter.until_up();
    let storm = Storm::brew(&machine, 8);
    let scraper = Scraper::of(&exporter);
    for ahead in [0, -3_600, 365 * 86_400, 0] {
        clock.set(ahead);
        storm.until_more(2);
        let now = show::now() / 1e6 + ahead as f64;
        until("the time stamps follow the clock", || {
            let scrape = exporter.scrape();
            let off: Vec<_> = scrape
                .of("systemd_unit_inactive_exit_time_seconds")
                .filter(|(labels, _)| storm.has(&labels["name"]))
                .filter(|(_, at)| (at - now).abs() > 600.0)
                .map(|(labels, at)| (labels["name"].clone(), at - now))
                .collect();
            if off.is_empty() { Ok(()) } else { Err(off) }
        });
        let units = show::units(&machine);
        let scrape = exporter.scrape();
        for name in ["uw-hour.timer", "uw-far.timer"] {
            let monotonic = show::span(&units[name], "NextElapseUSecMonotonic");
            let monotonic = monotonic.map(|at| at + show::monotonic_offset() + ahead as f64 * 1e6);
            let realtime = show::time(&units[name], "NextElapseUSecRealtime");
            let next = [monotonic, realtime].into_iter().flatten().reduce(f64::min).unwrap() / 1e6;
            let exported = scrape.value("systemd_timer_next_trigger_seconds", &[("name", name)]);
            let off = exported.unwrap() - next;
            assert!(off.abs() < 0.2, "{name}, {ahead} s ahead: off by {off} s");
        }
    }
    storm.until_counted([&exporter], Heard::Everything);
    exporter.assert_never_drifted();
    // The one reload loaded the storm's unit files.
    let resyncs = ["connect", "reload", "reexec", "overflow"].map(|why| exporter.resyncs(why));
    assert_eq!(resyncs, [1.0, 1.0, 0.0, 0.0]);
    scraper.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_duration_is_right_when_the_clock_is_set_during_the_start() {
    let clock = Clock::new();
    let environment = clock.environment();
    let borrowed = environment.each_ref().map(|(name, text)| (*name, text.as_str()));
    let held = |name: &str| {
        format!(
            "[Service]\nType=oneshot\nRemainAfterExit=yes\n\
             ExecStart=/bin/sh -c 'until [ -e %t/{name} ]; do sleep 0.05; done'\n"
        )
    };
    let (ahead, behind) = (held("ut-ahead"), held("ut-behind"));
    let units = [("ut-ahead.service", ahead.as_str()), ("ut-behind.service", behind.as_str())];
    let manager = PrivateManager::start_in(&borrowed, &units).await.unwrap();
    let machine = Machine::Private(Box::new(manager));
    let exporter = machine.exporter(&[]);
    let until_in = |name: &str, state| {
        until(&format!("{name} is {state}"), || {
            let labels = [("name", name), ("type", "service"), ("state", state)];
            let value = exporter.scrape().value("systemd_unit_state", &labels);
            if value == Some(1.0) { Ok(()) } else { Err(value) }
        });
    };
    for (name, to) in [("ut-ahead", 86_400), ("ut-behind", 0)] {
        let unit = format!("{name}.service");
        machine.must(&["start", "--no-block", &unit]);
        until_in(&unit, "activating");
        clock.set(to);
        fs::write(machine.runtime_dir().join(name), "").unwrap();
        until_in(&unit, "active");
    }
    let properties = "--property=InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic";
    for exporter in [&exporter, &machine.exporter(&[])] {
        for name in ["ut-ahead.service", "ut-behind.service"] {
            let said = machine.must(&["show", properties, name]);
            let stamps = show::properties(&said);
            let stamp = |name| show::number(&stamps, name).unwrap();
            let took = stamp("ActiveEnterTimestampMonotonic");
            let took = (took - stamp("InactiveExitTimestampMonotonic")) / 1e6;
            let labels = [("name", name), ("type", "service")];
            let exported = exporter.scrape().value("systemd_unit_start_duration_seconds", &labels);
            let exported = exported.expect("it was started");
            assert!((exported - took).abs() < 5e-6, "{name}: {exported}, systemd {took}");
        }
    }
}
