//! What the repositories need, on MongoDB: every method changes one document by itself.
//!
//! Belongs here: operations, and the marks that make changes of tracked tables visible (`store::engine` says how). Does not:
//! the shape of documents ([`super::document`]).

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use super::document::{bson, document, filter, id, order, row, update};
use super::{Mongo, bounded, fault, write_concern};
use crate::store::engine::{About, CHANGED, Counter, Engine, PENDING};
use crate::store::error::StoreError;
use crate::store::model::GONE;
use crate::store::query::{Change, Edit, Filter, Query};
use crate::store::table::{Row, Table};
use crate::store::value::Value;

/// Updates in one message.
const BATCH: usize = 500;
/// How often the counter is asked for its next number before it counts as broken.
const ATTEMPTS: usize = 5;

#[async_trait]
impl Engine for Mongo {
    async fn insert(&self, table: &'static Table, rows: Vec<Row>) -> Result<(), StoreError> {
        let mut documents: Vec<_> = rows.iter().map(|row| document(table, row)).collect();
        let collection = self.collection(table);
        if let [document] = documents.as_mut_slice() {
            if table.tracked {
                document.insert(CHANGED, PENDING);
            }
            bounded(collection.insert_one(&*document).into_future()).await?;
            return if table.tracked { self.number(table, document).await } else { Ok(()) };
        }
        if table.tracked {
            // No gate follows a load, so the number may be there before the rows are.
            let number = self.next().await?;
            for document in &mut documents {
                document.insert(CHANGED, number);
            }
        }
        bounded(collection.insert_many(&documents).into_future()).await.map(|_| ())
    }

    async fn find(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let table = query.table;
        self.found(query).await?.into_iter().map(|found| row(table, found)).collect()
    }

    async fn find_numbered(&self, query: Query) -> Result<Vec<(Row, i64)>, StoreError> {
        let table = query.table;
        let numbered = |found: Document| {
            let number = found.get_i64(CHANGED).unwrap_or_default();
            Ok((row(table, found)?, number))
        };
        self.found(query).await?.into_iter().map(numbered).collect()
    }

    async fn change(&self, query: Query, mut changes: Vec<Change>) -> Result<Option<Row>, StoreError> {
        let table = query.table;
        if table.tracked {
            changes.push(Change::Set(CHANGED, Value::Int(PENDING)));
        }
        let collection = self.collection(table);
        let change = collection
            .find_one_and_update(filter(table, &query.filter), update(table, &changes))
            .sort(order(table, query.order, query.descending))
            .return_document(ReturnDocument::After);
        let Some(after) = bounded(change.into_future()).await? else { return Ok(None) };
        if table.tracked {
            self.number(table, &after).await?;
        }
        row(table, after).map(Some)
    }

    async fn merge(&self, table: &'static Table, edits: Vec<Edit>) -> Result<(), StoreError> {
        for part in edits.chunks(BATCH) {
            let mut updates: Vec<_> = part.iter().map(|edit| Bson::Document(merged(table, edit))).collect();
            // Of two that would add the same document one is too late; then it is there, and the other changes it.
            while !updates.is_empty() {
                updates = self.send(table, updates).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, table: &'static Table, key: Vec<Value>) -> Result<bool, StoreError> {
        let this = doc! {"_id": id(table, &key)};
        let collection = self.collection(table);
        if !table.tracked {
            return bounded(collection.delete_one(this).into_future())
                .await
                .map(|gone| gone.deleted_count > 0);
        }
        if bounded(collection.find_one(this.clone()).into_future()).await?.is_none() {
            return Ok(false);
        }
        // Told before it is done: a gate that forgets a row too early does less harm than one that keeps it.
        let gone = self.collection(&GONE);
        let mark = doc! {"_id": id(&GONE, &[table.name.into(), Value::Text(id(table, &key))])};
        let pending = doc! {"$set": {"source": table.name, "id": id(table, &key), CHANGED: PENDING}};
        bounded(gone.update_one(mark.clone(), pending).upsert(true).into_future()).await?;
        let removed = bounded(collection.delete_one(this).into_future()).await?.deleted_count > 0;
        let number = self.next().await?;
        let numbered = doc! {"$set": {CHANGED: number}};
        bounded(gone.update_one(mark, numbered).into_future()).await?;
        Ok(removed)
    }

    async fn purge(&self, table: &'static Table, of: Filter, limit: u32) -> Result<u64, StoreError> {
        if limit == 0 {
            return Ok(0);
        }
        let collection = self.collection(table);
        let found = async {
            let find = collection.find(filter(table, &of)).projection(doc! {"_id": 1});
            let cursor = find.sort(order(table, table.key, false)).limit(i64::from(limit)).await?;
            cursor.try_collect::<Vec<Document>>().await
        };
        let ids: Vec<_> =
            bounded(found).await?.into_iter().filter_map(|mut found| found.remove("_id")).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        // The filter again: one of them may have become another meanwhile.
        let doomed = doc! {"$and": [{"_id": {"$in": ids}}, filter(table, &of)]};
        bounded(collection.delete_many(doomed).into_future()).await.map(|gone| gone.deleted_count)
    }

    async fn tick(&self) -> Result<u64, StoreError> {
        self.next().await.map(i64::cast_unsigned)
    }

    async fn counter(&self) -> Result<Counter, StoreError> {
        let found = bounded(self.meta().find_one(doc! {"_id": "counter"}).into_future()).await?;
        let Some(found) = found else { return Ok(Counter::default()) };
        let floor = found.get_i64("floor").unwrap_or_default().cast_unsigned();
        Ok(Counter { value: value_of(&found)?.cast_unsigned(), floor })
    }

    async fn raise_floor(&self, floor: u64) -> Result<(), StoreError> {
        let raise = doc! {"$max": {"floor": floor.cast_signed()}};
        bounded(self.meta().update_one(doc! {"_id": "counter"}, raise).into_future()).await.map(|_| ())
    }

    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        bounded(self.collection(table).count_documents(doc! {}).into_future()).await
    }

    async fn mark_loading(&self, loading: bool) -> Result<(), StoreError> {
        let mark = doc! {"_id": "loading"};
        let marked = doc! {"$set": {"loading": loading}};
        bounded(self.meta().update_one(mark, marked).upsert(true).into_future()).await.map(|_| ())
    }

    async fn is_loading(&self) -> Result<bool, StoreError> {
        let mark = bounded(self.meta().find_one(doc! {"_id": "loading"}).into_future()).await?;
        Ok(mark.is_some_and(|mark| mark.get_bool("loading").unwrap_or(true)))
    }

    async fn about(&self) -> Result<About, StoreError> {
        let place = format!("{}, databases {} and {}", self.hosts, self.main.name(), self.queue.name());
        Ok(About { engine: "mongodb", place, schema: self.schema().await? })
    }
}

impl Mongo {
    /// What a query finds, as it is stored.
    async fn found(&self, query: Query) -> Result<Vec<Document>, StoreError> {
        // To MongoDB 0 means no limit.
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        let table = query.table;
        let sort = order(table, query.order, query.descending);
        let collection = self.collection(table);
        let found = async {
            let find = collection.find(filter(table, &query.filter)).sort(sort);
            // One answer with everything, where it fits into a message.
            let cursor = find.limit(i64::from(query.limit)).batch_size(query.limit).await?;
            cursor.try_collect::<Vec<Document>>().await
        };
        bounded(found).await
    }

