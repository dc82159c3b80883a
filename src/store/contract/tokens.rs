//! Tokens and sessions.

use super::Bed;
use super::samples::*;
use crate::conda::digest::Sha256;
use crate::secret::Secret;
use crate::store::model::{SigningKey, Token};
use crate::store::{Store, StoreError};

pub(super) async fn tokens_come_back(_: &Bed, store: Store) {
    let tokens = store.tokens();
    let bare = Token { scopes: Vec::new(), expires: None, owner: user_id("u-bob"), ..token("b") };
    for one in [&token("a"), &bare, &token("c")] {
        tokens.create(one).await.unwrap();
    }
    assert_eq!(tokens.get(&token_id("a")).await.unwrap(), Some(token("a")));
    assert_eq!(tokens.by_hash(&Sha256::of(b"b")).await.unwrap(), Some(bare.clone()));
    assert_eq!(tokens.by_hash(&Sha256::of(b"x")).await.unwrap(), None);
    assert_eq!(tokens.list(None, Some(&token_id("a")), 1).await.unwrap(), std::slice::from_ref(&bare));
    assert_eq!(tokens.list(Some(&user_id("u-ada")), None, 9).await.unwrap(), [token("a"), token("c")]);
    assert_eq!(tokens.list(Some(&user_id("u-ada")), Some(&token_id("a")), 9).await.unwrap(), [token("c")]);
    assert!(tokens.delete(&bare.id).await.unwrap());
    assert!(!tokens.delete(&bare.id).await.unwrap());
}

pub(super) async fn tokens_are_unique_by_secret(_: &Bed, store: Store) {
    store.tokens().create(&token("a")).await.unwrap();
    let same = Token { id: token_id("b"), ..token("a") };
    let taken = StoreError::Conflict { what: "a token with this secret" };
    assert_eq!(store.tokens().create(&same).await, Err(taken));
}

pub(super) async fn tokens_are_found_by_the_beginning_of_their_id(_: &Bed, store: Store) {
    let tokens = store.tokens();
    for id in ["ab", "abc", "abz_-", "ac", "b", "aBc"] {
        tokens.create(&token(id)).await.unwrap();
    }
    let found = async |prefix: &str, limit| -> Vec<String> {
        let found = tokens.by_prefix(prefix, limit).await.unwrap();
        found.into_iter().map(|token| token.id.to_string()).collect()
    };
    assert_eq!(found("ab", 9).await, ["ab", "abc", "abz_-"]);
    assert_eq!(found("ab", 2).await, ["ab", "abc"]);
    assert_eq!(found("x", 9).await, [""; 0]);
    assert_eq!(found("", 9).await.len(), 6);
}

pub(super) async fn a_token_is_revoked_once(_: &Bed, store: Store) {
    let tokens = store.tokens();
    tokens.create(&token("a")).await.unwrap();
    assert_eq!(tokens.revoke(&token_id("a"), at(1)).await, Ok(true));
    assert_eq!(tokens.revoke(&token_id("a"), at(2)).await, Ok(false));
    let missing = StoreError::NotFound { what: "token" };
    assert_eq!(tokens.revoke(&token_id("x"), at(2)).await, Err(missing));
    let now = tokens.get(&token_id("a")).await.unwrap().unwrap();
    assert_eq!(now, Token { revoked: Some(at(1)), revision: 2, ..token("a") });
}

pub(super) async fn a_token_has_one_successor(_: &Bed, store: Store) {
    let tokens = store.tokens();
    for id in ["a", "b", "c"] {
        tokens.create(&token(id)).await.unwrap();
    }
    let (a, b, c) = (token_id("a"), token_id("b"), token_id("c"));
    tokens.succeed(&a, &b, at(60), None).await.unwrap();
    let stale = Err(StoreError::Stale { what: "token" });
    assert_eq!(tokens.succeed(&a, &c, at(90), None).await, stale);
    tokens.revoke(&b, NOW).await.unwrap();
    assert_eq!(tokens.succeed(&b, &c, at(90), None).await, stale);
    assert_eq!(
        tokens.succeed(&token_id("x"), &c, NOW, None).await,
        Err(StoreError::NotFound { what: "token" })
    );
    let now = tokens.get(&a).await.unwrap().unwrap();
    assert_eq!((now.successor, now.expires, now.revision), (Some(b), Some(at(60)), 2));
}

