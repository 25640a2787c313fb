//! A small scrape with samples of every family.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    sync::Arc,
    time::Duration,
};

use unitwatch::{
    cgroup::resources::{Cpu, Io, Memory, Pressure, Resources, Throttling},
    clock::Usec,
    inventory::{
        counters::{self, Counters, Exit, JobTotals},
        counts::Counts,
        manager::{Manager, Stamp, Watchdog},
        snapshot::{Rollup, Snapshot},
        unit::{Details, IpCounters, Mount, Service, Socket, Timer, Unit},
        wanted_inactive::InactiveReason,
    },
    metrics::{Clocks, ManagerScrape, Scrape, StateSeries, group::Groups},
    process::Process,
    selection::{Placement, Selection, rollup::Rollups},
    systemd::{
        listing::{ListedFile, Listing},
        name::{UnitName, UnitType},
        state::{ActiveState, ExitCode, JobState, JobType, LoadState, RunResult, SystemState},
    },
    telemetry::OwnCounters,
};

const MINUTE: Usec = 60_000_000;
const NOW: Usec = 1_764_000_000_123_456;

pub(crate) fn unit(name: &str, active_state: ActiveState, details: Details) -> Unit {
    let name = UnitName::new(name).unwrap();
    let sub_state = "whatever".into();
    Unit { load_state: LoadState::Loaded, active_state, sub_state, details, ..Unit::new(name) }
}

/// A unit that ran, stopped, and runs again.
fn restarted(unit: Unit) -> Unit {
    Unit {
        active_enter: Some(NOW - 10 * MINUTE),
        active_exit: Some(NOW - 12 * MINUTE),
        inactive_enter: Some(NOW - 11 * MINUTE),
        inactive_exit: Some(NOW - 10 * MINUTE - 1_500_000),
        active_enter_monotonic: NonZeroU64::new(50 * MINUTE),
        active_exit_monotonic: NonZeroU64::new(48 * MINUTE),
        inactive_exit_monotonic: NonZeroU64::new(50 * MINUTE - 1_500_000),
        ..unit
    }
}

fn counts<K>(of: &[(&str, u64)]) -> Counts<K>
where
    K: Clone + PartialEq + for<'a> From<&'a str>,
{
    of.iter().map(|(key, count)| (K::from(key), *count)).collect()
}

fn exit(code: ExitCode, status: u64) -> Option<Exit> {
    Some(Exit { at: NOW - 10 * MINUTE - 2_000_000, code, status })
}

/// The counters of a unit that crashed and was restarted three times.
fn crashed() -> Counters {
    Counters {
        starts: 4,
        restarts: 3,
        transitions: counts(&[("activating", 7), ("active", 4), ("failed", 3)]),
        failures: counts(&[("core-dump", 1), ("exit-code", 2)]),
        reload_failures: counts(&[("exit-code", 1), ("timeout", 2)]),
        last_exit: exit(ExitCode::Dumped, 6),
    }
}

/// The counters of a unit that keeps failing, also while the exporter does not listen.
fn failing() -> Counters {
    Counters {
        starts: 9,
        restarts: 8,
        transitions: counts(&[("activating", 3), ("failed", 3)]),
        failures: counts(&[("exit-code", 3), ("unknown", 6)]),
        reload_failures: Counts::default(),
        last_exit: exit(ExitCode::Exited, 203),
    }
}

/// The counters of a unit that was active once.
fn up(starts: u64) -> Counters {
    Counters { starts, transitions: counts(&[("active", 1)]), ..Counters::default() }
}

