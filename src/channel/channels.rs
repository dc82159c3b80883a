//! Hosted channels themselves: creating, changing, deleting.
//!
//! The name of a deleted channel stays taken: it must never be answered from an upstream. Within [`GRACE`] it can be restored.
//!
//! Belongs here: these changes. Does not: rights (`people`), channels as rules write them (`policy`).

use std::time::Duration;

use serde_json::json;

use super::{Author, ChannelSettings, Desk, HostError, Hosting};
use crate::auth;
use crate::conda::channel::ChannelName;
use crate::conda::url::is_reserved_root;
use crate::policy::ChannelSource;
use crate::store::StoreError;
use crate::store::model::{Channel, ChannelId};

/// How long the packages of a deleted channel stay.
pub(super) const GRACE: Duration = Duration::from_hours(24 * 7);

/// A channel that is to be made.
#[derive(Clone, Debug, Default)]
pub struct NewChannel {
    /// Whether everybody may read it.
    pub public: bool,
    /// For people.
    pub description: String,
    /// Most bytes of packages.
    pub quota: Option<u64>,
    /// See there.
    pub settings: ChannelSettings,
}

/// What is to become of a channel's quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Quota {
    /// It stays.
    #[default]
    AsIs,
    /// There is none.
    Unlimited,
    /// So many bytes.
    Bytes(u64),
}

/// What is to be changed; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ChannelChange {
    /// Whether everybody may read it.
    pub public: Option<bool>,
    /// For people.
    pub description: Option<String>,
    /// Most bytes of packages.
    pub quota: Quota,
    /// See there.
    pub settings: Option<ChannelSettings>,
    /// The revision that is to be changed, and no other.
    pub at: Option<u64>,
}

impl Desk {
    /// Makes a channel.
    ///
    /// # Errors
    /// [`HostError::Conflict`] where the name is taken, by a deleted channel too; [`HostError::Invalid`] where no channel may have it.
    pub async fn create_channel(
        &self,
        author: &Author,
        name: &ChannelName,
        new: NewChannel,
    ) -> Result<Channel, HostError> {
        check_name(name)?;
        new.settings.check()?;
        let rule = self.rule(name.as_str());
        let settings = new.settings.beside(name.as_str(), rule.as_deref(), &ChannelSettings::default())?;
        let id = ChannelId::new(&auth::token::new_id())
            .ok_or_else(|| HostError::Internal("no id for a channel".to_owned()))?;
        let channel = Channel {
            id,
            name: name.as_str().to_owned(),
            owner: author.user().clone(),
            public: new.public,
            description: new.description,
            quota: new.quota,
            settings: settings.to_text(),
            created: self.clock.now(),
            deleted_at: None,
            revision: 1,
        };
        let store = self.store().await?;
        match store.channels().create(&channel).await {
            Err(StoreError::Conflict { .. }) => {
                let deleted =
                    store.channels().by_name(name.as_str()).await?.is_some_and(|c| c.deleted_at.is_some());
                return Err(HostError::Conflict(if deleted {
                    format!(
                        "a channel `{name}` was deleted not long ago; restore it with `condagate channel restore {name}`"
                    )
                } else {
                    format!("there is already a channel `{name}`")
                }));
            }
            other => other?,
        }
        self.note(author, "channel.create", name.as_str(), json!({"public": channel.public})).await?;
        self.tell_of_channels().await;
        Ok(channel)
    }

