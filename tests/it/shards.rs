//! Sharded repodata (CEP 16): the gate's own for every channel, trouble never told as absence.

use std::time::Duration;

use crate::harness::digest::sha256_hex;
use crate::harness::shards::decode_index;
use crate::harness::{Act, Channel, Stage, Upstream, eventually, package};

const INDEX: &str = "repodata_shards.msgpack.zst";

fn channel() -> Channel {
    Channel::new("chan")
        .with("noarch", &package("alpha", "1.0").needs("beta"))
        .with("noarch", &package("beta", "1.0").tar_bz2())
}

fn index(stage: &Stage) -> serde_json::Value {
    decode_index(&stage.get(&stage.channel.at("noarch", INDEX)).expect(200))
}

/// Every shard of an index is there, and is what its name says.
fn check_shards(stage: &Stage, index: &serde_json::Value) {
    assert_eq!(index["version"], 1);
    assert_eq!(index["info"]["subdir"], "noarch");
    assert!(["", "./"].contains(&index["info"]["base_url"].as_str().unwrap()), "{}", index["info"]);
    assert_eq!(index["info"]["shards_base_url"], "./shards/");
    let shards = index["shards"].as_object().unwrap();
    assert_eq!(shards.keys().collect::<Vec<_>>(), ["alpha", "beta"]);
    for digest in shards.values() {
        let digest = digest.as_str().unwrap();
        let path = stage.channel.at("noarch", &format!("shards/{digest}.msgpack.zst"));
        for _ in 0..2 {
            let shard = stage.get(&path).expect(200);
            assert_eq!(sha256_hex(&shard), digest);
            let raw = zstd::stream::decode_all(&shard[..]).expect("one good zstd frame");
            let text = String::from_utf8_lossy(&raw);
            assert!(text.contains("packages.conda"), "both maps must be there");
        }
    }
}

/// A channel of which upstream has shards and nothing else.
fn shards_only(channel: Channel) -> Stage {
    let stage = Stage::impatient(channel);
    for path in stage.upstream.paths().iter().filter(|p| p.contains("repodata.json")) {
        stage.upstream.remove(path);
    }
    stage
}

#[test]
fn an_upstream_with_shards_is_answered_with_the_gates_own() {
    let stage = Stage::new(channel().sharded());
    check_shards(&stage, &index(&stage));
    let asked: Vec<_> = stage.upstream.seen().into_iter().map(|seen| seen.path).collect();
    assert!(
        asked.iter().all(|path| !path.contains("shards")),
        "another snapshot than repodata.json: {asked:?}"
    );
}

#[test]
fn a_shard_that_only_upstream_names_is_no_shard_here() {
    let stage = Stage::new(channel().sharded());
    let theirs = decode_index(&stage.upstream.content(&stage.channel.at("noarch", INDEX)));
    let ours = index(&stage);
    for (name, digest) in theirs["shards"].as_object().unwrap() {
        if ours["shards"][name] != *digest {
            let path =
                stage.channel.at("noarch", &format!("shards/{}.msgpack.zst", digest.as_str().unwrap()));
            stage.get(&path).expect_problem(404);
        }
    }
}

#[test]
fn shards_come_back_after_a_purge_of_everything() {
    let stage = Stage::new(channel());
    let old = index(&stage);
    let generations = stage.gate.home().data().join("cache/generations");
    let Stage { gate, upstream, channel } = stage;
    let home = gate.stop();
    std::fs::remove_dir_all(&generations).unwrap();
    let stage = Stage { gate: crate::harness::Setup::again(home).start(), upstream, channel };
    check_shards(&stage, &old);
}

#[test]
fn absolute_base_urls_never_lead_past_the_gate() {
    let elsewhere = Upstream::start();
    for base in ["http://other.example.org/shards/".to_owned(), format!("{}/away/", elsewhere.url())] {
        let stage = shards_only(channel().sharded_at(&base, "http://other.example.org/packages/"));
        for path in stage.upstream.paths().iter().filter(|p| p.contains("/shards/")) {
            let name = path.rsplit('/').next().unwrap();
            elsewhere.put(&format!("/away/{name}"), stage.upstream.content(path));
            stage.upstream.remove(path);
        }
        let answer = stage.get(&stage.channel.at("noarch", INDEX));
        if !base.contains("away") {
            assert!([502, 503].contains(&answer.status), "{}", answer.status);
            continue;
        }
        let raw = zstd::stream::decode_all(&answer.expect(200)[..]).unwrap();
        assert!(!String::from_utf8_lossy(&raw).contains("http://"), "an absolute URL in the shard index");
        check_shards(&stage, &index(&stage));
        let json = stage.get(&stage.channel.at("noarch", "repodata.json")).expect(200);
        assert!(!String::from_utf8_lossy(&json).contains("http://"), "an absolute URL in repodata.json");
    }
    assert!(elsewhere.total() > 0, "the gate fetches shards where upstream keeps them");
}

