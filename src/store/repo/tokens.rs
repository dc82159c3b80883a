//! Tokens and sessions.

use async_trait::async_trait;

use super::{Change, Compare, Edit, Field, Filter, Value, all, is};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::store::model::{SESSIONS, Session, SessionId, TOKENS, Token, TokenId, UserId};
use crate::store::{Store, StoreError};

/// Tokens. Their secrets are known by digest only.
#[async_trait]
pub trait TokenRepo: Send + Sync {
    /// Adds a token.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id or the digest is taken.
    async fn create(&self, token: &Token) -> Result<(), StoreError>;

    /// By id.
    async fn get(&self, id: &TokenId) -> Result<Option<Token>, StoreError>;

    /// By the digest of its secret; also one that is revoked or expired.
    async fn by_hash(&self, hash: &Sha256) -> Result<Option<Token>, StoreError>;

    /// Up to `limit` tokens whose ids begin so, in the order of ids.
    async fn by_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<Token>, StoreError>;

    /// A page in the order of ids, behind one of them; of one owner or of all.
    async fn list(
        &self,
        owner: Option<&UserId>,
        after: Option<&TokenId>,
        limit: u32,
    ) -> Result<Vec<Token>, StoreError>;

    /// Makes a token useless; `false` when it was before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    async fn revoke(&self, id: &TokenId, at: UnixMillis) -> Result<bool, StoreError>;

    /// The same if it is still at a revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Stale`], also when it was revoked before.
    async fn revoke_at(&self, id: &TokenId, at: UnixMillis, revision: u64) -> Result<(), StoreError>;

    /// Names the token that takes another's place, and ends that one's life at `until`. Once only, and with a revision if it is still at that.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Stale`] when it is revoked, has a successor or another revision.
    async fn succeed(
        &self,
        id: &TokenId,
        successor: &TokenId,
        until: UnixMillis,
        revision: Option<u64>,
    ) -> Result<(), StoreError>;

    /// Notes uses; earlier ones than known change nothing, unknown tokens are passed over. Gates are not told.
    async fn used(&self, uses: &[(TokenId, UnixMillis)]) -> Result<(), StoreError>;

    /// Removes a token; `false` when there is none.
    async fn delete(&self, id: &TokenId) -> Result<bool, StoreError>;

    /// Removes up to `limit` tokens that were revoked or expired before a moment; how many.
    async fn forget_ended(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;
}

#[async_trait]
impl TokenRepo for Store {
    async fn create(&self, token: &Token) -> Result<(), StoreError> {
        self.rows().add(token).await
    }

    async fn get(&self, id: &TokenId) -> Result<Option<Token>, StoreError> {
        self.rows().get(&[id.to_value()]).await
    }

    async fn by_hash(&self, hash: &Sha256) -> Result<Option<Token>, StoreError> {
        self.rows().one(is("hash", hash.to_value())).await
    }

    async fn by_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<Token>, StoreError> {
        // Ids are ASCII without `~`, which is behind all that they may have.
        let filter = Filter::Every(vec![
            Filter::Column("id", Compare::AtLeast, prefix.into()),
            Filter::Column("id", Compare::Below, Value::Text(format!("{prefix}~"))),
        ]);
        self.rows().list(filter, TOKENS.key, None, limit).await
    }

    async fn list(
        &self,
        owner: Option<&UserId>,
        after: Option<&TokenId>,
        limit: u32,
    ) -> Result<Vec<Token>, StoreError> {
        let filter = owner.map_or_else(all, |owner| is("owner", owner.to_value()));
        self.rows().list(filter, TOKENS.key, after.map(|id| vec![id.to_value()]), limit).await
    }

