//! Tokens.

use std::time::Duration;

use super::*;
use crate::auth::token::{hash_of, is_ours};
use crate::people::view::{IssuedView, TokenView};
use crate::people::{Issued, Life, NewToken, PeopleError, Refusal};
use crate::policy::access::Scope;
use crate::store::model::{Token, TokenId};

const DAY: Duration = Duration::from_hours(24);

fn new(owner: &str) -> NewToken {
    NewToken { owner: owner.to_owned(), name: "laptop".to_owned(), scopes: Vec::new(), life: Life::Usual }
}

async fn issue(people: &People) -> Issued {
    people.create_token(&by(), new("ada")).await.unwrap()
}

async fn start() -> (Home, People) {
    let home = Home::new();
    let people = home.people();
    make(&people, "ada").await;
    (home, people)
}

#[tokio::test]
async fn tokens_read_for_ninety_days_unless_more_is_asked_for() {
    let (home, people) = start().await;
    let Issued { token, secret, owner } = issue(&people).await;
    assert!(is_ours(secret.reveal()) && token.hash == hash_of(secret.reveal()));
    assert_eq!((owner.as_str(), token.scopes.as_slice()), ("ada", &[Scope::read_all()][..]));
    assert_eq!(token.expires, Some(NOW.plus(90 * DAY)));
    let stored = home.store().tokens().by_hash(&token.hash).await.unwrap();
    assert_eq!(stored, Some(token.clone()));
    let scopes = vec![Scope::parse("write:lab:acme-*").unwrap()];
    let more = NewToken { scopes: scopes.clone(), life: Life::Endless, ..new("ada") };
    let endless = people.create_token(&by(), more).await.unwrap().token;
    assert_eq!((endless.expires, endless.scopes), (None, scopes));
    let short = NewToken { life: Life::For(DAY), ..new("ada") };
    assert_eq!(people.create_token(&by(), short).await.unwrap().token.expires, Some(NOW.plus(DAY)));
    let event = &trail(&people).await[1];
    assert_eq!(
        (event.kind.as_str(), event.target.as_str()),
        ("token.create", &*format!("token:{}", token.id))
    );
    let told: Vec<_> = trail(&people).await.into_iter().map(|event| event.detail).collect();
    assert!(!told.concat().contains(secret.reveal()) && !told.concat().contains(&token.hash.to_hex()));
    assert_eq!(IssuedView::from(&Issued { token, secret: secret.clone(), owner }).token, *secret.reveal());
}

