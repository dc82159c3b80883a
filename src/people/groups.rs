//! Groups and who is in them.
//!
//! Belongs here: making, filling, listing, deleting. Does not: what groups may do (`grants`, access rules).

use serde_json::json;

use super::record::{Done, fresh};
use super::{By, PAGE, People, PeopleError, Refusal, Seen};
use crate::auth::name::group_name;
use crate::store::StoreError;
use crate::store::model::{Group, GroupId, Subject, User, UserId};

/// Of a description, in characters.
const LONGEST: usize = 500;

/// What became of a user who was to join or to leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// As it is shown.
    pub user: String,
    /// `false` when it was so before.
    pub changed: bool,
}

impl People {
    /// Makes a group.
    ///
    /// # Errors
    /// [`PeopleError::Taken`]; names and descriptions that can't be are refused.
    pub async fn create_group(&self, by: &By, name: &str, description: &str) -> Result<Group, PeopleError> {
        let name = group_name(name)?;
        if description.chars().count() > LONGEST || description.contains(char::is_control) {
            let what = "description of a group";
            return Err(Refusal::Text { what, least: 0, most: LONGEST }.into());
        }
        let group = Group {
            id: fresh(GroupId::new),
            name,
            description: description.to_owned(),
            created: self.now(),
            revision: 1,
        };
        match self.store.groups().create(&group).await {
            Err(StoreError::Conflict { what }) => {
                return Err(match self.store.groups().by_name(&group.name).await? {
                    Some(has) => {
                        let whose = format!("the group `{}` (id {})", has.name, has.id);
                        PeopleError::Taken { asked: group.name, whose }
                    }
                    None => StoreError::Conflict { what }.into(),
                });
            }
            other => other?,
        }
        let detail = json!({"name": group.name});
        self.record(by, Done { kind: "group.create", target: target(&group), detail }).await?;
        Ok(group)
    }

    /// The group with a name, however its letters are written.
    ///
    /// # Errors
    /// [`PeopleError::NoGroup`]
    pub async fn group(&self, name: &str) -> Result<Group, PeopleError> {
        let name = group_name(name)?;
        let found = self.store.groups().by_name(&name).await?;
        found.ok_or(PeopleError::NoGroup(name))
    }

    /// A page of groups in the order of names, behind one of them.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn groups(&self, after: Option<&Group>, limit: u32) -> Result<Vec<Group>, PeopleError> {
        Ok(self.store.groups().list(after.map(|group| group.name.as_str()), limit).await?)
    }

    /// The names of all who are in a group, sorted.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn members(&self, group: &Group) -> Result<Vec<String>, PeopleError> {
        let (mut names, mut found) = (self.names(), Vec::new());
        let mut after = None;
        loop {
            let page = self.store.groups().members(&group.id, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.user.clone());
            for member in &page {
                found.extend(names.user(&member.user).await?);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// A page of those in a group, in the order of their ids: their names, sorted, and what to give as `after` for the next page.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn members_page(
        &self,
        group: &Group,
        after: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<String>, Option<String>), PeopleError> {
        let after = after.and_then(UserId::new);
        let page = self.store.groups().members(&group.id, after.as_ref(), limit).await?;
        let next = page.last().filter(|_| page.len() == limit as usize).map(|last| last.user.to_string());
        let (mut names, mut found) = (self.names(), Vec::new());
        for member in &page {
            found.extend(names.user(&member.user).await?);
        }
        found.sort_unstable();
        Ok((found, next))
    }

    /// How many are in a group; nobody is counted behind `most`.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn count_members(&self, group: &Group, most: u32) -> Result<usize, PeopleError> {
        Ok(self.store.groups().members(&group.id, None, most).await?.len())
    }

    /// Puts users into a group. All are looked up before anything is done. The group's revision grows with who is in it.
    ///
    /// # Errors
    /// [`PeopleError::NoGroup`], [`PeopleError::NoUsers`], [`PeopleError::Changed`]
    pub async fn join(
        &self,
        by: &By,
        group: impl Into<Seen<'_>> + Send,
        users: &[String],
    ) -> Result<Vec<Joined>, PeopleError> {
        self.switch(by, group.into(), users, true).await
    }

    /// Takes users out of a group, likewise.
    ///
    /// # Errors
    /// [`PeopleError::NoGroup`], [`PeopleError::NoUsers`], [`PeopleError::Changed`]
    pub async fn leave(
        &self,
        by: &By,
        group: impl Into<Seen<'_>> + Send,
        users: &[String],
    ) -> Result<Vec<Joined>, PeopleError> {
        self.switch(by, group.into(), users, false).await
    }

    async fn switch(
        &self,
        by: &By,
        seen: Seen<'_>,
        users: &[String],
        joins: bool,
    ) -> Result<Vec<Joined>, PeopleError> {
        let group = self.group(seen.name).await?;
        let users = self.all_of(users).await?;
        self.claim(&group, seen).await?;
        let mut done = Vec::new();
        for user in users {
            let changed = if joins {
                self.store.groups().join(&group.id, &user.id, self.now()).await?
            } else {
                self.store.groups().leave(&group.id, &user.id).await?
            };
            if changed {
                // Behind the change: whoever reads the new members with the old revision reads them again.
                self.store.groups().touch(&group.id, None).await?;
                let kind = if joins { "group.add" } else { "group.remove" };
                let detail = json!({"name": group.name, "user": user.id.as_str(), "user_name": user.name});
                self.record(by, Done { kind, target: target(&group), detail }).await?;
            }
            done.push(Joined { user: user.name, changed });
        }
        Ok(done)
    }

    /// Of several who saw a group so, one may go on.
    async fn claim(&self, group: &Group, seen: Seen<'_>) -> Result<(), PeopleError> {
        let Some(at) = seen.at else { return Ok(()) };
        match self.store.groups().touch(&group.id, Some(at)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(PeopleError::Changed),
            Err(error) => Err(seen.refused(error)),
        }
    }

    /// Users by their names, or the names that nobody has.
    async fn all_of(&self, names: &[String]) -> Result<Vec<User>, PeopleError> {
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for name in names {
            match self.user(name).await {
                Ok(user) => found.push(user),
                Err(PeopleError::NoUser(name)) => unknown.push(name),
                Err(error) => return Err(error),
            }
        }
        match unknown.len() {
            0 => Ok(found),
            1 => Err(PeopleError::NoUser(unknown.remove(0))),
            _ => Err(PeopleError::NoUsers(unknown)),
        }
    }

    /// Deletes a group: its grants first, then the group, then who was in it is forgotten.
    ///
    /// # Errors
    /// [`PeopleError::NoGroup`], [`PeopleError::Changed`]
    pub async fn delete_group(
        &self,
        by: &By,
        group: impl Into<Seen<'_>> + Send,
    ) -> Result<Group, PeopleError> {
        let seen = group.into();
        let group = self.group(seen.name).await?;
        self.claim(&group, seen).await?;
        let grants = self.take_all(&Subject::Group(group.id.clone())).await?;
        self.store.groups().delete(&group.id).await?;
        let mut members = 0_u64;
        loop {
            let some = self.store.groups().members(&group.id, None, PAGE).await?;
            if some.is_empty() {
                break;
            }
            for member in some {
                self.store.groups().leave(&group.id, &member.user).await?;
                members += 1;
            }
        }
        let detail = json!({"name": group.name, "grants_taken": grants, "members": members});
        self.record(by, Done { kind: "group.delete", target: target(&group), detail }).await?;
        Ok(group)
    }
}

/// In events.
fn target(group: &Group) -> String {
    format!("group:{}", group.id)
}
