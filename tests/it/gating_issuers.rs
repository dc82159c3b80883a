//! JWTs of outside issuers: whose are good for what, keys that change, an issuer that is away. The issuer speaks TLS under a CA of its own.
//!
//! Belongs here: the road from a token to an answer, and what is fetched for it. Does not: every algorithm and claim (`auth::jwt`).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::gating::TEAM;
use crate::harness::people::Society;
use crate::harness::{
    Act, Answer, Channel, Gate, Request, Setup, Tls, Upstream, eventually_true, package, rules,
};

const DESCRIPTION: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/keys";

/// The gate goes first: it may still ask its upstream.
struct Scene {
    gate: Gate,
    issuer: Issuer,
    upstream: Upstream,
    team: Channel,
}

/// An issuer with one key at a time.
struct Issuer {
    server: Upstream,
    tls: Tls,
    kid: String,
    key: Ed25519KeyPair,
}

fn new_key() -> Ed25519KeyPair {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap()
}

fn signed(head: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{head}.{claims}");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(sign(message.as_bytes())))
}

impl Issuer {
    fn start() -> Self {
        let server = Upstream::start();
        let tls = Tls::in_front_of(&server);
        // Some issuers' keys are behind a query.
        let description = json!({"issuer": tls.url(), "jwks_uri": format!("{}{KEYS}?set=1", tls.url())});
        server.put(DESCRIPTION, description.to_string());
        let mut this = Self { server, tls, kid: String::new(), key: new_key() };
        this.rotate("one");
        this
    }

    /// Signs with a new key from now on, and offers it.
    fn rotate(&mut self, kid: &str) {
        self.key = new_key();
        kid.clone_into(&mut self.kid);
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x}]});
        self.server.put(KEYS, keys.to_string());
    }

    fn claims(&self, gate: &Gate, changes: &Value) -> Value {
        let now = gate.now().0 / 1000;
        let mut claims = json!({"iss": self.tls.url(), "aud": "condagate", "sub": "u-17", "name": "eve", "iat": now, "exp": now + 600});
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims
    }

    fn token(&self, gate: &Gate, changes: &Value) -> String {
        let head = json!({"alg": "EdDSA", "kid": self.kid});
        signed(&head, &self.claims(gate, changes), |message| self.key.sign(message).as_ref().to_vec())
    }
}

impl Scene {
    fn new() -> Self {
        Self::with(|issuer| {
            format!(
                "egress: {{ca_file: {}}}\nauth: {{issuers: [{{issuer: \"{}\", audience: condagate, user_claim: name, groups_claim: /realm/roles}}]}}\n",
                issuer.tls.ca_file(),
                issuer.tls.url()
            )
        })
    }

    fn with(config: impl FnOnce(&Issuer) -> String) -> Self {
        let (upstream, issuer) = (Upstream::start(), Issuer::start());
        let team = Channel::new("team").with("noarch", &package("alpha", "1.0"));
        team.publish(&upstream);
        let setup = Setup::rules(&format!("{}{TEAM}", rules::all_from(&upstream)));
        let gate = setup.config(&config(&issuer)).start();
        let society = Society::of(gate.home(), gate.now());
        society.user("ada").user("bob").group("acme", &["ada"]);
        Self { gate, issuer, upstream, team }
    }

    fn ask(&self, path: &str, token: &str) -> Answer {
        self.gate.ask(&Request::get(path).header("Authorization", &format!("Bearer {token}")))
    }

    fn index(&self) -> String {
        self.team.at("noarch", "repodata.json")
    }

    /// What a token gets for a package and for both forms of an index: the same for all.
    fn status(&self, token: &str) -> u16 {
        let paths = [self.team.path("alpha"), self.index(), self.team.at("noarch", "repodata.json.zst")];
        let statuses = paths.map(|path| self.ask(&path, token).status);
        assert!(statuses.iter().all(|status| *status == statuses[0]), "{statuses:?}");
        statuses[0]
    }

    fn of(&self, changes: &Value) -> u16 {
        self.status(&self.issuer.token(&self.gate, changes))
    }

