//! Letting old backups go.

use std::collections::HashSet;
use std::fs;

use super::error::BackupError;
use super::files;
use super::shelf::Shelf;
use crate::conda::digest::Sha256;

/// What was let go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// Names of backups.
    pub backups: Vec<String>,
    /// Files that no backup names any more, and their bytes.
    pub files: (u64, u64),
    /// Why no file was deleted: the list of this backup can't be read.
    pub held_by: Option<String>,
}

/// Keeps the newest `keep` backups, at least one, and what they are made of.
///
/// # Errors
/// The disk. Lists are removed before files, so that no list names what is gone.
pub fn prune(shelf: &Shelf, keep: usize) -> Result<Pruned, BackupError> {
    let mut all = shelf.list()?;
    let kept = all.split_off(all.len().saturating_sub(keep.max(1)));
    let mut pruned = Pruned::default();
    for id in &all {
        let file = shelf.manifest_file(id);
        fs::remove_file(&file).map_err(BackupError::io("remove", &file))?;
        pruned.backups.push(id.to_string());
    }
    files::sync_dir(&shelf.manifests())?;
    let mut named = HashSet::new();
    for id in &kept {
        match shelf.manifest(id) {
            Ok(manifest) => named.extend(manifest.entries.iter().map(|entry| entry.sha256)),
            // Nobody knows what it is made of.
            Err(BackupError::Damaged(_) | BackupError::Newer { .. }) => {
                pruned.held_by = Some(id.to_string());
                return Ok(pruned);
            }
            Err(other) => return Err(other),
        }
    }
    for file in files::below(&shelf.blobs())? {
        let digest = file.name.rsplit('/').next().and_then(Sha256::from_hex);
        if digest.is_some_and(|digest| !named.contains(&digest)) {
            let size = fs::metadata(&file.path).map_or(0, |meta| meta.len());
            fs::remove_file(&file.path).map_err(BackupError::io("remove", &file.path))?;
            pruned.files = (pruned.files.0 + 1, pruned.files.1 + size);
        }
    }
    Ok(pruned)
}
