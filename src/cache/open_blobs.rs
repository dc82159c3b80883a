//! The table of open blobs: what makes a hit cheap, and what says whether a blob is in use.
//!
//! Belongs here: a bounded table of open files, the weak list of everything still being read, last-use times that
//! wait to be written. Does not: finding blobs on disk (`blobs`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::blobs::Blob;
use super::body::FileBody;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;

/// Last-use times of blobs that left the table before they were written to the index.
pub(super) type UseLog = Mutex<HashMap<Sha256, UnixMillis>>;

/// When a blob was last asked for, and whether the index knows.
#[derive(Debug)]
pub(super) struct LastUse {
    at: AtomicI64,
    written: AtomicI64,
}

impl LastUse {
    pub(super) const fn new(at: UnixMillis) -> Self {
        Self { at: AtomicI64::new(at.0), written: AtomicI64::new(at.0) }
    }

    /// To a tenth of a second: a place that every worker writes at every hit would have them wait for each other.
    pub(super) fn touch(&self, now: UnixMillis) {
        if now.0.abs_diff(self.at.load(Ordering::Relaxed)) >= 100 {
            self.at.store(now.0, Ordering::Relaxed);
        }
    }

    /// The time, when the index does not know it yet; from now on it counts as known.
    pub(super) fn take(&self) -> Option<UnixMillis> {
        let at = self.at.load(Ordering::Relaxed);
        (self.written.swap(at, Ordering::Relaxed) != at).then_some(UnixMillis(at))
    }
}

/// How many bodies the weak list may have before it is looked through. A weak reference keeps its body's memory, so a burst of
/// fills must not wait for housekeeping.
const LIVE_LEAST: usize = 2048;

/// Everything that is still being read, by digest.
#[derive(Default)]
struct Live {
    bodies: HashMap<Sha256, Vec<Weak<FileBody>>, ahash::RandomState>,
    /// Entries after the last look through.
    after_tidy: usize,
}

impl Live {
    fn add(&mut self, digest: Sha256, body: Weak<FileBody>) {
        if self.bodies.len() >= self.after_tidy * 2 + LIVE_LEAST {
            self.tidy();
        }
        self.bodies.entry(digest).or_default().push(body);
    }

    fn tidy(&mut self) {
        self.bodies.retain(|_, bodies| {
            bodies.retain(|body| body.strong_count() > 0);
            !bodies.is_empty()
        });
        self.bodies.shrink_to(LIVE_LEAST);
        self.after_tidy = self.bodies.len();
    }
}

/// Blobs that a thread remembers, each in the one place that its digest can have.
const RECENT: usize = 256;
/// So often one is taken from there before the table hears of it again, which must know what is used.
const UNHEARD: u8 = 32;

/// A blob that a thread took from a table. It is not held: whether it is in use must not depend on this.
struct Recent {
    /// Of [`OpenBlobs::edition`].
    edition: u64,
    digest: Sha256,
    blob: Weak<Blob>,
    taken: u8,
}

thread_local! {
    static LATELY: RefCell<[Option<Recent>; RECENT]> = const { RefCell::new([const { None }; RECENT]) };
}

/// The blob, if this thread took it lately from that edition.
fn lately(edition: u64, digest: &Sha256) -> Option<Arc<Blob>> {
    LATELY.with_borrow_mut(|recent| {
        let recent = recent.get_mut(usize::from(digest.0[0]) % RECENT)?.as_mut()?;
        if recent.edition != edition || recent.digest != *digest || recent.taken >= UNHEARD {
            return None;
        }
        recent.taken += 1;
        recent.blob.upgrade()
    })
}

fn remember(edition: u64, digest: Sha256, blob: &Arc<Blob>) {
    LATELY.with_borrow_mut(|recent| {
        if let Some(place) = recent.get_mut(usize::from(digest.0[0]) % RECENT) {
            *place = Some(Recent { edition, digest, blob: Arc::downgrade(blob), taken: 0 });
        }
    });
}

/// A number that no edition of any table of this process had before.
fn new_edition() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The open blobs, bounded by count and by the bytes of those that are held in memory.
pub(super) struct OpenBlobs {
    /// Another one whenever something was put in or taken out on purpose: what threads remember is then past.
    edition: AtomicU64,
    hot: moka::sync::Cache<Sha256, Arc<Blob>, ahash::RandomState>,
    live: Mutex<Live>,
    pub(super) uses: Arc<UseLog>,
}

