//! The exporter with a fake bus, and a thread that scrapes it all along.

use std::{
    fs,
    process::Command,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    fake::Fake,
    harness::{Exporter, exposition::Exposition, until},
};

/// How long a scrape may take: the exporter's default limit of 9.5 s, and slack for a busy machine.
/// Beyond its limit the exporter answers with another status than 200.
const DEADLINE: Duration = Duration::from_secs(30);

/// The pause between two scrapes.
const PAUSE: Duration = Duration::from_millis(200);

/// How much more memory than at rest the exporter may take, in bytes.
pub const ALLOWANCE: u64 = 256 << 20;

/// An exporter that is scraped all along.
pub struct Scene {
    pub exporter: Arc<Exporter>,
    /// Its memory before the fault, in bytes.
    at_rest: u64,
    stop: mpsc::Sender<()>,
    scraper: Option<JoinHandle<Vec<f64>>>,
}

// === impl Scene ===

impl Scene {
    /// An exporter that watches this fake.
    pub fn watching(fake: &Fake) -> Self {
        Self::watching_with(fake, &[])
    }

    /// An exporter with more flags that watches this fake.
    pub fn watching_with(fake: &Fake, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
        command
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", fake.socket().display()))
            .env("XDG_RUNTIME_DIR", fake.directory())
            .args(["--systemd.collector.user", "--web.listen-address=127.0.0.1:0"])
            .args(flags);
        let exporter = Arc::new(Exporter::spawn(command));
        let at_rest = memory(&exporter, "VmRSS");
        let (stop, stopped) = mpsc::channel();
        let seen_by = Arc::clone(&exporter);
        let scraper = thread::spawn(move || scrape_until(&stopped, &seen_by));
        Self { exporter, at_rest, stop, scraper: Some(scraper) }
    }

    /// An exporter in sync with this fake.
    pub fn in_sync_with(fake: &Fake) -> Self {
        let mut scene = Self::watching(fake);
        scene.until_right(fake);
        scene.at_rest = memory(&scene.exporter, "VmRSS");
        scene
    }

    /// Waits until the exporter is up and exports the fake's units.
    pub fn until_right(&self, fake: &Fake) {
        until("all units are exported as they are", || {
            let scrape = self.exporter.scrape();
            match scrape.value("systemd_up", &[]) {
                Some(1.0) => fake.check(&scrape),
                other => Err(format!("systemd_up is {other:?}")),
            }
        });
    }

    /// Waits until `systemd_up` has this value.
    pub fn until_up_is(&self, value: f64) {
        until("systemd_up is right", || {
            let up = self.exporter.scrape().value("systemd_up", &[]);
            if up == Some(value) { Ok(()) } else { Err(up) }
        });
    }

    /// The value of a counter about the exporter itself.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.exporter.scrape().value(name, labels).unwrap_or(0.0)
    }

    /// Fails if the exporter ever took more memory than it may.
    pub fn check_size(&self) {
        let most = memory(&self.exporter, "VmHWM");
        let mebibytes = |bytes: u64| bytes >> 20;
        println!(
            "memory: {} MiB at rest, {} MiB at most",
            mebibytes(self.at_rest),
            mebibytes(most)
        );
        assert!(most < self.at_rest + ALLOWANCE, "{} MiB is too much", mebibytes(most));
    }

    /// Stops the scraping thread; the values of `systemd_up` that it saw.
    pub fn seen(mut self) -> Vec<f64> {
        let _ = self.stop.send(());
        let seen = self.scraper.take().unwrap().join();
        let seen = seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(!seen.is_empty(), "nothing was scraped");
        seen
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(scraper) = self.scraper.take() {
            let seen = scraper.join();
            // An earlier failure is reported instead.
            assert!(seen.is_ok() || thread::panicking(), "a scrape failed");
        }
    }
}

/// Sends each message to another exporter, which must read everything again over the same
/// connection.
pub async fn each_causes_a_resync(messages: &[Vec<u8>]) {
    let mut scenes = Vec::new();
    for message in messages {
        let fake = Fake::new(&[("a.service", "active"), ("b.service", "failed")]);
        let scene = Scene::in_sync_with(&fake);
        // Changed without a signal: only a resync finds it.
        fake.units().insert("a.service".to_owned(), "deactivating".to_owned());
        fake.line(0).await.say(message).await.unwrap();
        scenes.push((fake, scene));
    }
    for (number, (fake, scene)) in scenes.into_iter().enumerate() {
        println!("message {number}");
        scene.until_right(&fake);
        scene.check_size();
        let resyncs = scene.count("systemd_exporter_resyncs_total", &[("reason", "overflow")]);
        assert_eq!((resyncs, fake.connections()), (1.0, 1));
        assert!(scene.seen().is_sorted(), "in sync all along");
    }
}

fn scrape_until(stopped: &mpsc::Receiver<()>, exporter: &Exporter) -> Vec<f64> {
    let mut seen = Vec::new();
    let mut is_last = false;
    loop {
        let began = Instant::now();
        let (status, body) = exporter.get("/metrics");
        assert_eq!(status, 200, "{body}");
        assert!(began.elapsed() < DEADLINE, "a scrape took {:?}", began.elapsed());
        seen.push(Exposition::parse(&body).value("systemd_up", &[]).expect("systemd_up"));
        if is_last {
            return seen;
        }
        is_last = stopped.recv_timeout(PAUSE) != Err(mpsc::RecvTimeoutError::Timeout);
    }
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(exporter: &Exporter, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", exporter.pid()));
    let status = status.expect("the exporter runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_else(|| panic!("no {what} in {status}")) << 10
}
