//! One repository per kind of thing: what can be asked and done, each method atomic by itself.
//!
//! Rules of the room: time and ids are arguments; lookups give an `Option`; listings go on behind a key (`after`), never by
//! offset; what is changed on the ground of something read says which revision was read. The traits are object-safe, so
//! that a service takes exactly the ones it needs. [`super::Store`] implements all of them above its engine.
//!
//! Belongs here: the traits and their one implementation. Does not: SQL, BSON, what a right means.

mod audit;
mod changes;
mod channels;
mod groups;
mod jobs;
mod keys;
mod packages;
mod tokens;
mod traffic;
mod users;

pub use audit::{AuditFilter, AuditRepo, DownloadRepo};
pub use changes::{Changes, SettingsRepo};
pub use channels::{ChannelRepo, HeadRepo};
pub use groups::{GrantRepo, GroupRepo};
pub use jobs::{Claim, JobRepo};
pub use keys::KeyRepo;
pub use packages::{NamedDigests, PackageChanges, PackageRepo, PlaceChanges, place_of_gone};
pub use tokens::{SessionRepo, TokenRepo};
pub use traffic::{TrafficFilter, TrafficRepo};
pub use users::UserRepo;

use super::engine::{Engine, taken};
use super::error::StoreError;
use super::query::{Change, Compare, Edit, Filter, Query, all, behind, is, keyed};
use super::table::Record;
use super::value::{Field, Value};

/// The most rows that one listing gives, whatever was asked for.
pub const LONGEST_PAGE: u32 = 10_000;

/// Rows of one table as values.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a>(pub(super) &'a dyn Engine);

impl Rows<'_> {
    /// Adds one.
    pub(super) async fn add<R: Record>(self, record: &R) -> Result<(), StoreError> {
        let row = record.to_row();
        match self.0.insert(R::table(), vec![row.clone()]).await {
            Err(StoreError::Conflict { .. }) => Err(taken(self.0, R::table(), &row).await),
            other => other,
        }
    }

    /// The one with a key.
    pub(super) async fn get<R: Record>(self, key: &[Value]) -> Result<Option<R>, StoreError> {
        self.one(keyed(R::table(), key)).await
    }

    /// The only one that a filter lets through.
    pub(super) async fn one<R: Record>(self, filter: Filter) -> Result<Option<R>, StoreError> {
        let found = self.list(filter, R::table().key, None, 1).await?;
        Ok(found.into_iter().next())
    }

    /// A page in the order of some columns, behind a place.
    pub(super) async fn list<R: Record>(
        self,
        filter: Filter,
        order: &'static [&'static str],
        after: Option<Vec<Value>>,
        limit: u32,
    ) -> Result<Vec<R>, StoreError> {
        let filter = Filter::Every(vec![filter, behind(order, after, false)]);
        self.query(Query { table: R::table(), filter, order, descending: false, limit }).await
    }

    /// What a query finds.
    pub(super) async fn query<R: Record>(self, mut query: Query) -> Result<Vec<R>, StoreError> {
        query.limit = query.limit.min(LONGEST_PAGE);
        self.0.find(query).await?.into_iter().map(R::from_row).collect()
    }

    /// Changes the first row of some, in an order.
    pub(super) async fn change<R: Record>(
        self,
        filter: Filter,
        order: &'static [&'static str],
        changes: Vec<Change>,
    ) -> Result<Option<R>, StoreError> {
        let query = Query { table: R::table(), filter, order, descending: false, limit: 1 };
        self.0.change(query, changes).await?.map(R::from_row).transpose()
    }

    /// Replaces the columns `columns` of a row that is still at `revision`; gives the new revision.
    pub(super) async fn replace<R: Record>(
        self,
        record: &R,
        columns: &[&'static str],
        revision: u64,
    ) -> Result<u64, StoreError> {
        let (table, row) = (R::table(), record.to_row());
        let key = table.pick(&row, table.key);
        let values = table.pick(&row, columns);
        let mut changes: Vec<_> = columns.iter().zip(values).map(|(c, v)| Change::Set(c, v)).collect();
        changes.push(Change::Add("revision", 1));
        match self.change_if::<R>(&key, vec![is("revision", revision.to_value())], changes).await {
            Ok(_) => Ok(revision + 1),
            Err(StoreError::Conflict { .. }) => Err(taken(self.0, table, &row).await),
            Err(error) => Err(error),
        }
    }

    /// Changes the row with this key if these hold too, and gives it; otherwise says why not.
    pub(super) async fn change_if<R: Record>(
        self,
        key: &[Value],
        mut only: Vec<Filter>,
        changes: Vec<Change>,
    ) -> Result<R, StoreError> {
        let table = R::table();
        only.insert(0, keyed(table, key));
        match self.change(Filter::Every(only), table.key, changes).await? {
            Some(row) => Ok(row),
            None => Err(self.why_not::<R>(key).await?),
        }
    }

    /// Why a row with this key was not changed: it is not there, or not as it was.
    async fn why_not<R: Record>(self, key: &[Value]) -> Result<StoreError, StoreError> {
        let what = R::table().what;
        let found = self.get::<R>(key).await?;
        Ok(if found.is_some() { StoreError::Stale { what } } else { StoreError::NotFound { what } })
    }

    /// Removes one.
    pub(super) async fn remove<R: Record>(self, key: Vec<Value>) -> Result<bool, StoreError> {
        self.0.remove(R::table(), key).await
    }
}