    /// Moves the counter on.
    async fn next(&self) -> Result<i64, StoreError> {
        let meta = self.meta();
        for _ in 0..ATTEMPTS {
            let next = meta
                .find_one_and_update(doc! {"_id": "counter"}, doc! {"$inc": {"value": 1_i64}})
                .upsert(true)
                .return_document(ReturnDocument::After);
            // Some servers give nothing to the one of two that comes second.
            if let Some(counter) = bounded(next.into_future()).await? {
                return value_of(&counter);
            }
        }
        value_of(&Document::new())
    }

    /// Numbers a document that was written as it is. Whoever changed it meanwhile has raised its revision, and numbers it.
    async fn number(&self, table: &Table, written: &Document) -> Result<(), StoreError> {
        let number = self.next().await?;
        let mut mine = doc! {CHANGED: PENDING};
        for name in ["_id", "revision"] {
            mine.extend(written.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        let numbered = doc! {"$set": {CHANGED: number}};
        bounded(self.collection(table).update_one(mine, numbered).into_future()).await.map(|_| ())
    }

    /// Sends updates; gives back those that have to be sent again.
    async fn send(&self, table: &Table, updates: Vec<Bson>) -> Result<Vec<Bson>, StoreError> {
        let command = doc! {
            "update": table.name,
            "updates": updates.clone(),
            "ordered": false,
            "writeConcern": write_concern(),
        };
        let answer = bounded(self.database(table).run_command(command).into_future()).await?;
        if answer.contains_key("writeConcernError") {
            return Err(StoreError::unavailable("MongoDB did not confirm the writes"));
        }
        let mut again = Vec::new();
        for error in answer.get_array("writeErrors").into_iter().flatten() {
            let error = error.as_document();
            let code = error.and_then(|error| error.get_i32("code").ok()).unwrap_or_default();
            let at = error.and_then(|error| error.get_i32("index").ok());
            let update = at.and_then(|at| updates.get(usize::try_from(at).ok()?));
            match update {
                Some(update) if fault::is_duplicate_code(code) => again.push(update.clone()),
                _ => {
                    return Err(StoreError::unavailable(format_args!("MongoDB refused an update ({code})")));
                }
            }
        }
        Ok(again)
    }
}

fn value_of(counter: &Document) -> Result<i64, StoreError> {
    counter.get_i64("value").map_err(|_| StoreError::damaged("`meta.counter` has no value"))
}

/// An edit as one statement of the `update` command.
pub(super) fn merged(table: &Table, edit: &Edit) -> Document {
    let mut changes = update(table, &edit.changes);
    if let Some(row) = &edit.row {
        let is_set = |name: &str| {
            edit.changes.iter().any(|change| {
                let (Change::Set(column, _) | Change::Add(column, _) | Change::Raise(column, _)) = change;
                *column == name
            })
        };
        let fixed = table.columns.iter().zip(&row.0);
        let fixed = fixed.filter(|(column, _)| table.key != [column.name] && !is_set(column.name));
        let fixed: Document = fixed.map(|(column, value)| (column.name.to_owned(), bson(value))).collect();
        changes.insert("$setOnInsert", fixed);
    }
    doc! {"q": {"_id": id(table, &edit.key)}, "u": changes, "upsert": edit.row.is_some()}
}
