//! One request to one mirror, redirects included, until its headers are there.
//!
//! Belongs here: sending, the first-byte timeout, following, telling the mirror's health. Does not: choosing mirrors and
//! retrying (`fetch`), rules on redirects and answers (`redirect`, `answer`).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ::http::{HeaderMap, Method};
use reqwest::{Client, Response};
use tokio::time::Instant;
use url::Url;

use super::answer::{Fault, Shape, judge};
use super::classify::{Stage, classify};
use super::error::{FetchError, TimeoutPhase};
use super::health::Pass;
use super::mirror::Mirror;
use super::redirect::{Redirect, decide};
use super::request::{FetchRequest, is_via};
use super::settings::UpstreamSettings;
use super::stats::Stats;
use crate::clock::Clock;

/// What every attempt of one upstream has in common.
pub(super) struct Sender<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a UpstreamSettings,
    pub(super) stats: &'a Stats,
    pub(super) clock: &'a dyn Clock,
    pub(super) pseudonym: &'a str,
}

/// A usable answer; its body has not been touched.
pub(super) struct Head {
    pub(super) response: Response,
    pub(super) headers: HeaderMap,
    pub(super) shape: Shape,
    pub(super) mirror: Arc<Mirror>,
    pub(super) first_byte: Duration,
}

impl Sender<'_> {
    /// Asks the mirror and tells its health how that went.
    pub(super) async fn attempt(
        &self,
        mirror: &Arc<Mirror>,
        pass: Pass,
        request: &FetchRequest,
    ) -> Result<Head, FetchError> {
        self.stats.attempts.fetch_add(1, Relaxed);
        let outcome = self.exchange(mirror, request).await;
        match &outcome {
            Ok(_) => pass.answered(),
            Err(error) => {
                self.stats.failed(error.kind());
                match error {
                    _ if error.is_mirror_fault() => pass.failed(error.kind().label()),
                    // Nothing was sent, so nothing was learnt.
                    FetchError::BadRequest { .. } => drop(pass),
                    // A limit or a refusal shows that the mirror is alive.
                    _ => pass.answered(),
                }
            }
        }
        outcome
    }

    async fn exchange(&self, mirror: &Arc<Mirror>, request: &FetchRequest) -> Result<Head, FetchError> {
        let upstream = &self.settings.name;
        let refuse = |why| FetchError::BadRequest { upstream: upstream.clone(), why };
        let fields = request.headers(self.pseudonym).map_err(refuse)?;
        let mut first =
            mirror.url_for(&request.path).ok_or_else(|| refuse("its path leads out of the mirror"))?;
        if request.query.is_some() {
            first.set_query(request.query.as_deref());
        }
        let begun = Instant::now();
        let mut asked = vec![first];
        let limit = self.settings.max_redirects;
        loop {
            let response = self.send(mirror, request, &fields, &asked).await?;
            if is_via(response.headers(), self.pseudonym) {
                return Err(FetchError::Loop { mirror: mirror.shown.clone() });
            }
            match decide(response.status(), response.headers(), mirror, &asked) {
                Redirect::No => return self.accept(mirror, request, response, begun.elapsed()),
                Redirect::To(to) if asked.len() <= limit => {
                    self.stats.redirects.fetch_add(1, Relaxed);
                    asked.push(to);
                }
                Redirect::To(_) | Redirect::Circle => {
                    return Err(FetchError::TooManyRedirects { mirror: mirror.shown.clone(), limit });
                }
                Redirect::Refused(why) => {
                    return Err(FetchError::BadRedirect { mirror: mirror.shown.clone(), why });
                }
            }
        }
    }

    /// One exchange with the last URL of `asked`.
    async fn send(
        &self,
        mirror: &Mirror,
        request: &FetchRequest,
        fields: &HeaderMap,
        asked: &[Url],
    ) -> Result<Response, FetchError> {
        let upstream = &self.settings.name;
        let method = if request.head { Method::HEAD } else { Method::GET };
        let refuse = |why| FetchError::BadRequest { upstream: upstream.clone(), why };
        let url = asked.last().ok_or_else(|| refuse("it has no URL"))?;
        let outgoing = self.client.request(method, url.clone()).headers(fields.clone());
        let outgoing = mirror
            .authorize(url, outgoing)
            .build()
            .map_err(|_| refuse("its URL or credential can't be put into a request"))?;
        let (connect, first_byte) = (self.settings.connect_timeout, self.settings.first_byte_timeout);
        let begun = Instant::now();
        // The client ends a connection attempt by itself; a pooled connection leaves more of this for the answer.
        match tokio::time::timeout(connect + first_byte, self.client.execute(outgoing)).await {
            Ok(Ok(response)) => {
                self.stats.first_byte(begun.elapsed());
                Ok(response)
            }
            Ok(Err(error)) => Err(classify(&error, &mirror.shown, Stage::Head, connect)),
            Err(_) => Err(FetchError::Timeout {
                mirror: mirror.shown.clone(),
                phase: TimeoutPhase::FirstByte,
                after: begun.elapsed(),
            }),
        }
    }

    fn accept(
        &self,
        mirror: &Arc<Mirror>,
        request: &FetchRequest,
        mut response: Response,
        first_byte: Duration,
    ) -> Result<Head, FetchError> {
        let mut headers = std::mem::take(response.headers_mut());
        let status = response.status();
        match judge(status, &mut headers, request, &mirror.shown, self.clock.now()) {
            Ok(shape) => Ok(Head { response, headers, shape, mirror: Arc::clone(mirror), first_byte }),
            Err(Fault::Error(error)) => Err(error),
            Err(Fault::Rest(wanted)) => {
                let retry_after = mirror.health.rest(wanted);
                Err(FetchError::RateLimited { mirror: mirror.shown.clone(), retry_after })
            }
        }
    }
}
