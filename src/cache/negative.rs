//! Remembers for a short while that upstream has no such file, so that a wrong name asked again and again costs
//! one request.
//!
//! Belongs here: a bounded map with a time to live per entry, in memory only. Does not: deciding what is negative.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{SharedClock, UnixMillis};

/// Entries kept; the least used go first.
const CAPACITY: u64 = 10_000;

/// What to answer without asking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NegativeEntry {
    /// Status to answer with.
    pub status: u16,
    /// The sentence upstream's answer was turned into.
    pub sentence: Arc<str>,
    /// When to ask again.
    pub until: UnixMillis,
}

/// Negative answers by key.
pub struct Negatives {
    entries: moka::sync::Cache<Box<str>, NegativeEntry>,
    clock: SharedClock,
}

impl Negatives {
    /// An empty table.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self {
            entries: moka::sync::Cache::builder()
                .max_capacity(CAPACITY)
                .support_invalidation_closures()
                .build(),
            clock,
        }
    }

    /// Remembers `status` for `ttl`.
    pub fn insert(&self, key: &str, status: u16, sentence: impl Into<Arc<str>>, ttl: Duration) {
        let entry = NegativeEntry { status, sentence: sentence.into(), until: self.clock.now().plus(ttl) };
        self.entries.insert(key.into(), entry);
    }

    /// What is remembered and still holds.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<NegativeEntry> {
        let entry = self.entries.get(key)?;
        if self.clock.now() < entry.until {
            return Some(entry);
        }
        self.entries.invalidate(key);
        None
    }

    /// Forgets one key (the file turned up).
    pub fn forget(&self, key: &str) {
        self.entries.invalidate(key);
    }

    /// Forgets every key that starts with `prefix` (purge of a channel).
    pub fn forget_prefix(&self, prefix: &str) {
        let prefix = prefix.to_owned();
        // Fails only without support_invalidation_closures, which `new` asks for.
        let _ = self.entries.invalidate_entries_if(move |key, _| key.starts_with(&prefix));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn entries_end_by_time_and_by_hand() {
        let clock = ManualClock::new(UnixMillis(0));
        let negatives = Negatives::new(clock.clone());
        negatives.insert("a/x", 404, "no such file", Duration::from_secs(5));
        negatives.insert("a/y", 410, "gone", Duration::from_secs(50));
        negatives.insert("b/z", 404, "no such file", Duration::from_secs(50));
        assert_eq!(negatives.get("a/x").map(|entry| entry.status), Some(404));
        clock.advance(Duration::from_secs(5));
        assert_eq!(negatives.get("a/x"), None);
        negatives.forget_prefix("a/");
        assert_eq!(negatives.get("a/y"), None);
        assert!(negatives.get("b/z").is_some());
        negatives.forget("b/z");
        assert_eq!(negatives.get("b/z"), None);
    }
}
