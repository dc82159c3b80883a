use std::time::Duration;

use crate::cache::freshness::Lifetime;
use crate::cache::testing::*;
use crate::cache::*;
use crate::conda::digest::Expected;

#[tokio::test(start_paused = true)]
async fn a_package_is_fetched_once_verified_and_stored() {
    let lab = Lab::new();
    let bytes = pattern(300_000);
    let source = Script::whole(&bytes);
    let fill = lab.package("c/noarch/a.conda", expect(&bytes), &source);
    assert!(!fill.joined());
    assert_eq!(fill.head().await.unwrap().total, Some(300_000));
    let (got, error) = collect(fill.follow(0, None)).await;
    assert!(error.is_none() && got == bytes);
    let blob = fill.done().await.unwrap();
    assert_eq!(std::fs::read(lab.blob_path(blob.digest())).unwrap(), bytes);
    assert_eq!(lab.files("partial"), Vec::<String>::new());
    assert!(lab.cache.hot(blob.digest()).is_some());
    let again = lab.package("c/noarch/a.conda", expect(&bytes), &source);
    assert!(again.joined());
    assert!(collect(again.follow(0, None)).await.0 == bytes);
    assert_eq!(source.offsets(), [0]);
}

#[tokio::test(start_paused = true)]
async fn sizes_at_every_edge() {
    let lab = Lab::with(|settings| settings.hold_back = 1000);
    for len in [0, 1, 999, 1000, 1001, 65_536, 65_537, 131_072, 131_073, 400_000] {
        let bytes = pattern(len);
        for (name, reply) in
            [("length", Reply::all(&bytes, "\"a\"")), ("chunked", Reply::chunked(&bytes, "\"a\""))]
        {
            let key = format!("{name}/{len}");
            let fill = lab.plain(&key, &Script::new([reply]));
            let (got, error) = collect(fill.follow(0, None)).await;
            assert!(error.is_none() && got == bytes, "{key} {error:?}");
            let blob = fill.done().await.unwrap();
            assert_eq!(blob.len(), len as u64);
            assert_eq!(lab.cache.object(&key).unwrap().blob.digest(), &sha256(&bytes));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_at_once_cost_one_request() {
    let lab = Lab::new();
    let bytes = pattern(200_000);
    let (hand, reply) = Reply::by_hand(Some(200_000), "\"a\"");
    let source = Script::new([reply]);
    let fills: Vec<_> = (0..50).map(|_| lab.package("k", expect(&bytes), &source)).collect();
    assert_eq!(fills.iter().filter(|fill| fill.joined()).count(), 49);
    let readers: Vec<_> = fills.iter().map(|fill| tokio::spawn(collect(fill.follow(0, None)))).collect();
    for piece in bytes.chunks(17_001) {
        hand.send(Ok(bytes::Bytes::copy_from_slice(piece))).unwrap();
        tokio::task::yield_now().await;
    }
    drop(hand);
    for reader in readers {
        let (got, error) = reader.await.unwrap();
        assert!(error.is_none() && got == bytes);
    }
    assert_eq!(source.offsets(), [0]);
    assert_eq!(lab.cache.status().unwrap().fills_started, 1);
}

#[tokio::test(start_paused = true)]
async fn a_digest_learned_late_lets_the_tail_go() {
    let lab = Lab::new();
    let bytes = pattern(100_000);
    for (key, expected) in [("sha", expect(&bytes)), ("md5", expect_md5(&bytes))] {
        let fill = lab.package(key, Expected::default(), &Script::whole(&bytes));
        let mut follower = fill.follow(0, None);
        let early = drain(&mut follower, 100_000 - 65_536).await;
        assert_eq!(early.len(), 100_000 - 65_536);
        assert!(tokio::time::timeout(Duration::from_secs(1), follower.next()).await.is_err());
        fill.learn(expected);
        let (rest, error) = collect(follower).await;
        assert!(error.is_none() && [early, rest].concat() == bytes);
        fill.done().await.unwrap();
    }
    assert!(lab.cache.find_expected(&expect_md5(&bytes)).await.is_some());
    let other_size = Expected { size: Some(1), ..expect_md5(&bytes) };
    assert!(lab.cache.find_expected(&other_size).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_digest_never_learned_ends_in_a_sentence() {
    let lab = Lab::new();
    let fill = lab.package("k", Expected::default(), &Script::whole(&pattern(100_000)));
    let (got, error) = collect(fill.follow(0, None)).await;
    assert_eq!(got.len(), 100_000 - 65_536);
    assert!(error.unwrap().to_string().contains("within 10 s"));
    assert!(matches!(fill.done().await, Err(FillError::NeverLearned(_))));
    assert_eq!(lab.files("partial"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_package_does_not_keep_others_out() {
    let lab = Lab::with(|settings| settings.max_fills = 1);
    let bytes = pattern(5000);
    let waiting = lab.package("waits", Expected::default(), &Script::whole(&bytes));
    waiting.head().await.unwrap();
    lab.store("other", &pattern(3000)).await;
    waiting.learn(expect(&bytes));
    waiting.done().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_object_is_revalidated() {
    let lab = Lab::new();
    let bytes = pattern(70_000);
    lab.plain("/installer.sh", &Script::whole(&bytes)).done().await.unwrap();
    let object = lab.cache.object("/installer.sh").unwrap();
    assert_eq!(object.meta.validators.etag.as_deref(), Some("\"v1\""));
    lab.clock.advance(Duration::from_secs(100));
    let lifetime = Lifetime { fresh: Duration::from_secs(7), ..Lifetime::default() };
    let unchanged = Reply::new(move |at| {
        assert_eq!(at.conditional.as_ref().unwrap().etag.as_deref(), Some("\"v1\""));
        Ok(Opened::NotModified { validators: Validators::default(), lifetime })
    });
    let source = Script::new([unchanged]);
    let request = |known: &Object| FillRequest {
        key: "/installer.sh".into(),
        expected: Expected::default(),
        kind: FillKind::Object { known: Some(known.meta.clone()) },
        source: source.clone(),
    };
    let fill = lab.cache.fill(request(&object));
    assert_eq!(fill.head().await.unwrap().total, Some(70_000));
    assert!(collect(fill.follow(10, Some(69_000))).await.0 == bytes[10..69_000]);
    let newer = lab.cache.object("/installer.sh").unwrap();
    assert_eq!(newer.meta.lifetime, lifetime);
    assert_eq!(newer.meta.checked_at.since(object.meta.checked_at), Duration::from_secs(100));
    // Somebody who still holds the older version takes what has just been checked.
    assert!(lab.cache.fill(request(&object)).joined());
    assert_eq!(source.asked().len(), 1);
    assert_eq!(lab.files("partial"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_304_for_a_file_that_is_gone_fetches_it_again() {
    let lab = Lab::new();
    let bytes = pattern(9000);
    lab.plain("k", &Script::whole(&bytes)).done().await.unwrap();
    let object = lab.cache.object("k").unwrap();
    std::fs::remove_file(lab.blob_path(object.blob.digest())).unwrap();
    // Small files are in memory and are looked at once a second.
    lab.clock.advance(std::time::Duration::from_secs(1));
    let unchanged = Reply::new(|_| {
        Ok(Opened::NotModified { validators: Validators::default(), lifetime: Lifetime::default() })
    });
    let source = Script::new([unchanged, Reply::all(&bytes, "\"v1\"")]);
    let kind = FillKind::Object { known: Some(object.meta) };
    let fill = lab.cache.fill(FillRequest {
        key: "k".into(),
        expected: Expected::default(),
        kind,
        source: source.clone(),
    });
    assert!(collect(fill.follow(0, None)).await.0 == bytes);
    assert_eq!(source.asked()[1].conditional, None);
}

#[tokio::test(start_paused = true)]
async fn another_digest_under_a_running_key_is_another_fill() {
    let lab = Lab::new();
    let (old, new) = (pattern(50_000), pattern(50_001));
    let (hand, reply) = Reply::by_hand(Some(50_000), "\"old\"");
    let first = lab.package("k", expect(&old), &Script::new([reply]));
    let second = lab.package("k", expect(&new), &Script::whole(&new));
    assert!(!second.joined());
    assert!(collect(second.follow(0, None)).await.0 == new);
    hand.send(Ok(old.clone().into())).unwrap();
    drop(hand);
    assert!(collect(first.follow(0, None)).await.0 == old);
    assert!(first.done().await.is_ok() && second.done().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_file_no_index_lists_passes_as_a_plain_one_or_not_at_all() {
    let lab = Lab::new();
    let bytes = pattern(100_000);
    let fill = lab.package("c/noarch/passes.conda", Expected::default(), &Script::whole(&bytes));
    fill.learn_none(Some(100_000));
    assert!(collect(fill.follow(0, None)).await.0 == bytes);
    fill.done().await.unwrap();
    assert!(lab.cache.object("c/noarch/passes.conda").is_some());
    assert!(lab.cache.verified("c/noarch/passes.conda").await.is_none());

    let (hand, reply) = Reply::by_hand(Some(100_000), "\"a\"");
    let fill = lab.package("c/noarch/refused.conda", Expected::default(), &Script::new([reply]));
    hand.send(Ok(bytes[..50_000].to_vec().into())).unwrap();
    fill.head().await.unwrap();
    fill.refuse("rule-7", "rule 7 forbids it".into());
    let (got, error) = collect(fill.follow(0, None)).await;
    assert!(got.is_empty() && error.unwrap().to_string() == "rule 7 forbids it");
    hand.send(Ok(bytes[50_000..90_000].to_vec().into())).unwrap();
    // The task notices and lets go of upstream, too.
    hand.closed().await;
    assert!(lab.cache.object("c/noarch/refused.conda").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_verified_package_is_found_by_its_key_and_keeps_its_date() {
    let lab = Lab::new();
    let bytes = pattern(5000);
    let dated = {
        let bytes = bytes.clone();
        Reply::new(move |at| {
            let Ok(Opened::Body(mut body)) = Reply::all(&bytes, "\"a\"").answer(at) else { unreachable!() };
            body.validators.last_modified = Some("Sun, 06 Nov 1994 08:49:37 GMT".into());
            Ok(Opened::Body(body))
        })
    };
    lab.package("c/noarch/a.conda", expect(&bytes), &Script::new([dated])).done().await.unwrap();
    let blob = lab.cache.verified("c/noarch/a.conda").await.unwrap();
    assert_eq!(blob.modified().seconds(), 784_111_777);
    assert!(lab.cache.object("c/noarch/a.conda").is_none());
    assert_eq!(std::fs::read(lab.cache.path_of(&blob)).unwrap(), bytes);
}
