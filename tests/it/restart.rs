//! A second life: what was cached is served after a restart, with the upstream gone.

use crate::harness::home::files_below;
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

/// What clients get of a subdir.
fn everything(gate: &crate::harness::Gate, channel: &Channel) -> Vec<(String, Vec<u8>)> {
    let files = [
        "repodata.json",
        "repodata.json.zst",
        "repodata.json.bz2",
        "current_repodata.json",
        "run_exports.json",
        "repodata_shards.msgpack.zst",
    ];
    let mut all: Vec<_> = files
        .iter()
        .map(|file| channel.at("noarch", file))
        .map(|path| (path.clone(), gate.get(&path).expect(200)))
        .collect();
    for digest in digests(&decode_index(&all[5].1)) {
        let path = channel.at("noarch", &format!("shards/{digest}.msgpack.zst"));
        all.push((path.clone(), gate.get(&path).expect(200)));
    }
    all
}

/// A disk changes a byte of some file while the gate is away, and its length stays: nobody is given it.
#[test]
fn damaged_indexes_are_noticed_whatever_was_damaged() {
    let upstream = Upstream::start();
    let channel =
        Channel::new("chan").with("noarch", &package("alpha", "1.0")).with("noarch", &package("beta", "2.0"));
    channel.publish(&upstream);
    let mut gate = Setup::rules(&rules::all_from(&upstream)).start();
    let right = everything(&gate, &channel);
    let mut tried = 0;
    loop {
        let at = gate.now();
        let home = gate.stop();
        let mut files = files_below(&home.data().join("cache/generations"));
        files.retain(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            !["current", "checked"].contains(&name.as_str()) && std::fs::metadata(path).unwrap().len() > 0
        });
        files.sort();
        let Some(path) = files.get(tried) else {
            break;
        };
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x15;
        std::fs::write(path, bytes).unwrap();
        gate = Setup::again(home).at(at).start();
        assert!(everything(&gate, &channel) == right, "after damage to {}", path.display());
        tried += 1;
    }
    assert!(tried >= 8, "{tried} files");
}
