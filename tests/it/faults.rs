//! Upstream at its worst while a package is fetched: the right bytes, or visibly no bytes, and the next request works.

use std::time::Duration;

use crate::harness::archive::noise;
use crate::harness::{Act, Answer, Channel, End, File, Latch, Setup, Stage, Upstream, package, rules};

const BIG: usize = 600_000;

fn stage() -> Stage {
    let stage = Stage::impatient(Channel::new("chan").with("noarch", &package("big", "1.0").payload(BIG)));
    stage.know_index();
    stage
}

fn get(stage: &Stage) -> Answer {
    stage.get(&stage.channel.path("big"))
}

/// The first answer after some acts must be right.
fn overcomes(acts: impl IntoIterator<Item = Act>) -> Stage {
    let stage = stage();
    stage.upstream.script(&stage.channel.path("big"), acts);
    stage.fetch("big");
    stage.fetch("big");
    stage
}

/// With a permanent fault the client sees an error or a cut; once the fault is gone the right bytes come.
fn refuses(fault: Act) -> Answer {
    let stage = stage();
    let path = stage.channel.path("big");
    stage.upstream.always(&path, fault);
    let answer = get(&stage);
    answer.expect_visibly_bad();
    assert!(stage.home_has_no_blob("big"), "a bad file was kept");
    stage.upstream.behave(&path);
    stage.fetch_eventually("big");
    answer
}

/// With a permanent fault that lets a bit more through each time, the client sees a cut or, as parts are put together,
/// the right bytes; never anything else.
fn never_wrong(fault: Act) {
    let stage = stage();
    let path = stage.channel.path("big");
    stage.upstream.always(&path, fault);
    let answer = get(&stage);
    if answer.status == 200 && answer.end == End::Complete {
        assert!(answer.body == stage.channel.get("big").bytes, "a complete wrong file");
    } else {
        answer.expect_visibly_bad();
        assert!(stage.home_has_no_blob("big"), "a bad file was kept");
    }
    stage.upstream.behave(&path);
    stage.fetch_eventually("big");
}

#[test]
fn one_stall_before_the_headers_is_overcome() {
    overcomes([Act::StallHead]);
}

#[test]
fn one_reset_before_the_headers_is_overcome() {
    overcomes([Act::ResetHead]);
}

#[test]
fn one_stall_in_the_middle_is_overcome() {
    overcomes([Act::StallBody(BIG / 2)]);
}

#[test]
fn one_reset_in_the_middle_is_overcome() {
    overcomes([Act::ResetBody(BIG / 2)]);
}

#[test]
fn one_truncation_with_length_is_overcome() {
    overcomes([Act::CutBody(BIG / 2)]);
}

#[test]
fn a_burst_of_500_is_overcome() {
    overcomes([Act::status(500), Act::status(502)]);
}

#[test]
fn a_body_without_length_is_fine() {
    overcomes([Act::Unframed]);
}

#[test]
fn an_upstream_that_ignores_ranges_is_overcome() {
    overcomes([Act::CutBody(BIG / 2), Act::IgnoreRange]);
}

#[test]
fn coding_nobody_asked_for_never_reaches_the_client_undecoded() {
    let stage = stage();
    stage.upstream.script(&stage.channel.path("big"), [Act::Gzip]);
    let answer = get(&stage);
    if answer.status == 200 && answer.end == End::Complete {
        assert!(answer.body == stage.channel.get("big").bytes, "coded bytes were handed out");
        assert_eq!(answer.header("content-encoding"), None);
    } else {
        answer.expect_visibly_bad();
    }
    stage.fetch_eventually("big");
}

#[test]
fn a_lasting_stall_before_the_headers_is_a_gateway_error() {
    let answer = refuses(Act::StallHead);
    assert!((502..=504).contains(&answer.status), "{}", answer.status);
    let status = answer.status;
    answer.expect_problem(status);
}

#[test]
fn lasting_breaks_in_the_middle_are_put_together_or_cut() {
    for at in [1, BIG / 8, BIG / 2] {
        never_wrong(Act::StallBody(at));
        never_wrong(Act::ResetBody(at));
        never_wrong(Act::CutBody(at));
        never_wrong(Act::CutUnframed(at));
    }
}

#[test]
fn a_lasting_break_before_the_first_byte_is_seen() {
    for fault in [Act::StallBody(0), Act::ResetBody(0), Act::CutBody(0), Act::CutUnframed(0), Act::ResetHead]
    {
        refuses(fault);
    }
}

