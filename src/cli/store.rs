//! The store that the settings name, for commands that work on it themselves.
//!
//! Belongs here: opening it, the runtime for that. Does not: what is done with it.

use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::runtime::{Builder, Handle};

use crate::app::convert::mongodb;
use crate::config::Config;
use crate::store::mongo::Mongo;
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};

/// Why it could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("there is no store at {} yet; `condagate db setup --execute` makes an empty one", .0.display())]
    Nothing(PathBuf),
    #[error(
        "{} belongs to another account (uid {uid}), and a store made by this one would be closed to its gate; run the \
         command as that account, such as `sudo -u '#{uid}' condagate …`",
        dir.display()
    )]
    Foreign { dir: PathBuf, uid: u32 },
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// Runs something that needs a store.
pub(super) fn block_on<T, E: From<OpenError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(OpenError::Runtime)?;
    runtime.block_on(work)
}

/// The store; a SQLite file is made where there is none.
pub(super) async fn open(config: &Config) -> Result<Store, OpenError> {
    if let Some(settings) = mongodb(config) {
        return Ok(Store::new(Mongo::open(&settings).await?));
    }
    let file = config.store_file();
    if !file.exists() {
        is_ours(&config.data)?;
    }
    Ok(Store::new(Sqlite::open(&file, Handle::current())?))
}

/// The same, but nothing is made.
pub(super) async fn existing(config: &Config) -> Result<Store, OpenError> {
    let file = config.store_file();
    if config.store.is_none() && !file.exists() {
        return Err(OpenError::Nothing(file));
    }
    open(config).await
}

/// Only root can write into a directory of somebody else's and leave a file there that its owner can't read.
pub(super) fn is_ours(dir: &Path) -> Result<(), OpenError> {
    let me = rustix::process::geteuid();
    match dir.metadata() {
        Ok(meta) if me.is_root() && meta.uid() != me.as_raw() => {
            Err(OpenError::Foreign { dir: dir.to_owned(), uid: meta.uid() })
        }
        _ => Ok(()),
    }
}
