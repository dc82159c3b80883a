//! Groups and grants.

use super::*;
use crate::people::{Joined, PeopleError, Refusal, Who};
use crate::policy::access::Right;
use crate::store::model::Subject;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn moved(user: &str, changed: bool) -> Joined {
    Joined { user: user.to_owned(), changed }
}

#[tokio::test]
async fn groups_fill_and_empty() {
    let home = Home::new();
    let people = home.people();
    for name in ["ada", "Bob", "eve"] {
        make(&people, name).await;
    }
    let team = people.create_group(&by(), "Team", "all of us").await.unwrap();
    assert_eq!(team.name, "team");
    let said = people.create_group(&by(), "TEAM", "").await.unwrap_err().to_string();
    assert_eq!(said, format!("the name `team` is taken: by the group `team` (id {})", team.id));
    let joined = people.join(&by(), "team", &names(&["ada", "bob"])).await.unwrap();
    assert_eq!(joined, [moved("ada", true), moved("Bob", true)]);
    let joined = people.join(&by(), "team", &names(&["eve", "ada"])).await.unwrap();
    assert_eq!(joined, [moved("eve", true), moved("ada", false)]);
    let left = people.leave(&by(), "team", &names(&["bob", "bob"])).await.unwrap();
    assert_eq!(left, [moved("Bob", true), moved("Bob", false)]);
    assert_eq!(people.members(&team).await.unwrap(), ["ada", "eve"]);
    people.delete_user(&by(), "eve").await.unwrap();
    assert_eq!(people.members(&team).await.unwrap(), ["ada"]);
    let kinds = kinds(&people).await;
    let count = |kind: &str| kinds.iter().filter(|known| *known == kind).count();
    assert_eq!((count("group.create"), count("group.add"), count("group.remove")), (1, 3, 1));
}

#[tokio::test]
async fn nobody_joins_unless_there_are_all() {
    let home = Home::new();
    let people = home.people();
    make(&people, "ada").await;
    let team = people.create_group(&by(), "team", "").await.unwrap();
    for (users, said) in [
        (&["ada", "zoe"][..], "there is no user `zoe`"),
        (&["ada", "zoe", "yan"], "there are no users `zoe`, `yan`; nothing was done"),
        (&["ada", "a b"], "a name can't contain"),
    ] {
        let error = people.join(&by(), "team", &names(users)).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(people.members(&team).await.unwrap().is_empty());
    }
    let error = people.join(&by(), "none", &names(&["ada"])).await.unwrap_err().to_string();
    assert!(error.starts_with("there is no group `none`"), "{error}");
    let long = people.create_group(&by(), "g", &"x".repeat(501)).await.unwrap_err();
    assert!(matches!(long, PeopleError::Refused(Refusal::Text { most: 500, .. })), "{long}");
}

#[tokio::test]
async fn grants_are_given_once_and_taken_as_they_were_given() {
    let home = Home::new();
    let people = home.people();
    make(&people, "ada").await;
    people.create_group(&by(), "team", "").await.unwrap();
    let (ada, team) = (Who::User("ADA".to_owned()), Who::Group("team".to_owned()));
    let given = people.give(&by(), "Lab/*", &ada, Right::Read).await.unwrap();
    assert_eq!((given.is_new, given.grant.channels.as_str(), given.name.as_str()), (true, "lab/*", "ada"));
    let again = people.give(&by(), "lab/*", &ada, Right::Read).await.unwrap();
    assert_eq!((again.is_new, again.grant), (false, given.grant));
    people.give(&by(), "lab/*", &ada, Right::Write).await.unwrap();
    people.give(&by(), "lab/*", &team, Right::Manage).await.unwrap();
    let subject = people.subject(&ada).await.unwrap();
    assert_eq!(people.grants(Some(&subject), None, 9).await.unwrap().len(), 2);
    assert_eq!(people.grants(None, None, 9).await.unwrap().len(), 3);
    let error = people.take(&by(), "lab", &ada, None).await.unwrap_err().to_string();
    assert!(error.starts_with("the user `ada` has no such right on `lab`"), "{error}");
    let error = people.take(&by(), "lab/*", &team, Some(Right::Read)).await.unwrap_err().to_string();
    assert!(error.starts_with("the group `team` has no such right"), "{error}");
    assert_eq!(people.take(&by(), "LAB/*", &ada, Some(Right::Read)).await.unwrap().len(), 1);
    assert_eq!(people.take(&by(), "lab/*", &ada, None).await.unwrap().len(), 1);
    assert_eq!(people.grants(None, None, 9).await.unwrap().len(), 1);
    let last = trail(&people).await.pop().unwrap();
    assert_eq!(last.kind, "grant.take");
    assert!(
        last.detail.contains(r#""subject_name":"ada","channels":"lab/*","right":"write""#),
        "{}",
        last.detail
    );
}

#[tokio::test]
async fn globs_that_match_nothing_and_nobody_are_refused() {
    let home = Home::new();
    let people = home.people();
    let ada = Who::User("ada".to_owned());
    for (glob, said) in [
        ("", "has characters that no name of a channel has"),
        ("a b", "`a b` has characters that no name"),
        ("team/label/dev", "labels belong to their channel: write `team`"),
        ("x[", "is not a valid pattern"),
    ] {
        let error = people.give(&by(), glob, &ada, Right::Read).await.unwrap_err();
        assert!(matches!(error, PeopleError::Refused(_)) && error.to_string().contains(said), "{error}");
    }
    let error = people.give(&by(), "lab", &ada, Right::Read).await.unwrap_err();
    assert!(matches!(error, PeopleError::NoUser(_)), "{error}");
    assert!(people.grants(None, None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_group_goes_with_its_grants_whenever_it_breaks_off() {
    for writes in 0..12 {
        let home = Home::new();
        let (people, store) = (home.people(), home.store());
        make(&people, "ada").await;
        let team = people.create_group(&by(), "team", "").await.unwrap();
        people.join(&by(), "team", &names(&["ada"])).await.unwrap();
        people.give(&by(), "lab", &Who::Group("team".to_owned()), Right::Read).await.unwrap();
        let broken = home.watched(Watched::fails_after(home.sqlite(), writes));
        let _may_fail = broken.delete_group(&by(), "team").await;
        let subject = Subject::Group(team.id.clone());
        let grants = store.grants().of_subject(&subject, None, 9).await.unwrap();
        let is_gone = store.groups().get(&team.id).await.unwrap().is_none();
        assert!(!is_gone || grants.is_empty(), "no grant outlives its group: {writes}");
        if !is_gone {
            people.delete_group(&by(), "team").await.unwrap();
        }
        assert!(people.group("team").await.is_err());
    }
}
