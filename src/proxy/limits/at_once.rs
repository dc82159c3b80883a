//! Requests under way at one time, by caller.
//!
//! Belongs here: counting them. Does not: who is a caller (`super`).

use std::num::NonZeroU32;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

/// Locks; a caller has one of them.
const PARTS: usize = 32;

type Part = Mutex<HashMap<u64, u32, ahash::RandomState>>;

/// See the module's description.
pub(super) struct AtOnce {
    most: u32,
    parts: Arc<[Part; PARTS]>,
}

/// One request under way, until it is dropped.
pub(super) struct Held {
    key: u64,
    parts: Arc<[Part; PARTS]>,
}

impl AtOnce {
    pub(super) fn new(most: NonZeroU32) -> Self {
        Self { most: most.get(), parts: Arc::new(std::array::from_fn(|_| Part::default())) }
    }

    /// A place for one more request of a caller, if there is one.
    pub(super) fn take(&self, key: u64) -> Option<Held> {
        let mut part = part_of(&self.parts, key).lock();
        let under_way = part.entry(key).or_default();
        if *under_way >= self.most {
            return None;
        }
        *under_way += 1;
        Some(Held { key, parts: Arc::clone(&self.parts) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut part = part_of(&self.parts, self.key).lock();
        if let Some(under_way) = part.get_mut(&self.key) {
            *under_way -= 1;
            if *under_way == 0 {
                part.remove(&self.key);
            }
        }
    }
}

fn part_of(parts: &[Part; PARTS], key: u64) -> &Part {
    // Less than their number, which is small.
    &parts[usize::try_from(key % PARTS as u64).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_and_nothing_stays_behind() {
        let places = AtOnce::new(NonZeroU32::new(2).unwrap());
        let first = places.take(7).unwrap();
        let second = places.take(7).unwrap();
        assert!(places.take(7).is_none() && places.take(8).is_some());
        drop(first);
        let third = places.take(7).unwrap();
        assert!(places.take(7).is_none());
        drop((second, third));
        assert!(places.parts.iter().all(|part| part.lock().is_empty()));
    }
}
