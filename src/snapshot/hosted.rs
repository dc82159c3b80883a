//! Channels that this gate hosts: those that rules name, and those that were made in the store.
//!
//! Belongs here: which names are hosted, whatever became of the channel. Does not: reading the store (`people`), what is in such a
//! channel (`delivery`).

use std::sync::Arc;

use ahash::AHashMap;

use super::Place;
use super::people::State;
use super::people::entries::ChannelEntry;
use crate::conda::channel::ChannelName;
use crate::conda::digest::Sha256;
use crate::policy::{Claim, NameGlobs};
use crate::store::model::ChannelId;

/// What delivering needs to know of a hosted channel.
#[derive(Clone, Debug)]
pub struct Hosted {
    /// Its name as it is spelt where it was made.
    pub name: ChannelName,
    /// Its row in the store.
    pub row: HostedRow,
    /// It was deleted: it keeps its name, and nothing of it is served.
    pub deleted: bool,
    /// Only for those to whom rules or grants give it.
    pub private: bool,
    /// Names of packages that no upstream answers for in a virtual channel with this member.
    pub owns: NameGlobs,
}

/// Whether the store has a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostedRow {
    /// Under this id.
    Known(ChannelId),
    /// Nothing was ever uploaded into it.
    Absent,
    /// The store was never read.
    Unknown,
}

impl Hosted {
    /// Its id, if it has one.
    #[must_use]
    pub const fn id(&self) -> Option<&ChannelId> {
        match &self.row {
            HostedRow::Known(id) => Some(id),
            HostedRow::Absent | HostedRow::Unknown => None,
        }
    }

    /// Under which name its indexes are kept: one component, so that it never meets `<upstream>/<channel>`; another one for another
    /// channel that once has the same name.
    pub(super) fn identity(&self) -> Option<ChannelName> {
        let what = match &self.row {
            HostedRow::Known(id) => format!("hosted id {id}"),
            HostedRow::Absent | HostedRow::Unknown => format!("hosted name {}", self.name),
        };
        let digest = Sha256::of(what.as_bytes()).to_hex();
        let flat: String = self.name.as_str().replace('/', ".").chars().take(100).collect();
        ChannelName::parse(&format!("{flat}.{}", &digest[..16]))
    }
}

/// A hosted channel of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StoredChannel {
    id: ChannelId,
    name: ChannelName,
    entry: ChannelEntry,
}

impl StoredChannel {
    /// What it is where no rule names it.
    pub(super) fn hosted(&self) -> Hosted {
        Hosted {
            name: self.name.clone(),
            row: HostedRow::Known(self.id.clone()),
            deleted: self.entry.deleted,
            private: !self.entry.public,
            owns: owned(&self.entry.owns),
        }
    }
}

/// Patterns that are none are left out: who stores them checks them.
fn owned(texts: &[String]) -> NameGlobs {
    let good = |text: &&String| NameGlobs::new(vec![(*text).clone()]).is_ok();
    NameGlobs::new(texts.iter().filter(good).cloned().collect()).unwrap_or_default()
}

/// The hosted channels of the store, by name in lower case: most channel servers take any case, so no spelling of a hosted name may lead
/// to one. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostedChannels(Option<Arc<AHashMap<Box<str>, StoredChannel>>>);

/// What a name is.
pub(super) enum Named<'a> {
    Hosted(&'a StoredChannel),
    NotHosted,
    /// Nobody can tell before the store was read.
    Unknown,
}

impl HostedChannels {
    /// The store has none.
    #[must_use]
    pub fn none() -> Self {
        Self(Some(Arc::default()))
    }

    /// Those of a state of the store.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let mut all: AHashMap<Box<str>, StoredChannel> = AHashMap::new();
        for (id, entry) in state.channels.iter() {
            let (Some(id), Some(name)) = (ChannelId::new(id), ChannelName::parse(&entry.name)) else {
                continue;
            };
            let key: Box<str> = name.as_str().to_ascii_lowercase().into();
            let stored = StoredChannel { id, name, entry: entry.clone() };
            let is_better = all.get(&key).is_none_or(|other| other.entry.deleted);
            if is_better {
                all.insert(key, stored);
            }
        }
        Self(Some(Arc::new(all)))
    }

    /// Whether the store was never read.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn find(&self, name: &ChannelName) -> Named<'_> {
        let Some(all) = &self.0 else { return Named::Unknown };
        let found = if name.as_str().bytes().any(|b| b.is_ascii_uppercase()) {
            all.get(name.as_str().to_ascii_lowercase().as_str())
        } else {
            all.get(name.as_str())
        };
        found.map_or(Named::NotHosted, Named::Hosted)
    }

    /// Their names, deleted ones included.
    pub(super) fn names(&self) -> impl Iterator<Item = &ChannelName> {
        self.0.iter().flat_map(|all| all.values()).map(|stored| &stored.name)
    }
}

/// What the hosted channels among some members own, and through which members it comes.
pub(super) fn claims<'a>(members: impl Iterator<Item = &'a Place>) -> Vec<Claim> {
    let mut all: Vec<(&ChannelName, Claim)> = Vec::new();
    for (at, place) in members.enumerate() {
        let mut found = Vec::new();
        owners_in(place, &mut found);
        for hosted in found {
            match all.iter_mut().find(|(name, _)| **name == hosted.name) {
                Some((_, claim)) if claim.owners.contains(&at) => {}
                Some((_, claim)) => claim.owners.push(at),
                None => all.push((&hosted.name, Claim { names: hosted.owns.clone(), owners: vec![at] })),
            }
        }
    }
    all.into_iter().map(|(_, claim)| claim).collect()
}

fn owners_in<'a>(place: &'a Place, found: &mut Vec<&'a Hosted>) {
    match place {
        Place::Source(channel) => {
            found.extend(channel.hosted().filter(|hosted| !hosted.owns.is_empty()));
        }
        Place::Virtual(channel) => channel.members.iter().for_each(|member| owners_in(&member.place, found)),
    }
}
