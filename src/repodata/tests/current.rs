//! The current index, worked out from a generation's own records.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use proptest::prelude::*;
use rattler_conda_types::{MatchSpec, Matches as _, PackageRecord, Version};
use serde_json::{Value, json};

use super::*;

const CURRENT: IndexFile = IndexFile::Current(Packing::Json);

fn make(bench: &Bench, generation: &Generation) -> Vec<u8> {
    bench.store.make_current(generation, &small_limits()).unwrap();
    assert_eq!(bench.left_behind(), 0);
    let json = body(generation, CURRENT);
    assert_eq!(unzst(&body(generation, IndexFile::Current(Packing::Zst))), json);
    assert_eq!(unbz2(&body(generation, IndexFile::Current(Packing::Bz2))), json);
    json
}

fn files(json: &[u8]) -> BTreeSet<String> {
    let tree: Value = serde_json::from_slice(json).unwrap();
    let groups = ["packages", "packages.conda"];
    groups.into_iter().flat_map(|group| tree[group].as_object().unwrap().keys().cloned()).collect()
}

/// `name version build number depends…`, separated by `|`, as a record with that file name.
fn entry(line: &str) -> (String, Value) {
    let parts: Vec<_> = line.split('|').map(str::trim).collect();
    let depends = &parts[4..];
    let record = json!({"name": parts[0], "version": parts[1], "build": parts[2], "subdir": "noarch",
        "build_number": parts[3].parse::<u64>().unwrap(), "depends": depends, "sha256": "ab".repeat(32), "size": 1});
    (format!("{}-{}-{}.conda", parts[0], parts[1].replace('-', "_"), parts[2]), record)
}

fn repodata(classic: &BTreeMap<String, Value>, conda: &BTreeMap<String, Value>) -> String {
    json!({"info": {"subdir": "noarch"}, "packages": classic, "packages.conda": conda,
        "removed": ["gone-1-0.conda"], "repodata_version": 1})
    .to_string()
}

/// The current files of a channel with these records.
fn current_of(lines: &[&str]) -> Vec<String> {
    let records = lines.iter().map(|line| entry(line)).collect();
    let bench = Bench::new();
    let generation = bench.publish(&repodata(&BTreeMap::new(), &records));
    let stem = |file: String| file.trim_end_matches(".conda").to_owned();
    files(&make(&bench, &generation)).into_iter().map(stem).collect()
}

#[test]
fn real_channels_have_what_conda_index_says() {
    for subdir in ["noarch", "linux-64"] {
        let bench = Bench::of(subdir);
        let built = bench.build(&fixture(&format!("{subdir}/repodata.json.zst")), Packing::Zst).unwrap();
        let generation = bench.store.publish(built).unwrap();
        let ours = make(&bench, &generation);
        assert_eq!(files(&ours), files(&fixture(&format!("{subdir}/current_repodata.json"))));
        let etag = |file| generation.variant(file).unwrap().etag.clone();
        assert_ne!(etag(CURRENT), etag(JSON));
        let bench = bench.reopen();
        assert_eq!(body(&bench.current().unwrap(), CURRENT), ours, "after a restart too");
    }
}

#[test]
fn it_is_made_once() {
    let bench = Bench::new();
    let generation = bench.publish(&document(&record("a", 1)));
    make(&bench, &generation);
    fs::remove_file(bench.place().join(generation.id()).join("repodata.json")).unwrap();
    bench.store.make_current(&generation, &small_limits()).unwrap();
}

#[test]
fn the_newest_of_each_name_with_all_builds() {
    let lines =
        ["a|1.9|0|0", "a|1.10|0|0", "a|1.10|1|1", "b|1!0.1|0|0", "b|2024|0|0", "c|1.0|0|0", "c|1.0rc1|0|0"];
    assert_eq!(current_of(&lines), ["a-1.10-0", "a-1.10-1", "b-1!0.1-0", "c-1.0-0", "c-1.0rc1-0"]);
}

#[test]
fn what_is_no_version_is_in_no_index() {
    let lines = ["a|zz?|0|0", "a|0.1|0|0", "b|zz?|0|0", "c||0|0"];
    let records: BTreeMap<_, _> = lines
        .iter()
        .map(|line| entry(line))
        .map(|(file, record)| (file.replace('?', "_").replace("--", "-x-"), record))
        .collect();
    let bench = Bench::new();
    let generation = bench.publish(&repodata(&BTreeMap::new(), &records));
    let found = files(&make(&bench, &generation));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a-0.1-0.conda"]);
    assert_eq!(files(&body(&generation, JSON)).len(), 1);
}

