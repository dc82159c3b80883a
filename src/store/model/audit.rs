//! What happened: events that are only ever added, and who downloaded how often.

use super::AuditId;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::store::table::{Index, Record, Table, record};

record! {
    /// Something that somebody did, or was refused.
    AuditEvent in AUDIT {
        /// When.
        at: UnixMillis,
        /// Tells apart what happened in one millisecond.
        id: AuditId,
        /// Who: `user:<id>`, `anonymous`, `system`.
        actor: String,
        /// What: `login`, `token.create` …
        kind: String,
        /// To what.
        target: String,
        /// From where.
        address: String,
        /// `ok`, or why not.
        result: String,
        /// A JSON object, opaque here; no secrets.
        detail: String,
    }
}

/// Of [`AuditEvent`].
pub static AUDIT: Table = Table {
    name: "audit",
    what: "audit event",
    taken: "this audit event",
    key: &["at", "id"],
    columns: AuditEvent::COLUMNS,
    indexes: &[
        Index { name: "audit_key", columns: &["at", "id"], unique: None },
        Index { name: "audit_actor", columns: &["actor", "at", "id"], unique: None },
        Index { name: "audit_kind", columns: &["kind", "at", "id"], unique: None },
    ],
    tracked: false,
    queue: false,
};

record! {
    /// How often somebody downloaded a file from one place on a day.
    Downloads in DOWNLOADS {
        /// What.
        sha256: Sha256,
        /// Under which name: `channel/subdir/file`.
        file: String,
        /// Days since 1970-01-01 (UTC).
        day: u32,
        /// Who: `user:<id>` or `anonymous`.
        actor: String,
        /// The id of the token that was shown; empty where there was none.
        token: String,
        /// From where: an address without its port.
        address: String,
        /// How often.
        count: u64,
    }
}

/// Of [`Downloads`].
pub static DOWNLOADS: Table = Table {
    name: "downloads",
    what: "counter",
    taken: "this counter",
    key: &["sha256", "file", "day", "actor", "token", "address"],
    columns: Downloads::COLUMNS,
    indexes: &[
        Index {
            name: "downloads_key",
            columns: &["sha256", "file", "day", "actor", "token", "address"],
            unique: None,
        },
        Index { name: "downloads_day", columns: &["day"], unique: None },
    ],
    tracked: false,
    queue: false,
};
