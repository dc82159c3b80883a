//! Kept files: what hosted channels have, which no upstream could give again.
//!
//! `hosted/sha256/ab/<hex>` is the truth; the blob of that digest is a second name (a hard link) for the same bytes, so that hits,
//! ranges and memory work as for any other file. Losing `cache.db`, a purge of everything or a blob set aside loses nothing:
//! [`Cache::recall`] makes the blob again, after hashing.
//!
//! Belongs here: keeping, finding again, letting go. Does not: who has a right to it, which channel lists it (`channel`).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blobs::{Blob, Blobs, Publication};
use super::error::CacheError;
use super::hashing::Hasher;
use super::intake::Taken;
use super::layout::Layout;
use super::ops::Ops;
use super::{Cache, hashing};
use crate::clock::UnixMillis;
use crate::conda::digest::{Md5, Sha256};

/// What the index says of where a kept file came from.
pub(super) const ORIGIN: &str = "hosted";

/// A file that is kept for hosted channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Of its bytes.
    pub sha256: Sha256,
    /// When it came, to the second.
    pub since: UnixMillis,
}

/// Where a kept file lies below a package directory, for who copies it while nobody needs to be asked: it is whole from the moment it
/// has this name.
#[must_use]
pub fn kept_file(packages: &Path, digest: &Sha256) -> PathBuf {
    Layout::new(packages.to_owned()).hosted(digest)
}

impl Cache {
    /// Keeps a file for good: once this returns it is on the disk, whatever happens. The same bytes may be kept already.
    ///
    /// # Errors
    /// The disk can't be written; nothing is kept then.
    pub async fn keep(&self, taken: Arc<Taken>) -> Result<Arc<Blob>, CacheError> {
        self.on_pool(move |inner| {
            let blobs = &inner.blobs;
            let path = kept(blobs, &taken)?;
            adopt(blobs, &path, (taken.sha256, taken.md5, taken.len))
        })
        .await?
    }

    /// The blob of a kept file, made again where it was lost; `None` when no such file is kept, or it is not what it was.
    ///
    /// # Errors
    /// The disk can't be read or written.
    pub async fn recall(&self, digest: Sha256) -> Result<Option<Arc<Blob>>, CacheError> {
        self.on_pool(move |inner| {
            let blobs = &inner.blobs;
            let path = blobs.layout.hosted(&digest);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(CacheError::io("open", &path)(error)),
            };
            let (len, md5) = match digests(&file).map_err(CacheError::io("read", &path))? {
                (len, found, Some(md5)) if found == digest => (len, md5),
                _ => {
                    tracing::error!(file = %path.display(), "a hosted file is not what it was; restore it from a backup or upload it again");
                    return Ok(None);
                }
            };
            adopt(blobs, &path, (digest, md5, len)).map(Some)
        })
        .await?
    }

    /// Lets a kept file go, and its blob. Who is reading it reads on.
    ///
    /// # Errors
    /// The disk can't be written.
    pub async fn let_go(&self, digest: Sha256) -> Result<(), CacheError> {
        self.on_pool(move |inner| {
            let blobs = &inner.blobs;
            let path = blobs.layout.hosted(&digest);
            blobs.ops.remove(&path).map_err(CacheError::io("delete", &path))?;
            match blobs.index.blob(&digest)? {
                Some(row) => blobs.delete(&row),
                None => Ok(()),
            }
        })
        .await?
    }

    /// Kept files that are older than `before`, in the order of their digests, behind `after`: a page of at most `limit`.
    ///
    /// # Errors
    /// The disk can't be read.
    pub async fn kept_before(
        &self,
        before: UnixMillis,
        after: Option<Sha256>,
        limit: usize,
    ) -> Result<Vec<Kept>, CacheError> {
        self.on_pool(move |inner| {
            let root = inner.blobs.layout.hosted_root();
            page(&root, before, after, limit).map_err(CacheError::io("list", &root))
        })
        .await?
    }
}

