//! What there is in a generation, package by package: how many files, how big, the latest version.
//!
//! Made of the package table alone, which is mapped: no record is parsed. File names say name and version (`name-version-build.conda`).
//!
//! Belongs here: one walk over a table. Does not: several generations together (`delivery::catalogue`).

use ahash::AHashMap;

use super::generation::Generation;
use super::table::PackageTable;
use crate::clock::UnixMillis;
use crate::conda::spec::Version;

/// What there is of one package in one subdir.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackageSummary {
    /// Its name.
    pub name: Box<str>,
    /// The latest version that is shown.
    pub latest: Box<str>,
    /// Files that are shown.
    pub files: u32,
    /// Bytes of them.
    pub bytes: u64,
    /// When the gate first saw the newest of them.
    pub newest: Option<UnixMillis>,
}

/// What there is in a generation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// In the order of names.
    pub packages: Vec<PackageSummary>,
    /// Files that are shown.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that are known and not shown.
    pub withheld: u64,
}

struct Sum<'a> {
    latest: &'a str,
    version: Option<Version>,
    files: u32,
    bytes: u64,
    newest: Option<UnixMillis>,
}

/// The version in a file name, behind the package's name.
#[must_use]
pub fn version_of<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let rest = file.get(name.len() + 1..)?;
    let stem = rest.strip_suffix(".conda").or_else(|| rest.strip_suffix(".tar.bz2"))?;
    stem.rsplit_once('-').map(|(version, _)| version)
}

/// The build in a file name.
#[must_use]
pub fn build_of(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(".conda").or_else(|| file.strip_suffix(".tar.bz2"))?;
    stem.rsplit_once('-').map(|(_, build)| build)
}

impl Summary {
    /// Walks over the table of a generation. Takes tens of milliseconds for a hundred thousand files, so it belongs on a blocking thread.
    #[must_use]
    pub fn of(generation: &Generation) -> Self {
        Self::of_table(generation.table())
    }

    fn of_table(table: &PackageTable) -> Self {
        let mut sums: AHashMap<&str, Sum<'_>> = AHashMap::new();
        let mut all = Self::default();
        for entry in table.iter() {
            if !entry.is_shown() {
                all.withheld += 1;
                continue;
            }
            let bytes = entry.expected.size.unwrap_or(0);
            (all.files, all.bytes) = (all.files + 1, all.bytes.saturating_add(bytes));
            let Some((name, version)) = entry.name.and_then(|n| Some((n, version_of(entry.file, n)?))) else {
                continue;
            };
            let seen = entry.standing.seen.map(|seen| seen.at);
            let sum = sums.entry(name).or_insert_with(|| Sum {
                latest: version,
                version: None,
                files: 0,
                bytes: 0,
                newest: None,
            });
            (sum.files, sum.bytes) = (sum.files + 1, sum.bytes.saturating_add(bytes));
            sum.newest = sum.newest.max(seen);
            sum.consider(version);
        }
        all.packages = sums.into_iter().map(|(name, sum)| sum.finish(name)).collect();
        all.packages.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

impl<'a> Sum<'a> {
    /// Builds of one version stand side by side, so most comparisons end with the text.
    fn consider(&mut self, version: &'a str) {
        if version == self.latest {
            return;
        }
        let Some(parsed) = Version::parse(version) else { return };
        if self.version.is_none() {
            self.version = Version::parse(self.latest);
        }
        if self.version.as_ref().is_none_or(|latest| *latest < parsed) {
            (self.latest, self.version) = (version, Some(parsed));
        }
    }

    fn finish(self, name: &str) -> PackageSummary {
        let Self { latest, files, bytes, newest, .. } = self;
        PackageSummary { name: name.into(), latest: latest.into(), files, bytes, newest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_say_versions_and_builds() {
        for (file, name, version, build) in [
            ("zlib-1.3.1-hb9d3cd8_2.conda", "zlib", Some("1.3.1"), Some("hb9d3cd8_2")),
            ("a-b-c-1!2.0-0.tar.bz2", "a-b-c", Some("1!2.0"), Some("0")),
            ("x-1.conda", "x", None, Some("1")),
            ("x", "x", None, None),
        ] {
            assert_eq!((version_of(file, name), build_of(file)), (version, build), "{file}");
        }
    }

    #[test]
    fn the_latest_version_is_not_the_last_name() {
        let mut sum = Sum { latest: "1.9", version: None, files: 0, bytes: 0, newest: None };
        for version in ["1.9", "1.10", "1.10", "1.2", "not a version", "1.10rc1"] {
            sum.consider(version);
        }
        assert_eq!(sum.latest, "1.10");
    }
}
