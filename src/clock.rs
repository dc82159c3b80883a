//! Time as a value: every room that needs "now" takes a [`Clock`], so tests can move time by hand.
//!
//! Belongs here: the clock trait, the system clock, the manual clock. Does not: timers and deadlines
//! (rooms use tokio's), formatting of dates (`http::date`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Milliseconds since the Unix epoch (UTC).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment `after` later; saturates instead of wrapping.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        let millis = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The moment `long` earlier; saturates instead of wrapping.
    #[must_use]
    pub fn before(self, long: Duration) -> Self {
        let millis = i64::try_from(long.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same moment for library calls that want a [`SystemTime`].
    #[must_use]
    pub fn to_system(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }

    /// A file's or library's [`SystemTime`]; moments before 1970 become 0.
    #[must_use]
    pub fn from_system(time: SystemTime) -> Self {
        let millis = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        Self(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// Where "now" comes from.
pub trait Clock: Send + Sync + 'static {
    /// The current moment.
    fn now(&self) -> UnixMillis;
}

/// A clock that is shared between rooms.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> UnixMillis {
        UnixMillis::from_system(SystemTime::now())
    }
}

/// Time that has passed by a clock that may be set back: it never goes back itself.
pub struct Steady {
    clock: SharedClock,
    /// What the clock said last, and how much had passed by then, in milliseconds.
    last: Mutex<(i64, u64)>,
}

impl Steady {
    /// Begins now.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let now = clock.now().0;
        Self { clock, last: Mutex::new((now, 0)) }
    }

    /// How much has passed.
    pub fn passed(&self) -> Duration {
        let now = self.clock.now().0;
        let mut last = self.last.lock();
        let (said, passed) = *last;
        // Two threads may come with readings in the other order: only more than a moment is a clock that was set back.
        if now > said || said.saturating_sub(now) > 1000 {
            *last = (now, passed + u64::try_from(now.saturating_sub(said)).unwrap_or(0));
        }
        Duration::from_millis(last.1)
    }
}

/// A clock that stands still until it is moved; used by tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn new(start: UnixMillis) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(start.0)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the clock back, as somebody may do with the machine's.
    pub fn set_back(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_sub(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_passed_never_goes_back() {
        let clock = ManualClock::new(UnixMillis(50_000));
        let steady = Steady::new(clock.clone());
        clock.advance(Duration::from_secs(5));
        assert_eq!(steady.passed(), Duration::from_secs(5));
        clock.set_back(Duration::from_hours(1));
        assert_eq!(steady.passed(), Duration::from_secs(5));
        clock.advance(Duration::from_secs(2));
        assert_eq!(steady.passed(), Duration::from_secs(7));
        clock.set_back(Duration::from_millis(10));
        assert_eq!(steady.passed(), Duration::from_secs(7));
        clock.advance(Duration::from_millis(15));
        assert_eq!(steady.passed(), Duration::from_millis(7005), "nothing is counted twice");
    }

    #[test]
    fn manual_clock_moves_only_by_hand() {
        let clock = ManualClock::new(UnixMillis(1_000));
        assert_eq!(clock.now(), UnixMillis(1_000));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now().since(UnixMillis(1_000)), Duration::from_secs(2));
        assert_eq!(UnixMillis(5).since(UnixMillis(9)), Duration::ZERO);
    }
}
