//! The settings of one run: the flags and variables, checked and compiled. What uses them cannot
//! fail on user input.

use std::{
    num::{NonZeroUsize, ParseIntError},
    time::Duration,
};

use crate::{
    cli::{Args, Value},
    http::{AddressError, ListenAddress},
    log,
    metrics::group::{Group, Groups},
    scrape::ScrapeSettings,
    selection::{
        Selection,
        filter::{Pattern, Slices, Types},
        rollup::Rollups,
    },
    systemd::address::{Address, ManagerScope},
    watch::WatchSettings,
    web::WebSettings,
};

/// The settings of one run, in the parts that its modules take.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose manager is watched.
    pub scope: ManagerScope,
    /// Use systemd's private socket, without a D-Bus daemon.
    pub private: bool,
    /// What is watched, and how.
    pub watch: WatchSettings,
    /// What is served.
    pub scrape: ScrapeSettings,
    /// Where it is served.
    pub web: Web,
    /// What is logged, and how.
    pub log: log::Options,
}

/// Where the metrics are served.
#[derive(Clone, Debug)]
pub struct Web {
    /// The addresses to listen on; never empty.
    pub listen: Vec<ListenAddress>,
    /// Whether `listen` is the default, which the demo replaces.
    pub is_default_listen: bool,
    /// How requests are answered.
    pub settings: WebSettings,
}

/// A value that a flag or a variable cannot have; the text is one line.
#[derive(Debug, thiserror::Error)]
#[error("{flag_or_variable} {value:?}: {reason}")]
pub struct Invalid {
    flag_or_variable: String,
    value: String,
    reason: String,
}

/// The shortest reconcile interval: less would be polling.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The longest reconcile interval: only a reconcile corrects a change that no signal announced.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest retention: the counters of gone units stay in memory.
const MAX_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

// === impl Config ===

impl TryFrom<Args> for Config {
    type Error = Invalid;

    fn try_from(args: Args) -> Result<Self, Invalid> {
        // No effect, but checked: --collector.unit-events and --collector.ip switch what they enable
        // in systemd_exporter.
        switch(&args.enable_restart_count)?;
        switch(&args.enable_ip_accounting)?;
        let user = switch(&args.user)?;
        let scope = if user { ManagerScope::User } else { ManagerScope::System };
        let private = switch(&args.private)?;
        let groups = groups(&args)?;
        Ok(Self {
            scope,
            private,
            watch: WatchSettings {
                addresses: Address::to(scope, private),
                selection: Selection {
                    include: Some(parse(&args.unit_include, Pattern::new)?),
                    exclude: Some(parse(&args.unit_exclude, Pattern::new)?),
                    types: words(&args.unit_type, Types::read)?,
                    slices: words(&args.slice, Slices::read)?,
                    rollups: words(&args.sum, Rollups::read)?,
                },
                reconcile_interval: parse(&args.reconcile_interval, interval)?,
                retention: parse(&args.retention, retention)?,
                reads: groups.reads(),
            },
            scrape: ScrapeSettings {
                own_metrics: !switch(&args.disable_exporter_metrics)?,
                groups,
                max_series: parse(&args.max_series, limit)?,
                states: parse(&args.unit_state, str::parse)?,
            },
            web: Web {
                listen: listen_addresses(&args.listen_address)?,
                is_default_listen: args.listen_address.iter().all(Value::is_default),
                settings: WebSettings {
                    telemetry_path: parse(&args.telemetry_path, str::parse)?,
                    max_requests: parse(&args.max_requests, limit)?,
                },
            },
            log: log::Options {
                level: parse(&args.log_level, log::level)?,
                format: parse(&args.log_format, str::parse)?,
            },
        })
    }
}

// === impl Invalid ===

impl Invalid {
    fn new<E: ToString>(value: &Value, text: &str, reason: E) -> Self {
        let (flag_or_variable, reason) = (value.flag_or_variable(), reason.to_string());
        Self { flag_or_variable, value: text.to_owned(), reason }
    }
}