#[test]
fn what_dependencies_need_is_added_until_nothing_is_missing() {
    let lines = [
        "app|2|0|0|lib <2|other|__glibc >=2|absent >1",
        "app|1|0|0|lib <1",
        "lib|2.0|0|0",
        "lib|1.5|0|0|deep 1.*",
        "lib|1.5|1|1|deep 1.* h_*",
        "lib|1.4|0|0",
        "lib|0.9|0|0",
        "deep|2|0|0",
        "deep|1.2|x_0|0",
        "deep|1.1|h_0|0|lib 1.4.*",
        "other|1|0|0|broken >=|lib[license=MIT]",
    ];
    let current = [
        "app-2-0",
        "deep-1.1-h_0",
        "deep-1.2-x_0",
        "deep-2-0",
        "lib-1.4-0",
        "lib-1.5-0",
        "lib-1.5-1",
        "lib-2.0-0",
        "other-1-0",
    ];
    assert_eq!(current_of(&lines), current);
    let reversed: Vec<_> = lines.iter().rev().copied().collect();
    assert_eq!(current_of(&reversed), current);
}

#[test]
fn both_archive_formats_and_features() {
    let (file, mut featured) = entry("blas|2|0|0");
    featured["track_features"] = json!("mkl");
    let (_, plain) = entry("blas|1|0|0");
    let (_, twin) = entry("a|1|0|0");
    let (_, other) = entry("a|1|1|0");
    let conda = BTreeMap::from([(file, featured), ("a-1-0.conda".to_owned(), twin.clone())]);
    let classic = BTreeMap::from([
        ("blas-1-0.tar.bz2".to_owned(), plain),
        ("a-1-0.tar.bz2".to_owned(), twin),
        ("a-1-1.tar.bz2".to_owned(), other.clone()),
    ]);
    let bench = Bench::new();
    let generation = bench.publish(&repodata(&classic, &conda));
    let found: Vec<_> = files(&make(&bench, &generation)).into_iter().collect();
    assert_eq!(found, ["a-1-0.conda", "a-1-1.tar.bz2", "blas-1-0.tar.bz2", "blas-2-0.conda"]);
    // The same file name does not make a twin of another package.
    let conda = BTreeMap::from([("a-1-1.conda".to_owned(), entry("else|1|1|0").1)]);
    let generation = bench.publish(&repodata(&BTreeMap::from([("a-1-1.tar.bz2".to_owned(), other)]), &conda));
    assert_eq!(files(&make(&bench, &generation)).len(), 2);
}

