//! What systemd says, in systemd's own words: the only room that speaks D-Bus.
//!
//! # Order decides truth
//!
//! Everything that systemd tells one [`link::Link`], signals and replies alike, comes out of one
//! queue in PID 1, crosses the bus in order and leaves [`link::Link::hear`] in that order. systemd
//! reads the values of a signal at the moment it sends it, and those of a reply likewise. So what
//! arrives later is never older, and whoever applies what is heard in the order in which it is
//! heard can not let a late reply overwrite a newer signal. Nothing here may reorder messages:
//! replies are not handed to waiting callers but taken from the same stream as signals.

pub mod address;
pub mod decode;
pub mod event;
pub mod link;
pub mod listing;
pub mod name;
pub mod private;
pub mod property;
pub mod question;
pub mod state;
