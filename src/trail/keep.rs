//! Forgets what is older than it has to be kept: events, counters, tokens and sessions that are over, and the marks of what was removed.
//!
//! Belongs here: when, and how much at a time. Does not: how long (settings).

use std::time::Duration;

use super::{TrailSettings, day_of};
use crate::clock::UnixMillis;
use crate::store::lazy::LazyStore;
use crate::store::{Store, StoreError};

/// How often it is looked.
const EVERY: Duration = Duration::from_hours(1);
/// How often for tokens, which no index has in the order of their ends; and how long other gates have to learn what was removed before
/// they have to read everything anew.
const TOKENS_EVERY: Duration = Duration::from_hours(24);
/// Rows removed at a time.
const BATCH: u32 = 1_000;

/// Remembers when it looked.
pub(super) struct Keeper {
    settings: TrailSettings,
    looked: Option<UnixMillis>,
    /// When it looked for tokens, and the counter of changes then.
    tokens: Option<(UnixMillis, u64)>,
}

impl Keeper {
    pub(super) const fn new(settings: TrailSettings) -> Self {
        Self { settings, looked: None, tokens: None }
    }

    /// Forgets what is old, if it is time to look.
    pub(super) async fn forget_old(&mut self, store: &LazyStore, now: UnixMillis) {
        if self.looked.is_some_and(|looked| now.since(looked) < EVERY) {
            return;
        }
        let Ok(store) = store.get().await else { return };
        let forgotten = async {
            self.forget_events(&store, now).await?;
            self.forget_tokens(&store, now).await
        };
        match forgotten.await {
            Ok(()) => self.looked = Some(now),
            Err(error) => tracing::debug!(%error, "old events and tokens can't be removed now"),
        }
    }

    async fn forget_events(&self, store: &Store, now: UnixMillis) -> Result<(), StoreError> {
        let before = before(now, self.settings.retention);
        while store.audit().forget(before, BATCH).await? > 0 {}
        while store.downloads().forget(day_of(before), BATCH).await? > 0 {}
        while store.sessions().forget_expired(now, BATCH).await? > 0 {}
        Ok(())
    }

    async fn forget_tokens(&mut self, store: &Store, now: UnixMillis) -> Result<(), StoreError> {
        if self.tokens.is_some_and(|(looked, _)| now.since(looked) < TOKENS_EVERY) {
            return Ok(());
        }
        if let Some((_, removed)) = self.tokens {
            while store.settings().forget_gone(removed, BATCH).await? > 0 {}
        }
        let before = before(now, self.settings.tokens);
        while store.tokens().forget_ended(before, BATCH).await? > 0 {}
        self.tokens = Some((now, store.settings().revision().await?));
        Ok(())
    }
}

fn before(now: UnixMillis, age: Duration) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}
