//! A subdir that consists of shards only: its `repodata.json`.

use serde_json::{Value, json};

use super::*;
use crate::repodata::attach::Reuse;
use crate::repodata::scan::{Flaw, ScanLimits};
use crate::repodata::shards::{Head, Shard, UpstreamIndex, write_document};

const HEAD: Head<'_> = Head { subdir: "noarch", base_url: "" };

fn written(head: Head<'_>, limits: &Limits, shards: Vec<Shard>) -> Result<String, BuildError> {
    let dir = tempfile::tempdir().unwrap();
    let path = write_document(dir.path(), head, limits, shards.into_iter().map(Ok::<_, BuildError>))?;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the spool is gone");
    Ok(fs::read_to_string(path).unwrap())
}

fn shard(name: &str, tree: &Value) -> Shard {
    packed(name, &rmp_serde::to_vec(tree).unwrap())
}

fn packed(name: &str, raw: &[u8]) -> Shard {
    (name.to_owned(), zstd::encode_all(raw, 1).unwrap())
}

/// All shards of a document.
fn shards_of(json: &[u8]) -> Vec<Shard> {
    let bench = Bench::new();
    let mut built = bench.build(json, Packing::Json).unwrap();
    built.make_shards(Reuse::default()).unwrap();
    let generation = bench.store.publish(built).unwrap();
    let index = UpstreamIndex::parse(&body(&generation, IndexFile::ShardIndex), "noarch").unwrap();
    let read = |(name, digest): (&str, _)| {
        let at = generation.shard(&digest).unwrap();
        let pack = fs::read(at.path).unwrap();
        let start = usize::try_from(at.offset).unwrap();
        (name.to_owned(), pack[start..start + usize::try_from(at.len).unwrap()].to_vec())
    };
    index.iter().map(read).collect()
}

#[test]
fn a_real_index_comes_back_from_its_shards() {
    let json = fixture("noarch/repodata.json");
    let mut shards = shards_of(&json);
    let text = written(HEAD, &small_limits(), shards.clone()).unwrap();
    let tree: Value = serde_json::from_str(&text).unwrap();
    let expected: Value = serde_json::from_slice(&json).unwrap();
    for key in ["packages", "packages.conda", "removed"] {
        assert_eq!(tree[key], expected[key], "{key}");
    }
    assert_eq!(tree["info"], json!({"subdir": "noarch"}));
    shards.reverse();
    assert_eq!(written(HEAD, &small_limits(), shards).unwrap(), text, "whatever the order they come in");
    let bench = Bench::new();
    let generation = bench.publish(&text);
    assert_eq!(generation.table().len(), bench.publish(std::str::from_utf8(&json).unwrap()).table().len());
}

#[test]
fn every_group_has_its_place() {
    let a = json!({"packages": {"a-2-0.tar.bz2": {"n": 1}, "a-1-0.tar.bz2": {"n": 2}}, "packages.conda": {},
        "removed": ["a-0-0.conda", "a-0-0.conda", 5], "new": {}, "v3": {"whl": {"a-3": {"n": 3}}, "next": {"a\"": {}}}});
    let b = json!({"packages.conda": {"b-1-0.conda": {"n": 4}, "a-9-0.conda": {"n": 5}}, "packages": {}, "packages.whl": {"b.whl": {}},
        "removed": ["A-0-0.conda"], "v3": {"conda": {"b-3-0": {"n": 6}}, "whl": {"a-0": {}}}});
    let head = Head { subdir: "noarch", base_url: "../x\"/" };
    assert_eq!(
        written(head, &small_limits(), vec![shard("a", &a), shard("b", &b)]).unwrap(),
        r#"{"info":{"subdir":"noarch","base_url":"../x\"/"},"packages":{"a-1-0.tar.bz2":{"n":2},"a-2-0.tar.bz2":{"n":1}},"packages.conda":{"a-9-0.conda":{"n":5},"b-1-0.conda":{"n":4}},"packages.whl":{"b.whl":{}},"v3":{"conda":{"b-3-0":{"n":6}},"next":{"a\"":{}},"whl":{"a-0":{},"a-3":{"n":3}}},"removed":["A-0-0.conda","a-0-0.conda"],"repodata_version":1}"#
    );
    let empty = written(HEAD, &small_limits(), vec![]).unwrap();
    assert_eq!(
        empty,
        r#"{"info":{"subdir":"noarch"},"packages":{},"packages.conda":{},"removed":[],"repodata_version":1}"#
    );
    assert!(Bench::new().publish(&empty).table().is_empty());
}

