//! What can go wrong with backups, as sentences.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::StoreError;
use crate::store::dump::DumpError;

/// Why a backup was not made, checked or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The disk.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// A verb.
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else writes into it.
    #[error("somebody else is writing into `{}`; wait until that is over", .0.display())]
    Busy(PathBuf),
    /// There is something else.
    #[error("`{}` has other files in it and no backup; give an empty directory, or one with backups of this gate", .0.display())]
    NotABackup(PathBuf),
    /// There is nothing to restore.
    #[error("there is no backup in `{}`", .0.display())]
    Nothing(PathBuf),
    /// Another one was meant.
    #[error("there is no backup `{id}` in `{}`; `condagate backup list` says which there are", dir.display())]
    NoSuch {
        /// What was asked for.
        id: String,
        /// Where.
        dir: PathBuf,
    },
    /// A newer condagate made it.
    #[error("the backup has format {found}, this condagate knows up to {known}; run the newer version")]
    Newer {
        /// Of the backup.
        found: u64,
        /// The newest known here.
        known: u64,
    },
    /// Something is not as it was written.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// A file whose name can't be written down.
    #[error("the name of `{}` is not UTF-8; rename the file", .0.display())]
    Name(PathBuf),
    /// A place that was to be empty.
    #[error(
        "`{}` is not empty; a backup is restored into an empty data directory only, so that nothing is lost or mixed",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// An earlier restore ended in the middle.
    #[error("an earlier restore into `{}` was not finished; remove what is in that directory, and restore again", .0.display())]
    Unfinished(PathBuf),
    /// A file of rules or settings.
    #[error("`{}` is there already and says something else than the backup; take it away, or name another directory", .0.display())]
    Differs(PathBuf),
    /// Two files of settings would become one.
    #[error("the backup has two files of settings that are called `{0}`; take them out of it by hand")]
    Twice(String),
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Its dump.
    #[error("{0}")]
    Dump(#[from] DumpError),
}

impl BackupError {
    /// For `map_err`.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}
