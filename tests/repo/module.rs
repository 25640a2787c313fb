//! The NixOS module: the result of a configuration, and that its unit is that of
//! `unitwatch unit-file`.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use unitwatch::metrics::group::Group;

/// The variable with the path of a nixpkgs checkout, to use instead of the stand-in for its lib.
const NIXPKGS: &str = "UNITWATCH_TEST_NIXPKGS";

/// A package with the program in it.
fn package() -> tempfile::TempDir {
    let package = tempfile::tempdir().unwrap();
    fs::create_dir(package.path().join("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_unitwatch"), package.path().join("bin/unitwatch")).unwrap();
    package
}

fn nix(package: &str, configuration: &str) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("nix-instantiate");
    command
        .args(["--eval", "--strict", "--json", "--readonly-mode", "--store", "dummy://"])
        .arg(root.join("tests/nix/eval.nix"))
        .args(["--arg", "configuration", &format!("{{ {configuration} }}")])
        .args(["--arg", "package", package]);
    if let Ok(nixpkgs) = env::var(NIXPKGS) {
        command.args(["--arg", "nixpkgs", &nixpkgs]);
    }
    command.stdin(Stdio::null()).output().expect("no nix-instantiate: it is in Debian's nix-bin")
}

/// The result of a NixOS with this configuration.
fn evaluated_with(package: &str, configuration: &str) -> Value {
    let output = nix(package, configuration);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{configuration}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same with unitwatch enabled and these settings.
fn evaluated(settings: &str) -> Value {
    evaluated_with(
        "\"/usr/local\"",
        &format!("services.unitwatch = {{ enable = true; {settings} }};"),
    )
}

/// The values of each setting of a unit, in their order.
fn settings(unit: &str) -> BTreeMap<String, Vec<String>> {
    let mut settings = BTreeMap::<_, Vec<_>>::new();
    let mut section = "";
    for line in unit.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once('=') {
            Some((key, value)) => {
                settings.entry(format!("{section}{key}")).or_default().push(value.to_owned());
            }
            None => section = if line.is_empty() { section } else { line },
        }
    }
    settings
}

/// The arguments of a command line, as systemd reads them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = line.chars();
    let mut quoted = false;
    while let Some(c) = characters.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' => words.last_mut().unwrap().extend(characters.next()),
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.iter().map(|word| word.replace("%%", "%").replace("$$", "$")).collect()
}

fn unit(evaluated: &Value) -> BTreeMap<String, Vec<String>> {
    settings(evaluated["unit"].as_str().unwrap())
}

fn flags(evaluated: &Value) -> Vec<String> {
    words(&unit(evaluated)["[Service]ExecStart"][0]).split_off(1)
}

/// Runs the check of a system build, and returns the unit that it prints.
fn checked(settings: &str) -> (Value, Output, String) {
    let package = package();
    let configuration = format!("services.unitwatch = {{ enable = true; {settings} }};");
    let evaluated = evaluated_with(&format!("\"{}\"", package.path().display()), &configuration);
    let out = package.path().join("out");
    let check = evaluated["checks"][0].as_str().unwrap();
    let output = Command::new("bash").args(["-ec", check]).env("out", &out).output().unwrap();
    (evaluated, output, fs::read_to_string(out).unwrap())
}

const EVERYTHING: &str = r#"
    listenAddresses = [ "127.0.0.1:9558" ":9559" "[::]:9560" "unix:/run/unitwatch/http.sock" ];
    openFirewall = true;
    collectors = { pressure = true; unit-times = false; };
    filters = {
      unitInclude = "nginx\\.service|a b\"$|%i'";
      unitExclude = "";
      unitTypes = [ "service" "timer" ];
      slices = [ "system.slice" ];
    };
    settings = { retention = "1h"; max-series = 5000; "web.disable-exporter-metrics" = true; };
"#;

#[test]
fn the_unit_is_the_one_that_the_program_prints() {
    for settings_of in ["", EVERYTHING] {
        let (evaluated, output, printed) = checked(settings_of);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(evaluated["failed"], Value::Array(vec![]));
        let (mut ours, mut theirs) = (unit(&evaluated), settings(&printed));
        // The path of the program and the quoting differ.
        let lines = [&mut ours, &mut theirs].map(|it| it.remove("[Service]ExecStart").unwrap());
        let [one, other] = lines.map(|lines| words(&lines[0]).split_off(1));
        // The module passes the default as a flag.
        let default = ["--web.listen-address=:9558".to_owned()];
        assert_eq!(one, if other.is_empty() { default.to_vec() } else { other });
        assert_eq!(ours, theirs);
        assert!(ours.len() > 35, "{ours:?}");
    }
}

