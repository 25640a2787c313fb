//! What `/metrics` says, given what is known.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use proptest::{collection, option, prelude::*};
use unitwatch::{
    build,
    inventory::{
        snapshot::{BOOT_STAGES, Manager, Snapshot, Stamp, Watchdog},
        unit::{Details, IpCounters, Mount, Service, Socket, Timer, Unit, Usec},
    },
    metrics::{self, Clocks, Family, Kind, Scrape, format::Format},
    process::Process,
    systemd::{
        name::{UnitName, UnitType},
        state::{ActiveState, JobState, JobType, LoadState, SystemState},
    },
    telemetry::{Histogram, Totals},
};

// === a small snapshot, in full ===

const MINUTE: Usec = 60_000_000;
const NOW: Usec = 1_764_000_000_123_456;

fn unit(name: &str, active_state: ActiveState, details: Details) -> Unit {
    Unit {
        name: UnitName::new(name).unwrap(),
        load_state: LoadState::Loaded,
        active_state,
        sub_state: "whatever".into(),
        active_enter: None,
        active_exit: None,
        inactive_enter: None,
        inactive_exit: None,
        details,
    }
}

/// A unit that has run, stopped, and runs again.
fn restarted(unit: Unit) -> Unit {
    Unit {
        active_enter: Some(NOW - 10 * MINUTE),
        active_exit: Some(NOW - 12 * MINUTE),
        inactive_enter: Some(NOW - 11 * MINUTE),
        inactive_exit: Some(NOW - 10 * MINUTE - 1_500_000),
        ..unit
    }
}

