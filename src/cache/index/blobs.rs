//! Statements about blobs.

use rusqlite::{OptionalExtension, Transaction, params};

use super::rows::{self, BLOB_COLUMNS, BlobRow, ObjectRow};
use super::{Index, objects};
use crate::cache::error::CacheError;
use crate::cache::stamp::Stamp;
use crate::clock::UnixMillis;
use crate::conda::digest::{Md5, Sha256};

impl Index {
    pub(in crate::cache) fn blob(&self, digest: &Sha256) -> Result<Option<BlobRow>, CacheError> {
        self.read(|db| {
            db.prepare_cached(&format!("SELECT {BLOB_COLUMNS} FROM blobs WHERE sha256 = ?1"))?
                .query_row([digest.0], rows::blob)
                .optional()
        })
    }

    pub(in crate::cache) fn by_md5(&self, md5: &Md5) -> Result<Option<Sha256>, CacheError> {
        self.read(|db| {
            db.prepare_cached("SELECT sha256 FROM blobs WHERE md5 = ?1 LIMIT 1")?
                .query_row([md5.0], |row| row.get(0).map(Sha256))
                .optional()
        })
    }

    /// Adds or replaces a blob's row and, in the same transaction, the row of the key it came for.
    pub(in crate::cache) fn put(&self, blob: &BlobRow, object: Option<&ObjectRow>) -> Result<(), CacheError> {
        self.write(|db| {
            put_blob(db, blob)?;
            object.map_or(Ok(()), |object| objects::put(db, object))
        })
    }

    /// Records that the bytes were hashed and found right.
    pub(in crate::cache) fn verified(
        &self,
        digest: &Sha256,
        stamp: &Stamp,
        at: UnixMillis,
    ) -> Result<(), CacheError> {
        self.write(|db| {
            db.prepare_cached(
                "UPDATE blobs SET size = ?2, mtime = ?3, ctime = ?4, inode = ?5, verified_at = ?6 WHERE sha256 = ?1",
            )?
            .execute(params![
                digest.0,
                stamp.size.cast_signed(),
                stamp.mtime,
                stamp.ctime,
                stamp.inode.cast_signed(),
                at.0
            ])?;
            Ok(())
        })
    }

    /// Writes a batch of last-use times; older ones than stored change nothing.
    pub(in crate::cache) fn used(&self, uses: &[(Sha256, UnixMillis)]) -> Result<(), CacheError> {
        self.write(|db| {
            let mut statement =
                db.prepare_cached("UPDATE blobs SET last_use = ?2 WHERE sha256 = ?1 AND last_use < ?2")?;
            uses.iter().try_for_each(|(digest, at)| statement.execute(params![digest.0, at.0]).map(|_| ()))
        })
    }

    /// Keeps a blob from eviction and purge, or lets it go again; `false` when there is no such blob.
    pub(in crate::cache) fn pin(&self, digest: &Sha256, pinned: bool) -> Result<bool, CacheError> {
        self.write(|db| {
            let changed = db
                .prepare_cached("UPDATE blobs SET pinned = ?2 WHERE sha256 = ?1")?
                .execute(params![digest.0, pinned])?;
            Ok(changed > 0)
        })
    }

    /// Deletes the row of a blob and of every key that led to it, but only while it still is the version with
    /// `stamp`: a fill may have brought the file back meanwhile.
    pub(in crate::cache) fn remove_blob(&self, digest: &Sha256, stamp: &Stamp) -> Result<bool, CacheError> {
        self.write(|db| {
            let removed = db
                .prepare_cached("DELETE FROM blobs WHERE sha256 = ?1 AND inode = ?2 AND ctime = ?3")?
                .execute(params![digest.0, stamp.inode.cast_signed(), stamp.ctime])?;
            if removed > 0 {
                db.prepare_cached("DELETE FROM objects WHERE sha256 = ?1")?.execute([digest.0])?;
            }
            Ok(removed > 0)
        })
    }

    /// Unpinned blobs, least recently used first, after `(last use, digest)` of the last one seen.
    pub(in crate::cache) fn coldest(
        &self,
        after: Option<(UnixMillis, Sha256)>,
        limit: u32,
    ) -> Result<Vec<BlobRow>, CacheError> {
        let (time, digest) = after.map_or((i64::MIN, [0; 32]), |(time, digest)| (time.0, digest.0));
        self.read(|db| {
            db.prepare_cached(&format!(
                "SELECT {BLOB_COLUMNS} FROM blobs WHERE pinned = 0 AND (last_use, sha256) > (?1, ?2)
                 ORDER BY last_use, sha256 LIMIT ?3"
            ))?
            .query_map(params![time, digest, limit], rows::blob)?
            .collect()
        })
    }

    /// Blobs in digest order after `after`.
    pub(in crate::cache) fn page(
        &self,
        after: Option<&Sha256>,
        limit: u32,
    ) -> Result<Vec<BlobRow>, CacheError> {
        let after: &[u8] = after.map_or(&[], |digest| &digest.0);
        self.read(|db| {
            db.prepare_cached(&format!(
                "SELECT {BLOB_COLUMNS} FROM blobs WHERE sha256 > ?1 ORDER BY sha256 LIMIT ?2"
            ))?
            .query_map(params![after, limit], rows::blob)?
            .collect()
        })
    }

    /// Blobs last verified before `before`, longest ago first.
    pub(in crate::cache) fn unverified_since(
        &self,
        before: UnixMillis,
        limit: u32,
    ) -> Result<Vec<BlobRow>, CacheError> {
        self.read(|db| {
            db.prepare_cached(&format!(
                "SELECT {BLOB_COLUMNS} FROM blobs WHERE verified_at < ?1 ORDER BY verified_at LIMIT ?2"
            ))?
            .query_map(params![before.0, limit], rows::blob)?
            .collect()
        })
    }

    /// Number of blobs and their bytes.
    pub(in crate::cache) fn totals(&self) -> Result<(u64, u64), CacheError> {
        self.read(|db| {
            db.prepare_cached("SELECT blobs, bytes FROM totals")?.query_row([], |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
            })
        })
    }

    pub(in crate::cache) fn is_pinned(&self, digest: &Sha256) -> Result<bool, CacheError> {
        self.read(|db| {
            db.prepare_cached("SELECT 1 FROM blobs WHERE sha256 = ?1 AND pinned <> 0")?.exists([digest.0])
        })
    }
}

fn put_blob(db: &Transaction<'_>, blob: &BlobRow) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO blobs (sha256, size, mtime, ctime, inode, last_use, verified_at, origin, md5)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (sha256) DO UPDATE SET size = ?2, mtime = ?3, ctime = ?4, inode = ?5,
            last_use = max(last_use, ?6), verified_at = ?7, md5 = coalesce(?9, md5)",
    )?
    .execute(params![
        blob.sha256.0,
        blob.stamp.size.cast_signed(),
        blob.stamp.mtime,
        blob.stamp.ctime,
        blob.stamp.inode.cast_signed(),
        blob.last_use.0,
        blob.verified_at.0,
        blob.origin,
        blob.md5.map(|md5| md5.0),
    ])?;
    Ok(())
}
