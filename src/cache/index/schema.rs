//! The tables of `cache.db` and their format number.
//!
//! Belongs here: creating and upgrading. Does not: queries.

use std::path::Path;

use rusqlite::Connection;

use crate::cache::error::CacheError;

/// Format of the tables below, kept in `user_version`.
pub(in crate::cache) const VERSION: i64 = 1;

/// `totals` is kept by triggers, so "how much is there" never scans, not at start nor after every fill.
const TABLES: &str = "
CREATE TABLE blobs (
    sha256 BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    ctime INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    last_use INTEGER NOT NULL,
    verified_at INTEGER NOT NULL,
    origin TEXT NOT NULL,
    md5 BLOB,
    pinned INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX blobs_by_use ON blobs (pinned, last_use);
CREATE INDEX blobs_by_verification ON blobs (verified_at);
CREATE INDEX blobs_by_md5 ON blobs (md5) WHERE md5 IS NOT NULL;
CREATE TABLE objects (
    key TEXT PRIMARY KEY,
    sha256 BLOB NOT NULL,
    plain INTEGER NOT NULL,
    etag TEXT,
    last_modified TEXT,
    content_type TEXT,
    stored_at INTEGER NOT NULL,
    checked_at INTEGER NOT NULL,
    lifetime TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX objects_by_blob ON objects (sha256);
CREATE TABLE totals (one INTEGER PRIMARY KEY CHECK (one = 1), blobs INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (1, 0, 0);
CREATE TRIGGER blobs_added AFTER INSERT ON blobs BEGIN
    UPDATE totals SET blobs = blobs + 1, bytes = bytes + NEW.size;
END;
CREATE TRIGGER blobs_removed AFTER DELETE ON blobs BEGIN
    UPDATE totals SET blobs = blobs - 1, bytes = bytes - OLD.size;
END;
CREATE TRIGGER blobs_resized AFTER UPDATE OF size ON blobs BEGIN
    UPDATE totals SET bytes = bytes - OLD.size + NEW.size;
END;
";

/// Sets a connection up. `synchronous=NORMAL` is enough: in WAL mode a power cut may lose the last rows but
/// never mixes them up, and a blob without a row is a miss that the scrub takes back in; nothing here was
/// promised to anyone.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.pragma_update(None, "journal_size_limit", 8 * 1024 * 1024)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Creates the tables in a new file; refuses a file of a newer condagate.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), CacheError> {
    let index = |source| CacheError::Index { path: path.to_owned(), source };
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(index)?;
    match found {
        VERSION => Ok(()),
        0 => {
            let transaction = connection.transaction().map_err(index)?;
            transaction.execute_batch(TABLES).map_err(index)?;
            transaction.pragma_update(None, "user_version", VERSION).map_err(index)?;
            transaction.commit().map_err(index)
        }
        _ => Err(CacheError::NewerIndex { path: path.to_owned(), found, known: VERSION }),
    }
}
