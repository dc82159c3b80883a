//! Bringing files in: one task per key, any number of followers reading behind it.
//!
//! Belongs here: the fill's handle, its task, its partial file. Does not: where bytes come from
//! ([`Source`](super::Source)), what happens to finished blobs (`blobs`, `evict`).
//!
//! | file | does |
//! |---|---|
//! | `engine` | the table of running fills: join or start |
//! | `state` | what task and followers share: committed length, ring of recent chunks, phase |
//! | `task` | the loop: open, pump, try again, verify, publish |
//! | `pump` | one upstream answer's bytes into the partial file |
//! | `partial` | the file on disk, its lock, its sidecar, resuming after a restart |
//! | `follower` | reading behind the task, the tail held back |
//! | `retry` | when to ask again |

mod engine;
mod follower;
mod partial;
mod pump;
mod retry;
mod ring;
mod state;
mod task;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::blobs::Blob;
use super::error::FillError;
use super::object::ObjectMeta;
use super::source::{SharedSource, Validators};
use crate::conda::digest::Expected;
use crate::id::RequestId;

pub(super) use engine::Engine;
pub use follower::Follower;
pub(super) use partial::discard_matching;
pub(super) use partial::tidy as tidy_partials;

/// A file to bring in.
pub struct FillRequest {
    /// What makes two requests the same: the URL path below the gate, without credentials. Kept in `cache.db`
    /// (purge by URL or channel), so it must hold no secret.
    pub key: String,
    /// What the index says of the file; may be empty and follow later through [`Fill::learn`].
    pub expected: Expected,
    /// How it becomes trusted.
    pub kind: FillKind,
    /// Where it comes from.
    pub source: SharedSource,
}

/// When the bytes of a fill may be trusted.
#[derive(Clone, Debug)]
pub enum FillKind {
    /// When they have the digest of the channel's index; a fill without one waits for [`Fill::learn`].
    Package,
    /// When they are complete: a file known by its URL only. If `expected` does hold a digest, it must be right.
    Object {
        /// The stored version that is to be revalidated, as the caller saw it. A version that was stored or
        /// checked since then is taken instead of asking again.
        known: Option<Arc<ObjectMeta>>,
    },
}

/// What is known when upstream's answer begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FillHead {
    /// Length of the whole file: from upstream, else from the index; `None` for a chunked answer.
    pub total: Option<u64>,
    /// As upstream wrote them.
    pub validators: Validators,
    /// As upstream wrote it.
    pub content_type: Option<String>,
}

/// A handle on a running (or just finished) fill. Dropping it stops nothing.
#[derive(Clone)]
pub struct Fill {
    shared: Arc<state::Shared>,
    joined: bool,
}

impl Fill {
    /// Waits until upstream's answer begins.
    ///
    /// # Errors
    /// Why there will be none.
    pub async fn head(&self) -> Result<FillHead, FillError> {
        self.shared.head().await
    }

    /// Reads the file from `start` to `end` (exclusive; `None`: to its end) while it arrives.
    #[must_use]
    pub fn follow(&self, start: u64, end: Option<u64>) -> Follower {
        Follower::new(Arc::clone(&self.shared), start, end)
    }

    /// Tells what the index says of the file, now that it is known. The first word counts; the fill goes on, or
    /// ends at once when the announced sizes differ.
    pub fn learn(&self, expected: Expected) {
        self.shared.learn(expected);
    }

    /// Tells that no index has a digest for the file and that it may pass without: it is kept as a plain file, to be revalidated.
    pub fn learn_none(&self, size: Option<u64>) {
        self.shared.learn_none(size);
    }

    /// Tells that the file must not pass after all; followers are cut before their last bytes.
    pub fn refuse(&self, rule: &str, why: String) {
        self.shared.give_up(FillError::Refused { rule: rule.into(), why: why.into() });
    }

    /// Tells that no index can be had at the moment, so the file can't be verified; followers are cut before their last bytes.
    pub fn unverifiable(&self, why: String) {
        self.shared.give_up(FillError::Unverifiable(why.into()));
    }

    /// Waits up to `patience` for what an index says of the file; `None` when nobody has told by then.
    pub async fn learned(&self, patience: std::time::Duration) -> Option<Expected> {
        tokio::time::timeout(patience, self.shared.told()).await.ok()?
    }

    /// Waits until the file is stored.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn done(&self) -> Result<Arc<Blob>, FillError> {
        self.shared.done().await
    }

    /// Why it failed, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<FillError> {
        self.shared.failure()
    }

    /// Notes which request began it, if this handle did.
    pub fn begun_by(&self, request: RequestId) {
        if !self.joined {
            self.shared.course.begun_by(request);
        }
    }

    /// Who sends the bytes, once that is known: the printable address of a mirror.
    #[must_use]
    pub fn from(&self) -> Option<Arc<str>> {
        self.shared.course.from()
    }

    /// Whether this handle joined a fill that somebody else had started.
    #[must_use]
    pub const fn joined(&self) -> bool {
        self.joined
    }

    /// Whether all bytes are there and known to be right: whoever asks now waits for nobody.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.shared.settled()
    }

    /// Bytes that have arrived and are on disk.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.shared.committed()
    }
}
