//! Fills: one download upstream for any number of clients, readable while it runs, verified before it ends.

use std::thread;

use crate::harness::{Act, Channel, Connection, End, Latch, Request, Stage, eventually_true, package};

const BIG: usize = 1_000_000;

fn channel() -> Channel {
    Channel::new("chan").with("noarch", &package("big", "1.0").payload(BIG))
}

#[test]
fn fifty_cold_clients_cause_one_download() {
    let stage = Stage::new(channel());
    stage.know_index();
    let path = stage.channel.path("big");
    let latch = Latch::new();
    stage.upstream.script(&path, [Act::HoldBody(1_000, latch.clone())]);
    let mut connections: Vec<_> = (0..50).map(|_| Request::get(&path).begin(stage.gate.address())).collect();
    latch.wait_for_arrival();
    let heads: Vec<_> = connections.iter_mut().map(Connection::head).collect();
    latch.open();
    thread::scope(|scope| {
        for (connection, head) in connections.iter_mut().zip(&heads) {
            scope.spawn(|| connection.must_become(head, &[], &stage.channel.get("big").bytes));
        }
    });
    assert_eq!(stage.upstream.gets(&path), 1);
}

#[test]
fn the_first_bytes_come_while_upstream_still_sends() {
    let stage = Stage::new(channel());
    stage.know_index();
    let path = stage.channel.path("big");
    let latch = Latch::new();
    stage.upstream.script(&path, [Act::HoldBody(BIG / 2, latch.clone())]);
    let mut client = Request::get(&path).begin(stage.gate.address());
    let head = client.head();
    let first = client.exactly(BIG / 4);
    latch.open();
    client.must_become(&head, &first, &stage.channel.get("big").bytes);
}

#[test]
fn a_package_asked_before_any_index_streams_at_once() {
    let stage = Stage::new(channel());
    let path = stage.channel.path("big");
    let (package, index) = (Latch::new(), Latch::new());
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2", "repodata_shards.msgpack.zst"] {
        stage.upstream.always(&stage.channel.at("noarch", file), Act::HoldHead(index.clone()));
    }
    stage.upstream.script(&path, [Act::HoldBody(BIG / 2, package.clone())]);
    let mut client = Request::get(&path).begin(stage.gate.address());
    let head = client.head();
    let first = client.exactly(BIG / 4);
    package.open();
    index.open();
    client.must_become(&head, &first, &stage.channel.get("big").bytes);
    assert_eq!(stage.upstream.gets(&path), 1);
}

#[test]
fn the_tail_is_held_back_until_the_digest_is_known() {
    let stage = Stage::new(channel());
    let path = stage.channel.path("big");
    let index = Latch::new();
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2", "repodata_shards.msgpack.zst"] {
        stage.upstream.always(&stage.channel.at("noarch", file), Act::HoldHead(index.clone()));
    }
    let mut wrong = stage.channel.get("big").bytes.clone();
    *wrong.last_mut().unwrap() ^= 1;
    stage.upstream.always(&path, Act::Other(wrong.into()));
    let mut client = Request::get(&path).begin(stage.gate.address());
    let head = client.head();
    index.wait_for_arrival();
    index.open();
    if head.status == 200 {
        let (_, end) = client.body("GET", &head);
        assert_eq!(end, End::Cut, "a complete wrong file");
    } else {
        assert!(head.status >= 500, "{head:?}");
    }
    stage.upstream.behave(&path);
    stage.fetch("big");
}

