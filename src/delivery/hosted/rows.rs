//! From the rows of the store to a generation, by the same steps as from upstream's document.
//!
//! Belongs here: whether there is something to build, whether there is such a subdir at all. Does not: reading rows (`reading`), waiting
//! (`index`).

use std::sync::Arc;

use super::trouble;
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::indexes::{Key, refusal_of};
use crate::delivery::{Delivery, Refusal};
use crate::repodata::attach::Attach;
use crate::repodata::generation::Generation;
use crate::repodata::hosted::HostedDocument;
use crate::repodata::hosted_patches::HostedPatches;
use crate::snapshot::{Channel, Hosted};
use crate::store::Store;

/// What an index is made of.
struct Making<'a> {
    channel: &'a Arc<Channel>,
    hosted: &'a Hosted,
    asked: &'a ChannelRef,
    key: &'a Key,
    store: Store,
    /// The store's counter before.
    number: u64,
    patches: Option<HostedPatches>,
    current: Option<Arc<Generation>>,
}

/// What came of it.
enum Came {
    Index(Arc<Generation>),
    /// No package counts here.
    NoSuchSubdir,
}

impl Delivery {
    /// Makes what is in the store now the current generation, unless that says so already.
    pub(in crate::delivery) async fn refresh_hosted(
        &self,
        channel: &Arc<Channel>,
        hosted: &Hosted,
        asked: &ChannelRef,
        key: &Key,
    ) -> Result<Arc<Generation>, Refusal> {
        super::exists(hosted)?;
        // First, so that what is told while others build is in what is read then.
        let _build = self.inner.indexes.builds.acquire().await;
        let current = self.trusted(key).await;
        let current = current.filter(|current| self.is_ruled(channel, &key.1, current));
        let Some(id) = hosted.id() else { return self.refresh_empty(channel, asked, key, current).await };
        let ledger = &self.inner.hosted.shelf;
        let begun = ledger.begin(&(id.clone(), key.1.clone()));
        let store = self.inner.hosted.store().await?;
        let number = store.settings().revision().await.map_err(|error| trouble(&error))?;
        let patches = self.hosted_patches(&store, hosted, key).await?;
        if let Some(current) = &current
            && current.source_patches().as_ref() == patches.as_ref().map(HostedPatches::package)
            && let Some(made_at) = current.source_number()
        {
            let changed = store.packages().is_changed(id, key.1.as_str(), made_at).await;
            if !changed.map_err(|error| trouble(&error))? {
                ledger.made(key, begun, number, None);
                return Ok(self.looked_at(current));
            }
        }
        match self.make(Making { channel, hosted, asked, key, store, number, patches, current }).await? {
            Came::Index(made) => {
                ledger.made(key, begun, number, None);
                Ok(made)
            }
            Came::NoSuchSubdir => {
                let refusal = no_such_subdir(asked, &key.1);
                ledger.made(key, begun, number, Some(refusal.to_string()));
                self.drop_generation(key).await;
                Err(refusal)
            }
        }
    }

    /// The index of a channel of which the store knows nothing.
    async fn refresh_empty(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        key: &Key,
        current: Option<Arc<Generation>>,
    ) -> Result<Arc<Generation>, Refusal> {
        if let Some(current) = current {
            return Ok(current);
        }
        if !key.1.is_noarch() || key.0.label.is_some() {
            return Err(no_such_subdir(asked, &key.1));
        }
        let rows = self.read_rows(None, key, None, None).await?;
        let document = HostedDocument::new(rows, None).map_err(|error| refusal_of(&error))?;
        self.build_rows(channel, key, Arc::new(document)).await
    }

    /// Of the rows that changed, and what was kept of the others; of all rows where that does not work.
    async fn make(&self, making: Making<'_>) -> Result<Came, Refusal> {
        let last = self.inner.hosted.kept.take(making.key);
        let had_last = last.is_some();
        match self.make_with(&making, last).await {
            Err(refusal) if had_last && !matches!(refusal, Refusal::Unavailable { .. }) => {
                tracing::warn!(channel = %making.asked, subdir = %making.key.1, %refusal, "an index is made of all packages anew");
                self.make_with(&making, None).await
            }
            came => came,
        }
    }

