//! The exporter against a real systemd: a private user manager, or the machine's own where
//! `UNITWATCH_TEST_MANAGER=system`; and against peers that misbehave in ways the real one does not.

mod harness;
#[path = "../shared/sample.rs"]
mod sample;

mod demo;
mod events;
mod faults;
mod files;
mod filters;
mod link;
mod misbehaving;
mod oracle;
mod other_clients;
mod private_faults;
mod process;
mod resources;
mod series;
mod state;
mod troubles;
mod unbreakable;
mod visible;
