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
//! [`systemd`] is the only room that speaks D-Bus; [`inventory`] is the table of what is known.

#![forbid(unsafe_code)]

pub mod inventory;
pub mod systemd;
pub mod telemetry;
pub mod watch;
