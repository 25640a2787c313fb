//! Answers over HTTP: listeners, limits, routes, content negotiation and the landing page.
//!
//! It knows a [`Source`] of text and nothing of what the text is about. [`Bound`] has its sockets
//! open, so that a taken port is an error at the start; [`Server`] answers on them until told to
//! stop, and then lets what is under way finish.

mod address;
mod bind;
mod body;
mod landing;
mod negotiate;
mod path;
mod respond;
mod routes;
mod scrape;
mod serve;
mod slots;

use std::{num::NonZeroUsize, sync::Arc, time::Instant};

pub use self::{
    address::{AddressError, Host, ListenAddress},
    bind::{BindError, Bound, LocalAddress},
    body::Body,
    path::{PathError, TelemetryPath},
    serve::{Drained, Limits, Server},
};
use crate::metrics::format::Format;

/// What there is to serve.
pub trait Source: Send + Sync + 'static {
    /// Waits for what one scrape has to wait for, and returns how to write it down.
    ///
    /// At the deadline the source should answer with what it has; a little later the scrape is
    /// given up. Long work must not be done on the runtime's own threads; the writing is not.
    fn scrape(
        self: Arc<Self>,
        format: Format,
        deadline: Instant,
    ) -> impl Future<Output = Writing> + Send;

    /// Whether what is served is in sync with systemd; the error says what is amiss.
    fn ready(&self) -> Result<(), String>;

    /// What the landing page shows.
    fn overview(&self) -> Overview;
}

/// Writes down what a scrape tells.
pub type Writing = Box<dyn FnOnce(&mut Body) -> Result<(), ScrapeError> + Send>;

/// A scrape that could not be worded.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ScrapeError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// What the landing page shows. Plain text: the page escapes it.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Terms and what they are, such as systemd's version, in the order to show them in.
    pub facts: Vec<(&'static str, String)>,
    /// The names of the failed units, in the order to show them in. A hundred are shown.
    pub failed_units: Vec<String>,
}

/// What the user may choose.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Where the metrics are.
    pub telemetry_path: TelemetryPath,
    /// How many scrapes are answered at a time; one more is refused with status 503.
    pub max_requests: Option<NonZeroUsize>,
}
