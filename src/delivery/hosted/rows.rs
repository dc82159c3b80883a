//! From the rows of the store to a generation, by the same steps as from upstream's document.
//!
//! Belongs here: reading rows, which of them count under a label, whether there is such a subdir at all. Does not: waiting (`index`).

use std::sync::Arc;

use super::{has_label, trouble};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::indexes::Key;
use crate::delivery::{Delivery, Refusal};
use crate::repodata::BuildError;
use crate::repodata::attach::Attach;
use crate::repodata::generation::Generation;
use crate::repodata::hosted::{HostedDocument, HostedRow, HostedWriter};
use crate::repodata::hosted_patches::HostedPatches;
use crate::repodata::store::Scratch;
use crate::snapshot::{Channel, Hosted};
use crate::store::model::{Package, PackageState};
use crate::store::{Store, StoreError};

/// Rows in memory at one time.
const PAGE: u32 = 1_000;

/// A document made of rows. The directory it lies in goes with it.
struct Spooled {
    document: HostedDocument,
    /// Whether any row counts under the label, whatever its state.
    has_rows: bool,
    _scratch: Scratch,
}

/// Why rows did not become a document.
enum Stop {
    Store(StoreError),
    Build(BuildError),
}

impl From<BuildError> for Stop {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
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
        let Some(id) = hosted.id() else {
            if let Some(current) = current {
                return Ok(current);
            }
            if !key.1.is_noarch() || key.0.label.is_some() {
                return Err(no_such_subdir(asked, &key.1));
            }
            let spooled = self.spool(None, hosted, key, None, None).await?;
            return self.build_rows(channel, key, spooled).await;
        };
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
        let spooled = self.spool(Some(store.clone()), hosted, key, Some(number), patches).await?;
        if !spooled.has_rows && !self.is_there_empty(&store, hosted, key).await? {
            let refusal = no_such_subdir(asked, &key.1);
            ledger.made(key, begun, number, Some(refusal.to_string()));
            self.drop_generation(key).await;
            return Err(refusal);
        }
        let made = match current.filter(|current| current.source_digest() == spooled.document.digest()) {
            Some(same) => self.looked_at(&same),
            None => self.build_rows(channel, key, spooled).await?,
        };
        ledger.made(key, begun, number, None);
        Ok(made)
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

    /// Reads the rows and writes the document. `number`: the store's counter before.
    async fn spool(
        &self,
        store: Option<Store>,
        hosted: &Hosted,
        key: &Key,
        number: Option<u64>,
        patches: Option<HostedPatches>,
    ) -> Result<Spooled, Refusal> {
        let (generations, runtime) = (Arc::clone(&self.inner.generations), self.inner.runtime.clone());
        let (id, key) = (hosted.id().cloned(), key.clone());
        let work = move || {
            let scratch = generations.scratch()?;
            let mut writer = HostedWriter::create(scratch.path(), key.1.as_str())?.patched(patches);
            let mut has_rows = false;
            if let (Some(store), Some(id)) = (store, id) {
                let mut after: Option<String> = None;
                loop {
                    let page = store.packages().list(&id, key.1.as_str(), after.as_deref(), PAGE);
                    let page = runtime.block_on(page).map_err(Stop::Store)?;
                    for row in page.iter().filter(|row| has_label(&row.labels, key.0.label.as_deref())) {
                        has_rows = true;
                        if row.state != PackageState::Deleted {
                            writer.add(&as_hosted(row))?;
                        }
                    }
                    let is_last = page.len() < PAGE as usize;
                    after = page.into_iter().next_back().map(|row| row.file);
                    if is_last {
                        break;
                    }
                }
            }
            Ok(Spooled { document: writer.finish(number)?, has_rows, _scratch: scratch })
        };
        match self.inner.runtime.spawn_blocking(work).await {
            Ok(Ok(spooled)) => Ok(spooled),
            Ok(Err(Stop::Store(error))) => Err(trouble(&error)),
            Ok(Err(Stop::Build(error))) => Err(crate::delivery::indexes::refusal_of(&error)),
            Err(_) => Err(Refusal::Internal("reading the packages failed inside; see the log".into())),
        }
    }

    async fn build_rows(
        &self,
        channel: &Arc<Channel>,
        key: &Key,
        spooled: Spooled,
    ) -> Result<Arc<Generation>, Refusal> {
        let work = self.work(channel, key).await;
        let run = move || work.run(&spooled.document, Packing::Json, None);
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
        let store = if is_patched { Some(self.inner.hosted.store().await?) } else { None };
        let spooled = match store {
            Some(store) => Some(self.spool(Some(store), hosted, key, None, None).await?),
            None => None,
        };
        let (generations, target) = (Arc::clone(&self.inner.generations), Arc::clone(generation));
        let limits = self.inner.settings.index.limits;
        let json = generation.variant(IndexFile::Repodata(Packing::Json));
        let made = self.blocking(move || {
            let (raw, _held) = match (spooled, json) {
                (Some(spooled), _) => (spooled.document.write_whole()?, Some(spooled)),
                (None, Some(json)) => (json.path.clone(), None),
                (None, None) => return Ok(()),
            };
            let (file, packing) = (IndexFile::FromPackages(Packing::Json), Packing::Json);
            generations.attach(&target, &Attach { file, raw: &raw, packing, modified_at: None, limits })
        });
        self.noted(generation, made.await)
    }
}

/// A row as the document needs it.
pub(super) fn as_hosted(row: &Package) -> HostedRow<'_> {
    HostedRow {
        file: &row.file,
        record: &row.record,
        sha256: &row.sha256,
        size: row.size,
        uploaded_at: row.uploaded_at,
        yanked: row.state == PackageState::Yanked,
    }
}

fn no_such_subdir(asked: &ChannelRef, subdir: &Subdir) -> Refusal {
    Refusal::NotFound(format!("the hosted channel `{asked}` has no packages for `{subdir}`"))
}
