//! `security`, `auth`, `audit`: over what credentials may come, how long they are good, whose tokens count, what is written down.
//!
//! Belongs here: the keys of these sections. Does not: checking a credential (`auth`), keeping the trail (`store`).

use std::net::IpAddr;
use std::time::Duration;

use super::read::join;
use super::reader::Reader;
use super::settings::{
    AuditConfig, AuthConfig, Config, IssuerConfig, PasswordConfig, SecurityConfig, SessionConfig,
};
use super::values::networks;
use crate::policy::read::{Fields, choice, duration, list, positive_duration, scalar, size, text, url};
use crate::policy::{At, Mistakes, Node};
use crate::secret::SafeUrl;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// Signatures whose key can be public (RFC 7518, RFC 8037). With a symmetric one, whoever can check a token could make one.
pub(super) const ALGORITHMS: &[(&str, &str)] = &[
    ("RS256", "RS256"),
    ("RS384", "RS384"),
    ("RS512", "RS512"),
    ("PS256", "PS256"),
    ("PS384", "PS384"),
    ("PS512", "PS512"),
    ("ES256", "ES256"),
    ("ES384", "ES384"),
    ("EdDSA", "EdDSA"),
];

pub(super) fn security(r: &mut Reader<'_>, top: &mut Fields<'_>) -> SecurityConfig {
    let mut fields = r.section(top, "security");
    let allow_plaintext = r.flag(fields.as_mut(), "security.allow_plaintext");
    let trusted_proxies = r.value(fields.as_mut(), "security.trusted_proxies", networks, |all| join(all));
    let proxy_protocol = r.flag(fields.as_mut(), "security.proxy_protocol");
    r.finish(fields);
    SecurityConfig { allow_plaintext, trusted_proxies, proxy_protocol }
}

pub(super) fn auth(r: &mut Reader<'_>, top: &mut Fields<'_>) -> AuthConfig {
    let mut fields = r.section(top, "auth");
    let password = password(r, fields.as_mut());
    let session = session(r, fields.as_mut());
    let snapshot_max_age = r.time(fields.as_mut(), "auth.snapshot_max_age", positive_duration);
    let show = |all: &Vec<IssuerConfig>| all.iter().map(|i| i.issuer.clone()).collect::<Vec<_>>().join(", ");
    let issuers = r.value(fields.as_mut(), "auth.issuers", issuers, show);
    let token_ttl = r.time(fields.as_mut(), "auth.token_ttl", token_ttl);
    let token_retention = r.time(fields.as_mut(), "auth.token_retention", retention);
    r.finish(fields);
    AuthConfig { password, session, snapshot_max_age, issuers, token_ttl, token_retention }
}

fn password(r: &mut Reader<'_>, auth: Option<&mut Fields<'_>>) -> PasswordConfig {
    let mut fields = auth.and_then(|auth| r.section(auth, "password"));
    let password = PasswordConfig {
        memory: r.bytes(fields.as_mut(), "auth.password.memory", hash_memory),
        iterations: r.number(fields.as_mut(), "auth.password.iterations"),
        lanes: r.number(fields.as_mut(), "auth.password.lanes"),
    };
    r.finish(fields);
    password
}

fn session(r: &mut Reader<'_>, auth: Option<&mut Fields<'_>>) -> SessionConfig {
    let mut fields = auth.and_then(|auth| r.section(auth, "session"));
    let session = SessionConfig {
        access_ttl: r.time(fields.as_mut(), "auth.session.access_ttl", access_ttl),
        refresh_ttl: r.time(fields.as_mut(), "auth.session.refresh_ttl", positive_duration),
        idle: r.time(fields.as_mut(), "auth.session.idle", positive_duration),
        max_age: r.time(fields.as_mut(), "auth.session.max_age", positive_duration),
    };
    r.finish(fields);
    session
}

pub(super) fn audit(r: &mut Reader<'_>, top: &mut Fields<'_>) -> AuditConfig {
    let mut fields = r.section(top, "audit");
    let audit = AuditConfig {
        retention: r.time(fields.as_mut(), "audit.retention", retention),
        traffic_retention: r.time(fields.as_mut(), "audit.traffic_retention", retention),
        downloads: r.flag(fields.as_mut(), "audit.downloads"),
        denials_per_minute: r.number(fields.as_mut(), "audit.denials_per_minute") as u64,
    };
    r.finish(fields);
    audit
}

/// Values that are right alone and wrong together.
pub(super) fn check_together(config: &Config, mistakes: &mut Mistakes) {
    let session = &config.auth.session;
    if session.refresh_ttl < session.access_ttl {
        let at = At::outside("configuration");
        let said = "`auth.session.refresh_ttl` must not be shorter than `auth.session.access_ttl`";
        mistakes.add(&at, said);
    }
    if session.max_age < session.idle {
        let at = At::outside("configuration");
        mistakes.add(&at, "`auth.session.max_age` must not be shorter than `auth.session.idle`");
    }
}

