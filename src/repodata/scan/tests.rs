//! The scanner against serde_json, in random pieces; and everything it must refuse.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

type Judged = Result<(String, Option<String>, crate::conda::digest::Expected), Flaw>;

/// Everything a document gave, owned.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    bytes: Vec<u8>,
    info: Vec<String>,
    version: Vec<String>,
    removed: Vec<String>,
    records: Vec<(Group, String, Value)>,
    good: Vec<Judged>,
    closed: usize,
}

impl Sink for Seen {
    type Error = ScanError;

    fn raw(&mut self, bytes: &[u8]) -> Result<(), ScanError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
    fn info(&mut self, value: &[u8]) -> Result<(), ScanError> {
        self.info.push(String::from_utf8_lossy(value).into_owned());
        self.raw(value)
    }
    fn version(&mut self, value: &[u8]) -> Result<(), ScanError> {
        self.version.push(String::from_utf8_lossy(value).into_owned());
        self.raw(value)
    }
    fn removed(&mut self, value: &[u8]) -> Result<(), ScanError> {
        self.removed.push(String::from_utf8_lossy(value).into_owned());
        self.raw(value)
    }
    fn record(&mut self, record: &Record<'_>) -> Result<(), ScanError> {
        let key = text::unescape(record.raw_key()).unwrap_or_default().into_owned();
        let value = serde_json::from_slice(record.value()).unwrap_or(Value::Null);
        self.records.push((record.group(), key, value));
        self.good.push(record.judge().map(|good| {
            (good.file.into_owned(), good.name.map(std::borrow::Cow::into_owned), good.expected)
        }));
        self.raw(record.whole())
    }
    fn closing(&mut self) -> Result<(), ScanError> {
        self.closed += 1;
        Ok(())
    }
}

/// Scans `text` cut at `cuts` (taken modulo its length).
fn scan_cut(text: &[u8], cuts: &[usize], limits: ScanLimits) -> Result<Seen, ScanError> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    let mut seen = Seen::default();
    let mut scanner = Scanner::new(Shape::Records, limits);
    for pair in places.windows(2) {
        scanner.feed(&text[pair[0]..pair[1]], &mut seen)?;
    }
    scanner.finish()?;
    Ok(seen)
}

fn scan(text: &[u8]) -> Result<Seen, ScanError> {
    let whole = scan_cut(text, &[], ScanLimits::default());
    let by_byte = scan_cut(text, &(0..text.len()).collect::<Vec<_>>(), ScanLimits::default());
    assert_eq!(whole, by_byte, "the same in one piece and byte by byte");
    whole
}

fn any_json(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_000i32..1_000_000).prop_map(|n| Value::from(f64::from(n) / 8.0)),
        ".{0,12}".prop_map(Value::from),
        "[\\\\\"/a\u{e9}\u{1f600}\\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..5)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn any_record() -> impl Strategy<Value = Value> {
    let hex = |n: usize| proptest::string::string_regex(&format!("[0-9a-f]{{{n}}}")).unwrap();
    let fields = (prop::option::of(hex(64)), prop::option::of(hex(32)), prop::option::of(0u64..1 << 40));
    (any_json(2), fields, "[a-z]{1,5}").prop_map(|(extra, (sha256, md5, size), name)| {
        let mut record = json!({"depends": extra, "name": name, "sha256": sha256});
        if let Some(md5) = md5 {
            record["md5"] = md5.into();
        }
        if let Some(size) = size {
            record["size"] = size.into();
        }
        record
    })
}

fn any_group() -> impl Strategy<Value = Value> {
    prop::collection::vec(("[a-z]{1,6}-[0-9]-[a-z0-9]{1,3}\\.conda", any_record()), 0..6)
        .prop_map(|records| Value::Object(records.into_iter().collect()))
}