#[test]
fn a_file_in_two_shards_counts_once() {
    let one = |n: u8| json!({"packages": {"a-1-0.tar.bz2": {"n": n}}, "packages.conda": {}});
    let both = vec![shard("b", &one(2)), shard("a", &one(1))];
    let text = written(HEAD, &small_limits(), both).unwrap();
    assert!(text.contains(r#""packages":{"a-1-0.tar.bz2":{"n":1}}"#), "{text}");
}

#[test]
fn what_json_cannot_say_is_dropped_and_counted() {
    let mut raw =
        b"\x82\xa8packages\x84\xabgood-1-0.xx\x84\xa4name\xa1a\xa7version\xa11\xa5build\xa10\xacbuild_number\x00\xa5\xffhigh\x80\x05\x80\xa9bad-1-0.x\x81\xa1a\xc4\x01x"
            .to_vec();
    raw.extend(b"\xaepackages.conda\x81\xaca-1-0.conda0\xd4\x01\x02");
    let long = json!({"packages": {"x".repeat(5000): {}}, "packages.conda": {"b-1-0.conda": {"a": "x".repeat(70_000)}}});
    let limits = Limits { scan: ScanLimits { record: 64 << 10, ..ScanLimits::default() }, ..small_limits() };
    let text = written(HEAD, &limits, vec![packed("a", &raw), shard("b", &long)]).unwrap();
    let bench = Bench::new();
    let built = bench.build_with(text.as_bytes(), Packing::Json, limits).unwrap();
    let dropped = &built.manifest().report.dropped;
    assert_eq!((built.manifest().report.records, dropped.values().sum::<u64>()), (1, 5 - 1), "{dropped:?}");
    assert_eq!(dropped[&Flaw::NotAnObject], 3);
}

#[test]
fn shards_that_are_refused() {
    let good = json!({"packages": {"a": {}, "b": {}}, "packages.conda": {}, "removed": ["x"]});
    let kinds: serde_json::Map<_, _> = (0..70).map(|n| (n.to_string(), json!({"a": {}}))).collect();
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(0), 80 << 20), 1).unwrap();
    let few = Limits { records: 1, ..small_limits() };
    let mut short = small_limits();
    short.unpack.bytes = 3;
    for (limits, shard, sentence) in [
        (small_limits(), shard("p", &json!([])), "its shard of `p` is wrong"),
        (small_limits(), shard("p", &json!({"packages": {}})), "it has no `packages` and `packages.conda`"),
        (small_limits(), shard("p", &json!({"packages": [], "packages.conda": {}})), "a map was expected"),
        (
            small_limits(),
            shard("p", &json!({"packages": {}, "packages.conda": {}, "removed": 5})),
            "a list of file names",
        ),
        (
            small_limits(),
            shard("p", &json!({"packages": {}, "packages.conda": {}, "v3": kinds})),
            "more than 64",
        ),
        (small_limits(), packed("p", b"\x82\xa8packages\x80\xa8packages\x80"), "stands twice"),
        (small_limits(), packed("p", b"\x81\xa8packages\x81\xa1a"), "in the middle"),
        (small_limits(), ("p".to_owned(), b"html".to_vec()), "its shard of `p` is wrong: the zstd data"),
        (small_limits(), ("p".to_owned(), bomb), "more than 67108864 bytes"),
        (few, shard("p", &good), "more than 1 records"),
        (short, shard("p", &good), "more than 3 bytes"),
    ] {
        let error = written(HEAD, &limits, vec![shard]).unwrap_err();
        assert!(error.is_upstreams_fault() && error.to_string().contains(sentence), "{sentence}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let failing = [Err(BuildError::TooManyRecords { limit: 7 })];
    let error = write_document(dir.path(), HEAD, &small_limits(), failing).unwrap_err();
    assert!(error.to_string().contains("more than 7"));
}
