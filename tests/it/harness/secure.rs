//! TLS from the client's side: an authority, certificates, and real clients of HTTP/2 and HTTP/1.1.
//!
//! Belongs here: everything about TLS that more than one test needs. Does not: assertions.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use condagate::clock::{Clock as _, SystemClock};
use http::{HeaderMap, Request};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::runtime::Runtime;

/// Issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, PEM.
    pub pem: String,
}

/// A certificate and its key, PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these hosts.
    pub fn issue(&self, hosts: &[&str]) -> Pair {
        self.issue_until(hosts, 4096)
    }

    /// One that ends after so many days from now.
    pub fn issue_until(&self, hosts: &[&str], days: u64) -> Pair {
        let key = KeyPair::generate().unwrap();
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.not_after = (SystemClock.now().to_system() + Duration::from_hours(24 * days)).into();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// A client's settings: this authority is trusted, these protocols are offered.
    pub fn client(&self, protocols: &[&str], own: Option<&Pair>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Pair {
    /// Writes both files; gives the entry of `tls.certificates`.
    pub fn write(&self, dir: &Path, name: &str) -> String {
        let (certificate, key) = paths(dir, name);
        std::fs::write(&certificate, &self.certificate).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        format!("{{certificate: {}, key: {}}}", certificate.display(), key.display())
    }
}

/// Where [`Pair::write`] puts them.
pub fn paths(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")))
}

/// Method, path, headers and body.
pub type Ask<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);

/// An answer to one request.
pub struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    /// What arrived; an error where the stream was cut.
    pub body: Result<Vec<u8>, h2::Error>,
}

impl Answered {
    /// Asserts status and a complete body.
    pub fn expect(self, status: u16) -> Vec<u8> {
        let body = self.body.expect("a whole body");
        assert_eq!(self.status, status, "{:?}: {}", self.headers, String::from_utf8_lossy(&body));
        body
    }

    /// A header that must be there.
    pub fn must(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no `{name}` in {:?}", self.headers))
            .to_str()
            .unwrap()
    }
}

/// A connection of HTTP/2.
pub struct H2 {
    runtime: Runtime,
    client: h2::client::SendRequest<Bytes>,
    authority: String,
}

impl H2 {
    /// Connects to a gate that calls itself `name`.
    pub fn connect(authority: &Authority, gate: SocketAddr, name: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = authority.client(&["h2"], None);
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let client = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(gate).await.unwrap();
            let stream = tokio_rustls::TlsConnector::from(config).connect(server, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (client, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client, authority: name.to_owned() }
    }

    /// Sends a request, its headers as pairs, and takes the whole answer.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
        self.ask_all(&[(method, path, headers, body)]).pop().unwrap()
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Answered {
        self.ask("GET", path, &[], b"")
    }

    /// Asks for a file, waits for the head of the answer and goes.
    pub fn leave(self, path: &str) {
        let request = Request::get(format!("https://{}{path}", self.authority)).body(()).unwrap();
        let answer = self.runtime.block_on(async {
            let mut client = self.client.clone().ready().await.unwrap();
            client.send_request(request, true).unwrap().0.await.unwrap()
        });
        assert_eq!(answer.status(), 200);
    }

    /// A GET; `None` when the gate says that it did not look at it, so that it can be asked again elsewhere.
    pub fn heard(&self, path: &str) -> Option<Answered> {
        let request = Request::get(format!("https://{}{path}", self.authority)).body(()).unwrap();
        self.runtime.block_on(async {
            let mut client = self.client.clone().ready().await.ok()?;
            let asked = async { client.send_request(request, true)?.0.await };
            match asked.await {
                Ok(answer) => Some(received(answer).await),
                Err(error) if error.is_go_away() => None,
                Err(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => None,
                Err(error) => panic!("{error}"),
            }
        })
    }

    /// Sends all at once; answers in the same order.
    pub fn ask_all(&self, requests: &[Ask<'_>]) -> Vec<Answered> {
        let one = |(method, path, headers, body): &Ask<'_>| {
            let uri = format!("https://{}{path}", self.authority);
            let mut request = Request::builder().method(*method).uri(uri);
            for (name, value) in *headers {
                request = request.header(*name, *value);
            }
            exchange(self.client.clone(), request.body(()).unwrap(), Bytes::copy_from_slice(body))
        };
        self.runtime.block_on(futures_util::future::join_all(requests.iter().map(one)))
    }
}

async fn exchange(client: h2::client::SendRequest<Bytes>, request: Request<()>, mut body: Bytes) -> Answered {
    let mut client = client.ready().await.unwrap();
    let (answer, mut stream) = client.send_request(request, body.is_empty()).unwrap();
    while !body.is_empty() {
        stream.reserve_capacity(body.len().min(64 * 1024));
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        let piece = body.split_to(room.min(body.len()));
        stream.send_data(piece, body.is_empty()).unwrap();
    }
    received(answer.await.unwrap()).await
}

async fn received(answer: http::Response<h2::RecvStream>) -> Answered {
    let (head, mut stream) = answer.into_parts();
    let mut received = Ok(Vec::new());
    while let Some(piece) = stream.data().await {
        match (piece, &mut received) {
            (Ok(piece), Ok(bytes)) => {
                stream.flow_control().release_capacity(piece.len()).unwrap();
                bytes.extend_from_slice(&piece);
            }
            (Err(error), _) => {
                received = Err(error);
                break;
            }
            (Ok(_), Err(_)) => break,
        }
    }
    Answered { status: head.status.as_u16(), headers: head.headers, body: received }
}

/// A connection of HTTP/1.1 inside TLS, after its handshake.
///
/// # Errors
/// The handshake failed.
pub fn connect(
    config: &Arc<ClientConfig>,
    stream: TcpStream,
    name: &str,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::clone(config), server).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    stream.sock.set_read_timeout(Some(super::wait::PATIENCE))?;
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    // With TLS 1.3 a client is done before the gate has judged its certificate; a request shows.
    Ok(stream)
}

/// Sends a request that ends the connection; all that comes back.
///
/// # Errors
/// The connection was cut.
pub fn ask_once(stream: &mut (impl Read + Write), path: &str, headers: &str) -> std::io::Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: gate\r\n{headers}Connection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