/// Gone units and their counters.
fn gone() -> Vec<(UnitName, Arc<Counters>)> {
    let killed = Counters {
        starts: 3,
        restarts: 2,
        transitions: counts(&[("active", 3), ("deactivating", 1), ("inactive", 1)]),
        failures: counts(&[("signal", 2)]),
        reload_failures: counts(&[("failed", 1)]),
        last_exit: exit(ExitCode::Killed, 9),
    };
    let scope = Counters { failures: counts(&[("oom-kill", 1)]), ..up(1) };
    let gone = [("gone@1.service", killed), ("run-r0badcafe.scope", scope)];
    gone.map(|(name, counters)| (UnitName::new(name).unwrap(), Arc::new(counters))).into()
}

fn resources() -> Resources {
    let pressure = |some, full| Some(Pressure { some: Some(some), full });
    Resources {
        cpu: Some(Cpu {
            user: 7_200_000_001,
            system: 1_500_000,
            throttling: Some(Throttling { periods: 12, time: 340_000 }),
        }),
        tasks: Some(17),
        memory: Memory {
            current: Some(52_428_800),
            peak: Some(104_857_600),
            swap: Some(0),
            max: Some(2_147_483_648),
            high: Some(1_073_741_824),
            events: [Some(0), Some(3), Some(0), Some(1), Some(1), None],
        },
        io: Some(Io { read_bytes: 1_459_200, written_bytes: 314_773_504, reads: 192, writes: 353 }),
        cpu_pressure: pressure(2_500_000, Some(0)),
        memory_pressure: None,
        io_pressure: pressure(1, None),
    }
}

fn units() -> Vec<Unit> {
    let web = Service {
        service_type: Some("notify".into()),
        tasks_max: Some(4915),
        watchdog_ping: Some(NOW - 1_250_000),
        ip: Some(IpCounters {
            ingress_bytes: Some(9_007_199_254_740_993),
            egress_bytes: Some(2),
            ingress_packets: Some(1),
            egress_packets: Some(0),
        }),
    };
    let idle = Service { service_type: Some("oneshot".into()), ..Service::default() };
    let socket = Socket { accepted: Some(12), connections: Some(2), refused: Some(0) };
    let timer = Timer {
        last_trigger: Some(NOW - 3 * MINUTE),
        next_realtime: Some(NOW + 5 * MINUTE),
        next_monotonic: Some(62 * MINUTE),
        repeats_calendar: true,
        ..Timer::default()
    };
    let mount = Mount { mount_type: Some("ext4".into()) };
    let web = unit(r"back\x2dslash.service", ActiveState::Active, Details::Service(web));
    let service = |name, state| unit(name, state, Details::Service(idle.clone()));
    vec![
        Unit {
            sub_state: "running".into(),
            result: Some(RunResult::Success),
            counters: Arc::new(crashed()),
            ..restarted(web)
        },
        Unit {
            sub_state: "auto-restart".into(),
            result: Some(RunResult::ExitCode),
            counters: Arc::new(failing()),
            ..service("broken.service", ActiveState::Failed)
        },
        unit("daily.timer", ActiveState::Active, Details::Timer(timer)),
        unit("data.mount", ActiveState::Active, Details::Mount(mount)),
        Unit {
            load_state: LoadState::BadSetting,
            load_error: Some("org.freedesktop.systemd1.BadUnitSetting".into()),
            ..service("faulty.service", ActiveState::Inactive)
        },
        Unit {
            load_state: LoadState::NotFound,
            ..service("missing.service", ActiveState::Inactive)
        },
        unit("never.timer", ActiveState::Inactive, Details::Timer(Timer::default())),
        unit("odd.thing", ActiveState::from("hibernating"), Details::Plain),
        Unit { is_frozen: true, ..restarted(service("reloading.service", ActiveState::Reloading)) },
        // Its file was deleted while it is running.
        Unit {
            load_state: LoadState::NotFound,
            counters: Arc::new(up(1)),
            ..service("removed.service", ActiveState::Active)
        },
        Unit {
            result: Some(RunResult::from("trigger-limit-hit")),
            need_daemon_reload: true,
            counters: Arc::new(up(1)),
            ..unit("talk.socket", ActiveState::Active, Details::Socket(socket))
        },
        unit("wire.device", ActiveState::Active, Details::Plain),
    ]
}

