//! Dumps and loads.

use std::io::Cursor;

use super::Bed;
use super::audit::count;
use super::people::ODD;
use super::samples::*;
use super::traffic::total;
use crate::store::dump::{DumpError, Summary, check, dump, load};
use crate::store::model::{Head, Job, Span, Subject, Token, User};
use crate::store::repo::LONGEST_PAGE;
use crate::store::{Store, StoreError};

/// Something of everything.
pub(super) async fn fill(store: &Store) {
    store.users().create(&user("ada")).await.unwrap();
    store.users().create(&User { email: None, password: None, ..user("bob") }).await.unwrap();
    store.groups().create(&group("acme")).await.unwrap();
    store.groups().join(&group_id("g-acme"), &user_id("u-ada"), NOW).await.unwrap();
    store.groups().join(&group_id("g-acme"), &user_id("u-bob"), NOW).await.unwrap();
    store.groups().leave(&group_id("g-acme"), &user_id("u-bob")).await.unwrap();
    store.grants().create(&grant("1", Subject::User(user_id("u-ada")), "*")).await.unwrap();
    store.tokens().create(&token("t")).await.unwrap();
    store.tokens().create(&Token { expires: None, scopes: Vec::new(), ..token("s") }).await.unwrap();
    store.tokens().used(&[(token_id("t"), at(1))]).await.unwrap();
    store.sessions().create(&session("s", "u-ada")).await.unwrap();
    store.channels().create(&channel("team")).await.unwrap();
    store.packages().create(&package("c-team", "a-1-0.conda")).await.unwrap();
    let head = Head {
        channel: "pkgs/main".to_owned(),
        subdir: "noarch".to_owned(),
        generation: "g".to_owned(),
        since: NOW,
    };
    store.heads().swap(&head, None).await.unwrap();
    let counts: Vec<_> =
        [u64::MAX, 7, 9].into_iter().zip(["b/x", "b%2Fx", "a"]).map(|(n, file)| count(file, 9, n)).collect();
    store.downloads().add(&counts).await.unwrap();
    let totals = [(Span::Day, "pkgs/main"), (Span::Hour, "pkgs/main"), (Span::Hour, "pkgs%2Fmain")];
    store.traffic().add(&totals.map(|(span, channel)| total(span, NOW, channel, u64::MAX))).await.unwrap();
    store.audit().append(&event(1, "e", "user:u-ada", "login")).await.unwrap();
    store.audit().append(&event(-1, "f", "user:u-ada", "login")).await.unwrap();
    store.jobs().enqueue(&Job { error: Some("x".to_owned()), ..job("j", "k", 1) }).await.unwrap();
}

async fn dumped(store: &Store) -> (Vec<u8>, Summary) {
    let mut bytes = Vec::new();
    let summary = dump(store, &mut bytes).await.unwrap();
    (bytes, summary)
}

async fn loaded(store: &Store, bytes: &[u8]) -> Result<Summary, DumpError> {
    load(store, &mut Cursor::new(bytes.to_vec()), false).await
}

pub(super) async fn a_dump_comes_back_byte_for_byte(bed: &Bed, store: Store) {
    fill(&store).await;
    for (n, text) in ODD.iter().enumerate() {
        store.users().create(&named_user(&format!("odd-{n}"), text)).await.unwrap();
    }
    let (bytes, summary) = dumped(&store).await;
    assert_eq!(check(&mut Cursor::new(&bytes)).unwrap(), summary);
    let other = Bed::sqlite();
    let copy = other.open().await;
    assert_eq!(loaded(&copy, &bytes).await.unwrap(), summary);
    assert_eq!(dumped(&copy).await.0, bytes);
    // And back into what it came from.
    let number = store.settings().revision().await.unwrap();
    load(&store, &mut Cursor::new(bytes.clone()), true).await.unwrap();
    assert_eq!(dumped(&bed.open().await).await.0, bytes);
    assert_eq!(store.is_whole().await, Ok(()));
    assert!(store.settings().revision().await.unwrap() > number, "gates see that something happened");
    let told = store.packages().changed_in(&channel_id("c-team"), "noarch", number, 9).await.unwrap();
    assert!(!told.complete, "what was made of the rows before says nothing about these");
}

pub(super) async fn a_full_store_is_not_loaded_into(_: &Bed, store: Store) {
    fill(&store).await;
    let (bytes, summary) = dumped(&store).await;
    let refused = loaded(&store, &bytes).await.unwrap_err();
    assert!(matches!(refused, DumpError::NotEmpty { rows } if rows == summary.rows), "{refused}");
    assert_eq!(dumped(&store).await.0, bytes);
    store.users().create(&user("eve")).await.unwrap();
    // What is cut or changed is noticed before anything is taken away.
    for end in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        let cut = load(&store, &mut Cursor::new(bytes[..end].to_vec()), true).await.unwrap_err();
        assert!(matches!(cut, DumpError::Cut | DumpError::NotADump), "{end}: {cut}");
    }
    assert!(store.users().by_name("eve").await.unwrap().is_some());
    load(&store, &mut Cursor::new(bytes.clone()), true).await.unwrap();
    assert_eq!(dumped(&store).await.0, bytes);
}

pub(super) async fn a_half_loaded_store_is_refused(bed: &Bed, store: Store) {
    store.engine().mark_loading(true).await.unwrap();
    drop(store);
    let store = bed.open().await;
    assert_eq!(store.is_whole().await, Err(StoreError::HalfLoaded));
    assert!(store.status().await.unwrap().loading);
    let refused = dump(&store, &mut Vec::new()).await.unwrap_err();
    assert!(matches!(refused, DumpError::Store(StoreError::HalfLoaded)), "{refused}");
}

pub(super) async fn from_sqlite_to_mongodb_and_back() {
    let (first, second) = (Bed::sqlite(), Bed::mongo().await.expect("a server"));
    let (sqlite, mongo) = (first.open().await, second.open().await);
    fill(&sqlite).await;
    let (bytes, summary) = dumped(&sqlite).await;
    assert_eq!(loaded(&mongo, &bytes).await.unwrap(), summary);
    assert_eq!(dumped(&mongo).await.0, bytes);
    let third = Bed::sqlite();
    let back = third.open().await;
    loaded(&back, &dumped(&mongo).await.0).await.unwrap();
    assert_eq!(dumped(&back).await.0, bytes);
    let told = mongo.settings().changes(0, LONGEST_PAGE).await.unwrap();
    assert_eq!((told.users.len(), told.tokens.len(), told.gone.len()), (2, 2, 0));
    second.clear().await;
}
