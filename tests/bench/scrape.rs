//! The time of a scrape, compared with a handler that serves the same bytes from memory.
//!
//! Both serve the families of a host with many units, without those from kernel files, over one
//! connection each, in turn. Calls to systemd and reads of kernel files are not included.

mod host;

use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Runtime, task::spawn};
use unitwatch::{
    http::{Bound, Limits, LocalAddress},
    metrics::{self, Scrape, format::Format, group::Group},
    web::{EncodeScrape, Overview, Routes, Source, WebSettings},
};

/// How many times the two are compared.
const RUNS: usize = 5;

/// For how many requests in a row one of them is asked.
const ROUND: u32 = 20;

/// How often each of them is asked so many times, in each run.
const ROUNDS: usize = 5;

/// The most that a scrape of [`JUDGED_UNITS`] units may cost, as a multiple of what the ready
/// handler costs.
const MAX_RATIO: f64 = 3.0;

/// The number of units at which the ratio is judged.
const JUDGED_UNITS: u64 = 1_100;

/// A host that does not change.
struct Host(Scrape);

impl Source for Host {
    const SUBJECT: &'static str = "systemd";

    async fn scrape(self: Arc<Self>, format: Format, _: Instant) -> EncodeScrape {
        let scrape = self.0.clone();
        Box::new(move |body| {
            body.reserve(metrics::size_hint(&scrape));
            metrics::write(&scrape, format, body).unwrap();
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
struct Client {
    stream: BufReader<TcpStream>,
    request: String,
}

impl Client {
    /// Asks for this coding.
    fn new(address: &str, coding: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::with_capacity(1 << 16, stream),
            request: format!(
                "GET /metrics HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: {coding}\r\n\r\n"
            ),
        }
    }

    /// The body of the answer.
    fn get(&mut self) -> Vec<u8> {
        self.stream.get_mut().write_all(self.request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length: ") {
                length = number.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        body
    }

    /// The CPU time in seconds that each of [`ROUND`] requests costs this process: server and
    /// client.
    fn cost(&mut self, body: &Bytes) -> f64 {
        let mut all = Duration::ZERO;
        for _ in 0..ROUND {
            let before = cpu_time();
            let answer = self.get();
            all += cpu_time() - before;
            assert!(answer == *body, "a different answer");
        }
        (all / ROUND).as_secs_f64()
    }
}

/// The CPU time of this process.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).try_into().unwrap()
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median costs of both handlers in one run: first the host's.
fn run(clients: &mut [Client; 2], body: &Bytes) -> [f64; 2] {
    let rounds: Vec<_> =
        (0..ROUNDS).map(|_| clients.each_mut().map(|client| client.cost(body))).collect();
    [0, 1].map(|of| median(rounds.iter().map(|round| round[of])))
}

/// Compares both handlers, prints a row, and returns the ratio.
fn compare(runtime: &Runtime, units: u64, coding: &str) -> f64 {
    let mut scrape = host::scrape(units);
    scrape.managers[0].resources.clear();
    for group in [Group::Cpu, Group::Memory, Group::Io, Group::Tasks] {
        scrape.groups = scrape.groups.without(group);
    }
    let text = metrics::encode(&scrape, Format::Text).unwrap().text;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    let mut host = Client::new(&runtime.block_on(serve_host(Host(scrape))), coding);
    let body = Bytes::from(host.get());
    assert!(coding != "identity" || body == text, "not the page");
    let ready = Client::new(&runtime.block_on(serve_ready(body.clone())), coding);
    let mut clients = [host, ready];
    let runs: Vec<_> = (0..RUNS).map(|_| run(&mut clients, &body)).collect();
    let ratio = median(runs.iter().map(|[host, ready]| host / ready));
    let [host, ready] = [0, 1].map(|of| 1e3 * median(runs.iter().map(|run| run[of])));
    let kilobytes = body.len() / 1_000;
    println!(
        "{units:>7} {series:>9} {coding:>9} {kilobytes:>9} {host:>11.2} {ready:>11.2} {ratio:>6.1}"
    );
    ratio
}

fn main() -> ExitCode {
    let runtime = Runtime::new().unwrap();
    println!("CPU time of server and client, the median of {RUNS} runs");
    println!(
        "{:>7} {:>9} {:>9} {:>9} {:>11} {:>11} {:>6}",
        "units", "series", "coding", "kB", "scrape, ms", "ready, ms", "ratio"
    );
    let only = std::env::args().find_map(|argument| argument.parse().ok());
    let mut is_held = true;
    for units in only.map_or(vec![100, JUDGED_UNITS, 10_000], |units| vec![units]) {
        let ratio = compare(&runtime, units, "identity");
        is_held &= units != JUDGED_UNITS || ratio <= MAX_RATIO;
        compare(&runtime, units, "gzip");
    }
    if is_held {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "MISSED: at {JUDGED_UNITS} units an identity scrape may cost {MAX_RATIO} times the ready handler"
    );
    ExitCode::FAILURE
}
