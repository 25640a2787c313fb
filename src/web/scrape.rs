//! One scrape: its format, its deadline and its slot.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_ENCODING, HeaderValue, VARY},
};
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{
    ScrapeError, Source,
    body::Body,
    negotiate::{self, Coding},
};
use crate::http::{Response, respond, text};

/// Limits how many scrapes run at a time.
#[derive(Debug)]
pub(super) struct ScrapeSlots {
    free: Semaphore,
    number: NonZeroUsize,
}

/// After how many seconds Prometheus gives up; it sends this with every scrape.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// How long before Prometheus gives up the response should be sent.
const OFFSET: Duration = Duration::from_millis(500);

/// The shortest timeout of a scrape, whatever the header says.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// The longest timeout of a scrape, whatever the header says.
const MAX_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout without the header: Prometheus' default of 10 s, less [`OFFSET`].
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(9_500);

/// The part of the timeout that is left for writing when the source has waited to its deadline.
const FOR_WRITING: f64 = 0.2;

// === impl ScrapeSlots ===

impl ScrapeSlots {
    pub(super) fn new(number: NonZeroUsize) -> Self {
        Self { free: Semaphore::new(number.get().min(Semaphore::MAX_PERMITS)), number }
    }
}

/// Answers one scrape.
pub(super) async fn answer<S: Source>(
    source: &Arc<S>,
    slots: Option<&ScrapeSlots>,
    headers: &HeaderMap,
) -> Response {
    let mut response = match scrape(source, slots, headers).await {
        Ok(response) | Err(response) => response,
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}

async fn scrape<S: Source>(
    source: &Arc<S>,
    slots: Option<&ScrapeSlots>,
    headers: &HeaderMap,
) -> Result<Response, Response> {
    let (format, coding) = (negotiate::format(headers), negotiate::coding(headers));

    // The limit and its text are those of client_golang. If a scrape waited here, the next one
    // would be late too.
    let _permit = match slots {
        None => None,
        Some(ScrapeSlots { free, number }) => Some(free.try_acquire().map_err(|_| {
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("Limit of concurrent requests reached ({number}), try again later.\n"),
            )
        })?),
    };

    let (began, timeout) = (Instant::now(), timeout(headers));
    let encoded = async {
        let deadline = began + timeout.mul_f64(1.0 - FOR_WRITING);
        let encode = Arc::clone(source).scrape(format, deadline.into_std()).await;
        let encoded = spawn_blocking(move || {
            let mut body = Body::new(coding);
            encode(&mut body)?;
            body.finish().map_err(|error| ScrapeError(error.into()))
        });
        // A task is cancelled only when the runtime ends, and the connection with it.
        encoded.await.map_err(|error| ScrapeError(error.into()))?
    };
    let body = timeout_at(began + timeout, encoded)
        .await
        .map_err(|_| {
            tracing::warn!(seconds = timeout.as_secs_f64(), "scrape timed out");
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no answer within {} s\n", timeout.as_secs_f64()),
            )
        })?
        .map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "scrape failed");
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("the scrape failed: {error}\n"))
        })?;

    let mut response = respond(StatusCode::OK, format.content_type(), body);
    if coding == Coding::Gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// How long this scrape may take. Any client can send the header, so it has bounds. A header that is
/// not a number is ignored.
fn timeout(headers: &HeaderMap) -> Duration {
    headers
        .get(TIMEOUT_HEADER)
        .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
        .filter(|seconds| !seconds.is_nan())
        .map_or(DEFAULT_TIMEOUT, |seconds| {
            let requested = Duration::from_secs_f64(seconds.clamp(0.0, 3600.0));
            requested.saturating_sub(OFFSET).clamp(MIN_TIMEOUT, MAX_TIMEOUT)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_sets_the_timeout_within_bounds() {
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
            let timeout = timeout(&headers.into_iter().collect());
            assert_eq!(timeout.as_secs_f64(), expected, "{value:?}");
        }
    }
}
