//! What the user asked for, checked and compiled: nothing that follows fails on their input.

use std::{num::NonZeroUsize, time::Duration};

use crate::{
    cli::{Args, flag},
    http::ListenAddress,
    log::{self, Level},
    metrics::{
        StateSeries,
        group::{Group, Groups},
    },
    scrape,
    selection::{
        Selection,
        filter::{Pattern, Slices, Types},
        rollup::Rollups,
    },
    systemd::address::ManagerScope,
    web::TelemetryPath,
};

/// The settings of one run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which units are shown.
    pub selection: Selection,
    /// Use systemd's private socket, without a D-Bus daemon.
    pub private: bool,
    /// Watch the user's manager instead of the system's.
    pub user: bool,
    /// How often the whole table is compared with systemd: 1 s to 24 h.
    pub reconcile_interval: Duration,
    /// Which series tell the state of a unit.
    pub states: StateSeries,
    /// Which groups of metrics are served.
    pub groups: Groups,
    /// How long the series of a unit that is gone stay: up to 24 h.
    pub retention: Duration,
    /// How many series of one family there may be; `None` sets no limit.
    pub max_series: Option<NonZeroUsize>,
    /// Serve the metrics about the exporter itself.
    pub exporter_metrics: bool,
    /// Where to listen; never empty.
    pub listen: Vec<ListenAddress>,
    /// Whether that is somebody's choice and not the default, which the demo departs from.
    pub listens_by_choice: bool,
    /// Where the metrics are.
    pub telemetry_path: TelemetryPath,
    /// How many scrapes are answered at a time; `None` sets no limit.
    pub max_requests: Option<NonZeroUsize>,
    /// What is logged, and how.
    pub log: log::Options,
}

/// A value that a flag or a variable cannot have; the text is one line.
#[derive(Debug, thiserror::Error)]
#[error("{spelling} {value:?}: {reason}")]
pub struct Invalid {
    spelling: String,
    value: String,
    reason: String,
}

/// The shortest reconcile interval: less would be polling.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The longest reconcile interval: more would leave a mistake standing for days.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest retention: more would be a database.
const MAX_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

// === impl Config ===

impl Config {
    /// Whose manager is watched.
    pub fn scope(&self) -> ManagerScope {
        if self.user { ManagerScope::User } else { ManagerScope::System }
    }

    /// What of all that is known is served.
    pub fn served(&self) -> scrape::ScrapeSettings {
        scrape::ScrapeSettings {
            own_metrics: self.exporter_metrics,
            groups: self.groups,
            max_series: self.max_series,
            states: self.states,
        }
    }
}

impl TryFrom<Args> for Config {
    type Error = Invalid;

    fn try_from(args: Args) -> Result<Self, Invalid> {
        let checked = Checker(&args);
        // Accepted for systemd_exporter's sake; what they switch on is always on.
        checked.switch(flag::RESTART_COUNT, &args.enable_restart_count)?;
        checked.switch(flag::IP_ACCOUNTING, &args.enable_ip_accounting)?;
        Ok(Self {
            selection: Selection {
                include: Some(checked.value(
                    flag::UNIT_INCLUDE,
                    &args.unit_include,
                    Pattern::new,
                )?),
                exclude: Some(checked.value(
                    flag::UNIT_EXCLUDE,
                    &args.unit_exclude,
                    Pattern::new,
                )?),
                types: checked.types()?,
                slices: checked.slices()?,
                rollups: checked.rollups()?,
            },
            private: checked.switch(flag::PRIVATE, &args.private)?,
            user: checked.switch(flag::USER, &args.user)?,
            reconcile_interval: checked.value(
                flag::RECONCILE_INTERVAL,
                &args.reconcile_interval,
                interval,
            )?,
            states: checked.value(flag::UNIT_STATE, &args.unit_state, str::parse::<StateSeries>)?,
            groups: checked.groups()?,
            retention: checked.value(flag::RETENTION, &args.retention, retention)?,
            max_series: checked
                .value(flag::MAX_SERIES, &args.max_series, str::parse::<usize>)
                .map(NonZeroUsize::new)?,
            exporter_metrics: !checked
                .switch(flag::DISABLE_EXPORTER_METRICS, &args.disable_exporter_metrics)?,
            listen: checked.listen_addresses()?,
            listens_by_choice: args.listens_by_choice,
            telemetry_path: checked.value(
                flag::TELEMETRY_PATH,
                &args.telemetry_path,
                str::parse::<TelemetryPath>,
            )?,
            max_requests: checked
                .value(flag::MAX_REQUESTS, &args.max_requests, str::parse::<usize>)
                .map(NonZeroUsize::new)?,
            log: log::Options {
                level: checked.value(flag::LOG_LEVEL, &args.log_level, str::parse::<Level>)?,
                format: checked.value(
                    flag::LOG_FORMAT,
                    &args.log_format,
                    str::parse::<log::LogFormat>,
                )?,
            },
        })
    }
}

/// Turns values into what they mean, and blames the flag or the variable when they mean nothing.
struct Checker<'a>(&'a Args);

