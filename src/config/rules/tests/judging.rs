//! What rules do to records: every condition, every effect, order, time, revision, explanation.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::rules;
use crate::clock::UnixMillis;
use crate::conda::digest::{Md5, Sha256};
use crate::policy::verdict::{Decision, Subject, Verdict};
use crate::policy::{Rules, Standing};

const DAY: i64 = 24 * 3600 * 1000;
pub(super) const NOW: UnixMillis = UnixMillis(1000 * DAY);

/// `xz 5.6.1`, twenty days old.
pub(super) fn xz() -> Subject<'static> {
    Subject {
        channel: "conda-forge",
        subdir: "linux-64",
        file: "xz-5.6.1-h1_3.conda",
        name: Some("xz".into()),
        version: Some("5.6.1".into()),
        build: Some("h1_3".into()),
        build_number: Some(3),
        license: Some("LGPL-2.1-or-later AND 0BSD".into()),
        license_family: Some("LGPL".into()),
        size: Some(1_500_000),
        sha256: Some(Sha256([7; 32])),
        md5: Some(Md5([9; 16])),
        depends: vec!["libgcc >=13".into(), "liblzma 5.6.1 h2".into(), "conda-forge::zlib >=1.2,<2".into()],
        first_seen: Some(UnixMillis(980 * DAY)),
        removed: false,
    }
}

fn policy(entries: &str) -> Rules {
    rules(&[&format!("policy: [{entries}]")]).map_err(|m| format!("{entries}: {m:?}")).unwrap()
}

fn decide(entries: &str, subject: &Subject<'_>) -> Decision {
    policy(entries).policy().judge(subject.channel, subject.subdir).decide(subject, NOW)
}

/// `shown`, `hidden by X`, `kept by X` or `denied by X`.
pub(super) fn verdict(decision: &Decision) -> String {
    match &decision.verdict {
        Verdict::Show => "shown".to_owned(),
        Verdict::Hide { rule, keep_download: false } => format!("hidden by {}", rule.id),
        Verdict::Hide { rule, keep_download: true } => format!("kept by {}", rule.id),
        Verdict::Deny { rule } => format!("denied by {}", rule.id),
    }
}

/// A matcher, and whether it means [`xz`].
const MATCHERS: &[(&str, bool)] = &[
    ("names: [XZ]", true),
    ("names: [x, \"?z\"]", true),
    ("names: [\"xz-*\"]", false),
    ("specs: [\"xz >=5.6.0,<5.6.2\"]", true),
    ("specs: [\"xz <5.6.1\", \"zlib\"]", false),
    ("specs: [\"x* 5.6.*\"]", true),
    ("specs: [\"xz 5.6.1 h1*\"]", true),
    ("specs: [\"xz[build_number='>3']\"]", false),
    ("files: [\"xz-*.conda\"]", true),
    ("files: [\"XZ-*\"]", false),
    ("digests: [\"0707070707070707070707070707070707070707070707070707070707070707\"]", true),
    ("digests: [\"md5:09090909090909090909090909090909\"]", true),
    ("digests: [09090909090909090909090909090908]", false),
    ("licenses: [LGPL-2.1-or-later]", true),
    ("licenses: [MIT, \"GPL-*\"]", false),
    ("license_families: [lgpl]", true),
    ("license_families: [\"*GPL\"]", true),
    ("license_families: [GPL]", false),
    ("larger_than: 1MB", true),
    ("larger_than: 1500000B", false),
    ("smaller_than: 1500001B", true),
    ("smaller_than: 1MB", false),
    ("depends_on: [zlib]", true),
    ("depends_on: [\"lib*\"]", true),
    ("depends_on: [openssl]", false),
    ("depends_on: [\"liblzma ==5.6.1\"]", true),
    ("depends_on: [\"liblzma ==5.6.0\"]", false),
    ("depends_on: [\"zlib ==1.3\"]", true),
    ("younger_than: 21d", true),
    ("younger_than: 20d", false),
    ("older_than: 20d", true),
    ("older_than: 21d", false),
    ("removed: true", false),
    ("removed: false", true),
    ("names: [xz], larger_than: 2MB", false),
    ("names: [xz], larger_than: 1MB, older_than: 7d", true),
];

#[test]
fn every_condition() {
    for (matcher, expected) in MATCHERS {
        for (effect, word) in [("deny", "denied"), ("hide", "hidden")] {
            let found = verdict(&decide(&format!("{{id: a, {effect}: {{{matcher}}}}}"), &xz()));
            assert_eq!(
                found,
                if *expected { format!("{word} by a") } else { "shown".to_owned() },
                "{matcher}"
            );
        }
        let excepted = format!("{{id: a, deny: {{names: [\"*\"]}}, unless: {{{matcher}}}}}");
        assert_eq!(verdict(&decide(&excepted, &xz())) == "shown", *expected, "unless {matcher}");
    }
}

