//! Virtual channels: several channels as one, in every encoding and for every download.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::harness::digest::sha256_hex;
use crate::harness::{Act, Channel, Gate, Setup, Upstream, eventually, eventually_true, package};

/// Two channels on one upstream, `prod` made of both.
struct Scene {
    gate: Gate,
    upstream: Upstream,
}

impl Scene {
    /// `extra` stands in the entry of `prod`; `more` are further entries.
    fn with(channels: &[&Channel], extra: &str, more: &str) -> Self {
        let upstream = Upstream::start();
        for channel in channels {
            channel.publish(&upstream);
        }
        let gate = Setup::rules(&rules(&upstream, extra, more)).start();
        Self { gate, upstream }
    }

    fn new(extra: &str) -> Self {
        Self::with(&[&team(), &forge()], extra, "")
    }

    /// `prod/noarch`'s records by file name, and every encoding agrees on them.
    fn records(&self) -> Map<String, Value> {
        records_of(&self.gate, "prod", "noarch")
    }

    fn files(&self) -> Vec<String> {
        self.records().keys().cloned().collect()
    }

    fn get(&self, file: &str) -> crate::harness::Answer {
        self.gate.get(&format!("/prod/noarch/{file}"))
    }
}

fn rules(upstream: &Upstream, extra: &str, more: &str) -> String {
    format!(
        "builtins: false\n\
         upstreams:\n  up: {{urls: [{}], timeouts: {{connect: 1s, first_byte: 2s}}, retries: 0}}\n\
         channels:\n  - {{match: \"*\", upstream: up, ttl: 20m}}\n  \
           - {{name: prod, virtual: [team, forge]{extra}}}\n{more}",
        upstream.url()
    )
}

fn team() -> Channel {
    Channel::new("team")
        .with("noarch", &package("acme-core", "1.0"))
        .with("noarch", &package("lib", "1.0"))
        .with("noarch", &package("old", "1.0").tar_bz2())
}

fn forge() -> Channel {
    Channel::new("forge")
        .with("noarch", &package("acme-core", "9.0"))
        .with("noarch", &package("acme-trap", "9.0"))
        .with("noarch", &package("lib", "1.0").payload(77))
        .with("noarch", &package("lib", "2.0"))
        .with("noarch", &package("numpy", "2.0"))
        .with("linux-64", &package("tool", "1.0"))
}

/// The records of a repodata document by file name.
fn by_file(document: &Value) -> Map<String, Value> {
    let groups = ["packages", "packages.conda"].iter();
    groups.flat_map(|group| document[group].as_object().expect("a group of records").clone()).collect()
}

/// MessagePack as JSON; raw bytes become hex.
struct Any(Value);