/// Documents with their keys in any order, some of them missing, some unknown.
fn any_document() -> impl Strategy<Value = Value> {
    let members = (
        any_group(),
        prop::option::of(any_group()),
        prop::option::of(any_json(2)),
        prop::option::of(any_group()),
        any_json(3),
    );
    (members, any::<u64>()).prop_map(|((packages, conda, info, wheels, other), order)| {
        let mut all = vec![("packages", packages), ("unknown", other.clone()), ("signatures", other)];
        all.extend(conda.map(|group| ("packages.conda", group)));
        all.extend(info.map(|info| ("info", info)));
        all.extend(wheels.map(|group| ("v3", json!({"conda": group, "odd": 5, "whl": {}}))));
        all.extend([("repodata_version", json!(1)), ("removed", json!(["a-1-0.conda"]))]);
        let turn = usize::try_from(order % all.len() as u64).unwrap_or(0);
        all.rotate_left(turn);
        Value::Object(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    })
}

/// The records a tree parse finds, in order.
fn oracle(document: &Value) -> Vec<(Group, String, Value)> {
    let mut found = Vec::new();
    let mut add = |group: Group, records: &Map<String, Value>| {
        found.extend(records.iter().map(|(key, value)| (group, key.clone(), value.clone())));
    };
    for (key, value) in document.as_object().unwrap() {
        match (key.as_str(), value) {
            ("packages", Value::Object(records)) => add(Group::Packages, records),
            ("packages.conda", Value::Object(records)) => add(Group::PackagesConda, records),
            ("v3", Value::Object(groups)) => {
                for (key, records) in groups.iter().filter_map(|(key, group)| Some((key, group.as_object()?)))
                {
                    add(Group::of_v3(key), records);
                }
            }
            _ => {}
        }
    }
    found
}

proptest! {
    #[test]
    fn agrees_with_a_tree_in_any_pieces(
        document in any_document(),
        pretty in any::<bool>(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let text = if pretty { serde_json::to_vec_pretty(&document) } else { serde_json::to_vec(&document) }.unwrap();
        let seen = scan_cut(&text, &cuts, ScanLimits::default()).unwrap();
        prop_assert_eq!(&seen.bytes, &text, "nothing is lost or changed");
        let records = oracle(&document);
        prop_assert_eq!(&seen.records, &records);
        prop_assert_eq!(seen.closed, 1);
        prop_assert_eq!(seen.info.len(), usize::from(document.get("info").is_some()));
        for ((_, key, value), good) in records.iter().zip(&seen.good) {
            let (file, name, expected) = good.clone().unwrap();
            prop_assert!(file.starts_with(key));
            prop_assert_eq!(name.as_deref(), value["name"].as_str());
            let (sha256, md5) = (expected.sha256.map(|d| d.to_hex()), expected.md5.map(|d| d.to_hex()));
            prop_assert_eq!(sha256.as_deref(), value["sha256"].as_str());
            prop_assert_eq!(md5.as_deref(), value["md5"].as_str());
            prop_assert_eq!(expected.size, value["size"].as_u64());
        }
    }

    #[test]
    fn a_damaged_document_is_refused_or_is_still_json(
        document in any_document(),
        at in any::<usize>(),
        with in prop_oneof![Just(b"".to_vec()), Just(b",".to_vec()), "[\\[\\]{}\":,0-9a-z \\\\]{1,3}".prop_map(String::into_bytes)],
        remove in 0usize..3,
        cuts in prop::collection::vec(any::<usize>(), 0..4),
    ) {
        let mut text = serde_json::to_vec(&document).unwrap();
        let at = at % text.len();
        let end = (at + remove).min(text.len());
        text.splice(at..end, with);
        // An unreadable string inside a record costs that record only, so this asks for well-formedness as such.
        let lossy = String::from_utf8_lossy(&text).into_owned();
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&lossy).is_ok();
        match scan_cut(lossy.as_bytes(), &cuts, ScanLimits::default()) {
            Ok(_) => prop_assert!(is_json, "accepted: {lossy}"),
            Err(ScanError::Malformed { .. } | ScanError::Cut { .. }) => prop_assert!(!is_json, "refused: {lossy}"),
            Err(ScanError::NotRepodata { .. } | ScanError::Repeated { .. } | ScanError::TooBig { .. }) => {}
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(any::<usize>(), 0..4)) {
        let mut framed = b"{\"packages\":{\"".to_vec();
        framed.extend(&text);
        let bare = scan_cut(&text, &cuts, ScanLimits::default());
        prop_assert!(bare.is_err() || serde_json::from_slice::<Value>(&text).is_ok());
        let _ = scan_cut(&framed, &cuts, ScanLimits::default());
    }
}

#[test]
fn what_is_not_repodata() {
    for (text, word) in [
        (&b"<html><body>404</body></html>"[..], "HTML"),
        (b"  \n<?xml?>", "HTML"),
        (b"", "empty"),
        (b"[]", "list"),
        (b"{}", "`packages`"),
        (b"{\"error\":{\"packages\":{}}}", "`packages`"),
        (b"{\"packages\":[]}", "not objects"),
        (b"{\"packages\":{},\"packages.conda\":null}", "not objects"),
        (b"\xef\xbb\xbf{}", "byte order"),
        (b"BZh9", "compressed"),
        (b"\x28\xb5\x2f\xfd", "compressed"),
        (b"null", "brace"),
    ] {
        let error = scan(text).unwrap_err();
        assert!(matches!(error, ScanError::NotRepodata { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn what_is_broken() {
    for (text, at) in [
        (r#"{"packages":{}"#, 14),
        (r#"{"packages":{"a":{"b":"#, 22),
        (r#"{"packages":{"a":{}}"#, 20),
        (r#"{"packages":{},}"#, 15),
        (r#"{"packages":{} "x":1}"#, 15),
        (r#"{"packages":{}}x"#, 15),
        (r#"{"packages":{"a" 1}}"#, 17),
        (r#"{"packages":{"a":01}}"#, 17),
        (r#"{"packages":{"a":{"b":[1,]}}}"#, 25),
        (r#"{"packages":{"a":{"b":1,}}}"#, 24),
        (r#"{"packages":{"a":[}}}"#, 18),
        (r#"{"packages":{"a":{]}}"#, 18),
        (r#"{"packages":{"a":NaN}}"#, 17),
        (r#"{"packages":{"a":"\x"}}"#, 18),
        ("{\"packages\":{\"a\":\"\n\"}}", 18),
        ("{\"packages\":{\"a\n\":1}}", 15),
        (r"{packages:{}}", 1),
    ] {
        let found = match scan(text.as_bytes()).unwrap_err() {
            ScanError::Malformed { at, .. } | ScanError::Cut { at } => at,
            other => panic!("{text}: {other}"),
        };
        assert_eq!(found, at, "{text}");
    }
}

#[test]
fn keys_that_decide_may_stand_only_once() {
    for key in ["packages", "packages.conda", "info", "repodata_version", "v3", "pack\\u0061ges", "removed"] {
        let text = format!(
            r#"{{"packages":{{}},"packages.conda":{{}},"info":{{}},"repodata_version":1,"v3":{{}},"removed":[],"{key}":{{}}}}"#
        );
        assert!(matches!(scan(text.as_bytes()), Err(ScanError::Repeated { .. })), "{key}");
    }
    assert!(scan(br#"{"packages":{},"x":1,"x":2}"#).is_ok());
}

#[test]
fn limits_hold_while_the_bytes_arrive() {
    let limits = ScanLimits { record: 1000, key: 50, info: 100 };
    let long = "x".repeat(2000);
    for text in [
        format!(r#"{{"packages":{{"a":{{"b":"{long}"#),
        format!(r#"{{"packages":{{"a":{{"b":"{long}"}}}}}}"#),
        format!(r#"{{"packages":{{"{long}"#),
        format!(r#"{{"info":{{"subdir":"{long}"#),
        format!(r#"{{"info":{{"subdir":"{long}"}},"packages":{{}}}}"#),
        format!(r#"{{"packages":{{{}"#, " ".repeat(2000)),
        format!(r#"{{"x":{}1{},"packages":{{}}}}"#, "[".repeat(70), "]".repeat(70)),
    ] {
        for cuts in [&[][..], &[5, 40, 100, 500, 1200]] {
            let error = scan_cut(text.as_bytes(), cuts, limits).unwrap_err();
            assert!(matches!(error, ScanError::TooBig { .. }), "{text}: {error}");
        }
    }
    // What is only passed on needs no limit.
    let text = format!(r#"{{"packages":{{}},"x":"{long}"}}"#);
    assert_eq!(scan_cut(text.as_bytes(), &[1500], limits).unwrap().bytes, text.as_bytes());
}

#[test]
fn flaws_of_single_records() {
    let digest = "0".repeat(64);
    for (group, key, value, flaw) in [
        ("packages", "a-1-0.conda", "1".to_owned(), Flaw::NotAnObject),
        ("packages", "a-1-0.conda", "[{}]".to_owned(), Flaw::NotAnObject),
        ("packages", "../a-1-0.conda", "{}".to_owned(), Flaw::UnsafeName),
        ("packages", "..", "{}".to_owned(), Flaw::UnsafeName),
        ("packages", "", "{}".to_owned(), Flaw::UnsafeName),
        ("packages", "a\\u002fb-1-0.conda", "{}".to_owned(), Flaw::UnsafeName),
        ("packages", "a\\\\b-1-0.conda", "{}".to_owned(), Flaw::UnsafeName),
        ("packages", "a-1-0.conda\\u0000", "{}".to_owned(), Flaw::UnsafeName),
        ("packages", "a-1-0.conda", r#"{"sha256":"xyz"}"#.to_owned(), Flaw::BadDigest),
        ("packages", "a-1-0.conda", r#"{"sha256":5}"#.to_owned(), Flaw::BadDigest),
        ("packages", "a-1-0.conda", r#"{"md5":["a"]}"#.to_owned(), Flaw::BadDigest),
        ("packages", "a-1-0.conda", r#"{"size":"5"}"#.to_owned(), Flaw::BadSize),
        ("packages", "a-1-0.conda", r#"{"size":-5}"#.to_owned(), Flaw::BadSize),
        ("packages", "a-1-0.conda", r#"{"name":{}}"#.to_owned(), Flaw::BadName),
        ("packages", "a-1-0.conda", r#"{"x":"\ud800"}"#.to_owned(), Flaw::NotText),
        (
            "packages",
            "a-1-0.conda",
            format!(r#"{{"sha256":"{digest}","sh\u006125\u0036":null}}"#),
            Flaw::RepeatedField,
        ),
        (
            "packages",
            "a-1-0.conda",
            format!(r#"{{"x":{}1{}}}"#, "[{\"y\":".repeat(5_000), "}]".repeat(5_000)),
            Flaw::TooDeep,
        ),
        ("packages", "a-1-0.conda", format!(r#"{{"x":"{}"}}"#, "y".repeat(2 << 20)), Flaw::TooLong),
        ("packages.whl", "a.whl", r#"{"url":"https://h/a.whl"}"#.to_owned(), Flaw::ForeignUrl),
        ("packages.whl", "a.whl", r#"{"u\u0072l":"\/\/h\/a.whl"}"#.to_owned(), Flaw::ForeignUrl),
        ("packages.whl", "a.whl", r#"{"url":["https://h/a.whl"]}"#.to_owned(), Flaw::ForeignUrl),
    ] {
        let text = format!(r#"{{"{group}":{{"{key}":{value}}}}}"#);
        let seen = scan(text.as_bytes()).unwrap();
        assert_eq!(seen.good, [Err(flaw)], "{text}");
    }
    let seen = scan(b"{\"packages\":{\"a-1-0.conda\":{\"x\":\"\xff\"}}}").unwrap();
    assert_eq!(seen.good, [Err(Flaw::NotText)]);
}

#[test]
fn records_that_some_client_can_not_read() {
    let check = |value: &str| Record::alone(Group::Packages, value.as_bytes()).unwrap().check_package();
    let good = r#"{"name":"a","version":"1","build":"0","build_number":0,"depends":["x >=1","\u0079"]}"#;
    assert_eq!(check(good), Ok(()));
    assert_eq!(check(r#"{"name":"a"}"#), Err(Flaw::MissingField));
    for needed in [r#""version":"1","#, r#""build":"0","#, r#""build_number":0,"#] {
        assert_eq!(check(&good.replace(needed, "")), Err(Flaw::MissingField), "{needed}");
    }
    assert_eq!(check("{}"), Err(Flaw::NoName));
    assert_eq!(check(r#"{"name":null}"#), Err(Flaw::NoName));
    for (right, wrong) in [
        (r#""version":"1""#, r#""version":1.0"#),
        (r#""build":"0""#, r#""build":null"#),
        (r#""build_number":0"#, r#""build_number":"0""#),
        (r#""build_number":0"#, r#""build_number":-1"#),
        (r#""build_number":0"#, r#""build_number":1.0"#),
        (r#"["x >=1","\u0079"]"#, r#""x >=1""#),
        (r#"["x >=1","\u0079"]"#, r#"["x",1]"#),
        (r#"["x >=1","\u0079"]"#, "{}"),
        (r#""version":"1""#, r#""version":"no version""#),
        (r#""version":"1""#, r#""version":"1","constrains":"x""#),
        (r#""version":"1""#, r#""version":"1","license":["MIT"]"#),
        (r#""version":"1""#, r#""version":"1","license_family":1"#),
        (r#""version":"1""#, r#""version":"1","timestamp":"1""#),
        (r#""version":"1""#, r#""version":"1","noarch":"other""#),
        (r#""version":"1""#, r#""version":"1","subdir":null"#),
    ] {
        assert_eq!(check(&good.replace(right, wrong)), Err(Flaw::WrongType), "{wrong}");
    }
}

#[test]
fn odd_but_good_records() {
    let text = r#"{"packages":{"a-1-0.conda":{"url":"https://h/x","sha\u0032\u00356":"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855","md5":null,"nested":{"sha256":"no","size":"no"}}},
        "packages.whl":{"b.whl":{"url":"../x/b.whl"}},"v3":{"conda":{"c-1-0":{"size":5}},"zip":{"d":{}}}}"#;
    let seen = scan(text.as_bytes()).unwrap();
    let good: Vec<_> = seen.good.into_iter().map(Result::unwrap).collect();
    assert_eq!(good[0].2.sha256.unwrap().to_hex()[..6], *"e3b0c4");
    assert_eq!((good[0].2.md5, good[0].2.size), (None, None));
    let files: Vec<_> = good.iter().map(|good| good.0.as_str()).collect();
    assert_eq!(files, ["a-1-0.conda", "b.whl", "c-1-0.conda", "d"]);
    assert_eq!(good[2].2.size, Some(5));
}