#[test]
fn what_a_record_lacks_does_not_match() {
    let bare = Subject { channel: "conda-forge", subdir: "linux-64", file: "x.conda", ..Subject::default() };
    for (matcher, _) in
        MATCHERS.iter().filter(|(m, _)| !m.starts_with("younger") && !m.starts_with("removed"))
    {
        assert_eq!(verdict(&decide(&format!("{{id: a, hide: {{{matcher}}}}}"), &bare)), "shown", "{matcher}");
    }
    assert_eq!(verdict(&decide("{id: a, hide: {younger_than: 1d}}", &bare)), "hidden by a");
    assert_eq!(decide("{id: a, hide: {younger_than: 1d}}", &bare).until, None);
}

#[test]
fn a_version_that_cannot_be_compared_is_denied_but_not_hidden() {
    for version in [None, Some(Cow::Borrowed("no version!"))] {
        let odd = Subject { version, ..xz() };
        assert_eq!(verdict(&decide("{id: a, deny: {specs: [\"xz <1\"]}}", &odd)), "denied by a");
        assert_eq!(verdict(&decide("{id: a, deny: {specs: [\"xz <1 h2\"]}}", &odd)), "shown");
        assert_eq!(verdict(&decide("{id: a, hide: {specs: [\"xz <1\"]}}", &odd)), "shown");
        let unless = "{id: a, deny: {names: [xz]}, unless: {specs: [\"xz <9\"]}}";
        assert_eq!(verdict(&decide(unless, &odd)), "denied by a");
        let said = policy("{id: a, deny: {specs: [\"xz <1\"]}}").policy().explain(&odd, NOW);
        assert!(said[0].sentence.contains("may mean it"), "{said:?}");
    }
}

#[test]
fn the_first_that_matches_decides() {
    for (entries, expected) in [
        ("{id: a, allow: {specs: [\"xz 5.6.1\"]}}, {id: b, deny: {names: [xz]}}", "shown"),
        ("{id: b, deny: {specs: [\"xz >5\"]}}, {id: a, allow: {names: [xz]}}", "denied by b"),
        ("{id: a, hide: {larger_than: 1MB}}, {id: b, deny: {names: [xz]}}", "hidden by a"),
        ("{id: a, hide: {larger_than: 9MB}}, {id: b, deny: {names: [xz]}}", "denied by b"),
        ("{id: a, hide: {older_than: 1d}, download: keep}", "kept by a"),
        ("{id: a, channels: [\"pkgs/*\"], deny: {names: [xz]}}", "shown"),
        ("{id: a, channels: [\"conda-*\"], subdirs: [\"linux-*\"], deny: {names: [xz]}}", "denied by a"),
        ("{id: a, subdirs: [noarch], deny: {names: [xz]}}", "shown"),
    ] {
        assert_eq!(verdict(&decide(entries, &xz())), expected, "{entries}");
    }
}

#[test]
fn rules_on_trial_only_report() {
    let trial = |entries: &str| {
        let decision = decide(entries, &xz());
        let ids: Vec<_> = decision.trial.iter().map(|rule| rule.id.clone()).collect();
        (verdict(&decision), ids.join(" "))
    };
    let expect = |verdict: &str, ids: &str| (verdict.to_owned(), ids.to_owned());
    let two = "{id: a, dry_run: true, deny: {names: [xz]}}, {id: b, dry_run: true, hide: {older_than: 1d}}";
    assert_eq!(trial(two), expect("shown", "a b"));
    assert_eq!(trial(&format!("{two}, {{id: c, deny: {{larger_than: 1MB}}}}")), expect("denied by c", "a b"));
    assert_eq!(
        trial("{id: c, allow: {larger_than: 1MB}}, {id: a, dry_run: true, hide: {names: [xz]}}"),
        expect("shown", "")
    );
    assert_eq!(
        trial("{id: a, dry_run: true, allow: {names: [xz]}}, {id: b, hide: {names: [xz]}}"),
        expect("hidden by b", "")
    );
    let change = "{id: a, dry_run: true, patch: {match: {names: [xz]}, set: {x: 1}}}";
    assert!(decide(change, &xz()).patches.is_empty());
    assert_eq!(trial(change), expect("shown", "a"));
    assert_eq!(trial(&format!("{change}, {{id: b, deny: {{names: [xz]}}}}")), expect("denied by b", ""));
}

