//! The table against a map, and against damage.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn any_expected() -> impl Strategy<Value = Expected> {
    (any::<Option<[u8; 32]>>(), any::<Option<[u8; 16]>>(), prop::option::of(0u64..u64::MAX))
        .prop_map(|(sha256, md5, size)| Expected { sha256: sha256.map(Sha256), md5: md5.map(Md5), size })
}

fn write(entries: &[(String, Expected)], dir: &Path) -> (PathBuf, u64) {
    let mut builder = TableBuilder::default();
    for (n, (file, expected)) in entries.iter().enumerate() {
        let name = file.split('-').next();
        let record = (n as u64 * 1000, 7);
        assert!(builder.push(&NewEntry {
            file,
            name,
            expected: *expected,
            record,
            group: Group::PackagesConda,
            standing: Standing::default(),
        }));
    }
    let path = dir.join("t.table");
    let _ = std::fs::remove_file(&path);
    let written = builder.write(&path).unwrap();
    (path, written.conflicts)
}

proptest! {
    #[test]
    fn lookup_equals_a_map(entries in prop::collection::vec(("[a-c\u{e9}]{1,3}(-[a-c])?", any_expected()), 0..60)) {
        let dir = tempfile::tempdir().unwrap();
        let (path, conflicts) = write(&entries, dir.path());
        let table = PackageTable::open(&path).unwrap();
        let oracle: BTreeMap<_, _> = entries.iter().cloned().collect();
        prop_assert_eq!(table.len(), oracle.len());
        for (file, expected) in &oracle {
            let entry = table.find(file).unwrap();
            prop_assert_eq!(entry.expected, *expected);
            prop_assert_eq!(entry.name, file.split('-').next());
            let last = entries.iter().rposition(|(name, _)| name == file).unwrap();
            prop_assert_eq!(entry.record, (last as u64 * 1000, 7));
        }
        for absent in ["", "d", "a-", "zz", "aaaa"] {
            prop_assert_eq!(table.lookup(absent).is_some(), oracle.contains_key(absent));
        }
        let names: Vec<_> = table.iter().map(|entry| entry.file.to_owned()).collect();
        prop_assert_eq!(names, oracle.into_keys().collect::<Vec<_>>());
        prop_assert!(conflicts <= entries.len() as u64);
    }

    #[test]
    fn damage_never_panics(at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
        let dir = tempfile::tempdir().unwrap();
        let entries: Vec<_> = ["a-1", "b-1", "c-1"].map(|f| (f.to_owned(), Expected::default())).into();
        let (path, _) = write(&entries, dir.path());
        let whole = std::fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let len = bytes.len();
        bytes[at % len] = byte;
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(table) = PackageTable::open(&path) {
            table.iter().for_each(drop);
            let _ = (table.find("a-1"), table.find("b-1"), table.find("zz"), table.get(2), table.get(9));
        }
        std::fs::write(&path, &whole[..cut % len]).unwrap();
        prop_assert!(PackageTable::open(&path).is_err());
    }
}

#[test]
fn cut_while_it_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..2000).map(|n| (format!("n{n:05}-1"), Expected::default())).collect();
    let (path, _) = write(&entries, dir.path());
    let table = PackageTable::open(&path).unwrap();
    assert!(table.find("n01999-1").is_some());
    std::fs::File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
    assert_eq!(table.find("n01999-1"), None, "not a SIGBUS");
    assert_eq!(table.iter().count(), 0);
}

#[test]
fn repeated_files_count_as_conflicts_only_when_they_differ() {
    let dir = tempfile::tempdir().unwrap();
    let of = |n: u8| Expected { sha256: Some(Sha256([n; 32])), md5: None, size: None };
    let file = |name: &str, n| (name.to_owned(), of(n));
    let (path, conflicts) = write(&[file("a", 1), file("b", 1), file("a", 1), file("b", 2)], dir.path());
    assert_eq!(conflicts, 1);
    let table = PackageTable::open(&path).unwrap();
    assert_eq!((table.lookup("a"), table.lookup("b")), (Some(of(1)), Some(of(2))), "the last one counts");
}

#[test]
fn other_versions_are_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = write(&[], dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 1;
    std::fs::write(&path, bytes).unwrap();
    let error = PackageTable::open(&path).unwrap_err().to_string();
    assert!(error.contains("another version"), "{error}");
    assert!(matches!(PackageTable::open(&dir.path().join("absent")), Err(TableError::Io { .. })));
}
