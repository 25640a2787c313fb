//! Crash loops whose services count their own runs in files.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::{Exporter, Machine, exposition::Exposition, until};

/// Each kind of crash loop: its name, its `Restart=` setting, how a run ends, and the `Result` of a
/// run that fails.
const KINDS: [(&str, &str, &str, Option<&str>); 4] = [
    ("uw-fails", "Restart=on-failure", "exit 1", Some("exit-code")),
    ("uw-dies", "Restart=on-failure", "kill -9 $$$$", Some("signal")),
    ("uw-ends", "Restart=always", "exit 0", None),
    // Before systemd 254 RestartMode= is unknown, and this is like the first one.
    ("uw-direct", "Restart=on-failure\nRestartMode=direct", "exit 1", Some("exit-code")),
];

/// Crash loops of all kinds, stopped on drop.
pub struct Storm<'a> {
    machine: &'a Machine,
    names: Vec<String>,
}

/// What happened to one service: by its own files and systemd, or by the exporter's counters.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    pub runs: f64,
    /// `NRestarts`.
    pub restarts: f64,
    /// Failed runs by `Result`.
    pub failures: BTreeMap<String, f64>,
}

/// What happened to each service.
pub type Tallies = BTreeMap<String, Tally>;

/// What an exporter can know of a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was connected all the time.
    Everything,
    /// It was not. The number of runs in a gap is known, but not how they failed.
    WithGaps {
        /// The number of daemon-reexecs in a gap. Each may count a pending restart twice, which the
        /// exporter then takes for two runs.
        reexecs: u32,
    },
}

// === impl Storm ===

impl<'a> Storm<'a> {
    /// Starts this many crash loops.
    pub fn brew(machine: &'a Machine, count: usize) -> Self {
        // However many there are, all together crash less than 40 times a second: systemd reads D-Bus
        // last, and faster storms leave it no time for that on a slow machine.
        let pause = 25 * count;
        for (name, restart, end, _) in KINDS {
            // Each run appends a byte to the unit's own file. Once the directory `calm` exists the
            // next run leaves a file there and stays up.
            let text = format!(
                "[Unit]\nStartLimitIntervalSec=0\n[Service]\n{restart}\nRestartSec={pause}ms\n\
                 ExecStart=/bin/sh -c 'cd %t/uw-storm; echo >>%n; \
                 [ ! -e calm ] || {{ echo >calm/%n; exec sleep infinity; }}; {end}'\n"
            );
            machine.write(&format!("{name}@.service"), &text);
        }
        machine.must(&["daemon-reload"]);
        let kinds = KINDS.iter().map(|(name, ..)| name).cycle().take(count).enumerate();
        let names = kinds.map(|(at, name)| format!("{name}@{at}.service")).collect();
        let storm = Self { machine, names };
        let _ = fs::remove_dir_all(storm.ledger());
        fs::create_dir(storm.ledger()).unwrap();
        storm.systemctl(&["--no-block", "start"]);
        storm
    }

