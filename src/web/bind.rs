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
    time::Duration,
};

use rustix::{io::Errno, net::sockopt};
use tokio::{
    net::{TcpListener, TcpSocket, UnixListener, UnixStream, lookup_host},
    time::timeout,
};

use super::{Host, ListenAddress};

/// Open sockets on which nobody answers yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) listeners: Vec<Listener>,
}

/// A place that was listened on, with the port that the kernel chose.
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
    /// The address as it was asked for.
    pub address: ListenAddress,
    #[source]
    reason: BindFailure,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
enum BindFailure {
    #[error("the address is in use; end what listens there or choose another one")]
    InUse,
    #[error("a file that is no socket is in the way; remove it or choose another path")]
    Obstacle,
    #[error("the host name has no address: {0}")]
    Name(String),
    #[error(transparent)]
    Io(io::Error),
}

/// One open socket.
#[derive(Debug)]
pub(super) struct Listener {
    /// Goes first, so that the path is free before the socket is closed: whoever starts in
    /// between finds nothing to probe.
    _file: Option<SocketFile>,
    pub(super) socket: OpenSocket,
    pub(super) address: LocalAddress,
}

/// The sockets that there are.
#[derive(Debug)]
pub(super) enum OpenSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The file of a unix socket; removed on drop, unless somebody has put their own there.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// How many connections the kernel keeps for us before they are accepted.
const BACKLOG: u32 = 1024;

/// How long a name server may take.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// How long the process at the other end of an existing socket may take to show that it lives.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// Everybody may connect, as to a TCP port and as with systemd's own `SocketMode=`; a directory
/// of one's own keeps others out.
const SOCKET_MODE: u32 = 0o666;

// === impl Bound ===

impl Bound {
    /// Opens a socket for each address, or none.
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

    /// Where the sockets are, in the order of the addresses.
    pub fn local_addrs(&self) -> impl Iterator<Item = &LocalAddress> {
        self.listeners.iter().map(|listener| &listener.address)
    }
}

async fn tcp(host: &Host, port: u16) -> Result<Listener, BindFailure> {
    let listener = match host {
        Host::Address(ip) => listen((*ip, port).into())?,
        Host::Name(name) => listen(look_up(name, port).await?)?,
        Host::Every => match listen((Ipv6Addr::UNSPECIFIED, port).into()) {
            // Where IPv6 is off, IPv4 is all there is to listen on.
            Err(error) if is(&error, &[Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]) => {
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
        // The default is a sysctl's; `[::]` must not mean one thing here and another there.
        sockopt::set_ipv6_v6only(&socket, false)?;
        socket
    };
    // Connections of an earlier run that the kernel still winds up must not block a restart.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The first IPv4 address of a name, else its first: what Go's exporters listen on.
async fn look_up(name: &str, port: u16) -> Result<SocketAddr, BindFailure> {
    let found: Vec<_> = timeout(LOOKUP_LIMIT, lookup_host((name, port)))
        .await
        .map_err(|_| BindFailure::Name(format!("no answer within {} s", LOOKUP_LIMIT.as_secs())))?
        .map_err(|error| BindFailure::Name(error.to_string()))?
        .collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or_else(|| BindFailure::Name("none was found".into()))
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

/// Removes the socket that a killed process left behind: nobody accepts on it any more.
async fn remove_stale(path: &Path) -> Result<(), BindFailure> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(BindFailure::Obstacle);
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

pub(super) fn is(error: &io::Error, errnos: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| errnos.contains(&errno))
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
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}
