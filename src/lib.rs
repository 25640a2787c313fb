//! A Prometheus exporter for systemd that subscribes to systemd's signals instead of polling.
//!
//! # Layout
//!
//! Data flows one way, and each module knows only the modules before it:
//!
//! ```text
//! systemd/  ->  inventory/  ->  metrics/  ->  web/  (on http/)
//! ```
//!
//! - [`systemd`] is the only module that speaks to systemd: D-Bus messages into typed events.
//! - [`inventory`] is the table of one manager's units, jobs and counters, a pure state machine.
//! - [`selection`] decides which units are shown: filters, types, slices, roll-ups.
//! - [`watch`] keeps an inventory in sync with its manager.
//! - [`cgroup`] and [`process`] read from the kernel what units and the exporter use.
//! - [`metrics`] has the name, help, type and encoding of each family.
//! - [`http`] has listeners, limits and draining for any handler; [`web`] is the exporter's handler.
//! - [`managers`] are what is watched: a watch, an identity and control groups each.
//! - [`scrape`] joins them for one scrape, and a file of [`commands`] for one process.
//! - [`store`] keeps counters on disk over a restart, and [`telemetry`] counts the exporter itself.
//! - [`cli`] defines the flags, and [`config`] checks them.
//! - [`demo`] runs a private systemd with sample units, which the tests use as well.

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

/// So that the tests can share code with the test programs.
#[cfg(test)]
extern crate self as unitwatch;

pub mod cgroup;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod demo;
pub mod histogram;
pub mod http;
pub mod inventory;
pub mod log;
pub mod managers;
pub mod metrics;
pub mod process;
pub mod scrape;
pub mod sd_notify;
pub mod selection;
pub mod signals;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod version;
pub mod watch;
pub mod web;
