//! Who there is, as of one number of the store's counter of changes. Immutable once it is in force.
//!
//! Belongs here: the maps, and how changes are laid upon them. Does not: asking the store (`follow`), the files (`disk`,
//! `tokens`), what a caller may do (`policy::access`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::entries::{ChannelEntry, GrantEntry, Holder, UserEntry};
use super::tokens::{TokenEntry, TokenFile};
use crate::conda::digest::Sha256;
use crate::store::model::{Gone, Member};
use crate::store::repo::Changes;

/// Tokens that changed since the file of tokens was written.
pub type Overlay = AHashMap<Sha256, Arc<TokenEntry>>;

/// See the module's description. Cheap to clone: what does not change is shared.
#[derive(Clone, Default)]
pub struct State {
    /// The number of the counter up to which everything is known.
    pub revision: u64,
    /// By id.
    pub users: Arc<AHashMap<String, Arc<UserEntry>>>,
    /// Ids of users by the name as it is compared.
    pub names: Arc<AHashMap<String, String>>,
    /// Names of groups by id.
    pub groups: Arc<AHashMap<String, String>>,
    /// Ids of groups by the id of a user.
    pub members: Arc<AHashMap<String, BTreeSet<String>>>,
    /// By id.
    pub grants: Arc<BTreeMap<String, GrantEntry>>,
    /// Hosted channels by id.
    pub channels: Arc<AHashMap<String, ChannelEntry>>,
    /// Tokens as they were when the file was written.
    pub file: Option<Arc<TokenFile>>,
    /// What changed since.
    pub overlay: Arc<Overlay>,
    /// Ids of tokens that were removed since.
    pub gone: Arc<AHashSet<String>>,
}

impl State {
    /// The token with this digest.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn token(&self, hash: &Sha256) -> io::Result<Option<Arc<TokenEntry>>> {
        let found = match (self.overlay.get(hash), &self.file) {
            (Some(entry), _) => Some(Arc::clone(entry)),
            (None, Some(file)) => file.find(hash)?.map(Arc::new),
            (None, None) => None,
        };
        Ok(found.filter(|entry| !self.gone.contains(&entry.id)))
    }

    /// How many tokens changed since the file was written.
    #[must_use]
    pub fn loose(&self) -> usize {
        self.overlay.len() + self.gone.len()
    }

    /// The groups of a user: ids and names.
    pub fn groups_of(&self, user: &str) -> impl Iterator<Item = (&str, &str)> {
        let ids = self.members.get(user).into_iter().flatten();
        ids.filter_map(|id| Some((id.as_str(), self.groups.get(id)?.as_str())))
    }

    /// The grants of a user and of these groups, with their ids.
    pub fn grants_of<'a>(
        &'a self,
        user: &'a str,
        groups: &'a [&'a str],
    ) -> impl Iterator<Item = (&'a str, &'a GrantEntry)> {
        let is_theirs = move |holder: &Holder| match holder {
            Holder::User(id) => id == user,
            Holder::Group(id) => groups.contains(&id.as_str()),
        };
        self.grants
            .iter()
            .filter(move |(_, grant)| is_theirs(&grant.holder))
            .map(|(id, grant)| (id.as_str(), grant))
    }

    /// Lays changes upon it.
    pub fn apply(&mut self, changes: &Changes) {
        if !changes.users.is_empty() {
            let (users, names) = (Arc::make_mut(&mut self.users), Arc::make_mut(&mut self.names));
            for user in &changes.users {
                let id = user.id.to_string();
                let before = users.insert(id.clone(), Arc::new(user.into()));
                if let Some(before) = before.filter(|before| names.get(&before.key) == Some(&id)) {
                    names.remove(&before.key);
                }
                names.insert(user.name_key.clone(), id);
            }
        }
        if !changes.groups.is_empty() {
            let named = changes.groups.iter().map(|group| (group.id.to_string(), group.name.clone()));
            Arc::make_mut(&mut self.groups).extend(named);
        }
        if !changes.members.is_empty() {
            let members = Arc::make_mut(&mut self.members);
            changes.members.iter().for_each(|member| set_member(members, member));
        }
        if !changes.grants.is_empty() {
            let granted = changes.grants.iter().map(|grant| (grant.id.to_string(), grant.into()));
            Arc::make_mut(&mut self.grants).extend(granted);
        }
        if !changes.channels.is_empty() {
            let known = changes.channels.iter().map(|channel| (channel.id.to_string(), channel.into()));
            Arc::make_mut(&mut self.channels).extend(known);
        }
        if !changes.tokens.is_empty() {
            let told = changes.tokens.iter().map(|token| (token.hash, Arc::new(TokenEntry::of(token))));
            Arc::make_mut(&mut self.overlay).extend(told);
        }
        changes.gone.iter().for_each(|gone| self.forget(gone));
        self.revision = changes.upto;
    }

    fn forget(&mut self, gone: &Gone) {
        match gone.source.as_str() {
            "users" => {
                if let Some(user) = Arc::make_mut(&mut self.users).remove(&gone.id) {
                    let names = Arc::make_mut(&mut self.names);
                    // The name may belong to another one by now.
                    if names.get(&user.key) == Some(&gone.id) {
                        names.remove(&user.key);
                    }
                }
            }
            "groups" => drop(Arc::make_mut(&mut self.groups).remove(&gone.id)),
            "grants" => drop(Arc::make_mut(&mut self.grants).remove(&gone.id)),
            "channels" => drop(Arc::make_mut(&mut self.channels).remove(&gone.id)),
            "tokens" => drop(Arc::make_mut(&mut self.gone).insert(gone.id.clone())),
            _ => {}
        }
    }
}

fn set_member(members: &mut AHashMap<String, BTreeSet<String>>, member: &Member) {
    let (user, group) = (member.user.to_string(), member.group.to_string());
    if member.active {
        members.entry(user).or_default().insert(group);
    } else if let Some(groups) = members.get_mut(&user) {
        groups.remove(&group);
    }
}