    /// Changes a channel.
    ///
    /// # Errors
    /// [`HostError::NotFound`], [`HostError::Invalid`]
    pub async fn change_channel(
        &self,
        author: &Author,
        name: &ChannelName,
        change: ChannelChange,
    ) -> Result<Channel, HostError> {
        if let Some(settings) = &change.settings {
            settings.check()?;
        }
        let was = self.channel(name).await?;
        if change.at.is_some_and(|at| at != was.revision) {
            return Err(HostError::Conflict(format!(
                "the channel `{name}` was changed by somebody else meanwhile; look at it again and decide anew"
            )));
        }
        let settings = match change.settings {
            None => was.settings.clone(),
            Some(settings) => {
                let (rule, old) = (self.rule(name.as_str()), ChannelSettings::of(&was).unwrap_or_default());
                settings.beside(name.as_str(), rule.as_deref(), &old)?.to_text()
            }
        };
        let next = Channel {
            public: change.public.unwrap_or(was.public),
            description: change.description.unwrap_or_else(|| was.description.clone()),
            quota: match change.quota {
                Quota::AsIs => was.quota,
                Quota::Unlimited => None,
                Quota::Bytes(bytes) => Some(bytes),
            },
            settings,
            ..was.clone()
        };
        let revision = self.store().await?.channels().update(&next).await?;
        let detail = json!({"public": next.public, "quota": next.quota, "settings": next.settings});
        self.note(author, "channel.change", name.as_str(), detail).await?;
        self.tell_of_channels().await;
        Ok(Channel { revision, ..next })
    }

    /// Deletes a channel, or brings a deleted one back while its packages are there; whether that changed anything.
    ///
    /// # Errors
    /// [`HostError::NotFound`]
    pub async fn delete_channel(
        &self,
        author: &Author,
        name: &ChannelName,
        delete: bool,
    ) -> Result<bool, HostError> {
        let store = self.store().await?;
        let Some(was) = store.channels().by_name(name.as_str()).await? else {
            return Err(HostError::NotFound(format!("there is no hosted channel `{name}`")));
        };
        if was.deleted_at.is_some() == delete {
            return Ok(false);
        }
        let deleted_at = delete.then(|| self.clock.now());
        store.channels().update(&Channel { deleted_at, ..was }).await?;
        let kind = if delete { "channel.delete" } else { "channel.restore" };
        self.note(author, kind, name.as_str(), json!({})).await?;
        self.tell_of_channels().await;
        Ok(true)
    }
}

impl Hosting {
    /// Whether the rules name it as one that is hosted here.
    fn is_in_rules(&self, name: &ChannelName) -> bool {
        let view = self.0.live.view();
        let rule = view.rules().channel(name);
        rule.is_some_and(|rule| matches!(rule.source, ChannelSource::Hosted(_)))
    }

    /// Whether there is a channel that an upload could go to, for refusals before its body is read.
    ///
    /// # Errors
    /// [`HostError::NotFound`]
    pub async fn takes_uploads(&self, name: &ChannelName) -> Result<(), HostError> {
        match self.desk().channel(name).await {
            Err(HostError::NotFound(_)) if self.is_in_rules(name) => Ok(()),
            other => other.map(drop),
        }
    }

    /// The channel that an upload goes to. One that the rules name is made in the store when something first comes for it.
    ///
    /// # Errors
    /// [`HostError::NotFound`]
    pub(super) async fn channel_for_upload(
        &self,
        author: &Author,
        name: &ChannelName,
    ) -> Result<Channel, HostError> {
        match self.desk().channel(name).await {
            Err(HostError::NotFound(why)) => {
                if !self.is_in_rules(name) {
                    return Err(HostError::NotFound(why));
                }
                match self.desk().create_channel(author, name, NewChannel::default()).await {
                    // Another upload was faster.
                    Err(HostError::Conflict(_)) => self.desk().channel(name).await,
                    other => other,
                }
            }
            other => other,
        }
    }
}

fn check_name(name: &ChannelName) -> Result<(), HostError> {
    let text = name.as_str();
    if is_reserved_root(text) {
        return Err(HostError::Invalid(format!(
            "`{text}` can't be a channel: its first part belongs to the gate itself"
        )));
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(HostError::Invalid(format!(
            "`{text}` can't be a channel: names have lower-case letters (CEP 26); `{}` would do",
            text.to_ascii_lowercase()
        )));
    }
    Ok(())
}
