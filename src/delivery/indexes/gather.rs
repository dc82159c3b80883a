//! An upstream that has shards and no `repodata.json`: all shards of a subdir are fetched and made into one.
//!
//! Belongs here: which shards to fetch, and what their trouble means. Does not: the document (`repodata::shards`), building a
//! generation of it (`refresh`). Shards that did not change are in the cache already, so a refresh fetches the others only.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::refresh::Snapshot;
use super::{Key, index_ask};
use crate::cache::Object;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::{Delivery, Refusal};
use crate::repodata::BuildError;
use crate::repodata::generation::Generation;
use crate::repodata::shards::{Head, Shard, UpstreamIndex, write_document};
use crate::repodata::store::Scratch;
use crate::snapshot::Channel;

/// Shards fetched at once.
const AT_ONCE: usize = 8;

/// What stops the gathering.
enum Stop {
    Fetch(Refusal),
    Build(BuildError),
}

impl From<BuildError> for Stop {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl Delivery {
    /// The generation of a subdir of which upstream has shards only; `None` where it has no shards either.
    pub(super) async fn gathered(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        key: &Key,
    ) -> Result<Option<Arc<Generation>>, Refusal> {
        let ask = index_ask(channel, asked, subdir, IndexFile::ShardIndex, channel.ttl)?;
        let refreshed = match self.refreshed(ask.clone()).await {
            Ok(refreshed) => refreshed,
            Err(Refusal::NotFound(_)) => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let checked_at = refreshed.object.meta.checked_at;
        if let Some(confirmed) = self.confirmed(channel, key, &refreshed, checked_at) {
            return confirmed.map(Some);
        }
        let index = match self.upstream_index(&refreshed.object, subdir).await {
            Ok(index) => index,
            Err(refusal) => {
                self.forget_key(&ask.key).await;
                return Err(refusal);
            }
        };
        let limit = self.inner.settings.index.gathered_shards;
        if index.len() > limit {
            return Err(Refusal::BadUpstream(format!(
                "upstream has no repodata.json for `{asked}/{subdir}`, and to make one of its {} shards is more than the limit \
                 of {limit}",
                index.len()
            )));
        }
        let shards = self.fetch_shards(channel, asked, subdir, &index);
        let (scratch, raw) = self.document_of(subdir, &index, shards).await?;
        let object: Object = refreshed.object;
        let snapshot = Snapshot { raw, packing: Packing::Json, object, scratch: Some(scratch) };
        self.build(channel, key, &ask.key, snapshot, None).await.map(Some)
    }

    /// Every shard of an index in the order of names, a few at a time.
    fn fetch_shards(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        index: &Arc<UpstreamIndex>,
    ) -> mpsc::Receiver<Result<Shard, Stop>> {
        let (to, from) = mpsc::channel(AT_ONCE);
        let wanted: Vec<(String, Sha256)> =
            index.iter().map(|(name, digest)| (name.to_owned(), digest)).collect();
        let (this, channel, asked, subdir, index) =
            (self.clone(), Arc::clone(channel), asked.clone(), subdir.clone(), Arc::clone(index));
        self.inner.runtime.spawn(async move {
            let fetch = |(name, digest): (String, Sha256)| {
                let (this, channel, asked, subdir, index) =
                    (this.clone(), Arc::clone(&channel), asked.clone(), subdir.clone(), Arc::clone(&index));
                async move {
                    let came = this.upstream_shard(&channel, &asked, &subdir, &index, &digest).await;
                    match came {
                        Ok(bytes) => Ok((name, bytes)),
                        Err(refusal) => Err(Stop::Fetch(of_shard(refusal, &name))),
                    }
                }
            };
            let mut shards = stream::iter(wanted).map(fetch).buffered(AT_ONCE);
            while let Some(shard) = shards.next().await {
                // Nobody takes it any more: an earlier one was the end of it.
                if to.send(shard).await.is_err() {
                    return;
                }
            }
        });
        from
    }

    /// Writes the document of all shards to a directory of its own.
    async fn document_of(
        &self,
        subdir: &Subdir,
        index: &Arc<UpstreamIndex>,
        mut shards: mpsc::Receiver<Result<Shard, Stop>>,
    ) -> Result<(Scratch, std::path::PathBuf), Refusal> {
        let (store, subdir, index) = (Arc::clone(&self.inner.generations), subdir.clone(), Arc::clone(index));
        let limits = self.inner.settings.index.limits;
        let expected = index.len();
        let written = self.inner.runtime.spawn_blocking(move || {
            let scratch = store.scratch()?;
            let head = Head { subdir: subdir.as_str(), base_url: index.base_url() };
            let mut came = 0;
            let arriving = std::iter::from_fn(|| shards.blocking_recv()).inspect(|_| came += 1);
            let path = write_document(scratch.path(), head, &limits, arriving)?;
            if came < expected {
                let message = "fetching upstream's shards stopped in the middle; they are asked for again";
                return Err(Stop::Fetch(Refusal::unavailable(message)));
            }
            Ok((scratch, path))
        });
        match written.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Stop::Fetch(refusal))) => Err(refusal),
            Ok(Err(Stop::Build(error))) => Err(super::refresh::refusal_of(&error)),
            Err(_) => Err(Refusal::Internal("building the index failed inside; see the log".into())),
        }
    }
}

/// A shard that upstream's index names and upstream does not have is trouble that passes: the index will change, or the shard
/// come back. It must not look as if the subdir were not there.
fn of_shard(refusal: Refusal, name: &str) -> Refusal {
    match refusal {
        Refusal::NotFound(why) => Refusal::unavailable(format!(
            "upstream's shard index names a shard of `{name}` that upstream does not have: {why}"
        )),
        other => other,
    }
}
