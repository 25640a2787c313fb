//! Addresses to listen on, written as in Go's exporters.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    str::FromStr,
};

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port.
    Tcp {
        /// The interface.
        host: Host,
        /// The port. 0 lets the kernel choose one.
        port: u16,
    },
    /// A unix socket in the file system, by absolute path: `unix:/run/unitwatch.sock`.
    Unix(PathBuf),
    /// A unix socket in the kernel's abstract namespace: `unix:@unitwatch`, here without the `@`.
    Abstract(String),
}

/// The interface of a TCP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Every interface, over IPv6 and IPv4: `:9558` and `[::]:9558`.
    Every,
    /// One address. `0.0.0.0` is every interface over IPv4 only, whereas Go would listen over
    /// IPv6 too.
    Address(IpAddr),
    /// A name, resolved when the socket is opened, or an address with a zone, `fe80::1%eth0`.
    Name(String),
}

/// An invalid address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum AddressError {
    #[error("it has no port; write \":9558\", \"127.0.0.1:9558\" or \"unix:/path\"")]
    NoPort,
    #[error("the port must be a number from 0 to 65535")]
    Port,
    #[error("an IPv6 address must be in brackets, as in \"[::1]:9558\"")]
    Brackets,
    #[error("the text in brackets is not an IPv6 address")]
    NotV6,
    #[error("the host is neither an address nor a name")]
    Host,
    #[error("a unix socket needs an absolute path or an abstract name, as in \"unix:@unitwatch\"")]
    UnixPath,
    #[error("the path of a unix socket must not be longer than {MAX_UNIX_LEN} bytes")]
    UnixLength,
    #[error("{0} addresses are not supported; only TCP and \"unix:\" are")]
    Scheme(String),
}

/// The kernel's `sockaddr_un` has 108 bytes, of which one ends a path or starts an abstract name.
const MAX_UNIX_LEN: usize = 107;

// === impl ListenAddress ===

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_unix(path);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(AddressError::Scheme(scheme.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        let host = parse_host(host)?;
        // `u16::from_str` accepts a plus sign.
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or(AddressError::Port)?;
        Ok(Self::Tcp { host, port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: Host::Every, port } => write!(f, ":{port}"),
            Self::Tcp { host: Host::Address(IpAddr::V4(ip)), port } => write!(f, "{ip}:{port}"),
            Self::Tcp { host: Host::Address(IpAddr::V6(ip)), port } => write!(f, "[{ip}]:{port}"),
            Self::Tcp { host: Host::Name(name), port } if name.contains(':') => {
                write!(f, "[{name}]:{port}")
            }
            Self::Tcp { host: Host::Name(name), port } => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

fn parse_unix(path: &str) -> Result<ListenAddress, AddressError> {
    if path.len() > MAX_UNIX_LEN {
        return Err(AddressError::UnixLength);
    }
    match path.strip_prefix('@') {
        _ if path.contains('\0') => Err(AddressError::UnixPath),
        Some(name) if !name.is_empty() => Ok(ListenAddress::Abstract(name.to_owned())),
        None if path.starts_with('/') => Ok(ListenAddress::Unix(path.into())),
        _ => Err(AddressError::UnixPath),
    }
}

fn parse_host(host: &str) -> Result<Host, AddressError> {
    if host.is_empty() {
        return Ok(Host::Every);
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let (address, zone) = inner.split_once('%').unzip();
        let ip: Ipv6Addr = address.unwrap_or(inner).parse().map_err(|_| AddressError::NotV6)?;
        return match zone {
            Some("") => Err(AddressError::NotV6),
            // The resolver maps the zone to the number of the interface.
            Some(_) => Ok(Host::Name(inner.to_owned())),
            None if ip.is_unspecified() => Ok(Host::Every),
            None => Ok(Host::Address(ip.into())),
        };
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Address(ip.into()));
    }
    if host.contains(':') {
        return Err(AddressError::Brackets);
    }
    // Only digits and dots are a mistyped IPv4 address, which a resolver might still accept.
    let like_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = host.bytes().all(like_a_name)
        && host.bytes().any(|byte| byte.is_ascii_alphabetic())
        && host.len() <= 253;
    is_name.then(|| Host::Name(host.to_owned())).ok_or(AddressError::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_it_was_written() {
        let tcp = |host, port| ListenAddress::Tcp { host, port };
        for (text, address) in [
            (":9558", tcp(Host::Every, 9558)),
            (":0", tcp(Host::Every, 0)),
            ("127.0.0.1:0", tcp(Host::Address([127, 0, 0, 1].into()), 0)),
            ("0.0.0.0:65535", tcp(Host::Address([0, 0, 0, 0].into()), 65535)),
            ("[::1]:9558", tcp(Host::Address(Ipv6Addr::LOCALHOST.into()), 9558)),
            ("localhost:9558", tcp(Host::Name("localhost".into()), 9558)),
            ("[fe80::1%eth0]:9558", tcp(Host::Name("fe80::1%eth0".into()), 9558)),
            ("unix:/run/unitwatch.sock", ListenAddress::Unix("/run/unitwatch.sock".into())),
            ("unix:@unitwatch", ListenAddress::Abstract("unitwatch".into())),
        ] {
            let read: ListenAddress = text.parse().unwrap();
            assert_eq!(read, address);
            assert_eq!(read.to_string(), text);
        }
        assert_eq!("[::]:1".parse(), Ok(tcp(Host::Every, 1)));
    }

    #[test]
    fn an_invalid_address_is_refused_with_its_reason() {
        use AddressError::*;
        for (text, reason) in [
            ("", NoPort),
            ("9558", NoPort),
            ("localhost", NoPort),
            ("localhost:", Port),
            (":http", Port),
            (":65536", Port),
            (":+80", Port),
            (":-1", Port),
            (": 80", Port),
            ("::1:9558", Brackets),
            ("[::1:9558", Brackets),
            ("[::g]:9558", NotV6),
            ("[127.0.0.1]:9558", NotV6),
            ("[fe80::1%]:9558", NotV6),
            ("[::1]", Brackets),
            ("127.0.0.256:9558", Host),
            ("a b:9558", Host),
            ("ho/st:9558", Host),
            ("unix:", UnixPath),
            ("unix:@", UnixPath),
            ("unix:run/a.sock", UnixPath),
            ("unix:/a\0b", UnixPath),
            ("vsock://:9558", Scheme("vsock".into())),
            ("http://localhost:9558", Scheme("http".into())),
        ] {
            assert_eq!(text.parse::<ListenAddress>(), Err(reason), "{text:?}");
        }
        let fits = format!("unix:/{}", "x".repeat(MAX_UNIX_LEN - 1));
        assert!(fits.parse::<ListenAddress>().is_ok());
        assert_eq!(format!("{fits}x").parse::<ListenAddress>(), Err(UnixLength));
    }
}
