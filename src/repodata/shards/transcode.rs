//! JSON records as MessagePack shards, the way conda-index writes them: the same, with `sha256` and `md5` as bytes.

use rmp::encode::{
    write_array_len, write_bin, write_bool, write_f64, write_map_len, write_nil, write_sint, write_str,
    write_uint,
};
use serde_json::{Map, Value};

use crate::repodata::scan::Group;

/// Writing to a `Vec` can't fail; this says so once.
#[expect(clippy::needless_pass_by_value, reason = "takes what the writers give")]
pub(super) fn ok<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok(), "writing to memory does not fail");
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A record to be put into a shard: group, file name, JSON.
pub(super) type Part<'a> = (Group, &'a str, Vec<u8>);

/// The groups inside `v3`, whose keys have no extension.
const V3: [(Group, &str); 3] =
    [(Group::V3TarBz2, "tar.bz2"), (Group::V3Conda, "conda"), (Group::V3Whl, "whl")];

/// A whole shard. Both classic groups are always there (conda indexes them directly), the others where there are records.
///
/// # Errors
/// A part is not a JSON object.
pub(super) fn shard(parts: &[Part<'_>], removed: &[String]) -> Result<Vec<u8>, serde_json::Error> {
    let has = |group| parts.iter().any(|part| part.0 == group);
    let wheels = has(Group::PackagesWhl);
    let v3: Vec<_> = V3.into_iter().filter(|(group, _)| has(*group)).collect();
    let mut out = Vec::new();
    ok(write_map_len(&mut out, 3 + u32::from(wheels) + u32::from(!v3.is_empty())));
    write_group(&mut out, "packages", parts, Group::Packages, "")?;
    write_group(&mut out, "packages.conda", parts, Group::PackagesConda, "")?;
    if wheels {
        write_group(&mut out, "packages.whl", parts, Group::PackagesWhl, "")?;
    }
    ok(write_str(&mut out, "removed"));
    ok(write_array_len(&mut out, count(removed.len())));
    for file in removed {
        ok(write_str(&mut out, file));
    }
    if !v3.is_empty() {
        ok(write_str(&mut out, "v3"));
        ok(write_map_len(&mut out, count(v3.len())));
        for (group, key) in v3 {
            write_group(&mut out, key, parts, group, &format!(".{key}"))?;
        }
    }
    Ok(out)
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
        record(out, &serde_json::from_slice(raw)?);
    }
    Ok(())
}

/// Appends a record.
fn record(out: &mut Vec<u8>, record: &Map<String, Value>) {
    ok(write_map_len(out, count(record.len())));
    for (key, value) in record {
        ok(write_str(out, key));
        let digest_len = match key.as_str() {
            "sha256" => 32,
            "md5" => 16,
            _ => 0,
        };
        match value.as_str().filter(|text| digest_len > 0 && text.len() == digest_len * 2).map(hex::decode) {
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
