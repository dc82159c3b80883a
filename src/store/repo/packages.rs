//! Packages of hosted channels.

use async_trait::async_trait;

use super::{Field, Filter, is};
use crate::conda::digest::Sha256;
use crate::store::model::{ChannelId, PACKAGES, Package};
use crate::store::{Store, StoreError};

/// Packages of hosted channels.
#[async_trait]
pub trait PackageRepo: Send + Sync {
    /// Adds a package.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the channel has a file of this name in this subdir, a deleted one included.
    async fn create(&self, package: &Package) -> Result<(), StoreError>;

    /// By its place.
    async fn get(&self, channel: &ChannelId, subdir: &str, file: &str)
    -> Result<Option<Package>, StoreError>;

    /// A page of one subdir, in the order of file names, behind one of them.
    async fn list(
        &self,
        channel: &ChannelId,
        subdir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Package>, StoreError>;

    /// Up to `limit` packages with this digest, wherever they are.
    async fn by_digest(&self, sha256: &Sha256, limit: u32) -> Result<Vec<Package>, StoreError>;

    /// Replaces record, labels and state, if the package is still at `package.revision`; gives the new revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`]
    async fn update(&self, package: &Package) -> Result<u64, StoreError>;

    /// Forgets a package; `false` when there is none.
    async fn forget(&self, channel: &ChannelId, subdir: &str, file: &str) -> Result<bool, StoreError>;
}

#[async_trait]
impl PackageRepo for Store {
    async fn create(&self, package: &Package) -> Result<(), StoreError> {
        self.rows().add(package).await
    }

    async fn get(
        &self,
        channel: &ChannelId,
        subdir: &str,
        file: &str,
    ) -> Result<Option<Package>, StoreError> {
        self.rows().get(&[channel.to_value(), subdir.into(), file.into()]).await
    }

    async fn list(
        &self,
        channel: &ChannelId,
        subdir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Package>, StoreError> {
        let place = Filter::Every(vec![is("channel", channel.to_value()), is("subdir", subdir)]);
        self.rows().list(place, &["file"], after.map(|file| vec![file.into()]), limit).await
    }

    async fn by_digest(&self, sha256: &Sha256, limit: u32) -> Result<Vec<Package>, StoreError> {
        self.rows().list(is("sha256", sha256.to_value()), PACKAGES.key, None, limit).await
    }

    async fn update(&self, package: &Package) -> Result<u64, StoreError> {
        self.rows().replace(package, &["record", "labels", "state"], package.revision).await
    }

    async fn forget(&self, channel: &ChannelId, subdir: &str, file: &str) -> Result<bool, StoreError> {
        self.rows().remove::<Package>(vec![channel.to_value(), subdir.into(), file.into()]).await
    }
}
