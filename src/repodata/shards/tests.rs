//! Upstream's shards and shard indexes, good and bad.

use std::io::Read as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::conda::digest::{Md5, Sha256};

/// MessagePack of a tree; strings that begin with `hex:` become bytes.
fn pack(tree: &Value, out: &mut Vec<u8>) {
    use rmp::encode as to;
    match tree {
        Value::Null => to::write_nil(out).unwrap(),
        Value::Bool(is) => to::write_bool(out, *is).unwrap(),
        Value::Number(n) if n.is_u64() => drop(to::write_uint(out, n.as_u64().unwrap()).unwrap()),
        Value::Number(n) => drop(to::write_sint(out, n.as_i64().unwrap()).unwrap()),
        Value::String(text) => match text.strip_prefix("hex:") {
            Some(digits) => to::write_bin(out, &hex::decode(digits).unwrap()).unwrap(),
            None => to::write_str(out, text).unwrap(),
        },
        Value::Array(items) => {
            to::write_array_len(out, u32::try_from(items.len()).unwrap()).unwrap();
            for item in items {
                pack(item, out);
            }
        }
        Value::Object(members) => {
            to::write_map_len(out, u32::try_from(members.len()).unwrap()).unwrap();
            for (key, value) in members {
                to::write_str(out, key).unwrap();
                pack(value, out);
            }
        }
    }
}

fn packed(tree: &Value) -> Vec<u8> {
    let mut raw = Vec::new();
    pack(tree, &mut raw);
    zstd::encode_all(&raw[..], 3).unwrap()
}

fn digest(n: u8) -> String {
    format!("hex:{}", hex::encode([n; 32]))
}

fn an_index() -> Value {
    json!({
        "extra": [1, {"a": null}],
        "version": 7,
        "info": {"created_at": "2026-01-01T00:00:00Z", "base_url": "https://evil.example/", "subdir": "linux-64",
            "shards_base_url": "https://shards.example/x/", "channel_relations": {"base": "https://evil.example"}, "repodata_revisions": {"v3": {}}},
        "shards": {"zlib": digest(1), "a": digest(2), "m": digest(3)},
    })
}

#[test]
fn an_index_of_upstreams_is_read() {
    let parsed = UpstreamIndex::parse(&packed(&an_index()), "linux-64").unwrap();
    assert_eq!(parsed.shards_base_url(), "https://shards.example/x/");
    assert_eq!(parsed.shard("m"), Some(Sha256([3; 32])));
    assert_eq!((parsed.shard("b"), parsed.len()), (None, 3));
    let names: Vec<_> = parsed.iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, ["a", "m", "zlib"]);
}

#[test]
fn the_gates_own_index_has_relative_addresses_only() {
    let shards = [("a", Sha256([1; 32])), ("b", Sha256([2; 32]))];
    let ours = index::write_index("linux-64", shards.into_iter()).unwrap();
    assert_eq!(zstd::zstd_safe::find_frame_compressed_size(&ours).unwrap(), ours.len(), "one frame");
    let raw = zstd::decode_all(&ours[..]).unwrap();
    let read: rattler_conda_types::ShardedRepodata = rmp_serde::from_slice(&raw).unwrap();
    assert_eq!((read.info.base_url.as_str(), read.info.shards_base_url.as_str()), ("", "./shards/"));
    assert_eq!((read.info.subdir.as_str(), read.shards["b"].as_slice()), ("linux-64", &[2; 32][..]));
    assert!(UpstreamIndex::parse(&ours, "linux-64").unwrap().iter().eq(shards));
}

#[test]
fn indexes_that_are_refused() {
    let with = |pointer: &str, value: Value| {
        let mut tree = an_index();
        *tree.pointer_mut(pointer).unwrap() = value;
        packed(&tree)
    };
    let good = packed(&an_index());
    let raw = zstd::decode_all(&good[..]).unwrap();
    let bomb = zstd::encode_all(std::io::repeat(0).take(200 << 20), 1).unwrap();
    for (bytes, sentence) in [
        (with("/info/subdir", json!("noarch")), "`noarch`"),
        (with("/info/subdir", json!(5)), "a string was expected"),
        (with("/info", json!([])), "a map was expected"),
        (with("/shards", json!({"a": "hex:00"})), "wrong length"),
        (with("/shards", json!({"a": null})), "without digest"),
        (with("/shards", json!([])), "a map was expected"),
        (packed(&json!({"shards": {}})), "no `info`"),
        (packed(&json!({"info": {}})), "no `shards`"),
        (zstd::encode_all(&raw[..raw.len() - 1], 1).unwrap(), "in the middle"),
        (zstd::encode_all(&[&raw[..], &[0]].concat()[..], 1).unwrap(), "more data"),
        (good[..good.len() - 3].to_vec(), "cut"),
        ([&good[..], &good].concat(), "more than one frame"),
        (b"<html>".to_vec(), "broken"),
        (Vec::new(), "cut"),
        (bomb, "more than 134217728 bytes"),
    ] {
        let error = UpstreamIndex::parse(&bytes, "linux-64").unwrap_err().to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
    }
}

#[test]
fn records_are_found_in_both_groups() {
    let md5 = format!("hex:{}", hex::encode([4; 16]));
    let bytes = packed(&json!({
        "packages": {"a-1-0.tar.bz2": {"depends": ["x"], "sha256": digest(1), "size": 70000, "md5": md5}},
        "packages.conda": {"a-1-0.conda": {"sha256": hex::encode([2; 32]), "md5": null}, "a-2-0.conda": {}},
    }));
    let found = find_in_shard(&bytes, "a-1-0.tar.bz2").unwrap().unwrap();
    assert_eq!(
        (found.sha256, found.md5, found.size),
        (Some(Sha256([1; 32])), Some(Md5([4; 16])), Some(70000))
    );
    let found = find_in_shard(&bytes, "a-1-0.conda").unwrap().unwrap();
    assert_eq!((found.sha256, found.md5, found.size), (Some(Sha256([2; 32])), None, None));
    assert!(!find_in_shard(&bytes, "a-2-0.conda").unwrap().unwrap().has_digest());
    assert_eq!(find_in_shard(&bytes, "b-1-0.conda").unwrap(), None);
}

#[test]
fn shards_that_are_refused() {
    for (tree, sentence) in [
        (json!({"packages": {}}), "no `packages.conda`"),
        (json!({"packages.conda": {}}), "no `packages`"),
        (json!({"packages": [], "packages.conda": {}}), "a map was expected"),
        (json!({"packages": {"a": {"sha256": 5}}, "packages.conda": {}}), "a string was expected"),
        (json!({"packages": {"a": {"sha256": "zz"}}, "packages.conda": {}}), "not one"),
        (json!({"packages": {"a": {"size": -1}}, "packages.conda": {}}), "a whole number was expected"),
        (json!({"packages": {"a": {"size": "1"}}, "packages.conda": {}}), "a whole number was expected"),
    ] {
        let error = find_in_shard(&packed(&tree), "a").unwrap_err().to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..300), at in any::<usize>(), byte in any::<u8>()) {
        let random = zstd::encode_all(&raw[..], 1).unwrap();
        prop_assert!(UpstreamIndex::parse(&raw, "noarch").is_err());
        let _ = (find_in_shard(&random, "a"), UpstreamIndex::parse(&random, "noarch"), same::same_records(&random, &[], &[]));
        let mut near = Vec::new();
        pack(&an_index(), &mut near);
        let len = near.len();
        near[at % len] = byte;
        let near = zstd::encode_all(&near[..], 1).unwrap();
        let _ = UpstreamIndex::parse(&near, "linux-64");
    }
}