fn units() -> Vec<Unit> {
    let web = Service {
        service_type: Some("notify".into()),
        restarts: Some(3),
        tasks_max: Some(4915),
        slice: UnitName::new("system.slice"),
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
    };
    let mount = Mount { mount_type: Some("ext4".into()) };
    let missing = unit("missing.service", ActiveState::Inactive, Details::Service(idle.clone()));
    vec![
        restarted(unit(r"back\x2dslash.service", ActiveState::Active, Details::Service(web))),
        unit("broken.service", ActiveState::Failed, Details::Service(idle.clone())),
        unit("daily.timer", ActiveState::Active, Details::Timer(timer)),
        unit("data.mount", ActiveState::Active, Details::Mount(mount)),
        Unit { load_state: LoadState::NotFound, ..missing },
        unit("never.timer", ActiveState::Inactive, Details::Timer(Timer::default())),
        restarted(unit("reloading.service", ActiveState::Reloading, Details::Service(idle))),
        unit("talk.socket", ActiveState::Active, Details::Socket(socket)),
        unit("odd.thing", ActiveState::from("hibernating"), Details::Plain),
    ]
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

fn totals() -> Totals {
    let mut event_lag = Histogram::default();
    for micros in [20, 20, 700] {
        event_lag.observe(Duration::from_micros(micros));
    }
    let mut scrapes = Histogram::default();
    scrapes.observe(Duration::from_secs(20));
    Totals {
        events: BTreeMap::from([("JobNew".into(), 2), ("PropertiesChanged".into(), 1)]),
        event_lag,
        resyncs: BTreeMap::from([("connect".into(), 1)]),
        drift: BTreeMap::from([("active_state".into(), 0)]),
        calls: BTreeMap::from([("Get".into(), 40), ("ListUnits".into(), 2)]),
        call_errors: BTreeMap::from([(
            ("Get".into(), "org.freedesktop.DBus.Error.NoReply".into()),
            1,
        )]),
        scrapes,
    }
}

fn full() -> Scrape {
    let snapshot = Snapshot {
        units: units().into_iter().map(Arc::new).collect(),
        loaded: BTreeMap::from([
            ((UnitType::Service, ActiveState::Active), 90),
            ((UnitType::Service, ActiveState::Reloading), 1),
            ((UnitType::Service, ActiveState::Refreshing), 0),
            ((UnitType::Other, ActiveState::from("hibernating")), 1),
        ]),
        not_loaded: BTreeMap::from([(LoadState::NotFound, 4), (LoadState::Merged, 1)]),
        jobs: BTreeMap::from([
            ((JobType::Start, JobState::Running), 2),
            ((JobType::from("try-restart"), JobState::Waiting), 1),
        ]),
        manager: manager(),
    };
    Scrape {
        up: true,
        snapshot: Some(Arc::new(snapshot)),
        clocks: Clocks { realtime: NOW + 7, monotonic: 60 * MINUTE },
        tasks: HashMap::from([(UnitName::new(r"back\x2dslash.service").unwrap(), 17)]),
        telemetry: Some(totals()),
        process: Some(Process {
            cpu_seconds: Some(1.25),
            resident_bytes: Some(12_345_344),
            virtual_bytes: Some(98_765_824),
            open_fds: Some(14),
            max_fds: Some(524_288),
            start_time: Some(1_763_999_000.25),
        }),
    }
}

/// An expected text, with what differs from one build to the next filled in.
fn expected(text: &str) -> String {
    text.replace("{version}", build::VERSION)
        .replace("{revision}", build::REVISION)
        .replace("{rustversion}", build::RUSTC)
}

/// Compares line by line, so that a failure shows the line and then the whole text, not two.
fn assert_same(actual: &str, expected: &str) {
    let mut pairs = actual.lines().zip(expected.lines()).enumerate();
    let differs = pairs.find(|(_, (actual, expected))| actual != expected);
    assert!(actual == expected, "first difference: {differs:#?}\nthe whole text is:\n\n{actual}");
}

#[test]
fn the_whole_text_in_openmetrics() {
    let text = metrics::encode(full(), Format::OpenMetrics).unwrap();
    assert_same(&text, &expected(include_str!("exposition/openmetrics.txt")));
}

#[test]
fn the_whole_text_in_prometheus_text() {
    let text = metrics::encode(full(), Format::Text).unwrap();
    assert_same(&text, &expected(include_str!("exposition/text.txt")));
}

#[test]
fn out_of_step_with_systemd_only_the_exporter_speaks() {
    let scrape = Scrape { up: false, snapshot: None, ..full() };
    let text = metrics::encode(scrape, Format::OpenMetrics).unwrap();
    let document = Document::parse(&text, Format::OpenMetrics).unwrap();
    assert_eq!(document.samples[&("systemd_up".to_owned(), vec![])], "0");
    for family in document.families {
        assert!(
            family == "systemd_up"
                || family.starts_with("systemd_exporter_")
                || family.starts_with("process_"),
            "{family} should be withheld"
        );
    }
}

#[test]
fn the_exporters_own_metrics_can_be_left_out() {
    let scrape = Scrape { telemetry: None, process: None, ..full() };
    let text = metrics::encode(scrape, Format::Text).unwrap();
    let document = Document::parse(&text, Format::Text).unwrap();
    let own = |family: &&str| family.contains("exporter") || family.starts_with("process");
    let own: Vec<_> = document.families.into_iter().filter(own).collect();
    assert_eq!(own, ["systemd_exporter_units", "systemd_exporter_build_info"]);
}

#[test]
fn a_full_scrape_has_every_family_of_the_contract_in_its_order() {
    for format in [Format::OpenMetrics, Format::Text] {
        let text = metrics::encode(full(), format).unwrap();
        let promised = metrics::contract().map(|family| family.name);
        let document = Document::parse(&text, format).unwrap();
        assert_eq!(document.families, promised.collect::<Vec<_>>());
    }
}

// === any snapshot ===

/// What a strict reader makes of an exposition.
struct Document<'a> {
    /// Names as in the contract, in order.
    families: Vec<&'a str>,
    /// Each series and its value.
    samples: BTreeMap<(String, Labels), String>,
}

type Labels = Vec<(String, String)>;

impl<'a> Document<'a> {
    /// Reads a whole document, or says what is wrong with it.
    fn parse(text: &'a str, format: Format) -> Result<Self, String> {
        let body = match format {
            Format::OpenMetrics => text.strip_suffix("# EOF\n").ok_or("no `# EOF` at the end")?,
            Format::Text => text,
        };
        if !body.is_empty() && !body.ends_with('\n') {
            return Err("the last line is cut off".into());
        }
        let mut document = Self { families: Vec::new(), samples: BTreeMap::new() };
        let mut current: Option<&Family> = None;
        let mut lines = body.split_terminator('\n').peekable();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE "));
                let family = family(help, kind.ok_or("HELP without TYPE")?, format)?;
                if document.families.contains(&family.name) {
                    return Err(format!("{} is there twice", family.name));
                }
                if lines.peek().is_none_or(|next| next.starts_with('#')) {
                    return Err(format!("{} has no samples", family.name));
                }
                document.families.push(family.name);
                current = Some(family);
                continue;
            }
            let (name, labels, value) = sample(line).ok_or_else(|| format!("bad line {line:?}"))?;
            let family = current.ok_or_else(|| format!("{line:?} belongs to no family"))?;
            let names: Vec<_> = labels.iter().map(|(name, _)| name.as_str()).collect();
            let promised = match (family.kind, name.strip_prefix(family.name)) {
                (Kind::Histogram, Some("_bucket")) => [family.labels, &["le"]].concat(),
                (Kind::Histogram, Some("_sum" | "_count")) => family.labels.to_vec(),
                (Kind::Gauge | Kind::Counter | Kind::Info, Some("")) => family.labels.to_vec(),
                _ => return Err(format!("{line:?} is not of family {}", family.name)),
            };
            if names != promised {
                return Err(format!("{line:?} has other labels than {promised:?}"));
            }
            if document.samples.insert((name, labels), value).is_some() {
                return Err(format!("{line:?} is a duplicate"));
            }
        }
        Ok(document)
    }
}

