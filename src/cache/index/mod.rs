//! `cache.db`: one row per blob and per key, so that start-up scans nothing and eviction is a query.
//!
//! Belongs here: the connections and every SQL statement. Does not: files (`blobs`), policy of any kind.
//!
//! Two connections, each behind a mutex: WAL lets the reader go on while the writer commits, and every
//! statement is a handful of index lookups (tens of microseconds), so a pool would only cost memory.

mod blobs;
mod objects;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction};

pub(super) use rows::{BlobRow, ObjectRow};
pub(super) use schema::VERSION;

use super::error::CacheError;
use super::ops::{FileOp, Ops};

/// The index of one package directory.
pub(super) struct Index {
    path: PathBuf,
    reader: Mutex<Connection>,
    writer: Mutex<Connection>,
    ops: Ops,
    closed: AtomicBool,
}

impl Index {
    /// Opens or creates `path`.
    pub(super) fn open(path: &Path, ops: Ops) -> Result<Self, CacheError> {
        let index = |source| CacheError::Index { path: path.to_owned(), source };
        ops.step(FileOp::Create, path).map_err(CacheError::io("create", path))?;
        let mut writer = Connection::open(path).map_err(index)?;
        schema::configure(&writer).map_err(index)?;
        ops.step(FileOp::Commit, path).map_err(CacheError::io("write", path))?;
        schema::prepare(&mut writer, path)?;
        let reader = Connection::open(path).map_err(index)?;
        schema::configure(&reader).map_err(index)?;
        Ok(Self {
            path: path.to_owned(),
            reader: Mutex::new(reader),
            writer: Mutex::new(writer),
            ops,
            closed: AtomicBool::new(false),
        })
    }

    /// Lets go of the file: whoever asks from now on is told that the end has come.
    pub(super) fn close(&self) -> rusqlite::Result<()> {
        self.closed.store(true, Ordering::SeqCst);
        for connection in [&self.writer, &self.reader] {
            let nothing = Connection::open_in_memory()?;
            let open = std::mem::replace(&mut *connection.lock(), nothing);
            open.close().map_err(|(_, error)| error)?;
        }
        Ok(())
    }

    fn open_still(&self) -> Result<(), CacheError> {
        if self.closed.load(Ordering::SeqCst) { Err(CacheError::Stopping) } else { Ok(()) }
    }

    fn fault(&self, source: rusqlite::Error) -> CacheError {
        CacheError::Index { path: self.path.clone(), source }
    }

    fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CacheError> {
        let reader = self.reader.lock();
        self.open_still()?;
        query(&reader).map_err(|error| self.fault(error))
    }

    /// Runs `change` in one transaction.
    fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, CacheError> {
        self.ops.step(FileOp::Commit, &self.path).map_err(CacheError::io("write", &self.path))?;
        let mut writer = self.writer.lock();
        self.open_still()?;
        let run = || {
            let transaction = writer.transaction()?;
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|error| self.fault(error))
    }
}
