//! Making the two databases ready: indexes and the number of the schema.
//!
//! What is to be done is found out by looking; doing it again does nothing. The number is written last, so a setup that broke
//! off is begun again.
//!
//! Belongs here: this plan and its execution. Does not: which indexes there are (`store::model`).

use futures_util::TryStreamExt as _;
use mongodb::IndexModel;
use mongodb::bson::doc;
use mongodb::options::IndexOptions;

use super::document::order;
use super::{Mongo, Settings, bounded, fault};
use crate::store::engine::SCHEMA;
use crate::store::error::StoreError;
use crate::store::model::TABLES;
use crate::store::table::{Index, Table};

/// One thing to be done.
#[derive(Clone, Copy, Debug)]
enum Step {
    Index(&'static Table, &'static Index),
    Schema { from: i64 },
}

/// Says what has to be done to the databases, in order, and does it when told to. Nothing to say means that they are
/// ready.
///
/// # Errors
/// [`StoreError::NewerSchema`]; [`StoreError::Damaged`] when an index of ours has other columns; [`StoreError::Conflict`]
/// when documents are there that a unique index can't allow; [`StoreError::Unavailable`]
pub async fn setup(settings: &Settings, execute: bool) -> Result<Vec<String>, StoreError> {
    let mongo = Mongo::connect(settings).await?;
    let steps = mongo.plan().await?;
    let said = steps.iter().map(|step| mongo.describe(*step)).collect();
    if execute {
        for step in steps {
            mongo.take(step).await?;
        }
    }
    Ok(said)
}

impl Mongo {
    async fn plan(&self) -> Result<Vec<Step>, StoreError> {
        let found = self.schema().await?;
        if found > SCHEMA {
            return Err(StoreError::NewerSchema { found, known: SCHEMA });
        }
        let mut steps = Vec::new();
        for table in TABLES {
            let there = self.indexes(table).await?;
            for index in table.indexes {
                let wanted = model(table, index);
                let known = there.iter().find(|known| name_of(known) == Some(index.name));
                match known {
                    None => steps.push(Step::Index(table, index)),
                    Some(known) if is_same(known, &wanted) => {}
                    Some(_) => {
                        return Err(StoreError::damaged(format_args!(
                            "the index `{}` of `{}` has other columns than it must have",
                            index.name, table.name
                        )));
                    }
                }
            }
        }
        if found < SCHEMA {
            steps.push(Step::Schema { from: found });
        }
        Ok(steps)
    }

    async fn indexes(&self, table: &Table) -> Result<Vec<IndexModel>, StoreError> {
        let collection = self.collection(table);
        let list = async {
            match collection.list_indexes().await {
                Ok(cursor) => cursor.try_collect().await,
                Err(error) if fault::is_no_collection(&error) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        bounded(list).await
    }

    fn describe(&self, step: Step) -> String {
        match step {
            Step::Index(table, index) => {
                let unique = if index.unique.is_some() { "unique index" } else { "index" };
                let database = self.database(table).name();
                format!("create {unique} {} on {database}.{}", index.name, table.name)
            }
            Step::Schema { from: 0 } => format!("note schema {SCHEMA} in {}", self.main.name()),
            Step::Schema { from } => {
                format!("note schema {SCHEMA} instead of {from} in {}", self.main.name())
            }
        }
    }

    async fn take(&self, step: Step) -> Result<(), StoreError> {
        match step {
            Step::Index(table, index) => {
                let collection = self.collection(table);
                bounded(collection.create_index(model(table, index)).into_future()).await.map(|_| ())
            }
            Step::Schema { .. } => {
                let noted = doc! {"$max": {"version": SCHEMA}};
                let meta = self.meta();
                let note = meta.update_one(doc! {"_id": "schema"}, noted).upsert(true);
                bounded(note.into_future()).await.map(|_| ())
            }
        }
    }
}

fn model(table: &Table, index: &Index) -> IndexModel {
    let options = IndexOptions::builder().name(index.name.to_owned()).unique(index.unique.is_some()).build();
    IndexModel::builder().keys(order(table, index.columns, false)).options(options).build()
}

fn name_of(index: &IndexModel) -> Option<&str> {
    index.options.as_ref()?.name.as_deref()
}

/// Servers give directions back as numbers of any kind.
fn is_same(known: &IndexModel, wanted: &IndexModel) -> bool {
    let unique = |index: &IndexModel| index.options.as_ref().is_some_and(|o| o.unique == Some(true));
    known.keys.keys().eq(wanted.keys.keys()) && unique(known) == unique(wanted)
}
