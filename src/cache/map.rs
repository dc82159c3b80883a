//! Mapped files: the one place where the cache is `unsafe`.
//!
//! A map of a file can be shortened under our feet (someone truncates a blob by hand); touching a page behind the
//! new end then raises SIGBUS, which kills the process. Three things keep that from happening:
//!
//! 1. Nothing here or above reads mapped bytes. Windows of at least 64 KiB go as they are to `write(2)`, where a
//!    missing page is `EFAULT`, an error on one connection. Whatever wants to look at bytes (hashing, TLS, HTTP/2,
//!    content coding, short pieces that writers copy) reads with `pread` instead ([`BodyMode`](super::BodyMode)).
//! 2. A writer that had most of a window taken by the kernel copies the rest of it into its own buffer when only
//!    a little is left (tokio's `BufWriter`, 1,460 bytes in pingora). For that moment `guard`
//!    catches the signal and puts a page of zeros there. Every mapped answer ends with a piece read by `pread`,
//!    which fails on a truncated file, so the connection is cut and the zeros never pass for the whole file.
//! 3. The length is compared with `fstat` before each window is handed out.
#![expect(unsafe_code, reason = "memory maps; see the module's header for why they are sound here")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::{Advice, Mmap};

use super::guard;

/// Maps alive in this process (the kernel's limit is per process, too).
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// A whole file, mapped for reading.
pub(super) struct Map {
    map: Mmap,
    watched: Option<guard::Watched>,
}

impl Map {
    /// Maps the first `len` bytes of `file`; `None` when too many maps are alive or the kernel refuses: read then.
    pub(super) fn new(file: &File, len: u64, limit: usize) -> Option<Arc<Self>> {
        let len = usize::try_from(len).ok()?;
        if LIVE.fetch_add(1, Ordering::Relaxed) >= limit {
            LIVE.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        // SAFETY: the file is one of the cache's own immutable files; see the module's header for what happens
        // when somebody shortens or overwrites it all the same (bytes may change, but they are only ever copied
        // by the kernel, so no Rust code relies on them).
        let mapped = unsafe { memmap2::MmapOptions::new().len(len).map(file) };
        // Unwatched maps would be dangerous: read instead.
        let watched = mapped.ok().and_then(|map| {
            let watched = guard::watch(map.as_ptr().addr(), map.len())?;
            Some(Arc::new(Self { map, watched: Some(watched) }))
        });
        if watched.is_none() {
            LIVE.fetch_sub(1, Ordering::Relaxed);
        }
        watched
    }

    /// The mapped bytes; the map lives as long as any slice of them.
    pub(super) fn bytes(self: &Arc<Self>) -> Bytes {
        struct Owner(Arc<Map>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0.map
            }
        }
        Bytes::from_owner(Owner(Arc::clone(self)))
    }

    /// Whether every page of `range` is in memory, so that sending it won't wait for the disk. About two
    /// microseconds for a window of 1 MiB; answers "yes" when the kernel won't tell.
    pub(super) fn resident(&self, range: &Range<usize>) -> bool {
        const PAGE: usize = 4096;
        let start = range.start / PAGE * PAGE;
        let len = range.end.saturating_sub(start);
        let mut pages = [0u8; 512];
        if range.end > self.map.len() || len.div_ceil(PAGE) > pages.len() {
            return false;
        }
        let address = self.map.as_ptr().wrapping_add(start).cast_mut().cast();
        // SAFETY: `start..start + len` lies inside the map (checked above), starts on a page, and `pages` has a
        // byte for each of its pages (or more, where pages are larger than 4 KiB).
        let answer = unsafe { libc::mincore(address, len, pages.as_mut_ptr().cast()) };
        answer != 0 || pages[..len.div_ceil(PAGE)].iter().all(|page| page & 1 == 1)
    }

    /// Reads `range` into memory and maps its pages; blocks. An error (`EFAULT`) means the file has become
    /// shorter.
    pub(super) fn populate(&self, range: &Range<usize>) -> io::Result<()> {
        match self.map.advise_range(Advice::PopulateRead, range.start, range.len()) {
            // Kernels before 5.14 don't know it; `write(2)` will then fetch the pages itself.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            other => other,
        }
    }

    /// Whether a piece of this map had to be replaced by zeros because the file became shorter.
    pub(super) fn damaged(&self) -> bool {
        self.watched.as_ref().is_some_and(guard::Watched::hit)
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // Before the addresses can be given to another map.
        self.watched = None;
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}
