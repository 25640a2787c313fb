//! Scrapes all through a test, so that it is known what a Prometheus would have seen.

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

/// How long after an answer the next scrape begins.
const PAUSE: Duration = Duration::from_millis(150);

/// No scrape may take longer. The exporter gives up after 9.7 s (`src/web/scrape.rs`); as much
/// again is for a busy machine.
const BOUND: Duration = Duration::from_secs(20);

/// Scrapes on a thread of its own until [`Scraper::finish`].
pub struct Scraper {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Record>,
}

/// What was seen meanwhile.
#[derive(Debug, Default)]
pub struct Record {
    pub scrapes: usize,
    pub slowest: Duration,
    /// The longest time during which every scrape said that `systemd_up` is 0.
    pub longest_down: Duration,
    /// Memory in RAM in bytes, with the first scrape and at most.
    pub resident: (f64, f64),
    failures: Vec<String>,
    /// The highest value of each counter.
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

    /// Ends the scraping. Every scrape must have been answered with 200, in time, and no counter
    /// may ever have gone down.
    pub fn finish(self) -> Record {
        self.stop.send(()).expect("the scraper runs");
        let record = self.thread.join().expect("the scraper does not panic");
        println!(
            "{} scrapes, the slowest in {:.3} s; systemd_up was 0 for {:.1} s at most; resident \
             {:.1} MB at first, {:.1} MB at most",
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
    /// By how many bytes the memory in RAM grew at most.
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

/// Whether it only rises. What the kernel counts begins anew with each run of a unit.
fn is_counter(family: &str) -> bool {
    let kernels = ["cpu_", "memory_", "io_", "pressure_"];
    let is_kernels = |of: &str| kernels.iter().any(|kernels| of.starts_with(kernels));
    let unit = family.strip_prefix("systemd_unit_");
    family.ends_with("_total") && !unit.is_some_and(is_kernels)
}
