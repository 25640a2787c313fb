//! Counters outlive the exporter: over a restart, a kill and a new boot, with a state file that
//! is whole, damaged or cannot be written.

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

/// A service that fails and is restarted for as long as the test likes.
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

    /// How often systemd has restarted it since it was started by hand.
    fn restarts(&self) -> f64 {
        let said = self.0.must(&["show", "--value", "--property=NRestarts", NAME]);
        said.trim().parse().unwrap()
    }

    fn until_restarted(&self, more: f64) {
        let goal = self.restarts() + more;
        until("it has been restarted some more", || {
            let now = self.restarts();
            if now >= goal { Ok(()) } else { Err(now) }
        });
    }

    /// Lets it succeed, and waits until the exporter has counted all of it: each restart begins a
    /// run besides the first one, and each run but the last one has failed.
    fn end(self, exporter: &Exporter) {
        fs::write(self.0.runtime_dir().join("us-stay"), "").unwrap();
        until("it stays", || {
            let words = ["show", "--property=MainPID", "--value", NAME];
            let pid = self.0.must(&words);
            let name = fs::read_to_string(format!("/proc/{}/comm", pid.trim()));
            let stays = name.is_ok_and(|name| name == "sleep\n");
            if stays { Ok(()) } else { Err(pid) }
        });
        let restarted = self.restarts();
        until("all of it is counted", || {
            let scrape = exporter.scrape();
            let counted = [restarts(&scrape), starts(&scrape), failures(&scrape)];
            let there_was = [restarted, restarted + 1.0, restarted];
            if counted == there_was { Ok(()) } else { Err((counted, there_was)) }
        });
        self.0.must(&["stop", NAME]);
    }
}

/// An exporter that keeps its state here, and is ready.
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

/// The only file there, which is the state file.
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

/// Whatever becomes of the exporter meanwhile: what it counts in the end is what there was.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_outlives_the_exporter_is_counted_in_full() {
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

/// What was written last is at most one interval old, and what systemd remembers is made good.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing_that_systemd_remembers() {
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
async fn units_that_are_gone_and_the_hosts_totals_are_kept() {
    let machine = Machine::start().await;
    let state = tempfile::tempdir().unwrap();
    let running = exporter(&machine, state.path());
    machine.run(&["--unit=us-gone", "--collect", "--wait", "/bin/true"]);
    machine.must(&["daemon-reload"]);
    let told = |scrape: &Exposition| {
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
    until("it is all over", || {
        let scrape = running.scrape();
        let labels = [("name", "us-gone.service"), ("type", "service")];
        let started = scrape.value("systemd_unit_starts_total", &labels);
        let reloaded = scrape.value("systemd_reloads_total", &[]);
        let over = (started, reloaded) == (Some(1.0), Some(1.0));
        if over { Ok(()) } else { Err((started, reloaded)) }
    });
    let before = told(&running.scrape());
    running.end(Signal::TERM);
    let running = exporter(&machine, state.path());
    until("it is all told again", || {
        let after = told(&running.scrape());
        // What goes on by itself may only have risen.
        let risen = |key: &(_, f64)| after.0.iter().any(|it| it.0 == key.0 && it.1 >= key.1);
        let same = before.0.iter().all(risen) && after.1 == before.1 && after.2 >= before.2;
        if same { Ok(()) } else { Err((before.clone(), after)) }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_cannot_be_used_is_set_aside() {
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
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
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
            let said = log.contains("level=warn") && log.contains("is unusable and set aside");
            if said { Ok(()) } else { Err(format!("{what}: {log}")) }
        });
        let aside = state.path().join(format!("{}.damaged", path.file_name().unwrap().display()));
        assert_eq!(fs::read(&aside).unwrap(), damaged, "{what}");
        assert_eq!(running.scrape().value("systemd_reloads_total", &[]), Some(0.0), "{what}");
        running.end(Signal::KILL);
    }

    // Of another boot it is nothing to warn of, and over.
    fs::remove_file(state.path().join("counters-user.json.gz.damaged")).unwrap_or_default();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    pack(&path, &text.replace(boot.trim(), "another"));
    let running = exporter(&machine, state.path());
    assert_eq!(running.scrape().value("systemd_reloads_total", &[]), Some(0.0));
    assert!(!running.log().contains("level=warn"), "{}", running.log());
    running.end(Signal::KILL);

    // And the whole one is still good.
    fs::write(&path, &whole).unwrap();
    let running = exporter(&machine, state.path());
    assert_eq!(running.scrape().value("systemd_reloads_total", &[]), Some(1.0));
}

/// A disk that is full is a warning and a metric; what was kept before is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_survived() {
    let machine = Machine::start().await;
    let state = tempfile::tempdir().unwrap();
    let mut command = machine.command("unshare");
    let run = "mount -t tmpfs -o size=64k unitwatch \"$STATE_DIRECTORY\" && exec \"$@\"";
    command.args(["--mount", "sh", "-c", run, "sh", env!("CARGO_BIN_EXE_unitwatch")]);
    command.args(machine.is_private().then_some("--systemd.collector.user"));
    command.arg("--web.listen-address=127.0.0.1:0").env("STATE_DIRECTORY", state.path());
    let running = Exporter::spawn(command);
    running.until_ready();
    // Only the exporter sees its disk; it is the process that was `unshare`.
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
    assert_eq!(running.log().matches("counters are not kept").count(), 1, "{}", running.log());
    assert_eq!(running.scrape().value("systemd_up", &[]), Some(1.0));
    let left: Vec<_> = fs::read_dir(&disk).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["filler"], "nothing half written is left");

    fs::remove_file(&filler).unwrap();
    until("it is written again", || {
        let log = running.log();
        if log.contains("counters are kept again") { Ok(()) } else { Err(log) }
    });
    fails.end(&running);
}

#[test]
fn without_a_state_directory_the_log_says_what_that_means() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
    command.env_remove("STATE_DIRECTORY").arg("--web.listen-address=127.0.0.1:0");
    let running = Exporter::spawn(command);
    let log = running.log();
    assert!(log.contains("counters begin at zero with each start"), "{log}");
    assert_eq!(running.scrape().value("systemd_exporter_state_errors_total", &[]), None);
}
