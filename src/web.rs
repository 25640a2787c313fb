//! The exporter's paths: metrics, health checks and the landing page, as one [`Handler`] for
//! [`http`](crate::http).
//!
//! A [`Source`] supplies the text of a scrape and what the landing page shows. This module does not
//! know what either is about.
//!
//! [`Handler`]: crate::http::Handler

mod body;
mod landing;
mod negotiate;
mod routes;
mod scrape;

use std::{num::NonZeroUsize, sync::Arc, time::Instant};

pub use self::{
    body::Body,
    routes::{PathError, Routes, TelemetryPath},
};
use crate::metrics::format::Format;

/// Where the data comes from.
pub trait Source: Send + Sync + 'static {
    /// What the metrics are about: `systemd`.
    const SUBJECT: &'static str;

    /// Waits for the data of one scrape, and returns what encodes it.
    ///
    /// It should return by the deadline with the data that it has. A fifth of the timeout of the scrape
    /// is left then, to write the data; at the end of it the scrape fails.
    /// It runs on a thread of the runtime and must not block; the returned function may block.
    fn scrape(
        self: Arc<Self>,
        format: Format,
        deadline: Instant,
    ) -> impl Future<Output = EncodeScrape> + Send;

    /// Whether the data is current; the error is the reason if it is not.
    fn ready(&self) -> Result<(), String>;

    /// What the landing page shows.
    fn overview(&self) -> Overview;
}

/// Encodes one scrape into a body.
pub type EncodeScrape = Box<dyn FnOnce(&mut Body) -> Result<(), ScrapeError> + Send>;

/// A scrape that could not be encoded.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ScrapeError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// What the landing page shows, in this order. Plain text: the page escapes it.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Terms and their values, such as the version of systemd.
    pub facts: Vec<(&'static str, String)>,
    /// Headings with what is wrong, such as the failed units. The page shows the first 100 items.
    pub problems: Vec<(&'static str, Vec<String>)>,
}

/// The settings of [`Routes`].
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// The path of the metrics.
    pub telemetry_path: TelemetryPath,
    /// How many scrapes may run at a time. A further one is answered with status 503.
    pub max_requests: Option<NonZeroUsize>,
}
