//! The time of a scrape, compared with a handler that serves the same bytes from memory.
//!
//! Both serve the families of a host with many units, without those from kernel files, over one
//! connection each, in turn. Calls to systemd and reads of kernel files are not included.

mod host;

use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::spawn};
use unitwatch::{
    http::{Bound, Limits, LocalAddress},
    metrics::{self, Scrape, format::Format, group::Group},
    web::{EncodeScrape, Overview, Routes, Source, WebSettings},
};

/// How many requests each handler gets.
const SCRAPES: usize = 200;

/// A host that does not change.
struct Host(Scrape);

impl Source for Host {
    const SUBJECT: &'static str = "systemd";

    async fn scrape(self: Arc<Self>, format: Format, _: Instant) -> EncodeScrape {
        let scrape = self.0.clone();
        Box::new(move |body| {
            body.reserve(metrics::size_hint(&scrape));
            metrics::write(scrape, format, body).unwrap();
            Ok(())
        })
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn overview(&self) -> Overview {
        Overview::default()
    }
}

/// Serves these bytes, and returns the address.
async fn serve_ready(body: Bytes) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let body = body.clone();
            let answer = service_fn(move |_| {
                let body = Full::new(body.clone());
                async { Ok::<_, Infallible>(Response::new(body)) }
            });
            spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    address
}

/// Serves a host as the exporter does, and returns the address.
async fn serve_host(host: Host) -> String {
    let bound = Bound::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let Some(LocalAddress::Tcp(address)) = bound.local_addrs().next().cloned() else {
        unreachable!("it was bound to one of these");
    };
    let settings = WebSettings { telemetry_path: "/metrics".parse().unwrap(), max_requests: None };
    let routes = Routes::new(Arc::new(host), settings);
    spawn(bound.serve(routes, Limits::default()).run(std::future::pending()));
    address.to_string()
}

/// A client that repeats its request over one connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::with_capacity(1 << 16, stream))
    }

    /// The body of the answer and the time until it arrived.
    fn get(&mut self) -> (Vec<u8>, Duration) {
        let began = Instant::now();
        self.0.get_mut().write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n").unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length: ") {
                length = number.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (body, began.elapsed())
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!(
        "{:>7} {:>9} {:>9} {:>12} {:>10} {:>6}",
        "units", "series", "kB", "scrape, ms", "ready, ms", "ratio"
    );
    for units in [100, 1_100, 10_000] {
        let mut scrape = host::scrape(units);
        scrape.managers[0].resources.clear();
        for group in [Group::Cpu, Group::Memory, Group::Io, Group::Tasks] {
            scrape.groups = scrape.groups.without(group);
        }
        let text = metrics::encode(scrape.clone(), Format::Text).unwrap().text;
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        let (kilobytes, body) = (text.len() / 1_000, Bytes::from(text));
        let host = runtime.block_on(serve_host(Host(scrape)));
        let ready = runtime.block_on(serve_ready(body.clone()));
        let (mut host, mut ready) = (Client::new(&host), Client::new(&ready));
        let (mut encoded, mut copied) = (Vec::new(), Vec::new());
        for _ in 0..SCRAPES {
            for (client, times) in [(&mut host, &mut encoded), (&mut ready, &mut copied)] {
                let (answer, took) = client.get();
                assert!(answer == body, "a different answer");
                times.push(took);
            }
        }
        let (encoded, copied) = (median(encoded), median(copied));
        let ratio = encoded / copied;
        println!(
            "{units:>7} {series:>9} {kilobytes:>9} {encoded:>12.2} {copied:>10.2} {ratio:>6.1}"
        );
    }
}
