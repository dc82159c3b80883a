use ring::signature as sign;
use serde_json::json;

mod outside;
mod own;

use super::*;

type Sign<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const URL: &str = "https://gate.example.org";
const ISSUER: &str = "https://login.example.org";

fn at(seconds: i64) -> UnixMillis {
    UnixMillis(NOW.0 + seconds * 1000)
}

fn secret(text: impl Into<String>) -> Secret<String> {
    Secret::new(text.into())
}

fn encoded(text: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token of these texts, which may be anything.
fn forged(head: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Secret<String> {
    let message = format!("{}.{}", encoded(head.as_bytes()), encoded(claims.as_bytes()));
    let signature = encoded(&sign(message.as_bytes()));
    secret(format!("{message}.{signature}"))
}

fn claims() -> Claims {
    let scopes = Some(vec!["read:team".to_owned()]);
    Claims {
        subject: "user-1".into(),
        id: "jwt-1".into(),
        issued: NOW,
        not_before: NOW,
        expires: at(600),
        scopes,
    }
}

fn keys(stored: &[StoredKey]) -> Keys {
    Keys::new(URL, URL, stored).unwrap()
}

/// The gate's claims as text, some of them changed; null takes one away.
fn own_claims(changes: &Value) -> String {
    let mut claims = json!({
        "iss": URL, "aud": URL, "sub": "user-1", "jti": "jwt-1",
        "iat": NOW.seconds(), "nbf": NOW.seconds(), "exp": NOW.seconds() + 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims.to_string()
}

/// A key of the gate, and its signature on anything.
fn own_key() -> (StoredKey, sign::Ed25519KeyPair) {
    let stored = Keys::generate_key(NOW).unwrap();
    let written: Value = serde_json::from_str(stored.to_json().reveal()).unwrap();
    let pkcs8 = base64::engine::general_purpose::STANDARD.decode(written["pkcs8"].as_str().unwrap()).unwrap();
    (stored, sign::Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap())
}
