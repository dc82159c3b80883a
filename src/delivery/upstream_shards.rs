//! Upstream's own shards, as a source: of digests for packages asked for before there is an index, of whole shards that say the
//! same as the gate's would, and of everything where upstream has nothing else (`indexes::gather`).
//!
//! Belongs here: upstream's shard index and shards in the cache. Does not: what clients get (`shards`).

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use moka::sync::Cache as Memo;

use super::indexes::{index_ask, index_key};
use super::objects::Held;
use super::shards::LARGEST_READ;
use super::{Body, Delivery, Refusal};
use crate::cache::{Blob, Object};
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::{Expected, Sha256};
use crate::conda::subdir::Subdir;
use crate::conda::url::IndexFile;
use crate::repodata::judging::KnownFile;
use crate::repodata::shards::{self, UpstreamIndex};
use crate::snapshot::Channel;

/// Bytes of records that are remembered.
const MOST_REMEMBERED: u64 = 16 << 20;
/// What a record costs without its text.
const LIGHTEST: usize = 320;

/// What is remembered between requests.
pub(super) struct Sources {
    /// By the digest of upstream's index; a few megabytes each at conda-forge's size.
    indexes: Memo<Sha256, Arc<UpstreamIndex>>,
    /// Records found in shards: `<channel>/<subdir>/<file>`.
    records: Memo<(ChannelRef, Subdir, ArchiveName), Learned>,
}

/// A record, and when upstream last said that the index it was found by is what it has.
#[derive(Clone)]
struct Learned {
    known: Arc<KnownFile>,
    at: UnixMillis,
}

impl Sources {
    pub(super) fn new() -> Self {
        let weight = |_: &(ChannelRef, Subdir, ArchiveName), learned: &Learned| {
            let record = learned.known.record.as_ref().map_or(0, Vec::len);
            u32::try_from(record + LIGHTEST).unwrap_or(u32::MAX)
        };
        let records = Memo::builder().weigher(weight).max_capacity(MOST_REMEMBERED).build();
        Self { indexes: Memo::new(8), records }
    }

    pub(super) fn forget(&self) {
        self.indexes.invalidate_all();
        self.records.invalidate_all();
    }
}

/// Upstream's shards that are in the cache; nothing is fetched for it.
pub(super) struct AtHand {
    delivery: Delivery,
    index: Arc<UpstreamIndex>,
    channel: ChannelRef,
    subdir: Subdir,
}

impl AtHand {
    /// A package's shard, packed. Blocks; not for async workers.
    pub(super) fn shard(&self, name: &str) -> Option<Vec<u8>> {
        let key = shard_key(&self.channel, &self.subdir, &self.index.shard(name)?);
        let blob = self.delivery.inner.runtime.block_on(self.delivery.inner.cache.verified(&key))?;
        read_all(&blob).ok()
    }
}

/// Under which key the cache keeps a shard of upstream's.
fn shard_key(stored: &ChannelRef, subdir: &Subdir, digest: &Sha256) -> String {
    format!("shard:{stored}/{subdir}/{digest}")
}

fn read_all(blob: &Blob) -> std::io::Result<Vec<u8>> {
    let len = usize::try_from(blob.len().min(LARGEST_READ)).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; len];
    blob.body().file().read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

impl Delivery {
    /// Upstream's shards of a subdir, if its shard index is in the cache.
    pub(super) async fn shards_at_hand(&self, stored: &ChannelRef, subdir: &Subdir) -> Option<AtHand> {
        let key = index_key(stored, subdir, IndexFile::ShardIndex);
        let object = self.inner.cache.find_object(&key).await?;
        let index = self.upstream_index(&object, subdir).await.ok()?;
        let (channel, subdir) = (stored.clone(), subdir.clone());
        Some(AtHand { delivery: self.clone(), index, channel, subdir })
    }

    /// One of upstream's shards, from the cache or from upstream; its bytes are what `digest` says.
    pub(super) async fn upstream_shard(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        index: &UpstreamIndex,
        digest: &Sha256,
    ) -> Result<Vec<u8>, Refusal> {
        let base = Some(index.shards_base_url()).filter(|base| !base.is_empty()).unwrap_or("./");
        let path = super::elsewhere::join(subdir, base, &format!("{digest}.msgpack.zst"));
        let key = shard_key(&channel.fetched_as(asked), subdir, digest);
        let expected = Expected { sha256: Some(*digest), ..Expected::default() };
        let answer = self.by_digest(channel, asked, subdir, &path, key, expected, "application/zstd").await?;
        let blob = match answer.body {
            Body::Blob(blob) => blob,
            Body::Fill(fill) => fill.done().await.map_err(|error| super::objects::refusal_of_fill(&error))?,
            Body::File(_) | Body::Bytes(_) | Body::Cold(_) => {
                return Err(Refusal::Internal("a shard that is no blob; see the log".to_owned()));
            }
        };
        self.blocking_io(move || read_all(&blob)).await
    }

