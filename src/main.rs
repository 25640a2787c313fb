//! The `unitwatch` command.

fn main() {}
