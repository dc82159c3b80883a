//! Forgets what is older than it has to be kept: events, counters, tokens and sessions that are over, and the marks of what was removed.
//!
//! Belongs here: how much at a time, and what has to wait for what. Does not: when (`jobs`), how long (settings).

use std::time::Duration;

use super::day_of;
use crate::clock::UnixMillis;
use crate::store::model::Span;
use crate::store::{Store, StoreError};

/// How often tokens are looked at, which no index has in the order of their ends; and how long other gates have to learn what was removed
/// before they have to read everything anew.
const TOKENS_EVERY: Duration = Duration::from_hours(24);
/// How long totals of hours are kept, unless those of days are not: after a month nobody asks for the hour.
const HOURS: Duration = Duration::from_hours(24 * 35);
/// Rows removed at a time.
const BATCH: u32 = 1_000;

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Events and counters.
    pub events: Duration,
    /// Totals of traffic.
    pub traffic: Duration,
    /// Tokens, from when they were revoked or expired.
    pub tokens: Duration,
}

/// Forgets, and remembers what it removed.
pub struct Keeper {
    retention: Retention,
    /// When it looked for tokens, and the counter of changes then.
    tokens: Option<(UnixMillis, u64)>,
}

impl Keeper {
    /// One that has not looked yet.
    #[must_use]
    pub const fn new(retention: Retention) -> Self {
        Self { retention, tokens: None }
    }

    /// Forgets what is old. To do it twice does no harm.
    ///
    /// # Errors
    /// The store can't be asked; what was removed until then is gone.
    pub async fn forget_old(&mut self, store: &Store, now: UnixMillis) -> Result<(), StoreError> {
        let before = now.before(self.retention.events);
        while store.audit().forget(before, BATCH).await? > 0 {}
        while store.downloads().forget(day_of(before), BATCH).await? > 0 {}
        for (span, kept) in
            [(Span::Hour, self.retention.traffic.min(HOURS)), (Span::Day, self.retention.traffic)]
        {
            let before = span.start_of(now.before(kept));
            while store.traffic().forget(span, before, BATCH).await? > 0 {}
        }
        while store.sessions().forget_expired(now, BATCH).await? > 0 {}
        self.forget_tokens(store, now).await
    }

    async fn forget_tokens(&mut self, store: &Store, now: UnixMillis) -> Result<(), StoreError> {
        if self.tokens.is_some_and(|(looked, _)| now.since(looked) < TOKENS_EVERY) {
            return Ok(());
        }
        if let Some((_, removed)) = self.tokens {
            while store.settings().forget_gone(removed, BATCH).await? > 0 {}
        }
        let before = now.before(self.retention.tokens);
        while store.tokens().forget_ended(before, BATCH).await? > 0 {}
        self.tokens = Some((now, store.settings().revision().await?));
        Ok(())
    }
}
