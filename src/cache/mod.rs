//! The disk cache: verified blobs, fills with followers, eviction, recovery.
//!
//! Belongs here: everything between "these bytes came from upstream" and "these bytes are on disk, right, and open".
//! Does not: HTTP, upstreams, what a key means (services join those to this).
//!
//! | file | what it knows |
//! |---|---|
//! | `blobs` `open_blobs` `stamp` | when a file on disk is trusted, and the table of open ones |
//! | `body` `map` `guard` | a file's bytes without stalling a worker |
//! | `fill/` `source` `report` | one download, many readers; how it went |
//! | `index/` `object` | `cache.db` |
//! | `intake` `vault` | files of hosted channels on their way in, and kept |
//! | `freshness` `negative` | how long an answer holds |
//! | `evict` `purge` `verify` `recover` `status` `inventory` | keeping house |
//! | `ops` | every change on disk, and the hook that makes it fail in tests |
//!
//! ```text
//! packages/blobs/sha256/ab/<hex>   immutable, named by digest     packages/cache.db   rows of blobs and keys
//! packages/partial/<hash>.part     being written, locked          packages/lock       one process at a time
//! packages/quarantine/             changed on disk, set aside      packages/hosted/    what hosted channels have: never deleted by the cache
//! ```

mod blobs;
pub mod body;
mod contents;
mod error;
mod evict;
mod fill;
pub mod freshness;
pub(crate) mod guard;
mod hashing;
mod index;
mod intake;
mod inventory;
mod layout;
mod map;
pub mod negative;
mod object;
mod open_blobs;
mod ops;
mod purge;
mod recover;
mod report;
mod settings;
mod source;
mod staged;
pub(crate) mod stamp;
mod status;
mod tenure;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod vault;
mod verify;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::runtime::Handle;

pub use blobs::Blob;
pub use body::{BodyMode, BodyOptions, BodyReader, FileBody};
pub use contents::FileQuery;
pub use error::{AnyDigest, CacheError, FillError, SourceError, SourceErrorKind};
pub use fill::{Fill, FillHead, FillKind, FillRequest, Follower};
pub use intake::{Intake, Taken};
pub use inventory::{ChannelHeld, FileHeld, Inventory};
pub use negative::{NegativeEntry, Negatives};
pub use object::{Object, ObjectMeta};
pub use ops::{Faults, FileOp};
pub use purge::{GcReport, Purge, PurgeReport};
pub use report::{FillReport, FillWatch, RunningFill, Watcher};
pub use settings::{CacheSettings, KeepFree};
pub use source::{BodyStream, OpenAt, Opened, OpenedBody, SharedSource, Source, Validators};
pub use status::CacheStatus;
pub use vault::{Kept, kept_file};
pub use verify::VerifyReport;

/// The layout of `cache.db`.
pub const INDEX_SCHEMA: i64 = index::VERSION;

use blobs::{Blobs, Changed};
use fill::Engine;
use layout::Layout;
use object::Objects;
use ops::Ops;

use crate::clock::SharedClock;
use crate::conda::digest::{Expected, Sha256};

/// How long what the cache is full of is believed: a look at it reads every row.
const INVENTORY: Duration = Duration::from_secs(20);

struct Inner {
    settings: CacheSettings,
    blobs: Arc<Blobs>,
    objects: Arc<Objects>,
    engine: Arc<Engine>,
    contents: contents::Contents,
    /// Looks on disk under way: a crowd that asks for one blob at once waits for one look.
    looking: Mutex<HashMap<Sha256, Look>>,
    /// What was found a moment ago.
    inventory: moka::future::Cache<(), Arc<Inventory>>,
}

type Look = Shared<BoxFuture<'static, Option<Arc<Blob>>>>;

impl Drop for Inner {
    fn drop(&mut self) {
        self.engine.stop();
        evict::write_uses(&self.blobs);
    }
}

/// The cache of one package directory. Clones share it.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

impl Cache {
    /// Opens or creates the directory and starts housekeeping on `runtime`, which also runs the fills and every
    /// blocking read. Takes milliseconds however much is stored; blocks that long.
    ///
    /// # Errors
    /// Another process uses the directory, it can't be written, or its index can't be read.
    pub fn open(settings: CacheSettings, clock: SharedClock, runtime: Handle) -> Result<Self, CacheError> {
        let layout = Layout::new(settings.packages.clone());
        let ops = Ops::new(settings.faults.clone());
        let lock = Arc::new(recover::lock(&layout, &ops)?);
        let index = recover::index(&layout, &ops, clock.now())?;
        let blobs = Arc::new(Blobs::new(&settings, layout, index, lock, clock, runtime));
        let objects = Arc::new(Objects::new(Arc::clone(&blobs)));
        let engine = Engine::new(settings.clone(), Arc::clone(&blobs), Arc::clone(&objects));
        let contents = contents::Contents::new(blobs.layout.contents());
        let looking = Mutex::default();
        let inventory = moka::future::Cache::builder().max_capacity(1).time_to_live(INVENTORY).build();
        let inner = Arc::new(Inner { settings, blobs, objects, engine, contents, looking, inventory });
        recover::start(&inner);
        Ok(Self(inner))
    }

