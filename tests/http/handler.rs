//! A handler that is not the exporter's.

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Limited};
use hyper::{Method, StatusCode};
use tokio::{net::TcpStream, time::timeout};
use unitwatch::http::{self, Bound, Handler, Limits, LocalAddress, Request, Response};

use crate::client::Client;

const MAX_BODY: usize = 1000;

/// Answers a POST to any path with the method, the path and the body.
struct Receiver;

impl Handler for Receiver {
    async fn answer(&self, request: Request) -> Response {
        if request.method() != Method::POST {
            return http::text(StatusCode::METHOD_NOT_ALLOWED, "POST only");
        }
        let start = format!("{} {} ", request.method(), request.uri().path());
        let body = Limited::new(request.into_body(), MAX_BODY).collect();
        match timeout(Duration::from_millis(200), body).await {
            Ok(Ok(body)) => http::respond(
                StatusCode::OK,
                "application/octet-stream",
                [start.as_bytes(), &body.to_bytes()].concat(),
            ),
            Ok(Err(_)) => http::text(StatusCode::PAYLOAD_TOO_LARGE, "too large"),
            Err(_) => http::text(StatusCode::REQUEST_TIMEOUT, "too slow"),
        }
    }
}

async fn serve() -> SocketAddr {
    let bound = Bound::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let Some(LocalAddress::Tcp(address)) = bound.local_addrs().next().cloned() else {
        panic!("not a TCP address");
    };
    tokio::spawn(bound.serve(Receiver, Limits::default()).run(std::future::pending()));
    address
}

fn post(body: &str) -> String {
    format!("POST /alerts HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_handler_gets_every_path_and_method_and_the_whole_body() {
    let mut client = Client::new(TcpStream::connect(serve().await).await.unwrap());
    let largest = "x".repeat(MAX_BODY);
    for body in ["", "{}", &largest] {
        let answer = client.ask(&post(body)).await;
        assert_eq!((answer.status, answer.text()), (200, format!("POST /alerts {body}")));
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(client.ask(chunked).await.text(), "POST / abc");
    assert_eq!(client.get("/metrics").await.status, 405);
}

#[tokio::test]
async fn a_handler_can_limit_the_size_and_the_time_of_a_body() {
    let address = serve().await;
    let too_large = post(&"x".repeat(MAX_BODY + 1));
    let too_slow = post("{}").trim_end_matches('}').to_owned();
    for (request, status) in [(too_large, 413), (too_slow, 408)] {
        let mut client = Client::new(TcpStream::connect(address).await.unwrap());
        assert_eq!(client.ask(&request).await.status, status);
    }
}