#[test]
fn patches_are_given_in_order_to_what_is_shown() {
    let entries = "{id: p, patch: {match: {names: [xz]}, set: {license: 1, timestamp: 5, revoked: true, noarch: , x: [a, {b: 2}]}, \
                   add_depends: [\"a >=1\"], remove_depends: [b]}}, \
                   {id: q, reason: why, patch: {match: {larger_than: 1MB}, add_constrains: [c], remove_constrains: [d]}}, \
                   {id: r, patch: {match: {larger_than: 9MB}, add_constrains: [c]}}";
    let decision = decide(entries, &xz());
    let [p, q] = &decision.patches[..] else { panic!("two patches") };
    assert_eq!(
        serde_json::Value::Object(p.set.clone()).to_string(),
        r#"{"license":"1","timestamp":5,"revoked":true,"noarch":null,"x":["a",{"b":2}]}"#
    );
    assert_eq!(
        (&p.add_depends[..], &p.remove_depends[..]),
        (&["a >=1".to_owned()][..], &["b".to_owned()][..])
    );
    assert_eq!((q.rule.id.as_str(), q.rule.reason.as_deref(), q.rule.at.line), ("q", Some("why"), 1));
    assert_eq!(
        (&q.add_constrains[..], &q.remove_constrains[..]),
        (&["c".to_owned()][..], &["d".to_owned()][..])
    );
    let hidden = decide(&format!("{entries}, {{id: h, hide: {{names: [xz]}}}}"), &xz());
    assert!(hidden.patches.is_empty() && verdict(&hidden) == "hidden by h");
    let allowed = decide(
        &format!("{{id: y, allow: {{names: [xz]}}}}, {entries}, {{id: h, hide: {{names: [\"*\"]}}}}"),
        &xz(),
    );
    assert_eq!((allowed.patches.len(), verdict(&allowed)), (2, "shown".to_owned()));
}

#[test]
fn until_is_the_next_moment_that_matters() {
    let days = |entries: &str| decide(entries, &xz()).until.map(|until| until.0 / DAY);
    for (entries, expected) in [
        ("{id: a, hide: {younger_than: 30d}}", Some(1010)),
        ("{id: a, hide: {younger_than: 20d}}", None),
        ("{id: a, hide: {older_than: 40d}}", Some(1020)),
        ("{id: a, hide: {older_than: 10d}}", None),
        ("{id: a, hide: {younger_than: 30d, names: [other]}}", None),
        ("{id: a, hide: {younger_than: 30d}, unless: {names: [xz]}}", None),
        ("{id: a, hide: {names: [xz]}, unless: {younger_than: 30d}}", Some(1010)),
        ("{id: a, deny: {specs: [\"xz 5.6.1\"]}}, {id: b, hide: {younger_than: 30d}}", None),
        // Another rule hides it when the first one ends: who says so changes.
        ("{id: a, hide: {younger_than: 30d}}, {id: b, hide: {larger_than: 1MB}}", Some(1010)),
        ("{id: b, hide: {younger_than: 25d}}, {id: a, hide: {younger_than: 30d}}", Some(1005)),
        ("{id: a, dry_run: true, hide: {younger_than: 30d}}", None),
        ("{id: p, patch: {match: {younger_than: 30d}, set: {x: 1}}}", Some(1010)),
        ("{id: p, patch: {match: {younger_than: 30d}, set: {x: 1}}}, {id: h, hide: {names: [xz]}}", None),
    ] {
        assert_eq!(days(entries), expected, "{entries}");
    }
    let rules = policy("{id: a, hide: {younger_than: 30d}}");
    let judge = rules.policy().judge("conda-forge", "linux-64");
    let until = judge.decide(&xz(), NOW).until.unwrap();
    assert!(!judge.decide(&xz(), UnixMillis(until.0 - 1)).verdict.listed());
    assert!(judge.decide(&xz(), until).verdict.listed());
}

