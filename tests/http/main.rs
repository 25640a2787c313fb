//! The HTTP room byte by byte, over real sockets.
//!
//! The source is the tests' own, so that it can be slow, huge and broken at will.

mod answers;
mod client;
mod connections;
mod end;
mod listeners;
mod server;
