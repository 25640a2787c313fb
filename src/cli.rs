//! The command line: every flag with its default and help, and the subcommands. Values stay
//! unchecked text here; [`Config`](crate::config::Config) checks them.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, Command as Clap, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{StringValueParser, TypedValueParser, ValueParserFactory},
    parser::ValueSource,
};

use crate::metrics::group::Group;

// The flags below `systemd.collector`, `web` and `log` have systemd_exporter's names, so that its
// unit files keep working. `complete` adds what follows from the name: variable and heading.

/// Prometheus exporter for systemd that listens to signals instead of polling
///
/// Serves the metrics of systemd, its units and their control groups over HTTP.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "unitwatch",
    version,
    args_override_self = true,
    next_line_help = true,
    after_help = AFTER_HELP
)]
pub struct Args {
    /// The subcommand; without one the exporter serves.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Units to serve, as a regular expression for the whole name
    #[arg(long = "systemd.collector.unit-include", value_name = "REGEX", default_value = ".+")]
    pub unit_include: Value,

    /// Units to leave out, as a regular expression for the whole name; empty for none
    #[arg(long = "systemd.collector.unit-exclude", value_name = "REGEX")]
    #[arg(default_value = r".+\.(device)")]
    pub unit_exclude: Value,

    /// Unit types to serve, such as service,socket; repeatable
    ///
    /// The other unit filters apply too.
    #[arg(long = "systemd.collector.unit-type", value_name = "TYPE", default_value = "all")]
    pub unit_type: Vec<Value>,

    /// Slices whose units to serve, such as system.slice,user.slice; repeatable
    ///
    /// Includes the slices below them. Leaves out units that are in no slice, such as timers and
    /// targets.
    #[arg(long = "systemd.collector.slice", value_name = "SLICE")]
    pub slice: Vec<Value>,

    /// Roll-ups to serve instead of their units: instances, scopes or both; repeatable
    ///
    /// `instances` makes one roll-up of each template's instances, under the template's name;
    /// `scopes` makes one of each slice's scopes, such as `user-1000.slice/*.scope`. A roll-up has
    /// the number of its units in each state, their events, tasks and memory. The unit filters
    /// apply to each unit first.
    #[arg(long = "systemd.collector.sum", value_name = "ROLL-UP")]
    pub sum: Vec<Value>,

