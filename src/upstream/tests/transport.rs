//! Connections that fail, stall and break, and the cap on how many there are.

use tokio::sync::Notify;

use super::origin::{Act, Origin, closed_port};
use super::*;

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let upstream = Bench::new().upstream(&[&closed_port().await], |_| {});
    let error = failure(&upstream, get("x")).await;
    assert_eq!(error.kind(), FetchKind::Unreachable);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_name_without_address_is_unreachable() {
    let upstream = Bench::new().upstream(&["http://no-such-host.invalid/"], |_| {});
    assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::Unreachable);
}

#[tokio::test]
async fn silence_before_the_headers_times_out() {
    let origin = Origin::always(Act::SayAndStall(Vec::new())).await;
    let upstream = Bench::new().upstream(&[&origin.url()], impatient);
    let FetchError::Timeout { phase: TimeoutPhase::FirstByte, .. } = failure(&upstream, get("x")).await
    else {
        panic!("no timeout");
    };
    assert_eq!(upstream.snapshot().in_flight, 0, "the place is given back");
}

#[tokio::test]
async fn bodies_that_break_are_errors() {
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n";
    let part = "HTTP/1.1 206 Part\r\nConnection: close\r\nContent-Range: bytes 3-12/13\r\n\r\n12345";
    let garbage = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let cases = [
        (Act::SayAndStall(long.into()), FetchKind::Timeout),
        (Act::SayAndReset(long.into()), FetchKind::Reset),
        (Act::SayAndClose(long.into()), FetchKind::Reset),
        (Act::SayAndClose(chunked.into()), FetchKind::Reset),
        (Act::SayAndStall(chunked.into()), FetchKind::Timeout),
        (Act::SayAndClose(garbage.into()), FetchKind::Reset),
        // Ends with the connection: only Content-Range tells that it is short.
        (Act::SayAndClose(part.into()), FetchKind::Reset),
        (Act::SayAndReset(Vec::new()), FetchKind::Reset),
        (Act::SayAndClose(Vec::new()), FetchKind::Reset),
        (Act::SayAndClose("HTTP/1.1 200 O".into()), FetchKind::Reset),
        (Act::SayAndClose("not HTTP at all\r\n\r\n".into()), FetchKind::Reset),
    ];
    for (n, (act, kind)) in cases.into_iter().enumerate() {
        let origin = Origin::always(act).await;
        let upstream = Bench::new().upstream(&[&origin.url()], impatient);
        let request = FetchRequest { range_from: Some(3), ..get("x") };
        let error = failure(&upstream, request).await;
        assert_eq!(error.kind(), kind, "case {n}: {error}");
        assert!(error.is_retryable(), "case {n}");
        assert_eq!(upstream.health()[0].failures, 1, "case {n}: the mirror is to blame");
        assert_eq!(upstream.snapshot().in_flight, 0, "case {n}: the place is given back");
    }
}

#[tokio::test]
async fn a_body_is_whole_or_an_error_and_nothing_follows_it() {
    use futures_util::StreamExt;
    let origin =
        Origin::always(Act::SayAndClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345".into())).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
    let mut body = upstream.fetch(get("x")).await.expect("a head").body;
    assert_eq!(body.next().await.expect("bytes").expect("no error yet"), "12345");
    assert!(body.next().await.expect("the error").is_err());
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_slow_reader_is_not_a_stall() {
    use futures_util::StreamExt;
    let (more, body) = (Arc::new(Notify::new()), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1234");
    let origin = Origin::always(Act::Held(Arc::clone(&more), body.into())).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
    more.notify_one();
    let mut body = upstream.fetch(get("x")).await.expect("a head").body;
    tokio::time::pause();
    tokio::time::advance(Duration::from_hours(1)).await;
    tokio::time::resume();
    assert_eq!(body.next().await.expect("bytes").expect("an hour of not reading is no error"), "1234");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn the_cap_holds_until_the_body_ends() {
    let origin = Origin::always(Act::say(ok("body"))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |s| {
        impatient(s);
        s.max_concurrent = 1;
    });
    let first = upstream.fetch(get("1")).await.expect("a place is free");
    assert_eq!(upstream.snapshot().in_flight, 1);
    let error = failure(&upstream, get("2")).await;
    assert_eq!(error.kind(), FetchKind::Busy);
    assert!(error.to_string().contains("max_concurrent"), "{error}");
    assert_eq!(origin.count(), 1, "what is busy is not asked");

    assert_eq!(first.body.read_all(10).await.expect("it is whole"), "body");
    let second = upstream.fetch(get("3")).await.expect("the place is free again");
    drop(second);
    assert_eq!(whole(&upstream, get("4")).await.expect("dropping frees, too").1, "body");
    assert_eq!(upstream.snapshot().in_flight, 0);
}

#[tokio::test]
async fn heads_and_not_modified_hold_no_place() {
    let origin = Origin::start(|_, seen| {
        let head = seen.line.starts_with("HEAD");
        Act::say(if head {
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".into()
        } else {
            reply(304, &[], "")
        })
    })
    .await;
    let upstream = Bench::new().upstream(&[&origin.url()], |s| s.max_concurrent = 1);
    let head = upstream.fetch(FetchRequest { head: true, ..get("x") }).await.expect("an answer");
    assert_eq!(head.headers["content-length"], "99");
    let same = upstream.fetch(FetchRequest { if_none_match: Some("\"a\"".into()), ..get("x") }).await;
    assert_eq!(same.expect("an answer").status, 304);
    assert_eq!(head.body.read_all(0).await.expect("empty"), "");
}

#[tokio::test]
async fn too_much_is_cut_off() {
    let origin = Origin::always(Act::say(ok("0123456789"))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |s| s.max_index_bytes = 9);
    let error = failure(&upstream, FetchRequest::get("x", Purpose::Index)).await;
    assert_eq!(error.kind(), FetchKind::TooLarge);
    assert_eq!(whole(&upstream, get("x")).await.expect("other kinds have another limit").0, 200);
}

#[tokio::test]
async fn connections_are_used_again() {
    let origin = Origin::always(Act::say(ok("body"))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
    for _ in 0..3 {
        whole(&upstream, get("x")).await.expect("an answer");
    }
    let stats = upstream.snapshot().stats;
    assert_eq!((stats.requests, stats.attempts, stats.body_bytes), (3, 3, 12));
    assert_eq!(stats.first_byte.iter().sum::<u64>(), 3);
}
