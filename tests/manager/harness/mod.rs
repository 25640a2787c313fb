//! A real systemd to test against, and the real exporter beside it.

pub mod bus;
pub mod clock;
pub mod exposition;
pub mod scraper;
pub mod show;
pub mod storm;

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{Mutex, MutexGuard};
use unitwatch::demo::PrivateManager;

use exposition::Exposition;

/// The longest that a test waits for one condition. After a reconnect everything is read again, with
/// about 1,000 calls; in the middle of crash loops PID 1 of a slow machine answers 16 of them a second.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Makes the exporter compare its table with systemd's every two seconds.
pub const OFTEN: &str = "--systemd.collector.reconcile-interval=2s";

/// Makes the exporter use systemd's private socket and no bus.
pub const PRIVATE: &str = "--systemd.collector.private";

/// By how many bytes the exporter's memory may grow during a fault.
pub const GROWTH: f64 = 64e6;

/// The unit that the exporter is installed with.
const UNIT: &str = include_str!("../../../packaging/unitwatch.service");

/// The number of exporters started in the sandbox, for unit names.
static EXPORTERS: AtomicU32 = AtomicU32::new(0);

/// A machine has one system manager, and the tests of one program run in parallel.
static SYSTEM: Mutex<()> = Mutex::const_new(());

/// The soft and the hard limit of open files of a process.
pub fn open_file_limits(process: i32) -> [String; 2] {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.unwrap().split_whitespace().map(str::to_owned);
    [(); 2].map(|()| numbers.next().unwrap())
}

/// The manager under test: a private one, or the machine's own where `UNITWATCH_TEST_MANAGER` is
/// `system`, as in the containers of `tests/run`.
pub enum Machine {
    Private(Box<PrivateManager>),
    System(#[allow(dead_code, reason = "held, not read")] MutexGuard<'static, ()>),
}

/// A running exporter.
pub struct Exporter {
    child: Child,
    /// The process itself, where `child` only waits for it.
    main: Option<Pid>,
    address: String,
    log: Arc<std::sync::Mutex<String>>,
}

impl Machine {
    pub async fn start() -> Self {
        match env::var("UNITWATCH_TEST_MANAGER").as_deref() {
            Ok("system") => Self::System(SYSTEM.lock().await),
            Ok(other) => panic!("UNITWATCH_TEST_MANAGER is {other:?}; only `system` is known"),
            Err(_) => Self::private().await,
        }
    }

    /// A private manager, for tests that stop, starve or restart it.
    pub async fn private() -> Self {
        Self::Private(Box::new(PrivateManager::start(&[]).await.expect("a private manager")))
    }

    /// The private manager; panics for the system's.
    pub fn manager(&self) -> &PrivateManager {
        match self {
            Self::Private(manager) => manager,
            Self::System(_) => panic!("this test needs a private manager"),
        }
    }

    /// Where unit files go.
    pub fn unit_dir(&self) -> PathBuf {
        match self {
            Self::Private(manager) => manager.unit_dir().to_owned(),
            Self::System(_) => PathBuf::from("/run/systemd/system"),
        }
    }

    /// The directory that `%t` means in unit files.
    pub fn runtime_dir(&self) -> PathBuf {
        match self {
            Self::Private(manager) => manager.runtime_dir().to_owned(),
            Self::System(_) => PathBuf::from("/run"),
        }
    }

