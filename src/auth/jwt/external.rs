//! Tokens of issuers outside: a company's single sign-on, a CI service.
//!
//! Belongs here: what is expected of an issuer's tokens, and who they say the caller is. Does not: which user of the
//! gate that is (`store`), fetching the issuer's keys.

use std::str::FromStr;

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::jwks::Jwks;
use super::{JwtError, Times, head, opened, text};
use crate::clock::UnixMillis;
use crate::secret::Secret;

/// Groups of a token, at most; more are a mistake of the settings.
const MAX_GROUPS: usize = 1000;

/// Signatures that may be accepted from outside. Symmetric ones are not among them: whoever could verify them could
/// make them, and a public key could be taken for the secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Asymmetric {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// With SHA-384.
    Rs384,
    /// With SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// With SHA-384.
    Ps384,
    /// With SHA-512.
    Ps512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// A name that is none of [`Asymmetric`]'s.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "this is no algorithm for tokens of other issuers; take some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
)]
pub struct UnknownAlgorithm;

impl FromStr for Asymmetric {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Ok(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return Err(UnknownAlgorithm),
        })
    }
}

impl From<Asymmetric> for Algorithm {
    fn from(algorithm: Asymmetric) -> Self {
        match algorithm {
            Asymmetric::Rs256 => Self::RS256,
            Asymmetric::Rs384 => Self::RS384,
            Asymmetric::Rs512 => Self::RS512,
            Asymmetric::Ps256 => Self::PS256,
            Asymmetric::Ps384 => Self::PS384,
            Asymmetric::Ps512 => Self::PS512,
            Asymmetric::Es256 => Self::ES256,
            Asymmetric::Es384 => Self::ES384,
            Asymmetric::EdDsa => Self::EdDSA,
        }
    }
}

/// What is expected of an issuer's tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExternalIssuer {
    /// `iss`, to the letter.
    pub issuer: String,
    /// One of these must be in `aud`; with none, no token is accepted.
    pub audience: Vec<String>,
    /// What its tokens may be signed with.
    pub algorithms: Vec<Asymmetric>,
    /// The claim with the user's name: `sub`, `email`, `preferred_username`, or a JSON pointer (RFC 6901) into nested
    /// ones. It must be one that people can't choose themselves at the issuer.
    pub user_claim: String,
    /// The claim with the user's groups, a text or a list of texts: `groups`, `/realm_access/roles`.
    pub groups_claim: Option<String>,
}

/// Who a token says the caller is, in the issuer's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// From `user_claim`. Not a name of the gate's yet: see [`UserName`](crate::auth::name::UserName).
    pub user: String,
    /// From `groups_claim`; none where the token has no such claim.
    pub groups: Vec<String>,
    /// `sub`, where there is one.
    pub subject: Option<String>,
    /// `jti`, where there is one.
    pub id: Option<String>,
    /// `iat`, where there is one.
    pub issued: Option<UnixMillis>,
    /// `exp`.
    pub expires: UnixMillis,
}

impl ExternalIssuer {
    /// Who the caller is, if the token is this issuer's and holds at `now`.
    ///
    /// # Errors
    /// Why not. After [`JwtError::UnknownKey`] the key set may have to be fetched again.
    pub fn verify(&self, token: &Secret<String>, keys: &Jwks, now: UnixMillis) -> Result<Identity, JwtError> {
        let token = token.reveal();
        let accepted: Vec<Algorithm> = self.algorithms.iter().copied().map(Algorithm::from).collect();
        let (head, algorithm) = head(token, &accepted)?;
        let key = keys.find(head.kid.as_deref(), algorithm).ok_or(JwtError::UnknownKey)?;
        let claims = opened(token, key, algorithm, &self.audience)?;
        if text(&claims, "iss")? != self.issuer {
            return Err(JwtError::Issuer);
        }
        let times = Times::read(&claims, now)?;
        let optional =
            |name| claims.contains_key(name).then(|| text(&claims, name).map(str::to_owned)).transpose();
        let user = found(&claims, &self.user_claim).and_then(Value::as_str).filter(|user| !user.is_empty());
        Ok(Identity {
            user: user.ok_or(JwtError::User)?.to_owned(),
            groups: self.groups(&claims)?,
            subject: optional("sub")?,
            id: optional("jti")?,
            issued: times.issued,
            expires: times.expires,
        })
    }

    fn groups(&self, claims: &Map<String, Value>) -> Result<Vec<String>, JwtError> {
        let value = self.groups_claim.as_deref().and_then(|name| found(claims, name));
        let groups = match value {
            None => vec![],
            Some(Value::String(one)) => vec![one.clone()],
            Some(list) => serde_json::from_value(list.clone()).map_err(|_| JwtError::Groups)?,
        };
        if groups.len() > MAX_GROUPS { Err(JwtError::Groups) } else { Ok(groups) }
    }
}

/// A claim by its name, or by a pointer where that begins with `/`.
fn found<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
    let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) }
}
