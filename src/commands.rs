//! What the program can do, one file for each subcommand; [`serve`] is what it does without one.

pub mod demo;
pub mod series;
pub mod serve;
pub mod unit_file;

use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use self::{series::SeriesError, unit_file::UnitFileError};
use crate::{cli::Command, config::Config, demo::DemoError, http::BindError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The signal handlers could not be installed.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    /// An address could not be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The demo could not run.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The series could not be counted.
    #[error("cannot count the series: {0}")]
    Series(#[from] SeriesError),
    /// There is no unit to print.
    #[error("cannot print the unit: {0}")]
    UnitFile(#[from] UnitFileError),
    /// Standard output could not be written to.
    #[error("cannot write to stdout: {0}")]
    Output(#[source] io::Error),
}

/// Runs the subcommand, or the exporter if there is none. `flags` are those on the command line, as
/// `--flag=value`.
///
/// # Errors
/// [`Failure`]; a signal to end is none.
pub async fn run(
    command: Option<Command>,
    config: Config,
    flags: &[String],
) -> Result<ExitCode, Failure> {
    match command {
        None => serve::run(config).await,
        Some(Command::Demo) => demo::run(config).await,
        Some(Command::Series) => series::run(&config).await,
        Some(Command::UnitFile) => unit_file::run(&config, flags),
    }
}

/// Prints to standard output. A reader that has closed the pipe, such as `head`, is no failure.
fn print(text: impl fmt::Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

/// Prints one line to standard error, for before logging starts and for notes on what was printed.
pub fn note(what: impl fmt::Display) {
    // If stderr is closed, the exit code is all that is left to report with.
    let _ = writeln!(io::stderr(), "unitwatch: {what}");
}
