//! From an opened package to its row in the store.
//!
//! Belongs here: what the row's record has beyond what is in the package. Does not: opening it (`inspect`).

use serde_json::{Map, Value};

use super::inspect::Inspected;
use super::{Author, HostError, Received, Upload};
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::store::model::{Channel, Package, PackageState};

/// The label that everything has that has no other.
pub(super) const MAIN: &str = "main";

/// The record as it stands in indexes: what conda-index makes of the package, and what else clients want to know.
///
/// `run_exports` is what CEP 21 has in shards: the gate's shards, its `run_exports.json` and its index are made of one record.
pub(super) fn record(
    inspected: &Inspected,
    attestations: Option<&Sha256>,
) -> Result<Map<String, Value>, HostError> {
    let mut record: Map<String, Value> = serde_json::from_slice(&inspected.record).map_err(|error| {
        HostError::Internal(format!("the record of the package can't be read back: {error}"))
    })?;
    if let Some(exports) = inspected.run_exports.as_ref().filter(|exports| says_something(exports)) {
        record.insert("run_exports".to_owned(), exports.clone());
    }
    if let Some(digest) = attestations {
        record.insert("attestations_sha256".to_owned(), digest.to_hex().into());
    }
    Ok(record)
}

fn says_something(exports: &Value) -> bool {
    exports
        .as_object()
        .is_some_and(|kinds| kinds.values().any(|list| list.as_array().is_some_and(|l| !l.is_empty())))
}

/// Labels as rows have them: sorted, none twice, empty for `main` alone.
pub(super) fn labels(asked: &[String]) -> Result<Vec<String>, HostError> {
    if let Some(bad) = asked.iter().find(|label| !ChannelRef::is_label(label)) {
        return Err(HostError::Invalid(format!(
            "`{}` is no label: it begins with a letter and has letters, digits and `_-./:` only",
            bad.escape_debug()
        )));
    }
    if let Some(bad) = asked.iter().find(|label| label.split('/').any(|part| part.eq_ignore_ascii_case("t")))
    {
        return Err(HostError::Invalid(format!(
            "`{bad}` can't be a label here: in its URL, what follows the `t` would be taken for a token; choose another one"
        )));
    }
    let mut labels = asked.to_vec();
    labels.sort_unstable();
    labels.dedup();
    Ok(if labels == [MAIN] { Vec::new() } else { labels })
}

/// The labels that a row has, `main` where none is written.
pub(super) fn labels_of(package: &Package) -> Vec<String> {
    if package.labels.is_empty() { vec![MAIN.to_owned()] } else { package.labels.clone() }
}

/// A new row.
pub(super) fn package(
    channel: &Channel,
    (upload, received): (&Upload, &Received),
    subdir: &str,
    (record, labels): (&Map<String, Value>, Vec<String>),
    (author, now): (&Author, UnixMillis),
) -> Package {
    let name = upload.file.parts().map_or("", |(name, _, _)| name);
    Package {
        channel: channel.id.clone(),
        subdir: subdir.to_owned(),
        file: upload.file.as_str().to_owned(),
        sha256: received.sha256,
        size: received.size,
        record: Value::Object(record.clone()).to_string().into_bytes(),
        labels,
        state: PackageState::Listed,
        uploaded_by: author.user().clone(),
        uploaded_at: now,
        revision: 1,
        name: name.to_owned(),
        changed_at: now,
        attestations: None,
    }
}
