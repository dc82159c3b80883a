//! Names for ids, each looked up once.
//!
//! Belongs here: the memory of one listing. Does not: caches that live longer (gates follow the store).

use std::collections::HashMap;

use super::{People, PeopleError};
use crate::store::model::{GroupId, Subject, UserId};

/// Names by id, as they were when they were first asked for.
pub struct Names<'a> {
    people: &'a People,
    users: HashMap<UserId, Option<String>>,
    groups: HashMap<GroupId, Option<String>>,
}

impl People {
    /// For one listing.
    #[must_use]
    pub fn names(&self) -> Names<'_> {
        Names { people: self, users: HashMap::new(), groups: HashMap::new() }
    }
}

impl Names<'_> {
    /// Of a user; `None` for one that is gone.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn user(&mut self, id: &UserId) -> Result<Option<String>, PeopleError> {
        if let Some(known) = self.users.get(id) {
            return Ok(known.clone());
        }
        let name = self.people.store.users().get(id).await?.map(|user| user.name);
        self.users.insert(id.clone(), name.clone());
        Ok(name)
    }

    /// Of a group; `None` for one that is gone.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn group(&mut self, id: &GroupId) -> Result<Option<String>, PeopleError> {
        if let Some(known) = self.groups.get(id) {
            return Ok(known.clone());
        }
        let name = self.people.store.groups().get(id).await?.map(|group| group.name);
        self.groups.insert(id.clone(), name.clone());
        Ok(name)
    }

    /// Of who has a grant.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn subject(&mut self, subject: &Subject) -> Result<Option<String>, PeopleError> {
        match subject {
            Subject::User(id) => self.user(id).await,
            Subject::Group(id) => self.group(id).await,
        }
    }

    /// Of the user who did something; `None` when it was no user, or one that is gone.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn actor(&mut self, actor: &str) -> Result<Option<String>, PeopleError> {
        match actor.strip_prefix("user:").and_then(UserId::new) {
            Some(id) => self.user(&id).await,
            None => Ok(None),
        }
    }
}
