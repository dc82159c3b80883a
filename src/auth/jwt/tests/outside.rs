use std::sync::LazyLock;

use ring::rand::SystemRandom;
use ring::signature::KeyPair;

use super::*;

static RSA: LazyLock<sign::RsaKeyPair> =
    LazyLock::new(|| sign::RsaKeyPair::from_pkcs8(include_bytes!("rsa-2048.pk8")).unwrap());

/// An issuer with one key of each kind.
struct Outside {
    p256: sign::EcdsaKeyPair,
    p384: sign::EcdsaKeyPair,
    ed: sign::Ed25519KeyPair,
}

impl Outside {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ec = |algorithm| {
            let pkcs8 = sign::EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            sign::EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()
        };
        Self {
            p256: ec(&sign::ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ec(&sign::ECDSA_P384_SHA384_FIXED_SIGNING),
            ed: own_key().1,
        }
    }

    fn jwks(&self) -> Value {
        let ec = |pair: &sign::EcdsaKeyPair, size: usize| {
            let point = pair.public_key().as_ref();
            (encoded(&point[1..=size]), encoded(&point[size + 1..]))
        };
        let ((x, y), (x3, y3)) = (ec(&self.p256, 32), ec(&self.p384, 48));
        let rsa = sign::RsaPublicKeyComponents::<Vec<u8>>::from(RSA.public_key());
        let n = encoded(&[&[0], rsa.n.as_slice()].concat());
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": n, "e": encoded(&rsa.e), "x5c": ["ignored"]},
            {"kty": "EC", "kid": "p256", "alg": "ES256", "crv": "P-256", "x": x, "y": y},
            {"kty": "EC", "kid": "p384", "crv": "P-384", "x": x3, "y": y3, "key_ops": ["verify"]},
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encoded(self.ed.public_key().as_ref())},
            {"kty": "OKP", "kid": "x", "crv": "X25519", "x": "AAAA"},
            {"kty": "oct", "kid": "oct", "alg": "HS256", "k": "c2VjcmV0"},
            {"kty": "new", "kid": "new"},
            5,
        ]})
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |encoding| {
            let mut signature = vec![0; RSA.public().modulus_len()];
            RSA.sign(encoding, &random, message, &mut signature).unwrap();
            signature
        };
        match algorithm {
            "RS256" => rsa(&sign::RSA_PKCS1_SHA256),
            "RS384" => rsa(&sign::RSA_PKCS1_SHA384),
            "RS512" => rsa(&sign::RSA_PKCS1_SHA512),
            "PS256" => rsa(&sign::RSA_PSS_SHA256),
            "PS384" => rsa(&sign::RSA_PSS_SHA384),
            "PS512" => rsa(&sign::RSA_PSS_SHA512),
            "ES256" => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            _ => self.ed.sign(message).as_ref().to_vec(),
        }
    }

    fn token(&self, algorithm: &str, kid: Option<&str>, changes: &Value) -> Secret<String> {
        let head = kid.map_or(json!({"alg": algorithm}), |kid| json!({"alg": algorithm, "kid": kid}));
        let mut all = json!({"iss": ISSUER, "aud": "condagate", "email": "me@example.org", "jti": null, "iat": null, "nbf": null});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        forged(&head.to_string(), &own_claims(&all), |message| self.sign(algorithm, message))
    }
}

const ALL: [(&str, &str); 9] = [
    ("RS256", "rsa"),
    ("RS384", "rsa"),
    ("RS512", "rsa"),
    ("PS256", "rsa"),
    ("PS384", "rsa"),
    ("PS512", "rsa"),
    ("ES256", "p256"),
    ("ES384", "p384"),
    ("EdDSA", "ed"),
];

fn issuer() -> ExternalIssuer {
    ExternalIssuer {
        issuer: ISSUER.to_owned(),
        audience: vec!["condagate".to_owned()],
        algorithms: ALL.iter().map(|(name, _)| name.parse().unwrap()).collect(),
        user_claim: "email".to_owned(),
        groups_claim: Some("/realm_access/roles".to_owned()),
    }
}

#[test]
fn tokens_of_other_issuers_are_verified_with_every_asymmetric_algorithm() {
    let outside = Outside::new();
    let jwks = Jwks::parse(outside.jwks().to_string().as_bytes()).unwrap();
    let roles = json!({"realm_access": {"roles": ["a", "b"]}});
    for (algorithm, kid) in ALL {
        let token = outside.token(algorithm, Some(kid), &roles);
        let identity = issuer().verify(&token, &jwks, NOW).unwrap();
        assert_eq!((identity.user.as_str(), identity.subject.as_deref()), ("me@example.org", Some("user-1")));
        assert_eq!((identity.groups, identity.expires), (vec!["a".to_owned(), "b".to_owned()], at(600)));
        // Not on the list.
        let mut others = issuer();
        others.algorithms.retain(|one| *one != algorithm.parse().unwrap());
        assert_eq!(others.verify(&token, &jwks, NOW), Err(JwtError::Algorithm), "{algorithm}");
        // Another key of the same set.
        let wrong = if kid == "rsa" { "ed" } else { "rsa" };
        let token = outside.token(algorithm, Some(wrong), &roles);
        assert_eq!(issuer().verify(&token, &jwks, NOW), Err(JwtError::UnknownKey), "{algorithm}");
        // Another issuer's key under the same id (there is one RSA key here).
        if kid != "rsa" {
            let token = Outside::new().token(algorithm, Some(kid), &roles);
            assert_eq!(issuer().verify(&token, &jwks, NOW), Err(JwtError::Signature), "{algorithm}");
        }
    }
    assert!(["HS256", "none", "rs256", ""].iter().all(|name| name.parse::<Asymmetric>().is_err()));
    for kid in ["oct", "new", "x", "missing"] {
        assert_eq!(
            issuer().verify(&outside.token("EdDSA", Some(kid), &roles), &jwks, NOW),
            Err(JwtError::UnknownKey)
        );
    }
    assert!(
        issuer().verify(&outside.token("EdDSA", None, &roles), &jwks, NOW).is_ok(),
        "the only key of its kind"
    );
}

