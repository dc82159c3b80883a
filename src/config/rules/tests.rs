//! The language of rules: what is refused and how, who wins, what is hidden.

mod access;
mod access_naive;
mod audience;
mod hosted;
mod judging;
mod naive;
mod policy;
mod virtuals;

use std::path::Path;

use super::super::Variables;
use super::super::yaml;
use super::Machine;
use crate::conda::channel::ChannelName;
use crate::policy::{
    Anonymous, ChannelRule, ChannelSource, Credentials, FileSource, Mistake, Outside, Rules, Unlisted,
    compile,
};

fn rules(files: &[&str]) -> Result<Rules, Vec<Mistake>> {
    let variables = Variables::of(&[("TOKEN", "tk-hunter2\n"), ("EVIL", "a/b\u{1}hunter2"), ("EMPTY", "")]);
    let documents: Vec<_> =
        files.iter().enumerate().map(|(i, text)| yaml::parse(&format!("{i}.yaml"), text).unwrap()).collect();
    compile(&documents, &Machine::new(variables))
}

/// `line:column message | hint` of every mistake.
fn told(files: &[&str]) -> Vec<String> {
    let show = |m: &Mistake| {
        let hint = m.hint.as_ref().map_or_else(String::new, |hint| format!(" | {hint}"));
        format!("{}:{} {}{hint}", m.line, m.column, m.message)
    };
    rules(files).expect_err("should be refused").iter().map(show).collect()
}

fn upstream_of(rules: &Rules, channel: &str) -> String {
    let name = ChannelName::parse(channel).unwrap();
    rules.channel(&name).map_or_else(|| "none".to_owned(), |rule| rule.upstream().unwrap().name.clone())
}

fn path_of(rule: &ChannelRule) -> Option<&str> {
    match &rule.source {
        ChannelSource::Proxied { path, .. } => path.as_deref(),
        ChannelSource::Virtual(_) | ChannelSource::Hosted(_) => None,
    }
}

const UP: &str = "upstreams: {a: {urls: [http://a]}, b: {urls: [http://b]}, c: {urls: [http://c]}}\n";

