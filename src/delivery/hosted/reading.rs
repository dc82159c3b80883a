//! Reading rows: all of a subdir, or those that changed since its last index was made.
//!
//! What the last index was made of is kept for a while, as long as it fits. Whatever is wrong with it, all rows are read instead.
//!
//! Belongs here: which rows are read, which of them count under a label. Does not: what a row becomes (`repodata::hosted`).

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Memo;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{has_label, trouble};
use crate::delivery::indexes::{Key, refusal_of};
use crate::delivery::{Delivery, Refusal};
use crate::repodata::BuildError;
use crate::repodata::hosted::{HostedDocument, HostedRow, HostedRows};
use crate::repodata::hosted_patches::HostedPatches;
use crate::store::model::{ChannelId, Package, PackageState};
use crate::store::{Store, StoreError};

/// Rows in memory at one time.
const PAGE: u32 = 1_000;
/// Changed rows that are read one by one; behind more, all rows are read.
const CHANGES: u32 = 900;
/// Bytes of memory for what is kept.
const ROOM: u64 = 64 << 20;
/// What no upload needed for so long is read anew.
const IDLE: Duration = Duration::from_mins(30);

/// What the last indexes were made of.
pub(super) struct KeptRows(Memo<Key, Arc<Slot>>);

/// Taken out while it is changed.
struct Slot {
    weight: u32,
    document: Mutex<Option<HostedDocument>>,
}

impl Default for KeptRows {
    fn default() -> Self {
        let kept = Memo::builder().max_capacity(ROOM).time_to_idle(IDLE);
        Self(kept.weigher(|_, slot: &Arc<Slot>| slot.weight).build())
    }
}

impl KeptRows {
    pub(super) fn take(&self, key: &Key) -> Option<HostedDocument> {
        self.0.get(key)?.document.lock().take()
    }

    pub(super) fn put(&self, key: &Key, document: HostedDocument) {
        let weight = u32::try_from(document.rows().weight()).unwrap_or(u32::MAX);
        if document.rows().is_worth_keeping() && u64::from(weight) <= ROOM {
            self.0.insert(key.clone(), Arc::new(Slot { weight, document: Mutex::new(Some(document)) }));
        } else {
            self.0.invalidate(key);
        }
    }
}

/// Why rows were not read.
enum Stop {
    Store(StoreError),
    Build(BuildError),
}

impl From<BuildError> for Stop {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

/// The rows of one index.
struct Reading {
    store: Store,
    id: ChannelId,
    key: Key,
    runtime: Handle,
}

impl Delivery {
    /// The rows of an index as they are now. `last`: what its last index was made of, to go on from.
    pub(super) async fn read_rows(
        &self,
        from: Option<(Store, ChannelId)>,
        key: &Key,
        patches: Option<HostedPatches>,
        last: Option<HostedDocument>,
    ) -> Result<HostedRows, Refusal> {
        let (generations, runtime) = (Arc::clone(&self.inner.generations), self.inner.runtime.clone());
        let (key, begun) = (key.clone(), Instant::now());
        let work = move || {
            let fresh = || HostedRows::create(generations.scratch()?, key.1.as_str(), patches.clone());
            let Some((store, id)) = from else { return Ok((fresh()?, 0)) };
            let reading = Reading { store, id, key: key.clone(), runtime };
            let last = last.filter(|last| last.rows().is_with(patches.as_ref()));
            if let Some((since, rows)) = last.and_then(|last| Some((last.number()?, last.into_rows())))
                && let Some(all) = reading.changed(rows, since)?
            {
                return Ok(all);
            }
            let mut rows = fresh()?;
            let read = reading.all(&mut rows)?;
            Ok((rows, read))
        };
        match self.inner.runtime.spawn_blocking(work).await {
            Ok(Ok((rows, read))) => {
                self.inner.events.rows_read(read, begun.elapsed());
                Ok(rows)
            }
            Ok(Err(Stop::Store(error))) => Err(trouble(&error)),
            Ok(Err(Stop::Build(error))) => Err(refusal_of(&error)),
            Err(_) => Err(Refusal::Internal("reading the packages failed inside; see the log".into())),
        }
    }
}

impl Reading {
    /// Reads all of them; how many.
    fn all(&self, rows: &mut HostedRows) -> Result<u64, Stop> {
        let (mut after, mut read): (Option<String>, u64) = (None, 0);
        loop {
            let page = self.store.packages().list(&self.id, self.key.1.as_str(), after.as_deref(), PAGE);
            let page = self.runtime.block_on(page).map_err(Stop::Store)?;
            page.iter().try_for_each(|row| self.put(rows, row))?;
            read += page.len() as u64;
            let is_last = page.len() < PAGE as usize;
            after = page.into_iter().next_back().map(|row| row.file);
            if is_last {
                return Ok(read);
            }
        }
    }

    /// Goes on from `rows`, which say everything up to a number, and says how many were read; `None` where all rows have to be read.
    fn changed(&self, mut rows: HostedRows, since: u64) -> Result<Option<(HostedRows, u64)>, Stop> {
        let changes = self.store.packages().changed_in(&self.id, self.key.1.as_str(), since, CHANGES);
        let changes = self.runtime.block_on(changes).map_err(Stop::Store)?;
        if !changes.complete {
            return Ok(None);
        }
        let mut follow = || {
            for file in &changes.gone {
                // Its remover may have been stopped before it removed the row, and who adds it again may be faster than this.
                let row = self.store.packages().get(&self.id, self.key.1.as_str(), file);
                match self.runtime.block_on(row).map_err(Stop::Store)? {
                    Some(row) => self.put(&mut rows, &row)?,
                    None => rows.remove(file)?,
                }
            }
            changes.packages.iter().try_for_each(|row| self.put(&mut rows, row)).map_err(Stop::Build)
        };
        match follow() {
            Ok(()) => Ok(Some((rows, (changes.gone.len() + changes.packages.len()) as u64))),
            Err(Stop::Build(error)) => {
                tracing::warn!(%error, "what an index was made of last can't be used; all packages are read");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn put(&self, rows: &mut HostedRows, row: &Package) -> Result<(), BuildError> {
        if !has_label(&row.labels, self.key.0.label.as_deref()) {
            rows.remove(&row.file)
        } else if row.state == PackageState::Deleted {
            rows.set_absent(&row.file)
        } else {
            rows.set(&as_hosted(row))
        }
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
