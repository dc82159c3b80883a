use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;

use super::{Got, Happened, Trail, TrailSettings, day_of};
use crate::clock::{ManualClock, UnixMillis};
use crate::conda::digest::Sha256;
use crate::store::lazy::LazyStore;
use crate::store::model::TokenId;
use crate::store::repo::AuditFilter;
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const MONTH: Duration = Duration::from_hours(24 * 30);
const SETTINGS: TrailSettings = TrailSettings { downloads: true, denials_per_minute: 1 };

fn lazy(store: Option<Store>) -> LazyStore {
    LazyStore::new(Arc::new(move || {
        let found = store.clone().ok_or(StoreError::Unavailable { why: "it is switched off".to_owned() });
        Box::pin(async move { found })
    }))
}

fn happened(kind: &str) -> Happened<'_> {
    let detail = json!({"n": 1});
    Happened { actor: "user:u".to_owned(), kind, target: "x", address: "192.0.2.1", result: "ok", detail }
}

fn download(trail: &Trail, actor: &str) {
    trail.downloaded(&Got {
        sha256: &Sha256::of(b"a"),
        file: "c/noarch/a-1-0.conda",
        day: day_of(NOW),
        actor,
        token: "",
        address: Some([192, 0, 2, 1].into()),
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_waits_for_the_store_and_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(Sqlite::open(&dir.path().join("store.db"), Handle::current()).unwrap());
    let clock = ManualClock::new(NOW);
    let trail = Trail::new(SETTINGS, clock.clone(), dir.path().join("spool"));
    trail.event(&happened("login"));
    for kind in ["access.denied", "access.denied", "access.denied"] {
        trail.denied(&happened(kind));
    }
    for actor in ["anonymous", "user:u", "anonymous"] {
        download(&trail, actor);
    }
    trail.used(&TokenId::new("t").unwrap(), NOW);
    trail.flush(&lazy(None)).await;
    assert!(!trail.is_empty(), "nothing is lost while the store is away");
    clock.advance(Duration::from_mins(1));
    trail.denied(&happened("access.denied"));
    // Not even with the gate.
    trail.spool(true);
    let trail = Trail::new(SETTINGS, clock.clone(), dir.path().join("spool"));
    let works = lazy(Some(store.clone()));
    trail.flush(&works).await;
    trail.flush(&works).await;
    assert!(trail.is_empty());
    trail.spool(false);
    assert!(!dir.path().join("spool").exists());

    let events = store.audit().list(&AuditFilter::default(), None, 10).await.unwrap();
    let told: Vec<_> = events.iter().map(|event| (event.kind.as_str(), event.detail.as_str())).collect();
    let first = ("access.denied", "{\"n\":1}");
    assert_eq!(told[0], ("access.denied", "{\"n\":1,\"not_written_before\":2}"));
    assert!(told.contains(&first) && told.contains(&("login", "{\"n\":1}")) && told.len() == 3, "{told:?}");
    let counts = store.downloads().of_digest(&Sha256::of(b"a"), None, 10).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|row| (row.actor.as_str(), row.count, row.day)).collect();
    assert_eq!(counts, [("anonymous", 2, day_of(NOW)), ("user:u", 1, day_of(NOW))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_is_forgotten_and_nothing_is_counted_where_that_is_off() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(Sqlite::open(&dir.path().join("store.db"), Handle::current()).unwrap());
    let clock = ManualClock::new(NOW);
    let works = lazy(Some(store.clone()));
    let trail = Trail::new(SETTINGS, clock.clone(), dir.path().join("spool"));
    trail.event(&happened("login"));
    download(&trail, "anonymous");
    trail.flush(&works).await;
    let mut keeper = super::Keeper::new(super::Retention { events: MONTH, tokens: MONTH });
    for (days, left) in [(29, 1), (3, 0)] {
        clock.advance(Duration::from_hours(24 * days));
        keeper.forget_old(&store, trail.clock.now()).await.unwrap();
        let events = store.audit().list(&AuditFilter::default(), None, 10).await.unwrap();
        let counts = store.downloads().of_digest(&Sha256::of(b"a"), None, 10).await.unwrap();
        assert_eq!((events.len(), counts.len()), (left, left), "after {days} more days");
    }
    let quiet = Trail::new(TrailSettings { downloads: false, ..SETTINGS }, clock, dir.path().join("none"));
    download(&quiet, "anonymous");
    assert!(quiet.is_empty() && !quiet.counts_downloads());
}
