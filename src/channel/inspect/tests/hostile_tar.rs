//! Tar archives that are read in more than one way, or write where they should not.

use super::build::{
    Entry, bz2, conda, info, look, look_both, members, open_tar, pkg, tar, tar_bz2, zip, zst,
};
use crate::channel::inspect::{Fault, InspectError};

/// The sentence that both formats get for these members.
fn refused(info: &[Entry], pkg: &[Entry]) -> String {
    let [conda, tar_bz2] = look_both(info, pkg);
    let (conda, tar_bz2) = (conda.unwrap_err(), tar_bz2.unwrap_err());
    assert_eq!((conda.fault(), tar_bz2.fault()), (Fault::Package, Fault::Package));
    let (conda, tar_bz2) = (conda.to_string(), tar_bz2.to_string());
    assert_eq!(conda.replace("pkg-a-1.0-0.tar.zst", "X"), tar_bz2.replace("a-1.0-0.tar.bz2", "X"));
    conda
}

fn all_refused(cases: &[(Vec<Entry>, &str)]) {
    for (pkg, says) in cases {
        let sentence = refused(&info(), pkg);
        assert!(sentence.contains(says), "{says}: {sentence}");
    }
}

fn file(path: &str) -> Entry {
    Entry::file(path, b"x")
}

/// GNU's long name (`L`) or long link (`K`).
fn gnu(kind: u8, bytes: &[u8]) -> Entry {
    Entry::new(kind, "././@LongLink", "", bytes).with(257, b"ustar  \0")
}

#[test]
fn paths_that_deceive_are_refused() {
    all_refused(&[
        (vec![file("/etc/passwd")], "absolute"),
        (vec![file("../evil")], "leaves the package"),
        (vec![file("lib/../../evil")], "leaves the package"),
        (vec![file("lib\\evil")], "backslash"),
        (vec![file("C:evil")], "drive letter"),
        (vec![file("lib//x")], "empty"),
        (vec![file("lib/./x")], "empty"),
        (vec![file("lib/x/")], "empty"),
        (vec![file("")], "empty"),
        (vec![file("lib/x").with(4, b"\xff")], "not UTF-8"),
        (vec![file("lib/x").with(4, b"\n")], "control characters"),
        (vec![file("lib/x"), file("lib/x")], "there twice"),
        (vec![file("lib/x"), file("./lib/x")], "there twice"),
        (vec![Entry::dir("lib"), file("lib")], "lies below"),
        (vec![file("lib"), file("lib/x")], "lies below"),
        (vec![file("lib/x"), Entry::symlink("lib", "share")], "lies below"),
        (vec![Entry::symlink("lib", "share"), file("lib/x")], "lies below"),
        (vec![file("Info/index.json")], "in other letters"),
    ]);
}

#[test]
fn links_that_leave_and_devices_are_refused() {
    all_refused(&[
        (vec![Entry::symlink("x", "/etc/passwd")], "leaves the package"),
        (vec![Entry::symlink("a/x", "../../etc/passwd")], "leaves the package"),
        (vec![Entry::symlink("x", "a/../../etc")], "goes up again"),
        (vec![Entry::symlink("x", "")], "without a target"),
        (vec![Entry::hard_link("x", "../etc/passwd")], "no file that comes before"),
        (vec![Entry::hard_link("x", "/etc/passwd")], "no file that comes before"),
        (vec![Entry::hard_link("x", "lib/later"), file("lib/later")], "no file that comes before"),
        (vec![Entry::symlink("a", "b"), Entry::hard_link("x", "a")], "no file that comes before"),
        (vec![Entry::new(b'3', "dev/null", "", b"")], "neither a file"),
        (vec![Entry::new(b'4', "dev/sda", "", b"")], "neither a file"),
        (vec![Entry::new(b'6', "fifo", "", b"")], "neither a file"),
        (vec![Entry::new(b'7', "x", "", b"")], "neither a file"),
        (vec![Entry::new(b'V', "x", "", b"")], "neither a file"),
    ]);
}

