//! The store as a whole.

use super::Bed;
use super::dumps::fill;
use super::samples::*;
use crate::store::Store;
use crate::store::model::{Downloads, Package};
use crate::store::repo::AuditFilter;

pub(super) async fn everything_is_there_after_a_restart(bed: &Bed, store: Store) {
    fill(&store).await;
    let before = store.status().await.unwrap();
    drop(store);
    let store = bed.open().await;
    assert_eq!(store.status().await.unwrap(), before);
    assert_eq!(store.users().by_name("ada").await.unwrap(), Some(user("ada")));
    assert_eq!(store.audit().list(&AuditFilter::default(), None, 9).await.unwrap().len(), 2);
    let told = store.settings().changes(0, 100).await.unwrap();
    assert_eq!((told.upto, told.users.len()), (before.revision, 2));
}

pub(super) async fn large_numbers_come_back(_: &Bed, store: Store) {
    for (n, size) in [0, 1, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, u64::MAX].into_iter().enumerate() {
        let file = format!("f{n}");
        let one = Package { size, ..package("team", &file) };
        store.packages().create(&one).await.unwrap();
        assert_eq!(store.packages().get(&one.channel, "noarch", &file).await.unwrap(), Some(one));
    }
    let count = |count| Downloads {
        sha256: crate::conda::digest::Sha256::of(b""),
        file: String::new(),
        day: 0,
        actor: String::new(),
        token: String::new(),
        address: String::new(),
        count,
    };
    store.downloads().add(&[count((1 << 62) - 1)]).await.unwrap();
    store.downloads().add(&[count(2)]).await.unwrap();
    let found = store.downloads().of_digest(&count(0).sha256, None, 1).await.unwrap();
    assert_eq!(found, [count((1 << 62) + 1)]);
}

pub(super) async fn status_counts_rows(bed: &Bed, store: Store) {
    store.users().create(&user("ada")).await.unwrap();
    store.jobs().enqueue(&job("a", "k", 0)).await.unwrap();
    let status = store.status().await.unwrap();
    let engine = if matches!(bed, Bed::Sqlite(_)) { "sqlite" } else { "mongodb" };
    assert_eq!((status.about.engine, status.about.schema, status.loading), (engine, 3, false));
    assert!(!status.about.place.contains("gate:"), "{}", status.about.place);
    let rows = |table: &str| status.rows.iter().find(|(name, _)| *name == table).map(|(_, rows)| *rows);
    assert_eq!((rows("users"), rows("jobs"), rows("tokens")), (Some(1), Some(1), Some(0)));
}
