//! Access as the rules' documentation says it, decided a second time by code that shares nothing with the gate's, and held against
//! every kind of answer for random rules, people, tokens and rights.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};

use condagate::policy::access::Right;

use crate::harness::people::Society;
use crate::harness::{Channel, Request, Setup, Upstream, package, rules};

const CHANNELS: &[&str] = &["alpha", "beta", "team/x"];
const GLOBS: &[&str] = &["alpha", "beta", "team/*", "*", "a*", "{beta,team/x}"];
const WHO: &[&str] = &["user:u1", "user:u2", "group:g1", "authenticated", "anonymous"];
/// `(user, groups, superuser)`
const USERS: &[(&str, &[&str], bool)] = &[("u1", &["g1"], false), ("u2", &[], false), ("root", &[], true)];
const PACKAGES: &[&str] = &["tool", "acme-tool"];
const CASES: u32 = 12;

#[derive(Clone, Debug)]
struct Entry {
    channels: Vec<&'static str>,
    read: Vec<&'static str>,
    acme_only: bool,
}

#[derive(Clone, Debug)]
struct Granted {
    glob: &'static str,
    user: &'static str,
}

#[derive(Clone, Debug)]
struct Token {
    user: usize,
    glob: &'static str,
    acme_only: bool,
}

#[derive(Clone, Debug)]
struct Case {
    closed_to_strangers: bool,
    entries: Vec<Entry>,
    grants: Vec<Granted>,
    tokens: Vec<Token>,
}

fn case() -> impl Strategy<Value = Case> {
    let entry = (subsequence(GLOBS, 1..=2), subsequence(WHO, 1..=2), any::<bool>())
        .prop_map(|(channels, read, acme_only)| Entry { channels, read, acme_only });
    let grant = (select(&["alpha", "team/*", "*"][..]), select(&["u1", "u2"][..]))
        .prop_map(|(glob, user)| Granted { glob, user });
    let token = (0..USERS.len(), select(&["*", "alpha", "team/*", "b*"][..]), any::<bool>())
        .prop_map(|(user, glob, acme_only)| Token { user, glob, acme_only });
    (
        proptest::bool::weighted(0.3),
        proptest::collection::vec(entry, 0..4),
        proptest::collection::vec(grant, 0..3),
        proptest::collection::vec(token, 3..6),
    )
        .prop_map(|(closed_to_strangers, entries, grants, tokens)| Case {
            closed_to_strangers,
            entries,
            grants,
            tokens,
        })
}

/// Globs as the documentation has them: `*` alone is everything, elsewhere it stays within one part.
fn matches(glob: &str, channel: &str) -> bool {
    match glob {
        "*" => true,
        "team/*" => channel.starts_with("team/"),
        "a*" => channel == "alpha",
        "b*" => channel == "beta",
        "{beta,team/x}" => channel == "beta" || channel == "team/x",
        word => word == channel,
    }
}

/// 200, 401 or 403.
fn expected(case: &Case, token: Option<&Token>, channel: &str, package: Option<&str>) -> u16 {
    let is_acme = package.is_none_or(|name| name.starts_with("acme-"));
    let about = |entry: &&Entry| entry.channels.iter().any(|glob| matches(glob, channel));
    let entries: Vec<&Entry> = case.entries.iter().filter(about).collect();
    let gives = |who: &dyn Fn(&str) -> bool| {
        entries.iter().any(|entry| (!entry.acme_only || is_acme) && entry.read.iter().any(|one| who(one)))
    };
    let is_public = entries.is_empty();
    if (is_public && !case.closed_to_strangers) || gives(&|one| one == "anonymous") {
        return 200;
    }
    let Some(token) = token else { return 401 };
    let (name, groups, superuser) = USERS[token.user];
    let theirs = |one: &str| {
        one == "authenticated"
            || one == format!("user:{name}")
            || groups.iter().any(|g| one == format!("group:{g}"))
    };
    let granted = case.grants.iter().any(|grant| grant.user == name && matches(grant.glob, channel));
    let has = superuser || is_public || granted || gives(&theirs);
    let covered = matches(token.glob, channel) && (!token.acme_only || is_acme);
    if has && covered { 200 } else { 403 }
}

