//! Handles that are looked up once and then cost an atomic: per channel, per upstream.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::super::labels::Outcome;
use super::tally::Tally;

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
    pub(super) answers: Family<ChannelLabels, Tally>,
    pub(super) bytes: Family<ChannelLabels, Tally>,
}

/// What one channel's requests report into. An outcome's series exists from its first answer on.
pub struct ChannelSeries {
    name: String,
    tallies: Tallies,
    by_outcome: [OnceLock<(Tally, Tally)>; Outcome::COUNT],
}

impl ChannelSeries {
    pub(super) fn new(name: &str, tallies: &Tallies) -> Self {
        Self { name: name.to_owned(), tallies: tallies.clone(), by_outcome: Default::default() }
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

    /// One answer of so many body bytes.
    pub fn answered(&self, outcome: Outcome, bytes: u64) {
        let (answers, sent) = self.by_outcome[outcome as usize].get_or_init(|| {
            let labels = ChannelLabels { channel: self.name.clone(), outcome: outcome.as_str() };
            (
                self.tallies.answers.get_or_create_owned(&labels),
                self.tallies.bytes.get_or_create_owned(&labels),
            )
        });
        answers.inc();
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
