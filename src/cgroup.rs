//! What the kernel says of a unit's control group: read from cgroupfs, which costs systemd
//! nothing.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    inventory::unit::{Details, Unit},
    systemd::name::UnitName,
};

/// Where the kernel's control groups are mounted, on every machine that runs systemd.
const MOUNT: &str = "/sys/fs/cgroup";

/// The controllers that systemd has known in any version. A unit called like one, such as
/// `memory.service`, would look like a file of the kernel's own.
const CONTROLLERS: [&str; 13] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "io",
    "blkio",
    "memory",
    "devices",
    "pids",
    "bpf-firewall",
    "bpf-devices",
    "bpf-foreign",
    "bpf-socket-bind",
    "bpf-restrict-network-interfaces",
];

/// Counts the tasks of services.
///
/// Reads files, so not for a thread that must not wait.
#[derive(Clone, Debug)]
pub struct Tasks {
    root: PathBuf,
}

// === impl Tasks ===

impl Tasks {
    /// For the units of a manager whose own control group is `control_group`, as its property
    /// `ControlGroup` says: empty for the system's, `/user.slice/…` for a user's.
    pub fn new(control_group: &str) -> Self {
        Self::below(Path::new(MOUNT), control_group)
    }

    /// Like [`Tasks::new`], with control groups mounted at another place.
    pub fn below(mount: &Path, control_group: &str) -> Self {
        // Only the unified hierarchy has this file at its top. Elsewhere each controller has a
        // hierarchy of its own.
        let unified = mount.join("cgroup.controllers").exists();
        let hierarchy = if unified { mount.to_owned() } else { mount.join("pids") };
        Self { root: hierarchy.join(control_group.trim_start_matches('/')) }
    }

    /// The current number of tasks of each of the services among `units` that has a control
    /// group.
    pub fn of<'a>(&self, units: impl IntoIterator<Item = &'a Unit>) -> HashMap<UnitName, u64> {
        let services = units.into_iter().filter_map(|unit| match &unit.details {
            Details::Service(service) => Some((&unit.name, service.slice.as_ref()?)),
            _ => None,
        });
        let counted = services.filter_map(|(name, slice)| Some((name, self.current(name, slice)?)));
        counted.map(|(name, count)| (name.clone(), count)).collect()
    }

    /// The current number of tasks of one unit in `slice`; `None` if it has no control group or
    /// the kernel does not count tasks there.
    fn current(&self, unit: &UnitName, slice: &UnitName) -> Option<u64> {
        let mut slice = self.slice(slice);
        let escaped = directory(unit.as_str());
        match read_count(&slice.join(&escaped)) {
            // systemd's versions disagree on which names to escape for a controller's sake. No
            // other unit's control group can have this name.
            Err(error) if error.kind() == io::ErrorKind::NotFound && like_controller(unit) => {
                slice.push(unit.as_str());
                read_count(&slice).ok()
            }
            count => count.ok(),
        }
        .flatten()
    }

    /// The directory of a slice: `a-b.slice` lies in `a.slice`, and `-.slice` is the root.
    fn slice(&self, slice: &UnitName) -> PathBuf {
        let mut path = self.root.clone();
        let Some(prefix) = slice.as_str().strip_suffix(".slice").filter(|prefix| *prefix != "-")
        else {
            return path;
        };
        let parents = prefix.match_indices('-').filter_map(|(dash, _)| prefix.get(..dash));
        for ancestor in parents.chain([prefix]) {
            path.push(directory(&format!("{ancestor}.slice")));
        }
        path
    }
}

/// The name of a unit's directory: its own, with `_` before it where it could be mistaken for a
/// file of the kernel's or for a name with `_` before it.
fn directory(unit: &str) -> String {
    let reserved = unit.starts_with(['_', '.']) || unit.starts_with("cgroup.");
    if reserved || controller_file(unit) { format!("_{unit}") } else { unit.to_owned() }
}

fn like_controller(unit: &UnitName) -> bool {
    controller_file(unit.as_str())
}

fn controller_file(name: &str) -> bool {
    name.split_once('.').is_some_and(|(first, _)| CONTROLLERS.contains(&first))
}

