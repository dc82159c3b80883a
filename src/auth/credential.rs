//! What a caller shows of itself, in every form that conda's clients use.
//!
//! Belongs here: finding the one credential of a request, refusing those that are malformed or contradict each other.
//! Does not: whether it is good (`token`, `password`, `jwt`, the store), taking `/t/<token>/` out of a path
//! (`conda::url`), challenges (`proxy`, `api`).
//!
//! # Which one counts
//!
//! 1. In proxy mode (an absolute-form request, or a host that is upstream's) `Proxy-Authorization` alone. The path and
//!    all other headers are upstream's there, tokens included.
//! 2. Otherwise `Authorization`, then `X-API-Key`, then the token in the path. One secret may be shown in several of
//!    them; two different ones are refused, because choosing silently hides a mistake.
//! 3. Only where there is none of these, the session cookie.
//!
//! An empty token in the path (`/t//`) and Basic with neither user nor password are no credential. Anything else that
//! can't be understood is an error, never an anonymous caller.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::token::is_ours;
use crate::secret::Secret;

/// Bytes of a header's value or of a token in a path; longer ones are not looked at.
const MAX_BYTES: usize = 8 * 1024;
/// The cookie of somebody who logged in.
pub const SESSION_COOKIE: &str = "condagate_session";
/// Passwords that mean "the user name is the token".
const NO_PASSWORDS: [&str; 3] = ["", "x", "x-oauth-basic"];
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Everything in a request that may be a credential; every line of a header.
#[derive(Clone, Default)]
pub struct Offered<'a> {
    /// From `/t/<token>/`, decoded.
    pub path_token: Option<&'a str>,
    /// `Authorization`.
    pub authorization: Vec<&'a [u8]>,
    /// `Proxy-Authorization`.
    pub proxy_authorization: Vec<&'a [u8]>,
    /// `X-API-Key` (quetz's clients).
    pub api_key: Vec<&'a [u8]>,
    /// `Cookie`.
    pub cookie: Vec<&'a [u8]>,
    /// The caller uses the gate as a proxy, or takes it for the upstream.
    pub as_proxy: bool,
}

impl Offered<'_> {
    /// Whether there is nothing to look at.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        let no_header = self.authorization.is_empty()
            && self.proxy_authorization.is_empty()
            && self.api_key.is_empty()
            && self.cookie.is_empty();
        self.path_token.is_none() && no_header
    }
}

/// A credential that is well formed; whether it is good is not known yet.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// None was shown.
    None,
    /// An API token.
    Token(Secret<String>),
    /// A JWT in its compact form.
    Jwt(Secret<String>),
    /// A user name and a password.
    Password {
        /// As it was sent. It may be a secret in the wrong place: don't print it before a user was found by it.
        user: String,
        /// Not empty.
        password: Secret<String>,
    },
    /// The secret of a session.
    Session(Secret<String>),
}

/// Says the kind only.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(***)",
            Self::Jwt(_) => "Jwt(***)",
            Self::Password { .. } => "Password(***)",
            Self::Session(_) => "Session(***)",
        })
    }
}

/// How a credential was sent: for the audit trail, and for the challenge that suits the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// Not at all.
    None,
    /// `/t/<token>/`.
    Path,
    /// `Authorization: Basic`.
    Basic,
    /// `Authorization: Bearer`.
    Bearer,
    /// `Authorization: token` (anaconda-client).
    TokenScheme,
    /// `X-API-Key`.
    ApiKey,
    /// `Proxy-Authorization`, whichever scheme.
    Proxy,
    /// The session cookie.
    Cookie,
}

