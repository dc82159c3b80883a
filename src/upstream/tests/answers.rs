//! Answers that don't fit, over the wire.

use super::origin::{Act, Origin};
use super::*;

#[tokio::test]
async fn answers_that_do_not_fit_are_the_mirrors_fault() {
    let part = |from| FetchRequest { range_from: Some(from), ..get("x") };
    let cases = [
        (reply(304, &[], ""), get("x")),
        (reply(206, &[("Content-Range", "bytes 0-0/1")], "x"), get("x")),
        (reply(206, &[("Content-Range", "bytes 0-0/9")], "x"), part(3)),
        (reply(206, &[], "x"), part(3)),
        (reply(200, &[("Content-Encoding", "br")], "x"), get("x")),
    ];
    for (n, (answer, request)) in cases.into_iter().enumerate() {
        let origin = Origin::always(Act::say(answer)).await;
        let upstream = Bench::new().upstream(&[&origin.url()], |s| s.retry.rounds = 2);
        let error = failure(&upstream, request).await;
        assert_eq!(error.kind(), FetchKind::BadAnswer, "case {n}");
        assert_eq!(origin.count(), 1, "case {n}: asking again would not help");
        assert_eq!(upstream.health()[0].last_error, Some("bad_answer"), "case {n}");
    }
}

#[tokio::test]
async fn parts_and_refusals_come_back_as_they_are() {
    let origin = Origin::start(|_, seen| {
        Act::say(match seen.header("range") {
            Some("bytes=3-") => reply(206, &[("Content-Range", "bytes 3-5/6")], "def"),
            Some(_) => reply(416, &[("Content-Range", "bytes */6")], ""),
            None => reply(seen.target()[1..].parse().expect("a status"), &[], "sorry"),
        })
    })
    .await;
    let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
    let part = upstream.fetch(FetchRequest { range_from: Some(3), ..get("x") }).await.expect("a part");
    assert_eq!(part.content_range(), Some(ContentRange { range: 3..=5, total: Some(6) }));
    assert_eq!(part.body.read_all(9).await.expect("whole"), "def");
    let beyond = FetchRequest { range_from: Some(9), ..get("x") };
    assert_eq!(whole(&upstream, beyond).await.expect("an answer").0, 416);
    for status in [401, 403, 404, 410] {
        let answer = whole(&upstream, get(&status.to_string())).await.expect("an answer");
        assert_eq!(answer, (status, "sorry".to_owned()));
    }
    assert!(upstream.health()[0].healthy);
}

#[tokio::test]
async fn the_gate_notices_itself() {
    let vias =
        ["1.1 gate-under-test", "HTTP/1.1 gate-under-test (condagate)", "1.0 a, 1.1 gate-under-test, 1.1 b"];
    for via in vias {
        for status in [200, 404, 302, 508] {
            let origin =
                Origin::always(Act::say(reply(status, &[("Via", via), ("Location", "/x")], ""))).await;
            let upstream = Bench::new().upstream(&[&origin.url()], |s| s.retry.rounds = 2);
            assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::Loop, "{via} {status}");
            assert_eq!(origin.count(), 1);
        }
    }
    let origin = Origin::always(Act::say(reply(200, &[("Via", "1.1 gate-under-test-2, 1.1 x")], ""))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
    assert_eq!(whole(&upstream, get("x")).await.expect("that is someone else").0, 200);
}
