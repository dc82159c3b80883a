//! Shards (CEP 16): upstream's own, with an index that never leads a client elsewhere; made by the gate where upstream has none.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache as Memo;

use super::indexes::index_ask;
use super::objects::Held;
use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::cache::{Blob, Object};
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::{Expected, Sha256};
use crate::conda::subdir::Subdir;
use crate::conda::url::IndexFile;
use crate::http::etag::ETag;
use crate::repodata::shards::{self, ShardAt, UpstreamIndex};
use crate::snapshot::Channel;

/// What one of upstream's shard indexes comes to.
struct Derived {
    /// The index as clients get it: relative URLs only.
    bytes: Bytes,
    etag: ETag,
    last_modified: UnixMillis,
    index: UpstreamIndex,
}

/// What is remembered between requests.
pub(super) struct ShardState {
    /// By the digest of upstream's index; a few megabytes each at conda-forge's size.
    derived: Memo<Sha256, Arc<Derived>>,
    /// Records found in shards: `<channel>/<subdir>/<file>`.
    records: Memo<(ChannelRef, Subdir, ArchiveName), Expected>,
}

impl ShardState {
    pub(super) fn new() -> Self {
        Self { derived: Memo::new(8), records: Memo::new(50_000) }
    }

    /// Forgets what was learned, after a purge.
    pub(super) fn forget(&self) {
        self.derived.invalidate_all();
        self.records.invalidate_all();
    }
}

impl Delivery {
    /// The shard index of a subdir.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] only where the subdir itself does not exist; anything else is trouble that passes.
    pub(super) async fn shard_index(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Result<Answer, Refusal> {
        match self.upstream_shards(channel, asked, subdir).await {
            Ok((derived, outcome)) => Ok(Answer {
                facts: Facts {
                    etag: Some(derived.etag.clone()),
                    named_by: NamedBy::Digest,
                    last_modified: Some(derived.last_modified),
                    len: Some(derived.bytes.len() as u64),
                    content_type: "application/zstd".into(),
                    cache_for: CacheFor::Index,
                    outcome,
                },
                body: Body::Bytes(derived.bytes.clone()),
                zstd: None,
                compressible: false,
            }),
            Err(refusal) => self.own_shard_index(channel, asked, subdir, refusal).await,
        }
    }

    /// The gate's own shard index: where upstream has none, or is in trouble and a generation is here.
    async fn own_shard_index(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        refusal: Refusal,
    ) -> Result<Answer, Refusal> {
        let none_upstream = matches!(refusal, Refusal::NotFound(_));
        let stored = channel.stored_as(asked);
        if !none_upstream && self.inner.generations.current(&stored, subdir).is_none() {
            return Err(refusal);
        }
        let (generation, outcome) = self.generation(channel, asked, subdir).await?;
        if !generation.has_shards() {
            let _build = self.inner.indexes.builds.acquire().await;
            let (store, target) = (Arc::clone(&self.inner.generations), Arc::clone(&generation));
            self.blocking(move || store.make_shards(&target, crate::repodata::attach::Reuse::default()))
                .await?;
        }
        self.variant(&generation, IndexFile::ShardIndex, outcome)
    }

    /// A shard, by the SHA-256 of its compressed bytes.
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
        let stored = channel.stored_as(asked);
        if let Some(made) = self.made_shard(&stored, subdir, digest).await? {
            return Ok(made);
        }
        let rest = format!("{subdir}/{digest}");
        let key = format!("shard:{stored}/{rest}");
        let path = self.shard_path(channel, asked, subdir, digest);
        let expected = Expected { sha256: Some(*digest), ..Expected::default() };
        self.by_digest(channel, asked, subdir, &path, key, expected, "application/zstd").await
    }

    /// A shard that the gate made, for the current index or for one of the last week.
    pub(super) async fn made_shard(
        &self,
        stored: &ChannelRef,
        subdir: &Subdir,
        digest: &Sha256,
    ) -> Result<Option<Answer>, Refusal> {
        let Some(at) = self.inner.generations.shard(stored, subdir, digest) else { return Ok(None) };
        let bytes = self.blocking_io(move || read_at(&at)).await?;
        Ok(Some(shard_answer(digest, bytes, Outcome::Hit)))
    }

    /// Where upstream keeps a shard: below the subdir, or at an absolute URL that its index names.
    fn shard_path(&self, channel: &Channel, asked: &ChannelRef, subdir: &Subdir, digest: &Sha256) -> String {
        let ask = index_ask(channel, asked, subdir, IndexFile::ShardIndex, channel.ttl);
        let base = self
            .inner
            .cache
            .object(&ask.key)
            .and_then(|object| self.inner.shards.derived.get(object.blob.digest()))
            .map(|derived| derived.index.shards_base_url().to_owned());
        super::elsewhere::join(
            subdir,
            base.as_deref().unwrap_or("./shards/"),
            &format!("{digest}.msgpack.zst"),
        )
    }

