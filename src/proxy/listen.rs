//! Listening sockets: bound early, with errors a person can act on, and their real addresses.
//!
//! Belongs here: binding. Does not: accepting (`server`), what happens on a connection (`front`).
//!
//! The engine would bind late, retry a taken port for half a minute, then lose the task and stay up without a listener.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A socket that already listens; connections queue until the server runs.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    pub(super) fn into_listener(self) -> TcpListener {
        self.listener
    }

    /// The real address: port 0 has become a number.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Not `address:port`.
    #[error(
        "`{0}` is not an address to listen on; write ADDRESS:PORT, for example 127.0.0.1:8080, 0.0.0.0:80 or [::]:80"
    )]
    BadAddress(String),
    /// A host name that does not resolve.
    #[error(
        "the host in `{address}` can't be resolved: {source}; write an IP address, for example 0.0.0.0:80"
    )]
    Unresolved {
        /// As written.
        address: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// EADDRINUSE.
    #[error(
        "{0} is already in use; stop what listens there (`ss -ltnp` names it) or choose another port with --listen"
    )]
    InUse(String),
    /// EACCES.
    #[error(
        "{0}: ports below 1024 need a privilege; run `setcap cap_net_bind_service=+ep` on the binary, give the unit \
         AmbientCapabilities=CAP_NET_BIND_SERVICE, lower net.ipv4.ip_unprivileged_port_start, or choose a port from \
         1024 up and redirect"
    )]
    Privileged(String),
    /// EADDRNOTAVAIL.
    #[error("{0} is not an address of this machine; write one of its own, or 0.0.0.0 for all of them")]
    NotLocal(String),
    /// Anything else.
    #[error("{address} can't be listened on: {source}")]
    Other {
        /// As written.
        address: String,
        /// What the system says.
        source: io::Error,
    },
}

/// Binds one address: `IP:port`, `[v6]:port` or `name:port`; port 0 takes a free one.
///
/// # Errors
/// [`ListenError`], at once.
pub fn bind(address: &str) -> Result<Bound, ListenError> {
    let port =
        address.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if port.is_none() {
        return Err(ListenError::BadAddress(address.to_owned()));
    }
    let unresolved = |source| ListenError::Unresolved { address: address.to_owned(), source };
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(unresolved)?.collect();
    let failed = |source| failure(address, source);
    // The standard library sets SO_REUSEADDR.
    let listener = TcpListener::bind(&addresses[..]).map_err(failed)?;
    // Its backlog is 128; a second listen() widens it, up to net.core.somaxconn.
    rustix::net::listen(&listener, BACKLOG).map_err(|e| failed(e.into()))?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, address })
}

/// Binds all addresses or none, and tells every mistake.
///
/// # Errors
/// One [`ListenError`] for each address that fails.
pub fn bind_all<S: AsRef<str>>(addresses: &[S]) -> Result<Vec<Bound>, Vec<ListenError>> {
    let (mut bound, mut errors) = (Vec::new(), Vec::new());
    for address in addresses {
        match bind(address.as_ref()) {
            Ok(one) => bound.push(one),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(bound) } else { Err(errors) }
}

fn failure(address: &str, source: io::Error) -> ListenError {
    let address = address.to_owned();
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        io::ErrorKind::PermissionDenied => ListenError::Privileged(address),
        io::ErrorKind::AddrNotAvailable => ListenError::NotLocal(address),
        _ => ListenError::Other { address, source },
    }
}
