//! Files that people own: written whole or not at all.
//!
//! Belongs here: replacing and making a file in one step. Does not: what is in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

/// For files that may have secrets in them: their owner and group.
const MODE: u32 = 0o640;

/// Makes a file; one that is there is left as it is.
///
/// # Errors
/// The file system's; [`io::ErrorKind::AlreadyExists`] when it is there.
pub(super) fn make(path: &Path, text: &str) -> io::Result<()> {
    let beside = beside(path, text)?;
    // Unlike a rename, a link never replaces what somebody else made meanwhile.
    let made = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    made?;
    sync_parent(path)
}

/// Replaces a file, or makes it; mode and owner stay. A symbolic link stays one.
///
/// # Errors
/// The file system's; the old file is as it was.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let beside = beside(&target, text)?;
    let kept = keep_owner(&target, &beside).and_then(|()| fs::rename(&beside, &target));
    if kept.is_err() {
        let _gone_or_not = fs::remove_file(&beside);
    }
    kept?;
    sync_parent(&target)
}

fn keep_owner(old: &Path, new: &Path) -> io::Result<()> {
    let meta = match fs::metadata(old) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta?,
    };
    let made = fs::metadata(new)?;
    if (made.uid(), made.gid()) != (meta.uid(), meta.gid()) {
        chown(new, Some(meta.uid()), Some(meta.gid()))?;
    }
    fs::set_permissions(new, fs::Permissions::from_mode(meta.mode() & 0o7777))
}

/// A synced file with the text, in the same directory.
fn beside(path: &Path, text: &str) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let write = |mut file: File| file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&beside)?;
    if let Err(error) = write(opened) {
        let _gone_or_not = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(beside)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
