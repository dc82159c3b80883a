//! Shards (CEP 16) as clients get them: the gate's own, made of the generation that also answers `repodata.json`.
//!
//! Belongs here: the shard index, shards, and making them when they are first asked for. Does not: upstream's shards
//! (`upstream_shards`), which no client ever sees.

use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use super::hosted::exists;
use super::indexes::keeping;
use super::upstream_shards::Sources;
use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::conda::url::IndexFile;
use crate::http::etag::ETag;
use crate::repodata::attach::Reuse;
use crate::repodata::generation::Generation;
use crate::repodata::shards::ShardAt;
use crate::snapshot::Channel;

/// Shards of one generation being made: channel, subdir, generation.
type MakingKey = (ChannelRef, Subdir, String);
type Making = Shared<BoxFuture<'static, Result<(), Refusal>>>;

/// What is remembered between requests.
pub(super) struct ShardState {
    making: Mutex<HashMap<MakingKey, Making>>,
    pub(super) sources: Sources,
}

impl ShardState {
    pub(super) fn new() -> Self {
        Self { making: Mutex::new(HashMap::new()), sources: Sources::new() }
    }

    /// Forgets what was learned, after a purge.
    pub(super) fn forget(&self) {
        self.sources.forget();
    }
}

impl Delivery {
    /// The shard index of a subdir: always the one of the generation in force.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] only where the subdir itself does not exist; anything else is trouble that passes.
    pub(super) async fn shard_index(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Result<Answer, Refusal> {
        let (generation, outcome) = self.generation(channel, asked, subdir).await?;
        self.shards_made(&channel.stored_as(asked), subdir, &generation).await?;
        self.variant(&generation, IndexFile::ShardIndex, outcome, keeping(channel.hosted().is_some()))
    }

    /// A shard, by the SHA-256 of its compressed bytes: of the index in force, or of one that was in force in the last week.
    ///
    /// # Errors
    /// As [`Refusal`].
    pub async fn shard(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        digest: &Sha256,
    ) -> Result<Answer, Refusal> {
        if let Some(hosted) = channel.hosted() {
            exists(hosted)?;
        }
        let stored = channel.stored_as(asked);
        if let Some(answer) = self.made_shard(&stored, subdir, digest).await? {
            return Ok(answer);
        }
        // A client may have the index of a generation that was purged since: the same records give the same shards again.
        let (generation, _) = self.generation(channel, asked, subdir).await?;
        self.shards_made(&stored, subdir, &generation).await?;
        self.made_shard(&stored, subdir, digest).await?.ok_or_else(|| {
            Refusal::NotFound(format!(
                "no shard index of `{asked}/{subdir}` that was handed out in the last week names a shard {digest}; get the \
                 shard index again"
            ))
        })
    }

    /// A shard that the gate made, for the current index or for one of the last week.
    pub(super) async fn made_shard(
        &self,
        stored: &ChannelRef,
        subdir: &Subdir,
        digest: &Sha256,
    ) -> Result<Option<Answer>, Refusal> {
        let key = (stored.clone(), subdir.clone());
        self.trusted(&key).await;
        let Some(at) = self.inner.generations.shard(stored, subdir, digest) else { return Ok(None) };
        let wanted = *digest;
        let read = move || {
            let bytes = read_at(&at)?;
            Ok((Sha256::of(&bytes) == wanted).then_some(bytes))
        };
        let read = self.inner.runtime.spawn_blocking(read).await;
        let read: std::io::Result<_> =
            read.map_err(|_| Refusal::Internal("reading a shard failed inside; see the log".to_owned()))?;
        let why = match read {
            Ok(Some(bytes)) => return Ok(Some(shard_answer(digest, bytes))),
            Ok(None) => "a shard is not what was written".to_owned(),
            Err(error) => format!("a shard can't be read: {error}"),
        };
        // Its pack is damaged: all of it is made anew.
        if let Some(current) = self.inner.generations.current(stored, subdir) {
            self.discard(&key, current.id(), &why);
        }
        Ok(None)
    }

    /// Waits (bounded) until a generation has shards; only the first one that a channel ever gets has none when it is published.
    async fn shards_made(
        &self,
        stored: &ChannelRef,
        subdir: &Subdir,
        generation: &Arc<Generation>,
    ) -> Result<(), Refusal> {
        if generation.has_shards() {
            return Ok(());
        }
        let memo = (generation.key().to_string(), IndexFile::ShardIndex);
        if let Some(sentence) = self.inner.indexes.absent.get(&memo, self.inner.clock.now()) {
            return Err(Refusal::BadUpstream(sentence));
        }
        let making = self.make_shards(stored, subdir, generation);
        match tokio::time::timeout(self.inner.settings.patience, making).await {
            Ok(made) => made,
            Err(_) => Err(Refusal::Unavailable {
                message: format!(
                    "the shards of `{stored}/{subdir}` are still being made for the first time; ask again shortly"
                ),
                retry_after: Some(Duration::from_secs(10)),
            }),
        }
    }

    /// Joins the making of this generation's shards, or starts it. It runs to its end whoever waits.
    fn make_shards(&self, stored: &ChannelRef, subdir: &Subdir, generation: &Arc<Generation>) -> Making {
        let key = (stored.clone(), subdir.clone(), generation.key().to_string());
        let mut making = self.inner.shards.making.lock();
        if let Some(running) = making.get(&key) {
            return running.clone();
        }
        let (this, target, landing) = (self.clone(), Arc::clone(generation), key.clone());
        let task = self.inner.runtime.spawn(async move {
            let made = this.make_shards_now(&landing, target).await;
            if let Err(Refusal::BadUpstream(sentence)) = &made {
                // The records will not change, and neither will the answer.
                let memo = (landing.2.clone(), IndexFile::ShardIndex);
                this.inner.indexes.absent.for_good(memo, sentence.clone());
            }
            this.inner.shards.making.lock().remove(&landing);
            made
        });
        let flight = task
            .map(|joined| {
                joined.unwrap_or_else(|_| {
                    Err(Refusal::Internal("making the shards failed inside; see the log".into()))
                })
            })
            .boxed()
            .shared();
        making.insert(key, flight.clone());
        flight
    }

    async fn make_shards_now(&self, key: &MakingKey, target: Arc<Generation>) -> Result<(), Refusal> {
        let _build = self.inner.indexes.builds.acquire().await;
        let (store, at_hand) =
            (Arc::clone(&self.inner.generations), self.shards_at_hand(&key.0, &key.1).await);
        let generation = Arc::clone(&target);
        let made = self.blocking(move || {
            let theirs = at_hand.as_ref().map(|at_hand| |name: &str| at_hand.shard(name));
            let theirs = theirs.as_ref().map(|theirs| theirs as _);
            store.make_shards(&target, Reuse { before: None, theirs })
        });
        self.noted(&generation, made.await)
    }

    pub(super) async fn blocking_io<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let done = self.inner.runtime.spawn_blocking(work).await;
        done.map_err(|_| Refusal::Internal("reading a shard failed inside; see the log".to_owned()))?
            .map_err(|error| Refusal::Internal(format!("a cached shard can't be read: {error}")))
    }
}

/// Shards and their indexes are never larger, packed.
pub(super) const LARGEST_READ: u64 = 128 << 20;

fn read_at(at: &ShardAt) -> std::io::Result<Bytes> {
    let len = usize::try_from(at.len.min(LARGEST_READ)).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; len];
    std::fs::File::open(&at.path)?.read_exact_at(&mut bytes, at.offset)?;
    Ok(bytes.into())
}

fn shard_answer(digest: &Sha256, bytes: Bytes) -> Answer {
    Answer {
        facts: Facts {
            etag: Some(ETag::strong(&digest.to_hex())),
            named_by: NamedBy::Digest,
            last_modified: None,
            len: Some(bytes.len() as u64),
            content_type: "application/zstd".into(),
            cache_for: CacheFor::Package,
            outcome: Outcome::Hit,
        },
        body: Body::Bytes(bytes),
        zstd: None,
        compressible: false,
    }
}
