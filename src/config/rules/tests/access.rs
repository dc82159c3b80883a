//! The language of `access:`: what is refused and how, what entries give.

use super::{Path, rules, told};
use crate::policy::Rules;
use crate::policy::access::{Ask, Caller, Granted, Right, Scope, Thing};

/// `access:` entries, and every mistake in them.
const MISTAKES: &[(&str, &[&str])] = &[
    ("x", &["1:10 `access[0]` must be a map of keys and values, not a single value"]),
    ("{read: [\"user:a\"]}", &["1:10 `access[0]` must have `channels` or `files` | channels: [team]"]),
    (
        "{channels: [x]}",
        &["1:10 `access[0]` gives nobody anything | write at least one of `read`, `write` and `manage`"],
    ),
    (
        "{chanels: [x], channels: [x], raed: [anonymous], read: [anonymous]}",
        &[
            "1:11 unknown key `chanels` in `access[0]` | did you mean `channels`?",
            "1:40 unknown key `raed` in `access[0]` | did you mean `read`?",
        ],
    ),
    (
        "{channels: [], read: [], write: [], packages: []}",
        &[
            "1:21 `access[0].channels` must have 1 to 1000 entries, not 0",
            "1:31 `access[0].read` must have 1 to 10000 entries, not 0",
            "1:42 `access[0].write` must have 1 to 10000 entries, not 0",
            "1:56 `access[0].packages` must have 1 to 1000 entries, not 0",
        ],
    ),
    (
        "{channels: [x], read: , packages: }",
        &[
            "1:26 `access[0].read` has no value | take the key out if it is not meant",
            "1:34 `access[0].packages` has no value | take the key out if it is not meant",
            "1:10 `access[0]` gives nobody anything | write at least one of `read`, `write` and `manage`",
        ],
    ),
    (
        "{channels: [x], read: [alice, authentcated, \"usr:b\", \"team:c\", \"user:a b\", \"group:\"]}",
        &[
            "1:33 `access[0].read` must have `user:NAME`, `group:NAME`, `authenticated` or `anonymous`, not `alice` | write `user:alice` or `group:alice`",
            "1:40 `access[0].read` must have `user:NAME`, `group:NAME`, `authenticated` or `anonymous`, not `authentcated` | did you mean `authenticated`?",
            "1:54 `access[0].read` must have `user:NAME`, `group:NAME`, `authenticated` or `anonymous`, not `usr:b` | did you mean `user:b`?",
            "1:63 `access[0].read` must have `user:NAME`, `group:NAME`, `authenticated` or `anonymous`, not `team:c` | write `user:c` or `group:c`",
            "1:73 `access[0].read`: `a b` can't be the name of a user | at most 64 letters, digits, `.`, `_`, `-`, `+` and `@`",
            "1:85 `access[0].read`: `` can't be the name of a group | at most 64 letters, digits, `.`, `_`, `-`, `+` and `@`",
        ],
    ),
    (
        "{channels: [x], write: [anonymous], manage: [\"user:a\", anonymous]}",
        &[
            "1:33 `access[0].write` can't have `anonymous`: strangers may only read | `authenticated` means all who show a credential",
            "1:54 `access[0].manage` can't have `anonymous`: strangers may only read | `authenticated` means all who show a credential",
        ],
    ),
    (
        "{channels: [x], manage: [\"user:a\"], packages: [y]}",
        &[
            "1:26 `access[0].manage` is about whole channels and can't stand beside `packages` | write an entry of its own for it, without `packages`",
        ],
    ),
    (
        "{files: [miniconda/], write: [\"user:a\"]}",
        &["1:32 `access[0].write` only goes with `channels` | nobody can write files; write `read:`"],
    ),
    (
        "{channels: [x], files: [\"archive\"], packages: [y], read: [\"user:a\"]}",
        &[
            "1:46 `access[0].packages` goes with `channels`, not with `files` | write an entry of its own for the files",
        ],
    ),
    (
        "{files: [minconda], read: [\"user:a\"]}",
        &[
            "1:19 `access[0].files`: no rule of `files` has a prefix that `minconda` matches | did you mean `miniconda/`?",
        ],
    ),
    (
        "{channels: [api/x, team/label/dev, \"x[\", noarch], read: [\"user:a\"]}",
        &[
            "1:29 `access[0].channels`: `team/label/dev` names a label, and labels belong to their channel: write `team`",
        ],
    ),
    (
        "{channels: [api/x], read: [\"user:a\"]}",
        &["1:22 `access[0].channels`: no channel begins with `api`: that path belongs to the gate itself"],
    ),
    (
        "{channels: [\"x[\"], read: [\"user:a\"]}",
        &["1:22 `access[0].channels`: `x[` is not a valid pattern: unclosed character class; missing ']'"],
    ),
    (
        "{id: a b, channels: [x], read: [anonymous]}",
        &["1:15 `access[0].id` must have at most 64 letters, digits, `-`, `_` and `.` | such as `recall-42`"],
    ),
    (
        "{id: a, channels: [x], read: [anonymous]}, {id: a, channels: [y], read: [anonymous]}",
        &["1:58 the rule id `a` is taken | the other rule is at 0.yaml:1; give each a name of its own"],
    ),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    for (entries, expected) in MISTAKES {
        let mut expected: Vec<_> = expected.iter().map(|&text| text.to_owned()).collect();
        let mut found = told(&[&format!("access: [{entries}]")]);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{entries}");
    }
    assert_eq!(told(&["access: {}"]), ["1:9 `access` must be a list, not a map"]);
    assert_eq!(
        told(&["anonymous: nobody"]),
        ["1:12 `anonymous` must be one of `read`, `none`, not `nobody`"]
    );
    let both = "policy: [{id: a, deny: {names: [x]}}]\naccess: [{id: a, channels: [x], read: [anonymous]}]";
    assert_eq!(
        told(&[both]),
        ["2:15 the rule id `a` is taken | the other rule is at 0.yaml:1; give each a name of its own"]
    );
}

