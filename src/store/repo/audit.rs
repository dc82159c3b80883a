//! Audit events and download counters.

use async_trait::async_trait;

use super::{Change, Compare, Edit, Field, Filter, Query, behind, is, keyed};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::store::model::{AUDIT, AuditEvent, AuditId, DOWNLOADS, Downloads};
use crate::store::table::Record as _;
use crate::store::{Store, StoreError};

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// By whom.
    pub actor: Option<String>,
    /// Of which kinds; empty for all.
    pub kinds: Vec<String>,
    /// From then on.
    pub since: Option<UnixMillis>,
    /// Before then.
    pub until: Option<UnixMillis>,
}

/// What happened; events are added and, much later, forgotten, never changed.
#[async_trait]
pub trait AuditRepo: Send + Sync {
    /// Adds an event.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is there already.
    async fn append(&self, event: &AuditEvent) -> Result<(), StoreError>;

    /// A page from the newest to the oldest, behind one of them.
    async fn list(
        &self,
        filter: &AuditFilter,
        after: Option<(UnixMillis, &AuditId)>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, StoreError>;

    /// Forgets up to `limit` events from before `before`; how many.
    async fn forget(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;
}

#[async_trait]
impl AuditRepo for Store {
    async fn append(&self, event: &AuditEvent) -> Result<(), StoreError> {
        self.rows().add(event).await
    }

    async fn list(
        &self,
        filter: &AuditFilter,
        after: Option<(UnixMillis, &AuditId)>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        let after = after.map(|(at, id)| vec![at.to_value(), id.to_value()]);
        let mut all = vec![behind(AUDIT.key, after, true)];
        all.extend(filter.actor.as_deref().map(|actor| is("actor", actor)));
        if !filter.kinds.is_empty() {
            all.push(Filter::Among("kind", filter.kinds.iter().map(Field::to_value).collect()));
        }
        all.extend(filter.since.map(|at| Filter::Column("at", Compare::AtLeast, at.to_value())));
        all.extend(filter.until.map(|at| Filter::Column("at", Compare::Below, at.to_value())));
        let filter = Filter::Every(all);
        self.rows().query(Query { table: &AUDIT, filter, order: AUDIT.key, descending: true, limit }).await
    }

    async fn forget(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        self.engine().purge(&AUDIT, Filter::Column("at", Compare::Below, before.to_value()), limit).await
    }
}

/// How often files were downloaded.
#[async_trait]
pub trait DownloadRepo: Send + Sync {
    /// Adds counts to what is known; each by itself, so a part may have been added after an error.
    async fn add(&self, counts: &[Downloads]) -> Result<(), StoreError>;

    /// A page of the counts of one file, in the order of names, days, actors, tokens and addresses, behind one of them.
    async fn of_digest(
        &self,
        sha256: &Sha256,
        after: Option<&Downloads>,
        limit: u32,
    ) -> Result<Vec<Downloads>, StoreError>;

    /// Forgets up to `limit` counts of days before `day`; how many.
    async fn forget(&self, day: u32, limit: u32) -> Result<u64, StoreError>;
}

/// The key behind the digest.
const OF_DIGEST: &[&str] = &["file", "day", "actor", "token", "address"];

#[async_trait]
impl DownloadRepo for Store {
    async fn add(&self, counts: &[Downloads]) -> Result<(), StoreError> {
        let edit = |count: &Downloads| {
            let row = Downloads { count: 0, ..count.clone() }.to_row();
            let changes = vec![Change::Add("count", count.count.cast_signed())];
            Edit { key: DOWNLOADS.pick(&row, DOWNLOADS.key), row: Some(row), changes }
        };
        self.engine().merge(&DOWNLOADS, counts.iter().map(edit).collect()).await
    }

    async fn of_digest(
        &self,
        sha256: &Sha256,
        after: Option<&Downloads>,
        limit: u32,
    ) -> Result<Vec<Downloads>, StoreError> {
        let after = after.map(|last| DOWNLOADS.pick(&last.to_row(), OF_DIGEST));
        self.rows().list(keyed(&DOWNLOADS, &[sha256.to_value()]), OF_DIGEST, after, limit).await
    }

    async fn forget(&self, day: u32, limit: u32) -> Result<u64, StoreError> {
        self.engine().purge(&DOWNLOADS, Filter::Column("day", Compare::Below, day.to_value()), limit).await
    }
}
