//! Quotas, and letting go what nobody needs any more.
//!
//! Belongs here: how much a channel has; kept files that no row names. Does not: the cache's own budget (`cache`).

use std::time::Duration;

use ahash::AHashMap;
use parking_lot::Mutex;

use super::channels::GRACE;
use super::inspect::{self, Digests};
use super::retract::KEPT;
use super::{Desk, HostError, Hosting};
use crate::cache::Kept;
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::conda::digest::{Md5, Sha256};
use crate::store::Store;
use crate::store::model::{Channel, ChannelId, Package, PackageState};
use crate::store::repo::LONGEST_PAGE;

/// How long a count is believed; other gates upload too.
const BELIEVED: Duration = Duration::from_mins(5);
/// How old a kept file is before nobody can be about to name it: a crash came between the two, or its package was overwritten.
const ORPHAN: Duration = Duration::from_hours(24);
/// Kept files looked at in one go.
const PAGE: usize = 500;

/// Bytes of channels with a quota, and when they were counted.
#[derive(Default)]
pub(super) struct Usage(Mutex<AHashMap<ChannelId, (u64, UnixMillis)>>);

/// What a sweep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Rows of packages that were forgotten.
    pub rows: u64,
    /// Kept files that were deleted.
    pub files: u64,
}

impl Desk {
    pub(super) async fn check_quota(&self, channel: &Channel, more: u64) -> Result<(), HostError> {
        let Some(quota) = channel.quota else { return Ok(()) };
        let now = self.clock.now();
        let known = self.usage.0.lock().get(&channel.id).copied();
        let used = if let Some((used, _)) = known.filter(|(_, at)| now.since(*at) < BELIEVED) {
            used
        } else {
            let used = count(&self.store().await?, channel).await?;
            self.usage.0.lock().insert(channel.id.clone(), (used, now));
            used
        };
        if used.saturating_add(more) > quota {
            return Err(HostError::NoSpace(format!(
                "the channel `{}` may have {quota} bytes and has {used}; this package has {more}. Delete something, or ask for a larger quota",
                channel.name
            )));
        }
        Ok(())
    }

    pub(super) fn added(&self, channel: &Channel, bytes: u64) {
        if let Some((used, _)) = self.usage.0.lock().get_mut(&channel.id) {
            *used += bytes;
        }
    }

    pub(super) fn forget_usage(&self, channel: &Channel) {
        self.usage.0.lock().remove(&channel.id);
    }

    async fn forget_deleted(&self) -> Result<u64, HostError> {
        let (store, now) = (self.store().await?, self.clock.now());
        let (mut forgotten, mut last) = (0, None::<String>);
        loop {
            let page = store.channels().list(last.as_deref(), LONGEST_PAGE).await?;
            let Some(end) = page.last() else { return Ok(forgotten) };
            last = Some(end.name.clone());
            for channel in &page {
                let gone = channel.deleted_at.is_some_and(|at| now.since(at) > GRACE);
                forgotten += forget(&store, channel, |package| {
                    gone || (package.state == PackageState::Deleted && now.since(package.changed_at) > KEPT)
                })
                .await?;
            }
        }
    }
}

impl Hosting {
    /// Forgets what was deleted long ago, and deletes kept files that no row names.
    ///
    /// # Errors
    /// The store or the disk; what was done until then holds.
    pub async fn sweep(&self) -> Result<Swept, HostError> {
        let rows = self.desk().forget_deleted().await?;
        let files = self.walk_kept().await?;
        Ok(Swept { rows, files })
    }

    /// Goes once through all kept files, a page at a time: deletes those that no row names, and looks into packages whose contents are not
    /// known, because noting them failed or was lost. How many were deleted.
    async fn walk_kept(&self) -> Result<u64, HostError> {
        let store = self.desk().store().await?;
        let now = self.desk().clock.now();
        let (mut deleted, mut after) = (0, None::<Sha256>);
        loop {
            let page = self.0.cache.kept_before(now, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(deleted) };
            after = Some(last.sha256);
            let digests: Vec<_> = page.iter().map(|kept| kept.sha256).collect();
            let named = store.packages().of_digests(&digests).await?;
            let noted = self.0.cache.noted_among(digests).await?;
            for Kept { sha256, since } in page {
                match named.get(&sha256) {
                    Some(Some(row)) if !noted.contains(&sha256) => self.look_again(row).await?,
                    // Asked again: since the page was looked up, a package may have been published that names it.
                    None if now.since(since) > ORPHAN && !is_named(&store, &sha256).await? => {
                        self.0.cache.let_go(sha256).await?;
                        self.forget_contents(sha256).await;
                        deleted += 1;
                    }
                    Some(_) | None => {}
                }
            }
        }
    }

    async fn look_again(&self, row: &Package) -> Result<(), HostError> {
        let Some(file) = ArchiveName::parse(&row.file) else { return Ok(()) };
        let Some(blob) = self.0.cache.recall(row.sha256).await? else { return Ok(()) };
        let (sha256, size) = (row.sha256, row.size);
        let looked = tokio::task::spawn_blocking(move || {
            // The MD5 is in the row already, and nothing is made of it here.
            let digests = Digests { sha256, md5: Md5([0; 16]), size };
            inspect::inspect(blob.body().file(), &file, &digests, &inspect::Limits::of_known())
        });
        match looked.await {
            Ok(Ok(inspected)) => self.note_contents(row.sha256, &inspected).await,
            Ok(Err(error)) => {
                tracing::warn!(file = %row.file, %error, "a hosted package can't be looked into");
            }
            Err(_) => {}
        }
        Ok(())
    }
}

async fn is_named(store: &Store, digest: &Sha256) -> Result<bool, HostError> {
    Ok(!store.packages().by_digest(digest, 1).await?.is_empty()
        || store.packages().has_attestations(digest).await?)
}

async fn count(store: &Store, channel: &Channel) -> Result<u64, HostError> {
    let (mut used, mut walk) = (0, Walk::default());
    while let Some(page) = walk.next(store, channel).await? {
        used += page.iter().filter(|p| p.state != PackageState::Deleted).map(|p| p.size).sum::<u64>();
    }
    Ok(used)
}

async fn forget(
    store: &Store,
    channel: &Channel,
    is_old: impl Fn(&Package) -> bool + Send,
) -> Result<u64, HostError> {
    let (mut forgotten, mut walk) = (0, Walk::default());
    while let Some(page) = walk.next(store, channel).await? {
        for package in page.iter().filter(|package| is_old(package)) {
            store.packages().forget(&package.channel, &package.subdir, &package.file).await?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}

/// Goes through all packages of a channel, page by page.
#[derive(Default)]
struct Walk {
    after: Option<(String, String)>,
}

impl Walk {
    async fn next(&mut self, store: &Store, channel: &Channel) -> Result<Option<Vec<Package>>, HostError> {
        let behind = self.after.as_ref().map(|(subdir, file)| (subdir.as_str(), file.as_str()));
        let page = store.packages().list_all(&channel.id, behind, LONGEST_PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = Some((last.subdir.clone(), last.file.clone()));
        Ok(Some(page))
    }
}
