//! Keys that sign access tokens.

use async_trait::async_trait;

use super::{Compare, Field, Filter, all};
use crate::clock::UnixMillis;
use crate::store::model::{KEYS, SigningKey};
use crate::store::{Store, StoreError};

/// Keys that sign access tokens. There are a handful.
#[async_trait]
pub trait KeyRepo: Send + Sync {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken.
    async fn create(&self, key: &SigningKey) -> Result<(), StoreError>;

    /// All of them, in the order of ids.
    async fn list(&self) -> Result<Vec<SigningKey>, StoreError>;

    /// Forgets up to `limit` keys that were no longer accepted at `now`; how many.
    async fn forget_ended(&self, now: UnixMillis, limit: u32) -> Result<u64, StoreError>;
}

#[async_trait]
impl KeyRepo for Store {
    async fn create(&self, key: &SigningKey) -> Result<(), StoreError> {
        self.rows().add(key).await
    }

    async fn list(&self) -> Result<Vec<SigningKey>, StoreError> {
        self.rows().list(all(), KEYS.key, None, super::LONGEST_PAGE).await
    }

    async fn forget_ended(&self, now: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        self.engine().purge(&KEYS, Filter::Column("ends", Compare::AtMost, now.to_value()), limit).await
    }
}
