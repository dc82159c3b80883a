//! The process dies before the n-th change on disk, for every n; what is there afterwards is whole, verified, and
//! does not pile up.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::{Builder, Runtime};

use crate::cache::testing::*;
use crate::cache::*;
use crate::clock::{ManualClock, UnixMillis};
use crate::conda::digest::Sha256;

/// In memory where that is possible: hundreds of flushes of a real disk take half a minute.
fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// From the `alive`-th change on nothing reaches the disk any more, as after `kill -9`.
fn dying(alive: u64, count: &Arc<AtomicU64>) -> Faults {
    let count = Arc::clone(count);
    Faults::new(move |_, _| {
        if count.fetch_add(1, Ordering::SeqCst) < alive { Ok(()) } else { Err(io::Error::other("dead")) }
    })
}

/// Fills, a revalidated object, eviction, quarantine, purge: every kind of change.
async fn live(cache: Cache, clock: Arc<ManualClock>) {
    let lab = Lab { dir: tempfile::tempdir().unwrap(), clock, cache };
    for n in 0..4u8 {
        let bytes = vec![n; 1_100_000 + usize::from(n)];
        let _ = lab.package(&format!("c/{n}"), expect(&bytes), &Script::whole(&bytes)).done().await;
        lab.clock.advance(std::time::Duration::from_secs(1));
    }
    let plain = lab.plain("plain", &Script::whole(&[7; 5000]));
    let _ = plain.done().await;
    if let Some(object) = lab.cache.object("plain") {
        let _ = lab.cache.touch_object(
            "plain",
            ObjectMeta { checked_at: UnixMillis(1), ..ObjectMeta::clone(&object.meta) },
        );
    }
    let _ = lab.cache.purge(Purge::Key("c/3".into())).await;
    lab.cache.housekeep();
    lab.cache.stop();
}

fn open(dir: &Path, faults: Option<Faults>, clock: &Arc<ManualClock>) -> Result<Cache, CacheError> {
    let mut settings = settings(dir.join("packages"));
    settings.size = 3_000_000;
    settings.faults = faults;
    Cache::open(settings, clock.clone(), tokio::runtime::Handle::current())
}

/// Every file below `blobs/`.
fn blob_files(dir: &Path) -> HashSet<Sha256> {
    let mut found = HashSet::new();
    for prefix in std::fs::read_dir(dir.join("packages/blobs/sha256")).unwrap() {
        for file in std::fs::read_dir(prefix.unwrap().path()).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            found.insert(Sha256::from_hex(&name).unwrap());
        }
    }
    found
}

async fn check(dir: &Path, alive: u64, clock: &Arc<ManualClock>) {
    let cache = open(dir, None, clock).unwrap();
    for digest in blob_files(dir) {
        if let Some(blob) = cache.find(&digest).await {
            let bytes =
                std::fs::read(dir.join(format!("packages/blobs/sha256/{}/{digest}", &digest.to_hex()[..2])));
            assert!(sha256(&bytes.unwrap()) == digest && blob.digest() == &digest, "after {alive}");
        }
    }
    if let Some(object) = cache.object("plain") {
        assert_eq!(object.blob.digest(), &sha256(&[7; 5000]), "after {alive}");
    }
    cache.housekeep();
    let report = cache.verify(None, |_| ()).await.unwrap();
    assert_eq!(report.quarantined, 0, "after {alive}: {report:?}");
    let status = cache.status().unwrap();
    let files = blob_files(dir);
    assert_eq!(status.blobs, files.len() as u64, "after {alive}: files and rows agree");
    assert!(status.quarantine_files == 0);
    // The same work again ends as if nothing had happened.
    live(cache, clock.clone()).await;
}

#[test]
fn dying_at_any_moment_leaves_nothing_wrong_behind() {
    for alive in 0.. {
        let dir = quick_dir();
        let clock = ManualClock::new(UnixMillis(1_700_000_000_000));
        let count = Arc::new(AtomicU64::new(0));
        let first = runtime();
        first.block_on(async {
            if let Ok(cache) = open(dir.path(), Some(dying(alive, &count)), &clock) {
                live(cache, clock.clone()).await;
            }
        });
        // Lets go of the lock, as the end of a process does.
        drop(first);
        runtime().block_on(check(dir.path(), alive, &clock));
        let last = runtime();
        last.block_on(async {
            let cache = open(dir.path(), None, &clock).unwrap();
            assert!(cache.find(&sha256(&vec![2; 1_100_002])).await.is_some(), "after {alive}");
            assert!(cache.object("plain").is_some(), "after {alive}");
            assert!(cache.status().unwrap().bytes <= 3_000_000);
            let partials = std::fs::read_dir(dir.path().join("packages/partial")).unwrap().count();
            assert_eq!(partials, 0, "after {alive}");
        });
        if count.load(Ordering::SeqCst) <= alive {
            assert!(alive > 60, "only {alive} changes were tried");
            return;
        }
    }
}
