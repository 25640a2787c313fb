//! Every flag, its default, its environment variable and its help; nothing is checked here.

use std::{collections::BTreeSet, ffi::OsString};

use clap::{
    Arg, ArgMatches, Command as Clap, CommandFactory, FromArgMatches, Parser, Subcommand,
    parser::ValueSource,
};

use crate::metrics::group::Group;

pub mod flag;

/// Serves what systemd says of itself and its units to Prometheus.
///
/// The values are kept as they were typed; `Config` checks them.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "unitwatch",
    version,
    about = "Serves what systemd says of itself and its units to Prometheus",
    long_about = None,
    args_override_self = true,
    next_line_help = true,
    after_help = AFTER_HELP
)]
pub struct Args {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Give series to the units whose whole name matches.
    #[arg(
        id = flag::UNIT_INCLUDE,
        long = flag::UNIT_INCLUDE,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_UNIT_INCLUDE",
        value_name = "REGEX",
        default_value = ".+",
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub unit_include: String,

    /// Give none to the units whose whole name matches; an empty value excludes none.
    #[arg(
        id = flag::UNIT_EXCLUDE,
        long = flag::UNIT_EXCLUDE,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_UNIT_EXCLUDE",
        value_name = "REGEX",
        default_value = r".+\.(device)",
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub unit_exclude: String,

    /// Give series only to units of these types: service, socket and so on, with commas between;
    /// may be given several times. It lets through what the two patterns do, and no more.
    #[arg(
        id = flag::UNIT_TYPE,
        long = flag::UNIT_TYPE,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_UNIT_TYPE",
        value_name = "TYPE",
        default_value = "all",
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub unit_type: Vec<String>,

    /// Give series only to units in these slices and those below them: `system.slice` and so on,
    /// with commas between; may be given several times. What is in no slice, such as a timer or a
    /// target, then has none: it runs nothing there.
    #[arg(
        id = flag::SLICE,
        long = flag::SLICE,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_SLICE",
        value_name = "SLICE",
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub slice: Vec<String>,

    /// Rollup up units that are many of a kind, and give series to the sum and none to each of them:
    /// instances sums up those of each template, under its name, and scopes those in each slice, as
    /// `user-1000.slice/*.scope`; with commas between, and may be given several times. A sum has how
    /// many are in each state, what happened to them, and their tasks and memory. The patterns and
    /// the other filters apply to each unit as before.
    #[arg(
        id = flag::SUM,
        long = flag::SUM,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_SUM",
        value_name = "KIND",
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub sum: Vec<String>,

    /// Give each unit a series for every usual state (stateset), or only one, for the state that
    /// it is in (current).
    #[arg(
        id = flag::UNIT_STATE,
        long = flag::UNIT_STATE,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_UNIT_STATE",
        value_name = "SERIES",
        default_value = "stateset",
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub unit_state: String,

    /// Talk to systemd over its private socket, without a D-Bus daemon.
    #[arg(
        id = flag::PRIVATE,
        long = flag::PRIVATE,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_PRIVATE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub private: String,

    /// Watch the user's service manager instead of the system's.
    #[arg(
        id = flag::USER,
        long = flag::USER,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_USER",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub user: String,

    /// Accepted for systemd_exporter's sake: restarts are always counted.
    #[arg(
        id = flag::RESTART_COUNT,
        long = flag::RESTART_COUNT,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_ENABLE_RESTART_COUNT",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub enable_restart_count: String,

    /// Accepted for systemd_exporter's sake: IP accounting is always served.
    #[arg(
        id = flag::IP_ACCOUNTING,
        long = flag::IP_ACCOUNTING,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_ENABLE_IP_ACCOUNTING",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub enable_ip_accounting: String,

