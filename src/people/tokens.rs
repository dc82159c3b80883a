//! Tokens: made, found, rotated, revoked.
//!
//! Belongs here: what a token may be when it is made, in which order one takes another's place. Does not: what is in a token
//! (`auth`), what its scopes mean (`policy`).

use std::time::Duration;

use serde_json::json;

use super::record::{Done, fresh};
use super::{By, People, PeopleError, Refusal, Seen};
use crate::auth::token::{Minted, mint};
use crate::clock::UnixMillis;
use crate::policy::access::Scope;
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::model::{Token, TokenId, User};

/// Of a token's name, in characters.
const LONGEST: usize = 100;
/// Ids that are listed when it is not clear which one is meant.
const SHOWN: u32 = 8;

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The name of its owner.
    pub owner: String,
    /// For people.
    pub name: String,
    /// What for; empty for reading all that its owner may read.
    pub scopes: Vec<Scope>,
    /// How long it is good for.
    pub life: Life,
}

/// How long a token is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// As long as the settings say.
    Usual,
    /// This long.
    For(Duration),
    /// Until it is revoked.
    Endless,
}

/// A new token. The secret is nowhere else.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What is stored.
    pub token: Token,
    /// To be shown once.
    pub secret: Secret<String>,
    /// As it is shown.
    pub owner: String,
}

impl People {
    /// Makes a token.
    ///
    /// # Errors
    /// [`PeopleError::NoUser`], [`PeopleError::Disabled`]; names and lives that can't be are refused.
    pub async fn create_token(&self, by: &By, new: NewToken) -> Result<Issued, PeopleError> {
        if !(1..=LONGEST).contains(&new.name.chars().count()) || new.name.contains(char::is_control) {
            return Err(Refusal::Text { what: "name of a token", least: 1, most: LONGEST }.into());
        }
        let expires = self.end_of(new.life)?;
        let owner = self.user(&new.owner).await?;
        if owner.disabled {
            return Err(PeopleError::Disabled(owner.name));
        }
        let scopes = if new.scopes.is_empty() { vec![Scope::read_all()] } else { new.scopes };
        let (token, secret) = self.minted(&owner, new.name, scopes, expires);
        self.store.tokens().create(&token).await?;
        let mut detail = told(&token, &owner);
        detail["expires"] = json!(token.expires.map(crate::http::date::rfc3339));
        let done = Done { kind: "token.create", target: target(&token), detail };
        self.recorded_or_undone(by, done, &token).await?;
        Ok(Issued { token, secret, owner: owner.name })
    }

    fn end_of(&self, life: Life) -> Result<Option<UnixMillis>, Refusal> {
        let life = match life {
            Life::Endless => return Ok(None),
            Life::Usual => self.token_life,
            Life::For(life) => life,
        };
        if life.is_zero() { Err(Refusal::Life) } else { Ok(Some(self.now().plus(life))) }
    }

    fn minted(
        &self,
        owner: &User,
        name: String,
        scopes: Vec<Scope>,
        expires: Option<UnixMillis>,
    ) -> (Token, Secret<String>) {
        let Minted { secret, hash } = mint();
        let token = Token {
            id: fresh(TokenId::new),
            hash,
            owner: owner.id.clone(),
            name,
            scopes,
            created: self.now(),
            expires,
            revoked: None,
            last_use: None,
            successor: None,
            revision: 1,
        };
        (token, secret)
    }

    /// Writes that a token was made. One that the trail does not have is not given out: nobody knows its secret.
    async fn recorded_or_undone(&self, by: &By, done: Done, token: &Token) -> Result<(), PeopleError> {
        let recorded = self.record(by, done).await;
        if recorded.is_err() {
            let _useless_without_its_secret = self.store.tokens().delete(&token.id).await;
        }
        recorded
    }

    /// The token whose id is, or alone begins with, a text.
    ///
    /// # Errors
    /// [`PeopleError::NoToken`], [`PeopleError::Ambiguous`]; what may be a secret is refused and not repeated.
    pub async fn token(&self, prefix: &str) -> Result<Token, PeopleError> {
        // Ids are letters and digits without `-`; mistyped secrets begin like right ones.
        if prefix.starts_with("cg-") || prefix.len() > 40 {
            return Err(Refusal::SecretForId.into());
        }
        let id = TokenId::new(prefix).ok_or(Refusal::TokenId)?;
        let mut found = self.store.tokens().by_prefix(prefix, SHOWN + 1).await?;
        if let Some(exact) = found.iter().position(|token| token.id == id) {
            return Ok(found.swap_remove(exact));
        }
        let more = found.len() > SHOWN as usize;
        match found.len() {
            0 => Err(PeopleError::NoToken(prefix.to_owned())),
            1 => Ok(found.remove(0)),
            _ => {
                let ids = found.iter().take(SHOWN as usize).map(|token| token.id.to_string()).collect();
                Err(PeopleError::Ambiguous { prefix: prefix.to_owned(), ids, more })
            }
        }
    }

