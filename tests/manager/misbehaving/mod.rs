//! The exporter against a fake bus and systemd with faults that the real ones do not have on
//! demand: stalls, wrong answers, unrequested answers and floods of signals. Throughout, `/metrics`
//! is scraped, `systemd_up` must be right and memory bounded, and afterwards all series must be
//! right again.

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
