//! Listening sockets: given by who started the gate or bound early, with errors a person can act on, and their real addresses.
//!
//! Belongs here: binding, and which address a given socket stands for. Does not: accepting (`server`), what happens on a connection (`front`).
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
    tls: bool,
}

impl Bound {
    /// Takes a socket that somebody else has bound, and listens on it.
    ///
    /// # Errors
    /// It is no TCP socket that can listen.
    pub fn given(listener: TcpListener) -> io::Result<Self> {
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, tls: false })
    }

    /// A second handle on the same socket.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self { listener: self.listener.try_clone()?, ..*self })
    }

    /// The same socket, for connections that begin with a TLS handshake.
    #[must_use]
    pub fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Whether connections begin with a TLS handshake.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether who connects to `wanted` arrives here.
    fn serves(&self, wanted: SocketAddr) -> bool {
        let ip = self.address.ip();
        let is_all = match wanted {
            // A socket of all v6 addresses gets v4 connections too, unless somebody turned that off.
            SocketAddr::V4(_) => ip.is_unspecified(),
            SocketAddr::V6(_) => ip.is_unspecified() && ip.is_ipv6(),
        };
        wanted.port() == self.address.port() && (is_all || ip.to_canonical() == wanted.ip().to_canonical())
    }

    /// The socket itself.
    #[must_use]
    pub fn into_listener(self) -> TcpListener {
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
        "{0} can't be listened on: ports below 1024 need a privilege that this user does not have. There are three ways out. \
         (1) Give it: `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the systemd unit (the one in deploy/ has it), or \
         `setcap cap_net_bind_service=+ep` on the binary. (2) Let systemd open the port and pass it: deploy/systemd/condagate.socket. \
         (3) Choose a port from 1024 up: `--listen 0.0.0.0:8080`"
    )]
    Privileged(String),
    /// A socket that was passed to the process.
    #[error(
        "socket {number} of those that were passed to this process (LISTEN_FDS) can't be used: {source}; it must be a listening TCP socket"
    )]
    Given {
        /// Its number, from 1.
        number: usize,
        /// What the system says.
        source: io::Error,
    },
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
    // The standard library sets SO_REUSEADDR. Its backlog is 128; a second listen() widens it, up to net.core.somaxconn.
    TcpListener::bind(&addresses[..]).and_then(Bound::given).map_err(failed)
}

/// All sockets of a gate: the `given` ones, and one for each address, wanted `plain` or with `tls`, that none of them serves. Given ones that
/// serve an address wanted with TLS get it.
///
/// # Errors
/// One [`ListenError`] for each address that fails.
pub fn complete(
    mut given: Vec<Bound>,
    plain: &[SocketAddr],
    tls: &[SocketAddr],
) -> Result<Vec<Bound>, Vec<ListenError>> {
    for one in &mut given {
        one.tls |= tls.iter().any(|wanted| one.serves(*wanted));
    }
    let missing = |wanted: &[SocketAddr]| -> Vec<String> {
        let missing = wanted.iter().filter(|address| !given.iter().any(|one| one.serves(**address)));
        missing.map(ToString::to_string).collect()
    };
    let (plain, tls) = (bind_all(&missing(plain)), bind_all(&missing(tls)));
    match (plain, tls) {
        (Ok(plain), Ok(tls)) => {
            given.extend(plain);
            given.extend(tls.into_iter().map(Bound::with_tls));
            Ok(given)
        }
        (plain, tls) => Err([plain.err(), tls.err()].into_iter().flatten().flatten().collect()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_sockets_stand_for_the_addresses_they_serve() {
        let given = |address: &str| Bound::given(TcpListener::bind(address).unwrap()).unwrap();
        let (one, all) = (given("127.0.0.1:0"), given("0.0.0.0:0"));
        let serves =
            |bound: &Bound, ip: &str, port: u16| bound.serves(SocketAddr::new(ip.parse().unwrap(), port));
        let (port, all_port) = (one.address.port(), all.address.port());
        assert!(serves(&one, "127.0.0.1", port) && serves(&one, "::ffff:127.0.0.1", port));
        assert!(!serves(&one, "127.0.0.2", port) && !serves(&one, "127.0.0.1", 0));
        assert!(serves(&all, "10.0.0.1", all_port) && serves(&all, "0.0.0.0", all_port));
        assert!(!serves(&all, "::1", all_port));
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (plain, tls) = ([one.address, any], [all.address, any]);
        let bound = complete(vec![one, all], &plain, &tls).unwrap();
        assert_eq!(bound.iter().map(Bound::is_tls).collect::<Vec<_>>(), [false, true, false, true]);
        assert!(bound.iter().all(|one| one.address.port() != 0));
    }
}
