//! Logging to stderr.

use std::{io, str::FromStr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, registry};

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The minimum level.
    pub level: LevelFilter,
    /// The format of a line.
    pub format: LogFormat,
}

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One flat JSON object.
    Json,
}

/// A level that does not exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be debug, info, warn or error")]
pub struct UnknownLevel;

/// A format that does not exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be logfmt or json")]
pub struct UnknownFormat;

/// Starts logging for the whole process, unless it has started already.
pub fn start(options: Options) {
    // From libraries only warnings and errors: their debug messages come by the thousand.
    let level = options.level;
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), level);
    // A line that cannot be written is lost. Reporting that would panic, as the report would go to
    // the closed stderr.
    let layer = match options.format {
        LogFormat::Logfmt => tracing_logfmt::builder()
            .layer()
            .with_writer(io::stderr)
            .log_internal_errors(false)
            .boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(io::stderr)
            .log_internal_errors(false)
            .boxed(),
    };
    let subscriber = registry().with(layer.with_filter(filter));
    // Fails only if a subscriber is set already.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Reads the name of a level.
///
/// # Errors
/// It is not one of the four levels, in upper or lower case.
pub fn level(text: &str) -> Result<LevelFilter, UnknownLevel> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Ok(LevelFilter::DEBUG),
        "info" => Ok(LevelFilter::INFO),
        "warn" => Ok(LevelFilter::WARN),
        "error" => Ok(LevelFilter::ERROR),
        _ => Err(UnknownLevel),
    }
}

// === impl LogFormat ===

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat),
        }
    }
}
