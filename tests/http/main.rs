//! The HTTP room byte by byte, over real sockets.
//!
//! The source is the tests' own, so that it can be slow, huge and broken at will.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the leave that clippy.toml gives to tests does not reach their helpers"
)]

mod answers;
mod client;
mod connections;
mod end;
mod listeners;
mod server;