pub(super) async fn tokens_end_at_the_revision_that_was_read(_: &Bed, store: Store) {
    let tokens = store.tokens();
    for id in ["a", "b", "c"] {
        tokens.create(&token(id)).await.unwrap();
    }
    let (a, b, c) = (token_id("a"), token_id("b"), token_id("c"));
    let stale = Err(StoreError::Stale { what: "token" });
    assert_eq!(tokens.succeed(&a, &b, at(60), Some(2)).await, stale);
    assert_eq!(tokens.succeed(&a, &b, at(60), Some(1)).await, Ok(()));
    assert_eq!(tokens.revoke_at(&a, at(7), 1).await, stale);
    assert_eq!(tokens.revoke_at(&a, at(7), 2).await, Ok(()));
    assert_eq!(tokens.revoke_at(&a, at(8), 3).await, stale, "once");
    assert_eq!(tokens.revoke_at(&token_id("x"), at(8), 1).await, Err(StoreError::NotFound { what: "token" }));
    // Of many at once, one.
    let all = (0..6).map(|n| {
        let (store, c) = (store.clone(), c.clone());
        tokio::spawn(async move { store.tokens().revoke_at(&c, at(n), 1).await.is_ok() })
    });
    let mut done = 0;
    for one in all.collect::<Vec<_>>() {
        done += usize::from(one.await.unwrap());
    }
    assert_eq!(done, 1);
}

pub(super) async fn uses_only_go_forward(_: &Bed, store: Store) {
    let tokens = store.tokens();
    tokens.create(&token("a")).await.unwrap();
    tokens.create(&token("b")).await.unwrap();
    let (a, b) = (token_id("a"), token_id("b"));
    tokens.used(&[(a.clone(), at(9)), (token_id("unknown"), at(9)), (a.clone(), at(3))]).await.unwrap();
    tokens.used(&[(a.clone(), at(5)), (b.clone(), at(1))]).await.unwrap();
    tokens.used(&[]).await.unwrap();
    let now = async |id| tokens.get(id).await.unwrap().map(|token| (token.last_use, token.revision));
    assert_eq!(now(&a).await, Some((Some(at(9)), 1)));
    assert_eq!(now(&b).await, Some((Some(at(1)), 1)));
    assert_eq!(now(&token_id("unknown")).await, None);
}

pub(super) async fn ended_tokens_are_forgotten(_: &Bed, store: Store) {
    let tokens = store.tokens();
    let ending = |id: &str, expires, revoked| Token { expires, revoked, ..token(id) };
    let all = [
        ending("a-revoked", None, Some(at(1))),
        ending("b-expired", Some(at(2)), None),
        ending("c-both", Some(at(90)), Some(at(3))),
        ending("d-at-the-moment", Some(at(10)), None),
        ending("e-later", Some(at(90)), Some(at(11))),
        ending("f-good", Some(at(90)), None),
        ending("g-for-ever", None, None),
    ];
    for one in &all {
        tokens.create(one).await.unwrap();
    }
    let before = store.settings().revision().await.unwrap();
    assert_eq!(tokens.forget_ended(at(1), 9).await, Ok(0));
    assert_eq!(tokens.forget_ended(at(10), 2).await, Ok(2));
    assert_eq!(tokens.forget_ended(at(10), 2).await, Ok(1));
    assert_eq!(tokens.forget_ended(at(10), 2).await, Ok(0));
    assert_eq!(tokens.list(None, None, 9).await.unwrap(), all[3..]);
    // Gates are told.
    let changes = store.settings().changes(before, 9).await.unwrap();
    assert_eq!(changes.gone.len(), 3);
    // Its secret is no longer taken.
    tokens.create(&token("a-revoked")).await.unwrap();
}

