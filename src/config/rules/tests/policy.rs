//! The language of `policy:` and `notices:`: what is refused and how, what rules say to each other.

use super::{Machine, Path, Rules, compile, rules, told, yaml};
use crate::clock::UnixMillis;
use crate::policy::notices::{Level, rfc3339};

/// `policy:` entries, and every mistake in them.
const MISTAKES: &[(&str, &[&str])] = &[
    (
        "{deny: {names: [x]}}",
        &["1:10 `policy[0].id` is missing | a name that refusals and reports can quote"],
    ),
    (
        "{id: a b, deny: {names: [x]}}",
        &["1:15 `policy[0].id` must have at most 64 letters, digits, `-`, `_` and `.` | such as `recall-42`"],
    ),
    (
        "{id: a}",
        &[
            "1:10 `policy[0]` must have exactly one of `hide`, `deny`, `allow` and `patch` | write a rule of its own for each effect",
        ],
    ),
    (
        "{id: a, hide: {names: [x]}, deny: {names: [x]}}",
        &[
            "1:38 `policy[0]` must have exactly one of `hide`, `deny`, `allow` and `patch` | write a rule of its own for each effect",
        ],
    ),
    (
        "{id: a, deny: {}}",
        &["1:24 `policy[0].deny` has no condition | write `names: [\"*\"]` if all records are meant"],
    ),
    (
        "{id: a, deny: {names: [x], larger_than: }}",
        &["1:37 `policy[0].deny.larger_than` has no value | take the key out if it is not meant"],
    ),
    ("{id: a, deny: {names: []}}", &["1:32 `policy[0].deny.names` must have 1 to 10000 entries, not 0"]),
    (
        "{id: a, deny: {nmaes: [x]}}",
        &["1:25 unknown key `nmaes` in `policy[0].deny` | did you mean `names`?"],
    ),
    (
        "{id: a, chanels: [x], deny: {names: [x]}}",
        &["1:18 unknown key `chanels` in `policy[0]` | did you mean `channels`?"],
    ),
    (
        "{id: a, deny: {names: [\"a[\"]}}",
        &["1:33 `policy[0].deny.names`: `a[` is not a valid pattern: unclosed character class; missing ']'"],
    ),
    (
        "{id: a, deny: {digests: [abc]}}",
        &["1:35 `policy[0].deny.digests`: `abc` must be a SHA-256 (64 hex digits) or an MD5 (32)"],
    ),
    (
        "{id: a, deny: {specs: [\"conda-forge::xz\"]}}",
        &[
            "1:33 `policy[0].deny.specs`: `conda-forge::xz` can't be used as a spec: it names a channel, which a spec can't do here",
        ],
    ),
    (
        "{id: a, deny: {depends_on: [\"xz >=5\"]}}",
        &[
            "1:38 `policy[0].deny.depends_on`: `xz >=5` must be a name, or a name and one version such as `xz ==5.6.0`",
        ],
    ),
    (
        "{id: a, audience: [devs], deny: {names: [x]}}",
        &[
            "1:29 `policy[0].audience` must have `user:NAME`, `group:NAME`, `authenticated` or `anonymous`, not `devs` | write `user:devs` or `group:devs`",
        ],
    ),
    (
        "{id: a, deny: {names: [x]}, download: keep}",
        &["1:48 `policy[0].download` only goes with `hide` | files that are denied are refused everywhere"],
    ),
    (
        "{id: a, patch: {match: {names: [x]}}}",
        &[
            "1:25 `policy[0].patch` must have `match` and at least one change, or `instructions` | changes are `set`, `add_depends`, `remove_depends`, `add_constrains`, `remove_constrains`",
        ],
    ),
    (
        "{id: a, patch: {match: {names: [x]}, set: {sha256: y}}}",
        &[
            "1:53 `policy[0].patch.set.sha256` can't be set: it says which file the record is about | hide or deny the record instead",
        ],
    ),
    (
        "{id: a, patch: {match: {names: [x]}, add_depends: [\" >=1\"]}}",
        &["1:61 `policy[0].patch.add_depends` must have dependencies such as `zlib >=1.3`"],
    ),
    (
        "{id: a, patch: {instructions: /absent.json}}",
        &["1:40 the hotfix file `/absent.json` can't be read: it is not there"],
    ),
    (
        "{id: a, patch: {instructions: x.json, set: {license: MIT}}}",
        &[
            "1:25 `policy[0].patch.instructions` stands alone: the file says what is meant and what changes | write a rule of its own for the rest",
        ],
    ),
    (
        "{id: a, hide: {younger_than: 7}}",
        &[
            "1:39 `policy[0].hide.younger_than` must be a duration with a unit (ms, s, m, h, d), such as `30s`, `20m` or `1h30m`, not `7`",
        ],
    ),
    (
        "{id: a, deny: {names: [x]}}, {id: a, deny: {names: [y]}}",
        &["1:39 the rule id `a` is taken | the other rule is at 0.yaml:1; give each a name of its own"],
    ),
];

