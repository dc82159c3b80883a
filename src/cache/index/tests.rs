use super::*;
use crate::cache::freshness::Lifetime;
use crate::cache::object::ObjectMeta;
use crate::cache::source::Validators;
use crate::cache::stamp::Stamp;
use crate::clock::UnixMillis;
use crate::conda::digest::{Md5, Sha256};

fn index() -> (tempfile::TempDir, Index) {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(&dir.path().join("cache.db"), Ops::default()).unwrap();
    (dir, index)
}

fn blob(n: u8, size: u64, last_use: i64) -> BlobRow {
    BlobRow {
        sha256: Sha256([n; 32]),
        stamp: Stamp { size, mtime: -1, ctime: 5, inode: u64::MAX },
        last_use: UnixMillis(last_use),
        verified_at: UnixMillis(last_use),
        origin: "c/noarch/x.conda".into(),
        md5: None,
    }
}

fn object(key: &str, n: u8) -> ObjectRow {
    let lifetime = Lifetime { fresh: std::time::Duration::from_millis(1500), ..Lifetime::default() };
    let validators = Validators { etag: Some("\"e\"".into()), last_modified: None };
    ObjectRow {
        key: key.into(),
        sha256: Sha256([n; 32]),
        plain: true,
        meta: ObjectMeta { validators, lifetime, checked_at: UnixMillis(7), ..ObjectMeta::default() },
    }
}

#[test]
fn rows_come_back_as_they_were() {
    let (dir, index) = index();
    let row = BlobRow { md5: Some(Md5([3; 16])), ..blob(1, u64::MAX / 4, 10) };
    index.put(&row, Some(&object("k", 1))).unwrap();
    drop(index);
    let index = Index::open(&dir.path().join("cache.db"), Ops::default()).unwrap();
    assert_eq!(index.blob(&row.sha256).unwrap(), Some(row.clone()));
    assert_eq!(index.object("k").unwrap(), Some(object("k", 1)));
    assert_eq!(index.by_md5(&Md5([3; 16])).unwrap(), Some(row.sha256));
    assert_eq!(index.by_md5(&Md5([4; 16])).unwrap(), None);
}

#[test]
fn totals_follow_every_change() {
    let (_dir, index) = index();
    index.put(&blob(1, 100, 1), None).unwrap();
    index.put(&blob(2, 50, 1), None).unwrap();
    index.put(&blob(2, 60, 1), None).unwrap();
    assert_eq!(index.totals().unwrap(), (2, 160));
    assert!(index.remove_blob(&Sha256([1; 32]), &blob(1, 0, 0).stamp).unwrap());
    assert_eq!(index.totals().unwrap(), (1, 60));
}

#[test]
fn a_blob_that_came_back_is_not_removed() {
    let (_dir, index) = index();
    index.put(&blob(1, 100, 1), Some(&object("k", 1))).unwrap();
    let older = Stamp { ctime: 4, ..blob(1, 100, 1).stamp };
    assert!(!index.remove_blob(&Sha256([1; 32]), &older).unwrap());
    assert!(index.object("k").unwrap().is_some());
}

#[test]
fn coldest_first_without_pinned() {
    let (_dir, index) = index();
    for (n, at) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
        index.put(&blob(n, 1, at), None).unwrap();
    }
    assert!(index.pin(&Sha256([3; 32]), true).unwrap());
    assert!(!index.pin(&Sha256([9; 32]), true).unwrap());
    index.used(&[(Sha256([2; 32]), UnixMillis(99)), (Sha256([1; 32]), UnixMillis(5))]).unwrap();
    let order = |rows: Vec<BlobRow>| rows.iter().map(|row| row.sha256.0[0]).collect::<Vec<_>>();
    assert_eq!(order(index.coldest(None, 10).unwrap()), [4, 1, 2]);
    assert_eq!(order(index.coldest(Some((UnixMillis(10), Sha256([4; 32]))), 10).unwrap()), [1, 2]);
    assert_eq!(order(index.page(Some(&Sha256([2; 32])), 1).unwrap()), [3]);
    assert_eq!(order(index.unverified_since(UnixMillis(15), 10).unwrap()).len(), 2);
}

#[test]
fn keys_by_prefix_and_what_they_leave_behind() {
    let (_dir, index) = index();
    for n in 1..=3 {
        index.put(&blob(n, 1, 1), None).unwrap();
    }
    for (key, n) in [("a/x", 1), ("a/y", 2), ("b/x", 2), ("a%/x", 3), ("A/x", 3)] {
        index.put_object(&object(key, n)).unwrap();
    }
    let (mut keys, orphans) = index.remove_keys("a/", true).unwrap();
    keys.sort();
    assert_eq!(keys, ["a/x", "a/y"]);
    assert_eq!(orphans, [Sha256([1; 32])]);
    assert_eq!(index.remove_keys("b/x", false).unwrap().1, [Sha256([2; 32])]);
    assert_eq!(index.remove_keys("nothing", false).unwrap(), (vec![], vec![]));
}

#[test]
fn a_newer_format_is_refused() {
    let (dir, index) = index();
    drop(index);
    let path = dir.path().join("cache.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refusal = Index::open(&path, Ops::default()).err().unwrap().to_string();
    assert!(refusal.contains("format 99"), "{refusal}");
}