    /// Compare the whole table with systemd this often (1s to 24h); what differs is corrected
    /// and counted.
    #[arg(
        id = flag::RECONCILE_INTERVAL,
        long = flag::RECONCILE_INTERVAL,
        global = true,
        env = "UNITWATCH_SYSTEMD_COLLECTOR_RECONCILE_INTERVAL",
        value_name = "DURATION",
        default_value = "5m",
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub reconcile_interval: String,

    /// Keep the counters of a unit that is gone for this long (0s to 24h).
    #[arg(
        id = flag::RETENTION,
        long = flag::RETENTION,
        global = true,
        env = "UNITWATCH_RETENTION",
        value_name = "DURATION",
        default_value = "15m",
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub retention: String,

    /// Let no metric have more series than this: units that would go beyond it have none at
    /// all, first those without a state, then the last by name, and sums last of all; 0 sets no
    /// limit.
    #[arg(
        id = flag::MAX_SERIES,
        long = flag::MAX_SERIES,
        global = true,
        env = "UNITWATCH_MAX_SERIES",
        value_name = "NUMBER",
        default_value = "100000",
        hide_env_values = true,
        help_heading = SYSTEMD
    )]
    pub max_series: String,

    /// Serve what another exporter does, under its names too: `node_exporter`, its systemd
    /// collector's metrics; may be given several times.
    #[arg(
        id = flag::COMPAT,
        long = flag::COMPAT,
        global = true,
        env = "UNITWATCH_COMPAT",
        value_name = "EXPORTER",
        hide_env_values = true,
        help_heading = COLLECTORS
    )]
    pub compat: Vec<String>,

    /// Listen here: `:9558`, `[::1]:9558`, `localhost:9558`, `unix:/run/unitwatch.sock` or
    /// `unix:@name`; may be given several times, in the variable with commas between.
    #[arg(
        id = flag::LISTEN_ADDRESS,
        long = flag::LISTEN_ADDRESS,
        global = true,
        env = "UNITWATCH_WEB_LISTEN_ADDRESS",
        value_name = "ADDRESS",
        default_value = ":9558",
        hide_env_values = true,
        help_heading = WEB
    )]
    pub listen_address: Vec<String>,

    /// Serve the metrics under this path.
    #[arg(
        id = flag::TELEMETRY_PATH,
        long = flag::TELEMETRY_PATH,
        global = true,
        env = "UNITWATCH_WEB_TELEMETRY_PATH",
        value_name = "PATH",
        default_value = "/metrics",
        hide_env_values = true,
        help_heading = WEB
    )]
    pub telemetry_path: String,

    /// Answer at most this many scrapes at a time; 0 sets no limit.
    #[arg(
        id = flag::MAX_REQUESTS,
        long = flag::MAX_REQUESTS,
        global = true,
        env = "UNITWATCH_WEB_MAX_REQUESTS",
        value_name = "NUMBER",
        default_value = "40",
        hide_env_values = true,
        help_heading = WEB
    )]
    pub max_requests: String,

    /// Leave out the metrics about the exporter itself.
    #[arg(
        id = flag::DISABLE_EXPORTER_METRICS,
        long = flag::DISABLE_EXPORTER_METRICS,
        global = true,
        env = "UNITWATCH_WEB_DISABLE_EXPORTER_METRICS",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        hide_env_values = true,
        help_heading = WEB
    )]
    pub disable_exporter_metrics: String,

    /// Log what is at least this grave: debug, info, warn or error.
    #[arg(
        id = flag::LOG_LEVEL,
        long = flag::LOG_LEVEL,
        global = true,
        env = "UNITWATCH_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info",
        hide_env_values = true,
        help_heading = LOG
    )]
    pub log_level: String,

    /// Log in this format: logfmt or json.
    #[arg(
        id = flag::LOG_FORMAT,
        long = flag::LOG_FORMAT,
        global = true,
        env = "UNITWATCH_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "logfmt",
        hide_env_values = true,
        help_heading = LOG
    )]
    pub log_format: String,

    /// The groups of metrics, and whether each is on.
    #[arg(skip)]
    pub collectors: Vec<(Group, String)>,

    /// The flags that got their value from the environment.
    #[arg(skip)]
    from_environment: BTreeSet<String>,

    /// The flags on the command line and their values, as they were typed, by name.
    #[arg(skip)]
    pub typed: Vec<(String, String)>,

    /// Whether somebody chose where to listen.
    #[arg(skip)]
    pub listens_by_choice: bool,
}