#[test]
fn each_option_sets_its_flag() {
    let evaluated = evaluated(&format!("{EVERYTHING} extraFlags = [ \"--log.format=json\" ];"));
    let wanted = [
        "--collector.pressure=true",
        "--collector.unit-times=false",
        "--max-series=5000",
        "--retention=1h",
        "--systemd.collector.slice=system.slice",
        "--systemd.collector.unit-exclude=",
        "--systemd.collector.unit-include=nginx\\.service|a b\"$|%i'",
        "--systemd.collector.unit-type=service",
        "--systemd.collector.unit-type=timer",
        "--web.disable-exporter-metrics=true",
        "--web.listen-address=127.0.0.1:9558",
        "--web.listen-address=:9559",
        "--web.listen-address=[::]:9560",
        "--web.listen-address=unix:/run/unitwatch/http.sock",
        "--log.format=json",
    ];
    assert_eq!(flags(&evaluated), wanted);
    // The loopback address needs no open port.
    assert_eq!(evaluated["ports"], serde_json::json!([9559, 9560]));
}

#[test]
fn it_adds_nothing_if_disabled_and_only_the_service_by_default() {
    let off = evaluated_with("\"/usr/local\"", "");
    for (key, nothing) in [("unit", "null"), ("users", "{}"), ("groups", "[]"), ("checks", "[]")] {
        assert_eq!(off[key].to_string(), nothing);
    }
    let on = evaluated("");
    assert_eq!(on["users"]["unitwatch"]["isSystemUser"], true);
    assert_eq!(on["users"]["unitwatch"]["group"], "unitwatch");
    assert_eq!(on["groups"], serde_json::json!(["unitwatch"]));
    for key in ["ports", "rules", "scrapes", "failed"] {
        assert_eq!(on[key].to_string(), "[]", "{key}");
    }
    let built = evaluated_with("null", "services.unitwatch.enable = true;");
    let program = &words(&unit(&built)["[Service]ExecStart"][0])[0];
    assert_eq!(program, &format!("/built/unitwatch-{}/bin/unitwatch", env!("CARGO_PKG_VERSION")));
}

