//! How many denials are written: so many a minute, so that nobody can fill the store by being refused.
//!
//! Belongs here: counting. Does not: what a denial is.

use parking_lot::Mutex;

use crate::clock::UnixMillis;

const MINUTE: i64 = 60_000;

/// Counts within the minute of the clock.
pub(super) struct Denials {
    limit: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    minute: i64,
    written: u32,
    unwritten: u64,
}

impl Denials {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Whether one is to be written, and how many were not since the last that was.
    pub(super) fn admit(&self, now: UnixMillis) -> Option<u64> {
        let mut state = self.state.lock();
        let minute = now.0.div_euclid(MINUTE);
        if minute != state.minute {
            (state.minute, state.written) = (minute, 0);
        }
        if state.written >= self.limit {
            state.unwritten += 1;
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_minute_and_the_rest_is_counted() {
        let denials = Denials::new(2);
        let at = |seconds: i64| UnixMillis(seconds * 1000);
        let admitted: Vec<_> = [0, 1, 2, 59, 60, 61, 62].map(|second| denials.admit(at(second))).into();
        assert_eq!(admitted, [Some(0), Some(0), None, None, Some(2), Some(0), None]);
        assert_eq!(Denials::new(0).admit(at(0)), None);
    }
}