fn rules_of(case: &Case, upstream: &Upstream) -> String {
    let mut text = rules::all_from(upstream).replace("\"pkgs/*\"", "\"team/*\"");
    if case.closed_to_strangers {
        text.push_str("anonymous: none\n");
    }
    if !case.entries.is_empty() {
        text.push_str("access:\n");
    }
    for entry in &case.entries {
        let packages = if entry.acme_only { ", packages: [\"acme-*\"]" } else { "" };
        let (channels, read) = (&entry.channels, &entry.read);
        writeln!(text, "  - {{channels: {channels:?}, read: {read:?}{packages}}}").expect("text");
    }
    text
}

/// What is asked of a channel, and the package it is about.
fn asks(channel: &str) -> Vec<(String, Option<&'static str>)> {
    let mut asks: Vec<_> = [
        "noarch/repodata.json",
        "noarch/repodata.json.zst",
        "noarch/current_repodata.json",
        "noarch/repodata_shards.msgpack.zst",
        "linux-64/repodata.json",
        "label/dev/noarch/repodata.json",
        "channeldata.json",
    ]
    .iter()
    .map(|file| (format!("/{channel}/{file}"), None))
    .collect();
    for name in PACKAGES {
        for end in ["", ".sigs"] {
            asks.push((format!("/{channel}/noarch/{name}-1.0-0.conda{end}"), Some(*name)));
        }
        asks.push((format!("/{channel}/label/dev/noarch/{name}-1.0-0.conda"), Some(*name)));
    }
    asks
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let upstream = Upstream::start();
    for name in CHANNELS {
        let channel = Channel::new(name)
            .with("noarch", &package("tool", "1.0"))
            .with("noarch", &package("acme-tool", "1.0"));
        channel.publish(&upstream);
    }
    let gate = Setup::rules(&rules_of(case, &upstream)).start();
    let society = Society::of(gate.home(), gate.now());
    society.user("u1").user("u2").superuser("root").group("g1", &["u1"]);
    for grant in &case.grants {
        society.grant(grant.glob, grant.user, Right::Read);
    }
    let tokens: Vec<_> = case
        .tokens
        .iter()
        .map(|token| {
            let packages = if token.acme_only { ":acme-*" } else { "" };
            (token, society.token(USERS[token.user].0, &[&format!("read:{}{packages}", token.glob)]))
        })
        .collect();
    for channel in CHANNELS {
        for (path, package) in asks(channel) {
            let stranger = gate.get(&path).status;
            let wanted = expected(case, None, channel, package);
            prop_assert_eq!(
                if wanted == 200 { told(stranger) } else { stranger },
                wanted,
                "{} as nobody",
                path
            );
            for (n, (token, made)) in tokens.iter().enumerate() {
                // Each in another form.
                let request = match n % 3 {
                    0 => Request::get(&format!("/t/{}{path}", made.secret)),
                    1 => Request::get(&path).header("Authorization", &format!("Bearer {}", made.secret)),
                    _ => Request::get(&path).header("X-API-Key", &made.secret),
                };
                let status = gate.ask(&request).status;
                let wanted = expected(case, Some(token), channel, package);
                prop_assert_eq!(told(status), wanted, "{} with {:?}", path, token);
            }
        }
    }
    Ok(())
}

/// What is not there may be asked for.
fn told(status: u16) -> u16 {
    if status == 404 { 200 } else { status }
}

#[test]
fn every_answer_agrees_with_the_documentation() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(CASES) });
    if let Err(error) = runner.run(&case(), |case| check(&case)) {
        panic!("{error}");
    }
}
