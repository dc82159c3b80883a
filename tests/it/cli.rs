//! The command line: `check`, `cache status | verify | purge | gc`, exit codes.

use std::fs;
use std::path::Path;

use crate::harness::process::{run, text_of};
use crate::harness::{Channel, Home, Process, Upstream, eventually_true, package, rules};

struct Scene {
    upstream: Upstream,
    channel: Channel,
    other: Channel,
}

fn scene() -> (Scene, Home) {
    let upstream = Upstream::start();
    let channel = Channel::new("chan")
        .with("noarch", &package("alpha", "1.0").payload(100_000))
        .with("noarch", &package("beta", "1.0"));
    let other = Channel::new("other").with("noarch", &package("gamma", "1.0"));
    channel.publish(&upstream);
    other.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    let gate = Process::serve(home);
    for path in [channel.path("alpha"), channel.path("beta"), other.path("gamma")] {
        gate.settle(&path);
    }
    let home = gate.stop();
    (Scene { upstream, channel, other }, home)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn cache(home: &Home, arguments: &[&str]) -> (i32, String) {
    let (data, rules) = (home.data(), home.rules());
    let all = [&["cache"], arguments, &["--data", path(&data), "--rules", path(&rules)]].concat();
    let output = run(&all);
    (output.status.code().expect("an exit code"), text_of(&output))
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [&["serv"][..], &["serve", "--nothing"], &["cache"], &["cache", "explode"], &[]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text_of(&output));
    }
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}

#[test]
fn check_prints_every_mistake_with_file_and_line() {
    let home = Home::new();
    home.write_rules(
        "upstreams:\n  up: {urls: [http://h.example.org], max_concurrency: 3}\nchannels:\n  - {match: \"*\", upstream: nobody}\n  - {name: api/x, upstream: up}\n",
    );
    fs::write(home.rules().join("60-more.yaml"), "files:\n  - {prefix: /, upstream: up}\n").unwrap();
    let rules = home.rules();
    let output = run(&["check", "--rules", path(&rules)]);
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for place in ["50-test.yaml:2", "50-test.yaml:4", "50-test.yaml:5", "60-more.yaml:2"] {
        assert!(text.contains(place), "no {place} in:\n{text}");
    }
    for word in ["max_concurrency", "nobody", "api"] {
        assert!(text.contains(word), "no {word} in:\n{text}");
    }
}

#[test]
fn check_is_content_with_good_rules_and_with_the_examples() {
    let home = Home::new();
    home.write_rules(
        "upstreams:\n  up: {urls: [http://h.example.org]}\nchannels:\n  - {match: \"*\", upstream: up}\n",
    );
    let rules = home.rules();
    let output = run(&["check", "--rules", path(&rules)]);
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/proxy-rules/00-builtin.yaml.example");
    fs::copy(example, home.rules().join("50-test.yaml")).unwrap();
    let output = run(&["check", "--rules", path(&rules)]);
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
}

#[test]
fn serve_with_bad_rules_ends_with_2_and_a_busy_port_with_1() {
    let home = Home::new();
    home.write_rules("channels: 7\n");
    let (data, rules) = (home.data(), home.rules());
    let serve = |listen: &str| {
        let output = run(&["serve", "--listen", listen, "--data", path(&data), "--rules", path(&rules)]);
        (output.status.code(), text_of(&output))
    };
    let (code, text) = serve("127.0.0.1:0");
    assert_eq!(code, Some(2), "{text}");
    home.write_rules("channels: []\n");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let (code, text) = serve(&address);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&address), "which address? {text}");
}

#[test]
fn status_counts_what_is_there() {
    let (_scene, home) = scene();
    let (code, text) = cache(&home, &["status", "--json"]);
    assert_eq!(code, 0, "{text}");
    let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(status.to_string().contains("blobs"), "{status}");
    assert_eq!(cache(&home, &["status"]).0, 0);
}

#[test]
fn verify_finds_a_flipped_and_a_truncated_blob() {
    let (scene, home) = scene();
    assert_eq!(cache(&home, &["verify"]).0, 0);
    home.tampered();
    let flipped = home.blob_of(&scene.channel.get("alpha").bytes);
    flip(&flipped);
    let truncated = home.blob_of(&scene.channel.get("beta").bytes);
    fs::OpenOptions::new().write(true).open(&truncated).unwrap().set_len(10).unwrap();
    let (code, text) = cache(&home, &["verify"]);
    assert_eq!(code, 1, "{text}");
    for blob in [&flipped, &truncated] {
        assert!(!blob.exists(), "a bad blob must not stay where it is served from");
    }
    assert_eq!(cache(&home, &["verify"]).0, 0, "once removed all is well");
    let gate = Process::serve(home);
    assert_eq!(gate.get(&scene.channel.path("alpha")).expect(200), scene.channel.get("alpha").bytes);
    assert_eq!(scene.upstream.gets(&scene.channel.path("alpha")), 2);
}

/// Flips one bit and hides the traces: size and modification time stay.
fn flip(blob: &Path) {
    let times = fs::metadata(blob).unwrap().modified().unwrap();
    let mut bytes = fs::read(blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut permissions = fs::metadata(blob).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a file of this test's own")]
    permissions.set_readonly(false);
    fs::set_permissions(blob, permissions).unwrap();
    fs::write(blob, bytes).unwrap();
    fs::File::options().write(true).open(blob).unwrap().set_modified(times).unwrap();
}

#[test]
fn purge_by_url_channel_and_digest() {
    let (scene, home) = scene();
    let digest = scene.channel.get("alpha").record["sha256"].as_str().unwrap().to_owned();
    let purges: [(&[&str], &str); 3] = [
        (&["purge", "--url", "/chan/noarch/beta-1.0-0.conda"], "beta"),
        (&["purge", "--digest", &digest], "alpha"),
        (&["purge", "--channel", "other"], "gamma"),
    ];
    for (arguments, name) in purges {
        let channel = if name == "gamma" { &scene.other } else { &scene.channel };
        let before = scene.upstream.gets(&channel.path(name));
        let (code, text) = cache(&home, arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}");
        assert!(text.contains("removed: ") && !text.contains("removed: 0"), "{arguments:?}: {text}");
        assert_eq!(before, 1, "{name}");
    }
    let gate = Process::serve(home);
    for (channel, name) in [(&scene.channel, "alpha"), (&scene.channel, "beta"), (&scene.other, "gamma")] {
        gate.get(&channel.path(name)).expect(200);
        assert_eq!(scene.upstream.gets(&channel.path(name)), 2, "{name}");
    }
}

#[test]
fn a_running_gate_is_purged_without_a_restart() {
    let (scene, home) = scene();
    let gate = Process::serve(home);
    let path = scene.channel.path("alpha");
    gate.get(&path).expect(200);
    assert_eq!(scene.upstream.gets(&path), 1);
    let (code, text) = cache(gate.home(), &["purge", "--url", &path]);
    assert_eq!(code, 0, "{text}");
    eventually_true("fetched again", || {
        gate.get(&path).expect(200);
        scene.upstream.gets(&path) == 2
    });
}

#[test]
fn gc_keeps_what_is_listed() {
    let (scene, home) = scene();
    let (code, text) = cache(&home, &["gc"]);
    assert_eq!(code, 0, "{text}");
    let gate = Process::serve(home);
    gate.get(&scene.channel.path("alpha")).expect(200);
    assert_eq!(scene.upstream.gets(&scene.channel.path("alpha")), 1);
}
