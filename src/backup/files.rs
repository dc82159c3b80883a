//! Files and directories, with the path in every error.
//!
//! Belongs here: walking, syncing, making parents. Does not: what a file is for.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use super::error::BackupError;

/// What a file system puts into the root of a volume.
const OF_THE_VOLUME: &str = "lost+found";
/// No tree of ours is deeper; one that is, is none of ours.
const DEEPEST: usize = 16;

/// A regular file below a directory.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Below the directory, with `/` between its parts.
    pub(super) name: String,
}

/// Something in a directory, if there is anything; a directory that is not there is empty.
pub(super) fn first_entry(dir: &Path) -> Result<Option<PathBuf>, BackupError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BackupError::io("list", dir)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::io("list", dir))?;
        if entry.file_name() != OF_THE_VOLUME {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Whether there is no file at all below a directory; empty directories don't count.
pub(super) fn has_no_file(dir: &Path) -> Result<bool, BackupError> {
    Ok(below(dir)?.is_empty())
}

/// All regular files below a directory, by name; hidden ones don't count. Links to files are followed, links to directories not.
pub(super) fn below(dir: &Path) -> Result<Vec<Found>, BackupError> {
    let mut found = Vec::new();
    walk(dir, "", 0, &mut found)?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn walk(dir: &Path, prefix: &str, depth: usize, found: &mut Vec<Found>) -> Result<(), BackupError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::io("list", dir)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::io("list", dir))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(BackupError::io("look at", &path))?;
        let name = entry.file_name();
        if name == OF_THE_VOLUME || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let name = name.to_str().ok_or_else(|| BackupError::Name(path.clone()))?;
        let name = format!("{prefix}{name}");
        if kind.is_dir() {
            if depth < DEEPEST {
                walk(&path, &format!("{name}/"), depth + 1, found)?;
            }
        } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
            found.push(Found { path, name });
        }
    }
    Ok(())
}

/// A relative path that stays below where it is joined to; `None` for any other.
pub(super) fn inside(dir: &Path, name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !name.is_empty()).then(|| dir.join(path))
}

pub(super) fn make_parent(path: &Path, mode: u32) -> Result<(), BackupError> {
    let Some(dir) = path.parent() else { return Ok(()) };
    let outcome = DirBuilder::new().recursive(true).mode(mode).create(dir);
    outcome.map_err(BackupError::io("make the directory", dir))
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(BackupError::io("write", dir))
}