/// Moves a file that came in to where it is kept.
fn kept(blobs: &Blobs, taken: &Taken) -> Result<PathBuf, CacheError> {
    let path = blobs.layout.hosted(&taken.sha256);
    let dir = path.parent().unwrap_or(&path).to_owned();
    if !dir.is_dir() {
        blobs.ops.make_dirs(&dir).map_err(CacheError::io("create", &dir))?;
        let above = blobs.layout.hosted_root();
        blobs.ops.sync_dir(&above).map_err(CacheError::io("flush", &above))?;
    }
    let part = &taken.part;
    // What answers say of its age, and what tells an orphan.
    let modified = part.file.set_modified(blobs.clock.now().to_system());
    modified.map_err(CacheError::io("date", &part.path))?;
    blobs.ops.sync(&part.file, &part.path).map_err(CacheError::io("flush", &part.path))?;
    let _stripe = blobs.stripe(&taken.sha256);
    if is_there(&path, taken.len).map_err(CacheError::io("look at", &path))? {
        return Ok(path);
    }
    blobs.ops.rename(&part.path, &path).map_err(CacheError::io("move a file to", &path))?;
    blobs.ops.sync_dir(&dir).map_err(CacheError::io("flush", &dir))?;
    Ok(path)
}

fn is_there(path: &Path, len: u64) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(meta) => Ok(meta.len() == len),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a kept file a blob that nothing evicts.
fn adopt(
    blobs: &Arc<Blobs>,
    path: &Path,
    (sha256, md5, len): (Sha256, Md5, u64),
) -> Result<Arc<Blob>, CacheError> {
    if let Some(blob) = blobs.find(&sha256, super::blobs::Changed::Rehash) {
        blobs.index.pin(&sha256, true)?;
        return Ok(blob);
    }
    let incoming = blobs.layout.incoming();
    // Files that were restored from a backup may be here before anything ever came in.
    blobs.ops.make_dirs(&incoming).map_err(CacheError::io("create", &incoming))?;
    let link = incoming.join(format!("{sha256}.link"));
    blobs.ops.remove(&link).map_err(CacheError::io("delete", &link))?;
    blobs.ops.link(path, &link).map_err(CacheError::io("link", &link))?;
    let file = File::open(&link).map_err(CacheError::io("open", &link))?;
    let publication = Publication {
        file: &file,
        partial: &link,
        len,
        sha256,
        md5: Some(md5),
        origin: ORIGIN,
        object: None,
    };
    let blob = blobs.publish(&publication)?;
    // Two names of one file are not moved onto each other: it stays where the blob was there without its row.
    blobs.ops.remove(&link).map_err(CacheError::io("delete", &link))?;
    blobs.index.pin(&sha256, true)?;
    Ok(blob)
}

pub(super) fn digests(file: &File) -> io::Result<(u64, Sha256, Option<Md5>)> {
    let mut hasher = Hasher::new(true);
    let len = hashing::read_through(file, u64::MAX, |bytes| hasher.update(bytes))?;
    let (sha256, md5) = hasher.digests();
    Ok((len, sha256, md5))
}

fn page(root: &Path, before: UnixMillis, after: Option<Sha256>, limit: usize) -> io::Result<Vec<Kept>> {
    let mut found = Vec::new();
    for dir in sorted(root)? {
        if after.is_some_and(|after| dir.as_str() < &after.to_hex()[..2]) {
            continue;
        }
        for name in sorted(&root.join(&dir))? {
            let Some(digest) = Sha256::from_hex(&name).filter(|digest| Some(*digest) > after) else {
                continue;
            };
            let meta = fs::metadata(root.join(&dir).join(&name))?;
            let since = UnixMillis(meta.mtime().saturating_mul(1000));
            if since < before {
                found.push(Kept { sha256: digest, since });
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn sorted(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Deletes what was being received when the process before this one ended.
pub(super) fn empty_incoming(dir: &Path, ops: &Ops) -> io::Result<()> {
    for name in sorted(dir)? {
        ops.remove(&dir.join(name))?;
    }
    Ok(())
}