    /// A page of tokens in the order of ids, behind one of them; of one user or of all.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn tokens(
        &self,
        owner: Option<&User>,
        after: Option<&Token>,
        limit: u32,
    ) -> Result<Vec<Token>, PeopleError> {
        let (owner, after) = (owner.map(|user| &user.id), after.map(|token| &token.id));
        Ok(self.store.tokens().list(owner, after, limit).await?)
    }

    /// Makes a token that takes another's place, with its name, its scopes and as long a life; the old one is good for
    /// `overlap` more, or until its end if that comes first.
    ///
    /// The new one is stored first: a crash in between leaves the old one as it was, and a new one that nobody has.
    ///
    /// # Errors
    /// As [`People::token`]; [`PeopleError::Revoked`], [`PeopleError::Expired`], [`PeopleError::Rotated`],
    /// [`PeopleError::Disabled`], [`PeopleError::Orphan`], [`PeopleError::Changed`].
    pub async fn rotate_token(
        &self,
        by: &By,
        token: impl Into<Seen<'_>> + Send,
        overlap: Duration,
    ) -> Result<(Issued, Token), PeopleError> {
        let seen = token.into();
        let old = self.token(seen.name).await?;
        seen.check(old.revision)?;
        self.is_good(&old)?;
        let owner = self.store.users().get(&old.owner).await?;
        let owner = owner.ok_or_else(|| PeopleError::Orphan(old.id.to_string()))?;
        if owner.disabled {
            return Err(PeopleError::Disabled(owner.name));
        }
        let now = self.now();
        let expires = old.expires.map(|end| now.plus(end.since(old.created)));
        let (token, secret) = self.minted(&owner, old.name.clone(), old.scopes.clone(), expires);
        self.store.tokens().create(&token).await?;
        let end = now.plus(overlap);
        let until = old.expires.map_or(end, |expires| expires.min(end));
        if let Err(error) = self.store.tokens().succeed(&old.id, &token.id, until, seen.at).await {
            self.store.tokens().delete(&token.id).await?;
            return Err(match seen.refused(error) {
                // Somebody was faster; how, the row says.
                error @ PeopleError::Store(StoreError::Stale { .. }) => {
                    match self.token(old.id.as_str()).await {
                        Ok(now) => self.is_good(&now).err().unwrap_or(error),
                        Err(error) => error,
                    }
                }
                error => error,
            });
        }
        let mut detail = told(&old, &owner);
        detail["successor"] = json!(token.id.as_str());
        detail["good_until"] = json!(crate::http::date::rfc3339(until));
        self.record(by, Done { kind: "token.rotate", target: target(&old), detail }).await?;
        let old = Token { successor: Some(token.id.clone()), expires: Some(until), ..old };
        Ok((Issued { token, secret, owner: owner.name }, old))
    }

    fn is_good(&self, token: &Token) -> Result<(), PeopleError> {
        let id = token.id.to_string();
        if token.revoked.is_some() {
            return Err(PeopleError::Revoked(id));
        }
        if let Some(successor) = &token.successor {
            return Err(PeopleError::Rotated { id, successor: successor.to_string() });
        }
        if token.expires.is_some_and(|end| end <= self.now()) {
            return Err(PeopleError::Expired(id));
        }
        Ok(())
    }

    /// Makes a token useless; `false` in the second value when it was before.
    ///
    /// # Errors
    /// As [`People::token`]; [`PeopleError::Changed`].
    pub async fn revoke_token(
        &self,
        by: &By,
        token: impl Into<Seen<'_>> + Send,
    ) -> Result<(Token, bool), PeopleError> {
        let seen = token.into();
        let token = self.token(seen.name).await?;
        seen.check(token.revision)?;
        let (tokens, now) = (self.store.tokens(), self.now());
        let revoked = match seen.at {
            _ if token.revoked.is_some() => false,
            None => tokens.revoke(&token.id, now).await?,
            Some(at) => {
                tokens.revoke_at(&token.id, now, at).await.map_err(|error| seen.refused(error))?;
                true
            }
        };
        if !revoked {
            return Ok((token, false));
        }
        let detail = json!({"name": token.name, "owner": token.owner.as_str()});
        self.record(by, Done { kind: "token.revoke", target: target(&token), detail }).await?;
        Ok((Token { revoked: Some(now), ..token }, true))
    }
}

fn told(token: &Token, owner: &User) -> serde_json::Value {
    let scopes: Vec<_> = token.scopes.iter().map(ToString::to_string).collect();
    json!({"name": token.name, "owner": owner.id.as_str(), "owner_name": owner.name, "scopes": scopes})
}

/// In events.
fn target(token: &Token) -> String {
    format!("token:{}", token.id)
}
