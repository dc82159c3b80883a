use proptest::prelude::*;
use ring::signature::KeyPair;
use serde_json::json;

use super::*;

#[test]
fn a_token_of_the_gate_comes_back_as_it_was_issued() {
    let keys = keys(&[Keys::generate_key(NOW).unwrap()]);
    let token = keys.issue(&claims()).unwrap();
    assert_eq!(keys.verify(&token, NOW), Ok(claims()));
    assert_eq!(claimed_issuer(&token).as_deref(), Ok(URL));
    let without = Claims { scopes: None, ..claims() };
    assert_eq!(keys.verify(&keys.issue(&without).unwrap(), NOW), Ok(without));
}

#[test]
fn a_token_holds_from_its_beginning_to_its_end_and_a_leeway() {
    let keys = keys(&[Keys::generate_key(NOW).unwrap()]);
    let token = keys.issue(&claims()).unwrap();
    let table = [
        (-31, Err(JwtError::NotYet)),
        (-30, Ok(claims())),
        (629, Ok(claims())),
        (630, Err(JwtError::Expired)),
        (1_000_000, Err(JwtError::Expired)),
    ];
    for (seconds, expected) in table {
        assert_eq!(keys.verify(&token, at(seconds)), expected, "{seconds}");
    }
}

#[test]
fn keys_take_turns() {
    let mut old = Keys::generate_key(NOW).unwrap();
    let first = keys(&[old.clone()]);
    let token = first.issue(&claims()).unwrap();
    let new = Keys::generate_key(at(60)).unwrap();
    old.ends = Some(at(700));
    let both = keys(&[old.clone(), new.clone()]);
    assert_eq!(both.verify(&token, at(60)), Ok(claims()), "the old one still verifies");
    let newer = both.issue(&claims()).unwrap();
    assert_eq!(first.verify(&newer, at(60)), Err(JwtError::UnknownKey), "the new one signs");
    assert_eq!(both.jwks(at(60))["keys"].as_array().unwrap().len(), 2);
    assert_eq!(both.jwks(at(700))["keys"].as_array().unwrap().len(), 1);
    let long = Keys::new(URL, URL, std::slice::from_ref(&old)).unwrap();
    assert_eq!(long.verify(&token, at(600)), Ok(claims()));
    assert_eq!(long.issue(&Claims { expires: at(701), ..claims() }), Err(JwtError::NoKey));
    old.ends = Some(at(300));
    assert_eq!(keys(&[old.clone()]).verify(&token, at(300)), Err(JwtError::UnknownKey));
    assert_eq!(
        Keys::new(URL, URL, &[new.clone(), new]).err().map(|e| e.to_string()[..15].to_owned()),
        Some("the signing key".into())
    );
    assert_eq!(keys(&[]).issue(&claims()), Err(JwtError::NoKey));
}

#[test]
fn a_key_is_kept_as_text_that_is_never_printed() {
    let mut key = Keys::generate_key(NOW).unwrap();
    key.ends = Some(at(5));
    let text = key.to_json();
    assert_eq!(StoredKey::from_json(&text), Ok(key.clone()));
    let written: Value = serde_json::from_str(text.reveal()).unwrap();
    assert!(!format!("{key:?}").contains(written["pkcs8"].as_str().unwrap()));
    for broken in ["", "{}", "{\"kid\":\"a\",\"created_ms\":0,\"ends_ms\":null,\"pkcs8\":\"*\"}"] {
        assert_eq!(StoredKey::from_json(&secret(broken)), Err(KeyError::Unreadable));
    }
    let no_key =
        StoredKey::from_json(&secret("{\"kid\":\"a\",\"created_ms\":0,\"ends_ms\":null,\"pkcs8\":\"AAAA\"}"));
    assert_eq!(Keys::new(URL, URL, &[no_key.unwrap()]).err(), Some(KeyError::NotEd25519("a".into())));
}

