//! The life of one fill: ask, pump, ask again, verify, publish.
//!
//! Belongs here: the order of things and what each fault leads to. Does not: moving bytes (`pump`), the file
//! (`partial`), when to ask again (`retry`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::SemaphorePermit;

use super::engine::{Engine, head_of};
use super::partial::Partial;
use super::retry::Retries;
use super::state::Shared;
use super::{FillKind, FillRequest};
use crate::cache::blobs::{Blob, Changed, Publication};
use crate::cache::error::{AnyDigest, FillError, SourceError, SourceErrorKind};
use crate::cache::freshness::Lifetime;
use crate::cache::hashing;
use crate::cache::index::ObjectRow;
use crate::cache::object::ObjectMeta;
use crate::cache::source::{OpenAt, Opened, SharedSource, Validators};
use crate::conda::digest::{Expected, Md5, Sha256};

/// Why an attempt ended without the whole file.
pub(super) enum Stop {
    /// Asking again may help.
    Again(SourceError),
    /// Upstream has another version now; bytes of the two must not be mixed.
    Changed,
    /// It is over.
    Fail(FillError),
}

/// How an attempt ended.
enum Outcome {
    Complete,
    NotModified(Validators, Lifetime),
}

/// What upstream said of the version that is being fetched.
#[derive(Clone, Default)]
pub(super) struct Version {
    pub(super) validators: Validators,
    pub(super) total: Option<u64>,
    pub(super) content_type: Option<String>,
    pub(super) lifetime: Lifetime,
}

pub(super) struct Task {
    pub(super) engine: Arc<Engine>,
    /// What the fill is called in the table and on disk.
    pub(super) name: String,
    pub(super) shared: Arc<Shared>,
    pub(super) source: SharedSource,
    key: String,
    pub(super) kind: FillKind,
    pub(super) version: Mutex<Version>,
}

/// What the finished file is.
struct Digests {
    sha256: Sha256,
    /// When that is what it was verified by.
    md5: Option<Md5>,
}

impl Task {
    pub(super) fn new(engine: Arc<Engine>, name: String, shared: Arc<Shared>, request: FillRequest) -> Self {
        let FillRequest { key, kind, source, .. } = request;
        Self { engine, name, shared, source, key, kind, version: Mutex::default() }
    }

