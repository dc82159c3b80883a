//! Taking things out by hand.
//!
//! Belongs here: `condagate cache purge` and `gc`. Does not: eviction by budget (`evict`).

use super::error::CacheError;
use super::{Inner, evict, fill, recover, verify};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;

/// What to take out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purge {
    /// The file of one URL path (the key it was filled under).
    Key(String),
    /// Every file whose key starts with this (`conda-forge/` for a channel).
    Prefix(String),
    /// One blob, whatever it is called.
    Digest(Sha256),
}

/// What went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct PurgeReport {
    /// Keys forgotten.
    pub keys: u64,
    /// Blobs deleted. A blob that another key brought in, too, stays. (A channel that merely found a blob there
    /// has no key of its own for it; it fetches the file again when it is next asked for.)
    pub blobs: u64,
    /// Bytes they had.
    pub bytes: u64,
    /// Unfinished downloads deleted.
    pub partials: u64,
}

/// What `gc` did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct GcReport {
    /// Blobs evicted to keep to the budget.
    pub evicted: u64,
    /// Bytes they had.
    pub evicted_bytes: u64,
    /// Right files without a row, taken in.
    pub adopted: u64,
    /// Wrong files without a row, deleted.
    pub deleted: u64,
    /// Unfinished downloads deleted.
    pub partials: u64,
    /// Quarantined files deleted.
    pub quarantined: u64,
}

/// Blocks.
pub(super) fn purge(inner: &Inner, what: &Purge) -> Result<PurgeReport, CacheError> {
    let mut report = PurgeReport::default();
    let (keys, digests) = match what {
        Purge::Key(key) => inner.blobs.index.remove_keys(key, false)?,
        Purge::Prefix(prefix) => inner.blobs.index.remove_keys(prefix, true)?,
        Purge::Digest(digest) => (Vec::new(), vec![*digest]),
    };
    report.keys = keys.len() as u64;
    for key in &keys {
        inner.objects.forget(key);
    }
    for digest in digests {
        // A pinned blob belongs to a hosted channel; only its owner deletes it.
        if inner.blobs.index.is_pinned(&digest)? {
            continue;
        }
        if let Some(row) = inner.blobs.index.blob(&digest)? {
            inner.blobs.delete(&row)?;
            report.blobs += 1;
            report.bytes += row.stamp.size;
        }
    }
    report.partials = purge_partials(inner, what)?;
    Ok(report)
}

fn purge_partials(inner: &Inner, what: &Purge) -> Result<u64, CacheError> {
    let (layout, ops) = (&inner.blobs.layout, &inner.blobs.ops);
    let matches = |key: &str| match what {
        Purge::Key(wanted) => key == wanted,
        Purge::Prefix(prefix) => key.starts_with(prefix),
        Purge::Digest(_) => false,
    };
    fill::discard_matching(layout, ops, matches).map_err(CacheError::io("clear", &layout.partials()))
}

/// Blocks; hashes files without rows.
pub(super) fn gc(inner: &Inner) -> Result<GcReport, CacheError> {
    let blobs = &inner.blobs;
    let strangers = verify::reconcile(blobs)?;
    let (evicted, evicted_bytes) = evict::to_budget(blobs, &inner.settings)?;
    let now = blobs.clock.now();
    let age = i64::try_from(inner.settings.partial_age.as_millis()).unwrap_or(i64::MAX);
    let before = UnixMillis(now.0.saturating_sub(age));
    let partials = fill::tidy_partials(&blobs.layout, &blobs.ops, before)
        .map_err(CacheError::io("clear", &blobs.layout.partials()))?;
    let quarantined = recover::tidy_quarantine(inner, UnixMillis(i64::MAX))
        .map_err(CacheError::io("clear", &blobs.layout.quarantine()))?;
    Ok(GcReport {
        evicted,
        evicted_bytes,
        adopted: strangers.adopted,
        deleted: strangers.deleted,
        partials,
        quarantined,
    })
}
