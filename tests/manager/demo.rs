//! Private managers and the demo: they start, and however they end, nothing of them is left. Needs
//! root, systemd and dbus-daemon, and fails without them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::harness::{bus, open_file_limits};
use rustix::process::{Pid, Signal, kill_process};
use unitwatch::demo::{self, PrivateManager};

/// For conditions that have to be polled; long, because a machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

const SLEEPER: (&str, &str) =
    ("sleeper.service", "[Service]\nExecStart=/bin/sh -c 'exec sleep infinity'\n");

// === Start ===

#[tokio::test(flavor = "multi_thread")]
async fn a_private_manager_answers_on_both_of_its_sockets() {
    let manager = PrivateManager::start(&[SLEEPER]).await.unwrap();
    // systemctl prefers the private socket, busctl knows only the bus.
    assert_eq!(systemctl(&manager, &["is-active", "default.target"]), "active");
    let version = ["--user", "get-property", "org.freedesktop.systemd1"];
    let mut busctl = manager.command("busctl");
    busctl.args(version).args(["/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]);
    assert!(output(busctl.arg("Version")).starts_with("s \""));
    assert!(UnixStream::connect(manager.runtime_dir().join("systemd/private")).is_ok());

    // Its units, transient units and new unit files work as in any user manager.
    systemctl(&manager, &["start", "sleeper.service"]);
    let control_group = show(&manager, "sleeper.service", "ControlGroup");
    let control_group = manager.cgroup_root().join(control_group.strip_prefix('/').unwrap());
    assert!(control_group.starts_with(manager.cgroup()));
    assert!(control_group.join("cgroup.procs").is_file());
    let mut transient = manager.command("systemd-run");
    output(transient.args(["--user", "--quiet", "--unit=transient", "sleep", "infinity"]));
    assert_eq!(show(&manager, "transient.service", "Transient"), "yes");
    systemctl(&manager, &["mask", "masked.service"]);
    assert!(manager.unit_dir().join("masked.service").is_symlink());
    fs::write(manager.unit_dir().join("late.service"), SLEEPER.1).unwrap();
    systemctl(&manager, &["daemon-reload"]);
    systemctl(&manager, &["start", "late.service"]);
    assert_eq!(show(&manager, "late.service", "SubState"), "running");

    let traces = Traces::of(&manager);
    manager.stop().await.unwrap();
    traces.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_manager_has_no_units_of_the_machine() {
    let manager = PrivateManager::start(&[SLEEPER]).await.unwrap();
    let files = systemctl(&manager, &["list-unit-files", "--no-legend", "--type=service,socket"]);
    let mut names: Vec<_> =
        files.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    let expected = ["dbus.service", "dbus.socket", "sleeper.service", "systemd-exit.service"];
    assert_eq!(names, expected);
    let failed = systemctl(&manager, &["list-units", "--failed", "--no-legend"]);
    assert_eq!(failed, "");
    manager.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_private_managers_are_independent() {
    let started = tokio::join!(PrivateManager::start(&[SLEEPER]), PrivateManager::start(&[]));
    let (one, two) = (started.0.unwrap(), started.1.unwrap());
    assert_ne!(one.pid(), two.pid());
    assert_ne!(one.cgroup(), two.cgroup());
    systemctl(&one, &["start", "sleeper.service"]);
    assert_eq!(show(&one, "sleeper.service", "ActiveState"), "active");
    assert_eq!(show(&two, "sleeper.service", "LoadState"), "not-found");

    let (traces, other_traces) = (Traces::of(&two), Traces::of(&one));
    two.stop().await.unwrap();
    traces.assert_gone();
    assert_eq!(show(&one, "sleeper.service", "ActiveState"), "active");
    one.stop().await.unwrap();
    other_traces.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_can_be_restarted_and_killed() {
    let manager = PrivateManager::start(&[]).await.unwrap();
    let first = bus::pid(&manager).unwrap();
    bus::restart(&manager);
    let second = bus::pid(&manager).unwrap();
    assert_ne!(first, second);
    kill_process(second, Signal::KILL).unwrap();
    until("dbus.service failed", || show(&manager, "dbus.service", "ActiveState") == "failed")
        .await;
    assert_eq!(bus::pid(&manager), None);
    bus::restart(&manager);
    assert!(bus::pid(&manager).is_some_and(|third| third != second));
    manager.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_units_have_the_states_of_their_descriptions() {
    let check = async |manager: &PrivateManager| {
        let is = async |unit: &str, property: &str, value: &str| {
            let what = format!("{unit} has {property}={value}");
            until(&what, || show(manager, unit, property) == value).await;
        };
        is("demo-healthy.service", "SubState", "running").await;
        is("demo-failing.service", "ActiveState", "failed").await;
        is("demo-failing.service", "Result", "exit-code").await;
        is("demo-failing.timer", "SubState", "waiting").await;
        is("demo-broken.service", "LoadState", "bad-setting").await;
        is("demo-masked.service", "LoadState", "masked").await;
        is("demo-missing.service", "LoadState", "not-found").await;
        until("the crashing unit was restarted twice", || {
            show(manager, "demo-crashing.service", "NRestarts").parse::<u32>().unwrap() >= 2
        })
        .await;

        // The demo connects too, hence no exact number.
        let mut client = UnixStream::connect(manager.runtime_dir().join("demo-echo")).unwrap();
        client.write_all(b"hello").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello");
        until("the demo itself connected to the socket", || {
            show(manager, "demo-echo.socket", "NAccepted").parse::<u32>().unwrap() >= 2
        })
        .await;
        Ok(())
    };
    demo::run(std::future::pending(), check).await.unwrap();
}

// === End ===

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let mut demo = Demo::start();
    // A terminal sends it to the whole foreground process group.
    let group = Pid::from_child(&demo.child);
    rustix::process::kill_process_group(group, Signal::INT).unwrap();
    assert_eq!(demo.wait().code(), Some(0));
    demo.traces.assert_gone();
}

/// The exporter raises its own limit. Programs that are not written for many descriptors must not
/// get it.
#[test]
fn the_processes_of_the_demo_have_its_limit_of_open_files() {
    let demo = demo_command();
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=1000:8192").arg(demo.get_program()).args(demo.get_args());
    let mut demo = Demo::started_by(&mut limited);
    for process in [Pid::from_child(&demo.child), demo.shell] {
        assert_eq!(open_file_limits(process.as_raw_pid()), ["1000", "8192"], "{process:?}");
    }
    kill_process(Pid::from_child(&demo.child), Signal::TERM).unwrap();
    assert_eq!(demo.wait().code(), Some(0));
}

#[test]
fn sigterm_leaves_nothing_behind() {
    let mut demo = Demo::start();
    kill_process(Pid::from_child(&demo.child), Signal::TERM).unwrap();
    assert_eq!(demo.wait().code(), Some(0));
    demo.traces.assert_gone();
}

#[tokio::test]
async fn sigkill_leaves_nothing_behind() {
    let mut demo = Demo::start();
    kill_process(Pid::from_child(&demo.child), Signal::KILL).unwrap();
    demo.wait();
    // No process is left that waits for the shell, so this polls.
    until("the shell cleaned up", || demo.traces.found().is_empty()).await;
    demo.traces.assert_gone();
}

#[test]
fn a_crash_of_the_manager_ends_the_demo_and_leaves_nothing_behind() {
    let mut demo = Demo::start();
    kill_process(demo.manager, Signal::KILL).unwrap();
    assert_eq!(demo.wait().code(), Some(1));
    assert!(demo.errors().contains("the private systemd of the demo ended by itself"));
    demo.traces.assert_gone();
}

#[test]
fn a_crash_of_the_shell_ends_the_demo_and_leaves_nothing_behind() {
    let mut demo = Demo::start();
    kill_process(demo.shell, Signal::KILL).unwrap();
    assert_eq!(demo.wait().code(), Some(1));
    demo.traces.assert_gone();
}

#[test]
fn a_manager_that_hangs_does_not_keep_the_demo_from_ending() {
    let mut demo = Demo::start();
    kill_process(demo.manager, Signal::STOP).unwrap();
    kill_process(Pid::from_child(&demo.child), Signal::TERM).unwrap();
    assert_eq!(demo.wait().code(), Some(0));
    demo.traces.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_manager_is_removed() {
    let manager = PrivateManager::start(&[]).await.unwrap();
    let traces = Traces::of(&manager);
    drop(manager);
    until("the shell cleaned up", || traces.found().is_empty()).await;
}

// === Failures to start ===

#[test]
fn a_missing_program_is_named_with_its_package() {
    let (status, errors) = demo_after("mount --bind /dev/null /usr/bin/dbus-daemon");
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("dbus-daemon is not installed"), "{errors}");
    assert!(errors.contains("package dbus-daemon in Debian"), "{errors}");
}

#[test]
fn the_log_of_a_systemd_that_does_not_start_is_in_the_error() {
    let broken = "printf '#!/bin/sh\\necho no, thanks >&2\\nexit 3\\n' >/run/broken \
                  && chmod +x /run/broken \
                  && mount --bind /run/broken /usr/lib/systemd/systemd";
    let (status, errors) = demo_after(&format!("mount -t tmpfs tmpfs /run && {broken}"));
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("the private systemd did not start; it said:"), "{errors}");
    assert!(errors.contains("no, thanks"), "{errors}");
}

// === Helpers ===

/// What a manager can leave behind.
struct Traces {
    directory: PathBuf,
    cgroup: PathBuf,
    mounts: Vec<String>,
}

/// A running demo.
struct Demo {
    child: Child,
    /// Kept open, so that the demo can print until it ends.
    _output: Lines<BufReader<ChildStdout>>,
    log: BufReader<ChildStderr>,
    manager: Pid,
    shell: Pid,
    traces: Traces,
}

impl Traces {
    fn of(manager: &PrivateManager) -> Self {
        Self::at(manager.runtime_dir().parent().unwrap(), manager.cgroup())
    }

    fn at(directory: &Path, cgroup: &Path) -> Self {
        let traces = Self { directory: directory.into(), cgroup: cgroup.into(), mounts: mounts() };
        // Makes sure that the search can find them.
        assert_eq!(traces.found().len(), 3, "{:?}", traces.found());
        traces
    }

    fn assert_gone(&self) {
        assert_eq!(self.found(), [] as [String; 0]);
        assert_eq!(mounts(), self.mounts);
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mountinfo.contains(self.directory.to_str().unwrap()));
    }

    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        for path in [&self.directory, &self.cgroup] {
            if path.exists() {
                found.push(path.display().to_string());
            }
        }
        // The processes of the manager have its directory in their environment.
        let needle = self.directory.to_str().unwrap().as_bytes();
        let runs = fs::read_dir("/proc").unwrap().flatten().any(|process| {
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            environment.windows(needle.len()).any(|window| window == needle)
        });
        if runs {
            found.push("a process".to_owned());
        }
        found
    }
}

impl Demo {
    fn start() -> Self {
        Self::started_by(&mut demo_command())
    }

    fn started_by(command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt as _;
        let mut child =
            command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut started = String::new();
        while !started.contains("a private systemd runs") {
            assert!(log.read_line(&mut started).unwrap() > 0, "the demo ended: {started}");
        }
        let logged = |key: &str| {
            let value = started.split_whitespace().rev().find_map(|word| word.strip_prefix(key));
            value.unwrap_or_else(|| panic!("no {key} in {started}"))
        };
        let pid = |key| Pid::from_raw(logged(key).parse().unwrap()).unwrap();
        let (manager, shell, cgroup) = (pid("manager="), pid("shell="), logged("cgroup="));
        let cgroup = PathBuf::from(cgroup.trim_matches('"'));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = |prefix: &str| {
            let line = lines.find(|line| line.as_ref().unwrap().contains(prefix));
            line.expect("the demo is ready before it ends").unwrap()
        };
        let shown = line("XDG_RUNTIME_DIR=");
        let shown = shown.split_whitespace().find_map(|word| word.strip_prefix("XDG_RUNTIME_DIR="));
        let runtime_dir = Path::new(shown.unwrap());
        line("Ctrl-C ends it");
        let traces = Traces::at(runtime_dir.parent().unwrap(), &cgroup);
        Self { child, _output: lines, log, manager, shell, traces }
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn errors(&mut self) -> String {
        let mut errors = String::new();
        self.log.read_to_string(&mut errors).unwrap();
        errors
    }
}

fn demo_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
    command.args(["demo", "--web.listen-address=127.0.0.1:0", "--log.level=debug"]);
    command
}

/// Runs the demo in a mount namespace that `prepare` has changed.
fn demo_after(prepare: &str) -> (ExitStatus, String) {
    let demo = demo_command();
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", &format!("{prepare} && exec \"$@\""), "sh"]);
    unshare.arg(demo.get_program()).args(demo.get_args());
    let output = unshare.stdin(Stdio::null()).output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

fn show(manager: &PrivateManager, unit: &str, property: &str) -> String {
    systemctl(manager, &["show", "--value", "--property", property, unit])
}

fn systemctl(manager: &PrivateManager, args: &[&str]) -> String {
    output(manager.systemctl().args(args))
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The mounts outside of namespaces on the paths where managers mount; other mounts may change
/// meanwhile.
fn mounts() -> Vec<String> {
    let paths = ["/run", "/run/systemd", "/run/udev", "/run/dbus", "/sys/fs/cgroup"];
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours = |line: &&str| line.split(' ').nth(4).is_some_and(|at| paths.contains(&at));
    mountinfo.lines().filter(ours).map(str::to_owned).collect()
}

/// Polls until `condition` holds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
