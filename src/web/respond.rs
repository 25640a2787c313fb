//! Responses and the headers that all of them carry.

use http_body_util::Full;
use hyper::{
    StatusCode,
    body::Bytes,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};

/// What every route answers with.
pub(super) type Response = hyper::Response<Full<Bytes>>;

/// A response of known length, without a type.
pub(super) fn respond(status: StatusCode, body: Bytes) -> Response {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // Set here and not left to hyper, so that it also stands where HEAD leaves the body away.
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A few words.
pub(super) fn plain(status: StatusCode, text: String) -> Response {
    let mut response = respond(status, text.into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
