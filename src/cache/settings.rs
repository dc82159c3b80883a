//! What the cache needs to be told: where, how much, how patient.
//!
//! Belongs here: plain values with sensible defaults. Does not: reading them from files (`config`).

use std::path::PathBuf;
use std::time::Duration;

use super::ops::Faults;
use super::report::Watcher;

const MIB: u64 = 1024 * 1024;

/// How much of the file system the cache leaves to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeepFree {
    /// A number of bytes.
    Bytes(u64),
    /// A share of the whole file system, 0 to 100.
    Percent(u8),
}

impl KeepFree {
    /// The reserve in bytes on a file system of `total` bytes.
    #[must_use]
    pub const fn bytes(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => total / 100 * (if percent > 100 { 100 } else { percent as u64 }),
        }
    }
}

/// Everything [`Cache::open`](super::Cache::open) needs besides a clock and a runtime.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// The directory that holds `blobs/`, `partial/`, `quarantine/`, `cache.db` and `lock`; made when missing.
    pub packages: PathBuf,
    /// Bytes all blobs together may take; eviction keeps to it.
    pub size: u64,
    /// Bytes of the file system that stay free whatever `size` says.
    pub keep_free: KeepFree,
    /// Bytes of memory for files of at most 64 KiB.
    pub memory: u64,
    /// Blobs kept open (a descriptor each, and a map for large ones); at most a quarter of `ulimit -n`.
    pub max_open: u64,
    /// Maps alive at once; more are read instead. Must stay below `vm.max_map_count` (65,530).
    pub max_maps: usize,
    /// Bytes at the end of every answer that wait until the digest is known to be right; at least one byte waits.
    pub hold_back: u64,
    /// Fills that run at once; more wait for a place. (Per-upstream limits are the upstream room's.)
    pub max_fills: usize,
    /// Bytes of a running fill that stay in memory for its followers.
    pub ring: usize,
    /// How often one fill asks again after a retryable fault that brought no progress.
    pub max_attempts: u32,
    /// The first pause before asking again; doubles each time, up to 32 times this.
    pub retry_delay: Duration,
    /// How long a complete package waits for its digest to become known.
    pub learn_timeout: Duration,
    /// Last resort against an upstream body that never ends nor moves (the upstream room has its own, shorter).
    pub stall_timeout: Duration,
    /// Age at which an unfinished download that nobody asked for again is deleted.
    pub partial_age: Duration,
    /// Age at which a quarantined file is deleted.
    pub quarantine_age: Duration,
    /// Pause between rounds of housekeeping: last-use times written, budget kept. Zero: no rounds (the CLI).
    pub housekeeping: Duration,
    /// Bytes the background scrub may read in one housekeeping round; 0 turns it off.
    pub scrub_bytes: u64,
    /// How long a verified blob is trusted before the scrub reads it again.
    pub scrub_age: Duration,
    /// Who hears of fills that are over.
    pub watcher: Watcher,
    /// Faults for tests; `None` in a running gate.
    pub faults: Option<Faults>,
}

impl CacheSettings {
    /// Defaults for a cache below `packages`.
    #[must_use]
    pub fn new(packages: impl Into<PathBuf>) -> Self {
        Self {
            packages: packages.into(),
            size: 200 * 1024 * MIB,
            keep_free: KeepFree::Percent(5),
            memory: 16 * MIB,
            max_open: 1024,
            max_maps: 16 * 1024,
            hold_back: 64 * 1024,
            max_fills: 128,
            ring: 2 * 1024 * 1024,
            max_attempts: 5,
            retry_delay: Duration::from_millis(200),
            learn_timeout: Duration::from_mins(2),
            stall_timeout: Duration::from_mins(5),
            partial_age: Duration::from_hours(24),
            quarantine_age: Duration::from_hours(7 * 24),
            housekeeping: Duration::from_secs(30),
            scrub_bytes: 64 * MIB,
            scrub_age: Duration::from_hours(30 * 24),
            watcher: Watcher::default(),
            faults: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_in_bytes() {
        assert_eq!(KeepFree::Bytes(7).bytes(1000), 7);
        assert_eq!(KeepFree::Percent(5).bytes(1000), 50);
        assert_eq!(KeepFree::Percent(200).bytes(1000), 1000);
    }
}
