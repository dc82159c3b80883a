//! JSON records as MessagePack shards, the way conda-index writes them: the same, with `sha256` and `md5` as bytes.
//!
//! Belongs here: the form of a shard, and the slow but complete road from JSON to MessagePack by a tree of one record. Does not:
//! the fast road (`direct`).

use rmp::encode::{
    write_array_len, write_bin, write_bool, write_f64, write_map_len, write_nil, write_sint, write_str,
    write_uint,
};
use serde_json::{Map, Value};

use super::direct;
use crate::repodata::scan::Group;

/// Writing to a `Vec` can't fail; this says so once.
#[expect(clippy::needless_pass_by_value, reason = "takes what the writers give")]
pub(super) fn ok<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok(), "writing to memory does not fail");
}

pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A record to be put into a shard: group, file name, JSON.
pub(super) type Part<'a> = (Group, &'a str, &'a [u8]);

/// Bytes of the digest in a record's member `key`; 0: it holds none.
pub(super) const fn digest_len(key: &[u8]) -> usize {
    match key {
        b"sha256" => 32,
        b"md5" => 16,
        _ => 0,
    }
}

/// The groups inside `v3`, whose keys have no extension.
const V3: [(Group, &str); 3] =
    [(Group::V3TarBz2, "tar.bz2"), (Group::V3Conda, "conda"), (Group::V3Whl, "whl")];

