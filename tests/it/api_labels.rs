//! Labels of hosted channels over the API: counted, promoted, renamed, taken away.

use serde_json::{Value, json};

use crate::harness::people::Made;
use crate::harness::{Answer, Publishers, Request, package};

fn ask(hosted: &Publishers, token: &Made, (method, path): (&str, &str), body: Option<&Value>) -> Answer {
    let request = Request::new(method, &format!("/-/api/v1/channels/team/-/{path}"));
    let request = request.header("X-API-Key", &token.secret);
    hosted.gate.ask(&match body {
        Some(body) => request.json(body),
        None => request.header("Content-Length", "0"),
    })
}

fn get(hosted: &Publishers, path: &str) -> Value {
    serde_json::from_slice(&ask(hosted, &hosted.reader, ("GET", path), None).expect(200)).unwrap()
}

/// `label=files` of each.
fn labels(hosted: &Publishers, query: &str) -> Vec<String> {
    let all = get(hosted, &format!("labels{query}"));
    let line = |row: &Value| format!("{}={}", row["label"].as_str().unwrap(), row["files"]);
    all["labels"].as_array().unwrap().iter().map(line).collect()
}

fn put(hosted: &Publishers, name: &str, version: &str, labels: &[&str]) {
    let package = package(name, version).build("noarch");
    let labels: Vec<_> = labels.iter().map(|label| format!("label={label}")).collect();
    let path = format!("/-/api/v1/channels/team/-/packages/noarch/{}?{}", package.file, labels.join("&"));
    hosted.ask(Request::new("PUT", &path).body(&package.bytes)).expect(201);
}

fn stocked() -> Publishers {
    let hosted = Publishers::new("");
    put(&hosted, "alpha", "1.0", &[]);
    put(&hosted, "alpha", "2.0", &["rc"]);
    put(&hosted, "beta", "1.0", &["rc", "main"]);
    put(&hosted, "gamma", "1.0", &["dev/x"]);
    hosted
}

#[test]
fn labels_are_counted_for_who_may_read_the_channel() {
    let hosted = stocked();
    assert_eq!(labels(&hosted, ""), ["dev/x=1", "main=2", "rc=2"]);
    assert_eq!(labels(&hosted, "?name=alpha"), ["main=1", "rc=1"]);
    let page = get(&hosted, "labels?limit=2");
    assert_eq!((&page["next"], page["labels"].as_array().unwrap().len()), (&json!("main"), 2));
    assert_eq!(labels(&hosted, "?limit=2&after=main"), ["rc=2"]);
    assert_eq!(get(&hosted, "labels/dev/x")["files"], 1);
    assert!(get(&hosted, "labels/rc")["bytes"].as_u64().unwrap() > 100);
    assert_eq!(get(&hosted, "packages?label=rc")["packages"].as_array().unwrap().len(), 2);
    assert_eq!(get(&hosted, "packages/noarch/beta-1.0-0.conda/labels"), json!({"labels": ["main", "rc"]}));
    ask(&hosted, &hosted.reader, ("GET", "labels/nothing"), None).expect_problem(404);
    hosted.gate.get("/-/api/v1/channels/team/-/labels").expect_problem(401);
    hosted.gate.get("/-/api/v1/channels/nothing/-/labels").expect_problem(401);
}

#[test]
fn a_label_is_promoted_renamed_and_taken_away_over_all_of_its_files() {
    let hosted = stocked();
    let writer = |what: (&str, &str), body: Option<&Value>| ask(&hosted, &hosted.writer, what, body);
    let changed = |answer: Answer| {
        let said: Value = serde_json::from_slice(&answer.expect(200)).unwrap();
        said["changed"].as_u64().unwrap()
    };
    let promote = json!({"label": "main", "from": "rc", "package": "alpha"});
    assert_eq!(changed(writer(("POST", "labels"), Some(&promote))), 1);
    assert_eq!(changed(writer(("POST", "labels"), Some(&promote))), 0, "nothing is left to do");
    assert_eq!(labels(&hosted, ""), ["dev/x=1", "main=3", "rc=2"]);
    assert_eq!(changed(writer(("PATCH", "labels/rc"), Some(&json!({"label": "old/rc"})))), 2);
    assert_eq!(labels(&hosted, ""), ["dev/x=1", "main=3", "old/rc=2"]);
    // All of them have another one.
    assert_eq!(changed(writer(("DELETE", "labels/old/rc"), None)), 2);
    let refused = writer(("DELETE", "labels/dev/x"), None).expect_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("instead"), "{refused}");
    assert_eq!(changed(writer(("DELETE", "labels/dev/x?instead=main"), None)), 1);
    assert_eq!(labels(&hosted, ""), ["main=4"]);
    // What the index says is what counts.
    let index = hosted.ask(Request::get("/team/noarch/repodata.json")).json();
    assert_eq!(index["packages.conda"].as_object().unwrap().len(), 4);
    assert_eq!(hosted.society.events(&["package.label"]).len(), 6);
}

#[test]
fn changing_labels_takes_the_right_to_every_package_and_a_label_that_is_one() {
    let hosted = stocked();
    let promote = json!({"label": "main", "from": "rc"});
    ask(&hosted, &hosted.reader, ("POST", "labels"), Some(&promote)).expect_problem(403);
    ask(&hosted, &hosted.reader, ("PATCH", "labels/rc"), Some(&json!({"label": "x"}))).expect_problem(403);
    ask(&hosted, &hosted.reader, ("DELETE", "labels/rc?instead=x"), None).expect_problem(403);
    for (method, path, body) in [
        ("POST", "labels", json!({"label": "no label", "from": "rc"})),
        ("POST", "labels", json!({"label": "x"})),
        ("PATCH", "labels/rc", json!({"label": ""})),
        ("DELETE", "labels/dev/x?instead=dev/x", json!({})),
    ] {
        ask(&hosted, &hosted.writer, (method, path), Some(&body)).expect_problem(422);
    }
    ask(&hosted, &hosted.writer, ("PATCH", "labels/none"), Some(&json!({"label": "x"}))).expect_problem(404);
    ask(&hosted, &hosted.writer, ("PUT", "labels"), Some(&promote)).expect_problem(405);
    assert_eq!(labels(&hosted, ""), ["dev/x=1", "main=2", "rc=2"]);
    let key = Request::new("POST", "/-/api/v1/channels/team/-/labels").header("Idempotency-Key", "k");
    let first = hosted.ask(key.json(&promote));
    assert_eq!(first.json()["changed"], 1);
    let key = Request::new("POST", "/-/api/v1/channels/team/-/labels").header("Idempotency-Key", "k");
    assert_eq!(hosted.ask(key.json(&promote)).json()["changed"], 1, "the first answer again");
}
