//! What upstream does not have, remembered for a while by the gate's own clock.

use std::time::Duration;

use crate::clock::{SharedClock, UnixMillis};

/// Key → sentence, each good for the same time.
pub(super) struct Absences {
    known: moka::sync::Cache<String, (UnixMillis, String)>,
    clock: SharedClock,
    ttl: Duration,
}

impl Absences {
    pub(super) fn new(clock: SharedClock, ttl: Duration, most: u64) -> Self {
        Self { known: moka::sync::Cache::new(most), clock, ttl }
    }

    /// The sentence of a 404 that is still believed.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        let (since, sentence) = self.known.get(key)?;
        (self.clock.now().since(since) < self.ttl).then_some(sentence)
    }

    pub(super) fn insert(&self, key: String, sentence: String) {
        self.known.insert(key, (self.clock.now(), sentence));
    }

    pub(super) fn forget_all(&self) {
        self.known.invalidate_all();
    }
}
