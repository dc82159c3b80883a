//! How many requests are being read or answered, and waiting until none is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Between the last answer and the end: connections that were accepted but not yet looked at get their turn.
const SETTLE: Duration = Duration::from_millis(30);

/// Counts requests from their first byte to their last.
#[derive(Debug, Default)]
pub struct Drain {
    busy: AtomicUsize,
    idle: Notify,
}

/// Held while a request is in flight.
#[derive(Debug)]
pub struct Busy(Arc<Drain>);

impl Drain {
    /// One more request.
    pub fn enter(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.busy.load(Ordering::SeqCst)
    }

    /// Returns once nothing has been in flight for a moment.
    pub async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
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

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_last_one() {
        let drain = Arc::new(Drain::default());
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
