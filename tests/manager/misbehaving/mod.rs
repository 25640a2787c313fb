//! The exporter against a bus and a systemd that misbehave in ways in which the real ones will
//! not, or not when a test wants it: they stall, lie, babble and storm. Each time `/metrics` is
//! scraped all along, `systemd_up` has to tell the truth, the process has to keep its size, and
//! what is served has to be right again once the peer behaves.

mod abrupt;
mod answers;
mod babble;
mod fake;
mod listing;
mod reload;
mod scene;
mod size;
mod storm;
mod strangers;

use crate::harness;
