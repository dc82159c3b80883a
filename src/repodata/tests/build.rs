//! What a build makes of good, odd and bad documents.

use sha2::Digest as _;

use super::*;
use crate::conda::digest::{Md5, Sha256};
use crate::repodata::build::build_empty;
use crate::repodata::scan::{Flaw, ScanLimits};

fn built_files(built: &Built) -> Vec<String> {
    built.manifest().files.keys().cloned().collect()
}

fn staged(built: &Built, name: &str) -> Vec<u8> {
    let bytes = fs::read(built.dir().join(name)).unwrap();
    let entry = &built.manifest().files[name];
    assert_eq!((entry.len, &entry.sha256), (bytes.len() as u64, &hex::encode(sha2::Sha256::digest(&bytes))));
    bytes
}

#[test]
fn upstreams_own_bytes_pass_untouched() {
    for subdir in ["noarch", "linux-64"] {
        let bench = Bench::of(subdir);
        let json = fixture(&format!("{subdir}/repodata.json"));
        let zst = fixture(&format!("{subdir}/repodata.json.zst"));
        let bz2 = fixture(&format!("{subdir}/repodata.json.bz2"));
        for (packing, raw) in [(Packing::Json, &json), (Packing::Zst, &zst), (Packing::Bz2, &bz2)] {
            let built = bench.build(raw, packing).unwrap();
            let names = [
                "packages.table",
                "repodata.json",
                "repodata.json.bz2",
                "repodata.json.zst",
                "repodata.json.zst.map",
                "withheld.json",
            ]
            .map(str::to_owned);
            assert_eq!(built_files(&built), names);
            assert!(!built.manifest().report.edited);
            assert_eq!(staged(&built, "repodata.json"), json);
            assert_eq!(staged(&built, "repodata.json.zst") == zst, packing == Packing::Zst);
            assert!(staged(&built, "repodata.json.bz2") == bz2 || packing == Packing::Json);
            assert_eq!(unzst(&staged(&built, "repodata.json.zst")), json);
            assert_eq!(unbz2(&staged(&built, "repodata.json.bz2")), json);
        }
    }
}

#[test]
fn the_table_has_every_record_of_a_real_document() {
    let bench = Bench::new();
    let json = fixture("noarch/repodata.json");
    let generation = bench.store.publish(bench.build(&json, Packing::Json).unwrap()).unwrap();
    let tree: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let mut count = 0;
    for group in ["packages", "packages.conda"] {
        for (file, record) in tree[group].as_object().unwrap() {
            let found = generation.lookup(file).unwrap();
            assert_eq!(found.sha256, Sha256::from_hex(record["sha256"].as_str().unwrap()));
            assert_eq!(found.md5, Md5::from_hex(record["md5"].as_str().unwrap()));
            assert_eq!(found.size, record["size"].as_u64());
            let entry = generation.table().find(file).unwrap();
            assert_eq!(entry.name, record["name"].as_str());
            let at = usize::try_from(entry.record.0).unwrap();
            let raw = &json[at..at + entry.record.1 as usize];
            assert_eq!(&serde_json::from_slice::<serde_json::Value>(raw).unwrap(), record);
            count += 1;
        }
    }
    assert_eq!(generation.table().len(), count);
    assert_eq!(generation.lookup("absent-1-0.conda"), None);
}

#[test]
fn etags_differ_between_documents_and_contents() {
    let bench = Bench::new();
    let mut tags = std::collections::HashSet::new();
    for content in [document(&record("a", 1)), document(&record("a", 2))] {
        let generation = bench.publish(&content);
        for file in [JSON, ZST, BZ2] {
            let variant = generation.variant(file).unwrap();
            assert!(variant.etag.starts_with('"') && variant.etag.ends_with('"') && variant.etag.len() > 34);
            assert_eq!(variant.last_modified, UnixMillis(1_699_833_600_000));
            assert!(tags.insert(variant.etag.to_string()));
        }
    }
    let again = bench.publish(&document(&record("a", 1)));
    assert!(!tags.insert(again.variant(JSON).unwrap().etag.to_string()), "the same content has the same tag");
}

