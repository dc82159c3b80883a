//! Uploads over the gate's own API, and those of other clients that are not finished.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::channel::Package;
use crate::harness::digest::{md5_hex, sha256_hex};
use crate::harness::people::Made;
use crate::harness::{Answer, Publishers, Request, eventually_true, package};

fn alpha() -> Package {
    package("alpha", "1.0").build("noarch")
}

fn place(package: &Package) -> String {
    format!("/-/api/v1/channels/team/-/packages/noarch/{}", package.file)
}

fn put(package: &Package, query: &str) -> Request {
    Request::new("PUT", &format!("{}{query}", place(package)))
}

fn content_digest(bytes: &[u8]) -> String {
    let bytes = (0..64).step_by(2).map(|n| u8::from_str_radix(&sha256_hex(bytes)[n..n + 2], 16).unwrap());
    format!("sha-512=:AAAA:, sha-256=:{}:", STANDARD.encode(bytes.collect::<Vec<_>>()))
}

#[test]
fn a_package_is_put_where_the_api_has_it() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let fresh = put(&alpha, "?label=rc&label=main").header("If-None-Match", "*");
    let fresh = fresh.header("Content-Digest", &content_digest(&alpha.bytes)).chunked(&alpha.bytes);
    let said: Value = serde_json::from_slice(&hosted.ask(fresh).expect(201)).unwrap();
    assert_eq!((&said["created"], &said["channel"]), (&json!(true), &json!("team")));
    assert_eq!(said["md5"], md5_hex(&alpha.bytes));
    let digest = sha256_hex(&alpha.bytes);
    assert_eq!(hosted.files("team"), [format!("noarch/{} {digest} main,rc", alpha.file)]);
    hosted.ask(put(&alpha, "").body(&alpha.bytes)).expect(200);
    hosted.ask(put(&alpha, "").header("If-None-Match", "*").body(&alpha.bytes)).expect_problem(412);
    let other = package("alpha", "1.0").payload(10).build("noarch");
    hosted.ask(put(&alpha, "").body(&other.bytes)).expect_problem(409);
    hosted.ask(put(&alpha, "?force=perhaps").body(&other.bytes)).expect_problem(422);
    // It has an entity tag.
    let one = place(&alpha);
    let answer = hosted.ask(Request::get(&one));
    let tag = answer.must("etag").to_owned();
    answer.expect(200);
    hosted.ask(Request::get(&one).header("If-None-Match", &tag)).expect(304);
    let yank = || Request::new("POST", &format!("{one}/yank")).header("Content-Length", "0");
    hosted.ask(yank().header("If-Match", "\"another\"")).expect_problem(412);
    hosted.ask(yank().header("If-Match", &tag)).expect(200);
    hosted.ask(Request::new("DELETE", &one).header("If-Match", &tag)).expect_problem(412);
    hosted.ask(Request::new("DELETE", &one)).expect(200);
    // Who may write it is told of it for the week in which it can be restored.
    assert_eq!(hosted.ask(Request::get(&one)).json()["package"]["state"], "deleted");
    hosted.gate.ask(&Request::get(&one).header("X-API-Key", &hosted.reader.secret)).expect_problem(404);
}

#[test]
fn what_is_not_as_its_sender_says_is_not_published() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let wrong = content_digest(b"something else");
    hosted.ask(put(&alpha, "").header("Content-Digest", &wrong).body(&alpha.bytes)).expect_problem(422);
    hosted
        .ask(put(&alpha, "").header("Content-Digest", "sha-256=abc").body(&alpha.bytes))
        .expect_problem(422);
    let two = put(&alpha, "").header("Content-Digest", &wrong);
    hosted
        .ask(two.header("X-Checksum-Sha256", &sha256_hex(&alpha.bytes)).body(&alpha.bytes))
        .expect_problem(422);
    let raw = Request::new("PUT", &format!("/team/noarch/{}", alpha.file));
    hosted.ask(raw.header("Content-Digest", &wrong).body(&alpha.bytes)).expect_problem(422);
    hosted.gate.ask(&put(&alpha, "").body(&alpha.bytes)).expect_problem(401);
    let reader = put(&alpha, "").header("X-API-Key", &hosted.reader.secret);
    hosted.gate.ask(&reader.body(&alpha.bytes)).expect_problem(403);
    let nowhere = format!("/-/api/v1/channels/nothing/-/packages/noarch/{}", alpha.file);
    let nowhere = hosted.ask(Request::new("PUT", &nowhere).body(&alpha.bytes));
    assert!([403, 404].contains(&nowhere.status), "{}", nowhere.status);
    assert_eq!(hosted.files("team"), [""; 0]);
}

