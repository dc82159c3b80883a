//! Read-only memory maps of the room's own small files. The only unsafe code of the room.
//!
//! Belongs here: mapping and the check that a file has not shrunk under its map. Does not: what the bytes mean.
#![expect(
    unsafe_code,
    reason = "a file can only be mapped through an unsafe call; see `Mapped::open` for why it is sound"
)]

use std::fs::File;
use std::io;
use std::path::Path;

/// A whole file in memory, backed by the page cache (no anonymous memory).
#[derive(Debug)]
pub(super) struct Mapped {
    file: File,
    map: memmap2::Mmap,
}

impl Mapped {
    /// Maps the file at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the files mapped here belong to published generations. The gate writes each once, under another name, and
        // never changes it after its rename; removing it leaves the map intact. Somebody cutting one by hand would turn a
        // read beyond the new end into SIGBUS, which is why `bytes` asks for the length before every use. Somebody changing
        // bytes by hand can only change what checked parsing of untrusted bytes reads: no pointer and no `str` is made from
        // the map without a check at the time of use.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self { file, map })
    }

    /// The content; `None` when the file on disk is shorter now than it was when it was mapped.
    pub fn bytes(&self) -> Option<&[u8]> {
        let now = self.file.metadata().ok()?.len();
        (now >= self.map.len() as u64).then_some(&self.map[..])
    }
}
