//! Counters outlive the exporter: across a restart and a kill, with a state file that is complete,
//! damaged, of another boot, or cannot be written.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::{Exporter, Machine, exposition::Exposition, until};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use rustix::process::Signal;
use tempfile::TempDir;

const NAME: &str = "us-loop.service";

/// A service that fails and is restarted until the test ends it.
struct Loop<'m>(&'m Machine);

impl<'m> Loop<'m> {
    fn start(machine: &'m Machine) -> Self {
        let _ = fs::remove_file(machine.runtime_dir().join("us-stay"));
        let text = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=on-failure\n\
                    RestartSec=50ms\nExecStart=/bin/sh -c '[ -e %t/us-stay ] && exec sleep 999'\n";
        machine.write(NAME, text);
        machine.must(&["daemon-reload"]);
        machine.must(&["start", NAME]);
        Self(machine)
    }

    /// How often systemd has restarted it since its manual start.
    fn restarts(&self) -> f64 {
        let said = self.0.must(&["show", "--value", "--property=NRestarts", NAME]);
        said.trim().parse().unwrap()
    }

    fn until_restarted(&self, more: f64) {
        let goal = self.restarts() + more;
        until("it has been restarted more often", || {
            let now = self.restarts();
            if now >= goal { Ok(()) } else { Err(now) }
        });
    }

    /// Lets it succeed, and waits until the exporter has counted all of it: with each restart one more
    /// start, and one failure for each run except the last.
    fn end(self, exporter: &Exporter) {
        fs::write(self.0.runtime_dir().join("us-stay"), "").unwrap();
        until("it keeps running", || {
            let pid = self.0.must(&["show", "--property=MainPID", "--value", NAME]);
            let name = fs::read_to_string(format!("/proc/{}/comm", pid.trim()));
            let runs = name.is_ok_and(|name| name == "sleep\n");
            if runs { Ok(()) } else { Err(pid) }
        });
        let restarted = self.restarts();
        until("all of it is counted", || {
            let scrape = exporter.scrape();
            let counted = [restarts(&scrape), starts(&scrape), failures(&scrape)];
            let happened = [restarted, restarted + 1.0, restarted];
            if counted == happened { Ok(()) } else { Err((counted, happened)) }
        });
        self.0.must(&["stop", NAME]);
    }
}

/// A ready exporter with this state directory.
fn exporter(machine: &Machine, state: &Path) -> Exporter {
    let mut command = machine.command(env!("CARGO_BIN_EXE_unitwatch"));
    if machine.is_private() {
        command.arg("--systemd.collector.user");
    }
    command.arg("--web.listen-address=127.0.0.1:0").env("STATE_DIRECTORY", state);
    let exporter = Exporter::spawn(command);
    exporter.until_ready();
    exporter
}

/// The state file: the only file in the directory.
fn file(state: &TempDir) -> PathBuf {
    let files: Vec<_> = fs::read_dir(state).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    file.clone()
}