#[test]
fn a_truncated_last_byte_is_noticed() {
    let size = stage().channel.get("big").bytes.len();
    never_wrong(Act::CutBody(size - 1));
    never_wrong(Act::CutUnframed(size - 1));
    never_wrong(Act::ResetBody(size - 1));
}

#[test]
fn a_wrong_digest_is_never_completed() {
    let right = stage().channel.get("big").bytes.clone();
    let mut last = right.clone();
    *last.last_mut().unwrap() ^= 1;
    let mut first = right.clone();
    first[0] ^= 1;
    for wrong in [noise("other", right.len()), last, first] {
        refuses(Act::Other(wrong.into()));
    }
}

#[test]
fn another_length_is_never_completed() {
    let right = stage().channel.get("big").bytes.clone();
    refuses(Act::Other(right[..right.len() - 1].to_vec().into()));
    refuses(Act::Other([&right[..], b"more"].concat().into()));
    refuses(Act::Other(Vec::new().into()));
}

#[test]
fn a_right_digest_with_another_size_in_the_record_is_refused() {
    let channel = Channel::new("chan").with_record("noarch", &package("odd", "1.0"), |record| {
        record.insert("size".into(), 12.into());
    });
    let stage = Stage::impatient(channel);
    stage.know_index();
    stage.get(&stage.channel.path("odd")).expect_visibly_bad();
}

#[test]
fn a_304_that_nobody_asked_for_is_an_error() {
    assert!(refuses(Act::status(304)).status >= 500);
}

#[test]
fn a_lasting_500_is_a_bad_gateway() {
    let status = refuses(Act::status(500)).status;
    assert!([502, 503].contains(&status), "{status}");
}

#[test]
fn an_html_page_is_not_a_package() {
    refuses(Act::html());
}

#[test]
fn a_redirect_loop_ends() {
    let stage = stage();
    let path = stage.channel.path("big");
    stage.upstream.always(&path, Act::redirect(&path));
    let answer = get(&stage);
    assert!((500..=508).contains(&answer.status), "{}", answer.status);
    assert!(answer.text().contains("redirect"), "{}", answer.text());
    assert!(stage.upstream.gets(&path) < 60, "{} requests", stage.upstream.gets(&path));
    stage.upstream.behave(&path);
    stage.fetch_eventually("big");
}

#[test]
fn redirects_are_followed_inside() {
    let stage = stage();
    let path = stage.channel.path("big");
    let elsewhere = Upstream::start();
    elsewhere.put("/signed", stage.channel.get("big").bytes.clone());
    let location = format!("{}/signed?X-Amz-Signature=MARKED-signature", elsewhere.url());
    elsewhere.may_see("MARKED-signature");
    stage.upstream.always(&path, Act::redirect(&location));
    elsewhere.script("/signed", [Act::ResetHead, Act::status(403), Act::status(500), Act::html()]);
    while stage.get(&path).status != 200 {
        stage.gate.advance(Duration::from_mins(1));
    }
    let before = (stage.upstream.gets(&path), elsewhere.gets("/signed"));
    stage.fetch("big");
    stage.fetch("big");
    assert_eq!((stage.upstream.gets(&path), elsewhere.gets("/signed")), before);
    assert_eq!(elsewhere.seen()[0].header("referer"), None);
}

#[test]
fn a_404_is_remembered_only_briefly() {
    let stage = stage();
    let path = stage.channel.at("noarch", "late-1.0-0.conda");
    for _ in 0..5 {
        stage.get(&path).expect_problem(404);
    }
    assert_eq!(stage.upstream.gets(&path), 1, "a 404 is cached");
    let late = package("late", "1.0").build("noarch");
    stage.upstream.put(&path, late.bytes.clone());
    stage.gate.advance(Duration::from_hours(1));
    assert_eq!(stage.get(&path).expect(200), late.bytes);
}

#[test]
fn a_410_is_a_404_or_410_and_401_and_403_are_no_404() {
    for status in [401, 403] {
        let stage = stage();
        stage.upstream.always(&stage.channel.path("big"), Act::status(status));
        let answer = get(&stage);
        assert!(answer.status >= 400 && answer.status != 404, "{status} became {}", answer.status);
        assert_ne!(answer.status, 401, "a client must not look for credentials the gate lacks");
    }
    let stage = stage();
    stage.upstream.always(&stage.channel.path("big"), Act::status(410));
    assert!([404, 410].contains(&get(&stage).status));
}

