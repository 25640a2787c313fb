//! What systemd says, in systemd's own words: the only room that speaks D-Bus.

pub mod name;
pub mod state;
