use std::{collections::BTreeMap, fs};

use tempfile::TempDir;

use super::*;
use crate::cgroup::resources::{Cpu, Memory};

/// A temporary directory that looks like a mount of control groups.
struct Mount(TempDir);

impl Mount {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn unified() -> Self {
        let mount = Self::new();
        mount.write("cgroup.controllers", "cpu io memory pids\n");
        mount.write("cgroup.subtree_control", "io memory pids\n");
        mount
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A slice whose children have all controllers.
    fn slice(&self, path: &str) {
        self.write(&format!("{path}/cgroup.subtree_control"), "io memory pids\n");
    }

    fn cgroups(&self) -> Cgroups {
        Cgroups::new(self.path(), KernelFile::ALL)
    }
}

fn any(name: &str) -> Option<UnitName> {
    UnitName::new(name)
}

fn tasks(resources: &HashMap<UnitName, Resources>) -> BTreeMap<&str, Option<u64>> {
    resources.iter().map(|(name, resources)| (name.as_str(), resources.tasks)).collect()
}

#[test]
fn units_are_found_in_nested_slices_and_under_escaped_names() {
    let mount = Mount::unified();
    let places = [
        ("a.service", "a.service"),
        ("b.service", "system.slice/b.service"),
        ("c@1.service", "system.slice/system-c.slice/c@1.service"),
        ("d.scope", "x.slice/x-y.slice/x-y-z.slice/d.scope"),
        (r"e\x2d.service", r"a\x2db.slice/e\x2d.service"),
        ("_f.service", "system.slice/__f.service"),
        (".g.service", "system.slice/_.g.service"),
        ("cgroup.service", "system.slice/_cgroup.service"),
        ("memory.service", "system.slice/_memory.service"),
        // Some versions of systemd do not escape this one.
        ("blkio.service", "system.slice/blkio.service"),
        ("k.socket", "_io.slice/io-l.slice/k.socket"),
        ("l.mount", "system.slice/l.mount"),
        ("m.swap", "system.slice/m.swap"),
    ];
    for (_, path) in places {
        for (at, _) in path.match_indices('/') {
            mount.slice(&path[..at]);
        }
        mount.write(&format!("{path}/pids.current"), "7\n");
    }
    let read = mount.cgroups().read("", any);
    for (unit, path) in places {
        let unit = UnitName::new(unit).unwrap();
        assert_eq!(read.get(&unit).and_then(|it| it.tasks), Some(7), "{unit} in {path}");
    }
    let slices = ["-", "system", "system-c", "x", "x-y", "x-y-z", r"a\x2db", "io", "io-l"];
    for slice in slices {
        let slice = UnitName::new(&format!("{slice}.slice")).unwrap();
        assert!(read.contains_key(&slice), "{slice}");
    }
    assert_eq!(read.len(), places.len() + slices.len());
}

#[test]
fn control_groups_below_a_service_or_a_scope_are_not_units() {
    let mount = Mount::unified();
    mount.slice("system.slice");
    mount.write("system.slice/docker.service/pids.current", "9\n");
    mount.write("system.slice/docker.service/system.slice/a.service/pids.current", "1\n");
    mount.write("system.slice/b.scope/c.service/pids.current", "2\n");
    mount.write("system.slice/plain/d.service/pids.current", "3\n");
    mount.write("system.slice/e.service", "a file\n");
    let read = mount.cgroups().read("", any);
    let expected =
        [("-.slice", None), ("b.scope", None), ("docker.service", Some(9)), ("system.slice", None)];
    assert_eq!(tasks(&read), expected.into());
}

#[test]
fn wanted_units_are_read_in_slices_that_are_not_wanted() {
    let mount = Mount::unified();
    mount.slice("system.slice");
    mount.write("system.slice/a.service/pids.current", "1\n");
    mount.write("system.slice/b.service/pids.current", "2\n");
    let wanted = |name: &str| UnitName::new(name).filter(|_| name == "b.service");
    let read = mount.cgroups().read("", wanted);
    assert_eq!(tasks(&read), BTreeMap::from([("b.service", Some(2))]));
}

#[test]
fn units_of_a_user_manager_are_found_below_its_control_group() {
    let mount = Mount::unified();
    let root = "user.slice/user-1000.slice/user@1000.service";
    mount.slice(root);
    mount.slice(&format!("{root}/app.slice"));
    mount.write(&format!("{root}/app.slice/a.service/pids.current"), "12\n");
    mount.write("app.slice/a.service/pids.current", "13\n");
    mount.write("app.slice/cgroup.subtree_control", "pids\n");
    let cgroups = mount.cgroups();
    let a = UnitName::new("a.service").unwrap();
    let read =
        |control_group: &str| cgroups.read(control_group, any).get(&a).and_then(|it| it.tasks);
    assert_eq!(read(&format!("/{root}")), Some(12));
    assert_eq!(read(""), Some(13), "the system's manager");
    assert_eq!(read("/"), Some(13));
    assert_eq!(read("/nowhere"), None);
}

#[test]
fn a_unit_that_stops_is_absent_and_one_that_starts_again_is_read_again() {
    let mount = Mount::unified();
    mount.slice("system.slice");
    let cgroups = mount.cgroups();
    let a = UnitName::new("a.service").unwrap();
    let directory = mount.path().join("system.slice/a.service");
    let read = || cgroups.read("", any).get(&a).and_then(|it| it.tasks);
    for count in [4, 5] {
        mount.write("system.slice/a.service/pids.current", &format!("{count}\n"));
        assert_eq!(read(), Some(count));
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(read(), None);
    }
    assert!(!cgroups.read("", any).contains_key(&a));
}

#[test]
fn files_are_read_only_if_their_controller_is_enabled() {
    let mount = Mount::unified();
    let all = |slice: &str| {
        mount.write(&format!("{slice}/a.service/cpu.stat"), "user_usec 1\nsystem_usec 2\n");
        mount.write(&format!("{slice}/a.service/memory.current"), "4096\n");
        mount.write(&format!("{slice}/a.service/pids.current"), "1\n");
    };
    all("system.slice");
    let cgroups = mount.cgroups();
    let a = UnitName::new("a.service").unwrap();
    let read = || cgroups.read("", any).remove(&a).unwrap();
    let cpu = Some(Cpu { user: 1, system: 2, throttling: None });
    assert_eq!(read(), Resources { cpu, ..Resources::default() });
    mount.write("system.slice/cgroup.subtree_control", "memory pids\n");
    let memory = Memory { current: Some(4096), ..Memory::default() };
    assert_eq!(read(), Resources { cpu, memory, tasks: Some(1), ..Resources::default() });
    mount.write("system.slice/cgroup.subtree_control", "pids\n");
    assert_eq!(read(), Resources { cpu, tasks: Some(1), ..Resources::default() });
}

#[test]
fn only_the_given_files_are_read() {
    let mount = Mount::unified();
    mount.slice("system.slice");
    mount.write("system.slice/a.service/cpu.stat", "user_usec 1\nsystem_usec 2\n");
    mount.write("system.slice/a.service/pids.current", "1\n");
    let read = |files: &[KernelFile]| Cgroups::new(mount.path(), files).read("", any);
    let a = UnitName::new("a.service").unwrap();
    let tasks = read(&[KernelFile::PidsCurrent]).remove(&a).unwrap();
    assert_eq!(tasks, Resources { tasks: Some(1), ..Resources::default() });
    assert!(read(&[]).is_empty());
}

/// A kernel does not gain files, so one that is missing costs nothing from then on. Any other error
/// may pass.
#[test]
fn a_missing_file_is_not_looked_for_again_and_an_unreadable_one_is() {
    let mount = Mount::unified();
    mount.slice("system.slice");
    mount.write("system.slice/a.service/pids.current", "1\n");
    let unreadable = mount.path().join("system.slice/a.service/memory.high");
    fs::create_dir(&unreadable).unwrap();
    let cgroups = mount.cgroups();
    let a = UnitName::new("a.service").unwrap();
    let read = || cgroups.read("", any).remove(&a).unwrap();
    let tasks = Resources { tasks: Some(1), ..Resources::default() };
    assert_eq!(read(), tasks);
    fs::remove_dir(&unreadable).unwrap();
    mount.write("system.slice/a.service/memory.high", "4096\n");
    mount.write("system.slice/a.service/memory.current", "2048\n");
    let memory = Memory { high: Some(4096), ..Memory::default() };
    assert_eq!(read(), Resources { memory, ..tasks });
}

#[test]
fn a_file_that_is_longer_than_the_buffer_is_read_whole() {
    let mount = Mount::unified();
    mount.slice("system.slice");
    let cgroups = mount.cgroups();
    let a = UnitName::new("a.service").unwrap();
    for disks in [1_000, 2, 500] {
        let line = |disk| format!("8:{disk} rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n");
        mount.write("system.slice/a.service/io.stat", &(0..disks).map(line).collect::<String>());
        let read = cgroups.read("", any).remove(&a).unwrap();
        assert_eq!(read.io.map(|io| (io.read_bytes, io.writes)), Some((disks, 4 * disks)));
    }
}

#[test]
fn hybrid_and_legacy_layouts_serve_what_they_have() {
    let mount = Mount::new();
    assert_eq!(mount.cgroups().layout(), Layout::Legacy);
    for path in ["pids", "unified", "memory"] {
        mount.write(&format!("{path}/system.slice/a.service/pids.current"), "5\n");
        mount.write(&format!("{path}/system.slice/a.service/memory.current"), "4096\n");
        let cpu = "user_usec 1\nsystem_usec 2\n";
        mount.write(&format!("{path}/system.slice/a.service/cpu.stat"), cpu);
    }
    let a = UnitName::new("a.service").unwrap();
    let read = |cgroups: &Cgroups| cgroups.read("", any).remove(&a);
    let legacy = Resources { tasks: Some(5), ..Resources::default() };
    assert_eq!(read(&mount.cgroups()), Some(legacy.clone()));
    mount.write("unified/cgroup.controllers", "");
    let cpu = Some(Cpu { user: 1, system: 2, throttling: None });
    let hybrid = mount.cgroups();
    assert_eq!(hybrid.layout(), Layout::Hybrid);
    assert_eq!(read(&hybrid), Some(Resources { cpu, ..legacy }));
    assert!(Layout::Hybrid.shortcoming().is_some_and(|it| it.contains("memory")));
    assert_eq!(Layout::Unified.shortcoming(), None);
}

#[test]
fn many_units_are_read_with_any_limit_of_open_files() {
    let mount = Mount::unified();
    mount.slice("system.slice");
    let units = SHARE * 3 + 1;
    for unit in 0..units {
        mount.write(&format!("system.slice/{unit}.service/pids.current"), &format!("{unit}\n"));
    }
    for max_kept in [0, 1, 100, 1_000] {
        let cgroups = Cgroups { max_kept, ..mount.cgroups() };
        for _ in 0..3 {
            let read = cgroups.read("", any);
            for unit in 0..units {
                let name = UnitName::new(&format!("{unit}.service")).unwrap();
                assert_eq!(read[&name].tasks, Some(unit as u64));
            }
            let hierarchies = cgroups.hierarchies.lock().unwrap();
            let groups = hierarchies[0].groups.values();
            assert_eq!(groups.map(|(group, _)| group.kept()).sum::<usize>(), max_kept.min(units));
            assert_eq!(cgroups.reopened(), units.saturating_sub(max_kept));
        }
    }
}

#[test]
fn files_that_are_left_are_kept_open_as_soon_as_there_is_room() {
    let mount = Mount::unified();
    mount.slice("system.slice");
    for unit in ["a", "b", "c"] {
        mount.write(&format!("system.slice/{unit}.service/pids.current"), "1\n");
    }
    let cgroups = Cgroups { max_kept: 2, ..mount.cgroups() };
    let reopened = || {
        cgroups.read("", any);
        cgroups.reopened()
    };
    assert_eq!([reopened(), reopened()], [1, 1]);
    fs::remove_dir_all(mount.path().join("system.slice/b.service")).unwrap();
    assert_eq!([reopened(), reopened()], [0, 0]);
}
