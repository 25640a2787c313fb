//! A server with a fake source.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};
use unitwatch::{
    http::{Bound, Drained, Limits, ListenAddress, LocalAddress},
    metrics::{Destination, format::Format},
    web::{EncodeScrape, Overview, Routes, ScrapeError, Source, WebSettings},
};

use crate::client::PATIENCE;

/// What a scrape returns.
enum Behaviour {
    /// This text.
    Text(String),
    /// The requested format.
    Format,
    /// The number of scrapes so far.
    Numbered,
    /// An error.
    Failing,
    /// `late\n`, after [`Fake::release`].
    Blocked,
}

pub(crate) struct Fake {
    behaviour: Behaviour,
    not_ready: Option<&'static str>,
    scrapes: AtomicUsize,
    /// A permit for each scrape that has started; [`Fake::scrape_started`] takes it.
    started: Semaphore,
    /// Closed to release all scrapes.
    gate: Semaphore,
    deadline: Mutex<Option<Instant>>,
}

pub(crate) struct Running {
    pub(crate) source: Arc<Fake>,
    addresses: Vec<LocalAddress>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

impl Fake {
    fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            not_ready: None,
            scrapes: AtomicUsize::new(0),
            started: Semaphore::new(0),
            gate: Semaphore::new(0),
            deadline: Mutex::new(None),
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::new(Behaviour::Text(text.to_owned()))
    }

    pub(crate) fn format() -> Self {
        Self::new(Behaviour::Format)
    }

    pub(crate) fn numbered() -> Self {
        Self::new(Behaviour::Numbered)
    }

    pub(crate) fn failing() -> Self {
        Self::new(Behaviour::Failing)
    }

    pub(crate) fn blocked() -> Self {
        Self::new(Behaviour::Blocked)
    }

    pub(crate) fn not_ready(self, reason: &'static str) -> Self {
        Self { not_ready: Some(reason), ..self }
    }

    pub(crate) fn last_deadline(&self) -> Instant {
        self.deadline.lock().unwrap().unwrap()
    }

    /// Waits until one more scrape has started.
    pub(crate) async fn scrape_started(&self) {
        timeout(PATIENCE, self.started.acquire()).await.expect("no scrape").unwrap().forget();
    }

    /// Releases all scrapes, also later ones.
    pub(crate) fn release(&self) {
        self.gate.close();
    }
}

impl Source for Fake {
    const SUBJECT: &'static str = "systemd";

    async fn scrape(self: Arc<Self>, format: Format, deadline: Instant) -> EncodeScrape {
        let number = self.scrapes.fetch_add(1, Ordering::SeqCst) + 1;
        *self.deadline.lock().unwrap() = Some(deadline);
        self.started.add_permits(1);
        let text = match &self.behaviour {
            Behaviour::Text(text) => text.clone(),
            Behaviour::Format => format!("{format:?}"),
            Behaviour::Numbered => number.to_string(),
            Behaviour::Failing => return Box::new(|_| Err(ScrapeError("broken".into()))),
            Behaviour::Blocked => {
                assert!(self.gate.acquire().await.is_err(), "the gate has no permits");
                "late\n".to_owned()
            }
        };
        Box::new(move |body| {
            body.lines().map_err(|error| ScrapeError(error.into()))?.push_str(&text);
            Ok(())
        })
    }

    fn ready(&self) -> Result<(), String> {
        self.not_ready.map_or(Ok(()), |reason| Err(reason.to_owned()))
    }

    fn overview(&self) -> Overview {
        Overview {
            facts: vec![("systemd", "257".to_owned())],
            problems: vec![("Failed units", vec!["<b>.service".to_owned()])],
        }
    }
}

impl Running {
    pub(crate) async fn start(source: Fake) -> Self {
        Self::with(source, Some(40), Limits::default()).await
    }

    pub(crate) async fn with(source: Fake, max_requests: Option<usize>, limits: Limits) -> Self {
        Self::on(&["127.0.0.1:0".parse().unwrap()], source, max_requests, limits).await
    }

    pub(crate) async fn on(
        addresses: &[ListenAddress],
        source: Fake,
        max_requests: Option<usize>,
        limits: Limits,
    ) -> Self {
        let source = Arc::new(source);
        let bound = Bound::bind(addresses).await.unwrap();
        let addresses = bound.local_addrs().cloned().collect();
        let settings = WebSettings {
            telemetry_path: "/metrics".parse().unwrap(),
            max_requests: max_requests.and_then(NonZeroUsize::new),
        };
        let server = bound.serve(Routes::new(Arc::clone(&source), settings), limits);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { source, addresses, stop, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let tcp = |address: &LocalAddress| match address {
            LocalAddress::Tcp(address) => Some(*address),
            _ => None,
        };
        self.addresses.iter().find_map(tcp).expect("no TCP address")
    }

    pub(crate) async fn stop(self) -> Drained {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.task).await.expect("does not stop").unwrap()
    }
}
