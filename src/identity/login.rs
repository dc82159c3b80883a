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

use super::Identity;
use super::passwords::{Crowded, Work};
use super::session::unavailable;
use crate::auth;
use crate::auth::lockout::{Attempt, Lockout};
use crate::auth::name::UserName;
use crate::secret::Secret;
use crate::snapshot::people::{Principal, Refused};
use crate::store::model::{User, UserId};
use crate::trail::Happened;

/// Stands for what can't be a name.
const NOBODY: &str = "nobody";
/// How long a right password is remembered.
const REMEMBERED: Duration = Duration::from_mins(10);

/// Somebody whose password was right.
pub(super) struct Found {
    pub(super) user: UserId,
    pub(super) principal: Arc<Principal>,
}

/// A try at a password.
struct Attempted {
    name: UserName,
    is_name: bool,
    from: IpAddr,
    digest: [u8; 32],
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
        let (name, is_name) = match UserName::parse(user) {
            Ok(name) => (name, true),
            // Nobody has it; the work and the counting are the same.
            Err(_) => (UserName::parse(NOBODY).map_err(|_| Refused::WrongPassword)?, false),
        };
        let digest = self.login.digest(name.key(), password);
        if let Some((id, revision)) = self.login.right.get(&digest).filter(|_| is_name)
            && let Ok(principal) = self.people.by_user(id.as_str())
            && principal.revision == revision
        {
            return Ok(Found { user: id, principal: Arc::new(principal) });
        }
        let (this, password) = (Arc::clone(self), password.clone());
        let attempt = Attempted { name, is_name, from: from.unwrap_or(IpAddr::from([127, 0, 0, 1])), digest };
        // On the background runtime: a client that leaves must not undo what was counted.
        let work = self.runtime.spawn(async move { this.prove(&attempt, &password).await });
        work.await.map_err(|_| Refused::Unavailable("the password was not looked at".to_owned()))?
    }

    async fn prove(&self, attempt: &Attempted, password: &Secret<String>) -> Result<Found, Refused> {
        let Attempted { name, from, digest, .. } = attempt;
        // What the store can't say is nobody's failure, so it is asked before anything is counted.
        let store = self.asked_store().await?;
        let user = if attempt.is_name {
            store.users().by_name(name.key()).await.map_err(|error| unavailable(&error))?
        } else {
            None
        };
        match self.login.lockout.begin(name, *from, self.clock.now()) {
            Attempt::Go(slower) => tokio::time::sleep(slower).await,
            Attempt::Wait(wait, reason) => {
                self.note_failure(name.key(), *from, reason.sentence());
                return Err(Refused::SlowDown { seconds: wait.as_secs().max(1) });
            }
        }
        let stored = user.as_ref().and_then(|user| user.password.clone());
        let verified = self.login.work.verify(password, stored).await?;
        let Some(user) = user.filter(|user| verified.matches && !user.disabled) else {
            self.note_failure(name.key(), *from, "wrong user name or password");
            return Err(Refused::WrongPassword);
        };
        self.login.lockout.succeeded(name, *from, self.clock.now());
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
        self.login.right.insert(*digest, (user.id.clone(), principal.revision));
        Ok(Found { user: user.id, principal: Arc::new(principal) })
    }

    /// Keeps the password under today's parameters. Where somebody else changed the user meanwhile, it is done next time.
    async fn rehash(&self, mut user: User, password: &Secret<String>) -> User {
        let (Ok(store), Ok(Some(hash))) = (self.asked_store().await, self.login.work.hash(password).await)
        else {
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

    fn note_failure(&self, key: &str, address: IpAddr, result: &str) {
        self.trail.denied(&Happened {
            actor: "anonymous".to_owned(),
            kind: "login.failed",
            target: key,
            address: &address.to_string(),
            result,
            detail: json!({}),
        });
    }
}
