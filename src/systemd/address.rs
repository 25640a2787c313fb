//! The addresses of a systemd manager: a bus, or the manager's private socket.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

/// Which manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagerScope {
    /// PID 1.
    System,
    /// The manager of the user that runs the exporter.
    User,
}

/// An address of a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Over a message bus at this D-Bus address.
    Bus {
        /// Which manager's bus it is.
        scope: ManagerScope,
        /// Its D-Bus address.
        address: String,
    },
    /// The manager's private socket, without a bus.
    Private(PathBuf),
}

impl ManagerScope {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
        }
    }
}

impl Address {
    /// The addresses of a manager in the order in which they are tried: its bus, then its private
    /// socket. With `private`, only the socket.
    pub fn to(scope: ManagerScope, private: bool) -> Vec<Self> {
        match scope {
            ManagerScope::System => {
                let address = set("DBUS_SYSTEM_BUS_ADDRESS")
                    .unwrap_or_else(|| "unix:path=/run/dbus/system_bus_socket".to_owned());
                Self::both(scope, address, PathBuf::from("/run/systemd/private"), private)
            }
            ManagerScope::User => {
                let directory = set("XDG_RUNTIME_DIR")
                    .unwrap_or_else(|| format!("/run/user/{}", rustix::process::getuid().as_raw()));
                let address = set("DBUS_SESSION_BUS_ADDRESS")
                    .unwrap_or_else(|| format!("unix:path={directory}/bus"));
                Self::to_user(address, Path::new(&directory), private)
            }
        }
    }

    /// The addresses of a user's manager with this bus and this `XDG_RUNTIME_DIR`.
    pub fn to_user(address: String, runtime_dir: &Path, private: bool) -> Vec<Self> {
        Self::both(ManagerScope::User, address, runtime_dir.join("systemd/private"), private)
    }

    fn both(scope: ManagerScope, address: String, socket: PathBuf, private: bool) -> Vec<Self> {
        let socket = Self::Private(socket);
        if private { vec![socket] } else { vec![Self::Bus { scope, address }, socket] }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus { scope: ManagerScope::System, address } => {
                write!(f, "the system bus at {address}")
            }
            Self::Bus { scope: ManagerScope::User, address } => {
                write!(f, "the user bus at {address}")
            }
            Self::Private(path) => write!(f, "the private socket {}", path.display()),
        }
    }
}

fn set(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}
