//! A private user manager with its addresses.

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

/// How long a start may take: usually a second, longer on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A private user manager with its own bus.
///
/// [`stop`](Self::stop) removes all of it. If it is dropped or the process is killed, the shell
/// around it sees the end of its input and removes it a moment later.
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

/// Why a private manager did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine lacks something.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// Its directory could not be created.
    #[error("cannot make a directory for a private systemd: {0}")]
    Directory(#[source] io::Error),
    /// The shell around it could not be started.
    #[error("cannot run {program} for a private systemd: {source}")]
    Spawn {
        /// The program that did not run.
        program: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// Its notifications could not be received.
    #[error("cannot receive the notifications of the private systemd: {0}")]
    Receive(#[source] io::Error),
    /// It ended before it was ready.
    #[error("the private systemd did not start{0}")]
    Ended(String),
    /// It did not get ready in time.
    #[error("the private systemd was not ready after {seconds} s{0}", seconds = START_DEADLINE.as_secs())]
    Deadline(String),
    /// It did not connect to its bus.
    #[error("the private systemd is not on its bus: {0}{1}")]
    Bus(#[source] NoOwner, String),
}

/// A part of a private manager that could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {} of a private systemd: end the processes that use it, then remove it", .0.display())]
pub struct StopError(PathBuf);

/// What the shell reported so far.
#[derive(Debug, Default)]
struct Reported {
    cgroup: Option<PathBuf>,
    pid: Option<Pid>,
}

/// Why the manager did not get ready.
enum Unready {
    Receive(io::Error),
    Ended,
    Bus(NoOwner),
}

// === impl PrivateManager ===

impl PrivateManager {
    /// Starts a manager with `units` in its unit directory and waits, for up to a minute, until it
    /// has reached `basic.target` and owns its name on its bus.
    pub async fn start(units: &[SampleUnit<'_>]) -> Result<Self, StartError> {
        Self::start_in(&[], units).await
    }

    /// The same with additional variables in the environment of the manager and its units, for tests
    /// that preload a library.
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
        let notify =
            UnixDatagram::bind(directories.notify_socket()).map_err(StartError::Receive)?;
        let journal = Journal::listen(&directories.journal_socket(), open()?);
        let journal = journal.map_err(StartError::Receive)?;

        let mut command = command(&programs, &cgroup2, &directories, environment);
        command.stderr(Stdio::from(open()?));
        let program = command.get_program().to_string_lossy().into_owned();
        let (shell, output) =
            Shell::spawn(command).map_err(|source| StartError::Spawn { program, source })?;
        // From here on the shell removes the directory.
        let _ = made.keep();

        let mut reported = Reported::default();
        let ready = reported.wait_until_ready(output, &notify, directories.bus_address());
        let outcome = tokio::select! {
            outcome = time::timeout(START_DEADLINE, ready) => outcome,
            () = shell.ended() => Ok(Err(Unready::Ended)),
        };
        match (outcome, reported) {
            (Ok(Ok(())), Reported { cgroup: Some(cgroup), pid: Some(pid) }) => Ok(Self {
                shell,
                systemctl: programs.systemctl,
                path: programs.path,
                runtime_dir: directories.runtime_dir(),
                unit_dir: directories.unit_dir(),
                directories,
                cgroup_root: match programs.isolation {
                    Isolation::Namespaces => cgroup.clone(),
                    Isolation::Delegated => cgroup2.mounted_at,
                },
                cgroup,
                pid,
                log,
                _journal: journal,
            }),
            (outcome, reported) => {
                shell.stop().await;
                // A failure here would hide the reason for the other one.
                let _ = sweep::sweep(reported.cgroup.as_deref(), directories.root()).await;
                let tail = journal::tail(&log);
                Err(match outcome {
                    Err(_) => StartError::Deadline(tail),
                    Ok(Err(Unready::Receive(error))) => StartError::Receive(error),
                    Ok(Err(Unready::Bus(error))) => StartError::Bus(error, tail),
                    Ok(Err(Unready::Ended) | Ok(())) => StartError::Ended(tail),
                })
            }
        }
    }

    /// Ends the manager and everything it runs, and removes its files. Usually takes a tenth of a
    /// second, and at most twenty.
    pub async fn stop(self) -> Result<(), StopError> {
        let Self { shell, directories, cgroup, .. } = self;
        shell.stop().await;
        // The shell has removed everything already, unless it was killed.
        sweep::sweep(Some(&cgroup), directories.root()).await.map_err(StopError)
    }

    /// Waits until the manager has ended unexpectedly, and returns the last lines of its log to
    /// append to an error message.
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

    /// The directory of its unit files; new ones need a `daemon-reload`.
    pub fn unit_dir(&self) -> &Path {
        &self.unit_dir
    }

    /// Its control group.
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// The directory that its `ControlGroup` properties are relative to: its own control group or,
    /// without namespaces, the mount point of the hierarchy.
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

    /// `systemctl --user` for this manager.
    pub fn systemctl(&self) -> Command {
        let mut command = self.command(&self.systemctl);
        command.args(["--user", "--no-pager"]);
        command
    }

    /// Any program, in the manager's environment, where it finds this manager as the user's.
    /// `systemctl enable` needs all of it, because it changes the files itself on a machine that
    /// systemd did not boot.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", &self.path).envs(self.directories.environment());
        command.stdin(Stdio::null());
        command
    }
}

// === impl Reported ===

impl Reported {
    async fn wait_until_ready(
        &mut self,
        output: ChildStdout,
        notify: &UnixDatagram,
        bus_address: String,
    ) -> Result<(), Unready> {
        let mut lines = BufReader::new(output).lines();
        while self.pid.is_none() {
            let line = lines.next_line().await.map_err(Unready::Receive)?.ok_or(Unready::Ended)?;
            match line.split_once(' ') {
                Some(("cgroup", path)) => self.cgroup = Some(path.into()),
                Some(("manager", pid)) => self.pid = pid.parse().ok().and_then(Pid::from_raw),
                _ => {}
            }
        }
        let mut datagram = [0; 4096];
        loop {
            let length = notify.recv(&mut datagram).await.map_err(Unready::Receive)?;
            let text = datagram.get(..length).unwrap_or_default();
            if text.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                break;
            }
        }
        owner::of_systemd(bus_address).await.map_err(Unready::Bus)
    }
}

/// The command of the shell around a manager.
fn command(
    programs: &Programs,
    cgroup2: &Cgroup2,
    directories: &Directories,
    environment: &[(&str, &str)],
) -> Command {
    let mut command = match programs.isolation {
        Isolation::Namespaces => Command::new("env"),
        Isolation::Delegated => {
            let mut command = Command::new("systemd-run");
            command.args(["--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes"]);
            command.args(["--description=unitwatch demo", "env"]);
            command
        }
    };
    // Our own environment must not reach the units of the manager.
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
    command.arg(&programs.systemd).arg(programs.isolation.as_str());
    command
}
