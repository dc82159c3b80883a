//! `notices.json`: what the gate tells the users of a channel, beside what the channel tells them itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Act, Answer, Gate, Latch, Request, Setup, Upstream, eventually_true, rules};

const PATH: &str = "/chan/notices.json";
const THEIRS: &str = r#"{"notices": [{"id": "theirs", "message": "from upstream", "x": {"y": 1.50}}]}"#;
const DAY: Duration = Duration::from_hours(24);

/// Every channel from one upstream, `prod` of `team` and `chan`, and these notices.
fn with_notices(upstream: &Upstream, notices: &[&str]) -> String {
    let notices: String = notices.iter().map(|entry| format!("  - {{{entry}}}\n")).collect();
    let notices = if notices.is_empty() { "  []\n".to_owned() } else { notices };
    rules::all_from_with(upstream, "retries: 0").replace(
        "files:\n",
        "  - {name: prod, virtual: [team, chan]}\n  - {name: top, virtual: [prod, chan/label/dev]}\nfiles:\n",
    ) + &format!("notices:\n{notices}")
}

fn scene(notices: &[&str]) -> (Gate, Upstream) {
    let upstream = Upstream::start();
    let gate = Setup::rules(&with_notices(&upstream, notices)).start();
    (gate, upstream)
}

fn ids_of(answer: Answer) -> Vec<String> {
    let document: Value = serde_json::from_slice(&answer.expect(200)).expect("JSON");
    let notices = document["notices"].as_array().expect("a list of notices");
    notices.iter().map(|notice| notice["id"].as_str().expect("an id").to_owned()).collect()
}

fn ids(gate: &Gate, path: &str) -> Vec<String> {
    ids_of(gate.get(path))
}

