//! `unitwatch unit-file`: the unit in `packaging`, with the path of this program and the given flags.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{Failure, note, print};
use crate::{config::Config, systemd::address::ManagerScope};

/// The unit as it is in the repository.
pub const TEMPLATE: &str = include_str!("../../packaging/unitwatch.service");

/// Its command line.
const COMMAND: &str = "ExecStart=/usr/local/bin/unitwatch";

/// Its user.
const USER: &str = "unitwatch";

/// The directories that its sandbox hides: `ProtectHome=` and `PrivateTmp=`.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// Settings that need a namespace, by its kind. If the machine allows none of that kind, systemd
/// does not start the unit: status 217/USER for a user namespace, 226/NAMESPACE for others.
const NAMESPACED: [(&str, &str); 2] =
    [("user", "PrivateUsers=yes"), ("uts", "ProtectHostname=yes")];

const PROC: &str = "/proc";

/// Why there is no unit to print.
#[derive(Debug, thiserror::Error)]
pub enum UnitFileError {
    /// The path of the program is unknown.
    #[error("cannot find the path of this program: {0}")]
    Program(#[source] io::Error),
    /// The path of the program cannot be written in a unit.
    #[error("a unit cannot run {}: its path has control characters or is not UTF-8", .0.display())]
    Path(PathBuf),
    /// The unit is for the system manager.
    #[error("it runs under the system manager, and its user has no manager to watch")]
    User,
}

/// Prints the unit, and to stderr what it lacks.
///
/// # Errors
/// There is no unit for this configuration, or it cannot be printed.
pub fn run(config: &Config, flags: &[String]) -> Result<ExitCode, Failure> {
    if config.scope == ManagerScope::User {
        return Err(UnitFileError::User.into());
    }
    print(text(flags)?)?;
    for lack in missing() {
        note(lack);
    }
    Ok(ExitCode::SUCCESS)
}

/// The unit for this program with these flags, without the settings that this machine refuses.
fn text(flags: &[String]) -> Result<String, UnitFileError> {
    let program = env::current_exe().map_err(UnitFileError::Program)?;
    let name = program.to_str().filter(|name| !name.contains(char::is_control));
    let name = name.ok_or_else(|| UnitFileError::Path(program.clone()))?;
    let flags = flags.iter().map(|flag| quote(flag, "$$"));
    // systemd expands no variables in the path of the program.
    let words: Vec<String> = std::iter::once(quote(name, "$")).chain(flags).collect();
    let unit = TEMPLATE.replace(COMMAND, &format!("ExecStart={}", words.join(" ")));
    Ok(without(unit, &refused(Path::new(PROC))))
}

/// What the unit lacks on this machine, and what keeps it from starting, one sentence each.
fn missing() -> Vec<String> {
    let proc = Path::new(PROC);
    let mut missing: Vec<_> = refused(proc)
        .iter()
        .map(|(kind, setting)| {
            format!("the unit is printed without {setting}, because {}", no_namespaces(kind))
        })
        .collect();
    if !allows(proc, "mnt") {
        missing.push(format!("the unit cannot start here, because {}", no_namespaces("mnt")));
    }
    let hidden = |path: &PathBuf| HIDDEN.iter().any(|hidden| path.starts_with(hidden));
    if let Some(path) = env::current_exe().ok().filter(hidden) {
        missing.push(format!(
            "the sandbox hides {}; install the program elsewhere, such as in /usr/local/bin, and \
             print the unit again",
            path.display()
        ));
    }
    if !has_user(Path::new("/etc/passwd")) {
        missing.push(format!(
            "the unit's user is not in /etc/passwd; create it: \
             systemd-sysusers --inline 'u {USER} - \"Prometheus exporter for systemd\"'"
        ));
    }
    missing
}

/// Replaces the refused settings by comments with the reason.
fn without(unit: String, refused: &[(&str, &str)]) -> String {
    refused.iter().fold(unit, |unit, (kind, setting)| {
        let comment = format!("\n# Without {setting}: {}.\n", no_namespaces(kind));
        unit.replace(&format!("\n{setting}\n"), &comment)
    })
}

/// The settings that keep the unit from starting on this machine, by the kind of namespace.
fn refused(proc: &Path) -> Vec<(&'static str, &'static str)> {
    NAMESPACED.into_iter().filter(|(kind, _)| !allows(proc, kind)).collect()
}

/// Whether the kernel has namespaces of this kind and its limit is not 0.
fn allows(proc: &Path, kind: &str) -> bool {
    let limit = fs::read_to_string(proc.join(format!("sys/user/max_{kind}_namespaces")));
    // Linux before 4.9 has no limit.
    proc.join("self/ns").join(kind).exists() && limit.map_or(true, |limit| limit.trim() != "0")
}

fn no_namespaces(kind: &str) -> String {
    format!("this machine allows no {kind} namespaces (user.max_{kind}_namespaces)")
}

fn has_user(passwd: &Path) -> bool {
    // An unreadable file proves nothing.
    fs::read_to_string(passwd)
        .map_or(true, |users| users.lines().any(|user| user.split(':').next() == Some(USER)))
}

/// Quotes one argument of a command line for systemd; `dollar` replaces `$`.
fn quote(word: &str, dollar: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            '$' => quoted.push_str(dollar),
            // ASCII, so one byte each.
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_the_program_that_prints_it() {
        assert_eq!(TEMPLATE.matches(COMMAND).count(), 1);
        assert!(TEMPLATE.contains(&format!("\nUser={USER}\n")));
        let program = env::current_exe().unwrap();
        let text = text(&["--retention=1h".to_owned()]).unwrap();
        let line = format!("\nExecStart={} --retention=1h\n", program.display());
        assert!(text.contains(&line), "{text}");
        assert_eq!(text.lines().count(), TEMPLATE.lines().count());
    }

    #[test]
    fn arguments_are_quoted_as_systemd_reads_them() {
        for (given, wanted) in [
            ("--web.listen-address=[::1]:9558", "\"--web.listen-address=[::1]:9558\""),
            ("/usr/bin/unitwatch", "/usr/bin/unitwatch"),
            (r"--x=.+\.(device)", r#""--x=.+\\.(device)""#),
            ("--x=a b$\"%i\n", r#""--x=a b$$\"%%i\x0a""#),
            ("--x=", "--x="),
        ] {
            assert_eq!(quote(given, "$$"), wanted);
        }
        assert_eq!(quote("/opt/a $b", "$"), r#""/opt/a $b""#);
    }

    #[test]
    fn a_limit_of_zero_or_a_kernel_without_namespaces_refuses_them() {
        let proc = tempfile::tempdir().unwrap();
        let [namespaces, limits] = ["self/ns", "sys/user"].map(|path| proc.path().join(path));
        let kinds = || refused(proc.path()).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
        fs::create_dir_all(&namespaces).unwrap();
        fs::create_dir_all(&limits).unwrap();
        assert_eq!(kinds(), ["user", "uts"], "no such kernel");
        for kind in ["user", "uts", "mnt"] {
            fs::write(namespaces.join(kind), "").unwrap();
        }
        assert_eq!(kinds(), [""; 0], "an old kernel");
        for (user, uts, wanted) in [
            ("96365\n", "1\n", &[][..]),
            ("0\n", "10\n", &["user"]),
            ("10\n", "0\n", &["uts"]),
            ("0\n", "0\n", &["user", "uts"]),
        ] {
            fs::write(limits.join("max_user_namespaces"), user).unwrap();
            fs::write(limits.join("max_uts_namespaces"), uts).unwrap();
            assert_eq!(kinds(), wanted);
        }
    }

    #[test]
    fn a_user_is_missing_only_if_the_users_can_be_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (users, there) in [
            ("root:x:0:0::/root:/bin/bash\nunitwatch:x:997:997::/:/usr/sbin/nologin\n", true),
            ("root:x:0:0::/root:/bin/bash\nunitwatcher:x:997:997:unitwatch:/:\n", false),
        ] {
            fs::write(file.path(), users).unwrap();
            assert_eq!(has_user(file.path()), there);
        }
        assert!(has_user(Path::new("/nonexistent")));
    }
}
