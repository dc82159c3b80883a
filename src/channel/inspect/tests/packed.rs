//! What tar archives are packed in: cut, added to, and bombs; and files that are something else.

use std::io::{Seek as _, Write as _};

use super::build::{
    Entry, bz2, conda, digests, info, look, look_within, members, pkg, tar, tar_bz2, zip, zst,
};
use crate::channel::inspect::{Fault, InspectError, Limits, inspect};
use crate::conda::archive::ArchiveName;

fn says(name: &str, bytes: &[u8], wanted: &str) {
    let sentence = look(name, bytes).unwrap_err().to_string();
    assert!(sentence.contains(wanted), "{wanted}: {sentence}");
}

#[test]
fn files_of_another_kind_are_named() {
    for (bytes, wanted) in [
        (&b""[..], "empty"),
        (b"P", "something else"),
        (b"<html>Sign in</html>", "web page"),
        (b"{\"error\": 1}", "JSON"),
        (b"\x1f\x8b\x08\0\0\0", "gzip"),
        (&zst(b"x"), "zstd"),
        (&tar(&info()), "something else"),
    ] {
        says("a-1.0-0.conda", bytes, wanted);
        says("a-1.0-0.tar.bz2", bytes, wanted);
    }
    says("a-1.0-0.conda", &tar_bz2(&info()), "bzip2");
    says("a-1.0-0.tar.bz2", &conda(&info(), &pkg()), "zip archive");
    says("a-1.0-py3-none-any.whl", b"PK\x03\x04", "wheel");
}

#[test]
fn every_cut_is_noticed() {
    let all: Vec<Entry> = info().into_iter().chain(pkg()).collect();
    let whole = tar_bz2(&all);
    look("a-1.0-0.tar.bz2", &whole).unwrap();
    for len in 0..whole.len() {
        assert!(look("a-1.0-0.tar.bz2", &whole[..len]).is_err(), "{len}");
    }
    let whole = conda(&info(), &pkg());
    for len in 0..whole.len() {
        assert!(look("a-1.0-0.conda", &whole[..len]).is_err(), "{len}");
    }
    // Cut inside, in a zip archive that is whole.
    let packed = zst(&tar(&pkg()));
    for len in 0..packed.len() {
        let cut = zip(&members(&zst(&tar(&info())), &packed[..len]));
        assert!(look("a-1.0-0.conda", &cut).is_err(), "{len}");
    }
}

#[test]
fn nothing_follows_the_packed_data() {
    let packed = zst(&tar(&pkg()));
    let with = |more: &[u8]| zip(&members(&zst(&tar(&info())), &[&packed[..], more].concat()));
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0];
    for more in [&b"x"[..], &zst(b""), &zst(&tar(&pkg())), &skippable] {
        says("a-1.0-0.conda", &with(more), "more behind the end");
    }
    let skipped = zip(&members(&zst(&tar(&info())), &[&skippable[..], &packed].concat()));
    says("a-1.0-0.conda", &skipped, "does not begin like a zstd frame");
    let all: Vec<Entry> = info().into_iter().chain(pkg()).collect();
    let whole = tar_bz2(&all);
    for more in [&b"x"[..], &bz2(b""), &whole] {
        says("a-1.0-0.tar.bz2", &[&whole[..], more].concat(), "more behind the end");
    }
}

#[test]
fn bombs_are_given_up_on() {
    let limits = Limits { ratio: 100, ratio_free: 1 << 20, ..Limits::default() };
    let bomb = [Entry::file("zeros", &vec![0; 4 << 20])];
    let all: Vec<Entry> = info().into_iter().chain(bomb.clone()).collect();
    for (name, bytes) in [("a-1.0-0.conda", conda(&info(), &bomb)), ("a-1.0-0.tar.bz2", tar_bz2(&all))] {
        let error = look_within(name, &bytes, &limits).unwrap_err();
        assert_eq!(error.fault(), Fault::TooLarge);
        assert!(error.to_string().contains("decompression bomb"), "{error}");
        look(name, &bytes).unwrap();
        let small = Limits { unpacked: 3 << 20, ..Limits::default() };
        let error = look_within(name, &bytes, &small).unwrap_err().to_string();
        assert!(error.contains("more than 3145728 unpacked bytes"), "{error}");
    }
    // A tar header may promise whatever it likes.
    let liar = Entry::file("x", b"").with(124, b"77777777777");
    says("a-1.0-0.conda", &conda(&info(), &[liar]), "broken");
}

