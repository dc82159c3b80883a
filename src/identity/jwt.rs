//! Access tokens (JWT): the gate's own, and those of outside issuers that the settings name.
//!
//! A signature is checked once; what came of it is remembered until the token ends or the snapshot changes.
//!
//! Belongs here: from a JWT to a principal, and back. Does not: signatures and claims (`auth::jwt`), keys (`keys`, `issuers`).

use std::sync::Arc;

use moka::sync::Cache;

use super::Identity;
use super::issuers::Issuers;
use super::keys::Keyring;
use crate::auth;
use crate::auth::jwt::{self, Claims, JwtError};
use crate::auth::name::{UserName, group_name};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::policy::access::Scope;
use crate::secret::Secret;
use crate::snapshot::people::{Principal, Refused};
use crate::store::model::UserId;

/// JWTs that are remembered.
const REMEMBERED: u64 = 20_000;

/// See the module's description.
pub(super) struct Jwts {
    pub(super) keys: Keyring,
    pub(super) issuers: Issuers,
    /// By digest: which state of the snapshot it was held against, and whose it is.
    verified: Cache<Sha256, (u64, Arc<Principal>), ahash::RandomState>,
}

impl Jwts {
    pub(super) fn new(keys: Keyring, issuers: Issuers) -> Self {
        let verified = Cache::builder().max_capacity(REMEMBERED);
        Self { keys, issuers, verified: verified.build_with_hasher(ahash::RandomState::new()) }
    }
}

impl From<JwtError> for Refused {
    fn from(error: JwtError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Identity {
    /// Whose JWT this is.
    pub(super) async fn by_jwt(self: &Arc<Self>, token: &Secret<String>) -> Result<Arc<Principal>, Refused> {
        let hash = auth::token::hash_of(token.reveal());
        if let Some(known) = self.people.remembered(&hash) {
            return known.map_err(|_| JwtError::Expired.into());
        }
        let (state, now) = (self.people.state_number(), self.clock.now());
        if let Some((seen, principal)) = self.jwt.verified.get(&hash)
            && seen == state
        {
            return if principal.is_expired(now) {
                Err(JwtError::Expired.into())
            } else {
                Ok(self.people.remember(state, hash, &principal))
            };
        }
        let principal = Arc::new(self.verify(token, now).await?);
        self.jwt.verified.insert(hash, (state, Arc::clone(&principal)));
        Ok(principal)
    }

    async fn verify(self: &Arc<Self>, token: &Secret<String>, now: UnixMillis) -> Result<Principal, Refused> {
        let issuer = jwt::claimed_issuer(token)?;
        if issuer != self.settings.issuer {
            return self.outside(&issuer, token, now).await;
        }
        let claims = match self.ring(false).await?.keys.verify(token, now) {
            Err(JwtError::UnknownKey) => self.ring(true).await?.keys.verify(token, now)?,
            other => other?,
        };
        let scopes = claims.scopes.map(|scopes| {
            let read = scopes.iter().map(|scope| Scope::parse(scope));
            read.collect::<Result<Vec<_>, _>>().map_err(|_| JwtError::Claim("scopes"))
        });
        let principal = self.people.by_user(&claims.subject).map_err(of_user)?;
        Ok(principal.cut(scopes.transpose()?, claims.expires))
    }

    /// Somebody whom an outside issuer vouches for: a user of that name where there is one, otherwise a guest with the groups that
    /// the issuer says.
    async fn outside(
        self: &Arc<Self>,
        issuer: &str,
        token: &Secret<String>,
        now: UnixMillis,
    ) -> Result<Principal, Refused> {
        let found = self.verify_outside(issuer, token, now).await?;
        let name = UserName::parse(&found.user).map_err(|_| JwtError::User)?;
        let groups = found.groups.iter().filter_map(|group| group_name(group).ok()).map(Into::into);
        let principal = match self.people.by_name(name.key()).map_err(of_user)? {
            Some(user) => user.also_in(groups.collect()),
            None => Principal::outside(name.shown(), name.key(), groups.collect()),
        };
        Ok(principal.cut(None, found.expires))
    }

    /// A token for a user that is good for a short time.
    pub(super) async fn issue_access(
        self: &Arc<Self>,
        user: &UserId,
    ) -> Result<(Secret<String>, UnixMillis), Refused> {
        let now = self.clock.now();
        let expires = now.plus(self.settings.access_ttl);
        let claims = Claims {
            subject: user.to_string(),
            id: auth::token::new_id(),
            issued: now,
            not_before: now,
            expires,
            scopes: None,
        };
        let token = self.ring(false).await?.keys.issue(&claims);
        let token = token.map_err(|error| Refused::Unavailable(error.to_string()))?;
        Ok((token, expires))
    }

    /// The public keys of the gate's own tokens (RFC 7517).
    ///
    /// # Errors
    /// When they can't be read now.
    pub async fn jwks(self: &Arc<Self>) -> Result<serde_json::Value, Refused> {
        Ok(self.ring(false).await?.keys.jwks(self.clock.now()))
    }
}

/// A JWT has no user of its own to lose.
fn of_user(refused: Refused) -> Refused {
    match refused {
        Refused::NoUser => Refused::Invalid("its user is disabled or gone".to_owned()),
        other => other,
    }
}
