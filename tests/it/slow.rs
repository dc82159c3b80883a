//! Lines about what took too long: which they are, what they say, and that others have none.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::{
    Act, Channel, Home, Latch, Process, Request, Upstream, eventually, eventually_true, package, rules,
};

/// Above what the settings below call slow.
const LONG: Duration = Duration::from_millis(5);

fn channel() -> Channel {
    Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(200_000))
}

fn process(upstream: &Upstream, config: &str) -> Process {
    let home = Home::new();
    home.write_rules(&rules::all_from(upstream));
    home.write_config(config);
    Process::serve(home)
}

/// Gets a file that upstream keeps to itself for longer than [`LONG`]; the request's id.
fn held_up(gate: &Process, upstream: &Upstream, path: &str) -> String {
    let latch = Latch::new();
    upstream.script(path, [Act::HoldBody(1_000, latch.clone())]);
    let mut client = Request::get(path).begin(gate.address());
    latch.wait_for_arrival();
    let arrived = Instant::now();
    eventually_true("time passes", || arrived.elapsed() > LONG);
    latch.open();
    client.answer("GET").must("x-request-id").to_owned()
}

fn line(gate: &Process, words: &[&str]) -> String {
    eventually(&format!("a line with {words:?}"), || {
        let log = std::fs::read_to_string(gate.home().path("stderr")).ok()?;
        log.lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
    })
}

#[test]
fn a_request_that_waited_for_upstream_is_told_with_where_the_time_went() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let gate = process(&upstream, "log: {slow_request: 1ms, slow_fill: 0s}");
    let id = held_up(&gate, &upstream, &channel.path("alpha"));
    let line = line(&gate, &["slow request", &id]);
    let bytes = format!("bytes={}", channel.get("alpha").bytes.len());
    let mirror = format!("mirror=\"{}", upstream.url());
    for part in
        ["kind=\"package\"", "channel=\"chan\"", "status=200", "upstream=\"up\"", &mirror, &bytes, "fill"]
    {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let number = |key: &str| {
        let behind = line.split(&format!(" {key}=")).nth(1).unwrap_or_else(|| panic!("no {key} in {line}"));
        behind.split_whitespace().next().and_then(|n| n.parse::<u128>().ok()).expect("a number")
    };
    assert!(number("ms") >= LONG.as_millis() && number("upstream_ms") >= LONG.as_millis(), "{line}");
    assert!(number("first_byte_ms") <= number("ms"), "{line}");
    assert!(!line.contains("alpha"), "the access line has the path: {line}");
    let log = std::fs::read_to_string(gate.home().path("stderr")).unwrap();
    assert!(!log.contains("slow download"), "0 turns these off: {log}");
}

#[test]
fn a_download_from_upstream_that_took_long_is_told() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let gate = process(&upstream, "log: {format: json, slow_request: 0s, slow_fill: 1ms}");
    let path = channel.path("alpha");
    let id = held_up(&gate, &upstream, &path);
    let line = line(&gate, &["slow download", &id]);
    let event: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(event["request"], id.as_str());
    assert!(event["file"].as_str().unwrap().ends_with("chan/noarch/alpha-1.0-0.conda"), "{line}");
    assert_eq!(event["bytes"], channel.get("alpha").bytes.len());
    assert!(event["mirror"].as_str().unwrap().starts_with(&upstream.url()), "{line}");
    assert!(event["ms"].as_u64().unwrap() >= event["first_byte_ms"].as_u64().unwrap(), "{line}");
    assert_eq!((&event["stored"], &event["asked_again"]), (&true.into(), &0.into()));
    let log = std::fs::read_to_string(gate.home().path("stderr")).unwrap();
    assert!(!log.contains("slow request"), "0 turns these off: {log}");
}

#[test]
fn by_default_nothing_is_said_of_ordinary_requests() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let gate = process(&upstream, "log: {level: info}");
    held_up(&gate, &upstream, &channel.path("alpha"));
    gate.settle(&channel.path("alpha"));
    let log = std::fs::read_to_string(gate.stop().path("stderr")).unwrap();
    assert!(!log.contains("slow"), "{log}");
}
