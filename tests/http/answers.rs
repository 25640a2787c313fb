//! The answers to requests.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;

use crate::{
    client::Client,
    server::{Fake, Running},
};

const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,\
    application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
    */*;q=0.1";

#[tokio::test]
async fn each_request_has_its_status() {
    let server = Running::start(Fake::text("a 1\n")).await;
    for (request, status) in [
        ("GET / HTTP/1.1", 200),
        ("GET /metrics HTTP/1.1", 200),
        ("GET /metrics?name[]=a&b HTTP/1.1", 200),
        ("GET /?a HTTP/1.1", 200),
        ("GET http://elsewhere:1/metrics HTTP/1.1", 200),
        ("GET /-/healthy HTTP/1.1", 200),
        ("GET /-/ready HTTP/1.1", 200),
        ("HEAD /metrics HTTP/1.1", 200),
        ("GET /metrics/ HTTP/1.1", 404),
        ("GET //metrics HTTP/1.1", 404),
        ("GET /Metrics HTTP/1.1", 404),
        ("GET /a/../metrics HTTP/1.1", 404),
        ("GET /%6detrics HTTP/1.1", 404),
        ("GET /favicon.ico HTTP/1.1", 404),
        ("POST /nowhere HTTP/1.1", 404),
        ("OPTIONS * HTTP/1.1", 404),
        ("CONNECT elsewhere:1 HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("DELETE / HTTP/1.1", 405),
        ("OPTIONS /metrics HTTP/1.1", 405),
        ("PUT /-/ready HTTP/1.1", 405),
        ("BREW /-/healthy HTTP/1.1", 405),
        ("get /metrics HTTP/1.1", 405),
    ] {
        let mut client = Client::connect(&server).await;
        let answer = client.ask(&format!("{request}\r\nHost: a\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{request}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("GET, HEAD"), "{request}");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = Running::start(Fake::text("a 1\n")).await;
    let mut client = Client::connect(&server).await;
    for path in ["/", "/metrics", "/-/healthy", "/-/ready", "/nowhere"] {
        for coding in ["identity", "gzip"] {
            let rest = format!("{path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n");
            // If HEAD had a body, the next response would not parse.
            let head = client.ask(&format!("HEAD {rest}")).await;
            let get = client.ask(&format!("GET {rest}")).await;
            assert_eq!(head.status, get.status, "{path}");
            assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
            let length = get.body.len().to_string();
            assert_eq!(get.header("content-length"), Some(&*length), "{path}");
            for name in ["content-length", "content-type", "content-encoding", "vary"] {
                assert_eq!(head.header(name), get.header(name), "{path} {name}");
            }
        }
    }
}

#[tokio::test]
async fn the_format_follows_accept() {
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let server = Running::start(Fake::format()).await;
    let mut client = Client::connect(&server).await;
    for (accept, content_type, body) in [
        (None, text, "Text"),
        (Some("*/*"), text, "Text"),
        (Some(PROMETHEUS), open, "OpenMetrics"),
        (Some("text/plain;version=0.0.4"), text, "Text"),
    ] {
        let accept = accept.map(|accept| format!("Accept: {accept}\r\n")).unwrap_or_default();
        let answer = client.ask(&format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{accept}\r\n")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(content_type), "{accept}");
        assert_eq!(answer.text(), body, "{accept}");
        assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
    }
}

/// Clients other than Prometheus ask for JSON or HTML, and read plain text all the same.
#[tokio::test]
async fn a_client_that_accepts_neither_format_gets_plain_text() {
    let server = Running::start(Fake::format()).await;
    let mut client = Client::connect(&server).await;
    for header in [
        "Accept: application/json",
        "Accept: text/html",
        "Accept: text/html, application/xhtml+xml;q=0.9",
        "Accept: */*;q=0",
        "Accept: text/plain;q=0",
        "Accept: text/plain;version=1.0.0",
        "Accept: application/openmetrics-text;version=2.0.0",
        "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily",
        "Accept: application/json;q=5",
        "Accept: ;;,,=",
        "Accept: \u{e9}",
        "Accept-Encoding: identity;q=0",
        "Accept-Encoding: identity;q=0, br",
        "Accept-Encoding: gzip;q=0, identity;q=0",
        "Accept-Encoding: *;q=0",
        "Accept-Encoding: gzip;q=7",
        "Accept-Encoding: =,;",
    ] {
        for method in ["HEAD", "GET"] {
            let request = format!("{method} /metrics?a=b HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n");
            let answer = client.ask(&request).await;
            assert_eq!(answer.status, 200, "{header}");
            let content_type = Some("text/plain; version=0.0.4; charset=utf-8");
            assert_eq!(answer.header("content-type"), content_type, "{header}");
            assert_eq!(answer.header("content-encoding"), None, "{header}");
            assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
            assert!(method == "HEAD" || answer.text() == "Text", "{header}");
        }
    }
}

