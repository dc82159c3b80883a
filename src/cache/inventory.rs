//! What the cache is full of: bytes by channel, the largest files.
//!
//! Belongs here: one walk over the rows. Does not: how much there is in all (`status`), which channels there are (`snapshot`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::Inner;
use super::error::CacheError;
use super::vault::ORIGIN as HOSTED;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::http::date::rfc3339;

/// Rows that are read at once; whoever looks for a file waits for no more than these.
const ROWS: u32 = 512;
/// Files that are told of.
const LARGEST: usize = 30;

/// What the cache is full of. Each file counts once, in the channel that brought it in.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Inventory {
    /// The channel with most bytes first.
    pub channels: Vec<ChannelHeld>,
    /// The largest first.
    pub largest: Vec<FileHeld>,
}

/// What a channel has in the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct ChannelHeld {
    /// As it is asked for; null where the rules place none there any more, and for installers and the like.
    pub channel: Option<String>,
    /// Under which name it is kept: that of the upstream before its name there; `hosted` for all of the team's own channels. Empty where
    /// nobody knows any more.
    pub kept: String,
    /// How many files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// A file in the cache.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FileHeld {
    /// As it is kept: upstream, channel, subdir and file; `hosted` for one of the team's own, empty where nobody knows any more.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
    /// When somebody last got it.
    pub last_use: String,
}

/// What is large enough to be told of.
type Large = Reverse<(u64, String, Sha256, UnixMillis)>;

/// The key of a file without what says its kind (`pkg:`).
fn path_of(origin: &str) -> &str {
    origin.split_once(':').map_or(origin, |(_, path)| path)
}

/// The channel in a path, [`HOSTED`] itself, or the directory where there is no subdir in it.
fn channel_of(path: &str) -> &str {
    if path == HOSTED {
        return HOSTED;
    }
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    match directory.rsplit_once('/') {
        Some((channel, subdir)) if Subdir::parse(subdir).is_some() => channel,
        _ => directory,
    }
}

/// Blocks; some tenths of a second for a hundred thousand files.
pub(super) fn take(inner: &Inner) -> Result<Inventory, CacheError> {
    let mut channels: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut largest: BinaryHeap<Large> = BinaryHeap::new();
    let mut after = None;
    loop {
        let page = inner.blobs.index.page(after.as_ref(), ROWS)?;
        let Some(last) = page.last() else { break };
        after = Some(last.sha256);
        for row in page {
            let (bytes, channel) = (row.stamp.size, channel_of(path_of(&row.origin)));
            if !channels.contains_key(channel) {
                channels.insert(channel.to_owned(), (0, 0));
            }
            if let Some(held) = channels.get_mut(channel) {
                *held = (held.0 + 1, held.1.saturating_add(bytes));
            }
            if largest.len() < LARGEST || largest.peek().is_some_and(|Reverse(least)| least.0 < bytes) {
                largest.push(Reverse((bytes, path_of(&row.origin).to_owned(), row.sha256, row.last_use)));
                if largest.len() > LARGEST {
                    largest.pop();
                }
            }
        }
    }
    let held = |(kept, (files, bytes))| ChannelHeld { channel: None, kept, files, bytes };
    let mut channels: Vec<_> = channels.into_iter().map(held).collect();
    channels.sort_by_key(|held| Reverse(held.bytes));
    // Of what is wrapped in `Reverse`, the sorted order begins with the largest.
    let file = |Reverse((bytes, path, sha256, at)): Large| FileHeld {
        path,
        bytes,
        sha256: sha256.to_hex(),
        last_use: rfc3339(at),
    };
    Ok(Inventory { channels, largest: largest.into_sorted_vec().into_iter().map(file).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_channels() {
        for (path, channel) in [
            ("conda-forge/linux-64/a-1-0.conda", "conda-forge"),
            ("conda-forge/label/rc/noarch/a-1-0.conda", "conda-forge/label/rc"),
            ("pkgs/main/noarch/a-1-0.conda", "pkgs/main"),
            ("miniconda/Miniconda3-latest.sh", "miniconda"),
            ("x", ""),
            (HOSTED, HOSTED),
        ] {
            assert_eq!(channel_of(path_of(&format!("pkg:{path}"))), channel);
        }
    }
}
