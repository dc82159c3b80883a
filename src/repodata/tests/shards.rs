//! Shards the gate makes: what rattler reads, what stays the same, what is kept.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rattler_conda_types::{Shard, ShardedRepodata};
use sha2::Digest as _;

use super::*;
use crate::conda::digest::Sha256;
use crate::repodata::attach::Reuse;
use crate::repodata::shards::{ShardAt, UpstreamIndex, find_in_shard};

fn at(found: &ShardAt) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(found.len).unwrap()];
    fs::File::open(&found.path).unwrap().read_exact_at(&mut bytes, found.offset).unwrap();
    bytes
}

fn shard(generation: &Generation, digest: &Sha256) -> Vec<u8> {
    let bytes = at(&generation.shard(digest).unwrap());
    assert_eq!(<[u8; 32]>::from(sha2::Sha256::digest(&bytes)), digest.0, "content-addressed");
    assert_eq!(zstd::zstd_safe::find_frame_compressed_size(&bytes).unwrap(), bytes.len(), "one frame");
    bytes
}

fn index(generation: &Generation) -> UpstreamIndex {
    UpstreamIndex::parse(&body(generation, IndexFile::ShardIndex), "noarch").unwrap()
}

fn publish(bench: &Bench, json: &[u8]) -> std::sync::Arc<Generation> {
    let mut built = bench.build(json, Packing::Json).unwrap();
    built.make_shards(Reuse { before: bench.current().as_deref(), theirs: None }).unwrap();
    bench.store.publish(built).unwrap()
}

fn packs(bench: &Bench) -> usize {
    let entries = fs::read_dir(bench.place().join("shards")).unwrap().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "pack")).count()
}

#[test]
fn rattler_reads_what_is_made() {
    let bench = Bench::new();
    let json = fixture("noarch/repodata.json");
    let generation = publish(&bench, &json);
    let raw = unzst(&body(&generation, IndexFile::ShardIndex));
    let theirs: ShardedRepodata = rmp_serde::from_slice(&raw).unwrap();
    assert_eq!(theirs.info.subdir, "noarch");
    assert_eq!((theirs.info.base_url.as_str(), theirs.info.shards_base_url.as_str()), ("", "./shards/"));
    let tree: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let mut files = 0;
    for (name, digest) in &theirs.shards {
        let digest = Sha256((*digest).into());
        assert_eq!(index(&generation).shard(name), Some(digest));
        let packed = shard(&generation, &digest);
        let read: Shard = rmp_serde::from_slice(&unzst(&packed)).unwrap();
        for (group, records) in [("packages", &read.packages), ("packages.conda", &read.conda_packages)] {
            for (file, record) in records {
                let file = file.to_string();
                let ours = &tree[group][&file];
                assert_eq!(record.name.as_normalized(), name);
                assert_eq!(hex::encode(record.sha256.unwrap()), ours["sha256"].as_str().unwrap());
                assert_eq!(hex::encode(record.md5.unwrap()), ours["md5"].as_str().unwrap());
                assert_eq!(record.size, ours["size"].as_u64());
                assert_eq!(record.depends.len(), ours["depends"].as_array().map_or(0, Vec::len));
                assert_eq!(find_in_shard(&packed, &file).unwrap(), generation.lookup(&file));
                files += 1;
            }
        }
        assert_eq!(find_in_shard(&packed, "absent-1-0.conda").unwrap(), None);
    }
    assert_eq!(files, generation.table().len());
}

#[test]
fn removed_files_and_new_groups_are_in_their_shards() {
    let bench = Bench::new();
    let text = whole(
        r#"{"info":{"subdir":"noarch"},"packages":{},"removed":["a-0.9-0.conda","b-1-0.conda",5,"x"],
        "v3":{"conda":{"a-1-0":{"name":"a","size":5,"f":1.5}},"whl":{"a-2":{"name":"a","url":"a-2.whl"}}},
        "packages.whl":{"w.whl":{"name":"A","url":"w.whl"}}}"#,
    );
    let generation = publish(&bench, text.as_bytes());
    let index = index(&generation);
    assert_eq!(index.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), ["A", "a"]);
    let packed = shard(&generation, &index.shard("a").unwrap());
    let tree: serde_json::Value = rmp_serde::from_slice(&unzst(&packed)).unwrap();
    assert_eq!(
        tree,
        serde_json::json!({"packages": {}, "packages.conda": {}, "removed": ["a-0.9-0.conda"], "v3": {
            "conda": {"a-1-0": {"name": "a", "version": "1", "build": "0", "build_number": 0, "size": 5, "f": 1.5}},
            "whl": {"a-2": {"name": "a", "version": "1", "build": "0", "build_number": 0, "url": "a-2.whl"}}}})
    );
    assert_eq!(find_in_shard(&packed, "a-1-0.conda").unwrap().unwrap().size, Some(5));
    assert!(find_in_shard(&packed, "a-2.whl").unwrap().is_some());
    let wheel = shard(&generation, &index.shard("A").unwrap());
    assert!(find_in_shard(&wheel, "w.whl").unwrap().is_some());
}

