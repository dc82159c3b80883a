//! Which records make one shard: a package table's lines by package name, and the work cut into portions.
//!
//! Belongs here: the order of shards and of records in them, which decides their bytes. Does not: the bytes (`transcode`).

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde_json::Value;

use super::ShardError;
use super::source::Reader;
use crate::conda::archive::ArchiveName;
use crate::repodata::error::BuildError;
use crate::repodata::table::PackageTable;

/// JSON in one portion of work, unless a single package has more: enough to be worth a hand-over, little enough to wait in
/// memory.
const PORTION: u64 = 1 << 20;

/// A table's lines by package.
#[derive(Debug)]
pub(super) struct ByName {
    /// Package names, in order.
    names: Vec<String>,
    /// Name number and table line, in order of both.
    lines: Vec<(u32, u32)>,
    /// Where in `lines` each name's are.
    packages: Vec<Range<usize>>,
}

impl ByName {
    /// Sorts a table's lines by package.
    pub fn of(table: &PackageTable, reader: &Reader) -> Result<Self, BuildError> {
        let mut numbers: HashMap<String, u32, ahash::RandomState> = HashMap::default();
        let mut names = Vec::new();
        let mut lines = Vec::with_capacity(table.len());
        let mut read = 0;
        for (n, entry) in table.iter().enumerate() {
            read += 1;
            // A merged index knows files that it does not show.
            if !entry.is_shown() {
                continue;
            }
            let own;
            let name = if let Some(name) = entry.name {
                name
            } else {
                own = reader.name(&entry)?;
                &own
            };
            let number = if let Some(number) = numbers.get(name) {
                *number
            } else {
                let number = narrow(names.len());
                numbers.insert(name.to_owned(), number);
                names.push(name.to_owned());
                number
            };
            lines.push((number, narrow(n)));
        }
        if read != table.len() {
            return Err(ShardError::Generation { what: "its package table is damaged" }.into());
        }
        Ok(Self::sorted(names, lines))
    }

    /// From order of appearance to order of names.
    fn sorted(mut names: Vec<String>, mut lines: Vec<(u32, u32)>) -> Self {
        let mut by_name: Vec<u32> = (0..narrow(names.len())).collect();
        by_name.sort_unstable_by(|a, b| names[*a as usize].cmp(&names[*b as usize]));
        let mut rank = vec![0; names.len()];
        for (place, number) in by_name.iter().enumerate() {
            rank[*number as usize] = narrow(place);
        }
        for pair in &mut lines {
            pair.0 = rank[pair.0 as usize];
        }
        lines.sort_unstable();
        names.sort_unstable();
        let mut packages = Vec::with_capacity(names.len());
        let mut start = 0;
        for package in lines.chunk_by(|a, b| a.0 == b.0) {
            packages.push(start..start + package.len());
            start += package.len();
        }
        Self { names, lines, packages }
    }

    /// Package names and their table lines, both in order.
    pub fn packages(&self, which: Range<usize>) -> impl Iterator<Item = (&str, &[(u32, u32)])> {
        let which = self.names.iter().zip(&self.packages).take(which.end).skip(which.start);
        which.map(|(name, lines)| (name.as_str(), self.lines.get(lines.clone()).unwrap_or_default()))
    }

    /// How many packages there are.
    pub const fn len(&self) -> usize {
        self.names.len()
    }

    /// Runs of packages of about the same work.
    pub fn portions(&self, table: &PackageTable) -> Vec<Range<usize>> {
        let (mut portions, mut start, mut bytes) = (Vec::new(), 0, 0);
        for (n, lines) in self.packages.iter().enumerate() {
            let entries = self.lines[lines.clone()].iter().filter_map(|(_, line)| table.get(*line as usize));
            bytes += entries.map(|entry| u64::from(entry.record.1)).sum::<u64>();
            if bytes >= PORTION {
                portions.push(start..n + 1);
                (start, bytes) = (n + 1, 0);
            }
        }
        if start < self.packages.len() {
            portions.push(start..self.packages.len());
        }
        portions
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The file names in a document's `removed`, by package name, in order.
pub(super) type Removed = BTreeMap<String, Vec<String>>;

/// Reads `removed`. What is not a list of file names is left out.
pub(super) fn removed_by_name(at: Option<(u64, u64)>, reader: &Reader) -> Result<Removed, BuildError> {
    let mut removed = Removed::new();
    let Some((at, len)) = at else { return Ok(removed) };
    let raw = reader.read(at, len)?;
    let Ok(Value::Array(files)) = serde_json::from_slice(&raw) else { return Ok(removed) };
    for file in files.iter().filter_map(Value::as_str) {
        let archive = ArchiveName::parse(file);
        if let Some((name, _, _)) = archive.as_ref().and_then(ArchiveName::parts) {
            removed.entry(name.to_owned()).or_default().push(file.to_owned());
        }
    }
    for files in removed.values_mut() {
        files.sort_unstable();
        files.dedup();
    }
    Ok(removed)
}
