//! Users.

use async_trait::async_trait;

use super::{Field, Filter, all, is};
use crate::store::model::{User, UserId};
use crate::store::{Store, StoreError};

/// Users.
#[async_trait]
pub trait UserRepo: Send + Sync {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id or the normalised name is taken.
    async fn create(&self, user: &User) -> Result<(), StoreError>;

    /// By id.
    async fn get(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// By normalised name.
    async fn by_name(&self, name_key: &str) -> Result<Option<User>, StoreError>;

    /// A page in the order of normalised names, behind one of them.
    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError>;

    /// Up to `limit` superusers that are not disabled, in the order of normalised names.
    async fn superusers(&self, limit: u32) -> Result<Vec<User>, StoreError>;

    /// Replaces everything but `id` and `created`, if the user is still at `user.revision`; gives the new revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`], [`StoreError::Conflict`] when a new name is taken.
    async fn update(&self, user: &User) -> Result<u64, StoreError>;

    /// Removes a user; `false` when there is none. What belongs to the user stays.
    async fn delete(&self, id: &UserId) -> Result<bool, StoreError>;
}

const CHANGEABLE: &[&str] = &["name", "name_key", "email", "password", "superuser", "service", "disabled"];

#[async_trait]
impl UserRepo for Store {
    async fn create(&self, user: &User) -> Result<(), StoreError> {
        self.rows().add(user).await
    }

    async fn get(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.rows().get(&[id.as_str().into()]).await
    }

    async fn by_name(&self, name_key: &str) -> Result<Option<User>, StoreError> {
        self.rows().one(is("name_key", name_key)).await
    }

    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
        self.rows().list(all(), &["name_key"], after.map(|name| vec![name.into()]), limit).await
    }

    async fn superusers(&self, limit: u32) -> Result<Vec<User>, StoreError> {
        let filter = Filter::Every(vec![is("superuser", true.to_value()), is("disabled", false.to_value())]);
        self.rows().list(filter, &["name_key"], None, limit).await
    }

    async fn update(&self, user: &User) -> Result<u64, StoreError> {
        self.rows().replace(user, CHANGEABLE, user.revision).await
    }

    async fn delete(&self, id: &UserId) -> Result<bool, StoreError> {
        self.rows().remove::<User>(vec![id.as_str().into()]).await
    }
}
