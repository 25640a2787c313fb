//! The limits of connections.

use std::{path::PathBuf, time::Duration};

use tokio::{net::UnixStream, time::timeout};
use unitwatch::http::{Drained, Limits};

use crate::{
    client::{Client, PATIENCE},
    server::{Fake, Running},
};

const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

/// Much more than the kernel buffers for one connection.
fn large_text() -> String {
    "x".repeat(32 << 20)
}

fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("unitwatch-{name}-{}.sock", std::process::id()))
}

/// Fails if a client waits longer than this for a slot.
async fn soon<T>(answer: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(1), answer).await.expect("no answer within a second")
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Running::start(Fake::numbered()).await;
    let mut client = Client::connect(&server).await;
    client.send(&"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5)).await;
    for number in 1..=5 {
        assert_eq!(client.answer(true).await.text(), number.to_string());
    }
}

#[tokio::test]
async fn connection_close_ends_the_connection() {
    let server = Running::start(Fake::text("a 1\n")).await;
    let mut client = Client::connect(&server).await;
    client.send("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let all = client.rest().await;
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.ends_with("\r\n\r\na 1\n"), "{all}");
}

#[tokio::test]
async fn a_client_that_closes_its_side_is_still_answered() {
    let server = Running::start(Fake::blocked()).await;
    let mut client = Client::connect(&server).await;
    client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.finish().await;
    server.source.scrape_started().await;
    server.source.release();
    let all = client.rest().await;
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n"), "{all}");
}

#[tokio::test]
async fn a_body_is_never_taken_for_a_request() {
    let server = Running::start(Fake::text("")).await;
    let mut client = Client::connect(&server).await;
    let inner = "GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = inner.len();
    client
        .send(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{inner}"))
        .await;
    client.finish().await;
    let all = client.rest().await;
    assert!(all.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{all}");
    assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
}

#[tokio::test]
async fn an_invalid_request_is_400_and_ends_the_connection() {
    let server = Running::start(Fake::text("")).await;
    for (bytes, status) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], Some("400")),
        (b"\x00\x00\x00\x00\r\n\r\n", Some("400")),
        (b"GET /metrics\r\n\r\n", Some("400")),
        (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", Some("400")),
        (b"GET /metrics HTTP/9.9\r\n\r\n", Some("400")),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Some("400")),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
    ] {
        let mut client = Client::connect(&server).await;
        client.send_bytes(bytes).await;
        let all = client.rest().await;
        let answered = all.strip_prefix("HTTP/1.1 ").map(|rest| &rest[..3]);
        match status {
            Some(_) => assert_eq!(answered, status, "{bytes:?}"),
            None => assert!(!all.contains(" 200 "), "{bytes:?} {all}"),
        }
    }
    assert_eq!(Client::connect(&server).await.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let limits = Limits { head_size: 8192, ..Limits::default() };
    let server = Running::with(Fake::text(""), None, limits).await;
    let mut client = Client::connect(&server).await;
    // One byte short of the limit, and complete.
    let start = "GET /metrics HTTP/1.1\r\nHost: a\r\nX: ";
    let filling = "x".repeat(8192 - 1 - start.len() - 4);
    assert_eq!(client.ask(&format!("{start}{filling}\r\n\r\n")).await.status, 200);
    // As large as the limit, and not complete.
    let mut client = Client::connect(&server).await;
    client.send(&format!("{start}{filling}xxxxx")).await;
    let all = client.rest().await;
    assert!(all.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{all}");
}

#[tokio::test]
async fn too_many_headers_are_431() {
    let server = Running::start(Fake::text("")).await;
    let request = |headers| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(headers));
    assert_eq!(Client::connect(&server).await.ask(&request(100)).await.status, 200);
    assert_eq!(Client::connect(&server).await.ask(&request(101)).await.status, 431);
}

#[tokio::test]
async fn an_incomplete_head_ends_the_connection_at_its_timeout() {
    let limits = Limits { head: Duration::from_millis(200), ..Limits::default() };
    let server = Running::with(Fake::text(""), None, limits).await;
    // No bytes, and a part.
    for part in ["", "GET /metrics HTTP/1.1\r\nHo"] {
        let mut client = Client::connect(&server).await;
        client.send(part).await;
        assert_eq!(client.rest().await, "", "{part:?}");
    }
    // Single bytes do not extend the timeout.
    let mut client = Client::connect(&server).await;
    client.send("GET /metrics HTTP/1.1\r\nX: ").await;
    let dripping = async {
        while timeout(Duration::from_millis(20), client.closed()).await.is_err() {
            client.try_send("x").await;
        }
    };
    timeout(PATIENCE, dripping).await.unwrap();
    // The timeout also applies between two requests.
    let mut client = Client::connect(&server).await;
    assert_eq!(client.get("/-/healthy").await.status, 200);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let text = large_text();
    let stall = Duration::from_millis(200);
    let limits = Limits { stall, drain: PATIENCE, ..Limits::default() };
    let server = Running::with(Fake::text(&text), None, limits).await;
    let mut client = Client::connect(&server).await;
    client.send(SCRAPE).await;
    server.source.scrape_started().await;
    // The stop waits for this response, so it returns once the client is disconnected.
    assert_eq!(server.stop().await, Drained::Completely);
    assert!(client.drain().await < text.len());
}