impl Checker<'_> {
    fn value<T, E: ToString>(
        &self,
        flag: &str,
        value: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Invalid> {
        parse(value).map_err(|error| Invalid {
            spelling: self.0.spelling(flag),
            value: value.to_owned(),
            reason: error.to_string(),
        })
    }

    fn switch(&self, flag: &str, value: &str) -> Result<bool, Invalid> {
        self.value(flag, value, |value| value.parse().map_err(|_| "must be true or false"))
    }

    fn types(&self) -> Result<Types, Invalid> {
        let words = self.0.unit_type.iter().flat_map(|value| value.split(','));
        Types::read(words)
            .or_else(|(word, error)| self.value(flag::UNIT_TYPE, word, |_| Err(error)))
    }

    fn slices(&self) -> Result<Slices, Invalid> {
        let words = self.0.slice.iter().flat_map(|value| value.split(','));
        Slices::read(words).or_else(|(word, error)| self.value(flag::SLICE, word, |_| Err(error)))
    }

    fn rollups(&self) -> Result<Rollups, Invalid> {
        let words = self.0.sum.iter().flat_map(|value| value.split(','));
        Rollups::read(words).or_else(|(word, error)| self.value(flag::SUM, word, |_| Err(error)))
    }

    fn groups(&self) -> Result<Groups, Invalid> {
        let mut groups = Groups::NONE;
        for (group, value) in &self.0.collectors {
            if self.switch(&group.flag(), value)? {
                groups = groups.with(*group);
            }
        }
        for exporter in self.0.compat.iter().flat_map(|value| value.split(',')) {
            let group = self.value(flag::COMPAT, exporter, |exporter| match exporter {
                "node_exporter" => Ok(Group::NodeExporter),
                _ => Err("must be node_exporter"),
            })?;
            groups = groups.with(group);
        }
        Ok(groups)
    }

    fn listen_addresses(&self) -> Result<Vec<ListenAddress>, Invalid> {
        let given = self.0.listen_address.iter().map(String::as_str);
        // A variable cannot be given twice, so it is the one place where a comma separates.
        let in_variable = self.0.is_from_environment(flag::LISTEN_ADDRESS);
        let separate = |address: char| in_variable && address == ',';
        given
            .flat_map(|value| value.split(separate))
            .map(|address| self.value(flag::LISTEN_ADDRESS, address, str::parse::<ListenAddress>))
            .collect()
    }
}

/// Reads how often to reconcile.
fn interval(text: &str) -> Result<Duration, &'static str> {
    let interval = duration(text)?;
    let allowed = (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval);
    allowed.then_some(interval).ok_or("must be between 1s and 24h")
}

/// Reads how long to keep what is gone.
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
        // From the largest unit down and each but once: "1s1h" is a slip.
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
    use crate::{metrics::group::Group, systemd::name::UnitName};

    fn config(line: &[&str]) -> Result<Config, Invalid> {
        let line = std::iter::once("unitwatch").chain(line.iter().copied());
        Config::try_from(Args::read(line.map(OsString::from)).unwrap())
    }

    #[test]
    fn the_defaults_are_a_valid_configuration() {
        let config = config(&[]).unwrap();
        let shows = |name| config.selection.may_show(&UnitName::new(name).unwrap());
        assert!(shows("ssh.service") && !shows("sys-a.device"));
        assert_eq!(config.listen, [":9558".parse().unwrap()]);
        assert_eq!(config.telemetry_path.as_str(), "/metrics");
        assert_eq!(config.max_requests, NonZeroUsize::new(40));
        assert_eq!(config.reconcile_interval, Duration::from_secs(300));
        assert_eq!(config.retention, Duration::from_secs(900));
        assert_eq!(config.max_series, NonZeroUsize::new(100_000));
        assert!(config.exporter_metrics);
        assert!(!config.private && !config.user);
        assert_eq!(config.groups, Groups::default());
        assert_eq!(config.selection.types, Types::all());
        assert!(config.selection.slices.is_any());
        assert!(config.selection.rollups.is_empty());
        assert_eq!(config.states, StateSeries::Stateset);
    }

    #[test]
    fn each_group_has_a_switch() {
        for group in Group::ALL {
            let [on, off] = ["", "no-"].map(|no| config(&[&format!("--{no}{}", group.flag())]));
            assert_eq!(on.unwrap().groups, Groups::default().with(*group));
            assert_eq!(off.unwrap().groups, Groups::default().without(*group));
        }
    }

    #[test]
    fn another_exporters_names_are_a_group() {
        let groups = config(&["--compat=node_exporter"]).unwrap().groups;
        assert_eq!(groups, Groups::default().with(Group::NodeExporter));
    }

    #[test]
    fn types_may_stand_in_one_flag_or_in_several() {
        for line in [
            &["--systemd.collector.unit-type=service,timer"][..],
            &["--systemd.collector.unit-type=timer", "--systemd.collector.unit-type=service"],
        ] {
            let types = config(line).unwrap().selection.types;
            assert_eq!(types, Types::read(["service", "timer"]).unwrap(), "{line:?}");
        }
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        assert_eq!(config(&["--web.max-requests=0"]).unwrap().max_requests, None);
        assert_eq!(config(&["--max-series=0"]).unwrap().max_series, None);
    }

    #[test]
    fn a_comma_separates_in_the_variable_only() {
        let error = config(&["--web.listen-address=:1,:2"]).unwrap_err();
        assert!(error.to_string().starts_with("--web.listen-address \":1,:2\": "), "{error}");
    }

    #[test]
    fn what_is_gone_may_be_kept_for_no_time_or_a_day() {
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
    fn intervals_are_durations_within_bounds() {
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