#[test]
fn retry_after_is_obeyed_and_handed_on() {
    let stage = stage();
    let path = stage.channel.path("big");
    stage.upstream.always(&path, Act::status_with(429, "Retry-After", "120"));
    let answer = get(&stage);
    assert!([429, 503].contains(&answer.status), "{}", answer.status);
    let seconds: u64 = answer.must("retry-after").parse().expect("seconds");
    assert!((1..=120).contains(&seconds), "{seconds}");
    let asked = stage.upstream.total();
    get(&stage).expect_visibly_bad();
    assert_eq!(stage.upstream.total(), asked, "upstream said not to come back");
    stage.upstream.behave(&path);
    stage.gate.advance(Duration::from_secs(121));
    stage.fetch_eventually("big");
}

#[test]
fn a_file_that_changes_between_two_parts_is_never_glued_together() {
    for deaf in [false, true] {
        let stage = stage();
        let path = stage.channel.path("big");
        let other = File::new(noise("new content", stage.channel.get("big").bytes.len()));
        let second = if deaf { Act::SwapDeaf(other) } else { Act::Swap(other) };
        stage.upstream.script(&path, [Act::CutBody(BIG / 2), second]);
        get(&stage).expect_visibly_bad();
        assert!(stage.home_has_no_blob("big"));
        stage.upstream.put(&path, stage.channel.get("big").bytes.clone());
        stage.fetch_eventually("big");
    }
}

#[test]
fn an_upstream_that_refuses_connections_is_a_502_or_503() {
    let mut stage = stage();
    stage.upstream.stop();
    let status = get(&stage).status;
    assert!((502..=504).contains(&status), "{status}");
    stage.upstream.start_again();
    stage.fetch_eventually("big");
}

#[test]
fn followers_of_a_broken_fill_are_told_too() {
    let stage = stage();
    let path = stage.channel.path("big");
    let latch = Latch::new();
    let mut wrong = stage.channel.get("big").bytes.clone();
    wrong[0] ^= 1;
    stage.upstream.put(&path, wrong);
    stage.upstream.always(&path, Act::HoldBody(BIG / 2, latch.clone()));
    let request = crate::harness::Request::get(&path);
    let mut clients: Vec<_> = (0..5).map(|_| request.begin(stage.gate.address())).collect();
    latch.wait_for_arrival();
    latch.open();
    for client in &mut clients {
        client.answer("GET").expect_visibly_bad();
    }
    stage.upstream.put(&path, stage.channel.get("big").bytes.clone());
    stage.fetch_eventually("big");
}

#[test]
fn a_record_with_md5_only_is_verified_by_it() {
    let channel = || {
        Channel::new("chan").with_record("noarch", &package("old", "1.0").payload(BIG), |record| {
            record.remove("sha256");
        })
    };
    let stage = Stage::impatient(channel());
    stage.know_index();
    stage.fetch("old");
    let stage = Stage::impatient(channel());
    stage.know_index();
    let size = stage.channel.get("old").bytes.len();
    stage.upstream.always(&stage.channel.path("old"), Act::Other(noise("wrong", size).into()));
    stage.get(&stage.channel.path("old")).expect_visibly_bad();
}

#[test]
fn a_record_without_any_digest_is_checked_by_its_size() {
    let channel = || {
        Channel::new("chan").with_record("noarch", &package("bare", "1.0").payload(BIG), |record| {
            record.remove("sha256");
            record.remove("md5");
        })
    };
    let stage = Stage::impatient(channel());
    stage.know_index();
    stage.fetch("bare");
    let stage = Stage::impatient(channel());
    stage.know_index();
    stage.upstream.always(&stage.channel.path("bare"), Act::Other(noise("wrong", 1_000).into()));
    stage.get(&stage.channel.path("bare")).expect_visibly_bad();
}

#[test]
fn the_gate_does_not_ask_itself() {
    let upstream = Upstream::start();
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    gate.set_rules(&rules::all_from_urls(&[gate.url()], "timeouts: {connect: 5s}")).expect("good rules");
    let answer = gate.get("/chan/noarch/alpha-1.0-0.conda");
    assert!((500..=508).contains(&answer.status), "{}", answer.status);
    let text = answer.text();
    assert!(text.contains("loop") || text.contains("back to") || text.contains("itself"), "{text}");
}
