//! The files of one package, shown or not, and what their records say.
//!
//! Belongs here: looking them up in the indexes that are here. Does not: why a file is not shown (`delivery::explain`).

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::Here;
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::{Md5, Sha256};
use crate::conda::spec::Version;
use crate::conda::subdir::Subdir;
use crate::delivery::Delivery;
use crate::repodata::generation::Generation;
use crate::repodata::summary::{build_of, version_of};
use crate::repodata::table::{Entry, Stance};
use crate::snapshot::Place;

/// What becomes of a file; the best is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fate {
    /// A rule hides it and refuses its download.
    Refused,
    /// A rule hides it, and lock files still get it.
    Hidden,
    /// It left the index, and lock files still get it.
    Left,
    /// It is in the index.
    Shown,
}

impl Fate {
    /// `shown`, `left`, `hidden`, `refused`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Left => "left",
            Self::Hidden => "hidden",
            Self::Refused => "refused",
        }
    }

    /// Whether who may read the channel is told of it: it is in its index, or was and is named there still.
    #[must_use]
    pub const fn is_told(self) -> bool {
        matches!(self, Self::Shown | Self::Left)
    }
}

/// One file of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackageFile {
    /// Where.
    pub subdir: Subdir,
    /// Its name.
    pub file: String,
    /// As in its name.
    pub version: String,
    /// As in its name.
    pub build: String,
    /// Bytes.
    pub size: Option<u64>,
    /// Of its bytes.
    pub sha256: Option<Sha256>,
    /// Of its bytes.
    pub md5: Option<Md5>,
    /// When the gate first saw it.
    pub seen: Option<UnixMillis>,
    /// See there.
    pub fate: Fate,
}

/// A file and its record.
pub struct RecordOfFile {
    /// See there.
    pub file: PackageFile,
    /// As upstream has it.
    pub record: Value,
}

impl Delivery {
    /// The files of a package in the indexes that are here: the latest version first, then by subdir and file name.
    pub async fn package_files(&self, place: &Place, asked: &ChannelRef, name: &str) -> Vec<PackageFile> {
        let here = self.indexes_here(place, asked).await;
        let name = name.to_owned();
        let found = self.inner.runtime.spawn_blocking(move || files_of(&here, &name)).await;
        found.unwrap_or_default()
    }

    /// Which of some files are in the index, by subdir and file name.
    pub async fn listed(
        &self,
        place: &Place,
        asked: &ChannelRef,
        files: Vec<(String, String)>,
    ) -> HashSet<(String, String)> {
        let here = self.indexes_here(place, asked).await;
        let is_listed = move |(subdir, file): &(String, String)| {
            let generation = here.iter().find(|(here, _)| here.as_str() == subdir).map(|(_, there)| there);
            let entry = generation.and_then(|generation| generation.table().find(file));
            entry.is_some_and(|entry| entry.is_shown())
        };
        let look = move || files.into_iter().filter(is_listed).collect();
        self.inner.runtime.spawn_blocking(look).await.unwrap_or_default()
    }

    /// The records of some of these files, as far as they can be read.
    pub async fn records_of(
        &self,
        place: &Place,
        asked: &ChannelRef,
        files: Vec<PackageFile>,
    ) -> Vec<RecordOfFile> {
        let here = self.indexes_here(place, asked).await;
        let read = move || {
            let one = |file: PackageFile| {
                let (_, generation) = here.iter().find(|(subdir, _)| *subdir == file.subdir)?;
                let record = record_of(generation, &file.file)?;
                Some(RecordOfFile { file, record })
            };
            files.into_iter().filter_map(one).collect()
        };
        self.inner.runtime.spawn_blocking(read).await.unwrap_or_default()
    }
}

fn record_of(generation: &Arc<Generation>, file: &str) -> Option<Value> {
    let known = generation.known_file(file).ok()??;
    serde_json::from_slice(&known.record?).ok()
}

fn files_of(here: &Here, name: &str) -> Vec<PackageFile> {
    let mut found = Vec::new();
    for (subdir, generation) in here {
        let entries = generation.table().of_package(name);
        found.extend(entries.filter_map(|entry| file_of(subdir, name, &entry)));
    }
    let mut keyed: Vec<_> = found.into_iter().map(|file| (Version::parse(&file.version), file)).collect();
    keyed.sort_by(|(a, one), (b, other)| {
        b.cmp(a)
            .then_with(|| one.version.cmp(&other.version))
            .then_with(|| (&one.subdir, &one.file).cmp(&(&other.subdir, &other.file)))
    });
    keyed.into_iter().map(|(_, file)| file).collect()
}

fn file_of(subdir: &Subdir, name: &str, entry: &Entry<'_>) -> Option<PackageFile> {
    let standing = &entry.standing;
    let fate = match (entry.is_shown(), standing.stance) {
        (true, _) => Fate::Shown,
        (false, Stance::Refused) => Fate::Refused,
        (false, Stance::Open) if standing.departed || standing.removed => Fate::Left,
        (false, Stance::Kept | Stance::Open) => Fate::Hidden,
    };
    Some(PackageFile {
        subdir: subdir.clone(),
        file: entry.file.to_owned(),
        version: version_of(entry.file, name)?.to_owned(),
        build: build_of(entry.file)?.to_owned(),
        size: entry.expected.size,
        sha256: entry.expected.sha256,
        md5: entry.expected.md5,
        seen: standing.seen.map(|seen| seen.at),
        fate,
    })
}
