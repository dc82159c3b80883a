//! Proving who somebody is with a password.
//!
//! The same work is done whether there is such a user or not, and the same sentence says that it failed, so that nobody can find
//! out who has an account. A password that was right is remembered for some minutes by a keyed digest, in memory only and only for the user
//! as it was: clients that send it with every request cost one hash.
//!
//! Belongs here: the order of these steps. Does not: hashing (`auth::password`), counting attempts (`auth::lockout`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::json;
use sha2::{Digest as _, Sha256 as Hasher};

use super::passwords::{Crowded, Work};
use super::session::unavailable;
use super::Identity;
use crate::auth;
use crate::auth::lockout::Lockout;
use crate::auth::name::UserName;
use crate::secret::Secret;
use crate::snapshot::people::{Principal, Refused};
use crate::store::model::{User, UserId};
use crate::trail::Happened;

/// How long a right password is remembered.
const REMEMBERED: Duration = Duration::from_mins(10);

/// Somebody whose password was right.
pub(super) struct Found {
    pub(super) user: UserId,
    pub(super) principal: Arc<Principal>,
}

/// See the module's description.
pub(super) struct Logins {
    work: Work,
    lockout: Lockout,
    /// By keyed digest of name and password: the user and the revision it had.
    right: Cache<[u8; 32], (UserId, u64), ahash::RandomState>,
    key: Secret<String>,
}

impl Logins {
    pub(super) fn new(work: Work, lockout: Lockout) -> Self {
        let right = Cache::builder().max_capacity(10_000).time_to_live(REMEMBERED);
        let right = right.build_with_hasher(ahash::RandomState::new());
        Self { work, lockout, right, key: auth::token::mint().secret }
    }

    fn digest(&self, name: &str, password: &Secret<String>) -> [u8; 32] {
        let mut hasher = Hasher::new();
        for part in [self.key.reveal(), name, password.reveal()] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }
}

impl From<Crowded> for Refused {
    fn from(_: Crowded) -> Self {
        Self::SlowDown { seconds: 5 }
    }
}

impl Identity {
    /// Whose password this is.
    pub(super) async fn by_password(
        self: &Arc<Self>,
        user: &str,
        password: &Secret<String>,
        from: Option<IpAddr>,
    ) -> Result<Found, Refused> {
        let name = UserName::parse(user).ok();
        let key = name.as_ref().map_or("", UserName::key);
        let digest = self.login.digest(key, password);
        if let Some((id, revision)) = self.login.right.get(&digest)
            && let Ok(principal) = self.people.by_user(id.as_str())
            && principal.revision == revision
        {
            return Ok(Found { user: id, principal: Arc::new(principal) });
        }
        let (this, key, password) = (Arc::clone(self), key.to_owned(), password.clone());
        // On the background runtime: a client that leaves must not undo what was counted.
        let work = self.runtime.spawn(async move { this.prove(&key, &password, from, digest).await });
        work.await.map_err(|_| Refused::Unavailable("the password was not looked at".to_owned()))?
    }

    async fn prove(
        &self,
        key: &str,
        password: &Secret<String>,
        from: Option<IpAddr>,
        digest: [u8; 32],
    ) -> Result<Found, Refused> {
        let address = from.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        self.may_try(key, address).await?;
        let store = self.asked_store().await?;
        let user = store.users().by_name(key).await.map_err(|error| unavailable(&error))?;
        let stored = user.as_ref().and_then(|user| user.password.clone());
        let verified = self.login.work.verify(password, stored).await?;
        let Some(user) = user.filter(|user| verified.matches && !user.disabled) else {
            self.login.lockout.failed(key, address, self.clock.now());
            self.note_failure(key, address);
            return Err(Refused::WrongPassword);
        };
        self.login.lockout.succeeded(key, address, self.clock.now());
        let user = if verified.rehash { self.rehash(user, password).await } else { user };
        let id = user.id.as_str();
        let principal = match self.people.by_user(id) {
            Ok(principal) if principal.revision == user.revision => principal,
            // Made or changed a moment ago.
            _ => {
                self.people.catch_up().await;
                self.people.by_user(id)?
            }
        };
        self.login.right.insert(digest, (user.id.clone(), principal.revision));
        Ok(Found { user: user.id, principal: Arc::new(principal) })
    }

    /// Keeps the password under today's parameters. Where somebody else changed the user meanwhile, it is done next time.
    async fn rehash(&self, mut user: User, password: &Secret<String>) -> User {
        let (Ok(store), Ok(Some(hash))) = (self.asked_store().await, self.login.work.hash(password).await) else {
            return user;
        };
        let before = user.clone();
        user.password = Some(hash);
        match store.users().update(&user).await {
            Ok(revision) => User { revision, ..user },
            Err(error) => {
                tracing::debug!(%error, "a password could not be hashed anew");
                before
            }
        }
    }

    fn note_failure(&self, key: &str, address: IpAddr) {
        self.trail.denied(&Happened {
            actor: "anonymous".to_owned(),
            kind: "login.failed",
            target: key,
            address: &address.to_string(),
            result: "wrong user name or password",
            detail: json!({}),
        });
    }
}
