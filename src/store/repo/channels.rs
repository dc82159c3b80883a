//! Hosted channels, and the heads of indexes.

use async_trait::async_trait;

use super::{Change, Field, Filter, all, is, keyed};
use crate::clock::UnixMillis;
use crate::store::model::{Channel, ChannelId, HEADS, Head};
use crate::store::{Store, StoreError};

/// Hosted channels.
#[async_trait]
pub trait ChannelRepo: Send + Sync {
    /// Adds a channel.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id or the name is taken, by a deleted one too.
    async fn create(&self, channel: &Channel) -> Result<(), StoreError>;

    /// By id.
    async fn get(&self, id: &ChannelId) -> Result<Option<Channel>, StoreError>;

    /// By name; also a deleted one.
    async fn by_name(&self, name: &str) -> Result<Option<Channel>, StoreError>;

    /// A page in the order of names, behind one of them, deleted ones included.
    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<Channel>, StoreError>;

    /// Replaces everything but `id` and `created`, if the channel is still at `channel.revision`; gives the new revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`], [`StoreError::Conflict`] when a new name is taken.
    async fn update(&self, channel: &Channel) -> Result<u64, StoreError>;

    /// Forgets a channel and frees its name; `false` when there is none.
    async fn forget(&self, id: &ChannelId) -> Result<bool, StoreError>;
}

const CHANGEABLE: &[&str] = &["name", "owner", "public", "description", "quota", "settings", "deleted_at"];

#[async_trait]
impl ChannelRepo for Store {
    async fn create(&self, channel: &Channel) -> Result<(), StoreError> {
        self.rows().add(channel).await
    }

    async fn get(&self, id: &ChannelId) -> Result<Option<Channel>, StoreError> {
        self.rows().get(&[id.to_value()]).await
    }

    async fn by_name(&self, name: &str) -> Result<Option<Channel>, StoreError> {
        self.rows().one(is("name", name)).await
    }

    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<Channel>, StoreError> {
        self.rows().list(all(), &["name"], after.map(|name| vec![name.into()]), limit).await
    }

    async fn update(&self, channel: &Channel) -> Result<u64, StoreError> {
        self.rows().replace(channel, CHANGEABLE, channel.revision).await
    }

    async fn forget(&self, id: &ChannelId) -> Result<bool, StoreError> {
        self.rows().remove::<Channel>(vec![id.to_value()]).await
    }
}

/// Which generation of an index is in force.
#[async_trait]
pub trait HeadRepo: Send + Sync {
    /// Of one index.
    async fn get(&self, channel: &str, subdir: &str) -> Result<Option<Head>, StoreError>;

    /// Puts `head` into force if `instead_of` is there now; `None` for nothing.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when another generation is in force.
    async fn swap(&self, head: &Head, instead_of: Option<&str>) -> Result<(), StoreError>;

    /// A page in the order of channel and subdir, behind one of them.
    async fn list(&self, after: Option<(&str, &str)>, limit: u32) -> Result<Vec<Head>, StoreError>;
}

#[async_trait]
impl HeadRepo for Store {
    async fn get(&self, channel: &str, subdir: &str) -> Result<Option<Head>, StoreError> {
        self.rows().get(&[channel.into(), subdir.into()]).await
    }

    async fn swap(&self, head: &Head, instead_of: Option<&str>) -> Result<(), StoreError> {
        let stale = StoreError::Stale { what: HEADS.what };
        let Some(old) = instead_of else {
            return match self.rows().add(head).await {
                Err(StoreError::Conflict { .. }) => Err(stale),
                other => other,
            };
        };
        let key = [head.channel.to_value(), head.subdir.to_value()];
        let filter = Filter::Every(vec![keyed(&HEADS, &key), is("generation", old)]);
        let since: UnixMillis = head.since;
        let changes = vec![
            Change::Set("generation", head.generation.to_value()),
            Change::Set("since", since.to_value()),
        ];
        let swapped = self.rows().change::<Head>(filter, HEADS.key, changes).await?;
        swapped.map(|_| ()).ok_or(stale)
    }

    async fn list(&self, after: Option<(&str, &str)>, limit: u32) -> Result<Vec<Head>, StoreError> {
        let after = after.map(|(channel, subdir)| vec![channel.into(), subdir.into()]);
        self.rows().list(all(), HEADS.key, after, limit).await
    }
}