#[test]
fn ranges_are_answered_while_filling() {
    let stage = Stage::new(channel());
    stage.know_index();
    let path = stage.channel.path("big");
    let bytes = stage.channel.get("big").bytes.clone();
    let latch = Latch::new();
    stage.upstream.script(&path, [Act::HoldBody(BIG / 2, latch.clone())]);
    let whole = Request::get(&path).begin(stage.gate.address());
    latch.wait_for_arrival();
    let ask = |range: &str| Request::get(&path).header("Range", range).begin(stage.gate.address());
    let mut early = ask("bytes=1000-200999");
    let early_head = early.head();
    assert_eq!(early_head.status, 206);
    let first = early.exactly(100_000);
    assert_eq!(first, bytes[1_000..101_000]);
    let mut late = ask("bytes=-65536");
    latch.open();
    early.must_become(&early_head, &first, &bytes[1_000..201_000]);
    let late_head = late.head();
    assert_eq!(late_head.status, 206);
    late.must_become(&late_head, &[], &bytes[bytes.len() - 65_536..]);
    drop(whole);
    assert_eq!(stage.upstream.gets(&path), 1);
}

#[test]
fn a_fill_survives_the_client_that_started_it() {
    let stage = Stage::new(channel());
    stage.know_index();
    let path = stage.channel.path("big");
    let latch = Latch::new();
    stage.upstream.script(&path, [Act::HoldBody(BIG / 2, latch.clone())]);
    let mut client = Request::get(&path).begin(stage.gate.address());
    client.head();
    client.exactly(1_000);
    drop(client);
    latch.open();
    stage.fetch("big");
    assert_eq!(stage.upstream.gets(&path), 1);
    eventually_true("no partial file is left", || stage.gate.home().partials().is_empty());
}

#[test]
fn a_client_that_does_not_read_slows_nobody() {
    let channel = Channel::new("chan").with("noarch", &package("huge", "1.0").payload(20_000_000));
    let stage = Stage::new(channel);
    stage.know_index();
    let path = stage.channel.path("huge");
    let mut lazy = Request::get(&path).begin(stage.gate.address());
    let head = lazy.head();
    stage.fetch("huge");
    lazy.must_become(&head, &[], &stage.channel.get("huge").bytes);
    assert_eq!(stage.upstream.gets(&path), 1);
}

#[test]
fn fills_per_upstream_are_capped() {
    let names: Vec<String> = (0..6).map(|n| format!("p{n}")).collect();
    let channel = names.iter().fold(Channel::new("chan"), |c, n| c.with("noarch", &package(n, "1.0")));
    let stage = Stage::with(channel, "max_concurrent: 2");
    stage.know_index();
    let latch = Latch::new();
    for name in &names {
        stage.upstream.script(&stage.channel.path(name), [Act::HoldHead(latch.clone())]);
    }
    thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| stage.fetch(name));
        }
        latch.wait_for_arrival();
        latch.open();
    });
    assert!(stage.upstream.max_concurrent() <= 2, "{} at once", stage.upstream.max_concurrent());
}

#[test]
fn a_fill_resumes_where_upstream_broke_off() {
    let stage = Stage::new(channel());
    stage.know_index();
    let path = stage.channel.path("big");
    stage.upstream.script(&path, [Act::CutBody(BIG / 2)]);
    stage.fetch("big");
    let seen = stage.upstream.seen_at(&path);
    let resumed = seen.iter().rfind(|s| s.method == "GET").unwrap();
    let from = resumed.header("range").expect("the second request asks for the rest");
    assert!(from.starts_with("bytes=") && from.ends_with('-') && from != "bytes=0-", "{from}");
    resumed.header("if-range").expect("only if the file is still the same");
}

#[test]
fn the_next_mirror_takes_over_in_the_middle() {
    let (one, two) = (crate::harness::Upstream::start(), crate::harness::Upstream::start());
    let channel = channel();
    channel.publish(&one);
    channel.publish(&two);
    let path = channel.path("big");
    one.script(&path, [Act::ResetBody(BIG / 2)]);
    for _ in 0..20 {
        one.script(&path, [Act::status(503)]);
    }
    let rules = crate::harness::rules::all_from_urls(&[one.url(), two.url()], "timeouts: {connect: 5s}");
    let gate = crate::harness::Setup::rules(&rules).start();
    assert_eq!(gate.get(&path).expect(200), channel.get("big").bytes);
    assert!(two.gets(&path) <= 1);
}
