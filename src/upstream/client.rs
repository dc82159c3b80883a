//! The HTTP client of one upstream.
//!
//! Belongs here: every setting of the client, each on purpose, and the certificate roots. Does not: what is asked (`request`),
//! redirects, retries and timeouts beyond the connection (`attempt`, `fetch`, `body`): the client does none of these.
//!
//! Roots: the system's store; on a machine without one, Mozilla's as compiled in; private ones on top. So a bare
//! container can fetch, an administrator's store wins, and nothing fails at start for want of roots.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Proxy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::settings::{Egress, SettingsError, UpstreamSettings};

/// Shorter than the 60 s after which many servers close, so we rarely write into a connection being closed.
const IDLE: Duration = Duration::from_secs(50);
const KEEPALIVE: Duration = Duration::from_secs(30);
const MOST_IDLE: usize = 32;

/// The roots every upstream starts from.
pub(super) fn usual_roots() -> RootCertStore {
    roots_from(rustls_native_certs::load_native_certs().certs)
}

fn roots_from(system: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(system);
    if added == 0 {
        tracing::info!("this machine has no certificate store; the compiled-in Mozilla roots are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    } else if ignored > 0 {
        tracing::debug!(added, ignored, "some certificates of the system's store can't be read");
    }
    roots
}

/// Adds the certificates of a PEM file.
pub(super) fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), SettingsError> {
    let bad = |why: String| SettingsError::BadCaFile { path: path.to_owned(), why };
    let pem = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| bad(e.to_string()))?;
        roots.add(certificate).map_err(|e| bad(e.to_string()))?;
        count += 1;
    }
    if count == 0 { Err(bad("there is no certificate in it".to_owned())) } else { Ok(()) }
}

/// The client for these settings.
pub(super) fn build(
    settings: &UpstreamSettings,
    egress: &Egress,
    roots: RootCertStore,
    proxies: Vec<Proxy>,
) -> Result<Client, SettingsError> {
    let fail = |why: &dyn std::fmt::Display| SettingsError::Client {
        name: settings.name.clone(),
        why: why.to_string(),
    };
    let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| fail(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        // Codings are undone in `decode`, where they are bounded and told. The client must not do it on its own, not even
        // when another crate of the build turns these features on; nor resolve names by itself.
        .no_gzip()
        .no_zstd()
        .no_brotli()
        .no_deflate()
        .no_hickory_dns()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(&egress.user_agent)
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(settings.max_concurrent.min(MOST_IDLE))
        .tcp_keepalive(KEEPALIVE)
        .tcp_nodelay(true)
        .no_proxy();
    for proxy in proxies {
        builder = builder.proxy(proxy);
    }
    let mut hosts: Vec<&str> = settings.resolve.iter().map(|(host, _)| host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    for host in hosts {
        let addresses: Vec<_> = settings.resolve.iter().filter(|(h, _)| h == host).map(|(_, a)| *a).collect();
        builder = builder.resolve_to_addrs(host, &addresses);
    }
    // A builder's error names the option, not a URL: the client has none yet.
    builder.build().map_err(|e| fail(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_roots_uses_those_compiled_in() {
        let ours = CertificateDer::from_pem_slice(include_bytes!("tests/tls/ca.pem")).expect("a certificate");
        assert_eq!(roots_from(vec![ours]).len(), 1, "the system's store wins");
        assert_eq!(roots_from(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let unreadable = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(roots_from(vec![unreadable]).len(), webpki_roots::TLS_SERVER_ROOTS.len());
    }
}
