//! Resource use of units under a real systemd, compared with the kernel files.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
};

use crate::harness::{Machine, until};
use unitwatch::{
    cgroup::{
        self, Cgroups,
        resources::{KernelFile, Resources},
    },
    systemd::name::UnitName,
};

/// Where the manager's control groups are mounted, seen from outside of it.
fn mount(machine: &Machine) -> PathBuf {
    match machine {
        Machine::Private(manager) => manager.cgroup_root().to_owned(),
        Machine::System(_) => PathBuf::from(cgroup::MOUNT),
    }
}

/// The control group of the manager itself, from its property.
fn control_group(machine: &Machine) -> String {
    machine.must(&["show", "--value", "--property=ControlGroup"]).trim_end().to_owned()
}

fn show(machine: &Machine, unit: &str, property: &str) -> String {
    let property = format!("--property={property}");
    machine.must(&["show", "--value", &property, unit]).trim_end().to_owned()
}

fn read(cgroups: &Cgroups, machine: &Machine) -> HashMap<UnitName, Resources> {
    let ours = |name: &str| UnitName::new(name).filter(|_| name.starts_with("ur"));
    cgroups.read(&control_group(machine), ours)
}

fn name(unit: &str) -> UnitName {
    UnitName::new(unit).unwrap()
}

/// The current resource use of a control group, read directly.
fn kernel(group: &Path) -> Resources {
    let mut resources = Resources::default();
    for file in KernelFile::ALL.iter().copied() {
        if let Ok(text) = fs::read_to_string(group.join(file.name())) {
            file.take(&text, &mut resources);
        }
    }
    resources
}

/// Whether every kernel file must exist, as in the virtual machine of `tests/vm`. Elsewhere a file may
/// be missing, and then its value must be absent.
fn all_files_must_exist() -> bool {
    match env::var("UNITWATCH_TEST_CONTROLLERS").as_deref() {
        Ok("all") => true,
        Ok(other) => panic!("UNITWATCH_TEST_CONTROLLERS is {other:?}; only `all` is known"),
        Err(_) => false,
    }
}

fn assert_all_present(unit: &str, group: &Path, resources: &Resources) {
    for file in KernelFile::ALL.iter().copied() {
        assert!(group.join(file.name()).is_file(), "{unit}: no {}", file.name());
    }
    let memory = &resources.memory;
    assert!(memory.current > Some(0) && memory.peak > Some(0), "{unit}: {resources:?}");
    assert!(memory.swap.is_some(), "{unit}: {resources:?}");
    assert!(memory.events.iter().all(Option::is_some), "{unit}: {resources:?}");
    assert!(resources.tasks > Some(0) && resources.io.is_some(), "{unit}: {resources:?}");
    let pressures = [resources.cpu_pressure, resources.memory_pressure, resources.io_pressure];
    for pressure in pressures {
        assert!(pressure.is_some_and(|it| it.some.is_some()), "{unit}: {resources:?}");
    }
}

/// A counter read before, at and after some moment.
fn assert_between(what: &str, before: Option<u64>, at: Option<u64>, after: Option<u64>) {
    let [before, at, after] = [before, at, after].map(|it| it.map_or(-1.0, |it| it as f64));
    assert!(before <= at && at <= after, "{what}: {at} is not between {before} and {after}");
}

