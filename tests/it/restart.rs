//! A second life: what was cached is served after a restart, with the upstream gone.

use crate::harness::shards::{decode_index, digests};
use crate::harness::{Channel, Gate, Setup, Upstream, package, rules};

fn scene() -> (Upstream, Channel, Gate) {
    let upstream = Upstream::start();
    let channel = Channel::new("chan")
        .with("noarch", &package("alpha", "1.0").payload(300_000))
        .with("linux-64", &package("beta", "1.0").tar_bz2())
        .sharded();
    channel.publish(&upstream);
    upstream.put("/miniconda/tool.sh", &b"#!/bin/sh\n"[..]);
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    (upstream, channel, gate)
}

#[test]
fn everything_seen_once_is_served_without_upstream() {
    let (mut upstream, channel, gate) = scene();
    let mut paths = vec![channel.path("alpha"), channel.path("beta"), "/miniconda/tool.sh".to_owned()];
    for subdir in ["noarch", "linux-64"] {
        gate.get(&channel.at(subdir, "repodata.json")).expect(200);
        for file in
            ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst", "run_exports.json.zst"]
        {
            paths.push(channel.at(subdir, file));
        }
    }
    for subdir in ["noarch", "linux-64"] {
        let index = gate.get(&channel.at(subdir, "repodata_shards.msgpack.zst")).expect(200);
        let shards = digests(&decode_index(&index)).into_iter();
        paths.extend(shards.map(|digest| channel.at(subdir, &format!("shards/{digest}.msgpack.zst"))));
    }
    paths.push("/chan/channeldata.json".to_owned());
    let first: Vec<_> =
        paths.iter().map(|p| (gate.get(p).expect(200), gate.settle(p).must("etag").to_owned())).collect();
    let home = gate.stop();
    upstream.stop();
    let gate = Setup::again(home).start();
    for round in 0..2 {
        for (path, (body, etag)) in paths.iter().zip(&first) {
            let answer = gate.get(path);
            assert_eq!(answer.must("etag"), etag, "{path} in round {round}");
            assert!(answer.expect(200) == *body, "{path} in round {round}");
        }
        gate.advance(std::time::Duration::from_hours(24));
    }
}

#[test]
fn what_was_never_seen_is_an_honest_error() {
    let (mut upstream, channel, gate) = scene();
    gate.get(&channel.path("alpha")).expect(200);
    let home = gate.stop();
    upstream.stop();
    let gate = Setup::again(home).start();
    gate.get(&channel.path("alpha")).expect(200);
    let answer = gate.get(&channel.path("beta"));
    assert!((502..=504).contains(&answer.status), "{}: {}", answer.status, answer.text());
    let status = answer.status;
    answer.expect_problem(status);
}

#[test]
fn two_gates_do_not_share_one_data_directory() {
    let upstream = Upstream::start();
    let home = crate::harness::Home::new();
    home.write_rules(&rules::all_from(&upstream));
    let gate = crate::harness::Process::serve(home);
    let (data, rules) = (gate.home().data(), gate.home().rules());
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
        "--rules",
        rules.to_str().unwrap(),
    ];
    let output = crate::harness::process::run(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", crate::harness::process::text_of(&output));
    gate.get("/-/healthz").expect(200);
}
