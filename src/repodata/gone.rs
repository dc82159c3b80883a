//! Shards that left the index, kept for a week (CEP 16): one 404 on a shard is fatal to conda and rattler, and a client may
//! hold an index for that long.
//!
//! Belongs here: the `gone-<day>.map` files. Does not: packs, which go when no map names them (`store`).

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::BuildError;
use super::files;
use super::generation::Generation;
use super::shards::{ShardAt, ShardMap, ShardMapBuilder, pack_path};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;

/// Whole days that a shard stays after the day it left.
const DAYS: i64 = 8;
const DAY_MILLIS: i64 = 86_400_000;

/// The shards that left one subdir's index. At most nine small files, opened when asked: this is the rare case.
#[derive(Debug)]
pub(super) struct Gone<'a> {
    packs: &'a Path,
}

impl<'a> Gone<'a> {
    pub const fn new(packs: &'a Path) -> Self {
        Self { packs }
    }

    fn path(&self, day: i64) -> PathBuf {
        self.packs.join(format!("gone-{day}.map"))
    }

    /// Days and files, newest first.
    fn days(&self) -> Vec<(i64, PathBuf)> {
        let day = |path: &Path| {
            path.file_name()?.to_str()?.strip_prefix("gone-")?.strip_suffix(".map")?.parse().ok()
        };
        let entries = fs::read_dir(self.packs).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut days: Vec<(i64, PathBuf)> = entries.filter_map(|path| Some((day(&path)?, path))).collect();
        days.sort_unstable_by(|a, b| b.cmp(a));
        days
    }

    /// Notes the shards that `old` had and `new` has not.
    pub fn add(&self, old: &Generation, new: &Generation, now: UnixMillis) -> Result<(), BuildError> {
        let path = self.path(now.0.div_euclid(DAY_MILLIS));
        let mut gone = ShardMapBuilder::default();
        old.with_shards(|map| {
            map.iter().filter(|line| new.shard(&line.digest).is_none()).for_each(|line| gone.push(&line));
        });
        if gone.is_empty() {
            return Ok(());
        }
        // One that can't be read has nothing that could be kept.
        if let Ok(today) = ShardMap::open(&path) {
            today.iter().for_each(|line| gone.push(&line));
        }
        let fresh = path.with_extension("new");
        let _ = fs::remove_file(&fresh);
        gone.write(&fresh)?;
        files::rename(&fresh, &path)
    }

    /// Where a shard lies that left.
    pub fn find(&self, digest: &Sha256) -> Option<ShardAt> {
        self.days().iter().find_map(|(_, path)| {
            let map = ShardMap::open(path).ok()?;
            let line = map.find(digest)?;
            Some(ShardAt {
                path: pack_path(self.packs, line.pack),
                offset: line.offset,
                len: u64::from(line.len),
            })
        })
    }

    /// Forgets what left more than a week ago.
    pub fn expire(&self, now: UnixMillis) -> Result<(), BuildError> {
        let oldest = now.0.div_euclid(DAY_MILLIS) - DAYS;
        for (_, path) in self.days().into_iter().filter(|(day, _)| *day < oldest) {
            fs::remove_file(&path).map_err(BuildError::io("remove", &path))?;
        }
        Ok(())
    }

    /// The packs that hold what is still kept.
    pub fn packs(&self) -> HashSet<String> {
        let maps = self.days().into_iter().filter_map(|(_, path)| ShardMap::open(&path).ok());
        maps.flat_map(|map| map.packs().to_vec()).collect()
    }
}
