//! Publishing with the file as the body: PUT where it will be got, and quetz.
//!
//! Belongs here: what both have in common with all others too: framing, refusals, what breaks off. Does not: forms (`upload_forms`),
//! anaconda.org's API (`upload_anaconda`).

use crate::harness::channel::Package;
use crate::harness::digest::{md5_hex, sha256_hex};
use crate::harness::{Publishers, Request, eventually_true, package};

fn alpha() -> Package {
    package("alpha", "1.0").build("noarch")
}

fn listed(package: &Package, labels: &str) -> String {
    format!("noarch/{} {} {labels}", package.file, sha256_hex(&package.bytes))
}

fn put(package: &Package) -> Request {
    Request::new("PUT", &format!("/team/noarch/{}", package.file))
}

fn quetz(package: &Package, query: &str) -> Request {
    Request::new("POST", &format!("/api/channels/team/upload/{}{query}", package.file))
}

#[test]
fn put_where_it_will_be_got() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let said = hosted.ask(put(&alpha).body(&alpha.bytes));
    let said: serde_json::Value = serde_json::from_slice(&said.expect(201)).unwrap();
    assert_eq!(said["url"], format!("{}/team/noarch/{}", hosted.gate.url(), alpha.file));
    assert_eq!((&said["sha256"], &said["created"]), (&sha256_hex(&alpha.bytes).into(), &true.into()));
    // The same again is no mistake; other bytes are.
    hosted.ask(put(&alpha).chunked(&alpha.bytes)).expect(200);
    let other = package("alpha", "1.0").payload(10).build("noarch");
    assert!(
        hosted.ask(put(&alpha).body(&other.bytes)).expect_problem(409)["detail"]
            .as_str()
            .unwrap()
            .contains("build")
    );
    assert_eq!(hosted.files("team"), [listed(&alpha, "main")]);
    let labelled = Request::new("PUT", &format!("/team/dev/label/rc/1/noarch/{}", alpha.file));
    hosted.ask(labelled.body(&alpha.bytes)).expect(201);
    assert_eq!(hosted.files("team/dev"), [listed(&alpha, "rc/1")]);
    hosted.ask(Request::new("DELETE", &format!("/team/noarch/{}", alpha.file))).expect(204);
    hosted.ask(Request::new("DELETE", &format!("/team/noarch/{}", alpha.file))).expect_problem(404);
    assert_eq!(hosted.files("team"), [""; 0]);
}

#[test]
fn quetz_takes_the_file_as_it_comes() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let digest = sha256_hex(&alpha.bytes);
    let key = |request: Request| hosted.gate.ask(&request.header("X-API-Key", &hosted.writer.secret));
    key(quetz(&alpha, &format!("?force=False&sha256={digest}")).chunked(&alpha.bytes)).expect(201);
    key(quetz(&alpha, "?force=true").body(&alpha.bytes)).expect(201);
    assert_eq!(hosted.files("team"), [listed(&alpha, "main")]);
    key(quetz(&alpha, "?force=perhaps").body(&alpha.bytes)).expect_problem(422);
    let other = package("alpha", "1.0").payload(10).build("noarch");
    key(quetz(&alpha, "").body(&other.bytes)).expect_problem(409);
    let encoded = Request::new("POST", &format!("/api/channels/team%2Fdev/upload/{}", alpha.file));
    key(encoded.body(&alpha.bytes)).expect(201);
    assert_eq!(hosted.files("team/dev"), [listed(&alpha, "main")]);
    key(Request::new("POST", "/api/channels/team/upload/setup.exe").body(b"x")).expect_problem(422);
    key(Request::get(&format!("/api/channels/team/upload/{}", alpha.file))).expect_problem(405);
}

#[test]
fn a_digest_that_is_not_the_files_publishes_nothing() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let wrong = sha256_hex(b"something else");
    hosted.ask(quetz(&alpha, &format!("?sha256={wrong}")).body(&alpha.bytes)).expect_problem(406);
    hosted.ask(quetz(&alpha, "?sha256=abc").body(&alpha.bytes)).expect_problem(406);
    for (name, value) in [
        ("X-Checksum-Sha256", wrong.as_str()),
        ("X-Checksum-Md5", &md5_hex(b"something else")),
        ("X-Checksum-Sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("X-Checksum-Sha256", "abc"),
    ] {
        hosted.ask(put(&alpha).header(name, value).body(&alpha.bytes)).expect_problem(422);
    }
    assert_eq!(hosted.files("team"), [""; 0]);
    let right = put(&alpha)
        .header("X-Checksum-Sha256", &sha256_hex(&alpha.bytes).to_uppercase())
        .header("X-Checksum-Md5", &md5_hex(&alpha.bytes));
    hosted.ask(right.body(&alpha.bytes)).expect(201);
    // Known bytes are not taken by their digest.
    hosted.ask(put(&alpha).header("X-Checksum-Deploy", "true").body(b"")).expect_problem(404);
}

