//! What the data plane keeps of each row, as it also stands in the file.
//!
//! Belongs here: plain values. Does not: how they are found (`state`), passwords (they stay in the store).

use serde::{Deserialize, Serialize};

use crate::store::model::{Channel, Grant, Subject, User};

/// A user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    /// As it is shown.
    pub name: String,
    /// As it is compared.
    pub key: String,
    /// Passes every access rule.
    pub superuser: bool,
    /// Kept, and let in nowhere.
    pub disabled: bool,
    /// Of the row: a log-in that was remembered is good for this one only.
    pub revision: u64,
}

impl From<&User> for UserEntry {
    fn from(user: &User) -> Self {
        Self {
            name: user.name.clone(),
            key: user.name_key.clone(),
            superuser: user.superuser,
            disabled: user.disabled,
            revision: user.revision,
        }
    }
}

/// Who has a right.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holder {
    /// One user, by id.
    User(String),
    /// Everybody in a group, by id.
    Group(String),
}

/// A right on channels.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantEntry {
    /// Who.
    pub holder: Holder,
    /// A glob of channel names.
    pub channels: String,
    /// `read`, `write`, `manage`
    pub right: String,
}

impl From<&Grant> for GrantEntry {
    fn from(grant: &Grant) -> Self {
        let holder = match &grant.subject {
            Subject::User(id) => Holder::User(id.to_string()),
            Subject::Group(id) => Holder::Group(id.to_string()),
        };
        Self { holder, channels: grant.channels.clone(), right: grant.right.as_str().to_owned() }
    }
}

/// A hosted channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelEntry {
    /// Its name; stays taken when the channel is deleted.
    pub name: String,
    /// Whether everybody may read.
    pub public: bool,
    /// Not served any more.
    pub deleted: bool,
    /// Globs of the package names it owns.
    #[serde(default)]
    pub owns: Vec<String>,
}

/// What the data plane reads of a channel's settings.
#[derive(Default, Deserialize)]
struct Settings {
    #[serde(default)]
    owns: Vec<String>,
}

impl From<&Channel> for ChannelEntry {
    fn from(channel: &Channel) -> Self {
        let settings = serde_json::from_str::<Settings>(&channel.settings).unwrap_or_default();
        Self {
            name: channel.name.clone(),
            public: channel.public,
            deleted: channel.deleted_at.is_some(),
            owns: settings.owns,
        }
    }
}
