//! TLS in front of a scripted upstream: an address of its own under a certificate of a test CA, for `localhost` and 127.0.0.1.
//!
//! The certificates are files beside this one, good from 2020 to 2120. Nothing but tests trusts that CA.
//!
//! Belongs here: the handshake and passing bytes on. Does not: what is answered (`upstream`).

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::upstream::Upstream;

/// Ends with its owner.
pub struct Tls {
    address: SocketAddr,
    dir: TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Tls {
    /// Passes on to this upstream, and closes connections while it is stopped.
    pub fn in_front_of(upstream: &Upstream) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tls")
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(accept(listener, acceptor(), upstream.address()));
        let dir = TempDir::new().expect("a directory");
        std::fs::write(dir.path().join("ca.pem"), include_bytes!("ca.pem")).expect("a file");
        Self { address, dir, _runtime: runtime }
    }

    /// `https://localhost:port`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The file with the CA's certificate.
    pub fn ca_file(&self) -> String {
        self.dir.path().join("ca.pem").display().to_string()
    }
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("leaf.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("leaf.key")).expect("a key");
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("they fit");
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, upstream: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut outside) = acceptor.accept(stream).await else { return };
            let Ok(mut inside) = TcpStream::connect(upstream).await else { return };
            let _either_may_leave = copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}
