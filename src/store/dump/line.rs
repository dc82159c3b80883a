//! Lines of a dump.
//!
//! Belongs here: JSON of one line, both ways. Does not: their order ([`super::read`]).

use serde_json::{Map, Value as Json, json};

use super::{FORMAT, Summary, VERSION, schema};
use crate::store::table::{Row, Table};
use crate::store::value::{Kind, Value};

/// The first one.
pub(super) fn header() -> Json {
    json!({"format": FORMAT, "version": VERSION, "schema": schema()})
}

/// The last one.
pub(super) fn end(summary: &Summary) -> Json {
    json!({"rows": summary.rows, "sha256": hex::encode(summary.sha256)})
}

/// One between.
pub(super) fn of(table: &Table, row: &Row) -> Json {
    let fields = table.columns.iter().zip(&row.0);
    let fields: Map<_, _> = fields.map(|(column, value)| (column.name.to_owned(), write(value))).collect();
    json!({"table": table.name, "row": fields})
}

fn write(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) | Value::Time(value) => json!(value),
        Value::Text(value) => json!(value),
        Value::Bytes(value) => json!(hex::encode(value)),
        Value::List(value) => json!(value),
    }
}

/// The row of a line; `None` when it is not one of this table.
pub(super) fn row(table: &Table, fields: &Map<String, Json>) -> Option<Row> {
    if fields.len() != table.columns.len() {
        return None;
    }
    let value = |column: &crate::store::table::Column| match fields.get(column.name)? {
        Json::Null => column.nullable.then_some(Value::Null),
        json => read(column.kind, json),
    };
    table.columns.iter().map(value).collect::<Option<_>>().map(Row)
}

fn read(kind: Kind, json: &Json) -> Option<Value> {
    Some(match kind {
        Kind::Bool => Value::Bool(json.as_bool()?),
        Kind::Int => Value::Int(json.as_i64()?),
        Kind::Time => Value::Time(json.as_i64()?),
        Kind::Text => Value::Text(json.as_str()?.to_owned()),
        Kind::Bytes => Value::Bytes(hex::decode(json.as_str()?).ok()?),
        Kind::List => {
            let texts = json.as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
            Value::List(texts.collect::<Option<_>>()?)
        }
    })
}
