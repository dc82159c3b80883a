//! Documents that join a generation later.

use super::*;
use crate::repodata::attach::Attach;

fn attach(
    bench: &Bench,
    generation: &Generation,
    file: IndexFile,
    raw: &[u8],
    packing: Packing,
) -> Result<(), BuildError> {
    let raw = bench.raw(raw);
    let request = Attach { file, raw: &raw, packing, modified_at: None, limits: small_limits() };
    let result = bench.store.attach(generation, &request);
    assert_eq!(bench.left_behind(), 0);
    result
}

fn fixture_generation(bench: &Bench) -> std::sync::Arc<Generation> {
    bench.store.publish(bench.build(&fixture("noarch/repodata.json.zst"), Packing::Zst).unwrap()).unwrap()
}

#[test]
fn real_documents_join_and_stay() {
    let bench = Bench::new();
    let generation = fixture_generation(&bench);
    let exports = IndexFile::RunExports(Packing::Zst);
    let original = IndexFile::FromPackages(Packing::Bz2);
    assert!(generation.variant(exports).is_none());
    let zst = fixture("noarch/run_exports.json.zst");
    attach(&bench, &generation, exports, &zst, Packing::Zst).unwrap();
    let bz2 = fixture("noarch/repodata_from_packages.json.bz2");
    attach(&bench, &generation, original, &bz2, Packing::Bz2).unwrap();
    let bench = bench.reopen();
    for generation in [generation, bench.current().unwrap()] {
        assert_eq!(body(&generation, exports), zst);
        assert_eq!(body(&generation, IndexFile::RunExports(Packing::Json)), unzst(&zst));
        assert_eq!(body(&generation, original), bz2);
        let tags: std::collections::HashSet<_> = crate::repodata::names::DOCUMENTS
            .iter()
            .filter_map(|(file, _)| generation.variant(*file))
            .map(|variant| variant.etag.to_string())
            .collect();
        assert_eq!(tags.len(), 9, "every document has a tag of its own");
    }
}

#[test]
fn attached_documents_are_edited_too() {
    let bench = Bench::new();
    let generation = bench.publish(&document(&record("a", 1)));
    let file = IndexFile::FromPackages(Packing::Json);
    let raw = br#"{"info":{"subdir":"noarch","base_url":"https://h/"},"packages":{"../x":{}},"repodata_version":2}"#;
    attach(&bench, &generation, file, raw, Packing::Json).unwrap();
    assert_eq!(
        body(&generation, file),
        br#"{"info":{"subdir":"noarch"},"packages":{},"repodata_version":1}"#
    );
    let wrong = br#"{"info":{"subdir":"linux-64"},"packages":{}}"#;
    let error =
        attach(&bench, &generation, IndexFile::RunExports(Packing::Json), wrong, Packing::Json).unwrap_err();
    assert!(matches!(error, BuildError::NotThisSubdir { .. }));
}

#[test]
fn what_was_attached_first_stays() {
    let bench = Bench::new();
    let generation = bench.publish(&document(&record("a", 1)));
    let file = IndexFile::FromPackages(Packing::Json);
    attach(&bench, &generation, file, document(&record("a", 1)).as_bytes(), Packing::Json).unwrap();
    attach(&bench, &generation, file, document("").as_bytes(), Packing::Json).unwrap();
    assert_eq!(body(&generation, file), document(&record("a", 1)).as_bytes());
}

#[test]
fn patch_instructions_are_any_json_object() {
    let bench = Bench::new();
    let generation = bench.publish(&document(""));
    let file = IndexFile::PatchInstructions;
    assert!(attach(&bench, &generation, file, b"<html>", Packing::Json).is_err());
    assert!(attach(&bench, &generation, file, b"{\"packages\":", Packing::Json).is_err());
    let text = br#"{"packages":[1,{"a":null}],"packages":{},"info":5}"#;
    attach(&bench, &generation, file, text, Packing::Json).unwrap();
    assert_eq!(body(&generation, file), text);
}

#[test]
fn an_own_bz2_must_be_the_same_document_in_one_stream() {
    let bench = Bench::new();
    let generation = fixture_generation(&bench);
    // As in a generation that is too big for one of its own.
    fs::remove_file(&generation.variant(BZ2).unwrap().path).unwrap();
    let manifest = bench.place().join(generation.id()).join("manifest.json");
    let mut tree: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    tree["files"].as_object_mut().unwrap().remove("repodata.json.bz2");
    fs::write(&manifest, tree.to_string()).unwrap();
    let bench = bench.reopen();
    let generation = bench.current().unwrap();
    assert!(generation.variant(BZ2).is_none());
    let other = fixture("linux-64/repodata.json.bz2");
    assert!(matches!(
        attach(&bench, &generation, BZ2, &other, Packing::Bz2),
        Err(BuildError::Disagrees { .. })
    ));
    assert!(matches!(attach(&bench, &generation, BZ2, b"BZh", Packing::Bz2), Err(BuildError::Packed { .. })));
    let own = fixture("noarch/repodata.json.bz2");
    attach(&bench, &generation, BZ2, &own, Packing::Bz2).unwrap();
    assert_eq!(body(&generation, BZ2), own);
    for file in [JSON, ZST, IndexFile::Current(Packing::Json), IndexFile::ShardIndex] {
        let error = attach(&bench, &generation, file, &own, Packing::Bz2).unwrap_err();
        assert!(matches!(error, BuildError::NotAttachable { .. }));
    }
}