/// What to do instead of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Try it out: serve a private systemd with sample units, and leave nothing behind.
    ///
    /// Starts a real `systemd --user` of its own that has nothing to do with the machine's, with
    /// units that are well, crash, fail on a timer, wait on a socket and do not load, and serves
    /// its metrics on 127.0.0.1:9558, or on any free port if that is taken. Takes systemd,
    /// dbus-daemon and util-linux on the machine, and root where systemd did not boot it.
    Demo,
    /// Count the series of this machine, all that there could be and those that the flags leave.
    ///
    /// Reads systemd once, as the exporter does, and prints for each group of metrics how many
    /// series it has now: with every group and for every unit, and with the flags beside it, which
    /// are those of the exporter. Below that are the sum, the units that have series, and the
    /// bytes of the page. What has happened to units is counted from now on, so unit-events comes
    /// to have more: up to one for each state that a unit enters and each result it fails with.
    Series,
    /// Print the systemd unit to install this program with, in a sandbox and without privileges.
    ///
    /// It runs the program from where it is now, with the flags that stand beside `unit-file`. What
    /// the unit needs and this machine lacks, such as its user, is said on stderr. To install it,
    /// print it to /etc/systemd/system/unitwatch.service.
    UnitFile,
}

const SYSTEMD: &str = "What to watch";
const WEB: &str = "Where to serve it";
const LOG: &str = "What to log";
const COLLECTORS: &str = "Which metrics to serve";

const AFTER_HELP: &str = "\
Each flag can be set by the environment variable that stands beside it; the flag wins. A switch \
is `true` or `false` there, and has a `--no-` form on the command line. Of a flag given twice \
the last one counts, but every --web.listen-address, --systemd.collector.unit-type, \
--systemd.collector.slice, --systemd.collector.sum and --compat does.";

// === impl Args ===

impl Args {
    /// Reads the command line (the program's name first) and the environment.
    ///
    /// The error is also how `--help` and `--version` end: it knows its stream and exit code.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let command = command();
        let line = spell_out_negations(&command, line);
        let mut matches = command.try_get_matches_from(line)?;
        let from_environment = matches
            .ids()
            .map(clap::Id::as_str)
            .filter(|id| matches.value_source(id) == Some(ValueSource::EnvVariable))
            .map(str::to_owned)
            .collect();
        let typed = typed(&matches);
        let listening = matches.value_source(flag::LISTEN_ADDRESS);
        let listens_by_choice = listening != Some(ValueSource::DefaultValue);
        let collector = |group: &Group| {
            let value = matches.get_one::<String>(&group.flag())?;
            Some((*group, value.clone()))
        };
        let collectors = Group::ALL.iter().filter_map(collector).collect();
        let args = Self::from_arg_matches_mut(&mut matches)?;
        Ok(Self { collectors, from_environment, typed, listens_by_choice, ..args })
    }

    /// Whether this flag's value is from its environment variable.
    pub fn is_from_environment(&self, flag: &str) -> bool {
        self.from_environment.contains(flag)
    }

    /// What the user wrote to set this flag: `--web.max-requests` or the variable's name.
    pub fn spelling(&self, flag: &str) -> String {
        if self.is_from_environment(flag) { variable(flag) } else { format!("--{flag}") }
    }
}

/// The environment variable that stands for a flag.
pub fn variable(flag: &str) -> String {
    format!("UNITWATCH_{}", flag.replace(['.', '-'], "_").to_ascii_uppercase())
}

