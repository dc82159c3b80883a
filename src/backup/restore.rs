//! Putting a backup back where nothing is.
//!
//! Belongs here: what goes where, in which order, and taking it back when it can't be finished. Does not: opening the store (`cli`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::error::BackupError;
use super::files;
use super::manifest::{Entry, Manifest, Part};
use super::shelf::{Hashing, Shelf, pour};
use super::verify::looks_whole;
use crate::cache;
use crate::repodata::store::sightings_of;
use crate::store::Store;
use crate::store::dump::{self, Summary};

/// In the data directory while a restore is under way: a gate that started on half of its packages and none of its users would take
/// its own channels for somebody else's.
const UNDER_WAY: &str = "restoring";

/// Whether a restore into this data directory was begun and not finished.
#[must_use]
pub fn unfinished(data: &Path) -> bool {
    data.join(UNDER_WAY).exists()
}

/// Where things go.
pub struct Targets<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// `storage.packages`
    pub packages: &'a Path,
    /// `storage.cache`
    pub cache: &'a Path,
    /// The rules directory.
    pub rules: &'a Path,
}

/// A restore that is under way.
pub struct Restore<'a> {
    shelf: &'a Shelf,
    manifest: &'a Manifest,
    targets: Targets<'a>,
    /// Files outside of the directories that were empty.
    written: Vec<PathBuf>,
}

impl<'a> Restore<'a> {
    /// Looks at everything before anything is written.
    ///
    /// # Errors
    /// A target is in use, or the backup is not whole.
    pub fn begin(
        shelf: &'a Shelf,
        manifest: &'a Manifest,
        targets: Targets<'a>,
    ) -> Result<Self, BackupError> {
        if unfinished(targets.data) {
            return Err(BackupError::Unfinished(targets.data.to_owned()));
        }
        for dir in [targets.data, targets.packages, targets.cache] {
            if !files::has_no_file(dir)? {
                return Err(BackupError::NotEmpty(dir.to_owned()));
            }
        }
        for entry in manifest.of(Part::Rules) {
            is_new(&place(targets.rules, entry)?, entry)?;
        }
        looks_whole(shelf, manifest)?;
        Ok(Self { shelf, manifest, targets, written: Vec::new() })
    }

    /// Puts files in their places, each hashed on its way. To be called before [`Restore::load`].
    ///
    /// # Errors
    /// The disk, or bytes that are not what they were; [`Restore::undo`] takes back what was done.
    pub fn files(&mut self) -> Result<(), BackupError> {
        let mark = self.targets.data.join(UNDER_WAY);
        files::make_parent(&mark, 0o750)?;
        let text = format!("the backup {} is being restored\n", self.manifest.id);
        write_new(&mark, 0o600, |file| {
            file.write_all(text.as_bytes()).map_err(BackupError::io("write", &mark))
        })?;
        for entry in self.manifest.of(Part::Package) {
            self.put(entry, &cache::kept_file(self.targets.packages, &entry.sha256), 0o640)?;
        }
        let sightings = sightings_of(self.targets.cache);
        for entry in self.manifest.of(Part::Sightings) {
            self.put(entry, &place(&sightings, entry)?, 0o640)?;
        }
        for entry in self.manifest.of(Part::Rules) {
            let to = place(self.targets.rules, entry)?;
            if is_new(&to, entry)? {
                self.written.push(to.clone());
                self.put(entry, &to, 0o640)?;
            }
        }
        Ok(())
    }

    /// Loads the store, which must be empty.
    ///
    /// # Errors
    /// As [`dump::load`].
    pub async fn load(&self, store: &Store) -> Result<Summary, BackupError> {
        let entry = self.manifest.of(Part::Store).next();
        let entry = entry.ok_or_else(|| BackupError::Damaged("it has no store in it".to_owned()))?;
        let path = self.shelf.blob(&entry.sha256);
        let file = File::open(&path).map_err(BackupError::io("read", &path))?;
        Ok(dump::load(store, &mut BufReader::new(file), false).await?)
    }