#[test]
fn who_may_not_is_told_before_the_body_is_sent() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let waiting =
        |request: Request| request.header("Content-Length", "5000000000").header("Expect", "100-continue");
    let with = |token: &str, request: Request| {
        hosted.gate.ask(&waiting(request).header("Authorization", &format!("Bearer {token}")))
    };
    for request in [put(&alpha), quetz(&alpha, "")] {
        let stranger = hosted.gate.ask(&waiting(request.clone()));
        assert!(stranger.header("www-authenticate").is_some(), "{:?}", stranger.head);
        stranger.expect_problem(401);
        with("cg-wrong", request.clone()).expect_problem(401);
        with(&hosted.reader.secret, request).expect_problem(403);
    }
    let elsewhere = Request::new("PUT", &format!("/other/noarch/{}", alpha.file));
    with(&hosted.writer.secret, elsewhere.clone()).expect_problem(405);
    hosted.society.grant("other", "ada", condagate::policy::access::Right::Write);
    let wide = hosted.society.token("ada", &["write:*"]);
    with(&wide.secret, elsewhere).expect_problem(404);
    // Already there with other bytes: known by the digest alone.
    hosted.ask(put(&alpha).body(&alpha.bytes)).expect(201);
    let digest = sha256_hex(b"something else");
    with(&hosted.writer.secret, put(&alpha).header("X-Checksum-Sha256", &digest)).expect_problem(409);
    // One that sends all the same gets to read it too.
    let mut rude = hosted.gate.ask(&put(&alpha).body(&vec![b'x'; 5_000_000]));
    assert_eq!(rude.status, 401);
    rude.body.clear();
    let narrow = hosted.society.token("ada", &["write:team:acme-*"]);
    with(&narrow.secret, put(&alpha)).expect_problem(403);
    let acme = package("acme-tool", "1.0").build("noarch");
    let request = put(&acme).body(&acme.bytes).header("Authorization", &format!("Bearer {}", narrow.secret));
    hosted.gate.ask(&request).expect(201);
}

/// Web servers in front of the gate write all of a body before they look for an answer.
#[test]
fn who_is_refused_at_the_door_gets_to_read_it() {
    let hosted = Publishers::new("security: {trusted_proxies: [127.0.0.1/32]}");
    let alpha = alpha();
    let refused = |request: Request, status: u16| {
        let request = request.header("X-Forwarded-For", "192.0.2.7");
        hosted.ask(request.body(&vec![b'x'; 20_000_000])).expect_problem(status);
    };
    // A token that may write, over plain HTTP from elsewhere; and a method that nothing takes.
    refused(put(&alpha), 403);
    refused(Request::new("PUT", "/conda-forge/noarch/repodata.json"), 405);
    // One that did not wait long for a word.
    refused(put(&alpha).header("Expect", "100-continue"), 403);
    // What is small is read away, and the connection goes on.
    let small = |path: &str| {
        Request::new("PUT", path).header("X-Forwarded-For", "192.0.2.7").header("Content-Length", "3")
    };
    let mut connection = small("/conda-forge/noarch/repodata.json").begin(hosted.gate.address());
    for _ in 0..2 {
        connection.write(b"abc");
        let answer = connection.answer("PUT");
        assert_ne!(answer.header("connection"), Some("close"), "{:?}", answer.head);
        answer.expect_problem(405);
        connection.write(&small("/conda-forge/noarch/repodata.json").bytes(hosted.gate.address()));
    }
}

