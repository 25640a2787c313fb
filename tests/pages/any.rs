//! Generated scrapes, likely and unlikely.

use std::{collections::BTreeMap, num::NonZeroU64, sync::Arc, time::Duration};

use proptest::{collection, option, prelude::*};
use unitwatch::{
    cgroup::resources::{Cpu, Io, MEMORY_EVENTS, Memory, Pressure, Resources, Throttling},
    inventory::{
        counters::{self, Counters, Exit, JobTotals},
        counts::Counts,
        manager::{BOOT_STAGES, Manager, Stamp, Watchdog},
        snapshot::Snapshot,
        unit::{Details, IpCounters, Mount, Service, Socket, Timer, Unit},
        wanted_inactive::InactiveReason,
    },
    metrics::{Clocks, ManagerScrape, Scrape, group::Groups},
    selection::{Selection, rollup::Rollups},
    systemd::{
        listing::ListedFile,
        name::{UnitName, UnitType},
        state::{
            ActiveState, ExitCode, FileState, JobResult, JobState, JobType, LoadState, RunResult,
            SystemState,
        },
    },
    telemetry::OwnCounters,
};

use super::full::{totals, unit};

/// Mostly plain text, sometimes text that needs escaping.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z-]{1,12}", 1 => "[\\PC\n\"\\\\]{0,12}"]
}

fn state<T>(all: &'static [T]) -> impl Strategy<Value = T>
where
    T: Clone + std::fmt::Debug + for<'a> From<&'a str>,
{
    prop_oneof![6 => proptest::sample::select(all), 1 => text().prop_map(|name| T::from(&name))]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, any::<u64>()]
}

fn some_name() -> impl Strategy<Value = String> {
    let types = r"service|socket|target|device|mount|timer|slice|scope|future|od\\d";
    let name = format!(r"[a-zA-Z0-9:_.\\@-]{{1,30}}\.({types})");
    proptest::string::string_regex(&name).unwrap()
}

fn some_unit() -> impl Strategy<Value = Unit> {
    let times = [(); 7].map(|()| option::of(number()));
    let slice = option::of(proptest::sample::select(&["a.slice", "b-c.slice"][..]));
    let sub_state =
        proptest::sample::select(&["whatever", "auto-restart", "auto-restart-queued"][..]);
    let states = (state(LoadState::ALL), state(ActiveState::ALL), sub_state.prop_map(Into::into));
    let wrong = (option::of(text()), option::of(state(RunResult::ALL)), any::<[bool; 2]>(), slice);
    (some_name(), states, times, details(), wrong, option::of(some_counters())).prop_map(
        |(name, (load_state, active_state, sub_state), times, details, wrong, counters)| {
            let [active_enter, active_exit, inactive_enter, inactive_exit, monotonic @ ..] = times;
            let [active_enter_monotonic, active_exit_monotonic, inactive_exit_monotonic] =
                monotonic.map(|time| time.and_then(NonZeroU64::new));
            let (load_error, result, [need_daemon_reload, is_frozen], slice) = wrong;
            let unit = unit(&name, active_state, details);
            Unit {
                load_state,
                sub_state,
                load_error: load_error.map(Into::into),
                result,
                active_enter,
                active_exit,
                inactive_enter,
                inactive_exit,
                active_enter_monotonic,
                active_exit_monotonic,
                inactive_exit_monotonic,
                need_daemon_reload,
                is_frozen,
                slice: slice.and_then(UnitName::new),
                counters: Arc::new(of_type(&unit.name, counters.unwrap_or_default())),
                ..unit
            }
        },
    )
}

