//! Keeping to the budget: which blobs go, and when.
//!
//! Belongs here: choosing by last use, headroom on the file system. Does not: deleting one (`blobs`).

use std::sync::atomic::Ordering;

use super::blobs::Blobs;
use super::error::{CacheError, FillError};
use super::index::BlobRow;
use super::settings::CacheSettings;

/// Rows looked at in one query.
const PAGE: u32 = 64;

/// What the file system says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Space {
    pub(super) total: u64,
    pub(super) free: u64,
}

pub(super) fn space(blobs: &Blobs) -> Result<Space, CacheError> {
    let root = blobs.layout.root();
    let stat = rustix::fs::statvfs(root).map_err(|error| CacheError::io("measure", root)(error.into()))?;
    // Blocks a normal user can have, not root's reserve.
    Ok(Space {
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

/// Deletes blobs, least recently used first and never one in use, until at least `bytes` are freed or none is
/// left. Returns how many blobs and bytes went.
fn evict(blobs: &Blobs, bytes: u64) -> Result<(u64, u64), CacheError> {
    let (mut gone, mut freed) = (0, 0);
    if bytes == 0 {
        return Ok((gone, freed));
    }
    write_uses(blobs);
    let mut after = None;
    while freed < bytes {
        let page = blobs.index.coldest(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some((last.last_use, last.sha256));
        for row in page {
            if freed < bytes && evict_one(blobs, &row)? {
                gone += 1;
                freed += row.stamp.size;
            }
        }
    }
    blobs.counters.evicted.fetch_add(gone, Ordering::Relaxed);
    blobs.counters.evicted_bytes.fetch_add(freed, Ordering::Relaxed);
    if gone > 0 {
        tracing::info!(blobs = gone, bytes = freed, "evicted the least recently used files");
    }
    Ok((gone, freed))
}

fn evict_one(blobs: &Blobs, row: &BlobRow) -> Result<bool, CacheError> {
    if blobs.open.in_use(&row.sha256) {
        return Ok(false);
    }
    blobs.delete(row).map(|()| true)
}

/// Writes the last-use times that wait in memory; eviction goes by them.
pub(super) fn write_uses(blobs: &Blobs) {
    if blobs.tenure.is_over() {
        return;
    }
    let uses = blobs.open.take_uses();
    if uses.is_empty() {
        return;
    }
    if let Err(error) = blobs.index.used(&uses) {
        tracing::warn!(%error, "last-use times could not be written");
        blobs.open.return_uses(uses);
    }
}

/// Keeps to the size budget and the headroom. Returns how many blobs and bytes went.
pub(super) fn to_budget(blobs: &Blobs, settings: &CacheSettings) -> Result<(u64, u64), CacheError> {
    let _alone = blobs.evicting.lock();
    let (_, bytes) = blobs.index.totals()?;
    let space = space(blobs)?;
    let keep = settings.keep_free.bytes(space.total);
    evict(blobs, bytes.saturating_sub(settings.size).max(keep.saturating_sub(space.free)))
}

/// [`to_budget`] after a fill; a failure must not spoil the fill.
pub(super) fn after_fill(blobs: &Blobs, settings: &CacheSettings) {
    if let Err(error) = to_budget(blobs, settings) {
        tracing::warn!(%error, "the cache could not be brought back to its budget");
    }
}

/// Makes sure `needed` more bytes fit above the headroom, evicting where that helps.
pub(super) fn make_room(blobs: &Blobs, settings: &CacheSettings, needed: u64) -> Result<(), FillError> {
    let before = space(blobs)?;
    let keep = settings.keep_free.bytes(before.total);
    let wanted = needed.saturating_add(keep);
    if before.free >= wanted {
        return Ok(());
    }
    let _alone = blobs.evicting.lock();
    evict(blobs, wanted.saturating_sub(space(blobs)?.free))?;
    let free = space(blobs)?.free;
    if free >= wanted { Ok(()) } else { Err(FillError::NoRoom { needed, free, keep }) }
}

/// The disk was full although there seemed to be room: lets some blobs go. `false` when none could.
pub(super) fn relieve(blobs: &Blobs, bytes: u64) -> bool {
    const LEAST: u64 = 16 * 1024 * 1024;
    let _alone = blobs.evicting.lock();
    matches!(evict(blobs, bytes.max(LEAST)), Ok((gone, _)) if gone > 0)
}
