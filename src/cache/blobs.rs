//! Blobs on disk: finding, checking, publishing, setting aside.
//!
//! Belongs here: the way between a digest and a trusted open file. Does not: who wants it (`mod`), how bytes
//! come in (`fill`), which ones go (`evict`, `purge`).
//!
//! The rule everything rests on: **a file is served only while its stamp equals the one in `cache.db`**, and a row
//! is only written for bytes that were hashed. A file without a row is nothing (a crash came between rename and
//! row); the scrub hashes it and takes it in, or deletes it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;

use super::body::{BodyMode, BodyOptions, BodyReader, FileBody, SMALL};
use super::error::CacheError;
use super::hashing;
use super::index::{BlobRow, Index, ObjectRow};
use super::layout::Layout;
use super::open_blobs::{LastUse, OpenBlobs, UseLog};
use super::ops::Ops;
use super::settings::CacheSettings;
use super::stamp::Stamp;
use super::status::Counters;
use super::tenure::Tenure;
use crate::clock::{SharedClock, UnixMillis};
use crate::conda::digest::{Md5, Sha256};
use crate::http::etag::ETag;

/// How often the file behind a copy in memory is looked at; other files are looked at each time.
const LOOK_EVERY_MS: i64 = 1000;

/// A verified file of the cache, open for reading. Holding one keeps eviction away from it.
pub struct Blob {
    digest: Sha256,
    stamp: Stamp,
    etag: ETag,
    body: Arc<FileBody>,
    last_use: LastUse,
    /// When the file was last seen to be the one that was verified, Unix milliseconds.
    looked: AtomicI64,
    log: Arc<UseLog>,
}

impl Blob {
    /// Its SHA-256, which is also its name on disk.
    #[must_use]
    pub const fn digest(&self) -> &Sha256 {
        &self.digest
    }

    /// The `ETag` made of its digest.
    #[must_use]
    pub const fn etag(&self) -> &ETag {
        &self.etag
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.stamp.size
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.stamp.size == 0
    }

    /// When the bytes last changed, as upstream said when they came; else when they came.
    #[must_use]
    pub fn modified(&self) -> UnixMillis {
        UnixMillis(self.stamp.mtime / 1_000_000)
    }

    /// The whole file, when it is in the memory tier (at most 64 KiB).
    #[must_use]
    pub fn small(&self) -> Option<Bytes> {
        self.body.small()
    }

    /// The same where it lies: all workers count the uses of what they share in one place.
    #[must_use]
    pub fn small_here(&self) -> Option<&[u8]> {
        self.body.small_here()
    }

    /// Reads `range`, cut to the file's length.
    #[must_use]
    pub fn reader(&self, range: Range<u64>, mode: BodyMode) -> BodyReader {
        self.body.reader(range, mode)
    }

    /// The open file behind it.
    #[must_use]
    pub const fn body(&self) -> &Arc<FileBody> {
        &self.body
    }

    /// Whether a look at the file can wait: the answer comes from the copy in memory, which nobody can change, and the file
    /// was looked at a moment ago.
    fn seen_lately(&self, now: UnixMillis) -> bool {
        let since = now.0.saturating_sub(self.looked.load(Ordering::Relaxed));
        (0..LOOK_EVERY_MS).contains(&since) && self.body.in_memory()
    }

    pub(super) const fn last_use(&self) -> &LastUse {
        &self.last_use
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.digest, self.stamp.size)
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if let Some(at) = self.last_use.take() {
            self.log.lock().insert(self.digest, at);
        }
    }
}

/// What to do with a file whose stamp has changed while its size has not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// Hash it here and now: right bytes are taken back in (a restored backup changes every stamp).
    Rehash,
    /// Say "not here" and hash it in the background: the caller must not block for long.
    Later,
}

/// What is being published.
pub(super) struct Publication<'a> {
    pub(super) file: &'a File,
    pub(super) partial: &'a Path,
    /// How many bytes were hashed.
    pub(super) len: u64,
    pub(super) sha256: Sha256,
    pub(super) md5: Option<Md5>,
    pub(super) origin: &'a str,
    pub(super) object: Option<&'a ObjectRow>,
}