#[test]
fn what_is_edited() {
    for (before, after) in [
        (
            r#"{"info":{"subdir":"noarch","base_url":"https://evil.example/x"},"packages":{},"repodata_version":2}"#,
            r#"{"info":{"subdir":"noarch"},"packages":{},"repodata_version":1}"#,
        ),
        (
            r#"{ "packages" : {} , "repodata_version":1 }"#,
            r#"{ "packages" : {} , "repodata_version":1 ,"info":{"subdir":"noarch"}}"#,
        ),
        (
            r#"{"info":{"subdir":"noarch"},"packages":{ "..":{}, "a-1-0.conda":{"name":"a"} , "/x":{},"b-1-0.conda":{"size":"5"},"c-1-0.conda":{"name":"c"} }}"#,
            r#"{"info":{"subdir":"noarch"},"packages":{ "a-1-0.conda":{"name":"a"},"c-1-0.conda":{"name":"c"} }}"#,
        ),
        (
            r#"{"info":{"subdir":"noarch"},"packages":{},"v3":{"whl":{"a":{"url":"https://h/a.whl"},"b":{"name":"b","url":"b.whl"}}}}"#,
            r#"{"info":{"subdir":"noarch"},"packages":{},"v3":{"whl":{"b":{"name":"b","url":"b.whl"}}}}"#,
        ),
    ] {
        let (before, after) = (whole(before), whole(after));
        let bench = Bench::new();
        let raw = zstd::encode_all(before.as_bytes(), 1).unwrap();
        let built = bench.build(&raw, Packing::Zst).unwrap();
        assert!(built.manifest().report.edited);
        assert_eq!(String::from_utf8(staged(&built, "repodata.json")).unwrap(), after);
        assert_eq!(unzst(&staged(&built, "repodata.json.zst")), after.as_bytes(), "packed again");
        assert_eq!(unbz2(&staged(&built, "repodata.json.bz2")), after.as_bytes());
    }
}

#[test]
fn flaws_are_counted_and_unlisted_names_pass() {
    let bench = Bench::new();
    let built = bench
        .build(
            whole(
                r#"{"info":{"subdir":"noarch"},"packages":{"..":{},"a":{"size":[]},"odd name.zip":{"name":"o"},"x-1-0.conda":{"name":"x"},
                "x-1-0.conda":{"name":"x","size":1},"y-1-0.conda":{"name":"y","depends":1},"z-1-0.conda":{}}}"#,
            )
            .as_bytes(),
            Packing::Json,
        )
        .unwrap();
    let report = &built.manifest().report;
    let once = [Flaw::UnsafeName, Flaw::BadSize, Flaw::RepeatedFile, Flaw::WrongType, Flaw::NoName];
    assert_eq!(report.dropped, once.map(|flaw| (flaw, 1)).into());
    assert_eq!((report.records, report.files, report.unlisted, report.conflicts), (2, 1, 1, 0));
}

#[test]
fn several_members_become_one() {
    let json = document(&record("a", 1));
    let (head, tail) = json.as_bytes().split_at(30);
    let two = |pack: &dyn Fn(&[u8]) -> Vec<u8>| [pack(head), pack(tail)].concat();
    let bench = Bench::new();
    let zst = two(&|part| zstd::encode_all(part, 3).unwrap());
    let bz2 = two(&|part| {
        let mut packed = Vec::new();
        std::io::Read::read_to_end(
            &mut bzip2::read::BzEncoder::new(part, bzip2::Compression::best()),
            &mut packed,
        )
        .unwrap();
        packed
    });
    for (raw, packing) in [(zst, Packing::Zst), (bz2, Packing::Bz2)] {
        let built = bench.build(&raw, packing).unwrap();
        assert_eq!(staged(&built, "repodata.json"), json.as_bytes());
        let packed = staged(&built, "repodata.json.zst");
        let first = zstd::zstd_safe::find_frame_compressed_size(&packed).unwrap();
        assert_eq!(first, packed.len(), "one frame");
        let size = zstd::zstd_safe::get_frame_content_size(&packed).unwrap();
        assert_eq!(size, Some(json.len() as u64), "and it says how much comes out");
        let mut first = bzip2::read::BzDecoder::new(&staged(&built, "repodata.json.bz2")[..]).total_out();
        assert_eq!(first, 0);
        let packed = staged(&built, "repodata.json.bz2");
        let mut decoder = bzip2::read::BzDecoder::new(&packed[..]);
        first += std::io::copy(&mut decoder, &mut std::io::sink()).unwrap();
        assert_eq!(first, json.len() as u64, "one stream");
    }
}

