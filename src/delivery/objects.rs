//! Files that are known by their place, not their digest: kept with upstream's validators and revalidated when their time is over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::negative::Absences;
use super::packages::plain_blob;
use super::refusal::remote;
use super::source::UpstreamFile;
use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal, place_etag};
use crate::cache::{Fill, FillError, FillKind, FillRequest, Object, ObjectMeta, Source, SourceErrorKind};
use crate::clock::SharedClock;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Expected;
use crate::conda::subdir::Subdir;
use crate::snapshot::Channel;
use crate::upstream::{FetchError, FetchKind, Purpose, Upstream};

/// How many "upstream has no such file" are remembered.
const REMEMBERED_ABSENCES: u64 = 100_000;

/// One file by its place.
#[derive(Clone)]
pub(super) struct ObjectAsk {
    /// Under which key the cache keeps it.
    pub(super) key: String,
    pub(super) upstream: Arc<Upstream>,
    /// Below the upstream's base, percent-encoded.
    pub(super) path: String,
    /// How long an answer counts as fresh.
    pub(super) ttl: Duration,
    pub(super) purpose: Purpose,
}

/// What the cache has for an ask.
pub(super) enum Held {
    /// The whole file.
    Ready { object: Object, outcome: Outcome },
    /// A first download that can be followed.
    Running { fill: Fill, outcome: Outcome },
}

/// A whole file that was asked for again just now, or what is left of it when upstream is in trouble.
pub(super) struct Refreshed {
    pub(super) object: Object,
    /// Why upstream could not confirm it.
    pub(super) trouble: Option<Refusal>,
}

/// What is remembered between requests.
pub(super) struct Objects {
    /// Key → the sentence of a 404.
    pub(super) negative: Arc<Absences>,
    revalidating: Mutex<HashSet<String>>,
    /// Keys whose last revalidation failed, until they may be tried again.
    resting: Absences,
}

impl Objects {
    pub(super) fn new(clock: SharedClock, negative_ttl: Duration, retry: Duration) -> Self {
        Self {
            negative: Arc::new(Absences::new(Arc::clone(&clock), negative_ttl, REMEMBERED_ABSENCES)),
            revalidating: Mutex::new(HashSet::new()),
            resting: Absences::new(clock, retry, REMEMBERED_ABSENCES),
        }
    }

    /// Forgets every 404, after a purge or new rules.
    pub(super) fn forget_absences(&self) {
        self.negative.forget_all();
        self.resting.forget_all();
    }
}

impl Delivery {
    /// A file from the cache, stale or not (a stale one is revalidated behind), else its first download.
    pub(super) async fn object(&self, ask: ObjectAsk) -> Result<Held, Refusal> {
        if let Some(object) = self.inner.cache.find_object(&ask.key).await {
            let fresh = self.inner.clock.now().since(object.meta.checked_at) < ask.ttl;
            if !fresh {
                self.revalidate_behind(ask, Arc::clone(&object.meta));
            }
            let outcome = if fresh { Outcome::Hit } else { Outcome::Stale };
            return Ok(Held::Ready { object, outcome });
        }
        if let Some(sentence) = self.inner.objects.negative.get(&ask.key) {
            return Err(Refusal::NotFound(sentence));
        }
        let fill = self.start(&ask, None);
        let outcome = outcome_of(&fill);
        Ok(Held::Running { fill, outcome })
    }

    /// As [`Delivery::object`], but never a running download: a small document is waited for, so that its answer has a length, an
    /// ETag and a coding from the first time on.
    pub(super) async fn small_object(&self, ask: ObjectAsk) -> Result<Held, Refusal> {
        match self.object(ask.clone()).await? {
            Held::Running { fill, outcome } => {
                fill.done().await.map_err(|error| refusal_of_fill(&error))?;
                match self.inner.cache.find_object(&ask.key).await {
                    Some(object) => Ok(Held::Ready { object, outcome }),
                    None => Ok(Held::Running { fill, outcome }),
                }
            }
            ready @ Held::Ready { .. } => Ok(ready),
        }
    }

