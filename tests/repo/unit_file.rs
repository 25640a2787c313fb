//! The unit that `unitwatch unit-file` prints, also as systemd-analyze sees it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use unitwatch::commands::unit_file;

/// The maximum exposure in `systemd-analyze security`, in tenths.
const MAX_EXPOSURE: &str = "15";

fn print(flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("UNITWATCH_") {
            command.env_remove(name);
        }
    }
    command.arg("unit-file").args(flags).stdin(Stdio::null()).output().unwrap()
}

/// The printed unit, as a file in its own directory.
fn written(flags: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let output = print(flags);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("unitwatch.service");
    fs::write(&path, output.stdout).unwrap();
    (directory, path)
}

/// Whether `systemd-analyze` accepts a unit, and its output.
fn analyze(verb: &str, options: &[&str], unit: &PathBuf) -> (bool, String) {
    let output =
        Command::new("systemd-analyze").arg(verb).args(options).arg(unit).output().unwrap();
    let report = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(report).unwrap())
}

#[test]
fn only_the_command_line_differs_from_the_template() {
    let output = print(&["--web.listen-address=[::1]:9558", "--no-collector.ip"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let program = fs::canonicalize(env!("CARGO_BIN_EXE_unitwatch")).unwrap();
    let wanted = format!(
        "ExecStart={} --collector.ip=false \"--web.listen-address=[::1]:9558\"",
        program.display()
    );
    let differs = |(a, b): &(&str, &str)| a != b;
    let pairs = unit_file::TEMPLATE.lines().zip(text.lines());
    let different: Vec<_> = pairs.filter(differs).collect();
    assert_eq!(different, [("ExecStart=/usr/local/bin/unitwatch", wanted.as_str())]);
    assert!(text.ends_with("WantedBy=multi-user.target\n"));
}

#[test]
fn the_unit_has_a_low_exposure() {
    let (_directory, unit) = written(&[]);
    let options = ["--offline=true", "--no-pager", "--threshold", MAX_EXPOSURE];
    let (accepted, report) = analyze("security", &options, &unit);
    assert!(accepted, "{report}");
    // Without a part of the sandbox it is higher.
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("\nSystemCallFilter=", "\n#")).unwrap();
    let (accepted, report) = analyze("security", &options, &unit);
    assert!(!accepted, "{report}");
}

#[test]
fn systemd_accepts_every_line() {
    let (_directory, unit) = written(&["--systemd.collector.unit-exclude=.+\\.(device)|a b$"]);
    // Whether the program and user exist does not matter here.
    let (_, report) = analyze("verify", &["--man=no", "--recursive-errors=no"], &unit);
    let about: Vec<_> = report.lines().filter(|line| line.contains("unitwatch.service:")).collect();
    assert!(about.is_empty(), "{report}");
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("ProtectHome", "ProtectHomes")).unwrap();
    let (_, report) = analyze("verify", &["--man=no", "--recursive-errors=no"], &unit);
    assert!(report.contains("ProtectHomes"), "{report}");
}

#[test]
fn a_missing_user_is_reported_on_stderr() {
    let stderr = String::from_utf8(print(&[]).stderr).unwrap();
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let there = users.lines().any(|user| user.starts_with("unitwatch:"));
    assert_eq!(stderr.contains("systemd-sysusers --inline 'u unitwatch"), !there, "{stderr}");
}

/// Prints the unit where the kernel allows no namespaces of some kinds.
fn print_without(kinds: &[&str]) -> (String, String) {
    let zero = tempfile::NamedTempFile::new().unwrap();
    fs::write(zero.path(), "0\n").unwrap();
    let hide = |kind: &&str| format!("mount --bind \"$1\" /proc/sys/user/max_{kind}_namespaces\n");
    let script =
        format!("set -e\n{}exec \"$0\" unit-file", kinds.iter().map(hide).collect::<String>());
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_unitwatch"))
        .arg(zero.path())
        .output()
        .unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{stderr}");
    (stdout, stderr)
}

#[test]
fn a_setting_that_would_keep_the_unit_from_starting_is_left_out() {
    let whole = print_without(&[]).0;
    for (kind, setting) in [("user", "PrivateUsers=yes"), ("uts", "ProtectHostname=yes")] {
        let (unit, stderr) = print_without(&[kind]);
        let reason = format!("this machine allows no {kind} namespaces");
        let differs = |(a, b): &(&str, &str)| a != b;
        let different: Vec<_> = whole.lines().zip(unit.lines()).filter(differs).collect();
        let [(line, comment)] = different[..] else { panic!("{different:?}") };
        assert_eq!(line, setting);
        assert!(comment.starts_with(&format!("# Without {setting}: {reason}")), "{comment}");
        assert!(stderr.contains(&format!("without {setting}, because {reason}")), "{stderr}");
    }
    let (unit, stderr) = print_without(&["mnt"]);
    assert_eq!(unit, whole);
    assert!(stderr.contains("cannot start here"), "{stderr}");
    assert!(!print_without(&[]).1.contains("namespaces"));
}

#[test]
fn a_flag_that_the_unit_cannot_have_is_refused() {
    for flags in [&["--systemd.collector.user"][..], &["--log.level=x"], &["--such.flag"]] {
        let output = print(flags);
        assert!(!output.status.success(), "{flags:?}");
        assert!(output.stdout.is_empty(), "{flags:?}");
        assert!(!output.stderr.is_empty(), "{flags:?}");
    }
}