    /// State series of each unit: stateset (one for each usual state) or current (only one, for its
    /// current state)
    ///
    /// The usual states are active, inactive, failed, activating and deactivating.
    #[arg(
        long = "systemd.collector.unit-state",
        value_name = "SERIES",
        default_value = "stateset"
    )]
    pub unit_state: Value,

    /// Connect to systemd's private socket, without a D-Bus daemon
    #[arg(long = "systemd.collector.private", value_name = SWITCH)]
    pub private: Value,

    /// Watch the service manager of the user that runs unitwatch, not the system's
    #[arg(long = "systemd.collector.user", value_name = SWITCH)]
    pub user: Value,

    /// No effect, accepted for compatibility with systemd_exporter; see --collector.unit-events
    #[arg(long = "systemd.collector.enable-restart-count", value_name = SWITCH)]
    pub enable_restart_count: Value,

    /// No effect, accepted for compatibility with systemd_exporter; see --collector.ip
    #[arg(long = "systemd.collector.enable-ip-accounting", value_name = SWITCH)]
    pub enable_ip_accounting: Value,

    /// Interval between reconciles, 1s to 24h
    ///
    /// A reconcile compares all units and jobs with systemd, and corrects and counts differences.
    #[arg(long = "systemd.collector.reconcile-interval", value_name = "DURATION")]
    #[arg(default_value = "5m")]
    pub reconcile_interval: Value,

    /// How long to serve the counters of a gone unit, 0s to 24h
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    pub retention: Value,

    /// Maximum number of series of one metric; 0 for no limit
    ///
    /// Whole units are left out of every metric, in this order: unit files that are not in memory,
    /// gone units, units that are inactive and not loaded, the last units by name, roll-ups.
    #[arg(long, value_name = "NUMBER", default_value = "100000")]
    pub max_series: Value,

    /// Other exporter whose metrics to serve too: node_exporter; repeatable
    ///
    /// Those of node_exporter's systemd collector, under its names.
    #[arg(long, value_name = "EXPORTER")]
    pub compat: Vec<Value>,

    /// Address to listen on; repeatable
    ///
    /// Such as `:9558`, `[::1]:9558`, `localhost:9558`, `unix:/run/unitwatch.sock` or `unix:@name`.
    /// Commas separate several in the environment variable only.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":9558")]
    pub listen_address: Vec<Value>,

    /// Path of the metrics
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics")]
    pub telemetry_path: Value,

    /// Maximum number of scrapes at the same time; 0 for no limit
    #[arg(long = "web.max-requests", value_name = "NUMBER", default_value = "40")]
    pub max_requests: Value,

    /// Leave out process_* and most of systemd_exporter_*
    ///
    /// Of the latter, build_info, units, series_dropped and listing_refused stay.
    #[arg(long = "web.disable-exporter-metrics", value_name = SWITCH)]
    pub disable_exporter_metrics: Value,

    /// Minimum log level: debug, info, warn or error
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info")]
    pub log_level: Value,

    /// Log format: logfmt or json
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt")]
    pub log_format: Value,

    /// The switch of each group of metrics.
    #[arg(skip)]
    pub collectors: BTreeMap<Group, Value>,

    /// The flags on the command line as `--flag=value`, ordered by flag.
    #[arg(skip)]
    pub typed: Vec<String>,
}

/// The subcommands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Start a private systemd with sample units and serve its metrics
    ///
    /// Starts a `systemd --user` of its own, separate from the machine's, and removes it at the
    /// end. Its sample units run, crash, fail on a timer, wait on a socket or do not load. Without
    /// --web.listen-address it serves on 127.0.0.1:9558, or on a free port if that one is taken.
    /// Needs systemd, dbus-daemon and util-linux, and root or a login session on a machine that
    /// systemd booted.
    Demo,
    /// Count the series of this machine, with everything and with the given flags
    ///
    /// Reads systemd once and prints the number of series of each group of metrics: in one column
    /// with every group and every unit, in the other with the given flags. Below are the metrics
    /// that are always served, the total, the number of units and the size of the page in bytes.
    /// Events are counted from the start of the program, so unit-events grows later: by a series
    /// for each state that a unit enters and each result that a run or a reload of it fails with.
    Series,
    /// Print a sandboxed, unprivileged systemd unit that runs this program
    ///
    /// The unit runs the program from its current path with the flags given to `unit-file`. Prints
    /// to stderr what the unit needs and this machine lacks, such as its user. To install the unit,
    /// save it as /etc/systemd/system/unitwatch.service.
    UnitFile,
}

/// The value of a flag as text, with the flag and where the value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The text.
    pub text: String,
    flag: String,
    source: ValueSource,
}

/// Reads a [`Value`] for clap.
#[derive(Clone, Copy, Debug)]
pub struct ValueReader;

/// The value name of a switch; a flag with it is `true` without a value, and has a `--no-` form.
const SWITCH: &str = "BOOL";

const AFTER_HELP: &str = "\
Each flag has an environment variable, which the flag overrides. A switch (BOOL) is true or false \
there; on the command line --FLAG switches it on and --no-FLAG off. If a flag is given several \
times, the last one counts; of a repeatable flag all do, and each may be a list with commas (for \
--web.listen-address only in the variable).";

// === impl Args ===

