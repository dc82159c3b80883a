//! Channels that this gate hosts: their indexes are made of the rows of the store, their files are in the cache.
//!
//! Whoever changes rows says so ([`Delivery::hosted_changed`]), and a follower asks the store once a second what other gates have changed.
//! As long as nothing changed, requests ask the store nothing.
//!
//! | file | what |
//! |---|---|
//! | `shelf` | what changed, and which indexes were made since |
//! | `follow` | what other gates changed |
//! | `index` | the index in force: whether it is up to date, waiting for one that is |
//! | `rows` | from rows to a generation |
//! | `reading` | which rows are read: all of them, or those that changed |
//! | `patches` | what a package of the channel changes in its records |
//! | `packages` | files |
//! | `documents` | documents of the whole channel, attestations |
//! | `fates` | what becomes of packages, by their rows |
//!
//! Belongs here: when the store is asked, and what its trouble means to a client. Does not: what a row becomes (`repodata::hosted`),
//! uploads and other changes (`channel`).

mod documents;
mod fates;
mod follow;
mod index;
mod packages;
mod patches;
mod reading;
mod rows;
mod shelf;

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Memo;
use tokio::time::timeout;

use super::{Delivery, Refusal};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::snapshot::{Hosted, HostedRow};
use crate::store::lazy::LazyStore;
use crate::store::model::ChannelId;
use crate::store::{Store, StoreError};
use documents::Kept;
pub use patches::Opener;
use patches::Patching;
use reading::KeptRows;
use shelf::Shelf;

/// The longest wait for the store to be opened.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to come again while the store can't be asked.
const SOON: Duration = Duration::from_secs(5);
/// The label of rows without labels.
const MAIN: &str = "main";

/// What is remembered between requests.
pub(super) struct HostedState {
    store: LazyStore,
    shelf: Shelf,
    documents: Memo<(ChannelRef, String), Kept>,
    patching: Patching,
    kept: KeptRows,
}

/// Documents of channels that are kept.
const DOCUMENTS: u64 = 200;

impl HostedState {
    pub(super) fn new(store: LazyStore, opener: Arc<dyn Opener>) -> Self {
        let patching = Patching::new(opener);
        Self {
            store,
            shelf: Shelf::default(),
            documents: Memo::new(DOCUMENTS),
            patching,
            kept: KeptRows::default(),
        }
    }

    async fn store(&self) -> Result<Store, Refusal> {
        let late = |_| StoreError::Unavailable { why: "it was not opened in time".to_owned() };
        let opened = timeout(PATIENCE, self.store.get()).await.map_err(late);
        opened.and_then(|opened| opened).map_err(|error| trouble(&error))
    }
}

impl Delivery {
    /// Says that rows of a subdir have changed and are durable. Requests that begin from now on see them.
    pub fn hosted_changed(&self, channel: &ChannelId, subdir: &Subdir) {
        self.inner.hosted.shelf.changed(channel, subdir);
    }

    /// Says that something has changed, and is durable, that every index of a channel is made with.
    pub fn hosted_changed_everywhere(&self, channel: &ChannelId) {
        self.inner.hosted.shelf.changed_everywhere(channel, None);
    }
}

/// The store's trouble as clients hear of it; what it says itself is for the log.
fn trouble(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "the store of hosted channels can't be asked");
    Refusal::Unavailable {
        message: "the store of hosted channels can't be asked at the moment, and those who run this gate find the reason in its log; ask \
                  again shortly"
            .to_owned(),
        retry_after: Some(SOON),
    }
}

/// Refuses what was deleted, and what nobody knows yet.
pub(super) fn exists(hosted: &Hosted) -> Result<(), Refusal> {
    if hosted.deleted {
        return Err(Refusal::NotFound(format!(
            "the channel `{}` was deleted; its name stays with this gate and is not looked for anywhere else",
            hosted.name
        )));
    }
    if hosted.row == HostedRow::Unknown {
        return Err(Refusal::Unavailable {
            message: format!(
                "what is in the hosted channel `{}` is not known before the store was read; ask again shortly",
                hosted.name
            ),
            retry_after: Some(SOON),
        });
    }
    Ok(())
}

/// Whether a package with these labels is there under a label; `None`: without one.
fn has_label(labels: &[String], label: Option<&str>) -> bool {
    let label = label.unwrap_or(MAIN);
    labels.iter().any(|has| has == label) || (labels.is_empty() && label == MAIN)
}

#[cfg(test)]
mod tests {
    use super::has_label;

    #[test]
    fn a_package_without_labels_is_main() {
        let labels = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        for (has, label, shown) in [
            (&[][..], None, true),
            (&[], Some("dev"), false),
            (&["main"], None, true),
            (&["dev"], None, false),
            (&["dev", "main"], None, true),
            (&["dev", "main"], Some("dev"), true),
            (&["dev/x"], Some("dev"), false),
        ] {
            assert_eq!(has_label(&labels(has), label), shown, "{has:?} {label:?}");
        }
    }
}
