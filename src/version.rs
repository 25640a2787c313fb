//! What this program was built from.

/// The crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit, in full; empty where the build had no repository and no `UNITWATCH_REVISION`.
pub const REVISION: &str = env!("UNITWATCH_REVISION");

/// The compiler's version, such as `1.95.0`.
pub const RUSTC: &str = env!("UNITWATCH_RUSTC");
