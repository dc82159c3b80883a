//! What gates are told of packages.

use std::collections::BTreeSet;

use super::Bed;
use super::samples::*;
use crate::conda::digest::Sha256;
use crate::store::model::{Package, PackageState};
use crate::store::repo::{PackageChanges, place_of_gone};
use crate::store::{Store, StoreError};

async fn since(store: &Store, number: u64) -> PackageChanges {
    let changes = store.packages().changed(number, 1000).await.unwrap();
    assert!(changes.complete, "too much to tell");
    changes
}

pub(super) async fn changed_packages_are_told(_: &Bed, store: Store) {
    let begin = store.settings().revision().await.unwrap();
    assert_eq!(
        since(&store, begin).await,
        PackageChanges { upto: begin, complete: true, ..PackageChanges::default() }
    );
    let (a, b) = (package("team", "a-1-0.conda"), package("other", "b-1-0.conda"));
    store.packages().create(&a).await.unwrap();
    store.packages().create(&b).await.unwrap();
    let told = since(&store, begin).await;
    let numbers: Vec<_> = told.packages.iter().map(|(_, number)| number.unwrap()).collect();
    assert_eq!(told.packages.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>(), [a.clone(), b.clone()]);
    assert!(begin < numbers[0] && numbers[0] < numbers[1] && numbers[1] <= told.upto, "{numbers:?}");
    store.packages().update(&Package { state: PackageState::Yanked, ..a.clone() }).await.unwrap();
    let next = since(&store, told.upto).await;
    assert_eq!(next.packages.len(), 1);
    assert_eq!((&next.packages[0].0.file, next.packages[0].0.state), (&a.file, PackageState::Yanked));
    assert!(since(&store, next.upto).await.packages.is_empty());
    assert_eq!(store.packages().changed(begin, 1).await.unwrap().packages, []);
    assert!(!store.packages().changed(begin, 1).await.unwrap().complete);
    assert!(!store.packages().changed(1_000_000, 9).await.unwrap().complete, "a number from elsewhere");
    // Gates that follow people are not kept busy by them.
    let people = store.settings().changes(begin, 9).await.unwrap();
    assert!(people.complete && people.channels.is_empty() && people.gone.is_empty());
}

pub(super) async fn packages_that_are_gone_are_told(_: &Bed, store: Store) {
    let (a, b) = (package("team", "a-1-0.conda"), package("other", "b-1-0.conda"));
    store.packages().create(&a).await.unwrap();
    store.packages().create(&b).await.unwrap();
    let before = store.settings().revision().await.unwrap();
    assert!(store.packages().forget(&a.channel, &a.subdir, &a.file).await.unwrap());
    let told = since(&store, before).await;
    assert!(told.packages.is_empty());
    let places: Vec<_> = told.gone.iter().filter_map(place_of_gone).collect();
    assert_eq!(places, [(a.channel.clone(), a.subdir)]);
    store.settings().forget_gone(told.upto, 9).await.unwrap();
    assert!(!store.packages().changed(before, 9).await.unwrap().complete, "it is not known any more");
    assert!(since(&store, told.upto).await.gone.is_empty());
}

