//! Every change the cache makes on disk goes through [`Ops`], so a test can stop the world after any one of them.
//!
//! Belongs here: thin wrappers over the file calls that change something, and the fault hook. Does not: deciding
//! what to do when one fails.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// One kind of change on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FileOp {
    /// A directory is made.
    MakeDir,
    /// A file is created or emptied.
    Create,
    /// Bytes are appended.
    Write,
    /// A file is flushed to disk.
    Sync,
    /// A file is moved.
    Rename,
    /// A directory is flushed to disk.
    SyncDir,
    /// A file is deleted.
    Remove,
    /// A transaction of `cache.db` is committed.
    Commit,
}

type Hook = dyn Fn(FileOp, &Path) -> io::Result<()> + Send + Sync;

/// A hook that is asked before every change on disk and may refuse it with an error, as a full or dying disk does.
#[derive(Clone)]
pub struct Faults(Arc<Hook>);

impl Faults {
    /// Wraps a hook; it may be called from any thread.
    pub fn new(hook: impl Fn(FileOp, &Path) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

/// The file calls that change something.
#[derive(Clone, Debug, Default)]
pub(super) struct Ops(Option<Faults>);

impl Ops {
    pub(super) const fn new(faults: Option<Faults>) -> Self {
        Self(faults)
    }

    /// Asks the hook; every change calls this first.
    pub(super) fn step(&self, op: FileOp, path: &Path) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |faults| (faults.0)(op, path))
    }

    pub(super) fn make_dirs(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        self.step(FileOp::MakeDir, path)?;
        fs::create_dir_all(path)
    }

    /// Opens for reading and writing; made when missing, never emptied.
    pub(super) fn open_rw(&self, path: &Path) -> io::Result<File> {
        self.step(FileOp::Create, path)?;
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    pub(super) fn write_at(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.step(FileOp::Write, path)?;
        file.write_all_at(bytes, offset)
    }

    pub(super) fn set_len(&self, file: &File, path: &Path, len: u64) -> io::Result<()> {
        self.step(FileOp::Write, path)?;
        file.set_len(len)
    }

    /// Replaces a small file as a whole (not flushed: its readers can do without it).
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let fresh = path.with_extension("new");
        self.step(FileOp::Create, &fresh)?;
        fs::write(&fresh, bytes)?;
        self.rename(&fresh, path)
    }

    pub(super) fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.step(FileOp::Sync, path)?;
        file.sync_all()
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(FileOp::Rename, to)?;
        fs::rename(from, to)
    }

    /// Gives a file a second name.
    pub(super) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(FileOp::Create, to)?;
        fs::hard_link(from, to)
    }

    pub(super) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step(FileOp::SyncDir, path)?;
        File::open(path)?.sync_all()
    }

    /// Deletes a file; that it is already gone is fine.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(FileOp::Remove, path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
