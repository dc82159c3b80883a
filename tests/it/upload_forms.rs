//! Publishing with forms: prefix.dev, quetz's files, Anaconda's newer API.
//!
//! Belongs here: what is in a form, where it breaks. Does not: what all uploads have in common (`upload_raw`).

use crate::harness::channel::Package;
use crate::harness::digest::sha256_hex;
use crate::harness::{Publishers, Request, package};

fn post(path: &str) -> Request {
    Request::new("POST", path)
}

fn listed(package: &Package) -> String {
    format!("noarch/{} {} main", package.file, sha256_hex(&package.bytes))
}

#[test]
fn prefix_takes_a_file_and_its_attestation() {
    let hosted = Publishers::new("");
    let alpha = package("alpha", "1.0").build("noarch");
    let file = ("file", Some(alpha.file.as_str()), &alpha.bytes[..]);
    let attestation =
        ("attestation", None, &br#"{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}"#[..]);
    let digest = sha256_hex(&alpha.bytes);
    hosted
        .ask(post("/api/v1/upload/team").header("X-File-SHA256", &digest).form(&[file, attestation]))
        .expect(201);
    assert_eq!(hosted.files("team"), [listed(&alpha)]);
    hosted.ask(post("/api/v1/upload/team?force=False").form(&[file])).expect(200);
    hosted.ask(post("/api/v1/upload/team%2Fdev").form(&[attestation, file])).expect(201);
    let other = package("alpha", "1.0").payload(10).build("noarch");
    let other = ("file", Some(alpha.file.as_str()), &other.bytes[..]);
    hosted.ask(post("/api/v1/upload/team").form(&[other])).expect_problem(409);
    hosted.ask(post("/api/v1/upload/team?force=true").form(&[other])).expect_problem(409);
    hosted
        .ask(post("/api/v1/upload/team").header("X-File-SHA256", &digest).form(&[other]))
        .expect_problem(422);
    for form in
        [&[][..], &[attestation], &[file, file], &[("file", None, b"x")], &[("file", Some("x.zip"), b"x")]]
    {
        hosted.ask(post("/api/v1/upload/team").form(form)).expect_problem(422);
    }
    hosted.ask(post("/api/v1/upload/team").body(b"no form")).expect_problem(422);
    hosted.gate.ask(&post("/api/v1/upload/team").form(&[file])).expect_problem(401);
    let reader = format!("Bearer {}", hosted.reader.secret);
    hosted
        .gate
        .ask(&post("/api/v1/upload/team").form(&[file]).header("Authorization", &reader))
        .expect_problem(403);
    hosted.ask(post("/api/v1/upload/other").form(&[file])).expect_problem(403);
    assert_eq!(hosted.files("team"), [listed(&alpha)]);
}

#[test]
fn quetz_takes_several_files() {
    let hosted = Publishers::new("");
    let (alpha, beta) =
        (package("alpha", "1.0").build("noarch"), package("beta", "2.0").tar_bz2().build("noarch"));
    let form = [
        ("force", None, &b"False"[..]),
        ("files", Some(alpha.file.as_str()), &alpha.bytes[..]),
        ("files", Some(beta.file.as_str()), &beta.bytes[..]),
    ];
    let said = hosted.ask(post("/api/channels/team/files/").form(&form));
    let said: serde_json::Value = serde_json::from_slice(&said.expect(201)).unwrap();
    assert_eq!(said.as_array().map(Vec::len), Some(2));
    assert_eq!(hosted.files("team"), [listed(&alpha), listed(&beta)]);
}

#[test]
fn the_newer_api_takes_a_file_and_its_size() {
    let hosted = Publishers::new("");
    let alpha = package("alpha", "1.0").build("noarch");
    let size = alpha.bytes.len().to_string();
    let form = |size: &str, kind: &str| {
        post("/api/repo/channels/team/artifacts").form(&[
            ("content", Some(&alpha.file), &alpha.bytes),
            ("filetype", None, kind.as_bytes()),
            ("size", None, size.as_bytes()),
        ])
    };
    hosted.ask(form("17", "conda1")).expect_problem(422);
    hosted.ask(form(&size, "pypi")).expect_problem(422);
    assert_eq!(hosted.files("team"), [""; 0]);
    hosted.ask(form(&size, "conda")).expect(201);
    assert_eq!(hosted.files("team"), [listed(&alpha)]);
}

#[test]
fn a_form_that_breaks_off_publishes_nothing() {
    let hosted = Publishers::new("");
    let large = package("large", "1.0").payload(500_000).build("noarch");
    let request = post("/api/v1/upload/team")
        .form(&[("file", Some(&large.file), &large.bytes)])
        .header("Authorization", &format!("Bearer {}", hosted.writer.secret));
    let bytes = request.bytes(hosted.gate.address());
    // The last one has the whole file and no end of the form.
    for most in [bytes.len() / 2, bytes.len() * 99 / 100, bytes.len() - 12] {
        let mut connection = crate::harness::Connection::open(hosted.gate.address());
        connection.write(&bytes[..most]);
        connection.finish_writing();
        let status = connection.try_head().ok().flatten().map_or(400, |head| head.status);
        assert!(status >= 400, "{status} after {most} bytes");
    }
    assert_eq!(hosted.files("team"), [""; 0]);
    // Heads without an end are no way to fill the memory.
    let mut endless = format!("--part\r\nX: {}", "x".repeat(3_000_000)).into_bytes();
    endless.extend(b"\r\n\r\n");
    let request = post("/api/v1/upload/team").header("Content-Type", "multipart/form-data; boundary=part");
    hosted.ask(request.body(&endless)).expect_problem(422);
}