/// A roll-up of the instances of a template: two are active, one failed, and one is not found.
fn rollups() -> Vec<Rollup> {
    let counters = Counters {
        starts: 1_003,
        restarts: 2,
        transitions: counts(&[("active", 1_002), ("failed", 3)]),
        failures: counts(&[("exit-code", 3)]),
        reload_failures: counts(&[("signal", 4)]),
        last_exit: None,
    };
    let service = || Details::Service(Service::default());
    let members = [
        unit("work@1.service", ActiveState::Active, service()),
        unit("work@2.service", ActiveState::Active, service()),
        unit("work@3.service", ActiveState::Failed, service()),
        Unit {
            load_state: LoadState::NotFound,
            ..unit("work@4.service", ActiveState::Inactive, service())
        },
    ];
    let rollups = Rollups::read(["instances"]).unwrap();
    let selection = Selection { rollups, ..Selection::default() };
    let Placement::RolledUp(name) = selection.place(&members[0].name, None) else { unreachable!() };
    vec![Rollup { name, members: members.map(Arc::new).into(), counters: Arc::new(counters) }]
}

/// Unit files, one of a unit that is not in memory.
fn files() -> Vec<ListedFile> {
    let files = [
        (r"back\x2dslash.service", "enabled"),
        ("broken.service", "enabled"),
        ("gone@1.service", "transient"),
        ("odd.thing", "crossed-out"),
        ("unheard-of.service", "enabled-runtime"),
        ("work@.service", "static"),
    ];
    let file = |(name, state): (&str, &str)| ListedFile {
        name: UnitName::new(name).unwrap(),
        state: state.into(),
    };
    files.map(file).into()
}

/// Host-wide counters, higher than those of the shown units.
fn host_counters() -> counters::HostCounters {
    let took = |millis: &[u64]| {
        let mut durations = JobTotals::default().durations;
        millis.iter().for_each(|millis| durations.observe(Duration::from_millis(*millis)));
        durations
    };
    counters::HostCounters {
        transitions: BTreeMap::from([
            (UnitType::Service, counts(&[("active", 1_234), ("failed", 17), ("refreshing", 1)])),
            (UnitType::Device, counts(&[("active", 80)])),
            (UnitType::Other, counts(&[("hibernating", 1)])),
        ]),
        failures: BTreeMap::from([
            (UnitType::Service, counts(&[("core-dump", 1), ("exit-code", 10), ("unknown", 6)])),
            (UnitType::Socket, counts(&[("trigger-limit-hit", 1)])),
        ]),
        jobs: BTreeMap::from([
            (
                JobType::Start,
                JobTotals {
                    completed: counts(&[("done", 3), ("timeout", 1)]),
                    durations: took(&[4, 1_500, 2_000, 90_250]),
                },
            ),
            // Queued before the exporter listened, so without a duration.
            (
                JobType::Reload,
                JobTotals { completed: counts(&[("done", 1)]), ..JobTotals::default() },
            ),
            (
                JobType::from("unknown"),
                JobTotals { completed: counts(&[("canceled", 1)]), durations: took(&[7_200_000]) },
            ),
        ]),
        restarts: 24,
        reloads: 5,
    }
}

