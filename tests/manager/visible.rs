//! Which units have series: those that are loaded or not inactive, whatever became of their files.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
};

use crate::harness::{Exporter, Machine, OFTEN, exposition::Exposition, until};

const STAYS: &str = "[Service]\nExecStart=/bin/sleep infinity\n";
const FAILS: &str = "[Service]\nExecStart=/bin/false\n";

/// A unit's active state in a scrape.
fn state(scrape: &Exposition, name: &str) -> Option<String> {
    let mut states = scrape.of("systemd_unit_state");
    let current = states.find(|(labels, value)| labels["name"] == name && *value == 1.0);
    current.map(|(labels, _)| labels["state"].clone())
}

/// Whether a family has a series for this unit.
fn has(scrape: &Exposition, family: &str, name: &str) -> bool {
    scrape.of(family).any(|(labels, _)| labels["name"] == name)
}

/// The families with a series for this unit.
fn families(scrape: &Exposition, name: &str) -> BTreeSet<String> {
    let keys =
        scrape.0.keys().filter(|(_, labels)| labels.get("name").is_some_and(|it| it == name));
    keys.map(|(family, _)| family.clone()).collect()
}

fn until_state(exporter: &Exporter, name: &str, wanted: Option<&str>) {
    until(&format!("{name} is {wanted:?}"), || match state(&exporter.scrape(), name) {
        found if found.as_deref() == wanted => Ok(()),
        found => Err(found),
    });
}

fn until_systemd_says(machine: &Machine, name: &str, wanted: &str) {
    until(&format!("{name} is {wanted}"), || {
        let words = ["show", "--value", "--property=LoadState", "--property=ActiveState", name];
        match machine.must(&words).split_whitespace().collect::<Vec<_>>().join(" ") {
            said if said == wanted => Ok(()),
            said => Err(said),
        }
    });
}

fn remove(machine: &Machine, name: &str) {
    fs::remove_file(machine.unit_dir().join(name)).unwrap();
}

