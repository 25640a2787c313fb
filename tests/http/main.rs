//! `http` and `web` over real sockets, byte by byte.
//!
//! The source is a fake, so that a test can make it slow, large or broken.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy's exemptions for tests do not cover helper functions"
)]

mod answers;
mod client;
mod connections;
mod handler;
mod server;
mod stop;