#[test]
fn curl_waits_for_a_word_and_gets_it() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let request = put(&alpha)
        .header("Authorization", &format!("Bearer {}", hosted.writer.secret))
        .header("Expect", "100-continue")
        .header("Content-Length", &alpha.bytes.len().to_string());
    let mut connection = request.begin(hosted.gate.address());
    assert_eq!(connection.exactly(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write(&alpha.bytes);
    connection.answer("PUT").expect(201);
    assert_eq!(hosted.files("team"), [listed(&alpha, "main")]);
}

#[test]
fn what_breaks_off_leaves_nothing() {
    let hosted = Publishers::new("limits: {receive_timeout: 300ms}");
    let large = package("large", "1.0").payload(1_000_000).build("noarch");
    let most = large.bytes.len() * 99 / 100;
    let begin = |request: Request| {
        let request = request.header("Authorization", &format!("Bearer {}", hosted.writer.secret));
        let mut connection = request.begin(hosted.gate.address());
        connection.write(&large.bytes[..most]);
        connection
    };
    let length = large.bytes.len().to_string();
    drop(begin(put(&large).header("Content-Length", &length)));
    let mut stalled = begin(put(&large).header("Content-Length", &length));
    stalled.answer("PUT").expect_problem(408);
    let mut half = begin(quetz(&large, "").header("Content-Length", &length));
    half.finish_writing();
    half.answer("POST").expect_problem(400);
    let mut chunks = Request::new("PUT", &format!("/team/noarch/{}", large.file))
        .header("Authorization", &format!("Bearer {}", hosted.writer.secret))
        .header("Transfer-Encoding", "chunked")
        .begin(hosted.gate.address());
    chunks.write(b"5\r\nhello\r\nnonsense\r\n");
    chunks.answer("PUT").expect_problem(400);
    assert_eq!(hosted.files("team"), [""; 0]);
    // Nor on the disk.
    let packages = hosted.home().data().join("packages");
    eventually_true("the pieces are gone", || {
        crate::harness::home::files_below(&packages)
            .iter()
            .all(|file| std::fs::metadata(file).map_or(true, |meta| meta.len() < 500_000))
    });
    hosted.ask(put(&large).body(&large.bytes)).expect(201);
}

#[test]
fn a_subdir_that_is_not_the_packages_and_what_is_no_package() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let elsewhere = Request::new("PUT", &format!("/team/linux-64/{}", alpha.file));
    hosted.ask(elsewhere.body(&alpha.bytes)).expect_problem(422);
    hosted.ask(put(&alpha).body(b"no package")).expect_problem(422);
    hosted.ask(put(&alpha).body(&alpha.bytes[..alpha.bytes.len() - 1])).expect_problem(422);
    hosted.ask(Request::new("PUT", "/team/noarch/repodata.json").body(b"{}")).expect_problem(405);
    hosted.ask(Request::new("POST", &format!("/team/noarch/{}", alpha.file)).body(b"x")).expect_problem(405);
    assert_eq!(hosted.files("team"), [""; 0]);
}

#[test]
fn what_a_package_may_need_while_it_is_opened_is_a_setting() {
    let hosted = Publishers::new("upload: {max_unpacked: 1MiB, max_members: 10}");
    let (alpha, large) = (alpha(), package("large", "1.0").payload(2_000_000).build("noarch"));
    hosted.ask(put(&alpha).body(&alpha.bytes)).expect(201);
    let many = (0..10).fold(package("many", "1.0"), |many, n| many.file(&format!("share/many/{n}"), "x"));
    let many = many.build("noarch");
    for (package, says) in [(&large, "1048576"), (&many, "members")] {
        let problem = hosted.ask(put(package).body(&package.bytes)).expect_problem(413);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says) && detail.contains("under `upload:`"), "{detail}");
    }
    assert_eq!(hosted.files("team"), [listed(&alpha, "main")]);
}

#[test]
fn what_the_sender_takes_to_be_there_must_hold() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let tag = format!("\"{}\"", sha256_hex(&alpha.bytes));
    let with = |name: &str, value: &str| put(&alpha).header(name, value).body(&alpha.bytes);
    for (name, value) in [("If-Match", "*"), ("If-Match", tag.as_str())] {
        let said = hosted.ask(with(name, value)).expect_problem(412);
        assert!(said["detail"].as_str().unwrap().contains("is not there"), "{said}");
    }
    assert_eq!(hosted.files("team"), [""; 0]);
    hosted.ask(with("If-None-Match", "*")).expect(201);
    for (name, value, status) in [
        ("If-None-Match", "*", 412),
        ("If-None-Match", tag.as_str(), 412),
        ("If-None-Match", "\"other\"", 200),
        ("If-Match", "\"other\"", 412),
        ("If-Match", "*", 200),
        ("If-Match", tag.as_str(), 200),
    ] {
        assert_eq!(hosted.ask(with(name, value)).status, status, "{name}: {value}");
    }
    // Whoever may not write learns nothing by it.
    hosted.gate.ask(&with("If-Match", "*")).expect_problem(401);
    let delete = |value: &str| {
        Request::new("DELETE", &format!("/team/noarch/{}", alpha.file)).header("If-Match", value)
    };
    hosted.ask(delete("\"other\"")).expect_problem(412);
    hosted.ask(delete(&tag)).expect(204);
    assert_eq!(hosted.files("team"), [""; 0]);
}

#[test]
fn a_part_is_not_taken_for_the_whole() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let range = format!("bytes 0-{}/{}", alpha.bytes.len() - 1, alpha.bytes.len());
    for request in [put(&alpha), quetz(&alpha, "")] {
        let said = hosted.ask(request.header("Content-Range", &range).body(&alpha.bytes)).expect_problem(422);
        assert!(said["detail"].as_str().unwrap().contains("send it whole"), "{said}");
    }
    assert_eq!(hosted.files("team"), [""; 0]);
}