    /// A blob from the table of open ones: the hit path. One sharded look-up and one `fstat`; never touches the
    /// index or opens a file.
    #[must_use]
    pub fn hot(&self, digest: &Sha256) -> Option<Arc<Blob>> {
        self.0.blobs.hot(digest)
    }

    /// A blob from memory or disk. May block for a query, an `open` and 64 KiB of reading (well under a
    /// millisecond from page cache): on a network worker prefer [`Cache::find`]. A file whose times changed though
    /// its size did not counts as absent and is hashed in the background; a changed one is set aside.
    #[must_use]
    pub fn blob(&self, digest: &Sha256) -> Option<Arc<Blob>> {
        self.0.blobs.find(digest, Changed::Later)
    }

    /// [`Cache::hot`], else looks on disk on the blocking pool; a file whose times changed is hashed first and
    /// taken back in when right (a restored backup).
    pub async fn find(&self, digest: &Sha256) -> Option<Arc<Blob>> {
        if let Some(blob) = self.hot(digest) {
            return Some(blob);
        }
        self.look(*digest).await
    }

    /// The look for a blob that is under way, or a new one.
    fn look(&self, digest: Sha256) -> Look {
        let mut looking = self.0.looking.lock();
        if let Some(look) = looking.get(&digest) {
            return look.clone();
        }
        // On its own: whoever asked first may leave.
        let this = self.clone();
        let looked = self.0.blobs.runtime.spawn_blocking(move || {
            let found = this.0.blobs.find(&digest, Changed::Rehash);
            this.0.looking.lock().remove(&digest);
            found
        });
        let look = looked.map(|done| done.ok().flatten()).boxed().shared();
        looking.insert(digest, look.clone());
        look
    }

    /// A running fill of these very bytes under `key`: its readers need not look for them on disk first.
    #[must_use]
    pub fn running(&self, key: &str, expected: &Expected) -> Option<Fill> {
        self.0.engine.join(key, expected)
    }

    /// The blob that meets `expected`: by SHA-256, or by MD5 (and size) where the record has nothing better.
    pub async fn find_expected(&self, expected: &Expected) -> Option<Arc<Blob>> {
        if let Some(sha256) = &expected.sha256 {
            return self.find(sha256).await;
        }
        let (md5, size) = (expected.md5?, expected.size);
        let found = self.on_pool(move |inner| {
            let sha256 = inner.blobs.index.by_md5(&md5).ok()??;
            inner.blobs.find(&sha256, Changed::Rehash)
        });
        found.await.ok().flatten().filter(|blob| size.is_none_or(|size| size == blob.len()))
    }