pub(super) async fn revoking_and_using_at_once_lose_nothing(_: &Bed, store: Store) {
    for n in 0..10 {
        store.tokens().create(&token(&format!("t{n}"))).await.unwrap();
    }
    let uses: Vec<_> = (0..10).map(|n| (token_id(&format!("t{n}")), at(7))).collect();
    let using = tokio::spawn({
        let (store, uses) = (store.clone(), uses.clone());
        async move {
            for _ in 0..5 {
                store.tokens().used(&uses).await.unwrap();
            }
        }
    });
    for (id, _) in &uses {
        assert_eq!(store.tokens().revoke(id, at(8)).await, Ok(true));
    }
    using.await.unwrap();
    for (id, _) in &uses {
        let token = store.tokens().get(id).await.unwrap().unwrap();
        assert_eq!((token.revoked, token.last_use), (Some(at(8)), Some(at(7))));
    }
}

pub(super) async fn sessions_come_back(_: &Bed, store: Store) {
    let sessions = store.sessions();
    for one in [session("1", "ada"), session("2", "ada"), session("3", "bob")] {
        sessions.create(&one).await.unwrap();
    }
    let taken = StoreError::Conflict { what: "a session with this id" };
    assert_eq!(sessions.create(&session("1", "eve")).await, Err(taken));
    assert_eq!(sessions.by_hash(&Sha256::of(b"3")).await.unwrap(), Some(session("3", "bob")));
    sessions.used(&[(session_id("1"), at(5)), (session_id("2"), at(-5))]).await.unwrap();
    let of_ada = sessions.of_user(&user_id("ada"), None, 9).await.unwrap();
    assert_eq!(of_ada.iter().map(|s| s.last_use).collect::<Vec<_>>(), [at(5), NOW]);
    let behind = sessions.of_user(&user_id("ada"), Some(&session_id("1")), 9).await.unwrap();
    assert_eq!(behind, [session("2", "ada")]);
}

pub(super) async fn sessions_end(_: &Bed, store: Store) {
    let sessions = store.sessions();
    for n in 0..7 {
        let user = if n < 5 { "ada" } else { "bob" };
        let mut one = session(&n.to_string(), user);
        one.expires = at(n);
        sessions.create(&one).await.unwrap();
    }
    assert_eq!(sessions.forget_expired(at(1), 9).await, Ok(2));
    assert_eq!(sessions.forget_expired(at(1), 9).await, Ok(0));
    assert!(sessions.delete(&session_id("6")).await.unwrap());
    assert!(!sessions.delete(&session_id("6")).await.unwrap());
    assert_eq!(sessions.delete_of_user(&user_id("ada"), 2).await, Ok(2));
    assert_eq!(sessions.delete_of_user(&user_id("ada"), 2).await, Ok(1));
    assert_eq!(sessions.of_user(&user_id("bob"), None, 9).await.unwrap().len(), 1);
}

pub(super) async fn keys_come_back_and_end(_bed: &Bed, store: Store) {
    let key = |id: &str, ends: i64| SigningKey {
        id: key_id(id),
        secret: Secret::new(format!("secret of {id}")),
        created: NOW,
        ends: at(ends),
    };
    for (id, ends) in [("b", 20), ("a", 10)] {
        store.keys().create(&key(id, ends)).await.unwrap();
    }
    assert_eq!(
        store.keys().create(&key("a", 5)).await,
        Err(StoreError::Conflict { what: "a key with this id" })
    );
    assert_eq!(store.keys().list().await.unwrap(), [key("a", 10), key("b", 20)]);
    assert_eq!(store.keys().forget_ended(at(10), 9).await.unwrap(), 1);
    assert_eq!(store.keys().list().await.unwrap(), [key("b", 20)]);
}
