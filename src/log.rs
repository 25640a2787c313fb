//! Logging to stderr.

use std::{io, str::FromStr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, registry};

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The minimum level.
    pub level: Level,
    /// The format of a line.
    pub format: LogFormat,
}

/// The level of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
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
    let level = LevelFilter::from(options.level);
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

// === impl Level ===

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(UnknownLevel),
        }
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warn => Self::WARN,
            Level::Error => Self::ERROR,
        }
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