/// The family that a HELP and a TYPE line announce, if they say what the contract says.
fn family(help: &str, kind: &str, format: Format) -> Result<&'static Family, String> {
    let says = |family: &&Family| {
        let (name, word) = match (format, family.kind) {
            (Format::OpenMetrics, Kind::Counter) => {
                (family.name.strip_suffix("_total").unwrap(), "counter")
            }
            (Format::OpenMetrics, Kind::Info) => {
                (family.name.strip_suffix("_info").unwrap(), "info")
            }
            (Format::Text, Kind::Info) => (family.name, "gauge"),
            (_, kind) => (family.name, kind.as_str()),
        };
        help == format!("{name} {}", family.help) && kind == format!("{name} {word}")
    };
    metrics::contract().find(says).ok_or_else(|| format!("unknown family {help:?} / {kind:?}"))
}

/// Takes a sample line apart: name, labels and value.
fn sample(line: &str) -> Option<(String, Labels, String)> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next()?.1 {
                        'n' => '\n',
                        special @ ('\\' | '"') => special,
                        _ => return None,
                    }),
                    (_, plain) => value.push(plain),
                }
            };
            is_name(label).then(|| labels.push((label.to_owned(), value)))?;
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.strip_prefix(' ')?;
    let number = !value.contains(' ') && value.parse::<f64>().is_ok_and(f64::is_finite);
    (is_name(name) && number).then(|| (name.to_owned(), labels, value.to_owned()))
}

/// Mostly plain words, sometimes ones that need escaping.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z-]{1,12}", 1 => "[\\PC\n\"\\\\]{0,12}"]
}

fn state<T>(all: &'static [T]) -> impl Strategy<Value = T>
where
    T: Clone + std::fmt::Debug + for<'a> From<&'a str>,
{
    prop_oneof![6 => proptest::sample::select(all), 1 => word().prop_map(|word| T::from(&word))]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, any::<u64>()]
}

fn some_unit() -> impl Strategy<Value = Unit> {
    let types = r"service|socket|target|device|mount|timer|slice|scope|future|od\\d";
    let name = proptest::string::string_regex(&format!(r"[a-zA-Z0-9:_.\\@-]{{1,30}}\.({types})"));
    let times = [(); 4].map(|()| option::of(number()));
    (name.unwrap(), state(LoadState::ALL), state(ActiveState::ALL), times, details()).prop_map(
        |(name, load_state, active_state, times, details)| {
            let [active_enter, active_exit, inactive_enter, inactive_exit] = times;
            Unit {
                load_state,
                active_enter,
                active_exit,
                inactive_enter,
                inactive_exit,
                ..unit(&name, active_state, details)
            }
        },
    )
}

fn details() -> impl Strategy<Value = Details> {
    let some = || option::of(number());
    let ip = [(); 4].map(|()| some()).prop_map(|counters| {
        let [ingress_bytes, egress_bytes, ingress_packets, egress_packets] = counters;
        IpCounters { ingress_bytes, egress_bytes, ingress_packets, egress_packets }
    });
    let service = (option::of(word()), some(), some(), option::of(ip));
    prop_oneof![
        service.prop_map(|(service_type, restarts, tasks_max, ip)| {
            let service_type = service_type.map(Into::into);
            Details::Service(Service { service_type, restarts, tasks_max, slice: None, ip })
        }),
        [some(), some(), some()].prop_map(|[accepted, connections, refused]| Details::Socket(
            Socket { accepted, connections, refused }
        )),
        [some(), some(), some()].prop_map(|[last_trigger, next_realtime, next_monotonic]| {
            Details::Timer(Timer { last_trigger, next_realtime, next_monotonic })
        }),
        option::of(word()).prop_map(|of| Details::Mount(Mount { mount_type: of.map(Into::into) })),
        Just(Details::Plain),
    ]
}

