//! Forgets what is older than it has to be kept, and sessions that are over.
//!
//! Belongs here: when, and how much at a time. Does not: how long (settings).

use std::time::Duration;

use super::day_of;
use crate::clock::UnixMillis;
use crate::store::lazy::LazyStore;
use crate::store::{Store, StoreError};

/// How often it is looked.
const EVERY: Duration = Duration::from_hours(1);
/// Rows removed at a time.
const BATCH: u32 = 1_000;

/// Remembers when it looked.
pub(super) struct Keeper {
    retention: Duration,
    looked: Option<UnixMillis>,
}

impl Keeper {
    pub(super) const fn new(retention: Duration) -> Self {
        Self { retention, looked: None }
    }

    /// Forgets what is old, if it is time to look.
    pub(super) async fn forget_old(&mut self, store: &LazyStore, now: UnixMillis) {
        if self.looked.is_some_and(|looked| now.since(looked) < EVERY) {
            return;
        }
        let Ok(store) = store.get().await else { return };
        match forget(&store, self.retention, now).await {
            Ok(()) => self.looked = Some(now),
            Err(error) => tracing::debug!(%error, "old events can't be removed now"),
        }
    }
}

async fn forget(store: &Store, retention: Duration, now: UnixMillis) -> Result<(), StoreError> {
    let millis = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let before = UnixMillis(now.0.saturating_sub(millis));
    while store.audit().forget(before, BATCH).await? > 0 {}
    while store.downloads().forget(day_of(before), BATCH).await? > 0 {}
    while store.sessions().forget_expired(now, BATCH).await? > 0 {}
    Ok(())
}