    /// Eight clients, each with a token of its own.
    fn all_at_once(&self, claims: &Value, expected: u16) {
        self.issuer.server.always(KEYS, Act::Throttle(20, Duration::from_millis(5)));
        std::thread::scope(|scope| {
            for n in 0..8 {
                let mut claims = claims.clone();
                claims["jti"] = n.to_string().into();
                scope.spawn(move || assert_eq!(self.of(&claims), expected));
            }
        });
        self.issuer.server.behave(KEYS);
    }

    fn fetched(&self) -> usize {
        self.issuer.server.gets(KEYS)
    }
}

#[test]
fn who_the_issuer_vouches_for_gets_what_the_rules_say() {
    let scene = Scene::new();
    // All at once when nobody has asked for the keys yet.
    scene.all_at_once(&json!({"name": "ci"}), 200);
    let in_group = json!({"realm": {"roles": ["other", "Acme"]}});
    let token = scene.issuer.token(&scene.gate, &in_group);
    assert_eq!(scene.status(&token), 200);
    let hit = scene.ask(&scene.team.path("alpha"), &token);
    assert_eq!(hit.expect(200), scene.team.get("alpha").bytes);
    // In the path and as a password too, as clients have it.
    let path = scene.team.path("alpha");
    let basic = crate::gating::basic("x", &token);
    scene.gate.ask(&Request::get(&path).header("Authorization", &basic)).expect(200);
    // Somebody of the gate's own, by name; a group of the gate's; a rule about a user; nobody whom a rule names.
    // Made after the gate began.
    eventually_true("ada is known", || {
        let token = scene.issuer.token(&scene.gate, &json!({"name": "ada"}));
        scene.ask(&scene.index(), &token).status == 200
    });
    assert_eq!(scene.of(&json!({"name": "ada"})), 200);
    assert_eq!(scene.of(&json!({"name": "ADA"})), 200);
    assert_eq!(scene.of(&json!({"name": "ci"})), 200);
    assert_eq!(scene.of(&json!({"name": "bob"})), 403);
    assert_eq!(scene.of(&json!({"name": "bob", "realm": {"roles": "acme"}})), 200);
    assert_eq!(scene.of(&json!({"name": "eve"})), 403);
    // The group of the subject's name, of another claim: no.
    assert_eq!(scene.of(&json!({"sub": "ada", "groups": ["acme"]})), 403);
    assert_eq!(scene.gate.get(&path).status, 401);
    assert_eq!(scene.fetched(), 1, "keys are fetched once");
    assert_eq!(scene.issuer.server.seen_at(KEYS)[0].target, format!("{KEYS}?set=1"));
}

#[test]
fn what_is_no_good_is_401_with_a_reason() {
    let scene = Scene::new();
    let Scene { gate, issuer, .. } = &scene;
    let now = gate.now().0 / 1000;
    let acme = |more: Value| {
        let mut changes = json!({"realm": {"roles": ["acme"]}});
        changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        changes
    };
    assert_eq!(scene.of(&acme(json!({}))), 200);
    let good = issuer.claims(gate, &acme(json!({})));
    let shared = hmac::Key::new(hmac::HMAC_SHA256, issuer.key.public_key().as_ref());
    let hs256 = json!({"alg": "HS256", "kid": issuer.kid});
    let other = new_key();
    let eddsa = json!({"alg": "EdDSA", "kid": issuer.kid});
    let bad = [
        issuer.token(gate, &acme(json!({"aud": "another"}))),
        issuer.token(gate, &acme(json!({"aud": []}))),
        issuer.token(gate, &acme(json!({"exp": now - 120}))),
        issuer.token(gate, &acme(json!({"nbf": now + 600}))),
        issuer.token(gate, &acme(json!({"iat": now + 600}))),
        issuer.token(gate, &acme(json!({"iss": "https://id.example.org"}))),
        issuer.token(gate, &acme(json!({"name": ""}))),
        issuer.token(gate, &acme(json!({"name": "a/b"}))),
        signed(&json!({"alg": "none"}), &good, |_| Vec::new()),
        signed(&json!({"alg": "none", "kid": issuer.kid}), &good, |m| issuer.key.sign(m).as_ref().to_vec()),
        signed(&hs256, &good, |message| hmac::sign(&shared, message).as_ref().to_vec()),
        signed(&eddsa, &good, |message| other.sign(message).as_ref().to_vec()),
        signed(&json!({"alg": "ES256", "kid": issuer.kid}), &good, |m| issuer.key.sign(m).as_ref().to_vec()),
    ];
    for token in bad {
        let answer = scene.ask(&scene.team.path("alpha"), &token);
        assert!(answer.header("www-authenticate").is_some(), "{:?}", answer.head);
        answer.expect_problem(401);
        assert_eq!(scene.status(&token), 401, "{token}");
    }
    // It ends while it is remembered.
    let short = issuer.token(gate, &acme(json!({"exp": now + 60})));
    assert_eq!(scene.status(&short), 200);
    gate.advance(Duration::from_mins(3));
    assert_eq!(scene.status(&short), 401);
}