/// Rules, and every mistake in them: `line:column message | hint`.
const MISTAKES: &[(&str, &[&str])] = &[
    ("chanels: []", &["1:1 unknown key `chanels` | did you mean `channels`?"]),
    ("channels: {}", &["1:11 `channels` must be a list, not a map"]),
    ("channels: [x]", &["1:12 `channels[0]` must be a map of keys and values, not a single value"]),
    ("policy: {}", &["1:9 `policy` must be a list, not a map"]),
    (
        "channels: [{name: x, upstream: anacoda, tll: 3s}]",
        &[
            "1:32 there is no upstream `anacoda` | did you mean `anaconda`?",
            "1:41 unknown key `tll` in `channels[0]` | did you mean `ttl`?",
        ],
    ),
    ("channels: [{upstream: anaconda}]", &["1:12 `channels[0]` must have one of `name` and `match`"]),
    (
        "channels: [{name: x}]",
        &["1:12 `channels[0]` must have one of `upstream`, `virtual` and `hosted: true`"],
    ),
    (
        "channels: [{name: x, match: y, upstream: anaconda}]",
        &["1:12 `channels[0]` must have one of `name` and `match`"],
    ),
    (
        "channels: [{name: x, upstream: anaconda, ttl: 0s}]",
        &["1:47 `channels[0].ttl` must be longer than nothing"],
    ),
    (
        "channels: [{name: x, upstream: anaconda, ttl: 30}]",
        &[
            "1:47 `channels[0].ttl` must be a duration with a unit (ms, s, m, h, d), such as `30s`, `20m` or `1h30m`, not `30`",
        ],
    ),
    (
        "channels: [{name: x, upstream: anaconda, unlisted: maybe}]",
        &["1:52 `channels[0].unlisted` must be one of `allow`, `deny`, `auto`, not `maybe`"],
    ),
    (
        "channels: [{name: \"x-*\", upstream: anaconda}]",
        &["1:19 `channels[0].name` must be one name, not a pattern | write `match: \"x-*\"`"],
    ),
    (
        "channels: [{match: \"x[\", upstream: anaconda}]",
        &["1:20 `channels[0].match` is not a valid pattern: unclosed character class; missing ']'"],
    ),
    (
        "channels: [{match: \"x-*\", upstream: anaconda, path: y}]",
        &[
            "1:53 `channels[0].path` can't stand beside `match`: it would send every channel to one | use `name:`, or put a longer path into the URLs of an upstream",
        ],
    ),
    (
        "upstreams: {x: {urls: [ftp://h], credentials: {token_env: TOKEN}}}",
        &[
            "1:24 `upstreams.x.urls` must be an absolute URL that begins with `http://` or `https://`, not this",
        ],
    ),
    (
        "upstreams: {x: {urls: [\"https://me:pw@h/\", \"https://h/t/tk/\", \"https://h/?q\"]}}",
        &[
            "1:24 `upstreams.x.urls` must be a URL without credentials | put them under `credentials:`, from a file or a variable",
            "1:44 `upstreams.x.urls` must be a URL without credentials | put them under `credentials:`, from a file or a variable",
            "1:63 `upstreams.x.urls` must be a URL without `?` and `#`",
        ],
    ),
    (
        "upstreams: {x: {}}",
        &["1:13 `upstreams.x.urls` must name at least one URL | urls: [https://conda.example.org]"],
    ),
    (
        "upstreams: {x/y: {urls: [http://h]}}",
        &[
            "1:13 `x/y` can't be the name of an upstream | use letters, digits, `_`, `-` and `.`; the name also stands in paths and metrics",
        ],
    ),
    (
        "upstreams: {x: {urls: [http://h], hosts: [\"http://h\", \"h:80\"]}}",
        &[
            "1:43 `upstreams.x.hosts` must have plain host names, not `http://h` | write it without scheme, port and path, such as `conda.example.org`",
            "1:55 `upstreams.x.hosts` must have plain host names, not `h:80` | write it without scheme, port and path, such as `conda.example.org`",
        ],
    ),
    (
        "upstreams: {x: {urls: [http://h], max_concurrent: 0, retries: many, timeouts: {stall: 0s}, pass_foreign_tokens: 1}}",
        &[
            "1:51 `upstreams.x.max_concurrent` must be a whole number from 1 to 10000, not `0`",
            "1:63 `upstreams.x.retries` must be a whole number from 0 to 20, not `many`",
            "1:87 `upstreams.x.timeouts.stall` must be longer than nothing",
            "1:113 `upstreams.x.pass_foreign_tokens` must be one of `true`, `false`, not `1`",
        ],
    ),
    (
        "upstreams: {x: {urls: [http://h], resolve: {h: nowhere}, ca_file: /absent.pem}}",
        &[
            "1:48 `upstreams.x.resolve.h` must be an IP address, with a port or without | such as `10.1.2.3` or `10.1.2.3:8443`",
            "1:67 `upstreams.x.ca_file` names `/absent.pem`, which is not a readable file",
        ],
    ),
    (
        "files: [{prefix: x, upstream: defaults, dir: /tmp}, {upstream: defaults}, {prefix: y}]",
        &[
            "1:9 `files[0]` must have one of `upstream` and `dir`",
            "1:53 `files[1].prefix` is missing",
            "1:75 `files[2]` must have one of `upstream` and `dir`",
        ],
    ),
    (
        "files: [{prefix: ../x, upstream: defaults}, {prefix: /, upstream: defaults}, {prefix: api/x, upstream: defaults}]",
        &[
            "1:18 `files[0].prefix` must be a plain path, not `../x` | such as `miniconda/`: no `..`, no `%`, no pattern",
            "1:54 `files[1].prefix` can't be the root: channels stand there",
            "1:87 `files[2].prefix` can't begin with `api`: that path belongs to the gate itself | choose another one, such as `static/extras/`",
        ],
    ),
    (
        "files: [{prefix: x, dir: /absent, ttl: 3s, path: y}, {prefix: z, upstream: defaults, listing: true}]",
        &[
            "1:26 the directory `/absent` of prefix `x/` is not there",
            "1:40 `files[0].ttl` only goes with `upstream`",
            "1:50 `files[0].path` only goes with `upstream`",
            "1:95 `files[1].listing` only goes with `dir`",
        ],
    ),
    ("hosts: {h: nobody}", &["1:12 there is no upstream `nobody` | known here: `anaconda`, `defaults`"]),
    (
        "upstreams:\n  x: {urls: [http://h]}\n  x: {urls: [http://h]}",
        &["3:3 `upstreams.x` is written twice | the other one is at 0.yaml:2; keep one of them"],
    ),
    (
        "channels:\n- {name: x, upstream: anaconda}\n- {name: x, upstream: defaults}",
        &[
            "3:10 the channel `x` is written twice in this file | the other one is at 0.yaml:2; keep one of them",
        ],
    ),
    (
        "files:\n- {prefix: x, upstream: anaconda}\n- {prefix: /x/, upstream: defaults}",
        &[
            "3:12 the prefix `x/` is written twice in this file | the other one is at 0.yaml:2; keep one of them",
        ],
    ),
    (
        "upstreams:\n  x: {urls: [http://x], hosts: [H.example]}\n  y: {urls: [http://y], hosts: [h.example]}",
        &[
            "3:33 two upstreams claim the host `h.example`: `x` and `y` | the other claim is at 0.yaml:2; keep one of them",
        ],
    ),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    for (text, expected) in MISTAKES {
        assert_eq!(told(&[text]), *expected, "{text}");
    }
}

