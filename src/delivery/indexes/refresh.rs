//! Refreshing an index: what upstream has now, and a generation of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::cold::Cold;
use super::{Events, Flight, Key, gone, index_ask};
use crate::cache::Object;
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::objects::Refreshed;
use crate::delivery::upstream_shards::AtHand;
use crate::delivery::{Delivery, Refusal};
use crate::policy::verdict::Judge;
use crate::repodata::BuildError;
use crate::repodata::attach::Reuse;
use crate::repodata::build::{self, BuildInput, Built, Identity, Limits, RawDocument};
use crate::repodata::generation::Generation;
use crate::repodata::judging::{Ages, Court};
use crate::repodata::manifest::Judged;
use crate::repodata::onlooker::Onlooker;
use crate::repodata::store::{GenerationStore, Scratch};
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

    /// One refresh. Where there is no generation yet, clients may read along.
    async fn refresh_now(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        key: &Key,
    ) -> Result<Arc<Generation>, Refusal> {
        if let Some(hosted) = channel.hosted() {
            return self.refresh_hosted(channel, hosted, asked, key).await;
        }
        if self.trusted(key).await.is_some() {
            return self.refresh_by_form(channel, asked, subdir, key, None).await;
        }
        let cold = self.inner.indexes.begin_cold(key, channel.judge(subdir).is_idle());
        let came = self.refresh_by_form(channel, asked, subdir, key, Some(&cold)).await;
        self.inner.indexes.end_cold(key, &cold, came.as_ref().map(drop).map_err(Clone::clone));
        came
    }

    /// Upstream's document in one form, asked for again, and made the current generation.
    async fn look(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        key: &Key,
        packing: Packing,
        cold: Option<&Arc<Cold>>,
    ) -> Result<Arc<Generation>, Refusal> {
        let ask = index_ask(channel, asked, &key.1, IndexFile::Repodata(packing), channel.ttl)?;
        if let Some(cold) = cold
            && let Some(built) = self.build_arriving(channel, key, packing, &ask, cold).await
        {
            return built;
        }
        let idx_key = ask.key.clone();
        let refreshed = self.refreshed(ask).await?;
        self.take(channel, key, packing, &idx_key, refreshed, cold).await
    }

    /// `.zst`, else `.json`; a document that does not build is forgotten and the other form tried. A form that is not there for the
    /// moment is asked for last: only when both are absent, and neither is broken, has upstream no index.
    async fn refresh_by_form(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        key: &Key,
        cold: Option<&Arc<Cold>>,
    ) -> Result<Arc<Generation>, Refusal> {
        if self.has_shards_only(key)
            && let Some(generation) = self.gathered(channel, asked, subdir, key).await?
        {
            return Ok(generation);
        }
        let mut broken = None;
        let mut forms = [Packing::Zst, Packing::Json];
        if self.skips_zst(key) {
            forms.reverse();
        }
        for packing in forms {
            match self.look(channel, asked, key, packing, cold).await {
                Ok(generation) => {
                    // Not fetched again at every turn while the other form works.
                    if packing == Packing::Json && broken.is_some() {
                        self.skip_zst(key);
                    }
                    return Ok(generation);
                }
                Err(refusal @ Refusal::BadUpstream(_)) => broken = Some(refusal),
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

    /// Whether upstream was found to have shards and no `repodata.json`, not long ago.
    fn has_shards_only(&self, key: &Key) -> bool {
        let now = self.inner.clock.now();
        self.inner.indexes.memory.get(key).and_then(|m| m.shards_only_until).is_some_and(|until| now < until)
    }

    fn note_shards_only(&self, key: &Key) {
        let mut memory = self.inner.indexes.memory.get(key).unwrap_or_default();
        memory.shards_only_until = Some(self.inner.clock.now().plus(self.inner.settings.index.no_zst));
        self.inner.indexes.memory.insert(key.clone(), memory);
    }

    /// Upstream has neither form: what its shards make, else an empty `noarch` where another subdir exists (PROTOCOL rule 14), else not found.
    async fn missing(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        key: &Key,
    ) -> Result<Arc<Generation>, Refusal> {
        if let Some(generation) = self.gathered(channel, asked, subdir, key).await? {
            self.note_shards_only(key);
            return Ok(generation);
        }
        if subdir.is_noarch() && self.has_other_subdir(channel, asked).await? {
            let _build = self.inner.indexes.builds.acquire().await;
            let (store, key, now) =
                (Arc::clone(&self.inner.generations), key.clone(), self.inner.clock.now());
            let revision = channel.rules_revision(subdir);
            return self
                .blocking(move || {
                    store.publish(build::build_empty(&key.0, &key.1, revision, now, &store.staging())?)
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
        cold: Option<&Arc<Cold>>,
    ) -> Result<Arc<Generation>, Refusal> {
        if let Some(confirmed) = self.confirmed(channel, key, &refreshed, self.inner.clock.now()) {
            return confirmed;
        }
        let raw = self.inner.cache.path_of(&refreshed.object.blob);
        let snapshot = Snapshot { raw, packing, object: refreshed.object, scratch: None };
        self.build(channel, key, idx_key, snapshot, cold).await
    }

    /// The generation in force, if it was built from this very document and says what the rules say now: fresh again, unless
    /// upstream could not confirm it.
    pub(super) fn confirmed(
        &self,
        channel: &Channel,
        key: &Key,
        refreshed: &Refreshed,
        at: UnixMillis,
    ) -> Option<Result<Arc<Generation>, Refusal>> {
        let digest = *refreshed.object.blob.digest();
        let current = self.inner.generations.current(&key.0, &key.1);
        let current = current
            .filter(|generation| generation.source_digest() == Some(digest))
            .filter(|generation| self.is_ruled(channel, &key.1, generation))?;
        if let Some(trouble) = &refreshed.trouble {
            return Some(Err(trouble.clone()));
        }
        if let Err(error) = self.inner.generations.touch(&current, at) {
            tracing::warn!(%error, "a revalidation could not be noted; it will be repeated after a restart");
        }
        Some(Ok(current))
    }

    /// Builds a generation from a snapshot and puts it in force; a document that does not build is forgotten.
    pub(super) async fn build(
        &self,
        channel: &Channel,
        key: &Key,
        idx_key: &str,
        snapshot: Snapshot,
        cold: Option<&Arc<Cold>>,
    ) -> Result<Arc<Generation>, Refusal> {
        let _build = self.inner.indexes.builds.acquire().await;
        let work = self.work(channel, key).await;
        let onlooker = cold.map(|cold| Arc::clone(cold) as Arc<dyn Onlooker>);
        self.built(channel, key, idx_key, move || {
            let raw = identity_of(&snapshot.object, snapshot.raw.clone(), snapshot.scratch.is_some());
            work.run(&raw, snapshot.packing, onlooker.as_ref())
        })
        .await
    }

    /// What a build needs on its thread.
    pub(in crate::delivery) async fn work(&self, channel: &Channel, key: &Key) -> Work {
        let is_hosted = channel.hosted().is_some();
        let at_hand = if is_hosted { None } else { self.shards_at_hand(&key.0, &key.1).await };
        Work {
            store: Arc::clone(&self.inner.generations),
            met_as: (!is_hosted).then(|| channel.fetched_as(&key.0)),
            key: key.clone(),
            at_hand,
            judge: channel.judge(&key.1),
            source: channel.source().to_owned(),
            now: self.inner.clock.now(),
            limits: self.inner.settings.index.limits,
        }
    }

    /// Runs a build and tells of its end.
    pub(in crate::delivery) async fn built(
        &self,
        channel: &Channel,
        key: &Key,
        idx_key: &str,
        work: impl FnOnce() -> Result<Arc<Generation>, BuildError> + Send + 'static,
    ) -> Result<Arc<Generation>, Refusal> {
        let started = tokio::time::Instant::now();
        let built = self.blocking(self.counted(work)).await;
        match &built {
            Ok(generation) => {
                self.inner.events.built(&channel.label, started.elapsed());
                let judged = generation.manifest().judged;
                self.inner.events.judged(&channel.label, key.1.as_str(), &judged);
                self.note_dropped(key, &channel.label, generation);
                tell(key, generation.id(), &judged);
            }
            Err(Refusal::BadUpstream(_)) => self.forget_key(idx_key).await,
            Err(_) => {}
        }
        built
    }

    /// Says how many records are in no form of the index because some client could not read them.
    fn note_dropped(&self, key: &Key, label: &str, generation: &Generation) {
        let dropped = generation.manifest().report.dropped;
        self.inner.events.dropped(label, key.1.as_str(), dropped.values().sum());
        if !dropped.is_empty() {
            let list: Vec<_> = dropped.iter().map(|(flaw, n)| format!("{flaw:?}: {n}")).collect();
            tracing::warn!(channel = %key.0, subdir = %key.1, records = %list.join(", "), "malformed records are left out");
        }
    }

    /// Counts what failed beside refreshes, which count themselves: documents that join a generation later.
    pub(in crate::delivery) fn noted<T>(
        &self,
        generation: &Generation,
        made: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        if let Err(refusal @ (Refusal::Internal(_) | Refusal::Unavailable { .. })) = &made {
            let manifest = generation.manifest();
            self.inner.events.failed(&manifest.channel);
            tracing::warn!(channel = %manifest.channel, subdir = %manifest.subdir, error = %refusal, "a document of the index can't be made");
        }
        made
    }

    /// The same work, counted while it runs.
    pub(in crate::delivery) fn counted<T>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        struct Running(Arc<dyn Events>);
        impl Drop for Running {
            fn drop(&mut self) {
                self.0.over();
            }
        }
        let events = Arc::clone(&self.inner.events);
        move || {
            events.building();
            let _running = Running(events);
            work()
        }
    }

    /// Runs a build off the async workers and words its error.
    pub(in crate::delivery) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
    ) -> Result<T, Refusal> {
        match self.inner.runtime.spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(refusal_of(&error)),
            Err(_) => Err(Refusal::Internal("building the index failed inside; see the log".into())),
        }
    }
}

/// Says in the log what came of a build, and what rules did to it.
fn tell(key: &Key, id: &str, judged: &Judged) {
    let list = |counts: &std::collections::BTreeMap<String, u64>| {
        counts.iter().map(|(rule, n)| format!("{rule}: {n}")).collect::<Vec<_>>().join(", ")
    };
    let (channel, subdir) = (&key.0, &key.1);
    tracing::info!(
        %channel, %subdir, generation = %id, first_seen = judged.first_seen, withheld = %list(&judged.withheld),
        patched = %list(&judged.patched), "a new index is in force"
    );
    if !judged.trial.is_empty() {
        tracing::info!(%channel, %subdir, would_act = %list(&judged.trial), "rules on trial");
    }
}

/// Which version of upstream's document an object in the cache is, or one that was made after it; `path`: where that lies.
pub(super) fn identity_of(object: &Object, path: PathBuf, gathered: bool) -> Identity {
    let validators = &object.meta.validators;
    Identity {
        path,
        digest: Some(*object.blob.digest()),
        etag: validators.etag.clone(),
        last_modified: validators.last_modified.clone(),
        modified_at: validators.last_modified.as_deref().and_then(crate::http::date::parse),
        gathered,
        ..Identity::default()
    }
}

/// The refusal that a failed build comes to. What is wrong on the gate's own disk is for its log: clients are told to come again.
pub(in crate::delivery) fn refusal_of(error: &BuildError) -> Refusal {
    if error.is_upstreams_fault() {
        return Refusal::BadUpstream(error.to_string());
    }
    tracing::error!(%error, "an index can't be made");
    Refusal::Unavailable {
        message: "this gate can't write its indexes at the moment, and those who run it find the reason in its log; ask \
                  again shortly"
            .to_owned(),
        retry_after: Some(OWN_TROUBLE),
    }
}

/// When to come again after trouble with the gate's own disk.
const OWN_TROUBLE: Duration = Duration::from_secs(30);

/// A document to build a generation from.
pub(super) struct Snapshot {
    pub(super) raw: PathBuf,
    pub(super) packing: Packing,
    /// What upstream sent, which is held while the build runs: the document itself, or the shard index it was made after.
    pub(super) object: Object,
    /// Where the document lies, if it had to be made.
    pub(super) scratch: Option<Scratch>,
}

/// What a build needs on its thread.
pub(in crate::delivery) struct Work {
    store: Arc<GenerationStore>,
    key: Key,
    /// Under which name first sightings are kept, whoever sees the index; `None` where records say when they came.
    met_as: Option<ChannelRef>,
    at_hand: Option<AtHand>,
    judge: Arc<dyn Judge>,
    source: String,
    now: UnixMillis,
    limits: Limits,
}

impl Work {
    pub(in crate::delivery) fn run(
        &self,
        raw: &dyn RawDocument,
        packing: Packing,
        onlooker: Option<&Arc<dyn Onlooker>>,
    ) -> Result<Arc<Generation>, BuildError> {
        let sightings = self.met_as.as_ref().map(|met_as| self.store.sightings(met_as, &self.key.1));
        let ages = sightings.as_deref().map_or(Ages::Said, Ages::Kept);
        let before = self.store.current(&self.key.0, &self.key.1);
        let built = build::build(&BuildInput {
            channel: &self.key.0,
            subdir: &self.key.1,
            raw,
            packing,
            court: Court { judge: &*self.judge, source: &self.source, ages },
            before: before.as_deref(),
            now: self.now,
            limits: self.limits,
            out_dir: &self.store.staging(),
            onlooker,
        })?;
        let fresh = self.store.publish(self.with_shards(built)?)?;
        if let Err(error) = self.store.prune(self.now) {
            tracing::warn!(%error, "old generations could not be removed");
        }
        Ok(fresh)
    }

    /// Makes the shards before anyone sees the generation, where clients of this subdir use shards. Records that make no shard a
    /// client would read (one package of more than 64 MiB) must not hold back what the new index says in its other forms.
    fn with_shards(&self, mut built: Built) -> Result<Built, BuildError> {
        let before = self.store.current(&self.key.0, &self.key.1);
        let Some(before) = before.filter(|generation| generation.has_shards()) else { return Ok(built) };
        let theirs = self.at_hand.as_ref().map(|at_hand| |name: &str| at_hand.shard(name));
        let theirs = theirs.as_ref().map(|theirs| theirs as _);
        match built.make_shards(Reuse { before: Some(&before), theirs }) {
            Err(error) if error.is_upstreams_fault() => {
                tracing::warn!(channel = %self.key.0, subdir = %self.key.1, %error, "the new index has no shards");
                Ok(built)
            }
            made => made.map(|()| built),
        }
    }
}
