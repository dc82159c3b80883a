//! Values as both engines and the dump know them, and what Rust types become.
//!
//! One mapping for SQLite's columns, MongoDB's fields and the lines of a dump, so that the three can't disagree. SQLite and
//! BSON have signed 64-bit integers only: a `u64` is kept bit for bit (`cast_signed`), which is lossless. Such columns are
//! never compared by size in a query, unless they stay below 2^63 by nature.
//!
//! Belongs here: kinds of values, [`Field`]. Does not: SQL, BSON, JSON.

use std::fmt;

use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::secret::Secret;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A truth value.
    Bool,
    /// 64 bits.
    Int,
    /// Milliseconds since the epoch.
    Time,
    /// Unicode text.
    Text,
    /// Bytes.
    Bytes,
    /// Texts, in order.
    List,
}

/// One value of a row.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// See [`Kind::Bool`].
    Bool(bool),
    /// See [`Kind::Int`].
    Int(i64),
    /// See [`Kind::Time`].
    Time(i64),
    /// See [`Kind::Text`].
    Text(String),
    /// See [`Kind::Bytes`].
    Bytes(Vec<u8>),
    /// See [`Kind::List`].
    List(Vec<String>),
}

/// Hashes of passwords pass through here, so only the kind is printed.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Time(_) => "time",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A type that can be a column.
pub trait Field: Sized {
    /// What the column holds.
    const KIND: Kind;
    /// Whether it may hold nothing.
    const NULLABLE: bool = false;
    /// For storing.
    fn to_value(&self) -> Value;
    /// What was stored; `None` when that can't be.
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! field {
    ($type:ty, $kind:ident, |$this:ident| $to:expr, |$stored:ident| $from:expr) => {
        impl $crate::store::value::Field for $type {
            const KIND: $crate::store::value::Kind = $crate::store::value::Kind::$kind;
            fn to_value(&self) -> $crate::store::value::Value {
                let $this = self;
                $crate::store::value::Value::$kind($to)
            }
            fn from_value(value: $crate::store::value::Value) -> Option<Self> {
                match value {
                    $crate::store::value::Value::$kind($stored) => $from,
                    _ => None,
                }
            }
        }
    };
}
pub(super) use field;

field!(bool, Bool, |v| *v, |v| Some(v));
field!(i64, Int, |v| *v, |v| Some(v));
field!(u64, Int, |v| v.cast_signed(), |v| Some(v.cast_unsigned()));
field!(u32, Int, |v| i64::from(*v), |v| Self::try_from(v).ok());
field!(UnixMillis, Time, |v| v.0, |v| Some(Self(v)));
field!(String, Text, |v| v.clone(), |v| Some(v));
field!(Secret<String>, Text, |v| v.reveal().clone(), |v| Some(Self::new(v)));
field!(Vec<u8>, Bytes, |v| v.clone(), |v| Some(v));
field!(Sha256, Bytes, |v| v.0.to_vec(), |v| v.try_into().ok().map(Self));
field!(Vec<String>, List, |v| v.clone(), |v| Some(v));

impl<T: Field> Field for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::to_value)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_come_back() {
        for number in [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1] {
            assert_eq!(u64::from_value(number.to_value()), Some(number));
        }
    }

    #[test]
    fn what_can_not_be_is_noticed() {
        assert_eq!(u64::from_value(Value::Null), None);
        assert_eq!(Option::<u64>::from_value(Value::Null), Some(None));
        assert_eq!(Sha256::from_value(Value::Bytes(vec![1])), None);
        assert_eq!(u32::from_value(Value::Int(-1)), None);
    }

    #[test]
    fn values_are_not_printed() {
        assert_eq!(format!("{:?}", Value::from("hunter2")), "text");
    }
}
