//! Logging to stderr.

use std::{io, str::FromStr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, registry};

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The least grave level that is logged.
    pub level: Level,
    /// How a line looks.
    pub format: LogFormat,
}

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// How a line looks.
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

/// Starts logging for the whole process; what has started before stays.
pub fn start(options: Options) {
    // A library's own messages matter when something is amiss, and never by the thousand.
    let level = LevelFilter::from(options.level);
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), level);
    // A line that cannot be written is lost: telling stderr of it would panic, as stderr is what
    // is gone.
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
    // Fails only where a subscriber is set already.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

// === impl Level ===

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(word: &str) -> Result<Self, UnknownLevel> {
        match word.to_ascii_lowercase().as_str() {
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

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        match word {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat),
        }
    }
}
