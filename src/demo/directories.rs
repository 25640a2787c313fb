//! The directory of a private manager, with everything it reads and writes.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::requirements::Programs;

/// A unit file or drop-in: the path under the unit directory, and the text.
pub type SampleUnit<'a> = (&'a str, &'a str);

/// The longest parent directory: a socket address has room for a path of 107 bytes.
const MAX_PATH: usize = 60;

/// The shell script around the manager. A file, because newer versions of systemd-run expand
/// variables on the command line.
const SCRIPT: &str = include_str!("manager.sh");

/// The bus of the private manager. It has dbus-daemon's default limits, as the system bus does, not
/// the far higher ones of a session bus. No service can be activated on it.
const BUS_SERVICE: &str = "\
[Unit]
Description=The bus
Requires=dbus.socket
# Tests kill it; the next connection starts it again.
StartLimitIntervalSec=0
[Service]
Type=notify
Slice=-.slice
";

const BUS_SOCKET: &str = "\
[Unit]
Description=The bus's socket
[Socket]
ListenStream=%t/bus
";

/// The paths in the directory of one manager.
#[derive(Clone, Debug)]
pub(super) struct Directories {
    root: PathBuf,
}

// === impl Directories ===

impl Directories {
    /// Creates the directory with its files.
    pub(super) fn create(
        programs: &Programs,
        units: &[SampleUnit<'_>],
    ) -> io::Result<(TempDir, Self)> {
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() > MAX_PATH {
            parent = PathBuf::from("/tmp");
        }
        let made = tempfile::Builder::new()
            .prefix("unitwatch-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let directories = Self { root: made.path().to_path_buf() };
        for directory in
            [directories.runtime_dir(), directories.unit_dir(), directories.path("none")]
        {
            fs::create_dir_all(directory)?;
        }
        fs::set_permissions(directories.runtime_dir(), fs::Permissions::from_mode(0o700))?;
        write(&directories.script(), SCRIPT)?;
        directories.install_vendor_units(programs)?;
        for (name, text) in units {
            write(&directories.unit_dir().join(name), text)?;
        }
        Ok((made, directories))
    }

    /// Copies the units of systemd that every user manager needs. The units of other packages stay
    /// out, so that a private manager does not depend on what is installed.
    fn install_vendor_units(&self, programs: &Programs) -> io::Result<()> {
        let vendor = self.path("vendor");
        fs::create_dir(&vendor)?;
        for entry in fs::read_dir(&programs.vendor_units)? {
            let path = entry?.path();
            let is_ours = path.extension().is_some_and(|end| end == "target" || end == "slice")
                || path.file_name().is_some_and(|name| name == "systemd-exit.service");
            if is_ours && let Some(name) = path.file_name() {
                fs::write(vendor.join(name), fs::read(&path)?)?;
            }
        }
        write(&vendor.join("dbus.socket"), BUS_SOCKET)?;
        write(
            &vendor.join("dbus.service"),
            &format!(
                "{BUS_SERVICE}ExecStart={} --config-file={} --address=systemd: --nofork \
                 --nopidfile --nosyslog\n",
                programs.dbus_daemon.display(),
                self.path("bus.conf").display(),
            ),
        )?;
        fs::create_dir(vendor.join("basic.target.wants"))?;
        symlink("../dbus.service", vendor.join("basic.target.wants/dbus.service"))?;
        write(
            &self.path("bus.conf"),
            &format!(
                r#"<busconfig>
  <type>session</type>
  <listen>{}</listen>
  <servicedir>{}</servicedir>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
                self.bus_address(),
                self.runtime_dir().join("dbus-1/services").display(),
            ),
        )
    }

    /// The environment of the manager and its clients, without `PATH`.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let text = |path: PathBuf| path.display().to_string();
        let (none, runtime) = (text(self.path("none")), self.runtime_dir().join("systemd"));
        let config = self.path("config/systemd");
        // In systemd's order, without the directories of the machine.
        let unit_path = [
            config.join("user.control"),
            runtime.join("user.control"),
            runtime.join("transient"),
            runtime.join("generator.early"),
            config.join("user"),
            runtime.join("user"),
            runtime.join("generator"),
            self.path("vendor"),
            runtime.join("generator.late"),
        ];
        vec![
            ("LANG", "C.UTF-8".to_owned()),
            ("HOME", text(self.root.clone())),
            ("XDG_RUNTIME_DIR", text(self.runtime_dir())),
            ("XDG_CONFIG_HOME", text(self.path("config"))),
            ("XDG_DATA_HOME", text(self.path("data"))),
            ("XDG_CACHE_HOME", text(self.path("cache"))),
            ("XDG_STATE_HOME", text(self.path("state"))),
            ("DBUS_SESSION_BUS_ADDRESS", self.bus_address()),
            ("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={none}/bus")),
            ("SYSTEMD_UNIT_PATH", unit_path.map(text).join(":")),
            ("SYSTEMD_GENERATOR_PATH", none.clone()),
            ("SYSTEMD_ENVIRONMENT_GENERATOR_PATH", none),
        ]
    }

    /// The directory itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// `XDG_RUNTIME_DIR`.
    pub(super) fn runtime_dir(&self) -> PathBuf {
        self.path("run")
    }

    /// The directory of the user's unit files.
    pub(super) fn unit_dir(&self) -> PathBuf {
        self.path("config/systemd/user")
    }

    /// The script that runs the manager.
    pub(super) fn script(&self) -> PathBuf {
        self.path("manager.sh")
    }

    /// The socket on which the manager reports that it is ready.
    pub(super) fn notify_socket(&self) -> PathBuf {
        self.path("notify")
    }

    /// The socket to which the manager logs.
    pub(super) fn journal_socket(&self) -> PathBuf {
        self.path("journal")
    }

    /// The log of the manager and of the shell around it.
    pub(super) fn log(&self) -> PathBuf {
        self.path("log")
    }

    /// The D-Bus address of the bus.
    pub(super) fn bus_address(&self) -> String {
        format!("unix:path={}", self.runtime_dir().join("bus").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
}
