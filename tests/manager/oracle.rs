//! The oracle: after thousands of random operations on a real systemd, every exported value equals
//! the output of `systemctl show`.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    os::unix::{fs::symlink, net::UnixStream},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use crate::harness::{
    Exporter, Machine, OFTEN,
    exposition::{Exposition, Key, key},
    show::{self, Properties},
    until,
};
use fastrand::Rng;

const WANTED: &str = "systemd_unit_wanted_inactive";

const RESYNCS: &str = "systemd_exporter_resyncs_total";

/// Operations between two comparisons.
const BETWEEN_CHECKS: usize = 250;

/// Units whose names have every kind of character that a name can have.
const ESCAPED: [&str; 4] = [
    r"uw-tmpl@a\x2db\x5cc.service",
    r"uw-tmpl@:_-.@x.service",
    r"uw-tmpl@\xc3\xa4.service",
    "uw-tmpl@1_2e3.service",
];

/// The families that must have been compared at least once. IP traffic is not among them, because
/// not every kernel accounts it.
const COMPARED: [&str; 23] = [
    "systemd_service_last_exit_status",
    "systemd_service_last_exit_time_seconds",
    "systemd_service_last_result",
    "systemd_service_watchdog_last_ping_time_seconds",
    "systemd_socket_accepted_connections_total",
    "systemd_socket_current_connections",
    "systemd_socket_refused_connections_total",
    "systemd_timer_last_trigger_seconds",
    "systemd_timer_next_trigger_seconds",
    "systemd_timer_stuck",
    "systemd_unit_active_enter_time_seconds",
    "systemd_unit_active_exit_time_seconds",
    "systemd_unit_frozen",
    "systemd_unit_inactive_enter_time_seconds",
    "systemd_unit_inactive_exit_time_seconds",
    "systemd_unit_info",
    "systemd_unit_load_error",
    "systemd_unit_need_daemon_reload",
    "systemd_unit_start_duration_seconds",
    "systemd_unit_start_time_seconds",
    "systemd_unit_state",
    "systemd_unit_sub_state",
    "systemd_unit_tasks_max",
];

fn write_units(machine: &Machine) {
    let loops = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=on-failure\nRestartSec=80ms\n";
    let units = [
        ("uw-simple.service", "[Service]\nExecStart=sleep infinity\nExecReload=true\n".to_owned()),
        ("uw-other.service", "[Service]\nExecStart=sleep infinity\nTasksMax=7\n".to_owned()),
        (
            "uw-once.service",
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n".into(),
        ),
        ("uw-fail.service", "[Service]\nType=oneshot\nExecStart=sh -c 'exit 3'\n".to_owned()),
        ("uw-slow.service", "[Service]\nType=oneshot\nExecStart=sleep 0.2\n".to_owned()),
        ("uw-loop.service", format!("{loops}ExecStart=sh -c 'exit 1'\n")),
        ("uw-flaky.service", format!("{loops}ExecStart=sh -c 'sleep 0.1; kill -9 $$$$'\n")),
        ("uw-direct.service", format!("{loops}RestartMode=direct\nExecStart=false\n")),
        ("uw-limit.service", "[Service]\nExecStart=false\nRestart=always\nRestartSec=0\n".into()),
        ("uw-tmpl@.service", "[Service]\nExecStart=sleep infinity\n".to_owned()),
        ("uw-timed.service", "[Service]\nType=oneshot\nExecStart=true\n".to_owned()),
        (
            "uw-timed.timer",
            "[Timer]\nOnActiveSec=1s\nOnUnitActiveSec=1500ms\nAccuracySec=1ms\n".to_owned(),
        ),
        ("uw-stuck.timer", "[Timer]\nUnit=uw-slow.service\nOnUnitInactiveSec=1h\n".to_owned()),
        ("uw-fired.timer", "[Timer]\nUnit=uw-once.service\nOnActiveSec=1ms\n".to_owned()),
        ("uw-never.timer", "[Timer]\nUnit=uw-timed.service\nOnCalendar=2099-01-01\n".to_owned()),
        ("uw-sock.socket", "[Socket]\nListenStream=%t/uw.sock\nAccept=yes\n".to_owned()),
        ("uw-sock@.service", "[Service]\nExecStart=cat\nStandardInput=socket\n".to_owned()),
        (
            "uw-whole.socket",
            "[Socket]\nListenStream=%t/uw-whole.sock\nService=uw-other.service\n".into(),
        ),
        ("uw-net.service", "[Service]\nExecStart=sleep infinity\nIPAccounting=yes\n".to_owned()),
        (
            "uw-dog.service",
            "[Service]\nWatchdogSec=90\nNotifyAccess=all\n\
             ExecStart=sh -c 'while systemd-notify WATCHDOG=1; do sleep 1; done'\n"
                .to_owned(),
        ),
        ("uw-path.path", "[Path]\nPathExists=/nonexistent\nUnit=uw-timed.service\n".to_owned()),
        (
            "uw-all.target",
            "[Unit]\nWants=uw-simple.service uw-missing.service uw-bad.service\n".to_owned(),
        ),
        ("uw-some.slice", "[Slice]\n".to_owned()),
        ("uw-sliced.service", "[Service]\nExecStart=sleep infinity\nSlice=uw-some.slice\n".into()),
        ("uw-bad.service", "[Service]\n".to_owned()),
        ("uw-badtimer.timer", "[Timer]\nOnCalendar=sometime\n".to_owned()),
        ("uw-changing.service", "[Service]\nExecStart=sleep infinity\n".to_owned()),
        (
            "by-stander@.service",
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n".to_owned(),
        ),
    ];
    for (name, text) in units {
        // A manager of another distribution's defaults may have other directories in PATH.
        let text = text.replace("ExecStart=sleep", "ExecStart=/bin/sleep");
        let text = text.replace("ExecStart=sh", "ExecStart=/bin/sh");
        let text = text.replace("ExecStart=cat", "ExecStart=/bin/cat");
        let text = text.replace("=true\n", "=/bin/true\n").replace("=false\n", "=/bin/false\n");
        machine.write(name, &text);
    }
    let _ = symlink("uw-simple.service", machine.unit_dir().join("uw-alias.service"));
    machine.must(&["daemon-reload"]);
}

