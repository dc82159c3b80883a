//! The file that a frame is written to.
//!
//! Belongs here: what is in the file so far, and who is told about it. Does not: what comes next (`lanes`, `writer`).

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256 as Hasher};
use twox_hash::XxHash64;

use super::layout;
use super::map::Chunk;
use crate::conda::digest::Sha256;
use crate::repodata::error::BuildError;
use crate::repodata::files::Written;

/// Told how many bytes of the file are final.
pub(super) type OnProgress = Box<dyn Fn(u64) + Send>;

/// A chunk, ready to be written.
#[derive(Debug)]
pub(super) struct Packed {
    pub digest: Sha256,
    pub plain: u32,
    pub blocks: Vec<u8>,
    /// Whether the blocks come from an older frame.
    pub is_copied: bool,
}

/// A frame in the making.
pub(super) struct Sink {
    path: PathBuf,
    file: File,
    len: u64,
    on_progress: Option<OnProgress>,
    pub chunks: Vec<Chunk>,
    /// How many of them were copied.
    pub copied: usize,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("path", &self.path).field("len", &self.len).finish_non_exhaustive()
    }
}

impl Sink {
    /// Makes the file; it must not exist.
    pub(super) fn create(path: &Path, on_progress: Option<OnProgress>) -> Result<Self, BuildError> {
        // It is read again for its digest.
        let file = File::options().read(true).write(true).create_new(true).open(path);
        let file = file.map_err(BuildError::io("create", path))?;
        Ok(Self { path: path.to_owned(), file, len: 0, on_progress, chunks: Vec::new(), copied: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends what is not a chunk.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.file.write_all(bytes).map_err(BuildError::io("write", &self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Appends a chunk and says so.
    pub(super) fn append(&mut self, chunk: &Packed) -> Result<(), BuildError> {
        self.put(&chunk.blocks)?;
        let packed = u32::try_from(chunk.blocks.len()).unwrap_or(u32::MAX);
        let check = XxHash64::oneshot(0, &chunk.blocks);
        self.chunks.push(Chunk { digest: chunk.digest, plain: chunk.plain, packed, check });
        self.copied += usize::from(chunk.is_copied);
        self.tell();
        Ok(())
    }

    /// Ends a frame of chunks.
    pub(super) fn end(&mut self, content_len: u64, xxh64: u64) -> Result<(), BuildError> {
        self.put(&layout::end(xxh64))?;
        let header = layout::header(content_len);
        self.file.write_all_at(&header, 0).map_err(BuildError::io("write", &self.path))?;
        self.tell();
        Ok(())
    }

    /// Syncs the file and reads it once more, because its first bytes were written last.
    pub(super) fn finish(&mut self) -> Result<Written, BuildError> {
        self.file.sync_all().map_err(BuildError::io("sync", &self.path))?;
        let sha256 = self.digest().map_err(BuildError::io("read", &self.path))?;
        Ok(Written { len: self.len, sha256 })
    }

    fn digest(&mut self) -> io::Result<Sha256> {
        self.file.rewind()?;
        let (mut piece, mut hasher) = (vec![0; 256 << 10], Hasher::new());
        loop {
            match self.file.read(&mut piece)? {
                0 => return Ok(Sha256(hasher.finalize().into())),
                n => hasher.update(&piece[..n]),
            }
        }
    }

    fn tell(&self) {
        if let Some(on_progress) = &self.on_progress {
            on_progress(self.len);
        }
    }
}
