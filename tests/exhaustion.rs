//! A process without a file descriptor left: in a binary of its own, because the limit holds for
//! all of a process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the leave that clippy.toml gives to tests does not reach their helpers"
)]

use std::{
    fmt,
    fs::File,
    num::NonZeroUsize,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
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
use unitwatch::{
    metrics::format::Format,
    web::{Bound, Limits, LocalAddress, Overview, Settings, Source, Writing},
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Silent;

impl Source for Silent {
    async fn scrape(self: Arc<Self>, _: Format, _: Instant) -> Writing {
        Box::new(|_| Ok(()))
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn overview(&self) -> Overview {
        Overview::default()
    }
}

/// Passes on the messages of the log.
struct Tap(Mutex<mpsc::Sender<String>>);

impl<S: Subscriber> Layer<S> for Tap {
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
        let _ = self.0.lock().unwrap().send(message.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_wait_until_there_are_files_again() {
    let (sender, log) = mpsc::channel();
    let subscriber = tracing_subscriber::registry().with(Tap(Mutex::new(sender)));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let next = |wanted: &str| {
        loop {
            let message = log.recv_timeout(PATIENCE).unwrap();
            if message.contains("accept") {
                assert_eq!(message, wanted);
                break;
            }
        }
    };

    let bound = Bound::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let Some(LocalAddress::Tcp(address)) = bound.local_addrs().next().cloned() else {
        panic!("not a TCP address");
    };
    let settings = Settings {
        telemetry_path: "/metrics".parse().unwrap(),
        max_requests: NonZeroUsize::new(1),
    };
    let server = bound.serve(Arc::new(Silent), settings, Limits::default());
    let serving = tokio::spawn(server.run(std::future::pending()));

    // Takes every descriptor but the one that the client then connects with.
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).unwrap();
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    files.pop().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").await.unwrap();
    next("cannot accept connections");

    // Said once, however often it was tried; and the waiting client has lost nothing.
    drop(files);
    let mut answer = String::new();
    timeout(PATIENCE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    next("accepts connections again");
    serving.abort();
}
