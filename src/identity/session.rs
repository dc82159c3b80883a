//! Logging in, staying so, logging out.
//!
//! A session has one secret. Shown to be renewed it is good once, so a copy that somebody else renews is noticed.
//!
//! Belongs here: sessions of programs and what they hand out. Does not: HTTP (`api`), people in front of a browser (`pages`).

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::json;
use tokio::time::timeout;

use super::{Identity, Visitor};
use crate::auth;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::secret::Secret;
use crate::snapshot::people::{Principal, Refused};
use crate::store::model::{Session, SessionId, UserId};
use crate::store::{Store, StoreError};
use crate::trail::Happened;

/// How long a session is believed without asking the store again: as long as a revocation may take.
pub(super) const BELIEVED: Duration = Duration::from_secs(2);
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The longest name of a program that is kept.
pub(super) const LONGEST_AGENT: usize = 200;

/// Sessions of pages that were asked for lately: their users, and when.
pub(super) struct Sessions {
    pub(super) known: Cache<Sha256, (String, UnixMillis), ahash::RandomState>,
}

impl Sessions {
    pub(super) fn new() -> Self {
        let known = Cache::builder().max_capacity(10_000).time_to_live(BELIEVED);
        Self { known: known.build_with_hasher(ahash::RandomState::new()) }
    }
}

/// What somebody gets who logs in.
#[derive(Debug)]
pub struct Issued {
    /// Good for requests, for a short time.
    pub access: Secret<String>,
    /// Until then.
    pub access_expires: UnixMillis,
    /// Renews both, once.
    pub refresh: Secret<String>,
    /// Until then.
    pub refresh_expires: UnixMillis,
    /// Who it is, as shown.
    pub user: Arc<str>,
}

pub(super) fn unavailable(error: &StoreError) -> Refused {
    tracing::debug!(%error, "the store can't be asked about a caller");
    Refused::Unavailable("the store can't be asked".to_owned())
}

impl Identity {
    pub(super) async fn asked_store(&self) -> Result<Store, Refused> {
        let late = |_| Refused::Unavailable("the store does not answer".to_owned());
        timeout(PATIENCE, self.store.get()).await.map_err(late)?.map_err(|error| unavailable(&error))
    }

    /// Logs somebody in with a password.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub async fn log_in(
        self: &Arc<Self>,
        user: &str,
        password: &Secret<String>,
        from: &Visitor,
    ) -> Result<Issued, Refused> {
        let found = self.by_password(user, password, from.address).await?;
        self.issue(found.user, &found.principal, from, "login").await
    }

    /// Renews a session: its secret is good no longer, the new one is.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub async fn renew(self: &Arc<Self>, secret: &Secret<String>, from: &Visitor) -> Result<Issued, Refused> {
        let store = self.asked_store().await?;
        let session = self.session(&store, secret).await?;
        let principal = self.people.by_user(session.user.as_str())?;
        // Whoever removes it has the right to a new one; there can be only one.
        if !store.sessions().delete(&session.id).await.map_err(|error| unavailable(&error))? {
            return Err(Refused::NoSession);
        }
        self.issue(session.user, &principal, from, "session.renew").await
    }

    /// Ends a session; nothing happens when it is over already.
    ///
    /// # Errors
    /// When the store can't be asked.
    pub async fn log_out(&self, secret: &Secret<String>, from: &Visitor) -> Result<(), Refused> {
        let store = self.asked_store().await?;
        let session = match self.session(&store, secret).await {
            Err(Refused::NoSession) => return Ok(()),
            other => other?,
        };
        store.sessions().delete(&session.id).await.map_err(|error| unavailable(&error))?;
        self.note("logout", &session.user, from);
        Ok(())
    }

    async fn issue(
        self: &Arc<Self>,
        user: UserId,
        principal: &Principal,
        from: &Visitor,
        kind: &'static str,
    ) -> Result<Issued, Refused> {
        let now = self.clock.now();
        let (minted, refresh_expires) = (auth::token::mint(), now.plus(self.settings.refresh_ttl));
        let id = SessionId::new(&auth::token::new_id());
        let id = id.ok_or_else(|| Refused::Unavailable("no id could be made".to_owned()))?;
        let session = Session {
            id,
            hash: minted.hash,
            user: user.clone(),
            created: now,
            expires: refresh_expires,
            last_use: now,
            address: from.address(),
            agent: from.agent.chars().take(LONGEST_AGENT).collect(),
        };
        let store = self.asked_store().await?;
        let (access, access_expires) = self.issue_access(&user).await?;
        store.sessions().create(&session).await.map_err(|error| unavailable(&error))?;
        self.note(kind, &user, from);
        let (refresh, user) = (minted.secret, Arc::clone(&principal.name));
        Ok(Issued { access, access_expires, refresh, refresh_expires, user })
    }

    pub(super) fn note(&self, kind: &str, user: &UserId, from: &Visitor) {
        self.trail.event(&Happened {
            actor: format!("user:{user}"),
            kind,
            target: user.as_str(),
            address: &from.address(),
            result: "ok",
            detail: json!({"agent": from.agent.chars().take(LONGEST_AGENT).collect::<String>()}),
        });
    }

    async fn session(&self, store: &Store, secret: &Secret<String>) -> Result<Session, Refused> {
        if !auth::token::is_ours(secret.reveal()) {
            return Err(Refused::NoSession);
        }
        let hash = auth::token::hash_of(secret.reveal());
        let found = timeout(PATIENCE, store.sessions().by_hash(&hash)).await;
        let found = found.map_err(|_| Refused::Unavailable("the store does not answer".to_owned()))?;
        let found = found.map_err(|error| unavailable(&error))?;
        found.filter(|session| session.expires > self.clock.now()).ok_or(Refused::NoSession)
    }
}