#[tokio::test]
async fn what_can_not_be_a_token_is_refused() {
    let (_home, people) = start().await;
    let refused = async |new: NewToken| people.create_token(&by(), new).await.unwrap_err();
    for name in ["", "a\nb", &"x".repeat(101)] {
        let error = refused(NewToken { name: name.to_owned(), ..new("ada") }).await;
        assert!(matches!(error, PeopleError::Refused(Refusal::Text { .. })), "{error}");
    }
    let error = refused(NewToken { life: Life::For(Duration::ZERO), ..new("ada") }).await;
    assert!(matches!(error, PeopleError::Refused(Refusal::Life)), "{error}");
    assert!(matches!(refused(new("zoe")).await, PeopleError::NoUser(_)));
    people.disable_user(&by(), "ada").await.unwrap();
    assert!(matches!(refused(new("ada")).await, PeopleError::Disabled(_)));
    assert!(people.tokens(None, None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_that_the_trail_does_not_have_is_not_given_out() {
    let (home, _) = start().await;
    let broken = home.watched(Watched::fails_after(home.sqlite(), 1));
    let error = broken.create_token(&by(), new("ada")).await.unwrap_err();
    assert!(matches!(error, PeopleError::NotRecorded { kind: "token.create", .. }), "{error}");
}

async fn store_with_id(home: &Home, from: &Token, id: &str) {
    let hash = hash_of(id);
    let token = Token { id: TokenId::new(id).unwrap(), hash, ..from.clone() };
    home.store().tokens().create(&token).await.unwrap();
}

#[tokio::test]
async fn tokens_are_found_by_the_beginning_of_their_id() {
    let (home, people) = start().await;
    let token = issue(&people).await.token;
    for id in ["zzab", "zzabc", "zzad"] {
        store_with_id(&home, &token, id).await;
    }
    let found = async |prefix: &str| people.token(prefix).await.map(|token| token.id.to_string());
    assert_eq!(found(&token.id.as_str()[..12]).await.unwrap(), token.id.as_str());
    assert_eq!(found("zzabc").await.unwrap(), "zzabc");
    assert_eq!(found("zzab").await.unwrap(), "zzab", "a whole id is meant, though others begin so");
    let said = found("zza").await.unwrap_err().to_string();
    assert_eq!(said, "several tokens' ids begin with `zza`: zzab, zzabc, zzad; give more of it");
    let said = found("zzz").await.unwrap_err().to_string();
    assert!(said.starts_with("there is no token whose id begins with `zzz`"), "{said}");
    for n in 0..9 {
        store_with_id(&home, &token, &format!("yy{n}")).await;
    }
    let said = found("yy").await.unwrap_err().to_string();
    assert!(said.contains("yy0, yy1, yy2, yy3, yy4, yy5, yy6, yy7 and more; give"), "{said}");
}

#[tokio::test]
async fn secrets_in_place_of_ids_are_not_repeated() {
    let (_home, people) = start().await;
    let secret = issue(&people).await.secret;
    let (most, last) = secret.reveal().split_at(secret.reveal().len() - 1);
    let mistyped = format!("{most}{}", if last == "x" { "y" } else { "x" });
    for text in [secret.reveal().as_str(), &mistyped, &secret.reveal()[3..], "cg-short"] {
        let error = people.revoke_token(&by(), text).await.unwrap_err();
        assert!(matches!(error, PeopleError::Refused(Refusal::SecretForId)), "{error}");
        assert!(!error.to_string().contains(text), "{error}");
    }
    for text in ["", "a b", "a/b"] {
        assert!(matches!(people.token(text).await, Err(PeopleError::Refused(Refusal::TokenId))));
    }
}

#[tokio::test]
async fn a_token_is_rotated_with_an_overlap() {
    let (home, people) = start().await;
    let first = issue(&people).await.token;
    home.later(10 * DAY);
    let (issued, old) = people.rotate_token(&by(), first.id.as_str(), DAY).await.unwrap();
    let now = NOW.plus(10 * DAY);
    assert_eq!(issued.token.expires, Some(now.plus(90 * DAY)), "as long a life");
    assert_eq!((&issued.token.name, &issued.token.scopes), (&first.name, &first.scopes));
    let stored = home.store().tokens().get(&first.id).await.unwrap().unwrap();
    assert_eq!((stored.expires, stored.successor.as_ref()), (Some(now.plus(DAY)), Some(&issued.token.id)));
    assert_eq!((old.expires, old.successor), (stored.expires, stored.successor));
    let error = people.rotate_token(&by(), first.id.as_str(), DAY).await.unwrap_err().to_string();
    assert!(error.ends_with(&format!("{} takes its place; rotate that one", issued.token.id)), "{error}");
    // One that ends sooner than the overlap ends as it would have.
    home.later(89 * DAY + Duration::from_hours(20));
    let (_, old) = people.rotate_token(&by(), issued.token.id.as_str(), DAY).await.unwrap();
    assert_eq!(old.expires, issued.token.expires);
    assert_eq!(people.tokens(None, None, 9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_no_longer_good_is_not_rotated() {
    let (home, people) = start().await;
    let (one, two, three) =
        (issue(&people).await.token, issue(&people).await.token, issue(&people).await.token);
    let endless = NewToken { life: Life::Endless, ..new("ada") };
    let endless = people.create_token(&by(), endless).await.unwrap().token;
    let (issued, _) = people.rotate_token(&by(), endless.id.as_str(), Duration::ZERO).await.unwrap();
    assert_eq!(issued.token.expires, None);
    assert!(people.revoke_token(&by(), one.id.as_str()).await.unwrap().1);
    assert!(!people.revoke_token(&by(), one.id.as_str()).await.unwrap().1, "once");
    let rotate = async |token: &Token| people.rotate_token(&by(), token.id.as_str(), DAY).await.unwrap_err();
    assert!(matches!(rotate(&one).await, PeopleError::Revoked(_)));
    people.disable_user(&by(), "ada").await.unwrap();
    assert!(matches!(rotate(&two).await, PeopleError::Disabled(_)));
    home.later(90 * DAY);
    assert!(matches!(rotate(&two).await, PeopleError::Expired(_)));
    let state = |token: &Token, at| TokenView::new(token, None, at).state;
    assert_eq!((state(&three, NOW), state(&three, NOW.plus(90 * DAY))), ("active", "expired"));
    home.store().users().delete(&three.owner).await.unwrap();
    let never = people.rotate_token(&by(), issued.token.id.as_str(), DAY).await.unwrap_err();
    assert!(matches!(never, PeopleError::Orphan(_)), "{never}");
}

#[tokio::test]
async fn a_rotation_that_breaks_off_takes_nothing_away() {
    for writes in 0..6 {
        let (home, people) = start().await;
        let first = issue(&people).await.token;
        let broken = home.watched(Watched::fails_after(home.sqlite(), writes));
        let outcome = broken.rotate_token(&by(), first.id.as_str(), DAY).await;
        let old = home.store().tokens().get(&first.id).await.unwrap().unwrap();
        match &old.successor {
            None => assert_eq!(old, first, "after {writes}"),
            Some(next) => assert!(home.store().tokens().get(next).await.unwrap().is_some(), "after {writes}"),
        }
        assert!(outcome.is_err() || old.successor.is_some());
    }
}

#[tokio::test]
async fn of_two_rotations_one_counts() {
    let (home, people) = start().await;
    let first = issue(&people).await.token;
    let (other, id) = (people.clone(), first.id.to_string());
    let faster = async move { drop(other.rotate_token(&by(), &id, DAY).await.unwrap()) };
    let slower = home.watched(Watched::meanwhile(home.sqlite(), faster));
    let error = slower.rotate_token(&by(), first.id.as_str(), DAY).await.unwrap_err();
    assert!(matches!(error, PeopleError::Rotated { .. }), "{error}");
    assert_eq!(people.tokens(None, None, 9).await.unwrap().len(), 2, "what nobody has is not kept");
}