/// TCP and unix sockets share the slots.
#[tokio::test]
async fn connections_without_a_complete_request_never_keep_a_scrape_out() {
    let path = socket_path("idle");
    let addresses = [format!("unix:{}", path.display()).parse(), "127.0.0.1:0".parse()];
    let addresses = addresses.map(Result::unwrap);
    let limits = Limits { connections: 20, ..Limits::default() };
    let server = Running::on(&addresses, Fake::text("a 1\n"), None, limits).await;
    let (mut over_unix, mut over_tcp) = (Vec::new(), Vec::new());
    for part in ["", "G", "GET /metrics HTTP/1.1\r\nHost: a\r\n", "\r\n"] {
        for _ in 0..30 {
            let mut client = Client::new(UnixStream::connect(&path).await.unwrap());
            client.try_send(part).await;
            over_unix.push(client);
            let mut client = Client::connect(&server).await;
            client.try_send(part).await;
            over_tcp.push(client);
        }
        let mut client = Client::connect(&server).await;
        assert_eq!(soon(client.get("/metrics")).await.text(), "a 1\n", "{part:?}");
        let mut client = Client::new(UnixStream::connect(&path).await.unwrap());
        assert_eq!(soon(client.get("/metrics")).await.text(), "a 1\n", "{part:?}");
    }
}

#[tokio::test]
async fn connections_kept_for_a_next_request_never_keep_a_scrape_out() {
    let server = Running::with(Fake::text("a 1\n"), None, Limits::default()).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        let mut client = Client::connect(&server).await;
        assert_eq!(soon(client.get("/metrics")).await.status, 200);
        idle.push(client);
    }
}

#[tokio::test]
async fn the_connection_that_has_waited_longest_for_a_request_is_closed_first() {
    let limits = Limits { connections: 3, ..Limits::default() };
    let server = Running::with(Fake::text(""), None, limits).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(&server).await;
        assert_eq!(client.get("/-/healthy").await.status, 200);
        clients.push(client);
    }
    // A complete request resets the time, a part of one does not.
    assert_eq!(clients[0].get("/-/healthy").await.status, 200);
    clients[1].send("GET /metrics HTTP/1.1\r\nHo").await;
    let mut next = Client::connect(&server).await;
    assert_eq!(soon(next.get("/metrics")).await.status, 200);
    assert_eq!(clients[1].rest().await, "");
    for client in [&mut next].into_iter().chain(clients.iter_mut().step_by(2)) {
        assert_eq!(client.get("/-/healthy").await.status, 200);
    }
}

#[tokio::test]
async fn clients_that_do_not_read_never_keep_a_scrape_out() {
    let text = large_text();
    let limits = Limits { connections: 3, ..Limits::default() };
    let server = Running::with(Fake::text(&text), None, limits).await;
    let mut slow = Vec::new();
    // The first one sends two requests before it reads.
    for requests in [2, 1, 1] {
        let mut client = Client::connect(&server).await;
        client.send(&SCRAPE.repeat(requests)).await;
        client.answer(false).await;
        slow.push(client);
    }
    let mut client = Client::connect(&server).await;
    assert_eq!(soon(client.get("/-/healthy")).await.status, 200);
    // Only the first one was closed. The next connection replaces an idle one.
    assert!(slow[0].drain().await < text.len());
    let mut another = Client::connect(&server).await;
    assert_eq!(soon(another.get("/-/healthy")).await.status, 200);
    assert_eq!(client.rest().await, "");
    for client in &mut slow[1..] {
        client.read(text.len()).await;
    }
}

#[tokio::test]
async fn a_request_that_is_being_answered_keeps_its_slot() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = Running::with(Fake::blocked(), None, limits).await;
    let mut busy = Client::connect(&server).await;
    busy.send(SCRAPE).await;
    server.source.scrape_started().await;
    let mut idle = Client::connect(&server).await;
    assert_eq!(idle.get("/-/healthy").await.status, 200);
    let mut late = Client::connect(&server).await;
    late.send(SCRAPE).await;
    server.source.scrape_started().await;
    assert_eq!(idle.rest().await, "");

    // No connection can be closed now, so the next one waits.
    let mut next = Client::connect(&server).await;
    next.send(SCRAPE).await;
    let waits = timeout(Duration::from_millis(200), server.source.scrape_started()).await;
    assert!(waits.is_err());
    server.source.release();
    for client in [&mut busy, &mut late, &mut next] {
        assert_eq!(soon(client.answer(true)).await.text(), "late\n");
    }
}

#[tokio::test]
async fn one_scrape_too_many_is_503_with_the_text_of_client_golang() {
    let server = Running::with(Fake::blocked(), Some(2), Limits::default()).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(&server).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        server.source.scrape_started().await;
        clients.push(client);
    }
    let mut third = Client::connect(&server).await;
    let refused = third.get("/metrics").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.text(), "Limit of concurrent requests reached (2), try again later.\n");
    // The limit is for scrapes only.
    assert_eq!(third.get("/-/healthy").await.status, 200);
    server.source.release();
    for mut client in clients {
        assert_eq!(client.answer(true).await.status, 200);
    }
    assert_eq!(third.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn without_a_limit_no_scrape_is_refused() {
    let server = Running::with(Fake::blocked(), None, Limits::default()).await;
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = Client::connect(&server).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        server.source.scrape_started().await;
        clients.push(client);
    }
    server.source.release();
    for mut client in clients {
        assert_eq!(client.answer(true).await.status, 200);
    }
}

#[tokio::test]
async fn a_unix_socket_is_served_and_removed_at_the_end() {
    let path = socket_path("answers");
    let address = format!("unix:{}", path.display()).parse().unwrap();
    let server = Running::on(&[address], Fake::text("a 1\n"), None, Limits::default()).await;
    let mut client = Client::new(UnixStream::connect(&path).await.unwrap());
    assert_eq!(client.get("/metrics").await.text(), "a 1\n");
    server.stop().await;
    assert!(!path.exists());
}
