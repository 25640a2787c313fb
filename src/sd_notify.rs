//! Reports to the service manager that the exporter is ready (`Type=notify`).

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{ffi::OsStrExt as _, net},
    },
    time::Duration,
};

use tokio::{net::UnixDatagram, time::timeout};
use tracing::warn;

/// The environment variable with the path of the service manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// How long a systemd that hangs may take to make room for the message.
const DEADLINE: Duration = Duration::from_secs(60);

/// Reports that the exporter is ready, if the service manager asked for it.
pub async fn ready() {
    let Some(socket) = env::var_os(SOCKET).filter(|it| !it.is_empty()) else { return };
    let sent = timeout(DEADLINE, send(&socket, b"READY=1")).await;
    if let Err(error) = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        warn!(
            "cannot tell the service manager at {} that the exporter is ready: {error}",
            socket.display()
        );
    }
}

/// Sends one message; a path that begins with `@` is an abstract socket.
async fn send(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => net::SocketAddr::from_abstract_name(name)?,
        _ => net::SocketAddr::from_pathname(socket)?,
    };
    let sender = net::UnixDatagram::unbound()?;
    sender.connect_addr(&address)?;
    sender.set_nonblocking(true)?;
    UnixDatagram::from_std(sender)?.send(message).await.map(drop)
}
