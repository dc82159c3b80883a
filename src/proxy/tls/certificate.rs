//! One certificate and its key, from PEM files.
//!
//! Belongs here: reading, whether the two belong together, names and times. Does not: which one a client gets (`super`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{CertificateFiles, TlsError};
use crate::clock::UnixMillis;

/// What a certificate says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// Where it is.
    pub file: PathBuf,
    /// The hosts it is good for, lower case; `*.` stands for one label.
    pub names: Vec<String>,
    /// From when.
    pub begins: UnixMillis,
    /// Until when.
    pub ends: UnixMillis,
}

/// A pair that belongs together.
pub(super) fn read(
    files: &CertificateFiles,
    provider: &Arc<CryptoProvider>,
) -> Result<(CertifiedKey, Described), TlsError> {
    let chain = chain("certificate", &files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| TlsError::Unreadable {
        what: "key",
        path: files.key.clone(),
        why: words(&error, "private key (PRIVATE KEY)"),
    })?;
    let described = describe(&files.certificate, &chain)?;
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        other => TlsError::Unusable { path: files.certificate.clone(), why: other.to_string() },
    })?;
    Ok((pair, described))
}

/// All certificates of a file; at least one.
pub(super) fn chain(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.and_then(|all| if all.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(all) });
    read.map_err(|error| TlsError::Unreadable {
        what,
        path: path.to_owned(),
        why: words(&error, "certificate (CERTIFICATE)"),
    })
}

/// Never what is in the file.
fn words(error: &pem::Error, wanted: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("there is no PEM block with a {wanted} in it"),
        pem::Error::Io(error) => error.to_string(),
        _ => "it is not right PEM".to_owned(),
    }
}

fn describe(file: &Path, chain: &[CertificateDer<'_>]) -> Result<Described, TlsError> {
    let unusable = |why: &str| TlsError::Unusable { path: file.to_owned(), why: why.to_owned() };
    let first = chain.first().ok_or_else(|| unusable("there is none in it"))?;
    let (_, parsed) = X509Certificate::from_der(first).map_err(|_| unusable("it is no X.509 certificate"))?;
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let mut names: Vec<String> = alternative
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| if let GeneralName::DNSName(name) = name { Some(name) } else { None })
        .map(|name| name.to_ascii_lowercase())
        .collect();
    names.dedup();
    let moment = |seconds: i64| UnixMillis(seconds.saturating_mul(1000));
    let validity = parsed.validity();
    let (begins, ends) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Ok(Described { file: file.to_owned(), names, begins: moment(begins), ends: moment(ends) })
}