/// As many units have a state series of failed as systemd counts failed units.
fn assert_each_failed_unit_is_named(scrape: &Exposition) {
    let failed = |family: &str| {
        let of = scrape.of(family).filter(|(labels, _)| labels["state"] == "failed");
        of.map(|(_, value)| value).sum::<f64>()
    };
    let counted = scrape.value("systemd_failed_units", &[]);
    assert_eq!(Some(failed("systemd_unit_state")), counted);
    assert_eq!(Some(failed("systemd_units")), counted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_failed_before_its_file_was_removed_keeps_its_series() {
    let machine = Machine::start().await;
    machine.write("uv-failed.service", FAILS);
    machine.must(&["daemon-reload"]);
    let watching = machine.exporter(&["--compat=node_exporter"]);
    machine.must(&["start", "uv-failed.service"]);
    until_state(&watching, "uv-failed.service", Some("failed"));
    remove(&machine, "uv-failed.service");
    machine.must(&["daemon-reload"]);
    until_systemd_says(&machine, "uv-failed.service", "not-found failed");
    watching.until_resynced("reload", 0.0);

    // The same for an exporter that starts now.
    let started = machine.exporter(&["--compat=node_exporter"]);
    for exporter in [&watching, &started] {
        until_state(exporter, "uv-failed.service", Some("failed"));
        // Rules that join with systemd_unit_info must find it although its type is unknown. The
        // exporter reads an inactive unit's details a second after it became inactive.
        let scrape = until("it has systemd_unit_info", || {
            let scrape = exporter.scrape();
            if has(&scrape, "systemd_unit_info", "uv-failed.service") {
                Ok(scrape)
            } else {
                Err("no")
            }
        });
        let result = [("name", "uv-failed.service"), ("result", "exit-code")];
        assert_eq!(scrape.value("systemd_service_last_result", &result), Some(1.0));
        assert!(has(&scrape, "systemd_unit_inactive_enter_time_seconds", "uv-failed.service"));
        assert!(has(&scrape, "systemd_service_last_exit_status", "uv-failed.service"));
        assert!(!has(&scrape, "systemd_unit_load_error", "uv-failed.service"));
        assert_each_failed_unit_is_named(&scrape);
        // As in node_exporter, a unit that is not loaded has no series of its own.
        assert!(!has(&scrape, "node_systemd_unit_state", "uv-failed.service"));
        let failed = scrape.value("node_systemd_units", &[("state", "failed")]);
        assert_eq!(
            failed,
            scrape.value("systemd_failed_units", &[]),
            "each failed unit is counted once"
        );
        assert!(exporter.get("/").1.contains("uv-failed.service"));
    }
    let failures = [("name", "uv-failed.service"), ("type", "service"), ("result", "exit-code")];
    assert_eq!(watching.scrape().value("systemd_unit_failures_total", &failures), Some(1.0));

    machine.must(&["reset-failed", "uv-failed.service"]);
    for exporter in [&watching, &started] {
        until_state(exporter, "uv-failed.service", None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_runs_without_its_file_keeps_its_series() {
    let machine = Machine::start().await;
    let units = [
        ("uv-removed.service", STAYS, "not-found"),
        ("uv-masked.service", STAYS, "masked"),
        ("uv-broken.service", STAYS, "bad-setting"),
        (
            "uv-removed.socket",
            "[Socket]\nListenStream=%t/uv.sock\nService=uv-idle.service\n",
            "not-found",
        ),
        ("uv-removed.timer", "[Timer]\nOnCalendar=2099-01-01\nUnit=uv-idle.service\n", "not-found"),
        ("uv-removed.slice", "[Slice]\n", "not-found"),
        ("uv-removed.target", "[Unit]\n", "not-found"),
    ];
    for (name, text, _) in units {
        machine.write(name, text);
    }
    machine.write("uv-steady.service", STAYS);
    machine.write("uv-idle.service", STAYS);
    machine.must(&["daemon-reload"]);
    let watching = machine.exporter(&[]);
    machine.must(&["start", "uv-steady.service"]);
    machine.must(&[&["start"][..], &units.map(|(name, ..)| name)].concat());
    for (name, _, load_state) in units {
        remove(&machine, name);
        match load_state {
            "masked" => symlink("/dev/null", machine.unit_dir().join(name)).unwrap(),
            "bad-setting" => machine.write(name, "[Service]\nType=nonsense\n"),
            _ => {}
        }
    }
    machine.must(&["daemon-reload"]);
    watching.until_resynced("reload", 0.0);
    let started = machine.exporter(&[]);
    for (name, _, load_state) in units {
        // A slice needs no file, and a timer without its file fails.
        if name.ends_with("service") {
            until_systemd_says(&machine, name, &format!("{load_state} active"));
        }
        let active = machine.must(&["show", "--value", "--property=ActiveState", name]);
        for exporter in [&watching, &started] {
            until_state(exporter, name, Some(active.trim()));
            let scrape = exporter.scrape();
            assert!(has(&scrape, "systemd_unit_active_enter_time_seconds", name), "{name}");
            let broken = load_state == "bad-setting";
            assert_eq!(has(&scrape, "systemd_unit_load_error", name), broken, "{name}");
            if name.ends_with("service") {
                // Resource usage as well.
                let mut like = families(&scrape, "uv-steady.service");
                like.extend(broken.then(|| "systemd_unit_load_error".to_owned()));
                assert_eq!(families(&scrape, name), like, "{name}");
            }
        }
    }
    let scrape = started.scrape();
    let named = scrape.of("systemd_unit_state").filter(|(_, value)| *value == 1.0).count();
    assert_eq!(scrape.value("systemd_exporter_units", &[]), Some(named as f64));
    assert_each_failed_unit_is_named(&scrape);

    // Once inactive, only its counters are left.
    machine.must(&["stop", "uv-removed.service", "uv-masked.service", "uv-broken.service"]);
    // systemd does not know the type of a broken service, and takes its stop for a failure.
    machine.systemctl(&["reset-failed", "uv-broken.service"]);
    for name in ["uv-removed.service", "uv-masked.service", "uv-broken.service"] {
        for exporter in [&watching, &started] {
            until_state(exporter, name, None);
            let scrape = exporter.scrape();
            assert!(!has(&scrape, "systemd_unit_cpu_seconds_total", name), "{name}");
            assert!(!has(&scrape, "systemd_unit_active_exit_time_seconds", name), "{name}");
        }
        assert!(has(&watching.scrape(), "systemd_unit_transitions_total", name), "{name}");
    }
    machine.systemctl(&["stop", "uv-steady.service", "uv-removed.*"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_is_only_referenced_has_no_series() {
    let machine = Machine::start().await;
    machine.write("uv-refers.target", "[Unit]\nWants=uv-missing.service uv-hidden.service\n");
    symlink("/dev/null", machine.unit_dir().join("uv-hidden.service")).unwrap();
    machine.must(&["daemon-reload"]);
    machine.must(&["start", "uv-refers.target"]);
    let exporter = machine.exporter(&[]);
    for (name, load_state) in [("uv-missing.service", "not-found"), ("uv-hidden.service", "masked")]
    {
        until_systemd_says(&machine, name, &format!("{load_state} inactive"));
        let scrape = exporter.scrape();
        assert_eq!(state(&scrape, name), None);
        assert!(!has(&scrape, "systemd_unit_starts_total", name), "{name}");
        let counted = scrape.value("systemd_units_not_loaded", &[("load_state", load_state)]);
        assert!(counted >= Some(1.0), "{load_state}: {counted:?}");
    }
    machine.must(&["stop", "uv-refers.target"]);
    remove(&machine, "uv-hidden.service");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_template_was_removed_stays_in_its_roll_up() {
    let machine = Machine::start().await;
    machine.write(
        "uv-sum@.service",
        "[Service]\nExecStart=/bin/sh -c '[ %i = stays ] && exec sleep infinity'\n",
    );
    machine.must(&["daemon-reload"]);
    let exporter = machine.exporter(&["--systemd.collector.sum=instances"]);
    machine.must(&["start", "uv-sum@stays.service", "uv-sum@fails.service"]);
    let members = || {
        let scrape = exporter.scrape();
        let of = |state| {
            let labels = [("name", "uv-sum@.service"), ("type", "service"), ("state", state)];
            scrape.value("systemd_unit_members", &labels)
        };
        (of("active"), of("failed"))
    };
    let until_there = || {
        until("both are members", || match members() {
            (Some(1.0), Some(1.0)) => Ok(()),
            other => Err(other),
        });
    };
    until_there();
    remove(&machine, "uv-sum@.service");
    machine.must(&["daemon-reload"]);
    until_systemd_says(&machine, "uv-sum@fails.service", "not-found failed");
    exporter.until_resynced("reload", 0.0);
    until_there();
    machine.must(&["stop", "uv-sum@stays.service"]);
    machine.must(&["reset-failed", "uv-sum@fails.service"]);
    until("neither is a member", || match members() {
        (Some(0.0), Some(0.0)) => Ok(()),
        other => Err(other),
    });
}

/// A tmpfs in the manager's mount namespace, with its mount unit.
struct Mounted<'a> {
    machine: &'a Machine,
    directory: PathBuf,
    unit: String,
}

impl<'a> Mounted<'a> {
    fn at(machine: &'a Machine, name: &[u8]) -> Self {
        let directory = machine.runtime_dir().join(OsStr::from_bytes(name));
        fs::create_dir_all(&directory).unwrap();
        let mut escape = machine.command("systemd-escape");
        let unit = escape.args(["--path", "--suffix=mount"]).arg(&directory).output().unwrap();
        let unit = String::from_utf8(unit.stdout).unwrap().trim_end().to_owned();
        run(machine, "mount", &["-t", "tmpfs", "tmpfs"], &directory);
        let mounted = Self { machine, directory, unit };
        mounted.until("active");
        mounted
    }

    fn until(&self, state: &str) {
        until(&format!("{} is {state}", self.unit), || {
            let said = self.machine.systemctl(&["is-active", &self.unit]).stdout;
            let said = String::from_utf8(said).unwrap();
            if said.trim_end() == state { Ok(()) } else { Err(said) }
        });
    }

    fn unmount(self) {
        run(self.machine, "umount", &[], &self.directory);
        self.until("inactive");
    }
}

/// Runs a program on a mount point, in the manager's mount namespace.
fn run(machine: &Machine, program: &str, words: &[&str], directory: &Path) {
    let mut command = match machine {
        Machine::System(_) => machine.command(program),
        Machine::Private(manager) => {
            let mut command = machine.command("nsenter");
            let manager = manager.pid().as_raw_nonzero().to_string();
            command.args(["--mount", "--target", &manager, program]);
            command
        }
    };
    let output = command.args(words).arg(directory).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_point_whose_name_is_not_utf_8_hides_no_other_unit() {
    let machine = Machine::start().await;
    machine.write("uv-beside.service", STAYS);
    machine.must(&["daemon-reload"]);
    machine.must(&["start", "uv-beside.service"]);
    let watching = machine.exporter(&[OFTEN]);
    let odd = Mounted::at(&machine, b"uv-pok\xe9mon");
    // Up to version 257 ListUnits fails on such a name.
    let refuses = !machine.systemctl(&["list-units"]).status.success();
    println!("systemd lists such a mount unit: {}", !refuses);
    let started = machine.exporter(&[OFTEN]);
    let plain = Mounted::at(&machine, b"uv-plain");
    let types = |exporter: &Exporter| {
        let scrape = exporter.scrape();
        let refused = scrape.of("systemd_exporter_listing_refused");
        refused.map(|(labels, _)| labels["type"].clone()).collect::<Vec<_>>()
    };
    let until_types = |exporter: &Exporter, wanted: &[&str]| {
        until("the types that are not listed are served", || {
            let types = types(exporter);
            if types == wanted { Ok(()) } else { Err(types) }
        });
    };
    for exporter in [&watching, &started] {
        exporter.until_resynced("interval", exporter.resyncs("interval") + 1.0);
        until_types(exporter, if refuses { &["mount"] } else { &[] });
        until_state(exporter, "uv-beside.service", Some("active"));
        until_state(exporter, &plain.unit, Some("active"));
        let scrape = exporter.scrape();
        let services =
            |state| scrape.value("systemd_units", &[("type", "service"), ("state", state)]);
        assert!(services("active") >= Some(1.0));
        let lines =
            exporter.log().lines().filter(|line| line.contains("does not list this type")).count();
        assert_eq!(lines, usize::from(refuses), "{}", exporter.log());
    }
    // Known from its signals.
    until_state(&watching, &odd.unit, Some("active"));
    let gone = odd.unit.clone();
    odd.unmount();
    for exporter in [&watching, &started] {
        until_types(exporter, &[]);
        until_state(exporter, &gone, None);
        until_state(exporter, "-.mount", Some("active"));
        exporter.assert_never_drifted();
        assert_eq!(exporter.log().contains("again"), refuses, "{}", exporter.log());
    }
    plain.unmount();
    machine.must(&["stop", "uv-beside.service"]);
}
