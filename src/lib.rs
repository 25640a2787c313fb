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
//! [`systemd`] is the only room that speaks D-Bus; [`inventory`] is the table of what is known;
//! [`metrics`] words it, together with what [`cgroup`] and [`process`] read from the kernel.

#![forbid(unsafe_code)]

pub mod build;
pub mod cgroup;
pub mod inventory;
pub mod metrics;
pub mod process;
pub mod systemd;
pub mod telemetry;
pub mod watch;
