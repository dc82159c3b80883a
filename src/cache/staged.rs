//! Uploads that come in several requests: what is known of one, and its bytes once they are here, across restarts.
//!
//! ```text
//! hosted/staged/<id>.json          what its owner wants to know again
//! hosted/staged/<id>.part          its bytes, whole; moved to where files are kept, or deleted with the note
//! ```
//!
//! Belongs here: these files. Does not: what the notes say, how long they count (`api`).

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Cache;
use super::blobs::Blobs;
use super::error::CacheError;
use super::intake::{Part, Taken};
use super::vault::digests;

fn place(blobs: &Blobs, id: &str, ending: &str) -> PathBuf {
    blobs.layout.staged().join(format!("{id}.{ending}"))
}

impl Cache {
    /// Writes what is to be known again of an upload. `id` is a file name.
    ///
    /// # Errors
    /// The disk can't be written.
    pub async fn note_staged(&self, id: String, note: String) -> Result<(), CacheError> {
        self.on_pool(move |inner| {
            let (blobs, dir) = (&inner.blobs, inner.blobs.layout.staged());
            blobs.ops.make_dirs(&dir).map_err(CacheError::io("create", &dir))?;
            let path = place(blobs, &id, "json");
            blobs.ops.replace(&path, note.as_bytes()).map_err(CacheError::io("write", &path))
        })
        .await?
    }

    /// Puts the bytes of an upload beside its note; once this returns they are on the disk, until they are kept or let go.
    ///
    /// # Errors
    /// The disk can't be written; the bytes are gone then.
    pub async fn stage(&self, id: String, taken: Taken) -> Result<Taken, CacheError> {
        self.on_pool(move |inner| {
            let (blobs, dir) = (&inner.blobs, inner.blobs.layout.staged());
            blobs.ops.make_dirs(&dir).map_err(CacheError::io("create", &dir))?;
            let (from, path) = (&taken.part.path, place(blobs, &id, "part"));
            blobs.ops.sync(&taken.part.file, from).map_err(CacheError::io("flush", from))?;
            blobs.ops.rename(from, &path).map_err(CacheError::io("move a file to", &path))?;
            let part = Part { file: Arc::clone(&taken.part.file), path, stays: true };
            blobs.ops.sync_dir(&dir).map_err(CacheError::io("flush", &dir))?;
            Ok(Taken { part, sha256: taken.sha256, md5: taken.md5, len: taken.len })
        })
        .await?
    }

    /// The bytes of an upload from before a restart, hashed anew; `None` where there are none.
    ///
    /// # Errors
    /// The disk can't be read.
    pub async fn staged_file(&self, id: String) -> Result<Option<Taken>, CacheError> {
        self.on_pool(move |inner| {
            let path = place(&inner.blobs, &id, "part");
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(CacheError::io("open", &path)(error)),
            };
            let (len, sha256, md5) = digests(&file).map_err(CacheError::io("read", &path))?;
            let Some(md5) = md5 else { return Ok(None) };
            Ok(Some(Taken { part: Part { file: Arc::new(file), path, stays: true }, sha256, md5, len }))
        })
        .await?
    }

    /// Every note: id and text.
    ///
    /// # Errors
    /// The disk can't be read.
    pub async fn staged(&self) -> Result<Vec<(String, String)>, CacheError> {
        self.on_pool(move |inner| {
            let dir = inner.blobs.layout.staged();
            let read = || -> io::Result<Vec<(String, String)>> {
                let mut notes = Vec::new();
                for entry in fs::read_dir(&dir)? {
                    let path = entry?.path();
                    let id = path.file_stem().and_then(|id| id.to_str()).map(str::to_owned);
                    if let Some(id) = id.filter(|_| path.extension().is_some_and(|ending| ending == "json")) {
                        notes.push((id, fs::read_to_string(&path)?));
                    }
                }
                Ok(notes)
            };
            match read() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                notes => notes.map_err(CacheError::io("read", &dir)),
            }
        })
        .await?
    }

    /// Forgets an upload, its bytes too where they are still there.
    ///
    /// # Errors
    /// The disk can't be written.
    pub async fn unstage(&self, id: String) -> Result<(), CacheError> {
        self.on_pool(move |inner| {
            // The note last: without it nobody would look for the bytes.
            for ending in ["part", "json"] {
                let path = place(&inner.blobs, &id, ending);
                inner.blobs.ops.remove(&path).map_err(CacheError::io("delete", &path))?;
            }
            Ok(())
        })
        .await?
    }
}
