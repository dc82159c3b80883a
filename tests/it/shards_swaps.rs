//! Clients that read shards while indexes are swapped: never a 404, never records of two generations in one index.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::digest::sha256_hex;
use crate::harness::shards::{decode_index, decode_shard, digests};
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

#[test]
fn a_client_that_polls_during_a_hundred_swaps_never_misses_a_shard() {
    let stage = Stage::new(edition(0));
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
        let pollers = [scope.spawn(poller), scope.spawn(poller)];
        for n in 1..=SWAPS {
            edition(n).publish(&stage.upstream);
            stage.gate.advance(Duration::from_mins(25));
            eventually("the next edition", || (edition_of_json(&stage) == n).then_some(()));
            current.store(n, Ordering::SeqCst);
        }
        let before = polls.load(Ordering::SeqCst);
        eventually("a poll after the last swap", || {
            let dead = pollers.iter().any(std::thread::ScopedJoinHandle::is_finished);
            (dead || polls.load(Ordering::SeqCst) > before + 2).then_some(())
        });
        done.store(true, Ordering::SeqCst);
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