/// Stops the units of an earlier test and waits until systemd has unloaded them. A failed service
/// stays loaded, and a timer of this test would count from its end.
fn forget_units(machine: &Machine) {
    machine.systemctl(&["stop", "uw-*", "by-stander@*"]);
    machine.systemctl(&["reset-failed", "uw-*", "by-stander@*"]);
    let list = ["list-units", "--all", "--plain", "--no-legend", "uw-*", "by-stander@*"];
    until("nothing is left of an earlier test", || {
        let left = machine.must(&list);
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}

/// What the operations hold open.
#[derive(Default)]
struct Held {
    connections: Vec<UnixStream>,
    scopes: Vec<Child>,
    transients: usize,
}

fn operate(machine: &Machine, random: &mut Rng, held: &mut Held) {
    let mut all = vec![
        "uw-simple.service",
        "uw-other.service",
        "uw-once.service",
        "uw-fail.service",
        "uw-slow.service",
        "uw-loop.service",
        "uw-flaky.service",
        "uw-direct.service",
        "uw-limit.service",
        "uw-timed.service",
        "uw-timed.timer",
        "uw-never.timer",
        "uw-stuck.timer",
        "uw-sock.socket",
        "uw-whole.socket",
        "uw-net.service",
        "uw-dog.service",
        "uw-path.path",
        "uw-all.target",
        "uw-some.slice",
        "uw-sliced.service",
        "uw-bad.service",
        "uw-badtimer.timer",
        "uw-changing.service",
        "uw-alias.service",
        "uw-missing.service",
    ];
    all.extend(ESCAPED);
    let unit = random.choice(&all).unwrap();
    let does = |words: &[&str]| drop(machine.systemctl(words));
    match random.u8(..100) {
        0..28 => does(&["--no-block", "start", unit]),
        28..48 => does(&["--no-block", "stop", unit]),
        48..58 => does(&["--no-block", "restart", unit]),
        58..62 => does(&["--no-block", "try-restart", unit]),
        62..68 => does(&["kill", "--signal=KILL", unit]),
        68..70 => does(&["--no-block", "reload", "uw-simple.service"]),
        70 => {
            let verb = random.choice(["freeze", "thaw", "thaw"]).unwrap();
            does(&[verb, random.choice(["uw-other.service", "uw-some.slice"]).unwrap()]);
        }
        71..74 => does(&["reset-failed", unit]),
        74..77 => {
            // A query loads a unit, and systemd unloads it again.
            does(&["show", "--property=Id", "uw-unknown.service", unit]);
        }
        77..79 => {
            let limit = format!("TasksMax={}", random.u8(3..53));
            does(&["set-property", "--runtime", "uw-other.service", &limit]);
        }
        79..82 => {
            let broken = random.bool();
            let text = if broken { "[Service]\n" } else { "[Service]\nExecStart=/bin/sleep 99\n" };
            machine.write("uw-changing.service", text);
            does(&["daemon-reload"]);
        }
        82..84 => does(&["mask", "--runtime", "uw-sliced.service"]),
        84..86 => does(&["unmask", "--runtime", "uw-sliced.service"]),
        86..88 => does(&["daemon-reload"]),
        88 if random.u8(..4) == 0 => does(&["daemon-reexec"]),
        88..92 => {
            held.transients += 1;
            let unit = format!("--unit=uw-run{}", held.transients);
            let end = random.choice(["true", "false", "sleep 0.05", "sleep 30"]).unwrap();
            machine.run(&[&unit, "--collect", "--no-block", "sh", "-c", end]);
        }
        92..94 => {
            held.transients += 1;
            let unit = format!("--unit=uw-left{}", held.transients % 5);
            // The name may be in use by an earlier run, so this may fail.
            let mut command = machine.command("systemd-run");
            command.args(machine.is_private().then_some("--user"));
            drop(command.args(["--quiet", "--no-block", &unit, "sh", "-c", "exit 7"]).output());
        }
        94..96 => {
            held.transients += 1;
            let unit = format!("--unit=uw-scope{}", held.transients);
            let mut command = machine.command("systemd-run");
            command.args(machine.is_private().then_some("--user"));
            command.args(["--quiet", "--scope", &unit, "sleep", "30"]);
            held.scopes.push(command.stdout(Stdio::null()).spawn().unwrap());
            if held.scopes.len() > 3 {
                let mut scope = held.scopes.remove(0);
                let _ = scope.kill();
                let _ = scope.wait();
            }
        }
        _ => {
            held.connections.extend(UnixStream::connect(machine.runtime_dir().join("uw.sock")));
            if held.connections.len() > 3 {
                held.connections.remove(0);
            }
        }
    }
}

/// Microseconds to seconds, as exported.
fn seconds(usec: Option<f64>) -> Option<f64> {
    usec.map(|usec| usec / 1e6)
}

/// Whether a timer must be reported as stuck.
fn is_stuck(timer: &Properties, units: &BTreeMap<String, Properties>) -> bool {
    let has = |list, entry| timer.get(list).is_some_and(|list| list.contains(entry));
    let repeats = has("TimersMonotonic", "OnUnit") || has("TimersCalendar", "OnCalendar=*-");
    let nexts = ["NextElapseUSecMonotonic", "NextElapseUSecRealtime"];
    let has_next = show::span(timer, nexts[0]).or(show::time(timer, nexts[1])).is_some();
    let is_idle = |unit: &Properties| {
        let rests = match unit["ActiveState"].as_str() {
            "active" => !unit["Id"].ends_with(".service"),
            state => ["inactive", "failed"].contains(&state),
        };
        let has_job = unit.get("Job").is_some_and(|job| !job.is_empty());
        !has_job && (rests || unit["SubState"] == "exited")
    };
    let runs = ["elapsed", "running"].contains(&timer["SubState"].as_str());
    runs && repeats && !has_next && units.get(&timer["Unit"]).is_none_or(is_idle)
}

/// The samples that a unit must have, from the properties of all units.
fn wanted(
    name: &str,
    unit: &Properties,
    units: &BTreeMap<String, Properties>,
    monotonic_offset: f64,
) -> BTreeMap<Key, f64> {
    let mut wanted = BTreeMap::new();
    let unit_type = name.rsplit('.').next().unwrap();
    let both = [("name", name), ("type", unit_type)];
    let mut put = |family: &str, labels: &[(&str, &str)], value: Option<f64>| {
        wanted.extend(value.map(|value| (key(family, labels), value)));
    };
    let state = unit["ActiveState"].as_str();
    for each in ["active", "activating", "deactivating", "inactive", "failed", state] {
        let is = f64::from(u8::from(each == state));
        put("systemd_unit_state", &[both[0], both[1], ("state", each)], Some(is));
    }
    for (family, property) in [
        ("systemd_unit_active_enter_time_seconds", "ActiveEnterTimestamp"),
        ("systemd_unit_active_exit_time_seconds", "ActiveExitTimestamp"),
        ("systemd_unit_inactive_enter_time_seconds", "InactiveEnterTimestamp"),
        ("systemd_unit_inactive_exit_time_seconds", "InactiveExitTimestamp"),
    ] {
        put(family, &both, seconds(show::time(unit, property)));
    }
    let stamps = ["InactiveExitTimestamp", "ActiveEnterTimestamp", "ActiveExitTimestamp"];
    let [left, active, exit] = stamps
        .map(|stamp| show::number(unit, &format!("{stamp}Monotonic")).filter(|stamp| *stamp > 0.0));
    if let (Some(left), Some(active)) = (left, active)
        && left <= active
        && exit.is_none_or(|exit| exit <= left || exit >= active)
    {
        put("systemd_unit_start_duration_seconds", &both, seconds(Some(active - left)));
    }
    put("systemd_unit_sub_state", &[both[0], both[1], ("sub", &unit["SubState"])], Some(1.0));
    let reload = (unit["NeedDaemonReload"] == "yes").then_some(1.0);
    put("systemd_unit_need_daemon_reload", &both, reload);
    let at_rest = matches!(state, "inactive" | "failed");
    let frozen = unit["FreezerState"].starts_with("frozen") && !at_rest;
    put("systemd_unit_frozen", &both, frozen.then_some(1.0));
    let kind = unit.get("Type").map_or("", String::as_str);
    match unit_type {
        "service" => {
            let result = unit["Result"].as_str();
            let failed = (result != "success").then_some(1.0);
            put("systemd_service_last_result", &[both[0], ("result", result)], failed);
            if let Some(ended) = show::time(unit, "ExecMainExitTimestamp") {
                let code = match unit["ExecMainCode"].as_str() {
                    "1" => "exited",
                    "2" => "killed",
                    other => panic!("{name}: ExecMainCode={other}"),
                };
                let labels = [both[0], ("code", code)];
                let status = show::number(unit, "ExecMainStatus");
                put("systemd_service_last_exit_status", &labels, status);
                let ended = Some(ended / 1e6);
                put("systemd_service_last_exit_time_seconds", &labels, ended);
            }
            let restart = unit["SubState"].starts_with("auto-restart").then_some(1.0);
            put("systemd_service_restart_pending", &both[..1], restart);
            let info = [both[0], both[1], ("mount_type", ""), ("service_type", kind)];
            put("systemd_unit_info", &info, Some(1.0));
            put("systemd_unit_tasks_max", &both, show::number(unit, "TasksMax"));
            if matches!(state, "active" | "reloading" | "refreshing") {
                let started = seconds(show::time(unit, "ActiveEnterTimestamp"));
                put("systemd_unit_start_time_seconds", &both, started);
            }
            let watched = !["0", "infinity"].contains(&unit["WatchdogUSec"].as_str());
            if watched && state == "active" && unit["SubState"] == "running" {
                let ping = seconds(show::time(unit, "WatchdogTimestamp"));
                put("systemd_service_watchdog_last_ping_time_seconds", &both[..1], ping);
            }
            if unit["IPAccounting"] == "yes" {
                for (family, property) in [
                    ("systemd_service_ip_ingress_bytes_total", "IPIngressBytes"),
                    ("systemd_service_ip_egress_bytes_total", "IPEgressBytes"),
                    ("systemd_service_ip_ingress_packets_total", "IPIngressPackets"),
                    ("systemd_service_ip_egress_packets_total", "IPEgressPackets"),
                ] {
                    put(family, &both[..1], show::number(unit, property));
                }
            }
        }
        "mount" => {
            let info = [both[0], both[1], ("mount_type", kind), ("service_type", "")];
            put("systemd_unit_info", &info, Some(1.0));
        }
        "socket" => {
            for (family, property) in [
                ("systemd_socket_accepted_connections_total", "NAccepted"),
                ("systemd_socket_current_connections", "NConnections"),
                ("systemd_socket_refused_connections_total", "NRefused"),
            ] {
                put(family, &both[..1], show::number(unit, property));
            }
        }
        "timer" => {
            let last = seconds(show::time(unit, "LastTriggerUSec"));
            put("systemd_timer_last_trigger_seconds", &both[..1], last);
            let monotonic = show::span(unit, "NextElapseUSecMonotonic");
            let monotonic = monotonic.map(|usec| usec + monotonic_offset);
            let realtime = show::time(unit, "NextElapseUSecRealtime");
            let next = [monotonic, realtime].into_iter().flatten().reduce(f64::min);
            put("systemd_timer_next_trigger_seconds", &both[..1], seconds(next));
            put("systemd_timer_stuck", &both[..1], is_stuck(unit, units).then_some(1.0));
        }
        _ => {}
    }
    wanted
}

/// The families that are compared sample by sample. Event counters are not, because systemd has
/// none; they have tests of their own. How a service last ended is not either: it is served while
/// the service runs again, when systemd no longer has it.
fn is_compared(name: &str) -> bool {
    let unit = ["systemd_unit_", "systemd_service_", "systemd_socket_", "systemd_timer_"];
    let apart = [
        "systemd_service_restart_total",
        "systemd_service_last_exit_status",
        "systemd_service_last_exit_time_seconds",
        "systemd_unit_transitions_total",
        "systemd_unit_starts_total",
        "systemd_unit_failures_total",
        "systemd_unit_reload_failures_total",
        // It depends on other units, and may be up to one comparison late.
        WANTED,
    ];
    // These are the kernel's, and change from one read to the next.
    let used = ["cpu_", "memory_", "io_", "tasks_current", "pressure_"];
    let is_used = used.iter().any(|used| name.starts_with(&format!("systemd_unit_{used}")));
    unit.iter().any(|prefix| name.starts_with(prefix)) && !apart.contains(&name) && !is_used
}

/// Whether a unit has a state series.
fn is_visible(unit: &Properties) -> bool {
    unit["LoadState"] == "loaded" || unit["ActiveState"] != "inactive"
}

/// The sample that a unit which failed to load must have.
fn wanted_unloadable(name: &str, unit: &Properties) -> Option<(Key, f64)> {
    let state = unit["LoadState"].as_str();
    let unit_type = name.rsplit('.').next().unwrap();
    // "org.freedesktop.systemd1.BadUnitSetting \"Unit ...\""
    let error = unit.get("LoadError").map_or("", |it| it.split(' ').next().unwrap());
    let labels = [("name", name), ("type", unit_type), ("load_state", state), ("error", error)];
    let failed = matches!(state, "error" | "bad-setting");
    failed.then(|| (key("systemd_unit_load_error", &labels), 1.0))
}

/// How long its last start took by the time of day, in seconds. The exporter derives durations from
/// it unless the clock was set; systemd reads one clock after the other, and may be interrupted.
fn derived_start(unit: &Properties) -> Option<f64> {
    let left = show::time(unit, "InactiveExitTimestamp")?;
    seconds(show::time(unit, "ActiveEnterTimestamp").map(|active| active - left))
}

fn same(key: &Key, ours: f64, systemds: f64) -> bool {
    let slack = match key.0.as_str() {
        // The exporter and this test read the two clocks at different times.
        "systemd_timer_next_trigger_seconds" => 0.2,
        // In systemd 252 `systemctl show` prints this one in whole seconds.
        "systemd_timer_last_trigger_seconds" if ours.floor() == systemds => 1.0,
        _ => 5e-6,
    };
    (ours - systemds).abs() <= slack
}

/// Compares a scrape with systemd before and after it, except for units that changed in between.
/// Returns how many units and which families were compared.
fn compare(
    before: &BTreeMap<String, Properties>,
    scrape: &Exposition,
    after: &BTreeMap<String, Properties>,
    monotonic_offset: f64,
) -> Result<(usize, BTreeSet<String>), Vec<String>> {
    let is_same = |name: &str| before.get(name) == after.get(name);
    // A timer's samples depend on the unit that it starts.
    let starts = |name: &str| before.get(name).and_then(|unit| unit.get("Unit"));
    let stable = |name: &str| is_same(name) && starts(name).is_none_or(|unit| is_same(unit));
    let mut wrong = Vec::new();
    let exported = |unit: &Properties| is_visible(unit) && !unit["Id"].ends_with(".device");
    let mut wanted_samples = BTreeMap::new();
    let units: Vec<_> = before.iter().filter(|(name, _)| stable(name)).collect();
    wanted_samples.extend(units.iter().filter_map(|(name, unit)| wanted_unloadable(name, unit)));
    for (name, unit) in units.iter().filter(|(_, unit)| exported(unit)) {
        wanted_samples.extend(wanted(name, unit, before, monotonic_offset));
    }
    let derived = |key: &Key| {
        let is_start = key.0 == "systemd_unit_start_duration_seconds";
        is_start.then(|| derived_start(&before[&key.1["name"]])).flatten()
    };
    for (key, value) in &wanted_samples {
        match scrape.0.get(key) {
            Some(ours) if same(key, *ours, *value) => {}
            Some(ours) if derived(key).is_some_and(|value| same(key, *ours, value)) => {}
            ours => wrong.push(format!("{key:?}: systemd {value}, exported {ours:?}")),
        }
    }
    for (key, value) in &scrape.0 {
        let name = key.1.get("name").filter(|name| is_compared(&key.0) && stable(name));
        if name.is_some() && !wanted_samples.contains_key(key) {
            wrong.push(format!("{key:?}: systemd has none, exported {value}"));
        }
    }
    let families = || wanted_samples.into_keys().map(|(family, _)| family).collect();
    if wrong.is_empty() { Ok((units.len(), families())) } else { Err(wrong) }
}

/// Compares the manager's own values. Only while no unit changes.
fn compare_manager(machine: &Machine, scrape: &Exposition) -> Result<(), Vec<String>> {
    let mut wrong = Vec::new();
    let mut check = |what: &str, exported: Option<f64>, systemd: Option<f64>| {
        let same = match (exported, systemd) {
            (Some(exported), Some(systemd)) => (exported - systemd).abs() < 5e-6,
            (exported, systemd) => exported == systemd,
        };
        if !same {
            wrong.push(format!("{what}: systemd {systemd:?}, exported {exported:?}"));
        }
    };
    let manager = show::manager(machine);
    let units = show::units(machine);
    let failed = show::number(&manager, "NFailedUnits");
    check("failed units", scrape.value("systemd_failed_units", &[]), failed);
    let running = manager["SystemState"].as_str();
    let state = scrape.value("systemd_system_state", &[("state", running)]);
    check(&format!("system state {running}"), state, Some(1.0));
    let mut counts = BTreeMap::<(String, String), f64>::new();
    let mut not_loaded = BTreeMap::<String, f64>::new();
    for (name, unit) in &units {
        if is_visible(unit) {
            let unit_type = name.rsplit('.').next().unwrap().to_owned();
            *counts.entry((unit_type, unit["ActiveState"].clone())).or_default() += 1.0;
        }
        if unit["LoadState"] != "loaded" {
            *not_loaded.entry(unit["LoadState"].clone()).or_default() += 1.0;
        }
    }
    for ((unit_type, state), count) in &counts {
        let labels = [("type", unit_type.as_str()), ("state", state.as_str())];
        check(&format!("units {labels:?}"), scrape.value("systemd_units", &labels), Some(*count));
    }
    check("all units", Some(scrape.sum("systemd_units")), Some(counts.values().sum()));
    for (state, count) in &not_loaded {
        let exported = scrape.value("systemd_units_not_loaded", &[("load_state", state)]);
        check(&format!("units {state}"), exported, Some(*count));
    }
    let not_loaded = Some(not_loaded.values().sum());
    check("all units not loaded", Some(scrape.sum("systemd_units_not_loaded")), not_loaded);
    for stage in unitwatch::inventory::manager::BOOT_STAGES {
        let time = seconds(show::time(&manager, &format!("{stage}Timestamp")));
        let exported = scrape.value("systemd_boot_time_seconds", &[("stage", stage)]);
        check(&format!("boot stage {stage}"), exported, time);
        let monotonic = scrape.value("systemd_boot_monotonic_seconds", &[("stage", stage)]);
        check(&format!("boot stage {stage} twice"), monotonic.map(|_| 1.0), time.map(|_| 1.0));
    }
    let major: String = manager["Version"].chars().take_while(char::is_ascii_digit).collect();
    let version = scrape.value("systemd_version", &[("version", &manager["Version"])]);
    check("version", version, major.parse().ok());
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The properties that decide whether a wanted unit should be active.
const OF_REST: &str = "Id,LoadState,ActiveState,Job,WantedBy,RequiredBy,UpheldBy,TriggeredBy,Conflicts,\
    ConflictedBy,ConditionResult,ConditionTimestampMonotonic,AssertResult,AssertTimestampMonotonic,\
    Type,Result,RemainAfterExit,BusName,UnitFileState,ExecMainExitTimestampMonotonic,\
    ActiveExitTimestampMonotonic,InactiveExitTimestampMonotonic,InactiveEnterTimestampMonotonic,\
    StateChangeTimestampMonotonic,Restart,RemainAfterElapse";

/// Compares the wanted and inactive units with those worked out from `systemctl show`. Services with
/// a bus name are left out: `systemctl` does not show whether the bus can start them.
fn compare_wanted(machine: &Machine, scrape: &Exposition) -> Result<(), Vec<String>> {
    let units = show::all(machine, OF_REST);
    let of = |unit: &Properties, name: &str| unit.get(name).cloned().unwrap_or_default();
    let is = |unit: &Properties, name: &str, value: &str| of(unit, name) == value;
    let at = |unit: &Properties, name: &str| of(unit, name).parse::<u64>().unwrap_or(0);
    let is_active = |name: &str| {
        let unit = units.get(name);
        unit.is_some_and(|it| ["active", "reloading", "refreshing"].contains(&&*it["ActiveState"]))
    };
    let any_active = |unit: &Properties, lists: &[&str]| {
        let names = lists.iter().map(|list| of(unit, list)).collect::<Vec<_>>().join(" ");
        names.split_whitespace().any(|name| !name.ends_with(".device") && is_active(name))
    };
    let has_failed = |unit: &Properties, check: &str| {
        at(unit, &format!("{check}TimestampMonotonic")) > 0
            && is(unit, &format!("{check}Result"), "no")
    };
    let rests_by_design = |unit: &Properties| {
        let tried = at(unit, "ConditionTimestampMonotonic") > 0
            || at(unit, "InactiveExitTimestampMonotonic") > 0;
        let (main, active) = ("ExecMainExitTimestampMonotonic", "ActiveExitTimestampMonotonic");
        let again = is(unit, "Restart", "always") || is(unit, "Restart", "on-success");
        let ended = is(unit, "Type", "oneshot") && tried
            || !again && (1..at(unit, active)).contains(&at(unit, main));
        // A `reset-failed` on an inactive unit changes only StateChangeTimestamp.
        let entered = at(unit, "InactiveEnterTimestampMonotonic");
        let was_reset = entered > 0 && entered != at(unit, "StateChangeTimestampMonotonic");
        let succeeded = is(unit, "Result", "success") && !was_reset;
        has_failed(unit, "Condition")
            || has_failed(unit, "Assert")
            || is(unit, "Result", "exec-condition")
            || ended && succeeded && is(unit, "RemainAfterExit", "no")
            || any_active(unit, &["TriggeredBy", "Conflicts", "ConflictedBy"])
            || is(unit, "UnitFileState", "static") && !tried
    };
    let is_candidate = |unit: &&Properties| {
        let never = [".slice", ".scope", ".device"];
        is(unit, "ActiveState", "inactive")
            && is(unit, "LoadState", "loaded")
            && ["", "0"].contains(&&*of(unit, "Job"))
            && is(unit, "BusName", "")
            && !never.iter().any(|suffix| unit["Id"].ends_with(suffix))
            && any_active(unit, &["WantedBy", "RequiredBy", "UpheldBy"])
            && !rests_by_design(unit)
    };
    let wanted: BTreeMap<_, _> = units
        .values()
        .filter(is_candidate)
        .map(|unit| {
            let never = at(unit, "InactiveExitTimestampMonotonic") == 0;
            (unit["Id"].clone(), if never { "never_started" } else { "stopped" }.to_owned())
        })
        .collect();
    let exported: BTreeMap<_, _> = scrape
        .of(WANTED)
        .map(|(labels, _)| (labels["name"].clone(), labels["reason"].clone()))
        .collect();
    if wanted.contains_key("uw-simple.service") && wanted == exported {
        Ok(())
    } else {
        Err(vec![format!("wanted and inactive: systemd {wanted:?}, exported {exported:?}")])
    }
}

/// Compares until every family has been compared: random operations hardly ever reach some.
fn compare_each_family(machine: &Machine, exporter: &Exporter) {
    machine.must(&["start", "uw-simple.service", "uw-dog.service", "uw-all.target"]);
    machine.must(&["start", "uw-changing.service", "uw-fired.timer", "uw-never.timer"]);
    machine.must(&["start", "uw-stuck.timer", "uw-other.service"]);
    machine.must(&["freeze", "uw-other.service"]);
    machine.must(&["stop", "uw-simple.service"]);
    for unit in ["uw-fail.service", "uw-bad.service"] {
        assert!(!machine.systemctl(&["start", unit]).status.success(), "{unit}");
    }
    // A running unit whose file changes needs a daemon-reload.
    machine.write("uw-changing.service", "[Service]\nExecStart=/bin/sleep 98\n");
    let mut missing = BTreeSet::from(COMPARED.map(str::to_owned));
    until("each family has been compared", || {
        let before = show::units(machine);
        let scrape = exporter.scrape();
        let after = show::units(machine);
        let (_, families) = compare(&before, &scrape, &after, show::monotonic_offset())?;
        missing.retain(|family| !families.contains(family));
        if missing.is_empty() { Ok(()) } else { Err(Vec::from_iter(missing.clone())) }
    });
    machine.must(&["thaw", "uw-other.service"]);
}

/// A number from the environment.
fn chosen(what: &str) -> Option<u64> {
    let variable = format!("UNITWATCH_ORACLE_{what}");
    let text = env::var(&variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_is_that_of_systemctl_show() {
    operate_and_compare(2_000, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_is_that_of_systemctl_show_over_the_private_socket() {
    operate_and_compare(500, &["--systemd.collector.private"]).await;
}

/// Runs operations, and compares after every 250 and at the end. For an hour among 1,100 units:
/// `UNITWATCH_ORACLE_UNITS=1100 UNITWATCH_ORACLE_MINUTES=60`.
async fn operate_and_compare(operations: u64, flags: &[&str]) {
    let operations = chosen("OPERATIONS").unwrap_or(operations);
    let (minutes, bystanders) = (chosen("MINUTES").unwrap_or(0), chosen("UNITS").unwrap_or(0));
    let seed = chosen("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("UNITWATCH_ORACLE_SEED={seed}");
    let machine = Machine::start().await;
    write_units(&machine);
    forget_units(&machine);
    machine.must(&["start", "uw-sock.socket", "uw-timed.timer"]);
    let bystanders: Vec<_> = (0..bystanders).map(|at| format!("by-stander@{at}.service")).collect();
    for some in bystanders.chunks(100) {
        machine
            .must(&[&["start"][..], &some.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    }
    let all = "--collector.unit-sub-state";
    let exporter = machine.exporter(&[&[OFTEN, all], flags].concat());
    compare_each_family(&machine, &exporter);
    let (mut random, mut held) = (Rng::with_seed(seed), Held::default());
    let (began, mut done) = (Instant::now(), 0);
    while done < operations || began.elapsed() < Duration::from_secs(minutes * 60) {
        for _ in 0..BETWEEN_CHECKS {
            operate(&machine, &mut random, &mut held);
            done += 1;
        }
        // While units change, those that were stable during a scrape must be right.
        let (compared, _) = until("the exporter has systemd's values", || {
            let before = show::units(&machine);
            let scrape = exporter.scrape();
            compare(&before, &scrape, &show::units(&machine), show::monotonic_offset())
        });
        println!("after {done} operations: {compared} units are right");
    }

    // Once no unit changes, everything must be right.
    held.connections.clear();
    for mut scope in held.scopes.drain(..) {
        let _ = scope.kill();
        let _ = scope.wait();
    }
    // A frozen unit cannot be stopped.
    machine.systemctl(&["thaw", "uw-other.service", "uw-some.slice"]);
    machine.systemctl(&["stop", "uw-*"]);
    // It may have reached its start limit.
    machine.systemctl(&["reset-failed", "uw-simple.service"]);
    machine.must(&["start", "uw-all.target"]);
    machine.must(&["stop", "uw-simple.service"]);
    let (units, _) = until("everything is right at rest", || {
        let before = show::units(&machine);
        let scrape = exporter.scrape();
        let after = show::units(&machine);
        let compared = compare(&before, &scrape, &after, show::monotonic_offset())?;
        compare_manager(&machine, &scrape)?;
        compare_wanted(&machine, &scrape)?;
        assert_eq!(scrape.value("systemd_up", &[]), Some(1.0));
        let moved: BTreeSet<_> =
            before.iter().filter(|(name, unit)| after.get(*name) != Some(unit)).collect();
        if moved.is_empty() { Ok(compared) } else { Err(vec![format!("still moving: {moved:?}")]) }
    });
    println!("at rest: {units} units are right after {done} operations");

    // A comparison starts only when the one before has counted its drifts.
    let compared = || exporter.scrape().value(RESYNCS, &[("reason", "interval")]).unwrap();
    let before = compared();
    until("the exporter has compared its table twice more", || {
        let now = compared();
        if now >= before + 2.0 { Ok(()) } else { Err(now) }
    });
    let scrape = exporter.scrape();
    assert_eq!(scrape.sum("systemd_exporter_drift_total"), 0.0, "{scrape:?}");
    assert!(scrape.value(RESYNCS, &[("reason", "reload")]) > Some(1.0));
}

/// With jobs and without.
#[tokio::test(flavor = "multi_thread")]
async fn the_job_queue_is_what_systemctl_lists() {
    let machine = Machine::start().await;
    let released = machine.runtime_dir().join("uw-released");
    let _ = fs::remove_file(&released);
    machine.write(
        "uw-hold.service",
        "[Service]\nType=oneshot\n\
         ExecStart=/bin/sh -c 'until [ -e %t/uw-released ]; do sleep 0.05; done'\n",
    );
    machine.write(
        "uw-after.service",
        "[Unit]\nAfter=uw-hold.service\n[Service]\nType=oneshot\nExecStart=/bin/true\n",
    );
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&[]);
    let right = |jobs: usize| {
        let mut listed = BTreeMap::<_, f64>::new();
        for line in machine.must(&["list-jobs", "--no-legend", "--plain"]).lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let labels = [("type", words[2]), ("state", words[3])];
            *listed.entry(key("systemd_jobs", &labels)).or_default() += 1.0;
        }
        let scrape = exporter.scrape();
        let exported: BTreeMap<_, _> = scrape
            .0
            .into_iter()
            .filter(|((name, _), count)| name == "systemd_jobs" && *count > 0.0)
            .collect();
        let same = exported == listed && listed.values().sum::<f64>() == jobs as f64;
        if same { Ok(()) } else { Err((listed, exported)) }
    };
    until("nothing is queued", || right(0));
    machine.must(&["--no-block", "start", "uw-hold.service", "uw-after.service"]);
    until("one job runs and one waits", || {
        right(2)?;
        let scrape = exporter.scrape();
        let jobs = ["running", "waiting"]
            .map(|state| scrape.value("systemd_jobs", &[("type", "start"), ("state", state)]));
        if jobs == [Some(1.0); 2] { Ok(()) } else { right(1) }
    });
    fs::write(released, "").unwrap();
    until("nothing is queued again", || right(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_boot_took_what_systemd_analyze_says() {
    let machine = Machine::start().await;
    // "Startup finished in 1.2s (kernel) + 3.4s (userspace) = 4.6s", and possibly a second line.
    let said = machine.analyze_time();
    let line = said.lines().next().unwrap().strip_prefix("Startup finished in ").unwrap();
    let (phases, total) = line.split_once(" = ").unwrap_or((line, ""));
    let phases = phases.split(" + ").map(|phase| phase.trim().split_once(" (").unwrap());
    let mut wanted: BTreeMap<_, _> =
        phases.map(|(took, phase)| (phase.trim_end_matches(')').trim(), took)).collect();
    let only = wanted.values().next().copied().unwrap();
    wanted.insert("total", if total.is_empty() { only } else { total.trim() });

    let scrape = machine.exporter(&[]).scrape();
    let exported: BTreeMap<_, _> = scrape
        .of("systemd_boot_duration_seconds")
        .map(|(labels, took)| (labels["phase"].as_str(), took))
        .collect();
    assert_eq!(exported.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{said}");
    for (phase, took) in wanted {
        let took = show::microseconds(took.trim()) / 1e6;
        // It prints whole milliseconds, rounded down.
        assert!((exported[phase] - took).abs() < 2e-3, "{phase}: {exported:?}, {said}");
    }
}

/// Restarts are counted from `NRestarts`, and counting goes on when systemd starts it from 0 again.
#[tokio::test(flavor = "multi_thread")]
async fn restarts_are_all_counted_and_a_reset_does_not_lower_them() {
    const RESTARTS: f64 = 12.0;
    let machine = Machine::start().await;
    machine.write(
        "uw-count.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRemainAfterExit=yes\n\
         Restart=on-failure\nRestartSec=20ms\nExecStart=/bin/sh -c 'echo >>%t/uw-count; \
         [ $$(wc -l <%t/uw-count) -gt 12 ]'\n",
    );
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&[]);
    let exported = || {
        let scrape = exporter.scrape();
        let service = [("name", "uw-count.service")];
        let of_service = scrape.value("systemd_service_restart_total", &service);
        [of_service, scrape.value("systemd_restarts_total", &[])]
    };
    for round in 1..=3 {
        let _ = fs::remove_file(machine.runtime_dir().join("uw-count"));
        machine.must(&["restart", "uw-count.service"]);
        until("it stays up", || {
            let words = ["show", "--property=NRestarts,SubState", "uw-count.service"];
            let said = machine.must(&words);
            let up = said.contains("NRestarts=12\n") && said.contains("SubState=exited");
            if up { Ok(()) } else { Err(said) }
        });
        until("all restarts are counted", || {
            // No other service is restarted.
            let wanted = [Some(RESTARTS * f64::from(round)); 2];
            let exported = exported();
            if exported == wanted { Ok(()) } else { Err((exported, wanted)) }
        });
        machine.systemctl(&["reset-failed", "uw-count.service"]);
    }
    machine.systemctl(&["stop", "uw-count.service"]);
}

/// With `RestartMode=direct` a service restarts without becoming inactive, and `reset-failed` sets
/// `NRestarts` to 0, which was the only trace of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_finds_an_active_exit_time_that_reset_failed_hid() {
    let machine = Machine::start().await;
    machine.write(
        "uw-skips.service",
        "[Service]\nRestart=always\nRestartMode=direct\nRestartSec=0\n\
         ExecStart=/bin/sh -c 'mkdir %t/uw-skipped || exec sleep infinity'\n",
    );
    machine.must(&["daemon-reload"]);
    let _ = fs::remove_dir(machine.runtime_dir().join("uw-skipped"));
    machine.must(&["start", "uw-skips.service"]);
    let show = || show::units(&machine).remove("uw-skips.service").unwrap();
    until("it has been restarted", || {
        let unit = show();
        let up = unit["NRestarts"] == "1" && unit["ActiveState"] == "active";
        if up { Ok(()) } else { Err(unit) }
    });
    machine.must(&["reset-failed", "uw-skips.service"]);
    let left = seconds(show::time(&show(), "ActiveExitTimestamp"));
    assert!(left.is_some());
    let exporter = machine.exporter(&[OFTEN]);
    until("the comparison has found it", || {
        let unit = [("name", "uw-skips.service"), ("type", "service")];
        let exported = exporter.scrape().value("systemd_unit_active_exit_time_seconds", &unit);
        if exported == left { Ok(()) } else { Err((exported, left)) }
    });
    machine.systemctl(&["stop", "uw-skips.service"]);
}
