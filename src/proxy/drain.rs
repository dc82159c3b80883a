//! How many requests are being read or answered, and waiting until none is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::telemetry::metrics::Level;

/// Between the last answer and the end: connections that were accepted but not yet looked at get their turn.
const SETTLE: Duration = Duration::from_millis(30);

/// Counts requests from their first byte to their last, on the gauge that `/-/metrics` shows.
#[derive(Debug)]
pub(super) struct Drain {
    busy: Level,
    /// Somebody wants to hear when one ends.
    waited_for: AtomicBool,
    idle: Notify,
}

/// Held while a request is in flight.
#[derive(Debug)]
pub(super) struct Busy<'a>(&'a Drain);

impl Drain {
    pub(super) fn new(busy: Level) -> Self {
        Self { busy, waited_for: AtomicBool::new(false), idle: Notify::new() }
    }

    /// One more request.
    pub(super) fn enter(&self) -> Busy<'_> {
        self.busy.inc();
        Busy(self)
    }

    /// Requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        usize::try_from(self.busy.get()).unwrap_or(0)
    }

    /// Returns once nothing has been in flight for a moment.
    pub(super) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            // Whoever counts down after this sees that it is waited for; who did before is in the count.
            self.waited_for.store(true, Ordering::SeqCst);
            if self.in_flight() > 0 {
                idle.await;
                continue;
            }
            tokio::time::sleep(SETTLE).await;
            if self.in_flight() == 0 {
                return;
            }
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.dec();
        if self.0.waited_for.load(Ordering::SeqCst) {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_last_one() {
        let drain = Arc::new(Drain::new(Level::default()));
        drain.drained().await;
        let (first, second) = (drain.enter(), drain.enter());
        let waiting = tokio::spawn({
            let drain = Arc::clone(&drain);
            async move { drain.drained().await }
        });
        drop(first);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
        assert_eq!(drain.in_flight(), 0);
    }
}
