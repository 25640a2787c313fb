//! The stop of a server.

use std::time::Duration;

use tokio::net::TcpStream;
use unitwatch::http::{Drained, Limits};

use crate::{
    client::Client,
    server::{Fake, Running},
};

#[tokio::test]
async fn a_stop_finishes_responses_and_closes_idle_connections() {
    let server = Running::start(Fake::blocked()).await;
    let mut idle = Client::connect(&server).await;
    assert_eq!(idle.get("/-/healthy").await.status, 200);
    let mut silent = Client::connect(&server).await;
    let mut busy = Client::connect(&server).await;
    busy.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (source, address) = (server.source.clone(), server.address());
    source.scrape_started().await;

    let end = tokio::spawn(server.stop());
    // Both are closed once the stop has begun.
    assert_eq!(idle.rest().await, "");
    assert_eq!(silent.rest().await, "");
    assert!(TcpStream::connect(address).await.is_err());
    source.release();
    let all = busy.rest().await;
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n"), "{all}");
    assert!(all.contains("connection: close\r\n"), "{all}");
    assert_eq!(end.await.unwrap(), Drained::Completely);
}

#[tokio::test]
async fn a_stop_cuts_off_and_counts_connections_after_its_limit() {
    let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
    let server = Running::with(Fake::blocked(), None, limits).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(&server).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        server.source.scrape_started().await;
        clients.push(client);
    }
    assert_eq!(server.stop().await, Drained::CutOff(3));
    for mut client in clients {
        assert_eq!(client.drain().await, 0);
    }
}
