//! What the repositories need, on SQLite: every method is one transaction.
//!
//! Belongs here: the statements around filters and changes. Does not: their text ([`super::sql`]).

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Transaction};

use super::sql::{Sql, row};
use super::{Sqlite, migrations};
use crate::store::engine::{About, CHANGED, Counter, Engine};
use crate::store::error::StoreError;
use crate::store::model::{GONE, Gone};
use crate::store::query::{Change, Edit, Filter, Query, keyed};
use crate::store::table::{Record as _, Row, Table};
use crate::store::value::Value;

#[async_trait]
impl Engine for Sqlite {
    async fn insert(&self, table: &'static Table, rows: Vec<Row>) -> Result<(), StoreError> {
        self.write(move |db| {
            let number = if table.tracked { Some(next(db)?) } else { None };
            rows.iter().try_for_each(|row| insert(db, table, row, number, ""))
        })
        .await
    }

    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.read(move |db| {
            let mut sql = Sql::new("SELECT ");
            sql.all_columns(query.table).push(" FROM ").push(query.table.name).question(&query);
            let mut statement = db.prepare_cached(&sql.text)?;
            statement.query_map(sql.parameters(), |found| row(query.table, found))?.collect()
        })
        .await
    }

    async fn find_numbered(&self, query: Query) -> Result<Vec<(Row, i64)>, StoreError> {
        self.read(move |db| {
            let (table, mut sql) = (query.table, Sql::new("SELECT "));
            sql.all_columns(table)
                .push(", ")
                .column(CHANGED)
                .push(" FROM ")
                .push(table.name)
                .question(&query);
            let mut statement = db.prepare_cached(&sql.text)?;
            let numbered = |found: &rusqlite::Row<'_>| Ok((row(table, found)?, found.get(CHANGED)?));
            statement.query_map(sql.parameters(), numbered)?.collect()
        })
        .await
    }

    async fn change(&self, query: Query, mut changes: Vec<Change>) -> Result<Option<Row>, StoreError> {
        self.write(move |db| {
            let table = query.table;
            if table.tracked {
                changes.push(Change::Set(CHANGED, Value::Int(next(db)?)));
            }
            let mut sql = Sql::new("UPDATE ");
            sql.push(table.name).push(" SET ").changes(&changes).push(" WHERE (");
            sql.columns(table.key.iter().copied()).push(") IN (SELECT ");
            sql.columns(table.key.iter().copied()).push(" FROM ").push(table.name).question(&query);
            sql.push(") RETURNING ").all_columns(table);
            let mut statement = db.prepare_cached(&sql.text)?;
            // RETURNING gives its rows one by one; the update is complete only when all were taken.
            let after: Vec<Row> = statement
                .query_map(sql.parameters(), |found| row(table, found))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(after.into_iter().next())
        })
        .await
    }

    async fn merge(&self, table: &'static Table, edits: Vec<Edit>) -> Result<(), StoreError> {
        self.write(move |db| {
            for edit in &edits {
                if let Some(row) = &edit.row {
                    insert(db, table, row, table.tracked.then_some(0), " ON CONFLICT DO NOTHING")?;
                }
                let mut sql = Sql::new("UPDATE ");
                sql.push(table.name).push(" SET ").changes(&edit.changes).push(" WHERE ");
                sql.filter(&keyed(table, &edit.key));
                db.prepare_cached(&sql.text)?.execute(sql.parameters())?;
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, table: &'static Table, key: Vec<Value>) -> Result<bool, StoreError> {
        self.write(move |db| {
            let mut sql = Sql::new("DELETE FROM ");
            sql.push(table.name).push(" WHERE ").filter(&keyed(table, &key));
            let removed = db.prepare_cached(&sql.text)?.execute(sql.parameters())? > 0;
            if removed && table.tracked {
                let (source, id) = (table.name.to_owned(), table.key_text(&key));
                let gone = Gone { source, id, changed: next(db)? };
                let newer = " ON CONFLICT DO UPDATE SET changed = excluded.changed";
                insert(db, &GONE, &gone.to_row(), None, newer)?;
            }
            Ok(removed)
        })
        .await
    }

    async fn purge(&self, table: &'static Table, filter: Filter, limit: u32) -> Result<u64, StoreError> {
        self.write(move |db| {
            let query = Query { table, filter, order: table.key, descending: false, limit };
            let mut sql = Sql::new("DELETE FROM ");
            sql.push(table.name).push(" WHERE (").columns(table.key.iter().copied()).push(") IN (SELECT ");
            sql.columns(table.key.iter().copied()).push(" FROM ").push(table.name).question(&query).push(")");
            db.prepare_cached(&sql.text)?.execute(sql.parameters()).map(|n| n as u64)
        })
        .await
    }

    async fn tick(&self) -> Result<u64, StoreError> {
        self.write(|db| next(db).map(i64::cast_unsigned)).await
    }

    async fn counter(&self) -> Result<Counter, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached("SELECT value, floor FROM counter")?;
            statement.query_row([], |row| {
                let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
                Ok(Counter { value: number(0)?, floor: number(1)? })
            })
        })
        .await
    }

    async fn raise_floor(&self, floor: u64) -> Result<(), StoreError> {
        let raise = "UPDATE counter SET floor = max(floor, ?1)";
        self.write(move |db| db.execute(raise, [floor.cast_signed()]).map(|_| ())).await
    }

    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.read(move |db| {
            let mut statement = db.prepare_cached(&format!("SELECT count(*) FROM {}", table.name))?;
            statement.query_row([], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
        })
        .await
    }

    async fn mark_loading(&self, loading: bool) -> Result<(), StoreError> {
        self.write(move |db| db.execute("UPDATE counter SET loading = ?1", [loading]).map(|_| ())).await
    }

    async fn is_loading(&self) -> Result<bool, StoreError> {
        self.read(|db| db.query_row("SELECT loading FROM counter", [], |row| row.get(0))).await
    }

    async fn frozen(&self) -> Result<Option<Arc<dyn Engine>>, StoreError> {
        if self.files.frozen {
            return Ok(None);
        }
        Ok(Some(Arc::new(self.freeze()?)))
    }

    async fn about(&self) -> Result<About, StoreError> {
        let schema = self.read(|db| migrations::schema_of(db).optional()).await?.unwrap_or_default();
        Ok(About { engine: "sqlite", place: self.files.path.display().to_string(), schema })
    }
}

/// Moves the counter on.
fn next(db: &Transaction<'_>) -> rusqlite::Result<i64> {
    db.prepare_cached("UPDATE counter SET value = value + 1 RETURNING value")?.query_row([], |row| row.get(0))
}

fn insert(
    db: &Transaction<'_>,
    table: &Table,
    row: &Row,
    changed: Option<i64>,
    or_else: &str,
) -> rusqlite::Result<()> {
    let mut sql = Sql::new("INSERT INTO ");
    sql.push(table.name).push(" (").all_columns(table);
    if changed.is_some() {
        sql.push(", ").column(CHANGED);
    }
    sql.push(") VALUES (");
    for (at, value) in row.0.iter().cloned().chain(changed.map(Value::Int)).enumerate() {
        sql.push(if at > 0 { ", " } else { "" }).bind(&value);
    }
    sql.push(")").push(or_else);
    db.prepare_cached(&sql.text)?.execute(sql.parameters()).map(|_| ())
}
