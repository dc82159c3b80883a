//! MessagePack back to JSON, exactly: what a record of a shard says, as a record of `repodata.json` says it.
//!
//! Belongs here: one value. Does not: where records stand in a shard (`walk`), whole documents (`document`).

use std::collections::HashSet;
use std::io::Write as _;

use serde_json::Number;

use super::ShardError;
use super::cursor::{Cursor, Item};

/// Nesting of a record; the scanner of JSON documents allows a little more.
const DEEPEST: u32 = 56;
/// Above so many, keys are compared by a set.
const FEW: usize = 32;

/// Why a value does not become JSON.
enum Stop {
    /// It is not even MessagePack.
    Broken(ShardError),
    /// JSON can't say it: bytes that are no digest, extensions, fractions that are no numbers, keys that are no text or stand
    /// twice, text that is not UTF-8, nesting without end.
    Unsayable,
}

impl From<ShardError> for Stop {
    fn from(error: ShardError) -> Self {
        Self::Broken(error)
    }
}

/// Appends the record at `at` as JSON of at most `limit` bytes and steps over it. `false`: JSON can't say it, or it is none,
/// and nothing was written.
///
/// # Errors
/// Broken MessagePack.
pub(super) fn record(at: &mut Cursor<'_>, limit: usize, out: &mut Vec<u8>) -> Result<bool, ShardError> {
    let (from, start) = (at.pos(), out.len());
    let mut writer = Writer { at, end: start.saturating_add(limit), out };
    match writer.record() {
        Ok(()) => Ok(true),
        Err(Stop::Broken(error)) => Err(error),
        Err(Stop::Unsayable) => {
            out.truncate(start);
            at.back_to(from);
            at.skip()?;
            Ok(false)
        }
    }
}

/// Appends `text` as a JSON string.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    // Into memory and of a string: this can't fail.
    let _ = serde_json::to_writer(out, text);
}

struct Writer<'w, 'a> {
    at: &'w mut Cursor<'a>,
    end: usize,
    out: &'w mut Vec<u8>,
}

