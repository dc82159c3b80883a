//! What can be wrong with sharded repodata.

use std::io;
use std::path::PathBuf;

/// Why a shard, a shard index or the making of shards failed.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The zstd data is broken or cut.
    #[error("the zstd data is {0}")]
    Packed(String),
    /// More than any client takes.
    #[error("unpacked it has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Not the MessagePack it should be, from byte `at` of the unpacked data on.
    #[error("the MessagePack data is wrong at byte {at}: {what}")]
    Malformed {
        /// Offset in the unpacked data.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Well-formed, but without something every client needs.
    #[error("it has no `{key}`")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// It belongs to another subdir.
    #[error("it is for subdir `{found}`, but `{wanted}` was asked")]
    NotThisSubdir {
        /// What it says.
        found: String,
        /// What was asked.
        wanted: String,
    },
    /// The generation that shards were to be made of is damaged.
    #[error("the generation is damaged: {what}")]
    Generation {
        /// What does not fit.
        what: &'static str,
    },
    /// The gate's own disk.
    #[error("can't {action} {path}: {source}")]
    Io {
        /// `read`, `write`, …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}
