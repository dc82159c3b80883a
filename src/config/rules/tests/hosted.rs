use super::{rules, told};
use crate::conda::channel::ChannelName;
use crate::policy::{Anonymous, ChannelSource, UploadRules};

#[test]
fn hosted_channels_are_read() {
    let rules = rules(&["channels:\n- {name: team/x, hosted: true, owns: [\"acme-*\"]}\n- {name: bare, hosted: true}\n\
                         - {name: not, hosted: false, upstream: anaconda}\n- {name: prod, virtual: [bare, conda-forge]}"])
    .unwrap();
    let rule = |name: &str| rules.channel(&ChannelName::parse(name).unwrap()).unwrap();
    for (name, owns) in [("team/x", true), ("Team/X", true), ("bare", false)] {
        let rule = rule(name);
        let ChannelSource::Hosted(hosted) = &rule.source else { panic!("{name} is not hosted") };
        assert_eq!((hosted.owns.contains("acme-a"), rule.upstream().is_none()), (owns, true), "{name}");
        assert_eq!(rule.anonymous, Anonymous::Nowhere);
    }
    assert!(rule("not").upstream().is_some());
    assert_eq!(rule("prod").anonymous, Anonymous::Nowhere);
}

#[test]
fn what_uploads_must_be_is_read() {
    let rules = rules(&["channels:\n- {name: a, hosted: true, upload: {overwrite: true, max_size: 2GiB, names: [\"a-*\"], licenses: MIT, require: [license, summary], attestation: true}}\n\
                         - {name: b, hosted: true, upload: {}}\n- {name: c, hosted: true}"])
    .unwrap();
    let upload = |name: &str| rules.hosted(&ChannelName::parse(name).unwrap()).unwrap().upload.clone();
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let expected = UploadRules {
        overwrite: true,
        max_size: Some(2 << 30),
        names: texts(&["a-*"]),
        licenses: texts(&["MIT"]),
        require: texts(&["license", "summary"]),
        attestation: true,
    };
    assert_eq!((upload("A"), upload("b"), upload("c")), (Some(expected), Some(UploadRules::default()), None));
    assert!(rules.hosted(&ChannelName::parse("conda-forge").unwrap()).is_none());
}

/// Entries, and every mistake in them.
const MISTAKES: &[(&str, &[&str])] = &[
    (
        "- {name: x, hosted: true, upstream: anaconda}",
        &["2:3 `channels[0]` must have one of `upstream`, `virtual` and `hosted: true`"],
    ),
    (
        "- {name: x, hosted: true, virtual: [a]}",
        &["2:3 `channels[0]` must have one of `upstream`, `virtual` and `hosted: true`"],
    ),
    (
        "- {name: x, hosted: false}",
        &["2:3 `channels[0]` must have one of `upstream`, `virtual` and `hosted: true`"],
    ),
    (
        "- {name: x, hosted: yes please}",
        &[
            "2:21 `channels[0].hosted` must be one of `true`, `false`, not `yes please`",
            "2:3 `channels[0]` must have one of `upstream`, `virtual` and `hosted: true`",
        ],
    ),
    (
        "- {match: \"x*\", hosted: true}",
        &[
            "2:11 `channels[0].hosted` can't stand beside a pattern: a hosted channel is one channel | use `name:` with one name",
        ],
    ),
    (
        "- {name: x, hosted: true, ttl: 3s, path: y, owned_by: [x], owns: [\"a b\"]}",
        &[
            "2:27 `channels[0].ttl` goes with `upstream`, not with `hosted`",
            "2:36 `channels[0].path` goes with `upstream`, not with `hosted`",
            "2:45 `channels[0].owned_by` only goes with `virtual`",
            "2:67 `channels[0].owns` has a pattern that is not valid: it has characters no package name has, or is longer than 128 bytes",
        ],
    ),
    (
        "- {name: x, hosted: true, upload: {overwirte: true, max_size: 5, names: [\"a b\"], licenses: [], attestation: maybe}}",
        &[
            "2:36 unknown key `overwirte` in `channels[0].upload` | did you mean `overwrite`?",
            "2:63 `channels[0].upload.max_size` must be a size with a unit (B, KiB, MiB, GiB, TiB; KB, MB, GB, TB), such as `200GiB`, not `5`",
            "2:74 `channels[0].upload.names` has a pattern that is not valid: it has characters no package name has, or is longer than 128 bytes",
            "2:92 `channels[0].upload.licenses` must have 1 to 256 entries, not 0",
            "2:109 `channels[0].upload.attestation` must be one of `true`, `false`, not `maybe`",
        ],
    ),
    (
        "- {name: x, upstream: anaconda, upload: {}}",
        &["2:33 `channels[0].upload` only goes with `hosted: true`"],
    ),
    ("- {name: x, hosted: true, owns: []}", &["2:33 `channels[0].owns` must have 1 to 256 patterns, not 0"]),
    (
        "- {name: get/x, hosted: true}",
        &[
            "2:10 `channels[0].name` can't begin with `get`: that path belongs to the gate itself | reserved are t, user, search, get, download, dist, api, static, label, package, release, stage, commit, authentications, authentication, and all that begins with `-`",
        ],
    ),
    (
        "- {name: a/b, hosted: true}\nfiles:\n- {prefix: a, upstream: anaconda}\n- {prefix: a/b/c, upstream: anaconda}",
        &[
            "2:10 the hosted channel `a/b` lies below the prefix `a/` of `files` | the prefix stands at 0.yaml:4 and would answer for it; rename one of them",
        ],
    ),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    for (entries, expected) in MISTAKES {
        let mut said = told(&[&format!("channels:\n{entries}")]);
        said.sort();
        let mut expected: Vec<_> = expected.iter().map(|&text| text.to_owned()).collect();
        expected.sort();
        assert_eq!(said, expected, "{entries}");
    }
}
