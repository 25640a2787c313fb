//! `/metrics`: one scrape, within its time and its place in the queue.

use std::{sync::Arc, time::Duration};

use hyper::{
    HeaderMap, StatusCode,
    body::Bytes,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::metrics::format::Format;

use super::{
    ScrapeError, Source,
    body::Body,
    negotiate::{self, Coding},
    respond::{Response, plain, respond},
    serve::Site,
};

/// What Prometheus gives up after, in seconds; sent with every scrape.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// How long before Prometheus gives up the answer should be on its way.
const OFFSET: Duration = Duration::from_millis(500);

/// The time that every scrape has, whatever the header says.
const SHORTEST: Duration = Duration::from_millis(100);

/// The time that no scrape has more than, whatever the header says.
const LONGEST: Duration = Duration::from_secs(10);

/// The time of a scrape that does not say when it gives up: Prometheus' default of 10 s.
const USUAL: Duration = Duration::from_millis(9_500);

/// How long past its deadline a source may still hand in what it has. Well within [`OFFSET`].
const GRACE: Duration = Duration::from_millis(200);

/// Answers one scrape.
pub(super) async fn scrape<S: Source>(site: &Site<S>, headers: &HeaderMap) -> Response {
    let mut response = match negotiated(site, headers).await {
        Ok(response) | Err(response) => response,
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}

async fn negotiated<S: Source>(site: &Site<S>, headers: &HeaderMap) -> Result<Response, Response> {
    let (format, coding) = (negotiate::format(headers), negotiate::coding(headers));

    // The same limit and the same words as client_golang's: beyond it, waiting would only make
    // the next scrape late too.
    let _place = match &site.scrapes {
        None => None,
        Some((slots, limit)) => Some(slots.try_acquire().map_err(|_| {
            plain(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("Limit of concurrent requests reached ({limit}), try again later.\n"),
            )
        })?),
    };

    let patience = patience(headers);
    let deadline = Instant::now() + patience;
    let body = timeout_at(deadline + GRACE, written(site, format, coding, deadline))
        .await
        .map_err(|_| {
            tracing::warn!(seconds = patience.as_secs_f64(), "a scrape ran out of time");
            plain(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no answer within {} s\n", patience.as_secs_f64()),
            )
        })?
        .map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a scrape failed");
            plain(StatusCode::INTERNAL_SERVER_ERROR, format!("the scrape failed: {error}\n"))
        })?;

    let mut response = respond(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    if coding == Coding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

async fn written<S: Source>(
    site: &Site<S>,
    format: Format,
    coding: Coding,
    deadline: Instant,
) -> Result<Bytes, ScrapeError> {
    let writing = Arc::clone(&site.source).scrape(format, deadline.into_std()).await;
    let written = spawn_blocking(move || {
        let mut body = Body::new(coding);
        writing(&mut body)?;
        body.finish().map_err(|error| ScrapeError(error.into()))
    });
    // The task is lost only when the runtime ends, and the connection with it.
    written.await.map_err(|error| ScrapeError(error.into()))?
}

/// How long this scrape may take. The header is anybody's, so it only moves the time within
/// bounds; what is no number of seconds counts as absent.
fn patience(headers: &HeaderMap) -> Duration {
    headers
        .get(TIMEOUT_HEADER)
        .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
        .filter(|seconds| !seconds.is_nan())
        .map_or(USUAL, |seconds| {
            let wished = Duration::from_secs_f64(seconds.clamp(0.0, 3600.0));
            wished.saturating_sub(OFFSET).clamp(SHORTEST, LONGEST)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_moves_the_time_within_bounds_only() {
        for (value, expected) in [
            (None, 9.5),
            (Some("10"), 9.5),
            (Some("10.000000"), 9.5),
            (Some(" 5 "), 4.5),
            (Some("1.25"), 0.75),
            (Some("0.5"), 0.1),
            (Some("0"), 0.1),
            (Some("-0"), 0.1),
            (Some("-5"), 0.1),
            (Some("-inf"), 0.1),
            (Some("30"), 10.0),
            (Some("1e308"), 10.0),
            (Some("1e999"), 10.0),
            (Some("inf"), 10.0),
            (Some("nan"), 9.5),
            (Some(""), 9.5),
            (Some("ten"), 9.5),
            (Some("0x10"), 9.5),
        ] {
            let headers =
                value.map(|value| (TIMEOUT_HEADER.parse().unwrap(), value.parse().unwrap()));
            let patience = patience(&headers.into_iter().collect());
            assert_eq!(patience.as_secs_f64(), expected, "{value:?}");
        }
    }
}
