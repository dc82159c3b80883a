//! The file a fill writes, until it becomes a blob.
//!
//! Belongs here: making, locking, resuming, discarding it. Does not: where the bytes come from.
//!
//! A partial file is locked (`flock`) for as long as a fill writes it, so neither another process nor the tidying
//! of old ones touches it; the lock goes with the process however that ends. The sidecar says whose bytes they are,
//! and is only written for downloads worth resuming. It is never flushed: what it makes possible is checked by the
//! digest in the end.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::cache::hashing::{self, Hasher};
use crate::cache::layout::{Layout, sidecar};
use crate::cache::ops::Ops;
use crate::cache::source::Validators;
use crate::clock::UnixMillis;
use crate::conda::digest::{Expected, Sha256};

/// Downloads at least this long are worth resuming after a restart.
pub(super) const WORTH_RESUMING: u64 = 1024 * 1024;

/// What the sidecar says.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Note {
    pub(super) key: String,
    pub(super) sha256: Option<String>,
    pub(super) validators: Validators,
}

struct Progress {
    hasher: Hasher,
    noted: bool,
}

/// A locked partial file.
pub(super) struct Partial {
    path: PathBuf,
    file: Arc<File>,
    ops: Ops,
    progress: Mutex<Progress>,
    /// Of the bytes that were there already.
    pub(super) resumed: Option<Validators>,
}

impl Partial {
    /// Opens the partial file of `key`. Bytes that an earlier process left are kept (and hashed again) when they
    /// are of the same key and a SHA-256 is known that they must have in the end.
    pub(super) fn open(layout: &Layout, ops: &Ops, key: &str, expected: &Expected) -> io::Result<Self> {
        let (path, file) = lock_one(ops, &layout.partial(key))?;
        let mut hasher = Hasher::new(expected.sha256.is_none() && expected.md5.is_some());
        let len = file.metadata()?.len();
        let note = if len > 0 { usable_note(&path, key, expected, len) } else { None };
        let resumed = match note {
            Some(note) => {
                hashing::read_through(&file, len, |bytes| hasher.update(bytes))?;
                Some(note.validators)
            }
            None if len > 0 => {
                ops.set_len(&file, &path, 0)?;
                None
            }
            None => None,
        };
        let progress = Mutex::new(Progress { hasher, noted: resumed.is_some() });
        Ok(Self { path, file: Arc::new(file), ops: ops.clone(), progress, resumed })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn len(&self) -> u64 {
        self.progress.lock().hasher.len()
    }

    pub(super) fn hasher(&self) -> Hasher {
        self.progress.lock().hasher.clone()
    }

    /// Appends `bytes` and hashes them. After an error nothing of them counts.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut progress = self.progress.lock();
        self.ops.write_at(&self.file, &self.path, bytes, progress.hasher.len())?;
        progress.hasher.update(bytes);
        Ok(())
    }

    /// Whether the file has `bytes` at `at`.
    pub(super) fn holds(&self, at: u64, bytes: &[u8]) -> io::Result<bool> {
        let mut there = vec![0; bytes.len()];
        std::os::unix::fs::FileExt::read_exact_at(&*self.file, &mut there, at)?;
        Ok(there == bytes)
    }

    /// Back to no bytes.
    pub(super) fn reset(&self, with_md5: bool) -> io::Result<()> {
        let mut progress = self.progress.lock();
        if progress.noted {
            self.ops.remove(&sidecar(&self.path))?;
        }
        self.ops.set_len(&self.file, &self.path, 0)?;
        *progress = Progress { hasher: Hasher::new(with_md5), noted: false };
        Ok(())
    }

    /// Writes the sidecar, so that a later process can resume.
    pub(super) fn note(&self, note: &Note) -> io::Result<()> {
        let text = serde_json::to_vec(note)?;
        self.ops.replace(&sidecar(&self.path), &text)?;
        self.progress.lock().noted = true;
        Ok(())
    }

    /// Whether a later fill could go on from here.
    pub(super) fn worth_keeping(&self) -> bool {
        let progress = self.progress.lock();
        progress.noted && progress.hasher.len() >= WORTH_RESUMING
    }

    /// Deletes both files.
    pub(super) fn discard(&self) {
        self.forget_note();
        if let Err(error) = self.ops.remove(&self.path) {
            tracing::warn!(%error, "an unfinished download could not be deleted; housekeeping will try again");
        }
    }

    /// Deletes the sidecar; the file itself has become a blob.
    pub(super) fn forget_note(&self) {
        if self.progress.lock().noted {
            // Left behind it only wastes a few bytes until housekeeping comes.
            let _ = self.ops.remove(&sidecar(&self.path));
        }
    }
}

/// Opens and locks `wanted`, or a file beside it when another process is writing that one.
fn lock_one(ops: &Ops, wanted: &Path) -> io::Result<(PathBuf, File)> {
    let mut path = wanted.to_owned();
    for turn in 0..64 {
        let file = ops.open_rw(&path)?;
        match file.try_lock() {
            // Deleted between open and lock: what we hold has no name any more.
            Ok(()) if file.metadata()?.nlink() == 0 => {}
            Ok(()) => return Ok((path, file)),
            Err(TryLockError::WouldBlock) => {
                path = wanted.with_extension(format!("{}-{turn}.part", std::process::id()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process keeps writing the same file"))
}

fn read_note(partial: &Path) -> Option<Note> {
    serde_json::from_slice(&fs::read(sidecar(partial)).ok()?).ok()
}

fn usable_note(path: &Path, key: &str, expected: &Expected, len: u64) -> Option<Note> {
    let wanted = expected.sha256?;
    let note = read_note(path)?;
    let same = note.sha256.as_deref().and_then(Sha256::from_hex).is_none_or(|noted| noted == wanted);
    let fits = expected.size.is_none_or(|size| len <= size);
    (note.key == key && same && fits).then_some(note)
}

/// Deletes unfinished downloads that nobody writes: those that can't be resumed, and those last touched before
/// `before`. Returns how many.
pub(in crate::cache) fn tidy(layout: &Layout, ops: &Ops, before: UnixMillis) -> io::Result<u64> {
    sweep(layout, ops, |path, meta| {
        let touched = meta.modified().map_or(UnixMillis(0), UnixMillis::from_system);
        touched < before || read_note(path).is_none()
    })
}

/// Deletes unfinished downloads that nobody writes and whose key `matches` (purge).
pub(in crate::cache) fn discard_matching(
    layout: &Layout,
    ops: &Ops,
    matches: impl Fn(&str) -> bool,
) -> io::Result<u64> {
    sweep(layout, ops, |path, _| read_note(path).is_some_and(|note| matches(&note.key)))
}

fn sweep(layout: &Layout, ops: &Ops, unwanted: impl Fn(&Path, &fs::Metadata) -> bool) -> io::Result<u64> {
    let mut deleted = 0;
    for entry in fs::read_dir(layout.partials())? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "part") {
            // A sidecar without its file, or one that was never completed.
            if !path.with_extension("part").exists() {
                ops.remove(&path)?;
            }
            continue;
        }
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() && unwanted(&path, &file.metadata()?) {
            ops.remove(&sidecar(&path))?;
            ops.remove(&path)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
