//! Users, superusers, what remains of those who go.

use std::time::Duration;

use super::*;
use crate::conda::digest::Sha256;
use crate::people::{Life, NewToken, PeopleError, Refusal, Who};
use crate::policy::access::Right;
use crate::store::model::{Session, SessionId, Subject, Token, UserId};

#[tokio::test]
async fn users_are_made_once_under_any_spelling() {
    let home = Home::new();
    let people = home.people();
    let email = Some("ada@example.org".to_owned());
    let ada = people.create_user(&by(), NewUser { email, ..person("Ada") }).await.unwrap();
    assert_eq!((ada.name.as_str(), ada.name_key.as_str(), ada.created), ("Ada", "ada", NOW));
    assert!(ada.password.as_ref().unwrap().reveal().starts_with("$argon2id$"));
    assert_eq!(people.user("ADA").await.unwrap(), ada);
    let said = people.create_user(&by(), service("ａda")).await.unwrap_err().to_string();
    assert_eq!(said, format!("the name `ada` is taken: by the user `Ada` (id {})", ada.id));
    let bot = people.create_user(&by(), service("bot")).await.unwrap();
    assert!(bot.service && bot.password.is_none());
    people.disable_user(&by(), "bot").await.unwrap();
    let said = people.create_user(&by(), person("Bot")).await.unwrap_err().to_string();
    assert!(said.contains(&format!("by the service account `bot` (id {}, disabled)", bot.id)), "{said}");
    assert_eq!(kinds(&people).await, ["user.create", "user.create", "user.disable"]);
}

