//! One upstream: rounds over its mirrors until one gives an answer that can be used.
//!
//! Belongs here: places, rounds, retries. Does not: what a round's outcomes mean (`walk`), a single exchange (`attempt`),
//! the body (`body`).
//!
//! A fetch goes down the list of mirrors once per round. A mirror that rests (429, Retry-After) is never asked; one
//! whose circuit is open is passed over, unless nothing better is left in the first round. Going on to the
//! next mirror is free, since each is asked at most once per round; another round is paid from the retry budget.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ::http::{HeaderMap, StatusCode};
use futures_util::StreamExt;
use reqwest::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{ContentRange, content_range};
use super::attempt::{Head, Sender};
use super::body::{BodyParts, BodyStream};
use super::budget::RetryBudget;
use super::error::FetchError;
use super::health::Admission;
use super::mirror::Mirror;
use super::request::{FetchRequest, Purpose};
use super::settings::UpstreamSettings;
use super::stats::{MirrorHealth, Stats, UpstreamSnapshot};
use super::walk::{Round, Walk};
use crate::clock::SharedClock;

/// A set of mirrors that carry the same content.
pub struct Upstream {
    pub(super) settings: UpstreamSettings,
    pub(super) client: Client,
    pub(super) mirrors: Vec<Arc<Mirror>>,
    pub(super) places: Arc<Semaphore>,
    pub(super) budget: RetryBudget,
    pub(super) stats: Arc<Stats>,
    pub(super) clock: SharedClock,
    pub(super) pseudonym: Arc<str>,
}

/// An answer: 200, 206, 304, 401, 403, 404, 410 or 416.
pub struct FetchResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers, without those of the connection, cookies, and codings that were undone.
    pub headers: HeaderMap,
    /// The body; holds one of the upstream's places until it ends or is dropped.
    pub body: BodyStream,
    /// Which mirror answered, printable.
    pub mirror: String,
    /// From the first byte sent to this mirror to its headers, redirects included.
    pub first_byte: Duration,
}

impl FetchResponse {
    /// Which part of the file this is (206).
    #[must_use]
    pub fn content_range(&self) -> Option<ContentRange> {
        content_range(&self.headers)
    }
}

impl Upstream {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Fetches from the first mirror that gives a usable answer.
    ///
    /// Connections live on the tokio runtime this is called from. Dropping the future gives up the request.
    ///
    /// # Errors
    /// [`FetchError::RateLimited`] at once while all mirrors rest; [`FetchError::Busy`] after the queue timeout; else the last
    /// mirror's error, after failover and retries.
    pub async fn fetch(&self, request: FetchRequest) -> Result<FetchResponse, FetchError> {
        self.stats.requests.fetch_add(1, Relaxed);
        if let Some(why) = request.mistake() {
            return Err(self.count(FetchError::BadRequest { upstream: self.settings.name.clone(), why }));
        }
        self.check_rest()?;
        let place = self.place().await?;
        self.check_rest()?;
        self.budget.earn();
        let mut last = None;
        for round in 0..=self.settings.retry.rounds {
            if round > 0 {
                if !self.budget.spend() {
                    break;
                }
                self.stats.retries.fetch_add(1, Relaxed);
                tokio::time::sleep(self.delay(round)).await;
            }
            match self.round(&request, round == 0).await {
                Round::Answer(head) => return self.respond(*head, &request, place),
                Round::Failed { error, again: true } => last = Some(error),
                Round::Failed { error, again: false } => return Err(error),
                Round::Skipped => break,
            }
        }
        Err(last.unwrap_or_else(|| FetchError::Unreachable {
            mirror: self.settings.name.clone(),
            why: "all of its mirrors failed just now and are given time to recover".to_owned(),
        }))
    }

    /// The health of its mirrors, first choice first.
    #[must_use]
    pub fn health(&self) -> Vec<MirrorHealth> {
        let view = |mirror: &Arc<Mirror>| {
            let health = mirror.health.view();
            MirrorHealth {
                mirror: mirror.shown.clone(),
                healthy: health.healthy,
                failures: health.failures,
                open_until: health.open_until,
                rate_limited_until: health.resting_until,
                last_error: health.last_error,
            }
        };
        self.mirrors.iter().map(view).collect()
    }