impl Args {
    /// Reads the command line, program name first, and the environment.
    ///
    /// # Errors
    /// Bad usage, but also `--help` and `--version`: the error has the text, stream and exit code.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let command = command();
        let line = spell_out_negations(&command, line);
        let mut matches = command.try_get_matches_from(line)?;
        // The groups of arguments that clap makes are among the ids and have no values of this type.
        let values = |id: &clap::Id| matches.try_get_many::<Value>(id.as_str()).ok().flatten();
        let values = matches.ids().filter_map(values).flatten();
        let mut typed: Vec<_> =
            values.filter(|value| value.source == ValueSource::CommandLine).collect();
        // Stable, because the order of the values of one flag can matter.
        typed.sort_by_key(|value| &value.flag);
        let typed = typed.iter().map(|value| format!("--{}={}", value.flag, value.text)).collect();
        let collector =
            |group: &Group| Some((*group, matches.get_one::<Value>(&group.flag())?.clone()));
        let collectors = Group::ALL.iter().filter_map(collector).collect();
        Ok(Self { collectors, typed, ..Self::from_arg_matches_mut(&mut matches)? })
    }
}

// === impl Value ===

impl Value {
    /// What the user wrote to set it: `--web.max-requests`, or the name of the variable.
    pub fn flag_or_variable(&self) -> String {
        if self.is_from_environment() { variable(&self.flag) } else { format!("--{}", self.flag) }
    }

    /// Whether it is from the environment variable.
    pub fn is_from_environment(&self) -> bool {
        self.source == ValueSource::EnvVariable
    }

    /// Whether it is the default.
    pub fn is_default(&self) -> bool {
        self.source == ValueSource::DefaultValue
    }
}

impl ValueParserFactory for Value {
    type Parser = ValueReader;

    fn value_parser() -> ValueReader {
        ValueReader
    }
}

// === impl ValueReader ===

impl TypedValueParser for ValueReader {
    type Value = Value;

    fn parse_ref(
        &self,
        command: &Clap,
        arg: Option<&Arg>,
        text: &OsStr,
    ) -> Result<Value, clap::Error> {
        self.parse_ref_(command, arg, text, ValueSource::CommandLine)
    }

    fn parse_ref_(
        &self,
        command: &Clap,
        arg: Option<&Arg>,
        text: &OsStr,
        source: ValueSource,
    ) -> Result<Value, clap::Error> {
        let text = StringValueParser::new().parse_ref(command, arg, text)?;
        let flag = arg.and_then(Arg::get_long).unwrap_or_default().to_owned();
        Ok(Value { text, flag, source })
    }
}

/// The environment variable of a flag.
pub fn variable(flag: &str) -> String {
    format!("UNITWATCH_{}", flag.replace(['.', '-'], "_").to_ascii_uppercase())
}

/// The definition of the command line, from which the man page and completions are generated too.
pub fn command() -> Clap {
    Args::command().args(Group::ALL.iter().map(|group| collector(*group))).mut_args(complete)
}

/// The switch of a group.
fn collector(group: Group) -> Arg {
    let default = if group.is_default() { "true" } else { "false" };
    let arg = Arg::new(group.flag()).long(group.flag()).value_name(SWITCH).default_value(default);
    arg.value_parser(clap::value_parser!(Value)).help(group.help().trim_end_matches('.'))
}

/// Adds what follows from the name of a flag, and what makes a switch.
fn complete(arg: Arg) -> Arg {
    let Some(flag) = arg.get_long().map(str::to_owned) else { return arg };
    let heading = match flag.split('.').next() {
        Some("collector" | "compat") => "Metrics options",
        Some("web") => "Web options",
        Some("log") => "Log options",
        _ => "Systemd options",
    };
    let is_switch = arg.get_value_names().is_some_and(|names| names.contains(&SWITCH.into()));
    let has_default = !arg.get_default_values().is_empty();
    let arg = arg.env(variable(&flag)).hide_env_values(true).global(true).help_heading(heading);
    if !is_switch {
        return arg;
    }
    let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
    if has_default {
        return arg;
    }
    // Without a default the derive takes it for required.
    arg.required(false).default_value("false").hide_default_value(true)
}

