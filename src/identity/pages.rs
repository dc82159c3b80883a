//! Staying signed in to the pages of the gate: sessions in a cookie, with an end and a limit on how long they may rest.
//!
//! Their secrets are kept by another digest than those of programs, so that neither can be shown in the other's place: what is in a cookie
//! can't be renewed for ever.
//!
//! Belongs here: beginning, finding and ending such sessions. Does not: the cookie itself (`web`, `auth::credential`).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::session::{BELIEVED, LONGEST_AGENT, PATIENCE, unavailable};
use super::{Identity, Visitor};
use crate::auth;
use crate::conda::digest::Sha256;
use crate::secret::Secret;
use crate::snapshot::people::{Principal, Refused};
use crate::store::Store;
use crate::store::model::{Session, SessionId};

/// How often it is written down that a session is in use.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// Somebody who signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// For the cookie.
    pub secret: Secret<String>,
    /// How long it is good at most.
    pub max_age: Duration,
    /// As shown.
    pub user: Arc<str>,
}

fn digest(secret: &Secret<String>) -> Sha256 {
    Sha256::of(format!("page {}", secret.reveal()).as_bytes())
}

impl Identity {
    /// Signs somebody in with a password: a new session, whatever the browser had before.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub async fn sign_in(
        self: &Arc<Self>,
        user: &str,
        password: &Secret<String>,
        from: &Visitor,
    ) -> Result<SignedIn, Refused> {
        let found = self.by_password(user, password, from.address).await?;
        let (now, max_age) = (self.clock.now(), self.settings.max_age);
        let secret = auth::token::mint().secret;
        let id = SessionId::new(&auth::token::new_id());
        let session = Session {
            id: id.ok_or_else(|| Refused::Unavailable("no id could be made".to_owned()))?,
            hash: digest(&secret),
            user: found.user.clone(),
            created: now,
            expires: now.plus(max_age),
            last_use: now,
            address: from.address(),
            agent: from.agent.chars().take(LONGEST_AGENT).collect(),
        };
        let store = self.asked_store().await?;
        store.sessions().create(&session).await.map_err(|error| unavailable(&error))?;
        self.note("login", &found.user, from);
        Ok(SignedIn { secret, max_age, user: Arc::clone(&found.principal.name) })
    }

    /// Ends a session of the pages; nothing happens when it is over already.
    ///
    /// # Errors
    /// When the store can't be asked.
    pub async fn sign_out(&self, secret: &Secret<String>, from: &Visitor) -> Result<(), Refused> {
        let store = self.asked_store().await?;
        let hash = digest(secret);
        let found = store.sessions().by_hash(&hash).await.map_err(|error| unavailable(&error))?;
        self.sessions.known.invalidate(&hash);
        let Some(session) = found else { return Ok(()) };
        store.sessions().delete(&session.id).await.map_err(|error| unavailable(&error))?;
        self.note("logout", &session.user, from);
        Ok(())
    }

    /// Whose session it is.
    pub(super) async fn by_page_session(
        self: &Arc<Self>,
        secret: &Secret<String>,
    ) -> Result<Arc<Principal>, Refused> {
        if !auth::token::is_ours(secret.reveal()) {
            return Err(Refused::NoSession);
        }
        let hash = digest(secret);
        let now = self.clock.now();
        let known = self.sessions.known.get(&hash).filter(|(_, asked)| now.since(*asked) < BELIEVED);
        let user = if let Some((user, _)) = known {
            user
        } else {
            let this = Arc::clone(self);
            let asked = self.runtime.spawn(async move {
                let store = this.asked_store().await?;
                this.page_session(&store, &hash).await
            });
            let ended = |_| Refused::Unavailable("the store was not asked".to_owned());
            let user = asked.await.map_err(ended)??.user.to_string();
            self.sessions.known.insert(hash, (user.clone(), now));
            user
        };
        self.people.by_user(&user).map(Arc::new)
    }

    async fn page_session(&self, store: &Store, hash: &Sha256) -> Result<Session, Refused> {
        let found = timeout(PATIENCE, store.sessions().by_hash(hash)).await;
        let found = found.map_err(|_| Refused::Unavailable("the store does not answer".to_owned()))?;
        let session = found.map_err(|error| unavailable(&error))?.ok_or(Refused::NoSession)?;
        let (now, rested) = (self.clock.now(), self.clock.now().since(session.last_use));
        if session.expires <= now || rested >= self.settings.idle {
            let removed = store.sessions().delete(&session.id).await;
            if let Err(error) = removed {
                tracing::debug!(%error, "a session that is over stays in the store until it is swept");
            }
            return Err(Refused::NoSession);
        }
        if rested >= NOTED_EVERY {
            let uses = [(session.id.clone(), now)];
            store.sessions().used(&uses).await.map_err(|error| unavailable(&error))?;
        }
        Ok(session)
    }
}
