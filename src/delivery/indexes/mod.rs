//! Index documents: one generation per channel and subdir, refreshed in the background, swapped whole.
//!
//! A refresh asks upstream for `repodata.json.zst`, else `repodata.json`, else all its shards; every variant that is handed out is made from, or checked
//! against, that one snapshot.

mod absent;
mod arriving;
mod cold;
mod flights;
mod gather;
mod opening;
mod refresh;
mod variants;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::objects::ObjectAsk;
use super::refusal::remote;
use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::cache::FileBody;
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::conda::url::IndexFile;
use crate::http::etag::ETag;
use crate::policy::WholeIndex;
use crate::policy::judge::audience::AudienceSet;
use crate::repodata::build::Limits;
use crate::repodata::generation::Generation;
use crate::repodata::manifest::Judged;
use crate::snapshot::Channel;
use crate::upstream::Purpose;
use cold::Cold;
pub use cold::ColdReader;
pub(super) use refresh::refusal_of;

/// Maps alive at once for index files; beside the blobs', both stay below the kernel's 65,530.
const MAX_MAPS: usize = 4096;

/// How refreshes behave.
#[derive(Clone, Debug)]
pub struct IndexSettings {
    /// How many generations are built at once; each takes one core and up to 256 MiB. All but one of them may wait for upstreams that
    /// still send: clients ask for two subdirs at a time, and read along with both.
    pub builds: usize,
    /// How long clients wait for the first index of a subdir before they get it while it grows.
    pub cold_patience: Duration,
    /// How long a failed refresh rests before the next try.
    pub retry: Duration,
    /// How long "upstream has no `.zst`", or nothing but shards, is believed.
    pub no_zst: Duration,
    /// How many shards are fetched, at most, to make an index of an upstream that has nothing else.
    pub gathered_shards: usize,
    /// How long an index is kept serving after upstream says the whole subdir is gone.
    pub gone_grace: Duration,
    /// What is too much for an index.
    pub limits: Limits,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            builds: 3,
            cold_patience: Duration::from_secs(1),
            retry: Duration::from_secs(30),
            no_zst: Duration::from_hours(1),
            gathered_shards: 50_000,
            gone_grace: Duration::from_hours(1),
            limits: Limits::default(),
        }
    }
}

/// What the wiring counts; called from refreshes, never on a request's way.
pub trait Events: Send + Sync {
    /// An upstream answered, usably or with "there is no such file", after so long.
    fn answered(&self, upstream: &str, first_byte: Duration);

    /// An upstream gave no usable answer; `limited`: it asked to be left alone.
    fn unanswered(&self, upstream: &str, limited: bool);

    /// A generation begins to be built.
    fn building(&self);
    /// It is not being built any more, whatever came of it.
    fn over(&self);
    /// A generation was built and put in force.
    fn built(&self, channel: &str, took: Duration);
    /// What rules did to the records of a generation that came into force.
    fn judged(&self, channel: &str, subdir: &str, judged: &Judged);
    /// So many malformed records are left out of the index that is in force now.
    fn dropped(&self, channel: &str, subdir: &str, records: u64);
    /// A refresh, or making a document of an index, failed; the old generation, if any, stays.
    fn failed(&self, channel: &str);
    /// Rows of packages were read from the store to make the index of a hosted channel.
    fn rows_read(&self, rows: u64, took: Duration);
    /// The bytes of a package that a hosted channel has are not here.
    fn blob_missing(&self, channel: &str);
}

/// A channel and subdir as generations are kept: by upstream and name there, so aliases share.
pub(super) type Key = (ChannelRef, Subdir);
pub(super) type Flight = Shared<BoxFuture<'static, Result<Arc<Generation>, Refusal>>>;

/// What is remembered about refreshes of one key between them.
#[derive(Default, Clone)]
struct Memory {
    next_try: Option<UnixMillis>,
    no_zst_until: Option<UnixMillis>,
    shards_only_until: Option<UnixMillis>,
    gone_since: Option<UnixMillis>,
}

