//! An upstream that has shards and no `repodata.json`: every index of the gate is made of them.

use std::time::Duration;

use crate::harness::shards::{decode_index, digests};
use crate::harness::{Act, Channel, Setup, Stage, Upstream, eventually, package, rules};

const INDEX: &str = "repodata_shards.msgpack.zst";

fn channel() -> Channel {
    Channel::new("chan")
        .with("noarch", &package("alpha", "1.0").needs("beta"))
        .with("noarch", &package("beta", "1.0").tar_bz2())
        .with("noarch", &package("gamma", "1.0"))
        .sharded()
}

/// Publishes a channel without any form of `repodata.json`.
fn publish(channel: &Channel, upstream: &Upstream) {
    channel.publish(upstream);
    for path in upstream.paths().iter().filter(|p| p.contains("repodata.json")) {
        upstream.remove(path);
    }
}

fn stage() -> Stage {
    let upstream = Upstream::start();
    publish(&channel(), &upstream);
    let gate = Setup::rules(&rules::all_from_with(&upstream, rules::IMPATIENT)).start();
    Stage { gate, upstream, channel: channel() }
}

/// File names and digests in the gate's `repodata.json`.
fn listed(stage: &Stage) -> Vec<(String, String)> {
    let json = stage.get(&stage.channel.at("noarch", "repodata.json")).expect(200);
    files(&serde_json::from_slice(&json).expect("JSON"))
}

fn files(repodata: &serde_json::Value) -> Vec<(String, String)> {
    let group = |key: &str| repodata[key].as_object().expect("a group").clone();
    let all = group("packages").into_iter().chain(group("packages.conda"));
    all.map(|(file, record)| (file, record["sha256"].as_str().expect("hex").to_owned())).collect()
}

fn shard_paths(stage: &Stage) -> Vec<String> {
    stage.upstream.paths().into_iter().filter(|p| p.contains("/shards/")).collect()
}

#[test]
fn every_index_is_made_of_shards() {
    let stage = stage();
    assert_eq!(listed(&stage), files(&stage.channel.repodata("noarch")));
    let record = |json: &serde_json::Value| {
        let mut record = json["packages.conda"]["alpha-1.0-0.conda"].as_object().expect("a record").clone();
        record.remove("indexed_timestamp");
        record
    };
    let json = stage.get(&stage.channel.at("noarch", "repodata.json")).json();
    assert_eq!(record(&json), record(&stage.channel.repodata("noarch")), "every member is there");
    assert_eq!(json["info"]["subdir"], "noarch");
    let zst = stage.get(&stage.channel.at("noarch", "repodata.json.zst")).expect(200);
    let zst: serde_json::Value =
        serde_json::from_slice(&zstd::stream::decode_all(&zst[..]).expect("zstd")).expect("JSON");
    assert_eq!(zst, json);
    let index = decode_index(&stage.get(&stage.channel.at("noarch", INDEX)).expect(200));
    assert_eq!(digests(&index).len(), 3);
    for digest in digests(&index) {
        stage.get(&stage.channel.at("noarch", &format!("shards/{digest}.msgpack.zst"))).expect(200);
    }
    for name in ["alpha", "beta", "gamma"] {
        stage.fetch(name);
    }
    assert!(shard_paths(&stage).iter().all(|path| stage.upstream.gets(path) == 1), "each shard once");
}

#[test]
fn an_unchanged_index_is_one_conditional_request() {
    let stage = stage();
    let before = listed(&stage);
    for _ in 0..2 {
        let asked = stage.upstream.total();
        stage.gate.advance(Duration::from_mins(25));
        eventually("a refresh", || {
            listed(&stage);
            (stage.upstream.total() > asked).then_some(())
        });
        // Upstream has been asked; what it said must be noted before the clock moves again.
        stage.gate.settle(&stage.channel.at("noarch", "repodata.json"));
        let seen = stage.upstream.seen().split_off(asked);
        let paths: Vec<_> = seen.iter().map(|seen| seen.path.clone()).collect();
        assert_eq!(paths, [stage.channel.at("noarch", INDEX)]);
        assert!(seen[0].header("if-none-match").is_some());
    }
    assert_eq!(listed(&stage), before);
}

#[test]
fn only_changed_shards_are_fetched() {
    let mut stage = stage();
    listed(&stage);
    let old = shard_paths(&stage);
    stage.channel = channel().with("noarch", &package("alpha", "2.0"));
    publish(&stage.channel, &stage.upstream);
    stage.gate.advance(Duration::from_mins(25));
    let expected = files(&stage.channel.repodata("noarch"));
    eventually("the new index", || (listed(&stage) == expected).then_some(()));
    for path in shard_paths(&stage) {
        let superseded_or_same = old.contains(&path);
        assert_eq!(stage.upstream.gets(&path), 1, "{path} (old: {superseded_or_same})");
    }
    assert_eq!(shard_paths(&stage).len(), old.len() + 1);
    // Once upstream has a repodata.json, that counts again.
    stage.channel = channel().with("noarch", &package("alpha", "3.0"));
    stage.channel.publish(&stage.upstream);
    let expected = files(&stage.channel.repodata("noarch"));
    eventually("the index of upstream's repodata.json", || {
        stage.gate.advance(Duration::from_mins(25));
        (listed(&stage) == expected
            && stage.upstream.gets(&stage.channel.at("noarch", "repodata.json.zst")) > 1)
            .then_some(())
    });
}

