//! Rows of `cache.db` as values.
//!
//! SQLite integers are signed 64-bit; sizes and inodes are stored bit for bit (`cast_signed`), which is lossless.

use rusqlite::Row;
use rusqlite::types::Type;

use crate::cache::object::ObjectMeta;
use crate::cache::source::Validators;
use crate::cache::stamp::Stamp;
use crate::clock::UnixMillis;
use crate::conda::digest::{Md5, Sha256};

/// One blob.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cache) struct BlobRow {
    pub(in crate::cache) sha256: Sha256,
    pub(in crate::cache) stamp: Stamp,
    pub(in crate::cache) last_use: UnixMillis,
    pub(in crate::cache) verified_at: UnixMillis,
    /// The key whose fill brought it in.
    pub(in crate::cache) origin: String,
    /// Known when the record that verified it had nothing better.
    pub(in crate::cache) md5: Option<Md5>,
}

/// One key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cache) struct ObjectRow {
    pub(in crate::cache) key: String,
    pub(in crate::cache) sha256: Sha256,
    /// Whether the key is the file's only identity (installer, notice), rather than a package's URL.
    pub(in crate::cache) plain: bool,
    pub(in crate::cache) meta: ObjectMeta,
}

pub(super) const BLOB_COLUMNS: &str = "sha256, size, mtime, ctime, inode, last_use, verified_at, origin, md5";
pub(super) const OBJECT_COLUMNS: &str =
    "key, sha256, plain, etag, last_modified, content_type, stored_at, checked_at, lifetime";

pub(super) fn blob(row: &Row<'_>) -> rusqlite::Result<BlobRow> {
    Ok(BlobRow {
        sha256: Sha256(row.get(0)?),
        stamp: Stamp {
            size: row.get::<_, i64>(1)?.cast_unsigned(),
            mtime: row.get(2)?,
            ctime: row.get(3)?,
            inode: row.get::<_, i64>(4)?.cast_unsigned(),
        },
        last_use: UnixMillis(row.get(5)?),
        verified_at: UnixMillis(row.get(6)?),
        origin: row.get(7)?,
        md5: row.get::<_, Option<[u8; 16]>>(8)?.map(Md5),
    })
}

pub(super) fn object(row: &Row<'_>) -> rusqlite::Result<ObjectRow> {
    let lifetime: String = row.get(8)?;
    let lifetime = serde_json::from_str(&lifetime)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(8, Type::Text, error.into()))?;
    Ok(ObjectRow {
        key: row.get(0)?,
        sha256: Sha256(row.get(1)?),
        plain: row.get(2)?,
        meta: ObjectMeta {
            validators: Validators { etag: row.get(3)?, last_modified: row.get(4)? },
            content_type: row.get(5)?,
            stored_at: UnixMillis(row.get(6)?),
            checked_at: UnixMillis(row.get(7)?),
            lifetime,
        },
    })
}
