//! Rows that change one at a time make the document that they make when they are read at once.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{HostedDocument, HostedRow, HostedRows};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::repodata::build::RawDocument as _;
use crate::repodata::hosted_patches::HostedPatches;
use crate::repodata::store::GenerationStore;

/// A row as the store has it, or that there is one which is in no index.
#[derive(Clone, Debug)]
enum Row {
    Offered {
        size: u64,
        yanked: bool,
    },
    Absent,
    /// Its record is no JSON.
    Broken,
}

const FILES: [&str; 7] = [
    "a-1-0.conda",
    "a-1-0.tar.bz2",
    "a-2-0.conda",
    "b-1-0.conda",
    "b-1-0.tar.bz2",
    "c_d-1.5-h1_0.conda",
    "z-1-0.whl",
];

fn row() -> impl Strategy<Value = Option<Row>> {
    prop_oneof![
        4 => (1..5_u64, any::<bool>()).prop_map(|(size, yanked)| Some(Row::Offered { size, yanked })),
        1 => Just(Some(Row::Absent)),
        1 => Just(Some(Row::Broken)),
        1 => Just(None),
    ]
}

struct Bed {
    _dir: TempDir,
    store: GenerationStore,
}

impl Bed {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = GenerationStore::open(&dir.path().join("generations")).unwrap();
        Self { _dir: dir, store }
    }

    fn rows(&self, patches: Option<HostedPatches>) -> HostedRows {
        HostedRows::create(self.store.scratch().unwrap(), "noarch", patches).unwrap()
    }
}

fn put(rows: &mut HostedRows, file: &str, row: Option<&Row>) {
    let set = |rows: &mut HostedRows, record: &[u8], size: u64, yanked: bool| {
        let sha256 = Sha256([u8::try_from(size).unwrap(); 32]);
        let uploaded_at = UnixMillis(1_790_000_000_000);
        rows.set(&HostedRow { file, record, sha256: &sha256, size, uploaded_at, yanked }).unwrap();
    };
    match row {
        None => rows.remove(file).unwrap(),
        Some(Row::Absent) => rows.set_absent(file).unwrap(),
        Some(Row::Broken) => set(rows, b"{\"name\":", 1, false),
        Some(Row::Offered { size, yanked }) => {
            let (name, version) = (file.split('-').next().unwrap(), file.split('-').nth(1).unwrap());
            let record = json!({"name": name, "version": version, "build": "0", "build_number": 0, "depends": [],
                "subdir": "noarch", "x": "é\"".repeat(usize::try_from(*size).unwrap() * 40)});
            set(rows, record.to_string().as_bytes(), *size, *yanked);
        }
    }
}

/// All that a build learns of a document.
fn told(document: &HostedDocument) -> (Option<Sha256>, String, Vec<(String, Value)>) {
    let mut text = String::new();
    document.open().unwrap().read_to_string(&mut text).unwrap();
    let parsed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed["repodata_version"], 1, "{text}");
    let withdrawn = document.withdrawn().unwrap().unwrap().map(|row| {
        let (file, record) = row.unwrap();
        (file, serde_json::from_slice(&record).unwrap())
    });
    (document.digest(), text, withdrawn.collect())
}

fn patches() -> HostedPatches {
    let text = json!({"patch_instructions_version": 1, "remove": ["b-1-0.tar.bz2"], "revoke": [],
        "packages": {"a-1-0.tar.bz2": {"depends": ["q"]}}, "packages.conda": {}});
    HostedPatches::read(&text.to_string(), Sha256([7; 32]), "team-repodata-patches-1-0.conda").unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn changed_one_by_one_or_read_at_once(
        changes in prop::collection::vec((0..FILES.len(), row()), 1..40),
        every in 1..6_usize,
        patched in any::<bool>(),
    ) {
        let (bed, patches) = (Bed::new(), patched.then(patches));
        let mut kept = bed.rows(patches.clone());
        let mut now: BTreeMap<&str, Row> = BTreeMap::new();
        for (n, (file, row)) in changes.iter().enumerate() {
            put(&mut kept, FILES[*file], row.as_ref());
            match row {
                Some(row) => now.insert(FILES[*file], row.clone()),
                None => now.remove(FILES[*file]),
            };
            if n % every == 0 || n + 1 == changes.len() {
                let document = HostedDocument::new(kept, Some(n as u64)).unwrap();
                let mut fresh = bed.rows(patches.clone());
                for (file, row) in &now {
                    put(&mut fresh, file, Some(row));
                }
                prop_assert_eq!(document.rows().has_any(), !now.is_empty());
                let fresh = HostedDocument::new(fresh, Some(n as u64)).unwrap();
                prop_assert_eq!(told(&document), told(&fresh));
                kept = document.into_rows();
            }
        }
    }
}

#[test]
fn what_changed_on_the_disk_makes_no_index() {
    let bed = Bed::new();
    let mut rows = bed.rows(None);
    for file in FILES {
        put(&mut rows, file, Some(&Row::Offered { size: 2, yanked: file.starts_with("a-2") }));
    }
    let document = HostedDocument::new(rows, None).unwrap();
    let before = told(&document);
    let path = document.rows().dir().join("texts");
    let texts = std::fs::File::options().write(true).open(path).unwrap();
    texts.write_all_at(b"\x08", 100).unwrap();
    let mut text = Vec::new();
    let error = document.open().unwrap().read_to_end(&mut text).unwrap_err();
    assert_eq!(error.to_string(), "a record that was kept for the next index has changed on the disk");
    let mut rows = document.into_rows();
    assert!(rows.remove(FILES[0]).is_err(), "{before:?}");
}

#[test]
fn patches_are_part_of_what_rows_are() {
    let (bed, with) = (Bed::new(), patches());
    assert!(bed.rows(Some(with.clone())).is_with(Some(&with)) && !bed.rows(None).is_with(Some(&with)));
    let digest = |patches| HostedDocument::new(bed.rows(patches), None).unwrap().digest();
    assert_ne!(digest(None), digest(Some(with)));
}
