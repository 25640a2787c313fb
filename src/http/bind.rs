//! Opening the sockets.

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt},
            net as std_unix,
        },
    },
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use rustix::{io::Errno, net::sockopt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, UnixListener, UnixStream, lookup_host},
    time::timeout,
};

use super::{Host, ListenAddress};

/// Open sockets without a handler.
#[derive(Debug)]
pub struct Bound {
    pub(super) listeners: Vec<Listener>,
}

/// The address of an open socket, with the port that the kernel chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A unix socket in the file system.
    Unix(PathBuf),
    /// A unix socket in the abstract namespace.
    Abstract(String),
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}")]
pub struct BindError {
    /// The address as it was given.
    pub address: ListenAddress,
    #[source]
    reason: BindFailure,
}

#[derive(Debug, thiserror::Error)]
enum BindFailure {
    #[error("address in use; stop the process that listens there or choose another address")]
    InUse,
    #[error("the path exists and is not a socket; remove it or choose another path")]
    NotASocket,
    #[error("cannot resolve the host name: {0}")]
    Resolve(String),
    #[error(transparent)]
    Io(io::Error),
}

/// One open socket.
#[derive(Debug)]
pub(super) struct Listener {
    /// Dropped first: the path is free before the socket closes, so a process that starts in
    /// between has nothing to probe.
    _file: Option<SocketFile>,
    socket: OpenSocket,
    pub(super) address: LocalAddress,
}

#[derive(Debug)]
enum OpenSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection.
pub(super) type Accepted = Pin<Box<dyn Stream>>;

/// A TCP or unix stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// The file of a unix socket, removed on drop unless another file has replaced it.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// How many connections the kernel queues before they are accepted.
const BACKLOG: u32 = 1024;

/// The time to resolve a host name.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// The time for a process that listens on an existing socket to accept.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// Every user may connect, as to a TCP port and as with the default of systemd's `SocketMode=`.
/// The permissions of its directory can restrict that.
const SOCKET_MODE: u32 = 0o666;

// === impl Bound ===

impl Bound {
    /// Opens a socket for each address. An error closes all of them.
    pub async fn bind(addresses: &[ListenAddress]) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            let listener = match address {
                ListenAddress::Tcp { host, port } => tcp(host, *port).await,
                ListenAddress::Unix(path) => unix(path).await,
                ListenAddress::Abstract(name) => abstract_unix(name),
            };
            listeners
                .push(listener.map_err(|reason| BindError { address: address.clone(), reason })?);
        }
        Ok(Self { listeners })
    }

    /// The addresses of the sockets, in the order in which they were given.
    pub fn local_addrs(&self) -> impl Iterator<Item = &LocalAddress> {
        self.listeners.iter().map(|listener| &listener.address)
    }
}

async fn tcp(host: &Host, port: u16) -> Result<Listener, BindFailure> {
    let listener = match host {
        Host::Address(ip) => listen((*ip, port).into())?,
        Host::Name(name) => listen(look_up(name, port).await?)?,
        Host::Every => match listen((Ipv6Addr::UNSPECIFIED, port).into()) {
            // IPv6 is disabled.
            Err(error) if is_any_of(&error, &[Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]) => {
                listen((Ipv4Addr::UNSPECIFIED, port).into())?
            }
            other => other?,
        },
    };
    let address = LocalAddress::Tcp(listener.local_addr()?);
    Ok(Listener { _file: None, socket: OpenSocket::Tcp(listener), address })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        // The default depends on the sysctl net.ipv6.bindv6only.
        sockopt::set_ipv6_v6only(&socket, false)?;
        socket
    };
    // Connections of the previous run in TIME_WAIT must not block a restart.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The first IPv4 address of a name, else its first address, as in Go's exporters.
async fn look_up(name: &str, port: u16) -> Result<SocketAddr, BindFailure> {
    let found: Vec<_> = timeout(LOOKUP_LIMIT, lookup_host((name, port)))
        .await
        .map_err(|_| {
            BindFailure::Resolve(format!("no answer within {} s", LOOKUP_LIMIT.as_secs()))
        })?
        .map_err(|error| BindFailure::Resolve(error.to_string()))?
        .collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or_else(|| BindFailure::Resolve("it has no address".into()))
}

async fn unix(path: &Path) -> Result<Listener, BindFailure> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path).await?;
            UnixListener::bind(path)?
        }
        other => other?,
    };
    let file = SocketFile::new(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    let address = LocalAddress::Unix(path.to_owned());
    Ok(Listener { _file: Some(file), socket: OpenSocket::Unix(listener), address })
}

/// Removes the socket of a process that was killed: it refuses connections.
async fn remove_stale(path: &Path) -> Result<(), BindFailure> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(BindFailure::NotASocket);
    }
    match timeout(PROBE_LIMIT, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(fs::remove_file(path)?)
        }
        _ => Err(BindFailure::InUse),
    }
}

fn abstract_unix(name: &str) -> Result<Listener, BindFailure> {
    let address = std_unix::SocketAddr::from_abstract_name(name)?;
    let listener = std_unix::UnixListener::bind_addr(&address)?;
    listener.set_nonblocking(true)?;
    Ok(Listener {
        _file: None,
        socket: OpenSocket::Unix(UnixListener::from_std(listener)?),
        address: LocalAddress::Abstract(name.to_owned()),
    })
}

/// Whether the error has one of these codes.
pub(super) fn is_any_of(error: &io::Error, errnos: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| errnos.contains(&errno))
}

// === impl Listener ===

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            OpenSocket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // A response is written at once: Nagle's algorithm would only delay its end.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                Ok(Box::pin(stream))
            }
            OpenSocket::Unix(listener) => Ok(Box::pin(listener.accept().await?.0)),
        }
    }
}

// === impl BindFailure ===

impl From<io::Error> for BindFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse,
            _ => Self::Io(error),
        }
    }
}

// === impl LocalAddress ===

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

// === impl SocketFile ===

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket file");
        }
    }
}
