//! Files of hosted channels.
//!
//! An index that is up to date knows every file; otherwise the file's own row is asked for, so that nobody waits for a build to download.
//!
//! Belongs here: from a name to a blob. Does not: what rules say (`rulings`), what an index shows (`rows`).

use std::sync::Arc;
use std::time::Duration;

use super::reading::as_hosted;
use super::{exists, has_label, trouble};
use crate::cache::Blob;
use crate::conda::digest::Sha256;
use crate::delivery::indexes::refusal_of;
use crate::delivery::packages::{PackageAsk, blob_answer};
use crate::delivery::rulings::Wanted;
use crate::delivery::{Answer, Delivery, Outcome, Refusal};
use crate::repodata::generation::Generation;
use crate::repodata::hosted::known_file;
use crate::repodata::table::Stance;
use crate::snapshot::Hosted;
use crate::store::model::PackageState;

impl Delivery {
    /// A package archive.
    pub(in crate::delivery) async fn hosted_package(
        &self,
        ask: &PackageAsk,
        hosted: &Hosted,
    ) -> Result<Answer, Refusal> {
        exists(hosted)?;
        let key = (ask.channel.stored_as(&ask.asked), ask.subdir.clone());
        let current = self.trusted(&key).await;
        if let Some(current) = current.as_ref().filter(|_| self.is_hosted_current(hosted, &key)) {
            return self.hosted_package_listed(ask, current).await;
        }
        match (self.hosted_package_of_row(ask, hosted).await, current) {
            // What an older index says is better than nothing.
            (Err(Refusal::Unavailable { .. }), Some(current)) if self.is_store_in_trouble() => {
                self.hosted_package_listed(ask, &current).await
            }
            (answer, _) => answer,
        }
    }

    /// By the table of an index: it lists what is shown, what rules hide and what was yanked.
    async fn hosted_package_listed(
        &self,
        ask: &PackageAsk,
        generation: &Arc<Generation>,
    ) -> Result<Answer, Refusal> {
        let entry = generation.find(ask.archive.as_str()).map_err(|error| refusal_of(&error))?;
        let entry = entry.ok_or_else(|| absent(ask.wanted()))?;
        match self.stance_now(&ask.channel, &ask.subdir, generation, &entry) {
            Some(Stance::Open | Stance::Kept) => {}
            Some(Stance::Refused) | None => self.rule_listed(ask.wanted(), generation).await?,
        }
        let sha256 = entry.expected.sha256.ok_or_else(|| absent(ask.wanted()))?;
        self.hosted_blob(ask, &sha256).await
    }

    /// By its row.
    async fn hosted_package_of_row(&self, ask: &PackageAsk, hosted: &Hosted) -> Result<Answer, Refusal> {
        let id = hosted.id().ok_or_else(|| absent(ask.wanted()))?;
        let store = self.inner.hosted.store().await?;
        let found = store.packages().get(id, ask.subdir.as_str(), ask.archive.as_str()).await;
        let label = ask.channel.stored_as(&ask.asked).label;
        let row = found
            .map_err(|error| trouble(&error))?
            .filter(|row| row.state != PackageState::Deleted && has_label(&row.labels, label.as_deref()));
        let row = row.ok_or_else(|| absent(ask.wanted()))?;
        // Rules see records as the index has them.
        let patches = if ask.channel.judge(&ask.subdir).is_idle() {
            None
        } else {
            let key = (ask.channel.stored_as(&ask.asked), ask.subdir.clone());
            self.hosted_patches(&store, hosted, &key).await?
        };
        let known = known_file(&as_hosted(&row), patches.as_ref());
        let known = known.ok_or_else(|| absent(ask.wanted()))?;
        self.rule_known(ask.wanted(), &known)?;
        self.hosted_blob(ask, &row.sha256).await
    }

    /// A kept file, whatever became of its blob.
    pub(super) async fn kept_blob(&self, sha256: &Sha256) -> Option<Arc<Blob>> {
        if let Some(blob) = self.inner.cache.find(sha256).await {
            return Some(blob);
        }
        self.inner.cache.recall(*sha256).await.unwrap_or_else(|error| {
            tracing::error!(%error, digest = %sha256, "a hosted file can't be read");
            None
        })
    }

    async fn hosted_blob(&self, ask: &PackageAsk, sha256: &Sha256) -> Result<Answer, Refusal> {
        if let Some(blob) = self.kept_blob(sha256).await {
            return Ok(blob_answer(blob, &ask.archive, Outcome::Hit));
        }
        let place = ask.wanted().place();
        tracing::error!(file = %place, digest = %sha256, "the bytes of a hosted package are not here; restore them from a backup, or upload it again");
        self.inner.events.blob_missing(&ask.channel.label);
        Err(Refusal::Unavailable {
            message: format!(
                "the bytes of {place} are missing on this gate; those who run it find more in its log, and can restore them"
            ),
            retry_after: Some(Duration::from_mins(1)),
        })
    }
}

pub(super) fn absent(wanted: Wanted<'_>) -> Refusal {
    Refusal::NotFound(format!("there is no file {} (it was never uploaded, or was deleted)", wanted.place()))
}
