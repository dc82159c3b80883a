//! `condagate db`: the store from the command line, on SQLite, and on MongoDB where there is a server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::harness::Home;
use crate::harness::mongodb;
use crate::harness::process::{run, text_of};

/// Runs `condagate db …` on a home; exit code and everything printed.
fn db(home: &Home, arguments: &[&str]) -> (i32, String) {
    let (data, config) = (home.data(), home.config());
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let (data, config) = (path(&data), path(&config));
    let mut all = [&["db"], arguments, &["--data", &data]].concat();
    if home.config().exists() {
        all.extend(["--config", &config]);
    }
    let output = run(&all);
    (output.status.code().expect("an exit code"), text_of(&output))
}

fn done(home: &Home, arguments: &[&str]) -> String {
    let (code, text) = db(home, arguments);
    assert_eq!(code, 0, "{arguments:?}: {text}");
    text
}

fn refused(home: &Home, arguments: &[&str]) -> String {
    let (code, text) = db(home, arguments);
    assert_eq!(code, 1, "{arguments:?}: {text}");
    text
}

fn status(home: &Home) -> serde_json::Value {
    serde_json::from_str(&done(home, &["status", "--json"])).expect("JSON")
}

/// A dump with one user, as the store itself would write it.
fn dump_with_a_user(home: &Home) -> (String, String) {
    let file = home.path("one.dump").display().to_string();
    let header = r#"{"format":"condagate-store","version":1,"schema":3}"#;
    let row = r#"{"table":"users","row":{"id":"u1","name":"Ada","name_key":"ada","email":null,"password":"$argon2id$x","superuser":true,"service":false,"disabled":false,"created":1800000000000,"revision":1}}"#;
    let body = format!("{header}\n{row}\n");
    let digest = crate::harness::digest::sha256_hex(body.as_bytes());
    fs::write(&file, format!("{body}{{\"rows\":1,\"sha256\":\"{digest}\"}}\n")).expect("a dump");
    (file.clone(), fs::read_to_string(&file).expect("the dump"))
}

#[test]
fn a_sqlite_store_is_set_up_looked_at_and_moved() {
    let home = Home::new();
    let text = refused(&home, &["status"]);
    assert!(text.contains("there is no store at ") && text.contains("store.db"), "{text}");
    let text = done(&home, &["setup"]);
    assert!(text.contains("create ") && text.contains("nothing was done"), "{text}");
    assert!(!home.data().join("store.db").exists(), "a plan changes nothing");
    done(&home, &["setup", "--execute"]);
    assert_eq!(done(&home, &["setup", "--execute"]), "the store is ready\n");
    let found = status(&home);
    assert_eq!((&found["engine"], &found["schema"]), (&"sqlite".into(), &3.into()));
    assert!(done(&home, &["status"]).contains("users: 0"));
    moves(&home);
}

/// Load, refusal, dump, replacement; the store is empty at first.
fn moves(home: &Home) {
    let (one, text) = dump_with_a_user(home);
    assert!(done(home, &["load", &one]).contains("1 rows loaded"));
    assert_eq!(status(home)["rows"]["users"], 1);
    let said = refused(home, &["load", &one]);
    assert!(said.contains("the store is not empty: 1 rows"), "{said}");
    let copy = home.path("copy.dump");
    let name = copy.display().to_string();
    // A dump that was killed has left this, and somebody made it readable for all.
    fs::write(home.path("copy.dump.part"), "half").unwrap();
    fs::set_permissions(home.path("copy.dump.part"), fs::Permissions::from_mode(0o644)).unwrap();
    done(home, &["dump", &name]);
    assert_eq!(fs::read_to_string(&copy).unwrap(), text);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!home.path("copy.dump.part").exists());
    fs::write(&copy, &text[..text.len() / 2]).unwrap();
    let said = refused(home, &["load", "--replace", &name]);
    assert!(said.contains("nothing was loaded"), "{said}");
    assert_eq!(status(home)["rows"]["users"], 1);
    done(home, &["load", "--replace", &one]);
    assert_eq!(status(home)["rows"]["users"], 1);
}

#[test]
fn mistakes_in_the_settings_have_file_and_line() {
    let home = Home::new();
    let cases = [
        ("store:\n  mongodb:\n    database: x\n", ":3", "must have one of `uri`"),
        (
            "store:\n  mongodb:\n    uri: MARKED-hunter2\n",
            ":3",
            "`store.mongodb.uri` must give the connection string",
        ),
        ("store:\n  mongodb:\n    uri_file: nowhere\n", ":3", "which can't be read: it is not there"),
        ("store:\n  mongodb: {uri: mongodb://h, uri_env: HOME}\n", ":2", "store.mongodb"),
        ("store:\n  mongodb: {uri: mongodb://h, database: a, queue_database: a}\n", ":2", "two databases"),
        ("store:\n  mongodb: {uri: mongodb://h, database: a/b}\n", ":2", "store.mongodb.database"),
        ("store:\n  mongo: {}\n", ":2", "unknown key `mongo` in `store`"),
        ("store:\n  mongodb: {uri: mongodb://h, ca_file: nowhere}\n", ":2", "not a readable file"),
    ];
    for (config, line, said) in cases {
        home.write_config(config);
        let (code, text) = db(&home, &["status"]);
        assert_eq!(code, 2, "{config}: {text}");
        assert!(text.contains(&format!("condagate.yaml{line}")) && text.contains(said), "{config}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn connection_strings_are_not_shown() {
    let home = Home::new();
    home.write_config(
        "store: {mongodb: {uri: \"mongodb://gate:MARKED-hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=100\"}}\n",
    );
    let config = home.config().display().to_string();
    let output = run(&["config", "show", "--origin", "--config", &config]);
    let text = text_of(&output);
    assert!(text.contains("store.mongodb.uri: mongodb://***@127.0.0.1:1/?***"), "{text}");
    let (code, said) = db(&home, &["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("no MongoDB server that can take writes answered"), "{said}");
    assert!(!format!("{text}{said}").contains("hunter2"), "{text}{said}");
}

#[test]
fn a_mongodb_store_is_set_up_looked_at_and_moved() {
    let Some(uri) = mongodb::uri() else { return };
    let home = Home::new();
    fs::write(home.path("uri"), format!("{uri}\n")).unwrap();
    let database = format!("condagate_cli_{}", std::process::id());
    let settings = format!(
        "store: {{mongodb: {{uri_file: uri, database: {database}, queue_database: {database}_mq}}}}\n"
    );
    home.write_config(&settings);
    let said = refused(&home, &["status"]);
    assert!(said.contains("run `condagate db setup --execute`"), "{said}");
    let planned = done(&home, &["setup"]);
    assert!(planned.contains(&format!("create unique index users_name on {database}.users")), "{planned}");
    assert!(planned.ends_with("nothing was done; `--execute` does it\n"), "{planned}");
    refused(&home, &["status"]);
    done(&home, &["setup", "--execute"]);
    assert_eq!(done(&home, &["setup"]), "the store is ready\n");
    let found = status(&home);
    assert_eq!((&found["engine"], &found["schema"]), (&"mongodb".into(), &3.into()));
    assert!(!found.to_string().contains("gate:"), "{found}");
    moves(&home);
    let elsewhere = Home::new();
    let moved = home.path("moved.dump").display().to_string();
    done(&home, &["dump", &moved]);
    done(&elsewhere, &["load", &moved]);
    assert_eq!(status(&elsewhere)["rows"]["users"], 1);
    assert!(!home.data().join("store.db").exists(), "MongoDB only");
}