impl Form {
    /// As people know it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "no credential",
            Self::Path => "the token in the path",
            Self::Basic => "`Authorization: Basic`",
            Self::Bearer => "`Authorization: Bearer`",
            Self::TokenScheme => "`Authorization: token`",
            Self::ApiKey => "`X-API-Key`",
            Self::Proxy => "`Proxy-Authorization`",
            Self::Cookie => "the session cookie",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The one credential of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Presented {
    /// What.
    pub credential: Credential,
    /// How.
    pub form: Form,
}

impl Presented {
    const NOTHING: Self = Self { credential: Credential::None, form: Form::None };
}

/// A header or a form, as people know it.
type Place = &'static str;

/// Why what was shown is no credential: 401, or 407 in proxy mode. No message has anything of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialError {
    /// The header is there more than once.
    #[error("{0} was sent more than once; send one credential")]
    Twice(Place),
    /// Over the limit.
    #[error("{0} is longer than {MAX_BYTES} bytes; no credential of this gate is")]
    TooLong(Place),
    /// Not visible ASCII.
    #[error("{0} has bytes that no credential has; look for a line break or a letter outside ASCII in it")]
    OddBytes(Place),
    /// Nothing behind the scheme.
    #[error("{0} has no token; is a variable empty?")]
    Empty(Place),
    /// The token has spaces or the like in it.
    #[error("{0} has something else than one token; look for spaces, quotes or commas in it")]
    NotOne(Place),
    /// A token without a scheme, or a scheme that is not known at all. It is not repeated, as it may be the secret.
    #[error("{0} does not begin with a known scheme; send `Bearer <token>`, `token <token>` or Basic")]
    NoScheme(Place),
    /// A known scheme that is not used here.
    #[error(
        "{0} uses the scheme {1}, which this gate does not take; send `Bearer <token>`, `token <token>` or Basic"
    )]
    OtherScheme(Place, &'static str),
    /// Not base64.
    #[error("{0} is Basic, but what follows is no base64; send `<user>:<password>` encoded")]
    NotBase64(Place),
    /// Not UTF-8, or with control characters.
    #[error("{0} is Basic, but user and password are not UTF-8 without control characters (RFC 7617)")]
    NotText(Place),
    /// No colon.
    #[error("{0} is Basic, but has no colon between user and password")]
    NoColon(Place),
    /// Two secrets.
    #[error("{0} and {1} show different credentials; leave one of them out (a netrc file adds one, too)")]
    Disagree(Place, Place),
}

/// Finds the credential of a request; see the head of this module for which one counts.
///
/// # Errors
/// What is wrong with what was shown.
pub fn presented(offered: &Offered<'_>) -> Result<Presented, CredentialError> {
    if offered.as_proxy {
        let mut shown = authorization(&offered.proxy_authorization, "`Proxy-Authorization`")?;
        if let Some(presented) = &mut shown {
            presented.form = Form::Proxy;
        }
        return Ok(shown.unwrap_or(Presented::NOTHING));
    }
    let shown = [
        authorization(&offered.authorization, "`Authorization`")?,
        api_key(&offered.api_key)?,
        in_path(offered.path_token)?,
    ];
    let mut shown = shown.into_iter().flatten();
    let Some(first) = shown.next() else {
        return Ok(session(&offered.cookie)?.unwrap_or(Presented::NOTHING));
    };
    match shown.find(|other| other.credential != first.credential) {
        Some(other) => Err(CredentialError::Disagree(first.form.as_str(), other.form.as_str())),
        None => Ok(first),
    }
}

fn authorization(lines: &[&[u8]], place: Place) -> Result<Option<Presented>, CredentialError> {
    let Some(value) = only(lines, place)? else { return Ok(None) };
    let (scheme, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    let rest = rest.trim_start_matches([' ', '\t']);
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    let (form, credential) = if is("bearer") {
        (Form::Bearer, Some(one_secret(rest, place)?))
    } else if is("basic") {
        (Form::Basic, basic(rest, place)?)
    } else if is("token") {
        (Form::TokenScheme, Some(one_secret(rest, place)?))
    } else {
        return Err(unknown_scheme(scheme, place));
    };
    Ok(credential.map(|credential| Presented { credential, form }))
}

fn unknown_scheme(scheme: &str, place: Place) -> CredentialError {
    let known =
        ["Digest", "Negotiate", "NTLM", "Kerberos", "Hawk", "OAuth", "SCRAM-SHA-256", "AWS4-HMAC-SHA256"];
    match known.into_iter().find(|known| known.eq_ignore_ascii_case(scheme)) {
        Some(known) => CredentialError::OtherScheme(place, known),
        None => CredentialError::NoScheme(place),
    }
}

fn api_key(lines: &[&[u8]]) -> Result<Option<Presented>, CredentialError> {
    let place = Form::ApiKey.as_str();
    let Some(value) = only(lines, place)? else { return Ok(None) };
    Ok(Some(Presented { credential: one_secret(value, place)?, form: Form::ApiKey }))
}

fn in_path(token: Option<&str>) -> Result<Option<Presented>, CredentialError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let place = Form::Path.as_str();
    let credential = one_secret(visible(token.as_bytes(), place)?, place)?;
    Ok(Some(Presented { credential, form: Form::Path }))
}

