//! Immutable files as chunks of [`Bytes`], without ever making a network worker wait for the disk.
//!
//! Belongs here: choosing between the in-memory copy, a map and `pread`. Does not: which file (`blobs`,
//! repodata's generations), what the chunks are for (`proxy`).
//!
//! | file or piece | how |
//! |---|---|
//! | up to 64 KiB, in the memory tier | the whole file as one shared `Bytes` |
//! | windows of 64 KiB to 1 MiB in [`BodyMode::Mapped`] | slice of a map, made resident first |
//! | the end of every mapped answer, short ones, [`BodyMode::Read`] | `preadv2(RWF_NOWAIT)`, or `pread` on the blocking pool when the page isn't in memory |

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::runtime::Handle;

use super::map::Map;

/// Files up to this size may live in memory.
pub const SMALL: u64 = 64 * 1024;
/// Largest mapped chunk; windows start at multiples of it, so one residency check covers each.
const WINDOW: u64 = 1024 * 1024;
/// Smallest mapped chunk: far above what any writer copies.
const LEAST_MAPPED: u64 = 64 * 1024;
/// The end of a mapped answer that is read, so that a shortened file is noticed before the answer is complete.
const TAIL: u64 = 16 * 1024;
/// Largest chunk that is read.
const READ: u64 = 64 * 1024;

/// How chunks may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BodyMode {
    /// For answers whose chunks go to the kernel untouched: plaintext HTTP/1.
    #[default]
    Mapped,
    /// For everything that looks at the bytes: TLS, HTTP/2, content coding.
    Read,
}

/// How a [`FileBody`] is opened.
#[derive(Clone, Debug)]
pub struct BodyOptions {
    /// Where blocking reads run. (Network workers are current-thread runtimes; `block_in_place` panics there.)
    pub runtime: Handle,
    /// Whether a file of at most [`SMALL`] bytes is kept in memory.
    pub keep_small: bool,
    /// Maps alive at once in this process, beyond which files are read.
    pub max_maps: usize,
}

/// One open immutable file.
pub struct FileBody {
    file: File,
    len: u64,
    small: Option<Bytes>,
    map: OnceLock<Option<(Arc<Map>, Bytes)>>,
    options: BodyOptions,
}

impl FileBody {
    /// Opens `path`; blocks for as long as the disk takes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path, options: BodyOptions) -> io::Result<Arc<Self>> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Self::from_file(file, len, options)
    }

    /// Takes an open file of `len` bytes; blocks when it is small and to be kept in memory.
    ///
    /// # Errors
    /// What the file system says while reading a small file.
    pub fn from_file(file: File, len: u64, options: BodyOptions) -> io::Result<Arc<Self>> {
        let small = if options.keep_small && len <= SMALL {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            file.read_exact_at(&mut bytes, 0)?;
            Some(bytes.into())
        } else {
            None
        };
        Ok(Arc::new(Self { file, len, small, map: OnceLock::new(), options }))
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The whole file, when it is in the memory tier.
    #[must_use]
    pub fn small(&self) -> Option<Bytes> {
        self.small.clone()
    }

    pub(super) fn small_here(&self) -> Option<&[u8]> {
        self.small.as_deref()
    }

    /// Whether the whole file is in the memory tier.
    pub(super) const fn in_memory(&self) -> bool {
        self.small.is_some()
    }

    /// The open file, for `pread` from blocking code.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reads `range`, cut to the file's length.
    #[must_use]
    pub fn reader(self: &Arc<Self>, range: Range<u64>, mode: BodyMode) -> BodyReader {
        let end = range.end.min(self.len);
        BodyReader { body: Arc::clone(self), at: range.start.min(end), end, mode }
    }

    fn map(&self) -> Option<&(Arc<Map>, Bytes)> {
        self.map
            .get_or_init(|| {
                let map = Map::new(&self.file, self.len, self.options.max_maps)?;
                let bytes = map.bytes();
                Some((map, bytes))
            })
            .as_ref()
    }
}