    /// Upstream's shard index, fresh or stale (then revalidated behind), and when upstream last confirmed it.
    async fn upstream_shards(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Result<(Arc<UpstreamIndex>, UnixMillis), Refusal> {
        let ask = index_ask(channel, asked, subdir, IndexFile::ShardIndex, channel.ttl)?;
        let object = match self.inner.cache.find_object(&ask.key).await {
            Some(_) => match self.object(ask.clone()).await? {
                Held::Ready { object, .. } => object,
                Held::Running { .. } => self.refreshed(ask.clone()).await?.object,
            },
            None => self.refreshed(ask.clone()).await?.object,
        };
        let index = self.upstream_index(&object, subdir).await;
        if index.is_err() {
            // A broken index must not be revalidated into staying.
            self.forget_key(&ask.key).await;
        }
        Ok((index?, object.meta.checked_at))
    }

    /// Whether the index in force was confirmed later than `at`: what it does not list has left since.
    fn is_overtaken(&self, channel: &Channel, asked: &ChannelRef, subdir: &Subdir, at: UnixMillis) -> bool {
        let current = self.inner.generations.current(&channel.stored_as(asked), subdir);
        current.is_some_and(|current| current.checked_at() > at)
    }

    /// A shard index of upstream's, read.
    pub(super) async fn upstream_index(
        &self,
        object: &Object,
        subdir: &Subdir,
    ) -> Result<Arc<UpstreamIndex>, Refusal> {
        let digest = *object.blob.digest();
        let memo = &self.inner.shards.sources.indexes;
        if let Some(known) = memo.get(&digest) {
            return Ok(known);
        }
        let (blob, subdir) = (Arc::clone(&object.blob), subdir.clone());
        let raw = self.blocking_io(move || read_all(&blob)).await?;
        let index = self.blocking(move || Ok(UpstreamIndex::parse(&raw, subdir.as_str())?)).await?;
        let index = Arc::new(index);
        memo.insert(digest, Arc::clone(&index));
        Ok(index)
    }

    /// Where upstream's shard index says its packages lie, if it is in memory and says so.
    pub(super) fn shard_base_url(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Option<String> {
        let key = index_key(&channel.fetched_as(asked), subdir, IndexFile::ShardIndex);
        let object = self.inner.cache.object(&key)?;
        let index = self.inner.shards.sources.indexes.get(object.blob.digest())?;
        Some(index.base_url().to_owned()).filter(|base| !base.is_empty())
    }

    /// Whether upstream's own shard index is in the cache.
    pub(super) fn knows_upstream_shards(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> bool {
        let key = index_key(&channel.fetched_as(asked), subdir, IndexFile::ShardIndex);
        self.inner.cache.object(&key).is_some()
    }

    /// What shards have taught about a file, record included where rules want to see it; memory only.
    pub(super) fn shard_memo(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Option<Arc<KnownFile>> {
        let key = (channel.fetched_as(asked), subdir.clone(), archive.clone());
        let Learned { known, at } = self.inner.shards.sources.records.get(&key)?;
        let is_enough = known.record.is_some() || channel.judge(subdir).is_idle();
        (is_enough && !self.is_overtaken(channel, asked, subdir, at)).then_some(known)
    }

    /// The record of a package from upstream's shards: two small documents instead of the whole index. `None` when they do not
    /// list it, or are older than the index in force; [`Refusal::NotFound`] when upstream has no shards.
    pub(super) async fn known_from_shard(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Result<Option<Arc<KnownFile>>, Refusal> {
        let (index, at) = self.upstream_shards(channel, asked, subdir).await?;
        if self.is_overtaken(channel, asked, subdir, at) {
            return Ok(None);
        }
        let Some(digest) = archive.parts().and_then(|(name, ..)| index.shard(name)) else {
            return Ok(None);
        };
        let raw = self.upstream_shard(channel, asked, subdir, &index, &digest).await?;
        let (file, stored) = (archive.clone(), channel.fetched_as(asked));
        let sightings = self.inner.generations.sightings(&stored, subdir);
        let (ruled, now) = (!channel.judge(subdir).is_idle(), self.inner.clock.now());
        let found = self
            .blocking(move || {
                let Some((expected, record)) = shards::record_in_shard(&raw, file.as_str())? else {
                    return Ok(None);
                };
                // What the index would drop is listed nowhere.
                if !record.as_deref().is_some_and(KnownFile::is_package) {
                    return Ok(None);
                }
                let record = record.filter(|_| ruled);
                KnownFile::of_shard(file.as_str(), expected, record, &sightings, now).map(Some)
            })
            .await?
            .map(Arc::new);
        if let Some(known) = &found {
            let key = (stored, subdir.clone(), archive.clone());
            let learned = Learned { known: Arc::clone(known), at };
            self.inner.shards.sources.records.insert(key, learned);
        }
        Ok(found)
    }
}