/// The session's cookie among all others, which are not looked at (RFC 6265, 5.4).
fn session(lines: &[&[u8]]) -> Result<Option<Presented>, CredentialError> {
    let place = Form::Cookie.as_str();
    let pairs = lines.iter().flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let mut values = pairs.filter_map(|pair| {
        pair.strip_prefix(SESSION_COOKIE.as_bytes())?.trim_ascii_start().strip_prefix(b"=")
    });
    let Some(value) = values.next() else { return Ok(None) };
    if values.any(|other| other != value) {
        return Err(CredentialError::Twice(place));
    }
    let text = visible(value.trim_ascii(), place)?;
    if text.is_empty() {
        // What is left of it after a log-out.
        return Ok(None);
    }
    Ok(Some(Presented { credential: Credential::Session(Secret::new(text.to_owned())), form: Form::Cookie }))
}

/// The value of a header that may be there once.
fn only<'a>(lines: &[&'a [u8]], place: Place) -> Result<Option<&'a str>, CredentialError> {
    match lines {
        [] => Ok(None),
        [value] => visible(value.trim_ascii(), place).map(Some),
        _ => Err(CredentialError::Twice(place)),
    }
}

/// Visible ASCII, spaces and tabs, within the limit.
fn visible(value: &[u8], place: Place) -> Result<&str, CredentialError> {
    if value.len() > MAX_BYTES {
        return Err(CredentialError::TooLong(place));
    }
    // No early exit, here and below: this way the compiler looks at many bytes at once.
    let good = value.iter().fold(true, |good, b| good & matches!(b, b' '..=b'~' | b'\t'));
    let text = std::str::from_utf8(value).ok().filter(|_| good);
    text.ok_or(CredentialError::OddBytes(place))
}

/// A token or a JWT: one word of the characters that RFC 6750 gives (`b64token`).
fn one_secret(text: &str, place: Place) -> Result<Credential, CredentialError> {
    if text.is_empty() {
        return Err(CredentialError::Empty(place));
    }
    // `-`, `.` and `/` stand side by side, before the digits.
    let good = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'-'..=b'9' | b'_' | b'~' | b'+' | b'=');
    if !text.bytes().fold(true, |all, b| all & good(b)) {
        return Err(CredentialError::NotOne(place));
    }
    let secret = Secret::new(text.to_owned());
    Ok(if memchr::memchr_iter(b'.', text.as_bytes()).count() == 2 {
        Credential::Jwt(secret)
    } else {
        Credential::Token(secret)
    })
}

/// Basic (RFC 7617). Clients that know only this form carry tokens in it: as the password, or as the user's name.
fn basic(encoded: &str, place: Place) -> Result<Option<Credential>, CredentialError> {
    let bytes = BASE64.decode(encoded).map_err(|_| CredentialError::NotBase64(place))?;
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control));
    let text = text.ok_or(CredentialError::NotText(place))?;
    let (user, password) = text.split_once(':').ok_or(CredentialError::NoColon(place))?;
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    if let Some(secret) = [password, user].into_iter().find(|text| is_ours(text) || looks_like_jwt(text)) {
        return one_secret(secret, place).map(Some);
    }
    if user.is_empty() {
        return one_secret(password, place).map(Some);
    }
    if NO_PASSWORDS.contains(&password) {
        return one_secret(user, place).map(Some);
    }
    Ok(Some(Credential::Password { user: user.to_owned(), password: Secret::new(password.to_owned()) }))
}

/// Three parts of which the first begins like the base64 of `{"`: a password is hardly ever so.
fn looks_like_jwt(text: &str) -> bool {
    let part = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    text.starts_with("eyJ") && text.split('.').count() == 3 && text.split('.').all(part)
}

#[cfg(test)]
mod tests;
