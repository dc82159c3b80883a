//! Blobs changed by hand.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use crate::cache::testing::*;
use crate::cache::*;
use crate::conda::digest::Sha256;

/// Writes one byte and puts the modification time back.
fn flip(lab: &Lab, digest: &Sha256) {
    let file = File::options().write(true).read(true).open(lab.blob_path(digest)).unwrap();
    let before: SystemTime = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5).unwrap();
    file.write_all_at(&[!byte[0]], 5).unwrap();
    file.set_modified(before).unwrap();
}

async fn assert_set_aside(lab: &Lab, digest: &Sha256, bytes: &[u8]) {
    assert!(lab.cache.hot(digest).is_none());
    assert!(lab.cache.find(digest).await.is_none());
    assert!(!lab.blob_path(digest).exists());
    let status = lab.cache.status().unwrap();
    assert_eq!((status.blobs, status.quarantined, status.quarantine_files), (0, 1, 1));
    lab.store("again", bytes).await;
    assert!(lab.cache.blob(digest).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_truncated_blob_is_set_aside_whether_open_or_not() {
    for open in [true, false] {
        let lab = Lab::new();
        let bytes = pattern(200_000);
        let digest = lab.store("k", &bytes).await;
        if !open {
            lab.cache.stop();
        }
        let lab = if open { lab } else { reopened(lab) };
        File::options().write(true).open(lab.blob_path(&digest)).unwrap().set_len(100_000).unwrap();
        assert_set_aside(&lab, &digest, &bytes).await;
    }
}

fn reopened(lab: Lab) -> Lab {
    let Lab { dir, cache, .. } = lab;
    drop(cache);
    Lab::within(dir, |_| {})
}

#[tokio::test(start_paused = true)]
async fn a_flipped_byte_with_its_time_put_back_is_set_aside() {
    let lab = Lab::new();
    let bytes = pattern(200_000);
    let digest = lab.store("k", &bytes).await;
    flip(&lab, &digest);
    assert_set_aside(&lab, &digest, &bytes).await;
}

#[tokio::test(start_paused = true)]
async fn a_flip_in_a_small_file_is_set_aside_too() {
    let lab = Lab::new();
    let bytes = pattern(2000);
    let digest = lab.store("k", &bytes).await;
    assert!(lab.cache.hot(&digest).unwrap().small().is_some());
    flip(&lab, &digest);
    // Its copy in memory is as right as before and serves until the file is looked at again.
    assert_eq!(lab.cache.hot(&digest).unwrap().small().unwrap(), bytes);
    lab.clock.advance(std::time::Duration::from_secs(1));
    assert_set_aside(&lab, &digest, &bytes).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_only_touched_is_hashed_and_kept() {
    let lab = Lab::new();
    let digest = lab.store("k", &pattern(200_000)).await;
    let touch = || {
        let file = File::options().write(true).open(lab.blob_path(&digest)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    };
    touch();
    assert!(lab.cache.find(&digest).await.is_some());
    assert!(lab.cache.hot(&digest).is_some());
    assert_eq!(lab.cache.status().unwrap().rehashed, 1);
    // A caller that must not block gets nothing at first; the hash runs meanwhile.
    touch();
    File::options()
        .write(true)
        .open(lab.blob_path(&digest))
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(9))
        .unwrap();
    assert!(lab.cache.blob(&digest).is_none());
    while lab.cache.status().unwrap().rehashed < 2 {
        tokio::task::yield_now().await;
    }
    assert!(lab.cache.find(&digest).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_file_is_fetched_again() {
    let lab = Lab::new();
    let bytes = pattern(200_000);
    let digest = lab.store("k", &bytes).await;
    std::fs::remove_file(lab.blob_path(&digest)).unwrap();
    assert!(lab.cache.blob(&digest).is_none());
    assert_eq!(lab.cache.status().unwrap().blobs, 0);
    lab.store("k", &bytes).await;
    assert!(lab.cache.blob(&digest).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_scrub_finds_silent_rot_lost_rows_and_strangers() {
    let lab = Lab::new();
    let (good, rotten) = (pattern(3000), pattern(4000));
    let (good, rotten) = (lab.store("good", &good).await, lab.store("rotten", &rotten).await);
    let gone = lab.store("gone", &pattern(50)).await;
    flip(&lab, &rotten);
    std::fs::remove_file(lab.blob_path(&gone)).unwrap();
    let lost = sha256(b"a crash came before the row");
    for (digest, bytes) in [(lost, &b"a crash came before the row"[..]), (sha256(b"x"), b"not x")] {
        std::fs::create_dir_all(lab.blob_path(&digest).parent().unwrap()).unwrap();
        std::fs::write(lab.blob_path(&digest), bytes).unwrap();
    }
    assert!(lab.cache.find(&lost).await.is_none());
    let mut calls = 0;
    let report = lab.cache.verify(Some(1_000_000), |_| calls += 1).await.unwrap();
    assert_eq!(report.wrong.len(), 2, "{report:?}");
    let wrong = report.wrong.clone();
    let expected =
        VerifyReport { right: 1, bytes: 3027, quarantined: 1, missing: 1, adopted: 1, deleted: 1, wrong };
    assert_eq!(report, expected);
    assert_eq!(calls, 5);
    assert!(lab.cache.find(&good).await.is_some() && lab.cache.find(&lost).await.is_some());
    assert!(lab.cache.find(&rotten).await.is_none());
    assert!(!lab.blob_path(&sha256(b"x")).exists());
    let again = lab.cache.verify(None, |_| ()).await.unwrap();
    assert_eq!(again, VerifyReport { right: 2, bytes: 3027, ..VerifyReport::default() });
}

#[tokio::test(start_paused = true)]
async fn a_file_changed_while_it_is_stored_is_never_trusted() {
    for grow in [false, true] {
        let lab = Lab::with(move |settings| {
            settings.faults = Some(Faults::new(move |op, path| {
                // The directory is flushed after the file has been moved to its place and before its row is written.
                let fresh = op == FileOp::SyncDir && path.parent().is_some_and(|p| p.ends_with("sha256"));
                for file in std::fs::read_dir(path).into_iter().flatten().flatten().filter(|_| fresh) {
                    let len = file.metadata()?.len();
                    let file = File::options().write(true).open(file.path())?;
                    file.set_len(if grow { len + 1 } else { 0 })?;
                }
                Ok(())
            }));
        });
        let bytes = pattern(200_000);
        let digest = Sha256::of(&bytes);
        let fill = lab.package("k", expect(&bytes), &Script::whole(&bytes));
        assert!(matches!(fill.done().await, Err(FillError::Disk(_))));
        assert!(lab.cache.find(&digest).await.is_none());
        assert!(!lab.blob_path(&digest).exists());
    }
}
