//! `audience:` of policy rules: for whom a rule counts, which views it makes, and what is refused.

use super::judging::{NOW, verdict, xz};
use super::{Machine, rules, yaml};
use crate::policy::access::Caller;
use crate::policy::judge::{Policy, compile, read};
use crate::policy::node::Value;
use crate::policy::{Mistakes, SourceNames};

/// The policy of `entries`, with the channels of `channels`, or what is wrong.
fn policy(entries: &str, channels: &str) -> Result<Policy, Vec<String>> {
    let document = yaml::parse("p.yaml", &format!("[{entries}]")).unwrap();
    let Value::List(nodes) = &document.value else { panic!("a list") };
    let mut mistakes = Mistakes::new();
    let drafts = nodes.iter().enumerate();
    let drafts: Vec<_> =
        drafts.filter_map(|(n, node)| read::read(node, &format!("policy[{n}]"), &mut mistakes)).collect();
    let policy = compile::compile(drafts, &Machine::default(), &mut mistakes);
    let rules = rules(&[&format!("channels: [{channels}]")]).unwrap();
    policy.check_views(rules.channels(), &mut mistakes);
    let said = mistakes.into_sorted().iter().map(ToString::to_string).collect::<Vec<_>>();
    if said.is_empty() { Ok(policy) } else { Err(said) }
}