fn some_counts<W>(all: &'static [W]) -> impl Strategy<Value = Counts<W>>
where
    W: Clone + PartialEq + std::fmt::Debug + for<'a> From<&'a str>,
{
    collection::vec((state(all), number()), 0..4).prop_map(Counts::from_iter)
}

fn some_counters() -> impl Strategy<Value = Counters> {
    let exit = (number(), state(ExitCode::ALL), number());
    let exit = exit.prop_map(|(at, code, status)| Exit { at, code, status });
    let transitions = some_counts(ActiveState::ALL);
    let failures = (some_counts(RunResult::ALL), some_counts(RunResult::ALL));
    (number(), number(), transitions, failures, option::of(exit)).prop_map(
        |(starts, restarts, transitions, (failures, reload_failures), last_exit)| Counters {
            starts,
            restarts,
            transitions,
            failures,
            reload_failures,
            last_exit,
        },
    )
}

/// Drops what only services have, unless it is a service.
fn of_type(name: &UnitName, counters: Counters) -> Counters {
    let is_service = name.unit_type() == UnitType::Service;
    Counters { restarts: if is_service { counters.restarts } else { 0 }, ..counters }
}

fn some_unit_type() -> impl Strategy<Value = UnitType> {
    let types = UnitType::ALL.into_iter().chain([UnitType::Other]).collect::<Vec<_>>();
    proptest::sample::select(types)
}

fn some_totals() -> impl Strategy<Value = counters::HostCounters> {
    let transitions = (some_unit_type(), some_counts(ActiveState::ALL));
    let failures = (some_unit_type(), some_counts(RunResult::ALL));
    let job = (some_counts(JobResult::ALL), collection::vec(number(), 0..5));
    let job = job.prop_map(|(completed, took)| {
        let mut job = JobTotals { completed, ..JobTotals::default() };
        took.into_iter().for_each(|took| job.durations.observe(Duration::from_micros(took)));
        job
    });
    (
        collection::vec(transitions, 0..5),
        collection::vec(failures, 0..5),
        collection::vec((state(JobType::ALL), job), 0..5),
        [number(), number()],
    )
        .prop_map(|(transitions, failures, jobs, [restarts, reloads])| {
            counters::HostCounters {
                transitions: transitions.into_iter().collect(),
                failures: failures.into_iter().collect(),
                jobs: jobs.into_iter().collect(),
                restarts,
                reloads,
            }
        })
}

fn details() -> impl Strategy<Value = Details> {
    let some = || option::of(number());
    let ip = [(); 4].map(|()| some()).prop_map(|counters| {
        let [ingress_bytes, egress_bytes, ingress_packets, egress_packets] = counters;
        IpCounters { ingress_bytes, egress_bytes, ingress_packets, egress_packets }
    });
    let service = (option::of(text()), some(), some(), option::of(ip));
    prop_oneof![
        service.prop_map(|(service_type, tasks_max, watchdog_ping, ip)| {
            let service_type = service_type.map(Into::into);
            Details::Service(Service { service_type, tasks_max, watchdog_ping, ip })
        }),
        [some(), some(), some()].prop_map(|[accepted, connections, refused]| Details::Socket(
            Socket { accepted, connections, refused }
        )),
        [some(), some(), some()].prop_map(|[last_trigger, next_realtime, next_monotonic]| {
            let timer = Timer { last_trigger, next_realtime, next_monotonic, ..Timer::default() };
            Details::Timer(timer)
        }),
        option::of(text()).prop_map(|of| Details::Mount(Mount { mount_type: of.map(Into::into) })),
        Just(Details::Plain),
    ]
}

fn some_manager() -> impl Strategy<Value = Manager> {
    let some_text = || option::of(text().prop_map(String::into_boxed_str));
    let boot = (proptest::sample::select(&BOOT_STAGES[..]), number(), number())
        .prop_map(|(stage, realtime, monotonic)| (stage, Stamp { realtime, monotonic }));
    let some = || option::of(number());
    (
        [some_text(), some_text(), some_text(), some_text(), some_text()],
        option::of(state(SystemState::ALL)),
        [some(), some(), some(), some()],
        collection::vec(boot, 0..18),
    )
        .prop_map(|(texts, system_state, numbers, boot)| {
            let [version, architecture, virtualization, tainted, device] = texts;
            let [failed_units, runtime, last_ping, last_ping_monotonic] = numbers;
            Manager {
                version,
                architecture,
                virtualization,
                confidential_virtualization: None,
                tainted,
                control_group: None,
                system_state,
                failed_units,
                boot: boot.into_iter().collect(),
                watchdog: Watchdog { device, runtime, last_ping, last_ping_monotonic },
            }
        })
}

/// Units in memory, gone units, and files of some of both and of other units.
fn some_units() -> impl Strategy<Value = Snapshot> {
    let reason = prop_oneof![Just(InactiveReason::NeverStarted), Just(InactiveReason::Stopped)];
    (
        // Large strategies go on the heap: the stack of a test is small.
        collection::vec(some_unit().boxed(), 0..20),
        collection::btree_map(some_name(), some_counters(), 0..8),
        collection::btree_map(some_name(), state(FileState::ALL), 0..8),
        collection::vec(state(FileState::ALL), 0..14),
        collection::vec(option::of(reason), 0..20),
    )
        .prop_map(|(units, gone, files, known_files, reasons)| {
            let units: BTreeMap<_, _> =
                units.into_iter().map(|unit| (unit.name.clone(), Arc::new(unit))).collect();
            let gone = gone.into_iter().map(|(name, counters)| {
                let name = UnitName::new(&name).unwrap();
                let counters = of_type(&name, counters);
                (name, Arc::new(counters))
            });
            let gone: Vec<_> = gone
                .filter(|(name, counters)| !units.contains_key(name) && !counters.is_empty())
                .collect();
            let stuck_timers = units.keys().filter(|name| name.suffix() == "timer").step_by(2);
            let stuck_timers = stuck_timers.cloned().collect();
            let names = units.keys().chain(gone.iter().map(|(name, _)| name));
            let known_files = names.step_by(2).cloned().zip(known_files);
            let files = files.into_iter().map(|(name, of)| (UnitName::new(&name).unwrap(), of));
            let files: BTreeMap<_, _> = files.chain(known_files).collect();
            let files = files.into_iter().map(|(name, state)| ListedFile { name, state });
            let files = files.collect();
            let loaded = units.values().filter(|unit| unit.load_state == LoadState::Loaded);
            let wanted_inactive = loaded.map(|unit| unit.name.clone()).zip(reasons);
            let wanted_inactive =
                wanted_inactive.filter_map(|(name, reason)| Some((name, reason?))).collect();
            Snapshot {
                units: units.into_values().collect(),
                gone,
                files,
                wanted_inactive,
                stuck_timers,
                ..Snapshot::default()
            }
        })
}

pub(crate) fn some_snapshot() -> impl Strategy<Value = Snapshot> {
    let by_state = (some_unit_type(), state(ActiveState::ALL));
    let not_loaded = (state(LoadState::ALL), state(ActiveState::ALL));
    let jobs = (state(JobType::ALL), state(JobState::ALL));
    (
        some_units().boxed(),
        some_totals().boxed(),
        collection::btree_map(by_state, number(), 0..8),
        collection::btree_map(not_loaded, number(), 0..8),
        collection::btree_map(jobs, number(), 0..8),
        option::of(number()),
        some_manager().boxed(),
    )
        .prop_map(|(units, totals, by_state, not_loaded, jobs, oldest_job, manager)| {
            Snapshot { totals, by_state, not_loaded, jobs, oldest_job, manager, ..units }
        })
}

fn some_resources() -> impl Strategy<Value = Resources> {
    let throttling = (number(), number()).prop_map(|(periods, time)| Throttling { periods, time });
    let cpu = (number(), number(), option::of(throttling))
        .prop_map(|(user, system, throttling)| Cpu { user, system, throttling });
    let sizes = [(); 5].map(|()| option::of(number()));
    let events = [(); MEMORY_EVENTS.len()].map(|()| option::of(number()));
    let memory = (sizes, events).prop_map(|([current, peak, swap, max, high], events)| Memory {
        current,
        peak,
        swap,
        max,
        high,
        events,
    });
    let io = [(); 4].map(|()| number());
    let io = io.prop_map(|[read_bytes, written_bytes, reads, writes]| Io {
        read_bytes,
        written_bytes,
        reads,
        writes,
    });
    let pressure = || {
        let both = (option::of(number()), option::of(number()));
        option::of(both.prop_map(|(some, full)| Pressure { some, full }))
    };
    let pressures = [pressure(), pressure(), pressure()];
    (option::of(cpu), option::of(number()), memory, option::of(io), pressures).prop_map(
        |(cpu, tasks, memory, io, [cpu_pressure, memory_pressure, io_pressure])| Resources {
            cpu,
            tasks,
            memory,
            io,
            cpu_pressure,
            memory_pressure,
            io_pressure,
        },
    )
}

pub(crate) fn some_scrape() -> impl Strategy<Value = Scrape> {
    let counts = || collection::btree_map(text().prop_map(Into::into), number(), 0..4);
    let errors = (text().prop_map(Into::into), text().prop_map(Into::into));
    let errors = collection::btree_map(errors, number(), 0..4);
    let counts = [counts(), counts(), counts(), counts()];
    let totals = (counts, errors, option::of(number())).prop_map(
        |([events, resyncs, drift, calls], call_errors, state_errors)| OwnCounters {
            events,
            resyncs,
            drift,
            calls,
            call_errors,
            state_errors,
            ..totals()
        },
    );
    (
        any::<bool>(),
        (option::of(some_snapshot().boxed()), any::<bool>()),
        (number(), number()),
        option::of(totals.boxed()),
        collection::vec(some_resources().boxed(), 20),
    )
        .prop_map(
            |(up, (mut snapshot, rollups), (realtime, monotonic), telemetry, resources)| {
                let units = snapshot.iter().flat_map(|snapshot| &snapshot.units);
                let resources = units.map(|unit| unit.name.clone()).zip(resources).collect();
                let rolled_up = Rollups { instances: true, scopes: true };
                let selection = Selection { rollups: rolled_up, ..Selection::default() };
                snapshot = snapshot.map(|it| if rollups { it.select(&selection) } else { it });
                let snapshot = snapshot.map(Arc::new);
                let clocks = Clocks { realtime, monotonic };
                let groups = Groups::all();
                let manager = ManagerScrape { up, snapshot, resources, ..ManagerScrape::default() };
                let managers = vec![manager];
                Scrape { managers, clocks, telemetry, groups, ..Scrape::default() }
            },
        )
}