    /// Everything a status page or a metric may want.
    #[must_use]
    pub fn snapshot(&self) -> UpstreamSnapshot {
        let max_concurrent = self.settings.max_concurrent;
        UpstreamSnapshot {
            name: self.settings.name.clone(),
            in_flight: max_concurrent.saturating_sub(self.places.available_permits()),
            max_concurrent,
            mirrors: self.health(),
            stats: self.stats.view(),
        }
    }

    fn count(&self, error: FetchError) -> FetchError {
        self.stats.failed(error.kind());
        error
    }

    /// An error while every mirror asked to be left alone.
    fn check_rest(&self) -> Result<(), FetchError> {
        let mut least = None;
        for mirror in &self.mirrors {
            let Some(left) = mirror.health.resting() else { return Ok(()) };
            least = Some(least.map_or(left, |l: Duration| l.min(left)));
        }
        let Some(retry_after) = least else { return Ok(()) };
        Err(self.count(FetchError::RateLimited { mirror: self.settings.name.clone(), retry_after }))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, FetchError> {
        let waited = self.settings.queue_timeout;
        let acquired = tokio::time::timeout(waited, Arc::clone(&self.places).acquire_owned()).await;
        // The semaphore is never closed; if it were, busy is what it would mean.
        acquired.ok().and_then(Result::ok).ok_or_else(|| {
            let (upstream, limit) = (self.settings.name.clone(), self.settings.max_concurrent);
            self.count(FetchError::Busy { upstream, limit, waited })
        })
    }

    async fn round(&self, request: &FetchRequest, first: bool) -> Round {
        let missing = self.settings.missing;
        let mut walk = Walk::default();
        for (index, mirror) in self.mirrors.iter().enumerate() {
            let pass = match mirror.health.admit() {
                Admission::Go(pass) => pass,
                Admission::Open(left) => {
                    walk.pass_over(index, mirror, left);
                    continue;
                }
                Admission::Resting(left) => {
                    walk.resting(left);
                    continue;
                }
            };
            let outcome = self.sender().attempt(mirror, pass, request).await;
            if let Some(head) = walk.take(outcome, missing) {
                return head;
            }
        }
        if walk.nobody_asked()
            && first
            && let Some((mirror, pass)) = walk.least_bad()
        {
            let outcome = self.sender().attempt(&mirror, pass, request).await;
            if let Some(round) = walk.take(outcome, missing) {
                return round;
            }
            walk.give_up();
        }
        walk.end(&self.settings.name, self.mirrors.len())
    }

    fn sender(&self) -> Sender<'_> {
        Sender {
            client: &self.client,
            settings: &self.settings,
            stats: &self.stats,
            clock: &*self.clock,
            pseudonym: &self.pseudonym,
        }
    }

    fn respond(
        &self,
        head: Head,
        request: &FetchRequest,
        place: OwnedSemaphorePermit,
    ) -> Result<FetchResponse, FetchError> {
        let Head { response, headers, shape, mirror, first_byte } = head;
        let status = response.status();
        let shown = mirror.shown.clone();
        let body = if request.head || status == StatusCode::NOT_MODIFIED {
            mirror.health.completed();
            BodyStream::empty()
        } else {
            let limit = match request.purpose {
                Purpose::Index => self.settings.max_index_bytes,
                Purpose::Package | Purpose::Plain => self.settings.max_file_bytes,
            };
            let (stream, stall) = (response.bytes_stream().boxed(), self.settings.stall_timeout);
            let parts = BodyParts {
                stream,
                shape,
                limit,
                stall,
                mirror,
                stats: Arc::clone(&self.stats),
                _place: place,
            };
            BodyStream::new(parts)?
        };
        Ok(FetchResponse { status, headers, body, mirror: shown, first_byte })
    }

    /// Grows with the round; spread, so that clients which failed together do not come back together.
    fn delay(&self, round: u32) -> Duration {
        use std::hash::{BuildHasher, Hasher};
        let retry = &self.settings.retry;
        let delay = retry.base_delay.saturating_mul(1 << (round - 1).min(16)).min(retry.max_delay);
        // A fresh `RandomState` has fresh keys: randomness enough to spread retries.
        let random = std::hash::RandomState::new().build_hasher().finish() % 512;
        delay + delay.saturating_mul(u32::try_from(random).unwrap_or(0)) / 1024
    }
}
