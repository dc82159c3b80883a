//! What build tools make is accepted, and its record is the one that conda-index made.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::build::{Entry, Zipped, conda, index, info, look, look_both, members, pkg, tar, zip, zst};
use crate::channel::inspect::{PathEntry, inspect};
use crate::conda::archive::ArchiveName;

#[test]
fn a_plain_package_says_what_it_is() {
    let about = Entry::file("info/about.json", br#"{"summary": "A."}"#);
    let exports = Entry::file("info/run_exports.json", br#"{"weak": ["a >=1"]}"#);
    let license = Entry::file("info/licenses/LICENSE", b"Do what you like.");
    let icon = Entry::file("info/icon.png", b"\x89PNG\r\n\x1a\n...");
    let info: Vec<Entry> = info().into_iter().chain([about, exports, license, icon]).collect();
    for found in look_both(&info, &pkg()) {
        let found = found.unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("a", "1.0"));
        assert_eq!((found.build.as_str(), found.build_number, found.subdir.as_str()), ("0", 0, "linux-64"));
        assert_eq!(found.about, Some(json!({"summary": "A."})));
        assert_eq!(found.run_exports, Some(json!({"weak": ["a >=1"]})));
        assert_eq!(found.licenses, [("licenses/LICENSE".to_owned(), "Do what you like.".to_owned())]);
        assert!(found.icon.is_some());
        let path = |path: &str, size, is_link| PathEntry { path: path.to_owned(), size, is_link };
        assert_eq!(found.paths, [path("lib/liba.so.1", 3000, false), path("lib/liba.so", 0, true)]);
        assert_eq!(found.path_count, 2);
        let record: Value = serde_json::from_slice(&found.record).unwrap();
        let keys: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
        let wanted = "build build_number depends license md5 name sha256 size subdir timestamp version";
        assert_eq!(keys, wanted.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn archives_in_all_usual_ways_of_writing_are_taken() {
    let plain = members(&zst(&tar(&info())), &zst(&tar(&pkg())));
    let each = |change: fn(&mut Zipped)| {
        let mut members = plain.clone();
        members.iter_mut().for_each(change);
        look("a-1.0-0.conda", &zip(&members))
    };
    assert!(each(|_| ()).is_ok());
    each(|member| member.long = true).unwrap();
    each(|member| member.flags = 8).unwrap();
    each(|member| member.flags = 0x800).unwrap();
    // Info-ZIP's time stamps.
    each(|member| member.extra = vec![0x55, 0x54, 5, 0, 1, 0, 0, 0, 0]).unwrap();
    let mut turned = plain.clone();
    turned.reverse();
    look("a-1.0-0.conda", &zip(&turned)).unwrap();

    // `tar .` names everything from `./`.
    let dotted = |entries: Vec<Entry>| -> Vec<Entry> {
        let dot = Entry::dir("./");
        let change = |entry: Entry| {
            let path: Vec<u8> = entry.header[..98].to_vec();
            entry.with(0, b"./").with(2, &path)
        };
        std::iter::once(dot).chain(entries.into_iter().map(change)).collect()
    };
    look("a-1.0-0.conda", &conda(&dotted(info()), &dotted(pkg()))).unwrap();

    let long = format!("lib/{}", "x".repeat(150));
    let gnu = |kind: u8, value: &str| Entry::new(kind, "././@LongLink", "", format!("{value}\0").as_bytes());
    let gnu = |kind, value: &str| gnu(kind, value).with(257, b"ustar  \0");
    let ways = [
        vec![gnu(b'L', &long), Entry::file("cut", b"1")],
        vec![gnu(b'K', &"y".repeat(120)), gnu(b'L', &long), Entry::symlink("cut", "cut")],
        vec![Entry::pax(&[("path", &long), ("mtime", "1.5"), ("size", "1")]), Entry::file("cut", b"1")],
        vec![Entry::pax(&[("linkpath", &"y".repeat(120)), ("path", &long)]), Entry::symlink("cut", "cut")],
        vec![Entry::file(&"x".repeat(100), b"1").with(345, b"lib/yyy")],
        vec![Entry::file("lib/x", b"1"), Entry::hard_link("lib/y", "lib/x")],
        vec![Entry::dir("lib/"), Entry::dir("lib/x"), Entry::file("lib/x/y", b""), Entry::dir("lib")],
        vec![Entry::new(b'g', "pax_global_header", "", b"15 comment=abc\n"), Entry::file("lib/x", b"1")],
        // Times before 1970, large user numbers.
        vec![
            Entry::file("x", b"1").with(136, &[0xff; 12]).with(108, &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
        ],
        vec![],
    ];
    for pkg in ways {
        for found in look_both(&info(), &pkg) {
            found.unwrap();
        }
    }
}

#[test]
fn old_packages_have_a_platform_and_an_arch() {
    for (platform, arch, subdir) in
        [("linux", "x86_64", "linux-64"), ("win", "x86", "win-32"), ("osx", "arm64", "osx-arm64")]
    {
        let mut old = index();
        old.as_object_mut().unwrap().remove("subdir");
        old["platform"] = platform.into();
        old["arch"] = arch.into();
        let info = [Entry::file("info/index.json", old.to_string().as_bytes())];
        let found = look("a-1.0-0.conda", &conda(&info, &pkg())).unwrap();
        assert_eq!(found.subdir.as_str(), subdir);
    }
}

/// Directories with a `repodata.json` beside packages: the project's own, and larger ones where there are.
fn subdirs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Other channels, with `<channel>/<subdir>/` below a directory.
    let elsewhere = std::env::var_os("CONDAGATE_TEST_CHANNELS").map(PathBuf::from).unwrap_or_default();
    let mut found = vec![root.join("tests/fixtures/packages/noarch")];
    let below = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).map(|list| list.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
    };
    for channel in below(&elsewhere) {
        found.extend(below(&channel).into_iter().filter(|dir| dir.join("repodata.json").is_file()));
    }
    found
}

/// Packages in real channels that conda-index lists and no client can unpack.
const BROKEN: [(&str, &str); 1] = [("zlib-1.2.11-h7b6447c_3.conda", "is a link without a target")];

#[test]
fn records_are_those_of_conda_index_field_by_field() {
    let mut compared = 0;
    for dir in subdirs() {
        let from_packages = dir.join("repodata_from_packages.json");
        let text = fs::read(&from_packages).or_else(|_| fs::read(dir.join("repodata.json"))).unwrap();
        let repodata: Value = serde_json::from_slice(&text).unwrap();
        for group in ["packages", "packages.conda"] {
            for (file, wanted) in repodata[group].as_object().unwrap() {
                let Ok(bytes) = fs::read(dir.join(file)) else { continue };
                let opened = fs::File::open(dir.join(file)).unwrap();
                let (name, limits) = (ArchiveName::parse(file).unwrap(), super::super::Limits::default());
                let found = inspect(&opened, &name, &super::build::digests(&bytes), &limits);
                if let Some((_, why)) = BROKEN.iter().find(|(broken, _)| file == broken) {
                    let error = found.expect_err(why).to_string();
                    assert!(error.contains(why), "{error}");
                    continue;
                }
                let found = found.unwrap_or_else(|error| panic!("{}: {error}", dir.join(file).display()));
                let record: Value = serde_json::from_slice(&found.record).unwrap();
                assert_eq!(record, *wanted, "{}", dir.join(file).display());
                assert_eq!(Some(found.subdir.as_str()), dir.file_name().and_then(|n| n.to_str()));
                compared += 1;
            }
        }
    }
    println!("{compared} records compared");
    assert!(compared >= 6);
}