fn with<T>(user: Option<&str>, groups: &[&str], f: impl FnOnce(&Caller<'_>) -> T) -> T {
    let groups: Vec<Box<str>> = groups.iter().map(|&g| g.into()).collect();
    f(&Caller { user, groups: &groups, ..Caller::ANONYMOUS })
}

/// What becomes of `xz` for a caller, the revision of the judge, the key of the view.
fn seen(policy: &Policy, channel: &str, user: Option<&str>, groups: &[&str]) -> (String, u64, u64) {
    let audience = with(user, groups, |caller| policy.audience_of(caller));
    let names = SourceNames::one(channel);
    let judge = policy.judge_of_audience(&names, "linux-64", audience);
    assert_eq!(
        judge.revision(),
        policy.judge_of_audience(&names, "linux-64", audience).revision(),
        "remembered as made"
    );
    (verdict(&judge.decide(&xz(), NOW)), judge.revision(), policy.view_of(&names, audience))
}

const RULES: &str = "{id: r0, deny: {names: [other]}},\n\
    {id: r1, audience: [anonymous], deny: {names: [xz]}},\n\
    {id: r2, channels: [conda-forge], audience: [\"group:Interns\", \"user:eve\"], hide: {names: [xz]}},\n\
    {id: r3, channels: [elsewhere], audience: [authenticated], deny: {names: [xz]}}";

#[test]
fn a_rule_counts_for_its_audience() {
    let policy = policy(RULES, "").unwrap();
    assert!(policy.has_audiences());
    let of = |user, groups: &[&str]| seen(&policy, "conda-forge", user, groups);
    let stranger = of(None, &[]);
    let known = of(Some("bob"), &[]);
    let intern = of(Some("bob"), &["devs", "interns"]);
    assert_eq!(
        [&stranger.0, &known.0, &intern.0, &of(Some("eve"), &[]).0],
        ["denied by r1", "shown", "hidden by r2", "hidden by r2"]
    );
    assert_eq!(intern, of(Some("eve"), &[]), "they share a view");
    // Revisions and keys tell views apart, and those are alike who differ in nothing that a rule here asks.
    let revisions = [stranger.1, known.1, intern.1];
    let keys = [stranger.2, known.2, intern.2];
    for of in [revisions, keys] {
        assert!(of[0] != of[1] && of[1] != of[2] && of[0] != of[2], "{of:?}");
    }
    assert_eq!(known.2, 0, "only rules for everybody");
    // Who does not ask as anybody is a stranger.
    let names = SourceNames::one("conda-forge");
    assert_eq!(policy.judge_of(&names, "linux-64").revision(), stranger.1);
    assert_eq!(policy.judge("conda-forge", "linux-64").revision(), stranger.1);
    assert!(policy.may_hide(&names));
    assert_eq!(seen(&policy, "elsewhere", Some("bob"), &[]).0, "denied by r3");
    assert_eq!(seen(&policy, "pkgs/main", Some("eve"), &[]).0, "shown");
}

#[test]
fn views_stay_when_rules_change_and_audiences_do_not() {
    let before = policy(RULES, "").unwrap();
    let after = policy(&RULES.replace("names: [other]", "names: [more]"), "").unwrap();
    let wider = policy(&RULES.replace("user:eve", "user:mallory"), "").unwrap();
    let of = |policy: &Policy| seen(policy, "conda-forge", Some("x"), &["interns"]);
    assert_eq!(of(&before).2, of(&after).2);
    assert_ne!(of(&before).1, of(&after).1);
    // Another audience is another view that says the same.
    assert_ne!(of(&before).2, of(&wider).2);
    assert_eq!(of(&before).1, of(&wider).1);
    assert_ne!(before, wider);
}

#[test]
fn rules_for_some_are_no_conflict_with_rules_for_others() {
    for (entries, conflict) in [
        ("{id: a, audience: [\"group:x\"], deny: {names: [z]}}, {id: b, deny: {names: [z]}}", false),
        ("{id: a, deny: {names: [z]}}, {id: b, audience: [\"group:x\"], deny: {names: [z]}}", true),
        (
            "{id: a, audience: [authenticated], allow: {names: [z]}}, {id: b, audience: [\"group:x\"], deny: {names: [z]}}",
            true,
        ),
        (
            "{id: a, audience: [authenticated, anonymous], allow: {names: [z]}}, {id: b, deny: {names: [z]}}",
            true,
        ),
        (
            "{id: a, audience: [anonymous], allow: {names: [z]}}, {id: b, audience: [\"group:x\"], deny: {names: [z]}}",
            false,
        ),
    ] {
        let found = policy(entries, "");
        let never = found.as_ref().is_err_and(|said| said[0].contains("`b` never acts"));
        assert_eq!(never, conflict, "{entries}: {:?}", found.err());
    }
    let noted = policy(
        "{id: a, audience: [anonymous], allow: {licenses: [MIT]}}, {id: b, audience: [\"user:x\"], deny: {names: [z]}}",
        "",
    );
    assert!(noted.unwrap().notes().is_empty());
}

#[test]
fn mistakes_in_an_audience() {
    for (audience, expected) in [
        ("[]", "p.yaml:1:20: `policy[0].audience` must have 1 to 10000 entries, not 0"),
        (
            "[devs]",
            "p.yaml:1:21: `policy[0].audience` must have `user:NAME`, `group:NAME`, `authenticated` or `anonymous`, not `devs`\n  \
             hint: write `user:devs` or `group:devs`",
        ),
    ] {
        let entry = format!("{{id: a, audience: {audience}, deny: {{names: [x]}}}}");
        assert_eq!(policy(&entry, "").unwrap_err(), [expected]);
    }
}

/// A rule for each group, on the channels that `of` says.
fn for_groups(count: usize, of: impl Fn(usize) -> String) -> String {
    let rule = |n| {
        let channels = of(n);
        format!("{{id: g{n}, channels: [{channels}], audience: [\"group:g{n}\"], hide: {{names: [n{n}]}}}}")
    };
    (0..count).map(rule).collect::<Vec<_>>().join(",\n")
}

#[test]
fn one_channel_has_few_views() {
    let said = policy(&for_groups(4, |_| "x".to_owned()), "").unwrap_err();
    assert_eq!(
        said,
        [
            "p.yaml:4:1: the audiences of `g0`, `g1`, `g2`, `g3` give one channel more than 8 views, each with indexes of its own\n  \
          hint: let rules share an audience: put people into groups"
        ]
    );
    assert!(policy(&for_groups(3, |_| "x".to_owned()), "").is_ok());
    // Channels that have nothing in common count for themselves.
    for of in [|n| format!("c{n}"), |n| format!("\"c{n}-*\""), |n| format!("\"team{n}/**\", t{n}")] {
        assert!(
            policy(&for_groups(70, of), "").is_err_and(|said| said[0].contains("more than 64 different"))
        );
        assert!(policy(&for_groups(20, of), "").is_ok());
    }
    // Globs that may meet don't.
    for of in [
        |n| format!("\"{}*\"", "abcd".get(..n).unwrap()),
        |n| format!("\"[a-{n}]*\""),
        |_| "\"*\"".to_owned(),
    ] {
        assert!(policy(&for_groups(4, of), "").is_err());
    }
    let word = |n| if n == 0 { "abc".to_owned() } else { format!("\"{}*\"", "abc".get(..n).unwrap()) };
    assert!(policy(&for_groups(4, word), "").is_err());
}

#[test]
fn names_of_one_channel_and_members_of_a_virtual_one_count_together() {
    let apart = for_groups(4, |n| format!("c{n}"));
    assert!(policy(&apart, "").is_ok());
    let aliases = "{name: c0, upstream: anaconda}, {name: c1, upstream: anaconda, path: c0}, \
                   {name: c2, upstream: anaconda, path: c0}, {name: c3, upstream: anaconda, path: c0}";
    assert!(policy(&apart, aliases).unwrap_err()[0].contains("`g0`, `g1`, `g2`, `g3`"));
    let elsewhere = aliases.replace("name: c3, upstream: anaconda", "name: c3, upstream: defaults");
    assert!(policy(&apart, &elsewhere).is_ok());
    let members = "{name: v, virtual: [c0, c1, w]}, {name: w, virtual: [c2, c3]}";
    assert!(policy(&apart, members).unwrap_err()[0].contains("`g0`, `g1`, `g2`, `g3`"));
}
