use bytes::BytesMut;
use pingora::protocols::http::ServerSession;
use proptest::prelude::*;

use super::*;

const SMALL: HeadLimits = HeadLimits { max_bytes: 512, max_headers: 5, max_url: 64 };

/// What is sent, and the status it gets; 200 for taken, 0 for not complete.
const HEADS: &[(&str, u16)] = &[
    ("GET / HTTP/1.0\r\n\r\n", 200),
    ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200),
    ("\r\n\r\nGET / HTTP/1.0\r\n\r\n", 200),
    ("HEAD /a?b HTTP/1.1\r\nhost:h:80\r\n\r\n", 200),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 200),
    ("GET http://h:80/a HTTP/1.1\r\nHost: H\r\n\r\n", 200),
    ("GET HTTP://[::1]:80 HTTP/1.0\r\n\r\n", 200),
    ("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 200),
    ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 200),
    ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 200),
    ("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n", 200),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: \u{e9}\t1\r\n\r\n", 200),
    ("GET / HTTP/1.1\r\nHost: h\r\n", 0),
    ("GET / HT", 0),
    ("\r", 0),
    ("", 0),
    ("GET /\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: h\n\n", 400),
    ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n: h\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nnocolon\r\n\r\n", 400),
    ("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET http://u:p@h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET http:/\\h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET http://h\\e/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET http:///p HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("CONNECT h:1:2 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400),
    ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\n", 400),
    ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n", 400),
    ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n", 400),
    ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
    ("GET / HTTPS/1.1\r\nHost: h\r\n\r\n", 400),
    ("\u{16}\u{3}\u{1}", 400),
    ("\r\n\r\n\r\n\r\n\r\n", 400),
    ("A: 1\r\nB: 2\r\n", 400),
    ("GET / HTTP/1.1\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\n", 431),
];

fn status(head: &str) -> u16 {
    match scan(head.as_bytes(), SMALL) {
        Scan::Refuse(refusal) => refusal.status,
        Scan::NeedMore => 0,
        Scan::Complete(_) => 200,
    }
}

#[test]
fn heads_are_taken_or_refused() {
    let long = "x".repeat(80);
    for (head, expected) in HEADS {
        assert_eq!(status(head), *expected, "{head:?}");
    }
    assert_eq!(status(&format!("GET /{long} HTTP/1.1\r\n")), 414);
    assert_eq!(status(&format!("GET /{long}{long}")), 414);
    assert_eq!(status(&format!("GET / HTTP/1.1\r\nX: {}", long.repeat(10))), 431);
    assert_eq!(status(&format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", long.repeat(10))), 431);
}

#[test]
fn framing_and_end_are_told() {
    let bytes = b"\r\nPUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET";
    let Scan::Complete(head) = scan(bytes, SMALL) else { panic!("not taken") };
    assert_eq!((head.skip, head.len, head.framing), (2, bytes.len() - 8, Framing::Length(5)));
    let normal = head.normalise(BytesMut::from(&bytes[..head.len]));
    assert_eq!(&normal[..], &bytes[2..head.len]);
}

#[test]
fn the_target_of_an_absolute_request_replaces_host() {
    let cases = [
        (
            "GET http://a:80/x HTTP/1.1\r\nA: 1\r\nHost: A\r\nB: 2\r\n\r\n",
            "GET http://a:80/x HTTP/1.1\r\nHost: a:80\r\nA: 1\r\nB: 2\r\n\r\n",
        ),
        ("GET http://a/x HTTP/1.0\r\n\r\n", "GET http://a/x HTTP/1.0\r\nHost: a\r\n\r\n"),
        ("GET http://a/x HTTP/1.1\r\nHost:  a \r\n\r\n", "GET http://a/x HTTP/1.1\r\nHost:  a \r\n\r\n"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: b\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    ];
    for (sent, seen) in cases {
        let Scan::Complete(head) = scan(sent.as_bytes(), SMALL) else { panic!("{sent:?} was not taken") };
        let normal = head.normalise(BytesMut::from(sent));
        assert_eq!(std::str::from_utf8(&normal).unwrap(), seen);
    }
}

/// Feeds the head byte by byte and all at once; both must say the same.
fn check_increments(bytes: &[u8]) -> Scan {
    let whole = scan(bytes, SMALL);
    let mut scanner = Scanner::new(SMALL);
    let mut last = Scan::NeedMore;
    for end in 1..=bytes.len() {
        last = scanner.feed(&bytes[..end]);
        if last != Scan::NeedMore {
            break;
        }
    }
    // A refusal may come for another reason earlier, but a head is never taken one way and refused the other.
    match (&whole, &last) {
        (Scan::Refuse(_), Scan::Refuse(_)) => {}
        _ => assert_eq!(whole, last),
    }
    whole
}

const WORDS: &[&str] = &[
    "GET",
    "PUT",
    "CONNECT",
    "OPTIONS",
    " ",
    "/",
    "/t/x",
    "*",
    "http://",
    "h",
    "a.b:80",
    "[::1]",
    "@",
    "\\",
    "#",
    "?",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "\r\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    ":",
    ": ",
    "Host: h\r\n",
    "Host",
    "\t",
    "Content-Length: 1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "X: y\r\n",
    "Connection: upgrade\r\n",
    "Upgrade: h2c\r\n",
    " HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\n",
    "%",
    "\"",
    "<",
    "{",
    "^",
    "|",
    "..",
    "//",
    ";",
    "~",
];

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => prop::sample::select(WORDS).prop_map(|w| w.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|b| vec![b]),
    ]
}

fn likely_head() -> impl Strategy<Value = Vec<u8>> {
    let target = "[!-~]{0,12}";
    let lines = prop::collection::vec(("[!-~]{1,6}", "[ -~\t\u{e9}]{0,12}"), 0..4);
    let method = prop::sample::select(vec!["GET", "CONNECT", "PUT", "x!y", "OPTIONS"]);
    let start = prop::sample::select(vec!["/", "http://", "http://h", "", "h:", "HTTPS://[::1]"]);
    (method, start, target, any::<bool>(), lines).prop_map(|(method, start, target, new, lines)| {
        let minor = u8::from(new);
        let mut head = format!("{method} {start}{target} HTTP/1.{minor}\r\nHost: h\r\n");
        for (name, value) in lines {
            head.extend([&name, ":", &value, "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    })
}

/// What the engine makes of a head that passed.
fn engine_takes(bytes: &[u8]) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut session = ServerSession::new_http1(Box::new(std::io::Cursor::new(Vec::new())));
        session.set_pipelined_prefix(BytesMut::from(bytes));
        session.read_request().await.map_err(|e| e.to_string())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_passes_here_passes_the_engine(bytes in prop_oneof![
        prop::collection::vec(piece(), 0..24).prop_map(|p| p.concat()),
        likely_head(),
    ]) {
        if let Scan::Complete(head) = check_increments(&bytes) {
            prop_assert!(head.len <= bytes.len());
            let normal = head.normalise(BytesMut::from(&bytes[..head.len]));
            let shown = String::from_utf8_lossy(&normal).into_owned();
            prop_assert_eq!(engine_takes(&normal), Ok(true), "{}", shown);
        }
    }
}