#[test]
fn a_new_key_is_fetched_when_it_is_shown_and_made_up_ones_cause_no_flood() {
    let mut scene = Scene::new();
    let ci = json!({"name": "ci"});
    assert_eq!(scene.of(&ci), 200);
    let old = scene.issuer.token(&scene.gate, &json!({"name": "ci", "jti": "later"}));
    scene.issuer.rotate("two");
    assert_eq!(scene.of(&ci), 401, "the keys were fetched within this minute");
    assert_eq!(scene.fetched(), 1);
    scene.gate.advance(Duration::from_secs(61));
    assert_eq!(scene.of(&ci), 200);
    assert_eq!(scene.fetched(), 2);
    assert_eq!(scene.status(&old), 401, "the key that signed it is gone");
    for n in 0..20 {
        scene.issuer.kid = format!("made-up-{n}");
        assert_eq!(scene.of(&ci), 401);
    }
    assert_eq!(scene.fetched(), 2);
    scene.gate.advance(Duration::from_secs(61));
    scene.all_at_once(&ci, 401);
    assert_eq!(scene.fetched(), 3);
    scene.issuer.rotate("three");
    scene.gate.advance(Duration::from_secs(61));
    scene.all_at_once(&ci, 200);
    assert_eq!(scene.fetched(), 4);
}

#[test]
fn an_issuer_that_is_away_stops_nobody_whom_it_vouched_for() {
    let mut scene = Scene::new();
    let ci = json!({"name": "ci"});
    assert_eq!(scene.of(&ci), 200);
    scene.issuer.server.stop();
    // Another token of the same key; also when the keys should have been fetched again long ago.
    assert_eq!(scene.of(&json!({"name": "ci", "jti": "2"})), 200);
    scene.gate.advance(Duration::from_hours(3));
    assert_eq!(scene.of(&ci), 200);
    // Nobody can say whether this one is good.
    scene.issuer.rotate("two");
    scene.gate.advance(Duration::from_mins(2));
    let token = scene.issuer.token(&scene.gate, &ci);
    let answer = scene.ask(&scene.team.path("alpha"), &token);
    assert!(answer.header("retry-after").is_some(), "{:?}", answer.head);
    answer.expect_problem(503);
    assert_eq!(scene.status(&token), 503, "within the minute too");
    scene.issuer.server.start_again();
    scene.gate.advance(Duration::from_mins(2));
    assert_eq!(scene.of(&ci), 200);
    let Scene { gate, issuer, upstream, team } = scene;
    // A gate that never had the keys.
    let home = gate.stop();
    let mut scene = Scene { gate: Setup::again(home).start(), issuer, upstream, team };
    scene.issuer.server.stop();
    assert_eq!(scene.of(&ci), 503);
    scene.issuer.server.start_again();
    scene.gate.advance(Duration::from_mins(2));
    assert_eq!(scene.of(&ci), 200);
    assert!(scene.upstream.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[test]
fn an_issuer_whose_certificate_nobody_vouches_for_is_not_believed() {
    let scene = Scene::with(|issuer| {
        format!("auth: {{issuers: [{{issuer: \"{}\", audience: condagate}}]}}\n", issuer.tls.url())
    });
    assert_eq!(scene.of(&json!({"sub": "ci"})), 503);
    assert_eq!(scene.issuer.server.total(), 0);
}
