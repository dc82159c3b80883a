//! Conditional requests and ranges on every kind of file, cold and warm.

use crate::harness::{Answer, Channel, Request, Stage, package};

const FILES: [&str; 5] = [
    "alpha-1.0-0.conda",
    "repodata.json",
    "repodata.json.zst",
    "repodata.json.bz2",
    "repodata_shards.msgpack.zst",
];

fn cold_stage() -> Stage {
    let stage =
        Stage::new(Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(200_000)).sharded());
    stage.know_index();
    stage
}

fn stage() -> Stage {
    let stage = cold_stage();
    stage.gate.settle(&stage.channel.path("alpha"));
    stage
}

fn ask(stage: &Stage, file: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::get(&stage.channel.at("noarch", file));
    stage.gate.ask(&headers.iter().fold(request, |r, (name, value)| r.header(name, value)))
}

#[test]
fn each_representation_has_an_etag_of_its_own() {
    let stage = stage();
    let mut etags = std::collections::HashMap::new();
    let files = [&FILES[..], &["current_repodata.json", "run_exports.json", "run_exports.json.zst"]].concat();
    for file in files {
        let answer = ask(&stage, file, &[]);
        let etag = answer.must("etag").to_owned();
        assert!(!etag.starts_with("W/"), "{file}: {etag}");
        answer.must("last-modified");
        answer.expect(200);
        assert_eq!(etags.insert(etag, file), None, "{file} shares its ETag");
    }
}

#[test]
fn the_etag_of_the_json_never_makes_the_zst_not_modified() {
    let stage = stage();
    let json = ask(&stage, "repodata.json", &[]).must("etag").to_owned();
    for other in
        ["repodata.json.zst", "repodata.json.bz2", "repodata_shards.msgpack.zst", "current_repodata.json"]
    {
        ask(&stage, other, &[("If-None-Match", &json)]).expect(200);
    }
}

#[test]
fn if_none_match_and_if_modified_since() {
    let stage = stage();
    for file in FILES {
        let full = ask(&stage, file, &[]);
        let (etag, date) = (full.must("etag").to_owned(), full.must("last-modified").to_owned());
        let list = format!("\"other\", {etag}, \"more\"");
        let weak = format!("W/{etag}");
        let not_modified: [&[(&str, &str)]; 6] = [
            &[("If-None-Match", &etag)],
            &[("If-None-Match", &list)],
            &[("If-None-Match", &weak)],
            &[("If-None-Match", "*")],
            &[("If-Modified-Since", &date)],
            &[("If-None-Match", &etag), ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")],
        ];
        for headers in not_modified {
            let answer = ask(&stage, file, headers);
            assert_eq!(answer.status, 304, "{file} {headers:?}");
            assert_eq!(answer.must("etag"), etag, "{file} {headers:?}");
            assert_eq!(answer.header("cache-control"), full.header("cache-control"), "{file}");
            answer.must("date");
            assert!(answer.body.is_empty());
        }
        let modified: [&[(&str, &str)]; 4] = [
            &[("If-None-Match", "\"other\"")],
            &[("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")],
            &[("If-Modified-Since", "yesterday")],
            &[("If-None-Match", "\"other\""), ("If-Modified-Since", &date)],
        ];
        for headers in modified {
            ask(&stage, file, headers).expect(200);
        }
    }
}

#[test]
fn single_ranges_in_all_three_forms() {
    let stage = stage();
    for file in FILES {
        let full = ask(&stage, file, &[]).expect(200);
        let len = full.len();
        let suffix = 65_536.min(len);
        let cases = [
            ("bytes=3-9".to_owned(), 3..10),
            ("bytes=5-".to_owned(), 5..len),
            ("bytes=0-".to_owned(), 0..len),
            ("bytes=-65536".to_owned(), len - suffix..len),
            (format!("bytes={}-", len - 1), len - 1..len),
            (format!("bytes=0-{}", len + 1000), 0..len),
        ];
        for (range, expected) in cases {
            let answer = ask(&stage, file, &[("Range", &range)]);
            let content_range = format!("bytes {}-{}/{len}", expected.start, expected.end - 1);
            assert_eq!(answer.must("content-range"), content_range, "{file} {range}");
            assert!(answer.expect(206) == full[expected], "{file} {range}");
        }
    }
}

#[test]
fn ranges_beyond_the_end_are_416() {
    let stage = stage();
    for file in FILES {
        let len = ask(&stage, file, &[]).expect(200).len();
        for range in
            [format!("bytes={len}-"), format!("bytes={}-{}", len + 5, len + 9), "bytes=-0".to_owned()]
        {
            let answer = ask(&stage, file, &[("Range", &range)]);
            assert_eq!(answer.status, 416, "{file} {range}");
            assert_eq!(answer.must("content-range"), format!("bytes */{len}"), "{file} {range}");
        }
    }
    stage.fetch("alpha");
}

#[test]
fn a_range_beyond_the_end_of_a_cold_file_is_416_too() {
    let stage = cold_stage();
    let answer = ask(&stage, "alpha-1.0-0.conda", &[("Range", "bytes=99999999-")]);
    assert_eq!(answer.status, 416);
    stage.fetch("alpha");
}

#[test]
fn what_is_no_single_byte_range_is_answered_whole() {
    let stage = stage();
    let full = ask(&stage, "alpha-1.0-0.conda", &[]).expect(200);
    for range in ["bytes=0-1,5-9", "bytes=", "bytes=9-3", "bytes=a-b", "lines=0-5", "bytes=--5", "bytes"] {
        assert_eq!(ask(&stage, "alpha-1.0-0.conda", &[("Range", range)]).expect(200), full, "{range}");
    }
}

#[test]
fn if_range_is_strong() {
    let stage = stage();
    for file in FILES {
        let full = ask(&stage, file, &[]);
        let (etag, date) = (full.must("etag").to_owned(), full.must("last-modified").to_owned());
        let full = full.expect(200);
        for good in [&etag, &date] {
            let part = ask(&stage, file, &[("Range", "bytes=1-2"), ("If-Range", good)]);
            assert_eq!(part.expect(206), full[1..3], "{file} {good}");
        }
        for bad in ["\"other\"", &format!("W/{etag}"), "Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert_eq!(
                ask(&stage, file, &[("Range", "bytes=1-2"), ("If-Range", bad)]).expect(200),
                full,
                "{bad}"
            );
        }
    }
}

#[test]
fn a_head_with_a_range_has_no_body_and_no_surprise() {
    let stage = stage();
    stage.fetch("alpha");
    let path = stage.channel.path("alpha");
    let head = stage.gate.ask(&Request::head(&path).header("Range", "bytes=0-9"));
    assert!([200, 206].contains(&head.status), "{head:?}");
    assert!(head.body.is_empty());
}

#[test]
fn an_interrupted_download_resumes_with_the_same_etag() {
    let stage = cold_stage();
    let path = stage.channel.path("alpha");
    let mut first = Request::get(&path).begin(stage.gate.address());
    let head = first.head();
    let begun = first.exactly(50_000);
    drop(first);
    let rest = stage
        .gate
        .ask(&Request::get(&path).header("Range", "bytes=50000-").header("If-Range", head.must("etag")));
    assert_eq!(rest.must("etag"), head.must("etag"));
    assert!([begun, rest.expect(206)].concat() == stage.channel.get("alpha").bytes);
}
