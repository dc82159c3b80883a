//! What a fill's task and its followers share.
//!
//! Belongs here: the phases, the committed length, what may be given to whom. Does not: doing any I/O.
//!
//! Everything lies behind one short mutex; a version number on a watch channel wakes whoever waits. A waiter marks
//! the version as seen *before* it looks, so no change is missed.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::FillHead;
use super::ring::Ring;
use crate::cache::blobs::Blob;
use crate::cache::error::FillError;
use crate::cache::report::Course;
use crate::conda::digest::{Expected, Sha256};

/// Largest piece a follower reads back from the partial file.
const READ_BACK: u64 = 128 * 1024;

/// Where a fill stands.
#[derive(Clone)]
enum Phase {
    /// Bytes are still coming, or their digest is not known to be right.
    Running,
    /// All bytes are there and right; they are being moved to their place.
    Right,
    /// All bytes are there and right, but they could not be stored: followers finish, nobody joins.
    Unstored(FillError),
    /// Stored.
    Done(Arc<Blob>),
    /// Over.
    Failed(FillError),
}

struct Inner {
    phase: Phase,
    head: Option<FillHead>,
    expected: Expected,
    /// No index has a digest, and the file may pass without.
    unlisted: bool,
    committed: u64,
    ring: Ring,
    file: Option<Arc<File>>,
    /// The head, or bytes, were handed out: from now on there is no starting anew with another version.
    head_given: bool,
    bytes_given: bool,
}

/// What a follower may do next.
pub(super) enum Step {
    Chunk(Bytes),
    ReadBack { file: Arc<File>, len: usize },
    Stored(Arc<Blob>),
    Wait,
    End,
    Failed(FillError),
}

/// State shared by one fill's task, handles and followers.
pub(super) struct Shared {
    hold_back: u64,
    pub(super) runtime: Handle,
    inner: Mutex<Inner>,
    version: watch::Sender<u64>,
    learned: Notify,
    /// When what happened to it.
    pub(super) course: Course,
}

impl Shared {
    pub(super) fn new(expected: Expected, hold_back: u64, ring: usize, runtime: Handle) -> Self {
        Self {
            hold_back: hold_back.max(1),
            runtime,
            inner: Mutex::new(Inner {
                phase: Phase::Running,
                head: None,
                expected,
                unlisted: false,
                committed: 0,
                ring: Ring::new(ring),
                file: None,
                head_given: false,
                bytes_given: false,
            }),
            version: watch::Sender::new(0),
            learned: Notify::new(),
            course: Course::new(),
        }
    }

    /// A fill that had nothing to do: the file is there.
    pub(super) fn stored(blob: Arc<Blob>, head: FillHead, hold_back: u64, runtime: Handle) -> Self {
        let shared = Self::new(Expected::default(), hold_back, 0, runtime);
        shared.set_head(head);
        shared.finish(Ok(blob));
        shared
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let value = change(&mut self.inner.lock());
        self.version.send_modify(|version| *version += 1);
        value
    }

