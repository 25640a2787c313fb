//! The unit to install the exporter with: the one in `packaging`, for this very program and these
//! flags.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The unit as it is in the repository.
pub const TEMPLATE: &str = include_str!("../packaging/unitwatch.service");

/// The line of it that tells what to run.
const COMMAND: &str = "ExecStart=/usr/local/bin/unitwatch";

/// The user in it.
const USER: &str = "unitwatch";

/// Where its sandbox hides what is there: `ProtectHome=` and `PrivateTmp=`.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// There is no unit for this.
#[derive(Debug, thiserror::Error)]
pub enum UnitFileError {
    /// It is not known where the program is.
    #[error("nobody can tell where this program is: {0}")]
    Program(#[source] io::Error),
    /// A unit cannot name the program.
    #[error("a unit cannot name {}", .0.display())]
    Path(PathBuf),
    /// The unit is one of the system's manager.
    #[error("it is one of the system's manager, and its user has no manager to watch")]
    User,
    /// There is nowhere to print it.
    #[error("{0}")]
    Output(#[source] io::Error),
}

/// The unit for the program that runs now, with these flags and their values.
///
/// # Errors
/// [`UnitFileError`] if nobody can tell where the program is.
pub fn text(flags: &[(String, String)]) -> Result<String, UnitFileError> {
    let program = env::current_exe().map_err(UnitFileError::Program)?;
    let name = program.to_str().filter(|name| !name.contains(char::is_control));
    let name = name.ok_or_else(|| UnitFileError::Path(program.clone()))?;
    let flags = flags.iter().map(|(flag, value)| word(&format!("--{flag}={value}"), "$$"));
    // What is run is taken as it stands, without variables.
    let words: Vec<String> = std::iter::once(word(name, "$")).chain(flags).collect();
    Ok(TEMPLATE.replace(COMMAND, &format!("ExecStart={}", words.join(" "))))
}

/// What still keeps the unit from working on this machine, a sentence each.
pub fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    let hidden = |path: &PathBuf| HIDDEN.iter().any(|hidden| path.starts_with(hidden));
    if let Some(path) = env::current_exe().ok().filter(hidden) {
        missing.push(format!(
            "the unit cannot see {}; move the program, such as to /usr/local/bin, and have that one \
             print the unit",
            path.display()
        ));
    }
    if !has_user(Path::new("/etc/passwd")) {
        missing.push(format!(
            "the unit's user is not in /etc/passwd; to create it: \
             systemd-sysusers --inline 'u {USER} - \"Prometheus exporter for systemd\"'"
        ));
    }
    missing
}

fn has_user(passwd: &Path) -> bool {
    // What cannot be read is no reason to say that something is missing.
    fs::read_to_string(passwd)
        .map_or(true, |users| users.lines().any(|user| user.split(':').next() == Some(USER)))
}

/// A word of a command line as systemd reads it back.
fn word(word: &str, dollar: &str) -> String {
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
            // One byte each, all of them.
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
        let text = text(&[("retention".into(), "1h".into())]).unwrap();
        let line = format!("\nExecStart={} --retention=1h\n", program.display());
        assert!(text.contains(&line), "{text}");
        assert_eq!(text.lines().count(), TEMPLATE.lines().count());
    }

    #[test]
    fn words_stand_as_systemd_reads_them() {
        for (given, wanted) in [
            ("--web.listen-address=[::1]:9558", "\"--web.listen-address=[::1]:9558\""),
            ("/usr/bin/unitwatch", "/usr/bin/unitwatch"),
            (r"--x=.+\.(device)", r#""--x=.+\\.(device)""#),
            ("--x=a b$\"%i\n", r#""--x=a b$$\"%%i\x0a""#),
            ("--x=", "--x="),
        ] {
            assert_eq!(word(given, "$$"), wanted);
        }
        assert_eq!(word("/opt/a $b", "$"), r#""/opt/a $b""#);
    }

    #[test]
    fn a_user_is_only_missed_where_users_can_be_read() {
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
