//! What is known of systemd: units, jobs and the manager, kept as a pure state machine.

pub mod snapshot;
pub mod unit;