fn some_manager() -> impl Strategy<Value = Manager> {
    let word = || option::of(word().prop_map(String::into_boxed_str));
    let boot = (proptest::sample::select(&BOOT_STAGES[..]), number(), number())
        .prop_map(|(stage, realtime, monotonic)| (stage, Stamp { realtime, monotonic }));
    let some = || option::of(number());
    (
        [word(), word(), word(), word(), word()],
        option::of(state(SystemState::ALL)),
        [some(), some(), some(), some()],
        collection::vec(boot, 0..18),
    )
        .prop_map(|(words, system_state, numbers, boot)| {
            let [version, architecture, virtualization, tainted, device] = words;
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

fn some_snapshot() -> impl Strategy<Value = Snapshot> {
    let types = UnitType::ALL.into_iter().chain([UnitType::Other]).collect::<Vec<_>>();
    let loaded = (proptest::sample::select(types), state(ActiveState::ALL));
    let jobs = (state(JobType::ALL), state(JobState::ALL));
    (
        collection::vec(some_unit(), 0..20),
        collection::btree_map(loaded, number(), 0..8),
        collection::btree_map(state(LoadState::ALL), number(), 0..8),
        collection::btree_map(jobs, number(), 0..8),
        some_manager(),
    )
        .prop_map(|(units, loaded, not_loaded, jobs, manager)| {
            let units: BTreeMap<_, _> =
                units.into_iter().map(|unit| (unit.name.clone(), Arc::new(unit))).collect();
            let units = units.into_values().collect();
            Snapshot { units, loaded, not_loaded, jobs, manager }
        })
}

fn some_scrape() -> impl Strategy<Value = Scrape> {
    let counts = || collection::btree_map(word().prop_map(Into::into), number(), 0..4);
    let errors = (word().prop_map(Into::into), word().prop_map(Into::into));
    let errors = collection::btree_map(errors, number(), 0..4);
    let totals = ([counts(), counts(), counts(), counts()], errors).prop_map(
        |([events, resyncs, drift, calls], call_errors)| Totals {
            events,
            resyncs,
            drift,
            calls,
            call_errors,
            ..totals()
        },
    );
    (
        any::<bool>(),
        option::of(some_snapshot()),
        (number(), number()),
        option::of(totals),
        collection::vec(number(), 20),
    )
        .prop_map(|(up, snapshot, (realtime, monotonic), telemetry, tasks)| {
            let units = snapshot.iter().flat_map(|snapshot| &snapshot.units);
            let tasks = units.map(|unit| unit.name.clone()).zip(tasks).collect();
            let snapshot = snapshot.map(Arc::new);
            let clocks = Clocks { realtime, monotonic };
            Scrape { up, snapshot, clocks, tasks, telemetry, process: None }
        })
}

proptest! {
    /// Both formats can be read, keep to the contract and say the same.
    #[test]
    fn whatever_is_known_can_be_read(scrape in some_scrape()) {
        let openmetrics = metrics::encode(scrape.clone(), Format::OpenMetrics).unwrap();
        let text = metrics::encode(scrape.clone(), Format::Text).unwrap();
        let openmetrics = Document::parse(&openmetrics, Format::OpenMetrics)
            .map_err(TestCaseError::fail)?;
        let text = Document::parse(&text, Format::Text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&openmetrics.families, &text.families);
        prop_assert_eq!(&openmetrics.samples, &text.samples);

        let loaded = scrape.snapshot.iter().flat_map(|snapshot| &snapshot.units)
            .filter(|unit| unit.load_state == LoadState::Loaded)
            .map(|unit| unit.name.to_string());
        let named = openmetrics.samples.keys().filter(|(name, _)| name == "systemd_unit_state")
            .map(|(_, labels)| labels[0].1.clone());
        prop_assert_eq!(named.collect::<BTreeSet<_>>(), loaded.collect::<BTreeSet<_>>());

        // A unit is in exactly one state, and it is its own.
        for unit in scrape.snapshot.iter().flat_map(|snapshot| &snapshot.units) {
            let name = unit.name.as_str();
            let own = openmetrics.samples.iter().filter(|((family, labels), value)| {
                family == "systemd_unit_state" && labels[0].1 == name && *value == "1"
            });
            let own: Vec<_> = own.map(|((_, labels), _)| labels[2].1.as_str()).collect();
            if unit.load_state == LoadState::Loaded {
                prop_assert_eq!(own, [unit.active_state.as_str()]);
            }
        }
    }
}
