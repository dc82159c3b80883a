use super::*;

#[test]
fn requests_in_every_form_reach_the_handler() {
    let gate = Gate::start(settings());
    let table = [
        ("GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", "GET Some(\"h\") Some(\"b\") false"),
        ("GET / HTTP/1.0\r\n\r\n", "GET None None false"),
        ("GET http://x:80/a HTTP/1.1\r\nHost: X\r\n\r\n", "GET Some(\"x:80\") None true"),
        ("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", "CONNECT Some(\"x:443\") None true"),
        ("CONNECT x:443 HTTP/1.1\r\nHost: y\r\n\r\n", "CONNECT Some(\"x:443\") None true"),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS Some(\"h\") None false"),
    ];
    for (request, said) in table {
        let answer = gate.ask(request);
        assert_eq!((answer.status, answer.body.as_str()), (200, said), "{request:?}");
    }
    let (_, lines) = gate.finish();
    assert_eq!(lines.len(), table.len());
    for part in ["host=\"x:80\" path=\"/a\" status=200", "method=\"CONNECT\" host=\"x:443\" path=\"x:443\""] {
        assert!(lines.iter().any(|l| l.contains(part)), "{part} is missing in {lines:?}");
    }
}

#[test]
fn a_connection_serves_many_requests_and_keeps_pipelined_ones_in_order() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send("GET /?1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.answer().body.contains("\"1\""));
    let put = "PUT /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    client.send(format!(
        "GET /?2 HTTP/1.1\r\nHost: h\r\n\r\n{put}\r\nGET /?4 HTTP/1.1\r\nHost: h\r\n\r\nGET /?5 HT"
    ));
    assert!(client.answer().body.contains("\"2\""));
    assert_eq!(client.answer().body, "5");
    assert!(client.answer().body.contains("\"4\""));
    client.send("TP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let last = client.answer();
    assert!(last.body.contains("\"5\"") && last.head.contains("Connection: close"), "{}", last.head);
    assert_eq!(client.rest(), b"");
    assert!(gate.metric("condagate_proxy_connections_total 1"));
    let (_, lines) = gate.finish();
    assert_eq!(lines.len(), 5);
}

#[test]
fn head_has_no_body_and_the_connection_goes_on() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let (status, head) = client.head();
    assert_eq!((status, header(&head, "content-length").as_deref()), (200, Some("25")));
    assert!(client.answer().body.starts_with("GET"));
    gate.finish();
}

#[test]
fn http_1_0_closes_unless_asked_to_stay() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.rest(), b"");
    let mut client = gate.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.answer().status, 200);
    }
    gate.finish();
}

#[test]
fn a_chunked_body_is_read_and_a_refused_one_does_not_cost_the_answer() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send("PUT /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.answer().body, "3");
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().status, 200);

    let mut client = gate.connect();
    client.send("PUT /refuse-body HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    client.send(vec![b'x'; 1_000_000]);
    assert_eq!(client.answer().status, 405);
    assert_eq!(client.rest(), b"");
    drop(client);
    gate.finish();
}

/// What comes back on one connection, with what differs between two answers taken out.
fn all_of(gate: &Gate, request: &str) -> String {
    let mut client = gate.connect();
    client.send(request);
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    let text = String::from_utf8(client.rest()).unwrap();
    let stable = |line: &&str| !line.starts_with("Date: ") && !line.starts_with("x-request-id: ");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let head: Vec<_> = head.lines().filter(stable).collect();
    let body = body.split("request_id").next().unwrap_or_default();
    format!("{}\n\n{body}", head.join("\n"))
}

#[test]
fn plain_requests_get_the_bytes_that_the_engine_would_send() {
    let gate = Gate::start(settings());
    let paths = [
        "/hit",
        "/fail?early",
        "/fail?panic",
        "/fail?short",
        "/fail?cut",
        "/fail?chunked",
        "/fail?late-panic",
    ];
    let all = ["GET", "HEAD"].into_iter().flat_map(|method| paths.map(|path| (method, path)));
    for (method, path) in all.chain([("GET", "/whole?chunked"), ("GET", "/not-modified")]) {
        // The engine is asked for whoever would like to speak something else; here it goes on as it was.
        let ask = |more: &str| all_of(&gate, &format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{more}\r\n"));
        let (plain, engine) = (ask(""), ask("Upgrade: nothing\r\n"));
        assert!(plain.starts_with("HTTP/1.1 "), "{method} {path}: {plain}");
        // Of a body that is cut, the line end behind a chunk may be missing: it waits for what comes next.
        let (plain, engine) =
            if path == "/fail?chunked" { (plain.trim(), engine.trim()) } else { (&*plain, &*engine) };
        assert_eq!(plain, engine, "{method} {path}");
    }
    let chunks = all_of(&gate, "GET /whole?chunked HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(chunks.ends_with("4\r\nhalf\r\n6\r\nbehind\r\n0\r\n\r\n"), "{chunks}");
    // Here the engine promises to stay.
    let closed = all_of(&gate, "GET /whole?close HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(closed, "HTTP/1.1 200 OK\nConnection: close\n\nhalfbehind");
    gate.finish();
}

#[test]
fn access_lines_and_metrics_tell_the_story() {
    let gate = Gate::start(settings());
    let answer = gate
        .ask("GET /hit?secret=x HTTP/1.1\r\nHost: h\r\nUser-Agent: conda/26.5\r\nConnection: close\r\n\r\n");
    let bytes = answer.body.len();
    let eyes = gate.eyes.clone();
    let (_, lines) = gate.finish();
    let line = &lines[0];
    assert!(line.contains(&format!("path=\"/hit?***\" status=200 bytes={bytes} first_byte_ms=")), "{line}");
    assert!(line.ends_with("outcome=hit channel=\"conda-forge\" agent=\"conda/26.5\""), "{line}");
    let page = eyes.metrics.encode();
    for line in [
        "condagate_proxy_requests_total{kind=\"package\",status=\"2xx\"} 1".to_owned(),
        format!("condagate_cache_sent_bytes_total{{channel=\"conda-forge\",outcome=\"hit\"}} {bytes}"),
        "condagate_proxy_requests_in_flight 0".to_owned(),
    ] {
        assert!(page.lines().any(|l| l == line), "{line}\n{page}");
    }
}
