//! Files that somebody sends to keep: taken to disk while they are hashed.
//!
//! ```text
//! hosted/incoming/<n>.part         being received; nobody's until it is kept, deleted when it is given up and at every start
//! hosted/sha256/ab/<hex>           kept: the one truth about a hosted file (see `vault`)
//! ```
//!
//! Memory: two pieces of [`STEP`] bytes for each file on its way, however long it is. While one piece is written and hashed, the next
//! one is received; MD5, which takes longest, has a thread of its own meanwhile.
//!
//! Belongs here: bytes on their way in. Does not: what is kept (`vault`), whether they are a package (`channel`).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use sha2::Digest;
use tokio::task::JoinHandle;

use super::blobs::Blobs;
use super::error::CacheError;
use super::{Cache, evict};
use crate::conda::digest::{Md5, Sha256};

/// Bytes that are written and hashed at a time.
const STEP: usize = 1 << 20;

/// Names files that come in; the directory is emptied at every start.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file on its way in. Dropping it deletes it.
pub struct Intake {
    blobs: Arc<Blobs>,
    part: Part,
    waiting: BytesMut,
    work: Work,
    len: u64,
}

/// A file that came in whole and is not kept yet. Dropping it deletes it.
pub struct Taken {
    pub(super) part: Part,
    /// Of its bytes.
    pub sha256: Sha256,
    /// Of its bytes.
    pub md5: Md5,
    /// How many.
    pub len: u64,
}

impl Taken {
    /// Where it lies, for who wants to look into it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.part.path
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.part.file
    }
}

impl std::fmt::Debug for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Taken({}, {} bytes)", self.sha256, self.len)
    }
}

/// The file itself.
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// It is no longer deleted with this: a note names it (`staged`).
    pub(super) stays: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        // Gone already where it was kept; what can't be deleted now is at the next start.
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// The two hashes, at rest or at work on a piece.
enum Work {
    Idle(Box<Hashes>),
    Busy(JoinHandle<Result<Box<Hashes>, CacheError>>),
    /// Something went wrong and was told.
    Broken,
}

#[derive(Default)]
struct Hashes {
    sha256: sha2::Sha256,
    md5: md5::Md5,
}

impl Intake {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// They can't be written; [`CacheError::is_full`] where the disk has no room. The file is given up then.
    pub async fn write(&mut self, bytes: &Bytes) -> Result<(), CacheError> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let room = STEP - self.waiting.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.waiting.extend_from_slice(now);
            rest = later;
            if self.waiting.len() == STEP {
                self.push().await?;
            }
        }
        Ok(())
    }

    /// How many bytes came so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len + self.waiting.len() as u64
    }

    /// Whether none came yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// There are no more.
    ///
    /// # Errors
    /// As [`Intake::write`].
    pub async fn finish(mut self) -> Result<Taken, CacheError> {
        self.push().await?;
        let hashes = self.rest().await?;
        let (sha256, md5) = (Sha256(hashes.sha256.finalize().into()), Md5(hashes.md5.finalize().into()));
        Ok(Taken { part: self.part, sha256, md5, len: self.len })
    }

    /// Sets what has gathered to work, once the piece before is done.
    async fn push(&mut self) -> Result<(), CacheError> {
        let hashes = self.rest().await?;
        let piece = std::mem::take(&mut self.waiting).freeze();
        let at = self.len;
        self.len += piece.len() as u64;
        let (blobs, file, path) =
            (Arc::clone(&self.blobs), Arc::clone(&self.part.file), self.part.path.clone());
        self.work = Work::Busy(self.blobs.runtime.spawn(digest(blobs, file, path, piece, at, hashes)));
        Ok(())
    }

    async fn rest(&mut self) -> Result<Box<Hashes>, CacheError> {
        match std::mem::replace(&mut self.work, Work::Broken) {
            Work::Idle(hashes) => Ok(hashes),
            Work::Busy(running) => running.await.map_err(|_| CacheError::Stopping)?,
            Work::Broken => Err(CacheError::Stopping),
        }
    }
}

/// Writes a piece and hashes it, MD5 beside the rest.
async fn digest(
    blobs: Arc<Blobs>,
    file: Arc<File>,
    path: PathBuf,
    piece: Bytes,
    at: u64,
    hashes: Box<Hashes>,
) -> Result<Box<Hashes>, CacheError> {
    let Hashes { mut sha256, mut md5 } = *hashes;
    let runtime = blobs.runtime.clone();
    let same = piece.clone();
    let beside = runtime.spawn_blocking(move || {
        md5.update(&same);
        md5
    });
    let written = runtime.spawn_blocking(move || {
        blobs.ops.write_at(&file, &path, &piece, at).map_err(CacheError::io("write", &path))?;
        sha256.update(&piece);
        Ok(sha256)
    });
    let md5 = beside.await.map_err(|_| CacheError::Stopping)?;
    let sha256 = written.await.map_err(|_| CacheError::Stopping)??;
    Ok(Box::new(Hashes { sha256, md5 }))
}

impl Cache {
    /// Begins to take in a file that is to be kept. `announced` is how long it says it is.
    ///
    /// # Errors
    /// The disk has no room for it ([`CacheError::is_full`]) or can't be written.
    pub async fn intake(&self, announced: Option<u64>) -> Result<Intake, CacheError> {
        let part = self.on_pool(move |inner| {
            let blobs = &inner.blobs;
            let dir = blobs.layout.incoming();
            let space = evict::space(blobs)?;
            let keep = inner.settings.keep_free.bytes(space.total);
            if space.free.saturating_sub(announced.unwrap_or(0)) <= keep {
                let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                return Err(CacheError::io("write below", &dir)(full));
            }
            blobs.ops.make_dirs(&dir).map_err(CacheError::io("create", &dir))?;
            let path = dir.join(format!("{}.part", NEXT.fetch_add(1, Ordering::Relaxed)));
            let file = blobs.ops.open_rw(&path).map_err(CacheError::io("create", &path))?;
            Ok(Part { file: Arc::new(file), path, stays: false })
        });
        let part = part.await??;
        let work = Work::Idle(Box::default());
        Ok(Intake { blobs: Arc::clone(&self.0.blobs), part, waiting: BytesMut::new(), work, len: 0 })
    }
}
