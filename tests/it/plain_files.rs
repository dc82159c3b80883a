//! Plain files by prefix: installers with revalidation, local directories with a listing a script can scrape.

use std::fs;
use std::time::Duration;

use crate::harness::archive::noise;
use crate::harness::{Act, End, File, Gate, Request, Setup, Upstream, eventually_true, rules};

const PATH: &str = "/miniconda/Miniconda3-latest-Linux-x86_64.sh";
const LONG: Duration = Duration::from_hours(7 * 24);

fn scene() -> (Gate, Upstream) {
    let upstream = Upstream::start();
    upstream.put(PATH, noise("installer", 300_000));
    let gate = Gate::in_front_of(&upstream);
    (gate, upstream)
}

#[test]
fn installers_are_cached_with_ranges() {
    let (gate, upstream) = scene();
    let body = gate.get(PATH).expect(200);
    assert!(body == upstream.content(PATH));
    assert!(gate.settle(PATH).expect(200) == body);
    let part = gate.ask(&Request::get(PATH).header("Range", "bytes=-100"));
    assert_eq!(part.expect(206), body[body.len() - 100..]);
    assert_eq!(upstream.gets(PATH), 1);
}

#[test]
fn installers_are_revalidated_and_replaced() {
    let (gate, upstream) = scene();
    let first = gate.settle(PATH);
    gate.advance(LONG);
    gate.get(PATH).expect(200);
    eventually_true("a conditional request", || {
        upstream.seen_at(PATH).iter().any(|s| s.header("if-none-match").is_some())
    });
    let new = noise("new installer", 200_000);
    upstream.put(PATH, new.clone());
    // The question upstream saw may get its answer only after the clock has moved, which makes the old copy fresh again.
    eventually_true("the new installer", || {
        gate.advance(LONG);
        gate.get(PATH).expect(200) == new
    });
    assert_ne!(gate.get(PATH).must("etag"), first.must("etag"));
}

#[test]
fn stale_installers_are_served_while_upstream_is_down() {
    let (gate, mut upstream) = scene();
    let body = gate.settle(PATH).expect(200);
    upstream.stop();
    gate.advance(LONG);
    assert!(gate.get(PATH).expect(200) == body);
}

#[test]
fn broken_downloads_of_plain_files_are_never_complete() {
    for fault in [Act::CutBody(100_000), Act::ResetBody(100_000), Act::status(500), Act::StallBody(1_000)] {
        let upstream = Upstream::start();
        upstream.put(PATH, noise("installer", 300_000));
        upstream.always(PATH, fault);
        let gate = Setup::rules(&rules::all_from_with(&upstream, rules::IMPATIENT)).start();
        let answer = gate.get(PATH);
        if answer.status == 200 && answer.end == End::Complete {
            assert!(answer.body == upstream.content(PATH), "parts were put together wrongly");
        } else {
            answer.expect_visibly_bad();
        }
        upstream.behave(PATH);
        eventually_true("the installer", || {
            gate.advance(Duration::from_mins(1));
            let answer = gate.get(PATH);
            answer.status == 200 && answer.body == upstream.content(PATH)
        });
    }
}

#[test]
fn a_resumed_plain_file_that_changed_is_never_glued_together() {
    for deaf in [false, true] {
        let upstream = Upstream::start();
        let (old, new) = (noise("old", 300_000), noise("new", 300_000));
        upstream.put(PATH, old.clone());
        let file = File::new(new.clone());
        upstream
            .script(PATH, [Act::CutBody(100_000), if deaf { Act::SwapDeaf(file) } else { Act::Swap(file) }]);
        let gate = Setup::rules(&rules::all_from_with(&upstream, rules::IMPATIENT)).start();
        let answer = gate.get(PATH);
        if answer.status == 200 && answer.end == End::Complete {
            assert!(answer.body == old || answer.body == new, "two files glued together");
        }
        eventually_true("the new file", || gate.get(PATH).body == new);
    }
}

#[test]
fn the_index_page_of_a_mirror_can_be_scraped() {
    let (gate, upstream) = scene();
    let page = b"<html><a href=\"Miniconda3-latest-Linux-x86_64.sh\">Miniconda3</a></html>";
    let file = File { content_type: "text/html".to_owned(), ..File::new(&page[..]) };
    upstream.put_file("/miniconda/", file);
    let answer = gate.get("/miniconda/");
    assert!(answer.must("content-type").starts_with("text/html"));
    assert_eq!(answer.expect(200), page);
    gate.get("/miniconda/nothing.sh").expect_problem(404);
}

#[test]
fn local_directories_are_served_and_listed() {
    let upstream = Upstream::start();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tool-1.0.sh"), b"#!/bin/sh\n").unwrap();
    fs::write(dir.path().join(".hidden"), b"x").unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/file with space.txt"), b"text").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("leak")).unwrap();
    let rules = format!(
        "{}  - {{prefix: static/extras/, dir: {}}}\n",
        rules::all_from(&upstream),
        dir.path().display()
    );
    let gate = Setup::rules(&rules).start();
    let file = gate.get("/static/extras/tool-1.0.sh");
    file.must("etag");
    file.must("last-modified");
    assert_eq!(file.expect(200), b"#!/bin/sh\n");
    assert_eq!(gate.get("/static/extras/sub/file%20with%20space.txt").expect(200), b"text");
    let part = gate.ask(&Request::get("/static/extras/tool-1.0.sh").header("Range", "bytes=0-1"));
    assert_eq!(part.expect(206), b"#!");
    let page = String::from_utf8(gate.get("/static/extras/").expect(200)).unwrap();
    assert!(page.contains("href=\"tool-1.0.sh\"") && page.contains("href=\"sub/\""), "{page}");
    for path in ["/static/extras/leak", "/static/extras/nothing", "/static/extras/.hidden"] {
        gate.get(path).expect_problem(404);
    }
    gate.get("/static/extras/../../etc/passwd").expect_problem(400);
    assert_eq!(upstream.total(), 0);
}
