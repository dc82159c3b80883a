//! Bodies on their way to the API.

use std::io::ErrorKind;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::*;
use crate::proxy::api::{self, Api, Crossing};
use crate::proxy::respond::Stamp;
use crate::proxy::{Ctx, Inflow, Session};

/// How each body ended for the API.
pub(super) type Ends = Arc<Mutex<Vec<String>>>;

/// An API that behaves as the path says.
pub(super) async fn answer(
    scripted: &Scripted,
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    path: &str,
) -> pingora::Result<()> {
    let (permits, ends, asked) = (Arc::clone(&scripted.permits), Arc::clone(&scripted.ends), path.to_owned());
    let api: Api = Arc::new(move |request: http::Request<Inflow>| {
        let (permits, ends, asked) = (Arc::clone(&permits), Arc::clone(&ends), asked.clone());
        let work = tokio::spawn(work(request, permits, ends, asked));
        async move { work.await.unwrap() }.boxed()
    });
    // Only the one test that waits for it is quick to lose patience.
    let stall = if path == "/api/impatient" { Duration::from_millis(100) } else { PATIENCE };
    let stamp = Stamp { via: http::HeaderValue::from_static("1.1 test") };
    let extensions = http::Extensions::new();
    let crossing = Crossing { api: &api, path, extensions, stall, cookies: false };
    api::answer(session, ctx, &stamp, crossing).await
}

async fn work(
    request: http::Request<Inflow>,
    permits: Arc<Semaphore>,
    ends: Ends,
    asked: String,
) -> http::Response<Bytes> {
    let answer = |status, text: String| http::Response::builder().status(status).body(text.into()).unwrap();
    assert!(!request.headers().contains_key("authorization"), "credentials stay at the door");
    let mut body = request.into_body();
    if asked == "/api/refuse" {
        return answer(403, "no".to_owned());
    }
    let mut length = 0;
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => length += piece.len(),
            Err(error) => {
                ends.lock().push(format!("{:?} after {length}", error.kind()));
                return answer(422, error.to_string());
            }
        }
        match asked.as_str() {
            "/api/enough" if length >= 100_000 => return answer(413, "enough".to_owned()),
            "/api/holding" => permits.acquire().await.unwrap().forget(),
            _ => {}
        }
    }
    if asked == "/api/late" {
        permits.acquire().await.unwrap().forget();
    }
    ends.lock().push(format!("whole after {length}"));
    answer(201, length.to_string())
}

impl Gate {
    /// Waits until so many bodies have ended.
    fn ended(&self, count: usize) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let ends = self.ends.lock().clone();
            if ends.len() >= count {
                return ends;
            }
            assert!(Instant::now() < until, "only {ends:?}");
            std::thread::yield_now();
        }
    }
}

fn put(path: &str, headers: &str) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\n{headers}\r\n")
}

#[test]
fn a_body_arrives_however_it_is_framed_and_the_connection_goes_on() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send(put("/api/count", "Content-Length: 300000\r\n"));
    client.send(vec![b'x'; 300_000]);
    assert_eq!(client.answer().body, "300000");
    client.send(put("/api/count", "Transfer-Encoding: chunked\r\n"));
    for _ in 0..50 {
        client.send("1000\r\n");
        client.send(vec![b'x'; 0x1000]);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().body, (50 * 0x1000).to_string());
    client.send("GET /api/count HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().body, "0");
    gate.finish();
}

#[test]
fn a_client_that_waits_for_a_word_gets_it_when_the_body_is_wanted() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send(put("/api/count", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
    assert_eq!(client.head().0, 100);
    client.send("hello");
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.as_str()), (201, "5"));
    client.send(put("/api/refuse", "Content-Length: 1000000000\r\nExpect: 100-Continue\r\n"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.as_str()), (403, "no"));
    assert_eq!(client.rest(), b"");
    drop(client);
    let (_, lines) = gate.finish();
    assert!(lines[0].contains("status=201") && lines[1].contains("status=403"), "{lines:?}");
}

#[test]
fn an_early_answer_reaches_whoever_sends_everything_first() {
    let gate = Gate::start(settings());
    for (path, status) in [("/api/refuse", 403), ("/api/enough", 413)] {
        for length in ["Content-Length: 20000000\r\n", "Transfer-Encoding: chunked\r\n"] {
            let mut client = gate.connect();
            client.send(put(path, length));
            if length.starts_with("Transfer") {
                client.send("1312d00\r\n");
            }
            client.send(vec![b'x'; 20_000_000]);
            let answer = client.answer();
            assert_eq!(answer.status, status, "{path} {length}");
            assert!(answer.head.contains("Connection: close"), "{}", answer.head);
        }
    }
    // A small body is not worth a connection.
    let mut client = gate.connect();
    client.send(put("/api/refuse", "Content-Length: 5\r\n"));
    client.send("hello");
    assert_eq!(client.answer().status, 403);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    drop(client);
    gate.finish();
}

#[test]
fn a_body_that_breaks_off_is_never_taken_for_a_whole_one() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send(put("/api/count", "Content-Length: 100000\r\n"));
    client.send(vec![b'x'; 99_000]);
    drop(client);
    assert!(gate.ended(1)[0].ends_with("after 99000"), "{:?}", gate.ended(1));

    let mut client = gate.connect();
    client.send(put("/api/count", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n");
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.answer().status, 400);
    assert_eq!(gate.ended(2)[1], "UnexpectedEof after 5");

    let mut client = gate.connect();
    client.send(put("/api/count", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\nnonsense\r\n");
    assert_eq!(client.answer().status, 400);
    assert_eq!(gate.ended(3)[2], "UnexpectedEof after 5");

    let mut client = gate.connect();
    client.send(put("/api/impatient", "Content-Length: 10\r\n") + "hello");
    assert_eq!(client.answer().status, 408);
    assert_eq!(gate.ended(4)[3], "TimedOut after 5");
    gate.finish();
}

#[test]
fn a_slow_reader_slows_its_client_down() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send(put("/api/holding", "Content-Length: 1000000000\r\n"));
    client.0.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (piece, mut sent) = (vec![b'x'; 1 << 16], 0);
    let stopped = loop {
        match client.0.write(&piece) {
            Ok(some) => sent += some,
            Err(error) => break error,
        }
        assert!(sent < 200 << 20, "{sent} bytes were taken of a body that nobody reads");
    };
    assert!(matches!(stopped.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stopped}");
    drop(client);
    gate.permits.add_permits(1 << 20);
    let (_, lines) = gate.finish();
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn what_was_received_is_finished_though_nobody_waits_for_the_answer() {
    let gate = Gate::start(settings());
    let mut client = gate.connect();
    client.send(put("/api/late", "Content-Length: 5\r\n") + "hello");
    drop(client);
    gate.permits.add_permits(1);
    assert_eq!(gate.ended(1), ["whole after 5"]);
    gate.finish();
}
