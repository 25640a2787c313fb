//! Listening on TCP and unix sockets: which addresses work, which are refused, what is cleaned up.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::{fs::PermissionsExt, net as std_unix},
    path::PathBuf,
};

use tokio::net::{TcpStream, UnixStream};
use unitwatch::http::{BindError, Bound, ListenAddress, LocalAddress};

/// A directory that is removed at the end of its test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("unitwatch-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> (PathBuf, ListenAddress) {
        let path = self.0.join("socket");
        let address = format!("unix:{}", path.display()).parse().unwrap();
        (path, address)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn bind(address: &str) -> Result<Bound, BindError> {
    Bound::bind(&[address.parse().unwrap()]).await
}

fn tcp_address(bound: &Bound) -> SocketAddr {
    match bound.local_addrs().next() {
        Some(LocalAddress::Tcp(address)) => *address,
        other => panic!("not a TCP address: {other:?}"),
    }
}

#[tokio::test]
async fn no_host_means_every_interface_over_both_families() {
    for every in [":0", "[::]:0"] {
        let bound = bind(every).await.unwrap();
        let address = tcp_address(&bound);
        assert!(address.ip().is_unspecified());
        TcpStream::connect(("127.0.0.1", address.port())).await.unwrap();
        // IPv6 may be absent from the kernel or, as in many containers, from the interfaces.
        let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        assert!(address.is_ipv6() || !has_v6);
        assert_eq!(TcpStream::connect(("::1", address.port())).await.is_ok(), has_v6);
    }
}

#[tokio::test]
async fn the_unspecified_ipv4_address_excludes_ipv6() {
    let bound = bind("0.0.0.0:0").await.unwrap();
    let port = tcp_address(&bound).port();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(TcpStream::connect(("::1", port)).await.is_err());
}

#[tokio::test]
async fn one_address_excludes_the_others() {
    let bound = bind("127.0.0.1:0").await.unwrap();
    let port = tcp_address(&bound).port();
    assert!(TcpStream::connect(("127.0.0.2", port)).await.is_err());
}

#[tokio::test]
async fn a_name_resolves_to_ipv4_first() {
    let bound = bind("localhost:0").await.unwrap();
    assert_eq!(tcp_address(&bound).ip(), IpAddr::from([127, 0, 0, 1]));
    // RFC 6761: names below `invalid` never exist.
    let error = bind("unitwatch.invalid:0").await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot listen on unitwatch.invalid:0: cannot resolve the host name: "),
        "{error}"
    );
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let first = bind("127.0.0.1:0").await.unwrap();
    let address = tcp_address(&first).to_string();
    let error = bind(&address).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {address}: address in use; stop the process that listens there or \
             choose another address"
        )
    );
    drop(first);
    bind(&address).await.unwrap();
}

#[tokio::test]
async fn an_address_of_another_machine_is_an_error() {
    // TEST-NET-1 (RFC 5737) is for documentation only.
    let error = bind("192.0.2.1:0").await.unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on 192.0.2.1:0: "), "{error}");
}

#[tokio::test]
async fn every_user_may_connect_to_the_socket_file() {
    let directory = Directory::new("mode");
    let (path, address) = directory.socket();
    let bound = Bound::bind(std::slice::from_ref(&address)).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    UnixStream::connect(&path).await.unwrap();
    assert_eq!(bound.local_addrs().next().unwrap().to_string(), address.to_string());
    drop(bound);
    assert!(!path.exists());
}

#[tokio::test]
async fn the_socket_of_a_dead_process_is_replaced_and_that_of_a_live_one_is_not() {
    let directory = Directory::new("stale");
    let (path, address) = directory.socket();
    let other = std_unix::UnixListener::bind(&path).unwrap();
    let error = Bound::bind(std::slice::from_ref(&address)).await.unwrap_err().to_string();
    assert!(error.contains("address in use"), "{error}");
    UnixStream::connect(&path).await.unwrap();

    // The standard library does not remove the file.
    drop(other);
    assert!(path.exists());
    let _bound = Bound::bind(&[address]).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_path_that_is_not_a_socket_is_never_removed() {
    let directory = Directory::new("obstacle");
    let (path, address) = directory.socket();
    fs::write(&path, "precious").unwrap();
    let error = Bound::bind(std::slice::from_ref(&address)).await.unwrap_err().to_string();
    assert!(error.contains("the path exists and is not a socket"), "{error}");
    // Nor is a link removed, even if it points to the socket of a dead process.
    fs::rename(&path, directory.0.join("file")).unwrap();
    std::os::unix::fs::symlink(directory.0.join("file"), &path).unwrap();
    let error = Bound::bind(&[address]).await.unwrap_err().to_string();
    assert!(error.contains("the path exists and is not a socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_file_that_has_replaced_the_socket_is_not_removed() {
    let directory = Directory::new("replaced");
    let (path, address) = directory.socket();
    let bound = Bound::bind(&[address]).await.unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    drop(bound);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_missing_directory_is_an_error() {
    let directory = Directory::new("missing");
    let path = directory.0.join("none/socket");
    let error = bind(&format!("unix:{}", path.display())).await.unwrap_err().to_string();
    let expected = format!("cannot listen on unix:{}: No such file", path.display());
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn an_abstract_name_needs_no_file_and_can_be_in_use() {
    use std::os::linux::net::SocketAddrExt;

    let name = format!("unitwatch-{}", std::process::id());
    let address = format!("unix:@{name}");
    let bound = bind(&address).await.unwrap();
    assert_eq!(bound.local_addrs().next().unwrap().to_string(), address);
    let peer = std_unix::SocketAddr::from_abstract_name(&name).unwrap();
    std_unix::UnixStream::connect_addr(&peer).unwrap();
    let error = bind(&address).await.unwrap_err().to_string();
    assert!(error.contains("address in use"), "{error}");
    drop(bound);
    assert!(std_unix::UnixStream::connect_addr(&peer).is_err());
}
