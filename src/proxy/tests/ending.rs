use super::*;

#[test]
fn a_panic_costs_its_request_only() {
    let gate = Gate::start(settings());
    let mut other = gate.connect();
    other.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(other.head().0, 200);

    let answer = gate.ask("GET /fail?panic HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(answer.status, 500);
    assert_eq!(header(&answer.head, "content-type").as_deref(), Some("application/problem+json"));
    let mut late = gate.connect();
    late.send("GET /fail?late-panic HTTP/1.1\r\nHost: h\r\n\r\n");
    let (status, head) = late.head();
    assert_eq!((status, header(&head, "content-length").as_deref()), (200, Some("10")));
    assert!(late.rest().len() < 10);

    gate.permits.add_permits(1);
    assert_eq!(other.rest_of(10), b"firstlater");
    assert!(gate.metric("condagate_proxy_handler_panics_total 2"));
    let (_, lines) = gate.finish();
    assert_eq!(lines.iter().filter(|l| l.contains("/fail?***")).count(), 2, "{lines:?}");
    assert!(lines.iter().any(|l| l.contains("status=500")), "{lines:?}");
}

impl Client {
    fn rest_of(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        body
    }
}

#[test]
fn failed_answers_are_visible() {
    let gate = Gate::start(settings());
    let answer = gate.ask("GET /fail?early HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(answer.status, 502);
    assert!(!answer.body.contains("nonsense"), "{}", answer.body);
    for how in ["cut", "short"] {
        let mut client = gate.connect();
        client.send(format!("GET /fail?{how} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(client.head().0, 200);
        assert!(client.rest().len() < 10, "{how} looked whole");
    }
    let mut client = gate.connect();
    client.send("GET /fail?chunked HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head().0, 200);
    assert!(!client.rest().ends_with(b"0\r\n\r\n"), "a cut body ended like a whole one");
    let mut client = gate.connect();
    client.send("GET /fail?close HTTP/1.0\r\n\r\n");
    // Without a length only a reset can tell; it may even take the head along.
    let ended = client.0.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(gate.metric("condagate_proxy_answers_cut_total 4"));
    let (_, lines) = gate.finish();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines.iter().filter(|l| l.contains("end=cut")).count(), 4, "{lines:?}");
}

#[test]
fn a_handler_can_wait_for_the_client_to_leave() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send("GET /gone HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut slow = gate.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    drop(client);
    // `/gone` hands its permit to `/slow`.
    assert_eq!(slow.answer().body, "firstlater");
    let (_, lines) = gate.finish();
    assert!(
        lines
            .iter()
            .any(|l| l.contains("/gone") && l.contains("status=499") && l.contains("end=client-left"))
    );
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_does_not_wait_longer() {
    let gate = Gate::start(settings());
    let mut idle = gate.connect();
    idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    let mut client = gate.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head().0, 200);
    assert_eq!(client.rest_of(5), b"first");

    let (address, permits, health) = (gate.address, Arc::clone(&gate.permits), Arc::clone(&gate.eyes.health));
    gate.stopper.stop();
    // New connections are refused, while the slow answer is still owed.
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    assert!(!health.ready());
    assert!(!gate.thread.is_finished());
    permits.add_permits(1);
    assert_eq!(client.rest(), b"later");
    // The grace period is an hour; the idle connection does not hold the end up.
    let (stopped, lines) = gate.finish();
    assert_eq!(stopped, Stopped { cut: 0 });
    assert_eq!(lines.len(), 2);
    assert_eq!(idle.rest(), b"");
}

#[test]
fn a_stop_cuts_what_outlives_the_grace_period() {
    let gate = Gate::start_with(settings(), Duration::from_millis(50));
    let mut client = gate.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head().0, 200);
    let (stopped, _) = gate.finish();
    assert_eq!(stopped, Stopped { cut: 1 });
    assert!(client.rest().len() < 10);
}

#[test]
fn bad_addresses_are_told_apart() {
    let taken = listen::bind("127.0.0.1:0").unwrap();
    let table = [
        (taken.address().to_string(), "already in use"),
        ("80".to_owned(), "ADDRESS:PORT"),
        (":80".to_owned(), "ADDRESS:PORT"),
        ("127.0.0.1:99999".to_owned(), "ADDRESS:PORT"),
        ("203.0.113.77:0".to_owned(), "not an address of this machine"),
    ];
    for (address, sentence) in &table {
        let error = listen::bind(address).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
    let all: Vec<_> = table.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(listen::bind_all(&all).unwrap_err().len(), table.len());
}
