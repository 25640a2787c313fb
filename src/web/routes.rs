//! The paths, and what answers each.

use std::{str::FromStr, sync::Arc};

use hyper::{
    Method, StatusCode,
    header::{ALLOW, CACHE_CONTROL, HeaderValue},
    http::uri::PathAndQuery,
};

use super::{
    Source, WebSettings, landing,
    scrape::{self, ScrapeSlots},
};
use crate::http::{Handler, Request, Response, text};

/// Answers the exporter's paths with the data of a source.
#[derive(Debug)]
pub struct Routes<S> {
    source: Arc<S>,
    telemetry_path: TelemetryPath,
    slots: Option<ScrapeSlots>,
}

/// The path of the metrics, compared byte by byte with that of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryPath(String);

/// A path at which metrics cannot be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum PathError {
    #[error("must start with \"/\"")]
    Relative,
    #[error("must be a valid URL path without query and fragment")]
    Malformed,
    #[error("is already the path of the {0}")]
    Taken(&'static str),
}

const LANDING: &str = "/";
/// Answers 200 while the process runs.
const HEALTHY: &str = "/-/healthy";
/// Answers 200 while the data is current, else 503.
const READY: &str = "/-/ready";

// === impl Routes ===

impl<S: Source> Routes<S> {
    /// Routes to this source.
    pub fn new(source: Arc<S>, settings: WebSettings) -> Self {
        let slots = settings.max_requests.map(ScrapeSlots::new);
        Self { source, telemetry_path: settings.telemetry_path, slots }
    }
}

impl<S: Source> Handler for Routes<S> {
    /// Ignores the body, and the query: Prometheus' `params` have no meaning here.
    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path();
        let is_scrape = path == self.telemetry_path.as_str();
        if !is_scrape && ![LANDING, HEALTHY, READY].contains(&path) {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response =
                text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed here\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let mut response = match path {
            _ if is_scrape => {
                scrape::answer(&self.source, self.slots.as_ref(), request.headers()).await
            }
            HEALTHY => text(StatusCode::OK, "unitwatch is healthy\n"),
            READY => match self.source.ready() {
                Ok(()) => {
                    text(StatusCode::OK, format!("unitwatch is in sync with {}\n", S::SUBJECT))
                }
                Err(reason) => {
                    text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n"))
                }
            },
            _ => {
                let metrics = self.telemetry_path.as_str();
                let links = [(metrics, "Metrics"), (HEALTHY, "Healthy"), (READY, "Ready")];
                landing::page(S::SUBJECT, links, self.source.ready(), &self.source.overview())
            }
        };
        // A cached answer would be out of date.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

// === impl TelemetryPath ===

impl TelemetryPath {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TelemetryPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(PathError::Relative);
        }
        match text {
            LANDING => return Err(PathError::Taken("landing page")),
            HEALTHY | READY => return Err(PathError::Taken("health checks")),
            _ => {}
        }
        // The path of a request has no query and no fragment, so it would never match.
        match PathAndQuery::try_from(text) {
            Ok(parsed) if parsed.path() == text => Ok(Self(text.to_owned())),
            _ => Err(PathError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telemetry_path_is_an_absolute_url_path_that_no_other_page_has() {
        for path in ["/metrics", "/a/b", "/metrics/", "/a%20b", "/-/metrics"] {
            assert_eq!(path.parse::<TelemetryPath>().unwrap().as_str(), path);
        }
        for (path, error) in [
            ("", PathError::Relative),
            ("metrics", PathError::Relative),
            ("http://a/metrics", PathError::Relative),
            ("/", PathError::Taken("landing page")),
            ("/-/healthy", PathError::Taken("health checks")),
            ("/-/ready", PathError::Taken("health checks")),
            ("/metrics?a=b", PathError::Malformed),
            ("/metrics#a", PathError::Malformed),
            ("/a b", PathError::Malformed),
            ("/a\nb", PathError::Malformed),
        ] {
            assert_eq!(path.parse::<TelemetryPath>(), Err(error), "{path:?}");
        }
    }
}
