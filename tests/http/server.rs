//! The server under test and the source behind it.

use std::{
    fmt::Write as _,
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
    metrics::format::Format,
    web::{
        Bound, Drained, Limits, ListenAddress, LocalAddress, Overview, ScrapeError, Source,
        WebSettings, Writing,
    },
};

use crate::client::PATIENCE;

/// What the source does.
enum Manner {
    /// Says always the same.
    Text(String),
    /// Says in which format it was asked.
    Format,
    /// Says how many scrapes there were.
    Numbered,
    /// Fails.
    Failing,
    /// Waits until it is let go.
    Gated,
}

pub(crate) struct Fake {
    manner: Manner,
    amiss: Option<&'static str>,
    scrapes: AtomicUsize,
    /// One permit for each scrape that has begun and was not waited for.
    entered: Semaphore,
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
    fn new(manner: Manner) -> Self {
        Self {
            manner,
            amiss: None,
            scrapes: AtomicUsize::new(0),
            entered: Semaphore::new(0),
            gate: Semaphore::new(0),
            deadline: Mutex::new(None),
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::new(Manner::Text(text.to_owned()))
    }

    pub(crate) fn format() -> Self {
        Self::new(Manner::Format)
    }

    pub(crate) fn numbered() -> Self {
        Self::new(Manner::Numbered)
    }

    pub(crate) fn failing() -> Self {
        Self::new(Manner::Failing)
    }

    pub(crate) fn gated() -> Self {
        Self::new(Manner::Gated)
    }

    pub(crate) fn with_amiss(self, amiss: &'static str) -> Self {
        Self { amiss: Some(amiss), ..self }
    }

    pub(crate) fn last_deadline(&self) -> Instant {
        self.deadline.lock().unwrap().unwrap()
    }

    /// Waits until one more scrape has begun.
    pub(crate) async fn entered(&self) {
        timeout(PATIENCE, self.entered.acquire()).await.expect("no scrape").unwrap().forget();
    }

    /// Lets all scrapes go, also those to come.
    pub(crate) fn open(&self) {
        self.gate.close();
    }
}

impl Source for Fake {
    async fn scrape(self: Arc<Self>, format: Format, deadline: Instant) -> Writing {
        let number = self.scrapes.fetch_add(1, Ordering::SeqCst) + 1;
        *self.deadline.lock().unwrap() = Some(deadline);
        self.entered.add_permits(1);
        let text = match &self.manner {
            Manner::Text(text) => text.clone(),
            Manner::Format => format!("{format:?}"),
            Manner::Numbered => number.to_string(),
            Manner::Failing => return Box::new(|_| Err(ScrapeError("out of ink".into()))),
            Manner::Gated => {
                assert!(self.gate.acquire().await.is_err(), "the gate is only ever closed");
                "late\n".to_owned()
            }
        };
        Box::new(move |body| body.write_str(&text).map_err(|error| ScrapeError(error.into())))
    }

    fn ready(&self) -> Result<(), String> {
        self.amiss.map_or(Ok(()), |amiss| Err(amiss.to_owned()))
    }

    fn overview(&self) -> Overview {
        Overview {
            facts: vec![("systemd", "257".to_owned())],
            failed_units: vec!["<b>.service".to_owned()],
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
        let server = bound.serve(Arc::clone(&source), settings, limits);
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