/// Refreshes under way and what came of earlier ones.
pub(super) struct Indexes {
    flights: Mutex<HashMap<Key, Flight>>,
    /// Generations on disk that are being read.
    openings: Mutex<HashMap<(Key, opening::Depth), opening::Opening>>,
    memory: moka::sync::Cache<Key, Memory>,
    /// Attachments that upstream does not have or that disagree with the generation, and shards that can't be made.
    pub(super) absent: absent::Absent,
    /// Open variants by path; a path names its bytes, because generations do not change.
    bodies: moka::sync::Cache<PathBuf, Arc<FileBody>>,
    /// Indexes that were asked for since the start, with a name they were asked by and for whom.
    pub(super) in_use: moka::sync::Cache<Key, (ChannelRef, AudienceSet)>,
    pub(super) builds: Semaphore,
    /// How many.
    places: u32,
    /// None is begun any more: another process has them now.
    ceased: AtomicBool,
    /// First builds under way, which clients read along with.
    colds: Mutex<HashMap<Key, Arc<Cold>>>,
    next_cold: AtomicU64,
    /// Current indexes are made one at a time: several clients ask for the same one, and all of them can wait.
    currents: Semaphore,
}

impl Indexes {
    pub(super) fn new(settings: &IndexSettings) -> Self {
        Self {
            flights: Mutex::default(),
            openings: Mutex::default(),
            memory: moka::sync::Cache::new(4096),
            in_use: moka::sync::Cache::new(4096),
            absent: absent::Absent::new(),
            bodies: moka::sync::Cache::builder()
                .max_capacity(256)
                .time_to_idle(Duration::from_mins(5))
                .build(),
            builds: Semaphore::new(settings.builds.max(1)),
            places: u32::try_from(settings.builds.max(1)).unwrap_or(u32::MAX),
            ceased: AtomicBool::new(false),
            colds: Mutex::default(),
            next_cold: AtomicU64::new(RandomState::new().hash_one(0)),
            currents: Semaphore::new(1),
        }
    }
}

impl Indexes {
    fn begin_cold(&self, key: &Key, passes_through: bool) -> Arc<Cold> {
        let cold = Cold::new(passes_through, self.next_cold.fetch_add(1, Ordering::Relaxed));
        self.colds.lock().insert(key.clone(), Arc::clone(&cold));
        cold
    }

    fn end_cold(&self, key: &Key, cold: &Arc<Cold>, how: Result<(), Refusal>) {
        self.colds.lock().remove(key);
        cold.end(how);
    }

    /// Forgets rests after failures and absent attachments.
    pub(super) fn forget(&self) {
        self.memory.invalidate_all();
        self.absent.forget();
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
        let (generation, outcome) = match self.generation_or_cold(channel, asked, subdir, file).await? {
            Found::Generation(generation, outcome) => (generation, outcome),
            Found::Cold(answer) => return Ok(answer),
        };
        if channel.whole_index == WholeIndex::Never && generation.is_gathered() && is_whole(file) {
            return Err(Refusal::NotFound(format!(
                "upstream has shards only for `{asked}/{subdir}`, and the channel's rule says `whole_index: never`; a client that \
                 reads sharded repodata (CEP 16) finds everything"
            )));
        }
        if generation.variant(file).is_none() {
            self.attach(channel, asked, subdir, &generation, file).await?;
        }
        self.variant(&generation, file, outcome, keeping(channel.hosted().is_some()))
    }

    /// The generation in force; where the first one takes long, the document itself while it grows.
    async fn generation_or_cold(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        file: IndexFile,
    ) -> Result<Found, Refusal> {
        let generation = self.generation(channel, asked, subdir);
        tokio::pin!(generation);
        let found = |(generation, outcome)| Found::Generation(generation, outcome);
        if let Ok(came) = tokio::time::timeout(self.inner.settings.index.cold_patience, &mut generation).await
        {
            return came.map(found);
        }
        let key = (channel.stored_as(asked), subdir.clone());
        let cold = self.inner.indexes.colds.lock().get(&key).cloned();
        let Some(cold) = cold else { return generation.await.map(found) };
        tokio::select! {
            came = &mut generation => came.map(found),
            Some(reader) = cold.reader(file) => Ok(Found::Cold(cold_answer(&cold, reader, file).await)),
        }
    }

