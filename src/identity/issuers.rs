//! The keys of outside issuers: fetched when they are first needed, again every hour, and when a token shows a key that is not known
//! yet, but never more than once a minute.
//!
//! Belongs here: which document, when, and what it may say. Does not: fetching (`app` hands that in), signatures (`auth::jwt`).

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use url::Url;

use super::Identity;
use crate::auth::jwt::{self, ExternalIssuer, FetchTimes, Jwks, JwtError};
use crate::clock::UnixMillis;
use crate::secret::{SafeUrl, Secret};
use crate::snapshot::people::Refused;

/// Fetches a small document; the error is a sentence.
pub type Fetch = Arc<dyn Fn(Url) -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync>;

/// An outside issuer.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// What its tokens must be like.
    pub rules: ExternalIssuer,
    /// Where its keys are; `None` where its own description says so (OpenID Connect Discovery).
    pub jwks_url: Option<SafeUrl>,
}

const UNREACHABLE: &str = "the keys of the token's issuer can't be fetched";

/// See the module's description.
pub(super) struct Issuers {
    all: Vec<Issuer>,
    fetch: Fetch,
}

struct Issuer {
    settings: IssuerSettings,
    known: Mutex<Known>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    times: FetchTimes,
    keys: Option<Arc<Jwks>>,
}

impl Issuers {
    pub(super) fn new(all: Vec<IssuerSettings>, fetch: Fetch) -> Self {
        let issuer =
            |settings| Issuer { settings, known: Mutex::default(), fetching: tokio::sync::Mutex::default() };
        Self { all: all.into_iter().map(issuer).collect(), fetch }
    }
}

impl Issuer {
    fn is_due(&self, now: UnixMillis, unknown: bool) -> bool {
        self.known.lock().times.next(now, unknown) == jwt::Fetch::Now
    }

    /// Whether it did not answer when it was last asked.
    fn is_silent(&self) -> bool {
        let FetchTimes { tried, fetched } = self.known.lock().times;
        tried > fetched
    }

    /// Fetches the keys, unless somebody did so meanwhile.
    async fn refresh(&self, fetch: &Fetch, now: UnixMillis, unknown: bool) {
        let _alone = self.fetching.lock().await;
        if !self.is_due(now, unknown) {
            return;
        }
        self.known.lock().times.tried = Some(now);
        match self.fetched(fetch).await {
            Ok(keys) => {
                let mut known = self.known.lock();
                known.keys = Some(Arc::new(keys));
                known.times.fetched = Some(now);
            }
            Err(why) => {
                tracing::warn!(issuer = %self.settings.rules.issuer, %why, "the keys of an issuer can't be fetched");
            }
        }
    }

    async fn fetched(&self, fetch: &Fetch) -> Result<Jwks, String> {
        let url = match &self.settings.jwks_url {
            Some(url) => url.reveal().clone(),
            None => self.discovered(fetch).await?,
        };
        Jwks::parse(&fetch(url).await?).map_err(|error| error.to_string())
    }

    /// Where the issuer's own description says that its keys are (OpenID Connect Discovery 1.0, section 4).
    async fn discovered(&self, fetch: &Fetch) -> Result<Url, String> {
        let issuer = &self.settings.rules.issuer;
        let described = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let described = Url::parse(&described).map_err(|error| error.to_string())?;
        let document: Value = serde_json::from_slice(&fetch(described).await?)
            .map_err(|_| "its description is no JSON".to_owned())?;
        if document["issuer"].as_str() != Some(issuer) {
            return Err("its description is of another issuer".to_owned());
        }
        let keys = document["jwks_uri"].as_str().and_then(|url| Url::parse(url).ok());
        let keys = keys.ok_or_else(|| "its description names no `jwks_uri`".to_owned())?;
        let is_secure = |url: &Url| url.scheme() == "https";
        let was_secure = Url::parse(issuer).is_ok_and(|url| is_secure(&url));
        if was_secure && !is_secure(&keys) {
            return Err("its description leads away from https".to_owned());
        }
        Ok(keys)
    }
}

impl Identity {
    /// Who an outside issuer says the caller is.
    pub(super) async fn verify_outside(
        self: &Arc<Self>,
        issuer: &str,
        token: &Secret<String>,
        now: UnixMillis,
    ) -> Result<jwt::Identity, Refused> {
        let issuers = &self.jwt.issuers;
        let at = issuers.all.iter().position(|one| one.settings.rules.issuer == issuer);
        let at = at.ok_or_else(|| Refused::from(JwtError::Issuer))?;
        let Some(keys) = self.outside_keys(at, now, false).await else {
            return Err(Refused::Unavailable(UNREACHABLE.to_owned()));
        };
        let issuer = &issuers.all[at];
        let rules = &issuer.settings.rules;
        match rules.verify(token, &keys, now) {
            Err(JwtError::UnknownKey) => {}
            other => return Ok(other?),
        }
        let newer = self.outside_keys(at, now, true).await.unwrap_or(keys);
        match rules.verify(token, &newer, now) {
            // It may be a key that the issuer made meanwhile.
            Err(JwtError::UnknownKey) if issuer.is_silent() => {
                Err(Refused::Unavailable(UNREACHABLE.to_owned()))
            }
            other => Ok(other?),
        }
    }

    /// The keys of one issuer. Waits for a fetch only where there are none, or not the right ones.
    async fn outside_keys(self: &Arc<Self>, at: usize, now: UnixMillis, unknown: bool) -> Option<Arc<Jwks>> {
        let issuer = self.jwt.issuers.all.get(at)?;
        let known = || issuer.known.lock().keys.clone();
        if issuer.is_due(now, unknown) {
            let this = Arc::clone(self);
            let fetching = self.runtime.spawn(async move {
                let issuers = &this.jwt.issuers;
                issuers.all[at].refresh(&issuers.fetch, now, unknown).await;
            });
            if unknown || known().is_none() {
                // A panic in there leaves things as they are.
                let _ended = fetching.await;
            }
        } else if unknown || known().is_none() {
            // Somebody may be fetching just what is missing here.
            drop(issuer.fetching.lock().await);
        }
        known()
    }
}
