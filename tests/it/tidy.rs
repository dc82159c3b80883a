//! The house itself: which room may use which, where a crate may be named, headers, lengths, leftovers.
//!
//! Belongs here: rules that the compiler and clippy can't check. Does not: taste.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::home::files_below;

const KERNEL: &[&str] = &["clock", "id", "secret", "http", "about"];
const DOMAIN: &[&str] = &["conda", "policy"];
const ENGINES: &[&str] = &["cache", "upstream", "store", "auth", "telemetry"];
const SERVICES: &[&str] = &[
    "repodata", "delivery", "snapshot", "trail", "identity", "people", "channel", "backup", "jobs", "notify",
    "manage", "sight",
];
const EDGES: &[&str] = &["proxy", "api", "web", "cli"];
const WIRING: &[&str] = &["config", "app"];

/// Room → rooms it may name as `crate::room`, besides itself.
const ROOMS: &[(&str, &[&[&str]])] = &[
    ("about", &[]),
    ("clock", &[]),
    ("id", &[&["clock"]]),
    ("secret", &[]),
    ("http", &[&["clock", "id"]]),
    ("conda", &[KERNEL]),
    ("policy", &[KERNEL, &["conda"]]),
    ("cache", &[KERNEL, DOMAIN]),
    ("upstream", &[KERNEL, DOMAIN]),
    ("store", &[KERNEL, DOMAIN]),
    ("auth", &[KERNEL, DOMAIN]),
    ("telemetry", &[KERNEL, DOMAIN]),
    ("snapshot", &[KERNEL, DOMAIN, ENGINES]),
    ("repodata", &[KERNEL, DOMAIN, ENGINES, &["snapshot"]]),
    ("delivery", &[KERNEL, DOMAIN, ENGINES, &["snapshot", "repodata"]]),
    ("trail", &[KERNEL, DOMAIN, ENGINES]),
    ("people", &[KERNEL, DOMAIN, ENGINES]),
    ("channel", &[KERNEL, DOMAIN, ENGINES, &["snapshot", "identity", "repodata"]]),
    ("identity", &[KERNEL, DOMAIN, ENGINES, &["snapshot", "trail"]]),
    ("backup", &[KERNEL, DOMAIN, ENGINES, &["repodata"]]),
    ("jobs", &[KERNEL, DOMAIN, ENGINES, &["trail"]]),
    ("notify", &[KERNEL, DOMAIN, ENGINES, &["jobs"]]),
    ("manage", &[KERNEL, DOMAIN, ENGINES, &["delivery", "jobs", "people"]]),
    ("sight", &[KERNEL, DOMAIN, ENGINES, &["snapshot", "delivery", "identity", "people", "channel"]]),
    ("proxy", &[KERNEL, DOMAIN, ENGINES, SERVICES]),
    ("api", &[KERNEL, DOMAIN, ENGINES, SERVICES]),
    ("web", &[KERNEL, DOMAIN, ENGINES, SERVICES]),
    ("config", &[KERNEL, DOMAIN]),
    ("cli", &[KERNEL, DOMAIN, ENGINES, SERVICES, WIRING]),
    ("app", &[KERNEL, DOMAIN, ENGINES, SERVICES, EDGES, WIRING]),
    ("main", &[KERNEL, DOMAIN, ENGINES, SERVICES, EDGES, WIRING]),
    ("lib", &[]),
];

