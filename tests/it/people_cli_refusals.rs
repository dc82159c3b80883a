//! What the commands on people refuse, and with which words; nothing is changed, and no secret comes out.

use std::fs;
use std::os::unix::fs::chown;

use serde_json::json;

use crate::harness::Home;
use crate::people_cli::{PASSWORD, administrator, done, ends_with, json_of};

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn wrong_arguments_are_bad_usage() {
    let home = Home::new();
    administrator(&home);
    let before = json_of(&home, &["audit", "list"]);
    for (line, said) in [
        ("user create --username root2", "no password was given, and there is no terminal to ask at"),
        ("user create --username -x --service", "error: "),
        ("user create --username a:b --service", "a name can't contain `:` (U+003A)"),
        ("user create --username а-b --service", "letters of several scripts"),
        ("user create --username b --service --email nobody", "an e-mail address has"),
        ("user create --username b --service --password-stdin", "cannot be used with"),
        ("user create --username b --password-stdin --password-file x", "cannot be used with"),
        ("user create --service", "--username"),
        ("user set-superuser root maybe", "on, off"),
        ("user delete root", "this can't be undone: say --yes"),
        ("group delete acme", "this can't be undone: say --yes"),
        ("group create a/b", "a name can't contain `/`"),
        ("group add acme", "<USER>"),
        ("token create --user root --scope admin:x", "RIGHT is `read`, `write` or `manage`"),
        ("token create --user root --scope read:a/label/b", "labels belong to their channel"),
        ("token create --user root --expires soon", "or `never`"),
        ("token create --user root --expires 0s", "or `never`"),
        ("token rotate x --overlap 1", "it must be a duration with a unit"),
        ("token revoke a/b", "the id of a token has 1 to 64 letters"),
        ("channel grant team --right read", "--user"),
        ("channel grant team --user a --group b --right read", "cannot be used with"),
        ("channel grant team --user root --right all", "it must be `read`, `write` or `manage`"),
        ("channel grant team/label/x --user root --right read", "labels belong to their channel"),
        ("audit list --since yesterday", "it must be a duration"),
        ("audit list --limit 0", "0 is not in 1.."),
        ("audit downloads --digest abc", "it must be a SHA-256: 64 hex digits"),
    ] {
        let text = ends_with(&home, 2, &words(line), "");
        assert!(text.contains(said), "{line}: {text}");
    }
    assert_eq!(json_of(&home, &["audit", "list"]), before, "nothing was done");
}

#[test]
fn what_is_not_there_or_there_already_is_a_failure() {
    let home = Home::new();
    administrator(&home);
    done(&home, &["group", "create", "acme"]);
    for (line, said) in [
        ("user create --username ROOT --service", "the name `ROOT` is taken: by the user `root` (id "),
        ("user passwd nobody --password-stdin", "there is no user `nobody`"),
        ("user set-superuser root off", "is the last superuser that is not disabled"),
        ("user disable root", "is the last superuser that is not disabled"),
        ("user delete root --yes", "is the last superuser that is not disabled"),
        ("user enable nobody", "there is no user `nobody`; `condagate user list`"),
        ("group create Acme", "the name `acme` is taken: by the group `acme`"),
        ("group add acme nobody", "there is no user `nobody`"),
        ("group add none root", "there is no group `none`"),
        ("group add acme a b root", "there are no users `a`, `b`; nothing was done"),
        ("token create --user nobody", "there is no user `nobody`"),
        ("token list --user nobody", "there is no user `nobody`"),
        ("token revoke zz", "there is no token whose id begins with `zz`"),
        ("token rotate zz", "there is no token whose id begins with `zz`"),
        ("channel grant team --group none --right read", "there is no group `none`"),
        ("channel revoke team --user root", "the user `root` has no such right on `team`"),
        ("audit list --actor nobody", "there is no user `nobody`"),
    ] {
        let text = ends_with(&home, 1, &words(line), &format!("{PASSWORD}\n"));
        assert!(text.starts_with("condagate: ") && text.contains(said), "{line}: {text}");
    }
    assert_eq!(json_of(&home, &["group", "list"])[0]["members"], json!([]));
    assert_eq!(json_of(&home, &["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn bad_passwords_are_refused_and_not_repeated() {
    let home = Home::new();
    administrator(&home);
    let marked = "marked-secret";
    for (input, said) in [
        ("\n".to_owned(), "is empty"),
        (String::new(), "is empty"),
        (format!("{marked}\n{marked}\n"), "has several lines"),
        ("hunter2\n".to_owned(), "too short"),
        ("password1234\n".to_owned(), "too easy to guess"),
        (format!("{marked}\u{7}{marked}"), "control character"),
        (marked.repeat(80_000), "longer than 1024 bytes"),
    ] {
        let line = words("user create --username ada --password-stdin");
        let text = ends_with(&home, 1, &line, &input);
        assert!(text.contains(said) && !text.contains(marked), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("password1234"), "{text}");
    }
    fs::write(home.path("binary"), [0xff, 0xfe]).unwrap();
    for (file, said) in [("nowhere", "it is not there"), ("rules", "directory"), ("binary", "not UTF-8")] {
        let file = home.path(file).display().to_string();
        let create = ["user", "create", "--username", "ada", "--password-file", &file];
        let text = ends_with(&home, 1, &create, "");
        assert!(text.contains("the password file ") && text.contains(said), "{text}");
    }
    let service = words("user create --username bot --service");
    done(&home, &service);
    let text = ends_with(&home, 1, &words("user passwd bot --password-stdin"), PASSWORD);
    assert!(text.contains("is a service account and has no password"), "{text}");
}

#[test]
fn a_token_in_place_of_an_id_is_not_repeated() {
    let home = Home::new();
    administrator(&home);
    let made = json_of(&home, &["token", "create", "--user", "root"]);
    let secret = made["token"].as_str().unwrap();
    for command in ["revoke", "rotate"] {
        let text = ends_with(&home, 2, &["token", command, secret], "");
        assert!(text.contains("looks like a token itself, not its id") && !text.contains(secret), "{text}");
    }
    assert_eq!(json_of(&home, &["token", "list"])[0]["state"], "active");
    done(&home, &["user", "create", "--username", "ada", "--service"]);
    done(&home, &["user", "disable", "ada"]);
    let text = ends_with(&home, 1, &["token", "create", "--user", "ada"], "");
    assert!(text.contains("the user `ada` is disabled"), "{text}");
}

#[test]
fn root_makes_no_store_in_the_directory_of_a_gate() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    if chown(home.data(), Some(65_534), None).is_err() {
        return; // Only root can, and only root can do it wrong.
    }
    for line in ["user create --username root --service", "db setup --execute"] {
        let text = ends_with(&home, 1, &words(line), "");
        assert!(text.contains("belongs to another account (uid 65534)"), "{text}");
    }
    assert!(!home.data().join("store.db").exists());
}

#[test]
fn without_a_store_there_is_nobody() {
    let home = Home::new();
    for line in ["user list", "token list", "group create acme", "audit list"] {
        let text = ends_with(&home, 1, &words(line), "");
        assert!(text.contains("there is no store at "), "{line}: {text}");
    }
    assert!(!home.data().exists(), "looking makes nothing");
    home.write_config("sotre: {}\n");
    let text = ends_with(&home, 2, &["user", "list"], "");
    assert!(text.contains("condagate.yaml:1") && text.contains("unknown key `sotre`"), "{text}");
}
