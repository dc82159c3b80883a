use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;

use super::{Got, Happened, Trail, TrailSettings, day_of};
use crate::clock::{ManualClock, UnixMillis};
use crate::conda::digest::Sha256;
use crate::store::lazy::LazyStore;
use crate::store::model::TokenId;
use crate::store::model::{Span, Traffic};
use crate::store::repo::{AuditFilter, TrafficFilter};
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};
use crate::telemetry::{Metrics, Outcome, RouteKind};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const MONTH: Duration = Duration::from_hours(24 * 30);
const SETTINGS: TrailSettings = TrailSettings { downloads: true, denials_per_minute: 1 };

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new())
}

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
    let trail = Trail::new(SETTINGS, metrics(), clock.clone(), dir.path().join("spool"));
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
    let trail = Trail::new(SETTINGS, metrics(), clock.clone(), dir.path().join("spool"));
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
    let trail = Trail::new(SETTINGS, metrics(), clock.clone(), dir.path().join("spool"));
    trail.event(&happened("login"));
    download(&trail, "anonymous");
    trail.flush(&works).await;
    let mut keeper = super::Keeper::new(super::Retention { events: MONTH, traffic: MONTH, tokens: MONTH });
    for (days, left) in [(29, 1), (3, 0)] {
        clock.advance(Duration::from_hours(24 * days));
        keeper.forget_old(&store, trail.clock.now()).await.unwrap();
        let events = store.audit().list(&AuditFilter::default(), None, 10).await.unwrap();
        let counts = store.downloads().of_digest(&Sha256::of(b"a"), None, 10).await.unwrap();
        assert_eq!((events.len(), counts.len()), (left, left), "after {days} more days");
    }
    let quiet =
        Trail::new(TrailSettings { downloads: false, ..SETTINGS }, metrics(), clock, dir.path().join("none"));
    download(&quiet, "anonymous");
    assert!(quiet.is_empty() && !quiet.counts_downloads());
}

/// Totals of a length, as (hours since the beginning, channel, hits, bytes).
async fn totals(store: &Store, span: Span) -> Vec<(i64, String, u64, u64)> {
    let all = TrafficFilter { span, from: UnixMillis(0), before: UnixMillis(i64::MAX), channel: None };
    let found = store.traffic().list(&all, None, 1000).await.unwrap();
    let hours = |row: &Traffic| (row.start.0 - Span::Hour.start_of(NOW).0) / 3_600_000;
    found.into_iter().map(|row| (hours(&row), row.channel, row.hits, row.bytes)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_waits_for_the_store_by_the_hour_and_is_added_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(Sqlite::open(&dir.path().join("store.db"), Handle::current()).unwrap());
    let (clock, metrics) = (ManualClock::new(NOW), metrics());
    let (away, works) = (lazy(None), lazy(Some(store.clone())));
    let trail = |metrics: &Arc<Metrics>| {
        Trail::new(SETTINGS, Arc::clone(metrics), clock.clone(), dir.path().join("spool"))
    };
    let hit = |metrics: &Metrics, channel| {
        metrics.channel(channel).answered(RouteKind::Package, Outcome::Hit, 10);
    };
    let first = trail(&metrics);
    hit(&metrics, "a");
    first.flush(&works).await;
    first.flush(&works).await;
    for _ in 0..3 {
        clock.advance(Duration::from_hours(1));
        hit(&metrics, "a");
        hit(&metrics, "b");
        first.flush(&away).await;
    }
    // What comes behind the last look is not lost with the process, and belongs to whoever takes over only once.
    hit(&metrics, "b");
    first.give_away();
    hit(&metrics, "b");
    let second = trail(&self::metrics());
    second.flush(&works).await;
    assert_eq!(first.write_rest(&works).await, 0);
    assert!(second.is_empty() && first.is_empty());
    let a = |hour| (hour, "a".to_owned(), 1, 10);
    let b = |hour, n| (hour, "b".to_owned(), n, 10 * n);
    assert_eq!(totals(&store, Span::Hour).await, [a(0), a(1), b(1, 1), a(2), b(2, 1), a(3), b(3, 3)]);
    let days = totals(&store, Span::Day).await;
    let sum = |name: &str| days.iter().filter(|(_, channel, ..)| channel == name).map(|(_, _, n, _)| n).sum();
    let sums: [u64; 2] = ["a", "b"].map(sum);
    assert_eq!(sums, [4, 5], "{days:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_are_forgotten_before_days() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(Sqlite::open(&dir.path().join("store.db"), Handle::current()).unwrap());
    let (clock, metrics) = (ManualClock::new(NOW), metrics());
    let trail = Trail::new(SETTINGS, Arc::clone(&metrics), clock.clone(), dir.path().join("spool"));
    metrics.channel("a").answered(RouteKind::Package, Outcome::Hit, 10);
    trail.flush(&lazy(Some(store.clone()))).await;
    let retention = super::Retention { events: MONTH, traffic: MONTH * 13, tokens: MONTH };
    let mut keeper = super::Keeper::new(retention);
    for (days, left) in [(30, (1, 1)), (6, (0, 1)), (350, (0, 1)), (6, (0, 0))] {
        clock.advance(Duration::from_hours(24 * days));
        keeper.forget_old(&store, trail.clock.now()).await.unwrap();
        let found = (totals(&store, Span::Hour).await.len(), totals(&store, Span::Day).await.len());
        assert_eq!(found, left, "after {days} more days");
    }
}

#[test]
fn what_waits_is_bounded_and_what_is_lost_is_counted() {
    let metrics = metrics();
    let flow = super::traffic::Flow::new(Arc::clone(&metrics), Vec::new());
    let channels: Vec<_> = (0..100).map(|n| metrics.channel(&format!("c{n}"))).collect();
    let mut lost = 0;
    for hour in 0..210 {
        for channel in &channels {
            channel.answered(RouteKind::Package, Outcome::Hit, 1);
        }
        lost += flow.look(UnixMillis(NOW.0 + hour * 3_600_000));
    }
    assert_eq!((flow.all().len(), lost), (20_000, 1000));
}
