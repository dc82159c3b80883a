//! Hosted channels, packages, heads.

use super::Bed;
use super::people::ODD;
use super::samples::*;
use crate::conda::digest::Sha256;
use crate::store::model::{Channel, Head, Package, PackageState};
use crate::store::{Store, StoreError};

pub(super) async fn channels_come_back(_: &Bed, store: Store) {
    let channels = store.channels();
    let open = Channel { quota: None, public: true, ..channel("open") };
    channels.create(&channel("team")).await.unwrap();
    channels.create(&open).await.unwrap();
    assert_eq!(channels.get(&open.id).await.unwrap(), Some(open.clone()));
    assert_eq!(channels.by_name("team").await.unwrap(), Some(channel("team")));
    assert_eq!(channels.list(Some("open"), 9).await.unwrap(), [channel("team")]);
    let changed = Channel { owner: user_id("u-bob"), quota: Some(1), ..channel("team") };
    assert_eq!(channels.update(&changed).await, Ok(2));
    assert_eq!(channels.update(&changed).await, Err(StoreError::Stale { what: "channel" }));
    assert_eq!(channels.by_name("team").await.unwrap(), Some(Channel { revision: 2, ..changed }));
}

pub(super) async fn deleted_channels_keep_their_name(_: &Bed, store: Store) {
    let channels = store.channels();
    channels.create(&channel("team")).await.unwrap();
    let deleted = Channel { deleted_at: Some(at(1)), ..channel("team") };
    channels.update(&deleted).await.unwrap();
    let other = Channel { id: channel_id("other"), ..channel("team") };
    let taken = StoreError::Conflict { what: "a channel with this name" };
    assert_eq!(channels.create(&other).await, Err(taken));
    assert_eq!(channels.by_name("team").await.unwrap().unwrap().deleted_at, Some(at(1)));
    assert!(channels.forget(&channel_id("c-team")).await.unwrap());
    channels.create(&other).await.unwrap();
}

pub(super) async fn packages_come_back(_: &Bed, store: Store) {
    let packages = store.packages();
    let team = channel_id("team");
    for file in ["b-1-0.conda", "a-1-0.conda", "c-1-0.conda"] {
        packages.create(&package("team", file)).await.unwrap();
        packages.create(&package("other", file)).await.unwrap();
    }
    let taken = StoreError::Conflict { what: "a package with this file name" };
    assert_eq!(packages.create(&package("team", "a-1-0.conda")).await, Err(taken));
    let a = package("team", "a-1-0.conda");
    assert_eq!(packages.get(&team, "noarch", &a.file).await.unwrap(), Some(a.clone()));
    assert_eq!(packages.get(&team, "linux-64", &a.file).await.unwrap(), None);
    let page = packages.list(&team, "noarch", Some(&a.file), 9).await.unwrap();
    assert_eq!(page, [package("team", "b-1-0.conda"), package("team", "c-1-0.conda")]);
    let twice = packages.by_digest(&Sha256::of(a.file.as_bytes()), 9).await.unwrap();
    assert_eq!(twice, [package("other", &a.file), a.clone()]);
    assert!(packages.forget(&team, "noarch", &a.file).await.unwrap());
    assert!(!packages.forget(&team, "noarch", &a.file).await.unwrap());
    assert!(packages.get(&channel_id("other"), "noarch", &a.file).await.unwrap().is_some());
}

pub(super) async fn packages_change_at_the_revision_that_was_read(_: &Bed, store: Store) {
    let packages = store.packages();
    let a = package("team", "a-1-0.conda");
    packages.create(&a).await.unwrap();
    let labels = ODD.iter().map(|text| (*text).to_owned()).collect();
    let changed = Package { labels, state: PackageState::Yanked, size: 1, record: Vec::new(), ..a.clone() };
    assert_eq!(packages.update(&changed).await, Ok(2));
    assert_eq!(packages.update(&changed).await, Err(StoreError::Stale { what: "package" }));
    let now = packages.get(&a.channel, &a.subdir, &a.file).await.unwrap();
    assert_eq!(now, Some(Package { size: a.size, revision: 2, ..changed }), "bytes don't change");
}

fn head(channel: &str, subdir: &str, generation: &str) -> Head {
    let (channel, subdir) = (channel.to_owned(), subdir.to_owned());
    Head { channel, subdir, generation: generation.to_owned(), since: NOW }
}

pub(super) async fn heads_are_swapped(_: &Bed, store: Store) {
    let heads = store.heads();
    let stale = Err(StoreError::Stale { what: "head" });
    assert_eq!(heads.swap(&head("pkgs/main", "noarch", "g2"), Some("g1")).await, stale);
    heads.swap(&head("pkgs/main", "noarch", "g1"), None).await.unwrap();
    assert_eq!(heads.swap(&head("pkgs/main", "noarch", "g2"), None).await, stale);
    heads.swap(&head("pkgs/main", "noarch", "g2"), Some("g1")).await.unwrap();
    assert_eq!(heads.swap(&head("pkgs/main", "noarch", "g3"), Some("g1")).await, stale);
    assert_eq!(heads.get("pkgs/main", "noarch").await.unwrap(), Some(head("pkgs/main", "noarch", "g2")));
    assert_eq!(heads.get("pkgs", "main/noarch").await.unwrap(), None);
    heads.swap(&head("pkgs/main", "linux-64", "g1"), None).await.unwrap();
    heads.swap(&head("a", "noarch", "g1"), None).await.unwrap();
    let all = heads.list(None, 9).await.unwrap();
    let names =
        |heads: &[Head]| heads.iter().map(|h| format!("{} {}", h.channel, h.subdir)).collect::<Vec<_>>();
    assert_eq!(names(&all), ["a noarch", "pkgs/main linux-64", "pkgs/main noarch"]);
    assert_eq!(names(&heads.list(Some(("a", "noarch")), 1).await.unwrap()), ["pkgs/main linux-64"]);
}

pub(super) async fn one_of_many_swaps_wins(_: &Bed, store: Store) {
    store.heads().swap(&head("c", "noarch", "old"), None).await.unwrap();
    let one = |n: usize| {
        let store = store.clone();
        async move { store.heads().swap(&head("c", "noarch", &format!("new-{n}")), Some("old")).await }
    };
    let all: Vec<_> = (0..10).map(|n| tokio::spawn(one(n))).collect();
    let mut won = Vec::new();
    for (n, done) in all.into_iter().enumerate() {
        if done.await.unwrap().is_ok() {
            won.push(format!("new-{n}"));
        }
    }
    let now = store.heads().get("c", "noarch").await.unwrap().unwrap();
    assert_eq!(won, [now.generation]);
}
