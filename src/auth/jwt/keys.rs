//! The gate's own tokens: short-lived, signed with Ed25519 (RFC 8037), by keys that take turns.
//!
//! Belongs here: making keys, issuing and verifying, the public half of the keys. Does not: how long tokens live and
//! when keys take turns (whoever logs people in).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{JwtError, Times, crypto, head, opened, text};
use crate::auth::token::new_id;
use crate::clock::UnixMillis;
use crate::secret::Secret;

/// What a token of the gate says, besides issuer and audience. Moments are whole seconds in the token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// `sub`: the id of a user.
    pub subject: String,
    /// `jti`: the token's own id.
    pub id: String,
    /// `iat`.
    pub issued: UnixMillis,
    /// `nbf`.
    pub not_before: UnixMillis,
    /// `exp`.
    pub expires: UnixMillis,
    /// `scopes`, in the words of who issued it; `None` for all that the user may do.
    pub scopes: Option<Vec<String>>,
}

/// A key as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredKey {
    /// Public, and in the header of each token.
    pub kid: String,
    /// When it was made; the newest one signs.
    pub created: UnixMillis,
    /// From then on it neither signs nor verifies; `None` for the one in use. Who makes a successor sets it to a moment
    /// when all tokens of this one have expired.
    pub ends: Option<UnixMillis>,
    pkcs8: Secret<Vec<u8>>,
}

/// Why keys can't be used. No message has anything of a key but its id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// No JSON, or fields are missing.
    #[error(
        "a stored signing key can't be read; remove it, and a new one is made (people have to log in again)"
    )]
    Unreadable,
    /// No PKCS #8 of an Ed25519 key.
    #[error("the stored signing key {0} is no Ed25519 key; remove it, and a new one is made")]
    NotEd25519(String),
    /// Two with one id.
    #[error("the signing key {0} is stored twice; remove one of them")]
    Twice(String),
    /// The operating system gave none.
    #[error("no signing key can be made, because the operating system gives no random numbers")]
    NoRandomness,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kid: String,
    created_ms: i64,
    ends_ms: Option<i64>,
    pkcs8: String,
}

impl StoredKey {
    /// One JSON object, on one line.
    #[must_use]
    pub fn to_json(&self) -> Secret<String> {
        let pkcs8 = STANDARD.encode(self.pkcs8.reveal());
        let ends = self.ends.map(|moment| moment.0);
        let written = json!({"kid": self.kid, "created_ms": self.created.0, "ends_ms": ends, "pkcs8": pkcs8});
        Secret::new(written.to_string())
    }

    /// What [`StoredKey::to_json`] gave.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`].
    pub fn from_json(text: &Secret<String>) -> Result<Self, KeyError> {
        // What serde says may repeat what it read.
        let written: Written = serde_json::from_str(text.reveal()).map_err(|_| KeyError::Unreadable)?;
        let pkcs8 = STANDARD.decode(&written.pkcs8).map_err(|_| KeyError::Unreadable)?;
        Ok(Self {
            kid: written.kid,
            created: UnixMillis(written.created_ms),
            ends: written.ends_ms.map(UnixMillis),
            pkcs8: Secret::new(pkcs8),
        })
    }
}

struct Key {
    kid: String,
    ends: Option<UnixMillis>,
    signing: EncodingKey,
    verifying: DecodingKey,
    public: Vec<u8>,
}

impl Key {
    fn read(stored: &StoredKey) -> Result<Self, KeyError> {
        let pkcs8 = stored.pkcs8.reveal();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::NotEd25519(stored.kid.clone()))?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self {
            kid: stored.kid.clone(),
            ends: stored.ends,
            signing: EncodingKey::from_ed_der(pkcs8),
            verifying: DecodingKey::from_ed_der(&public),
            public,
        })
    }

    fn lasts_until(&self, moment: UnixMillis) -> bool {
        self.ends.is_none_or(|ends| moment < ends)
    }
}

/// The keys in use, with whom the tokens are from and for.
pub struct Keys {
    issuer: String,
    audience: Vec<String>,
    newest_first: Vec<Key>,
}

impl Keys {
    /// `issuer` and `audience` are the gate's `public_url`, as a rule.
    ///
    /// # Errors
    /// Which key can't be used.
    pub fn new(issuer: &str, audience: &str, stored: &[StoredKey]) -> Result<Self, KeyError> {
        let mut sorted: Vec<&StoredKey> = stored.iter().collect();
        sorted.sort_by(|a, b| (b.created, &b.kid).cmp(&(a.created, &a.kid)));
        let mut newest_first: Vec<Key> = Vec::with_capacity(stored.len());
        for stored in sorted {
            if newest_first.iter().any(|key| key.kid == stored.kid) {
                return Err(KeyError::Twice(stored.kid.clone()));
            }
            newest_first.push(Key::read(stored)?);
        }
        Ok(Self { issuer: issuer.to_owned(), audience: vec![audience.to_owned()], newest_first })
    }

    /// A new key, for the caller to keep; it signs once a `Keys` was made with it.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate_key(now: UnixMillis) -> Result<StoredKey, KeyError> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoRandomness)?;
        let pkcs8 = Secret::new(document.as_ref().to_vec());
        Ok(StoredKey { kid: new_id(), created: now, ends: None, pkcs8 })
    }

    /// Signs a token with the newest key that lasts as long as the token.
    ///
    /// # Errors
    /// [`JwtError::NoKey`].
    pub fn issue(&self, claims: &Claims) -> Result<Secret<String>, JwtError> {
        crypto::install();
        let key =
            self.newest_first.iter().find(|key| key.lasts_until(claims.expires)).ok_or(JwtError::NoKey)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid.clone());
        let mut body = json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": claims.subject,
            "jti": claims.id,
            "iat": claims.issued.seconds(),
            "nbf": claims.not_before.seconds(),
            "exp": claims.expires.seconds(),
        });
        if let Some(scopes) = &claims.scopes {
            body["scopes"] = json!(scopes);
        }
        Ok(Secret::new(jsonwebtoken::encode(&header, &body, &key.signing)?))
    }

    /// What a token of this gate says, if it is one and holds at `now`.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, token: &Secret<String>, now: UnixMillis) -> Result<Claims, JwtError> {
        let token = token.reveal();
        let (head, algorithm) = head(token, &[Algorithm::EdDSA])?;
        let named = self.newest_first.iter().find(|key| Some(&key.kid) == head.kid.as_ref());
        let key = named.filter(|key| key.lasts_until(now)).ok_or(JwtError::UnknownKey)?;
        let claims = opened(token, &key.verifying, algorithm, &self.audience)?;
        if text(&claims, "iss")? != self.issuer {
            return Err(JwtError::Issuer);
        }
        let times = Times::read(&claims, now)?;
        let list =
            |value: &Value| serde_json::from_value(value.clone()).map_err(|_| JwtError::Claim("scopes"));
        Ok(Claims {
            subject: text(&claims, "sub")?.to_owned(),
            id: text(&claims, "jti")?.to_owned(),
            issued: times.issued.ok_or(JwtError::Claim("iat"))?,
            not_before: times.not_before.ok_or(JwtError::Claim("nbf"))?,
            expires: times.expires,
            scopes: claims.get("scopes").map(list).transpose()?,
        })
    }

    /// The public keys that verify at `now`, as a JWK set (RFC 7517) for others.
    #[must_use]
    pub fn jwks(&self, now: UnixMillis) -> Value {
        let keys = self.newest_first.iter().filter(|key| key.lasts_until(now)).map(|key| {
            let x = URL_SAFE_NO_PAD.encode(&key.public);
            json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": x})
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }
}
