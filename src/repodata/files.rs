//! Files that are either whole or not there: hashing writers, syncing, atomic replacement.
//!
//! Belongs here: everything about writing files that is not about repodata. Does not: their names (`store`).

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256 as Hasher};

use super::error::BuildError;
use crate::conda::digest::Sha256;

/// Writes a new file and knows its length and SHA-256.
#[derive(Debug)]
pub(super) struct HashingFile {
    path: PathBuf,
    out: BufWriter<File>,
    hasher: Hasher,
    len: u64,
}

/// The SHA-256 of an open file; `path` names it in errors.
pub(super) fn digest_of(mut file: &File, path: &Path) -> Result<Sha256, BuildError> {
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer).map_err(BuildError::io("read", path))? {
            0 => return Ok(Sha256(hasher.finalize().into())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// A finished file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// In bytes.
    pub len: u64,
    /// Of all of it.
    pub sha256: Sha256,
}

impl HashingFile {
    /// Makes the file; it must not exist.
    pub fn create(path: &Path) -> Result<Self, BuildError> {
        let file = File::create_new(path).map_err(BuildError::io("create", path))?;
        let out = BufWriter::with_capacity(256 << 10, file);
        Ok(Self { path: path.to_owned(), out, hasher: Hasher::new(), len: 0 })
    }

    /// How much was written.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// How much of it has left the buffer.
    pub fn on_disk(&self) -> u64 {
        self.len - self.out.buffer().len() as u64
    }

    /// Appends.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        self.out.write_all(bytes).map_err(BuildError::io("write", &self.path))
    }

    /// Flushes and syncs; only now the file may be relied on.
    pub fn finish(self) -> Result<Written, BuildError> {
        let Self { path, out, hasher, len } = self;
        let file = out.into_inner().map_err(|e| BuildError::io("write", &path)(e.into_error()))?;
        file.sync_all().map_err(BuildError::io("sync", &path))?;
        Ok(Written { len, sha256: Sha256(hasher.finalize().into()) })
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Makes names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), BuildError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(BuildError::io("sync", dir))
}

/// Replaces a small file in one step. Readers see the old or the new content, also after a crash when `durable`.
pub(super) fn replace(path: &Path, content: &[u8], durable: bool) -> Result<(), BuildError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary).map_err(BuildError::io("create", &temporary))?;
    file.write_all(content).map_err(BuildError::io("write", &temporary))?;
    if durable {
        file.sync_all().map_err(BuildError::io("sync", &temporary))?;
    }
    fs::rename(&temporary, path).map_err(BuildError::io("replace", path))?;
    match path.parent() {
        Some(dir) if durable => sync_dir(dir),
        _ => Ok(()),
    }
}

/// Renames a file or a directory and makes the new name durable.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), BuildError> {
    fs::rename(from, to).map_err(BuildError::io("rename", to))?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Removes a directory and all that is in it; one that is not there counts as removed.
pub(super) fn remove_dir(dir: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(BuildError::io("remove", dir)),
    }
}
