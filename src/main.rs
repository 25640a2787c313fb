//! The `unitwatch` command.

#![warn(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

use std::{env, mem, process::ExitCode, thread::available_parallelism};

use unitwatch::{
    cli::Args,
    commands::{self, note},
    config::Config,
    log,
};

/// The exit code for bad usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut args = match Args::read(env::args_os()) {
        Ok(args) => args,
        Err(end) => {
            // Fails if the reader has closed the pipe, as in `--help | head`, which is no failure.
            let _ = end.print();
            return ExitCode::from(u8::try_from(end.exit_code()).unwrap_or(USAGE));
        }
    };
    let (command, flags) = (args.command, mem::take(&mut args.typed));
    let config = match Config::try_from(args) {
        Ok(config) => config,
        Err(invalid) => {
            note(invalid);
            return ExitCode::from(USAGE);
        }
    };
    log::start(config.log);

    // At least two threads, so that encoding a large scrape never delays systemd's signals. There
    // is too little to do in parallel for more than four.
    let threads = available_parallelism().map_or(2, |cores| cores.get().clamp(2, 4));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            note(format_args!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(commands::run(command, config, &flags));
    let code = ended.unwrap_or_else(|error| {
        tracing::error!("{error}");
        ExitCode::FAILURE
    });
    // Ends without waiting for blocking tasks.
    runtime.shutdown_background();
    code
}
