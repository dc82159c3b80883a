//! Budget, purge, locks, and what a restart keeps.

use std::time::Duration;

use crate::cache::testing::*;
use crate::cache::*;
use crate::conda::digest::Sha256;

async fn store_in_turn(lab: &Lab, count: u8) -> Vec<Sha256> {
    let mut digests = Vec::new();
    for n in 0..count {
        digests.push(lab.store(&format!("c/{n}"), &vec![n; 1000]).await);
        lab.clock.advance(Duration::from_secs(1));
    }
    digests
}

fn present(lab: &Lab, digests: &[Sha256]) -> Vec<bool> {
    digests.iter().map(|digest| lab.blob_path(digest).exists()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_goes_first_but_nothing_in_use_nor_pinned() {
    let lab = Lab::with(|settings| settings.size = 5000);
    let digests = store_in_turn(&lab, 5).await;
    assert!(lab.cache.pin(&digests[0], true).unwrap());
    let held = lab.cache.blob(&digests[1]).unwrap().reader(0..1000, BodyMode::Read);
    lab.clock.advance(Duration::from_secs(1));
    assert!(lab.cache.hot(&digests[2]).is_some());
    lab.clock.advance(Duration::from_secs(1));
    lab.store("new", &[200; 1000]).await;
    // 0 is pinned, 1 is being read, 2 was used last; 3 goes, then the next coldest.
    assert_eq!(present(&lab, &digests), [true, true, true, false, true]);
    assert_eq!(lab.cache.status().unwrap().bytes, 5000);
    drop(held);
    lab.store("d", &[9; 1500]).await;
    assert!(lab.cache.status().unwrap().bytes <= 5000);
    assert!(present(&lab, &digests)[0]);
}

#[tokio::test(start_paused = true)]
async fn last_use_survives_a_restart() {
    let lab = Lab::new();
    let digests = store_in_turn(&lab, 3).await;
    assert!(lab.cache.hot(&digests[0]).is_some());
    lab.cache.stop();
    let Lab { dir, cache, .. } = lab;
    drop(cache);
    let lab = Lab::within(dir, |settings| settings.size = 1000);
    assert_eq!(lab.cache.gc().await.unwrap().evicted, 2);
    assert_eq!(present(&lab, &digests), [true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn headroom_is_kept_whatever_the_budget() {
    let lab = Lab::new();
    let digests = store_in_turn(&lab, 2).await;
    let Lab { dir, cache, .. } = lab;
    drop(cache);
    let lab = Lab::within(dir, |settings| settings.keep_free = KeepFree::Percent(100));
    lab.cache.housekeep();
    assert_eq!(present(&lab, &digests), [false, false]);
}

#[tokio::test(start_paused = true)]
async fn purge_by_url_by_channel_and_by_digest() {
    let lab = Lab::new();
    let shared = lab.store("a/x", &[1; 100]).await;
    lab.plain("b/x", &Script::whole(&[1; 100])).done().await.unwrap();
    let only_a = lab.store("a/y", &[2; 200]).await;
    let plain = Script::whole(&[3; 300]);
    lab.plain("a/installer", &plain).done().await.unwrap();
    let reader = lab.cache.blob(&only_a).unwrap();
    let report = lab.cache.purge(Purge::Prefix("a/".into())).await.unwrap();
    assert_eq!(report, PurgeReport { keys: 3, blobs: 2, bytes: 500, partials: 0 });
    assert!(lab.cache.find(&only_a).await.is_none() && lab.cache.object("a/installer").is_none());
    assert_eq!(reader.small().unwrap().len(), 200);
    assert!(lab.cache.find(&shared).await.is_some());
    assert_eq!(lab.cache.purge(Purge::Key("b/x".into())).await.unwrap().blobs, 1);
    let pinned = lab.store("c", &[4; 10]).await;
    lab.cache.pin(&pinned, true).unwrap();
    assert_eq!(lab.cache.purge(Purge::Digest(pinned)).await.unwrap().blobs, 0);
    lab.cache.pin(&pinned, false).unwrap();
    assert_eq!(lab.cache.purge(Purge::Digest(pinned)).await.unwrap().blobs, 1);
    assert_eq!(lab.cache.status().unwrap().blobs, 0);
}

#[tokio::test(start_paused = true)]
async fn purged_means_fetched_again_also_within_the_same_second() {
    let lab = Lab::new();
    for _ in 0..2 {
        let source = Script::whole(&[5; 100]);
        let fill = lab.plain("k", &source);
        fill.done().await.unwrap();
        assert_eq!(source.offsets(), [0]);
        drop(fill);
        lab.cache.purge(Purge::Key("k".into())).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_process_at_a_time() {
    let lab = Lab::new();
    let second = Cache::open(settings(lab.path("")), lab.clock.clone(), tokio::runtime::Handle::current());
    let sentence = second.err().unwrap().to_string();
    assert!(sentence.contains("another condagate process is using"), "{sentence}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_index_costs_nothing_but_a_scrub() {
    let lab = Lab::new();
    let digest = lab.store("k", &pattern(5000)).await;
    let Lab { dir, cache, .. } = lab;
    drop(cache);
    std::fs::write(dir.path().join("packages/cache.db"), vec![b'x'; 8192]).unwrap();
    let lab = Lab::within(dir, |settings| settings.housekeeping = Duration::from_secs(30));
    // Nothing is trusted before it has been hashed; the background scrub does that.
    while lab.cache.find(&digest).await.is_none() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(lab.cache.status().unwrap().blobs, 1);
    assert!(lab.files("").iter().any(|name| name.starts_with("cache.db.damaged-")));
}

#[tokio::test(start_paused = true)]
async fn old_things_are_cleared_away() {
    let lab = Lab::with(|settings| settings.quarantine_age = Duration::from_secs(100));
    let now = 1_700_000_000_000u64;
    std::fs::write(lab.path("quarantine").join(format!("ab-{}", now - 200_000)), b"old").unwrap();
    std::fs::write(lab.path("quarantine").join(format!("cd-{}", now - 50_000)), b"young").unwrap();
    std::fs::write(lab.path("partial/x.part"), b"no note").unwrap();
    std::fs::write(lab.path("partial/y.state"), b"no file").unwrap();
    lab.cache.housekeep();
    assert_eq!(lab.files("quarantine"), [format!("cd-{}", now - 50_000)]);
    assert_eq!(lab.files("partial"), Vec::<String>::new());
    assert_eq!(lab.cache.gc().await.unwrap().quarantined, 1);
}

#[tokio::test(start_paused = true)]
async fn the_table_of_open_blobs_stays_small() {
    let lab = Lab::with(|settings| {
        settings.memory = 64 * 1024;
        settings.max_open = 8;
    });
    let mut digests = Vec::new();
    for n in 0..40u8 {
        digests.push(lab.store(&format!("{n}"), &[n; 100]).await);
    }
    lab.cache.housekeep();
    assert!(lab.cache.status().unwrap().open <= 8);
    for digest in &digests {
        assert_eq!(lab.cache.blob(digest).unwrap().len(), 100);
    }
}
