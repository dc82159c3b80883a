//! Rules over real records: eight subdirs of conda-forge, every form of each, against a reading of the rules that knows only these four.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::gate::START;
use crate::harness::views::{assert_same, by_file, name_in, unzst};
use crate::harness::{Gate, Records, Setup, Upstream, View, rules};

const SUBDIRS: [&str; 8] =
    ["noarch", "linux-64", "linux-aarch64", "linux-ppc64le", "osx-64", "osx-arm64", "win-64", "win-arm64"];
const POLICY: &str = "policy:
  - {id: old-setuptools, deny: {specs: [\"setuptools <60\"]}}
  - {id: licenses, hide: {licenses: [ISC, Unlicense]}, unless: {names: [\"ca-cert*\"]}}
  - {id: cooldown, hide: {younger_than: 1000d}, unless: {names: [tzdata]}}
  - id: libcurl
    patch: {match: {names: [libcurl]}, set: {license: LicenseRef-Curl, track_features: }, remove_depends: [openssl], add_depends: [\"pin >=1\"]}
";

fn scene(policy: &str) -> (Upstream, Gate) {
    let upstream = Upstream::start();
    for subdir in SUBDIRS {
        upstream.put(&format!("/forge/{subdir}/repodata.json.zst"), fixture(subdir));
    }
    let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
    (upstream, gate)
}

fn fixture(subdir: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conda-forge");
    std::fs::read(fixtures.join(subdir).join("repodata.json.zst")).expect("a fixture")
}

/// Upstream's records with the moment when the gate met them.
fn met(subdir: &str) -> Records {
    let mut records = by_file(&serde_json::from_slice(&unzst(&fixture(subdir))).expect("JSON"));
    for record in records.values_mut() {
        let built = record["timestamp"].as_i64().filter(|at| *at > 0).unwrap_or(START.0);
        record["indexed_timestamp"] = json!(built);
        // These records name another host, and clients make the URL themselves.
        record.as_object_mut().expect("a record").remove("url");
    }
    records
}

/// The rule that hides a record.
fn decider(record: &Value) -> Option<&'static str> {
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    let major = || text("version").split('.').next().unwrap().parse::<u32>().expect("a number");
    let age = START.0 - record["indexed_timestamp"].as_i64().unwrap();
    if text("name") == "setuptools" && major() < 60 {
        Some("old-setuptools")
    } else if ["ISC", "Unlicense"].contains(&text("license")) && !text("name").starts_with("ca-cert") {
        Some("licenses")
    } else if age < 1000 * 24 * 3600 * 1000 && text("name") != "tzdata" {
        Some("cooldown")
    } else {
        None
    }
}

fn changed(mut record: Value) -> Value {
    if record["name"] == "libcurl" {
        record["license"] = json!("LicenseRef-Curl");
        record.as_object_mut().unwrap().remove("track_features");
        let depends = record["depends"].as_array_mut().expect("depends");
        depends.retain(|depend| depend.as_str().unwrap().split(' ').next() != Some("openssl"));
        depends.push(json!("pin >=1"));
    }
    record
}

#[test]
fn every_form_of_eight_real_subdirs_says_what_the_rules_say() {
    let (_upstream, gate) = scene(POLICY);
    let mut acted = std::collections::BTreeSet::new();
    for subdir in SUBDIRS {
        let view = View::of(&gate, "forge", subdir);
        let (hidden, shown): (Records, Records) =
            met(subdir).into_iter().partition(|(_, record)| decider(record).is_some());
        let shown: Records = shown.into_iter().map(|(file, record)| (file, changed(record))).collect();
        assert_same(&view.agreed(), &shown, subdir);
        for (file, record) in hidden.iter().step_by(hidden.len() / 20 + 1) {
            let problem = view.get(file).expect_problem(403);
            assert_eq!(problem["rule"], decider(record).unwrap(), "{file}");
        }
        acted.extend(hidden.values().filter_map(decider));
        acted.extend(shown.values().filter(|r| r["license"] == "LicenseRef-Curl").map(|_| "libcurl"));
        assert!(shown.keys().all(|file| !name_in(file).is_empty()));
    }
    assert_eq!(acted.into_iter().collect::<Vec<_>>(), ["cooldown", "libcurl", "licenses", "old-setuptools"]);
}

/// No bytes have the digests that real records name, so what can be seen of a shown file is that upstream is asked for it, and that
/// nothing else passes for it.
#[test]
fn downloads_of_real_records_follow_their_index() {
    let (upstream, gate) = scene(POLICY);
    for subdir in SUBDIRS {
        let view = View::of(&gate, "forge", subdir);
        let listed = view.records();
        let all = met(subdir);
        let mut shown = 0;
        for (file, record) in all.iter().step_by(all.len() / 60 + 1) {
            let path = view.path(file);
            assert_eq!(listed.contains_key(file), decider(record).is_none(), "{path}");
            match decider(record) {
                Some(rule) => {
                    assert_eq!(view.get(file).expect_problem(403)["rule"], rule, "{path}");
                    assert_eq!(upstream.gets(&path), 0, "{path}");
                }
                None if shown % 2 == 0 => {
                    view.get(file).expect_problem(404);
                    assert_eq!(upstream.gets(&path), 1, "{path}");
                    shown += 1;
                }
                None => {
                    let size = record["size"].as_u64().expect("a size");
                    upstream.put(&path, vec![7; usize::try_from(size.min(4096)).expect("a length")]);
                    view.get(file).expect_visibly_bad();
                    shown += 1;
                }
            }
        }
    }
}

/// Upstream packs at a level that takes minutes for large subdirs, and has no `indexed_timestamp`.
#[test]
fn the_packed_index_is_hardly_larger_than_upstreams() {
    let (_upstream, gate) = scene("");
    for subdir in SUBDIRS {
        let view = View::of(&gate, "forge", subdir);
        assert_same(&view.records(), &met(subdir), subdir);
        let (ours, theirs) = (view.get("repodata.json.zst").expect(200).len(), fixture(subdir).len());
        assert!(ours * 10 <= theirs * 11, "{subdir}: {ours} bytes, upstream's are {theirs}");
    }
}
