//! Several mirrors: who is asked, how often, and whose word counts.

use super::origin::{Act, Origin, closed_port};
use super::*;

fn retrying(rounds: u32) -> impl FnOnce(&mut UpstreamSettings) {
    move |s| s.retry.rounds = rounds
}

#[tokio::test]
async fn failures_go_on_to_the_next_mirror() {
    let acts = [
        Act::SayAndClose(Vec::new()),
        Act::SayAndStall(Vec::new()),
        Act::say(reply(500, &[], "")),
        Act::say(reply(503, &[], "")),
        Act::say(reply(429, &[], "")),
        Act::say(reply(206, &[("Content-Range", "bytes 0-0/1")], "x")),
        Act::say(reply(302, &[], "")),
        Act::say(reply(407, &[], "")),
        Act::say(reply(200, &[("Via", "1.1 gate-under-test")], "")),
    ];
    for (n, act) in acts.into_iter().enumerate() {
        let (bad, good) = (Origin::always(act).await, Origin::always(Act::say(ok("good"))).await);
        let upstream = Bench::new().upstream(&[&bad.url(), &good.url()], impatient);
        let response = upstream.fetch(get("x")).await.unwrap_or_else(|e| panic!("case {n}: {e}"));
        assert_eq!(response.mirror, good.url(), "case {n}");
        assert_eq!((bad.count(), good.count()), (1, 1), "case {n}");
    }
}

#[tokio::test]
async fn a_burst_of_500_is_sat_out() {
    let origin = Origin::start(|n, _| Act::say(if n < 2 { reply(500, &[], "") } else { ok("fine") })).await;
    let upstream = Bench::new().upstream(&[&origin.url()], retrying(2));
    assert_eq!(whole(&upstream, get("x")).await.expect("the third try works").1, "fine");
    assert_eq!(upstream.snapshot().stats.retries, 2);
}

#[tokio::test]
async fn some_statuses_are_final() {
    for status in [400, 405, 451, 501, 204] {
        let origin = Origin::always(Act::say(reply(status, &[], ""))).await;
        let upstream = Bench::new().upstream(&[&origin.url()], retrying(2));
        assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::Status(status));
        assert_eq!(origin.count(), 1, "{status} is not asked again");
    }
}

#[tokio::test]
async fn retries_stop_with_their_budget() {
    let origin = Origin::always(Act::say(reply(502, &[], ""))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |s| {
        s.retry = RetrySettings { rounds: 2, budget_burst: 3, budget_percent: 0, ..s.retry.clone() };
        s.health.threshold = 100;
    });
    for _ in 0..4 {
        assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::Status(502));
    }
    assert_eq!(origin.count(), 4 + 3, "four requests, three retries in hand");
}

#[tokio::test]
async fn a_429_is_obeyed_without_asking_again() {
    let limited = |n| if n == 0 { reply(429, &[("Retry-After", "30")], "") } else { ok("fine") };
    let origin = Origin::start(move |n, _| Act::say(limited(n))).await;
    let bench = Bench::new();
    let upstream = bench.upstream(&[&origin.url()], retrying(2));
    for left in [30, 30, 10] {
        if left == 10 {
            bench.clock.advance(Duration::from_secs(20));
        }
        let retry_after = Duration::from_secs(left);
        assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::RateLimited { retry_after });
    }
    assert_eq!(origin.count(), 1);
    assert!(!upstream.health()[0].healthy);
    assert_eq!(upstream.health()[0].rate_limited_until, Some(START.plus(Duration::from_secs(30))));
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(whole(&upstream, get("x")).await.expect("the pause is over").1, "fine");
    assert_eq!(upstream.health()[0].failures, 0, "a limit is not a failure");
}

#[tokio::test]
async fn a_503_with_a_date_is_a_pause_too() {
    let date = crate::http::date::format(START.plus(Duration::from_secs(7)));
    let origin = Origin::always(Act::say(reply(503, &[("Retry-After", &date)], ""))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], retrying(2));
    let retry_after = Duration::from_secs(7);
    assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::RateLimited { retry_after });
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn while_one_rests_the_other_is_asked() {
    let first = Origin::always(Act::say(reply(429, &[("Retry-After", "60")], ""))).await;
    let second = Origin::start(|n, _| Act::say(if n < 2 { ok("b") } else { reply(429, &[], "") })).await;
    let upstream = Bench::new().upstream(&[&first.url(), &second.url()], |_| {});
    for _ in 0..2 {
        assert_eq!(whole(&upstream, get("x")).await.expect("the second answers").1, "b");
    }
    assert_eq!((first.count(), second.count()), (1, 2));
    let retry_after = Duration::from_secs(15);
    assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::RateLimited { retry_after });
}