#[test]
fn channels_that_no_rule_places_are_noted() {
    let noted = |text: &str| -> Vec<String> {
        let rules = rules(&[text]).unwrap();
        rules
            .notes()
            .map(|note| {
                format!(
                    "{}:{} {} | {}",
                    note.line,
                    note.column,
                    note.message,
                    note.hint.as_deref().unwrap_or("")
                )
            })
            .collect()
    };
    let few = "builtins: false\nupstreams: {a: {urls: [http://a]}}\n\
               channels: [{name: team, upstream: a}, {name: lab, upstream: a}]\n";
    let entry = |channels: &str| format!("{few}access: [{{channels: [{channels}], read: [anonymous]}}]");
    assert_eq!(
        noted(&entry("tema, \"x-*\", Team, \"l*\", \"*\"")),
        [
            "4:22 `access[0].channels`: no rule of `channels` places the channel `tema`; it is about the hosted channel of this name, once it is made (`condagate channel create tema`) | did you mean `team`?",
            "4:28 `access[0].channels`: no rule of `channels` places a channel that `x-*` matches; it is about hosted channels that are made with `condagate channel create` | known here: `lab`, `team`",
        ]
    );
    let globs = few.replace("name: lab", "match: \"l*\"");
    let entry = |channels: &str| format!("{globs}access: [{{channels: [{channels}], read: [anonymous]}}]");
    let said = noted(&entry("LAB, \"x-*\", x"));
    assert!(said.len() == 1 && said[0].contains("places the channel `x`;"), "{said:?}");
    // One mistake about a channel is enough.
    let broken = entry("lab").replace("name: team", "nmae: team");
    assert!(told(&[&broken]).iter().all(|said| said.contains("channels[0]")), "{:?}", told(&[&broken]));
}

#[test]
fn hostile_entries_meet_limits() {
    let many: Vec<_> =
        (0..3000).map(|n| format!("- {{channels: [c{n}], read: [\"user:u{n}\"]}}\n")).collect();
    let said = told(&[&format!("access:\n{}", many.concat())]);
    assert!(said.len() == 1 && said[0].contains("there are more than 2000 entries in `access`"), "{said:?}");
    let (first, second) = many.split_at(1500);
    let said = told(&[&format!("access:\n{}", first.concat()), &format!("access:\n{}", second.concat())]);
    assert!(said.len() == 1 && said[0].starts_with("502:3 there are more than 2000"), "{said:?}");
    let long = format!("access: [{{channels: [\"{}*\"], read: [anonymous]}}]", "x".repeat(1 << 20));
    let said = told(&[&long]);
    assert!(said[0].contains("must have 1 to 256 characters") && said[0].len() < 500, "{said:?}");
}

const ENTRIES: &str = "access:\n\
    - {id: team, channels: [team, \"team/*\"], read: [\"group:Acme\"], write: [\"user:CI\"], manage: [\"user:ada\"]}\n\
    - {id: acme, channels: [team], packages: [\"acme-*\"], read: [\"user:guest\"], write: [\"group:devs\"]}\n\
    - {id: known, channels: [pkgs/main], read: [authenticated]}\n\
    - {id: open, channels: [demo], read: [anonymous], write: [\"user:ci\"]}\n\
    - {channels: [\"x-*\"], manage: [\"user:ada\"]}\n\
    - {id: installers, files: [miniconda], read: [\"group:acme\"]}\n";

