//! Reading everything again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

use super::error::BackupError;
use super::manifest::{Manifest, Part};
use super::shelf::Shelf;
use crate::store::dump::{self, DumpError};

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// Backups whose lists are whole.
    pub backups: u64,
    /// Files that were read, and their bytes.
    pub files: (u64, u64),
    /// Sentences about what is wrong; empty when all is well.
    pub damaged: Vec<String>,
    /// Files that the store of the newest backup names and that were not on the gate when it was made.
    pub missing: u64,
}

/// Reads every list and every file that one names, and compares digests. Bytes that are not what they were are set aside,
/// so that the next backup copies them anew.
///
/// # Errors
/// The disk can't be read or written.
pub fn verify(shelf: &Shelf) -> Result<Verified, BackupError> {
    let mut found = Verified::default();
    let mut named = BTreeMap::new();
    for id in shelf.list()? {
        match shelf.manifest(&id) {
            Ok(manifest) => {
                found.backups += 1;
                found.missing = manifest.of(Part::Missing).count() as u64;
                for entry in manifest.with_bytes() {
                    named.entry(entry.sha256).or_insert((entry.size, entry.part, id.to_string()));
                }
            }
            Err(error @ (BackupError::Damaged(_) | BackupError::Newer { .. })) => {
                found.damaged.push(error.to_string());
            }
            Err(other) => return Err(other),
        }
    }
    for (digest, (size, part, id)) in named {
        match shelf.read_again(&digest)? {
            None => found.damaged.push(format!("backup `{id}`: the file {digest} is gone")),
            Some(read) if read == (digest, size) => {
                found.files = (found.files.0 + 1, found.files.1 + size);
                if part == Part::Store
                    && let Err(error) = check_dump(shelf, &digest)?
                {
                    found.damaged.push(format!("backup `{id}`: {error}"));
                }
            }
            Some(_) => {
                shelf.set_aside(&digest)?;
                found.damaged.push(format!(
                    "backup `{id}`: the file {digest} is not what was written; it was set aside, and the next backup copies it anew if the gate still has it"
                ));
            }
        }
    }
    Ok(found)
}

/// Whether the dump of a backup could be loaded.
pub(super) fn check_dump(
    shelf: &Shelf,
    digest: &crate::conda::digest::Sha256,
) -> Result<Result<(), DumpError>, BackupError> {
    let path = shelf.blob(digest);
    let file = File::open(&path).map_err(BackupError::io("read", &path))?;
    Ok(dump::check(&mut BufReader::new(file)).map(|_| ()))
}

/// Whether everything that a backup names is there with its length: what can be known without reading it all.
pub(super) fn looks_whole(shelf: &Shelf, manifest: &Manifest) -> Result<(), BackupError> {
    for entry in manifest.with_bytes() {
        let is_there = shelf.size_of(&entry.sha256)?;
        if is_there != Some(entry.size) {
            let how = if is_there.is_none() { "is gone" } else { "has another length" };
            return Err(BackupError::Damaged(format!(
                "the file {} of backup `{}` {how}; nothing was restored. `condagate backup verify` finds everything that is wrong",
                entry.sha256, manifest.id
            )));
        }
    }
    let store = manifest.of(Part::Store).next();
    let store = store.ok_or_else(|| BackupError::Damaged("it has no store in it".to_owned()))?;
    Ok(check_dump(shelf, &store.sha256)??)
}
