//! The index of a hosted channel: the one in force if nothing changed since, else one that has what changed.
//!
//! Who has uploaded something finds it in the next index it asks for: a request waits for an index that has everything that was there when
//! it began. Many changes in a row cost one build at a time, each with all that was there when it began.
//!
//! Belongs here: whether an index is up to date, waiting. Does not: making it (`rows`).

use std::sync::Arc;
use std::time::Duration;

use super::shelf::{Health, Mark, Worth};
use super::{exists, trouble};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::delivery::indexes::Key;
use crate::delivery::{Delivery, Outcome, Refusal};
use crate::repodata::generation::Generation;
use crate::snapshot::{Channel, Hosted};

/// How many builds a request waits for: one that was under way, and one that has what it wants; one more where the gate had to begin
/// anew.
const ROUNDS: usize = 3;

impl Delivery {
    /// The generation in force, up to date unless the store is in trouble or takes too long.
    pub(in crate::delivery) async fn hosted_generation(
        &self,
        channel: &Arc<Channel>,
        hosted: &Hosted,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Result<(Arc<Generation>, Outcome), Refusal> {
        exists(hosted)?;
        let key = (channel.stored_as(asked), subdir.clone());
        let current = self.trusted(&key).await;
        match (self.worth(hosted, &key), current) {
            (Worth::UpToDate, Some(current)) => {
                self.note_use(&key, asked, channel.audience());
                if !self.is_due(channel, subdir, current.timing()) {
                    return Ok((current, Outcome::Hit));
                }
                self.refresh_behind(channel, asked, subdir);
                Ok((current, Outcome::Stale))
            }
            (Worth::Absent(sentence), None) => Err(Refusal::NotFound(sentence)),
            (_, current) => self.newer_generation(channel, hosted, asked, &key, current).await,
        }
    }

    /// The subdirs of a hosted channel that have rows.
    pub(in crate::delivery) async fn hosted_subdirs(&self, hosted: &Hosted) -> Result<Vec<Subdir>, Refusal> {
        let Some(id) = hosted.id() else { return Ok(Vec::new()) };
        let store = self.inner.hosted.store().await?;
        let (mut all, mut last) = (Vec::new(), None::<String>);
        loop {
            // Behind every file of the last one.
            let after = last.as_deref().map(|subdir| (subdir, "\u{10ffff}"));
            let page = store.packages().list_all(id, after, 1).await.map_err(|error| trouble(&error))?;
            let Some(row) = page.into_iter().next() else { return Ok(all) };
            all.extend(Subdir::parse(&row.subdir));
            last = Some(row.subdir);
        }
    }

    /// Whether nothing has changed since the index under `key` was made. Asks nobody.
    fn worth(&self, hosted: &Hosted, key: &Key) -> Worth {
        match hosted.id() {
            Some(id) => self.inner.hosted.shelf.worth(key, &(id.clone(), key.1.clone())),
            // Nothing was ever uploaded; when that changes, it is another channel.
            None => Worth::UpToDate,
        }
    }

    /// Whether the index in force, if any, has everything that is in the store, as far as this gate has heard.
    pub(in crate::delivery) fn is_hosted_current(&self, hosted: &Hosted, key: &Key) -> bool {
        self.worth(hosted, key) != Worth::Behind
    }

    /// Whether the store does not answer; then nobody waits for it who can be served otherwise.
    pub(in crate::delivery) fn is_store_in_trouble(&self) -> bool {
        self.inner.hosted.shelf.health() == Health::Bad
    }

    /// Waits for an index with everything that is in the store now; `current` is served where that can't be had.
    async fn newer_generation(
        &self,
        channel: &Arc<Channel>,
        hosted: &Hosted,
        asked: &ChannelRef,
        key: &Key,
        current: Option<Arc<Generation>>,
    ) -> Result<(Arc<Generation>, Outcome), Refusal> {
        let hopeless = match self.inner.hosted.shelf.health() {
            Health::Good => false,
            Health::Unknown => self.is_resting(key),
            Health::Bad => true,
        };
        if let Some(current) = current.as_ref().filter(|_| hopeless) {
            self.note_use(key, asked, channel.audience());
            self.refresh_behind(channel, asked, &key.1);
            return Ok((Arc::clone(current), Outcome::Stale));
        }
        let wanted = hosted.id().map(|id| self.inner.hosted.shelf.wanted(&(id.clone(), key.1.clone())));
        let building = self.build_that_covers(channel, asked, key, wanted);
        let came = match tokio::time::timeout(self.inner.settings.patience, building).await {
            Ok(Err(refusal @ Refusal::NotFound(_))) => return Err(refusal),
            Ok(came) => came,
            Err(_) => Err(Refusal::Unavailable {
                message: format!("the index of `{asked}/{}` is still being made; ask again shortly", key.1),
                retry_after: Some(Duration::from_secs(10)),
            }),
        };
        self.note_use(key, asked, channel.audience());
        match (came, current) {
            (Ok(fresh), _) => Ok((fresh, Outcome::Fill)),
            (Err(_), Some(current)) => Ok((current, Outcome::Stale)),
            (Err(refusal), None) => Err(refusal),
        }
    }

    /// Joins builds until one covers what is wanted. `wanted`: `None` for a channel of which the store knows nothing.
    async fn build_that_covers(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        key: &Key,
        wanted: Option<Mark>,
    ) -> Result<Arc<Generation>, Refusal> {
        let mut came = Err(Refusal::unavailable("nothing was built"));
        for _ in 0..ROUNDS {
            came = self.refresh(channel, asked, &key.1).await;
            let has_all = wanted.is_none_or(|wanted| self.inner.hosted.shelf.covers(key, wanted));
            match &came {
                Ok(_) | Err(Refusal::NotFound(_)) if !has_all => {}
                _ => return came,
            }
        }
        came
    }
}
