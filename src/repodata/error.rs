//! What can go wrong in this room.
//!
//! Belongs here: [`BuildError`], which every use case of the room returns. Narrower errors stand beside what they are about:
//! [`ScanError`], [`TableError`], [`ShardError`].

use std::io;
use std::path::{Path, PathBuf};

use super::scan::ScanError;
use super::shards::ShardError;
use super::table::TableError;

/// Why no generation, or no document of one, could be made. What was served before stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The document itself is wrong: broken, cut, too big, or not repodata. Upstream's fault.
    #[error("upstream's index can't be used: {0}")]
    Document(#[from] ScanError),
    /// The packing is broken or does not end where the file ends. Upstream's fault.
    #[error("upstream's index can't be unpacked: the {packing} data is {what}")]
    Packed {
        /// `zstd` or `bzip2`.
        packing: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// More bytes, or more bytes for each packed byte, than an honest index has. Upstream's fault.
    #[error("upstream's index can't be used: unpacked it has more than {limit} bytes, which is {why}")]
    TooLarge {
        /// Where unpacking was given up.
        limit: u64,
        /// Which limit that is.
        why: &'static str,
    },
    /// More records than the gate indexes. Upstream's fault.
    #[error("upstream's index has more than {limit} records")]
    TooManyRecords {
        /// The limit.
        limit: usize,
    },
    /// `info.subdir` names another subdir than the one asked for. Upstream's fault.
    #[error("upstream's index is for subdir `{found}`, but `{wanted}` was asked")]
    NotThisSubdir {
        /// What it says.
        found: String,
        /// What was asked.
        wanted: String,
    },
    /// `info` or `repodata_version` has a form no client knows. Upstream's fault.
    #[error("upstream's index can't be used: {what}")]
    Unknown {
        /// What is not known.
        what: String,
    },
    /// A document fetched later is from another moment than the generation: to clients it does not exist (404).
    #[error("upstream's {document} does not agree with the repodata of this generation: {what}")]
    Disagrees {
        /// File name of the document.
        document: &'static str,
        /// The first difference.
        what: String,
    },
    /// Working out the current records takes more steps than for any honest channel. Upstream's fault.
    #[error(
        "the dependencies in upstream's index are too tangled to make current_repodata.json of it; use repodata.json"
    )]
    TooTangled,
    /// This document can't be attached to a generation.
    #[error("{document} is made by the gate itself and can't be attached")]
    NotAttachable {
        /// File name of the document.
        document: &'static str,
    },
    /// The shards of a generation could not be made.
    #[error("the shards could not be made: {0}")]
    Shards(#[from] ShardError),
    /// A package table that was just written, or belongs to a generation, can't be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The file of first sightings is damaged. Not upstream's fault.
    #[error("the first sightings in {path} are damaged: {what}")]
    Sightings {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// A file of a generation is not what was written. Not upstream's fault.
    #[error("a generation is damaged: {path} is not what was written")]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The gate's own disk: full, read-only, or a file is gone. Not upstream's fault.
    #[error("can't {action} {path}: {source}")]
    Io {
        /// `read`, `write`, `rename`, …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl BuildError {
    /// Whether upstream sent something bad (and may send something better), rather than the gate failing on its own.
    pub const fn is_upstreams_fault(&self) -> bool {
        !matches!(
            self,
            Self::Io { .. }
                | Self::Sightings { .. }
                | Self::Damaged { .. }
                | Self::Table(_)
                | Self::NotAttachable { .. }
                | Self::Shards(ShardError::Io { .. })
        )
    }

    /// For `map_err` on file operations.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
