//! Index documents: one generation per channel and subdir, refreshed in the background, swapped whole.
//!
//! A refresh asks upstream for `repodata.json.zst`, else `repodata.json`; every variant that is handed out is made from, or checked
//! against, that one snapshot.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::objects::{ObjectAsk, Refreshed};
use super::{Answer, Body, CacheFor, Delivery, Facts, Outcome, Refusal};
use crate::cache::{BodyOptions, FileBody, Purge};
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::http::etag::ETag;
use crate::repodata::BuildError;
use crate::repodata::attach::Attach;
use crate::repodata::build::{self, BuildInput, Limits};
use crate::repodata::generation::{Generation, Variant};
use crate::snapshot::Channel;
use crate::upstream::Purpose;

/// Maps alive at once for index files; beside the blobs', both stay below the kernel's 65,530.
const MAX_MAPS: usize = 4096;

/// How refreshes behave.
#[derive(Clone, Debug)]
pub struct IndexSettings {
    /// How many generations are built at once; each takes one core and up to 256 MiB.
    pub builds: usize,
    /// How long a failed refresh rests before the next try.
    pub retry: Duration,
    /// How long "upstream has no `.zst`" is believed.
    pub no_zst: Duration,
    /// How long an index is kept serving after upstream says the whole subdir is gone.
    pub gone_grace: Duration,
    /// What is too much for an index.
    pub limits: Limits,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            builds: 2,
            retry: Duration::from_secs(30),
            no_zst: Duration::from_secs(3600),
            gone_grace: Duration::from_secs(3600),
            limits: Limits::default(),
        }
    }
}

/// What the wiring counts; called from refreshes, never on a request's way.
pub trait IndexEvents: Send + Sync {
    /// A generation was built and put in force.
    fn built(&self, channel: &str, took: Duration);
    /// A refresh failed; the old generation, if any, stays.
    fn failed(&self, channel: &str);
}

/// A channel and subdir as generations are kept: by upstream and name there, so aliases share.
pub(super) type Key = (ChannelRef, Subdir);
type Flight = Shared<BoxFuture<'static, Result<Arc<Generation>, Refusal>>>;

/// What is remembered about refreshes of one key between them.
#[derive(Default, Clone)]
struct Memory {
    next_try: Option<UnixMillis>,
    no_zst_until: Option<UnixMillis>,
    gone_since: Option<UnixMillis>,
}

/// Refreshes under way and what came of earlier ones.
pub(super) struct Indexes {
    flights: Mutex<HashMap<Key, Flight>>,
    memory: moka::sync::Cache<Key, Memory>,
    /// Attachments that upstream does not have or that disagree with the generation: by generation id.
    absent: moka::sync::Cache<(String, IndexFile), String>,
    /// Open variants by path; a path names its bytes, because generations do not change.
    bodies: moka::sync::Cache<PathBuf, Arc<FileBody>>,
    pub(super) builds: Semaphore,
}

impl Indexes {
    pub(super) fn new(settings: &IndexSettings) -> Self {
        Self {
            flights: Mutex::new(HashMap::new()),
            memory: moka::sync::Cache::new(4096),
            absent: moka::sync::Cache::new(4096),
            bodies: moka::sync::Cache::builder()
                .max_capacity(256)
                .time_to_idle(Duration::from_secs(300))
                .build(),
            builds: Semaphore::new(settings.builds.max(1)),
        }
    }
}

impl Indexes {
    /// Forgets rests after failures and absent attachments.
    pub(super) fn forget(&self) {
        self.memory.invalidate_all();
        self.absent.invalidate_all();
        self.bodies.invalidate_all();
    }
}

impl Delivery {
    /// An index document of `subdir`. Served from the current generation whatever its age; a stale one is refreshed behind.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where upstream has no such subdir or document; [`Refusal::Unavailable`] where nothing is cached and
    /// upstream is in trouble.
    pub async fn index(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        file: IndexFile,
    ) -> Result<Answer, Refusal> {
        if file == IndexFile::ShardIndex {
            return self.shard_index(channel, asked, subdir).await;
        }
        let (generation, outcome) = self.generation(channel, asked, subdir).await?;
        if generation.variant(file).is_none() {
            self.attach(channel, asked, subdir, &generation, file).await?;
        }
        self.variant(&generation, file, outcome)
    }

