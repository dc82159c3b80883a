use super::*;

/// Refused with a status, a problem document and an access line, and the connection is over.
fn check_refused(front: FrontSettings, request: &[u8], status: u16, sentence: &str) {
    let gate = Gate::start(front);
    let mut client = gate.connect();
    client.send(request);
    let answer = client.answer();
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(header(&answer.head, "content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(header(&answer.head, "connection").as_deref(), Some("close"));
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains(sentence), "{problem}");
    assert_eq!(client.rest(), b"");
    // The gate reads on until the client has closed too.
    drop(client);
    assert_eq!(gate.ask("GET / HTTP/1.0\r\n\r\n").status, 200);
    assert!(gate.metric(&format!("condagate_proxy_heads_refused_total{{status=\"{status}\"}} 1")));
    let (_, lines) = gate.finish();
    let id = problem["request_id"].as_str().unwrap();
    let line = lines.iter().find(|l| l.contains(&format!("id={id}"))).unwrap();
    assert!(line.contains(&format!("status={status} ")) && !line.contains("SECRET"), "{line}");
}

#[test]
fn ten_thousand_headers() {
    let mut request = "GET /t/SECRET/x HTTP/1.1\r\nHost: h\r\n".to_owned();
    for n in 0..10_000 {
        request.extend(["X-", &n.to_string(), ": y\r\n"]);
    }
    request.push_str("\r\n");
    check_refused(settings(), request.as_bytes(), 431, "more than 100 header lines");
}

#[test]
fn a_huge_url() {
    let request = format!("GET /t/SECRET/{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(100 * 1024));
    check_refused(settings(), request.as_bytes(), 414, "8192 bytes");
}

#[test]
fn a_huge_header() {
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(900 * 1024));
    check_refused(settings(), request.as_bytes(), 431, "32768 bytes");
}

#[test]
fn a_head_that_trickles() {
    let front = FrontSettings { header_timeout: Duration::from_millis(150), ..settings() };
    check_refused(front, b"GET /t/SECRET/x HTTP/1.1\r\nHost:", 408, "in time");
}

#[test]
fn other_protocols() {
    check_refused(settings(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1");
    check_refused(settings(), b"\x16\x03\x01\x02\x00\x01\x00\x01", 400, "TLS");
    check_refused(settings(), b"GET /x?token=SECRET\r\n\r\n", 400, "HTTP/0.9");
}

#[test]
fn one_deadline_for_all_trickling_bytes() {
    let front = FrontSettings { header_timeout: Duration::from_millis(300), ..settings() };
    let gate = Gate::start(front);
    let mut client = gate.connect();
    client.0.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    client.send("GET / HTTP/1.1\r\n");
    // Each byte comes well within the time-out; together they do not help.
    let mut byte = [0];
    let answered = (0..1_500).any(|_| {
        let sent = client.0.write_all(b"X").is_ok();
        matches!(client.0.read(&mut byte), Ok(1)) || !sent
    });
    assert!(answered);
    drop(client);
    let (_, lines) = gate.finish();
    assert!(lines[0].contains("status=408"), "{lines:?}");
}

#[test]
fn silent_connections_are_closed_without_a_word() {
    let front = FrontSettings {
        header_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(100),
        ..FrontSettings::default()
    };
    let gate = Gate::start(front);
    assert_eq!(gate.connect().rest(), b"");
    let mut client = gate.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.rest(), b"");
    let (_, lines) = gate.finish();
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn too_many_connections() {
    let gate =
        Gate::start_under(settings(), PressureSettings { connections: 1, ..PressureSettings::default() });
    let mut first = gate.connect();
    first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(first.answer().status, 200);
    let answer = gate.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status, header(&answer.head, "retry-after").as_deref()), (503, Some("5")));
    first.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(first.answer().status, 200);
    assert_eq!(first.rest(), b"");
    gate.finish();
}

#[test]
fn a_client_that_reads_nothing_is_cut_and_hurts_nobody() {
    let front = FrontSettings { write_stall: Duration::from_millis(200), ..settings() };
    let gate = Gate::start(front);
    let mut lazy = gate.connect();
    lazy.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(gate.ask("GET / HTTP/1.0\r\n\r\n").status, 200);
    // Returns once the lazy request is over.
    let (_, lines) = gate.finish();
    let line = lines.iter().find(|l| l.contains("/big")).unwrap();
    assert!(line.contains("end=client-left"), "{line}");
}