fn parse<T, E: ToString>(
    value: &Value,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Invalid> {
    parse(&value.text).map_err(|error| Invalid::new(value, &value.text, error))
}

fn switch(value: &Value) -> Result<bool, Invalid> {
    parse(value, |text| text.parse().map_err(|_| "must be true or false"))
}

/// Reads all words of a repeatable flag, with commas between the words of one value.
fn words<'a, T, E: ToString>(
    values: &'a [Value],
    read: impl FnOnce(Vec<&'a str>) -> Result<T, (&'a str, E)>,
) -> Result<T, Invalid> {
    let words = values.iter().flat_map(|value| value.text.split(',')).collect();
    read(words).map_err(|(word, error)| {
        // All values of a flag are from one source, so one of them is enough.
        let flag_or_variable = values.first().map(Value::flag_or_variable).unwrap_or_default();
        Invalid { flag_or_variable, value: word.to_owned(), reason: error.to_string() }
    })
}

fn groups(args: &Args) -> Result<Groups, Invalid> {
    let mut groups = Groups::NONE;
    for (group, value) in &args.collectors {
        if switch(value)? {
            groups = groups.with(*group);
        }
    }
    for value in &args.compat {
        for exporter in value.text.split(',') {
            if exporter != "node_exporter" {
                return Err(Invalid::new(value, exporter, "must be node_exporter"));
            }
            groups = groups.with(Group::NodeExporter);
        }
    }
    Ok(groups)
}

fn listen_addresses(values: &[Value]) -> Result<Vec<ListenAddress>, Invalid> {
    let mut addresses = Vec::new();
    for value in values {
        // A variable has one value only, so commas separate addresses there and nowhere else.
        for text in value.text.split(|c| c == ',' && value.is_from_environment()) {
            addresses.push(
                text.parse().map_err(|error| Invalid::new::<AddressError>(value, text, error))?,
            );
        }
    }
    Ok(addresses)
}

/// Reads a limit, of which 0 means none.
fn limit(text: &str) -> Result<Option<NonZeroUsize>, ParseIntError> {
    text.parse().map(NonZeroUsize::new)
}

/// Reads the reconcile interval.
fn interval(text: &str) -> Result<Duration, &'static str> {
    let interval = duration(text)?;
    let allowed = (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval);
    allowed.then_some(interval).ok_or("must be between 1s and 24h")
}

/// Reads the retention of gone units.
fn retention(text: &str) -> Result<Duration, &'static str> {
    let retention = duration(text)?;
    (retention <= MAX_RETENTION).then_some(retention).ok_or("must be between 0s and 24h")
}

