//! What gives a user everything, and what takes everything away.
//!
//! There is always a superuser who is not disabled. Nothing in the store spans two rows, so the rule is looked at before a
//! change and again after it: two who take rights from each other at once both see it and put them back.
//!
//! Belongs here: superusers, disabling, deleting, addresses. Does not: single tokens and grants.

use serde_json::json;

use super::record::Done;
use super::users::{is_email, target};
use super::{By, PAGE, People, PeopleError, Refusal, Seen};
use crate::store::StoreError;
use crate::store::model::{Subject, Token, User, UserId};

/// What becomes of a user; what is `None` stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserState {
    /// Passes every access rule.
    pub superuser: Option<bool>,
    /// Let in nowhere.
    pub disabled: Option<bool>,
    /// An address, where a code for a new password is sent; an empty one takes it away.
    pub email: Option<String>,
}

/// What of a user is changed here.
type Part = (bool, bool, Option<String>);

fn part(user: &User) -> Part {
    (user.superuser, user.disabled, user.email.clone())
}

impl People {
    /// Changes what a user is, all of it at once or nothing; `false` in the second value when it was so before.
    ///
    /// Somebody who is disabled is let in nowhere: neither tokens nor sessions nor the password are good any more. Sessions end for
    /// good, tokens are good again when the user is enabled.
    ///
    /// # Errors
    /// [`PeopleError::LastSuperuser`], [`PeopleError::NoUser`], [`PeopleError::Changed`], [`Refusal::Email`]
    pub async fn set_state(
        &self,
        by: &By,
        user: impl Into<Seen<'_>> + Send,
        to: UserState,
    ) -> Result<(User, bool), PeopleError> {
        let seen = user.into();
        let email = to.email.map(|email| Some(email).filter(|email| !email.is_empty()));
        if email.iter().flatten().any(|email| !is_email(email)) {
            return Err(Refusal::Email.into());
        }
        let user = self.user(seen.name).await?;
        let set = |user: &mut User| {
            user.superuser = to.superuser.unwrap_or(user.superuser);
            user.disabled = to.disabled.unwrap_or(user.disabled);
            if let Some(email) = &email {
                user.email.clone_from(email);
            }
        };
        let (before, user) = self.change_keeping_one(&user, seen, set).await?;
        let sessions = if to.disabled == Some(true) { self.end_sessions(&user.id).await? } else { 0 };
        let (superuser, disabled) = (before.superuser != user.superuser, before.disabled != user.disabled);
        if superuser {
            let detail = json!({"name": user.name, "superuser": user.superuser});
            self.record(by, Done { kind: "user.superuser", target: target(&user), detail }).await?;
        }
        if disabled {
            let (kind, detail) = if user.disabled {
                ("user.disable", json!({"name": user.name, "sessions_ended": sessions}))
            } else {
                ("user.enable", json!({"name": user.name}))
            };
            self.record(by, Done { kind, target: target(&user), detail }).await?;
        }
        let moved = before.email != user.email;
        if moved {
            let detail = json!({"name": user.name, "email": user.email});
            self.record(by, Done { kind: "user.email", target: target(&user), detail }).await?;
        }
        Ok((user, superuser || disabled || moved))
    }

    /// Says where mail to a user goes; an empty address takes it away.
    ///
    /// # Errors
    /// As [`People::set_state`].
    pub async fn set_email(&self, by: &By, name: &str, email: &str) -> Result<(User, bool), PeopleError> {
        self.set_state(by, name, UserState { email: Some(email.to_owned()), ..UserState::default() }).await
    }

    /// Makes a user a superuser, or no longer one.
    ///
    /// # Errors
    /// As [`People::set_state`].
    pub async fn set_superuser(&self, by: &By, name: &str, on: bool) -> Result<(User, bool), PeopleError> {
        self.set_state(by, name, UserState { superuser: Some(on), ..UserState::default() }).await
    }

    /// Lets a user in nowhere.
    ///
    /// # Errors
    /// As [`People::set_state`].
    pub async fn disable_user(&self, by: &By, name: &str) -> Result<(User, bool), PeopleError> {
        self.set_state(by, name, UserState { disabled: Some(true), ..UserState::default() }).await
    }

