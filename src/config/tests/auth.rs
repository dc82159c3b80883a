//! `security`, `auth` and `audit`.

use super::super::{PasswordConfig, load};
use super::{origin, place};

/// Settings, and what the one mistake in them says.
const MISTAKES: &[(&str, &str)] = &[
    (
        "security: {allow_plaintext: yes}",
        "`security.allow_plaintext` must be one of `true`, `false`, not `yes`",
    ),
    (
        "security: {trusted_proxies: [10.0.0.1/8]}",
        "`security.trusted_proxies` must have networks or addresses",
    ),
    (
        "security: {trusted_proxys: []}",
        "unknown key `trusted_proxys` in `security`\n  hint: did you mean `trusted_proxies`?",
    ),
    ("auth: {password: {memory: 1MiB}}", "`auth.password.memory` must lie between 8MiB and 1GiB"),
    ("auth: {password: {iterations: 0}}", "`auth.password.iterations` must be a whole number from 1 to 64"),
    (
        "auth: {password: {lanes: many}}",
        "`auth.password.lanes` must be a whole number from 1 to 64, not `many`",
    ),
    ("auth: {session: {access_ttl: 2d}}", "`auth.session.access_ttl` must lie between 1m and 1d"),
    ("auth: {session: {refresh_ttl: 1m}}", "`auth.session.refresh_ttl` must not be shorter than"),
    ("auth: {session: {max_age: 1h}}", "`auth.session.max_age` must not be shorter than"),
    ("auth: {snapshot_max_age: 0s}", "`auth.snapshot_max_age` must be longer than nothing"),
    ("auth: {token_ttl: never}", "`auth.token_ttl` can't be `never`"),
    ("auth: {token_ttl: 90}", "`auth.token_ttl` must be a duration with a unit"),
    ("auth: {issuers: [x]}", "`auth.issuers[0]` must be a map of keys and values, not a single value"),
    ("auth: {issuers: [{issuer: https://i}]}", "`auth.issuers[0].audience` is missing"),
    (
        "auth: {issuers: [{issuer: http://i, audience: g}]}",
        "`auth.issuers[0].issuer` must begin with `https://`",
    ),
    (
        "auth: {issuers: [{issuer: https://i, audience: g}, {issuer: https://i, audience: h}]}",
        "`auth.issuers` has an issuer twice",
    ),
    (
        "auth: {issuers: [{issuer: https://i, audience: g, algorithms: [HS256]}]}",
        "`auth.issuers[0].algorithms` must be one of `RS256`,",
    ),
    ("auth: {issuers: [{issuer: https://i, audience: g, algorithms: []}]}", "must name at least one"),
    (
        "auth: {issuers: [{issuer: https://i, audience: g, jwks_uri: https://i/j}]}",
        "unknown key `jwks_uri` in `auth.issuers[0]`\n  hint: did you mean `jwks_url`?",
    ),
    ("audit: {retention: 1h}", "`audit.retention` must be at least 1d"),
    ("auth: {token_retention: 23h}", "`auth.token_retention` must be at least 1d"),
    ("audit: {downloads: maybe}", "`audit.downloads` must be one of `true`, `false`, not `maybe`"),
    ("audit: {denials_per_minute: -1}", "`audit.denials_per_minute` must be a whole number from 0 to 100000"),
];

#[test]
fn each_mistake_is_told() {
    for (text, message) in MISTAKES {
        let place = place(&[("etc/c.yaml", text)], &[]);
        let mistakes = place.mistakes();
        assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
        assert!(mistakes[0].contains(message), "{text}: {mistakes:?}");
    }
}

#[test]
fn who_is_let_in() {
    let defaults = load(&place(&[], &[]).sources).unwrap();
    assert!(!defaults.security.allow_plaintext && defaults.security.trusted_proxies.is_empty());
    assert_eq!(defaults.auth.password, PasswordConfig { memory: 19 << 20, iterations: 2, lanes: 1 });
    assert_eq!(origin(&defaults, "auth.session.access_ttl"), ("15m", "default"));
    assert_eq!(origin(&defaults, "auth.session.refresh_ttl"), ("30d", "default"));
    assert_eq!(origin(&defaults, "auth.session.idle"), ("8h", "default"));
    assert_eq!(origin(&defaults, "auth.session.max_age"), ("7d", "default"));
    assert_eq!(origin(&defaults, "auth.snapshot_max_age"), ("1d", "default"));
    assert_eq!(origin(&defaults, "auth.token_ttl"), ("90d", "default"));
    assert_eq!(origin(&defaults, "auth.token_retention"), ("90d", "default"));
    assert_eq!(origin(&defaults, "audit.retention"), ("400d", "default"));
    assert!(defaults.audit.downloads && defaults.audit.denials_per_minute == 60);

    let text = "security: {allow_plaintext: true, trusted_proxies: [10.0.0.0/8]}\n\
                auth:\n  issuers:\n  - {issuer: \"https://ci.example.org\", audience: gate}\n\
                \x20 - {issuer: \"http://127.0.0.1:9/x/\", audience: gate, jwks_url: \"http://localhost:9/jwks\",\n\
                \x20    user_claim: email, groups_claim: groups, algorithms: [EdDSA, RS256]}\n\
                audit: {downloads: false}\n";
    let variable = ("CONDAGATE_AUTH__PASSWORD__MEMORY", "64MiB");
    let config = load(&place(&[("etc/c.yaml", text)], &[variable]).sources).unwrap();
    assert!(config.security.allow_plaintext && !config.audit.downloads);
    assert!(config.security.trusted_proxies[0].contains("10.1.1.1".parse().unwrap()));
    assert_eq!(
        origin(&config, "auth.password.memory"),
        ("64MiB", "environment variable CONDAGATE_AUTH__PASSWORD__MEMORY")
    );
    assert_eq!(
        origin(&config, "auth.issuers"),
        ("https://ci.example.org, http://127.0.0.1:9/x/", "c.yaml:4")
    );
    let [first, second] = config.auth.issuers.as_slice() else { panic!("two issuers") };
    assert_eq!(first.issuer, "https://ci.example.org", "as tokens write it");
    assert_eq!((first.user_claim.as_str(), &first.groups_claim, first.algorithms.len()), ("sub", &None, 9));
    assert_eq!(second.algorithms, ["EdDSA", "RS256"]);
    assert_eq!((second.user_claim.as_str(), second.groups_claim.as_deref()), ("email", Some("groups")));
    assert_eq!(second.jwks_url.as_ref().unwrap().to_string(), "http://localhost:9/jwks");
}