#[test]
fn a_public_key_is_never_a_shared_secret() {
    let outside = Outside::new();
    let jwks = Jwks::parse(outside.jwks().to_string().as_bytes()).unwrap();
    let public = [RSA.public().as_ref(), outside.ed.public_key().as_ref(), b"secret".as_slice()];
    for (bytes, kid) in public.into_iter().zip(["rsa", "ed", "oct"]) {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, bytes);
        let claims = own_claims(&json!({"iss": ISSUER, "aud": "condagate", "email": "root@example.org"}));
        let head = json!({"alg": "HS256", "kid": kid}).to_string();
        let token = forged(&head, &claims, |message| ring::hmac::sign(&key, message).as_ref().to_vec());
        assert_eq!(issuer().verify(&token, &jwks, NOW), Err(JwtError::Algorithm));
    }
}

#[test]
fn claims_of_other_issuers_are_looked_at_closely() {
    let outside = Outside::new();
    let jwks = Jwks::parse(outside.jwks().to_string().as_bytes()).unwrap();
    let with = |changes: Value| issuer().verify(&outside.token("EdDSA", Some("ed"), &changes), &jwks, NOW);
    let table = [
        (json!({"iss": "https://login.example.org/"}), JwtError::Issuer),
        (json!({"aud": "other"}), JwtError::Audience),
        (json!({"aud": null}), JwtError::Claim("aud")),
        (json!({"exp": null}), JwtError::Claim("exp")),
        (json!({"exp": NOW.seconds() - 30}), JwtError::Expired),
        (json!({"nbf": NOW.seconds() + 31}), JwtError::NotYet),
        (json!({"iat": NOW.seconds() + 31}), JwtError::NotYet),
        (json!({"email": null}), JwtError::User),
        (json!({"email": ""}), JwtError::User),
        (json!({"email": ["a"]}), JwtError::User),
        (json!({"realm_access": {"roles": 5}}), JwtError::Groups),
        (json!({"realm_access": {"roles": ["a", 5]}}), JwtError::Groups),
        (json!({"sub": 5}), JwtError::Claim("sub")),
    ];
    for (changes, error) in table {
        assert_eq!(with(changes.clone()), Err(error), "{changes}");
    }
    assert_eq!(with(json!({"realm_access": {"roles": "one"}})).unwrap().groups, ["one"]);
    assert_eq!(with(json!({"realm_access": {}})).unwrap().groups, [""; 0]);
    let nobody = ExternalIssuer { audience: vec![], ..issuer() };
    assert_eq!(
        nobody.verify(&outside.token("EdDSA", Some("ed"), &json!({})), &jwks, NOW),
        Err(JwtError::Audience)
    );
}

#[test]
fn key_sets_that_can_not_be_used_are_told_apart() {
    let parse = |text: &str| Jwks::parse(text.as_bytes()).err();
    assert_eq!(parse("<html>"), Some(JwksError::NotASet));
    assert_eq!(parse("{\"keys\": {}}"), Some(JwksError::NotASet));
    assert_eq!(parse("{\"keys\": []}"), Some(JwksError::NoUsableKey));
    assert_eq!(parse("{\"keys\": [{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"), Some(JwksError::NoUsableKey));
    assert_eq!(parse(&" ".repeat(MAX_SET + 1)), Some(JwksError::TooLong));
    let encryption = "{\"keys\": [{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"use\":\"enc\"}]}";
    assert_eq!(parse(encryption), Some(JwksError::NoUsableKey));
    // The gate's own set can be read by others.
    let keys = keys(&[Keys::generate_key(NOW).unwrap()]);
    let own = Jwks::parse(keys.jwks(NOW).to_string().as_bytes()).unwrap();
    let other_gate = ExternalIssuer {
        issuer: URL.into(),
        audience: vec![URL.into()],
        user_claim: "sub".into(),
        ..issuer()
    };
    assert_eq!(other_gate.verify(&keys.issue(&claims()).unwrap(), &own, NOW).unwrap().user, "user-1");
}

const MAX_SET: usize = 256 * 1024;

#[test]
fn a_set_is_fetched_when_it_is_old_and_once_a_minute_for_unknown_keys() {
    let times = |tried: Option<i64>, fetched: Option<i64>| FetchTimes {
        tried: tried.map(at),
        fetched: fetched.map(at),
    };
    let table = [
        (times(None, None), false, Fetch::Now),
        (times(Some(-59), None), false, Fetch::At(at(1))),
        (times(Some(-60), None), false, Fetch::Now),
        (times(Some(-10), Some(-10)), false, Fetch::At(at(3590))),
        (times(Some(-10), Some(-10)), true, Fetch::At(at(50))),
        (times(Some(-60), Some(-60)), true, Fetch::Now),
        (times(Some(-3600), Some(-3600)), false, Fetch::Now),
        (times(Some(-10), Some(-4000)), false, Fetch::At(at(50))),
        (times(Some(-60), Some(-4000)), true, Fetch::Now),
        // The clock was set back.
        (times(Some(10_000), Some(10_000)), false, Fetch::Now),
    ];
    for (times, unknown_key, expected) in table {
        assert_eq!(times.next(NOW, unknown_key), expected, "{times:?} {unknown_key}");
    }
}
