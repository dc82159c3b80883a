//! The keys that sign access tokens: shared by all gates of a store, replaced every month.
//!
//! Belongs here: reading them from the store, making the next one in time. Does not: signatures (`auth::jwt`).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::Identity;
use super::session::unavailable;
use crate::auth::jwt::{Keys, StoredKey};
use crate::clock::UnixMillis;
use crate::snapshot::people::Refused;
use crate::store::model::{KeyId, SigningKey};
use crate::store::{Store, StoreError};

/// How long a key signs before the next one takes its place.
const SIGNS: Duration = Duration::from_hours(30 * 24);
/// It is still accepted so much longer than its last token is good: gates do not learn of the next one at the same moment.
const GRACE: Duration = Duration::from_hours(24);
/// How long keys are believed without asking the store again.
const FRESH: Duration = Duration::from_mins(5);
/// The shortest time between two questions because of unknown keys.
const PAUSE: Duration = Duration::from_secs(5);

/// Keys as they were read.
pub(super) struct Ring {
    pub(super) keys: Keys,
    youngest: UnixMillis,
    read: UnixMillis,
}

/// See the module's description.
pub(super) struct Keyring {
    ring: ArcSwapOption<Ring>,
    reading: Mutex<()>,
}

impl Keyring {
    pub(super) fn new() -> Self {
        Self { ring: ArcSwapOption::empty(), reading: Mutex::default() }
    }

    /// What is at hand, if it needs no second look.
    pub(super) fn at_hand(&self, now: UnixMillis) -> Option<Arc<Ring>> {
        self.ring.load_full().filter(|ring| now.since(ring.read) < FRESH && now.since(ring.youngest) < SIGNS)
    }
}

impl Identity {
    /// The keys. `unknown`: somebody shows a token of a key that is not among those at hand.
    pub(super) async fn ring(self: &Arc<Self>, unknown: bool) -> Result<Arc<Ring>, Refused> {
        let now = self.clock.now();
        if let Some(ring) = self.jwt.keys.at_hand(now).filter(|_| !unknown) {
            return Ok(ring);
        }
        let this = Arc::clone(self);
        // The store's connections belong to the background runtime.
        let reading = self.runtime.spawn(async move { this.read_ring(unknown).await });
        reading.await.map_err(|_| Refused::Unavailable("the keys were not read".to_owned()))?
    }

    async fn read_ring(&self, unknown: bool) -> Result<Arc<Ring>, Refused> {
        let _alone = self.jwt.keys.reading.lock().await;
        let now = self.clock.now();
        let before = self.jwt.keys.ring.load_full();
        let is_enough = |ring: &&Arc<Ring>| {
            let fresh = if unknown { PAUSE } else { FRESH };
            now.since(ring.read) < fresh && (unknown || now.since(ring.youngest) < SIGNS)
        };
        if let Some(ring) = before.as_ref().filter(is_enough) {
            return Ok(Arc::clone(ring));
        }
        let read = async {
            let store = self.asked_store().await?;
            self.read_keys(&store, now).await
        };
        match (read.await, before) {
            (Ok(ring), _) => {
                let ring = Arc::new(ring);
                self.jwt.keys.ring.store(Some(Arc::clone(&ring)));
                Ok(ring)
            }
            // What was known is still true while the store is away.
            (Err(_), Some(before)) => Ok(before),
            (Err(refused), None) => Err(refused),
        }
    }

    async fn read_keys(&self, store: &Store, now: UnixMillis) -> Result<Ring, Refused> {
        let mut stored = self.stored_keys(store, now).await?;
        let youngest = stored.iter().map(|key| key.created).max();
        if youngest.is_none_or(|youngest| now.since(youngest) >= SIGNS) {
            self.make_key(store, now).await?;
            stored = self.stored_keys(store, now).await?;
        }
        let youngest = stored.iter().map(|key| key.created).max().unwrap_or(now);
        let issuer = &self.settings.issuer;
        let keys =
            Keys::new(issuer, issuer, &stored).map_err(|error| Refused::Unavailable(error.to_string()))?;
        Ok(Ring { keys, youngest, read: now })
    }

    async fn stored_keys(&self, store: &Store, now: UnixMillis) -> Result<Vec<StoredKey>, Refused> {
        let rows = store.keys().list().await.map_err(|error| unavailable(&error))?;
        let good = rows.into_iter().filter(|row| row.ends > now).filter_map(|row| {
            let read = StoredKey::from_json(&row.secret);
            read.inspect_err(|error| tracing::error!(key = %row.id, %error, "a key is passed over")).ok()
        });
        Ok(good.collect())
    }

    async fn make_key(&self, store: &Store, now: UnixMillis) -> Result<(), Refused> {
        let mut key = Keys::generate_key(now).map_err(|error| Refused::Unavailable(error.to_string()))?;
        let ends = now.plus(SIGNS).plus(self.settings.access_ttl).plus(GRACE);
        key.ends = Some(ends);
        let id = KeyId::new(&key.kid).ok_or_else(|| Refused::Unavailable("a key has no name".to_owned()))?;
        let row = SigningKey { id, secret: key.to_json(), created: now, ends };
        match store.keys().create(&row).await {
            Ok(()) => tracing::info!(key = %row.id, "a new key signs access tokens"),
            // Its name is random, so that is this one, written by an attempt whose answer was lost.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(unavailable(&error)),
        }
        let forgotten = store.keys().forget_ended(now, 100).await;
        if let Err(error) = forgotten {
            tracing::debug!(%error, "old keys stay for now");
        }
        Ok(())
    }
}
