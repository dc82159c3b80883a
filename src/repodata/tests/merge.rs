//! Several generations made into one.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::policy::{NameGlobs, Priority, VirtualRule};
use crate::repodata::merge::{MergeInput, MergeMember, merge, source_digest};
use crate::repodata::scan::Group;

fn channel(name: &str) -> ChannelRef {
    ChannelRef { name: ChannelName::parse(name).unwrap(), label: None }
}

fn rule(priority: Priority, members: usize) -> VirtualRule {
    VirtualRule {
        members: (0..members).map(|n| channel(&format!("m{n}"))).collect(),
        priority,
        owns: NameGlobs::default(),
        owners: Vec::new(),
        claims: Vec::new(),
        as_of: None,
    }
}

/// Members with these documents; `None`: the member has no such subdir.
fn members(bench: &Bench, documents: &[Option<Value>]) -> Vec<MergeMember> {
    let of = |(place, document): (usize, &Option<Value>)| {
        let stored = channel(&format!("up/m{place}"));
        let generation = document.as_ref().map(|document| -> Arc<Generation> {
            let bench_channel = Bench { channel: stored.clone(), ..Bench::of(bench.subdir.as_str()) };
            let raw = Identity {
                path: bench_channel.raw(document.to_string().as_bytes()),
                modified_at: Some(UnixMillis(1_699_833_600_000 + i64::try_from(place).unwrap())),
                ..Identity::default()
            };
            let built = build_input(&BuildInput {
                channel: &stored,
                subdir: &bench.subdir,
                raw: &raw,
                packing: Packing::Json,
                court: NOBODY,
                before: None,
                now: bench.now,
                limits: small_limits(),
                out_dir: &bench.store.staging(),
                onlooker: None,
            });
            bench.store.publish(built.unwrap()).unwrap()
        });
        MergeMember { place, stored, generation }
    };
    documents.iter().enumerate().map(of).collect()
}

fn merged(bench: &Bench, rule: &VirtualRule, members: &[MergeMember]) -> Result<Built, BuildError> {
    merged_at(bench, rule, members, bench.now, small_limits())
}

fn merged_at(
    bench: &Bench,
    rule: &VirtualRule,
    members: &[MergeMember],
    now: UnixMillis,
    limits: Limits,
) -> Result<Built, BuildError> {
    merge(&MergeInput {
        before: None,
        channel: &channel("prod.00"),
        subdir: &bench.subdir,
        rule,
        members,
        now,
        limits,
        out_dir: &bench.store.staging(),
    })
}

fn published(bench: &Bench, rule: &VirtualRule, documents: &[Option<Value>]) -> Arc<Generation> {
    let members = members(bench, documents);
    bench.store.publish(merged(bench, rule, &members).unwrap()).unwrap()
}

fn rec(name: &str, more: Value) -> Value {
    let mut record = json!({"name": name, "version": "1", "build": "0", "build_number": 0, "depends": [],
        "sha256": hex::encode([1; 32]), "size": 1, "unknown": [1.50, null]});
    let Value::Object(more) = more else { panic!("further fields are an object") };
    record.as_object_mut().unwrap().extend(more);
    record
}

fn doc(packages: Value, conda: Value) -> Value {
    let mut document = json!({"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {}, "removed": [],
        "repodata_version": 1});
    (document["packages"], document["packages.conda"]) = (packages, conda);
    document
}

#[test]
fn every_group_keeps_its_place_and_its_records_byte_for_byte() {
    let bench = Bench::new();
    let mut first =
        doc(json!({"a-1-0.tar.bz2": rec("a", json!({}))}), json!({"a-1-0.conda": rec("a", json!({}))}));
    first["v3"] = json!({"conda": {"n-1-0": rec("n", json!({}))}, "tar.bz2": {"n-1-0": rec("n", json!({}))},
        "whl": {"w-1-py3-none-any": rec("w", json!({"url": "w.whl"}))}, "later": {"x": {}}});
    let mut second = doc(
        json!({"b-1-0.tar.bz2": rec("b", json!({}))}),
        json!({"n-1-0.conda": rec("n", json!({"second": 1}))}),
    );
    second["packages.whl"] = json!({"v-1-py3-none-any.whl": rec("v", json!({"url": "v.whl"}))});
    let generation =
        published(&bench, &rule(Priority::Flexible, 2), &[Some(first.clone()), Some(second.clone())]);
    let json: Value = serde_json::from_slice(&body(&generation, JSON)).unwrap();
    let keys = |group: &Value| group.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&json["packages"]), ["a-1-0.tar.bz2", "b-1-0.tar.bz2"]);
    // The first member has `n-1-0.conda` too, in `v3`.
    assert_eq!(keys(&json["packages.conda"]), ["a-1-0.conda"]);
    assert_eq!(json["packages.whl"], second["packages.whl"]);
    assert_eq!(json["v3"]["conda"], first["v3"]["conda"]);
    assert_eq!(json["v3"]["whl"], first["v3"]["whl"]);
    assert_eq!(keys(&json["v3"]), ["tar.bz2", "conda", "whl"], "what is in no table is left out");
    assert_eq!(
        (generation.member_of("b-1-0.tar.bz2"), generation.member_of("n-1-0.conda")),
        (Some(1), Some(0))
    );
    assert_eq!(generation.member_of("c-1-0.conda"), None);
    for entry in generation.table().iter() {
        let (at, len) = (usize::try_from(entry.record.0).unwrap(), entry.record.1 as usize);
        let record: Value = serde_json::from_slice(&body(&generation, JSON)[at..at + len]).unwrap();
        assert_eq!(record["name"], entry.file.split('-').next().unwrap());
    }
    assert_eq!(generation.table().find("n-1-0.conda").unwrap().group, Group::V3Conda);
    assert_eq!(bench.left_behind(), 0);
}

