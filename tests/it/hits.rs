//! Hits: what is cached is served from the cache, unchanged, verified, with headers of the gate's own.

use crate::harness::{Channel, File, Request, Setup, Stage, Upstream, package, rules};

fn stage() -> Stage {
    Stage::new(
        Channel::new("chan")
            .with("noarch", &package("alpha", "1.0").payload(300_000))
            .with("noarch", &package("old", "1.0").tar_bz2())
            .with("linux-64", &package("beta", "1.0")),
    )
}

#[test]
fn the_second_get_needs_no_upstream() {
    let stage = stage();
    for name in ["alpha", "old", "beta"] {
        stage.fetch(name);
        stage.fetch(name);
        stage.fetch(name);
        assert_eq!(stage.upstream.gets(&stage.channel.path(name)), 1, "{name}");
    }
}

#[test]
fn validators_are_strong_and_stay_the_same() {
    let stage = stage();
    stage.know_index();
    let cold = stage.get(&stage.channel.path("alpha"));
    let warm = stage.gate.settle(&stage.channel.path("alpha"));
    let etag = warm.must("etag");
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 4, "{etag}");
    assert_eq!(
        cold.must("etag"),
        etag,
        "a resumed download must see the same ETag before and after the fill"
    );
    assert_eq!(cold.must("last-modified"), warm.must("last-modified"), "and the same date");
    assert_eq!(warm.must("accept-ranges"), "bytes");
}

#[test]
fn an_etag_sent_before_the_digest_is_known_is_the_one_sent_later() {
    let stage = stage();
    let path = stage.channel.path("alpha");
    let cold = stage.get(&path);
    if let Some(etag) = cold.header("etag") {
        assert_eq!(stage.get(&path).must("etag"), etag, "a resumed download would begin again");
    }
    cold.expect(200);
}

#[test]
fn compressed_files_are_never_coded_again() {
    let stage = stage();
    let files = ["repodata.json.zst", "repodata.json.bz2", "alpha-1.0-0.conda", "old-1.0-0.tar.bz2"];
    for file in files {
        let path = stage.channel.at("noarch", file);
        for _ in 0..2 {
            let answer =
                stage.gate.ask(&Request::get(&path).header("Accept-Encoding", "gzip, deflate, zstd, br"));
            assert_eq!(answer.header("content-encoding"), None, "{file}");
            answer.expect(200);
        }
    }
}

#[test]
fn headers_of_upstream_stay_upstream() {
    let stage = stage();
    let path = stage.channel.path("alpha");
    let file = File::new(stage.channel.get("alpha").bytes.clone())
        .with("Age", "99999")
        .with("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
        .with("Set-Cookie", "__cf_bm=secret")
        .with("Server", "upstream-server");
    stage.upstream.put_file(&path, file);
    for _ in 0..2 {
        let answer = stage.get(&path);
        for name in ["age", "expires", "set-cookie"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_ne!(answer.header("server"), Some("upstream-server"));
        answer.expect(200);
    }
}

#[test]
fn channels_that_list_the_same_digest_share_one_blob() {
    let upstream = Upstream::start();
    let one = Channel::new("one").with("noarch", &package("alpha", "1.0"));
    let two = one.renamed("two");
    one.publish(&upstream);
    two.publish(&upstream);
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    for channel in [&one, &two] {
        gate.get(&channel.at("noarch", "repodata.json")).expect(200);
        assert_eq!(gate.get(&channel.path("alpha")).expect(200), channel.get("alpha").bytes);
    }
    assert_eq!((upstream.gets(&one.path("alpha")), upstream.gets(&two.path("alpha"))), (1, 0));
}

#[test]
fn what_rattler_sends_along_is_harmless() {
    let stage = stage();
    let path = stage.channel.path("alpha");
    let right = stage.channel.get("alpha").record["sha256"].as_str().unwrap().to_owned();
    for digest in [right, "0".repeat(64)] {
        let request =
            Request::get(&path).header("X-Expected-Sha256", &digest).header("Cache-Control", "no-store");
        assert_eq!(stage.gate.ask(&request).expect(200), stage.channel.get("alpha").bytes);
    }
    assert_eq!(stage.upstream.gets(&path), 1);
}