#[test]
fn a_revision_is_about_what_concerns_the_channel() {
    let revision = |entries: &str, channel: &str, subdir: &str| {
        policy(entries).policy().judge(channel, subdir).revision()
    };
    let base = "{id: a, channels: [x], deny: {names: [n]}}, {id: b, subdirs: [noarch], hide: {names: [m]}}";
    let (x, y) = (revision(base, "x", "linux-64"), revision(base, "y", "linux-64"));
    assert_ne!(x, y);
    assert_eq!(y, 0);
    assert!(policy(base).policy().judge("y", "linux-64").is_idle());
    assert!(!policy(base).policy().judge("y", "noarch").is_idle());
    for (other, changes) in [
        (
            "{id: b, subdirs: [noarch], hide: {names: [m]}}, {channels: [x, z], id: a, deny: {names: [n]}}",
            false,
        ),
        ("{id: a, channels: [x], deny: {names: [n2]}}", true),
        ("{id: a, channels: [x], deny: {names: [n]}, reason: new}", true),
        ("{id: a, channels: [x], deny: {names: [n]}, dry_run: true}", true),
        ("{id: a, channels: [x], hide: {names: [n]}}", true),
        ("{id: a, channels: [x], deny: {names: [n]}}, {id: c, channels: [x], deny: {names: [o]}}", true),
    ] {
        assert_eq!(revision(other, "x", "linux-64") != x, changes, "{other}");
    }
    let two = |first: &str, second: &str| {
        let deny =
            |id: &str| format!("{{id: {id}, deny: {{larger_than: {id}MB}}, unless: {{names: [{id}]}}}}");
        revision(&format!("{}, {}", deny(first), deny(second)), "x", "noarch")
    };
    assert_ne!(two("1", "2"), two("2", "1"), "order matters");
}

#[test]
fn a_moved_rule_is_another_set_of_rules_with_the_same_judge() {
    let text = "policy: [{id: a, deny: {names: [n]}}]";
    let (here, there) = (rules(&[text]).unwrap(), rules(&[&format!("# moved\n{text}")]).unwrap());
    assert_ne!(here, there, "explanations quote lines");
    assert_eq!(here.revision(), there.revision());
    let revision = |rules: &Rules| rules.policy().judge("x", "noarch").revision();
    assert_eq!(revision(&here), revision(&there));
    assert_ne!(here.revision(), rules(&[]).unwrap().revision());
    let narrowed = rules(&["policy: [{id: a, channels: [y], deny: {names: [n]}}]"]).unwrap();
    assert_ne!(here.revision(), narrowed.revision());
}

#[test]
fn metadata_is_needed_only_by_what_refuses() {
    for (entries, expected) in [
        (
            "{id: a, deny: {specs: [\"xz >5\"]}}, {id: b, hide: {younger_than: 7d}}, {id: c, deny: {files: [\"*\"]}}",
            false,
        ),
        ("{id: a, deny: {licenses: [MIT]}}", true),
        ("{id: a, deny: {specs: [\"xz[build_number=3]\"]}}", true),
        ("{id: a, hide: {larger_than: 1GB}}", true),
        ("{id: a, hide: {depends_on: [x]}}", true),
        ("{id: a, deny: {digests: [09090909090909090909090909090909]}}", true),
        ("{id: a, dry_run: true, deny: {licenses: [MIT]}}", false),
        ("{id: a, allow: {licenses: [MIT]}}", false),
        ("{id: a, channels: [other], deny: {licenses: [MIT]}}", false),
    ] {
        assert_eq!(policy(entries).policy().needs_metadata("conda-forge", "linux-64"), expected, "{entries}");
    }
}

#[test]
fn the_rule_that_more_must_be_known_for_is_named() {
    let unlisted = Subject {
        channel: "conda-forge",
        subdir: "linux-64",
        file: "xz-5.6.1-h1_3.conda",
        name: Some("xz".into()),
        version: Some("5.6.1".into()),
        build: Some("h1_3".into()),
        ..Subject::default()
    };
    for (entries, expected) in [
        ("{id: a, deny: {licenses: [MIT]}}", Some("a")),
        ("{id: a, deny: {licenses: [MIT], names: [other]}}", None),
        ("{id: a, deny: {licenses: [MIT], names: [xz]}}", Some("a")),
        ("{id: a, deny: {licenses: [MIT], specs: [\"other >1\"]}}", None),
        ("{id: a, deny: {specs: [\"xz[build_number=3]\"]}}", Some("a")),
        ("{id: a, hide: {larger_than: 1MB}, unless: {names: [xz]}}", None),
        ("{id: a, hide: {larger_than: 1MB, older_than: 1d}}", None),
        ("{id: a, allow: {names: [xz]}}, {id: b, hide: {larger_than: 1MB}}", None),
        ("{id: a, hide: {younger_than: 1d}}, {id: b, hide: {larger_than: 1MB}}", None),
        ("{id: b, hide: {larger_than: 1MB}}, {id: a, hide: {younger_than: 1d}}", Some("b")),
        ("{id: a, dry_run: true, deny: {licenses: [MIT]}}", None),
    ] {
        let found = policy(entries).policy().undecidable(&unlisted, NOW);
        assert_eq!(found.as_ref().map(|rule| rule.id.as_str()), expected, "{entries}");
    }
    let known = Subject { size: Some(5), ..unlisted };
    assert_eq!(policy("{id: a, deny: {larger_than: 1MB}}").policy().undecidable(&known, NOW), None);
}