    /// Upstream's shard index, fresh or stale (then revalidated behind), in the form clients get.
    async fn upstream_shards(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Result<(Arc<Derived>, Outcome), Refusal> {
        let ask = index_ask(channel, asked, subdir, IndexFile::ShardIndex, channel.ttl);
        let (object, outcome) = match self.inner.cache.find_object(&ask.key).await {
            Some(_) => match self.object(ask.clone()).await? {
                Held::Ready { object, outcome } => (object, outcome),
                Held::Running { .. } => (self.refreshed(ask.clone()).await?.object, Outcome::Fill),
            },
            None => (self.refreshed(ask.clone()).await?.object, Outcome::Fill),
        };
        match self.derive(&object, subdir).await {
            Ok(derived) => Ok((derived, outcome)),
            Err(refusal) => {
                // A broken index must not be revalidated into staying.
                self.forget_key(&ask.key).await;
                Err(refusal)
            }
        }
    }

    async fn derive(&self, object: &Object, subdir: &Subdir) -> Result<Arc<Derived>, Refusal> {
        let digest = *object.blob.digest();
        if let Some(known) = self.inner.shards.derived.get(&digest) {
            return Ok(known);
        }
        let raw = self.read_blob(&object.blob).await?;
        let stored_at = object.meta.stored_at;
        let changed = object.meta.validators.last_modified.as_deref().and_then(crate::http::date::parse);
        let subdir = subdir.clone();
        let derived = self
            .blocking(move || {
                let index = UpstreamIndex::parse(&raw)?;
                let bytes = Bytes::from(shards::rewrite_index(&raw, subdir.as_str())?);
                let last_modified = changed.unwrap_or(stored_at);
                Ok(Arc::new(Derived {
                    etag: ETag::strong(&format!("shards-{}", Sha256::of(&bytes))),
                    bytes,
                    last_modified,
                    index,
                }))
            })
            .await?;
        self.inner.shards.derived.insert(digest, Arc::clone(&derived));
        Ok(derived)
    }

    /// All bytes of a small blob.
    async fn read_blob(&self, blob: &Arc<Blob>) -> Result<Vec<u8>, Refusal> {
        let blob = Arc::clone(blob);
        self.blocking_io(move || {
            let len = usize::try_from(blob.len().min(LARGEST_READ)).map_err(std::io::Error::other)?;
            let mut bytes = vec![0; len];
            blob.body().file().read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        })
        .await
    }

    async fn blocking_io<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let done = self.inner.runtime.spawn_blocking(work).await;
        done.map_err(|_| Refusal::Internal("reading a shard failed inside; see the log".to_owned()))?
            .map_err(|error| Refusal::Internal(format!("a cached shard can't be read: {error}")))
    }

    /// Where upstream's shard index says its packages lie, if it is in memory and says so.
    pub(super) fn shard_base_url(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Option<String> {
        let ask = index_ask(channel, asked, subdir, IndexFile::ShardIndex, channel.ttl);
        let object = self.inner.cache.object(&ask.key)?;
        let derived = self.inner.shards.derived.get(object.blob.digest())?;
        Some(derived.index.base_url().to_owned()).filter(|base| !base.is_empty())
    }

    /// Whether upstream's own shard index is in the cache.
    pub(super) fn knows_upstream_shards(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> bool {
        let ask = index_ask(channel, asked, subdir, IndexFile::ShardIndex, channel.ttl);
        self.inner.cache.object(&ask.key).is_some()
    }

    /// What shards have taught about a file; memory only.
    pub(super) fn shard_memo(
        &self,
        stored: &ChannelRef,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Option<Expected> {
        self.inner.shards.records.get(&(stored.clone(), subdir.clone(), archive.clone()))
    }

    /// The record of a package from upstream's shards: two small documents instead of the whole index. `None` when they do not
    /// list it; [`Refusal::NotFound`] when upstream has no shards.
    pub(super) async fn expected_from_shard(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Result<Option<Expected>, Refusal> {
        let (derived, _) = self.upstream_shards(channel, asked, subdir).await?;
        let Some(digest) = archive.parts().and_then(|(name, ..)| derived.index.shard(name)) else {
            return Ok(None);
        };
        let answer = self.shard(channel, asked, subdir, &digest).await?;
        let blob = match answer.body {
            Body::Blob(blob) => blob,
            Body::Fill(fill) => fill.done().await.map_err(|error| super::objects::refusal_of_fill(&error))?,
            Body::File(_) | Body::Bytes(_) => return Ok(None),
        };
        let raw = self.read_blob(&blob).await?;
        let file = archive.clone();
        let found = self.blocking(move || Ok(shards::find_in_shard(&raw, file.as_str())?)).await?;
        if let Some(expected) = found {
            let key = (channel.stored_as(asked), subdir.clone(), archive.clone());
            self.inner.shards.records.insert(key, expected);
        }
        Ok(found)
    }
}

/// Shards and their indexes are never larger, packed.
const LARGEST_READ: u64 = 128 << 20;

fn read_at(at: &ShardAt) -> std::io::Result<Bytes> {
    let len = usize::try_from(at.len.min(LARGEST_READ)).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; len];
    std::fs::File::open(&at.path)?.read_exact_at(&mut bytes, at.offset)?;
    Ok(bytes.into())
}

fn shard_answer(digest: &Sha256, bytes: Bytes, outcome: Outcome) -> Answer {
    Answer {
        facts: Facts {
            etag: Some(ETag::strong(&digest.to_hex())),
            named_by: NamedBy::Digest,
            last_modified: None,
            len: Some(bytes.len() as u64),
            content_type: "application/zstd".into(),
            cache_for: CacheFor::Package,
            outcome,
        },
        body: Body::Bytes(bytes),
        zstd: None,
        compressible: false,
    }
}
