//! Power cuts and spoilt files: after any of them the next answer has the right bytes.

use std::fs;

use crate::harness::{
    Act, Channel, Home, Latch, Process, Request, Upstream, eventually_true, package, rules,
};

const BIG: usize = 2_000_000;

fn scene() -> (Upstream, Channel, Home) {
    let upstream = Upstream::start();
    let channel = Channel::new("chan")
        .with("noarch", &package("big", "1.0").payload(BIG))
        .with("noarch", &package("small", "1.0"));
    channel.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    (upstream, channel, home)
}

#[test]
fn killed_in_the_middle_of_a_fill() {
    for at in [0, 1, 70_000, BIG / 2, BIG] {
        let (upstream, channel, home) = scene();
        let path = channel.path("big");
        let gate = Process::serve(home);
        gate.get(&channel.path("small")).expect(200);
        stored(&gate, &channel, "small");
        let latch = Latch::new();
        upstream.script(&path, [Act::HoldBody(at, latch.clone())]);
        let mut client = Request::get(&path).begin(gate.address());
        latch.wait_for_arrival();
        if at > 100_000 {
            client.head();
            client.exactly(at / 4);
        }
        let home = gate.kill();
        latch.open();
        home.check_blobs();
        let gate = Process::serve(home);
        assert!(gate.get(&path).expect(200) == channel.get("big").bytes, "killed at {at}");
        assert_eq!(gate.get(&channel.path("small")).expect(200), channel.get("small").bytes);
        assert_eq!(upstream.gets(&channel.path("small")), 1, "finished files survive");
        eventually_true("no partial file is left", || gate.home().partials().is_empty());
        gate.stop().check_blobs();
    }
}

#[test]
fn killed_in_the_middle_of_an_index() {
    let (upstream, channel, home) = scene();
    let gate = Process::serve(home);
    let latch = Latch::new();
    for file in ["repodata.json", "repodata.json.zst"] {
        upstream.script(&channel.at("noarch", file), [Act::HoldBody(100, latch.clone())]);
    }
    let client = Request::get(&channel.at("noarch", "repodata.json")).begin(gate.address());
    latch.wait_for_arrival();
    let home = gate.kill();
    drop(client);
    latch.open();
    let gate = Process::serve(home);
    let index = gate.get(&channel.at("noarch", "repodata.json")).expect(200);
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["packages.conda"], channel.shown("noarch")["packages.conda"]);
}

#[test]
fn killed_again_and_again() {
    let (upstream, channel, mut home) = scene();
    let path = channel.path("big");
    for round in 1..=5 {
        upstream.script(&path, [Act::StallBody(BIG / 8 * round)]);
        let gate = Process::serve(home);
        let mut client = Request::get(&path).begin(gate.address());
        client.head();
        client.exactly(BIG / 16 * round);
        home = gate.kill();
    }
    let gate = Process::serve(home);
    assert!(gate.get(&path).expect(200) == channel.get("big").bytes);
}

/// The blob of a package, once the gate itself serves it.
fn stored(gate: &Process, channel: &Channel, name: &str) -> std::path::PathBuf {
    gate.settle(&channel.path(name));
    gate.home().blob_of(&channel.get(name).bytes)
}

/// Spoils a cached blob while the gate runs, or while it does not, and expects the right bytes.
fn spoilt(spoil: impl Fn(&std::path::Path)) {
    for running in [true, false] {
        let (_upstream, channel, home) = scene();
        home.tampered();
        let gate = Process::serve(home);
        for name in ["big", "small"] {
            gate.get(&channel.path(name)).expect(200);
        }
        let blobs = ["big", "small"].map(|name| stored(&gate, &channel, name));
        let gate = if running {
            for blob in &blobs {
                spoil(blob);
            }
            gate
        } else {
            let home = gate.stop();
            for blob in &blobs {
                spoil(blob);
            }
            Process::serve(home)
        };
        for _ in 0..2 {
            for name in ["big", "small"] {
                let body = gate.get(&channel.path(name)).expect(200);
                let right = &channel.get(name).bytes;
                assert!(
                    body == *right,
                    "{name}, running: {running}: {} bytes for {}",
                    body.len(),
                    right.len()
                );
            }
        }
    }
}

fn writable(blob: &std::path::Path) -> fs::File {
    let mut permissions = fs::metadata(blob).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a file of this test's own")]
    permissions.set_readonly(false);
    fs::set_permissions(blob, permissions).unwrap();
    fs::File::options().read(true).write(true).open(blob).unwrap()
}

#[test]
fn a_truncated_blob_is_noticed_before_use() {
    spoilt(|blob| writable(blob).set_len(100).unwrap());
    spoilt(|blob| writable(blob).set_len(0).unwrap());
}

#[test]
fn a_blob_that_grew_is_noticed() {
    spoilt(|blob| {
        let size = fs::metadata(blob).unwrap().len();
        writable(blob).set_len(size + 1).unwrap();
    });
}

