//! Virtual channels in the language of rules.

use std::time::Duration;

use super::*;
use crate::clock::UnixMillis;
use crate::policy::{Priority, VirtualRule};

fn virtual_of(rules: &Rules, channel: &str) -> VirtualRule {
    match &rules.channel(&ChannelName::parse(channel).unwrap()).unwrap().source {
        ChannelSource::Virtual(rule) => VirtualRule::clone(rule),
        ChannelSource::Proxied { .. } | ChannelSource::Hosted(_) => panic!("{channel} is not virtual"),
    }
}

#[test]
fn what_an_entry_says() {
    let rules = rules(&["channels:\n\
        - {name: team, upstream: anaconda, ttl: 5m}\n\
        - {name: prod, virtual: [team, conda-forge/label/dev, pkgs/main], priority: flexible, owns: [\"acme-*\", \"in_house\"],\n\
           owned_by: team, as_of: 2026-01-31, unlisted: deny}\n\
        - {name: plain, virtual: [prod, conda-forge], ttl: 1h}"])
    .unwrap();
    let rule = virtual_of(&rules, "prod");
    let members: Vec<_> = rule.members.iter().map(ToString::to_string).collect();
    assert_eq!(members, ["team", "conda-forge/label/dev", "pkgs/main"]);
    assert_eq!((rule.priority, rule.owners.as_slice()), (Priority::Flexible, &[0][..]));
    assert_eq!(rule.as_of, Some(UnixMillis(1_769_903_999_999)));
    assert!(rule.owns.contains("acme-x") && rule.owns.contains("in_house") && !rule.owns.contains("acme"));
    let entry = |name: &str| rules.channel(&ChannelName::parse(name).unwrap()).unwrap();
    // The shortest of its members, which is `pkgs/main`'s.
    assert_eq!((entry("prod").ttl, entry("prod").unlisted), (Duration::from_secs(30), Unlisted::Deny));
    assert_eq!(entry("plain").ttl, Duration::from_hours(1));
    let plain = virtual_of(&rules, "plain");
    assert_eq!((plain.priority, plain.as_of, plain.owns.is_empty()), (Priority::Strict, None, true));
    assert_ne!(rule.fingerprint(), plain.fingerprint());
}

#[test]
fn a_member_behind_credentials_makes_the_whole_channel_local() {
    let rules = rules(&["upstreams: {p: {urls: [http://p], credentials: {token_env: TOKEN}}}\n\
        channels:\n\
        - {name: top, virtual: [middle]}\n\
        - {name: middle, virtual: [conda-forge, private]}\n\
        - {name: open, virtual: [conda-forge]}\n\
        - {name: private, upstream: p}"])
    .unwrap();
    let anonymous = |name: &str| rules.channel(&ChannelName::parse(name).unwrap()).unwrap().anonymous;
    assert_eq!(anonymous("middle"), Anonymous::Loopback);
    assert_eq!(anonymous("top"), Anonymous::Loopback);
    assert_eq!(anonymous("open"), Anonymous::Anywhere);
}