impl<'de> serde::Deserialize<'de> for Any {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Any;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<Any, E> {
                Ok(Any(Value::Null))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Any, E> {
                Ok(Any(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Any, E> {
                Ok(Any(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Any, E> {
                Ok(Any(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Any, E> {
                Ok(Any(value.into()))
            }
            fn visit_bytes<E>(self, value: &[u8]) -> Result<Any, E> {
                Ok(Any(hex::encode(value).into()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Any, A::Error> {
                let mut items = Vec::new();
                while let Some(Any(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Any(items.into()))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
                let mut members = Map::new();
                while let Some((key, Any(value))) = map.next_entry::<String, Any>()? {
                    members.insert(key, value);
                }
                Ok(Any(members.into()))
            }
        }
        from.deserialize_any(Visitor)
    }
}

fn unpacked(bytes: &[u8]) -> Value {
    let raw = zstd::stream::decode_all(bytes).expect("one good zstd frame");
    rmp_serde::from_slice::<Any>(&raw).expect("MessagePack").0
}

/// Asserts that json, zst, bz2 and shards have the same records, each with its file behind it, and gives them.
fn records_of(gate: &Gate, channel: &str, subdir: &str) -> Map<String, Value> {
    let get = |file: &str| gate.get(&format!("/{channel}/{subdir}/{file}")).expect(200);
    let json = get("repodata.json");
    assert_eq!(zstd::stream::decode_all(&get("repodata.json.zst")[..]).expect("zstd"), json);
    let mut bz2 = Vec::new();
    bzip2::read::BzDecoder::new(&get("repodata.json.bz2")[..]).read_to_end(&mut bz2).expect("bzip2");
    assert_eq!(bz2, json);
    let document: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(document["info"]["subdir"], subdir);
    assert_eq!(document["repodata_version"], 1);
    let records = by_file(&document);
    assert_eq!(from_shards(&get), records);
    for (file, record) in &records {
        assert_eq!(sha256_hex(&get(file)), record["sha256"], "{file}");
    }
    records
}

fn from_shards(get: &dyn Fn(&str) -> Vec<u8>) -> Map<String, Value> {
    let index = unpacked(&get("repodata_shards.msgpack.zst"));
    let mut records = Map::new();
    for (name, digest) in index["shards"].as_object().expect("shards") {
        let digest = digest.as_str().expect("a digest");
        let shard = get(&format!("shards/{digest}.msgpack.zst"));
        assert_eq!(sha256_hex(&shard), digest);
        let found = by_file(&unpacked(&shard));
        assert!(!found.is_empty() && found.values().all(|record| record["name"] == *name), "{name}");
        records.extend(found);
    }
    records.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect()
}

#[test]
fn strict_priority_shows_the_first_member_that_has_a_name() {
    let scene = Scene::new("");
    let expected = [
        "acme-core-1.0-0.conda",
        "acme-trap-9.0-0.conda",
        "lib-1.0-0.conda",
        "numpy-2.0-0.conda",
        "old-1.0-0.tar.bz2",
    ];
    let mut files = scene.files();
    files.sort();
    assert_eq!(files, expected);
    let lib = scene.get("lib-1.0-0.conda").expect(200);
    assert!(lib == team().get("lib").bytes, "the first member's file");
    let refused = scene.get("lib-2.0-0.conda").expect_problem(403);
    assert!(refused["detail"].as_str().unwrap().contains("`prod/noarch`"), "{refused}");
    scene.gate.get("/forge/noarch/lib-2.0-0.conda").expect(200);
}

#[test]
fn flexible_priority_shows_all_and_the_first_of_equal_file_names() {
    let scene = Scene::new(", priority: flexible");
    let records = scene.records();
    assert_eq!(records.len(), 7, "{:?}", records.keys());
    assert_eq!(records["lib-1.0-0.conda"]["sha256"], sha256_hex(&team().get("lib").bytes));
    for file in ["lib-2.0-0.conda", "acme-core-9.0-0.conda", "acme-core-1.0-0.conda"] {
        assert!(records.contains_key(file), "{file}");
    }
}

#[test]
fn owned_names_never_come_from_others() {
    for priority in ["strict", "flexible"] {
        for unlisted in ["auto", "allow"] {
            let extra =
                format!(", priority: {priority}, unlisted: {unlisted}, owns: [\"acme-*\"], owned_by: [team]");
            let trap = package("harmless", "1.0");
            let forge = forge().with_record("noarch", &trap, |record| {
                record.insert("name".into(), "acme-hidden".into());
            });
            let scene = Scene::with(&[&team(), &forge], &extra, "");
            let records = scene.records();
            let acme: Vec<_> = records.keys().filter(|file| file.contains("acme")).collect();
            assert_eq!(acme, ["acme-core-1.0-0.conda"]);
            assert!(records.values().all(|record| record["name"] != "acme-hidden"));
            for file in ["acme-trap-9.0-0.conda", "acme-core-9.0-0.conda", "acme-never-1.0-0.conda"] {
                let answer = scene.get(file);
                assert!(
                    [403, 404].contains(&answer.status),
                    "{priority} {unlisted} {file}: {}",
                    answer.status
                );
            }
            let asked = |path: &str| scene.upstream.seen_at(path).len();
            assert_eq!(asked("/forge/noarch/acme-trap-9.0-0.conda"), 0);
            assert_eq!(asked("/forge/noarch/acme-never-1.0-0.conda"), 0);
        }
    }
}

#[test]
fn new_ownership_holds_for_downloads_at_once() {
    let scene = Scene::new("");
    scene.get("acme-trap-9.0-0.conda").expect(200);
    scene.gate.set_rules(&rules(&scene.upstream, ", owns: [\"acme-*\"], owned_by: [team]", "")).unwrap();
    scene.get("acme-trap-9.0-0.conda").expect_problem(403);
    scene.get("acme-core-1.0-0.conda").expect(200);
    eventually_true("an index without the trap", || !scene.get("repodata.json").text().contains("acme-trap"));
}

#[test]
fn files_in_no_index_come_from_members_in_order() {
    let scene = Scene::new("");
    scene.files();
    let removed = package("numpy", "1.0").build("noarch");
    scene.upstream.put(&format!("/forge/noarch/{}", removed.file), removed.bytes.clone());
    assert!(scene.get(&removed.file).expect(200) == removed.bytes);
    assert_eq!(scene.upstream.gets(&format!("/team/noarch/{}", removed.file)), 1);
    scene.get("numpy-0.1-0.conda").expect_problem(404);
    let scene = Scene::new(", unlisted: deny");
    scene.upstream.put(&format!("/forge/noarch/{}", removed.file), removed.bytes);
    scene.get(&removed.file).expect_problem(403);
}

#[test]
fn a_member_in_trouble_does_not_make_way_for_the_next() {
    let scene = Scene::new("");
    scene.files();
    let removed = package("numpy", "1.0").build("noarch");
    scene.upstream.put(&format!("/forge/noarch/{}", removed.file), removed.bytes);
    scene.upstream.always(&format!("/team/noarch/{}", removed.file), Act::status(500));
    assert!(scene.get(&removed.file).status >= 500);
}

#[test]
fn a_frozen_channel_shows_what_was_there_by_then() {
    let mut forge = Channel::new("forge");
    // A day before, on, and after the date; with CEP 47's field, which counts more; without any.
    for (version, timestamp) in [
        ("1", Some(1_769_817_600_000_u64)),
        ("2", Some(1_769_903_999)),
        ("3", Some(1_769_904_000_000)),
        ("4", None),
    ] {
        forge = forge.with_record("noarch", &package("numpy", version), |record| {
            record.remove("timestamp");
            record.extend(timestamp.map(|at| ("timestamp".to_owned(), at.into())));
        });
    }
    forge = forge.with_record("noarch", &package("numpy", "5"), |record| {
        record.insert("timestamp".into(), 1_u64.into());
        record.insert("indexed_timestamp".into(), 1_900_000_000_000_u64.into());
    });
    // The first member's only version is newer, so the second one's count.
    let team = Channel::new("team").with_record("noarch", &package("numpy", "9"), |record| {
        record.insert("timestamp".into(), 1_780_000_000_000_u64.into());
    });
    let extra = ", as_of: 2026-01-31";
    let scene = Scene::with(&[&team, &forge], extra, "");
    assert_eq!(scene.files(), ["numpy-1-0.conda", "numpy-2-0.conda"]);
    for newer in ["numpy-3-0.conda", "numpy-5-0.conda", "numpy-9-0.conda", "numpy-99-0.conda"] {
        scene.get(newer).expect_problem(403);
    }
}

#[test]
fn what_a_member_publishes_shows_and_what_stays_costs_nothing() {
    let scene = Scene::new("");
    scene.files();
    let before = scene.get("repodata.json");
    scene.gate.advance(Duration::from_mins(30));
    let etag = before.must("etag").to_owned();
    let asks = scene.upstream.total();
    eventually_true("the members were looked after", || {
        scene.get("repodata.json");
        scene.upstream.total() >= asks + 2
    });
    assert_eq!(scene.get("repodata.json").must("etag"), etag, "nothing has changed");
    forge().with("noarch", &package("scipy", "1.0")).publish(&scene.upstream);
    scene.gate.advance(Duration::from_mins(30));
    let files = eventually("the new package", || {
        scene.get("repodata.json").text().contains("scipy").then(|| scene.files())
    });
    assert!(files.contains(&"scipy-1.0-0.conda".to_owned()));
    // The same when somebody else has had the member refreshed.
    forge().with("noarch", &package("scipy", "2.0")).publish(&scene.upstream);
    scene.gate.advance(Duration::from_mins(21));
    eventually_true("the member itself", || {
        scene.gate.get("/forge/noarch/repodata.json").text().contains("scipy-2.0")
    });
    scene.get("scipy-2.0-0.conda").expect(200);
    assert!(scene.files().contains(&"scipy-2.0-0.conda".to_owned()));
}

#[test]
fn superseded_shards_stay() {
    let scene = Scene::new("");
    let old = unpacked(&scene.get("repodata_shards.msgpack.zst").expect(200));
    forge().with("noarch", &package("numpy", "3.0")).publish(&scene.upstream);
    scene.gate.advance(Duration::from_mins(30));
    eventually_true("a new shard index", || {
        unpacked(&scene.get("repodata_shards.msgpack.zst").expect(200))["shards"] != old["shards"]
    });
    for digest in old["shards"].as_object().unwrap().values() {
        scene.get(&format!("shards/{}.msgpack.zst", digest.as_str().unwrap())).expect(200);
    }
    scene.get(&format!("shards/{}.msgpack.zst", "0".repeat(64))).expect_problem(404);
}

#[test]
fn aliases_share_what_is_cached() {
    let upstream = Upstream::start();
    forge().publish(&upstream);
    let more = "  - {name: alias, upstream: up, path: forge}\n";
    let rules = rules(&upstream, "", more).replace("[team, forge]", "[alias]");
    let gate = Setup::rules(&rules).start();
    records_of(&gate, "prod", "noarch");
    gate.settle("/prod/noarch/numpy-2.0-0.conda").expect(200);
    gate.get("/forge/noarch/numpy-2.0-0.conda").expect(200);
    gate.get("/alias/noarch/numpy-2.0-0.conda").expect(200);
    assert_eq!(upstream.gets("/forge/noarch/numpy-2.0-0.conda"), 1);
    assert_eq!(upstream.gets("/forge/noarch/repodata.json.zst"), 1);
}

#[test]
fn a_package_asked_for_first_comes_from_its_owner() {
    let scene = Scene::new(", owns: [\"acme-*\"], owned_by: [team]");
    assert!(scene.get("lib-1.0-0.conda").expect(200) == team().get("lib").bytes);
    let cold = Scene::new(", owns: [\"acme-*\"], owned_by: [team]");
    cold.get("acme-trap-9.0-0.conda").expect_problem(403);
}

#[test]
fn members_without_the_subdir_are_passed_over() {
    let scene = Scene::new("");
    let linux = records_of(&scene.gate, "prod", "linux-64");
    assert_eq!(linux.keys().collect::<Vec<_>>(), ["tool-1.0-0.conda"]);
    for file in ["repodata.json", "repodata_shards.msgpack.zst"] {
        scene.gate.get(&format!("/prod/win-64/{file}")).expect_problem(404);
    }
    let empty = Scene::with(&[], "", "");
    assert!(records_of(&empty.gate, "prod", "noarch").is_empty());
    empty.gate.get("/prod/linux-64/repodata.json").expect_problem(404);
}

#[test]
fn a_member_that_is_down_stops_nothing_that_is_there() {
    let mut scene = Scene::new("");
    let files = scene.files();
    scene.upstream.stop();
    scene.gate.advance(Duration::from_hours(2));
    for _ in 0..3 {
        assert_eq!(by_file(&scene.get("repodata.json").json()).len(), files.len());
        scene.get("numpy-2.0-0.conda").expect(200);
        scene.gate.advance(Duration::from_mins(5));
    }
    let home = scene.gate.stop();
    let again = Setup::again(home).start();
    again.get("/prod/noarch/repodata.json.zst").expect(200);
    again.get("/prod/noarch/lib-1.0-0.conda").expect(200);
}

#[test]
fn a_cold_channel_with_a_member_down_is_503() {
    let scene = Scene::new("");
    for path in scene.upstream.paths().iter().filter(|path| path.starts_with("/team/")) {
        scene.upstream.always(path, Act::status(500));
    }
    let problem = scene.get("repodata.json").expect_problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("`prod` needs its member `team`"), "{problem}");
    scene.get("repodata_shards.msgpack.zst").expect_problem(503);
    scene.get("lib-1.0-0.conda").expect_problem(503);
}

#[test]
fn virtual_channels_stand_on_virtual_channels_and_labels() {
    let dev = Channel::new("team/label/dev").with("noarch", &package("beta", "0.1"));
    let more = "  - {name: all, virtual: [team/label/dev, prod], priority: flexible}\n  \
                - {name: top, virtual: [all]}\n";
    let scene = Scene::with(&[&team(), &forge(), &dev], "", more);
    let records = records_of(&scene.gate, "top", "noarch");
    assert!(records.contains_key("beta-0.1-0.conda") && records.contains_key("numpy-2.0-0.conda"));
    assert!(!records.contains_key("lib-2.0-0.conda"), "`prod` is strict wherever it stands");
    scene.gate.get("/top/noarch/lib-2.0-0.conda").expect_problem(403);
    forge().with("noarch", &package("scipy", "1.0")).publish(&scene.upstream);
    scene.gate.advance(Duration::from_mins(30));
    eventually_true("a package of the lowest channel in the highest", || {
        scene.gate.get("/top/noarch/repodata.json").text().contains("scipy")
    });
    scene.gate.get("/top/label/dev/noarch/repodata.json").expect_problem(404);
}

#[test]
fn documents_of_a_virtual_channel() {
    let scene = Scene::new("");
    let notices = scene.gate.get("/prod/notices.json");
    assert_eq!(notices.json(), serde_json::json!({"notices": []}));
    scene.gate.get("/prod/channeldata.json").expect_problem(404);
    assert_eq!(scene.get("repodata.json").must("cache-control"), "public, max-age=60");
}

#[test]
fn run_exports_come_from_the_members_that_own_the_records() {
    let more = "  - {name: top, virtual: [prod]}\n";
    let scene = Scene::with(&[&team(), &forge()], "", more);
    let exports = |of: &str, files: &[&str]| {
        let records: Map<String, Value> = files
            .iter()
            .map(|file| ((*file).to_owned(), serde_json::json!({"run_exports": {"weak": [of]}})))
            .collect();
        serde_json::json!({"info": {"subdir": "noarch", "version": 0}, "packages": {}, "packages.conda": records})
    };
    let put = |channel: &Channel, document: &Value| {
        let path = channel.at("noarch", "run_exports.json");
        scene.upstream.put(&path, document.to_string());
        scene.upstream.remove(&format!("{path}.zst"));
    };
    put(&team(), &exports("team", &["lib-1.0-0.conda", "gone-1.0-0.conda"]));
    put(&forge(), &exports("forge", &["lib-1.0-0.conda", "lib-2.0-0.conda", "numpy-2.0-0.conda"]));
    for channel in ["prod", "top"] {
        let get = |file: &str| scene.gate.get(&format!("/{channel}/noarch/{file}")).expect(200);
        let json = get("run_exports.json");
        assert_eq!(zstd::stream::decode_all(&get("run_exports.json.zst")[..]).unwrap(), json);
        let mut expected = exports("team", &["lib-1.0-0.conda"]);
        let numpy = exports("forge", &["numpy-2.0-0.conda"])["packages.conda"].clone();
        expected["packages.conda"]["numpy-2.0-0.conda"] = numpy["numpy-2.0-0.conda"].clone();
        assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), expected, "{channel}");
    }
    let without = Scene::new("");
    for path in without.upstream.paths().iter().filter(|path| path.contains("run_exports")) {
        without.upstream.remove(path);
    }
    for file in ["run_exports.json", "run_exports.json.zst", "repodata_from_packages.json"] {
        without.get(file).expect_problem(404);
    }
}

#[test]
fn removed_files_are_told_once_and_only_where_they_are_gone() {
    let upstream = Upstream::start();
    for (channel, removed) in
        [(team(), ["lib-1.0-0.conda", "z-1-0.conda"]), (forge(), ["z-1-0.conda", "acme-z-1-0.conda"])]
    {
        channel.publish(&upstream);
        let mut document = channel.repodata("noarch");
        document["removed"] = serde_json::json!(removed);
        let path = channel.at("noarch", "repodata.json");
        upstream.put(&path, document.to_string());
        upstream.remove(&format!("{path}.zst"));
    }
    let gate = Setup::rules(&rules(&upstream, ", owns: [\"acme-*\"], owned_by: [team]", "")).start();
    records_of(&gate, "prod", "noarch");
    let document = gate.get("/prod/noarch/repodata.json").json();
    assert_eq!(document["removed"], serde_json::json!(["z-1-0.conda"]));
}