/// Enough to be slow for who guesses, not enough to fill a machine.
fn hash_memory(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<u64> {
    let bytes = size(node, path, mistakes)?;
    if !(8 << 20..=1 << 30).contains(&bytes) {
        mistakes.add(&node.at, format!("`{path}` must lie between 8MiB and 1GiB"));
        return None;
    }
    Some(bytes)
}

/// Such a token is good until its end, whatever happens to its user.
fn access_ttl(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Duration> {
    let value = duration(node, path, mistakes)?;
    if !(MINUTE..=DAY).contains(&value) {
        mistakes.add(&node.at, format!("`{path}` must lie between 1m and 1d"));
        return None;
    }
    Some(value)
}

fn retention(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Duration> {
    let value = duration(node, path, mistakes)?;
    if value < DAY {
        mistakes.add(&node.at, format!("`{path}` must be at least 1d"));
        return None;
    }
    Some(value)
}

fn token_ttl(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Duration> {
    if scalar(node) == Some("never") {
        mistakes.add_hint(
            &node.at,
            format!("`{path}` can't be `never`: tokens that nobody thinks of would be good for ever"),
            "ask for it where one is meant: condagate token create --expires never",
        );
        return None;
    }
    positive_duration(node, path, mistakes)
}

fn issuers(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Vec<IssuerConfig>> {
    let mut n = 0;
    let each = |node: &Node, path: &str, mistakes: &mut Mistakes| {
        n += 1;
        issuer(node, &format!("{path}[{}]", n - 1), mistakes)
    };
    let all = list(each)(node, path, mistakes)?;
    for (n, one) in all.iter().enumerate() {
        if all[..n].iter().any(|other| other.value.issuer == one.value.issuer) {
            mistakes.add(&one.at, format!("`{path}` has an issuer twice"));
        }
    }
    Some(all.into_iter().map(|l| l.value).collect())
}

fn issuer(node: &Node, path: &str, m: &mut Mistakes) -> Option<IssuerConfig> {
    let mut fields = Fields::open(node, path, m)?;
    for key in ["issuer", "audience"] {
        if fields.get(key).is_none() {
            m.add(&node.at, format!("`{}` is missing", fields.path_of(key)));
        }
    }
    // Compared letter by letter with what a token says, so it is kept as written.
    let written = |n: &Node, p: &str, m: &mut Mistakes| safe_url(n, p, m).and_then(|_| text(n, p, m));
    let issuer = fields.read("issuer", m, written);
    let audience = fields.read("audience", m, claim);
    let jwks_url = fields.read("jwks_url", m, safe_url);
    let user_claim = fields.read("user_claim", m, claim);
    let groups_claim = fields.read("groups_claim", m, claim);
    let algorithm = |n: &Node, p: &str, m: &mut Mistakes| choice(ALGORITHMS)(n, p, m);
    let algorithms = fields.read("algorithms", m, list(algorithm));
    if let Some(none) = algorithms.as_ref().filter(|all| all.value.is_empty()) {
        m.add(&none.at, format!("`{}` must name at least one", fields.path_of("algorithms")));
    }
    fields.finish(m);
    let all = || ALGORITHMS.iter().map(|(_, name)| *name).collect();
    Some(IssuerConfig {
        issuer: issuer?.value,
        audience: audience?.value,
        jwks_url: jwks_url.map(|l| l.value),
        user_claim: user_claim.map_or_else(|| "sub".to_owned(), |l| l.value),
        groups_claim: groups_claim.map(|l| l.value),
        algorithms: algorithms.map_or_else(all, |l| l.value.into_iter().map(|one| one.value).collect()),
    })
}

/// What a claim is called, or what it must say.
fn claim(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<String> {
    let text = text(node, path, mistakes)?;
    if text.len() > 255 || text.chars().any(char::is_control) {
        mistakes
            .add(&node.at, format!("`{path}` must have at most 255 characters, none a control character"));
        return None;
    }
    Some(text)
}

/// Keys that come over a line that others can write on prove nothing: https, or this machine.
fn safe_url(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<SafeUrl> {
    let found = url(&["https", "http"])(node, path, mistakes)?;
    let url = found.reveal();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !url.username().is_empty() || url.password().is_some() {
        mistakes.add(&node.at, format!("`{path}` must be a URL without credentials"));
        return None;
    }
    if url.scheme() == "http" && !here {
        mistakes.add(&node.at, format!("`{path}` must begin with `https://`, except on this machine"));
        return None;
    }
    Some(found)
}
