//! Of two who saw the same, one is told that it has been changed, whatever each of them wants to do.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{GOOD, Home, Watched, by, make, make_superuser};
use crate::people::{Life, NewToken, People, PeopleError, Seen, UserState, Who};
use crate::policy::access::Right;
use crate::secret::Secret;

type Done = BoxFuture<'static, Result<(), PeopleError>>;
/// What somebody does who has seen a revision; the name or id of what it is done to comes along.
type Deed = fn(People, String, u64) -> Done;

/// Each deed while each of them, also the same, is done by somebody faster; by then the slower one has looked, and written nothing.
async fn one_goes_on(deeds: &[Deed], lay_out: impl AsyncFn(&People) -> (String, u64)) {
    for (at, &slow) in deeds.iter().enumerate() {
        for (other, &fast) in deeds.iter().enumerate() {
            let home = Home::new();
            let people = home.people();
            let (name, revision) = lay_out(&people).await;
            let (faster, whom) = (people.clone(), name.clone());
            let faster = async move { fast(faster, whom, revision).await.unwrap() };
            let slower = home.watched(Watched::meanwhile(home.sqlite(), faster));
            let outcome = slow(slower, name.clone(), revision).await;
            assert!(matches!(outcome, Err(PeopleError::Changed)), "{at} after {other}: {outcome:?}");
            // Nor later.
            let late = slow(people, name, revision).await.unwrap_err();
            let is_told =
                matches!(late, PeopleError::Changed | PeopleError::NoUser(_) | PeopleError::NoGroup(_));
            assert!(is_told, "{at} after {other}: {late}");
        }
    }
}

#[tokio::test]
async fn of_two_who_saw_a_user_one_goes_on() {
    let deeds: [Deed; 5] = [
        |people, name, at| {
            let to = UserState { superuser: Some(true), ..UserState::default() };
            Box::pin(async move { people.set_state(&by(), Seen::at(&name, Some(at)), to).await.map(drop) })
        },
        |people, name, at| {
            let to = UserState { disabled: Some(true), ..UserState::default() };
            Box::pin(async move { people.set_state(&by(), Seen::at(&name, Some(at)), to).await.map(drop) })
        },
        // Asks for what is so already.
        |people, name, at| {
            let to = UserState { superuser: Some(false), disabled: Some(false), email: None };
            Box::pin(async move { people.set_state(&by(), Seen::at(&name, Some(at)), to).await.map(drop) })
        },
        |people, name, at| {
            Box::pin(async move {
                let new = Secret::new(format!("{GOOD} and another"));
                people.set_password(&by(), Seen::at(&name, Some(at)), &new).await.map(drop)
            })
        },
        |people, name, at| {
            Box::pin(async move { people.delete_user(&by(), Seen::at(&name, Some(at))).await.map(drop) })
        },
    ];
    one_goes_on(&deeds, async |people| {
        make_superuser(people, "root").await;
        let ada = make(people, "ada").await;
        (ada.name, ada.revision)
    })
    .await;
}

#[tokio::test]
async fn of_two_who_saw_a_disabled_user_one_deletes_it() {
    let home = Home::new();
    let people = home.people();
    make(&people, "ada").await;
    let (ada, _) = people.disable_user(&by(), "ada").await.unwrap();
    let other = people.clone();
    let faster = async move { drop(other.enable_user(&by(), "ada").await.unwrap()) };
    let slower = home.watched(Watched::meanwhile(home.sqlite(), faster));
    let outcome = slower.delete_user(&by(), Seen::at("ada", Some(ada.revision))).await;
    assert!(matches!(outcome, Err(PeopleError::Changed)), "{outcome:?}");
    assert!(!people.user("ada").await.unwrap().disabled);
}

#[tokio::test]
async fn of_two_who_saw_a_group_one_goes_on() {
    let deeds: [Deed; 3] = [
        |people, name, at| {
            Box::pin(async move {
                people.join(&by(), Seen::at(&name, Some(at)), &["eve".to_owned()]).await.map(drop)
            })
        },
        |people, name, at| {
            Box::pin(async move {
                people.leave(&by(), Seen::at(&name, Some(at)), &["bob".to_owned()]).await.map(drop)
            })
        },
        |people, name, at| {
            Box::pin(async move { people.delete_group(&by(), Seen::at(&name, Some(at))).await.map(drop) })
        },
    ];
    one_goes_on(&deeds, async |people| {
        make(people, "bob").await;
        make(people, "eve").await;
        people.create_group(&by(), "team", "").await.unwrap();
        people.join(&by(), "team", &["bob".to_owned()]).await.unwrap();
        let team = people.group("team").await.unwrap();
        (team.name, team.revision)
    })
    .await;
}

#[tokio::test]
async fn a_group_grows_older_with_who_is_in_it() {
    let home = Home::new();
    let people = home.people();
    make(&people, "bob").await;
    people.create_group(&by(), "team", "").await.unwrap();
    let revision = async || people.group("team").await.unwrap().revision;
    let bob = ["bob".to_owned()];
    let mut last = revision().await;
    let mut grown = async |grows: bool| {
        let now = revision().await;
        assert_eq!(now > last, grows, "{last} to {now}");
        last = now;
    };
    people.join(&by(), "team", &bob).await.unwrap();
    grown(true).await;
    people.join(&by(), "team", &bob).await.unwrap();
    grown(false).await;
    people.leave(&by(), "team", &bob).await.unwrap();
    grown(true).await;
    people.join(&by(), "team", &bob).await.unwrap();
    grown(true).await;
    people.delete_user(&by(), "bob").await.unwrap();
    grown(true).await;
}

#[tokio::test]
async fn of_two_who_saw_a_token_one_goes_on() {
    let deeds: [Deed; 2] = [
        |people, id, at| {
            let day = Duration::from_hours(24);
            Box::pin(async move { people.rotate_token(&by(), Seen::at(&id, Some(at)), day).await.map(drop) })
        },
        |people, id, at| {
            Box::pin(async move { people.revoke_token(&by(), Seen::at(&id, Some(at))).await.map(drop) })
        },
    ];
    one_goes_on(&deeds, async |people| {
        make(people, "ada").await;
        let (owner, name) = ("ada".to_owned(), "laptop".to_owned());
        let new = NewToken { owner, name, scopes: Vec::new(), life: Life::Usual };
        let token = people.create_token(&by(), new).await.unwrap().token;
        (token.id.to_string(), token.revision)
    })
    .await;
}

#[tokio::test]
async fn a_grant_is_taken_once() {
    let home = Home::new();
    let people = home.people();
    make(&people, "ada").await;
    let given = people.give(&by(), "team", &Who::User("ada".to_owned()), Right::Read).await.unwrap();
    assert!(people.take_grant(&by(), &given.grant).await.unwrap());
    assert!(!people.take_grant(&by(), &given.grant).await.unwrap());
}
