//! Tells the crate what it is built from: the commit and the compiler, for
//! `systemd_exporter_build_info` and `--version`.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=UNITWATCH_REVISION");
    // A packager builds from a tarball and says the revision; a developer has the repository.
    let revision = env::var("UNITWATCH_REVISION").ok().or_else(committed).unwrap_or_default();
    println!("cargo::rustc-env=UNITWATCH_REVISION={revision}");

    let rustc = env::var("RUSTC").ok().and_then(|rustc| output(&rustc, &["--version"]));
    // "rustc 1.95.0 (59807616e 2026-04-14)"
    let version = rustc.as_deref().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    println!("cargo::rustc-env=UNITWATCH_RUSTC={version}");
}

/// The commit that is checked out here, if this directory is the top of a repository and not a
/// tarball that was unpacked inside another one.
fn committed() -> Option<String> {
    println!("cargo::rerun-if-changed=build.rs");
    let top = output("git", &["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != env::current_dir().ok()?.canonicalize().ok()? {
        return None;
    }
    // The log of HEAD grows with every commit and checkout. Naming a file that is not there would
    // run this script on every build.
    let log = output("git", &["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    output("git", &["rev-parse", "HEAD"])
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