/// Turns `--no-switch` into `--switch=false`: every switch of systemd_exporter has that form,
/// and clap has no such rule.
fn spell_out_negations(command: &Clap, line: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let is_switch = |name: &str| {
        command.get_arguments().any(|arg| {
            arg.get_long() == Some(name) && arg.get_num_args().is_some_and(|n| n.min_values() == 0)
        })
    };
    line.into_iter()
        .map(|word| match word.to_str().and_then(|word| word.strip_prefix("--no-")) {
            Some(name) if is_switch(name) => format!("--{name}=false").into(),
            _ => word,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[Value]) -> Vec<&str> {
        values.iter().map(|value| value.text.as_str()).collect()
    }

    fn read(line: &[&str]) -> Result<Args, clap::Error> {
        Args::read(std::iter::once("unitwatch").chain(line.iter().copied()).map(OsString::from))
    }

    #[test]
    fn every_flag_has_a_variable_and_a_heading_and_the_help_shows_it() {
        let mut command = command();
        command.build();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        let flags = command.get_arguments().filter_map(|arg| Some((arg, arg.get_long()?)));
        for (arg, flag) in flags.filter(|(_, flag)| !["help", "version"].contains(flag)) {
            assert_eq!(arg.get_env().unwrap().to_str().unwrap(), variable(flag));
            assert!(arg.is_global_set() && arg.get_help_heading().is_some(), "{flag}");
            assert!(help.contains(&format!("--{flag}")), "{flag}");
            assert!(help.contains(&format!("[env: {}]", variable(flag))), "{flag}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_systemd_exporter() {
        let args = read(&[]).unwrap();
        assert_eq!(args.unit_include.text, ".+");
        assert_eq!(args.unit_exclude.text, r".+\.(device)");
        assert_eq!(texts(&args.listen_address), [":9558"]);
        assert_eq!(args.telemetry_path.text, "/metrics");
        assert_eq!(args.max_requests.text, "40");
        assert_eq!(args.log_level.text, "info");
        assert_eq!(args.log_format.text, "logfmt");
        assert_eq!(args.private.text, "false");
    }

    #[test]
    fn the_spellings_of_kingpin_are_accepted() {
        for (line, private) in [
            (&["--systemd.collector.private"][..], "true"),
            (&["--no-systemd.collector.private"], "false"),
            (&["--systemd.collector.private", "--no-systemd.collector.private"], "false"),
            (&["--no-systemd.collector.private", "--systemd.collector.private"], "true"),
        ] {
            assert_eq!(read(line).unwrap().private.text, private, "{line:?}");
        }
        for line in [
            &["--web.telemetry-path=/b"][..],
            &["--web.telemetry-path", "/b"],
            &["--web.telemetry-path=/a", "--web.telemetry-path", "/b"],
        ] {
            assert_eq!(read(line).unwrap().telemetry_path.text, "/b", "{line:?}");
        }
        assert_eq!(read(&["--systemd.collector.unit-exclude="]).unwrap().unit_exclude.text, "");
        let args = read(&["--web.listen-address=:1", "--web.listen-address", ":2"]).unwrap();
        assert_eq!(texts(&args.listen_address), [":1", ":2"]);
    }

    #[test]
    fn the_flags_on_the_command_line_are_kept_without_the_defaults() {
        let line = [
            "unit-file",
            "--web.listen-address=:1",
            "--web.listen-address",
            ":2",
            "--systemd.collector.unit-exclude=",
            "--no-collector.ip",
        ];
        let args = read(&line).unwrap();
        assert_eq!(args.command, Some(Command::UnitFile));
        let wanted = [
            "--collector.ip=false",
            "--systemd.collector.unit-exclude=",
            "--web.listen-address=:1",
            "--web.listen-address=:2",
        ];
        assert_eq!(args.typed, wanted);
    }

    #[test]
    fn only_switches_have_a_negative_form() {
        for line in ["--no-web.telemetry-path", "--no-such-thing", "--no-log.level"] {
            let error = read(&[line]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(line), "{error}");
        }
    }
}