/// Reads `pids.current` of a control group; `Ok(None)` for what is not a number.
fn read_count(group: &Path) -> io::Result<Option<u64>> {
    // One read into a place that holds the longest number, not a growing buffer: this runs for
    // every service at every scrape.
    let mut buffer = [0; 24];
    let read = File::open(group.join("pids.current"))?.read(&mut buffer)?;
    let text = buffer.get(..read).and_then(|bytes| std::str::from_utf8(bytes).ok());
    Ok(text.and_then(|text| text.trim_end().parse().ok()))
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use tempfile::TempDir;

    use super::*;
    use crate::{
        inventory::unit::Service,
        systemd::state::{ActiveState, LoadState},
    };

    /// A made-up mount of control groups that goes away with the test.
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
            fs::write(mount.path().join("cgroup.controllers"), "cpu io memory pids\n").unwrap();
            mount
        }

        fn group(&self, path: &str, count: &str) {
            let group = self.path().join(path);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("pids.current"), count).unwrap();
        }
    }

    fn name(name: &str) -> UnitName {
        UnitName::new(name).unwrap()
    }

    #[test]
    fn slices_nest_by_their_dashes_and_names_of_the_kernel_are_escaped() {
        let mount = Mount::unified();
        let tasks = Tasks::below(mount.path(), "");
        for (unit, slice, path) in [
            ("a.service", "-.slice", "a.service"),
            ("b.service", "system.slice", "system.slice/b.service"),
            ("c@1.service", "system-c.slice", "system.slice/system-c.slice/c@1.service"),
            ("d.service", "x-y-z.slice", "x.slice/x-y.slice/x-y-z.slice/d.service"),
            ("e.service", r"a\x2db.slice", r"a\x2db.slice/e.service"),
            ("_f.service", "system.slice", "system.slice/__f.service"),
            (".g.service", "system.slice", "system.slice/_.g.service"),
            ("cgroup.service", "system.slice", "system.slice/_cgroup.service"),
            ("memory.service", "system.slice", "system.slice/_memory.service"),
            ("pids.h.service", "system.slice", "system.slice/_pids.h.service"),
            ("memory-i.service", "system.slice", "system.slice/memory-i.service"),
            ("memoryj.service", "system.slice", "system.slice/memoryj.service"),
            ("k.service", "io-l.slice", "_io.slice/io-l.slice/k.service"),
        ] {
            assert_eq!(tasks.current(&name(unit), &name(slice)), None, "{unit} before it runs");
            mount.group(path, "7\n");
            assert_eq!(tasks.current(&name(unit), &name(slice)), Some(7), "{unit} in {path}");
        }
    }

    #[test]
    fn a_version_that_escapes_fewer_names_is_understood() {
        let mount = Mount::unified();
        let tasks = Tasks::below(mount.path(), "");
        mount.group("system.slice/blkio.service", "3\n");
        assert_eq!(tasks.current(&name("blkio.service"), &name("system.slice")), Some(3));
        // This is `foo.service` escaped by nobody, and not `_foo.service`.
        mount.group("system.slice/_foo.service", "4\n");
        assert_eq!(tasks.current(&name("_foo.service"), &name("system.slice")), None);
    }

    #[test]
    fn a_users_manager_is_looked_for_below_its_own_control_group() {
        let mount = Mount::unified();
        let root = "user.slice/user-1000.slice/user@1000.service";
        mount.group(&format!("{root}/app.slice/a.service"), "12\n");
        let tasks = Tasks::below(mount.path(), &format!("/{root}"));
        assert_eq!(tasks.current(&name("a.service"), &name("app.slice")), Some(12));
        let system = Tasks::below(mount.path(), "");
        assert_eq!(system.current(&name("a.service"), &name("app.slice")), None);
    }

    #[test]
    fn the_hybrid_layout_has_a_hierarchy_for_the_controller() {
        let mount = Mount::new();
        mount.group("pids/system.slice/a.service", "5\n");
        mount.group("unified/system.slice/a.service", "6\n");
        let tasks = Tasks::below(mount.path(), "/");
        assert_eq!(tasks.current(&name("a.service"), &name("system.slice")), Some(5));
    }

    #[test]
    fn what_is_not_a_number_is_absent() {
        let mount = Mount::unified();
        let tasks = Tasks::below(mount.path(), "");
        for text in ["", "max\n", "-1\n", "1 2\n", "18446744073709551616\n"] {
            mount.group("a.service", text);
            assert_eq!(tasks.current(&name("a.service"), &name("-.slice")), None, "{text:?}");
        }
        mount.group("a.service", "18446744073709551615\n");
        assert_eq!(tasks.current(&name("a.service"), &name("-.slice")), Some(u64::MAX));
    }

    #[test]
    fn only_services_with_a_slice_and_a_control_group_are_counted() {
        let unit = |unit: &str, details| {
            Arc::new(Unit {
                load_state: LoadState::Loaded,
                active_state: ActiveState::Active,
                sub_state: "running".into(),
                details,
                ..Unit::new(name(unit))
            })
        };
        let service = |slice: Option<&str>| {
            Details::Service(Service { slice: slice.map(name), ..Service::default() })
        };
        let mount = Mount::unified();
        for path in ["a.service", "b.service", "system.slice/c.mount"] {
            mount.group(path, "1\n");
        }
        let units = [
            unit("a.service", service(Some("-.slice"))),
            unit("b.service", service(None)),
            unit("c.mount", Details::Plain),
            unit("d.service", service(Some("-.slice"))),
        ];
        let counted = Tasks::below(mount.path(), "").of(units.iter().map(|unit| &**unit));
        assert_eq!(counted, HashMap::from([(name("a.service"), 1)]));
    }
}
