//! The API against its own description: schemathesis asks all of it, with what the description allows and what it does not.
//!
//! Belongs here: running it. Does not: what is described (`api::v1`).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::gating::Scene;
use crate::harness::process::text_of;
use crate::harness::{Browser, Request, skipped};

/// Whatever is asked is answered as the description says: the status, the kind of document, its shape; and never by a mistake of the gate's.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

fn schemathesis() -> Option<PathBuf> {
    let python = std::env::var_os("CONDAGATE_TEST_PYTHON")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"), PathBuf::from);
    let found = python.parent().map(|bin| bin.join("schemathesis")).filter(|file| file.exists());
    if found.is_none() {
        let missing = format!("no schemathesis beside {}; run tests/run", python.display());
        let required = std::env::var("CONDAGATE_REQUIRE_CLIENTS").is_ok_and(|v| v == "1");
        assert!(!required, "{missing}");
        skipped(&missing);
    }
    found
}

#[test]
fn the_description_is_served_and_shown() {
    let scene = Scene::new("");
    let answer = scene.gate.get("/-/api/v1/openapi.json");
    assert_eq!(answer.must("content-type"), "application/json");
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/docs/openapi.json");
    assert_eq!(answer.text(), std::fs::read_to_string(kept).unwrap());
    let page = Browser::new(&scene.gate).page("/-/ui/api");
    for (path, item) in document["paths"].as_object().unwrap() {
        let server = if item.get("servers").is_some() { "" } else { "/-" };
        assert!(page.contains(&format!("{server}{path}</code>")), "{path}");
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "servers") {
            assert!(
                page.contains(&format!("id=\"{}\"", operation["operationId"].as_str().unwrap())),
                "{method} {path}"
            );
        }
    }
    assert!(page.len() < 300_000, "{} bytes", page.len());
}

#[test]
fn the_api_is_as_its_description_says() {
    let Some(program) = schemathesis() else { return };
    let scene = Scene::new("");
    let token = scene.society.token("root", &["manage:*"]);
    for subdir in ["noarch", "linux-64"] {
        scene.gate.get(&scene.open.at(subdir, "repodata.json")).expect(200);
    }
    let channel = serde_json::json!({"name": "lab", "public": true});
    let made = Request::new("POST", "/-/api/v1/channels").header("X-API-Key", &token.secret).json(&channel);
    scene.gate.ask(&made).expect(201);
    // Other tests run beside it.
    let mut command = Command::new("nice");
    command.arg(program).args(["run", &format!("{}/-/api/v1/openapi.json", scene.gate.url())]);
    command.args(["--header", &format!("Authorization: Bearer {}", token.secret)]);
    command.args([
        "--checks",
        CHECKS,
        "--max-examples",
        "8",
        "--seed",
        "7",
        "--phases",
        "examples,coverage,fuzzing",
    ]);
    command.args(["--request-timeout", "30", "--no-color", "--generation-database", "none"]);
    command.current_dir(scene.gate.home().path("")).env("HOME", scene.gate.home().path(""));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    let output = command.output().expect("running schemathesis");
    assert!(output.status.success(), "{}", text_of(&output));
}
