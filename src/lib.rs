//! A Prometheus exporter for systemd that listens instead of polling.
//!
//! # Layout
//!
//! What systemd says flows one way, and each room knows only the rooms before it:
//!
//! ```text
//! systemd/  ->  inventory/  ->  metrics/  ->  web/  (on http/)
//! (hears)       (knows)         (words it)    (answers)
//! ```
//!
//! [`systemd`] is the only room that speaks D-Bus; [`inventory`] is the table of what is known,
//! and [`watch`] keeps it true; [`metrics`] words it, together with what [`cgroup`] and
//! [`process`] read from the kernel and what [`telemetry`] counts of the exporter itself; [`web`]
//! answers the paths, over [`http`], and knows nothing of units. [`exporter`] is where they meet for one scrape.
//! [`histogram`] is for all who count durations, and [`clock`] for all who ask for the time. What
//! outlives the exporter [`keeper`] puts into the file of [`state`].
//!
//! [`cli`] defines the flags and subcommands, [`config`] checks their values, and [`commands`] has a
//! file for each subcommand. [`readiness`] reports the start to systemd. [`demo`] runs a private
//! systemd, which the tests use too.

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
pub mod commands;
pub mod config;
pub mod demo;
pub mod scrape;
pub mod version;

pub mod histogram;
pub mod http;
pub mod inventory;

pub mod log;
pub mod metrics;
pub mod process;
pub mod readiness;
pub mod signals;

pub mod selection;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod watch;
pub mod web;
