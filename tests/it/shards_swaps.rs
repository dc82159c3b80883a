//! Clients that read shards while indexes are swapped: never a 404, never records of two generations in one index.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::archive::zstd_of;
use crate::harness::digest::sha256_hex;
use crate::harness::shards::{decode_index, decode_shard, digests};
use crate::harness::views::{unbz2, unzst};
use crate::harness::{Channel, Stage, eventually, package};

const SWAPS: u64 = 100;
const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// Every record of edition `n` says so; a package that does not change is there, too, and one that comes and goes.
fn edition(n: u64) -> Channel {
    let mut channel = Channel::new("chan").with("noarch", &package("still", "1.0").payload(10));
    for name in NAMES {
        let marked = package(name, "1.0").payload(10);
        channel =
            channel.with_record("noarch", &marked, |record| drop(record.insert("edition".into(), json!(n))));
    }
    if n.is_multiple_of(2) {
        let marked = package("even", "1.0").payload(10);
        channel =
            channel.with_record("noarch", &marked, |record| drop(record.insert("edition".into(), json!(n))));
    }
    channel.sharded()
}

/// The editions that records of a document or a shard say they are from.
fn editions(tree: &Value) -> BTreeSet<u64> {
    let groups = ["packages", "packages.conda"].into_iter().filter_map(|key| tree[key].as_object());
    groups.flat_map(|group| group.values().filter_map(|record| record["edition"].as_u64())).collect()
}

/// Reads an index and all shards it names; gives the one edition they are from.
fn read_all(stage: &Stage) -> (u64, Value) {
    let index =
        decode_index(&stage.get(&stage.channel.at("noarch", "repodata_shards.msgpack.zst")).expect(200));
    let mut found = BTreeSet::new();
    for digest in digests(&index) {
        found.extend(editions(&decode_shard(&shard(stage, &digest))));
    }
    let edition = *found.first().expect("marked records");
    assert_eq!(found.len(), 1, "one index, several generations: {found:?}");
    let even = index["shards"].get("even").is_some();
    assert_eq!(even, edition.is_multiple_of(2), "the names are of edition {edition}, too");
    (edition, index)
}

fn shard(stage: &Stage, digest: &str) -> Vec<u8> {
    let shard = stage.get(&stage.channel.at("noarch", &format!("shards/{digest}.msgpack.zst"))).expect(200);
    assert_eq!(sha256_hex(&shard), digest);
    shard
}

/// The edition of `repodata.json`, which is what a generation is.
fn edition_of_json(stage: &Stage) -> u64 {
    let found = editions(&stage.get(&stage.channel.at("noarch", "repodata.json")).json());
    assert_eq!(found.len(), 1, "one document, several editions: {found:?}");
    *found.first().expect("marked records")
}

/// Reads every other form; each is of one edition, and none is older than what was seen before it was asked for.
fn read_others(stage: &Stage) {
    let get = |file: &str| {
        let bytes = stage.get(&stage.channel.at("noarch", file)).expect(200);
        let text = if file.ends_with(".zst") {
            unzst(&bytes)
        } else if file.ends_with(".bz2") {
            unbz2(&bytes)
        } else {
            bytes
        };
        serde_json::from_slice::<Value>(&text).expect("JSON")
    };
    let mut oldest = 0;
    for file in
        ["repodata.json.zst", "repodata.json.bz2", "current_repodata.json", "current_repodata.json.zst"]
    {
        let tree = get(file);
        let found = editions(&tree);
        assert_eq!(found.len(), 1, "{file}: one document, several editions: {found:?}");
        let edition = *found.first().expect("marked records");
        assert!(edition >= oldest, "{file} is of {edition} after {oldest} was seen");
        let even = tree["packages.conda"].get("even-1.0-0.conda").is_some();
        assert_eq!(even, edition.is_multiple_of(2), "the names of {file} are of edition {edition}, too");
        oldest = edition;
    }
    // Upstream's own document lists a file that no index has; it must not stand in any.
    for file in ["run_exports.json", "run_exports.json.zst"] {
        let exports = get(file);
        assert_eq!(exports["info"]["subdir"], "noarch");
        let has = |name: &str| exports["packages.conda"].get(format!("{name}-1.0-0.conda")).is_some();
        // Between two editions upstream has an empty one.
        let is_empty = !NAMES.iter().any(|name| has(name));
        assert!(has("still") != is_empty && !has("never"), "{file}: {exports}");
    }
}

/// `run_exports.json` of every edition, and of a file in none.
fn publish_exports(stage: &Stage) {
    let names = NAMES.iter().chain(&["still", "even", "never"]);
    let exports: serde_json::Map<String, Value> =
        names.map(|name| (format!("{name}-1.0-0.conda"), json!({"run_exports": {"weak": [name]}}))).collect();
    let text = json!({"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": exports}).to_string();
    stage.upstream.put(&stage.channel.at("noarch", "run_exports.json.zst"), zstd_of(text.as_bytes()));
    stage.upstream.put(&stage.channel.at("noarch", "run_exports.json"), text);
}

#[test]
fn a_client_that_polls_during_a_hundred_swaps_never_misses_a_shard() {
    let stage = Stage::new(edition(0));
    publish_exports(&stage);
    let (current, done, polls) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    assert_eq!(read_all(&stage).0, 0);
    let seen: Vec<Value> = std::thread::scope(|scope| {
        let poller = || {
            let mut seen = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let oldest = current.load(Ordering::SeqCst);
                let json = edition_of_json(&stage);
                let (edition, index) = read_all(&stage);
                assert!(
                    json >= oldest && edition >= json,
                    "{oldest}, then {json}, then {edition}: back in time"
                );
                seen.push(index);
                polls.fetch_add(1, Ordering::SeqCst);
            }
            seen
        };
        let others = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                read_others(&stage);
            }
        });
        let pollers = [scope.spawn(poller), scope.spawn(poller)];
        for n in 1..=SWAPS {
            edition(n).publish(&stage.upstream);
            publish_exports(&stage);
            stage.gate.advance(Duration::from_mins(25));
            eventually("the next edition", || (edition_of_json(&stage) == n).then_some(()));
            current.store(n, Ordering::SeqCst);
        }
        let before = polls.load(Ordering::SeqCst);
        eventually("a poll after the last swap", || {
            let dead = pollers.iter().any(std::thread::ScopedJoinHandle::is_finished) || others.is_finished();
            (dead || polls.load(Ordering::SeqCst) > before + 2).then_some(())
        });
        done.store(true, Ordering::SeqCst);
        others.join().expect("another poller without complaints");
        pollers.into_iter().flat_map(|poller| poller.join().expect("a poller without complaints")).collect()
    });
    assert_eq!(read_all(&stage).0, SWAPS);
    // Less than a week has passed: whoever still has any of these indexes can go on.
    let all: BTreeSet<String> = seen.iter().flat_map(digests).collect();
    assert!(all.len() > NAMES.len() * 10, "the pollers saw {} shards only", all.len());
    for digest in all {
        shard(&stage, &digest);
    }
}
