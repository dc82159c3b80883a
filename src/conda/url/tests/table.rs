//! Every URL of `PROTOCOL` section 1, and the oddities of section 8.

use super::{HEX, channel, parse, short};
use crate::conda::archive::ArchiveName;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::conda::url::{ChannelDoc, IndexFile, Packing, Route};

#[test]
fn index_documents() {
    for file in [
        "repodata.json",
        "repodata.json.zst",
        "repodata.json.bz2",
        "current_repodata.json",
        "current_repodata.json.zst",
        "repodata_from_packages.json",
        "repodata_from_packages.json.zst",
        "repodata_shards.msgpack.zst",
        "run_exports.json",
        "run_exports.json.zst",
        "patch_instructions.json",
    ] {
        for (above, meant) in [
            ("conda-forge/linux-64", "conda-forge linux-64"),
            ("pkgs/main/noarch", "pkgs/main noarch"),
            ("a/b/c/osx-arm64", "a/b/c osx-arm64"),
            ("conda-forge/label/rc/linux-64", "conda-forge/label/rc linux-64"),
            ("pkgs/main/label/a/b/win-64", "pkgs/main/label/a/b win-64"),
            ("x/brand-new9", "x brand-new9"),
        ] {
            for (before, behind) in [("/", ""), ("/", "/"), ("//", "//"), ("/t/tk-1/", "")] {
                let raw = format!("{before}{above}/{file}{behind}");
                let target = parse(&raw).unwrap();
                assert_eq!(short(&target), format!("index {meant} {file}"), "{raw}");
                assert_eq!(target.path, format!("/{above}/{file}"), "{raw}");
            }
        }
    }
}

#[test]
fn files_of_a_subdir() {
    let sigs = "x264-1!164.3095-h166bdaf_2.tar.bz2.sigs";
    for (file, meant) in [
        ("py-rattler-0.28.0-py39h1.conda", "package {} py-rattler-0.28.0-py39h1.conda"),
        ("x264-1!164.3095-h166bdaf_2.tar.bz2", "package {} x264-1!164.3095-h166bdaf_2.tar.bz2"),
        ("x264-1%21164.3095-h166bdaf_2.tar.bz2", "package {} x264-1!164.3095-h166bdaf_2.tar.bz2"),
        ("a-1.0+cu118-0.conda", "package {} a-1.0+cu118-0.conda"),
        ("a-1.0%2Bcu118-0.conda", "package {} a-1.0+cu118-0.conda"),
        ("a-1.0%2bcu118-0.conda", "package {} a-1.0+cu118-0.conda"),
        ("rich-13.0-py3-none-any.whl", "package {} rich-13.0-py3-none-any.whl"),
        (sigs, &format!("sidecar {{}} {sigs}")),
        (&format!("{sigs}.{HEX}"), &format!("sidecar {{}} {sigs}.{HEX}")),
        ("a-1-0.conda.v0.sigs", "sidecar {} a-1-0.conda.v0.sigs"),
        (&format!("{HEX}.msgpack.zst"), &format!("shard {{}} {HEX}.msgpack.zst")),
        (&format!("shards/{HEX}.msgpack.zst"), &format!("shard {{}} {HEX}.msgpack.zst")),
    ] {
        for (above, place) in [
            ("conda-forge/linux-64", "conda-forge linux-64"),
            ("pkgs/main/noarch", "pkgs/main noarch"),
            ("team/label/a/b/noarch", "team/label/a/b noarch"),
        ] {
            let raw = format!("/{above}/{file}");
            assert_eq!(short(&parse(&raw).unwrap()), meant.replace("{}", place), "{raw}");
        }
    }
}

#[test]
fn channel_documents() {
    for file in [
        "channeldata.json",
        "channeldata.json.zst",
        "channeldata.json.bz2",
        "notices.json",
        "terms.json",
        "rss.xml",
        "1.root.json",
        "key_mgr.json",
    ] {
        for channel in ["conda-forge", "pkgs/main", "conda-forge/label/rc", "team/label/a/b"] {
            let target = parse(&format!("/{channel}/{file}")).unwrap();
            assert_eq!(short(&target), format!("doc {channel} {file}"));
        }
        for elsewhere in ["", "/conda-forge/noarch", "/team/label/rc/noarch", "/team/label"] {
            let target = parse(&format!("{elsewhere}/{file}")).unwrap();
            assert_eq!(target.route, Route::Other, "{elsewhere}/{file}");
        }
    }
}