    /// A file known by its key only. Blocks like [`Cache::blob`] when it is not remembered.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Object> {
        let (sha256, meta) = self.0.objects.find(key)?;
        let blob = self.0.blobs.find(&sha256, Changed::Later)?;
        Some(Object { blob, meta })
    }

    /// A package that was verified by a digest when it came in under this key: still good where no index lists it any more
    /// (lock files) or none can be had.
    pub async fn verified(&self, key: &str) -> Option<Arc<Blob>> {
        let key = key.to_owned();
        let found = self.on_pool(move |inner| {
            let sha256 = inner.objects.find_verified(&key)?;
            inner.blobs.find(&sha256, Changed::Rehash)
        });
        found.await.ok().flatten()
    }

    /// Where a blob lies, for readers that want a path. Hold the blob while using it, or it may be evicted.
    #[must_use]
    pub fn path_of(&self, blob: &Blob) -> std::path::PathBuf {
        self.0.blobs.layout.blob(blob.digest())
    }

    /// [`Cache::object`] without blocking the worker.
    pub async fn find_object(&self, key: &str) -> Option<Object> {
        if let Some((sha256, meta)) = self.0.objects.remembered_plain(key)
            && let Some(blob) = self.hot(&sha256)
        {
            return Some(Object { blob, meta });
        }
        let key = key.to_owned();
        let found = self.on_pool(move |inner| {
            let (sha256, meta) = inner.objects.find(&key)?;
            let blob = inner.blobs.find(&sha256, Changed::Rehash)?;
            Some(Object { blob, meta })
        });
        found.await.ok().flatten()
    }

    /// Replaces what is known about a stored file (after a 304 that was asked for outside a fill). Blocks for one
    /// small transaction.
    ///
    /// # Errors
    /// The index can't be written.
    pub fn touch_object(&self, key: &str, meta: ObjectMeta) -> Result<(), CacheError> {
        match self.0.objects.find(key) {
            Some((sha256, _)) => self.0.objects.store(key, sha256, meta),
            None => Ok(()),
        }
    }

    /// Brings a file in: joins the running fill of the same key, or starts one. Never blocks. Look for the blob or
    /// object first; what was stored between that look and this call is noticed here.
    #[must_use]
    pub fn fill(&self, request: FillRequest) -> Fill {
        self.0.engine.fill(request)
    }

    /// Keeps a blob from eviction and purge (hosted packages), or lets it go; `false` when there is none. Blocks.
    ///
    /// # Errors
    /// The index can't be written.
    pub fn pin(&self, digest: &Sha256, pinned: bool) -> Result<bool, CacheError> {
        self.0.blobs.index.pin(digest, pinned)
    }

    /// A look at the cache. Blocks for a query and a directory listing of `quarantine/`.
    ///
    /// # Errors
    /// The index or the file system can't be read.
    pub fn status(&self) -> Result<CacheStatus, CacheError> {
        let blobs = &self.0.blobs;
        let (count, bytes) = blobs.index.totals()?;
        let space = evict::space(blobs)?;
        let quarantine = blobs.layout.quarantine();
        let set_aside = std::fs::read_dir(&quarantine).map_err(CacheError::io("list", &quarantine))?.count();
        let (fills, fill_bytes) = self.0.engine.in_flight();
        let mut status = CacheStatus {
            blobs: count,
            bytes,
            budget: self.0.settings.size,
            free: space.free,
            keep_free: self.0.settings.keep_free.bytes(space.total),
            quarantine_files: set_aside as u64,
            open: blobs.open.count(),
            fills,
            fill_bytes,
            ..CacheStatus::default()
        };
        blobs.counters.fill_in(&mut status);
        Ok(status)
    }

    /// The fills that are running. Memory only.
    #[must_use]
    pub fn running_fills(&self) -> Vec<RunningFill> {
        self.0.engine.running_fills()
    }

    /// Bytes that came from upstreams since the start.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.0.blobs.counters.bytes_in.load(Ordering::Relaxed)
    }

    /// Reads every stored file and compares it with its digest, at most `per_second` bytes a second; sets wrong
    /// ones aside, takes in right files that have no row, deletes the rest. `progress` is called after each file.
    ///
    /// # Errors
    /// The index or a directory can't be read; what was done until then holds.
    pub async fn verify(
        &self,
        per_second: Option<u64>,
        progress: impl FnMut(&VerifyReport) + Send,
    ) -> Result<VerifyReport, CacheError> {
        verify::run(&self.0, per_second, progress).await
    }

    /// Waits (bounded) until downloads that have all their bytes are stored: their readers may have had the last byte already,
    /// and expect to find the file.
    pub async fn settle(&self, patience: std::time::Duration) {
        // Past the patience the caller goes on without them.
        let _late = tokio::time::timeout(patience, self.0.engine.settle()).await;
    }

    /// Takes files out. Whoever is reading them reads on.
    ///
    /// # Errors
    /// The index can't be written or a file can't be deleted.
    pub async fn purge(&self, what: Purge) -> Result<PurgeReport, CacheError> {
        let done = self.on_pool(move |inner| purge::purge(inner, &what)).await;
        self.0.inventory.invalidate(&()).await;
        done?
    }

    /// What the cache is full of, as of some seconds ago at most.
    ///
    /// # Errors
    /// The index can't be read.
    pub async fn inventory(&self) -> Result<Arc<Inventory>, Arc<CacheError>> {
        let look = async { self.on_pool(inventory::take).await?.map(Arc::new) };
        self.0.inventory.try_get_with((), look).await
    }

    /// Evicts to the budget, clears away files without rows, old unfinished downloads and the whole quarantine.
    ///
    /// # Errors
    /// The index can't be written or a file can't be deleted.
    pub async fn gc(&self) -> Result<GcReport, CacheError> {
        self.on_pool(purge::gc).await?
    }

    /// One round of housekeeping now instead of at its time. Blocks.
    pub fn housekeep(&self) {
        recover::round(&self.0);
    }

    /// Ends every fill (their followers are cut) and writes what is only in memory. Blocks for one transaction.
    pub fn stop(&self) {
        self.0.engine.stop();
        evict::write_uses(&self.0.blobs);
        self.0.blobs.open.clear();
    }

    /// Gives the directory to another process. Who reads a file reads on, and downloads go on to their ends for their readers;
    /// but nothing is stored any more, and files that are not open are absent. Blocks for a transaction.
    ///
    /// # Errors
    /// The index can't be closed or the lock not be opened.
    pub fn release(&self) -> Result<(), CacheError> {
        evict::write_uses(&self.0.blobs);
        self.0.contents.close();
        self.0.blobs.release()
    }

    async fn on_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, CacheError> {
        let inner = Arc::clone(&self.0);
        self.0.blobs.runtime.spawn_blocking(move || work(&inner)).await.map_err(|_| CacheError::Stopping)
    }
}
