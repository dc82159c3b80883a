use std::time::Duration;

use bytes::Bytes;

use crate::cache::testing::*;
use crate::cache::*;
use crate::conda::digest::Expected;

const LEN: usize = 2_000_000;

fn asked(source: &Script) -> Vec<(u64, Option<String>)> {
    source.asked().into_iter().map(|at| (at.offset, at.if_range)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_reset_or_a_short_body_is_continued_where_it_broke() {
    for end in [Some(fault()), None] {
        let lab = Lab::new();
        let bytes = pattern(LEN);
        let source =
            Script::new([Reply::part(&bytes, "\"v1\"", 1_200_000, end), Reply::all(&bytes, "\"v1\"")]);
        let fill = lab.package("k", expect(&bytes), &source);
        let (got, error) = collect(fill.follow(0, None)).await;
        assert!(error.is_none() && got == bytes);
        assert_eq!(asked(&source), [(0, None), (1_200_000, Some("\"v1\"".into()))]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_is_continued_too() {
    let lab = Lab::new();
    let bytes = pattern(10_000);
    let (hand, stalled) = Reply::by_hand(Some(10_000), "\"v1\"");
    hand.send(Ok(Bytes::copy_from_slice(&bytes[..4000]))).unwrap();
    let source = Script::new([stalled, Reply::all(&bytes, "\"v1\"")]);
    let fill = lab.plain("k", &source);
    assert!(collect(fill.follow(0, None)).await.0 == bytes);
    assert_eq!(source.offsets(), [0, 4000]);
    drop(hand);
}

#[tokio::test(start_paused = true)]
async fn a_reply_from_the_start_is_compared_and_skipped() {
    let lab = Lab::new();
    let bytes = pattern(LEN);
    let source = Script::new([
        Reply::part(&bytes, "\"v1\"", 900_000, Some(fault())),
        // The same bytes, tagged otherwise by another mirror, the range ignored.
        Reply::chunked(&bytes, "\"other mirror\""),
    ]);
    let fill = lab.package("k", expect(&bytes), &source);
    let (got, error) = collect(fill.follow(0, None)).await;
    assert!(error.is_none() && got == bytes, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn another_version_in_the_middle_is_an_error_for_those_who_have_bytes() {
    let (old, new) = (pattern(LEN), vec![7; LEN]);
    let replies: [fn(&[u8]) -> Reply; 2] =
        [|new| Reply::chunked(new, "\"v2\""), |new| Reply::all(new, "\"v2\"")];
    for reply in replies {
        for expected in [Expected::default(), expect(&old)] {
            let lab = Lab::new();
            let source = Script::new([Reply::part(&old, "\"v1\"", 900_000, Some(fault())), reply(&new)]);
            let fill = if expected.has_digest() {
                lab.package("k", expected, &source)
            } else {
                lab.plain("k", &source)
            };
            let (got, error) = collect(fill.follow(0, None)).await;
            assert!(
                matches!(error, Some(FillError::Changed | FillError::DigestMismatch { .. })),
                "{error:?}"
            );
            assert!(got.len() < LEN && (got == old[..got.len()] || expected.has_digest()));
            assert!(fill.done().await.is_err());
            assert_eq!(lab.files("partial"), Vec::<String>::new());
            // The next request starts anew.
            let next = lab.plain("k", &Script::whole(&new));
            assert!(!next.joined());
            assert!(collect(next.follow(0, None)).await.0 == new);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_version_before_anybody_has_bytes_starts_anew() {
    let lab = Lab::new();
    let (old, new) = (pattern(LEN), vec![7; LEN + 1]);
    let source = Script::new([
        Reply::part(&old, "\"v1\"", 900_000, Some(fault())),
        Reply::all(&new, "\"v2\""),
        Reply::all(&new, "\"v2\""),
    ]);
    let fill = lab.plain("k", &source);
    let blob = fill.done().await.unwrap();
    assert_eq!(blob.digest(), &sha256(&new));
    assert_eq!(source.offsets(), [0, 900_000, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_was_told_is_not_taken_back() {
    let lab = Lab::new();
    let (old, new) = (pattern(LEN), vec![7; LEN + 1]);
    let source = Script::new([
        Reply::part(&old, "\"v1\"", 900_000, Some(fault())),
        Reply::all(&new, "\"v2\""),
        Reply::all(&new, "\"v2\""),
    ]);
    let fill = lab.plain("k", &source);
    assert_eq!(fill.head().await.unwrap().total, Some(LEN as u64));
    assert!(matches!(fill.done().await, Err(FillError::Changed)));
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let lab = Lab::with(|settings| settings.max_attempts = 3);
    let bytes = pattern(10_000);
    let broken = || Reply::part(&bytes, "\"v1\"", 4000, Some(fault()));
    let source = Script::new((0..9).map(|_| broken()));
    let fill = lab.package("k", expect(&bytes), &source);
    let error = fill.done().await.unwrap_err();
    assert_eq!(error.source_kind(), Some(SourceErrorKind::Unavailable));
    assert_eq!(source.offsets(), [0, 4000, 4000, 4000]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_digest_is_tried_once_more_only_if_nobody_has_bytes() {
    let (right, wrong) = (pattern(200_000), vec![1; 200_000]);
    let script = || Script::new([Reply::all(&wrong, "\"x\""), Reply::all(&right, "\"x\"")]);
    let lab = Lab::new();
    let alone = lab.package("alone", expect(&right), &script());
    assert!(alone.done().await.is_ok());
    let followed = lab.package("followed", Expected { size: None, ..expect(&pattern(199_999)) }, &script());
    let (got, error) = collect(followed.follow(0, None)).await;
    assert!(matches!(error, Some(FillError::DigestMismatch { .. })), "{error:?}");
    assert!(got.len() <= 200_000 - 65_536);
    assert_eq!(lab.files("partial"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_with_what_is_on_disk() {
    let bytes = pattern(LEN);
    let (hand, reply) = Reply::by_hand(Some(LEN as u64), "\"v1\"");
    let lab = Lab::new();
    let fill = lab.package("k", expect(&bytes), &Script::new([reply]));
    hand.send(Ok(Bytes::copy_from_slice(&bytes[..1_500_000]))).unwrap();
    while fill.committed() < 1_500_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    lab.cache.stop();
    assert!(matches!(fill.done().await, Err(FillError::Stopped)));
    drop(fill);
    let lab = reopen(lab).await;
    assert_eq!(lab.files("partial").len(), 2);
    let source = Script::whole(&bytes);
    let fill = lab.package("k", expect(&bytes), &source);
    assert!(collect(fill.follow(0, None)).await.0 == bytes);
    assert_eq!(asked(&source), [(1_500_000, Some("\"v1\"".into()))]);
    fill.done().await.unwrap();
    assert_eq!(lab.files("partial"), Vec::<String>::new());
    assert_eq!(lab.cache.status().unwrap().fills_resumed, 1);
}

/// Closes the cache and opens it again in the same directory.
async fn reopen(lab: Lab) -> Lab {
    let Lab { dir, cache, .. } = lab;
    drop(cache);
    // The last task of the stopped fill lets go of the lock.
    while Cache::open(
        settings(dir.path().join("packages")),
        std::sync::Arc::new(crate::clock::SystemClock),
        tokio::runtime::Handle::current(),
    )
    .is_err()
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Lab::within(dir, |_| {})
}

#[tokio::test(start_paused = true)]
async fn leftovers_that_fit_nothing_are_not_used() {
    let bytes = pattern(LEN);
    let cases: &[(&str, Expected, &str)] = &[
        ("another digest", expect(&bytes), r#"{"key":"k","sha256":"00","validators":{}}"#),
        ("another key", expect(&bytes), r#"{"key":"j","sha256":null,"validators":{}}"#),
        ("no digest known", expect_md5(&bytes), r#"{"key":"k","sha256":null,"validators":{}}"#),
        ("no note", expect(&bytes), "garbage"),
    ];
    for (name, expected, note) in cases {
        let lab = Lab::new();
        let note = note.replace("\"00\"", &format!("\"{}\"", "00".repeat(32)));
        let part = lab.path("partial").join(format!("{}.part", sha256(b"k")));
        std::fs::write(&part, &bytes[..1000]).unwrap();
        std::fs::write(part.with_extension("state"), note).unwrap();
        let source = Script::whole(&bytes);
        let fill = lab.package("k", *expected, &source);
        assert!(fill.done().await.is_ok(), "{name}");
        assert_eq!(source.offsets(), [0], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotten_leftover_is_found_out() {
    let lab = Lab::new();
    let bytes = pattern(LEN);
    let part = lab.path("partial").join(format!("{}.part", sha256(b"k")));
    std::fs::write(&part, vec![0; 1_100_000]).unwrap();
    std::fs::write(
        part.with_extension("state"),
        r#"{"key":"k","sha256":null,"validators":{"etag":"\"v1\"","last_modified":null}}"#,
    )
    .unwrap();
    let source = Script::new([Reply::all(&bytes, "\"v1\""), Reply::all(&bytes, "\"v1\"")]);
    let fill = lab.package("k", expect(&bytes), &source);
    assert_eq!(fill.done().await.unwrap().digest(), &sha256(&bytes));
    assert_eq!(source.offsets(), [1_100_000, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_file_another_process_writes_is_left_alone() {
    let lab = Lab::new();
    let bytes = pattern(5000);
    let part = lab.path("partial").join(format!("{}.part", sha256(b"k")));
    std::fs::write(&part, b"theirs").unwrap();
    let theirs = std::fs::File::open(&part).unwrap();
    theirs.lock().unwrap();
    lab.cache.housekeep();
    lab.store("k", &bytes).await;
    assert_eq!(std::fs::read(&part).unwrap(), b"theirs");
    drop(theirs);
    lab.cache.housekeep();
    assert_eq!(lab.files("partial"), Vec::<String>::new());
}