#[tokio::test]
async fn who_was_faster_has_the_name() {
    let home = Home::new();
    let other = home.people();
    let taken = async move { drop(make(&other, "ada").await) };
    let people = home.watched(Watched::meanwhile(home.sqlite(), taken));
    let error = people.create_user(&by(), person("ADA")).await.unwrap_err();
    assert!(matches!(&error, PeopleError::Taken { asked, .. } if asked == "ADA"), "{error}");
    assert_eq!(people.users(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_can_not_be_is_refused_before_anything_is_written() {
    let home = Home::new();
    let people = home.people();
    for (name, email, password, said) in [
        ("a b", None, GOOD, "can't contain U+0020"),
        ("", None, GOOD, "can't be empty"),
        ("аdmin", None, GOOD, "several scripts"),
        ("ada", Some("ada"), GOOD, "an e-mail address has"),
        ("ada", Some("a@b@c"), GOOD, "an e-mail address has"),
        ("ada", Some("a b@c"), GOOD, "an e-mail address has"),
        ("ada", None, "tiny", "too short"),
        ("ada", None, "password123", "too easy to guess"),
        ("ada", None, &"x".repeat(1 << 20), "longer than 1024 bytes"),
    ] {
        let account = Account::Person(Secret::new(password.to_owned()));
        let new =
            NewUser { name: name.to_owned(), email: email.map(str::to_owned), superuser: true, account };
        let error = people.create_user(&by(), new).await.unwrap_err().to_string();
        assert!(error.contains(said), "{name}: {error}");
        assert!(!error.contains(password), "{error}");
    }
    assert!(people.users(None, 9).await.unwrap().is_empty() && trail(&people).await.is_empty());
    let said = people.user("nobody").await.unwrap_err().to_string();
    assert!(said.starts_with("there is no user `nobody`"), "{said}");
}

#[tokio::test]
async fn a_new_password_ends_sessions() {
    let home = Home::new();
    let people = home.people();
    let ada = make(&people, "ada").await;
    people.create_user(&by(), service("bot")).await.unwrap();
    log_in(&home.store(), &ada.id).await;
    let new = Secret::new("quite another set of words".to_owned());
    let after = people.set_password(&by(), "Ada", &new).await.unwrap();
    assert_ne!(after.password, ada.password);
    assert!(home.store().sessions().of_user(&ada.id, None, 9).await.unwrap().is_empty());
    let weak = people.set_password(&by(), "ada", &Secret::new("ada".to_owned())).await.unwrap_err();
    assert!(matches!(weak, PeopleError::Password(_)), "{weak}");
    let said = people.set_password(&by(), "bot", &new).await.unwrap_err().to_string();
    assert!(said.contains("is a service account and has no password"), "{said}");
    let last = trail(&people).await.pop().unwrap();
    assert_eq!((last.kind.as_str(), last.actor.as_str()), ("user.password", "system:cli:root"));
    assert_eq!(last.detail, r#"{"name":"ada","sessions_ended":2,"behind":"ada"}"#);
}

#[tokio::test]
async fn the_last_superuser_stays() {
    let home = Home::new();
    let people = home.people();
    let ada = make_superuser(&people, "ada").await;
    make(&people, "bob").await;
    for error in [
        people.set_superuser(&by(), "ada", false).await.unwrap_err(),
        people.disable_user(&by(), "ada").await.unwrap_err(),
        people.delete_user(&by(), "ada").await.unwrap_err(),
    ] {
        assert!(matches!(&error, PeopleError::LastSuperuser(name) if name == "ada"), "{error}");
    }
    assert_eq!(people.user("ada").await.unwrap(), ada, "nothing was changed");
    assert!(people.set_superuser(&by(), "bob", true).await.unwrap().1);
    assert!(!people.set_superuser(&by(), "bob", true).await.unwrap().1, "so it was");
    assert!(people.disable_user(&by(), "ada").await.unwrap().1);
    assert!(people.set_superuser(&by(), "bob", false).await.is_err(), "disabled ones don't count");
    assert!(people.set_superuser(&by(), "ada", false).await.unwrap().1, "and need not be kept");
    assert!(people.enable_user(&by(), "ada").await.unwrap().1);
    assert!(!people.enable_user(&by(), "ada").await.unwrap().1);
    let done =
        ["user.create", "user.create", "user.superuser", "user.disable", "user.superuser", "user.enable"];
    assert_eq!(kinds(&people).await, done);
}

#[tokio::test]
async fn two_superusers_can_not_take_that_from_each_other() {
    let home = Home::new();
    let people = home.people();
    make_superuser(&people, "ada").await;
    make_superuser(&people, "bob").await;
    let other = people.clone();
    let faster = async move { drop(other.set_superuser(&by(), "ada", false).await.unwrap()) };
    let slower = home.watched(Watched::meanwhile(home.sqlite(), faster));
    let error = slower.delete_user(&by(), "bob").await.unwrap_err();
    assert!(matches!(&error, PeopleError::LastSuperuser(name) if name == "bob"), "{error}");
    let left = home.store().users().superusers(9).await.unwrap();
    assert_eq!(left.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_faster_one_superuser_stays() {
    let home = Home::new();
    let people = home.people();
    let names: Vec<_> = (0..6).map(|n| format!("s{n}")).collect();
    for name in &names {
        make_superuser(&people, name).await;
    }
    let all: Vec<_> = names
        .into_iter()
        .map(|name| {
            let people = people.clone();
            tokio::spawn(async move { people.set_superuser(&by(), &name, false).await.is_ok() })
        })
        .collect();
    let mut done = 0;
    for one in all {
        done += usize::from(one.await.unwrap());
    }
    let left = home.store().users().superusers(9).await.unwrap().len();
    assert!(left >= 1 && left + done >= 6, "{left} left, {done} done");
}

async fn log_in(store: &Store, user: &UserId) {
    for id in ["s1", "s2"] {
        let session = Session {
            id: SessionId::new(&format!("{id}-{user}")).unwrap(),
            hash: Sha256::of(format!("{id}{user}").as_bytes()),
            user: user.clone(),
            created: NOW,
            expires: NOW.plus(Duration::from_hours(1)),
            last_use: NOW,
            address: "192.0.2.7".to_owned(),
            agent: String::new(),
        };
        store.sessions().create(&session).await.unwrap();
    }
}

/// Whether a gate would let the token in.
async fn is_usable(store: &Store, token: &Token) -> bool {
    let token = store.tokens().get(&token.id).await.unwrap();
    let Some(token) = token.filter(|token| token.revoked.is_none()) else { return false };
    store.users().get(&token.owner).await.unwrap().is_some_and(|owner| !owner.disabled)
}

#[tokio::test]
async fn a_deletion_that_breaks_off_leaves_nothing_usable_and_can_be_finished() {
    for writes in 0.. {
        let home = Home::new();
        let (people, store) = (home.people(), home.store());
        let ada = make(&people, "ada").await;
        let new = NewToken {
            owner: "ada".to_owned(),
            name: "t".to_owned(),
            scopes: Vec::new(),
            life: Life::Endless,
        };
        let one = people.create_token(&by(), new.clone()).await.unwrap().token;
        let two = people.create_token(&by(), new).await.unwrap().token;
        people.create_group(&by(), "team", "").await.unwrap();
        people.join(&by(), "team", &["ada".to_owned()]).await.unwrap();
        people.give(&by(), "lab", &Who::User("ada".to_owned()), Right::Write).await.unwrap();
        log_in(&store, &ada.id).await;
        let broken = home.watched(Watched::fails_after(home.sqlite(), writes));
        let outcome = broken.delete_user(&by(), "ada").await;
        if writes > 0 {
            assert!(!is_usable(&store, &one).await && !is_usable(&store, &two).await, "after {writes}");
            let user = store.users().get(&ada.id).await.unwrap();
            assert!(user.is_none_or(|user| user.disabled), "after {writes}");
        }
        let is_gone = store.users().get(&ada.id).await.unwrap().is_none();
        match outcome {
            Ok(_) => assert!(is_gone),
            Err(PeopleError::NotRecorded { kind, .. }) => assert_eq!((kind, is_gone), ("user.delete", true)),
            Err(_) => drop(people.delete_user(&by(), "ada").await.unwrap()),
        }
        let subject = Subject::User(ada.id.clone());
        assert!(store.users().get(&ada.id).await.unwrap().is_none());
        assert!(store.grants().of_subject(&subject, None, 9).await.unwrap().is_empty());
        assert!(store.groups().memberships(&ada.id, None, 9).await.unwrap().is_empty());
        assert!(store.sessions().of_user(&ada.id, None, 9).await.unwrap().is_empty());
        assert!(store.tokens().get(&one.id).await.unwrap().unwrap().revoked.is_some(), "still listed");
        if writes > 20 {
            return;
        }
    }
}

#[tokio::test]
async fn what_the_trail_does_not_have_is_an_error() {
    let home = Home::new();
    let people = home.watched(Watched::fails_after(home.sqlite(), 1));
    let error = people.create_user(&by(), service("bot")).await.unwrap_err();
    let said = "user.create was done, but could not be written into the audit trail: the store can't be used";
    assert!(error.to_string().starts_with(said), "{error}");
    assert!(people.user("bot").await.is_ok());
}

#[tokio::test]
async fn two_hundred_users_and_a_thousand_tokens_are_listed_page_by_page() {
    let home = Home::new();
    let people = home.people();
    let names: Vec<_> = (0..207).map(|n| format!("u{n:03}")).collect();
    for name in &names {
        people.create_user(&by(), service(name)).await.unwrap();
    }
    for n in 0..1013 {
        let new = NewToken {
            owner: names[n % names.len()].clone(),
            name: format!("t{n}"),
            scopes: Vec::new(),
            life: Life::Usual,
        };
        people.create_token(&by(), new).await.unwrap();
    }
    let mut listed = Vec::new();
    while let page = people.users(listed.last(), 50).await.unwrap()
        && !page.is_empty()
    {
        listed.extend(page);
    }
    assert_eq!(listed.iter().map(|user| user.name.clone()).collect::<Vec<_>>(), names);
    let mut tokens: Vec<Token> = Vec::new();
    while let page = people.tokens(None, tokens.last(), 100).await.unwrap()
        && !page.is_empty()
    {
        tokens.extend(page);
    }
    let mut of: Vec<_> = tokens.iter().map(|token| token.name.clone()).collect();
    of.sort_unstable();
    of.dedup();
    assert_eq!((tokens.len(), of.len()), (1013, 1013));
    let first = people.user("u000").await.unwrap();
    assert_eq!(people.tokens(Some(&first), None, 100).await.unwrap().len(), 5);
    assert!(matches!(people.user("u 1").await.unwrap_err(), PeopleError::Refused(Refusal::Name(_))));
}
