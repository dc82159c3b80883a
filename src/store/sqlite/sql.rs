//! Filters, changes and rows as SQL.
//!
//! Names of columns come from tables that are known at compile time and are quoted; values are bound.
//!
//! Belongs here: text and parameters. Does not: running them ([`super::engine`]).

use rusqlite::params_from_iter;
use rusqlite::types::{Type, Value as Stored, ValueRef};

use crate::store::query::{Change, Compare, Filter, Query};
use crate::store::table::{Row, Table};
use crate::store::value::{Kind, Value};

/// A statement and what is bound to it.
#[derive(Default)]
pub(super) struct Sql {
    pub(super) text: String,
    values: Vec<Stored>,
}

impl Sql {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    /// For `query_map` and `execute`.
    pub(super) fn parameters(&self) -> impl rusqlite::Params + '_ {
        params_from_iter(self.values.iter())
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn bind(&mut self, value: &Value) -> &mut Self {
        self.values.push(store(value));
        self.push("?")
    }

    pub(super) fn column(&mut self, name: &str) -> &mut Self {
        self.push("\"").push(name).push("\"")
    }

    /// `"a", "b"`
    pub(super) fn columns<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> &mut Self {
        for (at, name) in names.enumerate() {
            self.push(if at > 0 { ", " } else { "" }).column(name);
        }
        self
    }

    pub(super) fn all_columns(&mut self, table: &Table) -> &mut Self {
        self.columns(table.columns.iter().map(|column| column.name))
    }

    pub(super) fn filter(&mut self, filter: &Filter) -> &mut Self {
        match filter {
            Filter::Every(all) => self.joined(all, " AND ", "1"),
            Filter::Any(all) => self.joined(all, " OR ", "0"),
            Filter::Column(name, compare, value) => {
                self.column(name).push(match compare {
                    Compare::Is => " IS ",
                    Compare::Below => " < ",
                    Compare::AtMost => " <= ",
                    Compare::Above => " > ",
                    Compare::AtLeast => " >= ",
                });
                self.bind(value)
            }
            Filter::Has(name, text) => {
                self.push("EXISTS (SELECT 1 FROM json_each(").column(name).push(") WHERE value = ");
                self.bind(&Value::Text(text.clone())).push(")")
            }
            Filter::Among(name, values) => {
                self.column(name).push(" IN (");
                for (at, value) in values.iter().enumerate() {
                    self.push(if at > 0 { ", " } else { "" }).bind(value);
                }
                self.push(")")
            }
        }
    }

    fn joined(&mut self, all: &[Filter], word: &str, none: &str) -> &mut Self {
        self.push("(");
        if all.is_empty() {
            self.push(none);
        }
        for (at, filter) in all.iter().enumerate() {
            self.push(if at > 0 { word } else { "" }).filter(filter);
        }
        self.push(")")
    }

    /// ` WHERE … ORDER BY … LIMIT …`
    pub(super) fn question(&mut self, query: &Query) -> &mut Self {
        self.push(" WHERE ").filter(&query.filter).push(" ORDER BY ");
        for (at, name) in query.order.iter().enumerate() {
            self.push(if at > 0 { ", " } else { "" }).column(name);
            self.push(if query.descending { " DESC" } else { "" });
        }
        self.push(" LIMIT ").bind(&Value::Int(i64::from(query.limit)))
    }

    /// ` SET …`
    pub(super) fn changes(&mut self, changes: &[Change]) -> &mut Self {
        for (at, change) in changes.iter().enumerate() {
            self.push(if at > 0 { ", " } else { "" });
            match change {
                Change::Set(name, value) => self.column(name).push(" = ").bind(value),
                Change::Add(name, number) => {
                    self.column(name).push(" = ").column(name).push(" + ");
                    self.bind(&Value::Int(*number))
                }
                Change::Raise(name, value) => {
                    self.column(name).push(" = max(coalesce(").column(name).push(", ").bind(value);
                    self.push("), ").bind(value).push(")")
                }
            };
        }
        self
    }
}

fn store(value: &Value) -> Stored {
    match value {
        Value::Null => Stored::Null,
        Value::Bool(value) => Stored::Integer(i64::from(*value)),
        Value::Int(value) | Value::Time(value) => Stored::Integer(*value),
        Value::Text(value) => Stored::Text(value.clone()),
        Value::Bytes(value) => Stored::Blob(value.clone()),
        Value::List(value) => Stored::Text(serde_json::Value::from(value.clone()).to_string()),
    }
}

/// The row of a result whose columns are all of the table's.
pub(super) fn row(table: &Table, found: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let value = |(at, column): (usize, &crate::store::table::Column)| {
        let stored = found.get_ref(at)?;
        let wrong = || rusqlite::Error::InvalidColumnType(at, column.name.to_owned(), stored.data_type());
        read(column.kind, stored).ok_or_else(wrong)
    };
    table.columns.iter().enumerate().map(value).collect::<rusqlite::Result<_>>().map(Row)
}

fn read(kind: Kind, stored: ValueRef<'_>) -> Option<Value> {
    if stored.data_type() == Type::Null {
        return Some(Value::Null);
    }
    Some(match kind {
        Kind::Bool => Value::Bool(stored.as_i64().ok()? != 0),
        Kind::Int => Value::Int(stored.as_i64().ok()?),
        Kind::Time => Value::Time(stored.as_i64().ok()?),
        Kind::Text => Value::Text(stored.as_str().ok()?.to_owned()),
        Kind::Bytes => Value::Bytes(stored.as_blob().ok()?.to_vec()),
        Kind::List => Value::List(serde_json::from_str(stored.as_str().ok()?).ok()?),
    })
}