    /// Writes a unit file; systemd reads it at the next daemon-reload.
    pub fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.unit_dir()).unwrap();
        fs::write(self.unit_dir().join(name), text).unwrap();
    }

    /// A command whose environment points to this manager.
    pub fn command(&self, program: &str) -> Command {
        match self {
            Self::Private(manager) => manager.command(program),
            Self::System(_) => {
                let mut command = Command::new(program);
                command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
                command
            }
        }
    }

    /// Whether systemd's programs and the exporter need `--user` or its like.
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Private(_))
    }

    /// Runs `systemctl`, which may fail.
    pub fn systemctl(&self, words: &[&str]) -> Output {
        let mut command = self.command("systemctl");
        if self.is_private() {
            command.arg("--user");
        }
        command.arg("--no-pager").args(words).output().expect("systemctl")
    }

    /// The output of `systemd-analyze time`, which fails until the boot is over.
    pub fn analyze_time(&self) -> String {
        until("the boot is over", || {
            let mut command = self.command("systemd-analyze");
            let output = command.args(self.is_private().then_some("--user")).arg("time").output();
            let output = output.expect("systemd-analyze");
            match output.status.success() {
                true => Ok(String::from_utf8(output.stdout).unwrap()),
                false => Err(output),
            }
        })
    }

    /// Runs `systemctl`, which must succeed.
    pub fn must(&self, words: &[&str]) -> String {
        let output = self.systemctl(words);
        assert!(output.status.success(), "systemctl {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `systemd-run`, which must succeed.
    pub fn run(&self, words: &[&str]) {
        let mut command = self.command("systemd-run");
        if self.is_private() {
            command.arg("--user");
        }
        let output = command.arg("--quiet").args(words).output().expect("systemd-run");
        assert!(output.status.success(), "systemd-run {words:?}: {output:?}");
    }

    /// Kills the bus with SIGKILL. systemd starts it again with the next connection.
    pub fn kill_bus(&self) {
        let Self::Private(manager) = self else {
            self.must(&["kill", "--signal=KILL", "dbus.service"]);
            return;
        };
        // A user manager that sees the closed connection before the dead process connects to the
        // bus socket that it listens on itself, and waits 90 s for an answer. When it sees both
        // at once it handles the process first.
        let bus = bus::pid(manager).expect("a bus");
        kill_process(manager.pid(), Signal::STOP).unwrap();
        kill_process(bus, Signal::KILL).unwrap();
        until("the bus is dead", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", bus.as_raw_nonzero())).unwrap();
            if stat.contains(") Z ") { Ok(()) } else { Err(stat) }
        });
        kill_process(manager.pid(), Signal::CONT).unwrap();
    }

    /// Starts the exporter with these flags. With `UNITWATCH_TEST_SANDBOX` set it runs in the
    /// sandbox of its unit, except with `--systemd.collector.private`, which needs root.
    pub fn launch(&self, flags: &[&str]) -> Exporter {
        if let Ok(program) = env::var("UNITWATCH_TEST_SANDBOX")
            && !self.is_private()
            && !flags.contains(&PRIVATE)
        {
            return self.launch_in_sandbox(&program, flags);
        }
        Exporter::spawn(self.unitwatch(flags))
    }

    /// The command that `launch` runs outside the sandbox.
    fn unitwatch(&self, flags: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_unitwatch"));
        command.args(self.is_private().then_some("--systemd.collector.user"));
        command.arg("--web.listen-address=127.0.0.1:0").args(flags);
        command
    }

    fn launch_in_sandbox(&self, program: &str, flags: &[&str]) -> Exporter {
        // The test sets how it is started and where its state is.
        let apart = ["ExecStart", "Type", "Restart", "State", "Runtime"];
        let (_, service) = UNIT.split_once("\n[Service]\n").unwrap();
        let (service, _) = service.split_once("\n[Install]\n").unwrap();
        let settings = service.lines().filter(|line| {
            let is_setting = line.contains('=') && !line.starts_with('#');
            is_setting && !apart.iter().any(|name| line.starts_with(name))
        });
        let number = EXPORTERS.fetch_add(1, Ordering::Relaxed);
        let unit = format!("exporter-{}-{number}.service", std::process::id());
        let mut command = self.command("systemd-run");
        command.args(["--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]);
        command.arg(format!("--unit={unit}"));
        command.args(settings.map(|setting| format!("--property={setting}")));
        command.args(["--", program, "--web.listen-address=127.0.0.1:0"]).args(flags);
        let mut exporter = Exporter::spawn(command);
        let main = self.must(&["show", "--value", "--property=MainPID", &unit]);
        let main = main.trim().parse().ok().and_then(Pid::from_raw);
        exporter.main = Some(main.expect("a main PID"));
        exporter
    }

    /// Starts the exporter with these flags, and waits until it is ready.
    pub fn exporter(&self, flags: &[&str]) -> Exporter {
        let exporter = self.launch(flags);
        exporter.until_ready();
        exporter
    }

    /// The same, with the counters kept in this directory.
    pub fn exporter_with_state(&self, state: &Path, flags: &[&str]) -> Exporter {
        let mut command = self.unitwatch(flags);
        command.env("STATE_DIRECTORY", state);
        let exporter = Exporter::spawn(command);
        exporter.until_ready();
        exporter
    }
}

impl Exporter {
    /// Starts this command and waits until it logs the address that it listens on.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the exporter starts");
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(std::sync::Mutex::new(String::new()));
        let (kept, (found, address)) = (Arc::clone(&log), mpsc::channel());
        // A full pipe would block the exporter.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
                let word = line.split_whitespace().find_map(|word| word.strip_prefix("address="));
                if let Some(address) = word.filter(|_| line.contains("listening")) {
                    let _ = found.send(address.trim_start_matches("http://").to_owned());
                }
            }
        });
        let mut exporter = Self { child, main: None, address: String::new(), log };
        exporter.address = address.recv_timeout(PATIENCE).expect("the log has the address");
        exporter
    }

    /// The exporter's process, also where systemd-run started it.
    pub fn pid(&self) -> Pid {
        self.main.unwrap_or_else(|| Pid::from_child(&self.child))
    }

    /// Waits until `/-/ready` answers 200.
    pub fn until_ready(&self) {
        until("the exporter is ready", || {
            (self.get("/-/ready").0 == 200).then_some(()).ok_or_else(|| self.get("/-/ready").1)
        });
    }

    /// Sends a signal and waits until the process has ended.
    pub fn end(mut self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
        until("the exporter has ended", || self.child.try_wait().unwrap().ok_or(()));
        self.main = None;
    }

    /// The value of `systemd_up`.
    pub fn up(&self) -> Option<f64> {
        self.scrape().value("systemd_up", &[])
    }

    /// Waits until it is in sync with systemd.
    pub fn until_up(&self) {
        until("the exporter is in sync", || match self.up() {
            Some(1.0) => Ok(()),
            other => Err(other),
        });
    }

    /// How often the exporter has resynced for this reason.
    pub fn resyncs(&self, reason: &str) -> f64 {
        let scrape = self.scrape();
        scrape.value("systemd_exporter_resyncs_total", &[("reason", reason)]).unwrap_or(0.0)
    }

    /// Waits for more resyncs than that, and until the last one is complete.
    pub fn until_resynced(&self, reason: &str, more_than: f64) {
        until("the exporter has resynced", || {
            let count = self.resyncs(reason);
            if count > more_than { Ok(()) } else { Err(count) }
        });
        self.until_up();
    }

    /// Waits for one more comparison with systemd: neither it nor an earlier one found a drift.
    pub fn assert_never_drifted(&self) {
        // A comparison starts only when the one before has counted its drifts.
        self.until_resynced("interval", self.resyncs("interval") + 1.0);
        let scrape = self.scrape();
        assert_eq!(scrape.sum("systemd_exporter_drift_total"), 0.0, "{scrape:?}");
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Status and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        exposition::get(&self.address, path, "text/plain")
    }

    /// One scrape, parsed.
    pub fn scrape(&self) -> Exposition {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200, "{body}");
        Exposition::parse(&body)
    }

    /// Waits until exactly these units with this prefix have a sample in a family.
    #[track_caller]
    pub fn until_names(&self, family: &str, prefix: &str, wanted: &[&str]) {
        let wanted: BTreeSet<_> = wanted.iter().map(|&name| name.to_owned()).collect();
        until(&format!("{family} has {wanted:?}"), || {
            let found = self.scrape().names(family, prefix);
            if found == wanted { Ok(()) } else { Err(found) }
        });
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = match self.main {
            Some(main) => kill_process(main, Signal::KILL).map_err(Into::into),
            None => self.child.kill(),
        };
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the exporter's log:\n{}", self.log());
        }
    }
}

/// Polls a condition until it is `Ok`; panics with the last `Err` after [`PATIENCE`].
pub fn until<T, E: std::fmt::Debug>(what: &str, mut condition: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match condition() {
            Ok(value) => return value,
            Err(no) => assert!(Instant::now() < deadline, "waited in vain until {what}: {no:#?}"),
        }
        #[expect(clippy::disallowed_methods, reason = "a test may wait")]
        std::thread::sleep(Duration::from_millis(50));
    }
}
