//! Hosted files: taken in, kept whatever happens to the cache, let go.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sha2::Digest;
use tokio::runtime::{Builder, Handle};

use crate::cache::testing::*;
use crate::cache::*;
use crate::clock::{ManualClock, UnixMillis};
use crate::conda::digest::{Md5, Sha256};

async fn taken(cache: &Cache, bytes: &[u8], step: usize) -> Result<Arc<Taken>, CacheError> {
    let mut intake = cache.intake(Some(bytes.len() as u64)).await?;
    for piece in bytes.chunks(step.max(1)) {
        intake.write(&Bytes::copy_from_slice(piece)).await?;
    }
    assert_eq!(intake.len(), bytes.len() as u64);
    Ok(Arc::new(intake.finish().await?))
}

fn hosted(lab: &Lab, digest: &Sha256) -> std::path::PathBuf {
    let hex = digest.to_hex();
    lab.path("hosted/sha256").join(&hex[..2]).join(hex)
}

#[tokio::test]
async fn what_comes_in_pieces_is_hashed_and_kept() {
    let lab = Lab::new();
    for (len, step) in [(0, 1), (5, 2), (1 << 20, 4096), (3_500_001, 777_777), (2 << 20, 5 << 20)] {
        let bytes = pattern(len);
        let file = taken(&lab.cache, &bytes, step).await.unwrap();
        assert_eq!((file.sha256, file.len), (sha256(&bytes), len as u64));
        assert_eq!(file.md5, Md5(md5::Md5::digest(&bytes).into()));
        assert_eq!(fs::read(file.path()).unwrap(), bytes);
        let blob = lab.cache.keep(Arc::clone(&file)).await.unwrap();
        assert_eq!((blob.digest(), blob.len()), (&sha256(&bytes), len as u64));
        assert_eq!(fs::read(hosted(&lab, blob.digest())).unwrap(), bytes);
    }
    assert_eq!(lab.files("hosted/incoming"), [""; 0]);
}

#[tokio::test]
async fn what_is_given_up_leaves_nothing() {
    let lab = Lab::new();
    let mut intake = lab.cache.intake(None).await.unwrap();
    intake.write(&Bytes::from(pattern(2_000_000))).await.unwrap();
    assert_eq!(lab.files("hosted/incoming").len(), 1);
    drop(intake);
    drop(taken(&lab.cache, b"whole, and not kept", 3).await.unwrap());
    assert_eq!(lab.files("hosted/incoming"), [""; 0]);
    assert!(!lab.path("hosted/sha256").exists());
}

