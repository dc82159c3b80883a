//! Making a backup.
//!
//! Belongs here: what is copied and in which order. Does not: how bytes are kept (`shelf`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::error::BackupError;
use super::files;
use super::manifest::{Entry, Manifest, Part};
use super::shelf::{Put, Shelf};
use crate::cache;
use crate::clock::Clock;
use crate::conda::digest::Sha256;
use crate::repodata::store::sightings_of;
use crate::store::Store;
use crate::store::dump;
use crate::store::model::Package;

/// Dumps of a store without snapshots that are made to get one during which nothing changed.
const TRIES: usize = 3;
/// Dumps that are made because a file was deleted meanwhile: each time takes a sweep of deleted packages in between.
const ROUNDS: usize = 5;

/// What a backup is made of.
pub struct Sources<'a> {
    /// The store.
    pub store: &'a Store,
    /// `storage.packages`
    pub packages: &'a Path,
    /// `storage.cache`
    pub cache: &'a Path,
    /// The rules directory; it need not be there.
    pub rules: &'a Path,
    /// Files of settings, in their order.
    pub settings: &'a [PathBuf],
    /// Now.
    pub clock: &'a dyn Clock,
}

/// What was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// The backup.
    pub manifest: Manifest,
    /// Rows of the store.
    pub rows: u64,
    /// Files that were not there before, and their bytes.
    pub copied: (u64, u64),
}

/// Makes a backup. Everything that was there before is still good if this fails.
///
/// # Errors
/// Something can't be read or written; no backup was made then.
pub async fn make(shelf: &Shelf, from: &Sources<'_>) -> Result<Made, BackupError> {
    let made = from.clock.now();
    let mut list = List { shelf, entries: Vec::new(), copied: (0, 0) };
    for file in from.settings {
        let name = file.to_str().ok_or_else(|| BackupError::Name(file.clone()))?;
        list.add(Part::Settings, name, file)?;
    }
    list.add_below(Part::Rules, from.rules)?;
    list.add_below(Part::Sightings, &sightings_of(from.cache))?;
    let rows = list.add_store(from).await?;
    shelf.settle()?;
    let manifest = shelf.publish(made, list.entries)?;
    Ok(Made { manifest, rows, copied: list.copied })
}

/// A backup that is growing.
struct List<'a> {
    shelf: &'a Shelf,
    entries: Vec<Entry>,
    copied: (u64, u64),
}

/// Digests that the store names, with the sizes that it knows.
type Named = BTreeMap<Sha256, Option<u64>>;

impl List<'_> {
    fn add(&mut self, part: Part, name: &str, file: &Path) -> Result<(), BackupError> {
        // What was listed and is gone was taken away while this ran.
        if let Some(put) = self.shelf.copy(file)? {
            self.note(part, name, put);
        }
        Ok(())
    }

    fn add_below(&mut self, part: Part, dir: &Path) -> Result<(), BackupError> {
        for file in files::below(dir)? {
            self.add(part, &file.name, &file.path)?;
        }
        Ok(())
    }

    fn note(&mut self, part: Part, name: &str, put: Put) {
        if put.is_new {
            self.copied = (self.copied.0 + 1, self.copied.1 + put.size);
        }
        self.entries.push(Entry { part, name: name.to_owned(), sha256: put.sha256, size: put.size });
    }

    /// See the room's description for why this is whole.
    async fn add_store(&mut self, from: &Sources<'_>) -> Result<u64, BackupError> {
        let mut missing_before = None;
        let mut round = 1;
        loop {
            let (dumped, rows) = dump_exactly(self.shelf, from.store).await?;
            let named = named(&self.shelf.blob(&dumped.sha256))?;
            let missing = self.copy_packages(from.packages, &named)?;
            if missing.is_empty() || missing_before.as_ref() == Some(&missing) || round == ROUNDS {
                self.note(Part::Store, "", dumped);
                self.note_packages(&named, &missing)?;
                return Ok(rows);
            }
            missing_before = Some(missing);
            round += 1;
        }
    }

    fn note_packages(&mut self, named: &Named, missing: &BTreeSet<Sha256>) -> Result<(), BackupError> {
        for sha256 in named.keys().copied() {
            let is_missing = missing.contains(&sha256);
            let part = if is_missing { Part::Missing } else { Part::Package };
            let size = if is_missing { None } else { self.shelf.size_of(&sha256)? };
            self.entries.push(Entry { part, name: String::new(), sha256, size: size.unwrap_or_default() });
        }
        Ok(())
    }

    /// Copies what is not on the shelf yet; gives what can't be copied.
    fn copy_packages(&mut self, packages: &Path, named: &Named) -> Result<BTreeSet<Sha256>, BackupError> {
        let mut missing = BTreeSet::new();
        for (digest, size) in named {
            let there = self.shelf.size_of(digest)?;
            if there.is_some_and(|there| size.is_none_or(|size| size == there)) {
                continue;
            }
            match self.shelf.copy_exact(&cache::kept_file(packages, digest), digest)? {
                Some(put) => self.copied = (self.copied.0 + 1, self.copied.1 + put.size),
                None => {
                    missing.insert(*digest);
                }
            }
        }
        Ok(missing)
    }
}

/// Dumps the store, if it can be without a change in between.
async fn dump_exactly(shelf: &Shelf, store: &Store) -> Result<(Put, u64), BackupError> {
    let frozen = store.frozen().await?;
    let (is_frozen, store) = (frozen.is_some(), frozen.as_ref().unwrap_or(store));
    let mut tries = 1;
    loop {
        let before = store.settings().revision().await?;
        let mut draft = shelf.draft()?;
        let summary = dump::dump(store, &mut draft).await?;
        // Rows are right one by one in any case; what this is after is that none refers to one that came later.
        if is_frozen || store.settings().revision().await? == before || tries == TRIES {
            let put = draft.keep(None)?;
            let put =
                put.ok_or_else(|| BackupError::Damaged("the dump is not what was written".to_owned()))?;
            return Ok((put, summary.rows));
        }
        tries += 1;
    }
}

fn named(dump: &Path) -> Result<Named, BackupError> {
    let file = File::open(dump).map_err(BackupError::io("read", dump))?;
    let mut named = Named::new();
    dump::rows_of(&mut BufReader::new(file), |package: Package| {
        named.insert(package.sha256, Some(package.size));
        if let Some(attestations) = package.attestations {
            named.entry(attestations).or_insert(None);
        }
    })?;
    Ok(named)
}
