//! The document of a hosted channel's subdir, made from the rows of the store: what a generation is then built from, like upstream's.
//!
//! Rows come one by one; what they say is kept from one build to the next, so that a build reads the rows that changed and no others.
//! A channel's own patches (`hosted_patches`) are part of what its records say, as conda-index has it: rules see them patched.
//! Of each record the store's word counts for the digest, the size and since when it is there (CEP 47); whatever else it says stays.
//!
//! | file | what |
//! |---|---|
//! | `rows` | what is known of each row, and the texts of their records |
//! | `sum` | the digest of all of them, kept up to date row by row |
//! | `document` | the document that they make |
//!
//! Belongs here: from rows to that document. Does not: reading rows (`delivery`), rules, and all that clients get (`build`).

mod document;
mod rows;
mod sum;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::edit;
use super::hosted_patches::HostedPatches;
use super::judging::{KnownFile, Ruling};
use super::scan::{Group, Record};
use super::sightings::{Origin, Sighting};
use super::table::Standing;
use crate::clock::UnixMillis;
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::digest::Sha256;

pub use document::HostedDocument;
pub use rows::HostedRows;

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct HostedRow<'a> {
    /// File name.
    pub file: &'a str,
    /// Its record as it was uploaded: a JSON object.
    pub record: &'a [u8],
    /// Of its bytes.
    pub sha256: &'a Sha256,
    /// Bytes.
    pub size: u64,
    /// When.
    pub uploaded_at: UnixMillis,
    /// Not in the index, and known all the same.
    pub yanked: bool,
}

/// Whether a row is known and in no index.
fn is_withdrawn(row: &HostedRow<'_>, patches: Option<&HostedPatches>) -> bool {
    row.yanked || patches.is_some_and(|patches| patches.removes(row.file))
}

/// In which group of the document a file stands; `None` for one that no index of a hosted channel lists.
fn group_of(file: &str) -> Option<Group> {
    match ArchiveName::parse(file)?.kind() {
        ArchiveKind::TarBz2 => Some(Group::Packages),
        ArchiveKind::Conda => Some(Group::PackagesConda),
        ArchiveKind::Wheel => None,
    }
}

/// The record as the document has it; whether it is one at all.
fn text_of(row: &HostedRow<'_>, group: Group, patches: Option<&HostedPatches>, out: &mut Vec<u8>) -> bool {
    let fixed;
    let mut raw = row.record;
    let is_right = |raw: &[u8]| {
        let expected = Record::alone(group, raw).and_then(|record| record.expected().ok());
        expected.is_some_and(|e| e.sha256.as_ref() == Some(row.sha256) && e.size == Some(row.size))
    };
    if !is_right(raw) {
        // Rare: whoever wrote the row has put both in.
        let Ok(mut record) = serde_json::from_slice::<Map<String, Value>>(raw) else { return false };
        record.insert("sha256".to_owned(), row.sha256.to_hex().into());
        record.insert("size".to_owned(), row.size.into());
        fixed = Value::from(record).to_string();
        raw = fixed.as_bytes();
    }
    let Some(record) = Record::alone(group, raw) else { return false };
    let seen = Some(Sighting { at: row.uploaded_at, origin: Origin::Gate });
    let patches = patches.and_then(|patches| patches.of(row.file)).into_iter().collect();
    let ruling = Ruling { standing: Standing { seen, ..Standing::default() }, patches, ..Ruling::default() };
    out.clear();
    match edit::record(&record, &ruling, out) {
        Ok(true) => true,
        Ok(false) => {
            out.extend_from_slice(raw);
            true
        }
        Err(_) => false,
    }
}

/// What is known of a row's file, for asking rules about it; `None` for one that no index can list.
#[must_use]
pub fn known_file(row: &HostedRow<'_>, patches: Option<&HostedPatches>) -> Option<KnownFile> {
    let group = group_of(row.file)?;
    let mut text = Vec::new();
    if !text_of(row, group, patches, &mut text) {
        return None;
    }
    let expected = Record::alone(group, &text)?.expected().ok()?;
    let seen = Some(Sighting { at: row.uploaded_at, origin: Origin::Gate });
    let withdrawn = is_withdrawn(row, patches);
    let standing = Standing { seen, departed: withdrawn, removed: withdrawn, ..Standing::default() };
    Some(KnownFile { file: row.file.to_owned(), expected, record: Some(text), standing, shown: !withdrawn })
}
