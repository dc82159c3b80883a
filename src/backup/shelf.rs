//! The directory that backups are kept in.
//!
//! Belongs here: its layout, its lock, bytes in and out, each checked against its digest. Does not: which files make a backup.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use super::error::BackupError;
use super::files;
use crate::conda::digest::Sha256;

/// Bytes that are copied at one time.
const PIECE: usize = 1 << 20;

/// A directory of backups. Password hashes and keys are in it: nobody but its owner may read it.
pub struct Shelf {
    root: PathBuf,
    /// Held for as long as something is written.
    _lock: Option<File>,
}

/// Bytes that are on the shelf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Put {
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    /// Whether they were not there before.
    pub(super) is_new: bool,
}

impl Shelf {
    /// To read from.
    ///
    /// # Errors
    /// There is no such directory, or nothing in it is a backup.
    pub fn open(root: &Path) -> Result<Self, BackupError> {
        let manifests = root.join("manifests");
        match fs::metadata(&manifests) {
            Ok(_) => Ok(Self { root: root.to_owned(), _lock: None }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BackupError::Nothing(root.to_owned()))
            }
            Err(error) => Err(BackupError::io("read", &manifests)(error)),
        }
    }

    /// To write into: made where there is none, and locked.
    ///
    /// # Errors
    /// It has other things in it, somebody else writes into it, or it can't be written.
    pub fn open_to_write(root: &Path) -> Result<Self, BackupError> {
        if files::first_entry(root)?.is_some() && !root.join("manifests").is_dir() {
            return Err(BackupError::NotABackup(root.to_owned()));
        }
        let shelf = Self { root: root.to_owned(), _lock: None };
        for dir in [root.to_owned(), shelf.manifests(), shelf.blobs(), shelf.incoming(), shelf.damaged()] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
            made.map_err(BackupError::io("make the directory", &dir))?;
        }
        // It may be older than this rule.
        fs::set_permissions(root, Permissions::from_mode(0o700)).map_err(BackupError::io("close", root))?;
        let path = root.join("lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let lock = lock.map_err(BackupError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy(root.to_owned())),
            Err(TryLockError::Error(source)) => return Err(BackupError::io("lock", &path)(source)),
        }
        let shelf = Self { _lock: Some(lock), ..shelf };
        for left in files::below(&shelf.incoming())? {
            fs::remove_file(&left.path).map_err(BackupError::io("remove", &left.path))?;
        }
        Ok(shelf)
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    pub(super) fn blob(&self, digest: &Sha256) -> PathBuf {
        let hex = digest.to_hex();
        self.blobs().join(&hex[..2]).join(hex)
    }

    /// The length of some bytes, if they are there.
    pub(super) fn size_of(&self, digest: &Sha256) -> Result<Option<u64>, BackupError> {
        let path = self.blob(digest);
        match fs::metadata(&path) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BackupError::io("look at", &path)(error)),
        }
    }

    /// Begins a file that is nobody's until it is [`Draft::keep`]ed.
    pub(super) fn draft(&self) -> Result<Draft<'_>, BackupError> {
        let path = self.incoming().join("next.part");
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path);
        let file = file.map_err(BackupError::io("make", &path))?;
        let to = Hashing { to: BufWriter::new(file), digest: sha2::Sha256::new(), size: 0 };
        Ok(Draft { shelf: self, path, to })
    }

    /// Copies a file, whatever it says; `None` when there is no such file.
    pub(super) fn copy(&self, from: &Path) -> Result<Option<Put>, BackupError> {
        let mut source = match File::open(from) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io("read", from)(error)),
        };
        let mut draft = self.draft()?;
        pour(&mut source, from, &mut draft)?;
        draft.keep(None)
    }

    /// Copies a file that is named by its digest; `None` when there is no such file, or it says something else.
    pub(super) fn copy_exact(&self, from: &Path, wanted: &Sha256) -> Result<Option<Put>, BackupError> {
        let mut source = match File::open(from) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io("read", from)(error)),
        };
        let mut draft = self.draft()?;
        pour(&mut source, from, &mut draft)?;
        draft.keep(Some(wanted))
    }

    /// The digest and length that a file on the shelf really has; `None` when it is not there.
    pub(super) fn read_again(&self, digest: &Sha256) -> Result<Option<(Sha256, u64)>, BackupError> {
        let path = self.blob(digest);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io("read", &path)(error)),
        };
        let mut to = Hashing { to: io::sink(), digest: sha2::Sha256::new(), size: 0 };
        pour(&mut file, &path, &mut to)?;
        Ok(Some(to.finish()))
    }

    /// Takes bytes that are not what they were out of the way.
    pub(super) fn set_aside(&self, digest: &Sha256) -> Result<(), BackupError> {
        let (from, to) = (self.blob(digest), self.damaged().join(digest.to_hex()));
        fs::rename(&from, &to).map_err(BackupError::io("set aside", &from))
    }

    /// Makes sure that names of files are on the disk too.
    pub(super) fn settle(&self) -> Result<(), BackupError> {
        let blobs = self.blobs();
        let entries = fs::read_dir(&blobs).map_err(BackupError::io("list", &blobs))?;
        for entry in entries {
            files::sync_dir(&entry.map_err(BackupError::io("list", &blobs))?.path())?;
        }
        files::sync_dir(&blobs)
    }
}

