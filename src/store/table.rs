//! The shape of what is stored: tables, their columns, what is unique, what is looked up.
//!
//! A table is a table of SQLite and a collection of MongoDB. There are no references between tables: MongoDB would not
//! check them, and the two must mean the same. Who deletes a user also deletes what belongs to the user, step by step.
//!
//! Belongs here: descriptions. Does not: the tables themselves (`model`), SQL, BSON.

use super::error::StoreError;
use super::value::{Field, Kind, Value};

/// A column.
#[derive(Debug)]
pub struct Column {
    /// As in SQL and in documents.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may hold nothing.
    pub nullable: bool,
}

/// Columns that are looked up together.
#[derive(Debug)]
pub struct Index {
    /// Of the index in the database; never reused for other columns.
    pub name: &'static str,
    /// In this order.
    pub columns: &'static [&'static str],
    /// For unique ones, what there is already when a row can't be added, as in "a user with this name".
    pub unique: Option<&'static str>,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// As in the database.
    pub name: &'static str,
    /// What a row is, as in "user".
    pub what: &'static str,
    /// What there is already when the key is taken.
    pub taken: &'static str,
    /// Columns that name a row, in the order of listings.
    pub key: &'static [&'static str],
    /// All of them.
    pub columns: &'static [Column],
    /// Besides the key.
    pub indexes: &'static [Index],
    /// Whether gates follow its changes. Such a table has a column `revision`, and a hidden one, `changed`.
    pub tracked: bool,
    /// Whether it lives in the database of the queue.
    pub queue: bool,
}

/// Values in the order of the table's columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row(pub Vec<Value>);

impl Table {
    /// Where a column stands; the columns of a table are known at compile time, so an unknown one stands nowhere.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }

    /// The values of some columns of a row.
    pub fn pick(&self, row: &Row, columns: &[&str]) -> Vec<Value> {
        let value = |name: &&str| self.position(name).and_then(|at| row.0.get(at)).cloned();
        columns.iter().filter_map(value).collect()
    }

    /// The key of a row as one text, told apart from every other key: parts are joined by `/`, and `/` in them is escaped.
    pub fn key_text(&self, key: &[Value]) -> String {
        if let [Value::Text(only)] = key {
            return only.clone();
        }
        let part = |value: &Value| match value {
            Value::Text(text) => text.replace('%', "%25").replace('/', "%2F"),
            Value::Bytes(bytes) => hex::encode(bytes),
            Value::Int(number) | Value::Time(number) => number.to_string(),
            Value::Bool(_) | Value::List(_) | Value::Null => String::new(),
        };
        key.iter().map(part).collect::<Vec<_>>().join("/")
    }
}

/// A type whose values are rows.
pub trait Record: Sized {
    /// In the order of the fields.
    const COLUMNS: &'static [Column];
    /// Where they are kept.
    fn table() -> &'static Table;
    /// For storing.
    fn to_row(&self) -> Row;
    /// What was stored.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]
    fn from_row(row: Row) -> Result<Self, StoreError>;
}

/// The next value of a row as a field of that type.
pub(super) fn take<T: Field>(
    values: &mut std::vec::IntoIter<Value>,
    table: &Table,
    column: &str,
) -> Result<T, StoreError> {
    values.next().and_then(T::from_value).ok_or_else(|| {
        StoreError::damaged(format_args!("`{}.{column}` has a value that can't be", table.name))
    })
}

/// Declares a struct whose fields are the columns of a table.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident in $table:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)+ }

        impl $crate::store::table::Record for $name {
            const COLUMNS: &'static [$crate::store::table::Column] = &[$($crate::store::table::Column {
                name: stringify!($field),
                kind: <$type as $crate::store::value::Field>::KIND,
                nullable: <$type as $crate::store::value::Field>::NULLABLE,
            }),+];

            fn table() -> &'static $crate::store::table::Table {
                &$table
            }

            fn to_row(&self) -> $crate::store::table::Row {
                $crate::store::table::Row(vec![$($crate::store::value::Field::to_value(&self.$field)),+])
            }

            fn from_row(row: $crate::store::table::Row) -> Result<Self, $crate::store::StoreError> {
                let mut values = row.0.into_iter();
                Ok(Self { $($field: $crate::store::table::take(&mut values, &$table, stringify!($field))?),+ })
            }
        }
    };
}
pub(super) use record;

#[cfg(test)]
mod tests {
    use crate::store::model::{HEADS, USERS};

    #[test]
    fn keys_of_several_parts_are_told_apart() {
        let key = |a: &str, b: &str| HEADS.key_text(&[a.into(), b.into()]);
        assert_eq!(key("pkgs/main", "noarch"), "pkgs%2Fmain/noarch");
        assert_ne!(key("a/b", "c"), key("a", "b/c"));
        assert_ne!(key("a%2Fb", "c"), key("a/b", "c"));
        assert_eq!(USERS.key_text(&["u/1".into()]), "u/1");
    }
}
