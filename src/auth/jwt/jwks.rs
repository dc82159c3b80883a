//! Key sets of other issuers (RFC 7517): which key a token is signed with, and when to fetch the set again.
//!
//! Belongs here: reading a set, finding a key in it, the times of fetching as a pure function. Does not: fetching.

use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::clock::UnixMillis;

/// Real sets have some kilobytes and two or three keys.
const MAX_BYTES: usize = 256 * 1024;
const MAX_KEYS: usize = 100;

/// Why a document is no key set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JwksError {
    /// Over the limit.
    #[error("the key set is longer than {MAX_BYTES} bytes; is the address that of the issuer's `jwks_uri`?")]
    TooLong,
    /// Not what RFC 7517 says.
    #[error(
        "the document is no key set (a JSON object with a list `keys`); is the address that of the issuer's `jwks_uri`?"
    )]
    NotASet,
    /// None can be used.
    #[error("the key set has no key for RSA, ECDSA (P-256, P-384) or Ed25519 signatures")]
    NoUsableKey,
}

/// The keys of a set that can verify signatures; symmetric and unknown ones were left out.
#[derive(Clone, Debug)]
pub struct Jwks {
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    verifying: DecodingKey,
}

impl Jwks {
    /// Reads a set. Keys that can't be used here are left out.
    ///
    /// # Errors
    /// Why it is no set that could be used.
    pub fn parse(json: &[u8]) -> Result<Self, JwksError> {
        if json.len() > MAX_BYTES {
            return Err(JwksError::TooLong);
        }
        let document: Value = serde_json::from_slice(json).map_err(|_| JwksError::NotASet)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(JwksError::NotASet)?;
        let keys: Vec<Key> = keys.iter().take(MAX_KEYS).filter_map(Key::read).collect();
        if keys.is_empty() { Err(JwksError::NoUsableKey) } else { Ok(Self { keys }) }
    }

    /// The key for a token's `kid` and algorithm. Without a `kid` there must be one key only that could be meant.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        if kid.is_some() {
            return fitting.find(|key| key.kid.as_deref() == kid).map(|key| &key.verifying);
        }
        let only = fitting.next()?;
        fitting.next().is_none().then_some(&only.verifying)
    }
}

impl Key {
    fn read(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature)
            && jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => {
                use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
                vec![RS256, RS384, RS512, PS256, PS384, PS512]
            }
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => vec![],
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                vec![Algorithm::EdDSA]
            }
            _ => vec![],
        };
        if let Some(only) = jwk.common.key_algorithm {
            algorithms.retain(|algorithm| only.to_string().parse().ok() == Some(*algorithm));
        }
        if !for_signatures || algorithms.is_empty() {
            return None;
        }
        Some(Self { verifying: DecodingKey::from_jwk(&jwk).ok()?, kid: jwk.common.key_id, algorithms })
    }
}

/// What is known of the fetches of one set. The default is that there was none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FetchTimes {
    /// When it was last asked for, whatever came of it.
    pub tried: Option<UnixMillis>,
    /// When it last came.
    pub fetched: Option<UnixMillis>,
}

/// Whether to fetch a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fetch {
    /// Now. Tokens that can be verified with the set at hand need not wait for it.
    Now,
    /// Not before this moment, if nothing else happens.
    At(UnixMillis),
}

impl FetchTimes {
    /// How long a set is good without being asked for again; issuers announce new keys a day ahead.
    pub const FRESH: Duration = Duration::from_hours(1);
    /// Between two attempts, whatever the reason: tokens with invented key ids cause no more than this.
    pub const INTERVAL: Duration = Duration::from_mins(1);

    /// When the set should be fetched. `unknown_key`: there is a token with a key that is not in it
    /// ([`JwtError::UnknownKey`](super::JwtError)).
    #[must_use]
    pub fn next(self, now: UnixMillis, unknown_key: bool) -> Fetch {
        // A moment in the future is of a clock that was set back.
        let past = |moment: &UnixMillis| *moment <= now;
        let after_try = self.tried.filter(past).map_or(now, |tried| tried.plus(Self::INTERVAL));
        let stale = self.fetched.filter(past).map_or(now, |fetched| fetched.plus(Self::FRESH));
        let due = if unknown_key { after_try } else { after_try.max(stale) };
        if due <= now { Fetch::Now } else { Fetch::At(due) }
    }
}
