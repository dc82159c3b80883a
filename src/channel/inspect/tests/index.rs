//! What the files in `info/` say.

use serde_json::{Value, json};

use super::build::{Entry, conda, index, look, pkg};
use crate::channel::inspect::{InspectError, Inspected};

fn look_at(index: &str) -> Result<Inspected, InspectError> {
    look("a-1.0-0.conda", &conda(&[Entry::file("info/index.json", index.as_bytes())], &pkg()))
}

fn changed(key: &str, value: Value) -> String {
    let mut index = index();
    index[key] = value;
    index.to_string()
}

#[test]
fn an_index_that_lies_about_its_name_is_refused() {
    for (key, value) in [("name", "b"), ("name", "A"), ("version", "1.0.0"), ("version", "1"), ("build", "1")]
    {
        let error = look_at(&changed(key, value.into())).unwrap_err();
        assert!(matches!(error, InspectError::Disagrees { .. }), "{key} {value}: {error}");
    }
    for file in
        ["A-1.0-0.conda", "a--b-1.0-0.conda", "__a-1.0-0.conda", "a-1.0RC1-0.conda", "a-1.0-0~1.conda"]
    {
        let stem = file.strip_suffix(".conda").unwrap();
        let (name, version, build) = crate::conda::archive::split(stem).unwrap();
        let mut index = index();
        index["name"] = name.into();
        index["version"] = version.into();
        index["build"] = build.into();
        let info = [Entry::file("info/index.json", index.to_string().as_bytes())];
        let bytes = conda(&info, &pkg());
        // The members of a .conda are called otherwise here.
        assert!(look(file, &bytes).is_err());
        let all = super::build::tar_bz2(&[&info[..], &pkg()].concat());
        let error = look(&format!("{stem}.tar.bz2"), &all).unwrap_err();
        assert!(matches!(error, InspectError::NotCep26 { .. }), "{file}: {error}");
    }
}

#[test]
fn fields_have_the_types_that_clients_read() {
    for (key, value) in [
        ("name", json!(1)),
        ("version", json!(1.0)),
        ("version", json!(null)),
        ("build", json!(0)),
        ("build_number", json!("0")),
        ("build_number", json!(-1)),
        ("build_number", json!(0.5)),
        ("build_number", json!(null)),
        ("depends", json!("b")),
        ("depends", json!([1])),
        ("depends", json!(null)),
        ("depends", json!({})),
        ("constrains", json!("b")),
        ("license", json!(["MIT"])),
        ("noarch", json!("other")),
        ("timestamp", json!("now")),
        ("subdir", json!(64)),
        ("track_features", json!(1)),
        ("purls", json!(["no purl"])),
    ] {
        let error = look_at(&changed(key, value.clone())).unwrap_err();
        let is_metadata = matches!(error, InspectError::Metadata { .. } | InspectError::Disagrees { .. });
        assert!(is_metadata, "{key} {value}: {error}");
    }
    for key in ["name", "version", "build", "build_number"] {
        let mut index = index();
        index.as_object_mut().unwrap().remove(key);
        assert!(look_at(&index.to_string()).is_err(), "{key}");
    }
    for (key, value) in [
        ("noarch", json!("python")),
        ("noarch", json!(true)),
        ("noarch", json!(null)),
        ("license", json!(null)),
        ("track_features", json!("")),
        ("track_features", json!(["x"])),
        ("constrains", json!(["b >=1,<2.0a0"])),
        ("something", json!({"else": [1]})),
    ] {
        let found = look_at(&changed(key, value.clone())).unwrap();
        let record: Value = serde_json::from_slice(&found.record).unwrap();
        assert_eq!(record[key], value);
    }
}

#[test]
fn dependencies_are_specs() {
    for spec in
        ["b >=1.0,<2", "b", "b 1.0.*", "b 1.0 py_0", "b >=1.0|<0.5", "__glibc >=2.17", "b=1.0=*_cpython"]
    {
        look_at(&changed("depends", json!([spec]))).unwrap();
    }
    let deep = format!("b {}1{}", "(".repeat(500), ")".repeat(500));
    let long = "b".repeat(2000);
    for spec in ["", "b >>1", "b ==", "b[", &deep, &long] {
        let error = look_at(&changed("depends", json!(["c", spec]))).unwrap_err().to_string();
        assert!(error.contains("has the dependency"), "{spec}: {error}");
    }
}

/// What others publish: nothing of it may be refused for its dependencies.
#[test]
fn the_dependencies_of_conda_forge_are_specs() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conda-forge");
    let mut checked = 0;
    for subdir in std::fs::read_dir(top).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let packed = std::fs::read(subdir.path().join("repodata.json.zst")).unwrap();
        let text = zstd::decode_all(packed.as_slice()).unwrap();
        let repodata: Value = serde_json::from_slice(&text).unwrap();
        let groups = ["packages", "packages.conda"].into_iter().filter_map(|key| repodata[key].as_object());
        for (file, record) in groups.flatten() {
            let index = serde_json::from_value(record.clone()).unwrap();
            crate::channel::inspect::index::check_specs(&index)
                .unwrap_or_else(|flaw| panic!("{file}: {flaw}"));
            let text = |key: &str| record[key].as_str().unwrap();
            let named =
                crate::channel::inspect::names::check(file, text("name"), text("version"), text("build"));
            named.unwrap_or_else(|error| panic!("{file}: {error}"));
            checked += 1;
        }
    }
    assert!(checked > 1000, "{checked}");
}

