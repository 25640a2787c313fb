//! The exporter against a fake bus and systemd with faults that the real ones do not have on
//! demand: stalls, wrong answers, unrequested answers and floods of signals. Throughout, `/metrics`
//! is scraped, `systemd_up` must be right and memory bounded, and afterwards all series must be
//! right again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "clippy's exemptions for tests do not cover helper functions"
)]

mod abrupt;
mod answers;
mod babble;
mod fake;
#[path = "../harness/mod.rs"]
mod harness;
mod listing;
mod reload;
mod scene;
mod size;
mod storm;
mod strangers;
