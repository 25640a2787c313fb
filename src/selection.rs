//! Which units are shown, and under which name.

pub mod filter;
pub mod rollup;