#[test]
fn reserved_roots_are_no_channels() {
    for root in ["user", "search", "get", "download", "dist", "api", "static", "package", "api/x", "stage/*"]
    {
        let key = if root.contains('*') { "match" } else { "name" };
        let told = told(&[&format!("channels: [{{{key}: \"{root}\", upstream: anaconda}}]")]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("that path belongs to the gate itself"), "{told:?}");
    }
    for bad in ["label", "t", "-x", "noarch", "a//b", "../a", "a b"] {
        let told = told(&[&format!("channels: [{{name: \"{bad}\", upstream: anaconda}}]")]);
        assert!(told[0].contains("must be a channel name, not"), "{told:?}");
    }
}

/// Files, a channel, the upstream that answers for it.
const PRECEDENCE: &[(&[&str], &str, &str)] = &[
    (&[], "conda-forge", "anaconda"),
    (&[], "pkgs/main", "defaults"),
    (&[], "some/deep/name", "anaconda"),
    (&[], "pkgs/main/more", "anaconda"),
    (
        &["channels: [{name: x, upstream: a}, {match: \"x*\", upstream: b}, {match: \"*\", upstream: c}]"],
        "x",
        "a",
    ),
    (
        &["channels: [{name: x, upstream: a}, {match: \"x*\", upstream: b}, {match: \"*\", upstream: c}]"],
        "xy",
        "b",
    ),
    (
        &["channels: [{name: x, upstream: a}, {match: \"x*\", upstream: b}, {match: \"*\", upstream: c}]"],
        "y",
        "c",
    ),
    (
        &["channels: [{match: \"*\", upstream: c}, {match: \"x*\", upstream: b}, {name: x, upstream: a}]"],
        "x",
        "a",
    ),
    (&["channels: [{match: \"x*\", upstream: a}, {match: \"*y\", upstream: b}]"], "xy", "b"),
    (&["channels: [{match: \"*y\", upstream: b}, {match: \"x*\", upstream: a}]"], "xy", "a"),
    (&["channels: [{match: \"*\", upstream: a}, {match: \"*\", upstream: b}]"], "xy", "b"),
    (&["channels: [{name: x, upstream: a}]", "channels: [{name: x, upstream: b}]"], "x", "b"),
    (&["channels: [{match: x, upstream: a}, {match: \"?\", upstream: b}]"], "x", "a"),
    (&["channels: [{match: \"x-*\", upstream: a}]"], "x-1/y", "anaconda"),
    (&["channels: [{match: \"x-**\", upstream: a}]"], "x-1", "a"),
    (&["channels: [{match: \"x/**\", upstream: a}]"], "x/1/y", "a"),
    (&["channels: [{match: \"{x,y}\", upstream: a}]"], "y", "a"),
    (&["channels: [{match: \"pkgs/*\", upstream: a}]"], "pkgs/r", "a"),
    (&["channels: [{match: \"p*/*\", upstream: a}]"], "pkgs/r", "a"),
    (&["builtins: false", "channels: [{name: x, upstream: a}]"], "x", "a"),
    (&["builtins: false", "channels: [{name: x, upstream: a}]"], "conda-forge", "none"),
];