/// What is in memory of `len` bytes at `at`: at least one byte, or `None` when the disk must be asked.
fn read_now(file: &File, at: u64, len: usize) -> io::Result<Option<Bytes>> {
    let mut bytes = vec![0; len];
    let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut bytes)], at, ReadWriteFlags::NOWAIT);
    match read {
        Ok(0) => Err(shortened()),
        Ok(count) => {
            bytes.truncate(count);
            Ok(Some(bytes.into()))
        }
        // Not in memory, or a file system that can't say.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn shortened() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the cached file became shorter while it was being sent")
}

fn stopping<E>(_: E) -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "the gate is stopping")
}

/// Gives a file's bytes chunk by chunk.
pub struct BodyReader {
    body: Arc<FileBody>,
    at: u64,
    end: u64,
    mode: BodyMode,
}

impl BodyReader {
    /// Bytes still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.end - self.at
    }

    /// The next chunk, never empty; `None` at the end. After an error the answer must be cut, not ended.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.at >= self.end {
            return None;
        }
        let chunk = self.chunk().await;
        match &chunk {
            Ok(bytes) => self.at += bytes.len() as u64,
            Err(_) => self.end = self.at,
        }
        Some(chunk)
    }

    async fn chunk(&self) -> io::Result<Bytes> {
        if let Some(small) = &self.body.small {
            return Ok(small.slice(to_usize(self.at)..to_usize(self.end)));
        }
        let mappable = self.left().saturating_sub(TAIL);
        if self.mode == BodyMode::Mapped && mappable >= LEAST_MAPPED && self.body.map().is_some() {
            return self.mapped(mappable).await;
        }
        self.read().await
    }

    async fn mapped(&self, mappable: u64) -> io::Result<Bytes> {
        let Some((map, bytes)) = self.body.map() else { return self.read().await };
        if self.body.file.metadata()?.len() < self.body.len || map.damaged() {
            return Err(shortened());
        }
        let to_window = WINDOW - self.at % WINDOW;
        // A rest shorter than LEAST_MAPPED joins this chunk instead of becoming one of its own.
        let len = if mappable < to_window + LEAST_MAPPED { mappable } else { to_window.max(LEAST_MAPPED) };
        let range = to_usize(self.at)..to_usize(self.at + len);
        if !map.resident(&range) {
            self.fetch(Arc::clone(map), range.clone()).await?;
        }
        Ok(bytes.slice(range))
    }

    /// Brings `range` into memory on the blocking pool and lets the kernel read on behind it.
    async fn fetch(&self, map: Arc<Map>, range: Range<usize>) -> io::Result<()> {
        let body = Arc::clone(&self.body);
        let ahead = std::num::NonZeroU64::new(4 * WINDOW);
        let fetched = self.body.options.runtime.spawn_blocking(move || {
            let advice = rustix::fs::Advice::WillNeed;
            // Only a hint: an error changes nothing.
            let _ = rustix::fs::fadvise(&body.file, range.end as u64, ahead, advice);
            map.populate(&range).map_err(|_| shortened())
        });
        fetched.await.map_err(stopping)?
    }

    async fn read(&self) -> io::Result<Bytes> {
        let len = to_usize(self.left().min(READ));
        if let Some(bytes) = read_now(&self.body.file, self.at, len)? {
            return Ok(bytes);
        }
        let (body, at) = (Arc::clone(&self.body), self.at);
        let read = self.body.options.runtime.spawn_blocking(move || read_some(&body.file, at, len));
        read.await.map_err(stopping)?
    }
}

/// At least one and at most `len` bytes of `file` at `at`: from memory at once, else on the blocking pool.
pub(super) async fn read_chunk(file: &Arc<File>, at: u64, len: usize, runtime: &Handle) -> io::Result<Bytes> {
    if let Some(bytes) = read_now(file, at, len)? {
        return Ok(bytes);
    }
    let file = Arc::clone(file);
    runtime.spawn_blocking(move || read_some(&file, at, len)).await.map_err(stopping)?
}

/// One `pread` that gives at least a byte.
fn read_some(file: &File, at: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    loop {
        match file.read_at(&mut bytes, at) {
            Ok(0) => return Err(shortened()),
            Ok(count) => {
                bytes.truncate(count);
                return Ok(bytes.into());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Offsets into files that are mapped or in memory fit; a map of a larger file fails before it comes to this.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