#[tokio::test]
async fn an_open_circuit_is_probed_once_and_closes() {
    let sick = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let state = Arc::clone(&sick);
    let first = Origin::start(move |_, _| {
        let sick = state.load(std::sync::atomic::Ordering::SeqCst);
        Act::say(if sick { reply(500, &[], "") } else { ok("first") })
    })
    .await;
    let second = Origin::always(Act::say(ok("second"))).await;
    let bench = Bench::new();
    let upstream = bench.upstream(&[&first.url(), &second.url()], |s| s.health.threshold = 2);
    for _ in 0..5 {
        assert_eq!(whole(&upstream, get("x")).await.expect("the second answers").1, "second");
    }
    assert_eq!(first.count(), 2, "the circuit opened after two failures");

    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(whole(&upstream, get("x")).await.expect("failover after the probe").1, "second");
    assert_eq!(first.count(), 3, "one probe");
    bench.clock.advance(Duration::from_secs(2));
    whole(&upstream, get("x")).await.expect("the second answers");
    assert_eq!(first.count(), 3, "a failed probe doubles the pause");

    sick.store(false, std::sync::atomic::Ordering::SeqCst);
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(whole(&upstream, get("x")).await.expect("the probe works").1, "first");
    assert!(upstream.health()[0].healthy);
}

#[tokio::test]
async fn while_a_probe_runs_others_go_elsewhere() {
    let go = Arc::new(tokio::sync::Notify::new());
    let held = Arc::clone(&go);
    let first = Origin::start(move |n, _| match n {
        0 => Act::say(reply(500, &[], "")),
        _ => Act::Held(Arc::clone(&held), ok("first").into()),
    })
    .await;
    let second = Origin::always(Act::say(ok("second"))).await;
    let bench = Bench::new();
    let upstream = bench.upstream(&[&first.url(), &second.url()], |s| s.health.threshold = 1);
    whole(&upstream, get("x")).await.expect("the second answers");
    bench.clock.advance(Duration::from_secs(2));
    let probing = Arc::clone(&upstream);
    let probe = tokio::spawn(async move { whole(&probing, get("probe")).await });
    while first.count() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(whole(&upstream, get("x")).await.expect("not waiting for the probe").1, "second");
    go.notify_one();
    assert_eq!(probe.await.expect("no panic").expect("the probe works").1, "first");
    assert_eq!(first.count(), 2);
}

#[tokio::test]
async fn when_all_are_open_the_least_bad_is_tried() {
    let origin = Origin::start(|n, _| Act::say(if n < 1 { reply(500, &[], "") } else { ok("back") })).await;
    let dead = closed_port().await;
    let bench = Bench::new();
    let upstream = bench.upstream(&[&origin.url(), &dead], |s| s.health.threshold = 1);
    failure(&upstream, get("x")).await;
    assert!(upstream.health().iter().all(|m| m.open_until.is_some()));
    assert_eq!(whole(&upstream, get("x")).await.expect("asking beats failing").1, "back");
}

#[tokio::test]
async fn a_single_mirror_with_an_open_circuit_may_say_404() {
    let origin = Origin::start(|n, _| Act::say(reply(if n < 1 { 500 } else { 404 }, &[], ""))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |s| s.health.threshold = 1);
    failure(&upstream, get("x")).await;
    assert_eq!(whole(&upstream, get("x")).await.expect("it is the first mirror").0, 404);
}

#[tokio::test]
async fn the_last_error_survives_rounds_that_ask_nobody() {
    let origin = Origin::always(Act::say(reply(502, &[], ""))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |s| {
        s.retry.rounds = 2;
        s.health.threshold = 1;
    });
    assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::Status(502));
    assert_eq!(origin.count(), 1, "the circuit opened: no more rounds");
}

#[tokio::test]
async fn whose_404_counts() {
    // (the set's rule, first, second) → the outcome: a status, or 0 for "can't be told"
    let cases = [
        (Missing::PrimaryDecides, 404, 200, 404),
        (Missing::PrimaryDecides, 410, 200, 410),
        (Missing::PrimaryDecides, 500, 404, 0),
        (Missing::PrimaryDecides, 500, 403, 0),
        (Missing::PrimaryDecides, 429, 404, 0),
        (Missing::PrimaryDecides, 500, 200, 200),
        (Missing::AnyDecides, 500, 404, 404),
        (Missing::AnyDecides, 404, 200, 404),
        (Missing::FirstUnlessFound, 404, 200, 200),
        (Missing::FirstUnlessFound, 404, 500, 404),
        (Missing::FirstUnlessFound, 404, 404, 404),
        (Missing::FirstUnlessFound, 500, 404, 0),
        (Missing::AllDecide, 404, 200, 200),
        (Missing::AllDecide, 404, 410, 404),
        (Missing::AllDecide, 404, 500, 0),
        (Missing::AllDecide, 500, 404, 0),
    ];
    for (n, (missing, first, second, outcome)) in cases.into_iter().enumerate() {
        let first = Origin::always(Act::say(reply(first, &[], ""))).await;
        let second = Origin::always(Act::say(reply(second, &[], ""))).await;
        let upstream = Bench::new().upstream(&[&first.url(), &second.url()], |s| s.missing = missing);
        match whole(&upstream, get("x")).await {
            Ok((status, _)) => assert_eq!(status, outcome, "case {n}"),
            Err(error) => assert_eq!((error.kind(), outcome), (FetchKind::Doubtful, 0), "case {n}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_mirror_that_always_breaks_off_is_left_alone() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123";
    let origin = Origin::always(Act::SayAndClose(cut.into())).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
    for _ in 0..3 {
        assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::Reset);
    }
    assert!(upstream.health()[0].open_until.is_some(), "good heads must not hide bad bodies");
}
