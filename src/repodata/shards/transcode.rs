//! JSON records as MessagePack, the way conda-index writes them: the same, with `sha256` and `md5` as bytes.

use rmp::encode::{
    write_array_len, write_bin, write_bool, write_f64, write_map_len, write_nil, write_sint, write_str,
    write_uint,
};
use serde_json::{Map, Value};

/// Writing to a `Vec` can't fail; this says so once.
#[expect(clippy::needless_pass_by_value, reason = "takes what the writers give")]
pub(super) fn ok<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok(), "writing to memory does not fail");
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Appends a record.
pub(super) fn record(out: &mut Vec<u8>, record: &Map<String, Value>) {
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
