//! What is stored: one struct per kind of thing, plain values.
//!
//! Belongs here: the structs, their tables, rules that need nothing but the value. Does not: queries (`repo`), what a
//! right or a state allows (services).

mod audit;
mod channels;
mod ids;
mod jobs;
mod keys;
mod people;
mod tokens;
mod traffic;

pub use audit::{AUDIT, AuditEvent, DOWNLOADS, Downloads};
pub use channels::{CHANNELS, Channel, HEADS, Head, PACKAGES, Package, PackageState};
pub use ids::{AuditId, ChannelId, GrantId, GroupId, JobId, KeyId, SessionId, TokenId, UserId};
pub use jobs::{JOBS, Job, JobState, back_off};
pub use keys::{KEYS, SigningKey};
pub use people::{GRANTS, GROUPS, Grant, Group, MEMBERS, Member, Subject, USERS, User};
pub use tokens::{SESSIONS, Session, TOKENS, Token};
pub use traffic::{Span, TRAFFIC, Traffic};

pub use crate::policy::access::{Right, Scope};

use super::table::{Index, Table, record};

/// Every table, in the order of a dump.
pub static TABLES: &[&Table] = &[
    &USERS, &GROUPS, &MEMBERS, &GRANTS, &TOKENS, &SESSIONS, &KEYS, &CHANNELS, &PACKAGES, &HEADS, &DOWNLOADS,
    &TRAFFIC, &AUDIT, &JOBS, &GONE,
];

record! {
    /// A row of a tracked table that was removed: gates that have it in memory must learn that.
    Gone in GONE {
        /// Name of the table.
        source: String,
        /// Of the row, as [`Table::key_text`] writes it.
        id: String,
        /// See [`crate::store::engine`].
        changed: i64,
    }
}

/// Of [`Gone`].
pub static GONE: Table = Table {
    name: "gone",
    what: "removed row",
    taken: "a removed row with this key",
    key: &["source", "id"],
    columns: <Gone as super::table::Record>::COLUMNS,
    indexes: &[Index { name: "gone_changed", columns: &["changed"], unique: None }],
    tracked: false,
    queue: false,
};
