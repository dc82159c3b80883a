//! Limits on what a client may send, each answered with a status; rude clients hurt nobody else.

use crate::harness::{Channel, Connection, Request, Stage, package};

fn stage() -> Stage {
    Stage::new(Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(2_000_000)))
}

/// Sends more than the gate may want to read, and reads what it says.
fn refused(stage: &Stage, bytes: &[u8]) -> u16 {
    let mut connection = Connection::open(stage.gate.address());
    let _the_gate_may_have_heard_enough = connection.try_write(bytes);
    let status = connection.try_head().ok().flatten().map_or(0, |head| head.status);
    stage.fetch("alpha");
    status
}

#[test]
fn ten_thousand_headers() {
    let stage = stage();
    let request = (0..10_000).fold(Request::get("/"), |r, n| r.header(&format!("X-{n}"), "1"));
    assert_eq!(refused(&stage, &request.bytes(stage.gate.address())), 431);
}

#[test]
fn a_moderate_number_of_headers_is_fine() {
    let stage = stage();
    let request = (0..60).fold(Request::get("/-/healthz"), |r, n| r.header(&format!("X-{n}"), "1"));
    stage.gate.ask(&request).expect(200);
}

#[test]
fn a_header_of_a_megabyte() {
    let stage = stage();
    let request = Request::get("/").header("X-Large", &"x".repeat(1_000_000));
    assert_eq!(refused(&stage, &request.bytes(stage.gate.address())), 431);
}

#[test]
fn a_head_that_never_ends() {
    let stage = stage();
    let mut bytes = b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec();
    bytes.extend(b"X-A: b\r\n".repeat(100_000));
    assert_eq!(refused(&stage, &bytes), 431);
}

#[test]
fn a_url_of_100_kilobytes() {
    let stage = stage();
    let request = Request::get(&format!("/{}", "x".repeat(100_000)));
    assert_eq!(refused(&stage, &request.bytes(stage.gate.address())), 414);
    assert_eq!(stage.upstream.seen_at(&format!("/{}", "x".repeat(100_000))).len(), 0);
}

#[test]
fn what_is_not_http_is_400() {
    let stage = stage();
    let heads: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for head in heads {
        let status = refused(&stage, head);
        assert!([400, 501, 505].contains(&status), "{status} for {:?}", String::from_utf8_lossy(head));
    }
}

#[test]
fn a_connection_that_says_nothing_hurts_nobody() {
    let stage = stage();
    let silent: Vec<_> = (0..200).map(|_| Connection::open(stage.gate.address())).collect();
    stage.fetch("alpha");
    drop(silent);
    stage.fetch("alpha");
}

#[test]
fn slow_heads_are_answered_with_408() {
    let upstream = crate::harness::Upstream::start();
    let gate = crate::harness::Setup::rules(&crate::harness::rules::all_from(&upstream))
        .config("limits: {header_timeout: 300ms}\n")
        .start();
    let mut slow = Connection::open(gate.address());
    slow.write(b"GET /-/healthz HTTP/1.1\r\nHo");
    assert_eq!(slow.head().status, 408);
    let mut used = Request::get("/-/healthz").begin(gate.address());
    used.answer("GET").expect(200);
    used.write(b"GET /-/healthz HTTP/1.1\r\nHo");
    assert_eq!(used.head().status, 408, "the deadline holds for later requests too");
}

#[test]
fn idle_connections_are_closed() {
    let upstream = crate::harness::Upstream::start();
    let gate = crate::harness::Setup::rules(&crate::harness::rules::all_from(&upstream))
        .config("limits: {idle_timeout: 300ms}\n")
        .start();
    let mut idle = Request::get("/-/healthz").begin(gate.address());
    idle.answer("GET").expect(200);
    assert!(idle.is_closed_by_gate());
}

#[test]
fn a_client_that_leaves_mid_body_hurts_nobody() {
    let stage = stage();
    stage.know_index();
    for _ in 0..20 {
        let mut client = Request::get(&stage.channel.path("alpha")).begin(stage.gate.address());
        client.head();
        client.exactly(1_000);
    }
    stage.fetch("alpha");
    assert_eq!(stage.upstream.gets(&stage.channel.path("alpha")), 1);
}

#[test]
fn a_client_that_reads_byte_by_byte_gets_its_file() {
    let stage = stage();
    let mut slow = Request::get(&stage.channel.path("alpha")).begin(stage.gate.address());
    let head = slow.head();
    let first: Vec<u8> = (0..2_000).flat_map(|_| slow.exactly(1)).collect();
    stage.fetch("alpha");
    slow.must_become(&head, &first, &stage.channel.get("alpha").bytes);
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let stage = stage();
    let mut client = Request::get(&stage.channel.path("alpha")).begin(stage.gate.address());
    client.finish_writing();
    assert!(client.answer("GET").expect(200) == stage.channel.get("alpha").bytes);
}

#[test]
fn a_body_nobody_wants_does_not_confuse_the_next_request() {
    let stage = stage();
    let mut client = Connection::open(stage.gate.address());
    client.write(b"POST /chan/x HTTP/1.1\r\nHost: x\r\nContent-Length: 44\r\n\r\n");
    client.write(b"GET /chan/smuggled HTTP/1.1\r\nHost: evil\r\n\r\n.");
    let refused = client.answer("POST");
    assert!(refused.status >= 400);
    let _may_be_closed = client.try_write(&Request::get("/-/healthz").bytes(stage.gate.address()));
    if let Ok(Some(head)) = client.try_head() {
        assert_eq!(head.status, 200, "the body was taken for a request");
    }
    assert!(stage.upstream.seen().iter().all(|s| !s.path.contains("smuggled")));
}
