//! What the cache says of itself.
//!
//! Belongs here: counters and the report made of them. Does not: printing it (`cli`, `telemetry`).

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the process started.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) started: AtomicU64,
    pub(super) joined: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) resumed: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) evicted_bytes: AtomicU64,
    pub(super) quarantined: AtomicU64,
    pub(super) rehashed: AtomicU64,
    pub(super) scrubbed: AtomicU64,
}

/// One look at the cache. Counts are since the process started, unless they say otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, utoipa::ToSchema)]
pub struct CacheStatus {
    /// Blobs stored.
    pub blobs: u64,
    /// Bytes they have.
    pub bytes: u64,
    /// Bytes they may have.
    pub budget: u64,
    /// Bytes free on the file system.
    pub free: u64,
    /// Bytes that must stay free there.
    pub keep_free: u64,
    /// Files in `quarantine/`, whenever they came there.
    pub quarantine_files: u64,
    /// Blobs held open.
    pub open: u64,
    /// Fills under way.
    pub fills: u64,
    /// Bytes these have on disk.
    pub fill_bytes: u64,
    /// Fills started.
    pub fills_started: u64,
    /// Requests that joined one.
    pub fills_joined: u64,
    /// Fills that stored a file.
    pub fills_completed: u64,
    /// Fills that did not.
    pub fills_failed: u64,
    /// Fills that went on where an earlier process had stopped.
    pub fills_resumed: u64,
    /// Times upstream was asked again in the middle of a file.
    pub fills_retried: u64,
    /// Bytes that came from upstream.
    pub bytes_in: u64,
    /// Blobs evicted.
    pub evicted: u64,
    /// Bytes they had.
    pub evicted_bytes: u64,
    /// Files found changed and set aside.
    pub quarantined: u64,
    /// Files hashed again because their times had changed, and found right.
    pub rehashed: u64,
    /// Files the scrub has read.
    pub scrubbed: u64,
}

impl Counters {
    /// Copies the counts into a report.
    pub(super) fn fill_in(&self, status: &mut CacheStatus) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        status.fills_started = get(&self.started);
        status.fills_joined = get(&self.joined);
        status.fills_completed = get(&self.completed);
        status.fills_failed = get(&self.failed);
        status.fills_resumed = get(&self.resumed);
        status.fills_retried = get(&self.retried);
        status.bytes_in = get(&self.bytes_in);
        status.evicted = get(&self.evicted);
        status.evicted_bytes = get(&self.evicted_bytes);
        status.quarantined = get(&self.quarantined);
        status.rehashed = get(&self.rehashed);
        status.scrubbed = get(&self.scrubbed);
    }
}
