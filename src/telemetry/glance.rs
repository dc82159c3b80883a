//! One look at a running gate: counters since its start, and what is going on.
//!
//! Whoever wants rates takes two looks. Nothing in it is secret: names of channels and upstreams, printable addresses, paths of packages.
//!
//! Belongs here: the values, as the control socket and the command line exchange them. Does not: gathering them (`app`), showing
//! them (`cli`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::labels::{Outcome, RouteKind};
use super::metrics::Metrics;

/// Channels that are told of, those with most bytes first.
const MOST_CHANNELS: usize = 50;

/// See the module's description.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Glance {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Requests answered, by kind; kinds without any are left out.
    pub requests: BTreeMap<String, u64>,
    /// Answers of channels, by where their bytes came from; what there was none of is left out.
    pub outcomes: BTreeMap<String, u64>,
    /// Body bytes sent to clients.
    pub sent_bytes: u64,
    /// Bytes that came from upstreams into the cache.
    pub received_bytes: u64,
    /// Requests being read or answered.
    pub in_flight: i64,
    /// Client connections open.
    pub connections: i64,
    /// Downloads from upstream that are running, the longest first.
    pub fills: Vec<FillGlance>,
    /// Every upstream of the rules.
    pub upstreams: Vec<UpstreamGlance>,
    /// The channels that sent most.
    pub channels: Vec<ChannelGlance>,
}

/// A download from upstream that is running.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct FillGlance {
    /// What: the path below the gate, without credentials.
    pub file: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes there will be, once that is known.
    pub total: Option<u64>,
    /// Since when, in milliseconds.
    pub age_ms: u64,
    /// The printable address of the mirror that sends it.
    pub mirror: Option<String>,
}

/// An upstream.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct UpstreamGlance {
    /// Its name in the rules.
    pub name: String,
    /// Requests running.
    pub in_flight: usize,
    /// How many may.
    pub max_concurrent: usize,
    /// Requests begun.
    pub requests: u64,
    /// Failures of any kind.
    pub failures: u64,
    /// Body bytes received.
    pub bytes: u64,
    /// Its mirrors, first choice first.
    pub mirrors: Vec<MirrorGlance>,
}

/// A mirror of an upstream.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MirrorGlance {
    /// Its printable address.
    pub address: String,
    /// Whether requests go to it.
    pub healthy: bool,
    /// The kind of its last failure, until it works again.
    pub last_error: Option<String>,
}

/// A channel.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ChannelGlance {
    /// Its name.
    pub name: String,
    /// Answers.
    pub answers: u64,
    /// Those that waited for no upstream.
    pub from_here: u64,
    /// Body bytes sent.
    pub bytes: u64,
}

impl Glance {
    /// What the metrics know.
    #[must_use]
    pub fn of(metrics: &Metrics) -> Self {
        let mut outcomes = BTreeMap::new();
        let mut channels = Vec::new();
        metrics.each_channel(|series| {
            let mut channel = ChannelGlance { name: series.name().to_owned(), ..ChannelGlance::default() };
            for (outcome, answers, bytes) in series.totals() {
                *outcomes.entry(outcome.as_str().to_owned()).or_default() += answers;
                channel.answers += answers;
                channel.bytes += bytes;
                channel.from_here += if outcome.is_from_here() { answers } else { 0 };
            }
            if channel.answers > 0 {
                channels.push(channel);
            }
        });
        channels.sort_by(|a: &ChannelGlance, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        channels.truncate(MOST_CHANNELS);
        let requests = RouteKind::ALL.map(|kind| (kind.as_str().to_owned(), metrics.requests_of(kind)));
        Self {
            requests: requests.into_iter().filter(|(_, n)| *n > 0).collect(),
            outcomes,
            sent_bytes: metrics.sent_bytes.get(),
            in_flight: metrics.in_flight.get(),
            connections: metrics.connections.get(),
            channels,
            ..Self::default()
        }
    }

    /// The share of answers that waited for no upstream, from 0 to 1, of those that channels gave since `before`; `None` where there
    /// were none.
    #[must_use]
    pub fn hit_ratio_since(&self, before: &Self) -> Option<f64> {
        let (mut here, mut all) = (0, 0);
        for outcome in Outcome::ALL {
            let count = |glance: &Self| glance.outcomes.get(outcome.as_str()).copied().unwrap_or(0);
            let more = count(self).saturating_sub(count(before));
            all += more;
            here += if outcome.is_from_here() { more } else { 0 };
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        (all > 0).then(|| here as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_tell_what_was_counted() {
        let metrics = Metrics::new();
        let before = Glance::of(&metrics);
        assert_eq!((before.requests.len(), before.channels.len()), (0, 0));
        metrics.request(RouteKind::Package, 200, 30);
        metrics.request(RouteKind::Package, 404, 0);
        metrics.request(RouteKind::Index, 200, 5);
        metrics.channel("a").answered(RouteKind::Package, Outcome::Hit, 10);
        metrics.channel("a").answered(RouteKind::Package, Outcome::Hit, 10);
        metrics.channel("a").answered(RouteKind::Package, Outcome::Stale, 5);
        metrics.channel("b").answered(RouteKind::Package, Outcome::Fill, 100);
        let now = Glance::of(&metrics);
        assert_eq!((now.requests["package"], now.requests["index"], now.sent_bytes), (2, 1, 35));
        assert_eq!((&*now.channels[0].name, now.channels[0].bytes), ("b", 100));
        assert_eq!((now.channels[1].answers, now.channels[1].from_here), (3, 3));
        assert_eq!((now.hit_ratio_since(&before), now.hit_ratio_since(&now)), (Some(0.75), None));
        let read: Glance = serde_json::from_str(&serde_json::to_string(&now).unwrap()).unwrap();
        assert_eq!(read, now);
    }
}
