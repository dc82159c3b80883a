//! Downloads that are counted and not yet written.
//!
//! Every worker counts into a table of its own, and looks things up by what it has: a download that was counted before costs neither an
//! allocation nor a wait.
//!
//! Belongs here: the tables. Does not: when they are written (`super`).

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::Mutex;

use super::{Download, Got};
use crate::telemetry::shard;

/// What all tables hold together at most.
const MOST: usize = 200_000;

struct Counted {
    download: Download,
    /// The same as in `download`, as callers have it.
    address: Option<IpAddr>,
    count: u64,
}

/// On a cache line of its own, so that neighbours do not slow each other down.
#[derive(Default)]
#[repr(align(128))]
struct Table(Mutex<HashTable<Counted>>);

/// See the module's description.
pub(super) struct Counters {
    tables: [Table; shard::COUNT],
    hasher: ahash::RandomState,
    kept: AtomicUsize,
}

impl Counters {
    /// What an earlier life left.
    pub(super) fn new(left: Vec<(Download, u64)>) -> Self {
        let this =
            Self { tables: Default::default(), hasher: ahash::RandomState::new(), kept: AtomicUsize::new(0) };
        for (download, count) in left {
            let address = download.address.parse().ok();
            this.add(&download.got(address), count);
        }
        this
    }

    /// Counts; false where there is no room for another one.
    pub(super) fn add(&self, got: &Got<'_>, times: u64) -> bool {
        let hash = self.hash(got);
        let mut table = self.tables[shard::mine()].0.lock();
        if let Some(known) = table.find_mut(hash, |known| known.download.got(known.address) == *got) {
            known.count += times;
            return true;
        }
        if self.kept.load(Ordering::Relaxed) >= MOST {
            return false;
        }
        self.kept.fetch_add(1, Ordering::Relaxed);
        let counted = Counted { download: got.kept(), address: got.address, count: times };
        table.insert_unique(hash, counted, |known| self.hash(&known.download.got(known.address)));
        true
    }

    fn hash(&self, got: &Got<'_>) -> u64 {
        self.hasher.hash_one(got)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.load(Ordering::Relaxed) == 0
    }

    /// All that waits. One download may be there several times.
    pub(super) fn all(&self) -> Vec<(Download, u64)> {
        (0..self.tables()).flat_map(|table| self.some(table, usize::MAX)).collect()
    }

    /// How many tables there are.
    pub(super) const fn tables(&self) -> usize {
        self.tables.len()
    }

    /// At most so many of one table, each once.
    pub(super) fn some(&self, table: usize, most: usize) -> Vec<(Download, u64)> {
        let table = self.tables[table].0.lock();
        table.iter().take(most).map(|known| (known.download.clone(), known.count)).collect()
    }

    /// Takes off what was written of one table.
    pub(super) fn written(&self, table: usize, batch: Vec<(Download, u64)>) {
        let mut table = self.tables[table].0.lock();
        for (download, written) in batch {
            let got = download.got(download.address.parse().ok());
            let is_it = |known: &Counted| known.download.got(known.address) == got;
            let Ok(mut known) = table.find_entry(self.hash(&got), is_it) else { continue };
            let left = known.get().count.saturating_sub(written);
            if left == 0 {
                known.remove();
                self.kept.fetch_sub(1, Ordering::Relaxed);
            } else {
                known.get_mut().count = left;
            }
        }
    }
}
