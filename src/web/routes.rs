//! Which path answers what.

use hyper::{
    Method, Request, StatusCode,
    header::{ALLOW, CACHE_CONTROL, HeaderValue},
};

use super::{
    Source, landing, path,
    respond::{Response, plain},
    scrape,
    serve::Site,
};

/// Answers one request. Its body, which no route has a use for, is never read, and neither is
/// the query: Prometheus' `params` are not for us.
pub(super) async fn route<S: Source, B>(site: &Site<S>, request: &Request<B>) -> Response {
    let path = request.uri().path();
    let telemetry = path == site.telemetry_path.as_str();
    if !telemetry && ![path::LANDING, path::HEALTHY, path::READY].contains(&path) {
        return plain(StatusCode::NOT_FOUND, "404 page not found\n".into());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response =
            plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed here\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = match path {
        _ if telemetry => scrape::scrape(site, request.headers()).await,
        path::HEALTHY => plain(StatusCode::OK, "unitwatch is healthy\n".into()),
        path::READY => ready(&*site.source),
        _ => landing::page(
            &site.source.overview(),
            site.source.ready(),
            site.telemetry_path.as_str(),
        ),
    };
    // All of them are true now and not in a minute.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn ready(source: &impl Source) -> Response {
    match source.ready() {
        Ok(()) => plain(StatusCode::OK, "unitwatch is in sync with systemd\n".into()),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}
