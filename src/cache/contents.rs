//! What is inside kept packages, for searching and showing: `hosted/contents.db`.
//!
//! All of it can be read from the packages again, so nothing here is flushed, and a damaged file is begun anew.
//!
//! Belongs here: rows of files in packages and of what packages say about themselves. Does not: reading packages (`channel::inspect`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use super::Cache;
use super::error::CacheError;
use crate::conda::digest::Sha256;

/// Also the version of what is kept: another number begins anew.
const SCHEMA: i64 = 1;

const TABLES: &str = "
CREATE TABLE packages (id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, about TEXT NOT NULL);
CREATE TABLE files (package INTEGER NOT NULL, path TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (package, path)) WITHOUT ROWID;
CREATE INDEX files_path ON files (path);
CREATE INDEX files_name ON files (name);
";

/// Which files are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileQuery {
    /// This path.
    Path(String),
    /// Paths that match a glob as SQLite has it (`*`, `?`, `[…]`).
    Glob(String),
    /// The last component.
    Name(String),
}

/// The database; opened when it is first needed.
pub(super) struct Contents {
    path: PathBuf,
    db: Mutex<Option<Connection>>,
    closed: AtomicBool,
}

impl Contents {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, db: Mutex::new(None), closed: AtomicBool::new(false) }
    }

    /// Lets go of the file, for good.
    pub(super) fn close(&self) {
        let mut db = self.db.lock();
        self.closed.store(true, Ordering::SeqCst);
        *db = None;
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, CacheError> {
        let mut db = self.db.lock();
        if self.closed.load(Ordering::SeqCst) {
            return Err(CacheError::Stopping);
        }
        let fault = |source| CacheError::Index { path: self.path.clone(), source };
        let connection = match &mut *db {
            Some(connection) => connection,
            none => none.insert(open(&self.path).map_err(fault)?),
        };
        work(connection).map_err(fault)
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    if let Some(dir) = path.parent() {
        // Where that fails, opening does, and says why.
        let _made = std::fs::create_dir_all(dir);
    }
    match prepared(path) {
        Err(error) if is_damaged(&error) => {
            tracing::warn!(%error, file = %path.display(), "what is known of the contents of packages is damaged and is gathered anew");
            for ending in ["", "-wal", "-shm"] {
                let mut name = path.as_os_str().to_owned();
                name.push(ending);
                // What can't be removed fails again below.
                let _gone = std::fs::remove_file(name);
            }
            prepared(path)
        }
        other => other,
    }
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

fn prepared(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "OFF")?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found != SCHEMA {
        db.execute_batch("DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS packages;")?;
        db.execute_batch(TABLES)?;
        db.pragma_update(None, "user_version", SCHEMA)?;
    }
    Ok(db)
}

impl Cache {
    /// Notes what is in a kept package: what it says of itself, as JSON, and its files.
    ///
    /// # Errors
    /// The database can't be written; nothing but searching suffers.
    pub async fn note_contents(
        &self,
        digest: Sha256,
        about: String,
        files: Vec<String>,
    ) -> Result<(), CacheError> {
        self.on_pool(move |inner| {
            inner.contents.with(|db| {
                let change = db.transaction()?;
                forget(&change, &digest)?;
                change.execute(
                    "INSERT INTO packages (sha256, about) VALUES (?1, ?2)",
                    params![digest.0, about],
                )?;
                let package = change.last_insert_rowid();
                {
                    let mut add = change.prepare_cached(
                        "INSERT OR IGNORE INTO files (package, path, name) VALUES (?1, ?2, ?3)",
                    )?;
                    for path in &files {
                        let name = path.rsplit('/').next().unwrap_or(path);
                        add.execute(params![package, path, name])?;
                    }
                }
                change.commit()
            })
        })
        .await?
    }

    /// What a kept package says of itself; `None` where nothing was noted.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn noted_about(&self, digest: Sha256) -> Result<Option<String>, CacheError> {
        self.on_pool(move |inner| {
            inner.contents.with(|db| {
                db.prepare_cached("SELECT about FROM packages WHERE sha256 = ?1")?
                    .query_row([digest.0], |row| row.get(0))
                    .optional()
            })
        })
        .await?
    }

    /// Of which of these packages it is noted what is in them.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn noted_among(&self, digests: Vec<Sha256>) -> Result<BTreeSet<Sha256>, CacheError> {
        self.on_pool(move |inner| {
            inner.contents.with(|db| {
                let mut known = db.prepare_cached("SELECT 1 FROM packages WHERE sha256 = ?1")?;
                let mut noted = BTreeSet::new();
                for digest in digests {
                    if known.exists([digest.0])? {
                        noted.insert(digest);
                    }
                }
                Ok(noted)
            })
        })
        .await?
    }

    /// Forgets what is in a package.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn forget_contents(&self, digest: Sha256) -> Result<(), CacheError> {
        self.on_pool(move |inner| inner.contents.with(|db| forget(db, &digest))).await?
    }

    /// Packages with a file, and its path; in the order of paths, at most `limit` behind the first `skip`.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn packages_with_file(
        &self,
        query: FileQuery,
        (skip, limit): (u32, u32),
    ) -> Result<Vec<(Sha256, String)>, CacheError> {
        let (condition, text) = match query {
            FileQuery::Path(text) => ("files.path = ?1", text),
            FileQuery::Glob(text) => ("files.path GLOB ?1", text),
            FileQuery::Name(text) => ("files.name = ?1", text),
        };
        self.on_pool(move |inner| {
            inner.contents.with(|db| {
                let sql = format!(
                    "SELECT packages.sha256, files.path FROM files JOIN packages ON packages.id = files.package
                     WHERE {condition} ORDER BY files.path, packages.id LIMIT ?2 OFFSET ?3"
                );
                db.prepare_cached(&sql)?
                    .query_map(params![text, limit, skip], |row| Ok((Sha256(row.get(0)?), row.get(1)?)))?
                    .collect()
            })
        })
        .await?
    }
}

fn forget(db: &Connection, digest: &Sha256) -> rusqlite::Result<()> {
    let of = "(SELECT id FROM packages WHERE sha256 = ?1)";
    db.execute(&format!("DELETE FROM files WHERE package IN {of}"), [digest.0])?;
    db.execute("DELETE FROM packages WHERE sha256 = ?1", [digest.0])?;
    Ok(())
}
