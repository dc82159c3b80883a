//! What channels were asked for, by the hour, until it is written.
//!
//! Nothing is counted here: the sums of the metrics are looked at every few seconds, and what has come since the last look belongs to
//! the hour of this one. There are as many rows as channels that answered in that hour, and metrics tell no more than
//! [`MAX_CHANNELS`](crate::telemetry::metrics::MAX_CHANNELS) apart. A channel answers from its first package or index on.
//!
//! Belongs here: differences, what waits. Does not: counting (`telemetry`), when it is written (`super`).

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::clock::UnixMillis;
use crate::store::model::{self, Span};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Traffic;

/// Hours of channels that may wait: two channels for more than a year, two hundred for four days.
const MOST: usize = 20_000;
/// What stands for all channels that metrics don't tell apart; no channel can be called this.
pub const OTHERS: &str = "(other)";

/// An hour (its beginning) of a channel.
pub(super) type Hour = (i64, Box<str>);

/// See the module's description.
pub(super) struct Flow {
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The sums at the last look.
    seen: AHashMap<Box<str>, Traffic>,
    waiting: BTreeMap<Hour, Traffic>,
}

impl Flow {
    /// With what an earlier life left.
    pub(super) fn new(metrics: Arc<Metrics>, left: Vec<(Hour, Traffic)>) -> Self {
        let state = State { waiting: left.into_iter().collect(), ..State::default() };
        Self { metrics, state: Mutex::new(state) }
    }

    /// Looks at the sums; how many requests could not be kept, because too much waits.
    pub(super) fn look(&self, now: UnixMillis) -> u64 {
        let start = Span::Hour.start_of(now).0;
        let (mut state, mut lost) = (self.state.lock(), 0);
        self.metrics.each_channel(|series| {
            // A channel may bear the name that this one has for scrapers.
            let name = if series.is_shared() { OTHERS } else { series.name() };
            lost += state.note(start, name, series.traffic());
        });
        lost
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().waiting.is_empty()
    }

    /// All that waits.
    pub(super) fn all(&self) -> Vec<(Hour, Traffic)> {
        self.some(usize::MAX)
    }

    /// At most so many, the oldest first.
    pub(super) fn some(&self, most: usize) -> Vec<(Hour, Traffic)> {
        let state = self.state.lock();
        state.waiting.iter().take(most).map(|(hour, traffic)| (hour.clone(), *traffic)).collect()
    }

    /// Takes off what was written.
    pub(super) fn written(&self, batch: Vec<(Hour, Traffic)>) {
        let waiting = &mut self.state.lock().waiting;
        for (hour, written) in batch {
            let Some(traffic) = waiting.get_mut(&hour) else { continue };
            *traffic = traffic.since(written);
            if traffic.is_nothing() {
                waiting.remove(&hour);
            }
        }
    }
}

impl State {
    fn note(&mut self, start: i64, name: &str, sums: Traffic) -> u64 {
        let before = self.seen.get(name).copied().unwrap_or_default();
        let more = sums.since(before);
        // A name under which there was neither a package nor an index may be made up.
        if more.is_nothing() || !sums.has_delivered() {
            return 0;
        }
        self.seen.insert(name.into(), sums);
        let full = self.waiting.len() >= MOST;
        let hour = (start, Box::from(name));
        match self.waiting.get_mut(&hour) {
            Some(waiting) => *waiting = waiting.plus(more),
            None if full => return more.hits + more.misses + more.refused + more.indexes,
            None => drop(self.waiting.insert(hour, more)),
        }
        0
    }
}

/// As the store has it: once for the hour, once for its day.
pub(super) fn rows((hour, traffic): &(Hour, Traffic)) -> [model::Traffic; 2] {
    let (start, channel) = hour;
    [Span::Hour, Span::Day].map(|span| model::Traffic {
        span,
        start: span.start_of(UnixMillis(*start)),
        channel: channel.to_string(),
        hits: traffic.hits,
        misses: traffic.misses,
        refused: traffic.refused,
        indexes: traffic.indexes,
        bytes: traffic.bytes,
    })
}
