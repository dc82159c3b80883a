//! Users, groups, grants.

use super::Bed;
use super::samples::*;
use crate::store::model::{Group, Member, Subject, USERS, User};
use crate::store::repo::LONGEST_PAGE;
use crate::store::table::Record as _;
use crate::store::{Store, StoreError};

pub(super) async fn users_come_back(_: &Bed, store: Store) {
    let users = store.users();
    let ada = User { email: None, password: None, superuser: true, ..user("Ada") };
    users.create(&ada).await.unwrap();
    users.create(&user("bob")).await.unwrap();
    assert_eq!(users.get(&ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(users.by_name("ada").await.unwrap(), Some(ada.clone()));
    assert_eq!(users.by_name("Ada").await.unwrap(), None);
    assert_eq!(users.get(&user_id("nobody")).await.unwrap(), None);
    assert!(users.delete(&ada.id).await.unwrap());
    assert!(!users.delete(&ada.id).await.unwrap());
    assert_eq!(users.list(None, 10).await.unwrap(), [user("bob")]);
}

pub(super) async fn users_are_unique_by_name_and_id(_: &Bed, store: Store) {
    let users = store.users();
    users.create(&user("ada")).await.unwrap();
    let name = StoreError::Conflict { what: "a user with this name" };
    assert_eq!(users.create(&named_user("u-2", "ADA")).await, Err(name));
    let id = StoreError::Conflict { what: "a user with this id" };
    assert_eq!(users.create(&named_user("u-ada", "eve")).await, Err(id.clone()));
    assert_eq!(users.create(&user("ada")).await, Err(id));
    assert_eq!(users.list(None, 10).await.unwrap(), [user("ada")]);
}

pub(super) async fn users_change_at_the_revision_that_was_read(_: &Bed, store: Store) {
    let users = store.users();
    let ada = user("ada");
    users.create(&ada).await.unwrap();
    let changed = User { disabled: true, email: None, created: at(99), ..ada.clone() };
    assert_eq!(users.update(&changed).await, Ok(2));
    let now = users.get(&ada.id).await.unwrap().unwrap();
    assert_eq!(now, User { created: NOW, revision: 2, ..changed.clone() }, "created does not change");
    assert_eq!(users.update(&changed).await, Err(StoreError::Stale { what: "user" }));
    assert_eq!(users.update(&now).await, Ok(3));
    assert_eq!(users.update(&user("eve")).await, Err(StoreError::NotFound { what: "user" }));
}

pub(super) async fn groups_grow_older_at_the_revision_that_was_read(_: &Bed, store: Store) {
    let groups = store.groups();
    groups.create(&group("acme")).await.unwrap();
    let (acme, none) = (group_id("g-acme"), group_id("g-none"));
    assert_eq!(groups.touch(&acme, Some(2)).await, Err(StoreError::Stale { what: "group" }));
    assert_eq!(groups.touch(&acme, Some(1)).await, Ok(true));
    assert_eq!(groups.touch(&acme, None).await, Ok(true));
    assert_eq!(groups.touch(&none, None).await, Ok(false));
    let now = groups.get(&acme).await.unwrap().unwrap();
    assert_eq!(now, Group { revision: 3, ..group("acme") });
    // Of many at once, one.
    let all = (0..6).map(|_| {
        let (store, acme) = (store.clone(), acme.clone());
        tokio::spawn(async move { store.groups().touch(&acme, Some(3)).await.is_ok() })
    });
    let mut done = 0;
    for one in all.collect::<Vec<_>>() {
        done += usize::from(one.await.unwrap());
    }
    assert_eq!(done, 1);
}

pub(super) async fn active_superusers_are_found(_: &Bed, store: Store) {
    let users = store.users();
    assert!(users.superusers(9).await.unwrap().is_empty());
    let root = |name: &str| User { superuser: true, ..user(name) };
    let off = User { disabled: true, ..root("cid") };
    for one in [root("eve"), root("Ada"), user("bob"), off.clone()] {
        users.create(&one).await.unwrap();
    }
    assert_eq!(users.superusers(9).await.unwrap(), [root("Ada"), root("eve")]);
    assert_eq!(users.superusers(1).await.unwrap(), [root("Ada")]);
    users.update(&User { disabled: false, ..off }).await.unwrap();
    users.update(&User { superuser: false, ..root("Ada") }).await.unwrap();
    let found: Vec<_> = users.superusers(9).await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(found, ["cid", "eve"]);
}

pub(super) async fn a_taken_name_can_not_be_taken_by_a_change(_: &Bed, store: Store) {
    let users = store.users();
    users.create(&user("ada")).await.unwrap();
    users.create(&user("bob")).await.unwrap();
    let bob = User { name_key: "ada".to_owned(), ..user("bob") };
    let taken = StoreError::Conflict { what: "a user with this name" };
    assert_eq!(users.update(&bob).await, Err(taken));
    assert_eq!(users.get(&bob.id).await.unwrap(), Some(user("bob")));
}

pub(super) async fn one_of_many_creators_wins(_: &Bed, store: Store) {
    let one = |n: usize| {
        let store = store.clone();
        async move { store.users().create(&named_user(&format!("u-{n}"), "ada")).await }
    };
    let all: Vec<_> = (0..12).map(|n| tokio::spawn(one(n))).collect();
    let mut won = 0;
    for done in all {
        match done.await.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert_eq!(error, StoreError::Conflict { what: "a user with this name" }),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(store.users().list(None, 20).await.unwrap().len(), 1);
}

pub(super) async fn one_of_many_changes_wins(_: &Bed, store: Store) {
    store.users().create(&user("ada")).await.unwrap();
    let one = |n: usize| {
        let store = store.clone();
        async move { store.users().update(&User { name: format!("Ada {n}"), ..user("ada") }).await }
    };
    let all: Vec<_> = (0..12).map(|n| (n, tokio::spawn(one(n)))).collect();
    let mut winners = Vec::new();
    for (n, done) in all {
        match done.await.unwrap() {
            Ok(revision) => winners.push((n, revision)),
            Err(error) => assert_eq!(error, StoreError::Stale { what: "user" }),
        }
    }
    let [(n, 2)] = winners.as_slice() else { panic!("{winners:?}") };
    let ada = store.users().get(&user_id("u-ada")).await.unwrap().unwrap();
    assert_eq!((ada.name, ada.revision), (format!("Ada {n}"), 2));
}

/// Text that a database could take for something else.
pub(super) const ODD: &[&str] = &[
    "$where",
    "$ne",
    "a.b",
    ".",
    "{\"$gt\":\"\"}",
    "' OR 1=1 --",
    "\"; DROP TABLE users; --",
    "%",
    "_",
    "*",
    "/",
    "a\\b",
    " leading",
    "trailing ",
    "tab\tline\nreturn\r",
    "Ünïcødé",
    "e\u{301}",
    "\u{1F600}",
    "\u{FFFD}",
    "\u{202E}rtl",
    "null",
    "0",
    "NaN",
];

pub(super) async fn odd_text_comes_back(_: &Bed, store: Store) {
    let users = store.users();
    let long = "ü".repeat(20_000);
    let all: Vec<&str> = ODD.iter().copied().chain([long.as_str()]).collect();
    for (n, text) in all.iter().enumerate() {
        let odd = User {
            name_key: (*text).to_owned(),
            email: Some((*text).to_owned()),
            ..named_user(&format!("u-{n}"), text)
        };
        users.create(&odd).await.unwrap();
        assert_eq!(users.by_name(text).await.unwrap().as_ref(), Some(&odd), "{n}");
    }
    let mut sorted: Vec<_> = all.iter().map(|text| (*text).to_owned()).collect();
    sorted.sort();
    let mut found = Vec::new();
    while let page = users.list(found.last().map(String::as_str), 4).await.unwrap()
        && !page.is_empty()
    {
        found.extend(page.into_iter().map(|user| user.name_key));
    }
    assert_eq!(found, sorted, "the order is that of bytes");
}

pub(super) async fn pages_of_users_miss_nothing(_: &Bed, store: Store) {
    let users = store.users();
    for n in 0..25 {
        users.create(&user(&format!("name-{n:02}"))).await.unwrap();
    }
    let first = users.list(None, 10).await.unwrap();
    let last = first.last().unwrap().name_key.clone();
    assert_eq!(last, "name-09");
    // What was seen can go, and what comes is not in the way.
    users.delete(&first[9].id).await.unwrap();
    users.create(&user("name-00-new")).await.unwrap();
    let second = users.list(Some(&last), 10).await.unwrap();
    assert_eq!(second.first().unwrap().name_key, "name-10");
    assert_eq!(users.list(Some("name-19"), 10).await.unwrap().len(), 5);
    assert!(users.list(Some("name-24"), 10).await.unwrap().is_empty());
    assert!(users.list(None, 0).await.unwrap().is_empty());
}

pub(super) async fn one_hundred_thousand_users(bed: &Bed, store: Store) {
    const ALL: usize = 100_000;
    let begin = tokio::time::Instant::now();
    for part in 0..100 {
        let rows = (0..ALL / 100).map(|n| user(&format!("{:06}", part * (ALL / 100) + n)).to_row());
        store.engine().insert(&USERS, rows.collect()).await.unwrap();
    }
    let added = begin.elapsed();
    let begin = tokio::time::Instant::now();
    let (mut last, mut seen, mut pages) = (None::<String>, 0, 0);
    loop {
        let page = store.users().list(last.as_deref(), LONGEST_PAGE).await.unwrap();
        let Some(end) = page.last() else { break };
        assert!(last.as_deref() < Some(end.name_key.as_str()));
        (seen, pages) = (seen + page.len(), pages + 1);
        last = Some(end.name_key.clone());
    }
    let engine = if matches!(bed, Bed::Sqlite(_)) { "SQLite" } else { "MongoDB" };
    println!("{engine}: {ALL} users added in {added:?}, read in {pages} pages in {:?}", begin.elapsed());
    assert_eq!((seen, pages), (ALL, 10));
    let begin = tokio::time::Instant::now();
    assert_eq!(store.users().by_name("099999").await.unwrap(), Some(user("099999")));
    assert_eq!(store.users().list(Some("099989"), 100).await.unwrap().len(), 10);
    println!("{engine}: one by name and the last page in {:?}", begin.elapsed());
}

pub(super) async fn groups_come_back(_: &Bed, store: Store) {
    let groups = store.groups();
    groups.create(&group("acme")).await.unwrap();
    groups.create(&group("ops")).await.unwrap();
    let same = crate::store::model::Group { id: group_id("other"), ..group("acme") };
    let taken = StoreError::Conflict { what: "a group with this name" };
    assert_eq!(groups.create(&same).await, Err(taken));
    assert_eq!(groups.by_name("acme").await.unwrap(), Some(group("acme")));
    assert_eq!(groups.list(Some("acme"), 5).await.unwrap(), [group("ops")]);
    let renamed = crate::store::model::Group { name: "acme-2".to_owned(), ..group("acme") };
    assert_eq!(groups.update(&renamed).await, Ok(2));
    assert_eq!(groups.update(&renamed).await, Err(StoreError::Stale { what: "group" }));
    assert_eq!(groups.get(&renamed.id).await.unwrap().unwrap().name, "acme-2");
    assert!(groups.delete(&renamed.id).await.unwrap());
    assert!(!groups.delete(&renamed.id).await.unwrap());
}

pub(super) async fn members_join_and_leave(_: &Bed, store: Store) {
    let groups = store.groups();
    let (acme, ops) = (group_id("acme"), group_id("ops"));
    for name in ["c", "a", "b"] {
        assert!(groups.join(&acme, &user_id(name), NOW).await.unwrap());
    }
    assert!(groups.join(&ops, &user_id("a"), NOW).await.unwrap());
    assert!(!groups.join(&acme, &user_id("a"), at(1)).await.unwrap(), "is in already");
    let names = |members: Vec<Member>| -> Vec<String> {
        members.into_iter().map(|member| member.user.to_string()).collect()
    };
    assert_eq!(names(groups.members(&acme, None, 2).await.unwrap()), ["a", "b"]);
    assert_eq!(names(groups.members(&acme, Some(&user_id("b")), 2).await.unwrap()), ["c"]);
    assert!(groups.leave(&acme, &user_id("a")).await.unwrap());
    assert!(!groups.leave(&acme, &user_id("a")).await.unwrap());
    assert!(!groups.leave(&acme, &user_id("never")).await.unwrap());
    let memberships = groups.memberships(&user_id("a"), None, 10).await.unwrap();
    assert_eq!(memberships.iter().map(|m| m.group.as_str()).collect::<Vec<_>>(), ["ops"]);
    assert!(groups.join(&acme, &user_id("a"), at(5)).await.unwrap());
    let again = groups.members(&acme, None, 1).await.unwrap().remove(0);
    assert_eq!((again.since, again.revision), (at(5), 3));
}

pub(super) async fn grants_come_back(_: &Bed, store: Store) {
    let grants = store.grants();
    let (ada, acme) = (Subject::User(user_id("ada")), Subject::Group(group_id("ada")));
    let all =
        [grant("1", ada.clone(), "team-*"), grant("2", acme.clone(), "team-*"), grant("3", ada.clone(), "*")];
    for one in &all {
        grants.create(one).await.unwrap();
    }
    let same = grants.create(&grant("4", ada.clone(), "*")).await;
    assert_eq!(same, Err(StoreError::Conflict { what: "this grant" }));
    assert_eq!(grants.get(&grant_id("2")).await.unwrap(), Some(all[1].clone()));
    assert_eq!(grants.of_subject(&ada, None, 9).await.unwrap(), [all[0].clone(), all[2].clone()]);
    assert_eq!(grants.of_subject(&ada, Some(&grant_id("1")), 9).await.unwrap(), [all[2].clone()]);
    assert_eq!(grants.list(Some(&grant_id("1")), 1).await.unwrap(), [all[1].clone()]);
    assert!(grants.delete(&grant_id("1")).await.unwrap());
    assert!(!grants.delete(&grant_id("1")).await.unwrap());
    grants.create(&grant("5", ada, "team-*")).await.unwrap();
}
