//! The channels and packages in the store, for what needs no bytes: a gate is not needed either.
//!
//! Belongs here: the handle, finding a channel, writing down who did what. Does not: what is done (`channels`, `retract`, `promote`).

use std::sync::Arc;

use async_trait::async_trait;

use super::sweep::Usage;
use super::view::ChannelView;
use super::{Author, ChannelSettings, HostError, Published};
use crate::clock::SharedClock;
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::patches;
use crate::conda::subdir::Subdir;
use crate::policy::HostedRule;
use crate::store::lazy::LazyStore;
use crate::store::model::{Channel, Package};

use crate::store::{Store, StoreError};

/// Who makes indexes, and wants to know at once what changed.
#[async_trait]
pub trait Told: Send + Sync {
    /// Rows of a channel's subdir have changed in the store.
    fn changed(&self, channel: &Channel, subdir: &Subdir);

    /// Something has that every index of the channel is made with.
    fn changed_everywhere(&self, channel: &Channel);

    /// A package was published that was not there before.
    async fn published(&self, _actor: &str, _published: &Published) {}

    /// Channels themselves have. Comes back when requests that begin from now on know it.
    async fn channels_changed(&self);
}

/// What the rules say of a hosted channel, if they name it.
pub type Written = Arc<dyn Fn(&ChannelName) -> Option<Arc<HostedRule>> + Send + Sync>;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    store: LazyStore,
    pub(super) clock: SharedClock,
    pub(super) told: Option<Arc<dyn Told>>,
    written: Option<Written>,
    pub(super) usage: Arc<Usage>,
}

impl Desk {
    /// On a store. Where there is a gate, `told` is who makes its indexes; without one, gates find out by themselves.
    #[must_use]
    pub fn new(store: LazyStore, clock: SharedClock, told: Option<Arc<dyn Told>>) -> Self {
        Self { store, clock, told, written: None, usage: Arc::default() }
    }

    /// With the rules: what they say of a channel counts, and can't be set.
    #[must_use]
    pub fn under(self, written: Written) -> Self {
        Self { written: Some(written), ..self }
    }

    /// What the rules say of a channel.
    pub(super) fn rule(&self, name: &str) -> Option<Arc<HostedRule>> {
        self.written.as_ref()?(&ChannelName::parse(name)?)
    }

    /// The settings that count for a channel: those of the rules, then its own.
    ///
    /// # Errors
    /// [`HostError::Internal`] where its own can't be read.
    pub fn settings_of(&self, channel: &Channel) -> Result<ChannelSettings, HostError> {
        Ok(ChannelSettings::of(channel)?.under(self.rule(&channel.name).as_deref()))
    }

    /// A channel as people see it.
    #[must_use]
    pub fn view(&self, channel: &Channel) -> ChannelView {
        ChannelView::new(channel, self.rule(&channel.name).as_deref())
    }

    pub(super) async fn store(&self) -> Result<Store, HostError> {
        Ok(self.store.get().await?)
    }

    /// The row of a hosted channel that is there.
    ///
    /// # Errors
    /// [`HostError::NotFound`], [`HostError::Unavailable`]
    pub async fn channel(&self, name: &ChannelName) -> Result<Channel, HostError> {
        let found = self.store().await?.channels().by_name(name.as_str()).await?;
        match found {
            Some(channel) if channel.deleted_at.is_none() => Ok(channel),
            Some(_) => Err(HostError::NotFound(format!("the channel `{name}` was deleted"))),
            None => Err(HostError::NotFound(format!(
                "there is no hosted channel `{name}`; create it with `condagate channel create {name}`"
            ))),
        }
    }

    /// A page of channels in the order of names, behind one of them, deleted ones included.
    ///
    /// # Errors
    /// [`HostError::Unavailable`]
    pub async fn channels(&self, after: Option<&str>, limit: u32) -> Result<Vec<Channel>, HostError> {
        Ok(self.store().await?.channels().list(after, limit).await?)
    }

    /// A page of a channel's packages, whatever their state, in the order of subdirs and file names, behind one of them.
    ///
    /// # Errors
    /// [`HostError::NotFound`] for the channel, [`HostError::Unavailable`]
    pub async fn packages(
        &self,
        channel: &ChannelName,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> Result<Vec<Package>, HostError> {
        let channel = self.channel(channel).await?;
        Ok(self.store().await?.packages().list_all(&channel.id, after, limit).await?)
    }

    /// A package by its place, whatever its state.
    ///
    /// # Errors
    /// [`HostError::NotFound`] for the channel, [`HostError::Unavailable`]
    pub async fn package(
        &self,
        channel: &ChannelName,
        subdir: &Subdir,
        file: &ArchiveName,
    ) -> Result<Option<Package>, HostError> {
        let channel = self.channel(channel).await?;
        Ok(self.store().await?.packages().get(&channel.id, subdir.as_str(), file.as_str()).await?)
    }

    /// The files of a package, in every subdir and state, deleted ones left out.
    ///
    /// # Errors
    /// [`HostError::NotFound`] for the channel, [`HostError::Unavailable`]
    pub async fn packages_named(&self, channel: &ChannelName, name: &str) -> Result<Vec<Package>, HostError> {
        let channel = self.channel(channel).await?;
        Ok(self.store().await?.packages().named(&channel.id, name).await?)
    }

    pub(super) async fn tell_of_channels(&self) {
        if let Some(told) = &self.told {
            told.channels_changed().await;
        }
    }

    pub(super) fn tell(&self, channel: &Channel, subdir: &Subdir, file: &ArchiveName) {
        if let Some(told) = &self.told {
            told.changed(channel, subdir);
            if patches::is_patches_file(file.as_str()) {
                told.changed_everywhere(channel);
            }
        }
    }

    pub(super) async fn tell_published(&self, author: &Author, published: &Published) {
        if let Some(told) = &self.told {
            told.published(author.actor(), published).await;
        }
    }

    /// Writes down what somebody did; durable when this returns.
    pub(super) async fn note(
        &self,
        author: &Author,
        kind: &str,
        target: &str,
        detail: serde_json::Value,
    ) -> Result<(), StoreError> {
        let event = author.event(self.clock.now(), kind, target, &detail)?;
        self.store.get().await?.audit().append(&event).await
    }
}
