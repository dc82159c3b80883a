//! Keys that sign access tokens.

use super::KeyId;
use crate::clock::UnixMillis;
use crate::secret::Secret;
use crate::store::table::{Index, Record, Table, record};

record! {
    /// A key pair of all gates of a store: what one signs the others accept.
    SigningKey in KEYS {
        /// The `kid` of tokens.
        id: KeyId,
        /// Opaque text of `auth`: the pair.
        secret: Secret<String>,
        /// When; the youngest signs.
        created: UnixMillis,
        /// Accepted until then.
        ends: UnixMillis,
    }
}

/// Of [`SigningKey`].
pub static KEYS: Table = Table {
    name: "keys",
    what: "key",
    taken: "a key with this id",
    key: &["id"],
    columns: SigningKey::COLUMNS,
    indexes: &[Index { name: "keys_ends", columns: &["ends"], unique: None }],
    tracked: false,
    queue: false,
};