    /// From now on a gate may start.
    ///
    /// # Errors
    /// The disk.
    pub fn finish(self) -> Result<(), BackupError> {
        let mark = self.targets.data.join(UNDER_WAY);
        fs::remove_file(&mark).map_err(BackupError::io("remove", &mark))?;
        files::sync_dir(self.targets.data)
    }

    /// Removes what was written; only directories that were empty are emptied. What can't be removed is left, and the mark with it.
    pub fn undo(self) {
        let Targets { data, packages, cache, .. } = self.targets;
        let written = self.written.iter().map(PathBuf::as_path);
        let mark = data.join(UNDER_WAY);
        let mut all_gone = true;
        let mut remove = |path: &Path| {
            let gone = fs::remove_file(path);
            all_gone &= gone.is_ok() || gone.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        };
        written.for_each(&mut remove);
        for dir in [packages, cache, data] {
            for file in files::below(dir).unwrap_or_default() {
                if file.path != mark {
                    remove(&file.path);
                }
            }
        }
        if all_gone {
            let _said_by_the_next_start = fs::remove_file(&mark);
        }
    }

    fn put(&self, entry: &Entry, to: &Path, mode: u32) -> Result<(), BackupError> {
        copy_out(self.shelf, entry, to, mode)
    }
}

impl Shelf {
    /// Puts the files of settings of a backup into a directory, under their names; gives those names. Such that are there and say the same
    /// stay.
    ///
    /// # Errors
    /// Two of them have one name, one is there and says something else, or the disk.
    pub fn put_settings(&self, manifest: &Manifest, dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
        let mut all: Vec<(PathBuf, &Entry)> = Vec::new();
        for entry in manifest.of(Part::Settings) {
            let name = Path::new(&entry.name).file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let to = files::inside(dir, name);
            let to = to.ok_or_else(|| BackupError::Damaged(format!("`{}` is no file", entry.name)))?;
            if all.iter().any(|(other, _)| *other == to) {
                return Err(BackupError::Twice(name.to_owned()));
            }
            is_new(&to, entry)?;
            all.push((to, entry));
        }
        for (to, entry) in &all {
            if is_new(to, entry)? {
                copy_out(self, entry, to, 0o600)?;
            }
        }
        Ok(all.into_iter().map(|(to, _)| to).collect())
    }
}

/// Whether a file is to be written; one that is there must say the same.
fn is_new(to: &Path, entry: &Entry) -> Result<bool, BackupError> {
    let mut file = match File::open(to) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(BackupError::io("read", to)(error)),
    };
    let mut hashed = Hashing::new(io::sink());
    pour(&mut file, to, &mut hashed)?;
    if hashed.finish() == (entry.sha256, entry.size) {
        return Ok(false);
    }
    Err(BackupError::Differs(to.to_owned()))
}

fn place(dir: &Path, entry: &Entry) -> Result<PathBuf, BackupError> {
    files::inside(dir, &entry.name).ok_or_else(|| {
        BackupError::Damaged(format!("`{}` leads out of its directory", entry.name.escape_debug()))
    })
}

fn copy_out(shelf: &Shelf, entry: &Entry, to: &Path, mode: u32) -> Result<(), BackupError> {
    let path = shelf.blob(&entry.sha256);
    let mut from = File::open(&path).map_err(BackupError::io("read", &path))?;
    files::make_parent(to, 0o750)?;
    write_new(to, mode, |file| {
        let mut hashed = Hashing::new(file);
        pour(&mut from, &path, &mut hashed)?;
        if hashed.finish() == (entry.sha256, entry.size) {
            return Ok(());
        }
        Err(BackupError::Damaged(format!(
            "the file {} is not what was written; what had been restored was taken away again",
            entry.sha256
        )))
    })
}

fn write_new(
    to: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let opened = OpenOptions::new().create_new(true).write(true).mode(mode).open(to);
    let mut file = opened.map_err(BackupError::io("make", to))?;
    write(&mut file)?;
    file.sync_all().map_err(BackupError::io("write", to))?;
    to.parent().map_or(Ok(()), files::sync_dir)
}
