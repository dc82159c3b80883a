//! Counters of one upstream, for whoever turns them into metrics.
//!
//! Belongs here: counting. Does not: names and formats of metrics (`telemetry`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::error::FetchKind;
use crate::clock::UnixMillis;

/// Upper bounds of the first-byte histogram's buckets, in milliseconds; one more bucket takes the rest.
pub const FIRST_BYTE_BOUNDS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 30_000];

/// The counters; they only grow, and survive new settings.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) requests: AtomicU64,
    pub(super) attempts: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) redirects: AtomicU64,
    pub(super) body_bytes: AtomicU64,
    failures: [AtomicU64; FetchKind::COUNT],
    first_byte: [AtomicU64; FIRST_BYTE_BOUNDS_MS.len() + 1],
    first_byte_micros: AtomicU64,
}

impl Stats {
    pub(super) fn failed(&self, kind: FetchKind) {
        if let Some(counter) = self.failures.get(kind.index()) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn first_byte(&self, after: Duration) {
        let millis = after.as_millis();
        let bucket = FIRST_BYTE_BOUNDS_MS.partition_point(|bound| u128::from(*bound) < millis);
        if let Some(counter) = self.first_byte.get(bucket) {
            counter.fetch_add(1, Relaxed);
        }
        self.first_byte_micros.fetch_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn view(&self) -> StatsView {
        StatsView {
            requests: self.requests.load(Relaxed),
            attempts: self.attempts.load(Relaxed),
            retries: self.retries.load(Relaxed),
            redirects: self.redirects.load(Relaxed),
            body_bytes: self.body_bytes.load(Relaxed),
            failures: std::array::from_fn(|i| (FetchKind::LABELS[i], self.failures[i].load(Relaxed))),
            first_byte: std::array::from_fn(|i| self.first_byte[i].load(Relaxed)),
            first_byte_total: Duration::from_micros(self.first_byte_micros.load(Relaxed)),
        }
    }
}

/// The counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsView {
    /// Fetches begun.
    pub requests: u64,
    /// Requests sent, redirects not counted.
    pub attempts: u64,
    /// Rounds beyond the first.
    pub retries: u64,
    /// Redirects followed.
    pub redirects: u64,
    /// Body bytes received, as sent by the upstream.
    pub body_bytes: u64,
    /// Failures by kind: of each request sent, of bodies, and of fetches that sent nothing (busy, resting).
    pub failures: [(&'static str, u64); FetchKind::COUNT],
    /// Answers by time to their headers, redirects included: not cumulative; bounds in [`FIRST_BYTE_BOUNDS_MS`].
    pub first_byte: [u64; FIRST_BYTE_BOUNDS_MS.len() + 1],
    /// Sum of these times.
    pub first_byte_total: Duration,
}

/// One upstream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSnapshot {
    /// Its name.
    pub name: String,
    /// Requests running, bodies included.
    pub in_flight: usize,
    /// The cap on them.
    pub max_concurrent: usize,
    /// Its mirrors, first choice first.
    pub mirrors: Vec<MirrorHealth>,
    /// Its counters.
    pub stats: StatsView,
}

/// One mirror at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorHealth {
    /// Its URL, printable.
    pub mirror: String,
    /// Whether requests go to it: neither open nor resting.
    pub healthy: bool,
    /// Failures in a row.
    pub failures: u32,
    /// The circuit is open until then; a moment in the past means that a probe is due or running.
    pub open_until: Option<UnixMillis>,
    /// It asked for no requests until then.
    pub rate_limited_until: Option<UnixMillis>,
    /// The kind of its last failure, until it works again.
    pub last_error: Option<&'static str>,
}
