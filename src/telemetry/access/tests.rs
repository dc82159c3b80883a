use proptest::prelude::*;

use super::*;
use crate::id::{RequestId, RequestIds};
use crate::telemetry::Outcome;

fn id() -> RequestId {
    RequestIds::new(7).next()
}

fn shown(line: &Line<'_>, format: Format) -> String {
    let mut out = Vec::new();
    line.format(&mut out, format);
    String::from_utf8(out).unwrap()
}

fn human(target: &[u8]) -> String {
    shown(&Line::example(id(), target), Format::Human)
}

#[test]
fn a_line_says_what_happened() {
    let line = Line {
        first_byte: None,
        host: Some("h:80"),
        end: End::Cut,
        outcome: Outcome::Fill,
        ..Line::example(id(), b"/a")
    };
    assert_eq!(
        human(b"/conda-forge/noarch/a.conda"),
        format!(
            "time=2026-01-02T03:04:05.006Z id={} client=10.0.0.1:5000 method=\"GET\" path=\"/conda-forge/noarch/a.conda\" status=200 \
             bytes=2048 first_byte_ms=0.412 ms=1.200 outcome=hit channel=\"conda-forge\" user=\"ada\" token=t1 agent=\"conda/26.5\"\n",
            id()
        )
    );
    let json: serde_json::Value = serde_json::from_str(&shown(&line, Format::Json)).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "time": "2026-01-02T03:04:05.006Z", "id": id().to_string(), "client": "10.0.0.1:5000", "method": "GET",
            "host": "h:80", "path": "/a", "status": 200, "bytes": 2048, "ms": 1.2, "outcome": "fill",
            "channel": "conda-forge", "user": "ada", "token": "t1", "end": "cut", "agent": "conda/26.5"
        })
    );
}

#[test]
fn nothing_secret_is_printed() {
    for target in [
        &b"/t/SECRET/conda-forge/noarch/a.conda"[..],
        b"/conda/t/SECRET/x",
        b"/t//SECRET/x",
        b"/%74/SECRET/x",
        b"/t%2FSECRET/x",
        b"/a?token=SECRET",
        b"/a#SECRET",
        b"http://user:SECRET@h/a",
        b"http://h/t/SECRET/a",
        b"user:SECRET@h:443",
        b"http://h?SECRET",
        b"t/SECRET",
    ] {
        let line = human(target);
        assert!(!line.contains("SECRET"), "{line}");
    }
    assert!(human(b"/t/SECRET/x?y").contains("path=\"/t/***/x?***\""));
    assert!(human(b"http://h:80").contains("path=\"/\""));
}

#[test]
fn clients_can_not_forge_lines() {
    let forged = Line { agent: b"a\"\nstatus=500 \\\xff", ..Line::example(id(), b"/\r\n\x1b[2J") };
    let line = shown(&forged, Format::Human);
    assert!(line.ends_with("agent=\"a\\x22\\x0astatus=500 \\x5c\\xff\"\n"), "{line}");
    assert!(line.contains("path=\"/\\x0d\\x0a\\x1b[2J\""), "{line}");
    assert_eq!(line.lines().count(), 1);
    let long = human(&[b'/'; 10_000]);
    assert!(long.len() < 3_000 && long.contains("/...\""));
}

proptest! {
    #[test]
    fn json_lines_are_json(target: Vec<u8>, agent: Vec<u8>, method: Vec<u8>) {
        let line = Line { agent: &agent, method: &method, ..Line::example(id(), &target) };
        let text = shown(&line, Format::Json);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        prop_assert_eq!(text.lines().count(), 1);
    }
}

#[test]
fn lines_reach_the_file_and_its_successor() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let lost = Counter::default();
    let log = AccessLog::open(&Target::File(path.clone()), Format::Human, lost.clone()).unwrap();
    let patience = Duration::from_secs(30);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2_000).for_each(|_| log.write(&Line::example(id(), b"/a"))));
        }
    });
    assert!(log.flush(patience));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 8_000);

    std::fs::rename(&path, dir.path().join("old")).unwrap();
    log.reopen();
    log.write(&Line::example(id(), b"/b"));
    drop(log);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    assert_eq!(lost.get(), 0);
}

#[test]
fn lost_lines_are_counted() {
    let lost = Counter::default();
    let log = AccessLog::open(&Target::File("/dev/full".into()), Format::Human, lost.clone()).unwrap();
    for _ in 0..3 {
        log.write(&Line::example(id(), b"/a"));
    }
    assert!(log.flush(Duration::from_secs(30)));
    assert_eq!(lost.get(), 3);
    let missing = Target::File("/nowhere/at/all".into());
    let error = AccessLog::open(&missing, Format::Human, lost).err().unwrap().to_string();
    assert!(error.contains("/nowhere/at/all") && error.contains("permissions"), "{error}");
}