#[test]
fn everything_else_passes_and_other_groups_are_empty() {
    let bench = Bench::new();
    let before = &whole(r#"{ "x": [1.50], "packages.conda" : { "a-1-0.conda" : {"name":"a"} ,
 "a-2-0.conda": {"build":"0", "name" : "a","build_number":0,"version" : "@","y":1e2 } }, "removed":["b-1-0.conda"],
 "packages.whl":{"a-3.whl":{"url":"x","name":"a"}},"v3":{"conda":{"a-4-0":{"name":"a"}},"new":1},
 "packages":{},"info":{"subdir":"noarch","z":0}}"#).replace('@', "2");
    let after = before
        .replace(&whole(r#" "a-1-0.conda" : {"name":"a"} ,"#), " ")
        .replace(r#"["b-1-0.conda"]"#, "[]")
        .replace(&whole(r#""a-3.whl":{"url":"x","name":"a"}"#), "")
        .replace(&whole(r#""a-4-0":{"name":"a"}"#), "");
    let generation = bench.publish(before);
    assert_eq!(String::from_utf8(make(&bench, &generation)).unwrap(), after);
}

#[test]
fn a_wrong_generation_is_an_error() {
    let bench = Bench::new();
    let generation = bench.publish(&document(&record("a", 1)));
    let json = bench.place().join(generation.id()).join("repodata.json");
    let text = fs::read(&json).unwrap();
    let blank: Vec<u8> = text.iter().map(|b| if *b == b'{' { b'[' } else { *b }).collect();
    for bad in [&text[..text.len() / 2], &blank, document("").as_bytes()] {
        fs::write(&json, bad).unwrap();
        let error = bench.store.make_current(&generation, &small_limits()).unwrap_err();
        assert!(generation.variant(CURRENT).is_none(), "{error}");
    }
    assert_eq!(bench.left_behind(), 0);
}

/// A channel of few names and versions, so that dependencies meet.
fn records() -> impl Strategy<Value = Vec<(String, Value, bool)>> {
    let name = || prop::sample::select(vec!["a", "b", "c", "D", "e-f"]);
    let version = || {
        prop::sample::select(vec!["1", "1.0", "1.2", "1.2rc1", "1.10", "2.0a0", "2!0", "0.5post1", "?x", ""])
    };
    let spec = (
        name(),
        prop::sample::select(vec!["", " ", " >=", " <", " ==", " !=", "=", " ~="]),
        version(),
        any::<u8>(),
    );
    let spec = spec.prop_map(|(name, operator, version, more)| match (operator, more % 8) {
        ("", _) => name.to_owned(),
        (" ", 0) => format!("{name} {version} h*"),
        (" ", 1) => format!("{name} {version}.*"),
        (" ", 2) => format!("{name}[version='{version}',build_number='>0']"),
        (" ", 3) => format!("{name}[license=MIT]"),
        (" >=", 0) => format!("{name} >={version},<2"),
        (" >=", 1) => format!("{name} >={version}|1.2"),
        _ => format!("{name}{operator}{version}"),
    });
    let one = (name(), version(), 0..3u64, any::<u8>(), prop::collection::vec(spec, 0..3));
    let one = one.prop_map(|(name, version, number, bits, depends)| {
        let build = if bits & 1 == 0 { format!("h{}", bits & 2) } else { "0".to_owned() };
        let mut record = json!({"name": name, "version": version, "build": build, "build_number": number, "depends": depends,
            "subdir": "noarch", "sha256": "ab".repeat(32)});
        if bits & 0b1100 == 0b1100 {
            record["license"] = json!("MIT");
        }
        if bits & 0b11_0000 == 0b11_0000 {
            record["track_features"] = json!(["mkl"]);
        }
        let shown = if version.is_empty() { "x" } else { version }.replace('?', "_");
        let is_classic = bits & 0b100_0000 != 0;
        let extension = if is_classic { "tar.bz2" } else { "conda" };
        (format!("{name}-{shown}-{build}_{number}.{extension}"), record, is_classic)
    });
    prop::collection::vec(one, 0..30)
}

/// A record as rattler reads it; with a version that is none it stands for no version at all.
fn parsed(record: &Value) -> (PackageRecord, bool) {
    let mut record = record.clone();
    let is_version = Version::from_str(record["version"].as_str().unwrap()).is_ok();
    if !is_version {
        record["version"] = json!("0");
    }
    (serde_json::from_value(record).unwrap(), is_version)
}

fn fits(spec: &MatchSpec, (record, is_version): &(PackageRecord, bool)) -> bool {
    // A record without a version can't be read whole, and so it has no licence to ask for.
    spec.matches(record) && (*is_version || (spec.version.is_none() && spec.license.is_none()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_is_closed_and_newest_and_the_same_bytes(records in records()) {
        let (mut classic, mut conda) = (BTreeMap::new(), BTreeMap::new());
        for (file, record, is_classic) in records {
            if is_classic { classic.insert(file, record) } else { conda.insert(file, record) };
        }
        let bench = Bench::new();
        let text = repodata(&classic, &conda);
        let generation = bench.publish(&text);
        let current = String::from_utf8(make(&bench, &generation)).unwrap();
        let listed = files(current.as_bytes());
        // What has no version that rattler reads is in no index.
        let all: BTreeMap<_, _> = classic.iter().chain(&conda).filter(|(_, record)| parsed(record).1).collect();
        for file in &listed {
            let raw = format!("\"{file}\":{}", all[file]);
            prop_assert!(text.contains(&raw) && current.contains(&raw), "{file} is another record");
        }
        let read: BTreeMap<_, _> = all.iter().map(|(file, record)| (*file, parsed(record))).collect();
        for file in &listed {
            for spec in all[file]["depends"].as_array().unwrap() {
                let Ok(spec) = MatchSpec::from_str(spec.as_str().unwrap(), rattler_conda_types::ParseStrictness::Lenient) else { continue };
                let in_all = read.values().any(|record| fits(&spec, record));
                let in_current = listed.iter().any(|file| fits(&spec, &read[file]));
                prop_assert_eq!(in_all, in_current, "{} of {}", spec, file);
            }
        }
        for (record, is_version) in read.values() {
            let there = listed.iter().map(|file| &read[file]).filter(|(other, _)| other.name == record.name);
            let newest = there.filter(|(_, is)| *is).map(|(other, _)| &other.version).max();
            prop_assert!(!is_version || newest.is_some_and(|newest| **newest >= *record.version), "{}", record.name.as_source());
            prop_assert!(listed.iter().any(|file| read[file].0.name == record.name), "no {}", record.name.as_source());
        }
    }
}