#[test]
fn mistakes_have_a_place_and_a_hint() {
    for (entries, expected) in MISTAKES {
        assert_eq!(told(&[&format!("policy: [{entries}]")]), *expected, "{entries}");
    }
    let elsewhere = ["policy: [{id: a, deny: {names: [x]}}]", "policy: [{id: a, deny: {names: [y]}}]"];
    assert_eq!(
        told(&elsewhere),
        ["1:10 the rule id `a` is taken | the other rule is at 0.yaml:1; give each a name of its own"]
    );
}

fn refused(entries: &str) -> String {
    told(&[&format!("policy: [{entries}]")]).join("\n")
}

/// Rules of which one can never act, or is weakened: the first words of the mistake.
const CONFLICTS: &[(&str, &str)] = &[
    (
        "{id: a, allow: {names: [xz]}}, {id: b, deny: {specs: [\"xz >=5.6\"]}}",
        "the deny `b` never acts: the allow `a`",
    ),
    (
        "{id: a, allow: {names: [\"x*\"]}}, {id: b, deny: {names: [xz, xy]}}",
        "the deny `b` never acts: the allow `a`",
    ),
    ("{id: a, allow: {specs: [xz]}}, {id: b, deny: {names: [xz]}}", "the deny `b` never acts: the allow `a`"),
    (
        "{id: a, allow: {specs: [\"xz 5\"]}}, {id: b, deny: {specs: [\"xz 5\"]}}",
        "the deny `b` never acts: the allow `a`",
    ),
    (
        "{id: a, deny: {names: [\"*\"]}}, {id: b, allow: {names: [x]}}",
        "the allow `b` never acts: the deny `a`",
    ),
    (
        "{id: a, hide: {names: [x, y], larger_than: 1MB}}, {id: b, deny: {names: [x], larger_than: 2MB}}",
        "the deny `b` never acts: the hide `a`",
    ),
    (
        "{id: a, hide: {names: [x]}}, {id: b, deny: {names: [x, y]}}",
        "the hide `a` takes its records away from the deny `b`",
    ),
    (
        "{id: a, hide: {younger_than: 7d}}, {id: b, hide: {younger_than: 3d}, dry_run: true}",
        "the hide `b` never acts: the hide `a`",
    ),
    (
        "{id: a, channels: [x], hide: {removed: true}}, {id: b, channels: [x], hide: {removed: true, licenses: [MIT]}}",
        "the hide `b` never acts",
    ),
    (
        "{id: a, hide: {names: [x]}, unless: {larger_than: 1MB}}, {id: b, hide: {names: [x]}, unless: {larger_than: 1KB}}",
        "the hide `b` never acts",
    ),
];

/// Rules that are right beside each other.
const PEACE: &[&str] = &[
    "{id: a, allow: {specs: [\"xz 5.6.1 h1\"]}}, {id: b, deny: {specs: [\"xz >=5.6\"]}}",
    "{id: a, channels: [x], allow: {names: [xz]}}, {id: b, channels: [y], deny: {names: [xz]}}",
    "{id: a, channels: [x], hide: {names: [xz]}}, {id: b, hide: {names: [xz]}}",
    "{id: a, hide: {names: [x]}, dry_run: true}, {id: b, hide: {names: [x]}}",
    "{id: a, hide: {names: [x]}, unless: {larger_than: 1MB}}, {id: b, hide: {names: [x]}}",
    "{id: a, hide: {younger_than: 3d}}, {id: b, hide: {younger_than: 7d}}",
    "{id: a, deny: {names: [x]}}, {id: b, patch: {match: {names: [x]}, set: {license: MIT}}}",
    "{id: a, subdirs: [linux-64], hide: {names: [x]}}, {id: b, subdirs: [osx-64], hide: {names: [x]}}",
];