    /// The whole file, not older than `ask.ttl` unless upstream is in trouble and an older one is cached.
    pub(super) async fn refreshed(&self, ask: ObjectAsk) -> Result<Refreshed, Refusal> {
        let cached = self.inner.cache.find_object(&ask.key).await;
        if let Some(object) = &cached
            && self.inner.clock.now().since(object.meta.checked_at) < ask.ttl
        {
            return Ok(Refreshed { object: object.clone(), trouble: None });
        }
        if cached.is_none()
            && let Some(sentence) = self.inner.objects.negative.get(&ask.key)
        {
            return Err(Refusal::NotFound(sentence));
        }
        let known = cached.as_ref().map(|object| Arc::clone(&object.meta));
        let came = self.ask_upstream(&ask, known).await;
        match (came, cached) {
            (Ok(()), _) => match self.inner.cache.find_object(&ask.key).await {
                Some(object) => Ok(Refreshed { object, trouble: None }),
                None => Err(Refusal::Internal(
                    "a file that was just stored is gone again; is the disk full?".to_owned(),
                )),
            },
            // "There is no such file" is an answer; everything else is trouble, and what is cached outlives it.
            (Err(trouble), Some(object)) if !matches!(trouble, Refusal::NotFound(_)) => {
                Ok(Refreshed { object, trouble: Some(trouble) })
            }
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// Asks upstream, conditionally where something is cached, and stores what comes.
    async fn ask_upstream(&self, ask: &ObjectAsk, known: Option<Arc<ObjectMeta>>) -> Result<(), Refusal> {
        self.start(ask, known).done().await.map(drop).map_err(|error| refusal_of_fill(&error))
    }

    pub(super) fn start(&self, ask: &ObjectAsk, known: Option<Arc<ObjectMeta>>) -> Fill {
        let source: Arc<dyn Source> = Arc::new(UpstreamFile {
            upstream: Arc::clone(&ask.upstream),
            path: ask.path.clone(),
            purpose: ask.purpose,
            key: ask.key.clone(),
            absences: Arc::clone(&self.inner.objects.negative),
            events: Arc::clone(&self.inner.events),
            via: self.via.clone(),
            span: self.span.map(|span| span.child(&ask.key)),
            tells_upstream: self.inner.settings.traces_to_upstreams,
        });
        self.inner.cache.fill(FillRequest {
            key: ask.key.clone(),
            expected: Expected::default(),
            kind: FillKind::Object { known },
            source,
        })
    }

    fn revalidate_behind(&self, ask: ObjectAsk, known: Arc<ObjectMeta>) {
        let objects = &self.inner.objects;
        if objects.resting.get(&ask.key).is_some() || !objects.revalidating.lock().insert(ask.key.clone()) {
            return;
        }
        let this = self.clone();
        self.inner.runtime.spawn(async move {
            if let Err(refusal) = this.ask_upstream(&ask, Some(known)).await {
                tracing::warn!(error = %refusal, "revalidating a cached file failed; it stays");
                this.inner.objects.resting.insert(ask.key.clone(), refusal.to_string());
            }
            this.inner.objects.revalidating.lock().remove(&ask.key);
        });
    }

    /// The answer for what the cache has.
    pub(super) fn object_answer(held: Held, content_type: &'static str, cache_for: CacheFor) -> Answer {
        let compressible = matches!(content_type, "application/json" | "application/xml" | "text/html");
        match held {
            Held::Ready { object, outcome } => {
                let mut answer = plain_blob(Arc::clone(&object.blob), content_type, cache_for, outcome);
                if let Some(kind) = object.meta.content_type.clone().filter(|_| content_type == ANY) {
                    answer.facts.content_type = kind.into();
                }
                if let Some(etag) = place_etag(&object.meta.validators) {
                    answer.facts.etag = Some(etag);
                }
                if let Some(changed) =
                    object.meta.validators.last_modified.as_deref().and_then(crate::http::date::parse)
                {
                    answer.facts.last_modified = Some(changed);
                }
                answer.compressible = compressible;
                answer
            }
            Held::Running { fill, outcome } => Answer {
                facts: Facts {
                    etag: None,
                    named_by: NamedBy::Validators,
                    last_modified: None,
                    len: None,
                    content_type: content_type.into(),
                    cache_for,
                    outcome,
                },
                body: Body::Fill(fill),
                zstd: None,
                compressible: false,
            },
        }
    }

    /// The source of a channel's file.
    pub(super) fn source(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
        subdir: &Subdir,
        rest: &str,
        key: &str,
        purpose: Purpose,
    ) -> Result<Arc<dyn Source>, Refusal> {
        let remote = remote(channel)?;
        let path =
            self.elsewhere(channel, asked, subdir, rest).unwrap_or_else(|| remote.path_of(asked, rest));
        Ok(Arc::new(UpstreamFile {
            upstream: Arc::clone(&remote.upstream),
            path,
            purpose,
            key: key.to_owned(),
            absences: Arc::clone(&self.inner.objects.negative),
            events: Arc::clone(&self.inner.events),
            via: self.via.clone(),
            span: self.span.map(|span| span.child(key)),
            tells_upstream: self.inner.settings.traces_to_upstreams,
        }))
    }
}

/// "Whatever upstream says it is."
pub(super) const ANY: &str = "*/*";

/// The refusal that a failed download comes to.
pub(super) fn refusal_of_fill(error: &FillError) -> Refusal {
    let message = error.to_string();
    match error {
        FillError::Source(source) => match source.kind {
            SourceErrorKind::NotFound | SourceErrorKind::Gone => Refusal::NotFound(message),
            SourceErrorKind::Status(401 | 403) => Refusal::Forbidden(message),
            SourceErrorKind::RateLimited(retry_after) => Refusal::Unavailable { message, retry_after },
            // A loop or a redirect to nowhere: asking again changes nothing.
            SourceErrorKind::Status(_) | SourceErrorKind::Refused => Refusal::BadUpstream(message),
            SourceErrorKind::Unavailable => Refusal::unavailable(message),
        },
        FillError::DigestMismatch { .. } | FillError::WrongLength { .. } | FillError::Changed => {
            Refusal::BadUpstream(message)
        }
        FillError::Refused { rule, .. } => Refusal::rule(rule, message),
        FillError::NeverLearned(_) | FillError::Unverifiable(_) | FillError::Stopped => {
            Refusal::unavailable(message)
        }
        FillError::Disk(_) | FillError::NoRoom { .. } => {
            Refusal::Unavailable { message, retry_after: Some(Duration::from_secs(30)) }
        }
    }
}

/// The refusal that a failed fetch comes to.
pub(super) fn refusal_of_fetch(error: &FetchError) -> Refusal {
    let message = error.to_string();
    match error.kind() {
        FetchKind::RateLimited { retry_after } => {
            Refusal::Unavailable { message, retry_after: Some(retry_after) }
        }
        FetchKind::Loop | FetchKind::BadRedirect | FetchKind::TooManyRedirects => {
            Refusal::BadUpstream(message)
        }
        _ => Refusal::unavailable(message),
    }
}

/// What a download is to this request. One that has everything and is only being moved to its place is as good as stored.
pub(super) fn outcome_of(fill: &Fill) -> Outcome {
    match (fill.joined(), fill.settled()) {
        (true, true) => Outcome::Hit,
        (true, false) => Outcome::Follow,
        (false, _) => Outcome::Fill,
    }
}
