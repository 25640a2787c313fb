//! A Prometheus exporter for systemd that listens instead of polling.
//!
//! # Layout
//!
//! What systemd says flows one way, and each room knows only the rooms before it:
//!
//! ```text
//! systemd/  ->  inventory/  ->  metrics/  ->  web/
//! (hears)       (knows)         (words it)    (answers)
//! ```
//!
//! [`systemd`] is the only room that speaks D-Bus; [`inventory`] is the table of what is known,
//! and [`watch`] keeps it true; [`metrics`] words it, together with what [`cgroup`] and
//! [`process`] read from the kernel and what [`telemetry`] counts of the exporter itself; [`web`]
//! answers over HTTP and knows nothing of units. [`exporter`] is where they meet for one scrape.
//! [`histogram`] is for all who count durations, and [`clock`] for all who ask for the time. What
//! outlives the exporter [`keeper`] puts into the file of [`state`].
//!
//! [`series`] counts what a scrape would have, once. [`unit_file`] is the unit to install the exporter
//! with, and [`notify`] what it says to the systemd that started it.
//!
//! [`cli`] is every flag as it was typed, and [`config`] the same checked. [`demo`] runs a private
//! systemd to look at, which is also what the tests run against.

#![forbid(unsafe_code)]
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

pub mod cgroup;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod scrape;
pub mod version;

pub mod histogram;
pub mod inventory;

pub mod log;
pub mod metrics;
pub mod process;
pub mod readiness;
pub mod series;
pub mod signals;

pub mod selection;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod unit_file;
pub mod watch;
pub mod web;
