//! The harness itself: the upstream serves and misbehaves as told, the client tells complete from cut.

use std::time::Duration;

use crate::harness::archive::noise;
use crate::harness::{Act, Channel, Connection, End, File, Latch, Request, Upstream, package};

const PATH: &str = "/file";

fn upstream() -> Upstream {
    let upstream = Upstream::start();
    upstream.put(PATH, noise("file", 100_000));
    upstream
}

fn get(upstream: &Upstream) -> crate::harness::Answer {
    Request::get(PATH).send(upstream.address())
}

#[test]
fn serves_files_ranges_and_validators() {
    let upstream = upstream();
    let whole = get(&upstream);
    let etag = whole.must("etag").to_owned();
    let bytes = whole.expect(200);
    assert_eq!(bytes, upstream.content(PATH));
    let cases = [("bytes=10-19", 10..20), ("bytes=99990-", 99_990..100_000), ("bytes=-5", 99_995..100_000)];
    for (range, expected) in cases {
        let part = Request::get(PATH).header("Range", range).send(upstream.address());
        assert_eq!(part.expect(206), bytes[expected]);
    }
    let same = Request::get(PATH).header("If-None-Match", &etag).send(upstream.address());
    assert_eq!(same.status, 304);
    let other = Request::get(PATH).header("Range", "bytes=0-1").header("If-Range", "\"x\"");
    assert_eq!(other.send(upstream.address()).expect(200), bytes);
    assert_eq!(Request::head(PATH).send(upstream.address()).length(), Some(100_000));
    assert_eq!((upstream.gets(PATH), upstream.seen_at(PATH).len()), (6, 7));
}

#[test]
fn cuts_are_seen() {
    let upstream = upstream();
    upstream.script(PATH, [Act::CutBody(500), Act::ResetBody(10), Act::CutUnframed(500), Act::status(500)]);
    let cut = get(&upstream);
    assert_eq!((cut.body.len(), cut.end), (500, End::Cut));
    assert_eq!(get(&upstream).end, End::Cut);
    let unframed = get(&upstream);
    assert_eq!((unframed.body.len(), unframed.end), (500, End::Complete));
    assert_eq!(get(&upstream).status, 500);
    get(&upstream).expect(200);
}

#[test]
fn holds_until_released_and_counts() {
    let upstream = upstream();
    let latch = Latch::new();
    upstream.script(PATH, [Act::HoldBody(1_000, latch.clone())]);
    let mut connection: Connection = Request::get(PATH).begin(upstream.address());
    latch.wait_for_arrival();
    let head = connection.head();
    let first = connection.exactly(1_000);
    latch.open();
    connection.must_become(&head, &first, &upstream.content(PATH));
    assert_eq!(upstream.max_concurrent(), 1);
}

#[test]
fn changes_and_codes_on_command() {
    let upstream = upstream();
    let new = File::new(&b"new"[..]);
    upstream.script(PATH, [Act::Gzip, Act::Throttle(50_000, Duration::from_millis(1)), Act::Swap(new)]);
    let coded = get(&upstream);
    assert_eq!(coded.must("content-encoding"), "gzip");
    assert_ne!(coded.body, upstream.content(PATH));
    assert_eq!(get(&upstream).expect(200).len(), 100_000);
    assert_eq!(get(&upstream).expect(200), b"new");
    assert_eq!(Request::get("/nothing").send(upstream.address()).status, 404);
}

#[test]
fn stopped_means_refused_until_started_again() {
    let mut upstream = upstream();
    let address = upstream.address();
    upstream.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
    upstream.start_again();
    get(&upstream).expect(200);
}

#[test]
fn channels_are_complete() {
    let upstream = Upstream::start();
    let channel = Channel::new("chan")
        .with("noarch", &package("alpha", "1.0").needs("beta"))
        .with("noarch", &package("beta", "2.0").tar_bz2())
        .sharded();
    channel.publish(&upstream);
    let repodata: serde_json::Value =
        serde_json::from_slice(&upstream.content("/chan/noarch/repodata.json")).unwrap();
    assert_eq!(repodata["packages.conda"]["alpha-1.0-0.conda"]["depends"][0], "beta");
    assert_eq!(repodata["packages"]["beta-2.0-0.tar.bz2"]["size"], channel.get("beta").bytes.len());
    assert_eq!(channel.path("alpha"), "/chan/noarch/alpha-1.0-0.conda");
    let shards: Vec<_> = upstream.paths().into_iter().filter(|p| p.contains("/shards/")).collect();
    assert_eq!(shards.len(), 2);
}