#[test]
fn precedence_of_channels() {
    for (files, channel, upstream) in PRECEDENCE {
        let mut all = vec![UP];
        all.extend_from_slice(files);
        let rules = rules(&all).unwrap();
        assert_eq!(upstream_of(&rules, channel), *upstream, "{channel} under {files:?}");
    }
}

#[test]
fn entries_replace_builtin_ones_by_key() {
    let rules = rules(&["upstreams: {anaconda: {urls: [\"http://mirror/x\"]}, m: {urls: [http://m], hosts: [repo.anaconda.com]}}\n\
                         files: [{prefix: archive, upstream: m, path: old/archive}, {prefix: archive/deep/, upstream: anaconda, path: /}]"])
    .unwrap();
    let url = |name: &str| rules.upstreams().iter().find(|u| u.name == name).unwrap().urls[0].to_string();
    assert_eq!(url("anaconda"), "http://mirror/x/");
    assert_eq!(url("defaults"), "https://repo.anaconda.com/");
    assert_eq!(
        rules.upstream_for_host("conda.anaconda.org").map(|u| u.name.as_str()),
        None,
        "replaced whole"
    );
    assert_eq!(
        rules.upstream_for_host("Repo.Anaconda.COM.").unwrap().name,
        "m",
        "a user's claim beats a built-in one"
    );

    let place = |path: &str| {
        let route = rules.file(path).unwrap();
        let FileSource::Upstream { upstream, path } = &route.rule.source else { panic!("an upstream") };
        (upstream.name.clone(), format!("{path}{}", route.rest))
    };
    let expected = |name: &str, path: &str| (name.to_owned(), path.to_owned());
    assert_eq!(place("/archive/a.sh"), expected("m", "old/archive/a.sh"));
    assert_eq!(place("/archive/deep/a.sh"), expected("anaconda", "a.sh"));
    assert_eq!(place("/miniconda"), expected("defaults", "miniconda/"));
    assert_eq!(place("miniconda/x/"), expected("defaults", "miniconda/x/"));
    assert!(rules.file("/minicondax/a").is_none() && rules.file("/").is_none());
}

#[test]
fn hosts_are_found_with_port_and_any_case() {
    let rules = rules(&[UP, "hosts: {Old.Example: a, \"::1\": b, 192.0.2.1: c}"]).unwrap();
    for (host, upstream) in [
        ("old.example", Some("a")),
        ("OLD.EXAMPLE:8080", Some("a")),
        ("[::1]:80", Some("b")),
        ("::1", Some("b")),
        ("192.0.2.1:80", Some("c")),
        ("new.example", None),
        ("", None),
    ] {
        assert_eq!(rules.upstream_for_host(host).map(|u| u.name.as_str()), upstream, "{host}");
    }
}