/// A caller by name, `name@group`, `root!`, or `-` for a stranger; behind `/`, scopes with `+` between them.
fn ask(rules: &Rules, who: &str, right: Right, what: Thing<'_>) -> String {
    let (who, scopes) = who.split_once(' ').map_or((who, None), |(who, scopes)| (who, Some(scopes)));
    let scopes: Option<Vec<Scope>> = scopes.map(|all| all.split('+').map(|s| s.parse().unwrap()).collect());
    let (name, group) = who.split_once('@').map_or((who, None), |(name, group)| (name, Some(group)));
    let groups: Vec<Box<str>> = group.into_iter().map(Into::into).collect();
    let grants = [Granted::new("g1", "hosted*", Right::Write).unwrap()];
    let caller = Caller {
        user: (name != "-").then(|| name.trim_end_matches('!')),
        groups: &groups,
        superuser: name.ends_with('!'),
        scopes: scopes.as_deref(),
        grants: if name == "granted" { &grants } else { &[] },
    };
    let verdict = rules.access().decide(&caller, &Ask { what, right });
    let sentence = verdict.why().sentence();
    let rule = sentence.split('`').nth(1).unwrap_or_default();
    let word = if verdict.is_allowed() { "yes" } else { "no" };
    format!("{word} {} {rule}", verdict.why().word()).trim_end().to_owned()
}

/// Who, right, channel with `!` where it is private and package behind `:`, answer.
const ANSWERS: &[(&str, Right, &str, &str)] = &[
    // Public by default.
    ("-", Right::Read, "conda-forge", "yes public"),
    ("-", Right::Write, "conda-forge", "no needs_credential"),
    ("eve", Right::Read, "conda-forge:numpy", "yes public"),
    ("eve", Right::Write, "conda-forge", "no not_given"),
    // Closed by default.
    ("-", Right::Read, "hosted!", "no needs_credential"),
    ("eve", Right::Read, "hosted!", "no not_given"),
    ("root!", Right::Manage, "hosted!", "yes superuser"),
    ("granted", Right::Read, "hosted!", "yes grant g1"),
    ("granted", Right::Write, "hosted2!:x", "yes grant g1"),
    ("granted", Right::Manage, "hosted!", "no not_given"),
    // An entry closes what it names, in capitals too.
    ("-", Right::Read, "team", "no needs_credential"),
    ("-", Right::Read, "Team", "no needs_credential"),
    ("eve", Right::Read, "team:acme-x", "no not_given"),
    ("eve@acme", Right::Read, "team", "yes rule team"),
    ("eve@acme", Right::Read, "TEAM/sub:x", "yes rule team"),
    ("eve@acme", Right::Read, "team/sub/deep", "yes public"),
    ("eve@acme", Right::Write, "team:x", "no not_given"),
    // Rights include each other.
    ("ci", Right::Read, "team:x", "yes rule team"),
    ("ci", Right::Write, "team:x", "yes rule team"),
    ("ci", Right::Manage, "team", "no not_given"),
    ("ada", Right::Manage, "team", "yes rule team"),
    ("ada", Right::Read, "x-1", "yes rule access#5"),
    ("-", Right::Read, "x-1", "no needs_credential"),
    // Packages limit files, not the index; and nothing about the channel as a whole but reading.
    ("guest", Right::Read, "team", "yes rule acme"),
    ("guest", Right::Read, "team:ACME-x", "yes rule acme"),
    ("guest", Right::Read, "team:other", "no other_packages"),
    ("bob@devs", Right::Write, "team:acme-x", "yes rule acme"),
    ("bob@devs", Right::Write, "team", "no other_packages"),
    // Everybody, and everybody who shows a credential.
    ("-", Right::Read, "demo", "yes rule open"),
    ("eve", Right::Read, "demo", "yes rule open"),
    ("-", Right::Read, "pkgs/main", "no needs_credential"),
    ("eve", Right::Read, "pkgs/main:x", "yes rule known"),
    ("eve", Right::Write, "pkgs/main:x", "no not_given"),
    // Scopes cut down; what everybody has they leave.
    ("ci read:team", Right::Read, "team:x", "yes rule team"),
    ("ci read:team", Right::Write, "team:x", "no scopes"),
    ("ci write:team:acme-*", Right::Write, "team:acme-x", "yes rule team"),
    ("ci write:team:acme-*", Right::Write, "team:x", "no scopes"),
    ("ci write:team:acme-*", Right::Write, "team", "no scopes"),
    ("ci write:team:acme-*", Right::Read, "team", "yes rule team"),
    ("ci read:lab+write:team", Right::Write, "team:x", "yes rule team"),
    ("ci read:lab", Right::Read, "team", "no scopes"),
    ("ci read:lab", Right::Read, "conda-forge", "yes public"),
    ("ci read:lab", Right::Read, "demo", "yes rule open"),
    ("ci read:lab", Right::Read, "pkgs/main", "no scopes"),
    ("root! read:*", Right::Read, "hosted!", "yes superuser"),
    ("root! read:*", Right::Write, "hosted!", "no scopes"),
    ("eve manage:*", Right::Read, "team", "no not_given"),
];

