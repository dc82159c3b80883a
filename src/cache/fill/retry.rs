//! When a fill asks upstream again after a fault in the middle of a body.
//!
//! Belongs here: counting and pauses. Does not: choosing a mirror (the upstream room does, on every open).

use std::time::Duration;

use crate::cache::error::{SourceError, SourceErrorKind};
use crate::cache::settings::CacheSettings;

/// Progress that makes a fault count as the first one again.
const PROGRESS: u64 = 256 * 1024;
/// Faults in one fill altogether, however much progress lies between them.
const ALTOGETHER: u32 = 200;
/// Longest wait a Retry-After can ask for; beyond it the fill fails and the next request tries.
const LONGEST: Duration = Duration::from_secs(15);

/// Counts the faults of one fill.
pub(super) struct Retries {
    delay: Duration,
    allowed: u32,
    in_row: u32,
    altogether: u32,
    at: u64,
}

impl Retries {
    pub(super) const fn new(settings: &CacheSettings) -> Self {
        Self { delay: settings.retry_delay, allowed: settings.max_attempts, in_row: 0, altogether: 0, at: 0 }
    }

    /// How long to wait before asking again at `committed`; `None`: give up.
    pub(super) fn after(&mut self, error: &SourceError, committed: u64) -> Option<Duration> {
        if committed >= self.at.saturating_add(PROGRESS) {
            self.in_row = 0;
        }
        self.at = committed;
        self.in_row += 1;
        self.altogether += 1;
        if !error.retryable || self.in_row > self.allowed || self.altogether > ALTOGETHER {
            return None;
        }
        let pause = self.delay.saturating_mul(1 << (self.in_row - 1).min(5));
        match error.kind {
            SourceErrorKind::RateLimited(Some(wait)) if wait > LONGEST => None,
            SourceErrorKind::RateLimited(Some(wait)) => Some(wait.max(pause)),
            _ => Some(pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: SourceErrorKind) -> SourceError {
        SourceError { kind, message: String::new(), retryable: true }
    }

    #[test]
    fn pauses_grow_and_end_unless_there_is_progress() {
        let settings = CacheSettings { max_attempts: 3, ..CacheSettings::new("/x") };
        let mut retries = Retries::new(&settings);
        let down = fault(SourceErrorKind::Unavailable);
        let millis = |pause: Option<Duration>| pause.map(|pause| pause.as_millis());
        assert_eq!(millis(retries.after(&down, 10)), Some(200));
        assert_eq!(millis(retries.after(&down, 20)), Some(400));
        assert_eq!(millis(retries.after(&down, 20)), Some(800));
        assert_eq!(millis(retries.after(&down, 1_000_000)), Some(200));
        for _ in 0..2 {
            assert!(retries.after(&down, 1_000_000).is_some());
        }
        assert_eq!(retries.after(&down, 1_000_000), None);
    }

    #[test]
    fn what_is_not_retryable_ends_it() {
        let mut retries = Retries::new(&CacheSettings::new("/x"));
        let fatal = SourceError { retryable: false, ..fault(SourceErrorKind::NotFound) };
        assert_eq!(retries.after(&fatal, 0), None);
        let wait = |seconds| fault(SourceErrorKind::RateLimited(Some(Duration::from_secs(seconds))));
        assert_eq!(retries.after(&wait(3), 0), Some(Duration::from_secs(3)));
        assert_eq!(retries.after(&wait(300), 0), None);
    }

    #[test]
    fn a_drip_of_progress_ends_too() {
        let mut retries = Retries::new(&CacheSettings::new("/x"));
        let down = fault(SourceErrorKind::Unavailable);
        let rounds =
            (1..1000).map(|n| retries.after(&down, n * PROGRESS)).take_while(Option::is_some).count();
        assert_eq!(rounds, ALTOGETHER as usize);
    }
}