/// Copies to the end; which of the two sides failed is told apart.
pub(super) fn pour(from: &mut impl Read, name: &Path, to: &mut impl Write) -> Result<(), BackupError> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(BackupError::io("read", name)(error)),
        };
        to.write_all(&piece[..read]).map_err(BackupError::io("copy", name))?;
    }
}

/// Counts and hashes what goes through.
pub(super) struct Hashing<W> {
    to: W,
    digest: sha2::Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, digest: sha2::Sha256::new(), size: 0 }
    }

    pub(super) fn finish(self) -> (Sha256, u64) {
        (Sha256(self.digest.finalize().into()), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A file that is being written.
pub(super) struct Draft<'a> {
    shelf: &'a Shelf,
    path: PathBuf,
    to: Hashing<BufWriter<File>>,
}

impl Write for Draft<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Draft<'_> {
    /// Gives it the name of its digest, on the disk; `None`, and it is gone, when another digest was wanted.
    pub(super) fn keep(mut self, wanted: Option<&Sha256>) -> Result<Option<Put>, BackupError> {
        self.to.flush().map_err(BackupError::io("write", &self.path))?;
        let size = self.to.size;
        let sha256 = Sha256(self.to.digest.finalize().into());
        let remove = || fs::remove_file(&self.path).map_err(BackupError::io("remove", &self.path));
        if wanted.is_some_and(|wanted| *wanted != sha256) {
            remove()?;
            return Ok(None);
        }
        if self.shelf.size_of(&sha256)? == Some(size) {
            remove()?;
            return Ok(Some(Put { sha256, size, is_new: false }));
        }
        self.to.to.get_ref().sync_all().map_err(BackupError::io("write", &self.path))?;
        let to = self.shelf.blob(&sha256);
        files::make_parent(&to, 0o700)?;
        fs::rename(&self.path, &to).map_err(BackupError::io("write", &to))?;
        Ok(Some(Put { sha256, size, is_new: true }))
    }

    /// Gives it a name of its own; the last step of a backup.
    pub(super) fn publish(mut self, to: &Path) -> Result<(), BackupError> {
        self.to.flush().map_err(BackupError::io("write", &self.path))?;
        self.to.to.get_ref().sync_all().map_err(BackupError::io("write", &self.path))?;
        fs::rename(&self.path, to).map_err(BackupError::io("write", to))?;
        files::sync_dir(&self.shelf.manifests())
    }
}