#[test]
fn the_same_members_give_the_same_bytes() {
    let bench = Bench::new();
    let documents = [
        Some(doc(json!({}), json!({"b-1-0.conda": rec("b", json!({})), "a-1-0.conda": rec("a", json!({}))}))),
        None,
        Some(doc(json!({}), json!({"c-1-0.conda": rec("c", json!({}))}))),
    ];
    let (rule, members) = (rule(Priority::Strict, 3), members(&bench, &documents));
    let later = UnixMillis(bench.now.0 + 5_000);
    let [one, two] =
        [bench.now, later].map(|now| merged_at(&bench, &rule, &members, now, small_limits()).unwrap());
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2", "packages.table"] {
        let read = |built: &Built| fs::read(built.dir().join(file)).unwrap();
        assert!(read(&one) == read(&two), "{file}");
        assert_eq!(one.manifest().files[file].etag, two.manifest().files[file].etag);
    }
    let source = one.manifest().source.clone().unwrap();
    assert_eq!(source.members.len(), 2);
    let ids: Vec<_> = members.iter().map(|m| (m.stored.clone(), m.generation.clone())).collect();
    let digest = |fingerprint| {
        source_digest(fingerprint, ids.iter().map(|(s, g)| (s, g.as_deref().map(Generation::id))))
    };
    assert_eq!(source.sha256, Some(digest(rule.fingerprint()).to_hex()));
    assert_ne!(digest(rule.fingerprint()), digest(0));
    assert_eq!(one.manifest().report.records, 3);
}

#[test]
fn strict_priority_knows_names_as_clients_do() {
    let bench = Bench::new();
    // A file name that does not begin with the record's name, and a name in other letters.
    let first =
        doc(json!({}), json!({"odd-1-0.conda": rec("a", json!({})), "B-1-0.conda": rec("B", json!({}))}));
    let second = doc(
        json!({}),
        json!({"a-2-0.conda": rec("a", json!({})), "b-2-0.conda": rec("b", json!({})),
        "odd-2-0.conda": rec("odd", json!({}))}),
    );
    let generation = published(&bench, &rule(Priority::Strict, 2), &[Some(first), Some(second)]);
    let files: Vec<_> = generation.table().iter().map(|entry| entry.file.to_owned()).collect();
    assert_eq!(files, ["B-1-0.conda", "odd-1-0.conda", "odd-2-0.conda"]);
}

#[test]
fn shards_are_made_from_the_merged_records() {
    let bench = Bench::new();
    let documents = [
        Some(doc(json!({}), json!({"a-1-0.conda": rec("a", json!({}))}))),
        Some(doc(json!({}), json!({"b-1-0.conda": rec("b", json!({}))}))),
    ];
    let members = members(&bench, &documents);
    let mut built = merged(&bench, &rule(Priority::Strict, 2), &members).unwrap();
    built.make_shards(crate::repodata::attach::Reuse::default()).unwrap();
    let generation = bench.store.publish(built).unwrap();
    let index = body(&generation, IndexFile::ShardIndex);
    let index = crate::repodata::shards::UpstreamIndex::parse(&index, "noarch").unwrap();
    assert_eq!(index.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(index.iter().all(|(_, digest)| generation.shard(&digest).is_some()));
}

#[test]
fn no_member_and_too_many_records() {
    let bench = Bench::new();
    let generation = published(&bench, &rule(Priority::Strict, 2), &[None, None]);
    let json: Value = serde_json::from_slice(&body(&generation, JSON)).unwrap();
    assert_eq!(json, doc(json!({}), json!({})));
    let two = doc(json!({}), json!({"a-1-0.conda": rec("a", json!({})), "b-1-0.conda": rec("b", json!({}))}));
    let members = members(&bench, &[Some(two)]);
    let limits = Limits { records: 1, ..small_limits() };
    let result = merged_at(&bench, &rule(Priority::Strict, 1), &members, bench.now, limits);
    assert!(matches!(result, Err(BuildError::TooManyRecords { limit: 1 })), "{result:?}");
}

#[test]
fn a_member_that_was_cut_stops_the_merge() {
    let bench = Bench::new();
    let members = members(&bench, &[Some(doc(json!({}), json!({"a-1-0.conda": rec("a", json!({}))})))]);
    let variant = members[0].generation.as_ref().unwrap().variant(JSON).unwrap();
    fs::write(&variant.path, vec![b' '; usize::try_from(variant.len).unwrap()]).unwrap();
    assert!(merged(&bench, &rule(Priority::Strict, 1), &members).is_err());
    fs::write(&variant.path, "{").unwrap();
    assert!(merged(&bench, &rule(Priority::Strict, 1), &members).is_err());
}
