//! `http` and `web` over real sockets, byte by byte.
//!
//! The source is a fake, so that a test can make it slow, large or broken.

mod answers;
mod client;
mod connections;
mod handler;
mod listeners;
mod server;
mod stop;