/// Reads a duration as Prometheus writes it: `1h30m`, `5m`, `30s`.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "not a duration; write it like \"90s\", \"5m\" or \"1h30m\"";
    if text.is_empty() {
        return Err(FORM);
    }
    let mut seconds: u64 = 0;
    let mut rest = text;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or(FORM)?;
        let (number, tail) = rest.split_at(unit_at);
        let (unit, tail) = match tail.as_bytes() {
            [b'h', ..] => (3600, tail.get(1..)),
            [b'm', ..] => (60, tail.get(1..)),
            [b's', ..] => (1, tail.get(1..)),
            _ => return Err(FORM),
        };
        // Units must descend, each at most once: "1s1h" is probably a typo.
        if unit >= smallest {
            return Err(FORM);
        }
        smallest = unit;
        rest = tail.ok_or(FORM)?;
        let number: u64 = number.parse().map_err(|_| FORM)?;
        seconds = seconds.saturating_add(number.saturating_mul(unit));
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::{metrics::StateSeries, systemd::name::UnitName};

    fn config(line: &[&str]) -> Result<Config, Invalid> {
        let line = std::iter::once("unitwatch").chain(line.iter().copied());
        Config::try_from(Args::read(line.map(OsString::from)).unwrap())
    }

    #[test]
    fn the_defaults_are_a_valid_configuration() {
        let config = config(&[]).unwrap();
        let selection = config.watch.selection;
        let shows = |name| selection.name_passes(&UnitName::new(name).unwrap());
        assert!(shows("ssh.service") && !shows("sys-a.device"));
        assert_eq!(config.web.listen, [":9558".parse().unwrap()]);
        assert_eq!(config.web.settings.telemetry_path.as_str(), "/metrics");
        assert_eq!(config.web.settings.max_requests, NonZeroUsize::new(40));
        assert_eq!(config.watch.reconcile_interval, Duration::from_secs(300));
        assert_eq!(config.watch.retention, Duration::from_secs(900));
        assert_eq!(config.scrape.max_series, NonZeroUsize::new(100_000));
        assert!(config.scrape.own_metrics);
        assert!(!config.private && config.scope == ManagerScope::System);
        assert_eq!(config.scrape.groups, Groups::default());
        assert_eq!(selection.types, Types::all());
        assert!(selection.slices.is_any());
        assert_eq!(selection.rollups, Rollups::default());
        assert_eq!(config.scrape.states, StateSeries::Stateset);
    }

    #[test]
    fn each_group_has_a_switch() {
        for group in Group::ALL {
            let [on, off] = ["", "no-"].map(|no| config(&[&format!("--{no}{}", group.flag())]));
            assert_eq!(on.unwrap().scrape.groups, Groups::default().with(*group));
            assert_eq!(off.unwrap().scrape.groups, Groups::default().without(*group));
        }
    }

    #[test]
    fn compat_switches_a_group_on() {
        let groups = config(&["--compat=node_exporter"]).unwrap().scrape.groups;
        assert_eq!(groups, Groups::default().with(Group::NodeExporter));
    }

    #[test]
    fn types_may_be_in_one_flag_or_in_several() {
        for line in [
            &["--systemd.collector.unit-type=service,timer"][..],
            &["--systemd.collector.unit-type=timer", "--systemd.collector.unit-type=service"],
        ] {
            let types = config(line).unwrap().watch.selection.types;
            assert_eq!(types, Types::read(["service", "timer"]).unwrap(), "{line:?}");
        }
    }

    #[test]
    fn zero_means_no_limit() {
        assert_eq!(config(&["--web.max-requests=0"]).unwrap().web.settings.max_requests, None);
        assert_eq!(config(&["--max-series=0"]).unwrap().scrape.max_series, None);
    }

    #[test]
    fn a_comma_separates_in_the_variable_only() {
        let error = config(&["--web.listen-address=:1,:2"]).unwrap_err();
        assert!(error.to_string().starts_with("--web.listen-address \":1,:2\": "), "{error}");
    }

    #[test]
    fn retention_is_between_zero_and_a_day() {
        for (text, seconds) in [("0s", 0), ("0h0m0s", 0), ("15m", 900), ("24h", 86400)] {
            assert_eq!(retention(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["24h1s", "99999999999999999h"] {
            assert_eq!(retention(text), Err("must be between 0s and 24h"), "{text}");
        }
        for text in ["", "0", "1d"] {
            assert!(retention(text).unwrap_err().starts_with("not a duration"), "{text}");
        }
    }

    #[test]
    fn an_interval_is_a_duration_between_a_second_and_a_day() {
        for (text, seconds) in
            [("1s", 1), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h1m1s", 3661), ("24h", 86400)]
        {
            assert_eq!(interval(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["0s", "24h1s", "99999999999999999h", "18446744073709551615s"] {
            assert_eq!(interval(text), Err("must be between 1s and 24h"), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "+5m",
            "5 m",
            "1.5h",
            "5min",
            "1s1h",
            "1m1m",
            "1d",
            "500ms",
            "5µ",
            "99999999999999999999s",
        ] {
            assert!(interval(text).unwrap_err().starts_with("not a duration"), "{text}");
        }
    }
}
