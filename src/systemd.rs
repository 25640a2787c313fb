//! The only part that speaks to systemd: D-Bus messages become typed events and answers.
//!
//! # Messages keep their order
//!
//! PID 1 sends signals and replies through one queue, the bus keeps their order, and so does
//! [`link::Link::hear`]. systemd reads the values of a signal or a reply at the moment it sends it.
//! So a message that arrives later is never older, and a late reply cannot overwrite a newer signal.
//! Nothing here may reorder messages: replies come out of the same stream as signals, and are not
//! handed to waiting callers.

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