    /// Runs `work` where it may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, FillError> {
        self.engine.blobs.runtime.spawn_blocking(work).await.map_err(|_| FillError::Stopped)
    }

    pub(super) async fn run(&self) -> Result<Arc<Blob>, FillError> {
        let place = self.engine.place(&self.kind).await?;
        self.shared.course.placed();
        let partial = self.open_partial().await?;
        let outcome = self.drive(&partial, place).await;
        if let Err(error) = &outcome {
            let upstream_failed = matches!(error, FillError::Source(_) | FillError::Stopped);
            let keep = upstream_failed && partial.worth_keeping();
            let partial = Arc::clone(&partial);
            if !keep {
                self.blocking(move || partial.discard()).await?;
            }
        }
        outcome
    }

    async fn open_partial(&self) -> Result<Arc<Partial>, FillError> {
        let (blobs, name, expected) =
            (Arc::clone(&self.engine.blobs), self.name.clone(), self.shared.expected());
        let path = blobs.layout.partial(&name);
        let opened =
            self.blocking(move || Partial::open(&blobs.layout, &blobs.ops, &name, &expected)).await?;
        let partial = opened.map_err(|error| FillError::disk("open", &path, &error))?;
        if let Some(validators) = &partial.resumed {
            self.engine.blobs.counters.resumed.fetch_add(1, Ordering::Relaxed);
            self.version.lock().validators = validators.clone();
        }
        self.shared.attach(Arc::clone(partial.file()), partial.len());
        Ok(Arc::new(partial))
    }

    /// Attempts until the file is stored or it is over.
    async fn drive(
        &self,
        partial: &Arc<Partial>,
        place: SemaphorePermit<'_>,
    ) -> Result<Arc<Blob>, FillError> {
        let mut place = Some(place);
        let mut retries = Retries::new(&self.engine.settings);
        let mut known = match &self.kind {
            FillKind::Object { known: Some(meta) } => Some(meta.validators.clone()),
            _ => None,
        };
        let mut fresh_starts = 0;
        loop {
            let wrong = match self.attempt(partial, known.clone()).await {
                Ok(Outcome::NotModified(validators, lifetime)) => {
                    match self.not_modified(partial, validators, lifetime).await? {
                        Some(blob) => return Ok(blob),
                        None => known = None,
                    }
                    continue;
                }
                Ok(Outcome::Complete) => {
                    // Waiting for an index must not keep others out.
                    place = None;
                    match self.verify(partial).await {
                        Ok(digests) => return self.publish(partial, digests).await,
                        Err(error) => error,
                    }
                }
                Err(Stop::Again(error)) => {
                    self.pause(&mut retries, error, partial.len()).await?;
                    continue;
                }
                Err(Stop::Changed) => FillError::Changed,
                Err(Stop::Fail(error)) => error,
            };
            fresh_starts += 1;
            let may_help = matches!(wrong, FillError::Changed | FillError::DigestMismatch { .. });
            if !may_help || fresh_starts > 1 || !self.start_anew(partial).await? {
                return Err(wrong);
            }
            tracing::info!(key = %self.name, error = %wrong, "starting the download anew");
            if place.is_none() {
                place = Some(self.engine.place(&self.kind).await?);
            }
        }
    }

    async fn attempt(&self, partial: &Arc<Partial>, known: Option<Validators>) -> Result<Outcome, Stop> {
        let offset = partial.len();
        let version = self.version.lock().clone();
        if offset > 0 && self.complete(offset) {
            self.announce(partial, version).await?;
            return Ok(Outcome::Complete);
        }
        let if_range = version.validators.if_range().filter(|_| offset > 0).map(ToOwned::to_owned);
        if offset > 0 && if_range.is_none() && !self.shared.expected().has_digest() {
            // Nothing would tell bytes of another version from ours.
            return Err(Stop::Changed);
        }
        let conditional = known.filter(|_| offset == 0);
        let asked_conditionally = conditional.is_some();
        match self.source.open(OpenAt { offset, if_range, conditional }).await {
            Ok(Opened::Body(body)) => self.take(partial, body).await.map(|()| Outcome::Complete),
            Ok(Opened::NotModified { validators, lifetime }) if asked_conditionally => {
                self.shared.course.answered(None);
                Ok(Outcome::NotModified(validators, lifetime))
            }
            Ok(Opened::NotModified { .. }) => Err(Stop::Fail(FillError::Source(Arc::new(SourceError {
                kind: SourceErrorKind::Unavailable,
                message: "upstream answered 304 to a request that had no condition; it seems broken".into(),
                retryable: false,
            })))),
            Err(error) if offset > 0 && error.kind == SourceErrorKind::Status(416) => Err(Stop::Changed),
            // Before the first byte the upstream room has tried everything there is to try.
            Err(error) if !self.shared.has_head() => Err(Stop::Fail(FillError::Source(Arc::new(error)))),
            Err(error) => Err(Stop::Again(error)),
        }
    }

    /// Whether `len` bytes are known to be all.
    fn complete(&self, len: u64) -> bool {
        self.shared.expected().size.or(self.version.lock().total) == Some(len)
    }

    async fn pause(&self, retries: &mut Retries, error: SourceError, at: u64) -> Result<(), FillError> {
        let Some(pause) = retries.after(&error, at) else {
            return Err(FillError::Source(Arc::new(error)));
        };
        self.engine.blobs.counters.retried.fetch_add(1, Ordering::Relaxed);
        self.shared.course.asked_again();
        tracing::info!(key = %self.name, at, %error, "upstream broke off; asking for the rest");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Forgets all bytes, if no follower has any.
    async fn start_anew(&self, partial: &Arc<Partial>) -> Result<bool, FillError> {
        if !self.shared.start_anew() {
            return Ok(false);
        }
        let expected = self.shared.expected();
        let with_md5 = expected.sha256.is_none() && expected.md5.is_some();
        *self.version.lock() = Version::default();
        let file = Arc::clone(partial);
        let reset = self.blocking(move || file.reset(with_md5)).await?;
        reset.map_err(|error| FillError::disk("empty", partial.path(), &error))?;
        Ok(true)
    }

    /// Upstream says the stored version is current. `None`: it has vanished from the disk, fetch it after all.
    async fn not_modified(
        &self,
        partial: &Arc<Partial>,
        validators: Validators,
        lifetime: Lifetime,
    ) -> Result<Option<Arc<Blob>>, FillError> {
        let (engine, key, partial) = (Arc::clone(&self.engine), self.key.clone(), Arc::clone(partial));
        let found = self
            .blocking(move || {
                let (sha256, meta) = engine.objects.find(&key)?;
                let blob = engine.blobs.find(&sha256, Changed::Rehash)?;
                let mut meta = ObjectMeta::clone(&meta);
                meta.validators.etag = validators.etag.or(meta.validators.etag);
                meta.validators.last_modified = validators.last_modified.or(meta.validators.last_modified);
                meta.checked_at = engine.blobs.clock.now();
                meta.lifetime = lifetime;
                let head = head_of(&meta, &blob);
                if let Err(error) = engine.objects.store(&key, sha256, meta) {
                    tracing::warn!(%error, "a revalidation could not be recorded; it will be repeated");
                }
                partial.discard();
                Some((blob, head))
            })
            .await?;
        Ok(found.map(|(blob, head)| {
            self.shared.set_head(head);
            blob
        }))
    }

    async fn verify(&self, partial: &Arc<Partial>) -> Result<Digests, FillError> {
        let expected = self.expected().await?;
        let len = partial.len();
        if let Some(size) = expected.size.filter(|size| *size != len) {
            return Err(FillError::WrongLength { expected: size, got: len });
        }
        let (sha256, md5) = partial.hasher().digests();
        if let Some(wanted) = expected.sha256 {
            return if wanted == sha256 {
                Ok(Digests { sha256, md5: None })
            } else {
                let (expected, got) = (AnyDigest::Sha256(wanted), AnyDigest::Sha256(sha256));
                Err(FillError::DigestMismatch { expected, got })
            };
        }
        let Some(wanted) = expected.md5 else { return Ok(Digests { sha256, md5: None }) };
        let got = match md5 {
            Some(md5) => md5,
            // Only learned now: read the file again, which is rare and cheaper than two hashes always.
            None => self.md5_of(partial).await?,
        };
        if got == wanted {
            return Ok(Digests { sha256, md5: Some(got) });
        }
        Err(FillError::DigestMismatch { expected: AnyDigest::Md5(wanted), got: AnyDigest::Md5(got) })
    }

    async fn md5_of(&self, partial: &Arc<Partial>) -> Result<Md5, FillError> {
        let file = Arc::clone(partial.file());
        let hashed: io::Result<Md5> = self.blocking(move || hashing::md5_of(&file)).await?;
        hashed.map_err(|error| FillError::disk("read", partial.path(), &error))
    }

    /// What the index says, waiting for it where nothing else can make the file trusted.
    async fn expected(&self) -> Result<Expected, FillError> {
        let patience = self.engine.settings.learn_timeout;
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let expected = self.shared.expected();
            if let Some(refused) = self.shared.failure() {
                return Err(refused);
            }
            if expected.has_digest() || self.is_plain() {
                return Ok(expected);
            }
            tokio::time::timeout_at(deadline, self.shared.learned())
                .await
                .map_err(|_| FillError::NeverLearned(patience))?;
        }
    }

    /// Whether nothing but its place vouches for the file.
    fn is_plain(&self) -> bool {
        matches!(self.kind, FillKind::Object { .. }) || self.shared.unlisted()
    }

    async fn publish(&self, partial: &Arc<Partial>, digests: Digests) -> Result<Arc<Blob>, FillError> {
        // The bytes are right: nobody needs to wait until they are also safe on disk.
        self.shared.right();
        let version = self.version.lock().clone();
        let now = self.engine.blobs.clock.now();
        let object = ObjectRow {
            key: self.key.clone(),
            sha256: digests.sha256,
            plain: self.is_plain(),
            meta: ObjectMeta {
                validators: version.validators,
                content_type: version.content_type,
                stored_at: now,
                checked_at: now,
                lifetime: version.lifetime,
            },
        };
        let (engine, partial) = (Arc::clone(&self.engine), Arc::clone(partial));
        self.blocking(move || store(&engine, &partial, &digests, object)).await?
    }
}

fn store(
    engine: &Engine,
    partial: &Partial,
    digests: &Digests,
    object: ObjectRow,
) -> Result<Arc<Blob>, FillError> {
    // The blob's own time is what clients are told, now and after a restart; a file system that can't set it costs no more than that.
    let said = object.meta.validators.last_modified.as_deref().and_then(crate::http::date::parse);
    if let Some(modified) = said {
        let _unset = partial.file().set_modified(modified.to_system());
    }
    let publication = Publication {
        file: partial.file(),
        partial: partial.path(),
        len: partial.len(),
        sha256: digests.sha256,
        md5: digests.md5,
        origin: &object.key,
        object: Some(&object),
    };
    let blob = engine.blobs.publish(&publication)?;
    partial.forget_note();
    engine.objects.remember(&object.key, object.sha256, Arc::new(object.meta), object.plain);
    crate::cache::evict::after_fill(&engine.blobs, &engine.settings);
    Ok(blob)
}
