//! Reads everything there is in the store, page by page.
//!
//! Belongs here: the walk. Does not: what changed later (`follow`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use ahash::AHashMap;

use super::disk::Disk;
use super::entries::ChannelEntry;
use super::state::State;
use super::tokens::{TokenEntry, TokenFile};
use crate::clock::UnixMillis;
use crate::store::repo::LONGEST_PAGE;
use crate::store::{Store, StoreError};

/// Why not everything could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The disk.
    #[error("the snapshot of users and tokens can't be written: {0}")]
    Disk(#[from] io::Error),
}

/// Walks a listing to its end: page behind page, row by row.
macro_rules! walk {
    ($after:ident => $page:expr, $row:ident behind $key:expr => $each:expr) => {{
        let mut $after = None;
        loop {
            let page = $page.await?;
            let is_last = page.len() < LONGEST_PAGE as usize;
            for $row in page {
                $after = Some($key);
                $each;
            }
            if is_last {
                break;
            }
        }
    }};
}

/// Everything. What changes meanwhile is behind [`State::revision`].
///
/// # Errors
/// [`ReadError`]
pub(super) async fn read(store: &Store, disk: &Disk, now: UnixMillis) -> Result<State, ReadError> {
    let people = read_people(store).await?;
    let file = tokens(store, disk, people.revision, now).await?;
    Ok(State { file: Some(Arc::new(file)), ..people })
}

/// Everything but tokens.
///
/// # Errors
/// [`StoreError`]
pub async fn read_people(store: &Store) -> Result<State, StoreError> {
    // The number first: what changes while the rows are read is told again.
    let revision = store.settings().revision().await?;
    let (mut users, mut names) = (AHashMap::new(), AHashMap::new());
    walk!(after => store.users().list(after.as_deref(), LONGEST_PAGE), user behind user.name_key.clone() => {
        names.insert(user.name_key.clone(), user.id.to_string());
        users.insert(user.id.to_string(), Arc::new((&user).into()));
    });
    let (groups, members) = groups(store).await?;
    let mut grants = BTreeMap::new();
    walk!(after => store.grants().list(after.as_ref(), LONGEST_PAGE), grant behind grant.id.clone() => {
        grants.insert(grant.id.to_string(), (&grant).into());
    });
    let channels = read_channels(store).await?;
    Ok(State {
        revision,
        users: Arc::new(users),
        names: Arc::new(names),
        groups: Arc::new(groups),
        members: Arc::new(members),
        grants: Arc::new(grants),
        channels: Arc::new(channels),
        ..State::default()
    })
}

/// The hosted channels alone, by id: they are few, and nothing may be answered before they are known.
///
/// # Errors
/// [`StoreError`]
pub async fn read_channels(store: &Store) -> Result<AHashMap<String, ChannelEntry>, StoreError> {
    let mut channels = AHashMap::new();
    walk!(after => store.channels().list(after.as_deref(), LONGEST_PAGE), channel behind channel.name.clone() => {
        channels.insert(channel.id.to_string(), (&channel).into());
    });
    Ok(channels)
}

type Groups = (AHashMap<String, String>, AHashMap<String, BTreeSet<String>>);

async fn groups(store: &Store) -> Result<Groups, StoreError> {
    let (mut groups, mut members): Groups = Default::default();
    walk!(after => store.groups().list(after.as_deref(), LONGEST_PAGE), group behind group.name.clone() => {
        groups.insert(group.id.to_string(), group.name);
        let (id, in_group) = (group.id, &mut members);
        walk!(after => store.groups().members(&id, after.as_ref(), LONGEST_PAGE), member behind member.user.clone() => {
            in_group.entry(member.user.to_string()).or_default().insert(id.to_string());
        });
    });
    Ok((groups, members))
}

async fn tokens(store: &Store, disk: &Disk, revision: u64, now: UnixMillis) -> Result<TokenFile, ReadError> {
    let mut writer = disk.new_tokens(revision, now)?;
    walk!(after => store.tokens().list(None, after.as_ref(), LONGEST_PAGE), token behind token.id.clone() => {
        writer.add(&token.hash, &TokenEntry::of(&token))?;
    });
    Ok(writer.finish()?)
}
