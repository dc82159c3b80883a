//! Archives changed at random: nothing panics, and what is still accepted is what every reader takes for the same.
//!
//! The other readers are rattler's two: one walks a zip from its beginning, the other goes by its directory. What they unpack has to be
//! the same files, with the names that the inspection saw.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use rattler_package_streaming::read::{
    extract_conda_via_buffering, extract_conda_via_streaming, extract_tar_bz2,
};

use super::build::{Entry, bz2, info, look, members, pkg, tar, zip, zst};
use crate::channel::inspect::Inspected;

/// Bytes to put in place of others, or to take out.
#[derive(Clone, Debug)]
struct Change {
    at: Index,
    kind: u8,
    byte: u8,
    len: usize,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let interesting =
        prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, b'/', b'.', b'0', b'2', 0xff])];
    let change = (any::<Index>(), 0_u8..4, interesting, 1_usize..16);
    let change = change.prop_map(|(at, kind, byte, len)| Change { at, kind, byte, len });
    proptest::collection::vec(change, 1..4)
}

fn apply(bytes: &mut Vec<u8>, changes: &[Change]) {
    for change in changes {
        if bytes.is_empty() {
            return;
        }
        let at = change.at.index(bytes.len());
        match change.kind {
            0 => bytes[at] = change.byte,
            1 => bytes[at] ^= 1 << (change.byte % 8),
            2 => {
                bytes.drain(at..(at + change.len).min(bytes.len()));
            }
            _ => {
                bytes.splice(at..at, std::iter::repeat_n(change.byte, change.len));
            }
        }
    }
}

/// The same for headers only, whose checksums are made right afterwards.
fn apply_to_headers(entries: &mut [Entry], changes: &[Change]) {
    for change in changes {
        let at = change.at.index(entries.len() * 512);
        let header = &mut entries[at / 512].header;
        match change.kind {
            0 | 2 => header[at % 512] = change.byte,
            _ => header[at % 512] ^= 1 << (change.byte % 8),
        }
    }
}

/// Every file and link below a directory, with its contents or target.
fn tree(top: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            tree(top, &path, found);
            continue;
        }
        let contents = if kind.is_symlink() {
            std::fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes().to_vec()
        } else {
            std::fs::read(&path).unwrap()
        };
        found.insert(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned(), contents);
    }
}

fn unpacked<E: std::fmt::Debug>(unpack: impl FnOnce(&Path) -> Result<(), E>) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("package");
    unpack(&place).unwrap();
    let mut found = BTreeMap::new();
    tree(&place, &place, &mut found);
    found
}

/// What rattler unpacks of an accepted file, the same in all its ways.
fn rattlers(name: &str, bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    if name.ends_with(".tar.bz2") {
        return unpacked(|to| extract_tar_bz2(Cursor::new(bytes), to).map(|_| ()));
    }
    let by_directory = unpacked(|to| extract_conda_via_buffering(Cursor::new(bytes), to).map(|_| ()));
    // It can't walk archives with the sizes behind the data, and says so before it unpacks anything wrong.
    let dir = tempfile::tempdir().unwrap();
    if extract_conda_via_streaming(Cursor::new(bytes), dir.path()).is_ok() {
        let mut walked = BTreeMap::new();
        tree(dir.path(), dir.path(), &mut walked);
        assert_eq!(walked, by_directory);
    }
    by_directory
}

fn check_accepted(name: &str, bytes: &[u8], found: &Inspected) {
    let files = rattlers(name, bytes);
    let seen: Vec<&str> = found.paths.iter().map(|path| path.path.as_str()).collect();
    let outside: Vec<&str> = files.keys().map(String::as_str).filter(|p| !p.starts_with("info/")).collect();
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, outside);
    for path in found.paths.iter().filter(|path| !path.is_link && path.size > 0) {
        assert_eq!(files[&path.path].len() as u64, path.size, "{}", path.path);
    }
    assert!(files.contains_key("info/index.json"));
}

fn entries() -> (Vec<Entry>, Vec<Entry>) {
    let mut pkg = pkg();
    pkg.insert(0, Entry::dir("lib/"));
    pkg.push(Entry::hard_link("lib/again", "lib/liba.so.1"));
    pkg.push(Entry::pax(&[("path", "share/doc/a/README"), ("mtime", "1.5")]));
    pkg.push(Entry::file("share/doc/a/READ", b"Read me."));
    let mut info = info();
    info.push(Entry::file(
        "info/paths.json",
        br#"{"paths":[{"_path":"lib/a","path_type":"hardlink"}],"paths_version":1}"#,
    ));
    (info, pkg)
}

fn whole() -> BTreeMap<String, Vec<u8>> {
    let (info, pkg) = entries();
    let bytes = zip(&members(&zst(&tar(&info)), &zst(&tar(&pkg))));
    let found = look("a-1.0-0.conda", &bytes).unwrap();
    check_accepted("a-1.0-0.conda", &bytes, &found);
    rattlers("a-1.0-0.conda", &bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_file_is_refused_or_has_the_same_members(changes in changes(), streamed: bool, bz2ed: bool) {
        let (info, pkg) = entries();
        let (name, mut bytes) = if bz2ed {
            ("a-1.0-0.tar.bz2", bz2(&tar(&[info, pkg].concat())))
        } else {
            let mut members = members(&zst(&tar(&info)), &zst(&tar(&pkg)));
            for member in &mut members {
                member.long = !streamed;
                member.flags = if streamed { 8 } else { 0 };
            }
            ("a-1.0-0.conda", zip(&members))
        };
        apply(&mut bytes, &changes);
        if let Ok(found) = look(name, &bytes) {
            check_accepted(name, &bytes, &found);
            prop_assert_eq!(rattlers(name, &bytes), whole());
        }
    }

    #[test]
    fn a_changed_tar_is_refused_or_read_alike(changes in changes(), bz2ed: bool, in_headers: bool) {
        let (info, mut pkg) = entries();
        if in_headers {
            apply_to_headers(&mut pkg, &changes);
        }
        let (name, mut tar) = if bz2ed {
            ("a-1.0-0.tar.bz2", tar(&[info.clone(), pkg].concat()))
        } else {
            ("a-1.0-0.conda", tar(&pkg))
        };
        if !in_headers {
            apply(&mut tar, &changes);
        }
        let packed = if bz2ed { bz2(&tar) } else { zip(&members(&zst(&super::build::tar(&info)), &zst(&tar))) };
        if let Ok(found) = look(name, &packed) {
            check_accepted(name, &packed, &found);
        }
    }

    #[test]
    fn any_bytes_are_survived(start in 0_usize..3, bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let start: &[u8] = [&b"PK\x03\x04"[..], b"BZh9", b""][start];
        let bytes = [start, &bytes].concat();
        prop_assert!(look("a-1.0-0.conda", &bytes).is_err());
        prop_assert!(look("a-1.0-0.tar.bz2", &bytes).is_err());
    }
}
