//! The scrape of a host with many units.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use unitwatch::{
    cgroup::resources::{Cpu, Io, MEMORY_EVENTS, Memory, Resources},
    clock::Usec,
    inventory::{
        counters::{self, Counters, Exit, JobTotals},
        counts::Counts,
        manager::{BOOT_STAGES, Manager, Stamp},
        snapshot::Snapshot,
        unit::{Details, IpCounters, Mount, Service, Socket, Timer, Unit},
    },
    metrics::{Clocks, ManagerScrape, Scrape, StateSeries, group::Groups},
    process::Process,
    systemd::{
        name::{UnitName, UnitType},
        state::{ActiveState, ExitCode, JobResult, JobType, LoadState, RunResult, SystemState},
    },
    telemetry::OwnCounters,
};

const NOW: Usec = 1_764_000_000_123_456;

/// Unit `number` of a host that mostly runs services.
fn unit(number: u64) -> Unit {
    let at = |ago: u64| Some(NOW - ago * 1_000_003 - number * 7_919);
    let running = !number.is_multiple_of(5);
    let (suffix, details) = match number % 20 {
        0..=13 => {
            let ip = number.is_multiple_of(4).then_some(IpCounters {
                ingress_bytes: Some(number * 1_234_567),
                egress_bytes: Some(number * 7_654_321),
                ingress_packets: Some(number * 1_234),
                egress_packets: Some(number * 4_321),
            });
            let service = Service {
                service_type: Some("simple".into()),
                tasks_max: Some(4_915),
                ip,
                ..Service::default()
            };
            ("service", Details::Service(service))
        }
        14 => {
            let socket = Socket { accepted: Some(number), connections: Some(1), refused: Some(0) };
            ("socket", Details::Socket(socket))
        }
        15 => {
            let timer = Timer {
                last_trigger: at(3_600),
                next_realtime: Some(NOW + 3_600_000_000),
                next_monotonic: Some(7_200_000_000),
                ..Timer::default()
            };
            ("timer", Details::Timer(timer))
        }
        16 => ("mount", Details::Mount(Mount { mount_type: Some("ext4".into()) })),
        17 => ("slice", Details::Plain),
        18 => ("scope", Details::Plain),
        _ => ("target", Details::Plain),
    };
    // Names made from paths and instances have many escapes.
    let name = format!(r"application\x2dworker@{number:05}.{suffix}");
    Unit {
        load_state: LoadState::Loaded,
        active_state: if running { ActiveState::Active } else { ActiveState::Inactive },
        sub_state: "running".into(),
        result: Some(if failing(number) { RunResult::ExitCode } else { RunResult::Success }),
        active_enter: at(86_400),
        active_exit: (!running).then(|| at(80_000)).flatten(),
        inactive_enter: (!running).then(|| at(80_000)).flatten(),
        inactive_exit: at(86_401),
        counters: Arc::new(counters(number, running, suffix)),
        details,
        ..Unit::new(UnitName::new(&name).unwrap())
    }
}

/// Whether unit `number` has failed several times.
fn failing(number: u64) -> bool {
    number.is_multiple_of(25)
}

/// The counters of unit `number`: on most hosts most units start once, and a few fail repeatedly.
fn counters(number: u64, running: bool, suffix: &str) -> Counters {
    let crashes = if failing(number) { 1 + number % 3 } else { 0 };
    let mut transitions = vec![(ActiveState::Active, 1 + crashes)];
    if matches!(suffix, "service" | "mount") {
        transitions.push((ActiveState::Activating, 1 + 2 * crashes));
    }
    if crashes > 0 {
        transitions.push((ActiveState::Failed, crashes));
    }
    if !running {
        transitions.extend([(ActiveState::Deactivating, 1), (ActiveState::Inactive, 1)]);
    }
    let ended = suffix == "service" && (crashes > 0 || !running);
    Counters {
        starts: 1 + crashes,
        restarts: if suffix == "service" { crashes } else { 0 },
        transitions: transitions.into_iter().collect(),
        failures: Counts::from_iter([(RunResult::ExitCode, crashes)]),
        reload_failures: Counts::default(),
        last_exit: ended.then(|| Exit {
            at: NOW - number * 7_919,
            code: ExitCode::Exited,
            status: u64::from(crashes > 0),
        }),
    }
}

/// Gone units, such as transient services.
fn gone(units: u64) -> Vec<(UnitName, Arc<Counters>)> {
    let gone = (0..units / 20).map(|number| {
        let name = UnitName::new(&format!("run-p{number:05}-i{number:05}.service")).unwrap();
        (name, Arc::new(counters(number, false, "service")))
    });
    gone.collect()
}

/// Host-wide counters.
fn host_counters() -> counters::HostCounters {
    let mut durations = JobTotals::default().durations;
    (0..1_000).for_each(|number| durations.observe(Duration::from_millis(number * number)));
    let jobs = JobTotals { completed: Counts::from_iter([(JobResult::Done, 1_000)]), durations };
    let types = [JobType::Start, JobType::Stop, JobType::Restart];
    counters::HostCounters {
        transitions: BTreeMap::from([(
            UnitType::Service,
            Counts::from_iter([(ActiveState::Active, 1_000)]),
        )]),
        failures: BTreeMap::from([(
            UnitType::Service,
            Counts::from_iter([(RunResult::ExitCode, 50)]),
        )]),
        jobs: types.map(|job_type| (job_type, jobs.clone())).into(),
        restarts: 3,
        reloads: 3,
    }
}

/// The resource use of a service on a machine with every controller.
fn resources() -> Resources {
    Resources {
        cpu: Some(Cpu { user: 7_200_000_001, system: 1_500_000, throttling: None }),
        tasks: Some(4),
        memory: Memory {
            current: Some(52_428_800),
            peak: Some(104_857_600),
            swap: Some(0),
            max: None,
            high: None,
            events: [Some(0); MEMORY_EVENTS.len()],
        },
        io: Some(Io::default()),
        ..Resources::default()
    }
}

/// A scrape of this many units.
pub(crate) fn scrape(units: u64) -> Scrape {
    let gone = gone(units);
    let units: Vec<_> = (0..units).map(|number| Arc::new(unit(number))).collect();
    let mut by_state = BTreeMap::new();
    for unit in &units {
        *by_state.entry((unit.name.unit_type(), unit.active_state.clone())).or_insert(0) += 1;
    }
    let services = units.iter().filter(|unit| matches!(unit.details, Details::Service(_)));
    let resources = services.map(|unit| (unit.name.clone(), resources())).collect();
    let manager = Manager {
        version: Some("262.1-2".into()),
        system_state: Some(SystemState::Running),
        failed_units: Some(0),
        boot: BOOT_STAGES
            .into_iter()
            .map(|stage| (stage, Stamp { realtime: NOW, monotonic: 5_000_000 }))
            .collect(),
        ..Manager::default()
    };
    let snapshot =
        Snapshot { units, gone, totals: host_counters(), by_state, manager, ..Snapshot::default() };
    Scrape {
        managers: vec![ManagerScrape {
            up: true,
            snapshot: Some(Arc::new(snapshot)),
            resources,
            ..ManagerScrape::default()
        }],
        clocks: Clocks { realtime: NOW, monotonic: 3_600_000_000 },
        telemetry: Some(OwnCounters::default()),
        process: Some(Process::default()),
        max_series: NonZeroUsize::new(100_000),
        groups: Groups::default(),
        states: StateSeries::Stateset,
    }
}
