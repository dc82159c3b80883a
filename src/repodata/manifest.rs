//! What a generation says about itself: `manifest.json` in its directory.
//!
//! Belongs here: the form of that file. Does not: finding and loading generations (`generation`, `store`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::files::Written;
use super::scan::Flaw;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;

/// The version of the generation directory's layout. A generation of another version counts as damaged and is built anew.
pub(super) const FORMAT: u32 = 2;

/// Where a generation came from and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// See `FORMAT`; always the first thing to look at.
    pub format: u32,
    /// Begins with the time of building, ends with the digest of `repodata.json`.
    pub id: String,
    /// The channel, without label.
    pub channel: String,
    /// The label, where there is one.
    pub label: Option<String>,
    /// The subdir.
    pub subdir: String,
    /// When it was built, in Unix milliseconds.
    pub built_at: i64,
    /// The rules revision that decided what is in it.
    pub rules_revision: u64,
    /// Upstream's document; `None` for an index that the gate made up.
    pub source: Option<Source>,
    /// What became of upstream's records.
    pub report: Report,
    /// What rules and sightings said of them.
    #[serde(default)]
    pub judged: Judged,
    /// File name → the file.
    pub files: BTreeMap<String, FileEntry>,
}

/// Upstream's document that a generation was built from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `ETag` as upstream sent it, for the next conditional request.
    pub etag: Option<String>,
    /// `Last-Modified` as upstream sent it.
    pub last_modified: Option<String>,
    /// `json`, `zst` or `bz2`: which document it was.
    pub packing: String,
    /// SHA-256 of upstream's document as it came, in hex.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Whether upstream has shards only, and the document was made of them.
    #[serde(default)]
    pub gathered: bool,
    /// For a hosted channel: up to which number of the store's counter the document says everything.
    #[serde(default)]
    pub number: Option<u64>,
    /// For a hosted channel: the digest of the package whose patches its records have.
    #[serde(default)]
    pub patches: Option<String>,
    /// For a merged index: the members' generations, `<channel>@<id>`; then `sha256` is made from these and the rule.
    #[serde(default)]
    pub members: Vec<String>,
}

/// What became of a document's records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Records passed on to clients.
    pub records: u64,
    /// Files in the package table.
    pub files: u64,
    /// Records passed on, but in no table: their file names are not names of packages.
    pub unlisted: u64,
    /// File names that came twice with different digests.
    pub conflicts: u64,
    /// Records left out, by what was wrong.
    pub dropped: BTreeMap<Flaw, u64>,
    /// Where upstream says its packages lie (CEP 15), where it says so; clients never see it.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Whether any byte of the document was changed.
    pub edited: bool,
    /// Where the value of `removed` stands in the written document: offset and length.
    pub removed_at: Option<(u64, u64)>,
}

/// What rules and sightings said of a document's records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Records hidden or denied, by the rule that says so.
    pub withheld: BTreeMap<String, u64>,
    /// Records changed, by rule.
    pub patched: BTreeMap<String, u64>,
    /// Records that a rule on trial would have hidden, denied or changed.
    pub trial: BTreeMap<String, u64>,
    /// Files seen for the first time.
    pub first_seen: u64,
    /// Files that upstream listed once and lists no more.
    pub departed: u64,
    /// When time alone first changes what the rules say, in Unix milliseconds.
    pub next_turn: Option<i64>,
}

/// One file of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Bytes.
    pub len: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Strong `ETag`, quotes included; differs between any two documents and any two contents.
    pub etag: String,
    /// For `Last-Modified`, in Unix milliseconds.
    pub last_modified: i64,
}

impl FileEntry {
    /// `name` is part of the tag, because clients send the tag of one document with a request for another (PROTOCOL rule 4).
    pub(super) fn new(name: &str, written: Written, last_modified: UnixMillis) -> Self {
        let sha256 = written.sha256.to_hex();
        let etag = format!("\"{name}-{}\"", &sha256[..32]);
        Self { len: written.len, sha256, etag, last_modified: last_modified.0 }
    }

    /// The digest, unless the manifest was damaged.
    pub fn digest(&self) -> Option<Sha256> {
        Sha256::from_hex(&self.sha256)
    }
}
