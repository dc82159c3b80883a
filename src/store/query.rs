//! Questions and changes that both engines understand.
//!
//! Small on purpose: what the repositories need, each with one meaning in SQL and in MongoDB's language. Columns are
//! `&'static str`, so nothing that came from outside can become one; values are always bound, never part of a text.
//!
//! Belongs here: their shape. Does not: their translation (`sqlite::sql`, `mongo::document`).

use super::table::{Row, Table};
use super::value::Value;

/// How a column compares. Nothing compares with null except [`Compare::Is`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compare {
    /// Equal; null equals null.
    Is,
    /// <
    Below,
    /// <=
    AtMost,
    /// >
    Above,
    /// >=
    AtLeast,
}

/// Which rows.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All of these hold; of none, every row.
    Every(Vec<Filter>),
    /// One of these holds.
    Any(Vec<Filter>),
    /// A column compares so.
    Column(&'static str, Compare, Value),
    /// A column has one of these values.
    Among(&'static str, Vec<Value>),
    /// A column that is a list has this text in it. No index helps.
    Has(&'static str, String),
}

/// Which rows, in which order, how many.
#[derive(Clone, Debug)]
pub struct Query {
    /// Of this table.
    pub table: &'static Table,
    /// Only those.
    pub filter: Filter,
    /// By these columns.
    pub order: &'static [&'static str],
    /// From the last one.
    pub descending: bool,
    /// Not more.
    pub limit: u32,
}

/// What happens to a column.
#[derive(Clone, Debug)]
pub enum Change {
    /// It gets this value.
    Set(&'static str, Value),
    /// It grows, wrapping.
    Add(&'static str, i64),
    /// It gets this value unless it has a greater one.
    Raise(&'static str, Value),
}

/// A change of one row by its key, see [`super::engine::Engine::merge`].
#[derive(Clone, Debug)]
pub struct Edit {
    /// The row as it would be if it were new, with the changes not yet made; `None` to leave absent rows absent.
    pub row: Option<Row>,
    /// Of the row.
    pub key: Vec<Value>,
    /// In this order.
    pub changes: Vec<Change>,
}

/// `column = value`
pub fn is(column: &'static str, value: impl Into<Value>) -> Filter {
    Filter::Column(column, Compare::Is, value.into())
}

/// Every row.
pub const fn all() -> Filter {
    Filter::Every(Vec::new())
}

/// The row with this key.
pub fn keyed(table: &'static Table, key: &[Value]) -> Filter {
    Filter::Every(table.key.iter().zip(key).map(|(column, value)| is(column, value.clone())).collect())
}

/// Rows behind a place in the order of `columns`; `None` for all. The first condition alone lets an index be used.
pub fn behind(columns: &'static [&'static str], place: Option<Vec<Value>>, descending: bool) -> Filter {
    let Some(place) = place else { return all() };
    let (beyond, from) =
        if descending { (Compare::Below, Compare::AtMost) } else { (Compare::Above, Compare::AtLeast) };
    let mut ways = Vec::new();
    for (at, (column, value)) in columns.iter().zip(&place).enumerate() {
        let mut way: Vec<_> = columns.iter().zip(&place).take(at).map(|(c, v)| is(c, v.clone())).collect();
        way.push(Filter::Column(column, beyond, value.clone()));
        ways.push(if way.len() == 1 { way.remove(0) } else { Filter::Every(way) });
    }
    match (columns.first(), place.into_iter().next(), ways.len()) {
        (_, _, 1) => ways.remove(0),
        (Some(column), Some(first), _) => {
            Filter::Every(vec![Filter::Column(column, from, first), Filter::Any(ways)])
        }
        _ => all(),
    }
}
