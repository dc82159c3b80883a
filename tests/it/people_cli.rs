//! `condagate user | group | token | channel | audit`: people from the command line, on SQLite, and on MongoDB where there
//! is a server. What is refused is in `people_cli_refusals`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::harness::mongodb;
use crate::harness::process::{run_with_input, text_of};

/// What people type in these tests; it must not come out anywhere.
pub const PASSWORD: &str = "marked horse battery staple";

/// Runs `condagate …` on a home.
pub fn output(home: &Home, arguments: &[&str], input: &str) -> Output {
    let (data, config) = (home.data().display().to_string(), home.config().display().to_string());
    let mut all = [arguments, &["--data", &data]].concat();
    if home.config().exists() {
        all.extend(["--config", &config]);
    }
    let output = run_with_input(&all, input.as_bytes());
    assert!(!text_of(&output).contains(PASSWORD), "{arguments:?}: {}", text_of(&output));
    output
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

/// Standard output of a command that must be done.
pub fn done(home: &Home, arguments: &[&str]) -> String {
    done_with(home, arguments, "")
}

pub fn done_with(home: &Home, arguments: &[&str], input: &str) -> String {
    let output = output(home, arguments, input);
    assert_eq!(code(&output), 0, "{arguments:?}: {}", text_of(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Everything that a command printed that must end so.
pub fn ends_with(home: &Home, wanted: i32, arguments: &[&str], input: &str) -> String {
    let output = output(home, arguments, input);
    assert_eq!(code(&output), wanted, "{arguments:?}: {}", text_of(&output));
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", text_of(&output));
    text_of(&output)
}

pub fn json_of(home: &Home, arguments: &[&str]) -> Value {
    let text = done(home, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// One key of every row.
fn column<'a>(rows: &'a Value, key: &str) -> Vec<&'a str> {
    rows.as_array().expect("rows").iter().map(|row| row[key].as_str().unwrap_or("-")).collect()
}

pub fn administrator(home: &Home) {
    let create = ["user", "create", "--username", "root", "--superuser", "--password-stdin"];
    done_with(home, &create, &format!("{PASSWORD}\n"));
}

/// Everything that a team does in its first week.
fn a_week(home: &Home) {
    let said = done_with(
        home,
        &[
            "user",
            "create",
            "--username",
            "Root",
            "--superuser",
            "--password-stdin",
            "--email",
            "r@example.org",
        ],
        &format!("{PASSWORD}\n"),
    );
    assert!(said.starts_with("there is now the superuser `Root` (id "), "{said}");
    fs::write(home.path("pw"), format!("{PASSWORD}\n")).unwrap();
    let file = home.path("pw").display().to_string();
    done(home, &["user", "create", "--username", "ada", "--password-file", &file]);
    let bot = json_of(home, &["user", "create", "--username", "ci", "--service"]);
    assert_eq!(
        (&bot["name"], &bot["service"], &bot["password"]),
        (&json!("ci"), &json!(true), &json!(false))
    );
    let users = json_of(home, &["user", "list"]);
    assert_eq!(column(&users, "name"), ["ada", "ci", "Root"]);
    assert_eq!((&users[2]["superuser"], &users[2]["email"]), (&json!(true), &json!("r@example.org")));
    assert!(done(home, &["user", "list"]).lines().any(|line| line.starts_with("ci    service")));
    groups_and_grants(home);
    let secrets = tokens(home);
    changes_of_users(home);
    let everything = [
        done(home, &["audit", "list", "--limit", "1000"]),
        done(home, &["audit", "list", "--limit", "1000", "--json"]),
        done(home, &["token", "list", "--json"]),
        done(home, &["user", "list", "--json"]),
    ];
    for secret in secrets {
        assert!(!everything.concat().contains(&secret), "a secret was shown again");
    }
    assert!(!everything.concat().contains("$argon2id"));
    trail(home);
}

fn groups_and_grants(home: &Home) {
    done(home, &["group", "create", "acme", "--description", "all of us"]);
    let said = done(home, &["group", "add", "acme", "ada", "ci"]);
    assert_eq!(said, "`ada` is in the group `acme`\n`ci` is in the group `acme`\n");
    let said = json_of(home, &["group", "add", "acme", "ADA"]);
    assert_eq!(said, json!({"group": "acme", "users": [{"user": "ada", "changed": false}]}));
    done(home, &["group", "remove", "acme", "ci"]);
    let groups = json_of(home, &["group", "list"]);
    assert_eq!((&groups[0]["members"], &groups[0]["description"]), (&json!(["ada"]), &json!("all of us")));
    done(home, &["channel", "grant", "team", "--group", "acme", "--right", "read"]);
    done(home, &["channel", "grant", "lab/*", "--user", "ci", "--right", "write"]);
    let said = done(home, &["channel", "grant", "Team", "--group", "acme", "--right", "read"]);
    assert!(said.contains("had before; nothing was done"), "{said}");
    let grants = json_of(home, &["channel", "grants"]);
    let mut names = column(&grants, "name");
    names.sort_unstable();
    assert_eq!(names, ["acme", "ci"]);
    let grants = json_of(home, &["channel", "grants", "--user", "ci"]);
    assert_eq!((column(&grants, "channels"), column(&grants, "right")), (vec!["lab/*"], vec!["write"]));
    let said = done(home, &["channel", "revoke", "lab/*", "--user", "ci"]);
    assert_eq!(said, "the user `ci` no longer has `write` on `lab/*`\n");
    assert_eq!(json_of(home, &["channel", "grants", "--user", "ci"]), json!([]));
}

/// Gives every secret that was shown.
fn tokens(home: &Home) -> Vec<String> {
    let shown = output(home, &["token", "create", "--user", "ada", "--name", "laptop"], "");
    let secret = String::from_utf8(shown.stdout.clone()).unwrap().trim_end().to_owned();
    assert!(secret.starts_with("cg-") && secret.len() == 52, "standard output has the token alone");
    let said = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(said.contains("is good for read:* until ") && !said.contains(&secret), "{said}");
    let create = ["token", "create", "--user", "ci", "--scope", "write:lab/*:acme-*", "--scope", "read:*"];
    let ci = json_of(home, &[&create[..], &["--expires", "never"]].concat());
    assert_eq!((&ci["user"], &ci["expires"]), (&json!("ci"), &Value::Null));
    assert_eq!(ci["scopes"], json!(["write:lab/*:acme-*", "read:*"]));
    let id = ci["id"].as_str().unwrap();
    let next = json_of(home, &["token", "rotate", &id[..10], "--overlap", "1h"]);
    let list = json_of(home, &["token", "list", "--user", "ci"]);
    let row = |id: &str| list.as_array().unwrap().iter().find(|row| row["id"] == id).unwrap().clone();
    assert_eq!(row(id)["successor"], next["id"]);
    assert!(row(id)["expires"].is_string() && row(next["id"].as_str().unwrap())["expires"].is_null());
    let revoked = json_of(home, &["token", "revoke", id]);
    assert_eq!((&revoked["state"], &revoked["user"]), (&json!("revoked"), &json!("ci")));
    let said = done(home, &["token", "revoke", id]);
    assert!(said.contains("was revoked before; nothing was done"), "{said}");
    assert_eq!(json_of(home, &["token", "list"]).as_array().unwrap().len(), 3);
    let text = done(home, &["token", "list", "--user", "ada"]);
    assert!(text.starts_with("ID ") && text.contains("laptop  active  read:*"), "{text}");
    let tokens = [secret.as_str(), ci["token"].as_str().unwrap(), next["token"].as_str().unwrap()];
    tokens.map(str::to_owned).to_vec()
}

fn changes_of_users(home: &Home) {
    done_with(home, &["user", "passwd", "ada", "--password-stdin"], &format!("{PASSWORD}, once more"));
    done(home, &["user", "set-superuser", "ada", "on"]);
    let said = done(home, &["user", "set-superuser", "ada", "on"]);
    assert_eq!(said, "`ada` is a superuser already; nothing was done\n");
    assert_eq!(json_of(home, &["user", "disable", "root"])["disabled"], true);
    let said = ends_with(home, 1, &["user", "set-superuser", "ada", "off"], "");
    assert!(said.contains("`ada` is the last superuser that is not disabled"), "{said}");
    done(home, &["user", "enable", "root"]);
    assert_eq!(done(home, &["user", "set-email", "ada", "ada@example.org"]), "`ada` has this address now\n");
    let said = ends_with(home, 2, &["user", "set-email", "ada", "nowhere"], "");
    assert!(said.contains("address"), "{said}");
    assert_eq!(json_of(home, &["user", "set-email", "ada"])["email"], json!(null));
    assert_eq!(done(home, &["user", "delete", "ci", "--yes"]), "`ci` is gone\n");
    let tokens = json_of(home, &["token", "list"]);
    let of_ci = tokens.as_array().unwrap().iter().filter(|row| row["user"].is_null());
    assert!(of_ci.clone().count() == 2 && of_ci.clone().all(|row| row["state"] == "revoked"), "{tokens}");
    done(home, &["group", "delete", "acme", "--yes"]);
    assert_eq!(json_of(home, &["channel", "grants"]), json!([]));
}

fn trail(home: &Home) {
    let events = json_of(home, &["audit", "list"]);
    let kinds = column(&events, "kind");
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("group.delete", "user.create"), "the newest first");
    assert!(column(&events, "actor").iter().all(|actor| actor.starts_with("system:cli:")));
    assert_eq!(json_of(home, &["audit", "list", "--limit", "2"]).as_array().unwrap().len(), 2);
    let made = json_of(home, &["audit", "list", "--kind", "token.create", "--kind", "token.rotate"]);
    assert_eq!(column(&made, "kind"), ["token.rotate", "token.create", "token.create"]);
    assert_eq!(made[2]["detail"]["owner_name"], "ada");
    let actor = events[0]["actor"].as_str().unwrap();
    let by = json_of(home, &["audit", "list", "--actor", actor, "--since", "1d"]);
    assert_eq!(by.as_array().unwrap().len(), events.as_array().unwrap().len());
    assert_eq!(json_of(home, &["audit", "list", "--actor", "ada"]), json!([]));
    assert_eq!(json_of(home, &["audit", "list", "--until", "2020-01-01"]), json!([]));
    assert!(done(home, &["audit", "list"]).starts_with("AT "));
}

#[test]
fn a_team_is_set_up_on_sqlite() {
    let home = Home::new();
    a_week(&home);
    let mode = fs::metadata(home.data().join("store.db")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "hashes of passwords are this user's only");
}

#[test]
fn a_team_is_set_up_on_mongodb() {
    let Some(uri) = mongodb::uri() else { return };
    let home = Home::new();
    fs::write(home.path("uri"), uri).unwrap();
    let database = format!("condagate_people_{}", std::process::id());
    home.write_config(&format!(
        "store: {{mongodb: {{uri_file: uri, database: {database}, queue_database: {database}_mq}}}}\n"
    ));
    let said = ends_with(&home, 1, &["user", "create", "--username", "x", "--service"], "");
    assert!(said.contains("run `condagate db setup --execute`"), "{said}");
    done(&home, &["db", "setup", "--execute"]);
    a_week(&home);
    assert!(!home.data().join("store.db").exists(), "MongoDB only");
}

/// A dump of the store with other rows, which `change` makes of those that are there.
fn changed_dump(home: &Home, change: impl FnOnce(&mut Vec<String>)) -> String {
    let copy = home.path("dump").display().to_string();
    done(home, &["db", "dump", &copy]);
    let text = fs::read_to_string(&copy).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.pop();
    change(&mut lines);
    let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let digest = crate::harness::digest::sha256_hex(body.as_bytes());
    let end = json!({"rows": lines.len() - 1, "sha256": digest});
    fs::write(&copy, format!("{body}{end}\n")).unwrap();
    copy
}

fn place_of(lines: &[String], table: &str) -> usize {
    let begin = format!(r#"{{"table":"{table}""#);
    lines.iter().position(|line| line.starts_with(&begin)).unwrap()
}

/// Who downloaded a file.
fn downloads(user: &str, digest: &str) -> Vec<String> {
    let row = |actor: &str, token: &str, address: &str, day: u32| {
        json!({"table": "downloads", "row": {
            "sha256": digest, "file": "team/noarch/xz-5.6.0-0.conda", "day": day, "actor": actor, "token": token,
            "address": address, "count": 2,
        }})
        .to_string()
    };
    let mut rows = vec![
        row("anonymous", "", "2001:db8::9", 20_000),
        row(&format!("user:{user}"), "tok1", "192.0.2.7", 20_001),
        row("user:~gone", "tok2", "192.0.2.8", 20_001),
    ];
    rows.sort_unstable();
    rows
}

#[test]
fn after_a_recall_it_is_known_who_has_the_file() {
    let home = Home::new();
    administrator(&home);
    let user = json_of(&home, &["user", "list"])[0]["id"].as_str().unwrap().to_owned();
    let digest = "ab".repeat(32);
    let rows = downloads(&user, &digest);
    let dump = changed_dump(&home, |lines| {
        let at = place_of(lines, "audit");
        lines.splice(at..at, rows);
    });
    done(&home, &["db", "load", "--replace", &dump]);
    let rows = json_of(&home, &["audit", "downloads", "--digest", &digest]);
    let anonymous = json!({
        "actor": "anonymous", "user": null, "token": null, "address": "2001:db8::9",
        "file": "team/noarch/xz-5.6.0-0.conda", "day": "2024-10-04", "count": 2,
    });
    assert_eq!(rows[0], anonymous);
    let mut users = column(&rows, "user");
    users.sort_unstable();
    assert_eq!(users, ["-", "-", "root"]);
    let prefixed = done(&home, &["audit", "downloads", "--digest", &format!("sha256:{digest}")]);
    assert!(prefixed.contains("2024-10-05  root"), "{prefixed}");
    assert!(prefixed.contains("user:~gone"), "{prefixed}");
    assert_eq!(json_of(&home, &["audit", "downloads", "--digest", &"00".repeat(32)]), json!([]));
}

#[test]
fn listings_of_more_than_a_page_are_whole() {
    let home = Home::new();
    administrator(&home);
    done(&home, &["token", "create", "--user", "root"]);
    let number_of = |table: &str, line: &str, n: usize| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        let row_of = &mut row["row"];
        row_of["id"] = json!(format!("x{n:05}"));
        let (key, unique) = match table {
            "tokens" => ("hash", format!("{n:064x}")),
            _ => ("name_key", format!("u{n:05}")),
        };
        row_of[key] = json!(unique);
        row.to_string()
    };
    let dump = changed_dump(&home, |lines| {
        for (table, count) in [("users", 1207), ("tokens", 2345)] {
            let at = place_of(lines, table);
            let more: Vec<_> = (0..count).map(|n| number_of(table, &lines[at], n)).collect();
            // In the order of ids; random ones may be anywhere among these.
            lines.splice(at..=at, more);
        }
    });
    done(&home, &["db", "load", "--replace", &dump]);
    for (list, count) in [("user", 1207), ("token", 2345)] {
        let rows = json_of(&home, &[list, "list"]);
        let mut ids: Vec<_> = column(&rows, "id");
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(ids.is_sorted() && ids[count - 1] == format!("x{:05}", count - 1));
        assert_eq!(done(&home, &[list, "list"]).lines().count(), count + 1, "and the heads once");
    }
}