    /// Undoes that.
    ///
    /// # Errors
    /// As [`People::set_state`].
    pub async fn enable_user(&self, by: &By, name: &str) -> Result<(User, bool), PeopleError> {
        self.set_state(by, name, UserState { disabled: Some(false), ..UserState::default() }).await
    }

    /// Deletes a user. First nothing of the user is good any more (disabled), then tokens are revoked, sessions ended,
    /// grants taken, groups left, and at last the user goes: after a crash in between the same command goes on. Revoked
    /// tokens stay listed, because the counters of downloads name them.
    ///
    /// # Errors
    /// [`PeopleError::LastSuperuser`], [`PeopleError::NoUser`], [`PeopleError::Changed`]
    pub async fn delete_user(&self, by: &By, user: impl Into<Seen<'_>> + Send) -> Result<User, PeopleError> {
        let seen = user.into();
        let user = self.user(seen.name).await?;
        let (_, user) = self.change_keeping_one(&user, seen, |user| user.disabled = true).await?;
        let tokens = self.revoke_all(&user.id).await?;
        let sessions = self.end_sessions(&user.id).await?;
        let grants = self.take_all(&Subject::User(user.id.clone())).await?;
        self.leave_all(&user.id).await?;
        self.store.users().delete(&user.id).await?;
        let detail = json!({
            "name": user.name, "tokens_revoked": tokens, "sessions_ended": sessions, "grants_taken": grants,
        });
        self.record(by, Done { kind: "user.delete", target: target(&user), detail }).await?;
        Ok(user)
    }

    /// Changes a user, unless no superuser would be left who is not disabled: before and after. With something seen the row grows older
    /// even where all is as it should be, so that of two who saw the same only one goes on.
    async fn change_keeping_one(
        &self,
        user: &User,
        seen: Seen<'_>,
        change: impl Fn(&mut User),
    ) -> Result<(User, User), PeopleError> {
        let is_active = |user: &User| user.superuser && !user.disabled;
        let mut before = user.clone();
        let others = self.store.users().superusers(2).await?;
        let alone = !others.iter().any(|other| other.id != user.id);
        let (after, _) = self
            .change_user(&user.id, seen, |user| {
                before = user.clone();
                change(user);
                if alone && is_active(&before) && !is_active(user) {
                    return Err(PeopleError::LastSuperuser(user.name.clone()));
                }
                Ok(part(&before) != part(user) || seen.at.is_some())
            })
            .await?;
        let took = is_active(&before) && !is_active(&after);
        if took && self.store.users().superusers(1).await?.is_empty() {
            let back = |user: &mut User| {
                (user.superuser, user.disabled, user.email) = part(&before);
                Ok(true)
            };
            self.change_user(&user.id, Seen::from(&after.name), back).await?;
            return Err(PeopleError::LastSuperuser(after.name));
        }
        Ok((before, after))
    }

    /// Ends all sessions of a user; how many.
    pub(super) async fn end_sessions(&self, user: &UserId) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            match self.store.sessions().delete_of_user(user, PAGE).await? {
                0 => return Ok(all),
                some => all += some,
            }
        }
    }

    /// Revokes all tokens of a user that are not; how many.
    async fn revoke_all(&self, user: &UserId) -> Result<u64, StoreError> {
        let (tokens, now) = (self.store.tokens(), self.now());
        let (mut revoked, mut last) = (0, None::<Token>);
        loop {
            let some = tokens.list(Some(user), last.as_ref().map(|token| &token.id), PAGE).await?;
            for token in some.iter().filter(|token| token.revoked.is_none()) {
                revoked += u64::from(tokens.revoke(&token.id, now).await?);
            }
            match some.into_iter().next_back() {
                Some(token) => last = Some(token),
                None => return Ok(revoked),
            }
        }
    }

    /// Takes a user out of all groups.
    async fn leave_all(&self, user: &UserId) -> Result<(), StoreError> {
        let groups = self.store.groups();
        loop {
            let some = groups.memberships(user, None, PAGE).await?;
            if some.is_empty() {
                return Ok(());
            }
            for member in some {
                groups.leave(&member.group, user).await?;
                groups.touch(&member.group, None).await?;
            }
        }
    }
}
