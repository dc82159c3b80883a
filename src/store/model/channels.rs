//! Hosted channels, their packages, and which index of theirs is in force.

use super::{ChannelId, UserId};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::store::table::{Index, Record, Table, record};
use crate::store::value::field;

record! {
    /// A channel that the gate hosts. A deleted one keeps its name: it must never be answered from an upstream.
    Channel in CHANNELS {
        /// Never used twice.
        id: ChannelId,
        /// Unique, deleted ones included.
        name: String,
        /// Whose.
        owner: UserId,
        /// Whether everybody may read.
        public: bool,
        /// For people.
        description: String,
        /// Most bytes of packages; none for no limit.
        quota: Option<u64>,
        /// A JSON object, opaque here.
        settings: String,
        /// When.
        created: UnixMillis,
        /// Not served since then.
        deleted_at: Option<UnixMillis>,
        /// Starts with 1 and grows with every change.
        revision: u64,
    }
}

/// Of [`Channel`].
pub static CHANNELS: Table = Table {
    name: "channels",
    what: "channel",
    taken: "a channel with this id",
    key: &["id"],
    columns: Channel::COLUMNS,
    indexes: &[
        Index { name: "channels_name", columns: &["name"], unique: Some("a channel with this name") },
        Index { name: "channels_changed", columns: &["changed"], unique: None },
    ],
    tracked: true,
    queue: false,
};

/// Whether a package is offered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PackageState {
    /// In the index.
    Listed,
    /// Not in the index, downloaded all the same by who knows its name.
    Yanked,
    /// Neither.
    Deleted,
}

impl PackageState {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Yanked => "yanked",
            Self::Deleted => "deleted",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Listed, Self::Yanked, Self::Deleted].into_iter().find(|state| state.as_str() == text)
    }
}

field!(PackageState, Text, |v| v.as_str().to_owned(), |v| Self::read(&v));

record! {
    /// A file of a hosted channel.
    Package in PACKAGES {
        /// Where.
        channel: ChannelId,
        /// As in `linux-64`.
        subdir: String,
        /// File name.
        file: String,
        /// Of its bytes.
        sha256: Sha256,
        /// Bytes.
        size: u64,
        /// Its record in `repodata.json`: a JSON object.
        record: Vec<u8>,
        /// Sorted; empty for the main label only.
        labels: Vec<String>,
        /// Whether it is offered.
        state: PackageState,
        /// By whom.
        uploaded_by: UserId,
        /// When.
        uploaded_at: UnixMillis,
        /// Starts with 1 and grows with every change.
        revision: u64,
        /// Of the package: what the file name begins with.
        name: String,
        /// When labels or state changed last.
        changed_at: UnixMillis,
        /// Of the array of attestations (CEP 50) that is kept for it.
        attestations: Option<Sha256>,
    }
}

/// Of [`Package`].
pub static PACKAGES: Table = Table {
    name: "packages",
    what: "package",
    taken: "a package with this file name",
    key: &["channel", "subdir", "file"],
    columns: Package::COLUMNS,
    indexes: &[
        Index { name: "packages_key", columns: &["channel", "subdir", "file"], unique: None },
        Index { name: "packages_digest", columns: &["sha256"], unique: None },
        Index { name: "packages_name", columns: &["channel", "name"], unique: None },
        Index { name: "packages_attestations", columns: &["attestations"], unique: None },
        Index { name: "packages_changed", columns: &["changed"], unique: None },
        Index { name: "packages_place", columns: &["channel", "subdir", "changed"], unique: None },
    ],
    tracked: true,
    queue: false,
};

record! {
    /// Which generation of an index is in force.
    Head in HEADS {
        /// Of which channel, by name: proxied ones have heads too.
        channel: String,
        /// As in `noarch`.
        subdir: String,
        /// The generation.
        generation: String,
        /// Since when.
        since: UnixMillis,
    }
}

/// Of [`Head`].
pub static HEADS: Table = Table {
    name: "heads",
    what: "head",
    taken: "a head of this index",
    key: &["channel", "subdir"],
    columns: Head::COLUMNS,
    indexes: &[Index { name: "heads_key", columns: &["channel", "subdir"], unique: None }],
    tracked: false,
    queue: false,
};