fn unpack(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn pack(path: &Path, text: &str) {
    let mut packed = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap();
}

fn starts(scrape: &Exposition) -> f64 {
    let labels = [("name", NAME), ("type", "service")];
    scrape.value("systemd_unit_starts_total", &labels).unwrap_or(0.0)
}

fn restarts(scrape: &Exposition) -> f64 {
    scrape.value("systemd_service_restart_total", &[("name", NAME)]).unwrap_or(0.0)
}

fn failures(scrape: &Exposition) -> f64 {
    let of_unit = scrape.of("systemd_unit_failures_total").filter(|(it, _)| it["name"] == NAME);
    of_unit.map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_exporter_loses_no_counts() {
    let machine = Machine::start().await;
    let state = tempfile::tempdir().unwrap();
    let mut running = exporter(&machine, state.path());
    let fails = Loop::start(&machine);
    fails.until_restarted(5.0);
    for signal in [Signal::TERM, Signal::INT, Signal::TERM] {
        running.end(signal);
        fails.until_restarted(5.0);
        running = exporter(&machine, state.path());
        fails.until_restarted(5.0);
    }
    fails.end(&running);
    assert_eq!(running.scrape().sum("systemd_exporter_state_errors_total"), 0.0);
}

/// The file is at most one interval old, and the exporter counts what systemd still reports.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing_that_systemd_still_reports() {
    let machine = Machine::start().await;
    let state = tempfile::tempdir().unwrap();
    let running = exporter(&machine, state.path());
    let fails = Loop::start(&machine);
    until("the state has been written", || match fs::read_dir(state.path()).unwrap().next() {
        Some(_) => Ok(()),
        None => Err("nothing there"),
    });
    fails.until_restarted(5.0);
    running.end(Signal::KILL);
    fails.until_restarted(5.0);
    let running = exporter(&machine, state.path());
    fails.end(&running);
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_of_gone_units_and_of_the_host_survive_a_restart() {
    let machine = Machine::start().await;
    let state = tempfile::tempdir().unwrap();
    let running = exporter(&machine, state.path());
    machine.run(&["--unit=us-gone", "--collect", "--wait", "/bin/true"]);
    machine.must(&["daemon-reload"]);
    let counters = |scrape: &Exposition| {
        let kept = |name: &str| {
            [
                "systemd_unit_",
                "systemd_transitions_",
                "systemd_failures_",
                "systemd_restarts_",
                "systemd_jobs_c",
            ]
            .iter()
            .any(|prefix| name.starts_with(prefix) && name.ends_with("_total"))
        };
        let kept = scrape.0.iter().filter(|((name, _), _)| kept(name));
        let reloads = scrape.value("systemd_reloads_total", &[]);
        let jobs = scrape.sum("systemd_job_duration_seconds_count");
        (kept.map(|(key, value)| (key.clone(), *value)).collect::<Vec<_>>(), reloads, jobs)
    };
    until("the unit and the reload are counted", || {
        let scrape = running.scrape();
        let labels = [("name", "us-gone.service"), ("type", "service")];
        let started = scrape.value("systemd_unit_starts_total", &labels);
        let reloaded = scrape.value("systemd_reloads_total", &[]);
        let over = (started, reloaded) == (Some(1.0), Some(1.0));
        if over { Ok(()) } else { Err((started, reloaded)) }
    });
    let before = counters(&running.scrape());
    running.end(Signal::TERM);
    let running = exporter(&machine, state.path());
    until("all counters are there again", || {
        let after = counters(&running.scrape());
        // Other units on the host may have made a counter rise.
        let risen = |key: &(_, f64)| after.0.iter().any(|it| it.0 == key.0 && it.1 >= key.1);
        let same = before.0.iter().all(risen) && after.1 == before.1 && after.2 >= before.2;
        if same { Ok(()) } else { Err((before.clone(), after)) }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_state_file_is_set_aside() {
    let machine = Machine::start().await;
    let state = tempfile::tempdir().unwrap();
    let running = exporter(&machine, state.path());
    machine.must(&["daemon-reload"]);
    until("the reload is counted", || match running.scrape().value("systemd_reloads_total", &[]) {
        Some(1.0) => Ok(()),
        other => Err(other),
    });
    running.end(Signal::TERM);
    let path = file(&state);
    let (whole, text) = (fs::read(&path).unwrap(), unpack(&path));
    assert!(text.starts_with(r#"{"version":1,"boot_id":""#), "{text}");
    let middle = whole.len() / 2;
    // In the checksum, the first half of the last eight bytes. Elsewhere a flipped bit may unpack to
    // the same text, as a distance to another copy of the same bytes does.
    let mut flipped = whole.clone();
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    let versions = text.replacen("\"version\":1", "\"version\":99", 1);

    let cases: [(&str, &dyn Fn()); 6] = [
        ("cut short", &|| fs::write(&path, &whole[..middle]).unwrap()),
        ("a bit flipped", &|| fs::write(&path, &flipped).unwrap()),
        ("empty", &|| fs::write(&path, "").unwrap()),
        ("not packed", &|| fs::write(&path, &text).unwrap()),
        ("something else", &|| pack(&path, &text.replace("\"units\"", "\"unites\""))),
        ("of another version", &|| pack(&path, &versions)),
    ];
    for (what, damage) in cases {
        damage();
        let damaged = fs::read(&path).unwrap();
        let running = exporter(&machine, state.path());
        until("the log says so", || {
            let log = running.log();
            let said = log.contains("level=warn") && log.contains("is unusable and was set aside");
            if said { Ok(()) } else { Err(format!("{what}: {log}")) }
        });
        let aside = state.path().join(format!("{}.damaged", path.file_name().unwrap().display()));
        assert_eq!(fs::read(&aside).unwrap(), damaged, "{what}");
        assert_eq!(running.scrape().value("systemd_reloads_total", &[]), Some(0.0), "{what}");
        running.end(Signal::KILL);
    }

    // A file of another boot is ignored without a warning.
    fs::remove_file(state.path().join("counters-user.json.gz.damaged")).unwrap_or_default();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    pack(&path, &text.replace(boot.trim(), "another"));
    let running = exporter(&machine, state.path());
    assert_eq!(running.scrape().value("systemd_reloads_total", &[]), Some(0.0));
    assert!(!running.log().contains("level=warn"), "{}", running.log());
    running.end(Signal::KILL);

    // The undamaged one is still read.
    fs::write(&path, &whole).unwrap();
    let running = exporter(&machine, state.path());
    assert_eq!(running.scrape().value("systemd_reloads_total", &[]), Some(1.0));
}

/// A full disk is a warning and a metric, and the exporter goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_no_counts() {
    let machine = Machine::start().await;
    let state = tempfile::tempdir().unwrap();
    let mut command = machine.command("unshare");
    let run = "mount -t tmpfs -o size=64k unitwatch \"$STATE_DIRECTORY\" && exec \"$@\"";
    command.args(["--mount", "sh", "-c", run, "sh", env!("CARGO_BIN_EXE_unitwatch")]);
    command.args(machine.is_private().then_some("--systemd.collector.user"));
    command.arg("--web.listen-address=127.0.0.1:0").env("STATE_DIRECTORY", state.path());
    let running = Exporter::spawn(command);
    running.until_ready();
    // The disk is in the mount namespace of the exporter, which has the PID of `unshare`.
    let disk = PathBuf::from(format!(
        "/proc/{}/root{}",
        running.pid().as_raw_nonzero(),
        state.path().display()
    ));
    let filler = disk.join("filler");
    let full = fs::write(&filler, vec![1; 1024 * 1024]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

    let fails = Loop::start(&machine);
    let errors = || running.scrape().value("systemd_exporter_state_errors_total", &[]);
    until("it could not be written twice", || match errors() {
        Some(errors) if errors >= 2.0 => Ok(()),
        other => Err(other),
    });
    assert_eq!(running.log().matches("counters are not saved").count(), 1, "{}", running.log());
    assert_eq!(running.scrape().value("systemd_up", &[]), Some(1.0));
    let left: Vec<_> = fs::read_dir(&disk).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["filler"], "no temporary file is left");

    fs::remove_file(&filler).unwrap();
    until("it is written again", || {
        let log = running.log();
        if log.contains("counters are saved again") { Ok(()) } else { Err(log) }
    });
    fails.end(&running);
}

#[test]
fn without_a_state_directory_the_log_says_that_counters_are_not_kept() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
    command.env_remove("STATE_DIRECTORY").arg("--web.listen-address=127.0.0.1:0");
    let running = Exporter::spawn(command);
    let log = running.log();
    assert!(log.contains("counters are not kept across restarts"), "{log}");
    assert_eq!(running.scrape().value("systemd_exporter_state_errors_total", &[]), None);
}
