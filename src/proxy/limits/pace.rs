//! Bytes a second of a channel, shared by everybody who downloads from it.
//!
//! A writer books the time that its next piece takes, and waits until that time begins. Pieces are small, so a crowd takes turns, and
//! what was not used for a moment may be made up for, no more.
//!
//! Belongs here: booking and waiting. Does not: which channels have a limit (`snapshot`), writing (`session`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::{Mutex, RwLock};
use tokio::time::{Instant, sleep_until};

use crate::telemetry::Metrics;

/// Bytes that are sent in one turn.
pub(in crate::proxy) const TURN: usize = 64 * 1024;
/// How much of the past may be made up for.
const SLACK: Duration = Duration::from_millis(250);
/// Channels that are remembered; beyond it, those that nobody uses are forgotten.
const REMEMBERED: usize = 1024;

/// The channels that have a limit.
pub(in crate::proxy) struct Pacers {
    all: RwLock<AHashMap<Box<str>, Arc<Pacer>>>,
    metrics: Arc<Metrics>,
}

/// One channel's bytes.
pub(in crate::proxy) struct Pacer {
    rate: AtomicU64,
    metrics: Arc<Metrics>,
    /// When the bytes that were booked are through.
    through: Mutex<Instant>,
}

impl Pacers {
    pub(in crate::proxy) fn new(metrics: Arc<Metrics>) -> Self {
        Self { all: RwLock::default(), metrics }
    }

    /// Of a channel that may send `rate` bytes a second.
    pub(in crate::proxy) fn of(&self, channel: &str, rate: u64) -> Arc<Pacer> {
        let known = self.all.read().get(channel).map(Arc::clone);
        let pacer = known.unwrap_or_else(|| {
            let mut all = self.all.write();
            if all.len() >= REMEMBERED {
                all.retain(|_, pacer| Arc::strong_count(pacer) > 1);
            }
            Arc::clone(all.entry(channel.into()).or_insert_with(|| Arc::new(Pacer::new(rate, &self.metrics))))
        });
        // Rules may have changed it.
        pacer.rate.store(rate.max(1), Ordering::Relaxed);
        pacer
    }
}

impl Pacer {
    fn new(rate: u64, metrics: &Arc<Metrics>) -> Self {
        let (rate, metrics) = (AtomicU64::new(rate.max(1)), Arc::clone(metrics));
        Self { rate, metrics, through: Mutex::new(Instant::now()) }
    }

    /// Books `bytes`; when they may be sent.
    fn book(&self, bytes: usize, now: Instant) -> Instant {
        let rate = self.rate.load(Ordering::Relaxed);
        let takes = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate);
        let mut through = self.through.lock();
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let begins = (*through).max(earliest);
        *through = begins + takes;
        begins
    }

    /// Returns when `bytes` may be sent.
    pub(in crate::proxy) async fn wait(&self, bytes: usize) {
        let now = Instant::now();
        let begins = self.book(bytes, now);
        if begins > now {
            sleep_until(begins).await;
            self.metrics.limits.paced(begins - now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_writers_together_keep_to_the_rate() {
        let pacers = Pacers::new(Arc::new(Metrics::new()));
        let begun = Instant::now();
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let pacer = pacers.of("a", 64 * 1024);
                tokio::spawn(async move {
                    for _ in 0..5 {
                        pacer.wait(TURN).await;
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        // The first one may begin at once, and a little may be made up for.
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(18_500) && took <= Duration::from_secs(19), "{took:?}");
        assert!(pacers.of("b", 1).book(1, Instant::now()) <= Instant::now(), "channels are apart");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pause_is_not_made_up_for() {
        let metrics = Arc::new(Metrics::new());
        let pacer = Pacer::new(1000, &metrics);
        tokio::time::advance(Duration::from_hours(1)).await;
        let now = Instant::now();
        assert!(pacer.book(1000, now) <= now);
        assert_eq!(pacer.book(1, now), now + Duration::from_secs(1) - SLACK);
        let changed = Pacers::new(metrics);
        changed.of("a", 1).book(10, now);
        assert_eq!(changed.of("a", 10).rate.load(Ordering::Relaxed), 10);
    }
}
