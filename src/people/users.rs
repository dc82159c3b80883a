//! Users: made, found, listed, given passwords.
//!
//! Belongs here: what a user may be. Does not: what ends a user's rights (`state`).

use serde_json::json;

use super::record::{Done, fresh};
use super::{By, People, PeopleError, Refusal, Seen, TRIES};
use crate::auth::name::UserName;
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::model::{User, UserId};

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// As typed.
    pub name: String,
    /// For people to read.
    pub email: Option<String>,
    /// Passes every access rule.
    pub superuser: bool,
    /// What kind.
    pub account: Account,
}

/// What kind of user.
#[derive(Clone, Debug)]
pub enum Account {
    /// Somebody with a password.
    Person(Secret<String>),
    /// A machine: tokens only.
    Service,
}

impl People {
    /// Makes a user.
    ///
    /// # Errors
    /// [`PeopleError::Taken`] says who has the name; names, addresses and passwords that can't be are refused before
    /// anything is written.
    pub async fn create_user(&self, by: &By, new: NewUser) -> Result<User, PeopleError> {
        self.create_user_with_id(by, fresh(UserId::new), new, "user.create").await
    }

    /// The same with an id that was made elsewhere, and a kind of event.
    pub(super) async fn create_user_with_id(
        &self,
        by: &By,
        id: UserId,
        new: NewUser,
        kind: &'static str,
    ) -> Result<User, PeopleError> {
        let name = UserName::parse(&new.name)?;
        if new.email.as_deref().is_some_and(|email| !is_email(email)) {
            return Err(Refusal::Email.into());
        }
        // Said before a password is worked on; the store has the last word below.
        self.is_free(&name).await?;
        let (password, service) = match &new.account {
            Account::Person(password) => (Some(self.hashed(&name, password).await?), false),
            Account::Service => (None, true),
        };
        let user = User {
            id,
            name: name.shown().to_owned(),
            name_key: name.key().to_owned(),
            email: new.email,
            password,
            superuser: new.superuser,
            service,
            disabled: false,
            created: self.now(),
            revision: 1,
        };
        match self.store.users().create(&user).await {
            Err(StoreError::Conflict { what }) => {
                self.is_free(&name).await?;
                return Err(StoreError::Conflict { what }.into());
            }
            other => other?,
        }
        let detail = json!({"name": user.name, "superuser": user.superuser, "service": user.service});
        self.record(by, Done { kind, target: target(&user), detail }).await?;
        Ok(user)
    }

    async fn is_free(&self, name: &UserName) -> Result<(), PeopleError> {
        match self.store.users().by_name(name.key()).await? {
            None => Ok(()),
            Some(user) => {
                let what = if user.service { "the service account" } else { "the user" };
                let state = if user.disabled { ", disabled" } else { "" };
                let whose = format!("{what} `{}` (id {}{state})", user.name, user.id);
                Err(PeopleError::Taken { asked: name.shown().to_owned(), whose })
            }
        }
    }

    /// The user with a name, however its letters are written.
    ///
    /// # Errors
    /// [`PeopleError::NoUser`]
    pub async fn user(&self, name: &str) -> Result<User, PeopleError> {
        let name = UserName::parse(name)?;
        let found = self.store.users().by_name(name.key()).await?;
        found.ok_or_else(|| PeopleError::NoUser(name.shown().to_owned()))
    }

    /// A page of users in the order of their normalised names, behind one of them.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn users(&self, after: Option<&User>, limit: u32) -> Result<Vec<User>, PeopleError> {
        Ok(self.store.users().list(after.map(|user| user.name_key.as_str()), limit).await?)
    }

    /// Gives a user another password, and ends the user's sessions; tokens stay. A crash in between leaves sessions
    /// behind: setting the password again ends them.
    ///
    /// # Errors
    /// [`PeopleError::Service`], [`PeopleError::Password`], [`PeopleError::NoUser`], [`PeopleError::Changed`]
    pub async fn set_password(
        &self,
        by: &By,
        user: impl Into<Seen<'_>> + Send,
        password: &Secret<String>,
    ) -> Result<User, PeopleError> {
        let seen = user.into();
        let user = self.user(seen.name).await?;
        // Before a password is worked on; the store has the last word below.
        seen.check(user.revision)?;
        if user.service {
            return Err(PeopleError::Service(user.name));
        }
        let hash = self.hashed(&UserName::parse(&user.name)?, password).await?;
        let (user, _) = self
            .change_user(&user.id, seen, |user| {
                user.password = Some(hash.clone());
                Ok(true)
            })
            .await?;
        let sessions = self.end_sessions(&user.id).await?;
        let detail = json!({"name": user.name, "sessions_ended": sessions});
        self.record(by, Done { kind: "user.password", target: target(&user), detail }).await?;
        Ok(user)
    }

    /// Changes a user as it is now: read again and decided again when somebody else was faster, unless only what was seen is to be
    /// changed. The second value says whether there was anything to change.
    pub(super) async fn change_user(
        &self,
        id: &UserId,
        seen: Seen<'_>,
        mut change: impl FnMut(&mut User) -> Result<bool, PeopleError>,
    ) -> Result<(User, bool), PeopleError> {
        let mut stale = StoreError::Stale { what: "user" };
        for _ in 0..TRIES {
            let found = self.store.users().get(id).await?;
            let mut user = found.ok_or_else(|| seen.refused(StoreError::NotFound { what: "user" }))?;
            seen.check(user.revision)?;
            if !change(&mut user)? {
                return Ok((user, false));
            }
            match self.store.users().update(&user).await {
                Ok(revision) => return Ok((User { revision, ..user }, true)),
                Err(error @ StoreError::Stale { .. }) => stale = error,
                Err(error) => return Err(seen.refused(error)),
            }
        }
        Err(stale.into())
    }
}

/// In events.
pub(super) fn target(user: &User) -> String {
    format!("user:{}", user.id)
}

/// An address that people can read; whether mail arrives there is not known.
pub(super) fn is_email(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c);
    text.len() <= 254
        && !text.contains(odd)
        && text
            .split_once('@')
            .is_some_and(|(who, domain)| !who.is_empty() && !domain.is_empty() && !domain.contains('@'))
}