#[test]
fn entries_grants_and_scopes_meet() {
    let rules = rules(&[ENTRIES]).unwrap();
    for (who, right, what, expected) in ANSWERS {
        let (what, package) = what.split_once(':').map_or((*what, None), |(what, p)| (what, Some(p)));
        let thing =
            Thing::Channel { name: what.trim_end_matches('!'), private: what.ends_with('!'), package };
        assert_eq!(ask(&rules, who, *right, thing), *expected, "{who} {right} {what} {package:?}");
    }
    let file = |prefix, private| Thing::File { prefix, private };
    for (who, thing, expected) in [
        ("-", file("archive/", false), "yes public"),
        ("-", file("archive/", true), "no needs_credential"),
        ("granted", file("archive/", true), "no not_given"),
        ("-", file("miniconda/", false), "no needs_credential"),
        ("eve@acme", file("miniconda/", false), "yes rule installers"),
        ("eve@acme read:*", file("miniconda/", false), "yes rule installers"),
        ("eve@acme read:**:x", file("miniconda/", false), "no scopes"),
        ("eve@acme read:miniconda", file("miniconda/", false), "no scopes"),
    ] {
        assert_eq!(ask(&rules, who, Right::Read, thing), expected, "{who} {thing:?}");
    }
}

#[test]
fn strangers_can_be_kept_out_with_one_line() {
    let access = rules(&["anonymous: none"]).unwrap();
    let channel = |name| Thing::Channel { name, private: false, package: None };
    assert!(!access.access().is_empty());
    assert_eq!(ask(&access, "-", Right::Read, channel("conda-forge")), "no needs_credential");
    assert_eq!(ask(&access, "eve", Right::Read, channel("conda-forge")), "yes public");
    assert_eq!(ask(&access, "eve read:lab", Right::Read, channel("conda-forge")), "no scopes");
    assert_eq!(
        ask(&access, "-", Right::Read, Thing::File { prefix: "miniconda/", private: false }),
        "no needs_credential"
    );
    // An entry opens one channel all the same; a later file has the last word.
    let opened = "access: [{channels: [demo], read: [anonymous]}]";
    let opened = rules(&["anonymous: none", opened]).unwrap();
    assert_eq!(ask(&opened, "-", Right::Read, channel("demo")), "yes rule access#1");
    let again = rules(&["anonymous: none", "anonymous: read"]).unwrap();
    assert!(again.access().is_empty());
    assert!(rules(&[]).unwrap().access().is_empty());
}

#[test]
fn what_is_closed_can_be_asked() {
    let access = rules(&[ENTRIES]).unwrap();
    let access = access.access();
    for (channel, closed) in [
        ("team", true),
        ("TEAM", true),
        ("team/a", true),
        ("x-y", true),
        ("demo", true),
        ("conda-forge", false),
    ] {
        assert_eq!(access.is_closed(channel), closed, "{channel}");
    }
    assert_eq!((access.len(), access.is_empty()), (6, false));
}

#[test]
fn what_entries_say_counts_for_the_revision_and_their_place_does_not() {
    let base = rules(&[ENTRIES]).unwrap();
    let moved = rules(&[&format!("# moved\n{ENTRIES}")]).unwrap();
    let other = rules(&[&ENTRIES.replace("user:CI", "user:ci2")]).unwrap();
    assert_eq!(base.revision(), moved.revision());
    assert_ne!(base, moved, "lines are told");
    assert_ne!(base.revision(), other.revision());
    assert_ne!(base.revision(), rules(&[&format!("anonymous: none\n{ENTRIES}")]).unwrap().revision());
    assert!(Granted::new("g", "a b", Right::Read).is_none());
}

#[test]
fn the_example_compiles_and_shows_every_key() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy-rules/70-access.yaml.example");
    let text = std::fs::read_to_string(&file).unwrap();
    let team = "channels: [{name: team, upstream: anaconda}]";
    let access = rules(&[team, &text]).unwrap();
    for key in ["anonymous", "id", "channels", "files", "packages", "read", "write", "manage"] {
        assert!(text.contains(&format!("{key}:")), "{key}");
    }
    let channel = |name, package| Thing::Channel { name, private: false, package };
    for (who, thing, expected) in [
        ("-", channel("conda-forge", None), "yes rule open"),
        ("-", channel("bioconda", None), "no needs_credential"),
        ("-", channel("team", None), "no needs_credential"),
        ("x@contractors", channel("team", Some("acme-sdk-core")), "yes rule contractors"),
        ("x@contractors", channel("team", Some("acme-secret")), "no other_packages"),
    ] {
        assert_eq!(ask(&access, who, Right::Read, thing), expected, "{who} {thing:?}");
    }
}
