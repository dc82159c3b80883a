//! JSON Web Tokens (RFC 7519): the gate's own, and those of issuers that it was told to trust.
//!
//! Belongs here: signing and verifying, key sets, what must stand in a token. Does not: fetching key sets (a service
//! does, when `jwks` says so), keeping the gate's keys (`store`), what somebody may do.
//!
//! The order of checks is fixed: size, header, algorithm against the list of the one who verifies, key, signature; only
//! then are the claims read. Headers that would choose the key (`jku`, `jwk`, `x5c`) are not looked at.

mod crypto;
mod external;
mod jwks;
mod keys;
mod strict;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

pub use external::{Asymmetric, ExternalIssuer, Identity, UnknownAlgorithm};
pub use jwks::{Fetch, FetchTimes, Jwks, JwksError};
pub use keys::{Claims, KeyError, Keys, StoredKey};

use crate::clock::UnixMillis;
use crate::secret::Secret;

/// Longer tokens are refused before anything of them is decoded.
const MAX_BYTES: usize = 8 * 1024;
/// How far clocks may be apart.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// Seconds at the end of the year 9999; later moments are mistakes.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Why a JWT is not taken: 401. No message has anything of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JwtError {
    /// Over the limit.
    #[error("the JWT is longer than {MAX_BYTES} bytes; ask for one with fewer claims")]
    TooLong,
    /// Not three parts of base64url, no JSON objects, or a name that is there twice.
    #[error(
        "the JWT can't be read; it must be three parts of base64url with JSON objects in which no name is there twice"
    )]
    Malformed,
    /// `none`, a symmetric one, or one that is not on the list.
    #[error("the JWT is signed with an algorithm that is not accepted from its issuer")]
    Algorithm,
    /// `crit`.
    #[error("the JWT has critical extensions, of which this gate knows none")]
    Critical,
    /// No such `kid`, or it has ended.
    #[error("the key that the JWT is signed with is not known or no longer used; log in again")]
    UnknownKey,
    /// Somebody else's.
    #[error("the signature of the JWT is wrong")]
    Signature,
    /// `iss`.
    #[error("the JWT is of another issuer")]
    Issuer,
    /// `aud`.
    #[error("the JWT is meant for another audience")]
    Audience,
    /// `exp`.
    #[error("the JWT has expired; log in again")]
    Expired,
    /// `nbf`, `iat`.
    #[error("the JWT is not valid yet; compare the clocks of this gate and of its issuer")]
    NotYet,
    /// A registered claim is missing or no text, number or list as it must be.
    #[error("the claim `{0}` of the JWT is missing or of the wrong type")]
    Claim(&'static str),
    /// The claim that the settings name for the user.
    #[error("the claim that names the user is missing in the JWT or no text; see `user_claim` of its issuer")]
    User,
    /// The claim that the settings name for groups.
    #[error(
        "the claim that lists groups is neither a text nor a list of texts; see `groups_claim` of the JWT's issuer"
    )]
    Groups,
    /// None that lasts as long as the token would.
    #[error("there is no key to sign a JWT with")]
    NoKey,
}

impl From<jsonwebtoken::errors::Error> for JwtError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::MissingRequiredClaim(name) => match name.as_str() {
                "aud" => Self::Claim("aud"),
                "iss" => Self::Claim("iss"),
                _ => Self::Claim("exp"),
            },
            ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Self::Algorithm,
            ErrorKind::InvalidKeyFormat | ErrorKind::Provider(_) => Self::UnknownKey,
            _ => Self::Malformed,
        }
    }
}

/// Whose token it says it is: only for choosing who verifies it, as nothing was verified yet.
///
/// # Errors
/// [`JwtError::TooLong`], [`JwtError::Malformed`], [`JwtError::Claim`].
pub fn claimed_issuer(token: &Secret<String>) -> Result<String, JwtError> {
    let [_, claims, _] = parts(token.reveal())?;
    let claims: strict::Object = decoded(claims)?;
    text(&claims.0, "iss").map(str::to_owned)
}

/// What of a header matters here.
#[derive(serde::Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

fn parts(token: &str) -> Result<[&str; 3], JwtError> {
    if token.len() > MAX_BYTES {
        return Err(JwtError::TooLong);
    }
    let parts: Vec<&str> = token.splitn(4, '.').collect();
    parts.try_into().map_err(|_| JwtError::Malformed)
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, JwtError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| JwtError::Malformed)
}

/// The header of a token, whose algorithm is one of `accepted`, and that algorithm.
fn head(token: &str, accepted: &[Algorithm]) -> Result<(Head, Algorithm), JwtError> {
    let [head, ..] = parts(token)?;
    let head: Head = decoded(head)?;
    let algorithm = head.alg.parse().ok().filter(|algorithm| accepted.contains(algorithm));
    if head.crit.is_some() {
        return Err(JwtError::Critical);
    }
    Ok((head, algorithm.ok_or(JwtError::Algorithm)?))
}

/// The claims of a token with a good signature that is meant for one of `audience`. `iss` and `exp` are there; neither
/// they nor any other claim was compared with anything.
fn opened(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    audience: &[String],
) -> Result<Map<String, Value>, JwtError> {
    crypto::install();
    let mut validation = Validation::new(algorithm);
    // The library would ask the machine's clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.set_audience(audience);
    validation.set_required_spec_claims(&["aud", "exp", "iss"]);
    let strict::Object(claims) = jsonwebtoken::decode(token, key, &validation)?.claims;
    Ok(claims)
}

/// The moments of a token, which hold at `now`.
struct Times {
    expires: UnixMillis,
    not_before: Option<UnixMillis>,
    issued: Option<UnixMillis>,
}

impl Times {
    fn read(claims: &Map<String, Value>, now: UnixMillis) -> Result<Self, JwtError> {
        let expires = moment(claims, "exp")?.ok_or(JwtError::Claim("exp"))?;
        let times = Self { expires, not_before: moment(claims, "nbf")?, issued: moment(claims, "iat")? };
        if now >= expires.plus(LEEWAY) {
            return Err(JwtError::Expired);
        }
        if [times.not_before, times.issued].into_iter().flatten().any(|begin| begin > now.plus(LEEWAY)) {
            return Err(JwtError::NotYet);
        }
        Ok(times)
    }
}

/// A NumericDate: seconds since the epoch, perhaps with a fraction.
fn moment(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixMillis>, JwtError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=LAST_SECOND).contains(seconds));
    let seconds = seconds.ok_or(JwtError::Claim(name))?;
    let since = Duration::from_secs_f64(seconds);
    Ok(Some(UnixMillis(0).plus(since)))
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, JwtError> {
    claims.get(name).and_then(Value::as_str).ok_or(JwtError::Claim(name))
}

#[cfg(test)]
mod tests;