    /// The generation in force, and whether it is fresh; waits (bounded) only where there is none.
    pub(super) async fn generation(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Result<(Arc<Generation>, Outcome), Refusal> {
        let key = (channel.stored_as(asked), subdir.clone());
        if let Some(current) = self.inner.generations.current(&key.0, &key.1) {
            let fresh = self.is_fresh(&key, &current, channel.ttl);
            if !fresh && !self.is_resting(&key) {
                drop(self.refresh(channel, asked, subdir));
            }
            if self.is_gone(&key) {
                return Err(gone(asked, subdir));
            }
            return Ok((current, if fresh { Outcome::Hit } else { Outcome::Stale }));
        }
        let negative = format!("idx:{}/{}", key.0, key.1);
        if let Some(entry) = self.inner.objects.negative.get(&negative) {
            return Err(Refusal::NotFound(entry));
        }
        let flight = self.refresh(channel, asked, subdir);
        match tokio::time::timeout(self.inner.settings.patience, flight).await {
            Ok(Ok(generation)) => Ok((generation, Outcome::Fill)),
            Ok(Err(refusal)) => {
                if let Refusal::NotFound(sentence) = &refusal {
                    self.inner.objects.negative.insert(negative, sentence.clone());
                }
                Err(refusal)
            }
            Err(_) => Err(Refusal::Unavailable {
                message: format!(
                    "the index of `{asked}/{subdir}` is still being fetched for the first time; ask again shortly"
                ),
                retry_after: Some(Duration::from_secs(10)),
            }),
        }
    }

    /// Starts a refresh unless one is under way or the last one failed a moment ago. Returns at once.
    pub(super) fn refresh_behind(&self, channel: &Arc<Channel>, asked: &ChannelRef, subdir: &Subdir) {
        let key = (channel.stored_as(asked), subdir.clone());
        if !self.is_resting(&key) {
            drop(self.refresh(channel, asked, subdir));
        }
    }

    fn is_fresh(&self, _key: &Key, generation: &Generation, ttl: Duration) -> bool {
        self.inner.clock.now().since(generation.checked_at()) < ttl
    }

    fn is_resting(&self, key: &Key) -> bool {
        let now = self.inner.clock.now();
        self.inner.indexes.memory.get(key).and_then(|m| m.next_try).is_some_and(|at| now < at)
    }

    fn is_gone(&self, key: &Key) -> bool {
        let now = self.inner.clock.now();
        let grace = self.inner.settings.index.gone_grace;
        self.inner
            .indexes
            .memory
            .get(key)
            .and_then(|m| m.gone_since)
            .is_some_and(|since| now.since(since) >= grace)
    }

    /// Joins the refresh of this key that is under way, or starts one. It runs to its end whoever waits.
    pub(super) fn refresh(&self, channel: &Arc<Channel>, asked: &ChannelRef, subdir: &Subdir) -> Flight {
        let key = (channel.stored_as(asked), subdir.clone());
        let mut flights = self.inner.indexes.flights.lock();
        if let Some(running) = flights.get(&key) {
            return running.clone();
        }
        let (this, channel, asked, subdir) =
            (self.clone(), Arc::clone(channel), asked.clone(), subdir.clone());
        let landing = key.clone();
        let task = self.inner.runtime.spawn(async move {
            let came = this.refresh_now(&channel, &asked, &subdir, &landing).await;
            this.remember(&channel, &landing, &came);
            this.inner.indexes.flights.lock().remove(&landing);
            came
        });
        let flight = task
            .map(|joined| {
                joined.unwrap_or_else(|_| {
                    Err(Refusal::Internal("refreshing the index failed inside; see the log".into()))
                })
            })
            .boxed()
            .shared();
        flights.insert(key, flight.clone());
        flight
    }

    fn remember(&self, channel: &Channel, key: &Key, came: &Result<Arc<Generation>, Refusal>) {
        let now = self.inner.clock.now();
        let mut memory = self.inner.indexes.memory.get(key).unwrap_or_default();
        match came {
            Ok(_) => {
                memory.next_try = None;
                memory.gone_since = None;
            }
            Err(refusal) => {
                let rest = match refusal {
                    Refusal::Unavailable { retry_after: Some(wait), .. } => *wait,
                    _ => self.inner.settings.index.retry.min(channel.ttl),
                };
                memory.next_try = Some(now.plus(rest));
                if matches!(refusal, Refusal::NotFound(_)) {
                    memory.gone_since.get_or_insert(now);
                } else {
                    self.inner.events.failed(&channel.label);
                    tracing::warn!(channel = %key.0, subdir = %key.1, error = %refusal, "refreshing the index failed; what is cached stays");
                }
            }
        }
        self.inner.indexes.memory.insert(key.clone(), memory);
    }

    /// One refresh: `.zst`, else `.json`; a document that does not build is forgotten and the other form tried.
    async fn refresh_now(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        key: &Key,
    ) -> Result<Arc<Generation>, Refusal> {
        let mut broken = None;
        for packing in [Packing::Zst, Packing::Json] {
            if packing == Packing::Zst && self.skips_zst(key) {
                continue;
            }
            let ask = index_ask(channel, asked, subdir, IndexFile::Repodata(packing), channel.ttl);
            let idx_key = ask.key.clone();
            match self.refreshed(ask).await {
                Ok(refreshed) => match self.take(channel, key, packing, &idx_key, refreshed).await {
                    Ok(generation) => return Ok(generation),
                    Err(refusal @ Refusal::BadUpstream(_)) => broken = Some(refusal),
                    Err(refusal) => return Err(refusal),
                },
                Err(Refusal::NotFound(_)) if packing == Packing::Zst => self.skip_zst(key),
                Err(Refusal::NotFound(_)) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        if let Some(refusal) = broken {
            return Err(refusal);
        }
        self.missing(channel, asked, subdir, key).await
    }

    fn skips_zst(&self, key: &Key) -> bool {
        let now = self.inner.clock.now();
        self.inner.indexes.memory.get(key).and_then(|m| m.no_zst_until).is_some_and(|until| now < until)
    }

    fn skip_zst(&self, key: &Key) {
        let mut memory = self.inner.indexes.memory.get(key).unwrap_or_default();
        memory.no_zst_until = Some(self.inner.clock.now().plus(self.inner.settings.index.no_zst));
        self.inner.indexes.memory.insert(key.clone(), memory);
    }

    /// Upstream has neither form: an empty `noarch` where another subdir exists (PROTOCOL rule 14), else not found.
    async fn missing(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        key: &Key,
    ) -> Result<Arc<Generation>, Refusal> {
        if subdir.is_noarch() && self.has_other_subdir(channel, asked).await? {
            let _build = self.inner.indexes.builds.acquire().await;
            let (store, key, now) =
                (Arc::clone(&self.inner.generations), key.clone(), self.inner.clock.now());
            return self
                .blocking(move || {
                    store.publish(build::build_empty(&key.0, &key.1, 0, now, &store.staging())?)
                })
                .await;
        }
        Err(gone(asked, subdir))
    }

    /// Makes the snapshot the current generation, building one unless it is the one that is in force already.
    async fn take(
        &self,
        channel: &Channel,
        key: &Key,
        packing: Packing,
        idx_key: &str,
        refreshed: Refreshed,
    ) -> Result<Arc<Generation>, Refusal> {
        let now = self.inner.clock.now();
        let digest = *refreshed.object.blob.digest();
        if let Some(current) =
            self.inner.generations.current(&key.0, &key.1).filter(|g| g.source_digest() == Some(digest))
        {
            return match refreshed.trouble {
                Some(trouble) => Err(trouble),
                None => {
                    if let Err(error) = self.inner.generations.touch(&current, now) {
                        tracing::warn!(%error, "a revalidation could not be noted; it will be repeated after a restart");
                    }
                    Ok(current)
                }
            };
        }
        let _build = self.inner.indexes.builds.acquire().await;
        let started = tokio::time::Instant::now();
        let store = Arc::clone(&self.inner.generations);
        let raw = self.inner.cache.path_of(&refreshed.object.blob);
        let (key, meta, limits) =
            (key.clone(), Arc::clone(&refreshed.object.meta), self.inner.settings.index.limits);
        let shown = key.clone();
        let built = self
            .blocking(move || {
                let last_modified = meta.validators.last_modified.as_deref();
                let built = build::build(&BuildInput {
                    channel: &key.0,
                    subdir: &key.1,
                    raw: &raw,
                    packing,
                    digest: Some(digest),
                    etag: meta.validators.etag.as_deref(),
                    last_modified,
                    modified_at: last_modified.and_then(crate::http::date::parse),
                    rules_revision: 0,
                    now,
                    limits,
                    out_dir: &store.staging(),
                })?;
                store.publish(built)
            })
            .await;
        match &built {
            Ok(generation) => {
                self.inner.events.built(&channel.label, started.elapsed());
                tracing::info!(channel = %shown.0, subdir = %shown.1, generation = %generation.id(), "a new index is in force");
            }
            Err(Refusal::BadUpstream(_)) => self.forget_key(idx_key).await,
            Err(_) => {}
        }
        drop(refreshed);
        built
    }

    /// Runs a build off the async workers and words its error.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
    ) -> Result<T, Refusal> {
        match self.inner.runtime.spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if error.is_upstreams_fault() => Err(Refusal::BadUpstream(error.to_string())),
            Ok(Err(error)) => Err(Refusal::Internal(error.to_string())),
            Err(_) => Err(Refusal::Internal("building the index failed inside; see the log".into())),
        }
    }

    /// Fetches a document that belongs to the generation but was not needed so far, checks that it agrees, and adds it.
    async fn attach(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        generation: &Arc<Generation>,
        file: IndexFile,
    ) -> Result<(), Refusal> {
        let memo = (generation.id().to_string(), file);
        if let Some(sentence) = self.inner.indexes.absent.get(&memo) {
            return Err(Refusal::NotFound(sentence));
        }
        let mut last = format!("upstream has no `{}` for `{asked}/{subdir}`", file.file_name());
        for form in forms(file) {
            let ask = index_ask(channel, asked, subdir, form, Duration::ZERO);
            let object = match self.refreshed(ask).await {
                Ok(refreshed) => refreshed.object,
                Err(Refusal::NotFound(_)) => continue,
                Err(refusal) => return Err(refusal),
            };
            let (store, target) = (Arc::clone(&self.inner.generations), Arc::clone(generation));
            let (raw, limits) = (self.inner.cache.path_of(&object.blob), self.inner.settings.index.limits);
            let meta = Arc::clone(&object.meta);
            let attached = self
                .blocking(move || {
                    let modified_at =
                        meta.validators.last_modified.as_deref().and_then(crate::http::date::parse);
                    let packing = packing_of(form);
                    store.attach(&target, &Attach { file: form, raw: &raw, packing, modified_at, limits })
                })
                .await;
            match attached {
                Ok(()) if generation.variant(file).is_some() => return Ok(()),
                Ok(()) => {}
                Err(Refusal::BadUpstream(sentence)) => last = sentence,
                Err(refusal) => return Err(refusal),
            }
            drop(object);
        }
        self.inner.indexes.absent.insert(memo, last.clone());
        Err(Refusal::NotFound(last))
    }

    /// The answer for a variant that the generation has.
    pub(super) fn variant(
        &self,
        generation: &Generation,
        file: IndexFile,
        outcome: Outcome,
    ) -> Result<Answer, Refusal> {
        let damaged =
            |error: std::io::Error| Refusal::Internal(format!("the cached index can't be read: {error}"));
        let Some(variant) = generation.variant(file) else {
            return Err(Refusal::NotFound(format!("there is no `{}` here", file.file_name())));
        };
        let zstd = zst_form(file).and_then(|zst| generation.variant(zst));
        let zstd = match zstd {
            Some(zst) => Some((self.open_variant(&zst).map_err(damaged)?, zst.len)),
            None => None,
        };
        let json = zst_form(file).is_some();
        Ok(Answer {
            facts: Facts {
                etag: ETag::parse(&variant.etag),
                last_modified: Some(variant.last_modified),
                len: Some(variant.len),
                content_type: content_type(file).into(),
                cache_for: CacheFor::Index,
                outcome,
            },
            body: Body::File(self.open_variant(&variant).map_err(damaged)?),
            zstd,
            compressible: json,
        })
    }
}

impl Delivery {
    /// The open file of a variant; kept open for a while, since indexes are asked often.
    fn open_variant(&self, variant: &Variant) -> std::io::Result<Arc<FileBody>> {
        let bodies = &self.inner.indexes.bodies;
        if let Some(open) = bodies.get(&variant.path) {
            return Ok(open);
        }
        let body = FileBody::open(&variant.path, self.body_options(true))?;
        if body.len() != variant.len {
            return Err(std::io::Error::other("its length is not what the manifest says"));
        }
        bodies.insert(variant.path.clone(), Arc::clone(&body));
        Ok(body)
    }