#[test]
fn a_flipped_byte_is_noticed_by_the_times() {
    spoilt(|blob| {
        use std::io::{Seek as _, Write as _};
        let mut file = writable(blob);
        file.seek(std::io::SeekFrom::Start(50)).unwrap();
        file.write_all(b"\xff\x00\xff\x00").unwrap();
    });
}

#[test]
fn a_replaced_or_removed_blob_is_noticed() {
    spoilt(|blob| fs::remove_file(blob).unwrap());
    spoilt(|blob| {
        let size = fs::metadata(blob).unwrap().len();
        let other = blob.with_extension("other");
        fs::write(&other, vec![7; usize::try_from(size).unwrap()]).unwrap();
        fs::rename(&other, blob).unwrap();
    });
}

#[test]
fn a_blob_truncated_while_it_is_sent_never_kills_the_process() {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("huge", "1.0").payload(30_000_000));
    channel.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    home.tampered();
    let gate = Process::serve(home);
    let path = channel.path("huge");
    gate.settle(&path);
    let mut client = Request::get(&path).begin(gate.address());
    let head = client.head();
    client.exactly(1_000);
    writable(&gate.home().blob_of(&channel.get("huge").bytes)).set_len(1_000_000).unwrap();
    let (rest, end) = client.counted(head.length().unwrap() - 1_000);
    let right = rest == channel.get("huge").bytes[1_000..];
    assert!(right || end == crate::harness::End::Cut, "a complete wrong file");
    assert!(gate.get(&path).expect(200) == channel.get("huge").bytes);
}

#[test]
fn a_spoilt_or_lost_database_costs_downloads_and_nothing_else() {
    for lost in [false, true] {
        let (upstream, channel, home) = scene();
        let gate = Process::serve(home);
        gate.settle(&channel.path("small"));
        let home = gate.stop();
        for file in crate::harness::home::files_below(&home.data()) {
            let is_database = file.file_name().is_some_and(|n| n.to_string_lossy().starts_with("cache.db"));
            match (is_database, lost) {
                (true, true) => fs::remove_file(&file).unwrap(),
                (true, false) => fs::write(&file, b"this is no database").unwrap(),
                (false, _) => {}
            }
        }
        let gate = Process::serve(home);
        assert_eq!(gate.get(&channel.path("small")).expect(200), channel.get("small").bytes);
        assert!(upstream.gets(&channel.path("small")) <= 2);
    }
}

#[test]
fn a_disk_that_is_full_streams_or_refuses_and_recovers() {
    let (_upstream, channel, home) = scene();
    home.write_config("cache: {keep_free: 1000000GiB}\n");
    let gate = Process::serve(home);
    for name in ["big", "small"] {
        let answer = gate.get(&channel.path(name));
        if answer.status == 200 && answer.end == crate::harness::End::Complete {
            assert!(answer.body == channel.get(name).bytes);
        } else {
            answer.expect_visibly_bad();
            assert!([200, 502, 503, 507].contains(&answer.status), "{}: {}", answer.status, answer.text());
        }
    }
    gate.get("/-/healthz").expect(200);
    let home = gate.stop();
    home.write_config("cache: {keep_free: 1MiB}\n");
    let gate = Process::serve(home);
    assert!(gate.get(&channel.path("big")).expect(200) == channel.get("big").bytes);
}

/// Root may write anywhere, so a file in the directory's place stands for a disk that takes nothing more.
#[test]
fn a_disk_that_takes_nothing_serves_what_it_has_and_recovers() {
    let (_upstream, channel, home) = scene();
    let gate = Process::serve(home);
    gate.settle(&channel.path("small"));
    let blob = gate.home().blob_of(&channel.get("small").bytes);
    let packages = blob.ancestors().nth(4).expect("packages/blobs/sha256/ab/<hex>").to_owned();
    let (partial, aside) = (packages.join("partial"), packages.join("partial.aside"));
    fs::rename(&partial, &aside).unwrap();
    fs::write(&partial, b"not a directory").unwrap();
    let answer = gate.get(&channel.path("big"));
    if answer.status == 200 && answer.end == crate::harness::End::Complete {
        assert!(answer.body == channel.get("big").bytes);
    } else {
        answer.expect_visibly_bad();
        assert!([500, 503, 507].contains(&answer.status), "{}: {}", answer.status, answer.text());
    }
    assert_eq!(gate.get(&channel.path("small")).expect(200), channel.get("small").bytes);
    gate.get("/-/healthz").expect(200);
    fs::remove_file(&partial).unwrap();
    fs::rename(&aside, &partial).unwrap();
    assert!(gate.get(&channel.path("big")).expect(200) == channel.get("big").bytes);
}

#[test]
fn a_data_directory_that_cannot_be_written_is_said_at_the_start() {
    let (_upstream, _channel, home) = scene();
    fs::write(home.data(), b"a file where a directory should be").unwrap();
    let (data, rules) = (home.data(), home.rules());
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
    let text = crate::harness::process::text_of(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{text}");
    assert!(text.contains(data.to_str().unwrap()), "which directory? {text}");
}