#[test]
fn rules_that_can_never_act_are_refused() {
    for (entries, expected) in CONFLICTS {
        let said = refused(entries);
        assert!(said.contains(expected) && said.contains(" at 0.yaml:1"), "{entries}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for entries in PEACE {
        let rules =
            rules(&[&format!("policy: [{entries}]")]).map_err(|m| format!("{entries}: {m:?}")).unwrap();
        assert!(rules.policy().notes().is_empty() || entries.contains("5.6.1 h1"), "{entries}");
    }
}

#[test]
fn what_may_undo_a_recall_is_noted() {
    let noted = |entries: &str| {
        let rules = rules(&[&format!("policy: [{entries}]")]).unwrap();
        rules.policy().notes().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        noted("{id: mit, allow: {licenses: [MIT]}}, {id: recall, deny: {names: [xz]}}"),
        "0.yaml:1:47: the deny `recall` does not act on what the allow `mit` before it matches\n  \
         hint: that rule is at 0.yaml:1; put the deny before it unless this is meant"
    );
    assert!(
        noted("{id: k, hide: {older_than: 9d}, download: keep}, {id: r, deny: {names: [xz]}}")
            .contains("the hide `k`")
    );
    assert_eq!(noted("{id: a, allow: {names: [ca-certificates]}}, {id: r, deny: {names: [xz]}}"), "");
    assert_eq!(noted("{id: r, deny: {names: [xz]}}, {id: mit, allow: {licenses: [MIT]}}"), "");
}

#[test]
fn hostile_rules_meet_limits() {
    let long = "x".repeat(3 << 20);
    for key in ["names", "files", "licenses", "license_families", "specs", "depends_on"] {
        let said = refused(&format!("{{id: a, deny: {{{key}: [\"{long}*\"]}}}}"));
        assert!(
            said.contains("must have 1 to 256 characters") || said.contains("longer than 512"),
            "{key}: {said:.300}"
        );
        assert!(said.len() < 500, "{key}");
    }
    let many: Vec<_> = (0..100_000).map(|n| format!("- {{id: r{n}, deny: {{names: [n{n}]}}}}\n")).collect();
    let parts: Vec<_> = many.chunks(20_000).map(|part| format!("policy:\n{}", part.concat())).collect();
    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
    let said = told(&parts);
    assert!(said.iter().all(|s| s.contains("there are more than 2000 rules in `policy`")), "{said:?}");
    assert!(said.len() <= 6, "{said:?}");
    let globs: Vec<_> = (0..600).map(|n| format!("\"{n}*\"")).collect();
    let said = refused(&format!("{{id: a, deny: {{names: [{}]}}}}", globs.join(", ")));
    assert!(said.contains("at most 512 in one list"), "{said}");
    let names: Vec<_> = (0..10_001).map(|n| format!("n{n}")).collect();
    let said = refused(&format!("{{id: a, deny: {{names: [{}]}}}}", names.join(", ")));
    assert!(said.contains("must have 1 to 10000 entries, not 10001"), "{said}");
}

#[test]
fn a_broken_hotfix_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let rules_file = dir.path().join("60-policy.yaml").display().to_string();
    let document = || {
        let text = "policy: [{id: h, subdirs: [linux-64], patch: {instructions: fix.json}}]";
        yaml::parse(&rules_file, text).unwrap()
    };
    let compiled = || compile(&[document()], &Machine::default());
    std::fs::write(dir.path().join("fix.json"), "{\"packages\": 3}").unwrap();
    let mistakes = compiled().unwrap_err();
    assert_eq!((mistakes.len(), mistakes[0].line), (1, 1));
    assert!(mistakes[0].message.contains("fix.json` is not a patch_instructions.json"), "{mistakes:?}");
    std::fs::write(dir.path().join("fix.json"), "{}").unwrap();
    let empty = compiled().unwrap();
    std::fs::write(dir.path().join("fix.json"), "{\"remove\": [\"a-1-0.conda\"]}").unwrap();
    let full = compiled().unwrap();
    assert_ne!(empty, full);
    assert_ne!(empty.revision(), full.revision());
    let revision = |rules: &Rules| rules.policy().judge("x", "linux-64").revision();
    assert_ne!(revision(&empty), revision(&full));
}

