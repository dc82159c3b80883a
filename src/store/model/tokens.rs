//! Tokens and sessions: secrets of users, known here by their digests only.

use serde::{Deserialize, Serialize};

use super::{SessionId, TokenId, UserId};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::policy::access::{Globs, Right, Scope};
use crate::store::table::{Index, Record, Table, record};
use crate::store::value::field;

/// As [`Scope`] is written in a column: unknown keys are refused, so that a newer restriction can't be overlooked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    right: String,
    channels: Vec<String>,
    packages: Vec<String>,
}

fn write(scopes: &[Scope]) -> String {
    let written = scopes.iter().map(|scope| Written {
        right: scope.right.as_str().to_owned(),
        channels: scope.channels.texts().to_vec(),
        packages: scope.packages.texts().to_vec(),
    });
    serde_json::json!(written.collect::<Vec<_>>()).to_string()
}

fn read(text: &str) -> Option<Vec<Scope>> {
    let written: Vec<Written> = serde_json::from_str(text).ok()?;
    let scope = |w: Written| {
        let (channels, packages) = (Globs::channels(w.channels), Globs::packages(w.packages));
        Some(Scope { right: Right::read(&w.right)?, channels, packages })
    };
    written.into_iter().map(scope).collect()
}

field!(Vec<Scope>, Text, |v| write(v), |v| read(&v));

record! {
    /// A token for the API and for clients.
    Token in TOKENS {
        /// Public; people find a token by the beginning of it.
        id: TokenId,
        /// SHA-256 of the secret, unique.
        hash: Sha256,
        /// Whose.
        owner: UserId,
        /// For people; not unique.
        name: String,
        /// What for; empty for nothing at all.
        scopes: Vec<Scope>,
        /// When.
        created: UnixMillis,
        /// Good until then; none for ever.
        expires: Option<UnixMillis>,
        /// No longer good since then.
        revoked: Option<UnixMillis>,
        /// Written in batches, so some minutes late; gates don't follow it.
        last_use: Option<UnixMillis>,
        /// The token that takes its place.
        successor: Option<TokenId>,
        /// Starts with 1 and grows with every change except that of `last_use`.
        revision: u64,
    }
}

/// Of [`Token`].
pub static TOKENS: Table = Table {
    name: "tokens",
    what: "token",
    taken: "a token with this id",
    key: &["id"],
    columns: Token::COLUMNS,
    indexes: &[
        Index { name: "tokens_hash", columns: &["hash"], unique: Some("a token with this secret") },
        Index { name: "tokens_owner", columns: &["owner", "id"], unique: None },
        Index { name: "tokens_changed", columns: &["changed"], unique: None },
    ],
    tracked: true,
    queue: false,
};

record! {
    /// Somebody who logged in.
    Session in SESSIONS {
        /// Public.
        id: SessionId,
        /// SHA-256 of the secret, unique.
        hash: Sha256,
        /// Who.
        user: UserId,
        /// When.
        created: UnixMillis,
        /// Good until then.
        expires: UnixMillis,
        /// Written in batches.
        last_use: UnixMillis,
        /// From where.
        address: String,
        /// With what, as it said.
        agent: String,
    }
}

/// Of [`Session`].
pub static SESSIONS: Table = Table {
    name: "sessions",
    what: "session",
    taken: "a session with this id",
    key: &["id"],
    columns: Session::COLUMNS,
    indexes: &[
        Index { name: "sessions_hash", columns: &["hash"], unique: Some("a session with this secret") },
        Index { name: "sessions_user", columns: &["user", "id"], unique: None },
        Index { name: "sessions_expires", columns: &["expires"], unique: None },
    ],
    tracked: false,
    queue: false,
};