fn announce(hosted: &Publishers, package: &Package) -> Value {
    let body = json!({"channels": ["rc"], "sha256": sha256_hex(&package.bytes)});
    let path = format!("/api/stage/team/alpha/1.0/noarch/{}", package.file);
    serde_json::from_slice(&hosted.ask(Request::new("POST", &path).json(&body)).expect(200)).unwrap()
}

fn deliver(hosted: &Publishers, announced: &Value, package: &Package) -> Answer {
    let path = announced["post_url"].as_str().unwrap().strip_prefix(&hosted.gate.url()).unwrap().to_owned();
    let field = |name: &str| announced["form_data"][name].as_str().unwrap().to_owned();
    let (key, secret) = (field("key"), field("secret"));
    hosted.gate.ask(&Request::new("POST", &path).form(&[
        ("key", None, key.as_bytes()),
        ("secret", None, secret.as_bytes()),
        ("file", Some("alpha"), &package.bytes),
    ]))
}

fn uploads(hosted: &Publishers, token: &Made, query: &str) -> Vec<Value> {
    let request = Request::get(&format!("/-/api/v1/uploads{query}")).header("X-API-Key", &token.secret);
    let all: Value = serde_json::from_slice(&hosted.gate.ask(&request).expect(200)).unwrap();
    all["uploads"].as_array().unwrap().clone()
}

fn staged(hosted: &Publishers) -> usize {
    let below = crate::harness::home::files_below(&hosted.home().data());
    below.iter().filter(|file| file.to_string_lossy().contains("staged")).count()
}

#[test]
fn what_was_announced_is_listed_and_can_be_given_up() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let before = staged(&hosted);
    let announced = announce(&hosted, &alpha);
    let id = announced["dist_id"].as_str().unwrap();
    let one = &uploads(&hosted, &hosted.writer, "")[0];
    assert_eq!((&one["id"], &one["by"], &one["state"]), (&json!(id), &json!("ada"), &json!("announced")));
    assert_eq!((&one["channel"], &one["file"]), (&json!("team"), &json!(alpha.file)));
    assert_eq!((&one["labels"], &one["age"]), (&json!(["rc"]), &json!(0)));
    deliver(&hosted, &announced, &alpha).expect(201);
    let arrived = &uploads(&hosted, &hosted.writer, "")[0];
    assert_eq!((&arrived["state"], &arrived["here"]), (&json!("arrived"), &json!(alpha.bytes.len())));
    // Others are told nothing; administrators all.
    assert!(uploads(&hosted, &hosted.reader, "").is_empty());
    assert_eq!(uploads(&hosted, &hosted.root, "?all=true").len(), 1);
    assert!(uploads(&hosted, &hosted.root, "").is_empty());
    let path = format!("/-/api/v1/uploads/{id}");
    let ask = |token: &Made, method: &str, path: &str| {
        hosted.gate.ask(&Request::new(method, path).header("X-API-Key", &token.secret))
    };
    hosted.gate.get("/-/api/v1/uploads").expect_problem(401);
    ask(&hosted.writer, "GET", "/-/api/v1/uploads?all=true").expect_problem(403);
    for method in ["GET", "DELETE"] {
        ask(&hosted.reader, method, &path).expect_problem(404);
    }
    assert_eq!(ask(&hosted.root, "GET", &path).json()["id"], id);
    ask(&hosted.writer, "DELETE", &path).expect(204);
    ask(&hosted.writer, "DELETE", &path).expect_problem(404);
    assert!(uploads(&hosted, &hosted.root, "?all=true").is_empty());
    assert_eq!(staged(&hosted), before, "its room is free at once");
    let finish = json!({"dist_id": id});
    let commit = format!("/api/commit/team/alpha/1.0/noarch/{}", alpha.file);
    hosted.ask(Request::new("POST", &commit).json(&finish)).expect_problem(404);
    assert_eq!(hosted.society.events(&["upload.give_up"]).len(), 1);
    assert_eq!(hosted.files("team"), [""; 0]);
}