/// Documents that must be refused, and what the refusal must say.
fn bad_documents() -> Vec<(Vec<u8>, Packing, &'static str)> {
    let good = document(&record("a", 1)).into_bytes();
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 5);
        bytes
    };
    let mut flipped = zst(&good);
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xFF;
    let deep = format!("{{\"packages\":{{}},\"x\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let long = format!("{{\"packages\":{{\"a-1-0.conda\":{{\"x\":\"{}\"}}}}}}", "y".repeat(3 << 20));
    let many = document(&(0..101).map(|n| record(&format!("p{n}"), n)).collect::<Vec<_>>().join(","));
    let bz2 = fixture("noarch/repodata.json.bz2");
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        (text("<!DOCTYPE html><title>Sign in"), Packing::Json, "HTML"),
        (text("<html>"), Packing::Zst, "zstd data is broken"),
        (text("<html>"), Packing::Bz2, "bzip2 data is broken"),
        (zst(b"<html>"), Packing::Zst, "HTML"),
        (text(""), Packing::Json, "empty"),
        (text(""), Packing::Zst, "empty"),
        (text(""), Packing::Bz2, "empty"),
        (cut(good.clone()), Packing::Json, "cut"),
        (cut(zst(&good)), Packing::Zst, "cut"),
        (flipped, Packing::Zst, "zstd data is broken"),
        (zst(&cut(good)), Packing::Zst, "cut"),
        (cut(bz2), Packing::Bz2, "cut"),
        (text(r#"{"error":"not found"}"#), Packing::Json, "without `packages`"),
        (text(r#"{"packages":{},"info":{"subdir":"linux-64"}}"#), Packing::Json, "`linux-64`"),
        (text(r#"{"packages":{},"info":{"subdir":5}}"#), Packing::Json, "not a string"),
        (text(r#"{"packages":{},"repodata_version":3}"#), Packing::Json, "is 3"),
        (text(r#"{"packages":{},"packages":{}}"#), Packing::Json, "twice"),
        (text(r#"{"packages":{}}}"#), Packing::Json, "at byte 15"),
        (deep.into_bytes(), Packing::Json, "nesting"),
        (long.into_bytes(), Packing::Json, "a record of more bytes"),
        (zst(&vec![b' '; 4 << 20]), Packing::Zst, "decompression bomb"),
        (vec![b' '; 9 << 20], Packing::Json, "the largest index"),
        (many.into_bytes(), Packing::Json, "more than 100 records"),
    ]
}

#[test]
fn bad_documents_are_refused_and_leave_nothing() {
    let bench = Bench::new();
    let scan = ScanLimits { record: 1 << 20, ..ScanLimits::default() };
    let limits = Limits { scan, records: 100, ..small_limits() };
    for (raw, packing, sentence) in bad_documents() {
        let error = bench.build_with(&raw, packing, limits).unwrap_err();
        assert!(error.to_string().contains(sentence), "{sentence}: {error}");
        assert!(error.is_upstreams_fault(), "{error}");
        assert_eq!(bench.left_behind(), 0, "{sentence}");
    }
    assert!(bench.current().is_none());
}

#[test]
fn the_size_limit_counts_decoded_bytes() {
    let bench = Bench::new();
    let mut text = document("").into_bytes();
    // Random-looking, so that the ratio is honest and only the absolute limit can stop it.
    let mut state = 1u64;
    let noise: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{state:016x}")
    })
    .take((8 << 20) / 16)
    .collect();
    text.truncate(text.len() - 1);
    text.extend(format!(",\"x\":\"{noise}\"}}").bytes());
    let error = bench.build(&zstd::encode_all(&text[..], 1).unwrap(), Packing::Zst).unwrap_err();
    assert!(matches!(error, BuildError::TooLarge { limit, .. } if limit == 8 << 20), "{error}");
}

#[test]
fn trouble_with_the_own_disk_is_not_upstreams_fault() {
    let bench = Bench::new();
    let raw = Identity { path: "/nonexistent/raw".into(), ..Identity::default() };
    let error = bench.build_of(&raw, Packing::Json, small_limits()).unwrap_err();
    assert!(matches!(error, BuildError::Io { action: "open", .. }) && !error.is_upstreams_fault());
}

#[test]
fn an_empty_index_is_one() {
    let bench = Bench::new();
    let built = build_empty(&bench.channel, &bench.subdir, 3, bench.now, &bench.store.staging()).unwrap();
    let generation = bench.store.publish(built).unwrap();
    let text = body(&generation, JSON);
    let tree: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(tree["info"]["subdir"], "noarch");
    assert_eq!((unzst(&body(&generation, ZST)), unbz2(&body(&generation, BZ2))), (text.clone(), text));
    assert!(generation.table().is_empty() && generation.manifest().source.is_none());
}

#[test]
fn an_absolute_url_leaves_a_classic_record_and_nothing_else() {
    let bench = Bench::of("noarch");
    let members = [
        (r#"{"url":"https://h.example/a","name":"a"}"#, r#"{"name":"a"}"#),
        (r#"{"name":"a", "url" : "https://h.example/a" }"#, r#"{"name":"a" }"#),
        (r#"{"name":"a","url":"\/\/h.example/a"}"#, r#"{"name":"a"}"#),
        (r#"{"name":"a","url":"a-1-0.conda","x":1}"#, r#"{"name":"a","url":"a-1-0.conda","x":1}"#),
    ];
    for (before, after) in members {
        let (before, after) = (&*whole(before), &*whole(after));
        let document = |record: &str| {
            format!(
                r#"{{"info":{{"subdir":"noarch"}},"packages":{{}},"packages.conda":{{"a-1-0.conda":{record},"b-1-0.conda":{record}}}}}"#
            )
        };
        let built = bench.build(document(before).as_bytes(), Packing::Json).unwrap();
        assert_eq!(String::from_utf8(staged(&built, "repodata.json")).unwrap(), document(after));
        assert_eq!(built.manifest().report.edited, before != after);
        let generation = bench.store.publish(built).unwrap();
        let entry = generation.table().find("b-1-0.conda").unwrap();
        let at = usize::try_from(entry.record.0).unwrap();
        assert_eq!(&document(after)[at..at + entry.record.1 as usize], after);
    }
}
