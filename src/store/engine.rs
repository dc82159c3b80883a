//! What a database must be able to do for the repositories.
//!
//! Every method is atomic on one row by itself and on nothing more, because that is what a standalone MongoDB gives. The
//! repositories are written once above it, so that the two engines can't drift apart; the contract suite proves both.
//!
//! **Changes that gates follow.** Rows of tracked tables carry a hidden number, `changed`, from one counter. An engine
//! without transactions first writes the row with [`PENDING`], which is above every number, then takes the next number,
//! then replaces the mark, if the row is still at the revision it wrote. A reader takes the counter first and asks for rows
//! above the one it took last time: whatever was written before is either marked or numbered, so nothing is missed and
//! a writer that dies in between leaves a row that is told again, never one that is told to nobody. What is removed leaves
//! a row in [`super::model::GONE`], written before the removal.
//!
//! Belongs here: the trait. Does not: SQL, BSON.

use std::sync::Arc;

use async_trait::async_trait;

use super::error::StoreError;
use super::query::{Change, Edit, Filter, Query, is};
use super::table::{Row, Table};
use super::value::Value;

/// The hidden column of tracked tables.
pub const CHANGED: &str = "changed";
/// The `changed` of a row that was written and has no number yet.
pub const PENDING: i64 = i64::MAX;
/// The schema that this version writes, in both engines.
pub const SCHEMA: i64 = 3;

/// What an engine says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct About {
    /// `sqlite` or `mongodb`
    pub engine: &'static str,
    /// Where: a path, or databases; no credentials.
    pub place: String,
    /// The schema found; 0 for an empty database.
    pub schema: i64,
}

/// The counter of changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counter {
    /// The last number that was given.
    pub value: u64,
    /// What was removed up to this number is forgotten: who has followed less far can't learn of it.
    pub floor: u64,
}

/// A database.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Adds rows. One row is added or not. Several are for loading only: after an error a part of them may be there, and
    /// a gate that follows meanwhile may miss some.
    async fn insert(&self, table: &'static Table, rows: Vec<Row>) -> Result<(), StoreError>;

    /// Rows in order.
    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError>;

    /// Rows of a tracked table in order, each with its number, which may be [`PENDING`]; 0 for a row that is older than its table's
    /// numbers.
    async fn find_numbered(&self, query: Query) -> Result<Vec<(Row, i64)>, StoreError>;

    /// Changes the first row of the query, as it is after; `None` when there is none. Two callers never change the same
    /// state of a row: the second one's filter sees what the first one made.
    async fn change(&self, query: Query, changes: Vec<Change>) -> Result<Option<Row>, StoreError>;

    /// Changes many rows by key, each by itself, adding those that are absent; gates are not told. For counters and times
    /// of last use.
    async fn merge(&self, table: &'static Table, edits: Vec<Edit>) -> Result<(), StoreError>;

    /// Removes the row with this key; `false` when there is none.
    async fn remove(&self, table: &'static Table, key: Vec<Value>) -> Result<bool, StoreError>;

    /// Removes up to `limit` rows of a table that gates don't follow; how many.
    async fn purge(&self, table: &'static Table, filter: Filter, limit: u32) -> Result<u64, StoreError>;

    /// The next number of the counter.
    async fn tick(&self) -> Result<u64, StoreError>;

    /// The counter as it is.
    async fn counter(&self) -> Result<Counter, StoreError>;

    /// Raises [`Counter::floor`]; it never sinks.
    async fn raise_floor(&self, floor: u64) -> Result<(), StoreError>;

    /// How many rows.
    async fn count(&self, table: &'static Table) -> Result<u64, StoreError>;

    /// Sets or takes away the mark of a load that is under way.
    async fn mark_loading(&self, loading: bool) -> Result<(), StoreError>;

    /// Whether that mark is there.
    async fn is_loading(&self) -> Result<bool, StoreError>;

    /// A view of everything as it is at this moment, where the database has such a thing.
    async fn frozen(&self) -> Result<Option<Arc<dyn Engine>>, StoreError> {
        Ok(None)
    }

    /// What this is.
    async fn about(&self) -> Result<About, StoreError>;
}

/// What stands in the way of adding `row`: names the index that is taken. Asked only after the database refused.
pub(super) async fn taken(engine: &dyn Engine, table: &'static Table, row: &Row) -> StoreError {
    for index in table.indexes {
        let Some(what) = index.unique else { continue };
        let values = table.pick(row, index.columns);
        let same = index.columns.iter().zip(values).map(|(column, value)| is(column, value)).collect();
        let query =
            Query { table, filter: Filter::Every(same), order: table.key, descending: false, limit: 1 };
        match engine.find(query).await {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) if table.pick(&rows[0], table.key) == table.pick(row, table.key) => {}
            Ok(_) => return StoreError::Conflict { what },
            Err(error) => return error,
        }
    }
    StoreError::Conflict { what: table.taken }
}
