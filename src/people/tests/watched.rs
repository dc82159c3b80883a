//! A SQLite file whose writes can be made to fail, or to come after somebody else's.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::store::StoreError;
use crate::store::engine::{About, Counter, Engine};
use crate::store::query::{Change, Edit, Filter, Query};
use crate::store::sqlite::Sqlite;
use crate::store::table::{Row, Table};
use crate::store::value::Value;

type Meanwhile = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct Watched {
    inner: Sqlite,
    left: AtomicU32,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl Watched {
    /// Lets so many writes through; all after them fail.
    pub(super) fn fails_after(inner: Sqlite, writes: u32) -> Self {
        Self { inner, left: AtomicU32::new(writes), meanwhile: Mutex::new(None) }
    }

    /// Lets something else happen before the first write.
    pub(super) fn meanwhile(inner: Sqlite, what: impl Future<Output = ()> + Send + 'static) -> Self {
        let meanwhile = Mutex::new(Some(Box::pin(what) as Meanwhile));
        Self { inner, left: AtomicU32::new(u32::MAX), meanwhile }
    }

    async fn write(&self) -> Result<(), StoreError> {
        let what = self.meanwhile.lock().take();
        if let Some(what) = what {
            what.await;
        }
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| StoreError::Unavailable { why: "the power is gone".to_owned() })
    }
}

#[async_trait]
impl Engine for Watched {
    async fn insert(&self, table: &'static Table, rows: Vec<Row>) -> Result<(), StoreError> {
        self.write().await?;
        self.inner.insert(table, rows).await
    }

    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.inner.find(query).await
    }

    async fn find_numbered(&self, query: Query) -> Result<Vec<(Row, i64)>, StoreError> {
        self.inner.find_numbered(query).await
    }

    async fn change(&self, query: Query, changes: Vec<Change>) -> Result<Option<Row>, StoreError> {
        self.write().await?;
        self.inner.change(query, changes).await
    }

    async fn merge(&self, table: &'static Table, edits: Vec<Edit>) -> Result<(), StoreError> {
        self.write().await?;
        self.inner.merge(table, edits).await
    }

    async fn remove(&self, table: &'static Table, key: Vec<Value>) -> Result<bool, StoreError> {
        self.write().await?;
        self.inner.remove(table, key).await
    }

    async fn purge(&self, table: &'static Table, filter: Filter, limit: u32) -> Result<u64, StoreError> {
        self.write().await?;
        self.inner.purge(table, filter, limit).await
    }

    async fn tick(&self) -> Result<u64, StoreError> {
        self.inner.tick().await
    }

    async fn counter(&self) -> Result<Counter, StoreError> {
        self.inner.counter().await
    }

    async fn raise_floor(&self, floor: u64) -> Result<(), StoreError> {
        self.inner.raise_floor(floor).await
    }

    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.inner.count(table).await
    }

    async fn mark_loading(&self, loading: bool) -> Result<(), StoreError> {
        self.inner.mark_loading(loading).await
    }

    async fn is_loading(&self) -> Result<bool, StoreError> {
        self.inner.is_loading().await
    }

    async fn about(&self) -> Result<About, StoreError> {
        self.inner.about().await
    }
}
