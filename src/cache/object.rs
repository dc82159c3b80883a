//! Files that are known by their URL only (installers, notices, `channeldata.json`), and what is kept about them.
//!
//! Belongs here: the values, and the memory of recently used ones in front of `cache.db`. Does not: judging them
//! (`freshness`).

use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;

use super::blobs::{Blob, Blobs};
use super::error::CacheError;
use super::freshness::{self, Freshness, Lifetime};
use super::index::ObjectRow;
use super::source::Validators;

/// What is kept about a file beside its bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObjectMeta {
    /// Of the stored version.
    pub validators: Validators,
    /// As upstream wrote it.
    pub content_type: Option<String>,
    /// When these bytes came.
    pub stored_at: UnixMillis,
    /// When upstream last said they are current.
    pub checked_at: UnixMillis,
    /// From the last answer.
    pub lifetime: Lifetime,
}

impl ObjectMeta {
    /// Whether it may be served now.
    #[must_use]
    pub fn freshness(&self, now: UnixMillis) -> Freshness {
        freshness::freshness(&self.lifetime, self.checked_at, now)
    }
}

/// A stored file with what is known about it.
#[derive(Clone, Debug)]
pub struct Object {
    /// The bytes.
    pub blob: Arc<Blob>,
    /// About them.
    pub meta: Arc<ObjectMeta>,
}

/// Keys remembered; a key and its headers are a few hundred bytes.
const REMEMBERED: u64 = 4096;

#[derive(Clone)]
struct Entry {
    sha256: Sha256,
    meta: Arc<ObjectMeta>,
    plain: bool,
}

/// Keys and the blobs they stand for.
pub(super) struct Objects {
    memory: moka::sync::Cache<Box<str>, Entry, ahash::RandomState>,
    blobs: Arc<Blobs>,
}

impl Objects {
    pub(super) fn new(blobs: Arc<Blobs>) -> Self {
        let memory = moka::sync::Cache::builder()
            .max_capacity(REMEMBERED)
            .build_with_hasher(ahash::RandomState::new());
        Self { memory, blobs }
    }

    /// What is known of `key` without asking the disk.
    pub(super) fn remembered(&self, key: &str) -> Option<(Sha256, Arc<ObjectMeta>)> {
        self.memory.get(key).map(|entry| (entry.sha256, entry.meta))
    }

    /// The same for a plain file only.
    pub(super) fn remembered_plain(&self, key: &str) -> Option<(Sha256, Arc<ObjectMeta>)> {
        self.memory.get(key).filter(|entry| entry.plain).map(|entry| (entry.sha256, entry.meta))
    }

    pub(super) fn remember(&self, key: &str, sha256: Sha256, meta: Arc<ObjectMeta>, plain: bool) {
        self.memory.insert(key.into(), Entry { sha256, meta, plain });
    }

    /// What is known of a plain file; one indexed query when it is not remembered.
    pub(super) fn find(&self, key: &str) -> Option<(Sha256, Arc<ObjectMeta>)> {
        if let Some(entry) = self.memory.get(key) {
            return entry.plain.then_some((entry.sha256, entry.meta));
        }
        let row = match self.blobs.index.object(key) {
            Ok(row) => row?,
            Err(error) => {
                tracing::error!(%error, "cache index can't be read; treating the file as absent");
                return None;
            }
        };
        let meta = Arc::new(row.meta);
        self.remember(key, row.sha256, Arc::clone(&meta), row.plain);
        row.plain.then_some((row.sha256, meta))
    }

    /// A file that was verified under this key when it came, whatever an index says of it now.
    pub(super) fn find_verified(&self, key: &str) -> Option<Sha256> {
        if let Some(entry) = self.memory.get(key) {
            return (!entry.plain).then_some(entry.sha256);
        }
        let row = self.blobs.index.object(key).ok()??;
        (!row.plain).then_some(row.sha256)
    }

    /// Replaces what is known of a plain file.
    pub(super) fn store(&self, key: &str, sha256: Sha256, meta: ObjectMeta) -> Result<(), CacheError> {
        let row = ObjectRow { key: key.to_owned(), sha256, plain: true, meta };
        self.blobs.index.put_object(&row)?;
        self.remember(key, sha256, Arc::new(row.meta), true);
        Ok(())
    }

    /// Forgets a key in memory.
    pub(super) fn forget(&self, key: &str) {
        self.memory.invalidate(key);
    }
}