    /// The generation in force, and whether it is fresh; waits (bounded) only where there is none.
    pub(super) async fn generation(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Result<(Arc<Generation>, Outcome), Refusal> {
        if let Some(hosted) = channel.hosted() {
            return self.hosted_generation(channel, hosted, asked, subdir).await;
        }
        let key = (channel.stored_as(asked), subdir.clone());
        if let Some(current) = self.trusted(&key).await {
            self.note_use(&key, asked, channel.audience());
            let fresh =
                self.is_fresh(&key, &current, channel.ttl) && !self.is_due(channel, subdir, current.timing());
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
            Ok(Ok(generation)) => {
                self.note_use(&key, asked, channel.audience());
                Ok((generation, Outcome::Fill))
            }
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

    pub(in crate::delivery) fn is_fresh(&self, _key: &Key, generation: &Generation, ttl: Duration) -> bool {
        self.inner.clock.now().since(generation.checked_at()) < ttl
    }

    pub(in crate::delivery) fn is_resting(&self, key: &Key) -> bool {
        let now = self.inner.clock.now();
        self.inner.indexes.memory.get(key).and_then(|m| m.next_try).is_some_and(|at| now < at)
    }

    pub(in crate::delivery) fn is_gone(&self, key: &Key) -> bool {
        let now = self.inner.clock.now();
        let grace = self.inner.settings.index.gone_grace;
        self.inner
            .indexes
            .memory
            .get(key)
            .and_then(|m| m.gone_since)
            .is_some_and(|since| now.since(since) >= grace)
    }
}

/// How long clients may keep an index: what is published here is seen at once.
pub(super) const fn keeping(is_hosted: bool) -> CacheFor {
    if is_hosted { CacheFor::Revalidate } else { CacheFor::Index }
}

/// Whether a document lists all records of a subdir in one.
const fn is_whole(file: IndexFile) -> bool {
    matches!(file, IndexFile::Repodata(_) | IndexFile::Current(_) | IndexFile::FromPackages(_))
}

/// What a client gets of an index.
enum Found {
    Generation(Arc<Generation>, Outcome),
    Cold(Answer),
}

async fn cold_answer(cold: &Cold, reader: ColdReader, file: IndexFile) -> Answer {
    Answer {
        facts: Facts {
            etag: Some(ETag::strong(&cold.etag(file))),
            named_by: NamedBy::Digest,
            last_modified: None,
            len: reader.total().await,
            content_type: variants::content_type(file).into(),
            cache_for: CacheFor::Index,
            outcome: Outcome::Fill,
        },
        body: Body::Cold(Box::new(reader)),
        zstd: None,
        compressible: false,
    }
}

fn gone(asked: &ChannelRef, subdir: &Subdir) -> Refusal {
    Refusal::NotFound(format!(
        "upstream has no index for `{asked}/{subdir}`; check the channel's name and the subdir"
    ))
}

/// Under which key the cache keeps an index document of upstream.
pub(super) fn index_key(stored: &ChannelRef, subdir: &Subdir, file: IndexFile) -> String {
    format!("idx:{stored}/{subdir}/{}", file.file_name())
}

/// How an index document of upstream is asked for and kept.
pub(super) fn index_ask(
    channel: &Channel,
    asked: &ChannelRef,
    subdir: &Subdir,
    file: IndexFile,
    ttl: Duration,
) -> Result<ObjectAsk, Refusal> {
    let (remote, rest) = (remote(channel)?, format!("{subdir}/{}", file.file_name()));
    Ok(ObjectAsk {
        key: index_key(&channel.fetched_as(asked), subdir, file),
        path: remote.path_of(asked, &rest),
        upstream: Arc::clone(&remote.upstream),
        ttl,
        purpose: Purpose::Index,
    })
}