#[test]
fn credentials_in_every_form() {
    let with = |credentials: &str| {
        rules(&[&format!(
            "upstreams: {{x: {{urls: [http://x], credentials: {credentials}}}}}\nchannels: [{{name: x, upstream: x}}]"
        )])
    };
    for credentials in
        ["{token_env: TOKEN}", "{bearer_env: TOKEN}", "{basic: {user: me, password_env: TOKEN}}"]
    {
        let rules = with(credentials).unwrap();
        let rule = rules.channel(&ChannelName::parse("x").unwrap()).unwrap();
        assert_eq!(rule.anonymous, Anonymous::Loopback);
        let secret = match rule.upstream().unwrap().credentials.as_ref().unwrap() {
            Credentials::TokenPath(s) | Credentials::Bearer(s) | Credentials::Basic { password: s, .. } => s,
        };
        assert_eq!(secret.reveal(), "tk-hunter2");
        assert!(!format!("{rules:?}").contains("hunter2"), "{credentials}");
    }
    for (credentials, message) in [
        ("{token_env: TOKEN, bearer_env: TOKEN}", "says more than one way to show who the gate is"),
        ("{token_env: TOKEN, token_file: /x}", "says more than one way to show who the gate is"),
        ("{}", "is empty"),
        (
            "{token_env: ABSENT}",
            "names the environment variable `ABSENT`, which can't be read: it is not set",
        ),
        ("{token_env: EMPTY}", "names the environment variable `EMPTY`, which can't be read: it is not set"),
        ("{token_env: EVIL}", "names the environment variable `EVIL`, which must contain letters"),
        ("{bearer_env: EVIL}", "which must contain visible ASCII"),
        ("{token_file: /absent/x}", "names the file `/absent/x`, which can't be read: it is not there"),
        ("{token_file: /}", "names the file `/`, which can't be read: it is a directory"),
        ("{token: hunter2}", "unknown key `token`"),
        ("{basic: {user: me}}", "must have one of `password_file` and `password_env`"),
        ("{basic: {password_env: TOKEN}}", "`upstreams.x.credentials.basic.user` is missing"),
        ("{basic: {user: \"a:b\", password_env: TOKEN}}", "can't have a colon"),
        ("hunter2", "must be a map of keys and values, not a single value"),
    ] {
        let mistakes = with(credentials).unwrap_err();
        let shown = format!("{mistakes:?}");
        assert_eq!(mistakes.len(), 1, "{shown}");
        assert!(shown.contains(message), "{credentials}: {shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn equal_rules_have_equal_revisions() {
    let base = rules(&[UP, "channels: [{name: x, upstream: a, ttl: 60s}]"]).unwrap();
    let same = rules(&["channels: [{ttl: 1m, upstream: a, name: x}]  # moved", UP]).unwrap();
    let other = rules(&[UP, "channels: [{name: x, upstream: a, ttl: 61s}]"]).unwrap();
    assert_eq!((base.revision(), &base), (same.revision(), &same));
    assert_ne!(base.revision(), other.revision());
    assert_ne!(base, other);
}

#[test]
fn a_local_directory_and_other_keys() {
    let rules = rules(&[
        UP,
        "channels: [{name: forge, upstream: a, path: conda-forge, unlisted: deny}]\n\
                            files: [{prefix: static/extras, dir: /tmp, listing: false}]",
    ])
    .unwrap();
    let rule = rules.channel(&ChannelName::parse("forge").unwrap()).unwrap();
    assert_eq!(
        (path_of(&rule), rule.unlisted, rule.id.as_str()),
        (Some("conda-forge"), Unlisted::Deny, "forge")
    );
    let route = rules.file("/static/extras/a/b").unwrap();
    assert_eq!(route.rest, "a/b");
    assert_eq!(route.rule.source, FileSource::Dir { dir: Path::new("/tmp").into(), listing: false });
}

#[test]
fn the_machine_reads_small_text_only() {
    let machine = Machine::default();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    assert_eq!(machine.read(&file).unwrap_err(), "it is not UTF-8 text");
    std::fs::write(&file, vec![b'x'; (4 << 20) + 1]).unwrap();
    assert_eq!(machine.read(&file).unwrap_err(), "it is larger than 4 MiB");
}

proptest::proptest! {
    /// Whatever is written, the answer is rules or mistakes that have a place and a sentence.
    #[test]
    fn any_rules_are_answered(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..24)) {
        if let Ok(document) = yaml::parse("p.yaml", &words.concat())
            && let Err(mistakes) = compile(&[document], &Machine::default())
        {
            proptest::prop_assert!(!mistakes.is_empty());
            for mistake in mistakes {
                proptest::prop_assert!(mistake.line > 0 && mistake.column > 0 && !mistake.message.is_empty(), "{mistake}");
            }
        }
    }
}

/// Pieces of rules, in no order.
const WORDS: &[&str] = &[
    "upstreams: ",
    "channels: ",
    "files: ",
    "hosts: ",
    "builtins: ",
    "policy: ",
    "access: ",
    "anonymous: ",
    "read: ",
    "packages: ",
    "notices: ",
    "id: ",
    "hide: ",
    "deny: ",
    "patch: ",
    "names: ",
    "specs: ",
    "message: ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "\n",
    "\n  ",
    "- ",
    "name: ",
    "match: ",
    "upstream: ",
    "urls: ",
    "prefix: ",
    "dir: ",
    "path: ",
    "ttl: ",
    "credentials: ",
    "basic: ",
    "token_env: ",
    "timeouts: ",
    "resolve: ",
    "x",
    "\"*\"",
    "\"x-*\"",
    "anaconda",
    "defaults",
    "http://h",
    "30s",
    "0s",
    "true",
    "~",
    "/",
    "&a ",
    "*a",
    "é",
];
