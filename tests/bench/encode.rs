//! How long it takes to word a scrape of a host with many units.

#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use unitwatch::{
    inventory::{
        snapshot::{BOOT_STAGES, Manager, Snapshot, Stamp},
        unit::{Details, IpCounters, Mount, Service, Socket, Timer, Unit, Usec},
    },
    metrics::{self, Clocks, Scrape, format::Format},
    process::Process,
    systemd::{
        name::UnitName,
        state::{ActiveState, LoadState, SystemState},
    },
    telemetry::Totals,
};

const NOW: Usec = 1_764_000_000_123_456;

/// The unit at `number` of a host that mostly runs services.
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
                restarts: Some(number % 3),
                tasks_max: Some(4_915),
                slice: UnitName::new("system.slice"),
                ip,
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
            };
            ("timer", Details::Timer(timer))
        }
        16 => ("mount", Details::Mount(Mount { mount_type: Some("ext4".into()) })),
        17 => ("slice", Details::Plain),
        18 => ("scope", Details::Plain),
        _ => ("target", Details::Plain),
    };
    // systemd's names are full of escapes where paths and instances are in them.
    let name = format!(r"application\x2dworker@{number:05}.{suffix}");
    Unit {
        name: UnitName::new(&name).unwrap(),
        load_state: LoadState::Loaded,
        active_state: if running { ActiveState::Active } else { ActiveState::Inactive },
        sub_state: "running".into(),
        active_enter: at(86_400),
        active_exit: (!running).then(|| at(80_000)).flatten(),
        inactive_enter: (!running).then(|| at(80_000)).flatten(),
        inactive_exit: at(86_401),
        details,
    }
}

fn scrape(units: u64) -> Scrape {
    let units: Vec<_> = (0..units).map(|number| Arc::new(unit(number))).collect();
    let mut loaded = BTreeMap::new();
    for unit in &units {
        *loaded.entry((unit.name.unit_type(), unit.active_state.clone())).or_insert(0) += 1;
    }
    let services = units.iter().filter(|unit| matches!(unit.details, Details::Service(_)));
    let tasks = services.map(|unit| (unit.name.clone(), 4)).collect();
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
    let snapshot = Snapshot { units, loaded, manager, ..Snapshot::default() };
    Scrape {
        up: true,
        snapshot: Some(Arc::new(snapshot)),
        clocks: Clocks { realtime: NOW, monotonic: 3_600_000_000 },
        tasks,
        telemetry: Some(Totals::default()),
        process: Some(Process::default()),
    }
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for units in [1_100, 10_000] {
        let scrape = scrape(units);
        for (name, format) in [("openmetrics", Format::OpenMetrics), ("text", Format::Text)] {
            let text = metrics::encode(scrape.clone(), format).unwrap();
            let series = text.lines().filter(|line| !line.starts_with('#')).count();
            group.throughput(Throughput::Elements(series as u64));
            group.bench_with_input(BenchmarkId::new(name, units), &scrape, |bencher, scrape| {
                bencher.iter_batched(
                    || scrape.clone(),
                    |scrape| metrics::encode(black_box(scrape), format).unwrap(),
                    // One text at a time, as a server has it: a batch would hold many, and
                    // measure how the kernel hands out fresh pages.
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
