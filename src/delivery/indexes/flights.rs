//! What is under way: one refresh at a time for each channel and subdir, joined by all who wait, and what is remembered of the last one.
//!
//! Belongs here: beginning and joining, and letting nothing be begun any more. Does not: what a refresh does (`refresh`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;

use super::{Flight, Indexes, Key};
use crate::delivery::{Delivery, Refusal};
use crate::repodata::generation::Generation;

impl Indexes {
    /// See [`Delivery::is_building`](crate::delivery::Delivery::is_building).
    pub(in crate::delivery) fn is_building(&self) -> bool {
        !self.flights.lock().is_empty() || self.builds.available_permits() < self.places as usize
    }

    /// See [`Delivery::cease`](crate::delivery::Delivery::cease).
    pub(in crate::delivery) fn cease(&self) -> bool {
        let flights = self.flights.lock();
        let Some(all) = self.builds.try_acquire_many(self.places).ok().filter(|_| flights.is_empty()) else {
            return false;
        };
        all.forget();
        self.ceased.store(true, Ordering::SeqCst);
        true
    }

    /// See [`Delivery::resume`](crate::delivery::Delivery::resume).
    pub(in crate::delivery) fn resume(&self) {
        if self.ceased.swap(false, Ordering::SeqCst) {
            self.builds.add_permits(self.places as usize);
        }
    }

    /// Whether refreshes are not begun any more; look while the flights are locked.
    fn has_ceased(&self) -> bool {
        self.ceased.load(Ordering::SeqCst)
    }
}

impl Delivery {
    /// Joins what is under way for this key, or starts `work` and remembers what comes of it.
    pub(in crate::delivery) fn fly(
        &self,
        key: Key,
        label: Arc<str>,
        ttl: Duration,
        work: impl Future<Output = Result<Arc<Generation>, Refusal>> + Send + 'static,
    ) -> Flight {
        let mut flights = self.inner.indexes.flights.lock();
        if let Some(running) = flights.get(&key) {
            return running.clone();
        }
        if self.inner.indexes.has_ceased() {
            let refusal =
                Refusal::unavailable("another process of this gate looks after the indexes now; ask again");
            return std::future::ready(Err(refusal)).boxed().shared();
        }
        let (this, landing) = (self.clone(), key.clone());
        let task = self.inner.runtime.spawn(async move {
            let came = work.await;
            this.remember(&label, ttl, &landing, &came);
            this.inner.indexes.flights.lock().remove(&landing);
            came
        });
        let flight = task
            .map(|joined| {
                joined.unwrap_or_else(|_| {
                    Err(Refusal::Internal("refreshing the index failed inside; see the log".into()))
                })
            })
            .boxed()
            .shared();
        flights.insert(key, flight.clone());
        flight
    }

    fn remember(&self, label: &str, ttl: Duration, key: &Key, came: &Result<Arc<Generation>, Refusal>) {
        let now = self.inner.clock.now();
        let mut memory = self.inner.indexes.memory.get(key).unwrap_or_default();
        match came {
            Ok(_) => {
                memory.next_try = None;
                memory.gone_since = None;
            }
            Err(refusal) => {
                let rest = match refusal {
                    Refusal::Unavailable { retry_after: Some(wait), .. } => *wait,
                    _ => self.inner.settings.index.retry.min(ttl),
                };
                memory.next_try = Some(now.plus(rest));
                if matches!(refusal, Refusal::NotFound(_)) {
                    memory.gone_since.get_or_insert(now);
                } else {
                    self.inner.events.failed(label);
                    tracing::warn!(channel = %key.0, subdir = %key.1, error = %refusal, "refreshing the index failed; what is cached stays");
                }
            }
        }
        self.inner.indexes.memory.insert(key.clone(), memory);
    }
}
