//! One mirror: its base URL, what shows it who we are, and its health.
//!
//! Belongs here: making a URL below the base, the origin that may see the credential, and spotting that
//! credential elsewhere. Does not: sending (`attempt`).

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use reqwest::RequestBuilder;
use url::{Origin, Url};

use super::health::Health;
use super::reach;
use super::request::encode_path_segment;
use super::settings::{Credential, SettingsError, UpstreamSettings};
use crate::secret::{SafeUrl, Secret};

/// One mirror of a set.
pub(super) struct Mirror {
    /// As configured; the same mirror under new settings keeps its rest.
    pub(super) url: SafeUrl,
    /// Printable.
    pub(super) shown: String,
    /// Ends in `/`, has the token and no user info.
    base: Url,
    credential: Option<Credential>,
    pub(super) health: Arc<Health>,
}

impl Mirror {
    /// Checks a mirror's URL and joins it with the credential.
    pub(super) fn new(
        settings: &UpstreamSettings,
        url: &SafeUrl,
        health: Arc<Health>,
    ) -> Result<Self, SettingsError> {
        let bad = |why| SettingsError::BadUrl { name: settings.name.clone(), url: url.to_string(), why };
        let mut base = url.reveal().clone();
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad("only http and https can be fetched"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(bad("a base URL has no `?` and no `#`"));
        }
        let inline = take_user_info(&mut base).map_err(|()| bad("its user info can't be read"))?;
        if inline.is_some() && settings.credentials.is_some() {
            return Err(bad("it has user info, and the upstream has credentials too; keep one of them"));
        }
        let credential = inline.or_else(|| settings.credentials.clone());
        if let Some(what) = credential.as_ref().and_then(unsendable) {
            return Err(SettingsError::BadCredential { name: settings.name.clone(), what });
        }
        let path = base.path().trim_end_matches('/');
        let path = match &credential {
            Some(Credential::TokenPath(token)) => {
                format!("/t/{}{path}/", encode_path_segment(token.reveal()))
            }
            _ => format!("{path}/"),
        };
        base.set_path(&path);
        Ok(Self { url: url.clone(), shown: SafeUrl::new(base.clone()).to_string(), base, credential, health })
    }

    /// The URL of `path` (percent-encoded, relative to the base), unless it would not stay below the base.
    ///
    /// A whole URL is what upstream's own index named (CEP 15, CEP 16). It is held to the rules of a redirect: no way from
    /// https to http, none to this machine's own addresses, no user info.
    pub(super) fn url_for(&self, path: &str) -> Option<Url> {
        if path.starts_with("https://") || path.starts_with("http://") {
            return self.named(Url::parse(path).ok()?);
        }
        let mut url = self.base.clone();
        let wanted = format!("{}{path}", self.base.path());
        url.set_path(&wanted);
        // `set_path` resolves dot segments and encodes what may not stand in a path: any change means that the
        // path was not what it seemed.
        (url.path() == wanted).then_some(url)
    }

    fn named(&self, mut url: Url) -> Option<Url> {
        let downgrade = self.base.scheme() == "https" && url.scheme() == "http";
        if downgrade || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        if !self.is_origin_of(&url) {
            return (reach::refuse(&url, &self.base).is_none() && !self.is_told_in(&url)).then_some(url);
        }
        // The index of a token's channel may name its files without the token; they are refused without it.
        if let Some(Credential::TokenPath(token)) = &self.credential
            && !url.path().starts_with("/t/")
        {
            let path = format!("/t/{}{}", encode_path_segment(token.reveal()), url.path());
            url.set_path(&path);
        }
        Some(url)
    }

    /// Whether `url` has the origin that may see the credential.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        self.origin() == url.origin()
    }

    fn origin(&self) -> Origin {
        self.base.origin()
    }

    /// The host requests go to first.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Adds the credential's header, if it is of that kind and `url` may see it.
    pub(super) fn authorize(&self, url: &Url, request: RequestBuilder) -> RequestBuilder {
        if !self.is_origin_of(url) {
            return request;
        }
        match &self.credential {
            Some(Credential::Basic { user, password }) => request.basic_auth(user, Some(password.reveal())),
            Some(Credential::Bearer(token)) => request.bearer_auth(token.reveal()),
            Some(Credential::TokenPath(_)) | None => request,
        }
    }

    /// Whether `url` carries a credential of ours: as the token segment of its path, or in its query.
    pub(super) fn is_told_in(&self, url: &Url) -> bool {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let segments = || url.path().split('/').map(decode);
        // A token in the mirror's own URL counts as well.
        let mut own = self.base.path().split('/').skip_while(|s| *s != "t").skip(1).take(1).map(decode);
        if own.any(|token| segments().any(|s| s == token)) {
            return true;
        }
        let secret = match &self.credential {
            Some(Credential::TokenPath(secret) | Credential::Bearer(secret)) => secret.reveal(),
            Some(Credential::Basic { password, .. }) => password.reveal(),
            None => return false,
        };
        // Very short secrets would be found everywhere; they protect nothing anyway.
        let found = |text: &str| secret.len() >= 4 && decode(text).contains(secret.as_str());
        segments().any(|s| s == *secret && secret.len() >= 4) || url.query().is_some_and(found)
    }
}

/// Moves the user info, if any, out of a URL; an error if it isn't text.
fn take_user_info(url: &mut Url) -> Result<Option<Credential>, ()> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decode =
        |text: &str| percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(drop);
    let user = decode(url.username())?;
    let password = Secret::new(decode(url.password().unwrap_or_default())?);
    url.set_username("")?;
    url.set_password(None)?;
    Ok(Some(Credential::Basic { user, password }))
}

/// The part of a credential that can't be put into a request.
fn unsendable(credential: &Credential) -> Option<&'static str> {
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    match credential {
        Credential::TokenPath(token) if !visible(token.reveal()) => Some("token"),
        Credential::Bearer(token) if !visible(token.reveal()) => Some("bearer token"),
        // RFC 7617: a colon would move part of the name into the password.
        Credential::Basic { user, .. } if user.contains(':') || user.contains(char::is_control) => {
            Some("user name")
        }
        Credential::Basic { password, .. } if password.reveal().contains(char::is_control) => {
            Some("password")
        }
        _ => None,
    }
}
