//! What gives a user everything, and what takes everything away.
//!
//! There is always a superuser who is not disabled. Nothing in the store spans two rows, so the rule is looked at before a
//! change and again after it: two who take rights from each other at once both see it and put them back.
//!
//! Belongs here: superusers, disabling, deleting. Does not: single tokens and grants.

use serde_json::json;

use super::record::Done;
use super::users::target;
use super::{By, PAGE, People, PeopleError};
use crate::store::StoreError;
use crate::store::model::{Subject, Token, User, UserId};

impl People {
    /// Makes a user a superuser, or no longer one; `false` in the second value when nothing changed.
    ///
    /// # Errors
    /// [`PeopleError::LastSuperuser`], [`PeopleError::NoUser`]
    pub async fn set_superuser(&self, by: &By, name: &str, on: bool) -> Result<(User, bool), PeopleError> {
        let user = self.user(name).await?;
        let set = move |user: &mut User| std::mem::replace(&mut user.superuser, on) != on;
        let (user, changed) = self.change_keeping_one(&user, set).await?;
        if changed {
            let detail = json!({"name": user.name, "superuser": on});
            self.record(by, Done { kind: "user.superuser", target: target(&user), detail }).await?;
        }
        Ok((user, changed))
    }

    /// Lets a user in nowhere: neither tokens nor sessions nor the password are good any more. Sessions end for good,
    /// tokens are good again when the user is enabled.
    ///
    /// # Errors
    /// [`PeopleError::LastSuperuser`], [`PeopleError::NoUser`]
    pub async fn disable_user(&self, by: &By, name: &str) -> Result<(User, bool), PeopleError> {
        let user = self.user(name).await?;
        let (user, changed) = self.disable(&user).await?;
        let sessions = self.end_sessions(&user.id).await?;
        if changed {
            let detail = json!({"name": user.name, "sessions_ended": sessions});
            self.record(by, Done { kind: "user.disable", target: target(&user), detail }).await?;
        }
        Ok((user, changed))
    }

    /// Undoes that.
    ///
    /// # Errors
    /// [`PeopleError::NoUser`]
    pub async fn enable_user(&self, by: &By, name: &str) -> Result<(User, bool), PeopleError> {
        let user = self.user(name).await?;
        let enable = |user: &mut User| Ok(std::mem::replace(&mut user.disabled, false));
        let (user, changed) = self.change_user(&user.id, enable).await?;
        if changed {
            let detail = json!({"name": user.name});
            self.record(by, Done { kind: "user.enable", target: target(&user), detail }).await?;
        }
        Ok((user, changed))
    }

    /// Deletes a user. First nothing of the user is good any more (disabled), then tokens are revoked, sessions ended,
    /// grants taken, groups left, and at last the user goes: after a crash in between the same command goes on. Revoked
    /// tokens stay listed, because the counters of downloads name them.
    ///
    /// # Errors
    /// [`PeopleError::LastSuperuser`], [`PeopleError::NoUser`]
    pub async fn delete_user(&self, by: &By, name: &str) -> Result<User, PeopleError> {
        let user = self.user(name).await?;
        let (user, _) = self.disable(&user).await?;
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

    async fn disable(&self, user: &User) -> Result<(User, bool), PeopleError> {
        self.change_keeping_one(user, |user| !std::mem::replace(&mut user.disabled, true)).await
    }

    /// Changes a user, unless no superuser would be left who is not disabled.
    async fn change_keeping_one(
        &self,
        user: &User,
        change: impl Fn(&mut User) -> bool,
    ) -> Result<(User, bool), PeopleError> {
        let is_active = |user: &User| user.superuser && !user.disabled;
        let mut before = user.clone();
        let others = self.store.users().superusers(2).await?;
        let alone = !others.iter().any(|other| other.id != user.id);
        let (after, changed) = self
            .change_user(&user.id, |user| {
                before = user.clone();
                let changed = change(user);
                if alone && is_active(&before) && !is_active(user) {
                    return Err(PeopleError::LastSuperuser(user.name.clone()));
                }
                Ok(changed)
            })
            .await?;
        let took = changed && is_active(&before) && !is_active(&after);
        if took && self.store.users().superusers(1).await?.is_empty() {
            let back = |user: &mut User| {
                (user.superuser, user.disabled) = (before.superuser, before.disabled);
                Ok(true)
            };
            self.change_user(&user.id, back).await?;
            return Err(PeopleError::LastSuperuser(after.name));
        }
        Ok((after, changed))
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
            }
        }
    }
}
