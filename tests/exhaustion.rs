//! A process that has no file descriptor left. It is a separate binary, because the limit applies to
//! the whole process.

use std::{
    fmt,
    fs::File,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hyper::StatusCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    sync::mpsc,
    time::timeout,
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};
use unitwatch::http::{self, Bound, Handler, Limits, LocalAddress, Request, Response};

const PATIENCE: Duration = Duration::from_secs(20);

struct Healthy;

impl Handler for Healthy {
    async fn answer(&self, _: Request) -> Response {
        http::text(StatusCode::OK, "healthy")
    }
}

/// Sends the messages of the log.
struct LogMessages(mpsc::UnboundedSender<String>);

impl<S: Subscriber> Layer<S> for LogMessages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        let _ = self.0.send(message.0);
    }
}

/// Runs one test at a time, because the limit applies to the process and a runtime closes its files
/// only when it ends. It has one thread, so that a connection waits for its client once the answer
/// has arrived, and no ending thread closes a file later.
fn alone(test: impl Future<Output = ()>) {
    static LIMIT: Mutex<()> = Mutex::new(());
    let _alone = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
    runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

async fn serve() -> SocketAddr {
    let bound = Bound::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let Some(LocalAddress::Tcp(address)) = bound.local_addrs().next().cloned() else {
        panic!("not a TCP address");
    };
    let server = bound.serve(Healthy, Limits::default());
    tokio::spawn(server.run(std::future::pending()));
    address
}

/// Takes every descriptor except one for a client.
fn exhaust() -> Vec<File> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).unwrap();
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    files.pop().unwrap();
    files
}

async fn ask(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    client
}

async fn answered(client: &mut TcpStream, limit: Duration) {
    let mut answer = String::new();
    timeout(limit, client.read_to_string(&mut answer)).await.expect("no answer").unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
}

#[test]
fn a_connection_waits_while_there_is_no_file_descriptor() {
    alone(async {
        let (sender, mut log) = mpsc::unbounded_channel();
        let subscriber = tracing_subscriber::registry().with(LogMessages(sender));
        tracing::subscriber::set_global_default(subscriber).unwrap();
        let mut next = async |wanted: &str| {
            loop {
                let message: String = timeout(PATIENCE, log.recv()).await.unwrap().unwrap();
                if message.contains("accept") {
                    assert_eq!(message, wanted);
                    break;
                }
            }
        };

        let address = serve().await;
        let files = exhaust();
        let mut client = ask(address).await;
        next("cannot accept connections").await;

        // Logged once for all attempts. The client that waited is answered.
        drop(files);
        answered(&mut client, PATIENCE).await;
        next("accepting connections again").await;
    });
}

#[test]
fn idle_connections_are_closed_when_files_run_out() {
    alone(async {
        let address = serve().await;
        let mut idle = Vec::new();
        for _ in 0..5 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            timeout(PATIENCE, client.read_u8()).await.unwrap().unwrap();
            idle.push(client);
        }
        let _files = exhaust();
        answered(&mut ask(address).await, Duration::from_secs(1)).await;
        let mut rest = Vec::new();
        timeout(PATIENCE, idle[0].read_to_end(&mut rest)).await.expect("still open").unwrap();
    });
}
