//! Handles that are looked up once and then cost an atomic: per channel, per upstream.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::super::labels::{Outcome, RouteKind};
use super::tally::{Split, Tally};

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct ChannelLabels {
    channel: String,
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct UpstreamLabels {
    upstream: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct UpstreamResultLabels {
    upstream: String,
    result: &'static str,
}

/// Answers and bytes by channel and outcome.
#[derive(Clone, Default)]
pub(super) struct Tallies {
    pub(super) answers: Family<ChannelLabels, Split>,
    pub(super) bytes: Family<ChannelLabels, Tally>,
}

/// What of a channel was asked for, as [`Traffic`] tells it apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Part {
    Package,
    /// An index document, or a shard.
    Index,
    Other,
}

impl Part {
    pub(super) const COUNT: usize = 3;

    const fn of(kind: RouteKind) -> Self {
        match kind {
            RouteKind::Package => Self::Package,
            RouteKind::Index | RouteKind::Shard => Self::Index,
            _ => Self::Other,
        }
    }
}

/// What a channel was asked for and sent since the start of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Requests for packages (and what lies beside them) that the cache answered.
    pub hits: u64,
    /// Those whose bytes came from upstream.
    pub misses: u64,
    /// Those that were turned away, by a rule or because the caller has no right.
    pub refused: u64,
    /// Requests for indexes and shards that were answered.
    pub indexes: u64,
    /// Body bytes of all answers.
    pub bytes: u64,
}

impl Traffic {
    /// What came since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            hits: self.hits.wrapping_sub(before.hits),
            misses: self.misses.wrapping_sub(before.misses),
            refused: self.refused.wrapping_sub(before.refused),
            indexes: self.indexes.wrapping_sub(before.indexes),
            bytes: self.bytes.wrapping_sub(before.bytes),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            hits: self.hits.wrapping_add(other.hits),
            misses: self.misses.wrapping_add(other.misses),
            refused: self.refused.wrapping_add(other.refused),
            indexes: self.indexes.wrapping_add(other.indexes),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }

    /// Whether there was anything.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// Whether a package or an index was there for somebody.
    #[must_use]
    pub const fn has_delivered(self) -> bool {
        self.hits != 0 || self.misses != 0 || self.indexes != 0
    }
}

/// What one channel's requests report into. An outcome's series exists from its first answer on.
pub struct ChannelSeries {
    name: String,
    tallies: Tallies,
    by_outcome: [OnceLock<(Split, Tally)>; Outcome::COUNT],
    /// Beside the answers: what was refused was not delivered.
    refused: Tally,
    is_shared: bool,
}

impl ChannelSeries {
    pub(super) fn new(name: &str, tallies: &Tallies) -> Self {
        let (name, tallies) = (name.to_owned(), tallies.clone());
        Self { name, tallies, by_outcome: Default::default(), refused: Tally::default(), is_shared: false }
    }

    /// The one of all channels that have none of their own.
    pub(super) fn shared(name: &str, tallies: &Tallies) -> Self {
        Self { is_shared: true, ..Self::new(name, tallies) }
    }

    /// Whether it is of all channels that have none of their own.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The label: the channel's name, or `other`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Answers and body bytes by outcome, of those there were.
    pub fn totals(&self) -> impl Iterator<Item = (Outcome, u64, u64)> + '_ {
        let each = Outcome::ALL.into_iter().zip(&self.by_outcome);
        each.filter_map(|(outcome, tally)| {
            tally.get().map(|(answers, bytes)| (outcome, answers.get(), bytes.get()))
        })
    }

    /// The same sums as whoever looks after the gate wants them. Never less than it was.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let mut traffic = Traffic { refused: self.refused.get(), ..Traffic::default() };
        for (outcome, tally) in Outcome::ALL.into_iter().zip(&self.by_outcome) {
            let Some((answers, bytes)) = tally.get() else { continue };
            traffic.bytes = traffic.bytes.wrapping_add(bytes.get());
            traffic.indexes += answers.of(Part::Index).get();
            let packages = answers.of(Part::Package).get();
            match outcome {
                Outcome::Hit | Outcome::Stale | Outcome::Revalidated | Outcome::Local => {
                    traffic.hits += packages;
                }
                Outcome::Fill | Outcome::Follow | Outcome::Pass => traffic.misses += packages,
                Outcome::None | Outcome::Negative | Outcome::Failed => {}
            }
        }
        traffic
    }

    /// Somebody was refused a package.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// One answer of so many body bytes.
    pub fn answered(&self, kind: RouteKind, outcome: Outcome, bytes: u64) {
        let (answers, sent) = self.by_outcome[outcome as usize].get_or_init(|| {
            let labels = ChannelLabels { channel: self.name.clone(), outcome: outcome.as_str() };
            (
                self.tallies.answers.get_or_create_owned(&labels),
                self.tallies.bytes.get_or_create_owned(&labels),
            )
        });
        answers.of(Part::of(kind)).inc();
        sent.inc_by(bytes);
    }
}

/// What one upstream's requests report into.
#[derive(Clone)]
pub struct UpstreamSeries {
    first_byte: Histogram,
    answered: Counter,
    failed: Counter,
    limited: Counter,
}

impl UpstreamSeries {
    pub(super) fn new(
        name: &str,
        first_byte: &Family<UpstreamLabels, Histogram, fn() -> Histogram>,
        results: &Family<UpstreamResultLabels, Counter>,
    ) -> Self {
        let result =
            |result| results.get_or_create_owned(&UpstreamResultLabels { upstream: name.to_owned(), result });
        Self {
            first_byte: first_byte.get_or_create_owned(&UpstreamLabels { upstream: name.to_owned() }),
            answered: result("answered"),
            failed: result("failed"),
            limited: result("rate_limited"),
        }
    }

    /// Upstream began to answer after so long.
    pub fn answered(&self, first_byte: Duration) {
        self.answered.inc();
        self.first_byte.observe(first_byte.as_secs_f64());
    }

    /// No usable answer.
    pub fn failed(&self) {
        self.failed.inc();
    }

    /// Upstream asked to slow down.
    pub fn rate_limited(&self) {
        self.limited.inc();
    }
}

/// 5 ms to 60 s: a mirror next door, and one that has to think.
pub(super) fn first_byte_histogram() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}