#[test]
fn trouble_with_one_shard_is_503_and_passes() {
    for trouble in [
        Act::status(404),
        Act::status(500),
        Act::CutBody(10),
        Act::Other(b"wrong".to_vec().into()),
        Act::ResetHead,
        Act::StallHead,
    ] {
        let stage = stage();
        let broken = shard_paths(&stage).remove(1);
        stage.upstream.always(&broken, trouble.clone());
        let answer = stage.get(&stage.channel.at("noarch", INDEX));
        assert_eq!(answer.status, 503, "{trouble:?}: {}", answer.text());
        let answer = stage.get(&stage.channel.at("noarch", "repodata.json"));
        assert!([502, 503].contains(&answer.status), "{trouble:?}: {}", answer.text());
        stage.upstream.behave(&broken);
        eventually("every shard", || {
            stage.gate.advance(Duration::from_mins(2));
            (stage.get(&stage.channel.at("noarch", INDEX)).status == 200).then_some(())
        });
        assert_eq!(listed(&stage), files(&stage.channel.repodata("noarch")));
    }
}

#[test]
fn an_index_that_stops_working_leaves_the_last_one() {
    let stage = stage();
    let before = listed(&stage);
    stage.upstream.put(&stage.channel.at("noarch", INDEX), &b"garbage"[..]);
    let asked = stage.upstream.total();
    stage.gate.advance(Duration::from_mins(25));
    eventually("a refresh", || {
        assert_eq!(listed(&stage), before);
        (stage.upstream.total() > asked).then_some(())
    });
    assert_eq!(listed(&stage), before);
}

#[test]
fn trouble_with_the_shard_index_is_not_absence() {
    let stage = stage();
    stage.upstream.always(&stage.channel.at("noarch", INDEX), Act::status(500));
    for file in [INDEX, "repodata.json"] {
        assert_eq!(stage.get(&stage.channel.at("noarch", file)).status, 503);
    }
    assert_eq!(stage.get(&stage.channel.at("win-64", INDEX)).status, 404, "that subdir is not there at all");
}

#[test]
fn noarch_is_there_where_another_subdir_has_shards() {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("linux-64", &package("tool", "1.0")).sharded().without_noarch();
    publish(&channel, &upstream);
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    let noarch = gate.get(&channel.at("noarch", "repodata.json")).json();
    assert_eq!(noarch["packages.conda"], serde_json::json!({}));
}

#[test]
fn too_many_shards_are_refused_with_a_sentence() {
    let upstream = Upstream::start();
    publish(&channel(), &upstream);
    let gate = Setup::rules(&rules::all_from(&upstream)).gathering_at_most(2).start();
    let answer = gate.get(&channel().at("noarch", "repodata.json"));
    assert!(answer.text().contains("its 3 shards is more than the limit of 2"), "{}", answer.text());
    assert_eq!(gate.get(&channel().at("noarch", INDEX)).status, 503);
    assert!(upstream.paths().iter().filter(|p| p.contains("/shards/")).all(|p| upstream.gets(p) == 0));
}

#[test]
fn where_the_rule_says_so_there_are_shards_and_no_whole_index() {
    let upstream = Upstream::start();
    publish(&channel(), &upstream);
    channel().renamed("whole").publish(&upstream);
    let settings = rules::IMPATIENT;
    let text = format!(
        "builtins: false\nupstreams:\n  up: {{urls: [{}], {settings}}}\nchannels:\n  \
         - {{match: \"*\", upstream: up, ttl: 20m, whole_index: never}}\n",
        upstream.url()
    );
    let gate = Setup::rules(&text).start();
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2", "current_repodata.json"] {
        let problem = gate.get(&format!("/chan/noarch/{file}")).expect_problem(404);
        assert!(problem["detail"].as_str().expect("a sentence").contains("whole_index"), "{problem}");
        gate.get(&format!("/whole/noarch/{file}")).expect(200);
    }
    let index = decode_index(&gate.get(&format!("/chan/noarch/{INDEX}")).expect(200));
    assert_eq!(digests(&index).len(), 3);
    for digest in digests(&index) {
        gate.get(&format!("/chan/noarch/shards/{digest}.msgpack.zst")).expect(200);
    }
    gate.get(&channel().path("alpha")).expect(200);
}