#[test]
fn other_algorithms_than_eddsa_are_refused() {
    let (stored, pair) = own_key();
    let keys = keys(std::slice::from_ref(&stored));
    let public = pair.public_key().as_ref().to_vec();
    let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public);
    for algorithm in ["none", "None", "NONE", "HS256", "HS512", "ES256", "RS256", "eddsa", "", "EdDSA "] {
        let head = json!({"alg": algorithm, "kid": stored.kid}).to_string();
        let signatures: [Sign<'_>; 3] =
            [&|_| vec![], &|message| ring::hmac::sign(&hmac, message).as_ref().to_vec(), &|message| {
                pair.sign(message).as_ref().to_vec()
            }];
        for sign in signatures {
            let token = forged(&head, &own_claims(&json!({})), sign);
            assert_eq!(keys.verify(&token, NOW), Err(JwtError::Algorithm), "{algorithm}");
        }
    }
}

#[test]
fn headers_and_claims_are_looked_at_closely() {
    let (stored, pair) = own_key();
    let keys = keys(std::slice::from_ref(&stored));
    let sign = |message: &[u8]| pair.sign(message).as_ref().to_vec();
    let head = json!({"alg": "EdDSA", "kid": stored.kid}).to_string();
    let with = |changes: Value| {
        keys.verify(&forged(&head, &own_claims(&changes), sign), NOW).map(|claims| claims.id)
    };
    assert_eq!(with(json!({})).as_deref(), Ok("jwt-1"));
    let table = [
        (json!({"aud": "https://other.example.org"}), JwtError::Audience),
        (json!({"aud": ["a", "b"]}), JwtError::Audience),
        (json!({"aud": []}), JwtError::Audience),
        (json!({"aud": null}), JwtError::Claim("aud")),
        (json!({"aud": 5}), JwtError::Claim("aud")),
        (json!({"iss": "https://other.example.org"}), JwtError::Issuer),
        (json!({"iss": [URL]}), JwtError::Claim("iss")),
        (json!({"iss": null}), JwtError::Claim("iss")),
        (json!({"exp": null}), JwtError::Claim("exp")),
        (json!({"exp": "1800000000"}), JwtError::Claim("exp")),
        (json!({"exp": -1}), JwtError::Claim("exp")),
        (json!({"exp": 1e300}), JwtError::Claim("exp")),
        (json!({"exp": NOW.seconds() - 31}), JwtError::Expired),
        (json!({"nbf": NOW.seconds() + 31}), JwtError::NotYet),
        (json!({"iat": NOW.seconds() + 31}), JwtError::NotYet),
        (json!({"iat": null}), JwtError::Claim("iat")),
        (json!({"nbf": true}), JwtError::Claim("nbf")),
        (json!({"sub": null}), JwtError::Claim("sub")),
        (json!({"sub": 7}), JwtError::Claim("sub")),
        (json!({"jti": null}), JwtError::Claim("jti")),
        (json!({"scopes": "read"}), JwtError::Claim("scopes")),
    ];
    for (changes, error) in table {
        assert_eq!(with(changes.clone()), Err(error), "{changes}");
    }
    assert_eq!(with(json!({"aud": ["a", URL], "exp": 1_700_000_600.5})).as_deref(), Ok("jwt-1"));

    let headed =
        |head: &str| keys.verify(&forged(head, &own_claims(&json!({})), sign), NOW).map(|claims| claims.id);
    let kid = &stored.kid;
    assert_eq!(headed("{\"alg\":\"EdDSA\"}"), Err(JwtError::UnknownKey));
    assert_eq!(headed("{\"alg\":\"EdDSA\",\"kid\":\"other\"}"), Err(JwtError::UnknownKey));
    let crit = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{kid}\",\"crit\":[\"b64\"],\"b64\":false}}");
    assert_eq!(headed(&crit), Err(JwtError::Critical));
    let twice = format!("{{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"{kid}\"}}");
    assert_eq!(headed(&twice), Err(JwtError::Malformed));
    assert_eq!(headed("[]"), Err(JwtError::Malformed));
    assert_eq!(headed("nonsense"), Err(JwtError::Malformed));
}

