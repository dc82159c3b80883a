use std::fmt::Write as _;

use super::*;
use crate::conda::digest::Expected;
use crate::repodata::scan::Group;
use crate::repodata::table::{NewEntry, Standing, TableBuilder};

/// One package of `versions` versions, each of which asks for one that nothing offers.
fn tangle(dir: &Path, versions: u32) -> PackageTable {
    let (mut json, mut table) = ("{\"packages.conda\":{".to_owned(), TableBuilder::default());
    for n in 0..versions {
        let _ = write!(json, "{}\"a-{n}-0.conda\":", if n == 0 { "" } else { "," });
        let at = json.len() as u64;
        let below = n.saturating_sub(1);
        let _ = write!(
            json,
            "{{\"name\":\"a\",\"version\":\"{n}\",\"depends\":[\"a {below}.*\",\"a <0.{n}a\"]}}"
        );
        let record = (at, u32::try_from(json.len() as u64 - at).unwrap());
        let (file, expected) = (format!("a-{n}-0.conda"), Expected::default());
        let entry = NewEntry {
            file: &file,
            name: Some("a"),
            expected,
            record,
            group: Group::PackagesConda,
            standing: Standing::default(),
        };
        assert!(table.push(&entry));
    }
    json.push_str("}}");
    std::fs::write(dir.join("repodata.json"), json).unwrap();
    table.write(&dir.join("table")).unwrap();
    PackageTable::open(&dir.join("table")).unwrap()
}

#[test]
fn a_tangle_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (table, json) = (tangle(dir.path(), 300), dir.path().join("repodata.json"));
    assert_eq!(chosen(&json, &table, choose::MOST_STEPS).unwrap().len(), 300, "one needs the next");
    let error = chosen(&json, &table, 1_000_000).unwrap_err();
    assert!(matches!(error, BuildError::TooTangled) && error.is_upstreams_fault());
}

#[test]
fn a_table_of_another_document_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (table, json) = (tangle(dir.path(), 5), dir.path().join("repodata.json"));
    let text = std::fs::read_to_string(&json).unwrap();
    for bad in
        [text.replace("{\"packages", "{ \"packages"), text[..text.len() - 10].to_owned(), String::new()]
    {
        std::fs::write(&json, bad).unwrap();
        let out = dir.path().join("out");
        assert!(make(&json, &table, &out, &Limits::default()).is_err());
        let _ = std::fs::remove_file(out);
    }
}
