//! `notify.tokens`: once a day the owners of tokens that end soon are told, each once for each token and end.
//!
//! Belongs here: which tokens. Does not: when (`jobs`), sending (`notifier`).

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::event::{Event, Topic};
use super::notifier::Notifier;
use crate::clock::{SharedClock, UnixMillis};
use crate::http::date::rfc3339;
use crate::jobs::{Failure, Kind, Schedule};
use crate::store::lazy::LazyStore;
use crate::store::model::{Job, Token};
use crate::store::{Store, StoreError};

const NAME: &str = "notify.tokens";
const EVERY: Duration = Duration::from_hours(24);
const PAGE: u32 = 1000;

/// See the module's description.
pub struct TokensJob {
    /// Where tokens are.
    pub store: LazyStore,
    /// Who tells.
    pub notifier: Notifier,
    /// How long before.
    pub before: Duration,
    /// Now.
    pub clock: SharedClock,
}

impl TokensJob {
    /// When it is done.
    #[must_use]
    pub fn schedule() -> Schedule {
        Schedule::new(NAME, "notify-tokens", EVERY, json!({}))
    }

    async fn tell_all(&self, store: &Store) -> Result<(), StoreError> {
        let now = self.clock.now();
        let soon = |token: &&Token| {
            let ends = token.expires.is_some_and(|end| end > now && end <= now.plus(self.before));
            // One that has a successor is meant to end.
            ends && token.revoked.is_none() && token.successor.is_none()
        };
        let mut last: Option<Token> = None;
        loop {
            let page = store.tokens().list(None, last.as_ref().map(|token| &token.id), PAGE).await?;
            for token in page.iter().filter(soon) {
                self.tell(store, token, now).await?;
            }
            match page.into_iter().next_back() {
                Some(token) => last = Some(token),
                None => return Ok(()),
            }
        }
    }

    async fn tell(&self, store: &Store, token: &Token, now: UnixMillis) -> Result<(), StoreError> {
        let Some(owner) = store.users().get(&token.owner).await? else { return Ok(()) };
        if owner.disabled {
            return Ok(());
        }
        let until = token.expires.map(rfc3339).unwrap_or_default();
        let (name, user) = (&token.name, &owner.name);
        let event = Event {
            once: Some(format!("{} {until}", token.id)),
            ..Event::new(
                Topic::Token,
                now,
                format!("the token `{name}` of `{user}` ends at {until}"),
                format!(
                    "The token `{name}` ({}) of `{user}` is good until {until}.\n\nWho still needs it replaces it with `condagate token rotate {}`.",
                    token.id, token.id
                ),
                json!({"token": token.id.as_str(), "name": name, "user": user, "expires": until}),
            )
        };
        self.notifier.tell(&event, owner.email.as_deref()).await
    }
}

#[async_trait]
impl Kind for TokensJob {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn run(&self, _job: &Job) -> Result<(), Failure> {
        let later = |error: StoreError| Failure::Later(error.to_string());
        let store = self.store.get().await.map_err(later)?;
        self.tell_all(&store).await.map_err(later)
    }
}