#[test]
fn explanations_name_every_rule_that_has_a_say() {
    let rules = policy(
        "{id: t, dry_run: true, hide: {older_than: 7d}}, {id: e, hide: {names: [xz]}, unless: {licenses: [\"LGPL*\"]}}, \
         {id: d, deny: {specs: [\"xz >=5.6.0,<5.6.2\"]}, reason: CVE-2024-3094}, {id: h, hide: {names: [\"x*\"]}}, \
         {id: n, hide: {names: [other]}}, {id: p, patch: {match: {names: [xz]}, set: {x: 1}}}",
    );
    let told: Vec<_> = rules
        .policy()
        .explain(&xz(), NOW)
        .into_iter()
        .map(|e| (e.rule.id.clone(), e.effect, e.standing, e.sentence))
        .collect();
    let row = |id: &str, effect, standing, said: &str| (id.to_owned(), effect, standing, said.to_owned());
    assert_eq!(
        told,
        [
            row(
                "t",
                "hide",
                Standing::Trial,
                "is on trial; in force it hides it and refuses the file, unless a rule before it decides: it was first seen 20d ago, older than 7d."
            ),
            row(
                "e",
                "hide",
                Standing::Excepted,
                "does not count here, its `unless` matches: its license is `LGPL-2.1-or-later AND 0BSD`."
            ),
            row("d", "deny", Standing::Decides, "denies it: `xz >=5.6.0,<5.6.2` means it."),
            row("h", "hide", Standing::Outranked, "matches without effect: its name is `xz`; `d` decides."),
            row("p", "patch", Standing::Outranked, "matches without effect: its name is `xz`; `d` decides."),
        ]
    );
    let rule = &rules.policy().explain(&xz(), NOW)[2].rule;
    assert_eq!((rule.at.to_string().as_str(), rule.reason.as_deref()), ("0.yaml:1", Some("CVE-2024-3094")));
}

#[test]
fn a_hotfix_file_hides_and_patches() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fix.json");
    std::fs::write(&file, r#"{"packages": {"xz-5.6.1-h1_3.tar.bz2": {"depends": []}}, "remove": ["y-1-0.tar.bz2"], "revoke": ["z-1-0.conda"]}"#).unwrap();
    let entry = format!("{{id: f, subdirs: [linux-64], patch: {{instructions: {}}}}}", file.display());
    let decision = decide(&entry, &xz());
    assert_eq!(
        (verdict(&decision).as_str(), decision.patches[0].set["depends"].to_string().as_str()),
        ("shown", "[]")
    );
    let named = |file: &'static str| Subject { file, ..xz() };
    assert_eq!(verdict(&decide(&entry, &named("y-1-0.conda"))), "hidden by f");
    assert_eq!(
        verdict(&decide(&format!("{entry}, {{id: d, deny: {{names: [xz]}}}}"), &named("y-1-0.conda"))),
        "hidden by f"
    );
    let keep = entry.replace("id: f,", "id: f, download: keep,");
    assert_eq!(verdict(&decide(&keep, &named("y-1-0.conda"))), "kept by f");
    assert_eq!(decide(&entry, &named("z-1-0.conda")).patches[0].add_depends, ["package_has_been_revoked"]);
    assert_eq!(decide(&entry, &named("other-1-0.conda")), Decision::default());
    let said = policy(&entry).policy().explain(&named("y-1-0.conda"), NOW);
    assert_eq!((said.len(), said[0].sentence.as_str()), (1, "hides it: its hotfix file removes it."));
}

#[test]
fn many_rules_and_records_are_judged_the_same_in_any_order_of_asking() {
    let entries: Vec<_> =
        (0..60).map(|n| format!("{{id: r{n}, deny: {{specs: [\"n{n} >={n}\"]}}}}")).collect();
    let rules = policy(&entries.join(", "));
    let judge = rules.policy().judge("conda-forge", "linux-64");
    assert!(Arc::ptr_eq(&judge, &rules.policy().judge("conda-forge", "linux-64")));
    for n in (0..60).rev() {
        let name = format!("n{n}");
        let subject = Subject { name: Some(name.into()), version: Some("30".into()), ..xz() };
        let expected = if n <= 30 { format!("denied by r{n}") } else { "shown".to_owned() };
        assert_eq!(verdict(&judge.decide(&subject, NOW.plus(Duration::from_secs(1)))), expected);
    }
}
