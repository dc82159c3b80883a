//! Whether upstream's shard of a package says what the gate's would: then its bytes, and its digest, can be used as they are.

use std::collections::HashMap;

use serde_json::Value;

use super::ShardError;
use super::inflate::{SHARD_LIMIT, inflate};
use super::json;
use super::transcode::Part;
use super::walk::{Part as Found, Place, walk};
use crate::repodata::scan::Group;

/// Whether the shard `packed` holds exactly these records, none more and none less, each with exactly these members, and the
/// same removed files (which are in order). The order of records and members does not matter; anything that could mean
/// something else to anyone (another form of a number, a key twice, an unknown key, several frames) counts as a difference.
pub(super) fn same_records(packed: &[u8], records: &[Part<'_>], removed: &[String]) -> bool {
    inflate(packed, SHARD_LIMIT).is_ok_and(|raw| compare(&raw, records, removed).unwrap_or(false))
}

fn compare(raw: &[u8], records: &[Part<'_>], removed: &[String]) -> Result<bool, ShardError> {
    let mut wanted: HashMap<(Group, String), &[u8]> =
        records.iter().map(|(group, file, raw)| ((*group, (*file).to_owned()), *raw)).collect();
    let (mut same, mut gone, mut text) = (wanted.len() == records.len(), Vec::new(), Vec::new());
    let complete = walk(raw, |part, at| match part {
        Found::Record(place, key) => {
            text.clear();
            let said = json::record(at, usize::MAX, &mut text)?;
            let file = key.and_then(|key| file_of(place, key));
            let ours = file.and_then(|file| wanted.remove(&file));
            same &= said && ours.is_some_and(|ours| means_the_same(ours, &text));
            Ok::<(), ShardError>(())
        }
        Found::Removed(file) => {
            gone.push(file.to_owned());
            Ok(())
        }
        Found::Other => {
            same = false;
            Ok(())
        }
    })?;
    gone.sort_unstable();
    Ok(complete && same && wanted.is_empty() && gone == removed)
}

fn file_of(place: Place<'_>, key: &str) -> Option<(Group, String)> {
    Some(match place {
        Place::Top("packages") => (Group::Packages, key.to_owned()),
        Place::Top("packages.conda") => (Group::PackagesConda, key.to_owned()),
        Place::Top(_) => (Group::PackagesWhl, key.to_owned()),
        Place::V3("tar.bz2") => (Group::V3TarBz2, format!("{key}.tar.bz2")),
        Place::V3("conda") => (Group::V3Conda, format!("{key}.conda")),
        Place::V3("whl") => (Group::V3Whl, format!("{key}.whl")),
        Place::V3(_) => return None,
    })
}

fn means_the_same(ours: &[u8], theirs: &[u8]) -> bool {
    let tree = |raw| serde_json::from_slice::<Value>(raw).ok();
    tree(ours).is_some_and(|ours| Some(ours) == tree(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repodata::shards::transcode;

    const A: &str = r#"{"name":"a","size":5,"md5":"000102030405060708090a0b0c0d0e0f","depends":["x","y"]}"#;
    const B: &str = r#"{"name":"a","f":1.5,"x":{"y":[null,true,-3]}}"#;

    fn packed(parts: &[Part<'_>], removed: &[String]) -> Vec<u8> {
        let mut raw = Vec::new();
        transcode::shard(&mut raw, parts, removed).unwrap();
        zstd::encode_all(&raw[..], 1).unwrap()
    }

    #[test]
    fn exactly_the_same_records_are_the_same() {
        let parts = [
            (Group::Packages, "a-1-0.tar.bz2", A.as_bytes()),
            (Group::PackagesConda, "a-1-0.conda", B.as_bytes()),
            (Group::V3Conda, "a-2-0.conda", B.as_bytes()),
            (Group::PackagesWhl, "a-2.whl", A.as_bytes()),
        ];
        let removed = ["a-0-0.conda".to_owned(), "a-0-1.conda".to_owned()];
        let theirs = packed(&parts, &removed);
        assert!(same_records(&theirs, &parts, &removed));
        let turned = r#"{"x": {"y": [null, true, -3]}, "f": 1.5, "name": "\u0061"}"#;
        let mut other = parts;
        other.reverse();
        other[2].2 = turned.as_bytes();
        assert!(same_records(&theirs, &other, &removed), "order and spelling do not matter");
        assert!(same_records(&packed(&other, &removed), &parts, &removed));
        assert!(same_records(&packed(&[], &[]), &[], &[]));
    }

    #[test]
    fn any_difference_counts() {
        let parts = [
            (Group::Packages, "a-1-0.tar.bz2", A.as_bytes()),
            (Group::Packages, "a-2-0.tar.bz2", B.as_bytes()),
        ];
        let removed = ["a-0-0.conda".to_owned()];
        let theirs = packed(&parts, &removed);
        assert!(!same_records(&theirs, &parts[..1], &removed), "one less");
        assert!(!same_records(&packed(&parts[..1], &removed), &parts, &removed), "one more");
        assert!(!same_records(&theirs, &parts, &[]), "nothing removed");
        for (from, to) in [
            ("5,", "6,"),
            ("5,", "5.0,"),
            ("5,", "5,\"indexed_timestamp\":1,"),
            ("\"x\",\"y\"", "\"y\",\"x\""),
            ("0e0f", "0e0e"),
            ("\"size\":5,", ""),
        ] {
            let changed = A.replace(from, to);
            let with = [(parts[0].0, parts[0].1, changed.as_bytes()), parts[1]];
            assert!(!same_records(&theirs, &with, &removed), "{changed}");
        }
        let moved = [(Group::PackagesConda, parts[0].1, parts[0].2), parts[1]];
        assert!(!same_records(&theirs, &moved, &removed), "another group");
        assert!(!same_records(&[&theirs[..], &theirs].concat(), &parts, &removed), "two frames");
        assert!(!same_records(b"no zstd", &parts, &removed));
        let pack = |raw: &[u8]| zstd::encode_all(raw, 1).unwrap();
        assert!(!same_records(&pack(b"\x81\xa8packages\x80"), &[], &[]), "half a shard");
        assert!(
            !same_records(&pack(b"\x83\xa8packages\x80\xaepackages.conda\x80\xa1x\x01"), &[], &[]),
            "unknown key"
        );
        let twice = b"\x82\xa8packages\x82\xa1a\x80\xa1a\x80\xaepackages.conda\x80";
        assert!(!same_records(&pack(twice), &[(Group::Packages, "a", b"{}")], &[]), "a file twice");
    }
}