/// Entries, and every mistake in them.
const MISTAKES: &[(&str, &[&str])] = &[
    (
        "- {name: x, virtual: [a], upstream: anaconda}",
        &["2:3 `channels[0]` must have one of `upstream`, `virtual` and `hosted: true`"],
    ),
    (
        "- {match: \"x*\", virtual: [a]}",
        &[
            "2:11 `channels[0].virtual` can't stand beside a pattern: a virtual channel is one channel | use `name:` with one name",
        ],
    ),
    ("- {name: x, virtual: [a], path: y}", &["2:33 `channels[0].path` only goes with `upstream`"]),
    ("- {name: x, virtual: []}", &["2:22 `channels[0].virtual` must have 1 to 16 channels, not 0"]),
    ("- {name: x, virtual: [a, b, a]}", &["2:29 `channels[0].virtual` has `a` twice"]),
    (
        "- {name: x, virtual: [\"a*\", a/label/1]}",
        &[
            "2:23 `channels[0].virtual` must have names of channels, not `a*` | such as `conda-forge`, `pkgs/main` or `team/label/dev`; no patterns",
            "2:29 `channels[0].virtual` must have names of channels, not `a/label/1` | such as `conda-forge`, `pkgs/main` or `team/label/dev`; no patterns",
        ],
    ),
    (
        "- {name: x, virtual: [a], priority: first, as_of: tomorrow}",
        &[
            "2:37 `channels[0].priority` must be one of `strict`, `flexible`, not `first`",
            "2:51 `channels[0].as_of` must be a date such as `2026-01-31` or a moment such as `2026-01-31T12:00:00Z`, not `tomorrow`",
        ],
    ),
    (
        "- {name: x, upstream: anaconda, priority: strict, owns: [a], owned_by: [a], as_of: 2026-01-31}",
        &[
            "2:33 `channels[0].priority` only goes with `virtual`",
            "2:51 `channels[0].owns` only goes with `virtual` or `hosted`",
            "2:62 `channels[0].owned_by` only goes with `virtual`",
            "2:77 `channels[0].as_of` only goes with `virtual`",
        ],
    ),
    (
        "- {name: x, virtual: [a], owns: [\"b-*\"]}",
        &[
            "2:33 `channels[0].owns` needs `owned_by`: the members that answer for these names | owned_by: [team]",
        ],
    ),
    ("- {name: x, virtual: [a], owned_by: [a]}", &["2:37 `channels[0].owned_by` only goes with `owns`"]),
    (
        "- {name: x, virtual: [a], owns: [\"b[\", \"c d\"], owned_by: [z]}",
        &[
            "2:34 `channels[0].owns` has a pattern that is not valid: unclosed character class; missing ']'",
            "2:40 `channels[0].owns` has a pattern that is not valid: it has characters no package name has, or is longer than 128 bytes",
            "2:59 `channels[0].owned_by` must have members of this channel, and `z` is none",
        ],
    ),
    (
        "- {name: api, virtual: [a]}",
        &[
            "2:10 `channels[0].name` can't begin with `api`: that path belongs to the gate itself | reserved are t, user, search, get, download, dist, api, static, label, package, release, stage, commit, authentications, authentication, and all that begins with `-`",
        ],
    ),
    (
        "- {name: x, virtual: [y]}\n- {name: y, virtual: [a, x]}",
        &["3:26 the virtual channel `x` is made of itself: x → y → x | `x` stands at 0.yaml:2"],
    ),
    (
        "- {name: x, virtual: [x]}",
        &["2:23 the virtual channel `x` is made of itself: x → x | `x` stands at 0.yaml:2"],
    ),
    (
        "- {name: x, virtual: [a]}\n- {name: y, virtual: [x/label/dev]}",
        &["3:23 `x` is a virtual channel, which has no labels"],
    ),
    (
        "- {name: a1, virtual: [a2]}\n- {name: a2, virtual: [a3]}\n- {name: a3, virtual: [a4]}\n- {name: a4, virtual: [a5]}\n- {name: a5, virtual: [b]}",
        &[
            "5:24 at most 4 virtual channels may stand on one another: a1 → a2 → a3 → a4 → a5 | `a5` stands at 0.yaml:6",
        ],
    ),
    (
        "- {name: a5, virtual: [b]}\n- {name: a4, virtual: [a5]}\n- {name: a3, virtual: [a4]}\n- {name: a2, virtual: [a3]}\n- {name: a1, virtual: [a2]}",
        &[
            "6:10 `a1` is virtual and stands on 4 more that are | at most 4 virtual channels may stand on one another",
        ],
    ),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    for (entries, expected) in MISTAKES {
        assert_eq!(told(&[&format!("channels:\n{entries}")]), *expected, "{entries}");
    }
    let alone = "builtins: false\nupstreams: {a: {urls: [http://a]}}\n\
                 channels: [{name: team, upstream: a}, {name: x, virtual: [tema, team]}]";
    // The store may have it, now or later.
    let noted: Vec<_> = rules(&[alone]).unwrap().notes().map(ToString::to_string).collect();
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert!(
        noted[0].contains(":3:59: no rule places the member `tema`: it is the hosted channel of this name"),
        "{noted:?}"
    );
    assert!(
        noted[0].contains("condagate channel create tema") && noted[0].contains("did you mean `team`?"),
        "{noted:?}"
    );
    let seventeen: Vec<_> = (0..17).map(|n| format!("c{n}")).collect();
    let many = format!("channels: [{{name: x, virtual: [{}]}}]", seventeen.join(", "));
    assert_eq!(told(&[&many]), ["1:31 `channels[0].virtual` must have 1 to 16 channels, not 17"]);
}

#[test]
fn a_later_file_replaces_a_virtual_channel() {
    let first = "channels: [{name: x, virtual: [y]}]";
    let second = "channels: [{name: y, virtual: [x]}, {name: x, upstream: anaconda}]";
    let rules = rules(&[first, second]).unwrap();
    assert_eq!(virtual_of(&rules, "y").members.len(), 1);
    assert_eq!(upstream_of(&rules, "x"), "anaconda");
}
