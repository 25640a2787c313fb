//! A wall clock that a test can set, for processes started with its environment.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// The wall clock of some processes.
pub struct Clock {
    directory: TempDir,
    library: PathBuf,
}

// === impl Clock ===

impl Clock {
    /// A clock that shows the right time. `UNITWATCH_TEST_CLOCK` is a compiled `clock.c`, for the
    /// containers of `tests/run`, which have no compiler.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let library = env::var_os("UNITWATCH_TEST_CLOCK").map(PathBuf::from);
        let library = library.unwrap_or_else(|| compile(directory.path()));
        let clock = Self { directory, library };
        clock.set(0);
        clock
    }

    /// The environment of a process that uses this clock.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("UNITWATCH_TEST_CLOCK_AHEAD", text(&self.directory.path().join("ahead"))),
        ]
    }

    /// Sets it this many seconds ahead of the machine's clock.
    pub fn set(&self, ahead: i64) {
        // Replaced atomically: a process may be reading the file.
        let next = self.directory.path().join("next");
        fs::write(&next, ahead.to_string()).unwrap();
        fs::rename(next, self.directory.path().join("ahead")).unwrap();
    }
}

/// Compiles the library with the compiler that links Rust.
fn compile(directory: &Path) -> PathBuf {
    let library = directory.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manager/harness/clock.c");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
    let status = command.status().expect("cc runs");
    assert!(status.success(), "{command:?}: {status}");
    library
}