#[test]
fn windows_that_clients_refuse_are_refused() {
    let packed = |log: u32| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&tar(&pkg())).unwrap();
        zip(&members(&zst(&tar(&info())), &encoder.finish().unwrap()))
    };
    look("a-1.0-0.conda", &packed(27)).unwrap();
    says("a-1.0-0.conda", &packed(28), "zstd data is broken");
    let small = Limits { window_log: 20, ..Limits::default() };
    assert!(look_within("a-1.0-0.conda", &packed(21), &small).is_err());
}

#[test]
fn members_paths_and_documents_are_counted() {
    let many: Vec<Entry> = (0..30).map(|n| Entry::file(&format!("lib/{n}"), b"")).collect();
    let bytes = conda(&info(), &many);
    let members = |members| Limits { members, ..Limits::default() };
    look_within("a-1.0-0.conda", &bytes, &members(33)).unwrap();
    let error = look_within("a-1.0-0.conda", &bytes, &members(32)).unwrap_err();
    assert!(error.to_string().contains("more than 32 members"), "{error}");
    assert_eq!(error.fault(), Fault::TooLarge);

    let listed = Limits { listed: 10, ..Limits::default() };
    let found = look_within("a-1.0-0.conda", &bytes, &listed).unwrap();
    assert_eq!((found.paths.len(), found.path_count), (10, 30));
    let listed = Limits { listed_bytes: 11, ..Limits::default() };
    assert_eq!(look_within("a-1.0-0.conda", &bytes, &listed).unwrap().paths.len(), 2);

    let path = Limits { path: 20, ..Limits::default() };
    let long = conda(&info(), &[Entry::file("lib/abcdefghijklmnopq", b"")]);
    let error = look_within("a-1.0-0.conda", &long, &path).unwrap_err().to_string();
    assert!(error.contains("longer name than the 20 bytes"), "{error}");

    let metadata = Limits { metadata: 100, ..Limits::default() };
    let error = look_within("a-1.0-0.conda", &bytes, &metadata).unwrap_err().to_string();
    assert!(error.contains("`info/index.json` in the package is longer than 100 bytes"), "{error}");

    let extras = [
        Entry::file("info/licenses/a", &[b'a'; 50]),
        Entry::file("info/licenses/b", &[b'b'; 51]),
        Entry::file("info/icon.png", b"\x89PNG\r\n\x1a\n"),
    ];
    let info: Vec<Entry> = info().into_iter().chain(extras).collect();
    let small = Limits { license: 50, icon: 7, ..Limits::default() };
    let found = look_within("a-1.0-0.conda", &conda(&info, &pkg()), &small).unwrap();
    assert_eq!((found.licenses.len(), found.icon), (1, None));
}

#[test]
fn the_gates_own_disk_is_not_the_uploaders_fault() {
    let bytes = conda(&info(), &pkg());
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes[..bytes.len() - 1]).unwrap();
    file.rewind().unwrap();
    let name = ArchiveName::parse("a-1.0-0.conda").unwrap();
    let error = inspect(&file, &name, &digests(&bytes), &Limits::default()).unwrap_err();
    assert_eq!(error.fault(), Fault::Disk);
    // A file that can't be read: opened for writing only.
    let place = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(place.path(), &bytes).unwrap();
    let file = std::fs::File::options().write(true).open(place.path()).unwrap();
    let error = inspect(&file, &name, &digests(&bytes), &Limits::default()).unwrap_err();
    assert!(matches!(error, InspectError::Disk(_)), "{error}");
}
