//! Keeps the shelf abreast of the store: asks every second what changed, in all hosted channels at once.
//!
//! Belongs here: when the store is asked, and who is told. Does not: what it means for an index (`shelf`, `index`).

use std::time::Duration;

use ahash::AHashMap;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::shelf::Health;
use crate::conda::patches;
use crate::conda::subdir::Subdir;
use crate::delivery::Delivery;
use crate::store::StoreError;
use crate::store::engine::PENDING;
use crate::store::model::ChannelId;
use crate::store::repo::{PackageChanges, place_of_gone};

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(1);
/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Rows that are told one by one; after more, every index is looked at anew.
const ROWS: u32 = 5_000;
/// One look in so many asks for the rows even where the counter stands still: a writer that died may have left some.
const THOROUGH: u32 = 10;

/// How far the store was followed.
#[derive(Default)]
struct Follower {
    since: Option<u64>,
    looks: u32,
    /// Rows without a number that were told already, by key, at that revision: they are told again and again.
    pending: AHashMap<String, u64>,
    /// The store's trouble as it was logged last.
    trouble: Option<String>,
}

impl Delivery {
    /// Follows the store until `stop` ends.
    pub async fn follow_hosted(&self, stop: impl Future<Output = ()>) {
        let mut follower = Follower::default();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = ticks.tick() => self.look_at_store(&mut follower).await,
            }
        }
    }

    async fn look_at_store(&self, follower: &mut Follower) {
        let late = |_| StoreError::Unavailable { why: "it did not answer in time".to_owned() };
        let asked = timeout(PATIENCE, self.ask_store(follower)).await.map_err(late);
        let ledger = &self.inner.hosted.shelf;
        match asked.and_then(|answer| answer) {
            Ok(()) => {
                ledger.set_health(Health::Good);
                if follower.trouble.take().is_some() {
                    tracing::info!("the store of hosted channels answers again");
                }
            }
            Err(error) => {
                ledger.set_health(Health::Bad);
                let error = error.to_string();
                if follower.trouble.as_ref() != Some(&error) {
                    tracing::warn!(%error, "the store can't be asked what changed in hosted channels; they are served as they were");
                    follower.trouble = Some(error);
                }
            }
        }
    }

    async fn ask_store(&self, follower: &mut Follower) -> Result<(), StoreError> {
        let (hosted, store) = (&self.inner.hosted, self.inner.hosted.store.get().await?);
        let Some(since) = follower.since else {
            follower.since = Some(store.settings().revision().await?);
            hosted.shelf.follow();
            return Ok(());
        };
        follower.looks = follower.looks.wrapping_add(1);
        if !follower.looks.is_multiple_of(THOROUGH) && store.settings().revision().await? == since {
            return Ok(());
        }
        let changes = store.packages().changed(since, ROWS).await?;
        follower.since = Some(changes.upto);
        if changes.complete {
            self.tell_shelf(follower, &changes);
        } else {
            hosted.shelf.forget();
        }
        Ok(())
    }

    fn tell_shelf(&self, follower: &mut Follower, changes: &PackageChanges) {
        let ledger = &self.inner.hosted.shelf;
        let mut pending = AHashMap::new();
        let mut tell_once = |key: String, revision: u64, channel: &ChannelId, subdir: &Subdir| {
            let is_new = follower.pending.get(&key) != Some(&revision);
            if is_new {
                ledger.changed(channel, subdir);
            }
            pending.insert(key, revision);
            is_new
        };
        for (row, number) in &changes.packages {
            let Some(subdir) = Subdir::parse(&row.subdir) else { continue };
            if let Some(number) = number {
                ledger.numbered(&row.channel, &subdir, *number);
                if patches::is_patches(&row.name) {
                    ledger.changed_everywhere(&row.channel, Some(*number));
                }
            } else {
                let key = format!("{}/{subdir}/{}", row.channel, row.file);
                if tell_once(key, row.revision, &row.channel, &subdir) && patches::is_patches(&row.name) {
                    ledger.changed_everywhere(&row.channel, None);
                }
            }
        }
        for gone in &changes.gone {
            let Some((channel, subdir)) = place_of_gone(gone) else { continue };
            let Some(subdir) = Subdir::parse(&subdir) else { continue };
            if gone.changed == PENDING {
                tell_once(gone.id.clone(), 0, &channel, &subdir);
            } else {
                ledger.numbered(&channel, &subdir, gone.changed.cast_unsigned());
            }
        }
        follower.pending = pending;
    }
}