#[test]
fn headers_that_are_read_differently_are_refused() {
    all_refused(&[
        (vec![gnu(b'L', b"lib/a\0b\0"), file("x")], "control characters"),
        (vec![Entry::new(b'S', "x", "", b"").with(257, b"ustar  \0")], "sparse"),
        (vec![Entry::pax(&[("GNU.sparse.realsize", "1000000")]), file("x")], "sparse"),
        (vec![Entry::pax(&[("size", "513")]), file("x")], "two sizes"),
        (vec![Entry::pax(&[("path", "a"), ("path", "b")]), file("x")], "two extended records"),
        (vec![Entry::pax(&[("path", "../x")]), file("x")], "leaves the package"),
        (vec![Entry::pax(&[("path", "a")]), gnu(b'L', b"b\0"), file("x")], "two names"),
        (vec![Entry::pax(&[("path", "a")]), Entry::pax(&[("path", "b")]), file("x")], "two extensions"),
        (vec![gnu(b'L', b"a\0"), gnu(b'L', b"b\0"), file("x")], "two extensions"),
        (vec![Entry::new(b'x', "p", "", b"12 path=a\n"), file("x")], "broken extended header"),
        (vec![Entry::pax(&[("hdrcharset", "BINARY")]), file("x")], "character set"),
        (vec![Entry::pax(&[("path", "a")]).with(257, &[0; 8]), file("x")], "another tar format"),
        (vec![Entry::new(b'g', "g", "", b"12 path=a/b\n"), file("x")], "all members"),
        (vec![Entry::pax(&[("path", "a")])], "does not follow"),
        (vec![file("x").with(345, b"lib").with(257, b"ustar  \0")], "another tar format"),
        (vec![file("x").with(345, b"lib").with(257, &[0; 8])], "another tar format"),
        (vec![file("x").with(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x01")], "octal"),
        (vec![file("x").with(124, b"00000000001x")], "broken"),
        (vec![file("x").with(124, b"1\x000000000000")], "octal"),
        (vec![file("x").with(100, b"0_644")], "octal"),
        (vec![file("x").with(108, b"\x81")], "octal"),
        (vec![file("x").with(136, b"-1")], "octal"),
        (vec![file("x").with(329, b"none")], "octal"),
        (vec![Entry::symlink("x", "y").with(124, b"00000001000"), file("z")], "said to have contents"),
        (vec![Entry::dir("x").with(124, b"00000001000"), file("z")], "said to have contents"),
    ]);
}

#[test]
fn a_global_header_between_a_header_and_its_member_is_refused() {
    let comment = Entry::new(b'g', "g", "", b"15 comment=abc\n");
    let pkg = [Entry::pax(&[("path", "a")]), comment, Entry::file("b", b"")];
    assert!(refused(&info(), &pkg).contains("does not follow"));
}

#[test]
fn info_is_files_and_stands_in_its_own_part() {
    let wrong =
        |info: &[Entry], pkg: &[Entry]| look("a-1.0-0.conda", &conda(info, pkg)).unwrap_err().to_string();
    let index = info().remove(0);
    let with = |entry: Entry| vec![index.clone(), entry];
    for info in [
        vec![Entry::symlink("info/index.json", "real.json"), Entry::file("info/real.json", b"{}")],
        with(Entry::symlink("info/about.json", "index.json")),
        with(Entry::hard_link("info/about.json", "info/index.json")),
        with(Entry::symlink("info/licenses", "recipe")),
    ] {
        assert!(wrong(&info, &pkg()).contains("must be a file"), "{info:?}");
        let all: Vec<Entry> = info.into_iter().chain(pkg()).collect();
        let error = look("a-1.0-0.tar.bz2", &tar_bz2(&all)).unwrap_err().to_string();
        assert!(error.contains("must be a file"), "{error}");
    }
    assert!(look("a-1.0-0.conda", &conda(&with(Entry::symlink("info/recipe/x", "y")), &pkg())).is_ok());
    assert!(wrong(&with(Entry::file("lib/x", b"")), &pkg()).contains("wrong part"));
    assert!(wrong(&info(), &[Entry::file("info/about.json", b"{}")]).contains("wrong part"));
    assert!(wrong(&[Entry::symlink("info", "lib")], &pkg()).contains("must be a file"));
    let missing = [Entry::file("info/about.json", b"{}")];
    assert!(wrong(&missing, &pkg()).contains("`info/index.json` in the package is missing"));
    // Both parts are unpacked to one place.
    let error = wrong(&info(), &[Entry::file("x", b""), Entry::symlink("x/y", "z")]);
    assert!(error.contains("lies below"), "{error}");
}

#[test]
fn the_end_must_be_there_and_be_the_end() {
    let tar_of = |pkg: &[u8]| {
        let mut all = open_tar(&info());
        all.extend_from_slice(pkg);
        let conda = zip(&members(&zst(&tar(&info())), &zst(pkg)));
        [look("a-1.0-0.conda", &conda), look("a-1.0-0.tar.bz2", &bz2(&all))]
    };
    let whole = tar(&pkg());
    for found in tar_of(&whole) {
        found.unwrap();
    }
    let mut padded = whole.clone();
    padded.resize(whole.len().next_multiple_of(10240), 0);
    for found in tar_of(&padded) {
        found.unwrap();
    }
    let open = open_tar(&pkg());
    let mut one_block = open.clone();
    one_block.resize(open.len() + 512, 0);
    let mut more = whole.clone();
    more.extend_from_slice(&tar(&[Entry::file("lib/evil", b"")]));
    let mut garbage = whole.clone();
    garbage.push(1);
    let cases: [(&[u8], &str); 8] = [
        (&open, "end is missing"),
        (&one_block, "end is missing"),
        (b"", "end is missing"),
        (&open[..open.len() - 512], "end is missing"),
        (&whole[..3000], "broken"),
        (&whole[..100], "broken"),
        (&more, "behind its end"),
        (&garbage, "behind its end"),
    ];
    for (tar, says) in cases {
        for found in tar_of(tar) {
            let sentence = found.unwrap_err().to_string();
            assert!(sentence.contains(says), "{} bytes: {says}: {sentence}", tar.len());
        }
    }
    let mut sum = tar(&pkg());
    sum[3] ^= 1;
    for found in tar_of(&sum) {
        assert!(matches!(found, Err(InspectError::Tar { .. })));
    }
}