pub(super) async fn a_subdir_is_known_to_have_changed(_: &Bed, store: Store) {
    let (a, b) = (package("team", "a-1-0.conda"), package("team2", "b-1-0.conda"));
    store.packages().create(&a).await.unwrap();
    let first = store.settings().revision().await.unwrap();
    store.packages().create(&b).await.unwrap();
    let changed = async |since| {
        let mut all = BTreeSet::new();
        for (channel, subdir) in
            [("team", "noarch"), ("team2", "noarch"), ("team", "linux-64"), ("none", "noarch")]
        {
            if store.packages().is_changed(&channel_id(channel), subdir, since).await.unwrap() {
                all.insert(format!("{channel}/{subdir}"));
            }
        }
        all.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(changed(0).await, ["team/noarch", "team2/noarch"]);
    assert_eq!(changed(first).await, ["team2/noarch"]);
    let second = store.settings().revision().await.unwrap();
    assert!(changed(second).await.is_empty());
    store.packages().forget(&a.channel, &a.subdir, &a.file).await.unwrap();
    assert_eq!(changed(second).await, ["team/noarch"]);
    let third = store.settings().revision().await.unwrap();
    store.settings().forget_gone(third, 9).await.unwrap();
    assert_eq!(changed(second).await.len(), 4, "what was removed is not known any more");
    assert!(changed(third).await.is_empty());
    assert_eq!(changed(third + 9).await.len(), 4, "a number from elsewhere");
}

pub(super) async fn labels_are_found(_: &Bed, store: Store) {
    let a = Package { labels: vec!["dev".to_owned(), "x/y".to_owned()], ..package("team", "a-1-0.conda") };
    store.packages().create(&a).await.unwrap();
    let has = async |channel: &str, label: &str| {
        store.packages().has_label(&channel_id(channel), label).await.unwrap()
    };
    assert!(has("team", "dev").await && has("team", "x/y").await);
    for (channel, label) in [("team", "de"), ("team", "x"), ("team", "main"), ("other", "dev")] {
        assert!(!has(channel, label).await, "{channel} {label}");
    }
}

/// Rows of another table are no packages.
pub(super) async fn only_packages_have_places(_: &Bed, store: Store) {
    store.tokens().create(&token("a-b-c")).await.unwrap();
    let before = store.settings().revision().await.unwrap();
    store.tokens().delete(&token_id("a-b-c")).await.unwrap();
    assert!(since(&store, before).await.gone.is_empty());
    let gone = store.settings().changes(before, 9).await.unwrap().gone;
    assert_eq!(gone.iter().filter_map(place_of_gone).count(), 0);
}

pub(super) async fn packages_are_found_by_what_they_are(_: &Bed, store: Store) {
    let name = |row: Package, name: &str| Package { name: name.to_owned(), ..row };
    let a = name(package("team", "a-1-0.conda"), "a");
    let other = Package { subdir: "linux-64".to_owned(), ..name(package("team", "a-2-0.conda"), "a") };
    let proofs = Some(Sha256::of(b"bundles"));
    let b = Package { attestations: proofs, ..name(package("team", "b-1-0.conda"), "b") };
    let elsewhere = name(package("other", "a-1-0.conda"), "a");
    for row in [&a, &other, &b, &elsewhere] {
        store.packages().create(row).await.unwrap();
    }
    let mut named = store.packages().named(&a.channel, "a").await.unwrap();
    named.sort_by(|one, two| one.file.cmp(&two.file));
    assert_eq!(named, [a.clone(), other.clone()]);
    assert!(store.packages().named(&a.channel, "c").await.unwrap().is_empty());
    assert!(store.packages().has_attestations(&Sha256::of(b"bundles")).await.unwrap());
    assert!(!store.packages().has_attestations(&Sha256::of(b"others")).await.unwrap());
    let digests = [&a.sha256, &Sha256::of(b"bundles"), &Sha256::of(b"nobody's")].map(|digest| *digest);
    let found = store.packages().of_digests(&digests).await.unwrap();
    // `other` and `elsewhere` have the files of others: one of those that share a digest is told.
    let of_a = found[&a.sha256].clone().unwrap();
    assert_eq!((found.len(), of_a.sha256, found[&digests[1]].clone()), (2, a.sha256, None));
    assert!(store.packages().of_digests(&[]).await.unwrap().is_empty());
    let first = store.packages().list_all(&a.channel, None, 2).await.unwrap();
    assert_eq!(first, [other.clone(), a.clone()], "by subdir, then file");
    let rest = store.packages().list_all(&a.channel, Some(("noarch", "a-1-0.conda")), 9).await.unwrap();
    assert_eq!(rest, std::slice::from_ref(&b));
}

pub(super) async fn a_package_is_overwritten_by_one_of_two(_: &Bed, store: Store) {
    let a = package("team", "a-1-0.conda");
    store.packages().create(&a).await.unwrap();
    let next = Package { sha256: Sha256::of(b"new"), size: 3, labels: Vec::new(), ..a.clone() };
    assert_eq!(store.packages().overwrite(&next).await.unwrap(), 2);
    let found = store.packages().get(&a.channel, &a.subdir, &a.file).await.unwrap().unwrap();
    assert_eq!(found, Package { revision: 2, ..next.clone() });
    assert!(matches!(store.packages().overwrite(&next).await, Err(StoreError::Stale { .. })));
    let nobody = Package { file: "z-1-0.conda".to_owned(), ..a };
    assert!(matches!(store.packages().overwrite(&nobody).await, Err(StoreError::NotFound { .. })));
}

pub(super) async fn changes_of_a_subdir_are_told(_: &Bed, store: Store) {
    let (a, b, other) =
        (package("team", "a-1-0.conda"), package("team", "b-1-0.conda"), package("team2", "c-1-0.conda"));
    store.packages().create(&a).await.unwrap();
    let begin = store.settings().revision().await.unwrap();
    store.packages().create(&b).await.unwrap();
    store.packages().create(&other).await.unwrap();
    let told = async |channel: &str, subdir: &str, since| {
        let changes = store.packages().changed_in(&channel_id(channel), subdir, since, 9).await.unwrap();
        let files = changes.packages.into_iter().map(|row| row.file).collect::<Vec<_>>();
        (changes.complete, files, changes.gone)
    };
    let none = (true, Vec::new(), Vec::new());
    assert_eq!(told("team", "noarch", begin).await, (true, vec![b.file.clone()], vec![]));
    assert_eq!(told("team2", "noarch", begin).await, (true, vec![other.file], vec![]));
    assert_eq!(told("team", "linux-64", begin).await, none);
    let few = store.packages().changed_in(&channel_id("team"), "noarch", 0, 1).await.unwrap();
    assert_eq!((few.complete, few.packages.len()), (false, 0), "too much to tell");
    let second = store.settings().revision().await.unwrap();
    store.packages().update(&Package { state: PackageState::Yanked, ..a.clone() }).await.unwrap();
    store.packages().forget(&b.channel, &b.subdir, &b.file).await.unwrap();
    assert_eq!(told("team", "noarch", second).await, (true, vec![a.file.clone()], vec![b.file.clone()]));
    assert_eq!(told("team2", "noarch", second).await, none);
    store.packages().create(&b).await.unwrap();
    let (complete, files, _) = told("team", "noarch", second).await;
    assert_eq!((complete, files), (true, vec![a.file, b.file]), "it is there again");
    let third = store.settings().revision().await.unwrap();
    assert_eq!(told("team", "noarch", third).await, none);
    store.settings().forget_gone(third, 9).await.unwrap();
    assert!(!told("team", "noarch", second).await.0, "what was removed is not known any more");
    assert!(!told("team", "noarch", third + 9).await.0, "a number from elsewhere");
}
