//! `unitwatch demo`: the exporter for a private systemd with sample units.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use super::{
    Failure,
    serve::{Started, start},
};
use crate::{
    config::Config,
    demo::{self, PrivateManager},
    http::{Bound, ListenAddress, LocalAddress},
    signals::Signals,
    systemd::address::Address,
};

/// The addresses to listen on by default: the exporter's port or, if an exporter has it already,
/// any free one. Loopback only.
const LISTEN_ADDRESSES: [&str; 2] = ["127.0.0.1:9558", "127.0.0.1:0"];

/// Serves the metrics of a private systemd until a signal ends it.
///
/// # Errors
/// The private systemd cannot start or ends, or no address can be listened on.
pub async fn run(mut config: Config) -> Result<ExitCode, Failure> {
    let mut first = Signals::listen().map_err(Failure::Signals)?;
    let mut second = Signals::listen().map_err(Failure::Signals)?;
    let end = async {
        first.next().await;
    };
    let serve = async |manager: &PrivateManager| {
        let bound = bind(&config).await?;
        let url = bound.local_addrs().next().map(|address| match address {
            LocalAddress::Tcp(address) => {
                format!("http://{address}{}", config.web.settings.telemetry_path.as_str())
            }
            other => other.to_string(),
        });
        let guide = demo::guide(&url.unwrap_or_default(), manager.runtime_dir());
        io::stdout().write_all(guide.as_bytes()).map_err(Failure::Output)?;
        config.watch.addresses =
            Address::to_user(manager.bus_address(), manager.runtime_dir(), config.private);
        let Started { server, watching: _watching, .. } =
            start(bound, config, manager.cgroup_root(), None);
        server.run(std::future::pending()).await;
        Ok(())
    };
    tokio::select! {
        ended = demo::run(end, serve) => Ok(ended.map(|()| ExitCode::SUCCESS)?),
        signal = async {
            second.next().await;
            second.next().await
        } => Ok(ExitCode::from(signal.exit_code())),
    }
}

async fn bind(config: &Config) -> Result<Bound, Box<dyn Error + Send + Sync>> {
    if !config.web.is_default_listen {
        return Ok(Bound::bind(&config.web.listen).await?);
    }
    let [usual, any] = LISTEN_ADDRESSES.map(str::parse::<ListenAddress>);
    match Bound::bind(&[usual?]).await {
        Ok(bound) => Ok(bound),
        Err(_) => Ok(Bound::bind(&[any?]).await?),
    }
}
