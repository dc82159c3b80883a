//! Documents that a generation turned out not to have, and why.
//!
//! Belongs here: for how long that is believed. Does not: finding it out (`variants`, `shards`).

use crate::clock::UnixMillis;
use crate::conda::url::IndexFile;

/// What is remembered of one document.
#[derive(Clone)]
struct Entry {
    sentence: String,
    /// Upstream may have it, or one that agrees, later; `None`: nothing can change it.
    until: Option<UnixMillis>,
}

/// Absent documents by generation key.
pub(in crate::delivery) struct Absent(moka::sync::Cache<(String, IndexFile), Entry>);

impl Absent {
    pub(super) fn new() -> Self {
        Self(moka::sync::Cache::new(4096))
    }

    /// Why a document is absent, if that is known and still believed.
    pub(in crate::delivery) fn get(&self, document: &(String, IndexFile), now: UnixMillis) -> Option<String> {
        let entry = self.0.get(document)?;
        entry.until.is_none_or(|until| now < until).then_some(entry.sentence)
    }

    /// It can't be made of the generation's records, which do not change.
    pub(in crate::delivery) fn for_good(&self, document: (String, IndexFile), sentence: String) {
        self.0.insert(document, Entry { sentence, until: None });
    }

    /// Upstream has none that belongs to the generation; asked again later.
    pub(super) fn until(&self, document: (String, IndexFile), sentence: String, until: UnixMillis) {
        self.0.insert(document, Entry { sentence, until: Some(until) });
    }

    pub(super) fn forget(&self) {
        self.0.invalidate_all();
    }
}