#[test]
fn prometheus_has_the_rules_and_the_job() {
    let evaluated = evaluated_with(
        "\"/usr/local\"",
        "services.prometheus.enable = true;
         services.unitwatch = {
           enable = true;
           listenAddresses = [ \"unix:@unitwatch\" \":9600\" ];
           prometheus = { rules = true; scrape = true; };
         };",
    );
    let job = serde_json::json!([
        { "job_name": "systemd", "static_configs": [{ "targets": ["localhost:9600"] }] }
    ]);
    assert_eq!(evaluated["scrapes"], job);
    let rules: Vec<_> =
        evaluated["rules"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let here = |name| format!("{}/alerts/{name}", env!("CARGO_MANIFEST_DIR"));
    assert_eq!(rules, [here("unitwatch.recording.yml"), here("unitwatch.alerts.yml")]);
    assert!(rules.iter().all(|path| Path::new(path).is_file()));
    assert_eq!(evaluated["failed"].to_string(), "[]");
}

#[test]
fn the_configuration_in_the_documentation_works() {
    let readme = include_str!("../../docs/install.md");
    let (_, block) = readme.split_once("```nix\n{\n").unwrap();
    let (block, _) = block.split_once("\n}\n```").unwrap();
    // Without the path of the module, and with the commented option.
    let lines = block.lines().filter(|line| !line.contains("imports = "));
    let shown = lines.collect::<Vec<_>>().join("\n").replace("# prometheus", "prometheus");
    let configuration = format!("{shown}\nservices.prometheus.enable = true;");
    let evaluated = evaluated_with("\"/usr/local\"", &configuration);
    assert_eq!(evaluated["failed"].to_string(), "[]");
    let wanted = [
        "--collector.pressure=true",
        "--retention=1h",
        "--systemd.collector.unit-type=service",
        "--systemd.collector.unit-type=timer",
        "--web.listen-address=:9558",
    ];
    assert_eq!(flags(&evaluated), wanted);
    assert_eq!(evaluated["ports"], serde_json::json!([9558]));
    assert_eq!(evaluated["rules"].as_array().unwrap().len(), 2);
    assert_eq!(evaluated["scrapes"].as_array().unwrap().len(), 1);
}

#[test]
fn the_settings_of_the_unit_can_be_overridden() {
    let evaluated = evaluated_with(
        "\"/usr/local\"",
        "services.unitwatch = { enable = true; user = \"watcher\"; };
         users.users.watcher = { isSystemUser = true; group = \"watcher\"; };
         systemd.services.unitwatch.serviceConfig = { MemoryMax = \"64M\"; RestartSec = 1; };",
    );
    let unit = unit(&evaluated);
    assert_eq!(unit["[Service]User"], ["watcher"]);
    assert_eq!(unit["[Service]MemoryMax"], ["64M"]);
    assert_eq!(unit["[Service]RestartSec"], ["1"]);
    assert_eq!(unit["[Service]ProtectSystem"], ["strict"]);
    assert!(evaluated["users"].get("unitwatch").is_none());
    assert_eq!(evaluated["failed"].to_string(), "[]");
}

/// `security.allowUserNamespaces = false` is this sysctl.
#[test]
fn a_setting_that_would_keep_the_unit_from_starting_is_left_out() {
    let has = |sysctl: &str, setting: &str| {
        let configuration =
            format!("services.unitwatch.enable = true; boot.kernel.sysctl = {{ {sysctl} }};");
        let evaluated = evaluated_with("\"/usr/local\"", &configuration);
        unit(&evaluated).contains_key(&format!("[Service]{setting}"))
    };
    for (kind, setting) in [("user", "PrivateUsers"), ("uts", "ProtectHostname")] {
        for (limit, there) in
            [("0", false), ("\"0\"", false), ("1", true), ("\"10\"", true), ("null", true)]
        {
            let sysctl = format!("\"user.max_{kind}_namespaces\" = {limit};");
            assert_eq!(has(&sysctl, setting), there, "{sysctl}");
        }
        assert!(has("\"user.max_mnt_namespaces\" = 0;", setting));
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_the_reason() {
    let groups: Vec<_> = Group::ALL.iter().map(|group| format!("`{}`", group.name())).collect();
    let groups = format!("collectors has no `disk`; it has {}.", groups.join(", "));
    for (settings, wanted) in [
        ("listenAddresses = [ ];", "listenAddresses is empty"),
        (
            "openFirewall = true; listenAddresses = [ \"unix:@x\" \"localhost:1\" \"[::1]:2\" ];",
            "openFirewall has no port to open",
        ),
        ("collectors.disk = true;", groups.as_str()),
        (
            "settings.\"web.listen-address\" = \":1\";",
            "settings.\"web.listen-address\" is services.unitwatch.listenAddresses: set that.",
        ),
        (
            "settings.\"collector.ip\" = true;",
            "settings.\"collector.ip\" is services.unitwatch.collectors: set that.",
        ),
        ("settings.\"systemd.collector.user\" = true;", "watches the system's manager"),
        ("user = \"no-such-user\";", "user is `no-such-user`, and users.users has no such user"),
        ("prometheus.rules = true;", "services.prometheus.enable is false"),
        (
            "prometheus.scrape = true; listenAddresses = [ \"unix:@x\" ];",
            "prometheus.scrape has nothing to scrape",
        ),
    ] {
        let failed = evaluated(settings)["failed"].clone();
        let said: Vec<_> =
            failed.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert!(said.iter().any(|it| it.contains(wanted)), "{settings}: {said:?}");
        assert!(said.iter().all(|it| it.starts_with("services.unitwatch")), "{settings}: {said:?}");
    }
}

#[test]
fn a_value_of_another_type_is_refused() {
    for (settings, option) in [
        ("listenAddresses = \":9558\";", "listenAddresses"),
        ("openFirewall = \"yes\";", "openFirewall"),
        ("collectors.ip = \"on\";", "collectors.ip"),
        ("filters.unitTypes = [ 1 ];", "filters.unitTypes"),
        ("settings.retention = null;", "settings.retention"),
        ("package = \"unitwatch\";", "package"),
        ("port = 9558;", "port"),
    ] {
        let output = nix(
            "\"/usr/local\"",
            &format!("services.unitwatch = {{ enable = true; {settings} }};"),
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{settings}");
        assert!(said.contains(&format!("services.unitwatch.{option}")), "{settings}: {said}");
    }
}

#[test]
fn a_wrong_flag_fails_the_build_of_the_system() {
    for (settings, wanted) in [
        ("filters.unitInclude = \"(\";", "--systemd.collector.unit-include \"(\": not a regular"),
        ("settings.retention = \"soon\";", "--retention \"soon\": not a duration"),
        ("settings.such = \"x\";", "--such"),
        ("extraFlags = [ \"--systemd.collector.user\" ];", "no manager to watch"),
    ] {
        let (_, output, printed) = checked(settings);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && printed.is_empty(), "{settings}");
        assert!(said.contains(wanted), "{settings}: {said}");
    }
}