/// The blobs of one package directory.
pub(super) struct Blobs {
    pub(super) layout: Layout,
    pub(super) index: Index,
    pub(super) open: OpenBlobs,
    pub(super) ops: Ops,
    pub(super) clock: SharedClock,
    pub(super) runtime: Handle,
    pub(super) counters: Counters,
    max_maps: usize,
    /// Fills outlive the cache's handles; the directory must stay ours until the last one has ended.
    lock: Arc<File>,
    pub(super) tenure: Tenure,
    /// Rename-and-row and delete-and-row of one digest must not interleave.
    stripes: [Mutex<()>; 64],
    /// Two evictions at once would both free what only one needs to.
    pub(super) evicting: Mutex<()>,
    /// One hash of a changed file at a time.
    rehash: [Mutex<()>; 64],
}

impl Blobs {
    pub(super) fn new(
        settings: &CacheSettings,
        layout: Layout,
        index: Index,
        lock: Arc<File>,
        clock: SharedClock,
        runtime: Handle,
    ) -> Self {
        Self {
            layout,
            index,
            open: OpenBlobs::new(settings.memory, settings.max_open.min(descriptors())),
            ops: Ops::new(settings.faults.clone()),
            clock,
            runtime,
            counters: Counters::default(),
            max_maps: settings.max_maps,
            lock,
            tenure: Tenure::default(),
            stripes: std::array::from_fn(|_| Mutex::new(())),
            evicting: Mutex::new(()),
            rehash: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// Gives the directory to another process: what is being changed is finished, then the index is closed and the lock is free.
    pub(super) fn release(&self) -> Result<(), CacheError> {
        let closed = self.tenure.end(|| self.index.close());
        closed.map_err(|source| CacheError::Index { path: self.layout.index(), source })?;
        let path = self.layout.lock();
        self.lock.unlock().map_err(CacheError::io("unlock", &path))
    }

    pub(super) fn stripe(&self, digest: &Sha256) -> MutexGuard<'_, ()> {
        self.stripes[usize::from(digest.0[0]) % self.stripes.len()].lock()
    }

    /// A blob from the table of open ones, if its file is still the one that was verified.
    pub(super) fn hot(&self, digest: &Sha256) -> Option<Arc<Blob>> {
        let blob = self.open.get(digest)?;
        let now = self.clock.now();
        if blob.seen_lately(now) {
            blob.last_use.touch(now);
            return Some(blob);
        }
        if matches!(Stamp::of(blob.body.file()), Ok(Some(stamp)) if stamp == blob.stamp) {
            blob.looked.store(now.0, Ordering::Relaxed);
            blob.last_use.touch(now);
            return Some(blob);
        }
        self.open.forget(digest);
        None
    }

    /// Looks in the table, then on disk. Blocks: one indexed query, `open`, `fstat`, at most 64 KiB read, and with
    /// [`Changed::Rehash`] the whole file when its stamp has changed.
    pub(super) fn find(self: &Arc<Self>, digest: &Sha256, changed: Changed) -> Option<Arc<Blob>> {
        if let Some(blob) = self.hot(digest) {
            return Some(blob);
        }
        let row = match self.index.blob(digest) {
            Ok(row) => row?,
            Err(error) => {
                tracing::error!(%error, "cache index can't be read; treating the blob as absent");
                return None;
            }
        };
        match self.open_row(&row, changed) {
            Ok(blob) => blob,
            Err(error) => {
                tracing::error!(blob = %digest, %error, "cached file can't be read; treating it as absent");
                None
            }
        }
    }

    fn open_row(self: &Arc<Self>, row: &BlobRow, changed: Changed) -> io::Result<Option<Arc<Blob>>> {
        let path = self.layout.blob(&row.sha256);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Err(error) = self.drop_row(row) {
                    tracing::warn!(%error, "cache index can't be written");
                }
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(stamp) = Stamp::of(&file)? else { return Ok(None) };
        if stamp == row.stamp {
            return self.admit(row.sha256, stamp, file).map(Some);
        }
        if stamp.size == row.stamp.size && changed == Changed::Later {
            let (blobs, digest) = (Arc::clone(self), row.sha256);
            self.runtime.spawn_blocking(move || blobs.find(&digest, Changed::Rehash));
            return Ok(None);
        }
        // One hashes, the others wait and find the new stamp.
        let _turn = self.rehash[usize::from(row.sha256.0[0]) % self.rehash.len()].lock();
        let recorded = self.index.blob(&row.sha256).ok().flatten();
        let known = recorded.is_some_and(|recorded| recorded.stamp == stamp);
        if known || (stamp.size == row.stamp.size && self.still_right(&row.sha256, &file, stamp)?) {
            return self.admit(row.sha256, stamp, file).map(Some);
        }
        self.quarantine(row, stamp);
        Ok(None)
    }

    /// Hashes a file whose stamp has changed; right bytes get their new stamp into the index.
    fn still_right(&self, digest: &Sha256, file: &File, before: Stamp) -> io::Result<bool> {
        if hashing::sha256_of(file)? != *digest || Stamp::of(file)? != Some(before) {
            return Ok(false);
        }
        self.counters.rehashed.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.index.verified(digest, &before, self.clock.now()) {
            tracing::warn!(%error, "cache index can't be written; the file will be hashed again on its next use");
        }
        Ok(true)
    }

    /// Puts a trusted open file into the table.
    pub(super) fn admit(&self, digest: Sha256, stamp: Stamp, file: File) -> io::Result<Arc<Blob>> {
        let options = BodyOptions {
            runtime: self.runtime.clone(),
            keep_small: stamp.size <= SMALL,
            max_maps: self.max_maps,
        };
        let body = FileBody::from_file(file, stamp.size, options)?;
        let now = self.clock.now();
        let last_use = LastUse::new(UnixMillis(0));
        last_use.touch(now);
        let etag = ETag::strong(&digest.to_hex());
        let blob = Arc::new(Blob {
            digest,
            stamp,
            etag,
            body,
            last_use,
            looked: AtomicI64::new(now.0),
            log: Arc::clone(&self.open.uses),
        });
        self.open.insert(&blob);
        Ok(blob)
    }

    /// The file is gone; so is its row.
    pub(super) fn drop_row(&self, row: &BlobRow) -> Result<(), CacheError> {
        let _stripe = self.stripe(&row.sha256);
        if self.layout.blob(&row.sha256).exists() || !self.index.remove_blob(&row.sha256, &row.stamp)? {
            return Ok(());
        }
        tracing::warn!(blob = %row.sha256, origin = %row.origin, "cached file is gone from the disk; it will be fetched again");
        Ok(())
    }

    /// Moves a file that is not what it was out of the way, for someone to look at; `false` when
    /// somebody else has replaced or moved it meanwhile.
    pub(super) fn quarantine(&self, row: &BlobRow, seen: Stamp) -> bool {
        let Ok(_change) = self.tenure.change() else { return false };
        let _stripe = self.stripe(&row.sha256);
        let path = self.layout.blob(&row.sha256);
        let current = File::open(&path).and_then(|file| Stamp::of(&file));
        if !matches!(current, Ok(Some(stamp)) if stamp == seen) {
            return false;
        }
        self.open.forget(&row.sha256);
        self.counters.quarantined.fetch_add(1, Ordering::Relaxed);
        let aside = self.layout.quarantine().join(format!("{}-{}", row.sha256, self.clock.now().0));
        if let Err(error) = self.ops.rename(&path, &aside) {
            tracing::error!(blob = %row.sha256, %error, "a changed cached file could not be moved to quarantine/; it is not served");
        } else {
            tracing::error!(
                blob = %row.sha256, origin = %row.origin, recorded = ?row.stamp, found = ?seen,
                "a cached file was changed on disk; it was moved to quarantine/ and will be fetched again"
            );
        }
        if let Err(error) = self.index.remove_blob(&row.sha256, &row.stamp) {
            tracing::warn!(%error, "cache index can't be written");
        }
        true
    }

    /// Makes a hashed file a blob: flush the file, move it, flush the directory, write the row. Stopping after any
    /// step leaves either nothing that is trusted or everything.
    pub(super) fn publish(&self, publication: &Publication<'_>) -> Result<Arc<Blob>, CacheError> {
        let Publication { file, partial, sha256, .. } = publication;
        let _change = self.tenure.change()?;
        self.ops.sync(file, partial).map_err(CacheError::io("flush", partial))?;
        let hashed = Stamp::of(file).map_err(CacheError::io("look at", partial))?;
        let path = self.layout.blob(sha256);
        let dir = self.blob_dir(&path)?;
        let _stripe = self.stripe(sha256);
        self.ops.rename(partial, &path).map_err(CacheError::io("move a file to", &path))?;
        self.ops.sync_dir(&dir).map_err(CacheError::io("flush", &dir))?;
        self.record(publication, &path, hashed)
    }

    fn record(
        &self,
        publication: &Publication<'_>,
        path: &Path,
        hashed: Option<Stamp>,
    ) -> Result<Arc<Blob>, CacheError> {
        let read = CacheError::io("open", path);
        let opened = File::open(path).and_then(|file| Ok((Stamp::of(&file)?, file)));
        let (Some(stamp), file) = opened.map_err(read)? else {
            return Err(CacheError::io("open", path)(io::ErrorKind::NotFound.into()));
        };
        // What is recorded here is trusted from now on: it must be the very file that was hashed, not what somebody made of it since.
        // Renaming changes the change time, so that one is compared by nobody.
        let same = hashed.is_some_and(|hashed| {
            (hashed.size, hashed.mtime, hashed.inode) == (stamp.size, stamp.mtime, stamp.inode)
        });
        if !same || stamp.size != publication.len {
            let _ = self.ops.remove(path);
            let changed = io::Error::other("somebody changed the file while it was being stored");
            return Err(CacheError::io("keep", path)(changed));
        }
        let now = self.clock.now();
        let row = BlobRow {
            sha256: publication.sha256,
            stamp,
            last_use: now,
            verified_at: now,
            origin: publication.origin.to_owned(),
            md5: publication.md5,
        };
        if let Err(error) = self.index.put(&row, publication.object) {
            // Without a row the file is only in the way.
            let _ = self.ops.remove(path);
            return Err(error);
        }
        self.admit(publication.sha256, stamp, file).map_err(CacheError::io("read", path))
    }

    fn blob_dir(&self, path: &Path) -> Result<PathBuf, CacheError> {
        let dir = path.parent().unwrap_or(path).to_owned();
        if !dir.is_dir() {
            self.ops.make_dirs(&dir).map_err(CacheError::io("create", &dir))?;
            let above = self.layout.blobs();
            self.ops.sync_dir(&above).map_err(CacheError::io("flush", &above))?;
        }
        Ok(dir)
    }

    /// Deletes a blob: the file first, then the row. Stopping between the two leaves a row without a file, which
    /// the next look-up clears away; the other order would leave files nobody counts. Readers keep their open file.
    pub(super) fn delete(&self, row: &BlobRow) -> Result<(), CacheError> {
        let _change = self.tenure.change()?;
        let _stripe = self.stripe(&row.sha256);
        let path = self.layout.blob(&row.sha256);
        self.open.forget(&row.sha256);
        self.ops.remove(&path).map_err(CacheError::io("delete", &path))?;
        self.index.remove_blob(&row.sha256, &row.stamp)?;
        Ok(())
    }
}

/// A quarter of the descriptors this process may have: the rest is for connections.
fn descriptors() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.map_or(u64::MAX, |limit| limit / 4)
}