    async fn make_with(&self, making: &Making<'_>, last: Option<HostedDocument>) -> Result<Came, Refusal> {
        let Making { channel, hosted, key, store, number, patches, current, .. } = making;
        let from = hosted.id().map(|id| (store.clone(), id.clone()));
        let rows = self.read_rows(from, key, patches.clone(), last).await?;
        if !rows.has_any() && !self.is_there_empty(store, hosted, key).await? {
            return Ok(Came::NoSuchSubdir);
        }
        let document = HostedDocument::new(rows, Some(*number)).map_err(|error| refusal_of(&error))?;
        let document = Arc::new(document);
        let made = match current.as_ref().filter(|current| current.source_digest() == document.digest()) {
            Some(same) => self.looked_at(same),
            None => self.build_rows(channel, key, Arc::clone(&document)).await?,
        };
        if let Some(document) = Arc::into_inner(document) {
            self.inner.hosted.kept.put(key, document);
        }
        Ok(Came::Index(made))
    }

    /// The same generation, found to be what is in the store.
    fn looked_at(&self, current: &Arc<Generation>) -> Arc<Generation> {
        if let Err(error) = self.inner.generations.touch(current, self.inner.clock.now()) {
            tracing::warn!(%error, "a look at the store could not be noted; it will be repeated after a restart");
        }
        Arc::clone(current)
    }

    /// Whether a subdir without rows exists all the same: `noarch`, of the channel and of every label that anything has.
    async fn is_there_empty(&self, store: &Store, hosted: &Hosted, key: &Key) -> Result<bool, Refusal> {
        match (&key.0.label, hosted.id()) {
            _ if !key.1.is_noarch() => Ok(false),
            (Some(label), Some(id)) => {
                store.packages().has_label(id, label).await.map_err(|error| trouble(&error))
            }
            (None, _) => Ok(true),
            (Some(_), None) => Ok(false),
        }
    }

    /// Its rows are gone for good.
    async fn drop_generation(&self, key: &Key) {
        let (store, (channel, subdir)) = (Arc::clone(&self.inner.generations), key.clone());
        if !store.is_stored(&channel, &subdir) {
            return;
        }
        if let Err(refusal) = self.blocking(move || store.remove(&channel, &subdir)).await {
            tracing::warn!(%refusal, "the index of a subdir without packages can't be removed");
        }
    }

    async fn build_rows(
        &self,
        channel: &Arc<Channel>,
        key: &Key,
        document: Arc<HostedDocument>,
    ) -> Result<Arc<Generation>, Refusal> {
        let work = self.work(channel, key).await;
        let run = move || work.run(&*document, Packing::Json, None);
        self.built(channel, key, "", run).await
    }

    /// Makes `repodata_from_packages.json` part of a generation: the records as they were uploaded, of those files that are shown.
    pub(in crate::delivery) async fn join_from_packages(
        &self,
        hosted: &Hosted,
        key: &Key,
        generation: &Arc<Generation>,
    ) -> Result<(), Refusal> {
        let _build = self.inner.indexes.builds.acquire().await;
        let is_patched =
            !generation.manifest().judged.patched.is_empty() || generation.source_patches().is_some();
        let rows = match hosted.id().filter(|_| is_patched) {
            Some(id) => {
                let from = Some((self.inner.hosted.store().await?, id.clone()));
                Some(self.read_rows(from, key, None, None).await?)
            }
            None => None,
        };
        let (generations, target) = (Arc::clone(&self.inner.generations), Arc::clone(generation));
        let limits = self.inner.settings.index.limits;
        let json = generation.variant(IndexFile::Repodata(Packing::Json));
        let made = self.blocking(move || {
            let document = rows.map(|rows| HostedDocument::new(rows, None)).transpose()?;
            let (raw, _held) = match (document, json) {
                (Some(document), _) => (document.write_whole()?, Some(document)),
                (None, Some(json)) => (json.path.clone(), None),
                (None, None) => return Ok(()),
            };
            let (file, packing) = (IndexFile::FromPackages(Packing::Json), Packing::Json);
            generations.attach(&target, &Attach { file, raw: &raw, packing, modified_at: None, limits })
        });
        self.noted(generation, made.await)
    }
}

fn no_such_subdir(asked: &ChannelRef, subdir: &Subdir) -> Refusal {
    Refusal::NotFound(format!("the hosted channel `{asked}` has no packages for `{subdir}`"))
}
