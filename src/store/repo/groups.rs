//! Groups, who is in them, and grants.

use async_trait::async_trait;

use super::{Change, Field, Filter, all, is, keyed};
use crate::clock::UnixMillis;
use crate::store::model::{Grant, GrantId, Group, GroupId, MEMBERS, Member, Subject, UserId};
use crate::store::{Store, StoreError};

/// Groups and their members.
#[async_trait]
pub trait GroupRepo: Send + Sync {
    /// Adds a group.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id or the name is taken.
    async fn create(&self, group: &Group) -> Result<(), StoreError>;

    /// By id.
    async fn get(&self, id: &GroupId) -> Result<Option<Group>, StoreError>;

    /// By name.
    async fn by_name(&self, name: &str) -> Result<Option<Group>, StoreError>;

    /// A page in the order of names, behind one of them.
    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<Group>, StoreError>;

    /// Replaces name and description, if the group is still at `group.revision`; gives the new revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`], [`StoreError::Conflict`] when a new name is taken.
    async fn update(&self, group: &Group) -> Result<u64, StoreError>;

    /// Lets the revision grow and nothing else, if it is still that or with `None` whatever it is; `false` when there is no such group.
    ///
    /// # Errors
    /// [`StoreError::Stale`]
    async fn touch(&self, id: &GroupId, revision: Option<u64>) -> Result<bool, StoreError>;

    /// Removes a group; `false` when there is none. Its members stay written and mean nothing without it.
    async fn delete(&self, id: &GroupId) -> Result<bool, StoreError>;

    /// Puts a user into a group; `false` when already in. Neither is looked up.
    async fn join(&self, group: &GroupId, user: &UserId, at: UnixMillis) -> Result<bool, StoreError>;

    /// Takes a user out of a group; `false` when not in.
    async fn leave(&self, group: &GroupId, user: &UserId) -> Result<bool, StoreError>;

    /// A page of those in a group, in the order of user ids, behind one of them.
    async fn members(
        &self,
        group: &GroupId,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError>;

    /// A page of a user's memberships, in the order of group ids, behind one of them.
    async fn memberships(
        &self,
        user: &UserId,
        after: Option<&GroupId>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError>;
}

#[async_trait]
impl GroupRepo for Store {
    async fn create(&self, group: &Group) -> Result<(), StoreError> {
        self.rows().add(group).await
    }

    async fn get(&self, id: &GroupId) -> Result<Option<Group>, StoreError> {
        self.rows().get(&[id.as_str().into()]).await
    }

    async fn by_name(&self, name: &str) -> Result<Option<Group>, StoreError> {
        self.rows().one(is("name", name)).await
    }

    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<Group>, StoreError> {
        self.rows().list(all(), &["name"], after.map(|name| vec![name.into()]), limit).await
    }

    async fn update(&self, group: &Group) -> Result<u64, StoreError> {
        self.rows().replace(group, &["name", "description"], group.revision).await
    }

    async fn touch(&self, id: &GroupId, revision: Option<u64>) -> Result<bool, StoreError> {
        let only = revision.map(|revision| is("revision", revision.to_value())).into_iter().collect();
        let grown = vec![Change::Add("revision", 1)];
        match self.rows().change_if::<Group>(&[id.to_value()], only, grown).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, id: &GroupId) -> Result<bool, StoreError> {
        self.rows().remove::<Group>(vec![id.as_str().into()]).await
    }

    async fn join(&self, group: &GroupId, user: &UserId, at: UnixMillis) -> Result<bool, StoreError> {
        let member =
            Member { group: group.clone(), user: user.clone(), active: true, since: at, revision: 1 };
        match self.rows().add(&member).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => switch(self, group, user, Some(at)).await,
            Err(error) => Err(error),
        }
    }

    async fn leave(&self, group: &GroupId, user: &UserId) -> Result<bool, StoreError> {
        switch(self, group, user, None).await
    }

    async fn members(
        &self,
        group: &GroupId,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        let filter = Filter::Every(vec![is("group", group.as_str()), is("active", true.to_value())]);
        self.rows().list(filter, &["user"], after.map(|user| vec![user.as_str().into()]), limit).await
    }

    async fn memberships(
        &self,
        user: &UserId,
        after: Option<&GroupId>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        let filter = Filter::Every(vec![is("user", user.as_str()), is("active", true.to_value())]);
        self.rows().list(filter, &["group"], after.map(|group| vec![group.as_str().into()]), limit).await
    }
}

/// Lets a user be in a group since then or, with `None`, no longer; `false` where it is so already or there was no such membership.
async fn switch(
    store: &Store,
    group: &GroupId,
    user: &UserId,
    since: Option<UnixMillis>,
) -> Result<bool, StoreError> {
    let (key, active) = ([group.to_value(), user.to_value()], since.is_some());
    let filter = Filter::Every(vec![keyed(&MEMBERS, &key), is("active", (!active).to_value())]);
    let mut changes = vec![Change::Set("active", active.to_value()), Change::Add("revision", 1)];
    changes.extend(since.map(|since| Change::Set("since", since.to_value())));
    Ok(store.rows().change::<Member>(filter, MEMBERS.key, changes).await?.is_some())
}

/// Rights on channels.
#[async_trait]
pub trait GrantRepo: Send + Sync {
    /// Adds a grant.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken, or the subject has this right on these channels already.
    async fn create(&self, grant: &Grant) -> Result<(), StoreError>;

    /// By id.
    async fn get(&self, id: &GrantId) -> Result<Option<Grant>, StoreError>;

    /// A page in the order of ids, behind one of them.
    async fn list(&self, after: Option<&GrantId>, limit: u32) -> Result<Vec<Grant>, StoreError>;

    /// A page of what one subject has, in the order of ids, behind one of them.
    async fn of_subject(
        &self,
        subject: &Subject,
        after: Option<&GrantId>,
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError>;

    /// Takes a right away; `false` when there is no such grant.
    async fn delete(&self, id: &GrantId) -> Result<bool, StoreError>;
}

#[async_trait]
impl GrantRepo for Store {
    async fn create(&self, grant: &Grant) -> Result<(), StoreError> {
        self.rows().add(grant).await
    }

    async fn get(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        self.rows().get(&[id.as_str().into()]).await
    }

    async fn list(&self, after: Option<&GrantId>, limit: u32) -> Result<Vec<Grant>, StoreError> {
        self.rows().list(all(), &["id"], after.map(|id| vec![id.as_str().into()]), limit).await
    }

    async fn of_subject(
        &self,
        subject: &Subject,
        after: Option<&GrantId>,
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError> {
        let filter = is("subject", subject.to_value());
        self.rows().list(filter, &["id"], after.map(|id| vec![id.as_str().into()]), limit).await
    }

    async fn delete(&self, id: &GrantId) -> Result<bool, StoreError> {
        self.rows().remove::<Grant>(vec![id.as_str().into()]).await
    }
}