#[test]
fn shards_in_the_subdir_itself_work() {
    let stage = shards_only(channel().sharded_at("", ""));
    for path in stage.upstream.paths().iter().filter(|p| p.contains("/shards/")) {
        stage.upstream.put(&path.replace("/shards/", "/"), stage.upstream.content(path));
        stage.upstream.remove(path);
    }
    check_shards(&stage, &index(&stage));
}

#[test]
fn upstream_trouble_on_the_shard_index_is_503_never_404() {
    let troubles = [
        Act::status(500),
        Act::status(502),
        Act::status_with(429, "Retry-After", "1"),
        Act::ResetHead,
        Act::StallHead,
        Act::CutBody(10),
        Act::html(),
        Act::Other(b"garbage".to_vec().into()),
    ];
    for trouble in troubles {
        let stage = Stage::impatient(channel().sharded());
        for path in stage.upstream.paths() {
            stage.upstream.always(&path, trouble.clone());
        }
        let answer = stage.get(&stage.channel.at("noarch", INDEX));
        assert_eq!(answer.status, 503, "{trouble:?}");
        for path in stage.upstream.paths() {
            stage.upstream.behave(&path);
        }
        eventually("the shard index once upstream is well", || {
            stage.gate.advance(Duration::from_mins(1));
            (stage.get(&stage.channel.at("noarch", INDEX)).status == 200).then_some(())
        });
    }
}

#[test]
fn a_refusal_by_upstream_is_no_absence_and_no_question_for_credentials() {
    for status in [401, 403] {
        let stage = Stage::impatient(channel().sharded());
        for path in stage.upstream.paths() {
            stage.upstream.always(&path, Act::status(status));
        }
        let answer = stage.get(&stage.channel.at("noarch", INDEX));
        assert!([403, 503].contains(&answer.status), "{status} became {}", answer.status);
    }
}

#[test]
fn an_unreachable_upstream_is_503_on_the_shard_index() {
    let mut stage = Stage::impatient(channel().sharded());
    stage.upstream.stop();
    let answer = stage.get(&stage.channel.at("noarch", INDEX));
    answer.expect_problem(503);
}

#[test]
fn a_channel_that_exists_has_shards_even_if_upstream_has_none() {
    let stage = Stage::new(channel());
    check_shards(&stage, &index(&stage));
}

#[test]
fn superseded_shards_stay() {
    let stage = Stage::new(channel().sharded());
    let old = index(&stage);
    check_shards(&stage, &old);
    for path in stage.upstream.paths().iter().filter(|p| p.contains("/shards/")) {
        stage.upstream.remove(path);
    }
    let newer = channel().with("noarch", &package("alpha", "2.0")).sharded();
    newer.publish(&stage.upstream);
    stage.gate.advance(Duration::from_hours(1));
    let current =
        eventually("the new index", || Some(index(&stage)).filter(|i| i["shards"] != old["shards"]));
    check_shards(&stage, &current);
    check_shards(&stage, &old);
}

#[test]
fn packages_of_a_shards_only_channel_are_verified_by_their_shard() {
    let stage = shards_only(channel().sharded());
    check_shards(&stage, &index(&stage));
    let path = stage.channel.path("alpha");
    let mut wrong = stage.channel.get("alpha").bytes.clone();
    wrong[100] ^= 1;
    stage.upstream.always(&path, Act::Other(wrong.into()));
    stage.get(&path).expect_visibly_bad();
    stage.upstream.behave(&path);
    stage.fetch_eventually("alpha");
}

#[test]
fn a_package_asked_for_before_any_index_is_verified_by_upstreams_shard() {
    let stage = Stage::impatient(channel().sharded());
    for path in stage.upstream.paths().iter().filter(|p| p.contains("repodata.json")) {
        stage.upstream.always(path, Act::status(500));
    }
    let path = stage.channel.path("alpha");
    let mut wrong = stage.channel.get("alpha").bytes.clone();
    wrong[100] ^= 1;
    stage.upstream.always(&path, Act::Other(wrong.into()));
    stage.get(&path).expect_visibly_bad();
    stage.upstream.behave(&path);
    stage.fetch_eventually("alpha");
    let shards = stage.upstream.paths().into_iter().filter(|p| p.contains("/shards/"));
    assert_eq!(shards.filter(|p| stage.upstream.gets(p) > 0).count(), 1, "one shard told its digest");
}