#[test]
fn unchanged_packages_keep_their_shards_and_only_new_ones_are_written() {
    let bench = Bench::new();
    let first = publish(&bench, document(&[record("a", 1), record("b", 1)].join(",")).as_bytes());
    let second = publish(&bench, document(&[record("a", 1), record("b", 2)].join(", ")).as_bytes());
    let (before, after) = (index(&first), index(&second));
    assert_eq!(before.shard("a"), after.shard("a"));
    assert_ne!(before.shard("b"), after.shard("b"));
    assert_eq!(
        second.shard(&after.shard("a").unwrap()),
        first.shard(&before.shard("a").unwrap()),
        "the same bytes on disk"
    );
    assert_eq!(packs(&bench), 2);
    let third = publish(&bench, document(&[record("a", 1), record("b", 2)].join(",  ")).as_bytes());
    assert_eq!(packs(&bench), 2, "nothing new, no pack");
    assert_eq!(body(&third, IndexFile::ShardIndex), body(&second, IndexFile::ShardIndex));
    // Made from nothing they are the same bytes again.
    let other = Bench::new();
    let fresh = publish(&other, document(&[record("a", 1), record("b", 2)].join(",")).as_bytes());
    assert_eq!(body(&fresh, IndexFile::ShardIndex), body(&second, IndexFile::ShardIndex));
}

#[test]
fn superseded_shards_stay_for_a_week() {
    let mut bench = Bench::new();
    let ask = |bench: &Bench, digest| bench.store.shard(&bench.channel, &bench.subdir, &digest);
    let first = index(&publish(&bench, document(&[record("a", 1), record("b", 1)].join(",")).as_bytes()));
    let old = first.shard("b").unwrap();
    let bytes = at(&ask(&bench, old).unwrap());
    let mut reborn = Vec::new();
    for n in 2..5 {
        bench.now = bench.now.plus(Duration::from_hours(1));
        let index = index(&publish(&bench, document(&[record("a", 1), record("b", n)].join(",")).as_bytes()));
        reborn.push(index.shard("b").unwrap());
        bench.store.prune(bench.now).unwrap();
    }
    let almost = bench.now.plus(Duration::from_hours(7 * 24 - 1));
    bench.store.prune(almost).unwrap();
    let bench = bench.reopen();
    bench.current().unwrap();
    assert_eq!(at(&ask(&bench, old).unwrap()), bytes, "after a restart too");
    assert!(reborn.iter().all(|digest| ask(&bench, *digest).is_some()));
    assert_eq!(packs(&bench), 4);
    let pruned = bench.store.prune(bench.now.plus(Duration::from_hours(240))).unwrap();
    assert!(ask(&bench, old).is_none());
    assert!(ask(&bench, first.shard("a").unwrap()).is_some(), "still in the index");
    assert!(ask(&bench, reborn[2]).is_some());
    assert_eq!((pruned.packs, packs(&bench)), (2, 2));
    assert!(ask(&bench, Sha256([9; 32])).is_none());
}

#[test]
fn shards_can_be_made_for_a_published_generation() {
    let bench = Bench::new();
    let generation = bench.publish(&document(&record("a", 1)));
    assert!(!generation.has_shards() && generation.variant(IndexFile::ShardIndex).is_none());
    bench.store.make_shards(&generation, Reuse::default()).unwrap();
    bench.store.make_shards(&generation, Reuse::default()).unwrap();
    let digest = index(&generation).shard("a").unwrap();
    shard(&generation, &digest);
    assert_eq!(bench.left_behind(), 0);
    let bench = bench.reopen();
    shard(&bench.current().unwrap(), &digest);
    fs::remove_dir_all(bench.place().join("shards")).unwrap();
    let bench = bench.reopen();
    assert!(bench.current().is_none(), "an index without its shards is damage");
}

#[test]
fn an_empty_index_has_an_empty_shard_index() {
    let bench = Bench::new();
    let generation = publish(&bench, document("").as_bytes());
    assert!(index(&generation).is_empty());
    assert_eq!(packs(&bench), 0);
}