#[test]
fn the_gates_notices_come_before_the_channels_own() {
    let (gate, upstream) = scene(&[
        "id: all, message: \"say \\\"hello\\\"\", level: critical, created: 2026-01-02, expires: 2030-01-01, interval: 2d",
        "id: plain, channels: [\"ch*\"], message: hello",
        "id: other, channels: [pkgs/*], message: not here",
    ]);
    upstream.put(PATH, THEIRS);
    let text = gate.get(PATH).text();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        document["notices"][0],
        json!({"id": "all", "message": "say \"hello\"", "level": "critical", "interval": 48,
               "created_at": "2026-01-02T00:00:00+00:00",
               "expired_at": "2030-01-01T00:00:00+00:00", "expires_at": "2030-01-01T00:00:00+00:00"})
    );
    assert_eq!(document["notices"][1]["level"], "info");
    for date in ["created_at", "expired_at"] {
        assert!(document["notices"][1][date].as_str().unwrap().ends_with("T00:00:00+00:00"), "{document}");
    }
    assert!(text.ends_with(r#",{"id": "theirs", "message": "from upstream", "x": {"y": 1.50}}]}"#), "{text}");
    assert_eq!(ids(&gate, PATH), ["all", "plain", "theirs"]);
    assert_eq!(upstream.gets(PATH), 1, "upstream's document is cached");
    assert_eq!(ids(&gate, "/pkgs/main/notices.json"), ["all", "other"]);
}

#[test]
fn labels_and_hosts_have_the_notices_of_the_channel() {
    let (gate, upstream) = scene(&["id: ours, channels: [chan], message: hello"]);
    upstream.put("/chan/label/dev/notices.json", THEIRS);
    assert_eq!(ids(&gate, "/chan/label/dev/notices.json"), ["ours", "theirs"]);
    assert_eq!(ids_of(gate.ask(&Request::get(PATH).host("conda.example.org"))), ["ours"]);
}

#[test]
fn without_notices_of_the_gate_upstreams_answer_is_passed_on() {
    let (gate, upstream) = scene(&[
        "id: other, channels: [elsewhere], message: not here",
        "id: over, message: over, expires: 2026-11-01",
    ]);
    for (path, bytes) in [(PATH, THEIRS), ("/odd/notices.json", "<html>no notices</html>")] {
        upstream.put(path, bytes);
        let answer = gate.get(path);
        answer.must("last-modified");
        assert_eq!(answer.expect(200), bytes.as_bytes());
    }
    gate.get("/missing/notices.json").expect_problem(404);
    upstream.always("/broken/notices.json", Act::status(500));
    assert!(gate.get("/broken/notices.json").status >= 500);
}

#[test]
fn upstream_can_not_take_the_gates_notices_away() {
    let large = format!(r#"{{"notices": [{{"id": "large", "message": "{}"}}]}}"#, "x".repeat(1 << 20));
    let documents =
        ["<html>", "", "[]", "{}", r#"{"notices": {}}"#, r#"{"notices": [{"id": "cut"}"#, large.as_str()];
    let (gate, upstream) = scene(&["id: ours, message: hello"]);
    for (n, document) in documents.iter().enumerate() {
        let path = format!("/odd-{n}/notices.json");
        upstream.put(&path, (*document).to_owned());
        assert_eq!(ids(&gate, &path), ["ours"], "{path}");
        assert_eq!(upstream.gets(&path), 1);
    }
    assert_eq!(ids(&gate, "/missing/notices.json"), ["ours"]);
    let troubles = [401, 403, 429, 500, 503].map(Act::status).into_iter();
    for (n, act) in troubles.chain([Act::ResetHead, Act::CutBody(10), Act::redirect("/nowhere")]).enumerate()
    {
        let path = format!("/trouble-{n}/notices.json");
        upstream.put(&path, THEIRS);
        upstream.always(&path, act);
        assert_eq!(ids(&gate, &path), ["ours"], "{path}");
    }
    drop(upstream);
    assert_eq!(ids(&gate, "/down/notices.json"), ["ours"]);
}

#[test]
fn a_slow_upstream_is_given_up_in_time_and_its_notices_come_later() {
    let (gate, upstream) = scene(&["id: ours, message: hello"]);
    let latch = Latch::new();
    upstream.put(PATH, THEIRS).script(PATH, [Act::HoldHead(latch.clone())]);
    assert_eq!(ids(&gate, PATH), ["ours"]);
    latch.open();
    eventually_true("the channel's own too", || ids(&gate, PATH) == ["ours", "theirs"]);
    assert_eq!(upstream.gets(PATH), 1);
}

#[test]
fn an_id_stands_once_and_what_is_no_notice_is_dropped() {
    let (gate, upstream) = scene(&["id: a, message: ours"]);
    upstream.put(
        PATH,
        r#"{"notices": [{"id": "a", "message": "theirs"}, 7, null, ["x"], {"id": "b", "z": 1}], "y": 1}"#,
    );
    let document = gate.get(PATH).json();
    assert_eq!(document["notices"][0]["message"], "ours");
    assert_eq!(document["notices"][1], json!({"id": "b", "z": 1}));
    assert_eq!(ids(&gate, PATH), ["a", "b"]);
}

#[test]
fn the_document_is_never_larger_than_clients_read() {
    let (gate, upstream) = scene(&["id: ours, message: hello"]);
    let big = |id: &str| json!({"id": id, "message": "x".repeat(500_000)});
    upstream.put(PATH, json!({"notices": [big("a"), big("b"), {"id": "small"}]}).to_string());
    let answer = gate.get(PATH);
    assert!(answer.body.len() <= 1 << 20);
    assert_eq!(ids_of(answer), ["ours", "a", "b", "small"]);
    let path = "/prod/notices.json";
    upstream.put("/team/notices.json", json!({"notices": [big("c"), {"id": "d"}]}).to_string());
    let answer = gate.get(path);
    assert!(answer.body.len() <= 1 << 20);
    assert_eq!(ids_of(answer), ["ours", "c", "d", "a", "small"]);
}

#[test]
fn the_document_is_named_by_its_content_and_may_be_kept() {
    let (gate, upstream) = scene(&["id: ours, message: hello"]);
    upstream.put(PATH, THEIRS);
    for path in [PATH, "/prod/notices.json"] {
        let whole = gate.get(path);
        assert_eq!(whole.must("content-type"), "application/json");
        assert_eq!(whole.must("cache-control"), "public, max-age=60");
        let etag = whole.must("etag").to_owned();
        assert!(!etag.starts_with("W/"));
        let head = gate.ask(&Request::head(path));
        assert_eq!(head.status, 200);
        for name in ["etag", "content-length", "content-type", "cache-control", "vary"] {
            assert_eq!(head.must(name), whole.must(name), "{path} {name}");
        }
        let again = gate.ask(&Request::get(path).header("If-None-Match", &etag));
        assert_eq!((again.status, again.must("etag")), (304, etag.as_str()));
        let packed = gate.ask(&Request::get(path).header("Accept-Encoding", "zstd"));
        assert_eq!(packed.must("content-encoding"), "zstd");
        assert_ne!(packed.must("etag"), etag);
        assert_eq!(zstd::stream::decode_all(&packed.expect(200)[..]).unwrap(), whole.body);
        let part = gate.ask(&Request::get(path).header("Range", "bytes=0-9"));
        assert_eq!(part.expect(206), whole.body[..10]);
    }
}

#[test]
fn a_notice_that_is_over_is_gone_and_one_without_end_stays() {
    let (gate, upstream) = scene(&["id: short, message: x, expires: 2026-11-05", "id: endless, message: y"]);
    upstream.put(PATH, THEIRS);
    let before = gate.get(PATH);
    assert_eq!(ids_of(before.clone()), ["short", "endless", "theirs"]);
    gate.advance(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(ids(&gate, PATH), ["short", "endless", "theirs"]);
    gate.advance(Duration::from_secs(1));
    assert_eq!(ids(&gate, PATH), ["endless", "theirs"]);
    assert_eq!(ids(&gate, "/prod/notices.json"), ["endless", "theirs"]);
    gate.ask(&Request::get(PATH).header("If-None-Match", before.must("etag"))).expect(200);
    gate.advance(100 * DAY);
    let document = gate.get(PATH).json();
    let end = document["notices"][0]["expired_at"].as_str().unwrap();
    assert_eq!((document["notices"][0]["id"].as_str(), end), (Some("endless"), "2027-02-15T00:00:00+00:00"));
}

#[test]
fn new_rules_act_at_once_and_a_restart_changes_nothing() {
    let (gate, upstream) = scene(&["id: old, message: hello"]);
    upstream.put(PATH, THEIRS);
    assert_eq!(ids(&gate, PATH), ["old", "theirs"]);
    gate.set_rules(&with_notices(&upstream, &["id: new, message: hello"])).unwrap();
    let answer = gate.get(PATH);
    assert_eq!(ids_of(answer.clone()), ["new", "theirs"]);
    assert_eq!(ids(&gate, "/prod/notices.json"), ["new", "theirs"]);
    let again = Setup::again(gate.stop()).start();
    assert_eq!(again.get(PATH).must("etag"), answer.must("etag"));
    again.set_rules(&with_notices(&upstream, &[])).unwrap();
    assert_eq!(again.get(PATH).expect(200), THEIRS.as_bytes());
    let refused = again.set_rules(&with_notices(&upstream, &["id: one, message: a", "id: one, message: b"]));
    assert!(refused.expect_err("one id twice").contains("the notice id `one` is taken"));
    assert_eq!(again.get(PATH).expect(200), THEIRS.as_bytes());
}

#[test]
fn a_virtual_channel_tells_what_its_members_tell() {
    let (gate, upstream) = scene(&[
        "id: of-chan, channels: [chan], message: c",
        "id: of-team, channels: [team], message: t",
        "id: of-prod, channels: [prod], message: p",
        "id: of-top, channels: [top], message: top",
        "id: of-both, channels: [chan, team, prod], message: b",
    ]);
    let path = "/prod/notices.json";
    assert_eq!(ids(&gate, path), ["of-prod", "of-both", "of-team", "of-chan"]);
    gate.set_rules(&with_notices(&upstream, &["id: of-chan, channels: [chan], message: c"])).unwrap();
    let before = upstream.gets(PATH);
    upstream.put(PATH, r#"{"notices": [{"id": "x", "of": "chan"}, {"id": "y"}]}"#);
    upstream.put("/team/notices.json", r#"{"notices": [{"id": "x", "of": "team"}, {"id": "of-chan"}]}"#);
    upstream.put("/chan/label/dev/notices.json", r#"{"notices": [{"id": "dev"}]}"#);
    assert_eq!(ids(&gate, path), ["of-chan", "x", "y"]);
    assert_eq!(gate.get(path).json()["notices"][1]["of"], "team");
    assert_eq!(ids(&gate, "/top/notices.json"), ["of-chan", "x", "y", "dev"]);
    assert_eq!(ids(&gate, PATH), ["of-chan", "x", "y"]);
    assert_eq!(
        upstream.gets(PATH),
        before + 1,
        "members share their documents with those who ask them directly"
    );
}

#[test]
fn members_in_trouble_are_left_out_and_nobody_waits_in_line() {
    let (gate, upstream) = scene(&["id: ours, channels: [team], message: hello"]);
    upstream.put(PATH, THEIRS).put("/team/notices.json", r#"{"notices": [{"id": "of-team"}]}"#);
    let latches = [PATH, "/team/notices.json"].map(|path| {
        let latch = Latch::new();
        upstream.script(path, [Act::HoldHead(latch.clone())]);
        latch
    });
    let mut waiting = Request::get("/prod/notices.json").begin(gate.address());
    latches.iter().for_each(Latch::wait_for_arrival);
    latches[0].open();
    assert_eq!(ids_of(waiting.answer("GET")), ["ours", "theirs"], "the other member was given up");
    latches[1].open();
    eventually_true("both", || ids(&gate, "/prod/notices.json") == ["ours", "of-team", "theirs"]);
    for act in [Act::status(500), Act::status(404), Act::ResetHead] {
        let (gate, upstream) = scene(&[]);
        upstream.put(PATH, THEIRS);
        upstream.always("/team/notices.json", act);
        assert_eq!(ids(&gate, "/prod/notices.json"), ["theirs"]);
    }
    let (gate, upstream) = scene(&[]);
    drop(upstream);
    assert_eq!(gate.get("/prod/notices.json").json(), json!({"notices": []}));
}