impl OpenBlobs {
    /// One weight bounds both: an entry weighs its bytes in memory, but at least `memory / max_open`.
    pub(super) fn new(memory: u64, max_open: u64) -> Self {
        let least = u32::try_from((memory / max_open.max(1)).max(1)).unwrap_or(u32::MAX);
        let weigh = move |_: &Sha256, blob: &Arc<Blob>| {
            let bytes = blob.small().map_or(0, |small| small.len());
            u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(512).max(least)
        };
        let hot = moka::sync::Cache::builder()
            .max_capacity(memory.max(max_open))
            .weigher(weigh)
            // Not TinyLFU: what a fill has just stored must be found by the crowd that waited for it.
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .build_with_hasher(ahash::RandomState::new());
        Self { edition: AtomicU64::new(new_edition()), hot, live: Mutex::default(), uses: Arc::default() }
    }

    pub(super) fn get(&self, digest: &Sha256) -> Option<Arc<Blob>> {
        // Before the table is asked: what changes meanwhile makes it past.
        let edition = self.edition.load(Ordering::Acquire);
        lately(edition, digest).or_else(|| {
            let blob = self.hot.get(digest)?;
            remember(edition, *digest, &blob);
            Some(blob)
        })
    }

    pub(super) fn insert(&self, blob: &Arc<Blob>) {
        let weak = Arc::downgrade(blob.body());
        self.live.lock().add(*blob.digest(), weak);
        self.hot.insert(*blob.digest(), Arc::clone(blob));
        self.edition.store(new_edition(), Ordering::Release);
    }

    pub(super) fn forget(&self, digest: &Sha256) {
        self.hot.invalidate(digest);
        self.edition.store(new_edition(), Ordering::Release);
    }

    /// Whether anyone reads the blob or holds it in order to.
    pub(super) fn in_use(&self, digest: &Sha256) -> bool {
        // The table's own reference and the one in `held` are not uses; nor is the body's in the blob.
        let held = self.hot.get(digest);
        if held.as_ref().is_some_and(|blob| Arc::strong_count(blob) > 2) {
            return true;
        }
        let own = usize::from(held.is_some());
        let live = self.live.lock();
        let readers: usize =
            live.bodies.get(digest).map_or(0, |bodies| bodies.iter().map(Weak::strong_count).sum());
        readers > own
    }

    /// Last-use times the index does not have yet.
    pub(super) fn take_uses(&self) -> Vec<(Sha256, UnixMillis)> {
        let mut uses: HashMap<_, _> = std::mem::take(&mut *self.uses.lock());
        for (digest, blob) in &self.hot {
            if let Some(at) = blob.last_use().take() {
                uses.insert(*digest, at);
            }
        }
        uses.into_iter().collect()
    }

    /// Gives times back that could not be written.
    pub(super) fn return_uses(&self, uses: Vec<(Sha256, UnixMillis)>) {
        let mut log = self.uses.lock();
        for (digest, at) in uses {
            let entry = log.entry(digest).or_insert(at);
            *entry = at.max(*entry);
        }
    }

    /// Drops what nobody reads any more from the weak list, and what the bounded table has let go.
    pub(super) fn tidy(&self) {
        self.hot.run_pending_tasks();
        self.live.lock().tidy();
    }

    /// Blobs in the table.
    pub(super) fn count(&self) -> u64 {
        self.hot.entry_count()
    }

    /// Closes every blob nobody reads.
    pub(super) fn clear(&self) {
        self.hot.invalidate_all();
        self.edition.store(new_edition(), Ordering::Release);
        self.hot.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weak_list_does_not_grow_with_what_was_read_long_ago() {
        let file = tempfile::tempfile().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let options = || super::super::body::BodyOptions {
            runtime: runtime.handle().clone(),
            keep_small: false,
            max_maps: 0,
        };
        let body = || FileBody::from_file(file.try_clone().unwrap(), 0, options()).unwrap();
        let mut live = Live::default();
        let held = body();
        live.add(Sha256([255; 32]), Arc::downgrade(&held));
        for n in 0..20_000u32 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&n.to_le_bytes());
            live.add(Sha256(digest), Arc::downgrade(&body()));
        }
        assert!(live.bodies.len() <= LIVE_LEAST + 2, "{}", live.bodies.len());
        assert!(live.bodies.contains_key(&Sha256([255; 32])));
    }
}