fn manager() -> Manager {
    let stamp = |realtime, monotonic| Stamp { realtime, monotonic };
    let boot = NOW - 60 * MINUTE;
    Manager {
        version: Some("252.39-1~deb12u1".into()),
        architecture: Some("x86-64".into()),
        virtualization: Some("".into()),
        confidential_virtualization: None,
        tainted: Some("unmerged-usr:\"quoted\"\nand broken".into()),
        control_group: Some("".into()),
        system_state: Some(SystemState::Degraded),
        failed_units: Some(1),
        boot: BTreeMap::from([
            ("Firmware", stamp(boot - 9_000_000, 9_000_000)),
            ("Loader", stamp(boot - 2_000_000, 2_000_000)),
            ("Kernel", stamp(boot, 0)),
            ("Userspace", stamp(boot + 1_250_000, 1_250_000)),
            ("SecurityStart", stamp(boot + 1_300_000, 1_300_000)),
            ("Finish", stamp(boot + 6_500_001, 6_500_001)),
        ]),
        watchdog: Watchdog {
            device: Some("/dev/watchdog0".into()),
            runtime: Some(30_000_000),
            last_ping: Some(NOW - 4_000_000),
            last_ping_monotonic: Some(60 * MINUTE - 4_000_000),
        },
    }
}

pub(crate) fn totals() -> OwnCounters {
    let mut totals = OwnCounters {
        events: BTreeMap::from([("JobNew".into(), 2), ("PropertiesChanged".into(), 1)]),
        resyncs: BTreeMap::from([("connect".into(), 1)]),
        drift: BTreeMap::from([("active_state".into(), 0)]),
        calls: BTreeMap::from([("Get".into(), 40), ("ListUnits".into(), 2)]),
        call_errors: BTreeMap::from([(
            ("Get".into(), "org.freedesktop.DBus.Error.NoReply".into()),
            1,
        )]),
        state_errors: Some(2),
        ..OwnCounters::default()
    };
    for micros in [20, 20, 700] {
        totals.event_lag.observe(Duration::from_micros(micros));
    }
    totals.scrapes.observe(Duration::from_secs(20));
    totals
}

pub(crate) fn full() -> Scrape {
    let snapshot = Snapshot {
        units: units().into_iter().map(Arc::new).collect(),
        rollups: rollups(),
        gone: gone(),
        files: files(),
        wanted_inactive: vec![(
            UnitName::new("never.timer").unwrap(),
            InactiveReason::NeverStarted,
        )],
        stuck_timers: BTreeSet::from([UnitName::new("never.timer").unwrap()]),
        totals: host_counters(),
        by_state: BTreeMap::from([
            ((UnitType::Service, ActiveState::Active), 91),
            ((UnitType::Service, ActiveState::Reloading), 1),
            ((UnitType::Service, ActiveState::Refreshing), 0),
            ((UnitType::Other, ActiveState::from("hibernating")), 1),
        ]),
        not_loaded: BTreeMap::from([
            ((LoadState::NotFound, ActiveState::Inactive), 3),
            ((LoadState::NotFound, ActiveState::Active), 1),
            ((LoadState::Merged, ActiveState::Inactive), 1),
        ]),
        jobs: BTreeMap::from([
            ((JobType::Start, JobState::Running), 2),
            ((JobType::from("try-restart"), JobState::Waiting), 1),
        ]),
        oldest_job: Some(60 * MINUTE - 90_500_000),
        manager: manager(),
        refused: [Listing::Units(UnitType::Mount), Listing::UnitFiles].into(),
    };
    let resources = [r"back\x2dslash.service", "work@1.service", "work@2.service"]
        .map(|name| (UnitName::new(name).unwrap(), resources()))
        .into();
    let snapshot = Some(Arc::new(snapshot));
    Scrape {
        managers: vec![ManagerScrape {
            user: None,
            up: true,
            snapshot,
            resources,
            reopened_files: 3,
        }],
        clocks: Clocks { realtime: NOW + 7, monotonic: 60 * MINUTE },
        telemetry: Some(totals()),
        process: Some(Process {
            cpu_seconds: Some(1.25),
            resident_bytes: Some(12_345_344),
            virtual_bytes: Some(98_765_824),
            open_fds: Some(14),
            max_fds: Some(524_288),
            start_time: Some(1_763_999_000.25),
        }),
        max_series: None,
        groups: Groups::all(),
        states: StateSeries::Stateset,
    }
}
