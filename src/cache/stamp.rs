//! A file's stamp: what changes when someone changes the file, cheap enough to look at before every use.
//!
//! Belongs here: taking and comparing stamps. Does not: what happens when they differ (`blobs`; for indexes `repodata`).

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Size, times and inode of a file. The change time can't be set by hand, so a flipped byte with a restored
/// modification time still shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Length in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub mtime: i64,
    /// Change time, nanoseconds since the epoch.
    pub ctime: i64,
    /// Inode number.
    pub inode: u64,
}

impl Stamp {
    /// The stamp of an open file; `None` when it has been deleted meanwhile.
    ///
    /// # Errors
    /// What `fstat` says.
    pub fn of(file: &File) -> io::Result<Option<Self>> {
        let meta = file.metadata()?;
        Ok((meta.nlink() > 0).then(|| Self::from_metadata(&meta)))
    }

    /// The stamp of the file at `path`.
    ///
    /// # Errors
    /// What `stat` says.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::from_metadata(&std::fs::metadata(path)?))
    }

    /// Whether an open file still has the bytes that this stamp was taken of. Its change time does not count: it also moves when the
    /// file loses its name, which harms nobody who has it open.
    #[must_use]
    pub fn fits(&self, file: &File) -> bool {
        let now = file.metadata().map(|meta| Self::from_metadata(&meta));
        now.is_ok_and(|now| Self { ctime: self.ctime, ..now } == *self)
    }

    fn from_metadata(meta: &Metadata) -> Self {
        let nanos = |seconds: i64, nanos: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos);
        Self {
            size: meta.len(),
            mtime: nanos(meta.mtime(), meta.mtime_nsec()),
            ctime: nanos(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        }
    }
}
