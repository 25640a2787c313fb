//! A private user manager: its start, its addresses and its end.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Pid;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::UnixDatagram,
    process::ChildStdout,
    time,
};

use super::{
    directories::{Directories, SampleUnit},
    journal::{self, Journal},
    owner::{self, NoOwner},
    requirements::{Cgroup2, Isolation, Missing, Programs},
    shell::Shell,
    sweep,
};

/// How long a start may take. A second is usual; this is for a machine busy with other things.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long the bus may take to come back.
const BUS_DEADLINE: Duration = Duration::from_secs(30);

/// A private user manager with its own bus.
///
/// [`stop`](Self::stop) leaves nothing of it. Dropped, or with the whole process killed, it goes
/// away a moment later by itself: the shell around it sees the end of its input.
#[derive(Debug)]
pub struct PrivateManager {
    shell: Shell,
    directories: Directories,
    systemctl: PathBuf,
    path: String,
    runtime_dir: PathBuf,
    unit_dir: PathBuf,
    cgroup: PathBuf,
    cgroup_root: PathBuf,
    pid: Pid,
    log: File,
    _journal: Journal,
}

/// Why there is no private manager.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine lacks something.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// Its directory could not be made or filled.
    #[error("cannot make a directory for a private systemd: {0}")]
    Directory(#[source] io::Error),
    /// The shell around it could not be started.
    #[error("cannot run {program} for a private systemd: {source}")]
    Spawn {
        /// What was to be run.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Its notifications could not be received.
    #[error("cannot hear from the private systemd: {0}")]
    Hear(#[source] io::Error),
    /// It ended before it was ready.
    #[error("the private systemd did not start{0}")]
    Ended(String),
    /// It is there and is not ready.
    #[error("the private systemd was not ready after {seconds} s{0}", seconds = START_DEADLINE.as_secs())]
    Deadline(String),
    /// Its bus does not work.
    #[error("the private systemd is not on its bus: {0}{1}")]
    Bus(#[source] NoOwner, String),
}

/// Why the private bus is not back.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The service could not be restarted.
    #[error("cannot restart dbus.service of the private systemd: {0}")]
    Restart(String),
    /// The bus is there, and systemd is not on it.
    #[error("the private systemd is not on its bus: {0}")]
    Owner(#[from] NoOwner),
    /// It took too long.
    #[error("the private systemd is not on its bus after {} s", BUS_DEADLINE.as_secs())]
    Deadline,
}

/// Something of a private manager could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {}, which is left of a private systemd: end what uses it, then remove it", .0.display())]
pub struct StopError(PathBuf);

/// What the shell said of itself.
#[derive(Debug, Default)]
struct Said {
    cgroup: Option<PathBuf>,
    pid: Option<Pid>,
}

/// What can go wrong on the way to being ready.
enum Unready {
    Hear(io::Error),
    Ended,
    Bus(NoOwner),
}

// === impl PrivateManager ===

impl PrivateManager {
    /// Starts a manager that finds `units` in its unit directory, and waits until it has reached
    /// `basic.target` and owns its name on its bus. Takes a minute at most.
    pub async fn start(units: &[SampleUnit<'_>]) -> Result<Self, StartError> {
        Self::start_in(&[], units).await
    }

    /// The same with more in the environment of the manager and all that it runs, for tests that
    /// preload a library.
    pub async fn start_in(
        environment: &[(&str, &str)],
        units: &[SampleUnit<'_>],
    ) -> Result<Self, StartError> {
        let (programs, cgroup2) = (Programs::find()?, Cgroup2::find()?);
        let (made, directories) =
            Directories::create(&programs, units).map_err(StartError::Directory)?;
        let open = || {
            let opened =
                OpenOptions::new().create(true).append(true).read(true).open(directories.log());
            opened.map_err(StartError::Directory)
        };
        let log = open()?;
        let notify = UnixDatagram::bind(directories.notify_socket()).map_err(StartError::Hear)?;
        let journal = Journal::listen(&directories.journal_socket(), open()?);
        let journal = journal.map_err(StartError::Hear)?;

        let mut command = command(&programs, &cgroup2, &directories, environment);
        command.stderr(Stdio::from(open()?));
        let program = command.get_program().to_string_lossy().into_owned();
        let (shell, output) =
            Shell::spawn(command).map_err(|source| StartError::Spawn { program, source })?;
        // From here on the shell removes the directory.
        let _ = made.keep();

        let mut said = Said::default();
        let ready = said.wait_until_ready(output, &notify, directories.bus_address());
        let outcome = tokio::select! {
            outcome = time::timeout(START_DEADLINE, ready) => outcome,
            () = shell.ended() => Ok(Err(Unready::Ended)),
        };
        match (outcome, said) {
            (Ok(Ok(())), Said { cgroup: Some(cgroup), pid: Some(pid) }) => Ok(Self {
                shell,
                systemctl: programs.systemctl,
                path: programs.path,
                runtime_dir: directories.runtime_dir(),
                unit_dir: directories.unit_dir(),
                directories,
                cgroup_root: match programs.way {
                    Isolation::Namespaces => cgroup.clone(),
                    Isolation::Delegated => cgroup2.mounted_at,
                },
                cgroup,
                pid,
                log,
                _journal: journal,
            }),
            (outcome, said) => {
                shell.stop().await;
                // What is wrong is known; what cannot be removed on top of it would hide that.
                let _ = sweep::sweep(said.cgroup.as_deref(), directories.root()).await;
                let tail = journal::tail(&log);
                Err(match outcome {
                    Err(_) => StartError::Deadline(tail),
                    Ok(Err(Unready::Hear(error))) => StartError::Hear(error),
                    Ok(Err(Unready::Bus(error))) => StartError::Bus(error, tail),
                    Ok(Err(Unready::Ended) | Ok(())) => StartError::Ended(tail),
                })
            }
        }
    }

    /// Ends the manager and everything it runs, and removes all that is left of it. Takes twenty
    /// seconds at most, a tenth of one usually.
    pub async fn stop(self) -> Result<(), StopError> {
        let Self { shell, directories, cgroup, .. } = self;
        shell.stop().await;
        // Usually finds nothing; but somebody may have killed the shell.
        sweep::sweep(Some(&cgroup), directories.root()).await.map_err(StopError)
    }

    /// Waits until the manager has ended by itself, which it should not, and returns the last
    /// lines of its log, ready to follow an error message.
    pub async fn ended(&self) -> String {
        self.shell.ended().await;
        journal::tail(&self.log)
    }

    /// Its `XDG_RUNTIME_DIR`, which has the sockets `bus` and `systemd/private`.
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime_dir
    }

    /// The D-Bus address of its bus.
    pub fn bus_address(&self) -> String {
        self.directories.bus_address()
    }

    /// Where its unit files go; it reads new ones after a `daemon-reload`.
    pub fn unit_dir(&self) -> &Path {
        &self.unit_dir
    }

    /// Its control group.
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// The directory that its `ControlGroup` properties are relative to: its own control group,
    /// or for an ordinary user, who has no namespaces, where the hierarchy is mounted.
    pub fn cgroup_root(&self) -> &Path {
        &self.cgroup_root
    }

    /// The process id of the manager, for tests that stop or kill it.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The process id of the shell around the manager, for tests that kill it; `None` if it has
    /// ended.
    pub fn shell_pid(&self) -> Option<Pid> {
        self.shell.pid()
    }

    /// The process id of its dbus-daemon; `None` while it has none.
    pub fn bus_pid(&self) -> Option<Pid> {
        sweep::processes(&self.cgroup.join("dbus.service")).ok()?.first().copied()
    }

    /// `systemctl --user` for this manager.
    pub fn systemctl(&self) -> Command {
        let mut command = self.command(&self.systemctl);
        command.args(["--user", "--no-pager"]);
        command
    }

    /// Any program, in the manager's own environment: it finds this manager where it would look
    /// for the user's. `systemctl enable` and its like need all of that environment, because they
    /// touch the files themselves where systemd did not boot the machine.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", &self.path).envs(self.directories.environment());
        command.stdin(Stdio::null());
        command
    }

    /// Ends the dbus-daemon and starts another one, and waits until the manager is on it.
    pub async fn restart_bus(&self) -> Result<(), BusError> {
        let mut restart = tokio::process::Command::from(self.systemctl());
        let restart = restart.args(["restart", "dbus.service"]).kill_on_drop(true).output();
        let restarted = async {
            let output = restart.await.map_err(|error| BusError::Restart(error.to_string()))?;
            if !output.status.success() {
                let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(BusError::Restart(words));
            }
            Ok(owner::of_systemd(self.bus_address()).await?)
        };
        time::timeout(BUS_DEADLINE, restarted).await.map_err(|_| BusError::Deadline)?
    }
}

// === impl Said ===

impl Said {
    async fn wait_until_ready(
        &mut self,
        output: ChildStdout,
        notify: &UnixDatagram,
        bus_address: String,
    ) -> Result<(), Unready> {
        let mut lines = BufReader::new(output).lines();
        while self.pid.is_none() {
            let line = lines.next_line().await.map_err(Unready::Hear)?.ok_or(Unready::Ended)?;
            match line.split_once(' ') {
                Some(("cgroup", path)) => self.cgroup = Some(path.into()),
                Some(("manager", pid)) => self.pid = pid.parse().ok().and_then(Pid::from_raw),
                _ => {}
            }
        }
        let mut datagram = [0; 4096];
        loop {
            let length = notify.recv(&mut datagram).await.map_err(Unready::Hear)?;
            let text = datagram.get(..length).unwrap_or_default();
            if text.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                break;
            }
        }
        owner::of_systemd(bus_address).await.map_err(Unready::Bus)
    }
}

/// The shell around a manager, not started yet.
fn command(
    programs: &Programs,
    cgroup2: &Cgroup2,
    directories: &Directories,
    environment: &[(&str, &str)],
) -> Command {
    let mut command = match programs.way {
        Isolation::Namespaces => Command::new("env"),
        Isolation::Delegated => {
            let mut command = Command::new("systemd-run");
            command.args(["--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes"]);
            command.args(["--description=unitwatch demo", "env"]);
            command
        }
    };
    // Nothing of our own environment gets into the units of the manager.
    command.arg("-i").arg(format!("PATH={}", programs.path));
    command
        .args(directories.environment().into_iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(format!("NOTIFY_SOCKET={}", directories.notify_socket().display()));
    command.args(environment.iter().map(|(name, value)| format!("{name}={value}")));
    command
        .arg("/bin/sh")
        .arg(directories.script())
        .arg(directories.root())
        .arg(&cgroup2.mounted_at)
        .arg(&cgroup2.mounted);
    command.arg(&programs.systemd).arg(programs.way.as_str());
    command
}