    /// Whether this is one of the services.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|it| it == name)
    }

    fn ledger(&self) -> PathBuf {
        self.machine.runtime_dir().join("uw-storm")
    }

    fn systemctl(&self, words: &[&str]) -> String {
        let names = self.names.iter().map(String::as_str);
        self.machine.must(&words.iter().copied().chain(names).collect::<Vec<_>>())
    }

    /// The number of runs of each service so far.
    fn runs(&self) -> BTreeMap<String, u64> {
        let runs = |name: &String| fs::metadata(self.ledger().join(name)).map_or(0, |it| it.len());
        self.names.iter().map(|name| (name.clone(), runs(name))).collect()
    }

    /// Waits until every service has run this many times more.
    pub fn until_more(&self, runs: u64) {
        let before = self.runs();
        until("every service has crashed some more", || {
            let late: Vec<_> =
                self.runs().into_iter().filter(|(name, now)| *now < before[name] + runs).collect();
            if late.is_empty() { Ok(()) } else { Err(late) }
        });
    }

    /// Makes every service stay up from its next start on, and returns what has happened to each,
    /// from its own file and from systemd.
    pub fn calm(&self) -> Tallies {
        let calm = self.ledger().join("calm");
        fs::create_dir(&calm).unwrap();
        until("every service stays up", || {
            let late: Vec<_> = self.names.iter().filter(|name| !calm.join(name).exists()).collect();
            if late.is_empty() {
                Ok(())
            } else {
                Err(late.into_iter().cloned().collect::<Vec<_>>())
            }
        });
        let said = self.systemctl(&["show", "--property=Id,NRestarts"]);
        let said = said.split("\n\n").map(|unit| {
            let value = |name| unit.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            (value("Id=").to_owned(), value("NRestarts=").parse().unwrap())
        });
        let restarts: BTreeMap<String, f64> = said.collect();
        let tally = |(name, runs): (String, u64)| {
            let (restarts, runs) = (restarts[&name], runs as f64);
            // The last run has not ended.
            let failures = result(&name).map(|result| (result.to_owned(), runs - 1.0));
            (name, Tally { runs, restarts, failures: failures.into_iter().collect() })
        };
        self.runs().into_iter().map(tally).collect()
    }

    /// Ends the storm and waits until each exporter has counted exactly what happened. The
    /// exporters must have been started before it.
    pub fn until_counted<'e>(
        &self,
        exporters: impl IntoIterator<Item = &'e Exporter>,
        heard: Heard,
    ) {
        let happened = self.calm();
        for exporter in exporters {
            until("the exporter has counted it all", || {
                let scrape = exporter.scrape();
                let wrong: Vec<_> = happened
                    .iter()
                    .map(|(name, tally)| (name, tally, counted(&scrape, name)))
                    .filter(|(_, tally, counted)| !is_right(counted, tally, heard))
                    .collect();
                if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:#?}")) }
            });
            let scrape = exporter.scrape();
            let failures = happened.keys().map(|name| counted(&scrape, name).failures);
            let failures: f64 = failures.flat_map(BTreeMap::into_values).sum();
            let wanted = happened.values().flat_map(|tally| tally.failures.values());
            println!("{failures} of {} failures counted", wanted.sum::<f64>());
        }
        let restarts: f64 = happened.values().map(|tally| tally.restarts).sum();
        let runs: f64 = happened.values().map(|tally| tally.runs).sum();
        println!("{runs} runs of {} services, {restarts} restarts, all counted", happened.len());
    }
}

impl Drop for Storm<'_> {
    fn drop(&mut self) {
        // After a failed test this may fail too.
        for word in ["stop", "reset-failed"] {
            let names = self.names.iter().map(String::as_str);
            self.machine.systemctl(&[word].into_iter().chain(names).collect::<Vec<_>>());
        }
    }
}

/// The `Result` of a failing service's runs.
fn result(name: &str) -> Option<&'static str> {
    KINDS.iter().find(|(kind, ..)| name.starts_with(kind)).and_then(|(.., result)| *result)
}

/// What an exporter has counted for one service.
fn counted(scrape: &Exposition, name: &str) -> Tally {
    let both = [("name", name), ("type", "service")];
    let failures = scrape.of("systemd_unit_failures_total");
    let failures = failures.filter(|(labels, _)| labels["name"] == name);
    Tally {
        runs: scrape.value("systemd_unit_starts_total", &both).unwrap_or(f64::NAN),
        restarts: scrape.value("systemd_service_restart_total", &both[..1]).unwrap_or(f64::NAN),
        failures: failures.map(|(labels, count)| (labels["result"].clone(), count)).collect(),
    }
}

fn is_right(counted: &Tally, happened: &Tally, heard: Heard) -> bool {
    match heard {
        Heard::Everything => counted == happened,
        Heard::WithGaps { reexecs } => {
            let slack = f64::from(reexecs);
            let ended = happened.runs - 1.0 + slack;
            let known = counted.failures.iter().filter(|(result, _)| *result != "unknown");
            counted.restarts == happened.restarts
                && (counted.runs - happened.runs).abs() <= slack
                && counted.failures.values().sum::<f64>() <= ended
                && known.into_iter().all(|(result, count)| {
                    happened.failures.get(result).is_some_and(|most| count <= most)
                })
        }
    }
}
