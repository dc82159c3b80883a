//! Forgetting: what an administrator wants gone from the cache, by URL, channel or digest.

use std::sync::Arc;
use std::time::Duration;

use super::{Delivery, Refusal};
use crate::cache::Purge;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::conda::url::Route;
use crate::snapshot::{Channel, Place, VirtualChannel};
use crate::upstream::Upstream;

/// What went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Purged {
    /// Entries: files, documents, and indexes with all their forms.
    pub removed: u64,
    /// Of files that nothing else needs; made indexes are not counted.
    pub bytes: u64,
}

impl Purged {
    /// With so many indexes.
    const fn and(self, indexes: u64) -> Self {
        Self { removed: self.removed + indexes, ..self }
    }
}

fn failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::Internal(format!("purging failed: {error}"))
}

impl Delivery {
    /// Forgets every 404 and every rest after a failure: rules or upstreams have changed.
    pub fn forget_absences(&self) {
        self.inner.objects.forget_absences();
        self.inner.indexes.forget();
    }

    /// Forgets everything that was fetched.
    ///
    /// # Errors
    /// When the disk or the cache's index can't be changed.
    pub async fn purge_all(&self) -> Result<Purged, Refusal> {
        self.purge(vec![Purge::Prefix(String::new())], true).await
    }

    /// Forgets the bytes with this digest, whoever lists them.
    ///
    /// # Errors
    /// As [`Delivery::purge_all`].
    pub async fn purge_digest(&self, digest: &Sha256) -> Result<Purged, Refusal> {
        self.purge(vec![Purge::Digest(*digest)], false).await
    }

    /// Forgets a channel: its packages, documents, indexes and shards.
    ///
    /// # Errors
    /// As [`Delivery::purge_all`].
    pub async fn purge_channel(&self, channel: &Channel, asked: &ChannelRef) -> Result<Purged, Refusal> {
        let stored = channel.fetched_as(asked);
        let kinds = ["pkg", "idx", "doc", "sig", "shard"];
        let what = kinds.iter().map(|kind| Purge::Prefix(format!("{kind}:{stored}/"))).collect();
        let purged = self.purge(what, false).await?;
        Ok(purged.and(self.remove_views(channel.all_stored_as(asked), None).await?))
    }

    /// Forgets what a virtual channel has of its own: its merged indexes. Its members keep what is theirs.
    ///
    /// # Errors
    /// As [`Delivery::purge_all`].
    pub async fn purge_virtual(&self, channel: &VirtualChannel) -> Result<Purged, Refusal> {
        let gone = self.remove_views(channel.all_stored_as(), None).await;
        self.forget_absences();
        Ok(Purged::default().and(gone?))
    }

    /// Forgets one file of a virtual channel: a merged index, or a file of whichever member has it.
    ///
    /// # Errors
    /// As [`Delivery::purge_all`].
    pub async fn purge_virtual_file(
        &self,
        channel: &VirtualChannel,
        route: &Route,
    ) -> Result<Purged, Refusal> {
        if let Route::Index { subdir, .. } = route {
            let gone = self.remove_views(channel.all_stored_as(), Some(subdir)).await;
            self.forget_absences();
            return Ok(Purged::default().and(gone?));
        }
        let mut all = Purged::default();
        for member in &channel.members {
            let purged = match &member.place {
                Place::Source(proxied) => {
                    self.purge_file(proxied, &route.clone().in_channel(&member.asked)).await?
                }
                Place::Virtual(inner) => Box::pin(self.purge_virtual_file(inner, route)).await?,
            };
            all.bytes += purged.bytes;
            all.removed += purged.removed;
        }
        Ok(all)
    }

    /// Forgets one file of a channel. An index document takes its whole generation along, since they belong together.
    ///
    /// # Errors
    /// As [`Delivery::purge_all`].
    pub async fn purge_file(&self, channel: &Arc<Channel>, route: &Route) -> Result<Purged, Refusal> {
        match route {
            Route::Package { channel: asked, subdir, archive } => {
                let key = format!("pkg:{}/{subdir}/{archive}", channel.fetched_as(asked));
                let stored = channel.stored_as(asked);
                let mut what = vec![Purge::Key(key)];
                let listed = self.trusted(&(stored, subdir.clone())).await;
                let listed = listed.and_then(|generation| generation.lookup(archive.as_str()));
                what.extend(listed.and_then(|expected| expected.sha256).map(Purge::Digest));
                self.purge(what, false).await
            }
            Route::Shard { channel: asked, subdir, digest } => {
                let key = format!("shard:{}/{subdir}/{digest}", channel.fetched_as(asked));
                self.purge(vec![Purge::Key(key), Purge::Digest(*digest)], false).await
            }
            Route::Index { channel: asked, subdir, .. } => {
                let stored = channel.fetched_as(asked);
                let purged =
                    self.purge(vec![Purge::Prefix(format!("idx:{stored}/{subdir}/"))], false).await?;
                Ok(purged.and(self.remove_views(channel.all_stored_as(asked), Some(subdir)).await?))
            }
            Route::Sidecar { channel: asked, subdir, file } => {
                let stored = channel.fetched_as(asked);
                let kinds = ["sig", "doc"];
                let what =
                    kinds.iter().map(|kind| Purge::Key(format!("{kind}:{stored}/{subdir}/{file}"))).collect();
                self.purge(what, false).await
            }
            Route::Doc { channel: asked, doc } => {
                let key = format!("doc:{}/{}", channel.fetched_as(asked), doc.file_name());
                self.purge(vec![Purge::Key(key)], false).await
            }
            Route::Home | Route::Control(_) | Route::Other => Ok(Purged::default()),
        }
    }

    /// Forgets a file by prefix.
    ///
    /// # Errors
    /// As [`Delivery::purge_all`].
    pub async fn purge_plain(&self, upstream: &Upstream, path: &str) -> Result<Purged, Refusal> {
        self.purge(vec![Purge::Key(format!("url:{}/{path}", upstream.name()))], false).await
    }

    /// Forgets the indexes of a channel, whoever sees them; of one subdir, or of all.
    async fn remove_views(
        &self,
        (first, prefix): (ChannelRef, String),
        subdir: Option<&Subdir>,
    ) -> Result<u64, Refusal> {
        let (store, subdir) = (Arc::clone(&self.inner.generations), subdir.cloned());
        let gone = move || store.remove_views(&first, &prefix, subdir.as_ref());
        self.inner.runtime.spawn_blocking(gone).await.map_err(failed)?.map_err(failed)
    }

    async fn purge(&self, what: Vec<Purge>, generations_too: bool) -> Result<Purged, Refusal> {
        let mut purged = Purged::default();
        self.inner.cache.settle(Duration::from_secs(2)).await;
        for one in what {
            let report = self.inner.cache.purge(one).await.map_err(failed)?;
            purged.removed += report.keys.max(report.blobs);
            purged.bytes += report.bytes;
        }
        if generations_too {
            let store = Arc::clone(&self.inner.generations);
            let gone = self.inner.runtime.spawn_blocking(move || store.remove_all()).await;
            purged = purged.and(gone.map_err(failed)?.map_err(failed)?);
        }
        self.forget_absences();
        self.inner.shards.forget();
        Ok(purged)
    }
}