const BUSY: &str = "[Service]\nExecStart=/bin/sh -c 'while :; do :; done'\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_resource_use_of_every_unit_is_that_of_its_control_group() {
    let machine = Machine::start().await;
    machine.write("ur-busy.service", BUSY);
    machine.write("ur-two@.service", "[Service]\nExecStart=/bin/sh -c 'sleep 999 & wait'\n");
    machine.write(r"ur\x2descaped.service", &format!("{BUSY}Slice=ur-inner.slice\n"));
    machine.write("ur-sleep.socket", "[Socket]\nListenStream=%t/ur-sleep\n");
    machine.write("ur-sleep.service", "[Service]\nExecStart=/bin/sleep 999\n");
    machine.must(&["daemon-reload"]);
    let services = ["ur-busy.service", "ur-two@1.service", r"ur\x2descaped.service"];
    machine.must(&[&["start", "ur-sleep.socket"][..], &services].concat());
    // A control group below a delegated unit counts towards that unit.
    machine.run(&[
        "--unit=ur-delegated",
        "--property=Delegate=yes",
        "sh",
        "-c",
        "mkdir /sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/inner; exec sleep 999",
    ]);
    let root = mount(&machine);
    let cgroups = Cgroups::new(&root, KernelFile::ALL);
    let delegated = "ur-delegated.service";
    let all = [&services[..], &["ur.slice", "ur-inner.slice", delegated]].concat();
    let group = |unit: &str| show(&machine, unit, "ControlGroup");
    let place = |unit: &str| root.join(group(unit).trim_start_matches('/'));
    let groups: HashMap<_, _> = all.into_iter().map(|unit| (unit, place(unit))).collect();
    let inner = groups[delegated].join("inner");
    until("the delegated control group has a child", || inner.is_dir().then_some(()).ok_or(()));

    // Twice: files that are kept open must give new values.
    for _ in 0..2 {
        let before: HashMap<_, _> = groups.iter().map(|(unit, at)| (*unit, kernel(at))).collect();
        let at = read(&cgroups, &machine);
        for (unit, group) in &groups {
            let (before, at, after) = (&before[unit], &at[&name(unit)], kernel(group));
            let three = |of: fn(&Resources) -> Option<u64>| [of(before), of(at), of(&after)];
            for (what, [before, at, after]) in [
                ("user", three(|it| Some(it.cpu?.user))),
                ("system", three(|it| Some(it.cpu?.system))),
                ("read", three(|it| Some(it.io?.read_bytes))),
                ("written", three(|it| Some(it.io?.written_bytes))),
                ("cpu pressure", three(|it| it.cpu_pressure?.some)),
                ("memory pressure", three(|it| it.memory_pressure?.some)),
                ("io pressure", three(|it| it.io_pressure?.full)),
                ("peak", three(|it| it.memory.peak)),
            ] {
                assert_between(&format!("{unit}: {what}"), before, at, after);
            }
            assert!(at.cpu.is_some(), "{unit}: {at:?}");
            if all_files_must_exist() {
                assert_all_present(unit, group, at);
            }
            // Without a file there is no value, and limits are equal.
            assert_eq!(at.memory.max, after.memory.max, "{unit}");
            assert_eq!(at.memory.current.is_some(), after.memory.current.is_some(), "{unit}");
            assert_eq!(
                at.memory.events.map(|it| it.is_some()),
                after.memory.events.map(|it| it.is_some()),
                "{unit}"
            );
            assert_eq!(at.tasks.is_some(), after.tasks.is_some(), "{unit}");
            assert_eq!(at.io.is_some(), after.io.is_some(), "{unit}");
        }
        assert!(!at.contains_key(&name("ur-sleep.service")), "it is not started");
        assert!(at.len() >= groups.len());
    }

    // A stopped unit is absent, and a restarted one begins at 0.
    let used = |unit: &str| read(&cgroups, &machine).get(&name(unit)).and_then(|it| it.cpu);
    let cpu = until("it has used CPU time", || {
        let cpu = used("ur-busy.service").unwrap();
        if cpu.user + cpu.system > 300_000 { Ok(cpu) } else { Err(cpu) }
    });
    machine.must(&["restart", "ur-busy.service"]);
    let again = used("ur-busy.service").unwrap();
    assert!(again.user + again.system < cpu.user + cpu.system, "{again:?} after {cpu:?}");
    machine.must(&["stop", "ur-busy.service", "ur-delegated.service"]);
    assert_eq!(used("ur-busy.service"), None);
    assert_eq!(used("ur-delegated.service"), None);
    machine.must(&["stop", "ur*"]);
}
