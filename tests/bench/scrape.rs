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
use tokio::{net::TcpListener, task::spawn};
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
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::with_capacity(1 << 16, stream))
    }

    /// The body of the answer.
    fn get(&mut self) -> Vec<u8> {
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
        body
    }
}

/// What one request costs this process: server and client.
#[derive(Clone, Copy, Default)]
struct Cost {
    cpu: Duration,
    time: Duration,
}

impl Cost {
    fn cpu(&self) -> Duration {
        self.cpu
    }

    fn time(&self) -> Duration {
        self.time
    }

    /// The cost of each of [`ROUND`] requests.
    fn of(client: &mut Client, body: &Bytes) -> Self {
        let mut all = Self::default();
        for _ in 0..ROUND {
            let (cpu, began) = (cpu_time(), Instant::now());
            let answer = client.get();
            all.time += began.elapsed();
            all.cpu += cpu_time() - cpu;
            assert!(answer == *body, "a different answer");
        }
        Self { cpu: all.cpu / ROUND, time: all.time / ROUND }
    }
}

/// The CPU time of this process.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).try_into().unwrap()
}

fn median<T: Copy>(mut values: Vec<T>, by: impl Fn(&T) -> f64) -> f64 {
    values.sort_by(|one, other| by(one).total_cmp(&by(other)));
    by(&values[values.len() / 2])
}

/// The median costs of both handlers in one run: first the host's.
fn run(clients: &mut [Client; 2], body: &Bytes) -> [Cost; 2] {
    let mut costs = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (client, costs) in clients.iter_mut().zip(&mut costs) {
            costs.push(Cost::of(client, body));
        }
    }
    costs.map(|costs| {
        let of = |part: fn(&Cost) -> Duration| {
            Duration::from_secs_f64(median(costs.clone(), |cost| part(cost).as_secs_f64()))
        };
        Cost { cpu: of(Cost::cpu), time: of(Cost::time) }
    })
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("the median of {RUNS} runs; in ms, server and client together");
    println!(
        "{:>7} {:>9} {:>9} {:>12} {:>10} {:>6} {:>12} {:>10} {:>6}",
        "units",
        "series",
        "kB",
        "scrape, CPU",
        "ready, CPU",
        "ratio",
        "scrape, time",
        "ready",
        "ratio"
    );
    let mut is_held = true;
    let only = std::env::args().find_map(|argument| argument.parse().ok());
    for units in only.map_or(vec![100, JUDGED_UNITS, 10_000], |units| vec![units]) {
        let mut scrape = host::scrape(units);
        scrape.managers[0].resources.clear();
        for group in [Group::Cpu, Group::Memory, Group::Io, Group::Tasks] {
            scrape.groups = scrape.groups.without(group);
        }
        let text = metrics::encode(&scrape, Format::Text).unwrap().text;
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        let (kilobytes, body) = (text.len() / 1_000, Bytes::from(text));
        let host = runtime.block_on(serve_host(Host(scrape)));
        let ready = runtime.block_on(serve_ready(body.clone()));
        let mut clients = [host, ready].map(|address| Client::new(&address));
        let runs: Vec<_> = (0..RUNS).map(|_| run(&mut clients, &body)).collect();
        let ms = |of: usize, part: fn(&Cost) -> Duration| {
            median(runs.clone(), |run| part(&run[of]).as_secs_f64() * 1e3)
        };
        let ratio = |part: fn(&Cost) -> Duration| {
            median(runs.clone(), |[host, ready]| part(host).div_duration_f64(part(ready)))
        };
        print!("{units:>7} {series:>9} {kilobytes:>9}");
        for part in [Cost::cpu, Cost::time] {
            print!(" {:>12.2} {:>10.2} {:>6.1}", ms(0, part), ms(1, part), ratio(part));
        }
        println!();
        is_held &= units != JUDGED_UNITS || ratio(Cost::cpu) <= MAX_RATIO;
    }
    if is_held {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "MISSED: at {JUDGED_UNITS} units a scrape may cost {MAX_RATIO} times the ready handler"
    );
    ExitCode::FAILURE
}
