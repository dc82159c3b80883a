//! Requests a second, by caller: a token bucket for each.
//!
//! Belongs here: the buckets, and for how long to wait. Does not: who is a caller (`super`).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Steady;

type Buckets = RateLimiter<u64, DashMapStateStore<u64, RandomState>, SteadyTime, NoOpMiddleware<Duration>>;

/// See the module's description.
pub(super) struct Rate {
    buckets: Buckets,
    time: SteadyTime,
}

#[derive(Clone)]
struct SteadyTime(Arc<Steady>);

impl Clock for SteadyTime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.passed()
    }
}

impl Rate {
    /// So many requests a second, and so many at once.
    pub(super) fn new(rate: NonZeroU32, burst: NonZeroU32, clock: &Arc<Steady>) -> Self {
        let time = SteadyTime(Arc::clone(clock));
        let quota = Quota::per_second(rate).allow_burst(burst);
        let hasher = RandomState::new();
        Self { buckets: RateLimiter::dashmap_with_clock_and_hasher(quota, time.clone(), hasher), time }
    }

    /// One request of a caller; or for how many seconds it has to wait, at least one.
    pub(super) fn take(&self, key: u64) -> Result<(), u64> {
        let over = match self.buckets.check_key(&key) {
            Ok(()) => return Ok(()),
            Err(over) => over,
        };
        let wait = over.wait_time_from(self.time.now());
        Err((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// Forgets callers whose buckets are full again.
    pub(super) fn tidy(&self) {
        self.buckets.retain_recent();
        self.buckets.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, UnixMillis};

    #[test]
    fn bursts_are_taken_and_refilled_by_the_clock() {
        let clock = ManualClock::new(UnixMillis(1_000_000));
        let steady = Arc::new(Steady::new(clock.clone()));
        let number = |n| NonZeroU32::new(n).unwrap();
        let rate = Rate::new(number(2), number(3), &steady);
        for _ in 0..3 {
            assert_eq!(rate.take(1), Ok(()));
        }
        assert_eq!((rate.take(1), rate.take(2)), (Err(1), Ok(())), "callers are apart");
        clock.advance(Duration::from_millis(500));
        assert_eq!((rate.take(1), rate.take(1)), (Ok(()), Err(1)));
        clock.advance(Duration::from_hours(1));
        rate.tidy();
        assert_eq!(rate.buckets.len(), 0);
        for _ in 0..3 {
            assert_eq!(rate.take(1), Ok(()));
        }
        assert_eq!(rate.take(1), Err(1));
    }
}
