//! Settings through the command line: `config init | set | schema`, and what `check` and `serve` say of mistakes and of open secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::harness::process::{run, text_of};
use crate::harness::{Home, Process};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Runs a command line; what it printed and its exit code.
fn told(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    (output.status.code(), text_of(&output))
}

#[test]
fn a_new_file_of_settings_is_right_and_is_never_replaced_by_accident() {
    let home = Home::new();
    let file = home.path("etc/new.yaml");
    let (code, said) = told(&["config", "init", text(&file)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("10-channels.yaml"), "{said}");
    let rules = home.path("etc/proxy-rules/10-channels.yaml");
    let channels = fs::read_to_string(&rules).unwrap();
    for word in ["conda-forge", "match: \"*\"", "pkgs/*", "terms of service"] {
        assert!(channels.contains(word), "{word}");
    }
    let data = home.data();
    let (code, said) = told(&["check", "--config", text(&file), "--data", text(&data)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 channel entries"), "the built-in ones are gone: {said}");

    fs::write(&file, "threads: 1\n").unwrap();
    fs::write(&rules, "builtins: false\n").unwrap();
    let (code, said) = told(&["config", "init", text(&file)]);
    assert_eq!((code, said.contains("--force")), (Some(1), true), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "threads: 1\n");
    let (code, said) = told(&["config", "init", text(&file), "--force"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(fs::read_to_string(&file).unwrap().contains("50GiB"));
    assert_eq!(fs::read_to_string(&rules).unwrap(), "builtins: false\n", "rules are somebody's work");
    let (code, printed) = told(&["config", "init", "-"]);
    assert_eq!((code, printed), (Some(0), fs::read_to_string(&file).unwrap()));
}

#[test]
fn one_setting_changes_and_all_else_stays() {
    let home = Home::new();
    home.write_config("# ours\ncache:\n  size: 1GiB   # grows\n\nlog: {level: info}\n");
    fs::set_permissions(home.config(), fs::Permissions::from_mode(0o604)).unwrap();
    let (config, data) = (home.config(), home.data());
    let set = |key: &str, value: &str| {
        told(&["config", "set", "--config", text(&config), "--data", text(&data), key, value])
    };
    let (code, said) = set("cache.size", "2GiB");
    assert_eq!(code, Some(0), "{said}");
    let now = || fs::read_to_string(&config).unwrap();
    assert_eq!(now(), "# ours\ncache:\n  size: 2GiB   # grows\n\nlog: {level: info}\n");
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o604);
    assert_eq!(set("threads", "3").0, Some(0));
    let get = told(&["config", "get", "--config", text(&config), "threads"]);
    assert_eq!(get, (Some(0), "3\n".to_owned()));

    let before = now();
    for (key, value, sentence) in [
        ("cache.size", "12", "`cache.size` must be a size with a unit"),
        ("cache.sice", "1GiB", "did you mean `cache.size`?"),
        ("log.level", "loud", "`log.level` must be a level"),
        ("storage.cache", "/x/packages", ""),
        ("rules", "/nowhere/at/all", "the rules directory `/nowhere/at/all` can't be read"),
        ("auth.session.refresh_ttl", "1m", "must not be shorter than"),
        ("auth.issuers", "x", "is a list of maps"),
    ] {
        let (code, said) = set(key, value);
        if sentence.is_empty() {
            assert_eq!(code, Some(0), "{key}: {said}");
            fs::write(&config, &before).unwrap();
            continue;
        }
        assert!(matches!(code, Some(1 | 2)) && said.contains(sentence), "{key}: {said}");
        assert_eq!(now(), before, "{key}");
    }
    let left: Vec<_> = fs::read_dir(home.path("")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".new")), "{left:?}");
}

#[test]
fn a_running_gate_and_a_later_layer_are_told_of() {
    let home = Home::new();
    home.write_rules("channels: []\n");
    home.write_config("cache: {size: 1GiB}\n");
    let gate = Process::serve(home);
    let home = gate.home();
    let (config, data) = (home.config(), home.data());
    let common = ["config", "set", "--config", text(&config), "--data", text(&data)];
    let (code, said) = told(&[&common[..], &["cache.size", "2GiB"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("a gate is running; settings count from its next start on"), "{said}");
    let (code, said) = told(&[&common[..], &["data", "/somewhere/else"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("flag --data comes later"), "{said}");
}

#[test]
fn schemas_are_printed() {
    for (arguments, title) in [
        (&["config", "schema"][..], "Settings of condagate"),
        (&["config", "schema", "--rules"], "Rules of condagate"),
    ] {
        let (code, printed) = told(arguments);
        assert_eq!(code, Some(0));
        let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert!(schema["title"].as_str().unwrap().starts_with(title));
    }
}

#[test]
fn a_secret_that_everybody_can_read_is_told_of() {
    let home = Home::new();
    fs::write(home.rules().join("token"), "tk-hunter2\n").unwrap();
    home.write_rules("upstreams: {a: {urls: [http://h.example.org], credentials: {token_file: token}}}\n");
    let rules = home.rules();
    let mode = |mode| fs::set_permissions(rules.join("token"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let (code, said) = told(&["check", "--rules", text(&rules)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("can be read by everybody on this machine; chmod o-rwx"), "{said}");
    mode(0o600);
    assert!(!told(&["check", "--rules", text(&rules)]).1.contains("everybody"));
    fs::remove_file(rules.join("token")).unwrap();
    let (code, said) = told(&["check", "--rules", text(&rules)]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("50-test.yaml:1") && said.contains("can't be read: it is not there"), "{said}");
}

#[test]
fn one_file_with_every_kind_of_mistake_ends_check_with_2() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/settings/mistakes.yaml");
    let home = Home::new();
    let rules = home.rules();
    let (code, said) = told(&["check", "--config", file, "--rules", text(&rules)]);
    assert_eq!(code, Some(2), "{said}");
    let expected = include_str!("../fixtures/settings/mistakes.txt");
    for line in expected
        .lines()
        .filter(|line| line.starts_with("etc/") && !line.contains(" names ") && !line.contains("_env`"))
    {
        let rest = line.split_once(':').unwrap().1;
        assert!(said.contains(rest), "no `{rest}` in:\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}