/// Crate → rooms that may name it. Crates that are not here may be used anywhere.
const CRATES: &[(&str, &[&str])] = &[
    ("pingora", &["proxy", "app"]),
    ("rusqlite", &["cache", "store"]),
    ("mongodb", &["store"]),
    ("bson", &["store"]),
    ("reqwest", &["upstream", "cli"]),
    ("askama", &["web"]),
    ("axum", &["api", "web"]),
    ("tower", &["api"]),
    ("memmap2", &["cache", "repodata"]),
    ("rattler_conda_types", &["conda", "repodata", "channel"]),
    ("tar", &["channel"]),
    ("rmp", &["repodata"]),
    ("rmp_serde", &["repodata"]),
    ("serde_saphyr", &["config"]),
    ("yaml_edit", &["config"]),
    ("spdx", &["policy"]),
    ("governor", &["proxy"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_http", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("prometheus_client", &["telemetry"]),
    ("notify", &["app", "config"]),
    ("lettre", &["notify"]),
    ("clap", &["cli"]),
    ("rpassword", &["cli"]),
    ("nix", &["cli"]),
    ("rustls", &["proxy", "upstream", "app", "main"]),
    ("tokio_rustls", &["proxy"]),
    ("h2", &["proxy"]),
    ("x509_parser", &["proxy"]),
    ("ppp", &["proxy"]),
    ("listenfd", &["app"]),
    ("sd_notify", &["app"]),
    ("mimalloc", &["main"]),
    ("twox_hash", &["repodata"]),
    ("argon2", &["auth"]),
    ("base64", &["auth", "api"]),
    ("getrandom", &["auth"]),
    ("jsonwebtoken", &["auth"]),
    ("lru", &["auth"]),
    ("precis_core", &["auth", "policy"]),
    ("precis_profiles", &["auth", "policy"]),
    ("ring", &["auth"]),
    ("sha1", &["api"]),
    ("signature", &["auth"]),
    ("unicode_security", &["auth"]),
    ("utoipa", &["api", "cache", "channel", "delivery", "jobs", "manage", "people", "policy"]),
    ("utoipa_axum", &["api"]),
    ("zxcvbn", &["auth"]),
];

/// Files that may be longer than [`LONGEST`], and why.
const LONG: &[(&str, &str)] = &[];
const LONGEST: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(below: &str) -> Vec<(PathBuf, String)> {
    let mut files = files_below(&root().join(below));
    files.retain(|f| f.extension().is_some_and(|e| e == "rs"));
    files.into_iter().map(|f| (f.clone(), fs::read_to_string(&f).expect("a source file"))).collect()
}

/// `tests.rs` beside a module, or a file in its `tests/`: the module's own header speaks for it.
fn is_unit_test(file: &Path) -> bool {
    let below = file.strip_prefix(root().join("src"));
    below.is_ok_and(|path| {
        path.components().any(|c| ["tests", "tests.rs"].iter().any(|name| c.as_os_str() == *name))
    })
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// `src/cache/fill/mod.rs` and `src/cache.rs` are both in `cache`.
fn room_of(file: &Path) -> String {
    let below = file.strip_prefix(root().join("src")).expect("a file below src");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn fail_on(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "\n{}\n", mistakes.join("\n"));
}

/// The code of a file: line number and line, comments left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Every room named as `crate::room` or inside `crate::{room, room::thing}`, with its line.
fn rooms_named(text: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    let clean: Vec<_> = code(text).collect();
    for (at, (number, line)) in clean.iter().enumerate() {
        for (offset, _) in line.match_indices("crate::") {
            let rest = &line[offset + "crate::".len()..];
            if !rest.starts_with('{') {
                named.push((*number, first_word(rest)));
                continue;
            }
            let following: String = clean[at + 1..].iter().map(|(_, l)| *l).collect();
            let group = top_level_names(&format!("{rest}{following}"));
            named.extend(group.into_iter().map(|name| (*number, name)));
        }
    }
    named
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first word of every item of `{a, b::{c, d}, e}`.
fn top_level_names(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    let mut at_start = false;
    for (offset, c) in group.char_indices() {
        match c {
            '{' => {
                depth += 1;
                at_start = depth == 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            ',' => at_start = depth == 1,
            c if at_start && !c.is_whitespace() => {
                names.push(first_word(&group[offset..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn rooms_import_downward_only() {
    let mut mistakes = Vec::new();
    for (file, text) in rust_files("src") {
        let room = room_of(&file);
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            mistakes.push(format!(
                "{}:1: the room `{room}` is not in the table of tests/it/tidy.rs",
                shown(&file)
            ));
            continue;
        };
        for (line, other) in rooms_named(&text) {
            let is_room = ROOMS.iter().any(|(name, _)| *name == other);
            let is_allowed = other == room || allowed.iter().any(|group| group.contains(&other.as_str()));
            if is_room && !is_allowed {
                mistakes.push(format!(
                    "{}:{line}: {room} may not use {other}; see ARCHITECTURE.md",
                    shown(&file)
                ));
            }
        }
    }
    fail_on(&mistakes);
}

/// True when a line of code names a crate: `name::…`, `use name;`, `extern crate name`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let rest = &line[at + name.len()..];
        let starts =
            before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '"' && c != '.');
        let is_path =
            rest.starts_with("::") || (rest.starts_with([';', ' ']) && line.trim_start().starts_with("use "));
        starts && is_path
    })
}

#[test]
fn crates_stay_in_their_rooms() {
    let mut mistakes = Vec::new();
    for (file, text) in rust_files("src").into_iter().filter(|(file, _)| !is_unit_test(file)) {
        let room = room_of(&file);
        for (line, code) in code(&text) {
            for (name, rooms) in CRATES {
                let shadowed = *name == "http" || room == *name;
                if names_crate(code, name) && !rooms.contains(&room.as_str()) && !shadowed {
                    mistakes.push(format!(
                        "{}:{line}: {room} may not use {name}; see ARCHITECTURE.md",
                        shown(&file)
                    ));
                }
            }
        }
    }
    fail_on(&mistakes);
}

#[test]
fn every_file_says_what_belongs_in_it() {
    let mut mistakes = Vec::new();
    for (file, text) in ["src", "tests", "benches"].iter().flat_map(|d| rust_files(d)) {
        if !text.starts_with("//! ") && !is_unit_test(&file) {
            mistakes.push(format!("{}:1: no `//!` header that says what belongs here", shown(&file)));
        }
        let lines = text.lines().count();
        let excused = LONG.iter().any(|(name, _)| *name == shown(&file));
        if lines > LONGEST && !excused {
            mistakes.push(format!("{}:{LONGEST}: {lines} lines; split it", shown(&file)));
        }
    }
    fail_on(&mistakes);
}

#[test]
fn nothing_is_ignored_without_a_reason() {
    let ignore = concat!("#[", "ignore]");
    let mut mistakes = Vec::new();
    for (file, text) in ["src", "tests", "benches"].iter().flat_map(|d| rust_files(d)) {
        for (line, _) in code(&text).filter(|(_, line)| line.contains(ignore)) {
            mistakes.push(format!("{}:{line}: an ignored test without a reason", shown(&file)));
        }
    }
    fail_on(&mistakes);
}

/// Every text file that belongs to the project.
fn texts() -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = ["src", "tests", "benches", "deploy", "proxy-rules", ".ci", ".config"]
        .iter()
        .flat_map(|d| files_below(&root().join(d)))
        .collect();
    let top = fs::read_dir(root()).expect("the project").flatten().map(|entry| entry.path());
    files.extend(top.filter(|path| path.is_file() && !path.ends_with(".git")));
    files.retain(|f| !f.components().any(|c| c.as_os_str() == "__pycache__"));
    files.into_iter().filter_map(|f| fs::read_to_string(&f).ok().map(|text| (f, text))).collect()
}

#[test]
fn no_trailing_whitespace() {
    let mut mistakes = Vec::new();
    for (file, text) in texts() {
        let is_data = file.components().any(|c| c.as_os_str() == "fixtures");
        for (number, line) in text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) && !is_data {
                mistakes.push(format!("{}:{}: trailing whitespace", shown(&file), number + 1));
            }
        }
    }
    fail_on(&mistakes);
}

#[test]
fn nothing_depends_on_one_machine() {
    let this = root().join("tests/it/tidy.rs");
    let banned = ["/work/", "index-url", "PIP_INDEX", "replace-with", "[source.", "CARGO_REGISTRIES"];
    let mut mistakes = Vec::new();
    for (file, text) in texts().into_iter().filter(|(file, _)| *file != this) {
        for (number, line) in text.lines().enumerate() {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                mistakes.push(format!("{}:{}: `{word}` is about one machine", shown(&file), number + 1));
            }
        }
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    for (number, line) in lock.lines().enumerate().filter(|(_, line)| line.starts_with("source = ")) {
        if line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"" {
            mistakes.push(format!("Cargo.lock:{}: a crate from elsewhere", number + 1));
        }
    }
    fail_on(&mistakes);
}

#[test]
fn the_checks_see_what_they_should() {
    let named = rooms_named(
        "use crate::{cache::Blob,\n  http::{a, b}, id};\n// crate::app\nlet x = crate::proxy::y();\n",
    );
    let named: Vec<_> = named.iter().map(|(line, name)| (*line, name.as_str())).collect();
    assert_eq!(named, [(1, "cache"), (1, "http"), (1, "id"), (4, "proxy")]);
    assert!(names_crate("use reqwest::Client;", "reqwest") && names_crate("    reqwest::get()", "reqwest"));
    assert!(!names_crate("my_reqwest::get()", "reqwest") && !names_crate("crate::notify::x", "notify"));
}
