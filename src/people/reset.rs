//! Another password for somebody who has forgotten theirs: a code that goes to the user's address.
//!
//! A code is `<user id>.<end, seconds since 1970>.<HMAC-SHA256 of both, in hex>`. The key is the stored hash of the password that was forgotten: only
//! who can read the store can make one, nothing has to be kept, and every code is worthless once the password is another.
//!
//! Belongs here: who may be sent a code, making and taking them. Does not: mail (`notify`), when it is sent (`app`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::record::Done;
use super::users::target;
use super::{By, People, PeopleError, Seen};
use crate::auth::hmac;
use crate::auth::name::UserName;
use crate::clock::UnixMillis;
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::model::{User, UserId};

/// Has a code sent to a user's address, soon.
pub type SendCode = Arc<dyn Fn(UserId) -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>;

/// How long a code is good.
pub const LIFE: Duration = Duration::from_hours(1);

impl People {
    /// Who can be sent a code: somebody who has a password and an address, and is not disabled. There is no telling others apart.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    async fn forgetful(&self, name: &str) -> Result<Option<UserId>, PeopleError> {
        let Ok(name) = UserName::parse(name) else { return Ok(None) };
        let user = self.store.users().by_name(name.key()).await?;
        Ok(user.filter(|user| key_of(user).is_some() && user.email.is_some()).map(|user| user.id))
    }

    /// Has a code sent to a user of that name who can be sent one. Returns at once, so that nobody learns from the time it takes who is
    /// there; what goes wrong is in the log.
    pub fn send_code_behind(self, name: String, send: SendCode) {
        tokio::spawn(async move {
            let ordered = async {
                match self.forgetful(&name).await? {
                    Some(user) => send(user).await.map_err(PeopleError::from),
                    None => Ok(()),
                }
            };
            if let Err(error) = ordered.await {
                tracing::warn!(%error, "a code for a new password could not be ordered");
            }
        });
    }

    /// A code for such a user, who may have changed since.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn reset_code(
        &self,
        id: &UserId,
        until: UnixMillis,
    ) -> Result<Option<(User, Secret<String>)>, PeopleError> {
        let user = self.store.users().get(id).await?;
        Ok(user.and_then(|user| {
            let code = code(&user.id, until.seconds(), key_of(&user)?);
            Some((user, Secret::new(code)))
        }))
    }

    /// Gives the user of a code another password, and ends the user's sessions; tokens stay.
    ///
    /// # Errors
    /// [`PeopleError::ResetCode`], [`PeopleError::Password`]: one that was refused does not use the code up.
    pub async fn reset_password(
        &self,
        by: &By,
        shown: &Secret<String>,
        password: &Secret<String>,
    ) -> Result<User, PeopleError> {
        let shown = shown.reveal().trim();
        let (id, until) = parts(shown).ok_or(PeopleError::ResetCode)?;
        let user = self.store.users().get(&id).await?.ok_or(PeopleError::ResetCode)?;
        let forgotten = key_of(&user).ok_or(PeopleError::ResetCode)?.clone();
        let wanted = code(&id, until, &forgotten);
        let is_right = bool::from(wanted.as_bytes().ct_eq(shown.as_bytes()));
        if !is_right || self.now().seconds() >= until {
            return Err(PeopleError::ResetCode);
        }
        let hash = self.hashed(&UserName::parse(&user.name)?, password).await?;
        let change = |user: &mut User| {
            // Another request with the same code may have been faster.
            if key_of(user).is_none_or(|now| now.reveal() != forgotten.reveal()) {
                return Err(PeopleError::ResetCode);
            }
            user.password = Some(hash.clone());
            Ok(true)
        };
        let (user, _) = self.change_user(&id, Seen::at("", None), change).await?;
        let sessions = self.end_sessions(&user.id).await?;
        let detail = json!({"name": user.name, "sessions_ended": sessions});
        self.record(by, Done { kind: "user.password.reset", target: target(&user), detail }).await?;
        Ok(user)
    }
}

fn key_of(user: &User) -> Option<&Secret<String>> {
    user.password.as_ref().filter(|_| !user.disabled && !user.service)
}

fn code(id: &UserId, until: i64, key: &Secret<String>) -> String {
    let said = format!("{id}.{until}");
    let sealed = hmac::sha256(key.reveal().as_bytes(), format!("password reset {said}").as_bytes());
    format!("{said}.{}", hex::encode(sealed))
}

fn parts(code: &str) -> Option<(UserId, i64)> {
    let mut parts = code.split('.');
    let (id, until) = (UserId::new(parts.next()?)?, parts.next()?.parse().ok()?);
    Some((id, until))
}