/// Writes a whole shard into `out`. Both classic groups are always there (conda indexes them directly), the others where there
/// are records.
///
/// # Errors
/// A part is not a JSON object.
pub(super) fn shard(
    out: &mut Vec<u8>,
    parts: &[Part<'_>],
    removed: &[String],
) -> Result<(), serde_json::Error> {
    let has = |group| parts.iter().any(|part| part.0 == group);
    let wheels = has(Group::PackagesWhl);
    let v3: Vec<_> = V3.into_iter().filter(|(group, _)| has(*group)).collect();
    out.clear();
    ok(write_map_len(out, 3 + u32::from(wheels) + u32::from(!v3.is_empty())));
    write_group(out, "packages", parts, Group::Packages, "")?;
    write_group(out, "packages.conda", parts, Group::PackagesConda, "")?;
    if wheels {
        write_group(out, "packages.whl", parts, Group::PackagesWhl, "")?;
    }
    ok(write_str(out, "removed"));
    ok(write_array_len(out, count(removed.len())));
    for file in removed {
        ok(write_str(out, file));
    }
    if !v3.is_empty() {
        ok(write_str(out, "v3"));
        ok(write_map_len(out, count(v3.len())));
        for (group, key) in v3 {
            write_group(out, key, parts, group, &format!(".{key}"))?;
        }
    }
    Ok(())
}

fn write_group(
    out: &mut Vec<u8>,
    key: &str,
    parts: &[Part<'_>],
    group: Group,
    extension: &str,
) -> Result<(), serde_json::Error> {
    let of_group = || parts.iter().filter(|part| part.0 == group);
    ok(write_str(out, key));
    ok(write_map_len(out, count(of_group().count())));
    for (_, file, raw) in of_group() {
        ok(write_str(out, file.strip_suffix(extension).unwrap_or(file)));
        if !direct::record(out, raw) {
            record(out, &serde_json::from_slice(raw)?);
        }
    }
    Ok(())
}

/// Appends a record.
fn record(out: &mut Vec<u8>, record: &Map<String, Value>) {
    ok(write_map_len(out, count(record.len())));
    for (key, value) in record {
        ok(write_str(out, key));
        let len = digest_len(key.as_bytes());
        match value.as_str().filter(|text| len > 0 && text.len() == len * 2).map(hex::decode) {
            Some(Ok(digest)) => ok(write_bin(out, &digest)),
            _ => any(out, value),
        }
    }
}

/// Appends any value. Nesting is bounded by serde_json's own limit.
fn any(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => ok(write_nil(out)),
        Value::Bool(is) => ok(write_bool(out, *is)),
        Value::String(text) => ok(write_str(out, text)),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(n), _) => ok(write_uint(out, n)),
            (None, Some(n)) => ok(write_sint(out, n)),
            (None, None) => ok(write_f64(out, number.as_f64().unwrap_or(0.0))),
        },
        Value::Array(items) => {
            ok(write_array_len(out, count(items.len())));
            for item in items {
                any(out, item);
            }
        }
        Value::Object(members) => {
            ok(write_map_len(out, count(members.len())));
            for (key, value) in members {
                ok(write_str(out, key));
                any(out, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Value, direct, record};

    fn slow(raw: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        record(&mut out, &serde_json::from_slice(raw).ok()?);
        Some(out)
    }

    fn fast(raw: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        let done = direct::record(&mut out, raw);
        let written = out.strip_prefix(b"before").expect("what was there stays").to_vec();
        assert!(done || written.is_empty());
        done.then_some(written)
    }

    #[test]
    fn plain_records_take_the_fast_road() {
        let sha256 = "0a".repeat(32);
        let wide: Vec<_> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
        let long: Vec<_> = (0..70_000).map(|n| n.to_string()).collect();
        for raw in [
            "{}",
            " { } ",
            r#"{"a":1,"b":-1,"c":0,"d":18446744073709551615,"e":-9223372036854775808,"f":70000,"g":-40000}"#,
            r#"{"name":"é","t":true,"f":false,"n":null,"depends":["a >=1", "b"],"x":{"y":[{}, [], [[1]]]}}"#,
            &format!(r#"{{"sha256":"{sha256}","md5":"short","x":{{"sha256":"{sha256}"}}}}"#),
            &format!(r#"{{"sha256":"{}","md5":5}}"#, "zz".repeat(32)),
            &format!("{{{}}}", wide.join(",")),
            &format!(r#"{{"a":[{}],"b":[{}]}}"#, long[..20].join(","), long.join(" , ")),
            &format!(
                r#"{{"a":"{}","b":"{}","c":"{}"}}"#,
                "x".repeat(31),
                "y".repeat(300),
                "z".repeat(70_000)
            ),
        ] {
            assert_eq!(fast(raw.as_bytes()).expect(raw), slow(raw.as_bytes()).unwrap(), "{raw}");
        }
    }

    #[test]
    fn anything_else_is_left_to_the_slow_road() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(60), "]".repeat(60));
        let wide: Vec<_> = (0..60).map(|n| format!("\"k{n}\":{n}")).collect();
        for raw in [
            r#"{"a":"\n"}"#,
            r#"{"\u0061":1}"#,
            r#"{"a":1.5}"#,
            r#"{"a":1e3}"#,
            r#"{"a":-0}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            &deep,
            &format!("{{{}}}", wide.join(",")),
        ] {
            assert_eq!(fast(raw.as_bytes()), None, "{raw}");
            assert!(slow(raw.as_bytes()).is_some(), "{raw}");
        }
        for bad in [
            &b"{\"a\":\"\xff\"}"[..],
            b"{\"a\":01}",
            b"{\"a\":1,}",
            b"{\"a\"}",
            b"{} x",
            b"[]",
            b"{\"a\":tru}",
            b"{\"a\":\"\n\"}",
            b"",
        ] {
            assert_eq!((fast(bad), slow(bad)), (None, None), "{}", String::from_utf8_lossy(bad));
        }
    }

    /// JSON as channels have it, with everything that is rare in it.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            proptest::prelude::any::<bool>().prop_map(Value::from),
            proptest::prelude::any::<i64>().prop_map(Value::from),
            proptest::prelude::any::<u64>().prop_map(Value::from),
            proptest::prelude::any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            "[a-z0-9 >=.*-]{0,40}".prop_map(Value::from),
            "[0-9a-fA-F]{32}|[0-9a-f]{64}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 20, |inner| {
            let key = prop_oneof!["[a-z]{1,8}", Just("sha256".to_owned()), Just("md5".to_owned()), ".{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..20)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn both_roads_write_the_same(members in prop::collection::vec(("[a-z]{1,3}|sha256|md5", json()), 0..30), pretty: bool) {
            let tree = Value::Object(members.into_iter().collect());
            let raw = if pretty { format!("{tree:#}") } else { tree.to_string() };
            if let Some(fast) = fast(raw.as_bytes()) {
                prop_assert_eq!(Some(fast), slow(raw.as_bytes()));
            }
        }

        #[test]
        fn broken_bytes_are_told_apart_the_same_way(json in json(), at: usize, byte: u8) {
            let mut raw = format!("{{\"a\":{json}}}").into_bytes();
            let len = raw.len();
            raw[at % len] = byte;
            if let Some(fast) = fast(&raw) {
                prop_assert_eq!(Some(fast), slow(&raw));
            }
        }
    }
}
