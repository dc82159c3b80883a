//! Reading answers, by table.

use ::http::StatusCode;
use ::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::super::answer::{Coding, Fault, Shape, content_range, judge};
use super::*;

type Pairs<'a> = &'a [(&'static str, &'a str)];
/// `None`: no pause; `Some(None)`: one of unsaid length.
type Pause = Option<Option<Duration>>;

fn headers(pairs: Pairs<'_>) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
    };
    pairs.iter().map(pair).collect()
}

fn judged(status: u16, pairs: Pairs<'_>, request: &FetchRequest) -> Result<Shape, Fault> {
    let status = StatusCode::from_u16(status).expect("a status");
    judge(status, &mut headers(pairs), request, "m", START)
}

fn is_bad(outcome: &Result<Shape, Fault>) -> bool {
    matches!(outcome, Err(Fault::Error(FetchError::BadAnswer { .. })))
}

#[test]
fn answers_must_fit_what_was_asked() {
    let plain = get("x");
    let part = FetchRequest { range_from: Some(5), ..get("x") };
    let same = FetchRequest { if_none_match: Some("\"a\"".into()), ..get("x") };
    let since = FetchRequest { if_modified_since: Some("now".into()), ..get("x") };
    let cases: [(u16, Pairs<'_>, &FetchRequest, bool); 20] = [
        (200, &[], &plain, true),
        (200, &[], &part, true),
        (206, &[("content-range", "bytes 5-9/10")], &part, true),
        (206, &[("content-range", "bytes 5-9/*")], &part, true),
        (206, &[("content-range", "bytes 5-7/10")], &part, true),
        (206, &[("content-range", "bytes 5-9/10"), ("content-length", "5")], &part, true),
        (206, &[("content-range", "bytes 5-9/10"), ("content-length", "4")], &part, false),
        (206, &[("content-range", "bytes 4-9/10")], &part, false),
        (206, &[("content-range", "bytes 0-9/10")], &part, false),
        (206, &[("content-type", "multipart/byteranges; boundary=x")], &part, false),
        (206, &[], &part, false),
        (206, &[("content-range", "bytes 0-9/10")], &plain, false),
        (304, &[], &plain, false),
        (304, &[], &same, true),
        (304, &[], &since, true),
        (304, &[], &part, false),
        (416, &[], &part, true),
        (416, &[], &plain, false),
        (404, &[("content-encoding", "br")], &plain, true),
        (200, &[("content-encoding", "br")], &plain, false),
    ];
    for (n, (status, pairs, request, good)) in cases.into_iter().enumerate() {
        let outcome = judged(status, pairs, request);
        assert_eq!((outcome.is_ok(), is_bad(&outcome)), (good, !good), "case {n}: {outcome:?}");
    }
}

#[test]
fn content_ranges() {
    let read = |value: &str| content_range(&headers(&[("content-range", value)]));
    let range = |range, total| Some(ContentRange { range, total });
    assert_eq!(read("bytes 0-0/1"), range(0..=0, Some(1)));
    assert_eq!(read("Bytes 5-9/*"), range(5..=9, None));
    let bad = [
        "",
        "bytes",
        "bytes */10",
        "bytes 5-4/10",
        "bytes 0-10/10",
        "bytes 0-18446744073709551615/*",
        "items 0-1/2",
        "bytes +0-1/2",
        "bytes 0-1",
        "bytes 0-1/",
        "bytes a-b/c",
        "bytes 0-99999999999999999999/*",
        "bytes -1/2",
    ];
    for value in bad {
        assert_eq!(read(value), None, "{value}");
    }
}

#[test]
fn pauses() {
    let date = |seconds: i64| crate::http::date::format(UnixMillis(START.0 + seconds * 1000));
    let (later, earlier) = (date(90), date(-90));
    let secs = |n| Some(Duration::from_secs(n));
    let cases: [(u16, Option<&str>, Pause); 9] = [
        (429, None, Some(None)),
        (429, Some("120"), Some(secs(120))),
        (429, Some(" 0 "), Some(secs(0))),
        (429, Some("99999999999999999999999"), Some(secs(u64::MAX / 1000))),
        (429, Some("soon"), Some(None)),
        (429, Some(&later), Some(secs(90))),
        (503, Some(&earlier), Some(secs(0))),
        (503, Some("soon"), None),
        (503, None, None),
    ];
    for (status, value, expected) in cases {
        let pairs: Vec<_> = value.map(|v| ("retry-after", v)).into_iter().collect();
        let rest = match judged(status, &pairs, &get("x")) {
            Err(Fault::Rest(rest)) => Some(rest),
            Err(Fault::Error(FetchError::Status { .. })) => None,
            other => panic!("{status} {value:?}: {other:?}"),
        };
        assert_eq!(rest, expected, "{status} {value:?}");
    }
}

#[test]
fn codings() {
    let cases: [(&str, &str, Option<Option<Coding>>); 11] = [
        ("a.json", "identity", Some(None)),
        ("a.json", "gzip", Some(Some(Coding::Gzip))),
        ("a.conda", "X-GZIP", Some(Some(Coding::Gzip))),
        ("a.json", "zstd", Some(Some(Coding::Zstd))),
        ("a.json", "identity, gzip", Some(Some(Coding::Gzip))),
        ("a.json", "gzip, gzip", None),
        ("a.json", "deflate", None),
        ("a.json.zst", "zstd", Some(None)),
        ("a.json.zst", "gzip", Some(Some(Coding::Gzip))),
        ("a.tar.gz", "gzip", Some(None)),
        ("a.tar.bz2", "x-bzip2", Some(None)),
    ];
    for (path, value, expected) in cases {
        let outcome = judged(200, &[("content-encoding", value)], &get(path));
        match expected {
            Some(coding) => assert_eq!(outcome.expect("usable").coding, coding, "{path} {value}"),
            None => assert!(is_bad(&outcome), "{path} {value}"),
        }
    }
    let part = FetchRequest { range_from: Some(0), ..get("x") };
    assert!(is_bad(&judged(206, &[("content-encoding", "gzip"), ("content-range", "bytes 0-1/2")], &part)));
}

#[test]
fn headers_of_the_hop_end_here() {
    let mut all = headers(&[
        ("connection", "close, x-mine, content-length"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "__cf_bm=secret"),
        ("content-length", "7"),
        ("etag", "\"a\""),
        ("x-kept", "1"),
    ]);
    let shape = judge(StatusCode::OK, &mut all, &get("x"), "m", START).expect("usable");
    assert_eq!(shape, Shape { length: Some(7), coding: None });
    let mut names: Vec<_> = all.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "etag", "x-kept"]);
}

#[test]
fn decoded_answers_lose_what_no_longer_holds() {
    for (etag, weak) in [("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\"")] {
        let pairs = [
            ("content-encoding", "gzip"),
            ("content-length", "7"),
            ("accept-ranges", "bytes"),
            ("etag", etag),
        ];
        let mut all = headers(&pairs);
        let shape = judge(StatusCode::OK, &mut all, &get("x"), "m", START).expect("usable");
        assert_eq!(shape, Shape { length: None, coding: Some(Coding::Gzip) });
        assert_eq!(all, headers(&[("etag", weak)]));
    }
}
