//! Audit events and counters.

use super::Bed;
use super::samples::*;
use crate::conda::digest::Sha256;
use crate::store::model::{AuditEvent, Downloads};
use crate::store::repo::AuditFilter;
use crate::store::{Store, StoreError};

fn ids(events: &[AuditEvent]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

async fn some(store: &Store) {
    for (seconds, id, actor, kind) in [
        (3, "d", "user:ada", "login"),
        (1, "a", "user:ada", "login"),
        (2, "c", "user:bob", "token.create"),
        (2, "b", "user:ada", "token.create"),
        (4, "e", "system", "gc"),
    ] {
        store.audit().append(&event(seconds, id, actor, kind)).await.unwrap();
    }
}

pub(super) async fn events_are_told_from_the_newest(_: &Bed, store: Store) {
    some(&store).await;
    let audit = store.audit();
    let first = audit.list(&AuditFilter::default(), None, 3).await.unwrap();
    assert_eq!(ids(&first), ["e", "d", "c"]);
    assert_eq!(first[0], event(4, "e", "system", "gc"));
    let last = first.last().unwrap();
    let rest = audit.list(&AuditFilter::default(), Some((last.at, &last.id)), 3).await.unwrap();
    assert_eq!(ids(&rest), ["b", "a"], "two at one time are told apart");
    let same = StoreError::Conflict { what: "this audit event" };
    assert_eq!(audit.append(&event(4, "e", "system", "gc")).await, Err(same));
}

pub(super) async fn events_are_filtered(_: &Bed, store: Store) {
    some(&store).await;
    let found = async |filter: AuditFilter| {
        let found = store.audit().list(&filter, None, 9).await.unwrap();
        ids(&found).concat()
    };
    let actor = |actor: &str| Some(actor.to_owned());
    let kinds = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
    let any = AuditFilter::default;
    assert_eq!(found(AuditFilter { actor: actor("user:ada"), ..any() }).await, "dba");
    assert_eq!(found(AuditFilter { kinds: kinds(&["login", "gc"]), ..any() }).await, "eda");
    assert_eq!(found(AuditFilter { since: Some(at(2)), until: Some(at(4)), ..any() }).await, "dcb");
    let all = AuditFilter {
        actor: actor("user:ada"),
        kinds: kinds(&["token.create"]),
        since: Some(at(0)),
        until: Some(at(9)),
    };
    assert_eq!(found(all).await, "b");
    assert_eq!(found(AuditFilter { actor: actor("{\"$ne\":1}"), ..any() }).await, "");
}

pub(super) async fn old_events_are_forgotten(_: &Bed, store: Store) {
    some(&store).await;
    let audit = store.audit();
    assert_eq!(audit.forget(at(3), 2).await, Ok(2));
    assert_eq!(audit.forget(at(3), 2).await, Ok(1));
    assert_eq!(audit.forget(at(3), 2).await, Ok(0));
    assert_eq!(ids(&audit.list(&AuditFilter::default(), None, 9).await.unwrap()), ["e", "d"]);
}

pub(super) fn count(file: &str, day: u32, count: u64) -> Downloads {
    let (actor, token, address) = ("user:u-ada".to_owned(), "t1".to_owned(), "192.0.2.7".to_owned());
    Downloads { sha256: Sha256::of(b"x"), file: file.to_owned(), day, actor, token, address, count }
}

fn anonymous(count: Downloads) -> Downloads {
    Downloads { actor: "anonymous".to_owned(), token: String::new(), ..count }
}

pub(super) async fn counts_add_up(_: &Bed, store: Store) {
    let downloads = store.downloads();
    downloads
        .add(&[count("a/b", 1, 2), count("a/b", 1, 3), count("a/b", 2, 1), count("c", 1, 1)])
        .await
        .unwrap();
    downloads.add(&[count("a/b", 1, 10)]).await.unwrap();
    let x = Sha256::of(b"x");
    let all = [count("a/b", 1, 15), count("a/b", 2, 1), count("c", 1, 1)];
    assert_eq!(downloads.of_digest(&x, None, 9).await.unwrap(), all);
    assert_eq!(downloads.of_digest(&x, Some(&all[0]), 9).await.unwrap(), all[1..]);
    assert_eq!(downloads.of_digest(&x, Some(&all[1]), 1).await.unwrap(), all[2..]);
    assert!(downloads.of_digest(&Sha256::of(b"y"), None, 9).await.unwrap().is_empty());
    assert_eq!(downloads.forget(2, 9).await, Ok(2));
    assert_eq!(downloads.of_digest(&x, None, 9).await.unwrap(), all[1..2]);
}

pub(super) async fn counts_are_told_apart_by_who_and_from_where(_: &Bed, store: Store) {
    let downloads = store.downloads();
    let elsewhere = |address: &str, one: Downloads| Downloads { address: address.to_owned(), ..one };
    let token = |token: &str, one: Downloads| Downloads { token: token.to_owned(), ..one };
    let all = [
        anonymous(count("f", 1, 1)),
        elsewhere("2001:db8::1", anonymous(count("f", 1, 2))),
        token("", count("f", 1, 3)),
        count("f", 1, 4),
        token("t2", count("f", 1, 5)),
        count("f", 2, 6),
    ];
    downloads.add(&all).await.unwrap();
    downloads.add(&all[3..4]).await.unwrap();
    let mut expected = all.to_vec();
    expected[3].count = 8;
    let mut found: Vec<Downloads> = Vec::new();
    loop {
        let page = downloads.of_digest(&all[0].sha256, found.last(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, expected, "page by page, nobody twice");
}

pub(super) async fn counts_of_many_gates_add_up(_: &Bed, store: Store) {
    let gate = || {
        let store = store.clone();
        async move {
            for _ in 0..5 {
                let counts: Vec<_> = (0..4).map(|n| count(&format!("f{n}"), 1, 2)).collect();
                store.downloads().add(&counts).await.unwrap();
            }
        }
    };
    let all: Vec<_> = (0..4).map(|_| tokio::spawn(gate())).collect();
    for gate in all {
        gate.await.unwrap();
    }
    let found = store.downloads().of_digest(&Sha256::of(b"x"), None, 9).await.unwrap();
    assert_eq!(found.iter().map(|count| count.count).collect::<Vec<_>>(), [40; 4]);
}
