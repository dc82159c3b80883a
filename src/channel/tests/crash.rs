//! The process dies, the disk fills, the store goes away: between any two steps.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Builder;

use super::*;
use crate::cache::FileOp;
use crate::conda::digest::Sha256;

fn quick_dir() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
}

/// After every change on disk in turn nothing reaches it any more: what was answered is there, what was not is there whole or not at all.
#[test]
fn dying_at_any_moment_loses_nothing_that_was_answered() {
    let packages: Vec<_> = (0..3).map(|n| package("acme", &format!("1.{n}"), "x")).collect();
    for alive in 0.. {
        let (dir, count) = (quick_dir(), Arc::new(AtomicU64::new(0)));
        let counting = Arc::clone(&count);
        let faults = Faults::new(move |_, _| {
            if counting.fetch_add(1, Ordering::SeqCst) < alive {
                Ok(())
            } else {
                Err(io::Error::other("dead"))
            }
        });
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let team = ChannelName::parse("team").unwrap();
        let mut answered = Vec::new();
        runtime().block_on(async {
            let Some(lab) = Lab::faulty(Arc::clone(&dir), faults) else { return };
            lab.channel("team", NewChannel::default()).await;
            for (file, bytes) in &packages {
                if lab.send(&team, file, bytes).await.is_ok() {
                    answered.push(file);
                }
            }
        });
        runtime().block_on(look(dir, &team, &packages, &answered, alive));
        if count.load(Ordering::SeqCst) <= alive {
            assert!(alive > 20, "only {alive} changes were tried");
            return;
        }
    }
}

/// A later life: everything that was answered is there, and the rest can be sent again.
async fn look(
    dir: Arc<tempfile::TempDir>,
    team: &ChannelName,
    packages: &[(String, Vec<u8>)],
    answered: &[&String],
    alive: u64,
) {
    let lab = Lab::within(dir, |_| {}).unwrap();
    for (file, bytes) in packages {
        let digest = Sha256::of(bytes);
        let row = match lab.hosting.desk().channel(team).await {
            Ok(_) => lab.row(team, "noarch", file).await,
            Err(_) => None,
        };
        assert!(row.is_some() || !answered.contains(&file), "{file} is lost after {alive}");
        if let Some(row) = row {
            assert_eq!(row.sha256, digest);
            assert!(lab.cache().recall(digest).await.unwrap().is_some(), "{file} has no bytes after {alive}");
        }
    }
    if lab.hosting.desk().channel(team).await.is_err() {
        lab.channel("team", NewChannel::default()).await;
    }
    for (file, bytes) in packages {
        lab.send(team, file, bytes).await.unwrap();
    }
    assert_eq!(lab.files("hosted/incoming"), 0, "after {alive}");
}

#[tokio::test]
async fn a_full_disk_is_507_and_nothing_is_lost() {
    let is_full = Arc::new(Mutex::new(None::<FileOp>));
    let full = Arc::clone(&is_full);
    let faults =
        Faults::new(
            move |op, _| {
                if *full.lock() == Some(op) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            },
        );
    let lab = Lab::faulty(quick_dir(), faults).unwrap();
    let team = lab.channel("team", NewChannel::default()).await;
    let (first, bytes) = package("acme", "1.0", "x");
    lab.send(&team, &first, &bytes).await.unwrap();
    for op in [FileOp::Create, FileOp::Write, FileOp::Sync, FileOp::MakeDir, FileOp::Rename, FileOp::Commit] {
        *is_full.lock() = Some(op);
        let (file, bytes) = package("other", &format!("1.{}", op as u8), "y");
        let error = lab.send(&team, &file, &bytes).await.unwrap_err();
        assert_eq!(error.status(), 507, "{op:?}: {error}");
        assert!(lab.row(&team, "noarch", &file).await.is_none());
        assert!(lab.cache().find(&Sha256::of(&package("acme", "1.0", "x").1)).await.is_some());
        *is_full.lock() = None;
        assert!(lab.send(&team, &file, &bytes).await.unwrap().created, "{op:?}");
    }
    assert_eq!(lab.files("hosted/incoming"), 0);
}

#[tokio::test]
async fn without_a_store_it_is_503_and_no_file_stays_for_ever() {
    let lab = Lab::new();
    *lab.down.lock() = Some(StoreError::Unavailable { why: "gone".into() });
    let team = ChannelName::parse("team").unwrap();
    let (file, bytes) = package("acme", "1.0", "x");
    let error = lab.send(&team, &file, &bytes).await.unwrap_err();
    assert_eq!(error.status(), 503, "{error}");
    assert!(!error.to_string().contains("gone"), "what the database says is for the log: {error}");
    *lab.down.lock() = None;
    // A file that no row came to name: its writer died in between.
    let received =
        lab.hosting.receive(stream::iter([Ok(Bytes::from_static(b"an orphan"))]), None).await.unwrap();
    lab.cache().keep(Arc::clone(&received.taken)).await.unwrap();
    let team = lab.channel("team", NewChannel::default()).await;
    lab.send(&team, &file, &bytes).await.unwrap();
    assert_eq!(lab.hosting.sweep().await.unwrap(), Swept::default(), "somebody may be about to name it");
    lab.clock.advance(Duration::from_hours(48));
    assert_eq!(lab.hosting.sweep().await.unwrap(), Swept { rows: 0, files: 1 });
    assert!(lab.cache().recall(Sha256::of(&bytes)).await.unwrap().is_some());
}
