use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use crate::cache::freshness::Lifetime;
use crate::cache::testing::*;
use crate::cache::*;
use crate::conda::digest::Expected;

#[tokio::test(start_paused = true)]
async fn what_upstream_refuses_reaches_everybody_and_the_next_request_asks_again() {
    let lab = Lab::new();
    let bytes = pattern(1000);
    let source = Script::new([Reply::fails(refusal(SourceErrorKind::NotFound)), Reply::all(&bytes, "\"a\"")]);
    let fill = lab.package("k", expect(&bytes), &source);
    let joined = lab.package("k", expect(&bytes), &source);
    assert_eq!(joined.head().await.unwrap_err().source_kind(), Some(SourceErrorKind::NotFound));
    assert_eq!(fill.done().await.unwrap_err().to_string(), "upstream said no");
    let (got, error) = collect(fill.follow(0, None)).await;
    assert!(got.is_empty() && error.is_some());
    assert!(lab.package("k", expect(&bytes), &source).done().await.is_ok());
    assert_eq!(lab.files("partial"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn lengths_that_can_not_be_right_fail_at_once() {
    let bytes = pattern(100_000);
    let announced = |size| Expected { size: Some(size), ..expect(&bytes) };
    // Content-Length says otherwise than the index.
    let lab = Lab::new();
    let fill = lab.package("a", announced(99_999), &Script::whole(&bytes));
    assert!(matches!(fill.head().await, Err(FillError::WrongLength { expected: 99_999, got: 100_000 })));
    // No Content-Length, more than the index lists; upstream would go on for ever.
    let (hand, reply) = Reply::by_hand(None, "\"a\"");
    let fill = lab.package("b", announced(100_000), &Script::new([reply]));
    hand.send(Ok(Bytes::copy_from_slice(&bytes))).unwrap();
    hand.send(Ok(Bytes::from_static(b"!"))).unwrap();
    let (got, error) = collect(fill.follow(0, None)).await;
    assert!(matches!(error, Some(FillError::WrongLength { expected: 100_000, .. })), "{error:?}");
    assert!(got.len() < 100_000);
    // Learned in the middle.
    let (hand, reply) = Reply::by_hand(Some(100_000), "\"a\"");
    let fill = lab.package("c", Expected::default(), &Script::new([reply]));
    hand.send(Ok(Bytes::copy_from_slice(&bytes[..1000]))).unwrap();
    fill.head().await.unwrap();
    fill.learn(announced(99_999));
    hand.send(Ok(Bytes::copy_from_slice(&bytes[1000..2000]))).unwrap();
    assert!(matches!(fill.done().await, Err(FillError::WrongLength { .. })));
    assert_eq!(lab.files("partial"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_304_nobody_asked_for_is_an_error() {
    let lab = Lab::new();
    let reply = Reply::new(|_| {
        Ok(Opened::NotModified { validators: Validators::default(), lifetime: Lifetime::default() })
    });
    let fill = lab.plain("k", &Script::new([reply]));
    assert!(fill.done().await.unwrap_err().to_string().contains("304"));
}

fn disk_full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_cuts_the_followers_and_the_next_request_works() {
    let no_room = Arc::new(AtomicBool::new(true));
    let lab = Lab::with(|settings| {
        let no_room = Arc::clone(&no_room);
        settings.faults = Some(Faults::new(move |op, _| {
            if op == FileOp::Write && no_room.load(Ordering::SeqCst) { Err(disk_full()) } else { Ok(()) }
        }));
    });
    let bytes = pattern(300_000);
    let fill = lab.package("k", expect(&bytes), &Script::whole(&bytes));
    let (_, error) = collect(fill.follow(0, None)).await;
    assert!(
        matches!(&error, Some(FillError::Disk(sentence)) if sentence.contains("cannot write")),
        "{error:?}"
    );
    no_room.store(false, Ordering::SeqCst);
    assert_eq!(lab.files("partial"), Vec::<String>::new());
    lab.store("k", &bytes).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_relieved_by_eviction() {
    // The "disk" has no room for a write while the old blob is there.
    let old = Arc::new(parking_lot::Mutex::new(None::<std::path::PathBuf>));
    let lab = Lab::with(|settings| {
        let old = Arc::clone(&old);
        settings.faults = Some(Faults::new(move |op, _| match &*old.lock() {
            Some(path) if op == FileOp::Write && path.exists() => Err(disk_full()),
            _ => Ok(()),
        }));
    });
    let digest = lab.store("old", &pattern(1000)).await;
    *old.lock() = Some(lab.blob_path(&digest));
    lab.store("new", &pattern(2000)).await;
    assert!(lab.cache.blob(&digest).is_none());
    assert_eq!(lab.cache.status().unwrap().evicted, 1);
}

#[tokio::test(start_paused = true)]
async fn right_bytes_reach_their_readers_even_if_they_can_not_be_stored() {
    let lab = Lab::with(|settings| {
        settings.faults = Some(Faults::new(|op, path| {
            if op == FileOp::Rename
                && path.parent().is_some_and(|dir| dir.parent().is_some_and(|dir| dir.ends_with("sha256")))
            {
                Err(io::ErrorKind::ReadOnlyFilesystem.into())
            } else {
                Ok(())
            }
        }));
    });
    let bytes = pattern(3_000_000);
    let source = Script::new([Reply::all(&bytes, "\"a\""), Reply::all(&bytes, "\"a\"")]);
    let fill = lab.package("k", expect(&bytes), &source);
    let mut slow = fill.follow(0, None);
    let first = slow.next().await.unwrap().unwrap();
    assert!(matches!(fill.done().await, Err(FillError::Disk(_))));
    let (rest, error) = collect(slow).await;
    assert!(error.is_none() && [first.to_vec(), rest].concat() == bytes);
    assert!(!lab.package("k", expect(&bytes), &source).joined());
}

#[tokio::test(start_paused = true)]
async fn no_room_is_noticed_before_the_first_byte() {
    let lab = Lab::with(|settings| settings.keep_free = KeepFree::Percent(100));
    let bytes = pattern(1000);
    let fill = lab.package("k", expect(&bytes), &Script::whole(&bytes));
    let error = fill.head().await.unwrap_err();
    assert!(matches!(error, FillError::NoRoom { needed: 1000, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn any_single_fault_on_disk_leaves_right_bytes_or_an_error() {
    let bytes = pattern(1_300_000);
    for failing in 0.. {
        let count = Arc::new(AtomicU64::new(0));
        let armed = Arc::new(AtomicBool::new(false));
        let lab = Lab::with(|settings| {
            let (count, armed) = (Arc::clone(&count), Arc::clone(&armed));
            settings.faults = Some(Faults::new(move |_, _| {
                let due = armed.load(Ordering::SeqCst) && count.fetch_add(1, Ordering::SeqCst) == failing;
                if due { Err(io::Error::other("injected")) } else { Ok(()) }
            }));
        });
        armed.store(true, Ordering::SeqCst);
        let fill = lab.package("k", expect(&bytes), &Script::whole(&bytes));
        let (got, error) = collect(fill.follow(0, None)).await;
        assert!(error.is_some() || got == bytes, "operation {failing}");
        let _ = fill.done().await;
        armed.store(false, Ordering::SeqCst);
        lab.store("k", &bytes).await;
        let blob = lab.cache.blob(&sha256(&bytes)).unwrap();
        assert_eq!(blob.len(), bytes.len() as u64);
        if count.load(Ordering::SeqCst) <= failing {
            assert!(failing > 10, "the fault never struck late enough");
            return;
        }
    }
}
