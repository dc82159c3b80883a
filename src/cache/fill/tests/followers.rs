use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::cache::testing::*;

#[tokio::test(start_paused = true)]
async fn every_range_holds_back_its_own_end() {
    let lab = Lab::with(|settings| settings.hold_back = 1000);
    let bytes = pattern(50_000);
    let (hand, reply) = Reply::by_hand(Some(50_000), "\"a\"");
    let fill = lab.package("k", expect(&bytes), &Script::new([reply]));
    for piece in bytes.chunks(10_000) {
        hand.send(Ok(Bytes::copy_from_slice(piece))).unwrap();
    }
    while fill.committed() < 50_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // All bytes are there, but the body has not ended: nobody may have the last bytes of his answer.
    let ranges = [
        (0, None),
        (0, Some(30_000)),
        (20_000, Some(20_500)),
        (49_000, None),
        (7, Some(8)),
        (40_000, Some(90_000)),
    ];
    let mut waiting = Vec::new();
    for (start, end) in ranges {
        let mut follower = fill.follow(start, end);
        let len = usize::try_from(end.unwrap_or(50_000).min(50_000) - start).unwrap();
        let free = len.saturating_sub(1000);
        let got = drain(&mut follower, free).await;
        assert_eq!(got.len(), free, "{start} {end:?}");
        assert!(tokio::time::timeout(Duration::from_secs(1), follower.next()).await.is_err());
        waiting.push((start, len, got, follower));
    }
    drop(hand);
    for (start, len, got, follower) in waiting {
        let (rest, error) = collect(follower).await;
        let from = usize::try_from(start).unwrap();
        assert!(error.is_none() && [got, rest].concat() == bytes[from..from + len]);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_total_the_end_always_trails() {
    let lab = Lab::with(|settings| settings.hold_back = 1000);
    let (hand, reply) = Reply::by_hand(None, "\"a\"");
    let fill = lab.plain("k", &Script::new([reply]));
    let mut follower = fill.follow(0, None);
    let bytes = pattern(5000);
    hand.send(Ok(Bytes::copy_from_slice(&bytes))).unwrap();
    assert_eq!(drain(&mut follower, 4000).await.len(), 4000);
    assert!(tokio::time::timeout(Duration::from_secs(1), follower.next()).await.is_err());
    drop(hand);
    assert_eq!(collect(follower).await.0.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_slow_follower_slows_nobody_and_reads_back_from_disk() {
    let lab = Lab::with(|settings| settings.ring = 50_000);
    let bytes = pattern(2_000_000);
    let fill = lab.package("k", expect(&bytes), &Script::whole(&bytes));
    let mut slow = fill.follow(0, None);
    let first = slow.next().await.unwrap().unwrap();
    let dropped = fill.follow(5, None);
    let (fast, _) = collect(fill.follow(0, None)).await;
    assert!(fast == bytes);
    drop(dropped);
    let (rest, error) = collect(slow).await;
    assert!(error.is_none() && [first.to_vec(), rest].concat() == bytes);
}

#[tokio::test(start_paused = true)]
async fn laggards_read_the_partial_file_while_it_grows() {
    let lab = Lab::with(|settings| settings.ring = 10_000);
    let bytes = pattern(600_000);
    let (hand, reply) = Reply::by_hand(Some(600_000), "\"a\"");
    let fill = lab.package("k", expect(&bytes), &Script::new([reply]));
    for piece in bytes[..500_000].chunks(9000) {
        hand.send(Ok(Bytes::copy_from_slice(piece))).unwrap();
    }
    while fill.committed() < 500_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut follower = fill.follow(100, None);
    let got = drain(&mut follower, 400_000).await;
    assert!(got == bytes[100..100 + got.len()]);
    hand.send(Ok(Bytes::copy_from_slice(&bytes[500_000..]))).unwrap();
    drop(hand);
    let (rest, _) = collect(follower).await;
    assert!([got, rest].concat() == bytes[100..]);
}

#[tokio::test(start_paused = true)]
async fn a_fill_goes_on_when_everybody_has_left() {
    let lab = Lab::new();
    let bytes = pattern(300_000);
    let (hand, reply) = Reply::by_hand(Some(300_000), "\"a\"");
    let fill = lab.package("k", expect(&bytes), &Script::new([reply]));
    hand.send(Ok(Bytes::copy_from_slice(&bytes[..200_000]))).unwrap();
    let mut follower = fill.follow(0, None);
    follower.next().await.unwrap().unwrap();
    drop((follower, fill));
    hand.send(Ok(Bytes::copy_from_slice(&bytes[200_000..]))).unwrap();
    drop(hand);
    let later = lab.package("k", expect(&bytes), &Script::new([]));
    assert!(later.joined());
    later.done().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_empty_or_impossible_range_ends_at_once() {
    let lab = Lab::new();
    let bytes = pattern(10);
    let fill = lab.package("k", expect(&bytes), &Script::whole(&bytes));
    assert!(fill.follow(5, Some(5)).next().await.is_none());
    assert!(fill.follow(9, Some(3)).next().await.is_none());
    assert_eq!(collect(fill.follow(10, None)).await.0, b"");
    assert_eq!(collect(fill.follow(4000, None)).await.0, b"");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever range is asked at whatever moment: exactly its bytes.
    #[test]
    fn any_range_at_any_moment(
        len in 0usize..300_000,
        hold_back in 0u64..100_000,
        ring in 0usize..200_000,
        piece in 1000usize..80_000,
        total_known in any::<bool>(),
        ranges in prop::collection::vec((0u64..310_000, prop::option::of(0u64..310_000), 0usize..300_000), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let lab = Lab::with(|settings| {
                settings.hold_back = hold_back;
                settings.ring = ring;
            });
            let bytes = pattern(len);
            let (hand, reply) = Reply::by_hand(total_known.then_some(len as u64), "\"a\"");
            let fill = lab.plain("k", &Script::new([reply]));
            let mut readers = Vec::new();
            let mut sent = 0;
            for chunk in bytes.chunks(piece) {
                for (start, end, _) in ranges.iter().filter(|range| (sent..sent + piece).contains(&range.2)) {
                    readers.push((*start, *end, tokio::spawn(collect(fill.follow(*start, *end)))));
                }
                hand.send(Ok(Bytes::copy_from_slice(chunk))).unwrap();
                sent += piece;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop(hand);
            for (start, end, reader) in readers {
                let (got, error) = reader.await.unwrap();
                let from = usize::try_from(start).unwrap().min(len);
                let to = end.map_or(len, |end| usize::try_from(end).unwrap().min(len)).max(from);
                assert!(error.is_none() && got == bytes[from..to], "{start} {end:?} of {len}: {} {error:?}", got.len());
            }
            assert_eq!(fill.done().await.unwrap().len(), len as u64);
        });
    }
}