impl<'a> Writer<'_, 'a> {
    fn record(&mut self) -> Result<(), Stop> {
        match self.at.item()? {
            Item::Map(n) => self.object(n, 0),
            _ => Err(Stop::Unsayable),
        }
    }

    fn object(&mut self, n: usize, depth: u32) -> Result<(), Stop> {
        let mut keys = Keys::default();
        self.out.push(b'{');
        for place in 0..n {
            let Item::Text(key) = self.at.item()? else { return Err(Stop::Unsayable) };
            if !keys.add(key) {
                return Err(Stop::Unsayable);
            }
            if place > 0 {
                self.out.push(b',');
            }
            self.text(key)?;
            self.out.push(b':');
            let item = self.at.item()?;
            match item {
                Item::Bytes(digest) if depth == 0 && is_digest(key, digest) => {
                    let _ = write!(self.out, "\"{}\"", hex::encode(digest));
                }
                _ => self.value(item, depth)?,
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn array(&mut self, n: usize, depth: u32) -> Result<(), Stop> {
        self.out.push(b'[');
        for place in 0..n {
            if place > 0 {
                self.out.push(b',');
            }
            let item = self.at.item()?;
            self.value(item, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn value(&mut self, item: Item<'a>, depth: u32) -> Result<(), Stop> {
        if depth >= DEEPEST || self.out.len() > self.end {
            return Err(Stop::Unsayable);
        }
        // Writing to memory does not fail.
        match item {
            Item::Nil => self.out.extend_from_slice(b"null"),
            Item::Bool(is) => self.out.extend_from_slice(if is { b"true" } else { b"false" }),
            Item::Uint(n) => drop(write!(self.out, "{n}")),
            Item::Int(n) => drop(write!(self.out, "{n}")),
            Item::Float(n) => {
                let n = Number::from_f64(n).ok_or(Stop::Unsayable)?;
                let _ = write!(self.out, "{n}");
            }
            Item::Text(text) => self.text(text)?,
            Item::Array(n) => self.array(n, depth + 1)?,
            Item::Map(n) => self.object(n, depth + 1)?,
            Item::Bytes(_) | Item::Extension => return Err(Stop::Unsayable),
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8]) -> Result<(), Stop> {
        string(self.out, std::str::from_utf8(text).map_err(|_| Stop::Unsayable)?);
        if self.out.len() > self.end { Err(Stop::Unsayable) } else { Ok(()) }
    }
}

/// Whether bytes are a digest that JSON has in hex: `sha256`, `md5`, `legacy_bz2_md5`, `attestations_sha256`.
fn is_digest(key: &[u8], bytes: &[u8]) -> bool {
    let len = if key == b"sha256" || key.ends_with(b"_sha256") {
        32
    } else if key == b"md5" || key.ends_with(b"_md5") {
        16
    } else {
        return false;
    };
    bytes.len() == len
}

/// The keys of one object so far.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<&'a [u8]>,
    many: HashSet<&'a [u8], ahash::RandomState>,
}

impl<'a> Keys<'a> {
    /// Whether `key` is new.
    fn add(&mut self, key: &'a [u8]) -> bool {
        if self.few.len() < FEW {
            let new = !self.few.contains(&key);
            self.few.push(key);
            return new;
        }
        !self.few.contains(&key) && self.many.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::repodata::scan::Group;
    use crate::repodata::shards::transcode;

    fn said(raw: &[u8]) -> Result<Option<String>, ShardError> {
        let (mut at, mut out) = (Cursor::new(raw), b"x".to_vec());
        let done = record(&mut at, 1 << 20, &mut out)?;
        assert!(at.at_end(), "it steps over the whole value");
        assert!(done || out == b"x");
        Ok(done.then(|| String::from_utf8(out[1..].to_vec()).unwrap()))
    }

    #[test]
    fn every_kind_of_value_is_said_exactly() {
        for (raw, text) in [
            (&b"\x80"[..], "{}"),
            (b"\x81\xa1a\xc0", r#"{"a":null}"#),
            (b"\x82\xa1a\xc2\xa1b\xc3", r#"{"a":false,"b":true}"#),
            (
                b"\x81\xa1a\x96\x7f\xff\xcc\xff\xd0\x80\xcd\xff\xff\xd1\x80\x00",
                r#"{"a":[127,-1,255,-128,65535,-32768]}"#,
            ),
            (b"\x81\xa1a\x92\xce\xff\xff\xff\xff\xd2\x80\x00\x00\x00", r#"{"a":[4294967295,-2147483648]}"#),
            (
                b"\x81\xa1a\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
                r#"{"a":[18446744073709551615,-9223372036854775808]}"#,
            ),
            (b"\x81\xa1a\x92\xca\x3f\xc0\x00\x00\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", r#"{"a":[1.5,1.0]}"#),
            (b"\x81\xa1a\xd9\x02\"\n", r#"{"a":"\"\n"}"#),
            (b"\x81\xa1a\xda\x00\x02\xc3\xa9", r#"{"a":"é"}"#),
            (b"\x81\xa1a\xdc\x00\x01\xde\x00\x01\xa1b\xdd\x00\x00\x00\x00", r#"{"a":[{"b":[]}]}"#),
        ] {
            assert_eq!(said(raw).unwrap().as_deref(), Some(text));
        }
    }

    #[test]
    fn digests_become_hex() {
        let mut raw = b"\x84\xa3md5\xc4\x10".to_vec();
        raw.extend([1; 16]);
        raw.extend(b"\xa6sha256\xc5\x00\x20");
        raw.extend([2; 32]);
        raw.extend(b"\xaelegacy_bz2_md5\xc4\x10");
        raw.extend([3; 16]);
        raw.extend(b"\xa1x\x81\xa6sha256\xa2ab");
        let tree: Value = serde_json::from_str(&said(&raw).unwrap().unwrap()).unwrap();
        let expected = json!({"md5": "01".repeat(16), "sha256": "02".repeat(32), "legacy_bz2_md5": "03".repeat(16), "x": {"sha256": "ab"}});
        assert_eq!(tree, expected);
    }

    #[test]
    fn what_json_cannot_say_is_left_out_whole() {
        let mut deep = b"\x81\xa1a".to_vec();
        deep.extend([0x91; 60]);
        deep.push(0xC0);
        for raw in [
            &b"\x05"[..],
            b"\x90",
            b"\x81\x01\x02",
            b"\x82\xa1a\x01\xa1a\x02",
            b"\x81\xa1a\xc4\x01x",
            b"\x81\xa6sha256\xc4\x01x",
            b"\x81\xa1a\xa1\xff",
            b"\x81\xa1\xff\x01",
            b"\x81\xa1a\xd4\x01\x02",
            b"\x81\xa1a\xc7\x01\x02\x03",
            b"\x81\xa1a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
            b"\x81\xa1a\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
            &deep,
        ] {
            assert_eq!(said(raw).unwrap(), None, "{raw:02x?}");
        }
        let mut wide = b"\xde\x00\x40".to_vec();
        (0..63).for_each(|n| wide.extend([0xA2, b'a', b' ' + n, 1]));
        let mut twice = wide.clone();
        twice.extend([0xA2, b'a', b' ', 1]);
        wide.extend([0xA2, b'b', b' ', 1]);
        assert!(said(&wide).unwrap().is_some());
        assert_eq!(said(&twice).unwrap(), None);
        let mut long = Vec::new();
        assert!(!record(&mut Cursor::new(b"\x81\xa1a\xa9123456789"), 10, &mut long).unwrap());
        for broken in [
            &b""[..],
            b"\x81",
            b"\x81\xa1a",
            b"\x81\xa1a\xa5x",
            b"\x81\xa1a\xdd\xff\xff\xff\xff",
            b"\x81\xa1a\xc1",
        ] {
            assert!(said(broken).is_err(), "{broken:02x?}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(members in prop::collection::btree_map("[a-z]{1,6}|sha256|md5", prop_oneof![
            any::<i64>().prop_map(Value::from), any::<u64>().prop_map(Value::from), ".{0,20}".prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop::collection::vec(".{0,9}", 0..20).prop_map(Value::from), "[0-9a-f]{32}|[0-9a-f]{64}".prop_map(Value::from),
        ], 0..20)) {
            let tree = Value::Object(members.into_iter().collect());
            let text = tree.to_string();
            let mut raw = Vec::new();
            transcode::shard(&mut raw, &[(Group::Packages, "f", text.as_bytes())], &[]).unwrap();
            let mut at = Cursor::new(&raw);
            assert_eq!((at.map().unwrap(), at.text().unwrap(), at.map().unwrap(), at.text().unwrap()), (3, "packages", 1, "f"));
            let mut out = Vec::new();
            prop_assert!(record(&mut at, 1 << 20, &mut out).unwrap());
            prop_assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
