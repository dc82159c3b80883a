//! Somebody who has shown who they are.
//!
//! Belongs here: the value. Does not: how it was proven (`auth`, [`super`]), what it may do (`policy::access`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::state::State;
use super::tokens::TokenEntry;
use crate::clock::UnixMillis;
use crate::policy::access::{Caller, Globs, Granted, Right, Scope};
use crate::store::model::{TokenId, UserId};

/// A user, as long as a credential is good.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The user; none for somebody that only an outside issuer knows.
    pub user: Option<UserId>,
    /// As it is shown.
    pub name: Arc<str>,
    /// The token that was shown, if it was one.
    pub token: Option<TokenId>,
    /// The credential is good until then.
    pub expires: Option<UnixMillis>,
    /// Of the user's row when this was made.
    pub revision: u64,
    key: Box<str>,
    actor: Box<str>,
    noted: Noted,
    groups: Box<[Box<str>]>,
    superuser: bool,
    scopes: Option<Box<[Scope]>>,
    grants: Box<[Granted]>,
}

impl Principal {
    /// The user with this id, uncut; `None` when there is none or it is disabled.
    #[must_use]
    pub fn of_user(state: &State, id: &str) -> Option<Self> {
        let user = state.users.get(id).filter(|user| !user.disabled)?;
        let groups: Vec<_> = state.groups_of(id).collect();
        let ids: Vec<_> = groups.iter().map(|(id, _)| *id).collect();
        let grants = state.grants_of(id, &ids);
        let granted =
            grants.filter_map(|(id, grant)| Granted::new(id, &grant.channels, Right::read(&grant.right)?));
        Some(Self {
            user: UserId::new(id),
            name: user.name.as_str().into(),
            token: None,
            expires: None,
            revision: user.revision,
            key: user.key.as_str().into(),
            actor: format!("user:{id}").into(),
            noted: Noted::default(),
            groups: groups.iter().map(|(_, name)| Box::from(*name)).collect(),
            superuser: user.superuser,
            scopes: None,
            grants: granted.collect(),
        })
    }

    /// The owner of a token, cut down to what the token is good for.
    #[must_use]
    pub fn of_token(state: &State, token: &TokenEntry) -> Option<Self> {
        let scope = |scope: &super::tokens::ScopeEntry| {
            let (channels, packages) = (scope.channels.clone(), scope.packages.clone());
            let right = Right::read(&scope.right)?;
            Some(Scope { right, channels: Globs::channels(channels), packages: Globs::packages(packages) })
        };
        Some(Self {
            token: token.id(),
            expires: token.expires.map(UnixMillis),
            // A scope that can't be read gives nothing.
            scopes: Some(token.scopes.iter().filter_map(scope).collect()),
            ..Self::of_user(state, &token.owner)?
        })
    }

    /// Somebody whom an outside issuer vouches for and the store does not know.
    #[must_use]
    pub fn outside(name: &str, key: &str, groups: Vec<Box<str>>) -> Self {
        Self {
            user: None,
            name: name.into(),
            token: None,
            expires: None,
            revision: 0,
            key: key.into(),
            actor: format!("outside:{key}").into(),
            noted: Noted::default(),
            groups: groups.into(),
            superuser: false,
            scopes: None,
            grants: Box::default(),
        }
    }

    /// In these groups as well.
    #[must_use]
    pub fn also_in(self, more: Vec<Box<str>>) -> Self {
        let mut groups = self.groups.into_vec();
        groups.extend(more);
        groups.sort_unstable();
        groups.dedup();
        Self { groups: groups.into(), ..self }
    }

    /// Cut down to `scopes` as well, and good until then.
    #[must_use]
    pub fn cut(self, scopes: Option<Vec<Scope>>, expires: UnixMillis) -> Self {
        let scopes = scopes.map(Vec::into_boxed_slice).or(self.scopes);
        Self { scopes, expires: Some(expires), ..self }
    }

    /// As access rules see it.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        Caller {
            user: Some(&self.key),
            groups: &self.groups,
            superuser: self.superuser,
            scopes: self.scopes.as_deref(),
            grants: &self.grants,
        }
    }

    /// The groups it is in, by the names as they are compared.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        self.groups.iter().map(|group| &**group).collect()
    }

    /// What the token is good for, as scopes are written; none where it is no token.
    #[must_use]
    pub fn scopes(&self) -> Option<Vec<String>> {
        Some(self.scopes.as_ref()?.iter().map(ToString::to_string).collect())
    }

    /// Passes every access rule, unless a token cuts it down.
    #[must_use]
    pub const fn is_superuser(&self) -> bool {
        self.superuser
    }

    /// Whether the credential gives more than reading: it has no scopes, or one with a higher right.
    #[must_use]
    pub fn is_more_than_reader(&self) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|scope| scope.right > Right::Read))
    }

    /// Whether the credential is good for all that its owner may do: it has no scopes, or one to manage every channel.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let all = |scope: &Scope| {
            scope.right == Right::Manage && scope.channels.texts().iter().any(|glob| glob == "*")
        };
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(all))
    }

    /// As audit events name it: `user:<id>`.
    #[must_use]
    pub const fn actor(&self) -> &str {
        &self.actor
    }

    /// Whether this use of it is worth noting: the first within its second.
    #[must_use]
    pub fn is_news(&self, at: UnixMillis) -> bool {
        let second = at.seconds();
        let known = self.noted.0.load(Ordering::Relaxed) == second;
        if !known {
            self.noted.0.store(second, Ordering::Relaxed);
        }
        !known
    }

    /// Whether the credential's time is over.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// The second in which a use was noted last.
#[derive(Debug)]
struct Noted(AtomicI64);

impl Default for Noted {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Clone for Noted {
    fn clone(&self) -> Self {
        Self(AtomicI64::new(self.0.load(Ordering::Relaxed)))
    }
}
