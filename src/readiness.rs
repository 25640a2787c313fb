//! Tells the service manager that started the exporter that it is ready: systemd's `Type=notify`.

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

/// Where systemd says that it listens for this.
const SOCKET: &str = "NOTIFY_SOCKET";

/// How long a systemd that hangs may take to make room for the message. By then it has long
/// forgotten how long a start may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Says that the exporter is ready, where somebody wants to know.
pub async fn ready() {
    let Some(socket) = env::var_os(SOCKET).filter(|it| !it.is_empty()) else { return };
    let said = timeout(DEADLINE, say(&socket, b"READY=1")).await;
    if let Err(error) = said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        warn!("cannot tell the service manager at {} of being ready: {error}", socket.display());
    }
}

/// Sends one message; a name that begins with `@` is an abstract one.
async fn say(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => net::SocketAddr::from_abstract_name(name)?,
        _ => net::SocketAddr::from_pathname(socket)?,
    };
    let sender = net::UnixDatagram::unbound()?;
    sender.connect_addr(&address)?;
    sender.set_nonblocking(true)?;
    UnixDatagram::from_std(sender)?.send(message).await.map(drop)
}
