//! Opening the directory, and the quiet work while the gate runs.
//!
//! Belongs here: the lock, the first directories, the housekeeping rounds. Does not: what a round calls (`evict`,
//! `verify`, `fill::partial`).
//!
//! Opening scans nothing: it makes five directories, takes a lock and opens `cache.db`. What a crash has left behind
//! is cleared away by the first housekeeping round, and nothing of it is trusted meanwhile: a file counts only with
//! a row, and a row only with a file that has its stamp.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Weak};

use super::error::CacheError;
use super::index::Index;
use super::layout::Layout;
use super::ops::Ops;
use super::{Inner, evict, fill, vault, verify};
use crate::clock::UnixMillis;

/// Makes the directories and takes the lock, which lasts until the file is dropped.
pub(super) fn lock(layout: &Layout, ops: &Ops) -> Result<File, CacheError> {
    for dir in [layout.root().to_owned(), layout.blobs(), layout.partials(), layout.quarantine()] {
        ops.make_dirs(&dir).map_err(CacheError::io("create", &dir))?;
    }
    let path = layout.lock();
    let file = ops.open_rw(&path).map_err(CacheError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {
            let incoming = layout.incoming();
            vault::empty_incoming(&incoming, ops).map_err(CacheError::io("empty", &incoming))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(CacheError::Locked(layout.root().to_owned())),
        Err(TryLockError::Error(source)) => Err(CacheError::io("lock", &path)(source)),
    }
}

/// Opens the index. One that is damaged is moved aside: it holds nothing that the files themselves don't tell, and
/// the scrub takes them back in.
pub(super) fn index(layout: &Layout, ops: &Ops, now: UnixMillis) -> Result<Index, CacheError> {
    let path = layout.index();
    match Index::open(&path, ops.clone()) {
        Err(CacheError::Index { source, .. }) if is_damaged(&source) => {
            let aside = layout.root().join(format!("cache.db.damaged-{}", now.0));
            ops.rename(&path, &aside).map_err(CacheError::io("move aside", &path))?;
            for rest in ["cache.db-wal", "cache.db-shm"] {
                let rest = layout.root().join(rest);
                ops.remove(&rest).map_err(CacheError::io("delete", &rest))?;
            }
            tracing::error!(
                error = %source, moved_to = %aside.display(),
                "the cache index was damaged; starting with a new one. `condagate cache verify` takes all files back in at once, the background scrub does it within hours"
            );
            Index::open(&path, ops.clone())
        }
        other => other,
    }
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

/// Starts the rounds; they end with the cache.
pub(super) fn start(inner: &Arc<Inner>) {
    let weak: Weak<Inner> = Arc::downgrade(inner);
    let every = inner.settings.housekeeping;
    if every.is_zero() {
        return;
    }
    inner.blobs.runtime.spawn(async move {
        for turn in 0.. {
            let Some(inner) = weak.upgrade() else { return };
            let round = inner.blobs.runtime.spawn_blocking({
                let inner = Arc::clone(&inner);
                move || self::round(&inner)
            });
            if inner.blobs.tenure.is_over() {
                return;
            }
            let scrub = if round.await.is_ok() { inner.settings.scrub_bytes } else { 0 };
            if scrub > 0 {
                verify::step(&inner, scrub, turn).await;
            }
            drop(inner);
            tokio::time::sleep(every).await;
        }
    });
}

/// One round: what is in memory is written, what is old is deleted, the budget is kept.
pub(super) fn round(inner: &Inner) {
    let blobs = &inner.blobs;
    if blobs.tenure.is_over() {
        return;
    }
    evict::write_uses(blobs);
    blobs.open.tidy();
    evict::after_fill(blobs, &inner.settings);
    let now = blobs.clock.now();
    let before = |age: std::time::Duration| {
        UnixMillis(now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
    };
    let partials = fill::tidy_partials(&blobs.layout, &blobs.ops, before(inner.settings.partial_age));
    report("unfinished downloads", partials);
    report("quarantined files", tidy_quarantine(inner, before(inner.settings.quarantine_age)));
}

fn report(what: &str, outcome: io::Result<u64>) {
    match outcome {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "deleted old {what}"),
        Err(error) => tracing::warn!(%error, "old {what} could not be deleted"),
    }
}

/// Deletes what was set aside before `before` (its name ends with when).
pub(super) fn tidy_quarantine(inner: &Inner, before: UnixMillis) -> io::Result<u64> {
    let mut deleted = 0;
    for entry in fs::read_dir(inner.blobs.layout.quarantine())? {
        let entry = entry?;
        let name = entry.file_name();
        let since = name.to_str().and_then(|name| name.rsplit_once('-')?.1.parse().ok());
        let since =
            since.unwrap_or_else(|| entry.metadata().map_or(0, |meta| meta.mtime().saturating_mul(1000)));
        if UnixMillis(since) < before {
            inner.blobs.ops.remove(&entry.path())?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