    async fn revoke(&self, id: &TokenId, at: UnixMillis) -> Result<bool, StoreError> {
        match revoke(self, id, at, Vec::new()).await {
            Ok(()) => Ok(true),
            Err(StoreError::Stale { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn revoke_at(&self, id: &TokenId, at: UnixMillis, revision: u64) -> Result<(), StoreError> {
        revoke(self, id, at, vec![is("revision", revision.to_value())]).await
    }

    async fn succeed(
        &self,
        id: &TokenId,
        successor: &TokenId,
        until: UnixMillis,
        revision: Option<u64>,
    ) -> Result<(), StoreError> {
        let mut only = vec![is("revoked", Value::Null), is("successor", Value::Null)];
        only.extend(revision.map(|revision| is("revision", revision.to_value())));
        let changes = vec![
            Change::Set("successor", successor.to_value()),
            Change::Set("expires", until.to_value()),
            Change::Add("revision", 1),
        ];
        self.rows().change_if::<Token>(&[id.to_value()], only, changes).await.map(drop)
    }

    async fn used(&self, uses: &[(TokenId, UnixMillis)]) -> Result<(), StoreError> {
        let edits = uses.iter().map(|(id, at)| used(id.to_value(), *at)).collect();
        self.engine().merge(&TOKENS, edits).await
    }

    async fn delete(&self, id: &TokenId) -> Result<bool, StoreError> {
        self.rows().remove::<Token>(vec![id.to_value()]).await
    }

    async fn forget_ended(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        let ended = |column| Filter::Column(column, Compare::Below, before.to_value());
        let filter = Filter::Any(vec![ended("revoked"), ended("expires")]);
        let mut forgotten = 0;
        // One by one, because gates are told of each. No end is ever taken back, so none of them lives again meanwhile.
        for token in self.rows().list::<Token>(filter, TOKENS.key, None, limit).await? {
            forgotten += u64::from(self.rows().remove::<Token>(vec![token.id.to_value()]).await?);
        }
        Ok(forgotten)
    }
}

async fn revoke(
    store: &Store,
    id: &TokenId,
    at: UnixMillis,
    mut only: Vec<Filter>,
) -> Result<(), StoreError> {
    let changes = vec![Change::Set("revoked", at.to_value()), Change::Add("revision", 1)];
    only.push(is("revoked", Value::Null));
    store.rows().change_if::<Token>(&[id.to_value()], only, changes).await.map(drop)
}

fn used(key: Value, at: UnixMillis) -> Edit {
    Edit { row: None, key: vec![key], changes: vec![Change::Raise("last_use", at.to_value())] }
}

/// Sessions. Their secrets are known by digest only.
#[async_trait]
pub trait SessionRepo: Send + Sync {
    /// Adds a session.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id or the digest is taken.
    async fn create(&self, session: &Session) -> Result<(), StoreError>;

    /// By the digest of its secret; also one that is over.
    async fn by_hash(&self, hash: &Sha256) -> Result<Option<Session>, StoreError>;

    /// A page of a user's, in the order of ids, behind one of them.
    async fn of_user(
        &self,
        user: &UserId,
        after: Option<&SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;

    /// Notes uses, as [`TokenRepo::used`] does.
    async fn used(&self, uses: &[(SessionId, UnixMillis)]) -> Result<(), StoreError>;

    /// Ends a session; `false` when there is none.
    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError>;

    /// Ends up to `limit` sessions of a user; how many. Called again until it is 0.
    async fn delete_of_user(&self, user: &UserId, limit: u32) -> Result<u64, StoreError>;

    /// Forgets up to `limit` sessions that were over at `now`; how many.
    async fn forget_expired(&self, now: UnixMillis, limit: u32) -> Result<u64, StoreError>;
}

#[async_trait]
impl SessionRepo for Store {
    async fn create(&self, session: &Session) -> Result<(), StoreError> {
        self.rows().add(session).await
    }

    async fn by_hash(&self, hash: &Sha256) -> Result<Option<Session>, StoreError> {
        self.rows().one(is("hash", hash.to_value())).await
    }

    async fn of_user(
        &self,
        user: &UserId,
        after: Option<&SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let after = after.map(|id| vec![id.to_value()]);
        self.rows().list(is("user", user.to_value()), SESSIONS.key, after, limit).await
    }

    async fn used(&self, uses: &[(SessionId, UnixMillis)]) -> Result<(), StoreError> {
        let edits = uses.iter().map(|(id, at)| used(id.to_value(), *at)).collect();
        self.engine().merge(&SESSIONS, edits).await
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.rows().remove::<Session>(vec![id.to_value()]).await
    }

    async fn delete_of_user(&self, user: &UserId, limit: u32) -> Result<u64, StoreError> {
        self.engine().purge(&SESSIONS, is("user", user.to_value()), limit).await
    }

    async fn forget_expired(&self, now: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        let over = Filter::Column("expires", Compare::AtMost, now.to_value());
        self.engine().purge(&SESSIONS, over, limit).await
    }
}
