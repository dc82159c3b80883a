//! TLS for clients: which certificate for which name, and what a connection must offer.
//!
//! Belongs here: from certificate files to what answers a handshake, reading them again while connections run. Does not: reading PEM and
//! what is in a certificate (`certificate`), accepting (`front`).
//!
//! TLS 1.2 and 1.3 with the suites that rustls has, which are all forward secret; HTTP/2 and HTTP/1.1 by ALPN.

mod certificate;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

pub use certificate::Described;

use crate::clock::UnixMillis;

/// What clients are offered, in the order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;
/// From then on people are told that a certificate ends. Whoever renews by machine does so at 30 days at the latest.
const SOON: i64 = 14 * DAY;

/// Which files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsSettings {
    /// At least one; the first also answers clients that name no host, or an unknown one.
    pub certificates: Vec<CertificateFiles>,
    /// Whom client certificates must come from, if they are asked for.
    pub clients: Option<ClientCertificates>,
}

/// A certificate and its key, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The certificate, followed by those that lead to its root.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Certificates of clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificates {
    /// Who may have issued them, PEM.
    pub issuers: PathBuf,
    /// Whether clients without one are turned away.
    pub required: bool,
}

/// Why certificates can't be used; what was in use stays.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("the {what} `{}` can't be read: {why}", path.display())]
    Unreadable {
        /// `certificate`, `key` or `file of client authorities`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// In words.
        why: String,
    },
    /// The key is another certificate's.
    #[error(
        "the key `{}` does not belong to the certificate `{}`; name the key that the certificate was made for", key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Anything else about a pair.
    #[error("the certificate `{}` can't be used: {why}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// In words.
        why: String,
    },
}

/// What answers handshakes; certificates can be replaced while it does.
pub struct Tls {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
}

/// What the files last said.
struct Current {
    config: Arc<ServerConfig>,
    described: Vec<Described>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// As [`TlsError`], one for each pair that can't be used.
    pub fn open(settings: TlsSettings) -> Result<Arc<Self>, Vec<TlsError>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = read(&settings, &provider, &tickets(&settings)?)?;
        Ok(Arc::new(Self { settings, provider, current: ArcSwap::from_pointee(current) }))
    }

    /// Reads the files again; connections that are open keep what they have.
    ///
    /// # Errors
    /// As [`Tls::open`]; then nothing has changed.
    pub fn reload(&self) -> Result<(), Vec<TlsError>> {
        let before = Arc::clone(&self.current.load().config.ticketer);
        // Who goes on with a session is not asked for a certificate again, and its issuer may be one of those that are out now.
        let tickets = if self.settings.clients.is_some() { tickets(&self.settings)? } else { before };
        self.current.store(Arc::new(read(&self.settings, &self.provider, &tickets)?));
        Ok(())
    }

    /// The certificates in use, in the order of the settings.
    #[must_use]
    pub fn described(&self) -> Vec<Described> {
        self.current.load().described.clone()
    }

    /// The files it is made of.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.settings.files()
    }

    pub(super) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        Arc::clone(&self.current.load().config).into()
    }
}

impl TlsSettings {
    /// Every file that is named.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let pairs = self.certificates.iter().flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]);
        pairs.chain(self.clients.iter().map(|clients| clients.issuers.clone())).collect()
    }
}

impl Described {
    /// Whether it is out of date, or will be soon, as a sentence for people.
    #[must_use]
    pub fn trouble(&self, now: UnixMillis) -> Option<String> {
        let shown = self.file.display();
        let left = self.ends.0.saturating_sub(now.0);
        if left <= 0 {
            Some(format!(
                "the certificate `{shown}` has expired and clients refuse it; put a new one in its place"
            ))
        } else if self.begins > now {
            Some(format!("the certificate `{shown}` is not valid yet; look at the clock of this machine"))
        } else if left < SOON {
            let days = left / DAY;
            let when = if days == 0 { "in less than a day".to_owned() } else { format!("in {days} days") };
            Some(format!(
                "the certificate `{shown}` expires {when}; put a new one in its place, which is read at once"
            ))
        } else {
            None
        }
    }
}

/// What clients show to go on with a session; encrypted with keys that only this process has.
fn tickets(settings: &TlsSettings) -> Result<Arc<dyn ProducesTickets>, Vec<TlsError>> {
    rustls::crypto::ring::Ticketer::new().map_err(|error| unusable(settings, &error))
}

/// What is nobody's fault in particular, said of the first.
fn unusable(settings: &TlsSettings, error: &impl ToString) -> Vec<TlsError> {
    let path = settings.certificates.first().map(|one| one.certificate.clone()).unwrap_or_default();
    vec![TlsError::Unusable { path, why: error.to_string() }]
}

fn read(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Current, Vec<TlsError>> {
    let (mut names, mut described, mut errors) = (Names::default(), Vec::new(), Vec::new());
    for files in &settings.certificates {
        match certificate::read(files, provider) {
            Ok((key, about)) => {
                names.add(&Arc::new(key), &about);
                described.push(about);
            }
            Err(error) => errors.push(error),
        }
    }
    let verifier = settings.clients.as_ref().map(|clients| verifier(clients, provider)).transpose();
    let verifier = verifier.map_err(|error| errors.push(error));
    let (Ok(verifier), true) = (verifier, errors.is_empty()) else { return Err(errors) };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider));
    let builder =
        builder.with_safe_default_protocol_versions().map_err(|error| unusable(settings, &error))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(names));
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    config.ticketer = Arc::clone(tickets);
    Ok(Current { config: Arc::new(config), described })
}

fn verifier(
    clients: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let what = "file of client authorities";
    let unreadable = |why: String| TlsError::Unreadable { what, path: clients.issuers.clone(), why };
    let mut roots = RootCertStore::empty();
    for issuer in certificate::chain(what, &clients.issuers)? {
        roots.add(issuer).map_err(|error| unreadable(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| unreadable(error.to_string()))
}

/// Certificates by the names that they are good for.
#[derive(Debug, Default)]
struct Names {
    exact: ahash::AHashMap<String, Arc<CertifiedKey>>,
    /// Behind `*.`.
    wild: ahash::AHashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl Names {
    /// Names that an earlier certificate has stay with it.
    fn add(&mut self, key: &Arc<CertifiedKey>, about: &Described) {
        self.first.get_or_insert_with(|| Arc::clone(key));
        for name in &about.names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(rest) => (&mut self.wild, rest),
                None => (&mut self.exact, name.as_str()),
            };
            map.entry(name.to_owned()).or_insert_with(|| Arc::clone(key));
        }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let wild = || self.wild.get(name.split_once('.')?.1);
        self.exact.get(&name).or_else(wild)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        named.or(self.first.as_ref()).cloned()
    }
}
