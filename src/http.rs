//! An HTTP/1.1 server: listeners, connection limits and draining. It serves any [`Handler`] and
//! knows no path.
//!
//! [`Bound::bind`] opens the sockets, so a taken port is an error at startup. [`Bound::serve`] puts
//! a handler behind them. [`Server::run`] accepts connections until the stop, then drains them.
//!
//! A connection takes a slot. While all slots are taken, a new connection replaces the one that
//! has waited longest for its client.

mod address;
mod bind;
mod connection;
mod serve;
mod slots;

use std::time::Duration;

use http_body_util::Full;
use hyper::{
    StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};

pub use self::{
    address::{AddressError, Host, ListenAddress},
    bind::{BindError, Bound, LocalAddress},
    serve::{Drained, Server},
};

/// A request, with its body not read yet.
pub type Request = hyper::Request<Incoming>;

/// A response of known length.
pub type Response = hyper::Response<Full<Bytes>>;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// The connection keeps its slot until this returns, so it must return in bounded time.
    /// [`Limits`] cover the request's head: a handler that reads the body limits its size and time.
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// What clients may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections. A further one replaces the one that has waited longest for its client,
    /// or waits while every connection has a request that is being answered.
    pub connections: usize,
    /// The time to send a complete request head, from the start of the connection or from the last
    /// response. It limits both slow and idle clients.
    pub head: Duration,
    /// The size of a request head in bytes, at least 8192. A larger head, or one with more than a
    /// hundred headers, is answered with status 431.
    pub head_size: usize,
    /// The time in which a client must take at least some of a response.
    pub stall: Duration,
    /// The time that connections have to finish after the stop.
    pub drain: Duration,
}

/// A response with the headers that every response carries.
pub fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let body = body.into();
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // hyper sends no length in the response to a HEAD request.
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A response in plain text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    respond(status, "text/plain; charset=utf-8", text)
}

// === impl Limits ===

impl Default for Limits {
    /// 256 connections are well below 1024, the default `LimitNOFILE=` of a service. 30 s for a head
    /// keep a connection open between scrapes every 15 s, as in Prometheus' example configuration;
    /// at its default of 1 min each scrape connects again.
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(30),
            head_size: 16 * 1024,
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}
