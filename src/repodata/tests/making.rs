//! How shards are made: on any number of threads, of upstream's own, for a generation that is out of use already.

use sha2::Digest as _;

use super::*;
use crate::conda::digest::Sha256;
use crate::repodata::attach::Reuse;
use crate::repodata::shards::{PACK, Records, UpstreamIndex, synthesise_on};

fn shard(bench: &Bench, digest: &Sha256) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let at = bench.store.shard(&bench.channel, &bench.subdir, digest)?;
    let mut bytes = vec![0; usize::try_from(at.len).unwrap()];
    fs::File::open(at.path).unwrap().read_exact_at(&mut bytes, at.offset).unwrap();
    Some(bytes)
}

fn index(generation: &Generation) -> UpstreamIndex {
    UpstreamIndex::parse(&body(generation, IndexFile::ShardIndex), "noarch").unwrap()
}

/// A few hundred packages of very different size, several megabytes in all.
fn many() -> String {
    let mut records = Vec::new();
    for n in 0..300u32 {
        for build in 0..=(n % 7) * (n % 11) {
            let depends: Vec<_> =
                (0..20).map(|d| format!("\"dep-{} >={build}.{d}\"", n.wrapping_mul(7919) % 997)).collect();
            records.push(format!(
                "\"pkg{n}-1-{build}.conda\":{{\"build\":\"{build}\",\"build_number\":{build},\"depends\":[{}],\"name\":\"pkg{n}\",\"sha256\":\"{}\",\"size\":{n},\"version\":\"1\"}}",
                depends.join(","),
                hex::encode(sha2::Sha256::digest(format!("{n}-{build}")))
            ));
        }
    }
    document(&records.join(","))
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let bench = Bench::new();
    let generation = bench.publish(&many());
    let manifest = generation.manifest();
    let made: Vec<_> = [1, 2, 3, 8]
        .into_iter()
        .map(|threads| {
            let dir = tempfile::tempdir().unwrap();
            let from = Records {
                json_dir: generation.dir(),
                dir: dir.path(),
                subdir: "noarch",
                table: generation.table(),
                removed_at: manifest.report.removed_at,
                theirs: None,
            };
            let made = synthesise_on(threads, &from, None, "map").unwrap();
            let read = |name| fs::read(dir.path().join(name)).unwrap();
            assert!(read(PACK).len() > 100_000);
            (made.index, made.pack, read("map"), read(PACK))
        })
        .collect();
    assert!(made.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_document_that_was_cut_is_an_error_on_every_thread() {
    let bench = Bench::new();
    let generation = bench.publish(&many());
    fs::write(generation.dir().join("repodata.json"), "{}").unwrap();
    let error = bench.store.make_shards(&generation, Reuse::default()).unwrap_err();
    assert!(error.to_string().contains("can't read"), "{error}");
    assert_eq!(bench.left_behind(), 0);
    let mut built = bench.build(many().as_bytes(), Packing::Json).unwrap();
    fs::write(built.dir().join("repodata.json"), "{}").unwrap();
    built.make_shards(Reuse::default()).unwrap_err();
    assert!(!built.dir().join(PACK).exists(), "half a pack");
}

#[test]
fn upstreams_own_shard_is_taken_over_where_it_says_the_same() {
    let bench = Bench::new();
    let plain = document(&[record("a", 1), record("b", 1)].join(","));
    let generation = bench.publish(&plain);
    bench.store.make_shards(&generation, Reuse::default()).unwrap();
    let ours = index(&generation);
    // The same content, packed otherwise, as another tool would.
    let repacked = |name: &str| {
        let raw = unzst(&shard(&bench, &ours.shard(name).unwrap()).unwrap());
        zstd::encode_all(&raw[..], 19).unwrap()
    };
    let (a, b) = (repacked("a"), repacked("b"));
    let theirs = |name: &str| match name {
        "a" => Some(a.clone()),
        "b" => Some(b.clone()),
        _ => None,
    };
    let other = Bench::new();
    let changed = document(&[record("a", 1), record("b", 2), record("c", 1)].join(","));
    let mut built = other.build(changed.as_bytes(), Packing::Json).unwrap();
    built.make_shards(Reuse { before: None, theirs: Some(&theirs) }).unwrap();
    let generation = other.store.publish(built).unwrap();
    let made = index(&generation);
    assert_eq!(shard(&other, &made.shard("a").unwrap()).unwrap(), a, "upstream's bytes");
    assert_ne!(made.shard("a"), ours.shard("a"));
    assert_ne!(shard(&other, &made.shard("b").unwrap()).unwrap(), b, "its record is another");
    assert!(made.shard("c").is_some());
    // They stay in the generations after it, whether or not upstream's are still at hand.
    let mut built = other.build(format!("{changed} ").as_bytes(), Packing::Json).unwrap();
    built.make_shards(Reuse { before: Some(&generation), theirs: None }).unwrap();
    let next = other.store.publish(built).unwrap();
    assert_eq!(index(&next).iter().collect::<Vec<_>>(), made.iter().collect::<Vec<_>>());
}

#[test]
fn shards_that_join_a_generation_too_late_are_kept() {
    let bench = Bench::new();
    let late = bench.publish(&document(&record("a", 1)));
    bench.publish(&document(&record("a", 2)));
    bench.store.make_shards(&late, Reuse::default()).unwrap();
    let digest = index(&late).shard("a").unwrap();
    drop(late);
    bench.publish(&document(&record("a", 3)));
    bench.store.prune(bench.now).unwrap();
    assert!(shard(&bench, &digest).is_some(), "somebody has that index");
    let bench = bench.reopen();
    assert!(shard(&bench, &digest).is_some());
}