#[tokio::test]
async fn a_gzip_body_decompresses_to_the_plain_one() {
    let small = "a 1\n".to_owned();
    // Larger than the buffer of the encoder.
    let large: String = (0..20_000).map(|i| format!("a{{b=\"{i}\"}} {i}\n")).collect();
    for text in [small, large] {
        let server = Running::start(Fake::text(&text)).await;
        let mut client = Client::connect(&server).await;
        let request = "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";
        let answer = client.ask(request).await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        let mut decompressed = String::new();
        GzDecoder::new(&answer.body[..]).read_to_string(&mut decompressed).unwrap();
        assert_eq!(decompressed, text);

        let answer = client.get("/metrics").await;
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.text(), text);
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = Running::start(Fake::text("a 1\n")).await;
    let mut client = Client::connect(&server).await;
    client.send("GET /metrics HTTP/1.0\r\n\r\n").await;
    let all = client.rest().await;
    assert!(all.starts_with("HTTP/1.0 200 OK\r\n"), "{all}");
    assert!(all.ends_with("\r\n\r\na 1\n"), "{all}");
}

#[tokio::test]
async fn only_readiness_fails_while_the_source_is_not_ready() {
    let server = Running::start(Fake::text("").not_ready("no bus")).await;
    let mut client = Client::connect(&server).await;
    let ready = client.get("/-/ready").await;
    assert_eq!((ready.status, &*ready.text()), (503, "not ready: no bus\n"));
    assert_eq!(client.get("/-/healthy").await.status, 200);
    assert_eq!(client.get("/metrics").await.status, 200);
    assert!(client.get("/").await.text().contains("no bus"));
}

#[tokio::test]
async fn the_landing_page_is_escaped_and_has_a_content_security_policy() {
    let server = Running::start(Fake::text("")).await;
    let answer = Client::connect(&server).await.get("/").await;
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline';"), "{policy}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let page = answer.text();
    assert!(page.contains("&lt;b&gt;.service") && !page.contains("<b>"), "{page}");
    for link in ["/metrics", "/-/healthy", "/-/ready"] {
        assert!(page.contains(&format!("href=\"{link}\"")), "{link}");
    }
}

#[tokio::test]
async fn a_scrape_that_fails_is_500() {
    let server = Running::start(Fake::failing()).await;
    let answer = Client::connect(&server).await.get("/metrics").await;
    assert_eq!((answer.status, &*answer.text()), (500, "the scrape failed: broken\n"));
}

#[tokio::test]
async fn a_scrape_that_times_out_is_503() {
    let server = Running::start(Fake::blocked()).await;
    let mut client = Client::connect(&server).await;
    let answer = client
        .ask(
            "GET /metrics HTTP/1.1\r\nHost: a\r\n\
              X-Prometheus-Scrape-Timeout-Seconds: 0.6\r\n\r\n",
        )
        .await;
    assert_eq!((answer.status, &*answer.text()), (503, "no answer within 0.1 s\n"));
}

/// Four fifths of it: the rest is for writing.
#[tokio::test]
async fn the_deadline_follows_the_timeout_of_prometheus() {
    let server = Running::start(Fake::text("")).await;
    let mut client = Client::connect(&server).await;
    for (header, seconds) in [("", 7.6), ("X-Prometheus-Scrape-Timeout-Seconds: 3\r\n", 2.0)] {
        let before = Instant::now();
        client.ask(&format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{header}\r\n")).await;
        let deadline = server.source.last_deadline() - Duration::from_secs_f64(seconds);
        assert!(before <= deadline && deadline <= Instant::now());
    }
}