#[tokio::test]
async fn nothing_that_happens_to_the_cache_loses_it() {
    let lab = Lab::with(|settings| settings.size = 1000);
    let bytes = pattern(5000);
    let digest = sha256(&bytes);
    lab.cache.keep(taken(&lab.cache, &bytes, 999).await.unwrap()).await.unwrap();
    lab.cache.purge(Purge::Prefix(String::new())).await.unwrap();
    lab.cache.gc().await.unwrap();
    lab.cache.housekeep();
    assert!(lab.cache.find(&digest).await.is_some(), "over the budget, and purged");
    // Somebody deletes the blob, and the row with it.
    fs::remove_file(lab.blob_path(&digest)).unwrap();
    lab.clock.advance(Duration::from_secs(5));
    lab.cache.stop();
    assert!(lab.cache.find(&digest).await.is_none());
    let blob = lab.cache.recall(digest).await.unwrap().unwrap();
    assert_eq!((blob.digest(), blob.len()), (&digest, 5000));
    lab.cache.purge(Purge::Prefix(String::new())).await.unwrap();
    assert!(lab.cache.find(&digest).await.is_some(), "pinned again");
    // Bytes that are not what they were are not handed out under their name.
    lab.cache.let_go(digest).await.unwrap();
    assert!(lab.cache.recall(digest).await.unwrap().is_none());
    lab.cache.keep(taken(&lab.cache, &bytes, 5000).await.unwrap()).await.unwrap();
    fs::remove_file(lab.blob_path(&digest)).unwrap();
    lab.cache.stop();
    fs::write(hosted(&lab, &digest), &pattern(5001)[1..]).unwrap();
    assert!(lab.cache.recall(digest).await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_that_upstream_gave_too_is_kept_when_the_cache_forgets_it() {
    let lab = Lab::new();
    let bytes = pattern(70_000);
    let digest = lab.store("c/a", &bytes).await;
    lab.cache.keep(taken(&lab.cache, &bytes, 70_000).await.unwrap()).await.unwrap();
    lab.cache.purge(Purge::Key("c/a".into())).await.unwrap();
    assert!(lab.cache.find(&digest).await.is_some());
    lab.cache.let_go(digest).await.unwrap();
    assert!(lab.cache.find(&digest).await.is_none() && !hosted(&lab, &digest).exists());
    // What is not there can be let go, too.
    lab.cache.let_go(digest).await.unwrap();
}

#[tokio::test]
async fn kept_files_are_listed_by_age() {
    let lab = Lab::new();
    let mut all = Vec::new();
    for n in 0..20u8 {
        let file = taken(&lab.cache, &[n; 10], 10).await.unwrap();
        all.push(*lab.cache.keep(file).await.unwrap().digest());
    }
    all.sort();
    let later = UnixMillis(i64::MAX);
    let mut found = Vec::new();
    while let Some(last) = {
        let page = lab.cache.kept_before(later, found.last().copied(), 7).await.unwrap();
        found.extend(page.iter().map(|kept| kept.sha256));
        page.last().map(|kept| kept.sha256)
    } {
        assert!(found.ends_with(&[last]));
    }
    assert_eq!(found, all);
    assert!(lab.cache.kept_before(UnixMillis(1_600_000_000_000), None, 7).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_disk_without_room_says_so() {
    let lab = Lab::with(|settings| settings.keep_free = KeepFree::Bytes(u64::MAX));
    let error = lab.cache.intake(Some(1)).await.err().unwrap();
    assert!(error.is_full(), "{error}");
    let full = Faults::new(|op, _| match op {
        FileOp::Write => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    let lab = Lab::with(|settings| settings.faults = Some(full));
    let error = taken(&lab.cache, &pattern(3_000_000), 1000).await.err().unwrap();
    assert!(error.is_full(), "{error}");
    assert_eq!(lab.files("hosted/incoming"), [""; 0]);
}

fn open(dir: &Path, faults: Option<Faults>) -> Result<Cache, CacheError> {
    let mut settings = settings(dir.join("packages"));
    settings.faults = faults;
    Cache::open(settings, ManualClock::new(UnixMillis(1_700_000_000_000)), Handle::current())
}

/// What was answered is there after the process died before any change on disk.
#[test]
fn dying_at_any_moment_keeps_what_was_answered() {
    let bytes = [pattern(1_200_000), pattern(10)];
    for alive in 0.. {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&count);
        let faults = Faults::new(move |_, _| {
            if counting.fetch_add(1, Ordering::SeqCst) < alive {
                Ok(())
            } else {
                Err(io::Error::other("dead"))
            }
        });
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let mut answered = Vec::new();
        runtime().block_on(async {
            let Ok(cache) = open(dir.path(), Some(faults)) else { return };
            for bytes in &bytes {
                let Ok(file) = taken(&cache, bytes, 4000).await else { continue };
                if cache.keep(file).await.is_ok() {
                    answered.push(sha256(bytes));
                }
            }
            cache.stop();
        });
        runtime().block_on(async {
            let cache = open(dir.path(), None).unwrap();
            for digest in &answered {
                let blob = cache.recall(*digest).await.unwrap();
                assert_eq!(blob.expect("a kept file").digest(), digest, "after {alive}");
                assert!(cache.find(digest).await.is_some(), "after {alive}");
            }
            assert_eq!(
                fs::read_dir(dir.path().join("packages/hosted/incoming")).map_or(0, Iterator::count),
                0
            );
            for bytes in &bytes {
                cache.keep(taken(&cache, bytes, 4000).await.unwrap()).await.unwrap();
            }
            let report = cache.verify(None, |_| ()).await.unwrap();
            assert_eq!((report.quarantined, cache.status().unwrap().blobs), (0, 2), "after {alive}");
        });
        if count.load(Ordering::SeqCst) <= alive {
            assert!(alive > 15, "only {alive} changes were tried");
            return;
        }
    }
}
