//! What gates are told.

use std::collections::BTreeSet;

use super::Bed;
use super::samples::*;
use crate::store::model::{Channel, Subject, User};
use crate::store::repo::Changes;
use crate::store::{Store, StoreError};

async fn since(store: &Store, number: u64) -> Changes {
    let changes = store.settings().changes(number, 1000).await.unwrap();
    assert!(changes.complete, "too much to tell");
    changes
}

pub(super) async fn every_change_is_told(_: &Bed, store: Store) {
    let begin = store.settings().revision().await.unwrap();
    assert_eq!(since(&store, begin).await, Changes { upto: begin, complete: true, ..Changes::default() });
    store.users().create(&user("ada")).await.unwrap();
    store.groups().create(&group("acme")).await.unwrap();
    store.groups().join(&group_id("g-acme"), &user_id("u-ada"), NOW).await.unwrap();
    store.grants().create(&grant("1", Subject::User(user_id("u-ada")), "*")).await.unwrap();
    store.tokens().create(&token("t")).await.unwrap();
    store.channels().create(&channel("team")).await.unwrap();
    let all = since(&store, begin).await;
    assert!(all.upto >= begin + 6);
    assert_eq!((&all.users[..], &all.tokens[..]), (&[user("ada")][..], &[token("t")][..]));
    assert_eq!((all.groups.len(), all.members.len(), all.grants.len(), all.channels.len()), (1, 1, 1, 1));
    assert!(all.gone.is_empty());
    let none = since(&store, all.upto).await;
    assert_eq!(none, Changes { upto: all.upto, complete: true, ..Changes::default() });
    store.tokens().revoke(&token_id("t"), at(1)).await.unwrap();
    store.groups().leave(&group_id("g-acme"), &user_id("u-ada")).await.unwrap();
    store.users().update(&User { disabled: true, ..user("ada") }).await.unwrap();
    store.channels().update(&Channel { public: true, ..channel("team") }).await.unwrap();
    let some = since(&store, all.upto).await;
    assert_eq!(some.tokens[0].revoked, Some(at(1)));
    assert!(!some.members[0].active && some.users[0].disabled && some.channels[0].public);
    assert!(some.groups.is_empty() && some.grants.is_empty() && some.gone.is_empty());
    let bumped = store.settings().bump().await.unwrap();
    assert!(bumped > some.upto);
    assert_eq!(since(&store, some.upto).await.upto, bumped);
}

pub(super) async fn what_is_gone_is_told(_: &Bed, store: Store) {
    store.users().create(&user("ada")).await.unwrap();
    store.users().create(&user("bob")).await.unwrap();
    store.tokens().create(&token("t")).await.unwrap();
    let before = store.settings().revision().await.unwrap();
    store.users().delete(&user_id("u-ada")).await.unwrap();
    store.tokens().delete(&token_id("t")).await.unwrap();
    store.users().delete(&user_id("u-nobody")).await.unwrap();
    let told = since(&store, before).await;
    assert!(told.users.is_empty() && told.tokens.is_empty());
    let gone: BTreeSet<_> = told.gone.iter().map(|gone| (gone.source.as_str(), gone.id.as_str())).collect();
    assert_eq!(gone, BTreeSet::from([("tokens", "t"), ("users", "u-ada")]));
    assert!(since(&store, told.upto).await.gone.is_empty());
}

pub(super) async fn who_is_too_late_is_told_to_read_anew(_: &Bed, store: Store) {
    for name in ["ada", "bob", "eve"] {
        store.users().create(&user(name)).await.unwrap();
    }
    let early = store.settings().revision().await.unwrap();
    store.users().delete(&user_id("u-ada")).await.unwrap();
    let middle = store.settings().revision().await.unwrap();
    store.users().delete(&user_id("u-bob")).await.unwrap();
    assert_eq!(store.settings().forget_gone(middle, 9).await, Ok(1));
    assert_eq!(store.settings().forget_gone(middle, 9).await, Ok(0));
    assert!(!store.settings().changes(early, 10).await.unwrap().complete);
    let told = since(&store, middle).await;
    assert_eq!(told.gone.iter().map(|gone| gone.id.as_str()).collect::<Vec<_>>(), ["u-bob"]);
    assert_eq!(store.settings().forget_gone(early, 9).await, Ok(0));
    assert!(!store.settings().changes(early, 10).await.unwrap().complete, "a floor does not sink");
}

pub(super) async fn uses_are_not_told(_: &Bed, store: Store) {
    store.tokens().create(&token("t")).await.unwrap();
    let before = store.settings().revision().await.unwrap();
    store.tokens().used(&[(token_id("t"), at(1))]).await.unwrap();
    store.sessions().create(&session("s", "ada")).await.unwrap();
    store.audit().append(&event(1, "e", "system", "login")).await.unwrap();
    assert_eq!(since(&store, before).await, Changes { upto: before, complete: true, ..Changes::default() });
}

pub(super) async fn too_many_changes_are_not_told(_: &Bed, store: Store) {
    for n in 0..4 {
        store.tokens().create(&token(&format!("t{n}"))).await.unwrap();
    }
    let upto = store.settings().revision().await.unwrap();
    let few = store.settings().changes(0, 3).await.unwrap();
    assert_eq!(few, Changes { upto, ..Changes::default() });
    assert_eq!(store.settings().changes(0, 4).await.unwrap().tokens.len(), 4);
}

pub(super) async fn a_number_from_elsewhere_is_refused(_: &Bed, store: Store) {
    store.users().create(&user("ada")).await.unwrap();
    let changes = store.settings().changes(1_000_000, 10).await.unwrap();
    assert!(!changes.complete && changes.users.is_empty());
}

/// Writers and a reader that polls: in the end the reader has seen the last state of every token.
pub(super) async fn no_change_is_missed_while_others_write(_: &Bed, store: Store) {
    const WRITERS: i64 = 4;
    const EACH: i64 = 6;
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer, EACH))).collect();
    let (mut number, mut revoked) = (0, BTreeSet::new());
    let mut look = async || {
        let told = since(&store, number).await;
        number = told.upto;
        let seen = told.tokens.into_iter().filter(|token| token.revoked.is_some());
        revoked.extend(seen.map(|token| token.id.to_string()));
        revoked.len()
    };
    while writers.iter().any(|writer| !writer.is_finished()) {
        look().await;
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(look().await, usize::try_from(WRITERS * EACH).unwrap());
}

async fn write(store: Store, writer: i64, each: i64) -> Result<(), StoreError> {
    for n in 0..each {
        let id = format!("t{writer}-{n}");
        store.tokens().create(&token(&id)).await?;
        store.tokens().revoke(&token_id(&id), at(n)).await?;
    }
    Ok(())
}
