//! Records read out of a generation's `repodata.json`, many at a time.
//!
//! Belongs here: finding the bytes of records by their table entries. Does not: what is in them (`transcode`), which belong
//! together (`grouping`).

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ShardError;
use super::inflate::SHARD_LIMIT;
use crate::conda::archive::ArchiveName;
use crate::repodata::error::BuildError;
use crate::repodata::table::Entry;

/// Records that lie so close together are read at once, what stands between them too.
const GAP: u64 = 1 << 10;

/// The document. Positioned reads, not a map: should the file be cut meanwhile, this is an error.
#[derive(Debug)]
pub(super) struct Reader {
    json: File,
    path: PathBuf,
}

impl Reader {
    pub fn open(dir: &Path) -> Result<Self, BuildError> {
        let path = dir.join("repodata.json");
        let json = File::open(&path).map_err(BuildError::io("open", &path))?;
        Ok(Self { json, path })
    }

    /// `len` bytes from `at` on.
    pub fn read(&self, at: u64, len: u64) -> Result<Vec<u8>, BuildError> {
        let mut raw = vec![0; usize::try_from(len).unwrap_or(0)];
        self.json.read_exact_at(&mut raw, at).map_err(BuildError::io("read", &self.path))?;
        Ok(raw)
    }

    /// Reads the records of one package into `buf`, which is used again and again; gives the place of each.
    ///
    /// # Errors
    /// Trouble with the disk, or more than a client takes as one shard.
    pub fn records(&self, entries: &[Entry<'_>], buf: &mut Buffer) -> Result<(), BuildError> {
        buf.places.clear();
        let mut used = 0;
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let run = run_len(rest);
            let (now, later) = rest.split_at(run);
            let end = now.last().map_or(first.record.0, end_of);
            let len = usize::try_from(end - first.record.0).unwrap_or(usize::MAX);
            let wanted = used + len.min(SHARD_LIMIT + 1);
            if wanted > SHARD_LIMIT {
                return Err(ShardError::TooLarge { limit: SHARD_LIMIT }.into());
            }
            if buf.bytes.len() < wanted {
                buf.bytes.resize(wanted, 0);
            }
            let read = self.json.read_exact_at(&mut buf.bytes[used..wanted], first.record.0);
            read.map_err(BuildError::io("read", &self.path))?;
            buf.places.extend(now.iter().map(|entry| {
                let start = used + usize::try_from(entry.record.0 - first.record.0).unwrap_or(0);
                start..start + entry.record.1 as usize
            }));
            (used, rest) = (wanted, later);
        }
        Ok(())
    }

    /// The package name of a record whose file name does not begin with it.
    pub fn name(&self, entry: &Entry<'_>) -> Result<String, BuildError> {
        let raw = self.read(entry.record.0, u64::from(entry.record.1))?;
        let record: serde_json::Map<String, Value> =
            serde_json::from_slice(&raw).map_err(|_| ShardError::Generation { what: MISMATCH })?;
        if let Some(Value::String(name)) = record.get("name") {
            return Ok(name.clone());
        }
        let archive = ArchiveName::parse(entry.file);
        let from_file = archive.as_ref().and_then(ArchiveName::parts).map(|(name, _, _)| name.to_owned());
        Ok(from_file.unwrap_or_else(|| entry.file.to_owned()))
    }
}

/// What is wrong when a record is not where the table says.
pub(super) const MISMATCH: &str = "its package table and repodata.json do not belong together";

fn end_of(entry: &Entry<'_>) -> u64 {
    entry.record.0.saturating_add(u64::from(entry.record.1))
}

/// How many entries at the beginning lie one behind the other.
fn run_len(entries: &[Entry<'_>]) -> usize {
    let near = |pair: &[Entry<'_>]| {
        let (end, next) = (end_of(&pair[0]), pair[1].record.0);
        next >= end && next - end <= GAP
    };
    1 + entries.windows(2).take_while(|pair| near(pair)).count()
}

/// Records as they were read.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Buffer {
    /// The records' bytes, in the order they were asked for.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| self.bytes.get(place.clone()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conda::digest::Expected;
    use crate::repodata::scan::Group;

    fn entry(record: (u64, u32)) -> Entry<'static> {
        Entry {
            file: "f",
            name: None,
            expected: Expected::default(),
            record,
            group: Group::Packages,
            member: 0,
            standing: crate::repodata::table::Standing::default(),
        }
    }

    #[test]
    fn records_near_and_far_are_read_in_the_order_asked() {
        let dir = tempfile::tempdir().unwrap();
        let text: Vec<u8> = (0..10_000u32).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
        std::fs::write(dir.path().join("repodata.json"), &text).unwrap();
        let reader = Reader::open(dir.path()).unwrap();
        let mut buf = Buffer::default();
        for places in [
            &[(0, 5), (7, 3), (1000, 1), (5000, 20), (5020, 0), (9999, 1)][..],
            &[(9000, 900), (100, 10), (105, 10), (0, 10_000)],
            &[],
        ] {
            let entries: Vec<_> = places.iter().copied().map(entry).collect();
            reader.records(&entries, &mut buf).unwrap();
            let expected = places.iter().map(|(at, len)| {
                let at = usize::try_from(*at).unwrap();
                &text[at..at + *len as usize]
            });
            assert!(buf.iter().eq(expected), "{places:?}");
        }
        assert!(matches!(reader.records(&[entry((9_990, 11))], &mut buf), Err(BuildError::Io { .. })));
        let huge = [entry((0, 40 << 20)), entry((1 << 40, 40 << 20))];
        for entries in [&huge[..], &[entry((5, u32::MAX))]] {
            let error = reader.records(entries, &mut buf).unwrap_err();
            assert!(matches!(error, BuildError::Shards(ShardError::TooLarge { .. }) | BuildError::Io { .. }));
        }
    }
}