#[test]
fn the_parts_are_typed() {
    let target = parse("/pkgs/main/label/a/b/noarch/a-1-0.conda").unwrap();
    let (main, noarch) = (channel("pkgs/main", Some("a/b")), Subdir::noarch());
    let archive = ArchiveName::parse("a-1-0.conda").unwrap();
    let package = Route::Package { channel: main.clone(), subdir: noarch.clone(), archive };
    assert_eq!(target.route, package);
    let target = parse("/pkgs/main/label/a/b/noarch/current_repodata.json.bz2").unwrap();
    let file = IndexFile::Current(Packing::Bz2);
    assert_eq!(target.route, Route::Index { channel: main.clone(), subdir: noarch.clone(), file });
    let target = parse(&format!("/pkgs/main/label/a/b/noarch/shards/{HEX}.msgpack.zst")).unwrap();
    let digest = Sha256::from_hex(HEX).unwrap();
    assert_eq!(target.route, Route::Shard { channel: main.clone(), subdir: noarch, digest });
    let target = parse("/pkgs/main/label/a/b/7.root.json").unwrap();
    assert_eq!(target.route, Route::Doc { channel: main, doc: ChannelDoc::TrustRoot(7) });
}

#[test]
fn swapped_shard_index_is_put_right() {
    for raw in [
        "/t/tk-1/conda-forge/repodata_shards.msgpack.zst/linux-64",
        "/conda-forge/repodata_shards.msgpack.zst/linux-64/",
    ] {
        let target = parse(raw).unwrap();
        assert_eq!(short(&target), "index conda-forge linux-64 repodata_shards.msgpack.zst", "{raw}");
        assert_eq!(target.path, "/conda-forge/linux-64/repodata_shards.msgpack.zst", "{raw}");
    }
    for raw in [
        "/repodata_shards.msgpack.zst/linux-64",
        "/x/repodata_shards.msgpack.zst/y",
        "/x/xrepodata_shards.msgpack.zst/noarch",
    ] {
        let target = parse(raw).unwrap();
        assert_eq!((&target.route, target.path.as_str()), (&Route::Other, raw));
    }
}

#[test]
fn home_and_control() {
    for raw in ["", "/", "//", "///"] {
        let target = parse(raw).unwrap();
        assert_eq!((target.route, target.path.as_str()), (Route::Home, "/"), "{raw}");
    }
    for (raw, rest, path) in [
        ("/-", "", "/-"),
        ("/-/", "", "/-"),
        ("/-/healthz", "healthz", "/-/healthz"),
        ("//-//ui/", "ui", "/-/ui"),
        ("/%2D/api/v1/a%20b", "api/v1/a b", "/-/api/v1/a b"),
        (
            "/-/conda-forge/noarch/repodata.json",
            "conda-forge/noarch/repodata.json",
            "/-/conda-forge/noarch/repodata.json",
        ),
        (
            "/-/repodata_shards.msgpack.zst/noarch",
            "repodata_shards.msgpack.zst/noarch",
            "/-/repodata_shards.msgpack.zst/noarch",
        ),
    ] {
        let target = parse(raw).unwrap();
        assert_eq!((target.route, target.path.as_str()), (Route::Control(rest.to_owned()), path), "{raw}");
    }
}

#[test]
fn everything_else_is_other_and_keeps_its_slash() {
    for raw in [
        "/conda-forge",
        "/conda-forge/",
        "/conda-forge/linux-64/",
        "/conda-forge/linux-64/index.html",
        "/conda-forge/linux-64/repodata.jlap",
        "/conda-forge/linux-64/repodata_shards_from_packages.msgpack.zst",
        "/conda-forge/linux-64/repodata.json.gz",
        "/conda-forge/linux-64/a-1.conda",
        "/conda-forge/linux-64/a-1-0.conda.sigs.abc",
        "/conda-forge/linux-64/shards/abc.msgpack.zst",
        "/conda-forge/linux-64/other/a-1-0.conda",
        "/conda-forge/main/repodata.json",
        "/conda-forge/Linux-64/repodata.json",
        "/conda-forge/repodata.json",
        "/linux-64/repodata.json",
        "/noarch/a-1-0.conda",
        "/conda-forge/label/noarch/a-1-0.conda",
        "/conda-forge/label/1rc/noarch/a-1-0.conda",
        "/label/x/noarch/a-1-0.conda",
        "/-x/noarch/a-1-0.conda",
        "/a/-x/noarch/a-1-0.conda",
        "/a b/noarch/a-1-0.conda",
        "/.hidden/noarch/a-1-0.conda",
        "/miniconda/Miniconda3-py312_24.1.2-0-Linux-x86_64.sh",
        "/miniconda/",
        "/archive/.index",
        "/static/extras/...",
        "/favicon.ico",
        "/é/ü",
    ] {
        let target = parse(raw).unwrap();
        assert_eq!((&target.route, target.path.as_str()), (&Route::Other, raw));
    }
    assert_eq!(parse("/a%20b//c%25d/").unwrap().path, "/a b/c%d/");
    assert_eq!(parse("*").unwrap().path, "/*");
}