#[test]
fn notices_are_for_channels() {
    let rules = rules(&["notices:\n\
         - {id: n1, channels: [\"conda-*\"], message: moves, level: warning, created: 2026-01-01, expires: 2026-02-01T12:00:00+01:00}\n\
         - {id: n2, message: hello, interval: 36h}\n"])
    .unwrap();
    let ids =
        |channel: &str| rules.notices_for(channel).into_iter().map(|n| n.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids("conda-forge"), ["n1", "n2"]);
    assert_eq!(ids("pkgs/main"), ["n2"]);
    let first = &rules.notices_for("conda-forge")[0];
    assert_eq!((first.level, first.message.as_str()), (Level::Warning, "moves"));
    assert_eq!(first.created_at.map(rfc3339).unwrap(), "2026-01-01T00:00:00+00:00");
    let end = first.expired_at.unwrap();
    assert_eq!(rfc3339(end), "2026-02-01T11:00:00+00:00");
    assert!(first.is_current(UnixMillis(end.0 - 1)) && !first.is_current(end));
    let second = &rules.notices_for("x")[0];
    assert_eq!((second.level, second.interval, second.expired_at), (Level::Info, Some(36), None));
    assert!(second.is_current(UnixMillis(i64::MAX)));
}

#[test]
fn mistakes_in_notices() {
    for (entry, expected) in [
        ("{message: x}", "`notices[0].id` is missing"),
        ("{id: a}", "`notices[0].message` is missing"),
        ("{id: a, message: x, level: loud}", "must be one of `info`, `warning`, `critical`, not `loud`"),
        ("{id: a, message: x, expires: soon}", "`notices[0].expires` must be a date or a moment | such as"),
        ("{id: a, message: x, expires: 2026-02-30}", "must be a date or a moment"),
        ("{id: a, message: x, created: 2026-02-01, expires: 2026-01-01}", "must be later than `created`"),
        ("{id: a, message: \"\\e[2J\"}", "none of them a control character"),
        ("{id: a, mesage: x, message: y}", "did you mean `message`?"),
        ("{id: a, message: x}, {id: a, message: y}", "the notice id `a` is taken"),
    ] {
        let said = told(&[&format!("notices: [{entry}]")]);
        assert!(said.len() == 1 && said[0].contains(expected), "{entry}: {said:?}");
    }
}

#[test]
fn the_example_compiles_and_shows_every_key() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy-rules/60-policy.yaml.example");
    let text = std::fs::read_to_string(&file).unwrap();
    // The hotfix file of the example is the reader's own.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("linux-64-patch_instructions.json"), "{}").unwrap();
    let document = yaml::parse(&dir.path().join("60-policy.yaml").display().to_string(), &text).unwrap();
    let rules = compile(&[document], &Machine::default()).unwrap();
    assert!(rules.policy().notes().is_empty(), "{:?}", rules.policy().notes());
    assert!(!rules.notices_for("conda-forge").is_empty());
    for key in [
        "id",
        "channels",
        "subdirs",
        "hide",
        "deny",
        "allow",
        "patch",
        "unless",
        "download",
        "reason",
        "dry_run",
        "names",
        "specs",
        "files",
        "digests",
        "licenses",
        "license_families",
        "depends_on",
        "larger_than",
        "smaller_than",
        "younger_than",
        "older_than",
        "removed",
        "match",
        "set",
        "add_depends",
        "remove_depends",
        "add_constrains",
        "remove_constrains",
        "instructions",
        "message",
        "level",
        "expires",
        "created",
        "interval",
    ] {
        assert!(text.contains(&format!("{key}:")), "{key}");
    }
}
