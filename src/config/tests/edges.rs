//! The table of keys against what is read; files that are odd, secrets, and one file with every kind of mistake.

use std::os::unix::fs::PermissionsExt as _;

use super::super::keys::{self, Default, KEYS};
use super::super::{load, load_with_rules, template};
use super::{fs, origin, place, same_as_file};

#[test]
fn every_key_is_read_and_has_the_default_of_the_table() {
    let place = place(&[], &[]);
    let config = load(&place.sources).unwrap();
    for setting in &config.origins {
        let key = keys::find(setting.key).unwrap_or_else(|| panic!("no row for {}", setting.key));
        match key.default {
            Default::Text(text) => assert_eq!(setting.value, text, "{}", key.path),
            Default::Nothing(_) => assert_eq!(setting.value, "", "{}", key.path),
            Default::Depends(..) => assert_ne!(setting.value, "", "{}", key.path),
        }
    }
    for key in KEYS {
        assert!(config.origins.iter().any(|setting| setting.key == key.path), "{} is not read", key.path);
    }
}

#[test]
fn a_file_of_defaults_changes_nothing() {
    let text = template::settings(&[]);
    let place = place(&[("etc/c.yaml", &text)], &[]);
    let config = load(&place.sources).unwrap();
    let plain = load(&super::place(&[], &[]).sources).unwrap();
    for (setting, default) in config.origins.iter().zip(&plain.origins) {
        let key = keys::find(setting.key).unwrap();
        assert!(text.contains(&format!("{}:", key.name())), "{}", key.path);
        if matches!(key.default, Default::Text(_)) {
            assert_eq!(setting.value, default.value, "{}", key.path);
        }
    }
    assert_eq!(config.store, None);
}

#[test]
fn the_packaged_file_is_made_from_the_table() {
    let instead =
        [("listen", "0.0.0.0:80"), ("data", "/var/lib/condagate"), ("rules", "/etc/condagate/proxy-rules")];
    same_as_file("deploy/config/condagate.yaml", &template::settings(&instead));
}

#[test]
fn the_rules_of_init_name_channels() {
    let place = place(&[("etc/proxy-rules/10.yaml", template::CHANNELS)], &[]);
    let (_, rules) = load_with_rules(&place.sources).unwrap();
    let names: Vec<_> = rules.channels().iter().map(|channel| channel.id.clone()).collect();
    assert_eq!(names, ["conda-forge", "bioconda"]);
    // With the comments taken off, everything that is built in is there again.
    let all =
        template::CHANNELS.replace("  # - {", "  - {").replace("  # ", "  ").replace("  Every", "  # Every");
    let all = all.replace("  Anaconda's", "  # Anaconda's").replace("  does not", "  # does not");
    let place = super::place(&[("etc/proxy-rules/10.yaml", &all)], &[]);
    let (_, rules) = load_with_rules(&place.sources).unwrap_or_else(|m| panic!("{m:?}"));
    assert_eq!(rules.channels().len(), 4);
}

#[test]
fn one_file_with_every_kind_of_mistake() {
    let text = include_str!("../../../tests/fixtures/settings/mistakes.yaml");
    let place = place(&[("etc/mistakes.yaml", text)], &[("EMPTY_SECRET", ""), ("BAD_SECRET", "hunter2")]);
    fs::write(place.path("etc/empty.secret"), "\n").unwrap();
    let report = place.mistakes().join("\n") + "\n";
    assert!(!report.contains("hunter2"), "{report}");
    same_as_file("tests/fixtures/settings/mistakes.txt", &report);
}

#[test]
fn odd_files() {
    for (text, size) in [
        ("", "50GiB"),
        ("\u{feff}cache: {size: 1GiB}\n", "1GiB"),
        ("cache:\r\n  size: 2GiB\r\n  keep_free: 1%  # x\r\n", "2GiB"),
        ("cache: &c {size: 3GiB}\n", "3GiB"),
        ("cache:\n  <<: {size: 4GiB}\n  memory: 1MiB\n", "4GiB"),
        ("---\ncache: {size: 5GiB}\n...\n", "5GiB"),
    ] {
        let place = place(&[("etc/c.yaml", text)], &[]);
        let config = load(&place.sources).unwrap_or_else(|m| panic!("{text:?}: {:?}", place.shown(&m)));
        assert_eq!(origin(&config, "cache.size").0, size, "{text:?}");
    }
    for (text, message) in [
        ("cache:\n\tsize: 1GiB\n", "etc/c.yaml:2:"),
        ("cache: {size: 1GiB}\ncache: {size: 2GiB}\n", "etc/c.yaml:2:1: `cache` is written twice"),
        ("a: &a {b: *a}\n", "etc/c.yaml:1:"),
        ("cache: *nobody\n", "etc/c.yaml:1:"),
    ] {
        let place = place(&[("etc/c.yaml", text)], &[]);
        let mistakes = place.mistakes();
        assert!(mistakes[0].contains(message), "{text:?}: {mistakes:?}");
    }
    let place = place(&[], &[]);
    fs::create_dir_all(place.path("etc")).unwrap();
    fs::write(place.path("etc/c.yaml"), b"data: \xff\xfe\n").unwrap();
    assert_eq!(place.mistakes(), ["etc/c.yaml: the file can't be read: it is not UTF-8 text"]);
}

#[test]
fn secrets_come_from_files_and_variables() {
    let rules = "upstreams: {a: {urls: [http://h], proxy_file: ../proxy.url}}\n";
    let text = "egress: {proxy_env: GATE_PROXY}\nstore: {mongodb: {uri_file: mongo.uri}}\n";
    let files = [
        ("etc/c.yaml", text),
        ("etc/mongo.uri", "mongodb://u:hunter2@h/\n"),
        ("etc/proxy-rules/r.yaml", rules),
        ("etc/proxy.url", "http://u:hunter2@p:1\n"),
    ];
    let place = place(&files, &[("GATE_PROXY", "http://u:hunter2@proxy:3128")]);
    let mode =
        |name: &str, mode| fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
    mode("etc/mongo.uri", 0o644);
    mode("etc/proxy.url", 0o640);
    let (config, rules) = load_with_rules(&place.sources).unwrap_or_else(|m| panic!("{:?}", place.shown(&m)));
    assert_eq!(config.egress.proxy.as_ref().unwrap().to_string(), "http://***@proxy:3128/");
    assert_eq!(config.store.as_ref().unwrap().uri.reveal(), "mongodb://u:hunter2@h/");
    let upstream = rules.upstreams().iter().find(|u| u.name == "a").unwrap();
    assert_eq!(upstream.proxy.as_ref().unwrap().to_string(), "http://***@p:1/");
    assert!(!format!("{config:?} {rules:?}").contains("hunter2"));
    assert_eq!(origin(&config, "egress.proxy_env").0, "GATE_PROXY");
    assert_eq!(config.notes.len(), 1, "{:?}", config.notes);
    assert!(config.notes[0].contains("mongo.uri` can be read by everybody"), "{:?}", config.notes);
    mode("etc/proxy.url", 0o644);
    mode("etc/mongo.uri", 0o600);
    let notes = load_with_rules(&place.sources).unwrap().0.notes;
    assert!(notes.len() == 1 && notes[0].contains("proxy.url"), "{notes:?}");
}
