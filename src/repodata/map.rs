//! Read-only memory maps of the room's own small files. The only unsafe code of the room.
//!
//! Belongs here: mapping and noticing that a file has shrunk under its map. Does not: what the bytes mean.
#![expect(
    unsafe_code,
    reason = "a file can only be mapped through an unsafe call; see `Mapped::open` for why it is sound"
)]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::guard::{self, Watched};
use crate::cache::stamp::Stamp;

/// How often the file's length is asked for while the map is in use. Asking at each use costs as much as a look-up.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A whole file in memory, backed by the page cache (no anonymous memory).
pub(super) struct Mapped {
    file: File,
    /// Declared before the map: a watch must end before its addresses can be given to another map.
    watched: Option<Watched>,
    map: memmap2::Mmap,
    opened: Instant,
    /// When the length was last asked for, in milliseconds since `opened`, plus one.
    looked: AtomicU64,
}

impl Mapped {
    /// Maps the file at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the files mapped here belong to published generations. The gate writes each once, under another name, and
        // never changes it after its rename; removing it leaves the map intact. Somebody cutting one by hand would turn a
        // read beyond the new end into SIGBUS, which the guard turns into zeros; where it can't watch, `bytes` asks for
        // the length before every use. Somebody changing bytes by hand can only change what checked parsing of untrusted
        // bytes reads: no pointer and no `str` is made from the map without a check at the time of use.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        let watched = guard::watch(map.as_ptr().addr(), map.len());
        Ok(Self { file, watched, map, opened: Instant::now(), looked: AtomicU64::new(0) })
    }

    /// What `read` makes of the content; `None` when the file has become shorter than it was when it was mapped. That is
    /// noticed within [`LOOK_EVERY`], or at once when a page is missing.
    pub fn read<'a, T>(&'a self, read: impl FnOnce(&'a [u8]) -> Option<T>) -> Option<T> {
        let found = read(self.bytes()?);
        // Zeros in the place of a missing page are not an answer.
        if self.damaged() { None } else { found }
    }

    /// The content as it is now, for walks over all of it; see [`Mapped::read`].
    pub fn bytes(&self) -> Option<&[u8]> {
        if self.damaged() {
            return None;
        }
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let looked = self.looked.load(Ordering::Relaxed);
        let due = looked == 0 || u128::from(now.saturating_sub(looked)) >= LOOK_EVERY.as_millis();
        if due || self.watched.is_none() {
            if self.file.metadata().ok()?.len() < self.map.len() as u64 {
                return None;
            }
            self.looked.store(now, Ordering::Relaxed);
        }
        Some(&self.map[..])
    }

    /// Whether the file still is the one of which `stamp` was taken. Costs a system call.
    pub fn fits(&self, stamp: &Stamp) -> bool {
        !self.damaged() && stamp.fits(&self.file)
    }

    fn damaged(&self) -> bool {
        self.watched.as_ref().is_some_and(Watched::hit)
    }
}

impl std::fmt::Debug for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapped({} bytes)", self.map.len())
    }
}
