//! Rows, filters and changes as documents.
//!
//! A row's key is `_id`: its only column, or the text of all of them. Values are scalars and arrays of texts, never
//! documents, so none can be taken for an operator.
//!
//! Belongs here: BSON. Does not: sending it ([`super::engine`]).

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc};

use crate::store::error::StoreError;
use crate::store::query::{Change, Compare, Filter};
use crate::store::table::{Column, Row, Table};
use crate::store::value::{Kind, Value};

/// The field of a column.
pub(super) fn field<'a>(table: &Table, column: &'a str) -> &'a str {
    if table.key == [column] { "_id" } else { column }
}

/// A value.
pub(super) fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::Int(value) => Bson::Int64(*value),
        Value::Time(value) => Bson::DateTime(DateTime::from_millis(*value)),
        Value::Text(value) => Bson::String(value.clone()),
        Value::Bytes(value) => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: value.clone() }),
        Value::List(value) => Bson::Array(value.iter().cloned().map(Bson::String).collect()),
    }
}

fn value(kind: Kind, stored: Bson) -> Option<Value> {
    Some(match (kind, stored) {
        (_, Bson::Null) => Value::Null,
        (Kind::Bool, Bson::Boolean(value)) => Value::Bool(value),
        (Kind::Int, Bson::Int64(value)) => Value::Int(value),
        (Kind::Int, Bson::Int32(value)) => Value::Int(i64::from(value)),
        (Kind::Time, Bson::DateTime(value)) => Value::Time(value.timestamp_millis()),
        (Kind::Text, Bson::String(value)) => Value::Text(value),
        (Kind::Bytes, Bson::Binary(value)) => Value::Bytes(value.bytes),
        (Kind::List, Bson::Array(values)) => {
            let text = |value| if let Bson::String(text) = value { Some(text) } else { None };
            Value::List(values.into_iter().map(text).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// A row.
pub(super) fn document(table: &Table, row: &Row) -> Document {
    let mut document = doc! {"_id": id(table, &table.pick(row, table.key))};
    for (column, value) in table.columns.iter().zip(&row.0) {
        if table.key != [column.name] {
            document.insert(column.name, bson(value));
        }
    }
    document
}

/// The `_id` of a key.
pub(super) fn id(table: &Table, key: &[Value]) -> String {
    table.key_text(key)
}

/// What [`document`] made.
pub(super) fn row(table: &Table, mut document: Document) -> Result<Row, StoreError> {
    let mut read = |column: &Column| {
        let stored = document.remove(field(table, column.name));
        stored.and_then(|stored| value(column.kind, stored)).ok_or_else(|| {
            StoreError::damaged(format_args!("`{}.{}` has a value that can't be", table.name, column.name))
        })
    };
    table.columns.iter().map(&mut read).collect::<Result<_, _>>().map(Row)
}

/// A filter. Conditions on columns stand side by side as far as they can: that is what query planners look at.
pub(super) fn filter(table: &Table, filter: &Filter) -> Document {
    let mut document = Document::new();
    let mut others = Vec::new();
    add(table, filter, &mut document, &mut others);
    if !others.is_empty() {
        document.insert("$and", others);
    }
    document
}

fn add(table: &Table, one: &Filter, document: &mut Document, others: &mut Vec<Bson>) {
    let (column, operator, operand) = match one {
        Filter::Every(all) => {
            for one in all {
                add(table, one, document, others);
            }
            return;
        }
        Filter::Any(all) => {
            let ways: Vec<_> = all.iter().map(|one| Bson::Document(filter(table, one))).collect();
            others.push(Bson::Document(doc! {"$or": ways}));
            return;
        }
        Filter::Column(column, compare, value) => {
            let operator = match compare {
                Compare::Is => "$eq",
                Compare::Below => "$lt",
                Compare::AtMost => "$lte",
                Compare::Above => "$gt",
                Compare::AtLeast => "$gte",
            };
            (field(table, column), operator, bson(value))
        }
        // Of an array: one of its elements is this.
        Filter::Has(column, text) => (field(table, column), "$eq", Bson::String(text.clone())),
        Filter::Among(column, values) => {
            (field(table, column), "$in", Bson::Array(values.iter().map(bson).collect()))
        }
    };
    match document.get_mut(column) {
        Some(Bson::Document(known)) if !known.contains_key(operator) => {
            known.insert(operator, operand);
        }
        Some(_) => others.push(Bson::Document(doc! {column: {operator: operand}})),
        None => {
            document.insert(column, doc! {operator: operand});
        }
    }
}

/// Changes.
pub(super) fn update(table: &Table, changes: &[Change]) -> Document {
    let mut update = Document::new();
    for change in changes {
        let (operator, column, operand) = match change {
            Change::Set(column, value) => ("$set", column, bson(value)),
            Change::Add(column, number) => ("$inc", column, Bson::Int64(*number)),
            Change::Raise(column, value) => ("$max", column, bson(value)),
        };
        if let Some(Bson::Document(known)) = update.get_mut(operator) {
            known.insert(field(table, column), operand);
        } else {
            update.insert(operator, doc! {field(table, column): operand});
        }
    }
    update
}

/// Columns in an order.
pub(super) fn order(table: &Table, columns: &[&str], descending: bool) -> Document {
    let direction = if descending { -1 } else { 1 };
    columns.iter().map(|column| (field(table, column).to_owned(), Bson::Int32(direction))).collect()
}
