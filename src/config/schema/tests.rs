//! Schemas against the code that reads settings and rules.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::config::tests::{place, same_as_file};
use crate::config::{Machine, load, template, yaml};
use crate::policy::compile;

const SETTINGS_FILE: &str = "deploy/schema/condagate.schema.json";

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::draft7::new(schema).unwrap()
}

fn rules_schema() -> Value {
    serde_json::from_str(RULES).unwrap()
}

/// What an editor sees.
fn typed(text: &str) -> Value {
    // As YAML 1.2 has it: `on` is a word.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn complaints(validator: &jsonschema::Validator, text: &str) -> Vec<String> {
    validator.iter_errors(&typed(text)).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_file_for_editors_is_up_to_date() {
    same_as_file(SETTINGS_FILE, &format!("{:#}\n", settings()));
}

#[test]
fn examples_are_valid() {
    let schema = validator(&settings());
    let all_set: String = template::settings(&[]).lines().map(|line| uncommented(line) + "\n").collect();
    for text in [&example("deploy/config/condagate.yaml"), &template::settings(&[]), &all_set] {
        assert_eq!(complaints(&schema, text), [""; 0], "{text}");
    }
    let schema = validator(&rules_schema());
    for name in ["00-builtin", "50-team", "60-policy", "70-access"] {
        let text = example(&format!("proxy-rules/{name}.yaml.example"));
        assert_eq!(complaints(&schema, &text), [""; 0], "{name}");
    }
    assert_eq!(complaints(&schema, template::CHANNELS), [""; 0]);
}

/// `  # key: value` as `  key: value`; sentences stay comments.
fn uncommented(line: &str) -> String {
    let is_key = |rest: &str| {
        let name = rest.split(':').next().unwrap_or_default();
        rest.contains(':') && !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    match line.split_once("# ") {
        Some((indent, rest)) if indent.trim().is_empty() && is_key(rest) => format!("{indent}{rest}"),
        _ => line.to_owned(),
    }
}

/// Whatever the gate takes, an editor must not complain about.
#[test]
fn what_is_read_is_valid() {
    let schema = validator(&settings());
    let odd = [
        "0",
        "1",
        "1s",
        "1h30m",
        "0.5s",
        "1 kb",
        "90%",
        "5 %",
        "true",
        "off",
        "/x/y",
        "[]",
        "[\"::1\", 10.0.0.0/8]",
        "http://h",
        "socks5h://u@h:1",
        "localhost:1",
        "'[::1]:80'",
        "info, condagate::cache=DEBUG",
        "a-b",
        "mongodb://h",
        "256B",
        "20MiB",
        "2d",
    ];
    let examples = KEYS.iter().map(|key| match key.default {
        Default::Text(text) | Default::Depends(_, text) | Default::Nothing(text) => key.as_yaml(text),
    });
    let values: BTreeSet<String> = odd.iter().map(ToString::to_string).chain(examples).collect();
    let mut taken = 0;
    for key in KEYS {
        for value in &values {
            let parts: Vec<_> = key.path.split('.').collect();
            let text = format!("{}: {value}{}", parts.join(": {"), "}".repeat(parts.len() - 1));
            let others = if key.path == "store.mongodb.uri" {
                Vec::new()
            } else {
                vec![("CONDAGATE_STORE__MONGODB__URI", "mongodb://h")]
            };
            let others = if key.path.starts_with("store.mongodb.") { others } else { Vec::new() };
            if load(&place(&[("etc/c.yaml", &text)], &others).sources).is_ok() {
                assert_eq!(complaints(&schema, &text), [""; 0], "{text}");
                taken += 1;
            }
        }
    }
    assert!(taken > 3 * KEYS.len(), "{taken}");
}

/// Settings with a mistake that can be seen without the machine and without other values.
const BAD_SETTINGS: &[&str] = &[
    "cahce: {}",
    "cache: {sice: 1GiB}",
    "cache: {size: 12}",
    "cache: {size: 12 parsecs}",
    "listen: [\"8080\"]",
    "listen: []",
    "timeouts: 5s",
    "timeouts: {stop: 5}",
    "log: {level: loud}",
    "log: {format: xml}",
    "log: {access: maybe}",
    "threads: 0",
    "threads: many",
    "public_url: gate.example.org",
    "public_url: http://gate/?x",
    "cache: {keep_free: 91%}",
    "- listen",
    "data: [x]",
    "limits: {header_count: 257}",
    "egress: {proxy: \"ftp://x\"}",
    "control: {allow: [everybody]}",
    "store: {mongodb: {database: admin}}",
    "store: {mongo: {}}",
    "security: {allow_plaintext: perhaps}",
    "auth: {issuers: [x]}",
    "auth: {issuers: [{issuer: \"https://i\"}]}",
    "auth: {token_ttl: never}",
    "auth: {issuers: [{issuer: \"https://i\", audience: g, algorithms: [HS256]}]}",
    "audit: {denials_per_minute: -1}",
];

/// The same in rules.
const BAD_RULES: &[&str] = &[
    "upstreems: {}",
    "upstreams: {a: {}}",
    "upstreams: {a: {urls: [\"ftp://h\"]}}",
    "upstreams: {a: {urls: [\"http://u:p@h\"]}}",
    "upstreams: {a: {urls: [http://h], retries: 21}}",
    "upstreams: {a: {urls: [http://h], credentials: {}}}",
    "upstreams: {a: {urls: [http://h], credentials: {token: x}}}",
    "channels: 7",
    "channels: [{name: x}]",
    "channels: [{upstream: anaconda}]",
    "channels: [{name: x, match: y, upstream: anaconda}]",
    "channels: [{name: x, upstream: anaconda, ttl: 20}]",
    "channels: [{name: x, upstream: anaconda, unlisted: perhaps}]",
    "files: [{prefix: x}]",
    "access: [{channels: [x]}]",
    "access: [{channels: [x], read: [eve]}]",
    "policy: [{hide: {names: [x]}}]",
    "policy: [{id: x}]",
    "policy: [{id: x, hide: {}}]",
    "policy: [{id: x, hide: {names: [x]}, deny: {names: [x]}}]",
    "policy: [{id: x, hide: {younger_than: 7}}]",
    "policy: [{id: x, patch: {match: {names: [x]}}}]",
    "notices: [{id: x}]",
    "notices: [{id: x, message: m, level: loud}]",
];

#[test]
fn mistakes_are_seen() {
    let schema = validator(&settings());
    for text in BAD_SETTINGS {
        assert!(!complaints(&schema, text).is_empty(), "{text}");
        assert!(load(&place(&[("etc/c.yaml", text)], &[]).sources).is_err(), "{text}");
    }
    let schema = validator(&rules_schema());
    for text in BAD_RULES {
        assert!(!complaints(&schema, text).is_empty(), "{text}");
        let document = yaml::parse("r", text).unwrap();
        assert!(compile(&[document], &Machine::default()).is_err(), "{text}");
    }
}

/// The reader of each map tells which keys it knows; the schema has the same.
#[test]
fn rules_have_the_keys_that_are_read() {
    const PLACES: &[(&str, &str)] = &[
        ("", "zzzzzzzzzzzzzzzz: 1"),
        ("/definitions/upstream", "upstreams: {a: {urls: [http://h], zzzzzzzzzzzzzzzzzzzzzzzz: 1}}"),
        (
            "/definitions/upstream/properties/timeouts",
            "upstreams: {a: {urls: [http://h], timeouts: {zzzzzzzzzzzzzzzz: 1}}}",
        ),
        (
            "/definitions/credentials",
            "upstreams: {a: {urls: [http://h], credentials: {zzzzzzzzzzzzzzzz: 1}}}",
        ),
        (
            "/definitions/credentials/properties/basic",
            "upstreams: {a: {urls: [http://h], credentials: {basic: {zzzzzzzzzzzzzzzz: 1}}}}",
        ),
        ("/definitions/files", "files: [{prefix: x/, upstream: anaconda, zzzzzzzzzzzzzzzz: 1}]"),
        ("/definitions/access", "access: [{channels: [x], read: [anonymous], zzzzzzzzzzzzzzzz: 1}]"),
        ("/definitions/policy", "policy: [{id: x, hide: {names: [x]}, zzzzzzzzzzzzzzzz: 1}]"),
        ("/definitions/matcher", "policy: [{id: x, hide: {zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz: 1}}]"),
        ("/definitions/patch", "policy: [{id: x, patch: {zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz: 1}}]"),
        ("/definitions/upload", "channels: [{name: x, hosted: true, upload: {zzzzzzzzzzzzzzzzzzzzzzzz: 1}}]"),
        ("/definitions/notice", "notices: [{id: x, message: m, zzzzzzzzzzzzzzzz: 1}]"),
    ];
    let schema = rules_schema();
    for (place, text) in PLACES {
        let properties = schema.pointer(&format!("{place}/properties")).unwrap().as_object().unwrap();
        let here: BTreeSet<_> = properties.keys().map(String::as_str).collect();
        assert_eq!(known(text), here.iter().map(ToString::to_string).collect(), "{text}");
    }
    // Which keys an entry of `channels` knows depends on what it is.
    let kinds = ["upstream: anaconda", "virtual: [conda-forge]", "hosted: true"];
    let read =
        kinds.iter().flat_map(|kind| known(&format!("channels: [{{name: x, {kind}, zzzzzzzzzzzzzzzz: 1}}]")));
    let properties = schema.pointer("/definitions/channel/properties").unwrap().as_object().unwrap();
    assert_eq!(read.collect::<BTreeSet<_>>(), properties.keys().cloned().collect());
}

/// The keys that the hint about an unknown one lists.
fn known(text: &str) -> BTreeSet<String> {
    let document = yaml::parse("r", text).unwrap();
    let mistakes = compile(&[document], &Machine::default()).unwrap_err();
    let hint = mistakes.iter().find(|m| m.message.contains("unknown key `zzz")).and_then(|m| m.hint.clone());
    let hint = hint.unwrap_or_else(|| panic!("{text}: {mistakes:?}"));
    let names = hint.strip_prefix("known here: ").unwrap_or_else(|| panic!("{text}: {hint}"));
    names.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}
