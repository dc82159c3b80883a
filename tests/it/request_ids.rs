//! Whatever goes wrong: the answer has an id that its reader can quote, and the gate's log has it too, with the reason where it is the
//! gate's or upstream's trouble.

use crate::harness::{
    Act, Answer, Channel, Connection, Home, Process, Request, Upstream, eventually, package, rules,
};

struct Scene {
    gate: Process,
    upstream: Upstream,
    channel: Channel,
}

fn scene() -> Scene {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(10_000));
    channel.publish(&upstream);
    let home = Home::new();
    let text = rules::all_from_with(&upstream, rules::IMPATIENT)
        + "access:\n  - {channels: [closed], read: [user:ada]}\npolicy:\n  - {id: no-alpha, channels: [chan], deny: {names: [alpha]}, reason: Gone.}\n";
    home.write_rules(&text);
    home.write_config("limits: {header_timeout: 2s}");
    Scene { gate: Process::serve(home), upstream, channel }
}

/// The id in the answer's head, which its body and an access line have too.
fn quoted(gate: &Process, answer: &Answer) -> String {
    let id = answer.must("x-request-id").to_owned();
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("application/problem+json")) {
        assert_eq!(answer.json()["request_id"], id.as_str(), "{}", answer.text());
    }
    gate.home().access_line(&id);
    id
}

#[test]
fn every_answer_has_an_id_that_the_log_has_too() {
    let Scene { gate, channel, upstream: _upstream } = scene();
    let get = Request::get;
    let index = "/chan/noarch/repodata.json";
    let etag = gate.get(index).must("etag").to_owned();
    let asked = [
        (get("/"), 200),
        (get("/-/healthz"), 200),
        (get("/-/readyz"), 200),
        (get(index), 200),
        (get(index).header("If-None-Match", &etag), 304),
        (get(index).header("If-Match", "\"other\""), 412),
        (get(index).header("Range", "bytes=0-3"), 206),
        (get(index).header("Range", "bytes=99999999-"), 416),
        (get("/chan/../x"), 400),
        (get("/-/nothing"), 404),
        (get("/chan/noarch/none-1-0.conda"), 404),
        (get("/closed/noarch/repodata.json"), 401),
        (get("/t/made-up/chan/noarch/repodata.json"), 401),
        (get(index).header("Authorization", "Bearer made-up"), 401),
        (get(&channel.path("alpha")), 403),
        (Request::new("DELETE", index), 405),
        (Request::new("CONNECT", "example.org:443"), 501),
        (get(&format!("/{}", "x".repeat(9_000))), 414),
        (get("/").header("X-Large", &"x".repeat(70_000)), 431),
        (get("/-/api/v1/nothing"), 404),
        (get("/-/api/v1/me"), 200),
        (Request::new("DELETE", "/-/api/v1/me"), 405),
        (Request::new("PUT", "/-/api/v1/hosted/nothing"), 404),
        (Request::new("POST", "/-/api/v1/session"), 400),
        (get("/api/v1/package/none/none"), 404),
    ];
    for (request, status) in asked {
        let answer = request.send(gate.address());
        assert_eq!(answer.status, status, "{}", answer.text());
        quoted(&gate, &answer);
        if answer.status >= 400 {
            let is_problem = answer.header("content-type") == Some("application/problem+json");
            assert!(is_problem || answer.json().is_object(), "{}: {}", answer.status, answer.text());
        }
    }
}

#[test]
fn ids_are_the_gates_own() {
    let Scene { gate, upstream: _upstream, .. } = scene();
    let answer =
        Request::get("/-/nothing").header("X-Request-Id", "chosen-by-the-client").send(gate.address());
    assert_ne!(quoted(&gate, &answer), "chosen-by-the-client");
}

#[test]
fn a_head_that_was_never_understood_has_one_too() {
    let Scene { gate, upstream: _upstream, .. } = scene();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /-/healthz HTTP/1.1\r\nHo",
    ] {
        let mut client = Connection::open(gate.address());
        client.write(bytes);
        let answer = client.answer("GET");
        assert!((400..600).contains(&answer.status));
        quoted(&gate, &answer);
    }
}

#[test]
fn the_reason_of_a_failure_stands_in_the_log_under_the_id() {
    let Scene { gate, mut upstream, channel } = scene();
    let reason = |id: &str| {
        eventually("a line with the reason", || {
            let log = std::fs::read_to_string(gate.home().path("stderr")).ok()?;
            log.lines()
                .find(|line| line.contains(id) && line.contains("could not be answered"))
                .map(str::to_owned)
        })
    };
    gate.get("/chan/noarch/repodata.json").expect(200);
    let refused = gate.get(&channel.path("alpha"));
    let id = quoted(&gate, &refused);
    assert_eq!(refused.status, 403);
    let log = std::fs::read_to_string(gate.home().path("stderr")).expect("the log");
    assert!(!log.contains(&id), "what clients do is in the access log only");
    upstream.always("/other/noarch/repodata.json", Act::status(500));
    upstream.always("/other/noarch/repodata.json.zst", Act::status(500));
    let answer = gate.get("/other/noarch/repodata.json");
    assert_eq!(answer.status, 503);
    let line = reason(&quoted(&gate, &answer));
    assert!(line.contains("500") && line.contains("status=503"), "{line}");
    upstream.stop();
    let answer = gate.get("/miniconda/installer.sh");
    assert_eq!(answer.status, 503);
    let line = reason(&quoted(&gate, &answer));
    assert!(line.contains(answer.json()["detail"].as_str().expect("a sentence")), "{line}");
}
