//! Statements about keys.

use rusqlite::types::ToSqlOutput;
use rusqlite::{OptionalExtension, ToSql, Transaction, params};

use super::Index;
use super::rows::{self, OBJECT_COLUMNS, ObjectRow};
use crate::cache::error::CacheError;
use crate::cache::freshness::Lifetime;
use crate::conda::digest::Sha256;

struct AsJson<'a>(&'a Lifetime);

impl ToSql for AsJson<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        serde_json::to_string(self.0)
            .map(Into::into)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

pub(super) fn put(db: &Transaction<'_>, object: &ObjectRow) -> rusqlite::Result<()> {
    db.prepare_cached(&format!(
        "INSERT OR REPLACE INTO objects ({OBJECT_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
    ))?
    .execute(params![
        object.key,
        object.sha256.0,
        object.plain,
        object.meta.validators.etag,
        object.meta.validators.last_modified,
        object.meta.content_type,
        object.meta.stored_at.0,
        object.meta.checked_at.0,
        AsJson(&object.meta.lifetime),
    ])?;
    Ok(())
}

impl Index {
    pub(in crate::cache) fn object(&self, key: &str) -> Result<Option<ObjectRow>, CacheError> {
        self.read(|db| {
            db.prepare_cached(&format!("SELECT {OBJECT_COLUMNS} FROM objects WHERE key = ?1"))?
                .query_row([key], rows::object)
                .optional()
        })
    }

    pub(in crate::cache) fn put_object(&self, object: &ObjectRow) -> Result<(), CacheError> {
        self.write(|db| put(db, object))
    }

    /// Deletes the rows of `key`, or of every key that starts with it; returns the keys and the blobs that no
    /// other key leads to any more.
    pub(in crate::cache) fn remove_keys(
        &self,
        key: &str,
        prefix: bool,
    ) -> Result<(Vec<String>, Vec<Sha256>), CacheError> {
        let condition = if prefix { "substr(key, 1, length(?1)) = ?1 AND key >= ?1" } else { "key = ?1" };
        self.write(|db| {
            let found: Vec<(String, Sha256)> = db
                .prepare(&format!("DELETE FROM objects WHERE {condition} RETURNING key, sha256"))?
                .query_map([key], |row| Ok((row.get(0)?, Sha256(row.get(1)?))))?
                .collect::<rusqlite::Result<_>>()?;
            let mut digests: Vec<Sha256> = found.iter().map(|(_, digest)| *digest).collect();
            digests.sort_unstable();
            digests.dedup();
            let mut wanted = db.prepare_cached("SELECT 1 FROM objects WHERE sha256 = ?1 LIMIT 1")?;
            let mut orphans = Vec::new();
            for digest in digests {
                if !wanted.exists([digest.0])? {
                    orphans.push(digest);
                }
            }
            Ok((found.into_iter().map(|(key, _)| key).collect(), orphans))
        })
    }
}
