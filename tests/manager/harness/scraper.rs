//! Scrapes throughout a test, as Prometheus would.

use std::{
    collections::BTreeMap,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Exporter,
    exposition::{self, Exposition, Key},
};

/// The time between an answer and the next scrape.
const PAUSE: Duration = Duration::from_millis(150);

/// The longest that a scrape may take. The exporter gives up after 9.7 s (`src/web/scrape.rs`);
/// the rest is for a busy machine.
const BOUND: Duration = Duration::from_secs(20);

/// Scrapes on a thread of its own until [`Scraper::finish`].
pub struct Scraper {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Record>,
}

/// What the scrapes returned.
#[derive(Debug, Default)]
pub struct Record {
    pub scrapes: usize,
    pub slowest: Duration,
    /// The longest time during which `systemd_up` was 0 in every scrape.
    pub longest_down: Duration,
    /// Resident memory in bytes: in the first scrape, and the maximum.
    pub resident: (f64, f64),
    failures: Vec<String>,
    /// The last value of each counter.
    counters: BTreeMap<Key, f64>,
    down_since: Option<Instant>,
}

// === impl Scraper ===

impl Scraper {
    pub fn of(exporter: &Exporter) -> Self {
        let (stop, stopped) = mpsc::channel();
        let address = exporter.address.clone();
        let thread = thread::spawn(move || {
            let mut record = Record::default();
            loop {
                record.scrape(&address);
                match stopped.recv_timeout(PAUSE) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return record,
                }
            }
        });
        Self { stop, thread }
    }

    /// Stops scraping. Every scrape must have been answered with 200 and in time, and no counter may
    /// have gone down.
    pub fn finish(self) -> Record {
        self.stop.send(()).expect("the scraper runs");
        let record = self.thread.join().expect("the scraper does not panic");
        println!(
            "{} scrapes, the slowest in {:.3} s; systemd_up was 0 for up to {:.1} s; resident \
             {:.1} MB at first, up to {:.1} MB",
            record.scrapes,
            record.slowest.as_secs_f64(),
            record.longest_down.as_secs_f64(),
            record.resident.0 / 1e6,
            record.resident.1 / 1e6,
        );
        assert!(record.failures.is_empty(), "{:#?}", record.failures);
        assert!(record.slowest < BOUND, "a scrape took {:?}", record.slowest);
        record
    }
}

// === impl Record ===

impl Record {
    /// The growth of resident memory in bytes.
    pub fn growth(&self) -> f64 {
        self.resident.1 - self.resident.0
    }

    fn scrape(&mut self, address: &str) {
        let began = Instant::now();
        let answer = exposition::try_get(address, "/metrics", "text/plain");
        let ended = Instant::now();
        self.scrapes += 1;
        self.slowest = self.slowest.max(ended - began);
        match answer {
            Ok((200, body)) => self.learn(&Exposition::parse(&body), ended),
            Ok((status, body)) => self.failures.push(format!("status {status}: {body}")),
            Err(error) => self.failures.push(error.to_string()),
        }
    }

    fn learn(&mut self, scrape: &Exposition, at: Instant) {
        match scrape.value("systemd_up", &[]) {
            Some(1.0) => self.down_since = None,
            _ => {
                let since = *self.down_since.get_or_insert(at);
                self.longest_down = self.longest_down.max(at - since);
            }
        }
        let resident = scrape.value("process_resident_memory_bytes", &[]).unwrap_or(0.0);
        if self.scrapes == 1 {
            self.resident.0 = resident;
        }
        self.resident.1 = self.resident.1.max(resident);
        let counters = scrape.0.iter().filter(|((name, _), _)| is_counter(name));
        for (key, value) in counters {
            let highest = self.counters.entry(key.clone()).or_insert(*value);
            if value < highest {
                self.failures.push(format!("{key:?} went down from {highest} to {value}"));
            }
            *highest = *value;
        }
    }
}

/// Whether a family only rises. The kernel's counters start from 0 with each run of a unit.
fn is_counter(family: &str) -> bool {
    let kernels = ["cpu_", "memory_", "io_", "pressure_"];
    let is_kernels = |of: &str| kernels.iter().any(|kernels| of.starts_with(kernels));
    let unit = family.strip_prefix("systemd_unit_");
    family.ends_with("_total") && !unit.is_some_and(is_kernels)
}
