//! Checks, before anything starts, that the machine has what a private manager needs.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The paths of systemd itself, which is not in `PATH`.
const SYSTEMD: [&str; 3] = [
    "/usr/lib/systemd/systemd",
    "/lib/systemd/systemd",
    "/run/current-system/systemd/lib/systemd/systemd",
];

/// The directories of systemd's units for user managers, relative to that of `systemd`.
const VENDOR_UNITS: [&str; 2] = ["user", "../../example/systemd/user"];

/// Searched after `PATH`, as an ordinary user's often lacks some of them.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the machine lacks.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// A program is not installed.
    #[error(
        "{program} is not installed: a private systemd needs it \
         (package {debian} in Debian, {fedora} in Fedora)"
    )]
    Program {
        /// Its name.
        program: &'static str,
        /// The package in Debian.
        debian: &'static str,
        /// The package in Fedora.
        fedora: &'static str,
    },
    /// The units for user managers are not installed.
    #[error("the units of user managers are not installed: there is no directory user beside {0}")]
    VendorUnits(PathBuf),
    /// There is no unified control group hierarchy.
    #[error("cgroup2 is not mounted: systemd cannot run without it; mount it at /sys/fs/cgroup")]
    Cgroup2,
    /// The mount table could not be read.
    #[error("cannot read /proc/self/mountinfo: {0}")]
    Mounts(#[source] io::Error),
    /// Neither root nor in a login session of a machine that systemd booted.
    #[error(
        "a private systemd needs root, or a login session on a machine that systemd booted; try it \
         with sudo"
    )]
    Root,
}

/// How a private manager is isolated from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isolation {
    /// With namespaces and a new control group, as root.
    Namespaces,
    /// In a control group that the user's systemd delegates.
    Delegated,
}

/// The programs that run a private manager.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) systemd: PathBuf,
    pub(super) vendor_units: PathBuf,
    pub(super) dbus_daemon: PathBuf,
    pub(super) systemctl: PathBuf,
    /// `PATH` for the manager.
    pub(super) path: String,
    pub(super) isolation: Isolation,
}

/// The unified control group hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cgroup2 {
    /// Its mount point.
    pub(super) mounted_at: PathBuf,
    /// The directory of the hierarchy that is mounted there.
    pub(super) mounted: String,
}

// === impl Programs ===

impl Programs {
    /// Finds all programs, or the first that is missing.
    pub(super) fn find() -> Result<Self, Missing> {
        let path = match env::var("PATH") {
            Ok(path) if !path.is_empty() => format!("{path}:{SYSTEM_PATH}"),
            _ => SYSTEM_PATH.to_owned(),
        };
        let find = |program: &'static str, debian: &'static str, fedora: &'static str| {
            let candidates = env::split_paths(&path).map(|directory| directory.join(program));
            let found = candidates.into_iter().find(|candidate| candidate.is_file());
            found.ok_or(Missing::Program { program, debian, fedora })
        };
        let systemd = SYSTEMD.into_iter().map(Path::new).find(|candidate| candidate.is_file());
        let missing = Missing::Program { program: "systemd", debian: "systemd", fedora: "systemd" };
        let systemd = systemd.and_then(|systemd| fs::canonicalize(systemd).ok()).ok_or(missing)?;
        let vendor_units = systemd.parent().and_then(|home| {
            let candidates = VENDOR_UNITS.into_iter().map(|candidate| home.join(candidate));
            candidates.into_iter().find(|candidate| candidate.join("basic.target").is_file())
        });
        let vendor_units = vendor_units.ok_or_else(|| Missing::VendorUnits(systemd.clone()))?;
        let dbus_daemon = find("dbus-daemon", "dbus-daemon", "dbus-daemon")?;
        let systemctl = find("systemctl", "systemd", "systemd")?;
        for (program, debian) in [("find", "findutils"), ("sed", "sed")] {
            find(program, debian, debian)?;
        }
        let isolation = if rustix::process::geteuid().is_root() {
            find("unshare", "util-linux", "util-linux")?;
            find("mount", "mount", "util-linux")?;
            Isolation::Namespaces
        } else if Path::new("/run/systemd/system").is_dir()
            && env::var_os("XDG_RUNTIME_DIR").is_some()
        {
            find("systemd-run", "systemd", "systemd")?;
            Isolation::Delegated
        } else {
            return Err(Missing::Root);
        };
        Ok(Self { systemd, vendor_units, dbus_daemon, systemctl, path, isolation })
    }
}

// === impl Isolation ===

impl Isolation {
    /// Its name in `manager.sh`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Delegated => "delegated",
        }
    }
}

// === impl Cgroup2 ===

impl Cgroup2 {
    /// Finds it in the mount table of this process.
    pub(super) fn find() -> Result<Self, Missing> {
        let mounts = fs::read("/proc/self/mountinfo").map_err(Missing::Mounts)?;
        Self::parse(&mounts).ok_or(Missing::Cgroup2)
    }

    /// The last mount counts, as it hides those before it. Other mount points need not be UTF-8.
    fn parse(mountinfo: &[u8]) -> Option<Self> {
        let mountinfo = String::from_utf8_lossy(mountinfo);
        let parse = |line: &str| {
            let (mount, file_system) = line.split_once(" - ")?;
            let mut fields = mount.split(' ').skip(3);
            let (mounted, mounted_at) = (fields.next()?, fields.next()?);
            (file_system.split(' ').next()? == "cgroup2")
                .then(|| Self { mounted_at: mounted_at.into(), mounted: mounted.to_owned() })
        };
        mountinfo.lines().filter_map(parse).next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_at_any_mount_point() {
        let hybrid = b"\
24 1 0:22 / /sys/fs/cgroup rw,relatime shared:5 - tmpfs tmpfs rw,mode=755
25 24 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
26 24 0:24 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
        let found = |mounted_at: &str, mounted: &str| {
            Some(Cgroup2 { mounted_at: mounted_at.into(), mounted: mounted.to_owned() })
        };
        assert_eq!(Cgroup2::parse(hybrid), found("/sys/fs/cgroup/unified", "/"));
        let part = b"9 8 0:24 /box/1 /sys/fs/cgroup ro master:7 propagate_from:2 - cgroup2 none rw";
        assert_eq!(Cgroup2::parse(part), found("/sys/fs/cgroup", "/box/1"));
        assert_eq!(Cgroup2::parse(b"24 1 0:22 / /sys rw - sysfs sysfs rw\n"), None);
        let beside =
            b"1 1 0:1 / /pok\xe9mon rw - tmpfs tmpfs rw\n2 1 0:2 / /c rw - cgroup2 none rw\n";
        assert_eq!(Cgroup2::parse(beside), found("/c", "/"));
    }
}
