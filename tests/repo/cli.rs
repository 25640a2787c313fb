//! The command line of the real binary: what it refuses, and with which error and exit code.

use std::process::{Command, Output, Stdio};

fn unitwatch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("UNITWATCH_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Asserts exit code 2, an empty stdout and one line on stderr, and returns the line.
fn refusal(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr.trim_end().to_owned()
}

/// Wrong values: the flag, the value and the reason in the error.
const WRONG: [(&str, &str, &str); 32] = [
    ("systemd.collector.unit-include", "(", "not a regular expression: unclosed group"),
    ("systemd.collector.unit-exclude", "a)|(b", "not a regular expression: unopened group"),
    ("systemd.collector.unit-exclude", "*", "not a regular expression: "),
    ("systemd.collector.unit-type", "services", "must be all or one of service, socket, "),
    ("systemd.collector.slice", "system", "must be the name of a slice, such as system.slice"),
    ("systemd.collector.sum", "templates", "must be instances or scopes"),
    ("systemd.collector.unit-state", "all", "must be stateset or current"),
    ("systemd.collector.private", "maybe", "must be true or false"),
    ("systemd.collector.user", "", "must be true or false"),
    ("systemd.collector.enable-restart-count", "1", "must be true or false"),
    ("systemd.collector.enable-ip-accounting", "yes", "must be true or false"),
    ("systemd.collector.reconcile-interval", "5 minutes", "not a duration"),
    ("systemd.collector.reconcile-interval", "0s", "must be between 1s and 24h"),
    ("collector.unit-file-state", "on", "must be true or false"),
    ("collector.ip", "", "must be true or false"),
    ("compat", "telegraf", "must be node_exporter"),
    ("retention", "a while", "not a duration"),
    ("retention", "25h", "must be between 0s and 24h"),
    ("max-series", "-1", "invalid digit"),
    ("max-series", "100k", "invalid digit"),
    ("web.listen-address", "9558", "it has no port"),
    ("web.listen-address", "::1:9558", "an IPv6 address must be in brackets"),
    ("web.listen-address", ":99999", "the port must be a number"),
    ("web.listen-address", "vsock://:9558", "vsock addresses are not supported"),
    ("web.listen-address", "unix:relative", "a unix socket needs an absolute path"),
    ("web.telemetry-path", "metrics", "must start with \"/\""),
    ("web.telemetry-path", "/-/ready", "is already the path of the health checks"),
    ("web.telemetry-path", "/", "is already the path of the landing page"),
    ("web.max-requests", "-1", "invalid digit"),
    ("web.disable-exporter-metrics", "off", "must be true or false"),
    ("log.level", "trace", "must be debug, info, warn or error"),
    ("log.format", "xml", "must be logfmt or json"),
];

#[test]
fn a_wrong_value_is_one_line_that_names_the_flag() {
    for (flag, value, reason) in WRONG {
        let output = unitwatch().arg(format!("--{flag}={value}")).output().unwrap();
        let line = refusal(&output);
        assert!(line.starts_with(&format!("unitwatch: --{flag} {value:?}: {reason}")), "{line}");
    }
}

#[test]
fn a_wrong_value_in_the_environment_is_one_line_that_names_the_variable() {
    for (flag, value, reason) in WRONG {
        let variable = unitwatch::cli::variable(flag);
        let line = refusal(&unitwatch().env(&variable, value).output().unwrap());
        assert!(line.starts_with(&format!("unitwatch: {variable} {value:?}: {reason}")), "{line}");
    }
}

#[test]
fn a_newline_in_a_value_does_not_break_the_line() {
    refusal(&unitwatch().arg("--web.telemetry-path=a\nb").output().unwrap());
    refusal(&unitwatch().arg("--systemd.collector.unit-include=a\n(").output().unwrap());
}

#[test]
fn the_flag_wins_over_the_variable() {
    for (line, blamed) in [
        (&["--log.level=b"][..], "--log.level \"b\""),
        (&[][..], "UNITWATCH_LOG_LEVEL \"a\""),
        (&["--systemd.collector.private", "--log.level=b"], "--log.level \"b\""),
    ] {
        let output = unitwatch().args(line).env("UNITWATCH_LOG_LEVEL", "a").output().unwrap();
        assert!(refusal(&output).contains(blamed), "{line:?}");
    }
    // The negation is a flag too, so the variable is not even checked.
    let output = unitwatch()
        .args(["--no-systemd.collector.private", "--log.level=b"])
        .env("UNITWATCH_SYSTEMD_COLLECTOR_PRIVATE", "nonsense")
        .output()
        .unwrap();
    assert!(refusal(&output).contains("--log.level"));
}

#[test]
fn each_address_of_a_comma_separated_variable_is_checked() {
    let output = unitwatch()
        .env("UNITWATCH_WEB_LISTEN_ADDRESS", "127.0.0.1:0,[::1]:0,nonsense")
        .output()
        .unwrap();
    let line = refusal(&output);
    assert!(line.starts_with("unitwatch: UNITWATCH_WEB_LISTEN_ADDRESS \"nonsense\": "), "{line}");
}

#[test]
fn unknown_flags_and_arguments_are_refused_by_name() {
    for argument in [
        "--web.config.file=/etc/web.yml",
        "--web.systemd-socket",
        "--systemd.collector.enable-resolved",
        "--no-such.flag",
        "--no-web.telemetry-path",
        "--such.flag",
        "argument",
    ] {
        let output = unitwatch().arg(argument).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(output.stdout.is_empty());
        let name = argument.split('=').next().unwrap();
        assert!(stderr.lines().next().unwrap().contains(name), "{stderr}");
    }
    // A flag without its value.
    let output = unitwatch().arg("--web.listen-address").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_help_lists_every_flag_with_its_default_and_variable() {
    let short = unitwatch().arg("-h").output().unwrap();
    let long = unitwatch().arg("--help").output().unwrap();
    assert_eq!(long.status.code(), Some(0));
    assert_eq!(short.status.code(), Some(0));
    assert!(long.stderr.is_empty());
    // Ignores how lines are wrapped.
    let help = String::from_utf8(long.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (flag, _, _) in WRONG {
        assert!(help.contains(&format!("--{flag}")), "{flag}");
        assert!(help.contains(&format!("[env: {}]", unitwatch::cli::variable(flag))), "{flag}");
    }
    for default in
        [".+", r".+\.(device)", "5m", "15m", "100000", ":9558", "/metrics", "40", "info", "logfmt"]
    {
        assert!(help.contains(&format!("[default: {default}]")), "{default}: {help}");
    }
    // The help must not show the values of variables: they may be confidential.
    let output = unitwatch().arg("--help").env("UNITWATCH_LOG_LEVEL", "s3cret").output().unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("s3cret"));
}

#[test]
fn the_version_goes_to_stdout() {
    for flag in ["--version", "-V"] {
        let output = unitwatch().arg(flag).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let expected = format!("unitwatch {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    for flag in ["--help", "--version"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = unitwatch().arg(flag).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // A closed stderr leaves only the exit code.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = unitwatch().arg("--log.level=x").stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