/// The flags on the command line by name, each as often as it has values.
fn typed(matches: &ArgMatches) -> Vec<(String, String)> {
    let typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let mut flags: Vec<_> = matches
        .ids()
        .map(clap::Id::as_str)
        .filter(typed)
        .flat_map(|id| {
            // Clap's groups of arguments are among them, and have no values.
            let values = matches.try_get_many::<String>(id).ok().flatten();
            values.into_iter().flatten().map(move |value| (id.to_owned(), value.clone()))
        })
        .collect();
    // Stable, because the order of the values of one flag can matter.
    flags.sort_by(|(one, _), (other, _)| one.cmp(other));
    flags
}

/// The command with all its flags.
fn command() -> Clap {
    Args::command().args(Group::ALL.iter().map(|group| collector(*group)))
}

/// The switch of a group.
fn collector(group: Group) -> Arg {
    let flag = group.flag();
    Arg::new(flag.clone())
        .env(variable(&flag))
        .long(flag)
        .global(true)
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value(if group.is_default() { "true" } else { "false" })
        .hide_env_values(true)
        .help(group.help())
        .help_heading(COLLECTORS)
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

    fn read(line: &[&str]) -> Result<Args, clap::Error> {
        Args::read(std::iter::once("unitwatch").chain(line.iter().copied()).map(OsString::from))
    }

    #[test]
    fn every_flag_has_its_variable_and_the_help_shows_both() {
        let mut command = command();
        command.build();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        let mut flags = 0;
        let ours = |id: &str| !["help", "version"].contains(&id);
        for arg in command.get_arguments().filter(|arg| ours(arg.get_id().as_str())) {
            let flag = arg.get_long().unwrap();
            assert_eq!(arg.get_id().as_str(), flag);
            assert_eq!(arg.get_env().unwrap().to_str().unwrap(), variable(flag));
            assert!(help.contains(&format!("--{flag}")), "{flag}");
            assert!(help.contains(&format!("[env: {}]", variable(flag))), "{flag}");
            flags += 1;
        }
        assert_eq!(flags, 20 + Group::ALL.len());
    }

    #[test]
    fn the_defaults_are_the_peers() {
        let args = read(&[]).unwrap();
        assert_eq!(args.unit_include, ".+");
        assert_eq!(args.unit_exclude, r".+\.(device)");
        assert_eq!(args.listen_address, [":9558"]);
        assert_eq!(args.telemetry_path, "/metrics");
        assert_eq!(args.max_requests, "40");
        assert_eq!(args.log_level, "info");
        assert_eq!(args.log_format, "logfmt");
        assert_eq!(args.private, "false");
    }

    #[test]
    fn kingpins_spellings_are_understood() {
        for (line, private) in [
            (&["--systemd.collector.private"][..], "true"),
            (&["--no-systemd.collector.private"], "false"),
            (&["--systemd.collector.private", "--no-systemd.collector.private"], "false"),
            (&["--no-systemd.collector.private", "--systemd.collector.private"], "true"),
        ] {
            assert_eq!(read(line).unwrap().private, private, "{line:?}");
        }
        for line in [
            &["--web.telemetry-path=/b"][..],
            &["--web.telemetry-path", "/b"],
            &["--web.telemetry-path=/a", "--web.telemetry-path", "/b"],
        ] {
            assert_eq!(read(line).unwrap().telemetry_path, "/b", "{line:?}");
        }
        assert_eq!(read(&["--systemd.collector.unit-exclude="]).unwrap().unit_exclude, "");
        assert_eq!(
            read(&["--web.listen-address=:1", "--web.listen-address", ":2"])
                .unwrap()
                .listen_address,
            [":1", ":2"]
        );
    }

    #[test]
    fn what_was_typed_is_known_without_the_defaults() {
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
        let typed: Vec<_> = args.typed.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let wanted = [
            ("collector.ip", "false"),
            ("systemd.collector.unit-exclude", ""),
            ("web.listen-address", ":1"),
            ("web.listen-address", ":2"),
        ];
        assert_eq!(typed, wanted);
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
