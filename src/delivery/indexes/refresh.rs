//! Refreshing: one at a time for each channel and subdir, and what is remembered of the last one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::{Flight, Key, gone, index_ask};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::objects::Refreshed;
use crate::delivery::{Delivery, Refusal};
use crate::repodata::BuildError;
use crate::repodata::build::{self, BuildInput};
use crate::repodata::generation::Generation;
use crate::snapshot::Channel;

impl Delivery {
    /// Joins the refresh of this key that is under way, or starts one. It runs to its end whoever waits.
    pub(in crate::delivery) fn refresh(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Flight {
        let key = (channel.stored_as(asked), subdir.clone());
        let (this, channel, asked, subdir, landing) =
            (self.clone(), Arc::clone(channel), asked.clone(), subdir.clone(), key.clone());
        let (label, ttl) = (Arc::clone(&channel.label), channel.ttl);
        self.fly(key, label, ttl, async move { this.refresh_now(&channel, &asked, &subdir, &landing).await })
    }

    /// Joins what is under way for this key, or starts `work` and remembers what comes of it.
    pub(in crate::delivery) fn fly(
        &self,
        key: Key,
        label: Arc<str>,
        ttl: Duration,
        work: impl Future<Output = Result<Arc<Generation>, Refusal>> + Send + 'static,
    ) -> Flight {
        let mut flights = self.inner.indexes.flights.lock();
        if let Some(running) = flights.get(&key) {
            return running.clone();
        }
        let (this, landing) = (self.clone(), key.clone());
        let task = self.inner.runtime.spawn(async move {
            let came = work.await;
            this.remember(&label, ttl, &landing, &came);
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

    fn remember(&self, label: &str, ttl: Duration, key: &Key, came: &Result<Arc<Generation>, Refusal>) {
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
                    _ => self.inner.settings.index.retry.min(ttl),
                };
                memory.next_try = Some(now.plus(rest));
                if matches!(refusal, Refusal::NotFound(_)) {
                    memory.gone_since.get_or_insert(now);
                } else {
                    self.inner.events.failed(label);
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
                    Err(refusal @ Refusal::BadUpstream(_)) => {
                        // Not fetched again at every turn while the other form works.
                        if packing == Packing::Zst {
                            self.skip_zst(key);
                        }
                        broken = Some(refusal);
                    }
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
            if let Some(trouble) = refreshed.trouble {
                return Err(trouble);
            }
            if let Err(error) = self.inner.generations.touch(&current, now) {
                tracing::warn!(%error, "a revalidation could not be noted; it will be repeated after a restart");
            }
            return Ok(current);
        }
        self.build(channel, key, packing, idx_key, refreshed).await
    }

    /// Builds a generation from a snapshot and puts it in force; a document that does not build is forgotten.
    async fn build(
        &self,
        channel: &Channel,
        key: &Key,
        packing: Packing,
        idx_key: &str,
        refreshed: Refreshed,
    ) -> Result<Arc<Generation>, Refusal> {
        let (now, digest) = (self.inner.clock.now(), *refreshed.object.blob.digest());
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
                let fresh = store.publish(built)?;
                if let Err(error) = store.prune(now) {
                    tracing::warn!(%error, "old generations could not be removed");
                }
                Ok(fresh)
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
    pub(in crate::delivery) async fn blocking<T: Send + 'static>(
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
}
