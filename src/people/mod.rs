//! People: what is done with users, groups, tokens and grants, and who did it.
//!
//! Each method does one thing that a person asked for, in an order in which a crash in between leaves nothing usable that
//! should not be, and writes what was done into the audit trail. Running gates follow the store by themselves.
//!
//! Belongs here: use cases that join `store` and `auth`, their rules (the last superuser, what a token may be), the trail
//! they leave, looking into it and into totals, what of it may be shown ([`view`]). Does not: whether a request may pass (`proxy`), what rights mean
//! (`policy`), what is typed and printed (`cli`, `api`).

mod by;
mod error;
mod grants;
mod groups;
mod names;
mod record;
pub mod reset;
mod seen;
mod sessions;
pub mod setup;
mod state;
mod tokens;
mod traffic;
mod users;
pub mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::auth::name::UserName;
use crate::auth::password::Passwords;
use crate::clock::{SharedClock, UnixMillis};
use crate::secret::Secret;
use crate::store::Store;

pub use by::By;
pub use error::{PeopleError, Refusal};
pub use grants::{Given, Who};
pub use groups::Joined;
pub use record::{event_at, place_of};
pub use seen::Seen;
pub use state::UserState;
pub use tokens::{Issued, Life, NewToken};
pub use traffic::{place_of_traffic, traffic_at};
pub use users::{Account, NewUser};

/// Rows that one question to the store gives.
const PAGE: u32 = 1000;
/// Passwords hashed at one time: each takes the memory of its settings.
const HASHES: usize = 2;
/// How often a change is tried again after somebody else changed the same row.
const TRIES: usize = 8;

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct People {
    store: Store,
    passwords: Arc<Passwords>,
    clock: SharedClock,
    token_life: Duration,
    hashes: Arc<Semaphore>,
    events: Arc<AtomicU32>,
}

impl People {
    /// On a store that is set up; `token_life` is how long tokens live for which nothing else is asked.
    #[must_use]
    pub fn new(store: Store, passwords: Passwords, clock: SharedClock, token_life: Duration) -> Self {
        let hashes = Arc::new(Semaphore::new(HASHES));
        Self { store, passwords: Arc::new(passwords), clock, token_life, hashes, events: Arc::default() }
    }

    fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The hash of a new password, if its user may have it.
    async fn hashed(
        &self,
        name: &UserName,
        password: &Secret<String>,
    ) -> Result<Secret<String>, PeopleError> {
        let _turn = self.hashes.acquire().await.map_err(|_| PeopleError::Stopping)?;
        let (passwords, name, password) = (Arc::clone(&self.passwords), name.clone(), password.clone());
        let work = move || passwords.accept(&name, &password).and_then(|()| passwords.hash(&password));
        Ok(tokio::task::spawn_blocking(work).await.map_err(|_| PeopleError::Stopping)??)
    }
}
