//! What can go wrong in the cache, as sentences.
//!
//! Belongs here: the room's error types. Does not: status codes (`proxy`), retry rules (`fill::retry`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::conda::digest::{Md5, Sha256};

/// The cache as a whole can't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Another process holds the directory.
    #[error(
        "another condagate process is using the package directory {}; stop it, or give this one its own --data directory",
        .0.display()
    )]
    Locked(PathBuf),
    /// A file or directory could not be read or changed.
    #[error("cannot {doing} {}: {source}; check that the disk is writable and has room", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `cache.db` can't be used.
    #[error("the cache index {} cannot be used: {source}; move it aside and start again, then run `condagate cache verify` to take the files back in", path.display())]
    Index {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// `cache.db` was written by a newer condagate.
    #[error("the cache index {} has format {found}, this condagate knows up to {known}; run the newer version or move the file aside", path.display())]
    NewerIndex {
        /// The database file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// A background thread ended without an answer; the gate is being stopped.
    #[error("the cache is stopping")]
    Stopping,
}

impl CacheError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }

    /// Whether the disk has no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_full(source),
            Self::Index { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            _ => false,
        }
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A file could not be brought into the cache. Cheap to clone: every follower gets one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FillError {
    /// Upstream did not give the file.
    #[error("{0}")]
    Source(Arc<SourceError>),
    /// The bytes are not the ones the index lists.
    #[error(
        "the file from upstream has digest {got}, the channel's index lists {expected}; nothing was kept"
    )]
    DigestMismatch {
        /// From the index.
        expected: AnyDigest,
        /// Of the bytes that came.
        got: AnyDigest,
    },
    /// The number of bytes is not the one the index or upstream announced.
    #[error("the file from upstream has {got} bytes where {expected} were announced; nothing was kept")]
    WrongLength {
        /// Announced by the index or by Content-Length.
        expected: u64,
        /// Received (at least).
        got: u64,
    },
    /// Upstream's file became another one while it was being fetched.
    #[error("the file changed at upstream while it was being fetched; asking again starts anew")]
    Changed,
    /// The whole file came, but no index told its digest in time.
    #[error(
        "the file arrived, but the channel's index did not tell its digest within {} s, so it can't be trusted",
        .0.as_secs()
    )]
    NeverLearned(Duration),
    /// The file can't be stored or read back.
    #[error("the cache can't store the file: {0}")]
    Disk(Arc<str>),
    /// A rule, asked meanwhile, does not let it through.
    #[error("{why}")]
    Refused {
        /// Which rule, as people are told about it.
        rule: Arc<str>,
        /// The sentence.
        why: Arc<str>,
    },
    /// No index could be had to verify the file against.
    #[error("{0}")]
    Unverifiable(Arc<str>),
    /// No room, even after evicting what could go.
    #[error(
        "the cache has no room for {needed} more bytes: {free} are free and {keep} must stay free; make room or lower keep_free"
    )]
    NoRoom {
        /// Bytes still to come.
        needed: u64,
        /// Bytes free on the file system.
        free: u64,
        /// Bytes that must stay free.
        keep: u64,
    },
    /// The gate is being stopped, or the fill's task died.
    #[error("the download was given up because the gate is stopping")]
    Stopped,
}

impl FillError {
    pub(super) fn disk(doing: &str, path: &Path, error: &io::Error) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Self::Disk(format!("cannot {doing} {name}: {error}").into())
    }

    /// What upstream answered, when that is why.
    #[must_use]
    pub fn source_kind(&self) -> Option<SourceErrorKind> {
        match self {
            Self::Source(error) => Some(error.kind),
            _ => None,
        }
    }
}

impl From<CacheError> for FillError {
    fn from(error: CacheError) -> Self {
        Self::Disk(error.to_string().into())
    }
}

/// A digest of either kind, for messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnyDigest {
    /// SHA-256.
    Sha256(Sha256),
    /// MD5.
    Md5(Md5),
}

impl std::fmt::Display for AnyDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sha256(digest) => write!(f, "sha256 {digest}"),
            Self::Md5(digest) => write!(f, "md5 {digest}"),
        }
    }
}

/// Why a [`Source`](super::Source) gave no bytes, or no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceErrorKind {
    /// 404.
    NotFound,
    /// 410.
    Gone,
    /// Another status that is upstream's last word (401, 403, 451 …).
    Status(u16),
    /// 429, with upstream's Retry-After.
    RateLimited(Option<Duration>),
    /// Unreachable, timed out, reset, 5xx, busy.
    Unavailable,
    /// The gate itself does not ask (loop, forbidden redirect).
    Refused,
}

/// See [`SourceErrorKind`]; the message is a sentence without secrets, made by whoever implements `Source`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What it means.
    pub kind: SourceErrorKind,
    /// What happened, where, what to do.
    pub message: String,
    /// Whether asking again soon may help.
    pub retryable: bool,
}