#[test]
fn a_claim_that_is_there_twice_makes_a_token_unreadable() {
    let (stored, pair) = own_key();
    let keys = keys(std::slice::from_ref(&stored));
    let head = json!({"alg": "EdDSA", "kid": stored.kid}).to_string();
    for more in [
        "\"sub\":\"root\",",
        "\"x\":1,\"x\":2,",
        "\"x\":{\"y\":1,\"y\":2},",
        "\"x\":[{\"\\u0079\":1,\"y\":2}],",
    ] {
        let claims = own_claims(&json!({})).replacen('{', &format!("{{{more}"), 1);
        let token = forged(&head, &claims, |message| pair.sign(message).as_ref().to_vec());
        assert_eq!(keys.verify(&token, NOW), Err(JwtError::Malformed), "{more}");
        assert_eq!(claimed_issuer(&token), Err(JwtError::Malformed), "{more}");
    }
}

#[test]
fn changed_and_oversized_tokens_are_refused() {
    let keys = keys(&[Keys::generate_key(NOW).unwrap()]);
    let token = keys.issue(&claims()).unwrap();
    let text = token.reveal();
    let (message, signature) = text.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let other = own_claims(&json!({"sub": "root"}));
    let swapped = format!("{head}.{}.{signature}", encoded(other.as_bytes()));
    let table = [
        (swapped, JwtError::Signature),
        (format!("{message}."), JwtError::Signature),
        (format!("{text}="), JwtError::Malformed),
        (format!("{text}.x"), JwtError::Malformed),
        (message.to_owned(), JwtError::Malformed),
        (String::new(), JwtError::Malformed),
        (format!("{text}{}", "A".repeat(MAX_BYTES)), JwtError::TooLong),
        ("*".repeat(1_000_000), JwtError::TooLong),
    ];
    for (text, error) in table {
        assert_eq!(keys.verify(&secret(text.as_str()), NOW), Err(error), "{text:.200}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".*|[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){1,3}", head in ".{0,60}", claims in ".{0,60}") {
        let keys = keys(&[Keys::generate_key(NOW).unwrap()]);
        prop_assert!(keys.verify(&secret(text.as_str()), NOW).is_err());
        let token = forged(&head, &claims, <[u8]>::to_vec);
        prop_assert!(keys.verify(&token, NOW).is_err());
        let _ = claimed_issuer(&token);
        let _ = Jwks::parse(claims.as_bytes());
    }

    #[test]
    fn any_claims_under_a_good_signature_are_answered(
        name in "iss|aud|sub|jti|exp|nbf|iat|scopes|x", number in any::<f64>(), text in ".{0,20}", kind in 0..5_u8,
    ) {
        let (stored, pair) = own_key();
        let value = match kind {
            0 => json!(number),
            1 => json!(text),
            2 => json!([text, number]),
            3 => json!({ text: number }),
            _ => Value::Null,
        };
        let head = json!({"alg": "EdDSA", "kid": stored.kid}).to_string();
        let claims = own_claims(&json!({ name: value }));
        let token = forged(&head, &claims, |message| pair.sign(message).as_ref().to_vec());
        let _ = keys(&[stored]).verify(&token, NOW);
    }

    #[test]
    fn one_changed_character_spoils_a_token(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        let keys = keys(&[Keys::generate_key(NOW).unwrap()]);
        let token = keys.issue(&claims()).unwrap();
        let mut text = token.reveal().clone();
        let at = at.index(text.len());
        text.replace_range(at..=at, &to);
        prop_assert_eq!(keys.verify(&secret(text.as_str()), NOW).is_ok(), text == *token.reveal());
    }
}
