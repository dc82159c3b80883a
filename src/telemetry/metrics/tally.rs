//! Counters and levels that every request moves: each worker has a place of its own in them, and whoever reads adds up.
//!
//! One number in one place would travel between the processors' caches with every request.
//!
//! Belongs here: the two types. Does not: which there are (`super`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::series::Part;
use crate::telemetry::shard;

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place<T>(T);

/// A number that grows.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<[Place<AtomicU64>; shard::COUNT]>);

impl Tally {
    /// One more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// So many more.
    pub fn inc_by(&self, more: u64) {
        self.0[shard::mine()].0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.iter().fold(0, |sum, place| sum.wrapping_add(place.0.load(Ordering::Relaxed)))
    }
}

impl EncodeMetric for Tally {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.encode_counter::<NoLabelSet, _, u64>(&self.get(), None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Tally {
    const TYPE: MetricType = MetricType::Counter;
}

/// Numbers that grow, shown as their sum: for whoever wants to know more than scrapers are told.
#[derive(Clone, Debug, Default)]
pub(super) struct Split([Tally; Part::COUNT]);

impl Split {
    /// One of them.
    pub(super) const fn of(&self, part: Part) -> &Tally {
        &self.0[part as usize]
    }

    /// All together.
    pub(super) fn get(&self) -> u64 {
        self.0.iter().map(Tally::get).fold(0, u64::wrapping_add)
    }
}

impl EncodeMetric for Split {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.encode_counter::<NoLabelSet, _, u64>(&self.get(), None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Split {
    const TYPE: MetricType = MetricType::Counter;
}

/// A number that goes up and down. Its changes and readings have one order for all threads, so whoever sees 0 after having told the
/// others to say when they are done misses nobody.
#[derive(Clone, Debug, Default)]
pub struct Level(Arc<[Place<AtomicI64>; shard::COUNT]>);

impl Level {
    /// One more.
    pub fn inc(&self) {
        self.0[shard::mine()].0.fetch_add(1, Ordering::SeqCst);
    }

    /// One less; on which thread does not matter.
    pub fn dec(&self) {
        self.0[shard::mine()].0.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many there are.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.iter().map(|place| place.0.load(Ordering::SeqCst)).sum()
    }
}

impl EncodeMetric for Level {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.encode_gauge(&self.get())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Level {
    const TYPE: MetricType = MetricType::Gauge;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_threads_count_adds_up() {
        let (tally, level) = (Tally::default(), Level::default());
        let count = || {
            for _ in 0..1000 {
                tally.inc_by(2);
                level.inc();
                level.inc();
                level.dec();
            }
        };
        std::thread::scope(|scope| (0..20).for_each(|_| drop(scope.spawn(count))));
        assert_eq!((tally.get(), level.get()), (40_000, 20_000));
        (0..20_000).for_each(|_| level.dec());
        assert_eq!(level.get(), 0);
    }
}