#[test]
fn an_index_is_json_that_is_read_alike() {
    let good = index().to_string();
    let twice = good.replacen('{', r#"{"name":"b","#, 1);
    let deep = good.replacen('{', &format!(r#"{{"x":{}{},"#, "[".repeat(5000), "]".repeat(5000)), 1);
    for (bad, says) in [
        ("", "no JSON"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        (&good[..good.len() - 1], "no JSON"),
        (&format!("{good}x"), "no JSON"),
        (&format!("\u{feff}{good}"), "no JSON"),
        (&twice, "stands twice"),
        (&deep, "nested"),
    ] {
        let error = look_at(bad).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn the_subdir_is_one() {
    for bad in ["", "linux", "../linux-64", "Linux-64", "linux-64/x"] {
        let error = look_at(&changed("subdir", bad.into())).unwrap_err().to_string();
        assert!(error.contains("has the subdir"), "{bad}: {error}");
    }
    let mut old = index();
    old.as_object_mut().unwrap().retain(|key, _| key != "subdir" && key != "arch");
    assert!(look_at(&old.to_string()).unwrap_err().to_string().contains("neither `subdir` nor"));
}

#[test]
fn the_server_alone_says_what_is_the_servers() {
    let mut index = index();
    for key in ["md5", "sha256", "size", "indexed_timestamp", "attestations_sha256", "url", "fn", "channel"] {
        index[key] = "https://evil.example/".into();
    }
    for key in ["arch", "has_prefix", "mtime", "ucs", "binstar", "target-triplet", "machine"] {
        index[key] = "x".into();
    }
    let found = look_at(&index.to_string()).unwrap();
    let record: Value = serde_json::from_slice(&found.record).unwrap();
    assert!(!record.to_string().contains("evil"), "{record}");
    assert!(record["size"].is_u64() && record["md5"].is_string() && record["sha256"].is_string());
    assert_eq!(record.get("has_prefix").or(record.get("ucs")).or(record.get("arch")), None);
}

fn with(path: &str, text: &str) -> Result<Inspected, InspectError> {
    let info = [super::build::info().remove(0), Entry::file(path, text.as_bytes())];
    look("a-1.0-0.conda", &conda(&info, &pkg()))
}

#[test]
fn other_documents_are_checked_too() {
    for (path, bad) in [
        ("info/about.json", "[]"),
        ("info/about.json", "{"),
        ("info/run_exports.json", "[]"),
        ("info/run_exports.json", r#"{"weak": "a"}"#),
        ("info/run_exports.json", r#"{"weak": [1]}"#),
    ] {
        let error = with(path, bad).unwrap_err().to_string();
        assert!(error.contains(path), "{path} {bad}: {error}");
    }
    assert!(with("info/run_exports.json", r#"{"weak": ["a"], "new": 1}"#).is_ok());
}

#[test]
fn listed_paths_stay_in_the_package() {
    let paths = |path: &str| {
        let entry = json!({"_path": path, "path_type": "hardlink", "size_in_bytes": 1, "no_link": true,
                           "prefix_placeholder": "/opt", "file_mode": "text"});
        json!({"paths": [entry], "paths_version": 1}).to_string()
    };
    with("info/paths.json", &paths("lib/liba.so.1")).unwrap();
    with("info/paths.json", &paths("lib\\liba.so.1")).unwrap();
    with("info/paths.json", r#"{"paths": [], "paths_version": 1, "more": {"x": [1]}}"#).unwrap();
    for bad in ["../../.bashrc", "/etc/passwd", "..\\..\\x", "C:\\x", "", "a\nb"] {
        let error = with("info/paths.json", &paths(bad)).unwrap_err().to_string();
        assert!(error.contains("lists the file"), "{bad}: {error}");
    }
    let long = format!(r#"{{"paths": [], "paths_version": 1, "x": "{}"}}"#, "x".repeat(200_000));
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"paths": []}"#,
        r#"{"paths_version": 1}"#,
        r#"{"paths": [], "paths": [], "paths_version": 1}"#,
        r#"{"paths": [{"path_type": "hardlink"}], "paths_version": 1}"#,
        r#"{"paths": [{"_path": "a"}], "paths_version": 1}"#,
        r#"{"paths": [{"_path": "a", "path_type": "device"}], "paths_version": 1}"#,
        r#"{"paths": [{"_path": "a", "path_type": "hardlink", "sha256": "x"}], "paths_version": 1}"#,
        r#"{"paths": [], "paths_version": 1} x"#,
        &long,
    ] {
        let error = with("info/paths.json", bad).unwrap_err().to_string();
        assert!(error.contains("`info/paths.json` in the package can't be read"), "{bad:.80}: {error}");
    }
}
