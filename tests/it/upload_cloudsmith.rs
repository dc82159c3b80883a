//! Publishing with Cloudsmith's API, in one piece and in parts.
//!
//! Belongs here: every step and what is refused at each. Does not: its client (`clients_python_publish`).

use serde_json::{Value, json};

use crate::harness::channel::Package;
use crate::harness::digest::{md5_hex, sha256_hex};
use crate::harness::{Answer, Publishers, Request, package};

fn key(hosted: &Publishers, request: Request) -> Answer {
    hosted.gate.ask(&request.header("X-Api-Key", &hosted.writer.secret))
}

fn post(path: &str, body: &Value) -> Request {
    Request::new("POST", &format!("/api/cloudsmith{path}")).json(body)
}

fn announce(hosted: &Publishers, package: &Package, method: &str) -> Value {
    let body = json!({"filename": package.file, "md5_checksum": md5_hex(&package.bytes), "method": method});
    serde_json::from_slice(&key(hosted, post("/files/team/dev/", &body)).expect(202)).unwrap()
}

fn create(hosted: &Publishers, announced: &Value) -> Answer {
    key(hosted, post("/packages/team/dev/upload/conda/", &json!({"package_file": announced["identifier"]})))
}

fn path<'a>(hosted: &Publishers, announced: &'a Value) -> &'a str {
    announced["upload_url"].as_str().unwrap().strip_prefix(&hosted.gate.url()).unwrap()
}

#[test]
fn in_one_piece() {
    let hosted = Publishers::new("");
    let alpha = package("alpha", "1.0").build("noarch");
    let announced = announce(&hosted, &alpha, "post");
    create(&hosted, &announced).expect_problem(409);
    let fields = announced["upload_fields"].as_object().unwrap();
    let mut parts: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), None, value.as_str().unwrap().as_bytes()))
        .collect();
    parts.push(("file", Some(alpha.file.as_str()), &alpha.bytes));
    let sent = hosted.gate.ask(&Request::new("POST", path(&hosted, &announced)).form(&parts));
    assert_eq!(sent.status, 201, "{}", sent.text());
    let said: Value = serde_json::from_slice(&create(&hosted, &announced).expect(201)).unwrap();
    assert!(said["slug_perm"].is_string() && said["slug"] == alpha.file.as_str(), "{said}");
    let listed = format!("noarch/{} {} main", alpha.file, sha256_hex(&alpha.bytes));
    assert_eq!(hosted.files("team/dev"), [listed]);
    hosted.gate.ask(&post("/files/team/dev/", &json!({"filename": alpha.file}))).expect_problem(401);
    let reader = post("/files/team/dev/", &json!({"filename": alpha.file}));
    hosted.gate.ask(&reader.header("X-Api-Key", &hosted.reader.secret)).expect_problem(403);
    key(&hosted, post("/files/team/dev/", &json!({"filename": "x.zip"}))).expect_problem(422);
    key(&hosted, post("/files/team/dev/", &json!({}))).expect_problem(422);
    key(&hosted, Request::get("/api/cloudsmith/user/self")).expect_problem(404);
}

#[test]
fn in_parts() {
    let hosted = Publishers::new("");
    let large = package("large", "1.0").payload(300_000).build("noarch");
    let announced = announce(&hosted, &large, "put_parts");
    let part = |number: usize, bytes: &[u8], token: &str| {
        let id = announced["identifier"].as_str().unwrap();
        let target = format!("{}?upload_id={id}&part_number={number}", path(&hosted, &announced));
        hosted.gate.ask(&Request::new("PUT", &target).body(bytes).header("X-Api-Key", token))
    };
    let writer = hosted.writer.secret.as_str();
    let complete = || {
        key(
            &hosted,
            post(
                "/files/team/dev/complete/",
                &json!({"upload_id": announced["identifier"], "complete": true}),
            ),
        )
    };
    complete().expect_problem(409);
    let pieces: Vec<&[u8]> = large.bytes.chunks(100_000).collect();
    part(2, pieces[1], writer).expect_problem(409);
    part(1, pieces[0], &hosted.reader.secret).expect_problem(404);
    for (at, piece) in pieces.iter().enumerate() {
        part(at + 1, piece, writer).expect(200);
        part(at + 1, piece, writer).expect_problem(409);
    }
    create(&hosted, &announced).expect_problem(409);
    complete().expect(200);
    create(&hosted, &announced).expect(201);
    let listed = format!("noarch/{} {} main", large.file, sha256_hex(&large.bytes));
    assert_eq!(hosted.files("team/dev"), [listed]);
}

#[test]
fn parts_that_are_not_the_file_publish_nothing() {
    let hosted = Publishers::new("");
    let large = package("large", "1.0").payload(300_000).build("noarch");
    let announced = announce(&hosted, &large, "put_parts");
    let target = format!("{}?part_number=1", path(&hosted, &announced));
    key(&hosted, Request::new("PUT", &target).body(&large.bytes[..100_000])).expect(200);
    let all = json!({"upload_id": announced["identifier"], "complete": true});
    key(&hosted, post("/files/team/dev/complete/", &all)).expect_problem(422);
    create(&hosted, &announced).expect_problem(409);
    // From the beginning again.
    let request = Request::new("PUT", &target)
        .header("X-Api-Key", &hosted.writer.secret)
        .header("Content-Length", &large.bytes.len().to_string());
    let mut cut = request.begin(hosted.gate.address());
    cut.write(&large.bytes[..200_000]);
    drop(cut);
    crate::harness::eventually_true("the part can be sent again", || {
        key(&hosted, Request::new("PUT", &target).body(&large.bytes)).status == 200
    });
    key(&hosted, post("/files/team/dev/complete/", &all)).expect(200);
    create(&hosted, &announced).expect(201);
}