    /// Waits until `look` finds something.
    async fn until<T>(&self, look: impl Fn(&mut Inner) -> Option<T>) -> Result<T, FillError> {
        let mut version = self.version.subscribe();
        loop {
            version.borrow_and_update();
            if let Some(found) = look(&mut self.inner.lock()) {
                return Ok(found);
            }
            version.changed().await.map_err(|_| FillError::Stopped)?;
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(super) async fn head(&self) -> Result<FillHead, FillError> {
        self.until(|inner| match (&inner.phase, &inner.head) {
            (Phase::Failed(error), _) => Some(Err(error.clone())),
            (_, Some(head)) => {
                inner.head_given = true;
                Some(Ok(head.clone()))
            }
            _ => None,
        })
        .await?
    }

    pub(super) async fn done(&self) -> Result<Arc<Blob>, FillError> {
        self.until(|inner| match &inner.phase {
            Phase::Failed(error) | Phase::Unstored(error) => Some(Err(error.clone())),
            Phase::Done(blob) => Some(Ok(Arc::clone(blob))),
            _ => None,
        })
        .await?
    }

    pub(super) fn learn(&self, expected: Expected) {
        let learned = self.change(|inner| {
            let first = !inner.expected.has_digest() && expected.has_digest();
            if first {
                inner.expected = expected;
            }
            first
        });
        if learned {
            self.learned.notify_one();
        }
    }

    pub(super) fn learn_none(&self, size: Option<u64>) {
        self.change(|inner| {
            inner.unlisted = true;
            inner.expected.size = inner.expected.size.or(size);
        });
        self.learned.notify_one();
    }

    /// Waits for what an index says; `None` when none lists the file or the fill is over.
    pub(super) async fn told(&self) -> Option<Expected> {
        self.until(|inner| match inner.phase {
            _ if inner.expected.has_digest() => Some(Some(inner.expected)),
            Phase::Running if !inner.unlisted => None,
            _ => Some(None),
        })
        .await
        .ok()
        .flatten()
    }

    /// Whether the file may pass without a digest.
    pub(super) fn unlisted(&self) -> bool {
        let inner = self.inner.lock();
        inner.unlisted && !inner.expected.has_digest()
    }

    pub(super) fn give_up(&self, why: FillError) {
        self.change(|inner| {
            if matches!(inner.phase, Phase::Running) {
                inner.phase = Phase::Failed(why);
            }
        });
        self.learned.notify_one();
    }

    /// Why the fill is over already, if it is.
    pub(super) fn failure(&self) -> Option<FillError> {
        match &self.inner.lock().phase {
            Phase::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Returns after the next [`Shared::learn`] that told a digest.
    pub(super) async fn learned(&self) {
        self.learned.notified().await;
    }

    pub(super) fn expected(&self) -> Expected {
        self.inner.lock().expected
    }

    /// Whether the fill is for other bytes than `sha256`.
    pub(super) fn is_for_other(&self, sha256: Option<Sha256>) -> bool {
        matches!((self.inner.lock().expected.sha256, sha256), (Some(a), Some(b)) if a != b)
    }

    pub(super) fn failed(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Failed(_) | Phase::Unstored(_))
    }

    pub(super) fn finished(&self) -> bool {
        !matches!(self.inner.lock().phase, Phase::Running | Phase::Right)
    }

    pub(super) fn settled(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Right | Phase::Done(_))
    }

    pub(super) fn committed(&self) -> u64 {
        self.inner.lock().committed
    }

    /// Bytes there will be, as far as is known.
    pub(super) fn total(&self) -> Option<u64> {
        let inner = self.inner.lock();
        inner.head.as_ref().and_then(|head| head.total).or(inner.expected.size)
    }

    pub(super) fn has_head(&self) -> bool {
        self.inner.lock().head.is_some()
    }

    /// Bytes of `file` up to `committed` may be followed.
    pub(super) fn attach(&self, file: Arc<File>, committed: u64) {
        self.change(|inner| {
            inner.file = Some(file);
            inner.committed = committed;
        });
    }

    /// Sets what upstream's answer says; `false` when somebody was told something else already.
    pub(super) fn set_head(&self, head: FillHead) -> bool {
        self.change(|inner| {
            let told_other = inner.head_given && inner.head.as_ref() != Some(&head);
            if !told_other {
                inner.head = Some(head);
            }
            !told_other
        })
    }

    /// `chunk` was appended to the file.
    pub(super) fn commit(&self, chunk: Bytes) {
        self.change(|inner| {
            let at = inner.committed;
            inner.committed += chunk.len() as u64;
            inner.ring.push(at, chunk);
        });
    }

    /// Takes everything back, unless somebody has bytes already.
    pub(super) fn start_anew(&self) -> bool {
        self.change(|inner| {
            if inner.bytes_given {
                return false;
            }
            inner.committed = 0;
            inner.ring.clear();
            true
        })
    }

    /// All bytes are there and right: followers may have the tail.
    pub(super) fn right(&self) {
        self.change(|inner| {
            inner.phase = Phase::Right;
            let total = Some(inner.committed);
            inner.head.get_or_insert_default().total = total;
        });
    }

    pub(super) fn finish(&self, outcome: Result<Arc<Blob>, FillError>) {
        self.change(|inner| {
            inner.phase = match outcome {
                Ok(blob) => Phase::Done(blob),
                Err(error) if matches!(inner.phase, Phase::Right) => {
                    // The partial file may be deleted, but it is still open.
                    inner.phase = Phase::Unstored(error);
                    return;
                }
                Err(error) => Phase::Failed(error),
            };
            inner.ring.clear();
            inner.file = None;
        });
    }

    /// What the follower of `start..end` that stands at `at` may do.
    pub(super) fn step(&self, start: u64, end: Option<u64>, at: u64) -> Step {
        let mut inner = self.inner.lock();
        match &inner.phase {
            Phase::Failed(error) => return Step::Failed(error.clone()),
            Phase::Done(blob) => return Step::Stored(Arc::clone(blob)),
            Phase::Running | Phase::Right | Phase::Unstored(_) => {}
        }
        let total = inner.head.as_ref().and_then(|head| head.total);
        let last = end.unwrap_or(u64::MAX).min(total.unwrap_or(u64::MAX));
        let right = matches!(inner.phase, Phase::Right | Phase::Unstored(_));
        if at >= last && right {
            return Step::End;
        }
        let limit =
            if right { inner.committed.min(last) } else { self.allowed(start, last, total, inner.committed) };
        if at >= limit {
            return Step::Wait;
        }
        inner.bytes_given = true;
        if let Some(chunk) = inner.ring.get(at, limit) {
            return Step::Chunk(chunk);
        }
        match &inner.file {
            Some(file) => {
                let len = usize::try_from((limit - at).min(READ_BACK)).unwrap_or(0);
                Step::ReadBack { file: Arc::clone(file), len }
            }
            None => Step::Wait,
        }
    }

    /// How far a follower may read before the digest is known: all but the last bytes of its own answer. With an
    /// unknown total any byte could be the last, so the hold-back trails the committed end.
    fn allowed(&self, start: u64, last: u64, total: Option<u64>, committed: u64) -> u64 {
        let hold = self.hold_back.min(last.saturating_sub(start));
        let by_answer = last - hold.min(last);
        let by_end = if total.is_some() { committed } else { committed.saturating_sub(self.hold_back) };
        by_answer.min(by_end)
    }
}