#[test]
fn uploads_come_in_pages_and_outlive_a_restart() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    for _ in 0..3 {
        announce(&hosted, &alpha);
    }
    let hosted = hosted.restarted();
    let all = uploads(&hosted, &hosted.writer, "");
    assert_eq!(all.len(), 3);
    let first = uploads(&hosted, &hosted.writer, "?limit=2");
    let rest = uploads(&hosted, &hosted.writer, &format!("?after={}", first[1]["id"].as_str().unwrap()));
    assert_eq!([first, rest].concat(), all);
    let root = &hosted.root;
    let path = format!("/-/api/v1/uploads/{}", all[0]["id"].as_str().unwrap());
    hosted.gate.ask(&Request::new("DELETE", &path).header("X-API-Key", &root.secret)).expect(204);
    assert_eq!(uploads(&hosted, &hosted.writer, "").len(), 2);
}

/// An upload in parts, and where they go.
fn in_parts(hosted: &Publishers, package: &Package) -> String {
    let body =
        json!({"filename": package.file, "md5_checksum": md5_hex(&package.bytes), "method": "put_parts"});
    let request = Request::new("POST", "/api/cloudsmith/files/team/dev/").json(&body);
    let announced = hosted.gate.ask(&request.header("X-Api-Key", &hosted.writer.secret));
    let announced: Value = serde_json::from_slice(&announced.expect(202)).unwrap();
    announced["upload_url"].as_str().unwrap().strip_prefix(&hosted.gate.url()).unwrap().to_owned()
}

#[test]
fn bytes_on_their_way_to_an_upload_that_was_given_up_are_refused() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let path = in_parts(&hosted, &alpha);
    let mut wire = TcpStream::connect(hosted.gate.address()).unwrap();
    wire.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (host, key, length) = (hosted.gate.address(), &hosted.writer.secret, alpha.bytes.len());
    write!(
        wire,
        "PUT {path}?part_number=1 HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {key}\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    wire.write_all(&alpha.bytes[..50]).unwrap();
    let state = || uploads(&hosted, &hosted.writer, "").first().map(|one| one["state"].clone());
    eventually_true("bytes are on their way", || state() == Some(json!("arriving")));
    let id = uploads(&hosted, &hosted.writer, "")[0]["id"].as_str().unwrap().to_owned();
    hosted.ask(Request::new("DELETE", &format!("/-/api/v1/uploads/{id}"))).expect(204);
    wire.write_all(&alpha.bytes[50..100]).unwrap();
    let mut said = [0; 12];
    wire.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 409");
    assert!(uploads(&hosted, &hosted.root, "?all=true").is_empty());
}

#[test]
fn parts_that_are_here_are_counted_and_given_up() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let key = |request: Request| hosted.gate.ask(&request.header("X-Api-Key", &hosted.writer.secret));
    let path = in_parts(&hosted, &alpha);
    key(Request::new("PUT", &format!("{path}?part_number=1")).body(&alpha.bytes[..100])).expect(200);
    let one = &uploads(&hosted, &hosted.writer, "")[0];
    assert_eq!((&one["state"], &one["here"]), (&json!("in_parts"), &json!(100)));
    let id = format!("/-/api/v1/uploads/{}", one["id"].as_str().unwrap());
    hosted.ask(Request::new("DELETE", &id)).expect(204);
    key(Request::new("PUT", &format!("{path}?part_number=2")).body(&alpha.bytes[100..])).expect_problem(404);
    eventually_true("nothing is left", || uploads(&hosted, &hosted.root, "?all=true").is_empty());
}
