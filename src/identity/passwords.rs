//! Work on passwords: slow on purpose, so few at a time and never on a thread that serves.
//!
//! Belongs here: the queue. Does not: the hash (`auth::password`).

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::auth::password::{Passwords, Verified};
use crate::secret::Secret;

/// Hashes worked on at a time: each takes some tens of milliseconds of a processor and 19 MiB.
const AT_A_TIME: usize = 2;
/// Most callers that wait for their turn.
const WAITING: usize = 64;

/// Too many wait already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Crowded;

/// See the module's description.
pub(super) struct Work {
    passwords: Arc<Passwords>,
    runtime: Handle,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Work {
    pub(super) fn new(passwords: Arc<Passwords>, runtime: Handle) -> Self {
        let (turns, places) = (Semaphore::new(AT_A_TIME), Semaphore::new(WAITING));
        Self { passwords, runtime, turns: Arc::new(turns), places: Arc::new(places) }
    }

    /// Whether the password is the one behind the hash. Takes as long without a hash.
    pub(super) async fn verify(
        &self,
        password: &Secret<String>,
        stored: Option<Secret<String>>,
    ) -> Result<Verified, Crowded> {
        let password = password.clone();
        self.work(move |passwords| passwords.verify(&password, stored.as_ref())).await
    }

    /// The hash of a password; `None` where it can't be made.
    pub(super) async fn hash(&self, password: &Secret<String>) -> Result<Option<Secret<String>>, Crowded> {
        let password = password.clone();
        self.work(move |passwords| passwords.hash(&password).ok()).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Passwords) -> T + Send + 'static,
    ) -> Result<T, Crowded> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Crowded)?;
        // The semaphores are never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Crowded)?;
        let passwords = Arc::clone(&self.passwords);
        // A caller that leaves must not make room for another one while its work goes on.
        let done = self.runtime.spawn_blocking(move || {
            let _held = (place, turn);
            work(&passwords)
        });
        done.await.map_err(|_| Crowded)
    }
}