    /// How files beside the blobs are opened.
    pub(super) fn body_options(&self, keep_small: bool) -> BodyOptions {
        BodyOptions { runtime: self.inner.runtime.clone(), keep_small, max_maps: MAX_MAPS }
    }

    /// Forgets one cached file, so that a bad one is not revalidated into staying.
    pub(super) async fn forget_key(&self, key: &str) {
        if let Err(error) = self.inner.cache.purge(Purge::Key(key.to_owned())).await {
            tracing::warn!(%error, "a bad index could not be removed from the cache");
        }
    }
}

fn packing_of(file: IndexFile) -> Packing {
    match file {
        IndexFile::Repodata(packing)
        | IndexFile::Current(packing)
        | IndexFile::FromPackages(packing)
        | IndexFile::RunExports(packing) => packing,
        IndexFile::PatchInstructions | IndexFile::ShardIndex => Packing::Json,
    }
}

fn gone(asked: &ChannelRef, subdir: &Subdir) -> Refusal {
    Refusal::NotFound(format!(
        "upstream has no index for `{asked}/{subdir}`; check the channel's name and the subdir"
    ))
}

/// How an index document of upstream is asked for and kept.
pub(super) fn index_ask(
    channel: &Channel,
    asked: &ChannelRef,
    subdir: &Subdir,
    file: IndexFile,
    ttl: Duration,
) -> ObjectAsk {
    let rest = format!("{subdir}/{}", file.file_name());
    ObjectAsk {
        key: format!("idx:{}/{rest}", channel.stored_as(asked)),
        path: channel.upstream_path(asked, &rest),
        upstream: Arc::clone(&channel.upstream),
        ttl,
        purpose: Purpose::Index,
    }
}

/// Which upstream documents can give `file`, best first.
fn forms(file: IndexFile) -> Vec<IndexFile> {
    match file {
        IndexFile::Current(_) => vec![IndexFile::Current(Packing::Zst), IndexFile::Current(Packing::Json)],
        IndexFile::FromPackages(_) => {
            vec![IndexFile::FromPackages(Packing::Zst), IndexFile::FromPackages(Packing::Json)]
        }
        IndexFile::RunExports(_) => {
            vec![IndexFile::RunExports(Packing::Zst), IndexFile::RunExports(Packing::Json)]
        }
        IndexFile::PatchInstructions => vec![file],
        IndexFile::Repodata(Packing::Bz2) => vec![file],
        // The other forms of repodata are always in the generation; shards are not attached.
        IndexFile::Repodata(_) | IndexFile::ShardIndex => Vec::new(),
    }
}

/// The zstd form of a plain JSON document: its `Content-Encoding: zstd`.
fn zst_form(file: IndexFile) -> Option<IndexFile> {
    match file {
        IndexFile::Repodata(Packing::Json) => Some(IndexFile::Repodata(Packing::Zst)),
        IndexFile::Current(Packing::Json) => Some(IndexFile::Current(Packing::Zst)),
        IndexFile::FromPackages(Packing::Json) => Some(IndexFile::FromPackages(Packing::Zst)),
        IndexFile::RunExports(Packing::Json) => Some(IndexFile::RunExports(Packing::Zst)),
        _ => None,
    }
}

fn content_type(file: IndexFile) -> &'static str {
    match file {
        IndexFile::Repodata(packing)
        | IndexFile::Current(packing)
        | IndexFile::FromPackages(packing)
        | IndexFile::RunExports(packing) => match packing {
            Packing::Json => "application/json",
            Packing::Zst => "application/zstd",
            Packing::Bz2 => "application/x-bzip2",
        },
        IndexFile::PatchInstructions => "application/json",
        IndexFile::ShardIndex => "application/zstd",
    }
}
