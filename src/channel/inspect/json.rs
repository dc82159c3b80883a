//! JSON that every reader takes for the same: no key twice, nothing nested deep.
//!
//! Belongs here: strict parsing into a value. Does not: what the value has to be.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::error::{MetadataFlaw, shown};

/// Deepest nesting. Real documents have four levels; the scan of an index takes 64.
const DEPTH: u32 = 32;

/// Parses an object.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, MetadataFlaw> {
    let broken = |error: serde_json::Error| MetadataFlaw::Json { what: error.to_string() };
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut parser).map_err(broken)?;
    parser.end().map_err(broken)?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(MetadataFlaw::NotAnObject),
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: u32,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH {
            return Err(E::custom(format!("it is nested more than {DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(deeper)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if members.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{}` stands twice", shown(key.as_bytes()))));
            }
            members.insert(key, map.next_value_seed(deeper)?);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_alike_passes() {
        assert!(object(br#" {"a": [1, 2.5, "x", null, true, {"b": -1}]} "#).is_ok());
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(object(deep(31).as_bytes()).is_ok());
        for bad in [
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": {"b": 1, "b": 1}}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            "[1]",
            "7",
            "",
            "{} {}",
            "{\"a\": NaN}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": 1,}",
            &deep(32),
            &deep(100_000),
        ] {
            assert!(object(bad.as_bytes()).is_err(), "{}", shown(bad.as_bytes()));
        }
        assert!(object(b"{\"a\": \"\xff\"}").is_err());
        assert!(object(b"\xef\xbb\xbf{}").is_err());
    }
}
